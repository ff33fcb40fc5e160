//! How requests fare while servers come and go: arrivals, queues, time-outs, retries, cold starts, and who calls whom.
//!
//! Knows: rates, capacities, and how many endpoints of each service are ready when.
//! Does not know: what a service is made of, or why its endpoints come and go.
//!
//! Requests are a fluid, not grains: in each step so much comes in, so much is served, and the rest waits. That forgets the
//! luck of single requests, which is what a mean is, and keeps what outages are made of: a queue that outgrows what its
//! clients wait for, work done for clients that have gone, retries that keep a service down after its cause has passed
//! (Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021). It is open-loop: what comes from outside
//! does not slow down because answers do. Only `+ - * /` are used, so the same numbers come out on every machine.

mod flow;
mod queueing;
#[cfg(test)]
mod tests;
mod traffic;

pub use flow::{Carried, Endpoints, Moment, rates, run};
pub use queueing::mean_wait;
pub use traffic::{Arrivals, Calls, Clients, Profile, Server, Traffic, WEEK_HOURS};
