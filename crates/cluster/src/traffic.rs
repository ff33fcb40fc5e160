//! What the objects of a cluster say of the load on it.
//!
//! Knows: the annotations `traffic.lazaret.dev/…` on Services, and what hour of the week it is.
//! Does not know: how requests fare (`load`), or what follows from it.

use std::borrow::Cow;

use load::{Arrivals, Calls, Clients, Profile, Server, Traffic, WEEK_HOURS};
use twin::Time;

use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::value::Value;

/// What a Service's annotations about its load begin with.
pub const PREFIX: &str = "traffic.lazaret.dev/";

const SERVICES: &str = "services";

/// What a pod serves of which nobody said what it serves: it fails nobody as long as it is there.
const UNLIMITED: f64 = 1e9;

const WEEK_SECONDS: i64 = 604_800;
/// 1970-01-01 was a Thursday.
const MONDAY_OFFSET_SECONDS: i64 = 3 * 86_400;

/// The name that a service has in [`Traffic`]: `namespace/name`.
#[must_use]
pub fn name(key: &ObjectKey) -> String {
    format!("{}/{}", key.namespace, key.name)
}

/// The second of the week, Monday 00:00 UTC being 0.
#[must_use]
pub fn second_of_week(now: Time) -> f64 {
    let millis = now.as_millis() + MONDAY_OFFSET_SECONDS * 1000;
    // A week has fewer milliseconds than a double has integers.
    millis.rem_euclid(WEEK_SECONDS * 1000) as f64 / 1000.0
}

/// What is known of the load on these services and on all that feel what happens to them: those that call them, those that
/// call these, and whom any of them calls. Services that say nothing are left out.
#[must_use]
pub fn around(cluster: &Cluster, services: impl IntoIterator<Item = String>) -> Traffic {
    let mut open: Vec<String> = services.into_iter().collect();
    let mut traffic = Traffic::default();
    while let Some(service) = open.pop() {
        let Some((namespace, plain)) = service.split_once('/') else { continue };
        let key = ObjectKey::new(SERVICES, namespace, plain);
        let Some(object) = cluster.get(&key) else { continue };
        let Some(profile) =
            profile(namespace, &told(cluster, &key, object)).filter(|_| !traffic.services.contains_key(&service))
        else {
            continue;
        };
        open.extend(profile.calls.iter().map(|calls| calls.service.clone()));
        open.extend(cluster.callers(&service).map(name));
        traffic.services.insert(service, profile);
    }
    traffic
}

/// The ready endpoints of a service (`namespace/name`), as its EndpointSlices have them.
#[must_use]
pub fn ready(cluster: &Cluster, service: &str) -> u64 {
    let Some((namespace, name)) = service.split_once('/') else { return 0 };
    cluster.slices(namespace, name).map(|(_, slice)| ready_in(slice)).sum()
}

/// The ready endpoints in a slice. An endpoint that does not say counts as ready (`discovery/v1`).
#[must_use]
pub fn ready_in(slice: &Value) -> u64 {
    let ready = |endpoint: &&Value| endpoint.at(&["conditions", "ready"]).as_bool() != Some(false);
    let count = |endpoint: &Value| endpoint.at(&["addresses"]).items().len() as u64;
    slice.at(&["endpoints"]).items().iter().filter(ready).map(count).sum()
}

/// What one ready pod of a Service serves, in requests per second, if it says so: at least and at most.
#[must_use]
pub fn capacity(service: &Value) -> Option<(f64, f64)> {
    let text = service.annotation(&format!("{PREFIX}capacity-per-pod"))?;
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    parsed(least).zip(parsed(most)).filter(|(least, most)| least <= most)
}

/// A Service with what was learned of its load where it says nothing itself.
#[must_use]
pub fn told<'a>(cluster: &Cluster, key: &ObjectKey, service: &'a Value) -> Cow<'a, Value> {
    let Some(learned) = cluster.settings.traffic.get(&name(key)) else { return Cow::Borrowed(service) };
    let mut told = service.clone();
    for (what, text) in learned {
        let note = format!("{PREFIX}{what}");
        if told.annotation(&note).is_none() {
            told.set(&["metadata", "annotations", &note], text.as_str());
        }
    }
    Cow::Owned(told)
}

fn number(service: &Value, what: &str) -> Option<f64> {
    parsed(service.annotation(&format!("{PREFIX}{what}"))?)
}

fn parsed(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

/// Whom a Service says it calls: `namespace/name`.
pub(crate) fn called(namespace: &str, service: &Value) -> impl Iterator<Item = String> {
    let text = service.annotation(&format!("{PREFIX}calls")).unwrap_or_default();
    calls(namespace, text).into_iter().map(|calls| calls.service)
}

/// What a Service says of its load, if it says what it gets or what a pod of it serves. What is no number counts as not said.
///
/// | `traffic.lazaret.dev/` | |
/// |---|---|
/// | `requests-per-second` | what comes from outside |
/// | `requests-by-hour` | the same as 168 numbers, Monday 00:00 UTC first |
/// | `capacity-per-pod` | what one ready pod serves, in requests per second; `80..120` where it is not known well |
/// | `request-seconds` | what one request takes that need not wait |
/// | `waiting-max` | requests that one pod lets wait before it turns others away |
/// | `warm-up-seconds` | for how long a new pod is slower |
/// | `cold-share` | what share of its capacity it begins with (0.5) |
/// | `connections-max`, `connection-cost` | connections that one pod keeps; what a new one costs it, in requests' worth of work |
/// | `timeout-seconds`, `retries`, `retry-pause-seconds` | how its clients behave |
/// | `cpu-per-request` | what one request takes of a CPU, as `5m`: what autoscalers on CPU go by |
/// | `calls` | what it asks of others for one request: `stock=1, payments/ledger=0.2`; `db=0.1..1@cache*20` calls `db` once a
/// request while the caches of `cache` (its own without `@`) are empty, and holds 20 connections to it from each pod |
#[must_use]
pub fn profile(namespace: &str, service: &Value) -> Option<Profile> {
    let said = |what: &str| service.annotation(&format!("{PREFIX}{what}"));
    let number = |what: &str| number(service, what);
    let arrivals = said("requests-by-hour").and_then(hours).map(Arrivals::Weekly);
    let arrivals = arrivals.or_else(|| number("requests-per-second").map(Arrivals::Steady));
    let rate = capacity(service);
    if arrivals.is_none() && rate.is_none() {
        return None;
    }
    let (server, clients) = (Server::default(), Clients::default());
    Some(Profile {
        arrivals: arrivals.unwrap_or_default(),
        server: Server {
            rate: rate.map_or(UNLIMITED, |(least, most)| f64::midpoint(least, most)),
            doubt: rate.map_or(0.0, |(least, most)| (most - least) / 2.0),
            seconds: number("request-seconds").unwrap_or(server.seconds),
            waiting_max: number("waiting-max").unwrap_or(server.waiting_max),
            warm_up: number("warm-up-seconds").unwrap_or(server.warm_up),
            cold: number("cold-share").map_or(server.cold, |share| share.min(1.0)),
            connections_max: number("connections-max").unwrap_or(server.connections_max),
            connection_cost: number("connection-cost").unwrap_or(server.connection_cost),
        },
        clients: Clients {
            timeout: number("timeout-seconds").unwrap_or(clients.timeout),
            // More retries than this is a loop, and each costs a place in the simulation.
            retries: number("retries").map_or(clients.retries, |retries| retries.min(10.0) as u32),
            pause: number("retry-pause-seconds").unwrap_or(clients.pause),
        },
        calls: said("calls").map(|text| calls(namespace, text)).unwrap_or_default(),
    })
}

fn hours(text: &str) -> Option<Box<[f64; WEEK_HOURS]>> {
    let numbers: Vec<f64> =
        text.split([',', ' ', '\n']).filter(|part| !part.is_empty()).map(str::parse).collect::<Result<_, _>>().ok()?;
    let hours: [f64; WEEK_HOURS] = numbers.try_into().ok()?;
    hours.iter().all(|rate| rate.is_finite() && *rate >= 0.0).then(|| Box::new(hours))
}

fn calls(namespace: &str, text: &str) -> Vec<Calls> {
    text.split(',').filter_map(|call| one_call(namespace, call)).collect()
}

/// `NAME=EACH..COLD@CACHE*CONNECTIONS`, of which all but the name may be left out.
fn one_call(namespace: &str, text: &str) -> Option<Calls> {
    let qualified = |name: &str| {
        let name = name.trim();
        if name.contains('/') { name.to_owned() } else { format!("{namespace}/{name}") }
    };
    let within = |text: &str, most: f64| text.trim().parse::<f64>().ok().filter(|number| (0.0..=most).contains(number));
    let (service, how) = text.split_once('=').unwrap_or((text, "1"));
    let (how, connections) = how.split_once('*').map_or((how, None), |(how, count)| (how, Some(count)));
    let (how, cache) = how.split_once('@').map_or((how, None), |(how, cache)| (how, Some(qualified(cache))));
    let (each, cold) = how.split_once("..").map_or((how, None), |(each, cold)| (each, Some(cold)));
    let each = within(each, 1000.0)?;
    let cold = cold.map_or(Some(each), |cold| within(cold, 1000.0))?;
    let connections = connections.map_or(Some(0.0), |count| within(count, 1e6))?;
    Some(Calls { service: qualified(service), each, cold, cache, connections })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;

    #[test]
    fn a_service_says_its_load_in_annotations() {
        let service = doc!({"metadata": {"annotations": {
            "traffic.lazaret.dev/requests-per-second": "900", "traffic.lazaret.dev/capacity-per-pod": "100",
            "traffic.lazaret.dev/timeout-seconds": "2", "traffic.lazaret.dev/retries": "3",
            "traffic.lazaret.dev/calls": "stock, payments/ledger=0.2, broken=x, db=0.1..1@cache*20",
        }}});
        let profile = profile("shop", &service).unwrap();
        assert_eq!((profile.arrivals, profile.server.rate), (Arrivals::Steady(900.0), 100.0));
        assert_eq!((profile.clients.timeout, profile.clients.retries), (2.0, 3));
        let calls: Vec<_> = profile.calls.iter().map(|calls| (calls.service.as_str(), calls.each)).collect();
        assert_eq!(calls, [("shop/stock", 1.0), ("payments/ledger", 0.2), ("shop/db", 0.1)]);
        let db = &profile.calls[2];
        assert_eq!((db.cold, db.cache.as_deref(), db.connections), (1.0, Some("shop/cache"), 20.0));
    }

    #[test]
    fn what_was_learned_counts_where_nothing_is_said() {
        let mut cluster = crate::testing::cluster(&[]);
        let learned = [("requests-per-second", "50"), ("capacity-per-pod", "80..120")];
        let learned = learned.map(|(what, text)| (what.to_owned(), text.to_owned()));
        let mut settings = crate::Settings::default();
        settings.traffic.insert("shop/web".to_owned(), learned.into());
        cluster.settings = settings.into();
        let service = doc!({"metadata": {"annotations": {"traffic.lazaret.dev/requests-per-second": "7"}}});
        let told = told(&cluster, &ObjectKey::new(SERVICES, "shop", "web"), &service);
        let profile = profile("shop", &told).unwrap();
        assert_eq!(profile.arrivals, Arrivals::Steady(7.0));
        assert_eq!((profile.server.rate, profile.server.doubt), (100.0, 20.0));
    }

    #[test]
    fn what_is_no_number_is_not_known() {
        for text in ["", "many", "-3", "inf", "NaN"] {
            let service = doc!({"metadata": {"annotations": {"traffic.lazaret.dev/requests-per-second": (text)}}});
            assert_eq!(profile("shop", &service), None, "{text:?}");
        }
    }

    #[test]
    fn only_who_may_feel_it_is_looked_at() {
        let service = |name: &str, calls: &str| {
            doc!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": (name), "namespace": "shop", "annotations": {
                "traffic.lazaret.dev/requests-per-second": "1", "traffic.lazaret.dev/calls": (calls)}}})
        };
        let objects = [("front", "cart"), ("cart", "store"), ("store", ""), ("other", "")];
        let cluster = crate::snapshot::load(objects.map(|(name, calls)| service(name, calls)), None, 0);
        let felt = around(&cluster, ["shop/cart".to_owned()]);
        assert_eq!(
            felt.services.keys().map(String::as_str).collect::<Vec<_>>(),
            ["shop/cart", "shop/front", "shop/store"]
        );
    }

    #[test]
    fn a_week_begins_on_monday() {
        // 2026-11-23 was a Monday.
        let monday = crate::time::parse("2026-11-23T00:00:00Z").unwrap();
        assert_eq!(second_of_week(monday), 0.0);
        assert_eq!(second_of_week(crate::time::parse("2026-11-22T23:59:59Z").unwrap()), 604_799.0);
    }
}
