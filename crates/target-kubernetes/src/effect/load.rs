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
    let traffic = traffic::around(run.before, losing);
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use cluster::doc;

    use super::*;
    use crate::testing::{asked, deployment, fresh, make, service, settle};
    use crate::twin::ClusterTwin;

    /// `front` gets 200 requests a second and asks `back` twice for each; eight pods of `back` serve 60 a second each.
    fn shop() -> Cluster {
        let mut cluster = fresh(6);
        let notes = [
            (
                "front",
                4,
                doc!({"traffic.lazaret.dev/requests-per-second": "200", "traffic.lazaret.dev/capacity-per-pod": "100",
                "traffic.lazaret.dev/calls": "back=2"}),
            ),
            (
                "back",
                8,
                doc!({"traffic.lazaret.dev/capacity-per-pod": "60", "traffic.lazaret.dev/timeout-seconds": "2",
                "traffic.lazaret.dev/retries": "3"}),
            ),
        ];
        for (name, replicas, notes) in notes {
            make(&mut cluster, &deployment(name, replicas));
            let mut service = service(name);
            service.set(&["metadata", "annotations"], notes);
            make(&mut cluster, &service);
        }
        settle(&mut cluster);
        cluster
    }

    fn scaled(cluster: &Cluster, replicas: i64) -> Forecast {
        let path = "PATCH /apis/apps/v1/namespaces/shop/deployments/back";
        let asked = asked(cluster, path, &doc!({"spec": {"replicas": (replicas)}}));
        let mut twin = ClusterTwin::new(cluster.clone());
        twin.play(&asked.call, &AtomicBool::new(false)).unwrap().effect.forecast
    }

    #[test]
    fn whoever_calls_a_service_that_is_too_small_fails_with_it_though_it_loses_nothing() {
        let cluster = shop();
        let enough = scaled(&cluster, 7);
        let load = enough.services["shop/back"].load.as_ref().unwrap();
        assert_eq!((load.errors_added(), load.failing_at_end), (Some(Decimal::ZERO), Some(false)));
        assert!(!enough.services.contains_key("shop/front"), "it feels nothing");

        let short = scaled(&cluster, 4);
        for name in ["shop/back", "shop/front"] {
            let load = short.services[name].load.as_ref().unwrap();
            assert!(load.errors_added() > Some(Decimal::from_millis(500)), "{name}: {load:?}");
            assert_eq!(load.failing_at_end, Some(true), "{name}");
        }
        let (front, back) = (&short.services["shop/front"], short.services["shop/back"].load.as_ref().unwrap());
        assert!(!front.is_degraded());
        assert!(back.amplification > Some(Decimal::from_millis(1500)), "{back:?}");
    }

    #[test]
    fn no_bounds_are_given_where_requests_may_fail() {
        let cluster = shop();
        let path = "PATCH /apis/apps/v1/namespaces/shop/deployments/back";
        let asked = asked(&cluster, path, &doc!({"spec": {"replicas": 4}}));
        let user = cluster::apiserver::User::admin();
        let horizon = std::time::Duration::from_secs(600);
        assert!(crate::bound::bound(&cluster, &asked.call, &user, horizon).is_none());
    }
}
