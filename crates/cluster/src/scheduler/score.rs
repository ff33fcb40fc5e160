//! Which of the nodes that can take a pod is best.
//!
//! Knows: the scores that decide most placements: free room, balance, spread, preferences.
//! Does not know: images.

use std::collections::BTreeMap;

use super::filter::Demand;
use super::neighbours::{constraints, counts_for, speaks_of};
use super::request::is_live;
use super::{World, affinity};
use crate::quantity::Quantity;
use crate::value::Value;

/// What a pod counts for that requests nothing (`GetNonzeroRequests`): 100m CPU, 200 MB of memory.
const CPU_AT_LEAST: i128 = 100;
const MEMORY_AT_LEAST: i128 = 200 * 1024 * 1024 * 1000;

const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// A score for each node, higher is better.
pub(super) fn all(world: &World<'_>, demand: &Demand<'_>, nodes: &[&Value]) -> Vec<i64> {
    if nodes.len() < 2 {
        return vec![0; nodes.len()];
    }
    let mut total: Vec<i64> = nodes.iter().map(|node| room(world, demand, node)).collect();
    let mut join = |weight: i64, scores: Vec<i64>| {
        for (sum, score) in total.iter_mut().zip(scores) {
            *sum += weight * score;
        }
    };
    let pod = demand.pod;
    join(3, turned(nodes.iter().map(|node| unloved_taints(pod, node)).collect()));
    join(2, raised(nodes.iter().map(|node| preferred_node(pod, node)).collect()));
    join(2, turned(crowd(world, pod, nodes)));
    join(2, raised(company(world, pod, nodes)));
    total
}

/// `LeastAllocated` and `BalancedAllocation`, each up to 100.
fn room(world: &World<'_>, demand: &Demand<'_>, node: &Value) -> i64 {
    let given = world.given(node.name(), demand.pod);
    let share = |resource: &str, least: i128| {
        let have = Quantity::or_zero(node.at(&["status", "allocatable", resource])).as_milli().max(1);
        let own = demand.requests.get(resource).map_or(0, |amount| amount.as_milli()).max(least);
        let used = given.get(resource).map_or(0, |amount| amount.as_milli()) + own;
        (used.min(have) * 10_000) / have
    };
    let (cpu, memory) = (share("cpu", CPU_AT_LEAST), share("memory", MEMORY_AT_LEAST));
    let free = (20_000 - cpu - memory) / 200;
    let balance = 100 - (cpu - memory).abs() / 200;
    i64::try_from(free + balance).unwrap_or(0)
}

fn unloved_taints(pod: &Value, node: &Value) -> i64 {
    let taints = node.at(&["spec", "taints"]).items().iter();
    let unloved =
        taints.filter(|taint| taint.at(&["effect"]) == "PreferNoSchedule" && !affinity::tolerates(pod, taint));
    i64::try_from(unloved.count()).unwrap_or(0)
}

fn preferred_node(pod: &Value, node: &Value) -> i64 {
    let terms = pod.at(&["spec", "affinity", "nodeAffinity", PREFERRED]).items().iter();
    terms
        .filter(|term| affinity::term_selects(term.at(&["preference"]), node))
        .map(|term| term.at(&["weight"]).as_int().unwrap_or(0))
        .sum()
}

/// How many pods like this one are near each node: by its own wishes, else by host and zone, as the scheduler's defaults
/// have it for pods that a service or controller holds together. In thousandths of a pod.
fn crowd(world: &World<'_>, pod: &Value, nodes: &[&Value]) -> Vec<i64> {
    let wishes: Vec<&Value> = constraints(pod, "ScheduleAnyway").collect();
    let owner = pod.controller().map(|owner| owner.uid().to_owned());
    let mut scores = vec![0; nodes.len()];
    let mut count = |key: &str, alike: &[&Value]| {
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for other in alike {
            if let Some(value) = world.node_of(other).and_then(|node| node.label(key)) {
                *counts.entry(value).or_default() += 1;
            }
        }
        let domains: std::collections::BTreeSet<&str> = nodes.iter().filter_map(|node| node.label(key)).collect();
        // A pod too many weighs more where there are more places (`log(domains + 2)`).
        let weight = (1000.0 * (domains.len() as f64 + 2.0).ln()) as i64;
        for (score, node) in scores.iter_mut().zip(nodes) {
            *score += node.label(key).map_or(0, |value| counts.get(value).copied().unwrap_or(0) * weight);
        }
    };
    if !wishes.is_empty() {
        for wish in wishes {
            let alike: Vec<&Value> = world
                .pods(Some(pod.namespace()))
                .map(|(_, other)| other)
                .filter(|other| !other.is_terminating() && counts_for(wish, pod, other))
                .collect();
            count(wish.at(&["topologyKey"]).str_or_empty(), &alike);
        }
    } else if let Some(owner) = owner.filter(|_| pod.at(&["spec", "topologySpreadConstraints"]).is_empty()) {
        let alike: Vec<&Value> = world
            .dependents(&owner)
            .map(|(_, other)| other)
            .filter(|other| other.kind() == "Pod" && !other.is_terminating() && is_live(other))
            .collect();
        count("kubernetes.io/hostname", &alike);
        count("topology.kubernetes.io/zone", &alike);
    }
    scores
}

/// How much a pod likes the company that each node offers.
fn company(world: &World<'_>, pod: &Value, nodes: &[&Value]) -> Vec<i64> {
    let mut scores = vec![0; nodes.len()];
    for (kind, sign) in [("podAffinity", 1), ("podAntiAffinity", -1)] {
        for wish in pod.at(&["spec", "affinity", kind, PREFERRED]).items() {
            let term = wish.at(&["podAffinityTerm"]);
            let key = term.at(&["topologyKey"]).str_or_empty();
            let weight = sign * wish.at(&["weight"]).as_int().unwrap_or(0);
            let elsewhere = !term.at(&["namespaces"]).is_empty() || !term.at(&["namespaceSelector"]).is_null();
            for (_, other) in world.pods((!elsewhere).then(|| pod.namespace())) {
                if !speaks_of(world, term, pod, other) {
                    continue;
                }
                let Some(value) = world.node_of(other).and_then(|node| node.label(key)) else { continue };
                for (score, node) in scores.iter_mut().zip(nodes) {
                    *score += if node.label(key) == Some(value) { weight } else { 0 };
                }
            }
        }
    }
    scores
}

/// Spread over 0..=100, the highest best.
fn raised(scores: Vec<i64>) -> Vec<i64> {
    let (least, most) = (scores.iter().min().copied().unwrap_or(0), scores.iter().max().copied().unwrap_or(0));
    let width = most - least;
    scores.into_iter().map(|score| if width == 0 { 0 } else { 100 * (score - least) / width }).collect()
}

/// Turned round: 100 for nothing at all, less for more.
fn turned(scores: Vec<i64>) -> Vec<i64> {
    let (least, most) = (scores.iter().min().copied().unwrap_or(0), scores.iter().max().copied().unwrap_or(0));
    scores.into_iter().map(|score| if most == 0 { 100 } else { 100 * (most + least - score) / most }).collect()
}
