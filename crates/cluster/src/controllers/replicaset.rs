//! The ReplicaSet controller, and the one of its elder, the ReplicationController: so many pods of one template, no more
//! and no fewer.
//!
//! Knows: `pkg/controller/replicaset` and `pkg/controller/replication`, which see to both kinds with one piece of code.
//! Does not know: why somebody wants so many.

use std::collections::BTreeMap;
use std::time::Duration;

use super::children::{self, Kind, set_count};
use super::client::{Client, Severity};
use super::{Controller, Next};
use crate::apiserver::Status;
use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::kin::Tally;
use crate::labels;
use crate::object::ObjectKey;
use crate::time;
use crate::value::{Text, Value};

/// As many as are made or removed at one look.
const BURST: i64 = 500;
/// How long to wait after the API server refused a pod.
const BACK_OFF: Duration = Duration::from_secs(5);

/// A controller of so many pods of one template.
pub(super) struct Replicas {
    kind: Kind,
    client: Client,
    /// Whether the status counts the pods that are told to go.
    counts_terminating: bool,
}

/// The ReplicaSet controller.
pub(super) static SETS: Replicas = Replicas {
    kind: Kind { api_version: "apps/v1", kind: "ReplicaSet", resource: "replicasets.apps" },
    client: Client::controller("replicaset-controller"),
    counts_terminating: true,
};

/// The ReplicationController's. Its conditions and counts are those of a ReplicaSet, its selector is a plain map.
pub(super) static CONTROLLERS: Replicas = Replicas {
    kind: Kind { api_version: "v1", kind: "ReplicationController", resource: "replicationcontrollers" },
    client: Client::controller("replication-controller"),
    counts_terminating: false,
};

impl Controller for Replicas {
    fn name(&self) -> &'static str {
        self.client.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        children::notice(cluster, change, self.kind, "pods", look);
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(set) = cluster.get(key).cloned() else { return Next::Done };
        if !children::knows_its_own(&set) {
            return Next::Done;
        }
        // One that is over or told to go is neither adopted nor released any more.
        children::settle_pods(cluster, self.client, self.kind, &set, &children::is_active);
        let failure = if set.is_terminating() { Ok(()) } else { self.scale(cluster, &set) };
        let wait = self.report(cluster, key, failure.as_ref().err());
        match (failure, wait) {
            (Err(status), _) if !children::is_hopeless(&status) => Next::After(BACK_OFF),
            (_, Some(wait)) => Next::After(wait),
            _ => Next::Done,
        }
    }
}

impl Replicas {
    /// Makes what is missing, removes what is too much. Stops at the first refusal: the next pod would be refused as well.
    fn scale(&self, cluster: &mut Cluster, set: &Value) -> Result<(), Status> {
        let wanted = set.at(&["spec", "replicas"]).as_int().unwrap_or(1).max(0);
        let have: i64 = children::own_pods(cluster, set).into_iter().map(|(_, kin)| kin.tally.active).sum();
        if have < wanted {
            for _ in have..wanted.min(have + BURST) {
                let pod = children::pod(self.kind, set, set.at(&["spec", "template"]), None);
                match self.client.create(cluster, "pods", pod) {
                    Ok(made) => {
                        let message = format!("Created pod: {}", made.name());
                        self.client.event(cluster, set, Severity::Normal, "SuccessfulCreate", &message);
                    }
                    Err(status) => {
                        let message = format!("Error creating: {status}");
                        self.client.event(cluster, set, Severity::Warning, "FailedCreate", &message);
                        return Err(status);
                    }
                }
            }
        }
        let surplus = usize::try_from((have - wanted).clamp(0, BURST)).unwrap_or(0);
        if surplus == 0 {
            return Ok(());
        }
        let pods = cluster.members(children::own_pods(cluster, set));
        let mut active: Vec<(&ObjectKey, &Value)> = pods.filter(|(_, pod)| children::is_active(pod)).collect();
        let crowds = self.crowds(cluster, set, &active);
        let crowd = |pod: &Value| crowds.get(pod.at(&["spec", "nodeName"]).str_or_empty()).copied().unwrap_or(0);
        let ranking = children::Ranking { now: cluster.now(), crowd: Some(&crowd) };
        ranking.sort(&mut active, |(_, pod)| pod);
        let doomed: Vec<ObjectKey> = active.iter().take(surplus).map(|(key, _)| (*key).clone()).collect();
        for key in doomed {
            match self.client.delete(cluster, &key, &Deletion::default()) {
                Ok(_) => {
                    let message = format!("Deleted pod: {}", key.name);
                    self.client.event(cluster, set, Severity::Normal, "SuccessfulDelete", &message);
                }
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        Ok(())
    }

    /// How many pods stand on each node: those of the set and of its siblings under one controller, so that in the middle of
    /// a rollout the old pod goes whose node has a new one.
    fn crowds(&self, cluster: &Cluster, set: &Value, active: &[(&ObjectKey, &Value)]) -> BTreeMap<Text, usize> {
        let node = |pod: &Value| pod.at(&["spec", "nodeName"]).as_text().cloned().unwrap_or_default();
        let mut crowds: BTreeMap<Text, usize> = BTreeMap::new();
        for (_, pod) in active {
            *crowds.entry(node(pod)).or_default() += 1;
        }
        let Some(owner) = set.controller() else { return crowds };
        let siblings = cluster.dependents(owner.uid()).filter(|(key, sibling)| {
            key.is(self.kind.resource)
                && sibling.uid() != set.uid()
                && sibling.controller().is_some_and(|have| have.uid() == owner.uid())
        });
        for (_, sibling) in siblings {
            let pods = cluster.kins_owned(sibling.uid()).filter(|(_, kin)| kin.tally.active > 0);
            for pod in pods.flat_map(|(_, kin)| kin.pods.values()).filter(|pod| children::is_active(pod)) {
                *crowds.entry(node(pod)).or_default() += 1;
            }
        }
        crowds
    }

    /// Writes the status. Gives how long until a pod will have been ready for long enough.
    fn report(&self, cluster: &mut Cluster, key: &ObjectKey, failure: Option<&Status>) -> Option<Duration> {
        let set = cluster.get(key)?.clone();
        let (now, min_ready) = (cluster.now(), set.at(&["spec", "minReadySeconds"]).as_int().unwrap_or(0));
        let template = set.at(&["spec", "template", "metadata", "labels"]);
        let pods = children::own_pods(cluster, &set);
        let tally: Tally = pods.iter().map(|(_, kin)| kin.tally).sum();
        let labelled = pods.iter().filter(|(labels, _)| labels::matches_map(template, labels));
        let fully_labelled: i64 = labelled.map(|(_, kin)| kin.tally.active).sum();
        let (mut available, mut wait) = (tally.ready, None::<Duration>);
        if min_ready > 0 {
            available = 0;
            for pod in pods.iter().flat_map(|(_, kin)| kin.pods.values()).filter(|pod| children::is_active(pod)) {
                match children::is_available(pod, min_ready, now) {
                    Ok(()) => available += 1,
                    Err(Some(left)) => wait = Some(wait.map_or(left, |have| have.min(left))),
                    Err(None) => {}
                }
            }
        }
        let generation = set.generation();
        let failed = failure.map(|status| status.to_string());
        let _ = self.client.update_status(cluster, key, |set| {
            set.set(&["status", "replicas"], tally.active);
            set_count(set, &["status", "fullyLabeledReplicas"], fully_labelled);
            set_count(set, &["status", "readyReplicas"], tally.ready);
            set_count(set, &["status", "availableReplicas"], available);
            if self.counts_terminating {
                set.set(&["status", "terminatingReplicas"], tally.going);
            }
            set.set(&["status", "observedGeneration"], generation);
            condition(set, failed.as_deref(), &time::format(now));
        });
        wait
    }
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
