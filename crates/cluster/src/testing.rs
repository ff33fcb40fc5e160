//! A small cluster for tests, and what happened in it as short lines.
//!
//! Knows: how to make nodes and pods with few words.
//! Does not know: what any test is about.

use std::time::Duration;

use twin::Time;

use crate::apiserver::registry::{self, Deletion, Writer};
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::Schema;
use crate::value::Value;

/// When tests begin: 2026-01-01T00:00:00Z.
pub(crate) const START: Time = Time::from_millis(1_767_225_600_000);

/// A cluster with the namespace `shop` and some nodes, each with so much CPU and 8Gi; zones a, b, c in turn.
pub(crate) fn cluster(cpus: &[&str]) -> Cluster {
    let mut cluster = Cluster::new(Schema::default(), START, 7);
    for name in ["default", "kube-system", "shop"] {
        let namespace = doc!({
            "apiVersion": "v1", "kind": "Namespace", "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
            "metadata": {"name": (name), "uid": (name), "labels": {"kubernetes.io/metadata.name": (name)}},
        });
        cluster.load(ObjectKey::new("namespaces", "", name), namespace);
        let account =
            doc!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": (name)}});
        cluster.load(ObjectKey::new("serviceaccounts", name, "default"), account);
    }
    for (at, cpu) in cpus.iter().enumerate() {
        let name = format!("n{}", at + 1);
        let zone = ["a", "b", "c"][at % 3];
        let amounts = doc!({"cpu": (*cpu), "memory": "8Gi", "pods": "110"});
        let node = doc!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": (&name), "uid": (&name), "labels": {
                "kubernetes.io/hostname": (&name), "topology.kubernetes.io/zone": (zone),
            }},
            "spec": {"podCIDR": (format!("10.244.{at}.0/24"))},
            "status": {
                "addresses": [{"type": "InternalIP", "address": (format!("10.10.0.{}", at + 2))}],
                "allocatable": (&amounts), "capacity": (&amounts),
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            },
        });
        cluster.load(ObjectKey::new("nodes", "", name), node);
    }
    cluster
}

/// A pod of one container in `shop`.
pub(crate) fn pod(name: &str) -> Value {
    doc!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": (name), "namespace": "shop"},
        "spec": {"containers": [{"name": "app", "image": "app:1"}], "restartPolicy": "Always"},
    })
}

/// Makes an object as a client would.
pub(crate) fn create(cluster: &mut Cluster, resource: &str, object: Value) -> Value {
    let writer = Writer::component("tester", "test");
    registry::create(cluster, resource, object, &writer).expect("it is made")
}

/// Deletes an object as a client would.
pub(crate) fn delete(cluster: &mut Cluster, resource: &str, namespace: &str, name: &str, propagation: Option<&str>) {
    let deletion = Deletion { propagation: propagation.map(str::to_owned), ..Deletion::default() };
    let writer = Writer::component("tester", "test");
    registry::delete(cluster, &ObjectKey::new(resource, namespace, name), &deletion, &writer).expect("it is deleted");
}

/// Changes an object in place, past the API server's rules.
pub(crate) fn edit(cluster: &mut Cluster, resource: &str, namespace: &str, name: &str, edit: impl FnOnce(&mut Value)) {
    let key = ObjectKey::new(resource, namespace, name);
    let mut object = cluster.get(&key).expect("it is there").clone();
    edit(&mut object);
    cluster.write(&key, Some(object));
}

/// Lets so many seconds pass, and says each change of objects of a resource in one line: when (ms), what, and `line`.
pub(crate) fn story(
    cluster: &mut Cluster,
    seconds: u64,
    resource: &str,
    line: impl Fn(&Value) -> String,
) -> Vec<String> {
    let version = cluster.version();
    let until = cluster.now() + Duration::from_secs(seconds);
    cluster.advance(until);
    let mut lines: Vec<String> = Vec::new();
    for change in cluster.changes_since(version).expect("they are kept") {
        let Change { at, key, after, .. } = change;
        if key.resource != resource {
            continue;
        }
        let said = after.as_ref().map_or_else(|| "gone".to_owned(), &line);
        lines.push(format!("{} {}: {said}", at.since(START).as_millis(), key.name));
    }
    lines
}
