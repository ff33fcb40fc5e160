//! The StatefulSet controller: numbered pods that keep their names and their claims, in order.
//!
//! Knows: `pkg/controller/statefulset`.
//! Does not know: what the pods do with their identity.

mod identity;

use std::time::Duration;

use super::children::{self, Kind, count, set_count};
use super::client::{Client, Severity};
use super::{Controller, Next, history};
use crate::apiserver::Status;
use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::object::ObjectKey;
use crate::value::{Text, Value};

const KIND: Kind = Kind { api_version: "apps/v1", kind: "StatefulSet", resource: "statefulsets.apps" };
const CLIENT: Client = Client::controller("statefulset-controller");
/// How long to wait after the API server refused something.
const BACK_OFF: Duration = Duration::from_secs(5);

/// The controller.
pub(super) struct StatefulSets;

/// A StatefulSet at one look.
struct Look {
    set: Value,
    /// The revision that pods below the partition are of.
    current: Value,
    /// The revision of the template.
    update: Value,
    collisions: i64,
}

impl Controller for StatefulSets {
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
        let look = match Look::at(cluster, set) {
            Ok(look) => look,
            Err(status) if children::is_hopeless(&status) => return Next::Done,
            Err(_) => return Next::After(BACK_OFF),
        };
        let pods = look.pods(cluster);
        let done = if look.set.is_terminating() { Ok(()) } else { look.step(cluster, &pods) };
        let wait = look.report(cluster, key);
        look.forget(cluster);
        match (done, wait) {
            (Err(status), _) if !children::is_hopeless(&status) => Next::After(BACK_OFF),
            (_, Some(wait)) => Next::After(wait),
            _ => Next::Done,
        }
    }
}

fn revision_of(pod: &Value) -> &str {
    pod.label(history::REVISION_LABEL).unwrap_or_default()
}

fn runs_ready(pod: &Value) -> bool {
    pod.at(&["status", "phase"]) == "Running" && children::is_ready(pod)
}

impl Look {
    fn at(cluster: &mut Cluster, set: Value) -> Result<Self, Status> {
        let (update, collisions) = history::current(cluster, CLIENT, KIND, &set, &history::BY_DATA)?;
        let named = set.at(&["status", "currentRevision"]).str_or_empty();
        let current = history::of(cluster, CLIENT, KIND, &set)
            .into_iter()
            .map(|(_, revision)| revision)
            .find(|revision| revision.name() == named)
            .unwrap_or_else(|| update.clone());
        Ok(Self { set, current, update, collisions })
    }

    /// Its pods by their ordinals.
    fn pods(&self, cluster: &mut Cluster) -> Vec<(i64, ObjectKey, Value)> {
        // A pod that is not named as one of the set's is none of its own, whatever its labels say.
        let is_member = |pod: &Value| identity::ordinal(&self.set, pod.name()).is_some();
        let claim = children::Claim { sees: &|_| true, is_member: &is_member };
        let claimed = children::claim_as(cluster, CLIENT, KIND, &self.set, "pods", &claim);
        let mut pods: Vec<_> = claimed
            .into_iter()
            .filter_map(|(key, pod)| Some((identity::ordinal(&self.set, pod.name())?, key, pod)))
            .collect();
        pods.sort_by_key(|(ordinal, _, _)| *ordinal);
        pods
    }

    fn ordinals(&self) -> std::ops::Range<i64> {
        let start = self.set.at(&["spec", "ordinals", "start"]).as_int().unwrap_or(0);
        start..start + self.wanted()
    }

    fn wanted(&self) -> i64 {
        self.set.at(&["spec", "replicas"]).as_int().unwrap_or(1)
    }

    fn rolls(&self) -> bool {
        self.set.at(&["spec", "updateStrategy", "type"]) != "OnDelete"
    }

    fn partition(&self) -> i64 {
        self.set.at(&["spec", "updateStrategy", "rollingUpdate", "partition"]).as_int().unwrap_or(0)
    }

    /// How many pods may be missing in a rolling update; none if the set does not say, as it cannot unless the API server
    /// has the feature.
    fn max_unavailable(&self) -> Option<usize> {
        let value = self.set.at(&["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"]);
        let many = (!value.is_null()).then(|| children::scaled(value, self.wanted(), false))?;
        Some(usize::try_from(many.max(1)).unwrap_or(1))
    }

    fn is_available(&self, cluster: &Cluster, pod: &Value) -> bool {
        let min_ready = self.set.at(&["spec", "minReadySeconds"]).as_int().unwrap_or(0);
        runs_ready(pod) && children::is_available(pod, min_ready, cluster.now()).is_ok()
    }

    /// One step towards what is wanted. In order, whatever is under way stops all that comes after it.
    fn step(&self, cluster: &mut Cluster, pods: &[(i64, ObjectKey, Value)]) -> Result<(), Status> {
        let in_order = self.set.at(&["spec", "podManagementPolicy"]) != "Parallel";
        let wanted = self.ordinals();
        let by_ordinal = |ordinal: i64| pods.iter().find(|(have, _, _)| *have == ordinal);
        for (ordinal, _, pod) in pods {
            identity::retain_claims(cluster, &self.set, pod, !wanted.contains(ordinal));
        }
        for ordinal in wanted.clone() {
            let stop = match by_ordinal(ordinal) {
                None => {
                    self.make(cluster, ordinal)?;
                    true
                }
                Some((_, key, pod)) if children::is_over(pod) => {
                    if !pod.is_terminating() {
                        self.recreate(cluster, key, pod)?;
                    }
                    true
                }
                Some((_, key, pod)) => {
                    if pod.at(&["status", "phase"]) == "Pending" {
                        identity::make_claims(cluster, &self.set, ordinal)?;
                    }
                    let stop = pod.is_terminating() || !self.is_available(cluster, pod);
                    if !stop || !in_order {
                        identity::label(cluster, key, ordinal);
                    }
                    stop
                }
            };
            if stop && in_order {
                return Ok(());
            }
        }
        let first_unhealthy = pods
            .iter()
            .filter(|(_, _, pod)| pod.is_terminating() || !self.is_available(cluster, pod))
            .min_by_key(|(ordinal, _, _)| (!wanted.contains(ordinal), *ordinal))
            .map(|(ordinal, _, _)| *ordinal);
        for (ordinal, key, pod) in pods.iter().rev().filter(|(ordinal, _, _)| !wanted.contains(ordinal)) {
            let waits = pod.is_terminating() || (!self.is_available(cluster, pod) && first_unhealthy != Some(*ordinal));
            if waits && in_order {
                return Ok(());
            }
            if !pod.is_terminating() {
                self.remove(cluster, key)?;
                if in_order {
                    return Ok(());
                }
            }
        }
        if self.rolls() { self.roll(cluster, pods) } else { Ok(()) }
    }

    /// Replaces pods of another revision from the highest ordinal down: one at a time, each when those above it are well
    /// again, or as many as may be missing at a time.
    fn roll(&self, cluster: &mut Cluster, pods: &[(i64, ObjectKey, Value)]) -> Result<(), Status> {
        let wanted = self.ordinals();
        let standing: Vec<_> = pods.iter().filter(|(ordinal, _, _)| wanted.contains(ordinal)).collect();
        let well = |pod: &Value| !pod.is_terminating() && self.is_available(cluster, pod);
        let outdated = |pod: &Value| revision_of(pod) != self.update.name() && !pod.is_terminating();
        let from_the_top =
            || standing.iter().rev().filter(|(ordinal, _, _)| *ordinal >= wanted.start + self.partition());
        let missing = usize::try_from(self.wanted()).unwrap_or(0).saturating_sub(standing.len());
        let doomed: Vec<ObjectKey> = if let Some(many) = self.max_unavailable() {
            let unavailable = missing + standing.iter().filter(|(_, _, pod)| !well(pod)).count();
            let doomed = from_the_top().filter(|(_, _, pod)| outdated(pod));
            doomed.take(many.saturating_sub(unavailable)).map(|(_, key, _)| key.clone()).collect()
        } else if missing > 0 {
            Vec::new()
        } else {
            let next = from_the_top().find(|(_, _, pod)| outdated(pod) || !well(pod));
            next.filter(|(_, _, pod)| outdated(pod)).map(|(_, key, _)| key.clone()).into_iter().collect()
        };
        doomed.iter().try_for_each(|key| self.remove(cluster, key))
    }

    /// Makes the pod of an ordinal and the claims it mounts. Below the partition it is of the current revision.
    fn make(&self, cluster: &mut Cluster, ordinal: i64) -> Result<(), Status> {
        let old = self.rolls() && ordinal < self.ordinals().start + self.partition();
        let revision = if old { &self.current } else { &self.update };
        let pod = identity::pod(KIND, &self.set, revision, ordinal);
        let name = Text::from(pod.name());
        let made =
            identity::make_claims(cluster, &self.set, ordinal).and_then(|()| CLIENT.create(cluster, "pods", pod));
        let made = match made {
            Ok(made) => made,
            Err(status) => {
                // That the name is taken is told to nobody: whoever has it may be on their way out.
                if status.reason != "AlreadyExists" {
                    let message =
                        format!("Create Pod {name} in StatefulSet {} failed error: {status}", self.set.name());
                    CLIENT.event(cluster, &self.set, Severity::Warning, "FailedCreate", &message);
                }
                return Err(status);
            }
        };
        let message = format!("Create Pod {name} in StatefulSet {} successful", self.set.name());
        CLIENT.event(cluster, &self.set, Severity::Normal, "SuccessfulCreate", &message);
        identity::retain_claims(cluster, &self.set, &made, false);
        Ok(())
    }

    fn recreate(&self, cluster: &mut Cluster, key: &ObjectKey, pod: &Value) -> Result<(), Status> {
        let (reason, how, severity) = if pod.at(&["status", "phase"]) == "Failed" {
            ("RecreatingFailedPod", "failed", Severity::Warning)
        } else {
            ("RecreatingTerminatedPod", "terminated", Severity::Normal)
        };
        let (namespace, set) = (self.set.namespace(), self.set.name());
        let message = format!("StatefulSet {namespace}/{set} is recreating {how} Pod {}", key.name);
        CLIENT.event(cluster, &self.set, severity, reason, &message);
        self.remove(cluster, key)
    }

    fn remove(&self, cluster: &mut Cluster, key: &ObjectKey) -> Result<(), Status> {
        match CLIENT.delete(cluster, key, &Deletion::default()) {
            Err(status) if status.code == 404 => Ok(()),
            Err(status) => {
                let message =
                    format!("Delete Pod {} in StatefulSet {} failed error: {status}", key.name, self.set.name());
                CLIENT.event(cluster, &self.set, Severity::Warning, "FailedDelete", &message);
                Err(status)
            }
            Ok(_) => {
                let message = format!("Delete Pod {} in StatefulSet {} successful", key.name, self.set.name());
                CLIENT.event(cluster, &self.set, Severity::Normal, "SuccessfulDelete", &message);
                Ok(())
            }
        }
    }

    /// Writes the status. Gives how long until a pod will have been ready for long enough.
    fn report(&self, cluster: &mut Cluster, key: &ObjectKey) -> Option<Duration> {
        let pods = self.pods(cluster);
        let pods = || pods.iter().map(|(_, _, pod)| pod);
        let min_ready = self.set.at(&["spec", "minReadySeconds"]).as_int().unwrap_or(0);
        let now = cluster.now();
        let wait = pods().filter_map(|pod| children::is_available(pod, min_ready, now).err().flatten()).min();
        let ready = count(pods().filter(|pod| runs_ready(pod)));
        let available = count(pods().filter(|pod| self.is_available(cluster, pod)));
        let of =
            |revision: &Value| count(pods().filter(|pod| !pod.is_terminating() && revision_of(pod) == revision.name()));
        let (updated, mut current, mut current_name) = (of(&self.update), of(&self.current), self.current.name());
        let complete = updated == self.wanted() && ready == self.wanted() && count(pods()) == self.wanted();
        if self.rolls() && complete {
            (current, current_name) = (updated, self.update.name());
        }
        let _ = CLIENT.update_status(cluster, key, |set| {
            set.set(&["status", "observedGeneration"], self.set.generation());
            set.set(&["status", "replicas"], count(pods()));
            set.set(&["status", "availableReplicas"], available);
            set.set(&["status", "collisionCount"], self.collisions);
            set.set(&["status", "currentRevision"], current_name);
            set.set(&["status", "updateRevision"], self.update.name());
            set_count(set, &["status", "readyReplicas"], ready);
            set_count(set, &["status", "currentReplicas"], current);
            set_count(set, &["status", "updatedReplicas"], updated);
        });
        wait
    }

    /// Deletes revisions that are past.
    fn forget(&self, cluster: &mut Cluster) {
        if self.set.is_terminating() {
            return;
        }
        let pods = self.pods(cluster);
        history::clean_up(cluster, CLIENT, KIND, &self.set, &|revision| {
            let name = revision.name();
            name == self.current.name()
                || name == self.update.name()
                || pods.iter().any(|(_, _, pod)| revision_of(pod) == name)
        });
    }
}
