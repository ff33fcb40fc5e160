//! Ready endpoints and replicas over time, and the disruption budgets drawn on.
//!
//! Knows: EndpointSlices, the status of workloads, PodDisruptionBudgets.
//! Does not know: how many are enough, or how requests fare.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{Cluster, ObjectKey, Value, traffic};
use model::{Budget, Forecast, Range, Service, Workload};
use twin::Time;

use super::ledger::{Ledger, reference};
use super::{Run, seconds};

const SLICES: &str = "endpointslices.discovery.k8s.io";
const BUDGETS: &str = "poddisruptionbudgets.policy";
const WORKLOADS: &[&str] = &["deployments.apps", "statefulsets.apps", "daemonsets.apps"];

/// The ready endpoints of the services that anything happens to, over time.
pub(super) type Courses = BTreeMap<String, load::Endpoints>;

/// Fills in services, workloads, budgets, and pods without a place.
pub(super) fn read(run: &Run<'_>, ledger: &Ledger<'_>, forecast: &mut Forecast) -> Courses {
    let courses = services(run, ledger, forecast);
    workloads(ledger, forecast);
    budgets(ledger, forecast);
    pods(ledger, forecast);
    courses
}

/// One service's ready endpoints as the log goes by.
struct Watched {
    before: u64,
    now: u64,
    min: u64,
    below: Duration,
    since: Time,
    course: load::Endpoints,
}

impl Watched {
    fn moves(&mut self, at: Time, ready: u64) {
        if self.now < self.before {
            self.below += at.since(self.since);
        }
        (self.since, self.now, self.min) = (at, ready, self.min.min(ready));
    }
}

fn services(run: &Run<'_>, ledger: &Ledger<'_>, forecast: &mut Forecast) -> Courses {
    let mut courses = Courses::new();
    let began = run.before.now();
    let mut watched: BTreeMap<(String, String), Watched> = BTreeMap::new();
    for change in ledger.changes.iter().filter(|change| change.key.is(SLICES)) {
        let of = |slice: Option<&Value>| slice.and_then(service_of);
        // A slice may be handed from one service to another; each counts its own side of the change.
        let (old, new) = (of(change.before.as_ref()), of(change.after.as_ref()));
        for service in [&old, &new].into_iter().flatten() {
            let side = |slice: Option<&Value>, owner: &Option<String>| {
                if owner.as_ref() == Some(service) { slice.map_or(0, traffic::ready_in) } else { 0 }
            };
            let (was, is) = (side(change.before.as_ref(), &old), side(change.after.as_ref(), &new));
            let key = (change.key.namespace.to_string(), service.clone());
            let entry = watched.entry(key).or_insert_with_key(|(namespace, name)| {
                let ready = ready_in(run.before, namespace, name);
                let course = vec![(0.0, ready)];
                Watched { before: ready, now: ready, min: ready, below: Duration::ZERO, since: began, course }
            });
            if was != is {
                entry.moves(change.at, (entry.now + is).saturating_sub(was));
                entry.course.push((change.at.since(began).as_secs_f64(), entry.now));
            }
            if old == new {
                break;
            }
        }
    }
    for ((namespace, name), mut service) in watched {
        service.moves(began + run.horizon, service.now);
        let key = ObjectKey::new("services", namespace.as_str(), name.as_str());
        let Some(object) = run.before.get(&key).or_else(|| run.after.get(&key)) else { continue };
        let record = Service {
            ready_before: service.before,
            ready_min: Range::exact(service.min),
            ready_after: Range::exact(service.now),
            wanted: None,
            below_seconds: Range::exact(seconds(service.below)),
            load: super::load::said(run.before, object),
            within_budget: budget_allows(run.before, &key, object) >= service.before.saturating_sub(service.min),
            removed: false,
        };
        courses.insert(traffic::name(&key), service.course);
        forecast.services.insert(traffic::name(&key), record);
    }
    // A service that loses what it selects is told by its slices; one that is deleted serves nobody, whatever they say.
    for (key, net) in ledger.of("services").filter(|(_, net)| net.is_deletion()) {
        let before = ready_in(run.before, &key.namespace, &key.name);
        courses.insert(traffic::name(key), vec![(0.0, before), (f64::MIN_POSITIVE, 0)]);
        let service = forecast.services.entry(traffic::name(key)).or_insert_with(|| Service::steady(before));
        service.removed = true;
        service.ready_before = before;
        service.ready_min = Range::exact(0);
        service.ready_after = Range::exact(0);
        service.load = net.before.and_then(|service| super::load::said(run.before, service));
        if before > 0 {
            service.below_seconds = Range::exact(seconds(run.horizon));
        }
    }
    courses
}

/// How many of a service's pods its disruption budgets let go at once; none if some pod has no budget.
pub(crate) fn budget_allows(cluster: &Cluster, key: &ObjectKey, service: &Value) -> u64 {
    let selector = service.at(&["spec", "selector"]);
    if selector.is_empty() {
        return 0;
    }
    let pods: Vec<&Value> = cluster.selected(&key.namespace, selector).map(|(_, pod)| pod).collect();
    let Some(first) = pods.first() else { return 0 };
    let budgets = cluster.selecting(BUDGETS, &key.namespace, first.labels()).filter(|(_, budget)| {
        pods.iter().all(|pod| cluster::labels::matches(budget.at(&["spec", "selector"]), pod.labels()))
    });
    budgets
        .filter_map(|(_, budget)| budget.at(&["status", "disruptionsAllowed"]).as_int())
        .min()
        .map_or(0, |allowed| u64::try_from(allowed).unwrap_or(0))
}

fn service_of(slice: &Value) -> Option<String> {
    slice.label("kubernetes.io/service-name").map(str::to_owned)
}

/// The ready endpoints of a service.
pub(crate) fn ready_in(cluster: &Cluster, namespace: &str, service: &str) -> u64 {
    cluster.slices(namespace, service).map(|(_, slice)| traffic::ready_in(slice)).sum()
}

/// Replicas wanted and ready, as the workload's own status has them.
pub(crate) fn replicas(workload: Option<&Value>) -> (u64, u64) {
    let Some(workload) = workload else { return (0, 0) };
    let count =
        |path: &[&str], absent| workload.at(path).as_int().map_or(absent, |count| u64::try_from(count).unwrap_or(0));
    if workload.kind() == "DaemonSet" {
        (count(&["status", "desiredNumberScheduled"], 0), count(&["status", "numberReady"], 0))
    } else {
        (count(&["spec", "replicas"], 1), count(&["status", "readyReplicas"], 0))
    }
}

fn workloads(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for change in &ledger.changes {
        if !WORKLOADS.contains(&change.key.resource.as_str()) {
            continue;
        }
        let Some(shown) = change.before.as_ref().or(change.after.as_ref()) else { continue };
        let (wanted, ready) = replicas(change.after.as_ref());
        let entry = forecast.workloads.entry(reference(&change.key, shown)).or_insert_with(|| {
            let (wanted_before, ready_before) = replicas(change.before.as_ref());
            Workload {
                wanted_before,
                wanted_after: Range::exact(wanted_before),
                ready_before,
                ready_min: Range::exact(ready_before),
                ready_after: Range::exact(ready_before),
                stateful: shown.kind() == "StatefulSet",
                quorum: None,
            }
        });
        entry.wanted_after = Range::exact(wanted);
        entry.ready_min = Range::exact(entry.ready_min.low().min(ready));
        entry.ready_after = Range::exact(ready);
    }
}

fn budgets(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for change in ledger.changes.iter().filter(|change| change.key.is(BUDGETS)) {
        let Some(before) = &change.before else { continue };
        let number = |budget: &Value, field: &str| {
            budget.at(&["status", field]).as_int().map_or(0, |number| u64::try_from(number).unwrap_or(0))
        };
        let lacking =
            |budget: &Value| number(budget, "desiredHealthy").saturating_sub(number(budget, "currentHealthy"));
        let entry = forecast.budgets.entry(reference(&change.key, before)).or_insert_with(|| Budget {
            allowed_before: number(before, "disruptionsAllowed"),
            allowed_after: Range::exact(number(before, "disruptionsAllowed")),
            needed: Range::exact(0),
            violated: Range::exact(0),
        });
        // What a budget lacked before the action is nobody's doing now; what it lacks more is.
        let base = ledger.before.get(&change.key);
        let Some(after) = &change.after else { continue };
        let lost =
            base.map_or(0, |base| number(base, "currentHealthy")).saturating_sub(number(after, "currentHealthy"));
        let violated = lacking(after).saturating_sub(base.map_or(0, lacking)).min(lost);
        entry.needed = Range::exact(entry.needed.high().max(lost));
        entry.violated = Range::exact(entry.violated.high().max(violated));
        entry.allowed_after = Range::exact(number(after, "disruptionsAllowed"));
    }
}

fn pods(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let waits = |pod: &&Value| {
        pod.at(&["spec", "nodeName"]).is_empty()
            && pod.condition("PodScheduled").is_some_and(|c| c.at(&["status"]) == "False")
    };
    let count = |cluster: &Cluster| cluster.unplaced().filter(|(_, pod)| waits(pod)).count() as u64;
    let (before, after) = (count(ledger.before), count(ledger.after));
    forecast.pods_unschedulable = Range::exact(after.saturating_sub(before));
    // What throws nothing out and gives way to everything waits for leftovers.
    let content = |pod: &&Value| {
        pod.at(&["spec", "priority"]).as_int().is_some_and(|priority| priority < 0)
            && pod.at(&["spec", "preemptionPolicy"]) == "Never"
    };
    let news = ledger.after.unplaced().filter(|(key, _)| ledger.before.get(key).is_none()).map(|(_, pod)| pod);
    let content = news.filter(waits).filter(content).count() as u64;
    forecast.pods_content = content.min(after.saturating_sub(before));
    forecast.preempted.sure = ledger
        .changes
        .iter()
        .filter(|change| change.key.is("pods"))
        .filter_map(|change| Some((&change.key, change.after.as_ref().or(change.before.as_ref())?)))
        .filter(|(key, pod)| {
            ledger.before.get(key).is_some()
                && pod.condition("DisruptionTarget").is_some_and(|c| c.at(&["reason"]) == "PreemptionByScheduler")
        })
        .map(|(key, pod)| reference(key, pod))
        .collect();
}
