//! What is asked of services, and what they can do.
//!
//! Knows: rates by hour of the week, servers, the patience of clients, calls between services.
//! Does not know: how any of it was learned.

use std::collections::BTreeMap;

/// The hours of a week.
pub const WEEK_HOURS: usize = 168;

/// Everything that is known of the load on an estate, by service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Traffic {
    /// What each gets, can do, and calls. A service that is not named here gets what others send to it.
    pub services: BTreeMap<String, Profile>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    /// What comes from outside.
    pub arrivals: Arrivals,
    /// What one ready endpoint can do.
    pub server: Server,
    /// How those behave who ask.
    pub clients: Clients,
    /// What it asks of others to answer one request.
    pub calls: Vec<Calls>,
}

/// Requests from outside, in requests per second.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrivals {
    /// Always the same.
    Steady(f64),
    /// By hour of the week, Monday 00:00 UTC first; in between it goes in a straight line from hour to hour.
    Weekly(Box<[f64; WEEK_HOURS]>),
}

impl Default for Arrivals {
    fn default() -> Self {
        Self::Steady(0.0)
    }
}

impl Arrivals {
    /// At a second of the week, Monday 00:00 UTC being 0.
    pub fn at(&self, second: f64) -> f64 {
        match self {
            Self::Steady(rate) => *rate,
            Self::Weekly(hours) => {
                let hour = second / 3600.0;
                let whole = hour.floor();
                let rate = |index: f64| {
                    let index = index.rem_euclid(WEEK_HOURS as f64) as usize;
                    hours.get(index).copied().unwrap_or(0.0)
                };
                let (from, to) = (rate(whole), rate(whole + 1.0));
                from + (to - from) * (hour - whole)
            }
        }
    }
}

/// What one ready endpoint can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Server {
    /// Requests per second when it is warm and busy all the time; what is expected, if it is not known well.
    pub rate: f64,
    /// By how much the rate may be more or less: where in between is a matter of luck.
    pub doubt: f64,
    /// What one request takes if it need not wait, in seconds. With the rate it says how many are worked on at a time.
    pub seconds: f64,
    /// Requests that may wait before more are turned away.
    pub waiting_max: f64,
    /// For how long after it got ready an endpoint is slower, in seconds: empty caches, code not yet compiled.
    pub warm_up: f64,
    /// The share of its rate that a new endpoint starts with.
    pub cold: f64,
    /// Connections that it keeps before it turns more away.
    pub connections_max: f64,
    /// What a new connection costs it, in requests' worth of work: a handshake, a process of its own.
    pub connection_cost: f64,
}

impl Default for Server {
    /// One that can do nothing, and is warm at once.
    fn default() -> Self {
        Self {
            rate: 0.0,
            doubt: 0.0,
            seconds: 0.05,
            waiting_max: f64::INFINITY,
            warm_up: 0.0,
            cold: 0.5,
            connections_max: f64::INFINITY,
            connection_cost: 0.0,
        }
    }
}

/// How those behave who ask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clients {
    /// For how long they wait for an answer, in seconds.
    pub timeout: f64,
    /// How often they ask again after a failure.
    pub retries: u32,
    /// How long they pause before they ask again, in seconds; twice as long each time.
    pub pause: f64,
}

impl Default for Clients {
    fn default() -> Self {
        Self { timeout: 10.0, retries: 0, pause: 1.0 }
    }
}

/// What a service asks of another.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    /// Which.
    pub service: String,
    /// How often, for one request of its own.
    pub each: f64,
    /// How often while a cache is empty, if that is more.
    pub cold: f64,
    /// Whose endpoints hold the cache; its own if nobody else's.
    pub cache: Option<String>,
    /// Connections that each of its endpoints holds open to the other.
    pub connections: f64,
}

impl Calls {
    /// So many calls for each request, with no cache in between and no connection to speak of.
    pub fn to(service: impl Into<String>, each: f64) -> Self {
        Self { service: service.into(), each, cold: each, cache: None, connections: 0.0 }
    }

    /// How often, with so much of the cache empty (0 to 1).
    pub(crate) fn with_cold(&self, share: f64) -> f64 {
        self.each + (self.cold - self.each).max(0.0) * share
    }
}
