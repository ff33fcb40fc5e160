//! Which pods have to go so that a more important one can run.
//!
//! Knows: priorities, disruption budgets, and which choice hurts least.
//! Does not know: how pods go.

use std::cmp::Reverse;

use super::World;
use super::filter::Demand;
use crate::labels;
use crate::object::ObjectKey;
use crate::value::Value;

/// A node, and the pods on it that have to go.
pub(super) struct Choice {
    pub(super) node: String,
    pub(super) victims: Vec<ObjectKey>,
    violations: usize,
}

pub(super) fn priority(pod: &Value) -> i64 {
    pod.at(&["spec", "priority"]).as_int().unwrap_or(0)
}

/// The least harmful way to make room on one of these nodes. The second part is how many nodes have nobody to send away.
pub(super) fn choose(world: &World<'_>, pod: &Value, nodes: &[&Value]) -> Option<Choice> {
    let mut choices: Vec<(Choice, Vec<&Value>)> = Vec::new();
    for node in nodes {
        if let Some(choice) = victims(world, pod, node) {
            let pods = choice.victims.iter().filter_map(|key| world.get(key)).collect();
            choices.push((choice, pods));
        }
    }
    // As `pickOneNodeForPreemption`: fewest budgets broken, least important victims, fewest, youngest.
    let rank = |(choice, pods): &(Choice, Vec<&Value>)| {
        let highest = pods.iter().map(|pod| priority(pod)).max().unwrap_or(i64::MIN);
        let sum: i128 = pods.iter().map(|pod| i128::from(priority(pod)) + i128::from(i32::MAX) + 1).sum();
        let eldest = pods
            .iter()
            .filter(|pod| priority(pod) == highest)
            .filter_map(|pod| pod.time(&["status", "startTime"]))
            .min();
        (choice.violations, highest, sum, pods.len(), Reverse(eldest))
    };
    choices.into_iter().min_by_key(rank).map(|(choice, _)| choice)
}

/// The fewest pods of a node that must go for the pod to fit there, if that is enough.
fn victims(world: &World<'_>, pod: &Value, node: &Value) -> Option<Choice> {
    let mut lesser: Vec<(ObjectKey, &Value)> = world
        .pods_on(node.name())
        .filter(|(_, other)| priority(other) < priority(pod))
        .map(|(key, other)| (key.clone(), other))
        .collect();
    if lesser.is_empty() {
        return None;
    }
    let mut world = world.clone();
    world.without.extend(lesser.iter().map(|(key, _)| key.clone()));
    let mut demand = Demand::of(&world, pod).ok()?;
    demand.fits(&world, node).ok()?;
    // The most important are let back in first, those that a budget protects before all others.
    lesser.sort_by_key(|(_, other)| (Reverse(priority(other)), other.time(&["status", "startTime"])));
    let (guarded, free) = guarded(&world, &lesser);
    let mut choice = Choice { node: node.name().to_owned(), victims: Vec::new(), violations: 0 };
    for (group, counts) in [(guarded, true), (free, false)] {
        for key in group {
            world.without.remove(&key);
            demand.again(&world);
            if demand.fits(&world, node).is_err() {
                world.without.insert(key.clone());
                choice.violations += usize::from(counts);
                choice.victims.push(key);
            }
        }
    }
    Some(choice)
}

/// Pods whose going would break a disruption budget, and the others; both in the order given.
fn guarded(world: &World<'_>, pods: &[(ObjectKey, &Value)]) -> (Vec<ObjectKey>, Vec<ObjectKey>) {
    let mut budgets: Vec<(&Value, i64)> = world
        .budgets()
        .map(|budget| (budget, budget.at(&["status", "disruptionsAllowed"]).as_int().unwrap_or(0)))
        .collect();
    let (mut guarded, mut free) = (Vec::new(), Vec::new());
    for (key, pod) in pods {
        let mut breaks = false;
        for (budget, allowed) in &mut budgets {
            let covers = budget.namespace() == pod.namespace()
                && labels::matches(budget.at(&["spec", "selector"]), pod.labels())
                && budget.at(&["status", "disruptedPods"]).get(pod.name()).is_none();
            if covers {
                *allowed -= 1;
                breaks |= *allowed < 0;
            }
        }
        if breaks { guarded.push(key.clone()) } else { free.push(key.clone()) }
    }
    (guarded, free)
}
