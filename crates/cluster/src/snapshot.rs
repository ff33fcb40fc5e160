//! A cluster from the objects of another.
//!
//! Knows: Lists, definitions before the objects they define, and what time it was when the objects were read.
//! Does not know: files, or where the objects came from.

use twin::Time;

use crate::apiserver::defaults;
use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::schema::Schema;
use crate::time;
use crate::value::Value;

const DEFINITION: &str = "CustomResourceDefinition";

/// A cluster that holds these objects as they are: statuses, versions and times are believed, and no controller is told.
/// Defaults are filled in, as an API server does with whatever it reads from its store: snapshots written by hand have none,
/// and a controller that compares a template with its defaulted copy would never find the two alike.
/// Lists among them are taken apart. Kinds that nothing defines are left out. Where no time is given it is the newest time that
/// any object names.
#[must_use]
pub fn load(documents: impl IntoIterator<Item = Value>, now: Option<Time>, seed: u64) -> Cluster {
    let mut objects = Vec::new();
    documents.into_iter().for_each(|document| flatten(document, &mut objects));
    let now = now.unwrap_or_else(|| objects.iter().filter_map(newest).max().unwrap_or_default());
    let mut schema = Schema::default();
    for definition in objects.iter().filter(|object| object.kind() == DEFINITION) {
        if let Ok(with) = schema.with_definition(definition) {
            schema = with;
        }
    }
    let mut cluster = Cluster::new(schema, now, seed);
    for object in objects {
        let Some(resource) = cluster.schema.of(&object).cloned() else { continue };
        let mut stored = cluster.schema.convert(&object, &resource.storage.kind);
        defaults::apply(&resource.storage.resource, &mut stored);
        let key = ObjectKey::new(resource.storage.resource.clone(), stored.namespace(), stored.name());
        // Owners are known by their uid, and what was written by hand has none.
        if stored.uid().is_empty() {
            stored.set(&["metadata", "uid"], format!("{key}-uid"));
        }
        cluster.load(key, stored);
    }
    namespaces(&mut cluster);
    cluster
}

/// A `List`, or a `PodList` of any kind, as its items; what else there is, as it is.
fn flatten(document: Value, objects: &mut Vec<Value>) {
    if document.kind().ends_with("List") && document.get("items").is_some() {
        let item_kind = document.kind().trim_end_matches("List").to_owned();
        for item in document.at(&["items"]).items() {
            let mut item = item.clone();
            // The items of a typed list do not repeat what the list says.
            if item.kind().is_empty() && !item_kind.is_empty() {
                item.set(&["kind"], item_kind.as_str());
                item.set(&["apiVersion"], document.api_version());
            }
            flatten(item, objects);
        }
    } else if document.as_object().is_some() {
        objects.push(document);
    }
}

/// The newest time that an object names in its metadata or conditions.
fn newest(object: &Value) -> Option<Time> {
    let conditions = object.at(&["status", "conditions"]).items().iter();
    let heard = conditions.flat_map(|condition| {
        ["lastTransitionTime", "lastUpdateTime", "lastHeartbeatTime", "lastProbeTime"]
            .into_iter()
            .filter_map(|field| condition.at(&[field]).as_str().and_then(time::parse))
    });
    heard.chain(object.created()).chain(object.time(&["spec", "renewTime"])).max()
}

/// A snapshot of some namespaces may leave the namespaces themselves out, but nothing lives in none.
fn namespaces(cluster: &mut Cluster) {
    let missing: std::collections::BTreeSet<_> = cluster
        .objects()
        .map(|(key, _)| key.namespace.clone())
        .filter(|name| !name.is_empty() && cluster.get(&ObjectKey::new("namespaces", "", name.clone())).is_none())
        .collect();
    for name in missing {
        let key = ObjectKey::new("namespaces", "", name.clone());
        let namespace = crate::doc!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": (&name), "uid": (format!("{name}-uid")), "labels": {"kubernetes.io/metadata.name": (&name)}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        });
        cluster.load(key, namespace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;

    #[test]
    fn lists_are_taken_apart_and_definitions_come_first() {
        let custom = doc!({"apiVersion": "demo.io/v1", "kind": "Demo", "metadata": {"name": "a", "namespace": "shop"}});
        let definition = doc!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "demos.demo.io"},
            "spec": {"group": "demo.io", "scope": "Namespaced", "names": {"plural": "demos", "kind": "Demo"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
        });
        let pods = doc!({"apiVersion": "v1", "kind": "PodList", "items": [
            {"metadata": {"name": "p", "namespace": "shop", "creationTimestamp": "2026-11-24T07:29:46Z", "resourceVersion": "41"}},
        ]});
        let cluster =
            load([doc!({"kind": "List", "apiVersion": "v1", "items": [(custom), (definition)]}), pods], None, 0);
        let keys: Vec<String> = cluster.objects().map(|(key, _)| key.to_string()).collect();
        assert_eq!(
            keys,
            [
                "customresourcedefinitions.apiextensions.k8s.io/demos.demo.io",
                "demos.demo.io/shop/a",
                "namespaces/shop",
                "pods/shop/p"
            ]
        );
        assert_eq!(time::format(cluster.now()), "2026-11-24T07:29:46Z");
        assert_eq!(cluster.version(), 41);
    }

    #[test]
    fn what_a_snapshot_leaves_out_is_filled_in_and_the_cluster_comes_to_rest() {
        let deployment = doc!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}}},
        });
        let mut cluster = load([deployment], Some(Time::from_millis(1_790_000_000_000)), 0);
        cluster.start_controllers();
        let until = cluster.now() + std::time::Duration::from_secs(5);
        cluster.settle(until);
        let sets = cluster.objects().filter(|(key, _)| key.resource == "replicasets.apps").count();
        assert_eq!(sets, 1);
    }
}
