//! What became of a call in production.
//!
//! Knows: how a commit's consequences are watched, and when they can be held against the forecast.
//! Does not know: what was decided about the call; what agents did meanwhile, which the gate knows itself.
//!
//! | file | knows |
//! |---|---|
//! | `others` | what somebody who does not pass the gate has changed meanwhile |
//! | `doubt` | whether a call whose answer was lost has happened |

mod doubt;
mod others;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{Cluster, ObjectKey, Value};
use gate::Observation;
use model::{Drift, Effect, Manner, ObjectRef, Objects, Range, Service, Workload};
use tokio::time::{Instant, sleep, timeout};

pub(crate) use doubt::{LINGER, Lost, find_out};
use others::Others;

use crate::commit::Receipt;
use crate::effect::availability::{ready_in, replicas};
use crate::effect::data;
use crate::sync::Sync;

/// Production has settled when what is watched has not changed for so long: autoscalers look every 15 seconds.
const QUIET: Duration = Duration::from_secs(16);
/// A forecast may come true later than forecast by as long again, or by so much.
const MARGIN: Duration = Duration::from_secs(30);
/// However long the forecast.
const LONGEST: Duration = Duration::from_secs(600);
/// Production is looked at no more often: what is shorter is no outage.
const PAUSE: Duration = Duration::from_millis(50);

/// Follows what a call led to, until it has come true or has had the time to.
///
/// How long things take is where a twin and production differ most, and what comes after is what is measured: as long as
/// production is not as forecast, it is given time. What then still differs is drift.
pub(crate) async fn follow(sync: &Sync, predicted: &Effect, receipt: &Receipt) -> Observation<Receipt> {
    let expected = predicted.forecast.settled_seconds.likely().millis();
    let expected = Duration::from_millis(u64::try_from(expected).unwrap_or(0)).min(LONGEST);
    let begun = Instant::now();
    let end = begun + (expected + expected.max(MARGIN)).min(LONGEST);
    let mut watch = Watch::new(&sync.newest().cluster, predicted);
    let (mut quiet_since, mut number) = (begun, 0);
    loop {
        let snapshot = sync.newest();
        if snapshot.number != number {
            number = snapshot.number;
            if watch.look(&snapshot.cluster) {
                quiet_since = Instant::now();
            }
        }
        let quiet = quiet_since.elapsed() >= QUIET && begun.elapsed() >= expected && receipt.shown(&snapshot);
        let over = Instant::now() >= end;
        if quiet || over {
            let effect = measured(&snapshot.cluster, predicted, watch.services.clone());
            let overtaken = watch.others.overtaken(&snapshot.cluster, predicted);
            if over || Drift::between(predicted, &effect, overtaken.clone()).wrong.is_empty() {
                return Observation::Happened { effect: Box::new(effect), overtaken, receipt: receipt.clone() };
            }
        }
        sleep(PAUSE).await;
        let _ = timeout(Duration::from_secs(1), sync.until(|newest| newest.number != number)).await;
    }
}

/// What is looked at while production settles.
struct Watch {
    services: BTreeMap<String, Service>,
    /// Wanted and ready of each.
    workloads: BTreeMap<ObjectKey, (u64, u64)>,
    others: Others,
}

impl Watch {
    fn new(cluster: &Cluster, predicted: &Effect) -> Self {
        let services = predicted.forecast.services.iter();
        let workloads = predicted.forecast.workloads.keys().filter_map(|object| key(cluster, object));
        Self {
            services: services.map(|(name, service)| (name.clone(), Service::steady(service.ready_before))).collect(),
            workloads: workloads.map(|key| (key, (0, 0))).collect(),
            others: Others::new(cluster, predicted),
        }
    }

    /// Whether anything has moved since the last look.
    fn look(&mut self, cluster: &Cluster) -> bool {
        let mut moved = false;
        for (name, service) in &mut self.services {
            let Some((namespace, name)) = name.split_once('/') else { continue };
            let ready = ready_in(cluster, namespace, name);
            moved |= service.ready_after != Range::exact(ready);
            service.ready_after = Range::exact(ready);
            service.ready_min = Range::exact(service.ready_min.low().min(ready));
        }
        for (key, known) in &mut self.workloads {
            let now = replicas(cluster.get(key));
            moved |= std::mem::replace(known, now) != now;
        }
        moved
    }
}

/// Where an object is kept that people name so.
fn key(cluster: &Cluster, object: &ObjectRef) -> Option<ObjectKey> {
    let mut resources = cluster.schema.resources();
    let resource = resources.find(|resource| resource.kind == object.kind && resource.is_storage_version())?;
    let namespace = object.namespace.as_deref().unwrap_or("");
    Some(ObjectKey::new(resource.storage.resource.clone(), namespace, object.name.as_str()))
}

/// What can be read off production now, of what was forecast.
fn measured(cluster: &Cluster, predicted: &Effect, services: BTreeMap<String, Service>) -> Effect {
    let mut effect = Effect::none();
    let forecast = &predicted.forecast;
    effect.forecast.horizon_seconds = forecast.horizon_seconds;
    effect.forecast.services = services;
    let find = |object: &ObjectRef| cluster.get(&key(cluster, object)?);
    for (object, told) in &forecast.workloads {
        let (wanted, ready) = replicas(find(object));
        let seen = Workload {
            wanted_after: Range::exact(wanted),
            ready_after: Range::exact(ready),
            ready_min: told.ready_min,
            ..told.clone()
        };
        effect.forecast.workloads.insert(object.clone(), seen);
    }
    let mut objects = Objects::default();
    for (object, change) in predicted.objects.touched.iter().filter(|(_, change)| change.replica_of.is_none()) {
        let found = find(object);
        let holds = match change.manner {
            Manner::Created | Manner::Changed => found.is_some(),
            Manner::Deleted => found.is_none_or(Value::is_terminating),
        };
        if holds {
            objects.insert(object.clone(), model::Change::new(change.manner));
        }
    }
    effect.objects = objects;
    data::observed(cluster, forecast, &mut effect.forecast);
    effect
}
