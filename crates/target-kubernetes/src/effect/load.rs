//! How requests fare while endpoints come and go.
//!
//! Knows: what Services say of their load, and which of them feel what happens to another.
//! Does not know: how a forecast of load is made (`load`), or how many failures are too many.

use cluster::{Cluster, ObjectKey, Value, traffic};
use load::{Arrivals, Carried, Traffic};
use model::{Decimal, Forecast, Load, Range, Service};

use super::Run;
use super::availability::{Courses, ready_in};

/// What a Service gets and what one of its endpoints serves, if it says so.
pub(crate) fn said(service: &Value) -> Option<Load> {
    let number = |what: &str| {
        let text = service.annotation(&format!("{}{what}", traffic::PREFIX))?;
        text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0).map(Decimal::from_f64)
    };
    let profile = traffic::profile(service.namespace(), service)?;
    let gets = match &profile.arrivals {
        Arrivals::Steady(_) => number("requests-per-second")?,
        // At the busiest hour, where nobody has said when it is.
        Arrivals::Weekly(hours) => Decimal::from_f64(hours.iter().copied().fold(0.0, f64::max)),
    };
    Some(Load::new(Range::exact(gets), number("capacity-per-pod").map_or_else(Range::unknown, Range::exact)))
}

/// Whether a service loses an endpoint of which anything is known that its load could tell from.
pub(crate) fn is_felt(cluster: &Cluster, forecast: &Forecast) -> bool {
    let losing = forecast.services.iter().filter(|(_, service)| service.is_degraded());
    losing.filter_map(|(name, _)| name.split_once('/')).any(|(namespace, name)| {
        let service = cluster.get(&ObjectKey::new("services", namespace, name));
        service.is_some_and(|service| traffic::profile(namespace, service).is_some())
    })
}

/// Lets requests flow with the endpoints as they will be, and as they would have been, if any service loses an endpoint.
pub(super) fn read(run: &Run<'_>, mut courses: Courses, forecast: &mut Forecast) {
    let losing = forecast.services.iter().filter(|(_, service)| service.is_degraded()).map(|(name, _)| name.clone());
    let losing: Vec<String> = losing.collect();
    if losing.is_empty() {
        return;
    }
    let traffic = traffic::of(run.before).felt_from(losing);
    if traffic.services.is_empty() {
        return;
    }
    for name in traffic.services.keys() {
        courses.entry(name.clone()).or_insert_with(|| vec![(0.0, ready(run.before, name))]);
    }
    let steady =
        courses.iter().map(|(name, course)| (name.clone(), course.iter().take(1).copied().collect())).collect();
    let (begins, horizon) = (traffic::second_of_week(run.before.now()), run.horizon.as_secs_f64());
    let without = load::run(&traffic, &steady, begins, horizon);
    for (name, carried) in load::run(&traffic, &courses, begins, horizon) {
        let before = without.get(&name).map_or(0.0, Carried::error_share);
        write(run.before, &traffic, &name, &carried, before, forecast);
    }
}

fn write(cluster: &Cluster, traffic: &Traffic, name: &str, carried: &Carried, before: f64, forecast: &mut Forecast) {
    // Who only calls it is told of if it fails because of that.
    let felt = carried.error_share() > before;
    if !felt && !forecast.services.contains_key(name) {
        return;
    }
    let service = forecast.services.entry(name.to_owned()).or_insert_with(|| Service::steady(ready(cluster, name)));
    let sent = carried.course.iter().map(|moment| moment.sent).fold(0.0, f64::max);
    let unknown = || Load::new(Range::exact(Decimal::from_f64(sent)), Range::unknown());
    let load = service.load.get_or_insert_with(unknown);
    if let Some(profile) = traffic.services.get(name)
        && let Arrivals::Weekly(_) = profile.arrivals
    {
        load.requests_per_second = Range::exact(Decimal::from_f64(sent));
    }
    load.error_share = Some(Decimal::from_f64(carried.error_share()));
    load.error_share_before = Some(Decimal::from_f64(before));
    load.latency_seconds = Some(Decimal::from_f64(carried.latency_max));
    load.amplification = Some(Decimal::from_f64(carried.amplification));
    load.failing_at_end = Some(carried.failing_at_end);
}

fn ready(cluster: &Cluster, name: &str) -> u64 {
    name.split_once('/').map_or(0, |(namespace, service)| {
        let key = ObjectKey::new("services", namespace, service);
        ready_in(cluster, &key.namespace, &key.name)
    })
}
