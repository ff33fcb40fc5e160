//! What becomes of a custom resource definition, as the controllers inside the API server see to it.
//!
//! Knows: when its names are accepted, and that its objects go before it does.
//! Does not know: how its objects are served; the registry tells the schema.

use super::client::Client;
use super::{Controller, Next};
use crate::apiserver::registry::definitions::{CLEANUP, RESOURCE, conflict};
use crate::apiserver::registry::{Deletion, set_condition};
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;

const CLIENT: Client = Client { name: "kube-apiserver", source: "kube-apiserver", program: "kube-apiserver" };

/// Establishes definitions, and empties them before they go.
pub(super) struct Definitions;

impl Controller for Definitions {
    fn name(&self) -> &'static str {
        "customresourcedefinition-controller"
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if change.key.is(RESOURCE) {
            look(change.key.clone());
            // What one gives up, another may have waited for.
            let refused = |(_, other): &(&ObjectKey, &Value)| {
                other.condition("NamesAccepted").is_some_and(|condition| *condition.at(&["status"]) == "False")
            };
            cluster.list(RESOURCE, None).filter(refused).for_each(|(key, _)| look(key.clone()));
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
    let established = definition.condition_is_true("Established");
    let conflict = conflict(cluster, definition);
    let accepted = match &conflict {
        None => doc!({
            "type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found",
        }),
        Some((reason, message)) => doc!({
            "type": "NamesAccepted", "status": "False", "reason": (*reason), "message": (message),
        }),
    };
    // What is served once stays so, whatever its names become.
    let serves = match &conflict {
        Some(_) if established => definition.condition("Established").cloned().unwrap_or_default(),
        None => doc!({
            "type": "Established", "status": "True", "reason": "InitialNamesAccepted",
            "message": "the initial names have been accepted",
        }),
        Some(_) => doc!({
            "type": "Established", "status": "False", "reason": "NotAccepted", "message": "not all names are accepted",
        }),
    };
    let now = time::format(cluster.now());
    let mut wanted = definition.clone();
    if conflict.is_none() {
        wanted.set(&["status", "acceptedNames"], names);
    }
    set_condition(&mut wanted, &now, accepted);
    set_condition(&mut wanted, &now, serves);
    if wanted != *definition {
        let _ = CLIENT.update_status(cluster, key, |object| object.set(&["status"], wanted.at(&["status"])));
    }
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
