//! The scheduler: finds a node for every pod that has none.
//!
//! Knows: what nodes offer and pods want.
//! Does not know: why a pod is there, or how it is started.
//!
//! A pod that no node can take says so in its `PodScheduled` condition and is tried again when something changes that may
//! help: never by the clock.

pub mod affinity;
mod filter;
mod neighbours;
mod preempt;
pub mod request;
mod score;
#[cfg(test)]
mod tests;
pub(crate) mod volumes;

use std::collections::BTreeSet;

use filter::{Demand, Refusal, histogram};

use crate::apiserver::registry::{Deletion, set_condition};
use crate::cluster::{Change, Cluster};
use crate::controllers::client::{Client, Severity};
use crate::controllers::{Controller, Next};
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;

const CLIENT: Client = Client { name: "default-scheduler", program: "kube-scheduler" };

/// Of a big cluster only so many nodes are looked at that so many can take the pod, as the real scheduler does.
const NODES_AT_LEAST: usize = 100;

/// The scheduler.
pub(crate) struct Scheduler;

/// Stands for "every pod that waits": what to look at after a change that may help any of them.
fn everyone() -> ObjectKey {
    ObjectKey::new("pods", "", "")
}

impl Controller for Scheduler {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, _: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        match change.key.resource.as_str() {
            "pods" => {
                let place = |pod: Option<&Value>| pod.is_some_and(|pod| !pod.at(&["spec", "nodeName"]).is_empty());
                if after.is_some() && !place(after) {
                    // Its own status is no news: the scheduler wrote it.
                    let same = before.zip(after).is_some_and(|(before, after)| {
                        before.at(&["spec"]) == after.at(&["spec"]) && before.labels() == after.labels()
                    });
                    if !same {
                        look(change.key.clone());
                    }
                }
                let held = |pod: Option<&Value>| place(pod) && pod.is_some_and(request::is_live);
                let moved = before.map(Value::labels) != after.map(Value::labels);
                if held(before) != held(after) || (place(after) && moved) {
                    look(everyone());
                }
            }
            "nodes" => {
                let part = |node: Option<&Value>| {
                    node.map(|node| {
                        let spec = node.at(&["spec"]).clone();
                        (spec, node.labels().clone(), node.at(&["status", "allocatable"]).clone())
                    })
                };
                if part(before) != part(after) {
                    look(everyone());
                }
            }
            "persistentvolumes" | "persistentvolumeclaims" | "storageclasses.storage.k8s.io" => look(everyone()),
            _ => {}
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        if !key.name.is_empty() {
            schedule(cluster, key);
            return Next::Done;
        }
        let mut waiting: Vec<(i64, ObjectKey)> =
            cluster.unplaced().map(|(key, pod)| (-preempt::priority(pod), key.clone())).collect();
        waiting.sort();
        for (_, key) in waiting {
            schedule(cluster, &key);
        }
        Next::Done
    }
}

/// The cluster as seen for one decision: some pods may be thought away.
#[derive(Clone)]
struct World<'a> {
    cluster: &'a Cluster,
    without: BTreeSet<ObjectKey>,
    /// Pods that wait for their place, which was promised to them.
    promised: Vec<&'a Value>,
}

impl<'a> World<'a> {
    fn of(cluster: &'a Cluster) -> Self {
        let promised = cluster.unplaced().map(|(_, pod)| pod);
        let promised = promised.filter(|pod| !pod.at(&["status", "nominatedNodeName"]).is_empty()).collect();
        Self { cluster, without: BTreeSet::new(), promised }
    }

    fn get(&self, key: &ObjectKey) -> Option<&'a Value> {
        self.cluster.get(key)
    }

    fn namespace(&self, name: &str) -> Option<&'a Value> {
        self.get(&ObjectKey::new("namespaces", "", name))
    }

    fn nodes(&self) -> impl Iterator<Item = &'a Value> {
        self.cluster.list("nodes", None).map(|(_, node)| node)
    }

    fn volumes(&self) -> impl Iterator<Item = &'a Value> {
        self.cluster.list("persistentvolumes", None).map(|(_, volume)| volume)
    }

    fn budgets(&self) -> impl Iterator<Item = &'a Value> {
        self.cluster.list("poddisruptionbudgets.policy", None).map(|(_, budget)| budget)
    }

    fn pods<'s>(&'s self, namespace: Option<&'s str>) -> impl Iterator<Item = (&'s ObjectKey, &'s Value)> {
        self.cluster.list("pods", namespace).filter(|(key, _)| !self.without.contains(*key))
    }

    fn pods_on(&self, node: &str) -> impl Iterator<Item = (&'a ObjectKey, &'a Value)> {
        self.cluster.pods_on(node).filter(|(key, _)| !self.without.contains(*key))
    }

    fn dependents(&self, uid: &str) -> impl Iterator<Item = (&'a ObjectKey, &'a Value)> {
        self.cluster.dependents(uid)
    }

    /// Pods at least as important as this one that were promised a place on a node.
    fn promised<'s>(&'s self, node: &'s str, pod: &'s Value) -> impl Iterator<Item = &'a Value> + 's {
        self.promised.iter().copied().filter(move |other| {
            *other.at(&["status", "nominatedNodeName"]) == *node
                && other.uid() != pod.uid()
                && preempt::priority(other) >= preempt::priority(pod)
        })
    }
}

/// Why no node takes a pod.
struct Failure {
    message: String,
    nominated: Option<preempt::Choice>,
}

fn schedule(cluster: &mut Cluster, key: &ObjectKey) {
    let Some(pod) = cluster.get(key).cloned() else { return };
    let ours = matches!(pod.at(&["spec", "schedulerName"]).str_or_empty(), "" | "default-scheduler");
    if !ours || pod.is_terminating() || !pod.at(&["spec", "nodeName"]).is_empty() || !request::is_live(&pod) {
        return;
    }
    if !pod.at(&["spec", "schedulingGates"]).is_empty() {
        let message = "Scheduling is blocked due to non-empty scheduling gates";
        return refuse(cluster, key, "SchedulingGated", message, None);
    }
    let start = usize::try_from(cluster.random().below(1 << 32)).unwrap_or(0);
    let tie = cluster.random().bits();
    match find(cluster, &pod, start, tie) {
        Ok((node, claims)) => bind(cluster, key, &pod, &node, &claims),
        Err(Failure { message, nominated }) => {
            if let Some(choice) = &nominated {
                evict(cluster, &pod, choice);
            }
            CLIENT.event(cluster, &pod, Severity::Warning, "FailedScheduling", &message);
            refuse(cluster, key, "Unschedulable", &message, nominated.map(|choice| choice.node));
        }
    }
}

/// The best node for a pod, and the claims that wait for this choice.
fn find(cluster: &Cluster, pod: &Value, start: usize, tie: u64) -> Result<(String, Vec<Value>), Failure> {
    let world = World::of(cluster);
    let nodes: Vec<&Value> = world.nodes().collect();
    let none = format!("0/{} nodes are available", nodes.len());
    if nodes.is_empty() {
        return Err(Failure { message: "no nodes available to schedule pods".to_owned(), nominated: None });
    }
    let demand = match Demand::of(&world, pod) {
        Ok(demand) => demand,
        Err(why) => return Err(Failure { message: format!("{none}: {why}. not found"), nominated: None }),
    };
    let enough = enough(nodes.len());
    let (mut feasible, mut refused) = (Vec::new(), Vec::new());
    let turn = if enough < nodes.len() { start % nodes.len() } else { 0 };
    for node in nodes.iter().cycle().skip(turn).take(nodes.len()) {
        match demand.fits(&world, node) {
            Ok(()) => feasible.push(*node),
            Err(refusal) => refused.push((*node, refusal)),
        }
        if feasible.len() >= enough {
            break;
        }
    }
    // Whoever was promised a node goes there if it can.
    let promised = pod.at(&["status", "nominatedNodeName"]).str_or_empty();
    let claims = || demand.volumes.waiting().cloned().collect();
    if let Some(node) = feasible.iter().find(|node| node.name() == promised) {
        return Ok((node.name().to_owned(), claims()));
    }
    let scores = score::all(&world, &demand, &feasible);
    let best = scores.iter().max().copied().unwrap_or(0);
    let best: Vec<&Value> =
        feasible.iter().zip(&scores).filter(|(_, score)| **score == best).map(|(node, _)| *node).collect();
    let at = usize::try_from(tie).unwrap_or(0).checked_rem(best.len()).unwrap_or(0);
    if let Some(node) = best.get(at) {
        return Ok((node.name().to_owned(), claims()));
    }
    let reasons = histogram(refused.iter().flat_map(|(_, refusal)| refusal.reasons.iter().map(String::as_str)));
    let (after, nominated) = make_room(&world, pod, &none, &refused);
    Err(Failure { message: format!("{none}: {reasons}.{after}"), nominated })
}

/// How many nodes that fit are enough (`numFeasibleNodesToFind`).
fn enough(nodes: usize) -> usize {
    if nodes < NODES_AT_LEAST {
        return nodes;
    }
    let percent = 50_usize.saturating_sub(nodes / 125).max(5);
    (nodes * percent / 100).max(NODES_AT_LEAST)
}

/// Looks for pods to send away; says what came of it.
fn make_room(
    world: &World<'_>,
    pod: &Value,
    none: &str,
    refused: &[(&Value, Refusal)],
) -> (String, Option<preempt::Choice>) {
    let say = |what: &str| format!(" no new claims to deallocate, preemption: {what}");
    if pod.at(&["spec", "preemptionPolicy"]) == "Never" {
        return (say("not eligible due to preemptionPolicy=Never."), None);
    }
    let promised = pod.at(&["status", "nominatedNodeName"]).str_or_empty();
    let leaving =
        |(_, other): &(&ObjectKey, &Value)| other.is_terminating() && preempt::priority(other) < preempt::priority(pod);
    if !promised.is_empty() && world.pods_on(promised).any(|other| leaving(&other)) {
        return (say("not eligible due to a terminating pod on the nominated node."), None);
    }
    let may: Vec<&Value> = refused.iter().filter(|(_, refusal)| refusal.may_yield).map(|(node, _)| *node).collect();
    if let Some(choice) = preempt::choose(world, pod, &may) {
        return (String::new(), Some(choice));
    }
    let words = |(_, refusal): &(&Value, Refusal)| {
        if refusal.may_yield {
            "No preemption victims found for incoming pod"
        } else {
            "Preemption is not helpful for scheduling"
        }
    };
    (say(&format!("{none}: {}.", histogram(refused.iter().map(words)))), None)
}

fn evict(cluster: &mut Cluster, pod: &Value, choice: &preempt::Choice) {
    for key in &choice.victims {
        let Some(victim) = cluster.get(key).cloned() else { continue };
        if victim.is_terminating() {
            continue;
        }
        let now = time::format(cluster.now());
        let generation = victim.generation();
        let _ = CLIENT.update_status(cluster, key, |victim| {
            set_condition(
                victim,
                &now,
                doc!({
                    "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                    "message": "default-scheduler: preempting to accommodate a higher priority pod",
                    "lastProbeTime": null, "observedGeneration": (generation),
                }),
            );
        });
        let _ = CLIENT.delete(cluster, key, &Deletion::default());
        let message = format!("Preempted by pod {} on node {}", pod.uid(), choice.node);
        CLIENT.event(cluster, &victim, Severity::Normal, "Preempted", &message);
    }
}

/// Says in the pod's status that it has no place, and which was promised to it.
fn refuse(cluster: &mut Cluster, key: &ObjectKey, reason: &str, message: &str, nominated: Option<String>) {
    let now = time::format(cluster.now());
    let _ = CLIENT.update_status(cluster, key, |pod| {
        let mut condition = doc!({
            "type": "PodScheduled", "status": "False", "reason": (reason), "message": (message), "lastProbeTime": null,
        });
        if reason == "Unschedulable" && pod.generation() != 0 {
            condition.set(&["observedGeneration"], pod.generation());
        }
        set_condition(pod, &now, condition);
        if let Some(node) = nominated {
            pod.set(&["status", "nominatedNodeName"], node);
        }
    });
}

/// Gives a pod its node, as the binding subresource does, and sets its claims going.
fn bind(cluster: &mut Cluster, key: &ObjectKey, pod: &Value, node: &str, claims: &[Value]) {
    for claim in claims {
        let claim_key = ObjectKey::new("persistentvolumeclaims", claim.namespace(), claim.name());
        let chosen = cluster.get(&ObjectKey::new("nodes", "", node)).cloned().unwrap_or_default();
        let world = World::of(cluster);
        let volume = volumes::available(&world, claim, &chosen).map(|volume| volume.name().to_owned());
        if let Some(volume) = volume {
            let _ = CLIENT.update(cluster, &ObjectKey::new("persistentvolumes", "", volume), |volume| {
                volume.set(
                    &["spec", "claimRef"],
                    doc!({
                        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": (claim.name()),
                        "namespace": (claim.namespace()), "uid": (claim.uid()),
                        "resourceVersion": (claim.resource_version()),
                    }),
                );
                volume.set(&["metadata", "annotations", "pv.kubernetes.io/bound-by-controller"], "yes");
            });
        } else {
            let _ = CLIENT.update(cluster, &claim_key, |claim| {
                claim.set(&["metadata", "annotations", "volume.kubernetes.io/selected-node"], node);
            });
        }
    }
    if !claims.is_empty() {
        // The binding waits until the volumes are bound; the change of a claim brings us here again.
        return;
    }
    place(cluster, key, node);
    let message = format!("Successfully assigned {}/{} to {node}", pod.namespace(), pod.name());
    CLIENT.event(cluster, pod, Severity::Normal, "Scheduled", &message);
}

/// Binds a pod to a node: what `pods/binding` does, with the labels that `PodTopologyLabels` admission copies.
pub(crate) fn place(cluster: &mut Cluster, key: &ObjectKey, node: &str) {
    let Some(mut pod) = cluster.get(key).cloned() else { return };
    pod.set(&["spec", "nodeName"], node);
    if let Some(node) = cluster.get(&ObjectKey::new("nodes", "", node)) {
        for label in ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"] {
            if let Some(value) = node.label(label) {
                pod.set(&["metadata", "labels", label], value);
            }
        }
    }
    if pod.find(&["status", "nominatedNodeName"]).is_some() {
        pod.remove(&["status", "nominatedNodeName"]);
    }
    let mut condition = doc!({"type": "PodScheduled", "status": "True", "lastProbeTime": null});
    if pod.generation() != 0 {
        condition.set(&["observedGeneration"], pod.generation());
    }
    set_condition(&mut pod, &time::format(cluster.now()), condition);
    cluster.write(key, Some(pod));
}
