//! A cluster full of workloads, as large as is asked for: what measurements and tests of scale stand on.
//!
//! Knows: the shapes of large clusters: many small workloads and few huge ones, a handful of daemons on every node, what
//! stands beside each workload, and how a real API server returns all of it.
//! Does not know: what is measured on it.
//!
//! Two namespaces are the same in every size, so that one action can be compared on a small cluster and on a large one:
//! [`SHOP`], where `store` has 100 replicas, `web` 50 and `cart` 3, and [`DOOMED`], which holds a thousand objects.

use twin::Random;

use crate::doc;
use crate::value::{Text, Value};

/// The namespace of the workloads `store`, `web` and `cart`.
pub const SHOP: &str = "shop";
/// A namespace of forty workloads of twenty replicas.
pub const DOOMED: &str = "doomed";

const STAMP: &str = "2026-10-01T08:00:00Z";
/// About how many pods share a namespace.
const PODS_PER_NAMESPACE: usize = 750;
/// What runs on every node.
const DAEMONS: [&str; 4] = ["node-agent", "log-shipper", "mesh-cni", "csi-driver"];
const APPS: [&str; 8] = ["auth", "feed", "geo", "mail", "pay", "search", "stock", "user"];
const ENDPOINTS_PER_SLICE: usize = 100;

/// How large a cluster is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Nodes.
    pub nodes: usize,
    /// Pods, of daemons too; a few more if so few would not hold what every size has.
    pub pods: usize,
}

/// Gives every object of a cluster of that size, one after another. The same seed gives the same objects.
pub fn populate(size: Size, seed: u64, take: &mut dyn FnMut(Value)) {
    let mut made = Made { size, random: Random::new(seed), pods: 0, take };
    for number in 0..size.nodes {
        (made.take)(node(number));
    }
    let teams = size.pods / PODS_PER_NAMESPACE + 1;
    let team = |number: usize| format!("team-{number:03}");
    for name in ["kube-system", SHOP, DOOMED].map(str::to_owned).into_iter().chain((0..teams).map(team)) {
        (made.take)(doc!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": (meta("Namespace", "", &name, doc!({"kubernetes.io/metadata.name": (&name)}))),
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        }));
        (made.take)(doc!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": (meta("ServiceAccount", &name, "default", doc!({}))),
        }));
        (made.take)(doc!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": (meta("ConfigMap", &name, "kube-root-ca.crt", doc!({}))),
            "data": {"ca.crt": "-----BEGIN CERTIFICATE-----"},
        }));
    }
    for name in DAEMONS {
        made.daemons(name);
    }
    made.workload(SHOP, "web", 50, false);
    made.workload(SHOP, "cart", 3, false);
    made.workload(SHOP, "store", 100, false);
    for number in 0..40 {
        made.workload(DOOMED, &format!("app-{number}"), 20, false);
    }
    let mut number = 0;
    while made.pods < size.pods {
        number += 1;
        let namespace = team(made.below(teams));
        let kind = made.below(APPS.len());
        let name = format!("{}-{number}", APPS.get(kind).copied().unwrap_or("app"));
        let stateful = number % 12 == 0;
        let replicas = made.replicas(if stateful { 12 } else { 2000 });
        made.workload(&namespace, &name, replicas, stateful);
    }
}

struct Made<'a> {
    size: Size,
    random: Random,
    pods: usize,
    take: &'a mut dyn FnMut(Value),
}

impl Made<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let drawn = self.random.below(u64::try_from(bound).unwrap_or(u64::MAX));
        usize::try_from(drawn).unwrap_or(0)
    }

    /// Two more often than not, and now and then very many: one in `n` has `n` times as many.
    fn replicas(&mut self, most: usize) -> usize {
        let rarity = 10_000 / (self.below(10_000) + 1);
        (2 * rarity).clamp(2, most).min((self.size.pods - self.pods).max(1))
    }

    /// A DaemonSet and its pods.
    fn daemons(&mut self, name: &str) {
        let labels = doc!({"app": (name)});
        let spec = spec(name, "kube-system", 50, 128);
        let count = self.size.nodes;
        (self.take)(doc!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": (with(meta("DaemonSet", "kube-system", name, labels.clone()), &[("generation", 1.into())])),
            "spec": {
                "revisionHistoryLimit": 10, "selector": {"matchLabels": (&labels)},
                "template": {"metadata": {"labels": (&labels)}, "spec": (&spec)},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
            },
            "status": {
                "desiredNumberScheduled": (count), "currentNumberScheduled": (count), "numberReady": (count),
                "numberAvailable": (count), "updatedNumberScheduled": (count), "numberMisscheduled": 0, "observedGeneration": 1,
            },
        }));
        let owner = Owner { version: "apps/v1", kind: "DaemonSet", name: name.to_owned() };
        self.revision("kube-system", &owner, &labels, &spec);
        let mut labels = labels;
        labels.set(&["controller-revision-hash"], short(name));
        labels.set(&["pod-template-generation"], "1");
        for number in 0..count {
            let own = format!("{name}-{}", short(&format!("{name}/{number}")));
            self.pod("kube-system", &own, &labels, &spec, number, &owner);
        }
    }

    /// A Deployment or StatefulSet with all that stands beside it.
    fn workload(&mut self, namespace: &str, name: &str, replicas: usize, stateful: bool) {
        let tier = ["front", "back", "data"].get(self.below(3)).copied().unwrap_or("front");
        let labels = doc!({"app": (name), "team": (namespace), "tier": (tier)});
        let (cpu, memory) = (50 << self.below(3), 128 << self.below(3));
        let spec = spec(name, namespace, cpu, memory);
        let selector = doc!({"matchLabels": {"app": (name)}});
        let template = doc!({"metadata": {"labels": (&labels)}, "spec": (&spec)});
        let status = doc!({
            "replicas": (replicas), "readyReplicas": (replicas), "availableReplicas": (replicas), "updatedReplicas": (replicas),
            "observedGeneration": 1,
        });
        let generation = ("generation", Value::from(1));
        let revision = ("annotations", doc!({"deployment.kubernetes.io/revision": "1"}));
        let mut pod_labels = labels.clone();
        let owner = if stateful {
            let mut status = status;
            let hash = format!("{name}-{}", short(name));
            status.set(&["currentReplicas"], replicas);
            status.set(&["currentRevision"], hash.as_str());
            status.set(&["updateRevision"], hash.as_str());
            let owner = Owner { version: "apps/v1", kind: "StatefulSet", name: name.to_owned() };
            self.revision(namespace, &owner, &labels, &spec);
            (self.take)(doc!({
                "apiVersion": "apps/v1", "kind": "StatefulSet",
                "metadata": (with(meta("StatefulSet", namespace, name, labels.clone()), &[generation])),
                "spec": {
                    "podManagementPolicy": "OrderedReady", "replicas": (replicas), "revisionHistoryLimit": 10,
                    "selector": (&selector), "serviceName": (name), "template": (template),
                    "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                },
                "status": (status),
            }));
            pod_labels.set(&["controller-revision-hash"], hash);
            owner
        } else {
            (self.take)(doc!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": (with(meta("Deployment", namespace, name, labels.clone()), &[generation.clone(), revision.clone()])),
                "spec": {
                    "progressDeadlineSeconds": 600, "replicas": (replicas), "revisionHistoryLimit": 10, "selector": (&selector),
                    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
                    "template": (&template),
                },
                "status": (&status),
            }));
            let hash = short(name);
            pod_labels.set(&["pod-template-hash"], &hash);
            let set = format!("{name}-{hash}");
            let above = Owner { version: "apps/v1", kind: "Deployment", name: name.to_owned() };
            let mut template = template;
            template.set(&["metadata", "labels"], &pod_labels);
            let mut selector = selector.clone();
            selector.set(&["matchLabels", "pod-template-hash"], &hash);
            let mut status = status;
            status.remove(&["updatedReplicas"]);
            status.set(&["fullyLabeledReplicas"], replicas);
            let owners = ("ownerReferences", above.reference(namespace));
            (self.take)(doc!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": (with(meta("ReplicaSet", namespace, &set, pod_labels.clone()), &[generation, revision, owners])),
                "spec": {"replicas": (replicas), "selector": (selector), "template": (template)},
                "status": (status),
            }));
            Owner { version: "apps/v1", kind: "ReplicaSet", name: set }
        };
        let mut endpoints = Vec::new();
        for number in 0..replicas {
            let own = match owner.kind {
                "StatefulSet" => format!("{name}-{number}"),
                _ => format!("{}-{}", owner.name, short(&format!("{namespace}/{name}/{number}"))),
            };
            let node = self.pods.wrapping_mul(7919) % self.size.nodes.max(1);
            if owner.kind == "StatefulSet" {
                pod_labels.set(&["apps.kubernetes.io/pod-index"], number.to_string());
                pod_labels.set(&["statefulset.kubernetes.io/pod-name"], own.as_str());
            }
            let address = self.pod(namespace, &own, &pod_labels, &spec, node, &owner);
            endpoints.push(doc!({
                "addresses": [(address)], "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": (node_name(node)), "zone": (zone(node)),
                "targetRef": {"kind": "Pod", "name": (own.as_str()), "namespace": (namespace), "uid": (uid("Pod", namespace, &own))},
            }));
        }
        self.beside(namespace, name, &labels, replicas, endpoints);
    }

    /// The template of a workload as its history keeps it.
    fn revision(&mut self, namespace: &str, owner: &Owner, labels: &Value, spec: &Value) {
        let name = format!("{}-{}", owner.name, short(&owner.name));
        let mut marks = labels.clone();
        let hash = if owner.kind == "StatefulSet" { name.clone() } else { short(&owner.name) };
        marks.set(&["controller-revision-hash"], hash);
        let owners = ("ownerReferences", owner.reference(namespace));
        (self.take)(doc!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1,
            "metadata": (with(meta("ControllerRevision", namespace, &name, marks), &[owners])),
            "data": {"spec": {"template": {"$patch": "replace", "metadata": {"labels": (labels)}, "spec": (spec)}}},
        }));
    }

    /// What stands beside a workload: its Service with slices, its budget, its settings.
    fn beside(&mut self, namespace: &str, name: &str, labels: &Value, replicas: usize, endpoints: Vec<Value>) {
        let address = format!("10.96.{}.{}", self.pods / 256 % 256, self.pods % 256);
        (self.take)(doc!({
            "apiVersion": "v1", "kind": "Service", "metadata": (meta("Service", namespace, name, labels.clone())),
            "spec": {
                "clusterIP": (&address), "clusterIPs": [(&address)], "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack", "selector": {"app": (name)}, "sessionAffinity": "None", "type": "ClusterIP",
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
            },
            "status": {"loadBalancer": {}},
        }));
        let owner = Owner { version: "v1", kind: "Service", name: name.to_owned() };
        for (part, endpoints) in endpoints.chunks(ENDPOINTS_PER_SLICE).enumerate() {
            let own = format!("{name}-{}", short(&format!("{name}/slice/{part}")));
            let mut marks = labels.clone();
            marks.set(&["kubernetes.io/service-name"], name);
            marks.set(&["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
            let more = [("generateName", format!("{name}-").into()), ("ownerReferences", owner.reference(namespace))];
            (self.take)(doc!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": (with(meta("EndpointSlice", namespace, &own, marks), &more)),
                "endpoints": (endpoints.to_vec()), "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            }));
        }
        (self.take)(doc!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": (meta("ConfigMap", namespace, &format!("{name}-config"), labels.clone())),
            "data": {"app.yaml": (format!("name: {name}\n").repeat(8))},
        }));
        if replicas > 2 {
            // The real controller rounds a share of what may be missing up.
            let spare = replicas.div_ceil(5);
            (self.take)(doc!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                "metadata": (with(meta("PodDisruptionBudget", namespace, name, doc!({})), &[("generation", 1.into())])),
                "spec": {"maxUnavailable": "20%", "selector": {"matchLabels": {"app": (name)}}},
                "status": {
                    "currentHealthy": (replicas), "desiredHealthy": (replicas - spare), "disruptionsAllowed": (spare),
                    "expectedPods": (replicas), "observedGeneration": 1,
                },
            }));
        }
    }

    /// A pod that runs and is ready. Gives its address.
    fn pod(&mut self, namespace: &str, name: &str, labels: &Value, spec: &Value, node: usize, owner: &Owner) -> Text {
        let number = self.pods;
        self.pods += 1;
        let address = arcstr::format!("10.{}.{}.{}", 128 + number / 65_536, number / 256 % 256, number % 256);
        let mut spec = spec.clone();
        let lost = |why: &str| {
            let key = format!("node.kubernetes.io/{why}");
            doc!({"effect": "NoExecute", "key": (key), "operator": "Exists", "tolerationSeconds": 300})
        };
        for (field, value) in [
            ("enableServiceLinks", true.into()),
            ("nodeName", node_name(node).into()),
            ("preemptionPolicy", "PreemptLowerPriority".into()),
            ("priority", 0.into()),
            ("serviceAccount", "default".into()),
            ("serviceAccountName", "default".into()),
            ("tolerations", doc!([(lost("not-ready")), (lost("unreachable"))])),
        ] {
            spec.set(&[field], value);
        }
        let condition =
            |kind: &str| doc!({"type": (kind), "status": "True", "lastProbeTime": null, "lastTransitionTime": (STAMP)});
        let conditions =
            ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition);
        let running = |container: &Value| {
            let image = container.at(&["image"]);
            let digest = |of: &str| uid("digest", "", of).replace('-', "");
            doc!({
                "containerID": (format!("containerd://{}", digest(&format!("{namespace}/{name}/{}", container.at(&["name"]).str_or_empty())))),
                "image": (image), "imageID": (format!("sha256:{}", digest(image.str_or_empty()))), "lastState": {},
                "name": (container.at(&["name"])), "ready": true, "restartCount": 0, "started": true,
                "state": {"running": {"startedAt": (STAMP)}},
            })
        };
        let statuses: Value = spec.at(&["containers"]).items().iter().map(running).collect();
        let mut more = vec![("ownerReferences", owner.reference(namespace))];
        if owner.kind != "StatefulSet" {
            more.push(("generateName", format!("{}-", owner.name).into()));
        }
        (self.take)(doc!({
            "apiVersion": "v1", "kind": "Pod", "metadata": (with(meta("Pod", namespace, name, labels.clone()), &more)),
            "spec": (spec),
            "status": {
                "conditions": (conditions.to_vec()), "containerStatuses": (statuses), "hostIP": "10.0.0.1", "phase": "Running",
                "podIP": (&address), "podIPs": [{"ip": (&address)}], "qosClass": "Burstable", "startTime": (STAMP),
            },
        }));
        address
    }
}

/// Who owns.
struct Owner {
    version: &'static str,
    kind: &'static str,
    name: String,
}

impl Owner {
    fn reference(&self, namespace: &str) -> Value {
        doc!([{
            "apiVersion": (self.version), "kind": (self.kind), "name": (self.name.as_str()),
            "uid": (uid(self.kind, namespace, &self.name)), "controller": true, "blockOwnerDeletion": true,
        }])
    }
}

/// A number that follows from a text, the same everywhere: FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn uid(kind: &str, namespace: &str, name: &str) -> String {
    let mut random = Random::new(hash(&format!("{kind}/{namespace}/{name}")));
    let (high, low) = (random.bits(), random.bits());
    let (one, two, three) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
    format!("{one:08x}-{two:04x}-{three:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
}

fn short(text: &str) -> String {
    format!("{:09x}", hash(text) >> 28)
}

fn meta(kind: &str, namespace: &str, name: &str, labels: Value) -> Value {
    let version = hash(name) >> 40;
    let mut meta = doc!({
        "creationTimestamp": (STAMP), "name": (name), "resourceVersion": (version.to_string()), "uid": (uid(kind, namespace, name)),
    });
    if !namespace.is_empty() {
        meta.set(&["namespace"], namespace);
    }
    if !labels.is_empty() {
        meta.set(&["labels"], labels);
    }
    meta
}

fn with(mut meta: Value, more: &[(&str, Value)]) -> Value {
    for (field, value) in more {
        meta.set(&[field], value);
    }
    meta
}

/// The name of the node of that number.
#[must_use]
pub fn node_name(number: usize) -> String {
    format!("node-{number:05}")
}

fn zone(number: usize) -> &'static str {
    ["a", "b", "c"].get(number % 3).copied().unwrap_or("a")
}

fn node(number: usize) -> Value {
    let name = node_name(number);
    let pool = if number.is_multiple_of(10) { "memory" } else { "general" };
    let size = doc!({"cpu": "16", "ephemeral-storage": "200Gi", "memory": "64Gi", "pods": "110"});
    let labels = doc!({
        "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": (&name), "kubernetes.io/os": "linux", "pool": (pool),
        "topology.kubernetes.io/region": "region-1", "topology.kubernetes.io/zone": (zone(number)),
    });
    doc!({
        "apiVersion": "v1", "kind": "Node", "metadata": (meta("Node", "", &name, labels)),
        "spec": {"podCIDR": (format!("10.{}.{}.0/24", number / 256, number % 256))},
        "status": {
            "allocatable": (&size), "capacity": (&size),
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
                "lastHeartbeatTime": (STAMP), "lastTransitionTime": (STAMP),
            }],
            "nodeInfo": {"architecture": "amd64", "kubeletVersion": "v1.36.2", "operatingSystem": "linux"},
        },
    })
}

/// The pod of one workload: a program and the mesh's proxy.
fn spec(app: &str, namespace: &str, cpu: usize, memory: usize) -> Value {
    let mut env: Vec<Value> = (0..6)
        .map(|number| doc!({"name": (format!("SETTING_{number}")), "value": (format!("{app}-{number}"))}))
        .collect();
    env.push(doc!({"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}));
    let probe = doc!({
        "failureThreshold": 3, "httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"}, "periodSeconds": 10,
        "successThreshold": 1, "timeoutSeconds": 1,
    });
    let program = doc!({
        "env": (env), "image": (format!("registry.internal/{namespace}/{app}:v1")), "imagePullPolicy": "IfNotPresent",
        "livenessProbe": (&probe), "name": "app", "readinessProbe": (&probe),
        "ports": [
            {"containerPort": 8080, "name": "http", "protocol": "TCP"}, {"containerPort": 9090, "name": "metrics", "protocol": "TCP"},
        ],
        "resources": {
            "limits": {"memory": (if memory == 512 { "1Gi".to_owned() } else { format!("{}Mi", memory * 2) })},
            "requests": {"cpu": (format!("{cpu}m")), "memory": (format!("{memory}Mi"))},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
        },
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "volumeMounts": [{"mountPath": "/etc/app", "name": "config"}, {"mountPath": "/tmp", "name": "tmp"}],
    });
    let proxy = doc!({
        "image": "registry.internal/mesh/proxy:1.9", "imagePullPolicy": "IfNotPresent", "name": "proxy",
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
    });
    doc!({
        "containers": [(program), (proxy)], "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
        "schedulerName": "default-scheduler", "securityContext": {"runAsNonRoot": true}, "terminationGracePeriodSeconds": 30,
        "topologySpreadConstraints": [{
            "labelSelector": {"matchLabels": {"app": (app)}}, "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
        }],
        "volumes": [
            {"configMap": {"defaultMode": 420, "name": (format!("{app}-config"))}, "name": "config"}, {"emptyDir": {}, "name": "tmp"},
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::registry::{self, Part, Writer};
    use crate::object::ObjectKey;
    use crate::snapshot;

    #[test]
    fn a_cluster_of_any_size_is_at_rest_and_holds_the_same_shop() {
        for (nodes, pods) in [(40, 1200), (80, 2400)] {
            let mut objects = Vec::new();
            populate(Size { nodes, pods }, 1, &mut |object| objects.push(object));
            let mut cluster = snapshot::load(objects, None, 1);
            cluster.resume();
            let until = cluster.now() + std::time::Duration::from_secs(60);
            let version = cluster.version();
            cluster.settle(until);
            assert_eq!(cluster.version(), version);
            assert_eq!(cluster.list("nodes", None).count(), nodes);
            assert_eq!(cluster.list("pods", None).count(), pods);
            assert_eq!(cluster.list("pods", Some(SHOP)).count(), 153);
            assert_eq!(cluster.list("pods", Some(DOOMED)).count(), 800);
            assert!(cluster.unplaced().next().is_none());
            // What the API server would fill in is there already: else any write would be a change of all that.
            let writer = Writer::component("tester", "test");
            for resource in
                ["deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps", "pods", "services"]
            {
                let all = cluster.list(resource, Some(SHOP)).chain(cluster.list(resource, Some("kube-system")));
                let all: Vec<(ObjectKey, Value)> = all.map(|(key, object)| (key.clone(), object.clone())).collect();
                for (key, object) in all {
                    let mut marked = object.clone();
                    marked.set(&["metadata", "labels", "marked"], "so");
                    let written = registry::update(&mut cluster, &key, marked, Part::Main, &writer).unwrap();
                    assert_eq!(written.at(&["spec"]), object.at(&["spec"]), "{key}");
                }
            }
        }
    }
}
