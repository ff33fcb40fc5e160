//! Topology spread constraints.
//!
//! Knows: how many of the pods that a constraint selects stand in each domain, as plugin PodTopologySpread counts them.
//! Does not know: what else a node wants.

use std::collections::{BTreeMap, BTreeSet};

use super::{Plugin, Refusal, affinity};
use crate::cluster::Cluster;
use crate::doc;
use crate::labels;
use crate::object::ObjectKey;
use crate::value::{Text, Value};

/// The hard constraints of a pod, with the counts of now.
#[derive(Debug, Default)]
pub(super) struct Spread(Vec<Constraint>);

#[derive(Debug)]
struct Constraint {
    key: Text,
    skew_max: i64,
    /// Whether the pod itself counts.
    counts_itself: bool,
    domains: BTreeMap<Text, i64>,
    least: i64,
}

impl Spread {
    /// Counts, as if some pods were gone.
    pub(super) fn prepare(cluster: &Cluster, pod: &Value, gone: &BTreeSet<&ObjectKey>) -> Self {
        let constraints: Vec<&Value> = constraints(pod, "DoNotSchedule").collect();
        let keys: Vec<&str> =
            constraints.iter().map(|constraint| constraint.at(&["topologyKey"]).str_or_empty()).collect();
        Self(constraints.iter().map(|constraint| hard(cluster, pod, constraint, &keys, gone)).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn refusal(&self, node: &Value) -> Option<Refusal> {
        for constraint in &self.0 {
            let Some(domain) = node.label(&constraint.key) else {
                let why = "node(s) didn't match pod topology spread constraints (missing required label)";
                return Some(Refusal::new(Plugin::Spread, why, true));
            };
            let there = constraint.domains.get(&Text::from(domain)).copied().unwrap_or(0);
            if there + i64::from(constraint.counts_itself) - constraint.least > constraint.skew_max {
                return Some(Refusal::new(
                    Plugin::Spread,
                    "node(s) didn't match pod topology spread constraints",
                    false,
                ));
            }
        }
        None
    }
}

fn constraints<'a>(pod: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let constraints = pod.at(&["spec", "topologySpreadConstraints"]).items().iter();
    constraints.filter(move |constraint| constraint.at(&["whenUnsatisfiable"]) == kind)
}

fn hard(cluster: &Cluster, pod: &Value, constraint: &Value, keys: &[&str], gone: &BTreeSet<&ObjectKey>) -> Constraint {
    let key = constraint.at(&["topologyKey"]).as_text().cloned().unwrap_or_default();
    let selector = selector(pod, constraint);
    let mut domains = BTreeMap::new();
    for node in cluster.scheduling.nodes() {
        let node = &node.object;
        if keys.iter().all(|key| node.label(key).is_some())
            && counts(pod, constraint, node)
            && let Some(domain) = node.label(&key)
        {
            domains.entry(Text::from(domain)).or_insert(0);
        }
    }
    for (pod_key, other) in cluster.selected(pod.namespace(), &selector) {
        if gone.contains(pod_key) || !is_counted(other) {
            continue;
        }
        let Some(node) = cluster.scheduling.node(other.at(&["spec", "nodeName"]).str_or_empty()) else { continue };
        if let Some(count) = node.object.label(&key).and_then(|domain| domains.get_mut(&Text::from(domain)))
            && counts(pod, constraint, &node.object)
        {
            *count += 1;
        }
    }
    let domains_min = constraint.at(&["minDomains"]).as_int().unwrap_or(1);
    let enough = i64::try_from(domains.len()).unwrap_or(i64::MAX) >= domains_min;
    let least = if enough { domains.values().min().copied().unwrap_or(0) } else { 0 };
    let skew_max = constraint.at(&["maxSkew"]).as_int().unwrap_or(1);
    Constraint { key, skew_max, counts_itself: labels::matches(&selector, pod.labels()), domains, least }
}

/// Whether a pod counts that a constraint selects: it has a place and keeps it.
fn is_counted(other: &Value) -> bool {
    !other.is_terminating() && super::state::takes_room(other)
}

/// Whether the pods of a node count, by the constraint's policies.
fn counts(pod: &Value, constraint: &Value, node: &Value) -> bool {
    let by_affinity = constraint.at(&["nodeAffinityPolicy"]).as_str() != Some("Ignore");
    let by_taints = constraint.at(&["nodeTaintsPolicy"]) == "Honor";
    (!by_affinity || affinity::wants_node(pod, node))
        && (!by_taints || affinity::untolerated(pod, node, &["NoSchedule", "NoExecute"]).is_none())
}

/// The constraint's selector, narrowed by the pod's own labels where `matchLabelKeys` says so.
fn selector(pod: &Value, constraint: &Value) -> Value {
    narrowed(pod, constraint.at(&["labelSelector"]), constraint.at(&["matchLabelKeys"]))
}

/// A selector that also asks for the pod's own values of some labels.
pub(super) fn narrowed(pod: &Value, selector: &Value, keys: &Value) -> Value {
    let mut selector = selector.clone();
    for key in keys.items().iter().filter_map(Value::as_str) {
        if let Some(value) = pod.label(key)
            && !selector.is_null()
        {
            let asks = doc!({"key": (key), "operator": "In", "values": [(value)]});
            let asked = selector.make(&["matchExpressions"]).array();
            if !asked.contains(&asks) {
                asked.push(asks);
            }
        }
    }
    if selector.get("matchExpressions").is_some() {
        selector.make(&["matchLabels"]).object();
    }
    selector
}

/// How crowded each node would be under the soft constraints; the less the better. None of a node without the labels.
pub(super) fn crowding(cluster: &Cluster, pod: &Value, nodes: &[&Value]) -> Option<Vec<Option<f64>>> {
    let own: Vec<Value> = constraints(pod, "ScheduleAnyway").cloned().collect();
    let soft = if pod.at(&["spec", "topologySpreadConstraints"]).is_empty() { by_default(cluster, pod) } else { own };
    if soft.is_empty() {
        return None;
    }
    let defaulted = pod.at(&["spec", "topologySpreadConstraints"]).is_empty();
    let mut crowding: Vec<Option<f64>> = vec![Some(0.0); nodes.len()];
    for constraint in &soft {
        let key = constraint.at(&["topologyKey"]).str_or_empty();
        let selector = selector(pod, constraint);
        let labels: Vec<Option<&str>> = nodes.iter().map(|node| node.label(key)).collect();
        let mut domains: BTreeMap<&str, i64> = labels.iter().flatten().map(|domain| (*domain, 0)).collect();
        for (_, other) in cluster.selected(pod.namespace(), &selector) {
            if !is_counted(other) {
                continue;
            }
            let node = cluster.scheduling.node(other.at(&["spec", "nodeName"]).str_or_empty());
            if let Some(count) = node.and_then(|node| domains.get_mut(node.object.label(key)?)) {
                *count += 1;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "as the real one computes it: in doubles")]
        let weight = ((domains.len() + 2) as f64).ln();
        let skew_max = constraint.at(&["maxSkew"]).as_int().unwrap_or(1);
        for (domain, crowd) in labels.into_iter().zip(&mut crowding) {
            match (domain, crowd.as_mut()) {
                (Some(domain), Some(crowd)) => {
                    let there = domains.get(domain).copied().unwrap_or(0);
                    #[expect(clippy::cast_precision_loss, reason = "as the real one computes it: in doubles")]
                    let there = there as f64 * weight + (skew_max - 1) as f64;
                    *crowd += there;
                }
                (None, _) if !defaulted => *crowd = None,
                _ => {}
            }
        }
    }
    Some(crowding)
}

/// What the scheduler wishes for pods that say nothing: those of one service or controller apart, by host and by zone.
fn by_default(cluster: &Cluster, pod: &Value) -> Vec<Value> {
    let mut wanted = doc!({});
    for (_, service) in cluster.selecting("services", pod.namespace(), pod.labels()) {
        for (key, value) in service.at(&["spec", "selector"]).entries() {
            wanted.set(&["matchLabels", key], value);
        }
    }
    if let Some(owner) = pod.controller() {
        let resource = match owner.kind() {
            "ReplicaSet" => "replicasets.apps",
            "StatefulSet" => "statefulsets.apps",
            "ReplicationController" => "replicationcontrollers",
            _ => "",
        };
        let key = ObjectKey::new(resource, pod.namespace(), owner.name());
        let selector = cluster.get(&key).map(|owner| owner.at(&["spec", "selector"]).clone()).unwrap_or_default();
        for (key, value) in selector.at(&["matchLabels"]).entries() {
            wanted.set(&["matchLabels", key], value);
        }
        if let Some(expressions) = selector.get("matchExpressions") {
            wanted.set(&["matchExpressions"], expressions);
        }
    }
    if wanted.is_empty() {
        return Vec::new();
    }
    let apart = |key: &str, skew: i64| doc!({"topologyKey": (key), "maxSkew": (skew), "labelSelector": (&wanted)});
    vec![apart("kubernetes.io/hostname", 3), apart("topology.kubernetes.io/zone", 5)]
}
