//! A cluster as it is when nobody has used it yet.
//!
//! Knows: what a Kubernetes 1.36 makes for itself when it starts (`data/bootstrap.gz`, objects as JSON lines, taken from a
//! fresh control plane), and what nodes look like.
//! Does not know: who will use it.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use twin::Time;

use crate::apiserver::registry::random_uid;
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::Schema;
use crate::time;
use crate::value::Value;

static BOOTSTRAP: &[u8] = include_bytes!("../data/bootstrap.gz");

/// A fresh cluster without nodes: namespaces, RBAC, priority classes, flow control, API services, `kubernetes`.
#[must_use]
pub fn fresh(now: Time, seed: u64) -> Cluster {
    let mut cluster = Cluster::new(Schema::default(), now, seed);
    let mut text = String::new();
    // The data is part of the program, and a test reads all of it.
    let _ = GzDecoder::new(BOOTSTRAP).read_to_string(&mut text);
    for line in text.lines() {
        if let Ok(object) = Value::from_json(line.as_bytes()) {
            add(&mut cluster, object);
        }
    }
    cluster
}

/// Adds `count` ready nodes, `node-01` and on: 8 cores, 32 GiB, 110 pods, in the zones a, b and c in turn.
pub fn add_nodes(cluster: &mut Cluster, count: usize) {
    for number in 1..=count {
        let node = node(number, cluster.now());
        add(cluster, node);
    }
}

/// Writes an object as if the API server had just made it.
fn add(cluster: &mut Cluster, mut object: Value) {
    let Some(resource) = cluster.schema.of(&object).map(|resource| resource.storage.resource.clone()) else { return };
    let uid = random_uid(cluster);
    let now = time::format(cluster.now());
    object.set(&["metadata", "uid"], uid);
    object.set(&["metadata", "creationTimestamp"], now.as_str());
    if let Some(conditions) = object.find_mut(&["status", "conditions"]) {
        for condition in conditions.array() {
            if condition.get("lastTransitionTime").is_some() {
                condition.set(&["lastTransitionTime"], now.as_str());
            }
        }
    }
    let key = ObjectKey::new(resource, object.namespace(), object.name());
    cluster.write(&key, Some(object));
}

/// The node of that number, as its kubelet would have registered it.
#[must_use]
pub fn node(number: usize, now: Time) -> Value {
    let name = format!("node-{number:02}");
    let zone = ["c", "a", "b"].get(number % 3).copied().unwrap_or("a");
    let (high, low) = ((number + 1) / 256, (number + 1) % 256);
    let cidr = format!("10.{}.{}.0/24", 244 + (number - 1) / 256, (number - 1) % 256);
    let machine: String = Sha256::digest(name.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let capacity = doc!({
        "cpu": "8", "ephemeral-storage": "100Gi", "hugepages-1Gi": "0", "hugepages-2Mi": "0", "memory": "32Gi", "pods": "110",
    });
    // A kubelet had a minute to find that all is well.
    let since = time::format(now - Duration::from_secs(60));
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        doc!({
            "type": (kind), "status": (status), "reason": (reason), "message": (message),
            "lastHeartbeatTime": (time::format(now)), "lastTransitionTime": (&since),
        })
    };
    doc!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": (&name),
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "0", "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
            "labels": {
                "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": (&name), "kubernetes.io/os": "linux",
                "topology.kubernetes.io/region": "region-1", "topology.kubernetes.io/zone": (zone),
            },
        },
        "spec": {"podCIDR": (&cidr), "podCIDRs": [(&cidr)]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": (format!("10.10.{high}.{low}"))},
                {"type": "Hostname", "address": (&name)},
                {"type": "InternalDNS", "address": "localhost"},
            ],
            "allocatable": (&capacity), "capacity": (&capacity),
            "conditions": [
                (condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available")),
                (condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure")),
                (condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available")),
                (condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")),
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64", "bootID": "7773464f-faf6-0575-d03e-613d22f8da10",
                "containerRuntimeVersion": "containerd://2.1.4", "kernelVersion": "6.8.0-45-generic",
                "kubeProxyVersion": "", "kubeletVersion": "v1.36.2", "machineID": (&machine),
                "operatingSystem": "linux", "osImage": "Ubuntu 24.04.1 LTS", "systemUUID": (&machine),
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_cluster_has_all_that_kubernetes_makes_for_itself() {
        let mut cluster = fresh(Time::from_millis(1_764_000_000_000), 1);
        add_nodes(&mut cluster, 4);
        let count = |resource: &str| cluster.list(resource, None).count();
        assert_eq!(cluster.len(), 219 + 4);
        assert_eq!(count("clusterroles.rbac.authorization.k8s.io"), 69);
        assert_eq!(count("namespaces"), 4);
        let zones: Vec<&str> =
            cluster.list("nodes", None).filter_map(|(_, node)| node.label("topology.kubernetes.io/zone")).collect();
        assert_eq!(zones, ["a", "b", "c", "a"]);
    }
}
