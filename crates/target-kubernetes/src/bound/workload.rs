//! What keeps replicas, at rest.
//!
//! Knows: by owners, selectors and templates, whose pods they are, which services they stand behind, which budgets they
//! draw on. No kind is known by name but those that watch others: services, budgets, autoscalers, quotas.
//! Does not know: what is done to it.

use cluster::{Cluster, ObjectKey, Value, labels};

use crate::effect::availability::ready_in;
use crate::effect::ledger::replica_of;
use crate::effect::privilege::on_the_node;
use crate::effect::upkeep;
use crate::twin::above;

const BUDGETS: &str = "poddisruptionbudgets.policy";
const AUTOSCALERS: &str = "horizontalpodautoscalers.autoscaling";
/// What stages how simulated pods behave; such pods are played.
const STAGED: &str = "twin.lazaret.dev/";
/// Beyond so many endpoints a service has several slices.
const SLICE_MAX: u64 = 100;

/// Whatever keeps replicas that stand in for each other, with all of them there and ready.
pub(super) struct Workload<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) key: ObjectKey,
    pub(super) object: &'a Value,
    pub(super) wanted: u64,
    /// All of them, its own or of what it keeps them with.
    pub(super) pods: Vec<(&'a ObjectKey, &'a Value)>,
    /// What it keeps them with, past ones included; empty if it keeps them itself.
    pub(super) sets: Vec<(&'a ObjectKey, &'a Value)>,
    /// The services that they stand behind.
    pub(super) services: Vec<Before<'a>>,
    /// The budgets that they draw on.
    pub(super) budgets: Vec<(&'a ObjectKey, &'a Value)>,
}

/// A service, at rest.
pub(super) struct Before<'a> {
    pub(super) key: ObjectKey,
    pub(super) object: &'a Value,
    pub(super) ready: u64,
}

impl<'a> Workload<'a> {
    /// `None` if anything about it is under way, staged, or anybody's else to decide.
    pub(super) fn at_rest(cluster: &'a Cluster, key: &ObjectKey, object: &'a Value) -> Option<Self> {
        let wanted = u64::try_from(object.at(&["spec", "replicas"]).as_int()?).ok().filter(|wanted| *wanted > 0)?;
        let template = object.find(&["spec", "template"])?;
        let free =
            object.controller().is_none() && !object.is_terminating() && !object.at(&["spec", "paused"]).is_true();
        if !free || !has_settled(object, wanted) || is_staged(template) || is_scaled(cluster, key, object) {
            return None;
        }
        let (mut pods, mut sets) = (Vec::new(), Vec::new());
        for (child_key, child) in children(cluster, object) {
            if child_key.is("pods") {
                pods.push((child_key, child));
                continue;
            }
            replica_of(child)?;
            let own = u64::try_from(child.at(&["spec", "replicas"]).as_int()?).ok()?;
            if own > 0 && !has_settled(child, own) {
                return None;
            }
            sets.push((child_key, child));
            pods.extend(children(cluster, child).filter(|(key, _)| key.is("pods")));
        }
        // Several sets with replicas of their own are a rollout under way.
        let keeping = sets.iter().filter(|(_, set)| set.at(&["spec", "replicas"]).as_int() != Some(0)).count();
        let whole = u64::try_from(pods.len()) == Ok(wanted) && pods.iter().all(|(_, pod)| is_well(pod));
        if keeping > 1 || !whole || has_strays(cluster, key, object) {
            return None;
        }
        let (shown, _) = pods.first()?;
        let namespace = shown.namespace.as_str();
        let services = services(cluster, namespace, &pods, template)?;
        let mut budgets = Vec::new();
        for (budget_key, budget) in cluster.list(BUDGETS, Some(namespace)) {
            if is_meant(&pods, template, |labels| labels::matches(budget.at(&["spec", "selector"]), labels))? {
                budgets.push((budget_key, budget));
            }
        }
        if !budgets.iter().all(|(_, budget)| is_counted(budget)) {
            return None;
        }
        Some(Self { cluster, key: key.clone(), object, wanted, pods, sets, services, budgets })
    }

    /// Whatever an interchangeable pod belongs to, at the top of its owners, if it is at rest.
    pub(super) fn of_pod(cluster: &'a Cluster, key: &ObjectKey) -> Option<Self> {
        let set = above(cluster, key)?;
        let top = above(cluster, &set).unwrap_or(set);
        Self::at_rest(cluster, &top, cluster.get(&top)?)
    }

    /// The template of its pods.
    pub(super) fn template(&self) -> &'a Value {
        self.object.at(&["spec", "template"])
    }

    /// Nodes with room for so many more of its pods, each of which the API server would take; none if that is not certain.
    /// `template` is what they are made of.
    pub(super) fn room(&self, template: &Value, count: u64) -> Option<Vec<String>> {
        let quotas = self.cluster.list("resourcequotas", Some(&self.key.namespace)).next().is_some();
        if quotas || upkeep::refusal(self.cluster, &self.key, template).is_some() || !self.has_all(template) {
            return None;
        }
        let mut pod = (*self.pods.first()?.1).clone();
        pod.remove(&["spec", "nodeName"]);
        let nodes = self.cluster.room_for(&pod, count)?;
        Some(nodes.iter().map(ToString::to_string).collect())
    }

    /// Whether everything is there that its pods name: what runs has it already, and what starts may not find it any more.
    fn has_all(&self, template: &Value) -> bool {
        let mut named = Vec::new();
        references(template.at(&["spec"]), &mut named);
        named.iter().all(|(resource, name)| self.cluster.get(&self.key.beside(*resource, *name)).is_some())
    }
}

/// ConfigMaps and Secrets that are named anywhere in a document.
fn references<'v>(value: &'v Value, found: &mut Vec<(&'static str, &'v str)>) {
    for (field, inner) in value.entries() {
        let (resource, name) = match field.as_str() {
            "configMap" | "configMapRef" | "configMapKeyRef" => ("configmaps", inner.at(&["name"])),
            "secretRef" | "secretKeyRef" => ("secrets", inner.at(&["name"])),
            "secret" if inner.get("secretName").is_some() => ("secrets", inner.at(&["secretName"])),
            "secret" => ("secrets", inner.at(&["name"])),
            "serviceAccountName" => ("serviceaccounts", inner),
            _ => {
                references(inner, found);
                continue;
            }
        };
        if let Some(name) = name.as_str().filter(|name| !name.is_empty()) {
            found.push((resource, name));
        }
    }
    for inner in value.items() {
        references(inner, found);
    }
}

/// What an object is the controller of.
fn children<'a>(cluster: &'a Cluster, owner: &Value) -> impl Iterator<Item = (&'a ObjectKey, &'a Value)> {
    let uid = owner.uid();
    let mine = |(_, child): &(&ObjectKey, &Value)| child.controller().is_some_and(|owner| owner.uid() == uid);
    cluster.dependents(uid).filter(mine).collect::<Vec<_>>().into_iter()
}

/// Whether its own status says that all is as it is asked for.
fn has_settled(object: &Value, wanted: u64) -> bool {
    let status = |field: &str| object.at(&["status", field]).as_int();
    let wanted = i64::try_from(wanted).ok();
    let rolls = object.find(&["spec", "strategy"]).is_some();
    status("observedGeneration") == Some(object.generation())
        && status("replicas") == wanted
        && status("readyReplicas") == wanted
        && status("availableReplicas") == wanted
        && (!rolls || status("updatedReplicas") == wanted)
        && status("unavailableReplicas").unwrap_or(0) == 0
        && status("terminatingReplicas").unwrap_or(0) == 0
}

/// A pod that is ready, stays, and stands in for any other of its set.
fn is_well(pod: &Value) -> bool {
    pod.condition_is_true("Ready")
        && pod.at(&["status", "phase"]) == "Running"
        && !pod.is_terminating()
        && pod.finalizers().next().is_none()
        && replica_of(pod).is_some()
        && !is_staged(pod)
        && on_the_node(pod).is_empty()
        && pod.annotation("cluster-autoscaler.kubernetes.io/safe-to-evict").is_none()
        && !pod.at(&["metadata", "annotations"]).entries().iter().any(|(key, _)| key.contains("deletion-cost"))
}

pub(super) fn is_staged(object: &Value) -> bool {
    object.at(&["metadata", "annotations"]).entries().iter().any(|(key, _)| key.starts_with(STAGED))
}

/// Whether an autoscaler decides how many there are.
fn is_scaled(cluster: &Cluster, key: &ObjectKey, object: &Value) -> bool {
    cluster.list(AUTOSCALERS, Some(&key.namespace)).any(|(_, scaler)| {
        let target = scaler.at(&["spec", "scaleTargetRef"]);
        target.at(&["name"]) == object.name() && target.at(&["kind"]) == object.kind()
    })
}

/// Whether anything without a controller could be taken for its own.
fn has_strays(cluster: &Cluster, key: &ObjectKey, object: &Value) -> bool {
    let selector = object.at(&["spec", "selector"]);
    ["pods", "replicasets.apps"]
        .iter()
        .flat_map(|resource| cluster.orphans(resource, &key.namespace))
        .any(|(_, stray)| labels::matches(selector, stray.labels()))
}

/// Whether a selector means a workload's pods. `None` if it makes a difference between them, or between them and the next
/// pod of the template: each also has a set's hash on it, and where its node stands.
fn is_meant(pods: &[(&ObjectKey, &Value)], template: &Value, selects: impl Fn(&Value) -> bool) -> Option<bool> {
    let meant = selects(template.labels());
    pods.iter().all(|(_, pod)| selects(pod.labels()) == meant).then_some(meant)
}

/// The services that pods stand behind. `None` if one of them is not as its pods are.
fn services<'a>(
    cluster: &'a Cluster,
    namespace: &'a str,
    pods: &[(&ObjectKey, &Value)],
    template: &Value,
) -> Option<Vec<Before<'a>>> {
    let mut found = Vec::new();
    for (key, object) in cluster.list("services", Some(namespace)) {
        let selector = object.at(&["spec", "selector"]);
        let selects = |labels: &Value| !selector.is_empty() && labels::matches_map(selector, labels);
        if !is_meant(pods, template, selects)? || object.at(&["spec", "type"]) == "ExternalName" {
            continue;
        }
        let pods = cluster.list("pods", Some(namespace)).filter(|(_, pod)| selects(pod.labels()));
        let ready = pods.filter(|(_, pod)| pod.condition_is_true("Ready") && !pod.is_terminating()).count() as u64;
        let plain = !object.at(&["spec", "publishNotReadyAddresses"]).is_true() && ready < SLICE_MAX;
        if !plain || ready_in(cluster, namespace, &key.name) != ready {
            return None;
        }
        found.push(Before { key: key.clone(), object, ready });
    }
    Some(found)
}

/// Whether a budget's status is that of its spec, so that sums over it hold.
fn is_counted(budget: &Value) -> bool {
    budget.at(&["status", "observedGeneration"]).as_int() == Some(budget.generation())
        && budget.at(&["status", "currentHealthy"]).as_int() == budget.at(&["status", "expectedPods"]).as_int()
}
