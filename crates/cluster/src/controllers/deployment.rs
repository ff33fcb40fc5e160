//! The Deployment controller: one ReplicaSet for each template, and the way from the old ones to the new one.
//!
//! Knows: `pkg/controller/deployment`.
//! Does not know: pods, beyond how many are terminating; those are the ReplicaSets' business.

mod status;

use std::time::Duration;

use super::children::{self, Kind, count};
use super::client::{Client, Severity};
use super::{Controller, Next, hash};
use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;

const KIND: Kind = Kind { api_version: "apps/v1", kind: "Deployment", resource: "deployments.apps" };
const CLIENT: Client = Client::controller("deployment-controller");
const SETS: &str = "replicasets.apps";
const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";
/// Which revisions a ReplicaSet was before, its template having come back: `1,3`.
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// No longer than this; what was longest ago is forgotten first.
const HISTORY_MAX: usize = 2000;
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations of a Deployment that its ReplicaSets do not take over.
const NOT_COPIED: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// The controller.
pub(super) struct Deployments;

/// A Deployment and its ReplicaSets, oldest first.
struct Rollout {
    key: ObjectKey,
    deployment: Value,
    sets: Vec<(ObjectKey, Value)>,
}

impl Controller for Deployments {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        children::notice(cluster, change, KIND, SETS, look);
        // The last pod of a Recreate rollout that goes lets the new ones come.
        if change.key.is("pods")
            && change.after.is_none()
            && let Some(owner) = change.before.as_ref().and_then(Value::controller)
            && owner.kind() == "ReplicaSet"
            && let Some(set) = cluster.get(&change.key.beside(SETS, owner.name()))
            && let Some(owner) = set.controller()
        {
            look(change.key.beside(KIND.resource, owner.name()));
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(deployment) = cluster.get(key).cloned() else { return Next::Done };
        if deployment.at(&["spec", "selector"]).is_empty() {
            return Next::Done;
        }
        let Some(mut rollout) = Rollout::look(cluster, key) else { return Next::Done };
        if deployment.is_terminating() {
            return status::write(cluster, &rollout, false);
        }
        let paused = deployment.at(&["spec", "paused"]).is_true();
        status::pause(cluster, key, paused);
        // Who is paused or resized in the middle of a rollout does not move on with it, nor tells of it.
        let rolls = !paused && !rollout.is_scaling();
        if !rolls {
            rollout.new_set(cluster, false);
            rollout.scale(cluster);
        } else if deployment.at(&["spec", "strategy", "type"]) == "Recreate" {
            rollout.recreate(cluster);
        } else if let Some(new) = rollout.new_set(cluster, true) {
            rollout.roll(cluster, &new);
        }
        let Some(rollout) = Rollout::look(cluster, key) else { return Next::Done };
        let next = status::write(cluster, &rollout, rolls);
        if let Some(mut rollout) = Rollout::look(cluster, key) {
            rollout.clean_up(cluster);
        }
        next
    }
}

fn number(object: &Value, path: &[&str]) -> i64 {
    object.at(path).as_int().unwrap_or(0)
}

fn wanted(object: &Value) -> i64 {
    object.at(&["spec", "replicas"]).as_int().unwrap_or(1)
}

impl Rollout {
    fn look(cluster: &mut Cluster, key: &ObjectKey) -> Option<Self> {
        let deployment = cluster.get(key)?.clone();
        let mut sets = children::claim(cluster, CLIENT, KIND, &deployment, SETS);
        sets.sort_by(|(_, one), (_, two)| (one.created(), one.name()).cmp(&(two.created(), two.name())));
        Some(Self { key: key.clone(), deployment, sets })
    }

    fn replicas(&self) -> i64 {
        wanted(&self.deployment)
    }

    /// The ReplicaSet of the current template; of several the oldest.
    fn current(&self) -> Option<&(ObjectKey, Value)> {
        let template = self.deployment.at(&["spec", "template"]);
        self.sets.iter().find(|(_, set)| children::same_template(set.at(&["spec", "template"]), template, HASH))
    }

    fn old(&self) -> Vec<(ObjectKey, Value)> {
        let new = self.current().map(|(key, _)| key.clone());
        self.sets.iter().filter(|(key, _)| Some(key) != new.as_ref()).cloned().collect()
    }

    /// `maxSurge` and `maxUnavailable` as numbers. Both nothing would never move: then one may be missing.
    fn fenceposts(&self) -> (i64, i64) {
        let strategy = self.deployment.at(&["spec", "strategy"]);
        if strategy.at(&["type"]) == "Recreate" {
            return (0, 0);
        }
        let surge = children::scaled(strategy.at(&["rollingUpdate", "maxSurge"]), self.replicas(), true);
        let unavailable = children::scaled(strategy.at(&["rollingUpdate", "maxUnavailable"]), self.replicas(), false);
        if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable.min(self.replicas())) }
    }

    fn max_surge(&self) -> i64 {
        self.fenceposts().0
    }

    fn max_unavailable(&self) -> i64 {
        if self.replicas() == 0 { 0 } else { self.fenceposts().1 }
    }

    fn revision(set: &Value) -> i64 {
        set.annotation(REVISION).and_then(|revision| revision.parse().ok()).unwrap_or(0)
    }

    /// Whether what is wanted has changed since the ReplicaSets were last sized.
    fn is_scaling(&self) -> bool {
        let active = self.sets.iter().filter(|(_, set)| wanted(set) > 0);
        active
            .filter_map(|(_, set)| set.annotation(DESIRED)?.parse::<i64>().ok())
            .any(|desired| desired != self.replicas())
    }

    /// The new ReplicaSet: found by its template and brought up to date, or made if it may be.
    fn new_set(&mut self, cluster: &mut Cluster, may_make: bool) -> Option<(ObjectKey, Value)> {
        let newest_old = self.old().iter().map(|(_, set)| Self::revision(set)).max().unwrap_or(0);
        let revision = newest_old + 1;
        if let Some((key, set)) = self.current().cloned() {
            let revision = Self::revision(&set).max(revision);
            let annotations = self.annotations(&set, revision);
            let min_ready = self.deployment.at(&["spec", "minReadySeconds"]).clone();
            let updated = CLIENT.update(cluster, &key, |set| {
                if *set.at(&["metadata", "annotations"]) != annotations {
                    set.set(&["metadata", "annotations"], annotations);
                }
                if *set.at(&["spec", "minReadySeconds"]) != min_ready {
                    if min_ready.is_null() {
                        set.remove(&["spec", "minReadySeconds"]);
                    } else {
                        set.set(&["spec", "minReadySeconds"], min_ready);
                    }
                }
            });
            let set = updated.ok()?;
            self.set_revision(cluster, revision);
            status::found(cluster, &self.key, &set);
            self.replace(&key, &set);
            return Some((key, set));
        }
        if !may_make {
            return None;
        }
        let collisions = self.deployment.at(&["status", "collisionCount"]).as_int();
        let mut template = self.deployment.at(&["spec", "template"]).clone();
        let hash = hash::of_template(&template, collisions);
        template.set(&["metadata", "labels", HASH], &hash);
        let mut selector = self.deployment.at(&["spec", "selector"]).clone();
        selector.set(&["matchLabels", HASH], &hash);
        let name = format!("{}-{hash}", self.deployment.name());
        let replicas = self.new_replicas(None);
        let mut set = doc!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": (&name), "namespace": (self.deployment.namespace()),
                "labels": (template.at(&["metadata", "labels"])),
                "ownerReferences": [(children::reference(KIND, &self.deployment))],
            },
            "spec": {"replicas": (replicas), "selector": (selector), "template": (template)},
        });
        if let Some(seconds) = self.deployment.find(&["spec", "minReadySeconds"]) {
            set.set(&["spec", "minReadySeconds"], seconds.clone());
        }
        let mut annotations = self.annotations(&set, revision);
        self.sized(&mut annotations);
        set.set(&["metadata", "annotations"], annotations);
        match CLIENT.create(cluster, SETS, set) {
            Ok(set) => {
                let key = self.key.beside(SETS, name.as_str());
                if replicas > 0 {
                    let message = format!("Scaled up replica set {name} from 0 to {replicas}");
                    CLIENT.event(cluster, &self.deployment, Severity::Normal, "ScalingReplicaSet", &message);
                }
                self.set_revision(cluster, revision);
                status::created(cluster, &self.key, &set);
                self.sets.push((key.clone(), set.clone()));
                Some((key, set))
            }
            Err(status) if status.reason == "AlreadyExists" => {
                let _ = CLIENT.update_status(cluster, &self.key, |deployment| {
                    deployment.set(&["status", "collisionCount"], collisions.unwrap_or(0) + 1);
                });
                None
            }
            Err(status) => {
                status::failed(cluster, &self.key, &name, &status);
                None
            }
        }
    }

    fn replace(&mut self, key: &ObjectKey, set: &Value) {
        if let Some(place) = self.sets.iter_mut().find(|(have, _)| have == key) {
            place.1 = set.clone();
        }
    }

    /// The revision is written with the status: a change of an annotation would be a new generation otherwise.
    fn set_revision(&mut self, cluster: &mut Cluster, revision: i64) {
        let text = revision.to_string();
        if self.deployment.annotation(REVISION) != Some(&text)
            && let Ok(updated) = CLIENT.update_status(cluster, &self.key, |deployment| {
                deployment.set(&["metadata", "annotations", REVISION], text);
            })
        {
            self.deployment = updated;
        }
    }

    /// What the new ReplicaSet's annotations should be: the Deployment's, its revision, and those it had before if its template
    /// came back.
    fn annotations(&self, set: &Value, revision: i64) -> Value {
        let mut annotations = set.at(&["metadata", "annotations"]).clone();
        for (key, value) in self.deployment.at(&["metadata", "annotations"]).entries() {
            if !NOT_COPIED.contains(&key.as_str()) && annotations.get(key) != Some(value) {
                annotations.object().insert(key.clone(), value.clone());
            }
        }
        if Self::revision(set) < revision {
            annotations.object().insert(REVISION, revision.to_string());
            if let Some(before) = set.annotation(REVISION) {
                let history = past_revisions(set.annotation(HISTORY).unwrap_or_default(), before);
                annotations.object().insert(HISTORY, history);
            }
        }
        annotations
    }

    fn sized(&self, annotations: &mut Value) {
        for (key, count) in [(DESIRED, self.replicas()), (MAX, self.replicas() + self.max_surge())] {
            let text = Value::from(count.to_string());
            if annotations.get(key) != Some(&text) {
                annotations.object().insert(key, text);
            }
        }
    }

    /// How large the new ReplicaSet may be now (`NewRSNewReplicas`).
    fn new_replicas(&self, new: Option<&Value>) -> i64 {
        let have = new.map_or(0, wanted);
        if self.deployment.at(&["spec", "strategy", "type"]) == "Recreate" {
            return self.replicas();
        }
        let total: i64 = self.sets.iter().map(|(_, set)| wanted(set)).sum();
        let room = self.replicas() + self.max_surge() - total;
        if room <= 0 { have } else { have + room.min(self.replicas() - have) }
    }

    /// Sizes a ReplicaSet, and says so.
    fn size(&mut self, cluster: &mut Cluster, key: &ObjectKey, replicas: i64) -> bool {
        let Some(set) = cluster.get(key).cloned() else { return false };
        let have = wanted(&set);
        let mut annotations = set.at(&["metadata", "annotations"]).clone();
        self.sized(&mut annotations);
        let Ok(updated) = CLIENT.update(cluster, key, |set| {
            if have != replicas {
                set.set(&["spec", "replicas"], replicas);
            }
            if *set.at(&["metadata", "annotations"]) != annotations {
                set.set(&["metadata", "annotations"], annotations);
            }
        }) else {
            return false;
        };
        self.replace(key, &updated);
        if have != replicas {
            let way = if replicas > have { "up" } else { "down" };
            let message = format!("Scaled {way} replica set {} from {have} to {replicas}", key.name);
            CLIENT.event(cluster, &self.deployment, Severity::Normal, "ScalingReplicaSet", &message);
        }
        have != replicas
    }

    /// Paused, or resized in the middle of a rollout: every ReplicaSet gets its share of the change.
    fn scale(&mut self, cluster: &mut Cluster) {
        let active: Vec<(ObjectKey, Value)> = self.sets.iter().filter(|(_, set)| wanted(set) > 0).cloned().collect();
        let newest = match active.as_slice() {
            [] => self.current().or(self.sets.last()).cloned(),
            [only] => Some(only.clone()),
            _ => None,
        };
        if let Some((key, set)) = newest {
            let replicas = self.replicas();
            if wanted(&set) != replicas {
                self.size(cluster, &key, replicas);
            }
            return;
        }
        if active.is_empty() {
            return;
        }
        // A new ReplicaSet that is complete takes all.
        if let Some((key, set)) = self.current().cloned()
            && wanted(&set) == self.replicas()
            && number(&set, &["status", "availableReplicas"]) == self.replicas()
        {
            for (old, _) in active.iter().filter(|(old, _)| *old != key) {
                self.size(cluster, old, 0);
            }
            return;
        }
        if self.deployment.at(&["spec", "strategy", "type"]) == "Recreate" {
            return;
        }
        let total: i64 = active.iter().map(|(_, set)| wanted(set)).sum();
        let allowed = if self.replicas() > 0 { self.replicas() + self.max_surge() } else { 0 };
        let change = allowed - total;
        let mut order = active;
        // Larger ones change more, and of equals the newer when growing, the older when shrinking.
        order.sort_by(|(_, one), (_, two)| {
            let age = if change > 0 { two.created().cmp(&one.created()) } else { one.created().cmp(&two.created()) };
            wanted(two).cmp(&wanted(one)).then(age).then_with(|| one.name().cmp(two.name()))
        });
        let mut left = change;
        let mut sizes = Vec::new();
        for (key, set) in &order {
            let have = wanted(set);
            let share = if left == 0 { 0 } else { self.share(set, change, change - left) };
            left -= share;
            sizes.push((key.clone(), have + share));
        }
        if let Some((_, size)) = sizes.first_mut() {
            *size = (*size + left).max(0);
        }
        for (key, size) in sizes {
            self.size(cluster, &key, size);
        }
    }

    /// A ReplicaSet's share of a change, by what it was of the size that it was sized for (`GetReplicaSetProportion`).
    fn share(&self, set: &Value, change: i64, added: i64) -> i64 {
        let have = wanted(set);
        let before = set.annotation(MAX).and_then(|max| max.parse::<i64>().ok()).unwrap_or(self.replicas());
        let now = self.replicas() + self.max_surge();
        let fair = if before == 0 { 0 } else { round(have * now, before) - have };
        let allowed = change - added;
        if change > 0 { fair.min(allowed) } else { fair.max(allowed) }
    }

    /// A rolling update: up as far as the surge allows, down as far as what is missing allows.
    fn roll(&mut self, cluster: &mut Cluster, new: &(ObjectKey, Value)) {
        let target = if wanted(&new.1) > self.replicas() { self.replicas() } else { self.new_replicas(Some(&new.1)) };
        if wanted(&new.1) != target {
            self.size(cluster, &new.0, target);
            return;
        }
        let old = self.old();
        let old_total: i64 = old.iter().map(|(_, set)| wanted(set)).sum();
        if old_total == 0 {
            return;
        }
        let all: i64 = self.sets.iter().map(|(_, set)| wanted(set)).sum();
        let min_available = self.replicas() - self.max_unavailable();
        let new_unavailable = wanted(&new.1) - number(&new.1, &["status", "availableReplicas"]);
        let mut room = all - min_available - new_unavailable;
        if room <= 0 {
            return;
        }
        // Replicas that are not healthy serve nobody: they go first, and no limit minds.
        for (key, set) in &old {
            if room <= 0 {
                break;
            }
            let (have, healthy) = (wanted(set), number(set, &["status", "availableReplicas"]));
            let gone = (have - healthy).min(room);
            if have > 0 && gone > 0 {
                self.size(cluster, key, have - gone);
                room -= gone;
            }
        }
        let available: i64 = self.sets.iter().map(|(_, set)| number(set, &["status", "availableReplicas"])).sum();
        let mut room = available - min_available;
        let mut oldest = self.old();
        oldest.sort_by_key(|(_, set)| set.created());
        for (key, set) in oldest {
            if room <= 0 {
                break;
            }
            let gone = wanted(&set).min(room);
            if gone > 0 {
                self.size(cluster, &key, wanted(&set) - gone);
                room -= gone;
            }
        }
    }

    /// All old ones go before a new one comes: their ReplicaSet is not even made before the last of them has stopped.
    fn recreate(&mut self, cluster: &mut Cluster) {
        self.new_set(cluster, false);
        let old = self.old();
        let mut shrank = false;
        for (key, set) in &old {
            if wanted(set) > 0 {
                shrank |= self.size(cluster, key, 0);
            }
        }
        let running = old
            .iter()
            .any(|(_, set)| cluster.dependents(set.uid()).any(|(key, pod)| key.is("pods") && !children::is_over(pod)));
        if !shrank
            && !running
            && let Some((new, _)) = self.new_set(cluster, true)
        {
            let replicas = self.replicas();
            self.size(cluster, &new, replicas);
        }
    }

    /// Forgets ReplicaSets beyond the history limit, oldest revision first.
    fn clean_up(&mut self, cluster: &mut Cluster) {
        let Some(limit) = self.deployment.at(&["spec", "revisionHistoryLimit"]).as_int() else { return };
        let paused = self.deployment.at(&["spec", "paused"]).is_true();
        if !paused && !self.is_complete() {
            return;
        }
        let mut idle: Vec<(ObjectKey, Value)> =
            self.old().into_iter().filter(|(_, set)| !set.is_terminating()).collect();
        let surplus = count(&idle) - limit;
        idle.sort_by_key(|(_, set)| Self::revision(set));
        for (key, set) in idle.into_iter().take(usize::try_from(surplus).unwrap_or(0)) {
            let empty = number(&set, &["status", "replicas"]) == 0 && wanted(&set) == 0;
            if empty && number(&set, &["status", "observedGeneration"]) >= set.generation() {
                let _ = CLIENT.delete(cluster, &key, &Deletion::default());
            }
        }
    }

    fn is_complete(&self) -> bool {
        let status = |field: &str| number(&self.deployment, &["status", field]);
        status("updatedReplicas") == self.replicas()
            && status("replicas") == self.replicas()
            && status("availableReplicas") == self.replicas()
            && status("observedGeneration") >= self.deployment.generation()
    }
}

/// The revisions that a ReplicaSet was, with one more.
fn past_revisions(history: &str, one: &str) -> String {
    let mut past: Vec<&str> = history.split(',').filter(|revision| !revision.is_empty()).collect();
    past.push(one);
    while past.len() > 1 && past.iter().map(|revision| revision.len() + 1).sum::<usize>() > HISTORY_MAX {
        past.remove(0);
    }
    past.join(",")
}

/// A quotient rounded to the nearest, halves up.
fn round(dividend: i64, divisor: i64) -> i64 {
    (2 * dividend + divisor).div_euclid(2 * divisor)
}

/// How long a rollout may make no progress, if it is limited.
fn deadline(deployment: &Value) -> Option<Duration> {
    let seconds = deployment.at(&["spec", "progressDeadlineSeconds"]).as_int()?;
    (seconds < i64::from(i32::MAX)).then(|| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

fn now_text(cluster: &Cluster) -> String {
    time::format(cluster.now())
}
