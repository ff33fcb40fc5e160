//! The namespace controller: a namespace that goes takes all it holds with it.
//!
//! Knows: `pkg/controller/namespace`: pods first, then everything; what is left is told in conditions. It looks some seconds
//! after a change; the real one, which is not told of what goes, looks again after about as long.
//! Does not know: why it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::apiserver::registry::{self, Deletion};
use crate::cluster::{Change, Cluster};
use crate::controllers::client::Client;
use crate::controllers::{Controller, Next, set_alarm};
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::{Text, Value};

/// Empties namespaces.
pub(crate) struct Namespaces;

const CLIENT: Client = Client::controller("namespace-controller");
const FINALIZER: &str = "kubernetes";
/// From a change until it looks.
const GRACE: Duration = Duration::from_secs(5);

impl Controller for Namespaces {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if change.key.is("namespaces") {
            if change.after.as_ref().is_some_and(Value::is_terminating) {
                look(change.key.clone());
            }
        } else if !change.key.namespace.is_empty() {
            let finalizers = |object: &Option<Value>| object.as_ref().map_or(0, |object| object.finalizers().count());
            let nearer = change.after.is_none() || finalizers(&change.before) != finalizers(&change.after);
            let namespace = ObjectKey::new("namespaces", "", change.key.namespace.clone());
            if nearer && cluster.get(&namespace).is_some_and(Value::is_terminating) {
                look(namespace);
            }
        }
    }

    /// It does not look at once: whoever was told late that the namespace goes may still be making something in it.
    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        set_alarm(cluster, CLIENT.name, key, "empty", GRACE);
        Next::Done
    }

    fn ring(&self, cluster: &mut Cluster, key: &ObjectKey, _: &str) -> Next {
        let Some(namespace) = cluster.get(key).cloned() else { return Next::Done };
        let empties = namespace.at(&["spec", "finalizers"]).items().iter().any(|finalizer| *finalizer == FINALIZER);
        if !namespace.is_terminating() || !empties {
            return Next::Done;
        }
        if namespace.at(&["status", "phase"]) != "Terminating" {
            let _ = CLIENT.update_status(cluster, key, |namespace| namespace.set(&["status", "phase"], "Terminating"));
        }
        // Pods go before what they use: whoever guards something with a finalizer may need them gone.
        let pods = ["pods".into()];
        delete_all(cluster, &key.name, &pods);
        let mut left = left(cluster, &key.name, &pods);
        if left.is_empty() {
            let resources = resources(cluster);
            delete_all(cluster, &key.name, &resources);
            left = self::left(cluster, &key.name, &resources);
        }
        if left.is_empty() {
            finalize(cluster, key);
        } else {
            tell(cluster, key, &left);
        }
        Next::Done
    }
}

/// Every resource that lives in namespaces.
fn resources(cluster: &Cluster) -> Vec<Text> {
    let namespaced = cluster.schema.resources().filter(|resource| resource.namespaced);
    let resources: BTreeSet<Text> = namespaced.map(|resource| resource.storage.resource.clone()).collect();
    resources.into_iter().collect()
}

fn delete_all(cluster: &mut Cluster, namespace: &str, resources: &[Text]) {
    let deletion = Deletion { propagation: Some("Background".to_owned()), ..Deletion::default() };
    for resource in resources {
        let alive = cluster.list(resource, Some(namespace)).filter(|(_, object)| !object.is_terminating());
        let keys: Vec<ObjectKey> = alive.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let _ = CLIENT.delete(cluster, &key, &deletion);
        }
    }
}

/// What is left: by resource, how many, and by finalizer, how many.
#[derive(Default)]
struct Left {
    objects: BTreeMap<Text, usize>,
    finalizers: BTreeMap<Text, usize>,
}

impl Left {
    fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

fn left(cluster: &Cluster, namespace: &str, resources: &[Text]) -> Left {
    let mut left = Left::default();
    for resource in resources {
        for (key, object) in cluster.list(resource, Some(namespace)) {
            // The plural and the group, as discovery prints them.
            let name =
                if key.resource.contains('.') { key.resource.clone() } else { arcstr::format!("{}.", key.resource) };
            *left.objects.entry(name).or_default() += 1;
            for finalizer in object.finalizers() {
                *left.finalizers.entry(Text::from(finalizer)).or_default() += 1;
            }
        }
    }
    left
}

fn finalize(cluster: &mut Cluster, key: &ObjectKey) {
    let Some(mut namespace) = cluster.get(key).cloned() else { return };
    let kept: Vec<Value> =
        namespace.at(&["spec", "finalizers"]).items().iter().filter(|have| **have != FINALIZER).cloned().collect();
    namespace.set(&["spec", "finalizers"], kept);
    let gone = registry::is_done(key, &namespace);
    // As `namespaces/finalize` does: no other write may touch this field.
    cluster.write(key, (!gone).then_some(namespace));
}

fn tell(cluster: &mut Cluster, key: &ObjectKey, left: &Left) {
    let now = time::format(cluster.now());
    let listed = |counts: &BTreeMap<Text, usize>, what: &str| {
        let parts: Vec<String> =
            counts.iter().map(|(name, count)| format!("{name} {what} {count} resource instances")).collect();
        parts.join(", ")
    };
    let finalizers = if left.finalizers.is_empty() {
        ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned())
    } else {
        let message =
            format!("Some content in the namespace has finalizers remaining: {}", listed(&left.finalizers, "in"));
        ("True", "SomeFinalizersRemain", message)
    };
    let remaining = format!("Some resources are remaining: {}", listed(&left.objects, "has"));
    let conditions = [
        (
            "NamespaceDeletionDiscoveryFailure",
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered".to_owned(),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".to_owned(),
        ),
        (
            "NamespaceDeletionContentFailure",
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned(),
        ),
        ("NamespaceContentRemaining", "True", "SomeResourcesRemain", remaining),
        ("NamespaceFinalizersRemaining", finalizers.0, finalizers.1, finalizers.2),
    ];
    let _ = CLIENT.update_status(cluster, key, |namespace| {
        for (kind, status, reason, message) in conditions {
            let condition = doc!({"type": (kind), "status": (status), "reason": (reason), "message": (message)});
            registry::set_condition(namespace, &now, condition);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, create, delete, edit, pod, story};

    fn reasons(namespace: &Value) -> String {
        let conditions = namespace.at(&["status", "conditions"]).items().iter();
        let true_ones = conditions.filter(|condition| condition.at(&["status"]) == "True");
        let messages: Vec<&str> = true_ones.filter_map(|condition| condition.at(&["message"]).as_str()).collect();
        messages.join("; ")
    }

    #[test]
    fn a_namespace_goes_when_its_pods_have_stopped_and_what_they_use_has_gone() {
        let mut cluster = cluster(&["4"]);
        create(
            &mut cluster,
            "configmaps",
            doc!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}}),
        );
        create(&mut cluster, "pods", pod("a"));
        cluster.advance(cluster.now() + std::time::Duration::from_secs(5));
        delete(&mut cluster, "namespaces", "", "shop", None);
        let told = story(&mut cluster, 60, "namespaces", reasons);
        assert_eq!(
            told,
            ["10000 shop: Some resources are remaining: pods. has 1 resource instances", "15000 shop: gone",]
        );
        assert_eq!(cluster.list("configmaps", Some("shop")).count(), 0);
    }

    #[test]
    fn a_finalizer_in_a_namespace_holds_it_and_is_named() {
        let mut cluster = cluster(&["4"]);
        let held = doc!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop", "finalizers": ["example.com/hold"]}});
        create(&mut cluster, "configmaps", held);
        delete(&mut cluster, "namespaces", "", "shop", None);
        let told = story(&mut cluster, 60, "namespaces", reasons);
        assert_eq!(
            told,
            [
                "5000 shop: Some resources are remaining: configmaps. has 1 resource instances; Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
            ]
        );
        edit(&mut cluster, "configmaps", "shop", "c", |map| {
            map.remove(&["metadata", "finalizers"]);
        });
        delete(&mut cluster, "configmaps", "shop", "c", None);
        assert_eq!(story(&mut cluster, 60, "namespaces", reasons), ["65000 shop: gone"]);
    }
}
