//! The garbage collector: what nobody owns any more goes after its owner.
//!
//! Knows: `pkg/controller/garbagecollector`; owners, and the finalizers `foregroundDeletion` and `orphan`.
//! Does not know: any kind.
//!
//! It looks at what lost an owner here or was given one here. What a snapshot shows with an owner that it does not show is
//! left alone: the owner may be of a kind that the snapshot leaves out.

use super::client::Client;
use super::{Controller, Next};
use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::object::{ObjectKey, Owner};
use crate::schema::split_api_version;
use crate::value::Value;

const CLIENT: Client = Client::controller("generic-garbage-collector").telling_as("garbage-collector-controller");
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// The collector.
pub(super) struct Garbage;

impl Controller for Garbage {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        let owners = |object: Option<&Value>| object.map(|object| object.at(&["metadata", "ownerReferences"]).clone());
        match (&change.before, &change.after) {
            (before, Some(after)) => {
                let told = !before.as_ref().is_some_and(Value::is_terminating) && after.is_terminating();
                let given = after.owners().next().is_some() && owners(before.as_ref()) != owners(Some(after));
                let changed = before.as_ref().is_some_and(|before| !before.finalizers().eq(after.finalizers()));
                if given || (after.is_terminating() && (told || changed) && waits(after)) {
                    look(change.key.clone());
                }
            }
            (Some(before), None) => {
                cluster.dependents(before.uid()).for_each(|(key, _)| look(key.clone()));
                for owner in before.owners() {
                    // Whoever goes in the foreground may have waited for this one.
                    if let Some(key) = key_of(cluster, &change.key, owner)
                        && cluster.get(&key).is_some_and(|owner| owner.is_terminating() && waits(owner))
                    {
                        look(key);
                    }
                }
            }
            (None, None) => {}
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(object) = cluster.get(key).cloned() else { return Next::Done };
        if object.is_terminating() {
            let has = |finalizer: &str| object.finalizers().any(|have| have == finalizer);
            if has(ORPHAN) {
                orphan_dependents(cluster, key, &object);
            } else if has(FOREGROUND) {
                delete_dependents_first(cluster, key, &object);
            }
            return Next::Done;
        }
        collect(cluster, key, &object);
        Next::Done
    }
}

fn waits(object: &Value) -> bool {
    object.finalizers().any(|finalizer| matches!(finalizer, FOREGROUND | ORPHAN))
}

/// Where an owner would be: beside what it owns, or in no namespace. `None` if its kind is not known.
fn key_of(cluster: &Cluster, dependent: &ObjectKey, owner: Owner<'_>) -> Option<ObjectKey> {
    let (group, version) = split_api_version(owner.api_version());
    let schema = &cluster.schema;
    let kind =
        schema.by_kind(group, version, owner.kind()).or_else(|| schema.preferred_by_kind(group, owner.kind()))?;
    let namespace = if kind.namespaced { dependent.namespace.clone() } else { "".into() };
    Some(ObjectKey::new(kind.id(), namespace, owner.name()))
}

/// What is left of the owners of an object.
#[derive(Default)]
struct Owners {
    /// Some are there, or cannot be told.
    solid: usize,
    /// Some wait, in their foreground deletion, for this object.
    waiting: usize,
    /// uids of those that are gone.
    gone: Vec<String>,
}

fn owners(cluster: &Cluster, key: &ObjectKey, object: &Value) -> Owners {
    let mut found = Owners::default();
    for reference in object.owners() {
        let Some(owner_key) = key_of(cluster, key, reference) else {
            found.solid += 1;
            continue;
        };
        // A cluster-scoped object cannot have an owner in a namespace: the real collector only warns of it.
        let misplaced = key.namespace.is_empty()
            && cluster.schema.stored(&owner_key.resource).is_some_and(|resource| resource.namespaced);
        match cluster.get(&owner_key).filter(|owner| owner.uid() == reference.uid()) {
            Some(owner) if owner.is_terminating() && owner.finalizers().any(|name| name == FOREGROUND) => {
                found.waiting += 1;
            }
            Some(_) => found.solid += 1,
            None if misplaced => found.solid += 1,
            None => found.gone.push(reference.uid().to_owned()),
        }
    }
    found
}

/// Deletes an object that has owners no more, or takes those that are gone off its list.
fn collect(cluster: &mut Cluster, key: &ObjectKey, object: &Value) {
    let owners = owners(cluster, key, object);
    if owners.gone.is_empty() && owners.waiting == 0 {
        return;
    }
    if owners.solid > 0 {
        let mut gone = owners.gone;
        if owners.waiting > 0 {
            // With another owner left, it does not go with the one that waits for it.
            gone.extend(object.owners().filter(|owner| is_waiting(cluster, key, *owner)).map(|it| it.uid().to_owned()));
        }
        disown(cluster, key, &gone);
        return;
    }
    let has_dependents = cluster.dependents(object.uid()).next().is_some();
    let propagation = if owners.waiting > 0 && has_dependents { "Foreground" } else { own_policy(object) };
    let deletion = Deletion {
        uid: Some(object.uid().to_owned()),
        propagation: Some(propagation.to_owned()),
        ..Deletion::default()
    };
    let _ = CLIENT.delete(cluster, key, &deletion);
}

fn is_waiting(cluster: &Cluster, key: &ObjectKey, owner: Owner<'_>) -> bool {
    let found = key_of(cluster, key, owner).and_then(|key| cluster.get(&key));
    found.is_some_and(|found| found.uid() == owner.uid() && found.is_terminating() && waits(found))
}

/// How an object wants to go, as its finalizers say.
fn own_policy(object: &Value) -> &'static str {
    let has = |finalizer: &str| object.finalizers().any(|have| have == finalizer);
    if has(ORPHAN) {
        "Orphan"
    } else if has(FOREGROUND) {
        "Foreground"
    } else {
        "Background"
    }
}

fn disown(cluster: &mut Cluster, key: &ObjectKey, uids: &[String]) {
    let _ = CLIENT.update(cluster, key, |object| {
        let kept: Vec<Value> = object
            .at(&["metadata", "ownerReferences"])
            .items()
            .iter()
            .filter(|owner| !uids.iter().any(|uid| *owner.at(&["uid"]) == **uid))
            .cloned()
            .collect();
        if kept.is_empty() {
            object.remove(&["metadata", "ownerReferences"]);
        } else {
            object.set(&["metadata", "ownerReferences"], kept);
        }
    });
}

fn orphan_dependents(cluster: &mut Cluster, key: &ObjectKey, object: &Value) {
    let dependents: Vec<ObjectKey> = cluster.dependents(object.uid()).map(|(key, _)| key.clone()).collect();
    let uid = [object.uid().to_owned()];
    for dependent in dependents {
        disown(cluster, &dependent, &uid);
    }
    release(cluster, key, ORPHAN);
}

fn delete_dependents_first(cluster: &mut Cluster, key: &ObjectKey, object: &Value) {
    let dependents: Vec<(ObjectKey, bool)> = cluster
        .dependents(object.uid())
        .map(|(key, dependent)| {
            let blocks = dependent.owners().any(|owner| owner.uid() == object.uid() && owner.blocks_deletion());
            (key.clone(), blocks)
        })
        .collect();
    for (dependent, _) in &dependents {
        if let Some(found) = cluster.get(dependent).cloned().filter(|found| !found.is_terminating()) {
            collect(cluster, dependent, &found);
        }
    }
    let blocked = dependents.iter().any(|(key, blocks)| {
        *blocks && cluster.get(key).is_some_and(|found| found.owners().any(|owner| owner.uid() == object.uid()))
    });
    if !blocked {
        release(cluster, key, FOREGROUND);
    }
}

fn release(cluster: &mut Cluster, key: &ObjectKey, finalizer: &str) {
    remove_finalizer(cluster, CLIENT, key, finalizer);
}

/// Takes a finalizer off an object.
pub(super) fn remove_finalizer(cluster: &mut Cluster, client: Client, key: &ObjectKey, finalizer: &str) {
    let _ = client.update(cluster, key, |object| {
        let kept: Vec<Value> = object.finalizers().filter(|have| *have != finalizer).map(Value::from).collect();
        if kept.is_empty() {
            object.remove(&["metadata", "finalizers"]);
        } else {
            object.set(&["metadata", "finalizers"], kept);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;
    use crate::testing::{cluster, create, delete, story};

    /// A chain of ConfigMaps `a ◀ b ◀ c`.
    fn chain(blocks: bool) -> Cluster {
        let mut cluster = cluster(&[]);
        let mut owner: Option<Value> = None;
        for name in ["a", "b", "c"] {
            let mut map =
                doc!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": (name), "namespace": "shop"}});
            if let Some(owner) = &owner {
                map.set(
                    &["metadata", "ownerReferences"],
                    doc!([{
                        "apiVersion": "v1", "kind": "ConfigMap", "name": (owner.name()), "uid": (owner.uid()),
                        "blockOwnerDeletion": (blocks),
                    }]),
                );
            }
            owner = Some(create(&mut cluster, "configmaps", map));
        }
        story(&mut cluster, 1, "configmaps", |_| String::new());
        cluster
    }

    fn said(cluster: &mut Cluster) -> Vec<String> {
        let lines = story(cluster, 9, "configmaps", |map| {
            let owners = map.owners().count();
            format!("{}{}", map.finalizers().collect::<Vec<_>>().join(","), if owners == 0 { " free" } else { "" })
        });
        lines.iter().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect()
    }

    #[test]
    fn dependents_follow_their_owner_as_the_deletion_asks() {
        for (policy, want) in [
            ("Background", vec!["b: gone", "c: gone"]),
            ("Foreground", vec!["b: foregroundDeletion", "c: gone", "b: gone", "a: gone"]),
            ("Orphan", vec!["b:  free", "a: gone"]),
        ] {
            let mut cluster = chain(true);
            delete(&mut cluster, "configmaps", "shop", "a", Some(policy));
            let version = cluster.version();
            assert_eq!(said(&mut cluster), want, "{policy}");
            assert!(cluster.version() > version);
        }
    }

    #[test]
    fn an_owner_with_another_uid_or_in_another_namespace_is_none() {
        for (namespace, uid) in [("shop", "other"), ("default", "")] {
            let mut cluster = cluster(&[]);
            let owner =
                doc!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": (namespace)}});
            let owner = create(&mut cluster, "configmaps", owner);
            let uid = if uid.is_empty() { owner.uid() } else { uid };
            let reference = doc!({"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": (uid)});
            create(
                &mut cluster,
                "configmaps",
                doc!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": "b", "namespace": "shop", "ownerReferences": [(reference)]},
                }),
            );
            assert_eq!(said(&mut cluster), ["b: gone"]);
        }
    }
}
