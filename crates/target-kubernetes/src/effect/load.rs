//! How requests fare while endpoints come and go.
//!
//! Knows: what Services say of their load, and which of them feel what happens to another.
//! Does not know: how a forecast of load is made (`load`), or how many failures are too many.

use std::collections::BTreeMap;

use cluster::{Cluster, ObjectKey, Value, traffic};
use load::{Arrivals, Carried, Luck, Traffic};
use model::{Decimal, Forecast, Load, Range, Sample, Service};

use super::Run;
use super::availability::{Courses, ready_in};

/// So many runs with luck besides the expected one: the forecast is what lies between them.
const LUCKY_RUNS: u64 = 4;

/// So many moments of the expected run are told at most.
const SAMPLES: usize = 20;

/// More than this of what can be served is not told apart: nobody is served then.
const UTILISATION_MAX: f64 = 1000.0;

/// What a Service gets and what one of its endpoints serves, if that is known.
pub(crate) fn said(cluster: &Cluster, service: &Value) -> Option<Load> {
    let key = ObjectKey::new("services", service.namespace(), service.name());
    let service = traffic::told(cluster, &key, service);
    let profile = traffic::profile(&key.namespace, &service)?;
    let gets = match &profile.arrivals {
        Arrivals::Steady(rate) => {
            service.annotation(&format!("{}requests-per-second", traffic::PREFIX))?;
            *rate
        }
        // At the busiest hour, where nobody has said when it is.
        Arrivals::Weekly(hours) => hours.iter().copied().fold(0.0, f64::max),
    };
    let serves = traffic::capacity(&service).map_or_else(Range::unknown, |(least, most)| {
        let (least, most) = (Decimal::from_f64(least), Decimal::from_f64(most));
        if least == most { Range::exact(least) } else { Range::between(most, least) }
    });
    Some(Load::new(Range::exact(Decimal::from_f64(gets)), serves))
}

/// Whether a service loses an endpoint of which anything is known that its load could tell from, or its endpoints hold
/// connections to another and become more.
pub(crate) fn is_felt(cluster: &Cluster, forecast: &Forecast) -> bool {
    changed(cluster, forecast).next().is_some()
}

/// The services whose load somebody may feel.
fn changed<'a>(cluster: &'a Cluster, forecast: &'a Forecast) -> impl Iterator<Item = &'a String> {
    forecast.services.iter().filter_map(move |(name, service)| {
        let (namespace, plain) = name.split_once('/')?;
        let key = ObjectKey::new("services", namespace, plain);
        let profile = traffic::profile(namespace, &traffic::told(cluster, &key, cluster.get(&key)?))?;
        let grows = service.ready_after.high() > service.ready_before;
        let connects = profile.calls.iter().any(|calls| calls.connections > 0.0);
        (service.is_degraded() || (grows && connects)).then_some(name)
    })
}

/// Lets requests flow with the endpoints as they will be, and as they would have been, if any service's load is felt.
pub(super) fn read(run: &Run<'_>, mut courses: Courses, forecast: &mut Forecast) {
    let changed: Vec<String> = changed(run.before, forecast).cloned().collect();
    if changed.is_empty() {
        return;
    }
    let traffic = traffic::around(run.before, changed);
    if traffic.services.is_empty() {
        return;
    }
    for name in traffic.services.keys() {
        courses.entry(name.clone()).or_insert_with(|| vec![(0.0, ready(run.before, name))]);
    }
    let steady: Courses =
        courses.iter().map(|(name, course)| (name.clone(), course.iter().take(1).copied().collect())).collect();
    let (begins, horizon) = (traffic::second_of_week(run.before.now()), run.horizon.as_secs_f64());
    // Luck comes from the cluster's own stream, so that equal clusters are equally lucky; the cluster itself draws nothing.
    let seed = run.before.clone().random().bits();
    let lucks = (0..=LUCKY_RUNS).map(|number| Luck((number > 0).then_some(seed.wrapping_add(number))));
    let runs: Vec<Pair> = lucks
        .map(|luck| Pair {
            without: load::run_with(&traffic, &steady, begins, horizon, luck),
            with: load::run_with(&traffic, &courses, begins, horizon, luck),
        })
        .collect();
    for name in traffic.services.keys() {
        write(run.before, &traffic, name, &runs, forecast);
    }
}

/// What comes of the same luck without the action and with it.
struct Pair {
    without: BTreeMap<String, Carried>,
    with: BTreeMap<String, Carried>,
}

/// The expected number, and the best and worst of all.
fn range(numbers: impl Iterator<Item = f64> + Clone) -> Range<Decimal> {
    let expected = Decimal::from_f64(numbers.clone().next().unwrap_or(0.0));
    let numbers = numbers.map(Decimal::from_f64);
    let (best, worst) = (numbers.clone().min().unwrap_or(expected), numbers.max().unwrap_or(expected));
    Range::around(best, expected, worst)
}

fn write(cluster: &Cluster, traffic: &Traffic, name: &str, runs: &[Pair], forecast: &mut Forecast) {
    let of = |run: fn(&Pair) -> &BTreeMap<String, Carried>| runs.iter().filter_map(move |pair| run(pair).get(name));
    let (with, without) = (of(|pair| &pair.with), of(|pair| &pair.without));
    let Some((expected, before)) = with.clone().next().zip(without.clone().next().map(Carried::error_share)) else {
        return;
    };
    // What fails anyway, under the same luck, is not the action's doing.
    let errors = with
        .clone()
        .zip(without)
        .map(|(with, without)| (before + (with.error_share() - without.error_share()).max(0.0)).min(1.0));
    let errors = range(errors);
    // Who only calls it is told of if it fails because of that.
    let felt = errors.high() > Decimal::from_f64(before);
    if !felt && !forecast.services.contains_key(name) {
        return;
    }
    let service = forecast.services.entry(name.to_owned()).or_insert_with(|| Service::steady(ready(cluster, name)));
    let sent = expected.course.iter().map(|moment| moment.sent).fold(0.0, f64::max);
    let unknown = || Load::new(Range::exact(Decimal::from_f64(sent)), Range::unknown());
    let load = service.load.get_or_insert_with(unknown);
    if let Some(profile) = traffic.services.get(name)
        && let Arrivals::Weekly(_) = profile.arrivals
    {
        load.requests_per_second = Range::exact(Decimal::from_f64(sent));
    }
    load.error_share = errors.into();
    load.error_share_before = Some(Decimal::from_f64(before));
    load.latency_seconds = range(with.clone().map(|carried| carried.latency_max)).into();
    load.amplification = range(with.clone().map(|carried| carried.amplification)).into();
    load.utilisation = range(with.clone().map(|carried| carried.utilisation_max.min(UTILISATION_MAX))).into();
    load.failing_at_end = Some(with.clone().all(|carried| carried.failing_at_end));
    let apart = expected.course.len().div_ceil(SAMPLES).max(1);
    load.course = expected.course.iter().step_by(apart).map(sample).collect();
}

fn sample(moment: &load::Moment) -> Sample {
    Sample {
        seconds: Decimal::from_f64(moment.at),
        requests_per_second: Decimal::from_f64(moment.sent),
        utilisation: Decimal::from_f64(moment.utilisation.min(UTILISATION_MAX)),
        error_share: Decimal::from_f64(moment.failing),
        latency_seconds: Decimal::from_f64(moment.latency),
    }
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
        assert_eq!((load.errors_added(), load.failing_at_end), (Some(Range::exact(Decimal::ZERO)), Some(false)));
        assert!(load.course.len() > 10 && load.course.iter().all(|sample| sample.error_share == Decimal::ZERO));
        assert!(!enough.services.contains_key("shop/front"), "it feels nothing");

        let short = scaled(&cluster, 4);
        for name in ["shop/back", "shop/front"] {
            let load = short.services[name].load.as_ref().unwrap();
            assert!(load.errors_added().unwrap().low() > Decimal::from_millis(500), "{name}: {load:?}");
            assert_eq!(load.failing_at_end, Some(true), "{name}");
        }
        let (front, back) = (&short.services["shop/front"], short.services["shop/back"].load.as_ref().unwrap());
        assert!(!front.is_degraded());
        assert!(back.amplification.0.unwrap().low() > Decimal::from_millis(1500), "{back:?}");
        assert_eq!(scaled(&cluster, 4), short, "the same luck for the same seed");
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
