//! How requests fare while servers come and go: arrivals, queues, time-outs, retries, cold starts, and who calls whom.
//!
//! Knows: rates, capacities, and how many endpoints of each service are ready when.
//! Does not know: what a service is made of, or why its endpoints come and go.
//!
//! Requests are a fluid, not grains: in each step so much comes in, so much is served, and the rest waits. That forgets the
//! luck of single requests, save for how many come in a step, and keeps what outages are made of: a queue that outgrows what its
//! clients wait for, work done for clients that have gone, retries that keep a service down after its cause has passed
//! (Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021). It is open-loop: what comes from outside
//! does not slow down because answers do. Only `+ - * /` and square roots are used, so the same numbers come out on every
//! machine. Luck comes from a seed: equal seeds, equal runs.

mod flow;
mod luck;
mod queueing;
#[cfg(test)]
mod tests;
mod traffic;

pub use flow::{Carried, Endpoints, Moment, rates, run, run_with};
pub use luck::Luck;
pub use queueing::mean_wait;
pub use traffic::{Arrivals, Calls, Clients, Profile, Server, Traffic, WEEK_HOURS};
