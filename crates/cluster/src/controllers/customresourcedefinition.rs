//! What becomes of a custom resource definition, as the controllers inside the API server see to it.
//!
//! Knows: when its names are accepted, and that its objects go before it does.
//! Does not know: how its objects are served; the registry tells the schema.

use super::client::Client;
use super::{Controller, Next};
use crate::apiserver::registry::definitions::{CLEANUP, RESOURCE};
use crate::apiserver::registry::{Deletion, set_condition};
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;

const CLIENT: Client = Client { name: "kube-apiserver", program: "kube-apiserver" };

/// Establishes definitions, and empties them before they go.
pub(super) struct Definitions;

impl Controller for Definitions {
    fn name(&self) -> &'static str {
        "customresourcedefinition-controller"
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if change.key.is(RESOURCE) {
            look(change.key.clone());
        } else if change.after.is_none() {
            // A definition's name is the resource of its objects: it may have waited for this one to go.
            let definition = ObjectKey::new(RESOURCE, "", change.key.resource.clone());
            if cluster.get(&definition).is_some_and(Value::is_terminating) {
                look(definition);
            }
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(definition) = cluster.get(key).cloned() else { return Next::Done };
        if definition.is_terminating() {
            empty(cluster, key, &definition);
        } else {
            establish(cluster, key, &definition);
        }
        Next::Done
    }
}

fn establish(cluster: &mut Cluster, key: &ObjectKey, definition: &Value) {
    let names = definition.at(&["spec", "names"]);
    if definition.at(&["status", "acceptedNames"]) == names && definition.condition_is_true("Established") {
        return;
    }
    let now = time::format(cluster.now());
    let _ = CLIENT.update_status(cluster, key, |object| {
        object.set(&["status", "acceptedNames"], names);
        set_condition(
            object,
            &now,
            doc!({
                "type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found",
            }),
        );
        set_condition(
            object,
            &now,
            doc!({
                "type": "Established", "status": "True", "reason": "InitialNamesAccepted",
                "message": "the initial names have been accepted",
            }),
        );
    });
}

fn empty(cluster: &mut Cluster, key: &ObjectKey, definition: &Value) {
    if !definition.finalizers().any(|finalizer| finalizer == CLEANUP) {
        return;
    }
    let objects: Vec<(ObjectKey, bool)> =
        cluster.list(&key.name, None).map(|(key, object)| (key.clone(), object.is_terminating())).collect();
    for (object, going) in &objects {
        if !going {
            let _ = CLIENT.delete(cluster, object, &Deletion::default());
        }
    }
    if cluster.list(&key.name, None).next().is_some() {
        return; // finalizers hold the rest: whoever takes the last one away wakes us
    }
    let _ = CLIENT.update(cluster, key, |object| {
        let kept: Vec<Value> = object.finalizers().filter(|finalizer| *finalizer != CLEANUP).map(Value::from).collect();
        if kept.is_empty() {
            object.remove(&["metadata", "finalizers"]);
        } else {
            object.set(&["metadata", "finalizers"], kept);
        }
    });
}
