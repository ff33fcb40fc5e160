//! Who would have to go for a pod to find a place.
//!
//! Knows: `pkg/scheduler/framework/preemption`: victims are less important, as few and unimportant as possible, and their
//! disruption budgets are respected where that is possible.
//! Does not know: what becomes of the victims.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::filter::Filter;
use super::request::is_live;
use super::state::{self, Node};
use super::{CLIENT, Refusal, fit, summary};
use crate::apiserver::registry::{Deletion, set_condition};
use crate::cluster::Cluster;
use crate::controllers::client::Severity;
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::{Text, Value};

/// How important a pod is.
pub(super) fn priority(pod: &Value) -> i64 {
    pod.at(&["spec", "priority"]).as_int().unwrap_or(0)
}

/// A node, and who would have to go there.
struct Candidate {
    node: Text,
    victims: Vec<(ObjectKey, Value)>,
    /// How many of them a disruption budget protects.
    violations: usize,
}

/// Makes room for a pod, and says where; or why there is none to be made.
pub(super) fn preempt(
    cluster: &mut Cluster,
    pod: &Value,
    filter: &Filter<'_>,
    refused: &BTreeMap<Text, Refusal>,
) -> Result<Text, String> {
    if pod.at(&["spec", "preemptionPolicy"]) == "Never" {
        return Err("not eligible due to preemptionPolicy=Never.".to_owned());
    }
    let promised = pod.at(&["status", "nominatedNodeName"]).str_or_empty();
    if !promised.is_empty() && refused.get(promised).is_some_and(|refusal| !refusal.is_final) {
        let leaving = |other: &Value| other.is_terminating() && priority(other) < priority(pod);
        if cluster.pods_on(promised).any(|(_, other)| leaving(other)) {
            return Err("not eligible due to a terminating pod on the nominated node.".to_owned());
        }
    }
    let mut reasons = Vec::new();
    let mut best: Option<(Rank, Candidate)> = None;
    for (name, refusal) in refused {
        if refusal.is_final {
            reasons.push(Text::from("Preemption is not helpful for scheduling"));
            continue;
        }
        let Some(node) = cluster.scheduling.node(name).cloned() else { continue };
        match victims(cluster, pod, filter, name, node) {
            Ok(candidate) => {
                let rank = rank(&candidate);
                if best.as_ref().is_none_or(|(have, _)| rank < *have) {
                    best = Some((rank, candidate));
                }
            }
            Err(why) => reasons.extend(why),
        }
    }
    let Some((_, candidate)) = best else {
        return Err(summary(cluster.scheduling.count(), reasons.into_iter()));
    };
    for (victim, _) in &candidate.victims {
        evict(cluster, victim, pod, &candidate.node);
    }
    Ok(candidate.node)
}

/// The fewest and least important pods that would have to leave a node, or why that would not help.
fn victims(
    cluster: &Cluster,
    pod: &Value,
    filter: &Filter<'_>,
    name: &Text,
    node: Node,
) -> Result<Candidate, Vec<Text>> {
    let mut lesser: Vec<(ObjectKey, Value)> = cluster
        .pods_on(name)
        .filter(|(_, other)| priority(other) < priority(pod) && is_live(other))
        .map(|(key, other)| (key.clone(), other.clone()))
        .collect();
    if lesser.is_empty() {
        return Err(vec![Text::from("No preemption victims found for incoming pod")]);
    }
    let mut emptied = node;
    let mut gone: BTreeSet<ObjectKey> = BTreeSet::new();
    for (key, other) in &lesser {
        take_out(&mut emptied, other);
        gone.insert(key.clone());
    }
    let refusal =
        |node: &Node, gone: &BTreeSet<ObjectKey>| filter.refusal_without(cluster, node, &gone.iter().collect());
    if let Some(refusal) = refusal(&emptied, &gone) {
        return Err(refusal.reasons);
    }
    // The most important, and among equals the oldest, are spared first; those that a budget protects before all others.
    lesser.sort_by_key(|(key, other)| (Reverse(priority(other)), other.created(), key.clone()));
    let mut budgets = Budgets::default();
    let (protected, free): (Vec<_>, Vec<_>) =
        lesser.into_iter().partition(|(key, other)| budgets.protect(cluster, key, other));
    let mut candidate = Candidate { node: name.clone(), victims: Vec::new(), violations: 0 };
    for (violates, list) in [(true, protected), (false, free)] {
        for (key, other) in list {
            put_back(&mut emptied, &other);
            gone.remove(&key);
            if refusal(&emptied, &gone).is_some() {
                take_out(&mut emptied, &other);
                gone.insert(key.clone());
                candidate.violations += usize::from(violates);
                candidate.victims.push((key, other));
            }
        }
    }
    candidate.victims.sort_by_key(|(key, other)| (Reverse(priority(other)), key.clone()));
    Ok(candidate)
}

fn take_out(node: &mut Node, pod: &Value) {
    node.pods -= 1;
    node.requested.subtract(&fit::requests(pod));
    for port in state::ports(pod) {
        if let Some(at) = node.ports.iter().position(|have| *have == port) {
            node.ports.swap_remove(at);
        }
    }
}

fn put_back(node: &mut Node, pod: &Value) {
    node.pods += 1;
    node.requested.add(&fit::requests(pod));
    node.ports.extend(state::ports(pod));
}

/// What disruption budgets still allow, as far as anyone has asked.
#[derive(Default)]
struct Budgets(BTreeMap<ObjectKey, i64>);

impl Budgets {
    /// Counts a disruption of a pod; whether a budget would be overdrawn.
    fn protect(&mut self, cluster: &Cluster, key: &ObjectKey, pod: &Value) -> bool {
        if pod.labels().is_empty() {
            return false;
        }
        let mut overdrawn = false;
        for (name, budget) in cluster.selecting("poddisruptionbudgets.policy", &key.namespace, pod.labels()) {
            if budget.at(&["status", "disruptedPods"]).get(&key.name).is_none() {
                let stated = || budget.at(&["status", "disruptionsAllowed"]).as_int().unwrap_or(0);
                let allowed = self.0.entry(name.clone()).or_insert_with(stated);
                *allowed -= 1;
                overdrawn |= *allowed < 0;
            }
        }
        overdrawn
    }
}

/// The lower the better: violations, the most important victim, the sum of importance, how many; then who started last.
type Rank = (usize, i64, i64, usize, Reverse<Option<twin::Time>>);

fn rank(candidate: &Candidate) -> Rank {
    let victims = &candidate.victims;
    let highest = victims.iter().map(|(_, pod)| priority(pod)).max().unwrap_or(i64::MIN);
    // As the real one: shifted, so that the sum grows with every victim even if priorities are negative.
    let sum = victims.iter().map(|(_, pod)| priority(pod) + i64::from(i32::MAX) + 1).sum();
    let started = victims
        .iter()
        .filter(|(_, pod)| priority(pod) == highest)
        .filter_map(|(_, pod)| pod.time(&["status", "startTime"]))
        .min();
    (candidate.violations, highest, sum, victims.len(), Reverse(started))
}

fn evict(cluster: &mut Cluster, victim: &ObjectKey, pod: &Value, node: &Text) {
    let Some(doomed) = cluster.get(victim).cloned() else { return };
    if doomed.is_terminating() {
        return;
    }
    let now = time::format(cluster.now());
    let message = format!("{}: preempting to accommodate a higher priority pod", super::NAME);
    let disrupted = doc!({
        "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": (message),
        "lastProbeTime": null, "observedGeneration": (doomed.generation()),
    });
    let _ = CLIENT.update_status(cluster, victim, |pod| set_condition(pod, &now, disrupted));
    let _ = CLIENT.delete(cluster, victim, &Deletion { uid: Some(doomed.uid().to_owned()), ..Deletion::default() });
    let message = format!("Preempted by pod {} on node {node}", pod.uid());
    CLIENT.acted(cluster, &doomed, Severity::Normal, "Preempted", "Preempting", &message);
}
