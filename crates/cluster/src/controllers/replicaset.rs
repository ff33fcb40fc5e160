//! The ReplicaSet controller: so many pods of one template, no more and no fewer.
//!
//! Knows: `pkg/controller/replicaset`.
//! Does not know: why somebody wants so many.

use std::collections::BTreeMap;
use std::time::Duration;

use super::children::{self, Kind, count, set_count};
use super::client::{Client, Severity};
use super::{Controller, Next};
use crate::apiserver::Status;
use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::labels;
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;

const KIND: Kind = Kind { api_version: "apps/v1", kind: "ReplicaSet", resource: "replicasets.apps" };
const CLIENT: Client = Client::controller("replicaset-controller");

/// As many as are made or removed at one look.
const BURST: usize = 500;
/// How long to wait after the API server refused a pod.
const BACK_OFF: Duration = Duration::from_secs(5);

/// The controller.
pub(super) struct ReplicaSets;

impl Controller for ReplicaSets {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        children::notice(cluster, change, KIND, "pods", look);
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(set) = cluster.get(key).cloned() else { return Next::Done };
        if !children::knows_its_own(&set) {
            return Next::Done;
        }
        let pods = children::claim(cluster, CLIENT, KIND, &set, "pods");
        let failure = if set.is_terminating() { Ok(()) } else { scale(cluster, &set, &pods) };
        let pods = children::claim(cluster, CLIENT, KIND, &set, "pods");
        let wait = report(cluster, key, &pods, failure.as_ref().err());
        match (failure, wait) {
            (Err(status), _) if !children::is_hopeless(&status) => Next::After(BACK_OFF),
            (_, Some(wait)) => Next::After(wait),
            _ => Next::Done,
        }
    }
}

/// Makes what is missing, removes what is too much. Stops at the first refusal: the next pod would be refused as well.
fn scale(cluster: &mut Cluster, set: &Value, pods: &[(ObjectKey, Value)]) -> Result<(), Status> {
    let wanted = usize::try_from(set.at(&["spec", "replicas"]).as_int().unwrap_or(1)).unwrap_or(0);
    let mut active: Vec<&(ObjectKey, Value)> = pods.iter().filter(|(_, pod)| children::is_active(pod)).collect();
    let Some(surplus) = active.len().checked_sub(wanted) else {
        for _ in active.len()..wanted.min(active.len() + BURST) {
            let pod = children::pod(KIND, set, set.at(&["spec", "template"]), None);
            match CLIENT.create(cluster, "pods", pod) {
                Ok(made) => {
                    let message = format!("Created pod: {}", made.name());
                    CLIENT.event(cluster, set, Severity::Normal, "SuccessfulCreate", &message);
                }
                Err(status) => {
                    let message = format!("Error creating: {status}");
                    CLIENT.event(cluster, set, Severity::Warning, "FailedCreate", &message);
                    return Err(status);
                }
            }
        }
        return Ok(());
    };
    if surplus == 0 {
        return Ok(());
    }
    let mut crowds: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, pod) in &active {
        *crowds.entry(pod.at(&["spec", "nodeName"]).str_or_empty()).or_default() += 1;
    }
    let crowd = |pod: &Value| crowds.get(pod.at(&["spec", "nodeName"]).str_or_empty()).copied().unwrap_or(0);
    let now = cluster.now();
    active.sort_by(|(_, one), (_, two)| children::goes_first(one, two, &crowd, now));
    let doomed: Vec<ObjectKey> = active.iter().take(surplus.min(BURST)).map(|(key, _)| key.clone()).collect();
    for key in doomed {
        match CLIENT.delete(cluster, &key, &Deletion::default()) {
            Ok(_) => {
                let message = format!("Deleted pod: {}", key.name);
                CLIENT.event(cluster, set, Severity::Normal, "SuccessfulDelete", &message);
            }
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    Ok(())
}

/// Writes the status. Gives how long until a pod will have been ready for long enough.
fn report(
    cluster: &mut Cluster,
    key: &ObjectKey,
    pods: &[(ObjectKey, Value)],
    failure: Option<&Status>,
) -> Option<Duration> {
    let set = cluster.get(key)?.clone();
    let (now, min_ready) = (cluster.now(), set.at(&["spec", "minReadySeconds"]).as_int().unwrap_or(0));
    let pods = || pods.iter().map(|(_, pod)| pod);
    let active = || pods().filter(|pod| children::is_active(pod));
    let template = set.at(&["spec", "template", "metadata", "labels"]);
    let (mut available, mut wait) = (0, None::<Duration>);
    for pod in active() {
        match children::is_available(pod, min_ready, now) {
            Ok(()) => available += 1,
            Err(Some(left)) => wait = Some(wait.map_or(left, |have| have.min(left))),
            Err(None) => {}
        }
    }
    let generation = set.generation();
    let failed = failure.map(|status| status.to_string());
    let _ = CLIENT.update_status(cluster, key, |set| {
        set.set(&["status", "replicas"], count(active()));
        set_count(
            set,
            &["status", "fullyLabeledReplicas"],
            count(active().filter(|pod| labels::matches_map(template, pod.labels()))),
        );
        set_count(set, &["status", "readyReplicas"], count(active().filter(|pod| children::is_ready(pod))));
        set_count(set, &["status", "availableReplicas"], available);
        set.set(
            &["status", "terminatingReplicas"],
            count(pods().filter(|pod| pod.is_terminating() && !children::is_over(pod))),
        );
        set.set(&["status", "observedGeneration"], generation);
        condition(set, failed.as_deref(), &time::format(now));
    });
    wait
}

/// `ReplicaFailure` stands while pods cannot be made, and is gone once they can.
fn condition(set: &mut Value, failure: Option<&str>, now: &str) {
    let have = set.condition("ReplicaFailure").is_some();
    match failure {
        Some(message) if !have => {
            set.make(&["status", "conditions"]).array().push(doc!({
                "type": "ReplicaFailure", "status": "True", "lastTransitionTime": (now),
                "reason": "FailedCreate", "message": (message),
            }));
        }
        None if have => {
            set.make(&["status", "conditions"]).array().retain(|condition| condition.at(&["type"]) != "ReplicaFailure");
            if set.at(&["status", "conditions"]).is_empty() {
                set.remove(&["status", "conditions"]);
            }
        }
        _ => {}
    }
}
