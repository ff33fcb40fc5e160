//! The flow of requests through services, step by step.
//!
//! Knows: what waits where, what is asked again when, what becomes of work that nobody waits for any more; connections that
//! have to be made anew, and caches that are empty.
//! Does not know: what any of it means for a decision.

use std::collections::{BTreeMap, VecDeque};

use crate::luck::{self, Luck};
use crate::queueing::mean_wait;
use crate::traffic::{Calls, Profile, Traffic};

/// So many steps at most, however long the horizon is; no step is shorter than this many seconds.
const STEPS_MAX: f64 = 600.0;
const STEP_MIN: f64 = 0.25;

/// So many workers of one endpoint are told apart; with more there is next to no waiting below saturation.
const WORKERS_MAX: f64 = 64.0;

/// By how much of its length a start-up is luckier or unluckier than expected.
const START_JITTER: f64 = 0.25;

/// What is drawn once for a whole run is drawn for this moment, which no step is.
const DAY: u64 = u64::MAX;

/// The ready endpoints of a service over time: from each moment (seconds from the start, ascending, the first 0) so many.
pub type Endpoints = Vec<(f64, u64)>;

/// How a service fared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Carried {
    /// Requests that were meant, each counted once however often it was sent.
    pub asked: f64,
    /// Of these, those that were never answered, in time, by anybody.
    pub failed: f64,
    /// What was sent for each that was meant: 1 without retries.
    pub amplification: f64,
    /// The most that was sent, by what could have been served then; infinite if something was sent and nobody was there.
    pub utilisation_max: f64,
    /// The longest mean time from asking to answer, in seconds, of those that were answered.
    pub latency_max: f64,
    /// The largest share of those who wanted a connection that had none.
    pub unconnected_max: f64,
    /// Whether requests still failed, more than one in a hundred, when the horizon came.
    pub failing_at_end: bool,
    /// Step by step.
    pub course: Vec<Moment>,
}

impl Carried {
    /// The share of what was meant that failed, 0 to 1.
    pub fn error_share(&self) -> f64 {
        if self.asked > 0.0 { (self.failed / self.asked).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// A step of a service's course.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moment {
    /// Seconds from the start.
    pub at: f64,
    /// Requests per second that were sent, retries among them.
    pub sent: f64,
    /// What was sent by what could be served.
    pub utilisation: f64,
    /// The share of what was sent that failed.
    pub failing: f64,
    /// The mean time to an answer, in seconds.
    pub latency: f64,
}

/// One service on its way.
struct Service<'a> {
    profile: &'a Profile,
    /// What one of its endpoints serves in this run.
    rate: f64,
    endpoints: &'a [(f64, u64)],
    who: u64,
    luck: Luck,
    /// Endpoints that are not warm yet: since when, how many.
    cold: VecDeque<(f64, u64)>,
    ready: u64,
    /// How many it had before this step, and how many of these it lost.
    had: u64,
    gone: u64,
    /// How many warm endpoints its endpoints are worth.
    power: f64,
    /// What new connections took of what it can do in this step, in requests.
    spent: f64,
    /// What waits, by how often it was sent before.
    waiting: Vec<f64>,
    /// What will be sent again: by step from now, by how often it was sent before.
    again: VecDeque<Vec<f64>>,
    /// What its callers sent in the last step.
    called: f64,
    /// Of what it served in the last step, how much failed.
    failing: f64,
    latency: f64,
    /// The share of its endpoints' caches that is empty.
    chill: f64,
    /// Connections that its callers have to it.
    connected: f64,
    /// The share of the connections that its callers want which they do not have.
    unconnected: f64,
    sent: f64,
    carried: Carried,
}

/// What a service's callers notice of it.
#[derive(Clone, Copy, Default)]
struct Felt {
    failing: f64,
    latency: f64,
    chill: f64,
    unconnected: f64,
}

/// Lets requests flow for `horizon` seconds from a second of the week on (Monday 00:00 UTC is 0), as is to be expected.
///
/// `endpoints` says how many endpoints each service has ready; one that it does not name has none.
pub fn run(
    traffic: &Traffic,
    endpoints: &BTreeMap<String, Endpoints>,
    begins: f64,
    horizon: f64,
) -> BTreeMap<String, Carried> {
    run_with(traffic, endpoints, begins, horizon, Luck::default())
}

/// The same with luck: how many really come, how long starts really take, when who connects again.
pub fn run_with(
    traffic: &Traffic,
    endpoints: &BTreeMap<String, Endpoints>,
    begins: f64,
    horizon: f64,
    luck: Luck,
) -> BTreeMap<String, Carried> {
    let step = (horizon / STEPS_MAX).max(STEP_MIN);
    let courses: BTreeMap<&str, Endpoints> =
        endpoints.iter().map(|(name, course)| (name.as_str(), with_jitter(course, luck, luck::who(name)))).collect();
    let mut services: BTreeMap<&str, Service<'_>> = traffic
        .services
        .iter()
        .map(|(name, profile)| {
            let course = courses.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            (name.as_str(), Service::new(name, profile, course, luck))
        })
        .collect();
    // Before anything happens, calls are as they were: a first pass fills in what callers send.
    settle_calls(&mut services, begins);
    settle_connections(&mut services);
    let steps = (horizon / step).ceil() as usize;
    for count in 0..steps {
        let at = count as f64 * step;
        for service in services.values_mut() {
            service.look_round(at);
        }
        connect(&mut services, at, step);
        // What callees did in the last step is what their callers feel in this one, so that calls may go in circles.
        let felt: BTreeMap<String, Felt> =
            services.iter().map(|(name, service)| ((*name).to_owned(), service.felt())).collect();
        let mut sends: BTreeMap<String, f64> = BTreeMap::new();
        for service in services.values_mut() {
            let served = service.step(at, begins + at, step, &felt);
            for calls in &service.profile.calls {
                let lacking = felt.get(&calls.service).map_or(0.0, |felt| felt.reach(calls));
                let each = calls.with_cold(service.cold_for(calls, &felt)) * (1.0 - lacking);
                *sends.entry(calls.service.clone()).or_default() += served * each;
            }
        }
        for (name, service) in &mut services {
            service.called = sends.get(*name).copied().unwrap_or(0.0) / step;
        }
    }
    services.into_iter().map(|(name, service)| (name.to_owned(), service.end())).collect()
}

/// A course whose gains come a little earlier or later than expected, each by a part of the time it was waited for.
fn with_jitter(course: &[(f64, u64)], luck: Luck, who: u64) -> Endpoints {
    let mut jittered: Endpoints = Vec::with_capacity(course.len());
    let (mut before, mut lost) = (0, 0.0);
    for (number, (at, ready)) in course.iter().copied().enumerate() {
        let mut moved = at;
        if number > 0 && ready > before {
            moved += (at - lost) * START_JITTER * (2.0 * luck.share(who, number as u64) - 1.0);
        } else {
            lost = at;
        }
        let least = jittered.last().map_or(at.min(0.0), |(at, _)| *at);
        jittered.push((moved.max(least), ready));
        before = ready;
    }
    jittered
}

/// What callers want of connections to each service.
fn wanted(services: &BTreeMap<&str, Service<'_>>) -> BTreeMap<String, f64> {
    let mut wanted: BTreeMap<String, f64> = BTreeMap::new();
    for service in services.values() {
        for calls in service.profile.calls.iter().filter(|calls| calls.connections > 0.0) {
            *wanted.entry(calls.service.clone()).or_default() += service.ready as f64 * calls.connections;
        }
    }
    wanted
}

/// Before anything happens everybody has as many connections as can be had.
fn settle_connections(services: &mut BTreeMap<&str, Service<'_>>) {
    let wanted = wanted(services);
    for (name, service) in services.iter_mut() {
        let wanted = wanted.get(*name).copied().unwrap_or(0.0);
        service.connected = wanted.min(service.connections_max());
        service.unconnected = missing(service.connected, wanted);
    }
}

/// Lost connections go, and whoever lacks some asks for all of them at once: what these cost is taken from the requests.
fn connect(services: &mut BTreeMap<&str, Service<'_>>, at: f64, step: f64) {
    let lost: BTreeMap<String, f64> = services
        .values()
        .flat_map(|service| {
            let gone = service.gone as f64;
            service.profile.calls.iter().map(move |calls| (calls.service.clone(), gone * calls.connections))
        })
        .fold(BTreeMap::new(), |mut lost, (name, count)| {
            *lost.entry(name).or_default() += count;
            lost
        });
    let wanted = wanted(services);
    for (name, service) in services.iter_mut() {
        let wanted = wanted.get(*name).copied().unwrap_or(0.0);
        // Whoever ends takes his connections with him, and so does whoever they led to.
        let kept = if service.had > 0 { 1.0 - (service.gone as f64 / service.had as f64).min(1.0) } else { 0.0 };
        let after = (service.connected - lost.get(*name).copied().unwrap_or(0.0)).max(0.0) * kept;
        service.connected = after.min(wanted);
        let lacking = (wanted.min(service.connections_max()) - service.connected).max(0.0);
        let cost = service.profile.server.connection_cost;
        // Clients that were turned away do not all come back in the same instant.
        let tries = lacking * (0.5 + 0.5 * service.luck.share(service.who, (at / step) as u64 ^ 0x5c));
        let able = if cost > 0.0 { service.power * service.rate * step / cost } else { f64::INFINITY };
        let made = if service.ready == 0 { 0.0 } else { tries.min(able) };
        service.connected += made;
        service.spent = made * cost;
        service.unconnected = missing(service.connected, wanted);
        service.carried.unconnected_max = service.carried.unconnected_max.max(service.unconnected);
    }
}

fn missing(have: f64, wanted: f64) -> f64 {
    if wanted > 0.0 { (1.0 - have / wanted).clamp(0.0, 1.0) } else { 0.0 }
}

/// What comes to each service at one second of the week, in requests per second, its callers' requests among it. With so many
/// endpoints ready and nothing waiting: what is offered, retries not counted.
pub fn rates(traffic: &Traffic, ready: &BTreeMap<String, u64>, second: f64) -> BTreeMap<String, f64> {
    let courses: BTreeMap<&str, Endpoints> = traffic
        .services
        .keys()
        .map(|name| (name.as_str(), vec![(0.0, ready.get(name).copied().unwrap_or(0))]))
        .collect();
    let mut services: BTreeMap<&str, Service<'_>> = traffic
        .services
        .iter()
        .map(|(name, profile)| {
            let course = courses.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            (name.as_str(), Service::new(name, profile, course, Luck::default()))
        })
        .collect();
    settle_calls(&mut services, second);
    let rate = |service: &Service<'_>| service.profile.arrivals.at(second) + service.called;
    services.iter().map(|(name, service)| ((*name).to_owned(), rate(service))).collect()
}

impl Felt {
    /// The share of calls that are not even made because there is no connection for them.
    fn reach(self, calls: &Calls) -> f64 {
        if calls.connections > 0.0 { self.unconnected } else { 0.0 }
    }
}

/// Rates that services send each other before the first step, to the fixed point (or near it, if calls go in circles).
fn settle_calls(services: &mut BTreeMap<&str, Service<'_>>, begins: f64) {
    for _ in 0..services.len().min(16) {
        let mut sends: BTreeMap<&str, f64> = BTreeMap::new();
        for service in services.values() {
            let outside = service.profile.arrivals.at(begins);
            let served = (outside + service.called).min(service.ready as f64 * service.rate);
            for calls in &service.profile.calls {
                *sends.entry(calls.service.as_str()).or_default() += served * calls.each;
            }
        }
        for (name, service) in services.iter_mut() {
            service.called = sends.get(*name).copied().unwrap_or(0.0);
        }
    }
}

impl<'a> Service<'a> {
    fn new(name: &str, profile: &'a Profile, endpoints: &'a [(f64, u64)], luck: Luck) -> Self {
        let levels = profile.clients.retries as usize + 1;
        Self {
            profile,
            rate: profile.server.rate + profile.server.doubt * (2.0 * luck.share(luck::who(name), DAY) - 1.0),
            endpoints,
            who: luck::who(name),
            luck,
            cold: VecDeque::new(),
            ready: endpoints.first().map_or(0, |(_, ready)| *ready),
            had: 0,
            gone: 0,
            power: 0.0,
            spent: 0.0,
            waiting: vec![0.0; levels],
            again: VecDeque::new(),
            called: 0.0,
            failing: 0.0,
            latency: profile.server.seconds,
            chill: 0.0,
            connected: 0.0,
            unconnected: 0.0,
            sent: 0.0,
            carried: Carried::default(),
        }
    }

    fn connections_max(&self) -> f64 {
        if self.ready == 0 { 0.0 } else { self.ready as f64 * self.profile.server.connections_max }
    }

    fn felt(&self) -> Felt {
        let Self { failing, latency, chill, unconnected, .. } = *self;
        Felt { failing, latency, chill, unconnected }
    }

    /// How empty the cache is that stands before these calls.
    fn cold_for(&self, calls: &Calls, felt: &BTreeMap<String, Felt>) -> f64 {
        let other = calls.cache.as_ref().map(|cache| felt.get(cache).map_or(0.0, |felt| felt.chill.max(felt.failing)));
        other.unwrap_or(self.chill)
    }

    /// What comes from outside in this step: as many as expected, and as many more or fewer as chance has it.
    fn arrivals(&self, at: f64, second: f64, step: f64) -> f64 {
        let expected = self.profile.arrivals.at(second) * step;
        (expected + self.luck.deviation(self.who, (at / step) as u64) * expected.sqrt()).max(0.0)
    }

    /// One step: what comes in, what is served, what fails. Gives how many requests it served.
    fn step(&mut self, at: f64, second: f64, step: f64, felt: &BTreeMap<String, Felt>) -> f64 {
        let server = self.profile.server;
        let fresh = self.arrivals(at, second, step) + self.called * step;
        let mut comes = self.again.pop_front().unwrap_or_default();
        comes.resize(self.waiting.len(), 0.0);
        if let Some(first) = comes.first_mut() {
            *first += fresh;
        }
        let sent: f64 = comes.iter().sum();
        self.sent += sent;
        self.carried.asked += fresh;

        let capacity = (self.power * self.rate * step - self.spent).max(0.0);
        for (waits, comes) in self.waiting.iter_mut().zip(&comes) {
            *waits += comes;
        }
        let all: f64 = self.waiting.iter().sum();
        let room = if self.ready == 0 { 0.0 } else { self.ready as f64 * server.waiting_max };
        let served = all.min(capacity);
        let turned_away = (all - served - room).max(0.0);
        let left = all - served - turned_away;
        // Who is served now came when the queue was as long as it is; with nobody to serve, all fail at once.
        let queued = if capacity > 0.0 { left / (capacity / step) } else { 0.0 };
        let busy = if capacity > 0.0 { sent / capacity } else { f64::INFINITY };
        let waited = if left > 0.0 { queued } else { self.lightly(busy) };
        let (broken, slow) = self.feels(felt);
        let latency = waited + server.seconds + slow;
        let late = latency > self.profile.clients.timeout;
        let lost = turned_away + if late { served } else { served * broken };
        let failing = if all - left > 0.0 { (lost / (all - left)).min(1.0) } else { 0.0 };

        self.leave(failing, all - left, all, step);
        self.failing = failing;
        self.latency =
            if served > 0.0 { latency.min(self.profile.clients.timeout) } else { self.profile.clients.timeout };
        let utilisation = if sent > 0.0 { busy } else { 0.0 };
        self.carried.utilisation_max = self.carried.utilisation_max.max(utilisation);
        if served > 0.0 && !late {
            self.carried.latency_max = self.carried.latency_max.max(latency);
        }
        self.carried.course.push(Moment { at, sent: sent / step, utilisation, failing, latency: self.latency });
        served
    }

    /// What leaves this step: of each level the same share, failed or answered; what failed is sent again or given up.
    fn leave(&mut self, failing: f64, leaves: f64, all: f64, step: f64) {
        if all <= 0.0 {
            return;
        }
        let (levels, clients) = (self.waiting.len(), self.profile.clients);
        for level in 0..levels {
            let Some(waits) = self.waiting.get_mut(level) else { continue };
            let gone = *waits * (leaves / all).min(1.0);
            *waits -= gone;
            let failed = gone * failing;
            if level + 1 == levels {
                self.carried.failed += failed;
                continue;
            }
            let pause = clients.pause * f64::from(1_u32 << level.min(16));
            let due = ((pause / step).round() as usize).max(1) - 1;
            while self.again.len() <= due {
                self.again.push_back(vec![0.0; levels]);
            }
            if let Some(place) = self.again.get_mut(due).and_then(|later| later.get_mut(level + 1)) {
                *place += failed;
            }
        }
    }

    /// Sees which endpoints came and went, and how many warm ones those that are there are worth.
    fn look_round(&mut self, at: f64) {
        let server = self.profile.server;
        let ready = self.endpoints.iter().take_while(|(from, _)| *from <= at).last().map_or(0, |(_, ready)| *ready);
        if ready > self.ready {
            self.cold.push_back((at, ready - self.ready));
        }
        (self.had, self.gone) = (self.ready, self.ready.saturating_sub(ready));
        let mut gone = self.gone;
        while gone > 0
            && let Some((_, newest)) = self.cold.back_mut()
        {
            let taken = gone.min(*newest);
            *newest -= taken;
            gone -= taken;
            if *newest == 0 {
                self.cold.pop_back();
            }
        }
        self.ready = ready;
        while self.cold.front().is_some_and(|(since, _)| at - since >= server.warm_up) {
            self.cold.pop_front();
        }
        let empty = |(since, count): &(f64, u64)| *count as f64 * (1.0 - (at - since) / server.warm_up);
        let empty: f64 = self.cold.iter().map(empty).sum();
        self.chill = if ready == 0 { 1.0 } else { empty / ready as f64 };
        self.power = (ready as f64 - empty * (1.0 - server.cold)).max(0.0);
    }

    /// The mean wait below saturation: each endpoint has a queue of its own, as connections are spread and then stay.
    fn lightly(&self, busy: f64) -> f64 {
        let server = self.profile.server;
        let workers = (self.rate * server.seconds).round().clamp(1.0, WORKERS_MAX);
        // Near saturation a fluid has a queue of its own to show.
        let rate = busy.min(0.99) * workers / server.seconds;
        mean_wait(rate, server.seconds, workers as u32)
    }

    /// The share of its answers that fail because of whom it calls, and the time that these add.
    fn feels(&self, felt: &BTreeMap<String, Felt>) -> (f64, f64) {
        let mut well = 1.0;
        let mut slow = 0.0;
        for calls in &self.profile.calls {
            let Some(callee) = felt.get(&calls.service) else { continue };
            let failing = 1.0 - (1.0 - callee.failing) * (1.0 - callee.reach(calls));
            let each = calls.with_cold(self.cold_for(calls, felt));
            // Each of several calls has to succeed; a part of a call is a call that is made now and then.
            let certain = each.floor() as i32;
            let now_and_then = 1.0 - (each - each.floor()) * failing;
            well *= (1.0 - failing).powi(certain) * now_and_then;
            slow += each * callee.latency;
        }
        (1.0 - well, slow)
    }

    fn end(mut self) -> Carried {
        let meant = self.carried.asked;
        self.carried.amplification = if meant > 0.0 { self.sent / meant } else { 1.0 };
        self.carried.failing_at_end = self.failing > 0.01;
        // Who still waits for a queue that is longer than his patience, or to ask again, has no answer yet: he counts as failed
        // only if what is sent now fails.
        let open: f64 = self.waiting.iter().sum::<f64>() + self.again.iter().flatten().sum::<f64>();
        if self.carried.failing_at_end {
            self.carried.failed += open * self.failing;
        }
        self.carried.failed = self.carried.failed.min(meant);
        self.carried
    }
}
