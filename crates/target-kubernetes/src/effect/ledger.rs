//! What each object was and became.
//!
//! Knows: the log of a run, and which fields tell nobody anything.
//! Does not know: what a kind's fields mean.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Change, Cluster, ObjectKey, Value};
use model::{Digest, FieldChange, Manner, ObjectRef, Objects};

/// What is written in an object by every write, and says nothing.
const VOLATILE: &[&str] = &["resourceVersion", "generation", "managedFields", "uid", "creationTimestamp"];

/// What is written by parts of the cluster for people or for themselves, and changes nothing for anybody.
const NOISE: &[&str] = &["events", "events.events.k8s.io", "leases.coordination.k8s.io"];

/// How many differing fields of one object are told.
const FIELDS_MAX: usize = 40;

/// The log of a run, and what it comes to.
pub(crate) struct Ledger<'a> {
    /// The cluster that the action came to.
    pub(crate) before: &'a Cluster,
    /// What became of it.
    pub(crate) after: &'a Cluster,
    /// Every change, oldest first.
    pub(crate) changes: Vec<&'a Change>,
    net: BTreeMap<&'a ObjectKey, Net<'a>>,
}

/// What one object was and became. An object that came and went is both nothing before and nothing after.
#[derive(Clone, Copy)]
pub(crate) struct Net<'a> {
    pub(crate) before: Option<&'a Value>,
    pub(crate) after: Option<&'a Value>,
}

impl Net<'_> {
    /// It was there, and is not, or is another of the same name.
    pub(crate) fn is_deletion(&self) -> bool {
        match (self.before, self.after) {
            (Some(_), None) => true,
            (Some(before), Some(after)) => before.uid() != after.uid(),
            _ => false,
        }
    }

    /// It is on its way out, and was not before.
    pub(crate) fn begins_to_terminate(&self) -> bool {
        self.after.is_some_and(Value::is_terminating) && !self.before.is_some_and(Value::is_terminating)
    }

    fn manner(&self) -> Option<Manner> {
        match (self.before, self.after) {
            (None, None) => None,
            (None, Some(_)) => Some(Manner::Created),
            (Some(_), None) => Some(Manner::Deleted),
            (Some(_), Some(_)) if self.is_deletion() => Some(Manner::Deleted),
            (Some(_), Some(_)) if self.begins_to_terminate() => Some(Manner::Deleted),
            (Some(before), Some(after)) => (meaning(before) != meaning(after)).then_some(Manner::Changed),
        }
    }
}

impl<'a> Ledger<'a> {
    /// Reads the log of `after` from where `before` stands. What a request names is never noise.
    pub(crate) fn between(
        before: &'a Cluster,
        after: &'a Cluster,
        named: &BTreeSet<ObjectKey>,
    ) -> Result<Self, impl std::fmt::Display + use<'a>> {
        let heard = |change: &&Change| named.contains(&change.key) || !NOISE.contains(&change.key.resource.as_str());
        let changes: Vec<&Change> = match after.changes_since(before.version()) {
            Ok(changes) => changes.filter(heard).collect(),
            Err(compacted) => return Err(compacted),
        };
        let mut net: BTreeMap<&ObjectKey, Net<'a>> = BTreeMap::new();
        for change in &changes {
            net.entry(&change.key)
                .and_modify(|net| net.after = change.after.as_ref())
                .or_insert(Net { before: change.before.as_ref(), after: change.after.as_ref() });
        }
        Ok(Self { before, after, changes, net })
    }

    /// Whether nothing happened.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What each touched object was and became.
    pub(crate) fn net(&self) -> impl Iterator<Item = (&'a ObjectKey, &Net<'a>)> {
        self.net.iter().map(|(key, net)| (*key, net))
    }

    /// The touched objects of one resource.
    pub(crate) fn of<'s>(&'s self, resource: &'s str) -> impl Iterator<Item = (&'a ObjectKey, &'s Net<'a>)> {
        self.net.iter().filter(move |(key, _)| key.is(resource)).map(|(key, net)| (*key, net))
    }

    /// The objects that are created, changed or deleted in what they mean, as people name them.
    pub(crate) fn objects(&self, named: &BTreeSet<ObjectKey>) -> Objects {
        let mut objects = Objects::default();
        for (key, net) in self.net() {
            let Some(manner) = net.manner() else { continue };
            let Some(shown) = net.before.or(net.after) else { continue };
            let mut change = model::Change::new(manner);
            change.named = named.contains(key);
            change.replica_of = replica_of(shown);
            change.before = net.before.map(digest);
            change.after = net.after.map(digest);
            for (label, value) in shown.labels().entries() {
                change.labels.insert(label.to_string(), value.str_or_empty().to_owned());
            }
            if net.before.is_some_and(|object| is_idle(self.before, key, object)) {
                change.facts.insert("idle".to_owned(), true.into());
            }
            if named.contains(key)
                && manner != Manner::Created
                && net.before.is_some_and(|object| is_critical(key, object))
            {
                change.facts.insert("critical".to_owned(), true.into());
            }
            if let (Manner::Changed, Some(before), Some(after)) = (manner, net.before, net.after) {
                differences(&meaning(before), &meaning(after), String::new(), key.is("secrets"), &mut change.fields);
            }
            objects.insert(reference(key, shown), change);
        }
        objects
    }
}

/// An object as people name it: `Deployment/shop/cart`.
pub(crate) fn reference(key: &ObjectKey, object: &Value) -> ObjectRef {
    let namespace = (!key.namespace.is_empty()).then_some(key.namespace.as_str());
    ObjectRef::new(object.kind(), namespace, key.name.as_str())
}

/// What nothing stands on, as far as the cluster shows.
fn is_idle(cluster: &Cluster, key: &ObjectKey, object: &Value) -> bool {
    let all = |resource| cluster.list(resource, None).map(|(_, object)| object);
    let named = |object: &Value, path: &[&str]| *object.at(path) == *key.name;
    let is_default = |note| object.annotation(note) == Some("true");
    match key.resource.as_str() {
        "nodes" => is_idle_node(cluster, object),
        // Nobody answers there: whoever asks is told so already.
        "apiservices.apiregistration.k8s.io" => object.at(&["spec"]).get("service").is_some_and(|service| {
            let text = |field| service.at(&[field]).str_or_empty();
            super::availability::ready_in(cluster, text("namespace"), text("name")) == 0
        }),
        "priorityclasses.scheduling.k8s.io" => {
            let of = |(_, _, template): (_, _, &Value)| named(template, &["spec", "priorityClassName"]);
            !object.at(&["globalDefault"]).is_true() && !super::templates::workloads(cluster, None).any(of)
        }
        "storageclasses.storage.k8s.io" => {
            let claims = all("persistentvolumeclaims").chain(all("persistentvolumes"));
            let templates = all("statefulsets.apps").flat_map(|set| set.at(&["spec", "volumeClaimTemplates"]).items());
            !is_default("storageclass.kubernetes.io/is-default-class")
                && !claims.chain(templates).any(|claim| named(claim, &["spec", "storageClassName"]))
        }
        "ingressclasses.networking.k8s.io" => {
            !is_default("ingressclass.kubernetes.io/is-default-class")
                && !all("ingresses.networking.k8s.io").any(|ingress| named(ingress, &["spec", "ingressClassName"]))
        }
        "csidrivers.storage.k8s.io" => {
            let provides = all("storageclasses.storage.k8s.io").any(|class| named(class, &["provisioner"]));
            !provides && !all("persistentvolumes").any(|volume| named(volume, &["spec", "csi", "driver"]))
        }
        _ => false,
    }
}

/// A node that takes nothing new and runs nothing that would have to go elsewhere: what every node has of a daemon's pods
/// goes with it.
fn is_idle_node(cluster: &Cluster, node: &Value) -> bool {
    let moves = |pod: &Value| {
        let over = matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed");
        let stays = pod.controller().is_some_and(|owner| matches!(owner.kind(), "DaemonSet" | "Node"));
        !over && !stays
    };
    node.at(&["spec", "unschedulable"]).is_true() && !cluster.pods_on(node.name()).any(|(_, pod)| moves(pod))
}

/// What calls itself a part of its machine or of the cluster.
fn is_critical(key: &ObjectKey, object: &Value) -> bool {
    let class =
        super::templates::template(&key.resource, object).map(|template| template.at(&["spec", "priorityClassName"]));
    class.is_some_and(|class| class.str_or_empty().starts_with("system-"))
}

/// Whose interchangeable replica an object is. Pods of a ReplicaSet, DaemonSet or Job stand in for each other; those of a
/// StatefulSet have names and volumes of their own, and do not.
pub(crate) fn replica_of(object: &Value) -> Option<ObjectRef> {
    let owner = object.controller()?;
    let interchangeable = match object.kind() {
        "Pod" => owner.kind() != "StatefulSet",
        "EndpointSlice" | "ReplicaSet" | "ControllerRevision" => true,
        _ => false,
    };
    interchangeable.then(|| ObjectRef::new(owner.kind(), Some(object.namespace()), owner.name()))
}

/// An object without what every write changes, and without its status, which only says what the rest led to.
pub(crate) fn meaning(object: &Value) -> Value {
    let mut shown = object.clone();
    shown.remove(&["status"]);
    if let Some(metadata) = shown.find_mut(&["metadata"]).and_then(Value::as_object_mut) {
        for field in VOLATILE {
            metadata.remove(field);
        }
    }
    // Data that pods write back about themselves is status by another name.
    if object.kind() == "EndpointSlice" {
        shown.remove(&["endpoints"]);
        shown.remove(&["metadata", "annotations"]);
    }
    shown
}

fn digest(object: &Value) -> Digest {
    Digest::of(&meaning(object))
}

fn differences(before: &Value, after: &Value, path: String, secret: bool, found: &mut Vec<FieldChange>) {
    if before == after || found.len() >= FIELDS_MAX {
        return;
    }
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else {
        let hidden = secret && (path.starts_with("data") || path.starts_with("stringData"));
        let show = |value: &Value| match value {
            Value::Null => serde_json::Value::Null,
            _ if hidden => serde_json::json!(Digest::of(value)),
            _ => serde_json::to_value(value).unwrap_or_default(),
        };
        found.push(FieldChange { path, before: show(before), after: show(after) });
        return;
    };
    let keys: BTreeSet<&str> = old.keys().chain(new.keys()).map(|key| key.as_str()).collect();
    for key in keys {
        let below = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        let side = |map: &'_ cluster::Map| map.get(key).cloned().unwrap_or_default();
        differences(&side(old), &side(new), below, secret, found);
    }
}
