//! What pods want of one another: affinity, anti-affinity, and being spread.
//!
//! Knows: terms over topologies, and which pods of a namespace they speak of.
//! Does not know: resources.

use std::collections::{BTreeMap, BTreeSet};

use super::request::is_live;
use super::{Refusal, World, affinity};
use crate::labels;
use crate::value::Value;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// What was found out once for one pod, for all nodes.
pub(super) struct Neighbours {
    /// Of each affinity term: its topology key, and where pods are that match it.
    near: Vec<(String, BTreeSet<String>)>,
    /// Whether the pod is the first of its kind and may stand anywhere.
    first: bool,
    /// Of each anti-affinity term the same.
    far: Vec<(String, BTreeSet<String>)>,
    /// (topology key, value) from which pods already there keep this one away.
    kept_away: BTreeSet<(String, String)>,
    spread: Vec<Spread>,
}

struct Spread {
    key: String,
    max_skew: i64,
    own: i64,
    least: i64,
    counts: BTreeMap<String, i64>,
}

fn terms<'a>(pod: &'a Value, kind: &str) -> &'a [Value] {
    pod.at(&["spec", "affinity", kind, REQUIRED]).items()
}

/// Whether a term of `owner` speaks of `other`.
pub(super) fn speaks_of(world: &World<'_>, term: &Value, owner: &Value, other: &Value) -> bool {
    let selector = term.at(&["labelSelector"]);
    let (named, chosen) = (term.at(&["namespaces"]).items(), term.at(&["namespaceSelector"]));
    let here = if named.is_empty() && chosen.is_null() {
        other.namespace() == owner.namespace()
    } else {
        named.iter().any(|name| *name == *other.namespace())
            || (!chosen.is_null()
                && world.namespace(other.namespace()).is_some_and(|found| labels::matches(chosen, found.labels())))
    };
    here && labels::matches(selector, other.labels())
}

impl Neighbours {
    pub(super) fn of(world: &World<'_>, pod: &Value) -> Self {
        let (near_terms, far_terms) = (terms(pod, "podAffinity"), terms(pod, "podAntiAffinity"));
        let everywhere = [near_terms, far_terms]
            .concat()
            .iter()
            .any(|term| !term.at(&["namespaces"]).is_empty() || !term.at(&["namespaceSelector"]).is_null());
        let key_of = |term: &Value| term.at(&["topologyKey"]).str_or_empty().to_owned();
        let start = |terms: &[Value]| -> Vec<(String, BTreeSet<String>)> {
            terms.iter().map(|term| (key_of(term), BTreeSet::new())).collect()
        };
        let (mut near, mut far, mut kept_away) = (start(near_terms), start(far_terms), BTreeSet::new());
        // Terms speak of the pod's own namespace unless they say otherwise; so only its pods need be looked at.
        for (_, other) in world.pods((!everywhere).then(|| pod.namespace())) {
            let Some(node) = world.node_of(other) else { continue };
            for theirs in terms(other, "podAntiAffinity") {
                let key = key_of(theirs);
                if let Some(value) = node.label(&key)
                    && speaks_of(world, theirs, other, pod)
                {
                    kept_away.insert((key, value.to_owned()));
                }
            }
            // A pod is near only if it matches all affinity terms together.
            if !near_terms.is_empty() && near_terms.iter().all(|term| speaks_of(world, term, pod, other)) {
                mark(&mut near, near_terms, node, |_| true);
            }
            mark(&mut far, far_terms, node, |term| speaks_of(world, term, pod, other));
        }
        let nowhere = near.iter().all(|(_, values)| values.is_empty());
        let first = nowhere && near_terms.iter().all(|term| speaks_of(world, term, pod, pod));
        let spread = constraints(pod, "DoNotSchedule").map(|constraint| Spread::of(world, pod, constraint)).collect();
        Self { near, first, far, kept_away, spread }
    }

    pub(super) fn spread(&self, node: &Value) -> Result<(), Refusal> {
        for spread in &self.spread {
            let Some(value) = node.label(&spread.key) else {
                return Err(Refusal::for_good(
                    "node(s) didn't match pod topology spread constraints (missing required label)",
                ));
            };
            let count = spread.counts.get(value).copied().unwrap_or(0);
            if count + spread.own - spread.least > spread.max_skew {
                return Err(Refusal::for_now("node(s) didn't match pod topology spread constraints"));
            }
        }
        Ok(())
    }

    pub(super) fn affinity(&self, node: &Value) -> Result<(), Refusal> {
        let near = |(key, values): &(String, BTreeSet<String>)| {
            node.label(key).is_some_and(|value| self.first || values.contains(value))
        };
        if !self.near.iter().all(near) {
            return Err(Refusal::for_good("node(s) didn't match pod affinity rules"));
        }
        let close =
            |(key, values): &(String, BTreeSet<String>)| node.label(key).is_some_and(|value| values.contains(value));
        if self.far.iter().any(close) {
            return Err(Refusal::for_now("node(s) didn't match pod anti-affinity rules"));
        }
        if self.kept_away.iter().any(|(key, value)| node.label(key) == Some(value.as_str())) {
            return Err(Refusal::for_now("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }
}

fn mark(places: &mut [(String, BTreeSet<String>)], terms: &[Value], node: &Value, speaks: impl Fn(&Value) -> bool) {
    for ((key, values), term) in places.iter_mut().zip(terms) {
        if let Some(value) = node.label(key)
            && speaks(term)
        {
            values.insert(value.to_owned());
        }
    }
}

/// A pod's spread constraints of one kind.
pub(super) fn constraints<'a>(pod: &'a Value, what: &str) -> impl Iterator<Item = &'a Value> {
    let all = pod.at(&["spec", "topologySpreadConstraints"]).items().iter();
    all.filter(move |constraint| constraint.at(&["whenUnsatisfiable"]) == what)
}

impl Spread {
    fn of(world: &World<'_>, pod: &Value, constraint: &Value) -> Self {
        let key = constraint.at(&["topologyKey"]).str_or_empty().to_owned();
        let honour_affinity = constraint.at(&["nodeAffinityPolicy"]) != "Ignore";
        let honour_taints = constraint.at(&["nodeTaintsPolicy"]) == "Honor";
        let eligible = |node: &Value| {
            let keys: Vec<&Value> =
                constraints(pod, "DoNotSchedule").map(|constraint| constraint.at(&["topologyKey"])).collect();
            keys.iter().all(|key| node.label(key.str_or_empty()).is_some())
                && (!honour_affinity || affinity::wants_node(pod, node))
                && (!honour_taints || affinity::untolerated(pod, node, &["NoSchedule", "NoExecute"]).is_none())
        };
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for node in world.nodes().filter(|node| eligible(node)) {
            counts.entry(node.label(&key).unwrap_or("").to_owned()).or_insert(0);
        }
        for (_, other) in world.pods(Some(pod.namespace())) {
            if other.is_terminating() || !counts_for(constraint, pod, other) {
                continue;
            }
            if let Some(node) = world.node_of(other).filter(|node| eligible(node))
                && let Some(count) = node.label(&key).and_then(|value| counts.get_mut(value))
            {
                *count += 1;
            }
        }
        let wanted = constraint.at(&["minDomains"]).as_int().unwrap_or(1);
        let domains = i64::try_from(counts.len()).unwrap_or(i64::MAX);
        let least = if domains < wanted { 0 } else { counts.values().min().copied().unwrap_or(0) };
        let max_skew = constraint.at(&["maxSkew"]).as_int().unwrap_or(1);
        Self { key, max_skew, own: i64::from(counts_for(constraint, pod, pod)), least, counts }
    }
}

/// Whether `other` counts among those over which `pod` is spread.
pub(super) fn counts_for(constraint: &Value, pod: &Value, other: &Value) -> bool {
    let alike = constraint.at(&["matchLabelKeys"]).items().iter().all(|key| {
        let key = key.str_or_empty();
        pod.label(key).is_none() || pod.label(key) == other.label(key)
    });
    is_live(other) && alike && labels::matches(constraint.at(&["labelSelector"]), other.labels())
}
