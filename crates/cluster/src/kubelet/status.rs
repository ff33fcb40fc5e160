//! A pod's status as a kubelet writes it.
//!
//! Knows: which phase and which conditions follow from the states of a pod's containers.
//! Does not know: when a container changes its state.

use sha2::{Digest, Sha256};

use crate::apiserver::registry::set_condition;
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;

/// The list of a pod's status that holds its init containers.
pub(super) const INIT: &str = "initContainerStatuses";
/// The list of a pod's status that holds its containers.
pub(super) const MAIN: &str = "containerStatuses";

/// A container that waits.
pub(super) fn waiting(reason: &str, message: Option<&str>) -> Value {
    let mut state = doc!({"waiting": {"reason": (reason)}});
    if let Some(message) = message {
        state.set(&["waiting", "message"], message);
    }
    state
}

/// The status of a pod that its node has just taken in: nothing runs yet.
pub(super) fn admit(cluster: &Cluster, node: &Value, pod: &mut Value) {
    let now = time::format(cluster.now());
    let has_init = !pod.at(&["spec", "initContainers"]).is_empty();
    for (list, containers) in [(INIT, "initContainers"), (MAIN, "containers")] {
        let reason = if has_init { "PodInitializing" } else { "ContainerCreating" };
        let statuses: Vec<Value> =
            pod.at(&["spec", containers]).items().iter().map(|container| created(container, reason)).collect();
        if !statuses.is_empty() {
            pod.set(&["status", list], statuses);
        }
    }
    let addresses = node.at(&["status", "addresses"]).items();
    if let Some(ip) = addresses.iter().find(|address| address.at(&["type"]) == "InternalIP") {
        let ip = ip.at(&["address"]).clone();
        pod.set(&["status", "hostIPs"], vec![doc!({"ip": (&ip)})]);
        pod.set(&["status", "hostIP"], ip);
    }
    pod.set(&["status", "startTime"], now);
}

/// Nothing is known of its resources and mounts until it starts.
fn created(container: &Value, reason: &str) -> Value {
    doc!({
        "image": (container.at(&["image"])), "imageID": "", "lastState": {}, "name": (container.at(&["name"])),
        "ready": false, "restartCount": 0, "started": false, "state": (waiting(reason, None)),
    })
}

/// What a container was given when it started.
fn equip(container: &Value, status: &mut Value) {
    let resources = container.at(&["resources"]);
    status.set(&["resources"], if resources.is_null() { doc!({}) } else { resources.clone() });
    let requests = resources.at(&["requests"]);
    if !requests.is_empty() {
        status.set(&["allocatedResources"], requests);
    }
    let mounts: Vec<Value> = container
        .at(&["volumeMounts"])
        .items()
        .iter()
        .map(|mount| {
            let mut mounted = doc!({"mountPath": (mount.at(&["mountPath"])), "name": (mount.at(&["name"]))});
            if mount.at(&["readOnly"]).is_true() {
                mounted.set(&["readOnly"], true);
                mounted.set(&["recursiveReadOnly"], "Disabled");
            }
            mounted
        })
        .collect();
    if !mounts.is_empty() {
        status.set(&["volumeMounts"], mounts);
    }
}

/// A container starts, for the first time or again.
pub(super) fn start(cluster: &mut Cluster, container: &Value, status: &mut Value, ready: bool) {
    equip(container, status);
    let id: String = (0..4).map(|_| format!("{:016x}", cluster.random().bits())).collect();
    let terminated = match status.at(&["state", "terminated"]) {
        Value::Null => status.at(&["lastState", "terminated"]).clone(),
        terminated => terminated.clone(),
    };
    if !terminated.is_null() {
        let count = status.at(&["restartCount"]).as_int().unwrap_or(0);
        status.set(&["restartCount"], count + 1);
        status.set(&["lastState"], doc!({"terminated": (terminated)}));
    }
    let image = status.at(&["image"]).str_or_empty().to_owned();
    status.set(&["imageID"], image_id(&image));
    status.set(&["containerID"], format!("containerd://{id}"));
    status.set(&["state"], doc!({"running": {"startedAt": (time::format(cluster.now()))}}));
    status.set(&["started"], true);
    status.set(&["ready"], ready);
}

/// A container ends.
pub(super) fn end(cluster: &Cluster, status: &mut Value, code: i64, reason: &str) {
    let now = time::format(cluster.now());
    let started = match status.at(&["state", "running", "startedAt"]) {
        Value::Null => Value::from(now.as_str()),
        started => started.clone(),
    };
    let id = status.at(&["containerID"]).clone();
    let mut terminated = doc!({"exitCode": (code), "finishedAt": (now), "reason": (reason), "startedAt": (started)});
    if !id.is_null() {
        terminated.set(&["containerID"], id);
    }
    status.set(&["state"], doc!({"terminated": (terminated)}));
    status.set(&["ready"], false);
    status.set(&["started"], false);
}

/// The repository with a digest: the same for the same image.
fn image_id(image: &str) -> String {
    if image.contains('@') {
        return image.to_owned();
    }
    let tag = image.rfind(':').filter(|at| *at > image.rfind('/').unwrap_or(0));
    let repository = tag.and_then(|at| image.get(..at)).unwrap_or(image);
    let digest: String = Sha256::digest(image.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{repository}@sha256:{digest}")
}

/// An address for a pod's sandbox: the lowest of its node's range that no other pod there has.
pub(super) fn address(cluster: &Cluster, node: &Value, pod: &mut Value) {
    if !pod.at(&["status", "podIP"]).is_empty() {
        return;
    }
    let ip = if pod.at(&["spec", "hostNetwork"]).is_true() {
        pod.at(&["status", "hostIP"]).clone()
    } else {
        let range = node.at(&["spec", "podCIDR"]).as_str().unwrap_or("10.244.0.0/24");
        let base = range.split('/').next().and_then(|base| base.parse::<std::net::Ipv4Addr>().ok());
        let base = base.map_or(0, u32::from);
        let taken: std::collections::BTreeSet<&str> = cluster
            .pods_on(node.name())
            .filter(|(_, other)| !matches!(other.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed"))
            .filter_map(|(_, other)| other.at(&["status", "podIP"]).as_str())
            .collect();
        // The first two are the network's and the bridge's.
        let free = (2..65_536).map(|offset| std::net::Ipv4Addr::from(base.wrapping_add(offset)).to_string());
        free.into_iter().find(|ip| !taken.contains(ip.as_str())).map(Value::from).unwrap_or_default()
    };
    if !ip.is_empty() {
        pod.set(&["status", "podIPs"], vec![doc!({"ip": (&ip)})]);
        pod.set(&["status", "podIP"], ip);
    }
}

/// The spec's init containers that run on beside the containers.
pub(super) fn is_sidecar(container: &Value) -> bool {
    container.at(&["restartPolicy"]) == "Always"
}

/// Whether an init container no longer holds up those after it.
pub(super) fn is_past(container: &Value, status: &Value) -> bool {
    if is_sidecar(container) {
        return !status.at(&["state", "running"]).is_null() && status.at(&["started"]).is_true();
    }
    status.at(&["state", "terminated", "exitCode"]).as_int() == Some(0)
}

/// Names of init containers that still hold up the others.
fn incomplete(pod: &Value) -> Vec<&str> {
    let statuses = pod.at(&["status", INIT]).items();
    let containers = pod.at(&["spec", "initContainers"]).items();
    containers
        .iter()
        .zip(statuses)
        .filter(|(container, status)| !is_past(container, status))
        .map(|(container, _)| container.name_of())
        .collect()
}

/// The phase that follows from the containers (`getPhase` in `pkg/kubelet/kubelet_pods.go`).
fn phase(pod: &Value, over: bool) -> &'static str {
    let policy = pod.at(&["spec", "restartPolicy"]).str_or_empty();
    let init = pod.at(&["status", INIT]).items();
    let init_failed = init.iter().any(|status| {
        status.at(&["state", "terminated", "exitCode"]).as_int().is_some_and(|code| code != 0) && policy == "Never"
    });
    if init_failed {
        return "Failed";
    }
    if !incomplete(pod).is_empty() && !over {
        return "Pending";
    }
    let (mut waits, mut runs, mut ended, mut failed) = (0, 0, 0, 0);
    for status in pod.at(&["status", MAIN]).items() {
        let state = status.at(&["state"]);
        if !state.at(&["running"]).is_null() {
            runs += 1;
        } else if let Some(code) = state.at(&["terminated", "exitCode"]).as_int() {
            ended += 1;
            failed += usize::from(code != 0);
        } else if !status.at(&["lastState", "terminated"]).is_null() {
            ended += 1;
            failed += 1;
        } else {
            waits += 1;
        }
    }
    match (waits, runs, ended) {
        (waits, _, _) if waits > 0 && !over => "Pending",
        (_, runs, _) if runs > 0 => "Running",
        (_, _, ended) if ended > 0 && failed == 0 && (over || policy != "Always") => "Succeeded",
        (_, _, _) if over => "Failed",
        (_, _, ended) if ended > 0 && failed > 0 && policy == "Never" => "Failed",
        (_, _, ended) if ended > 0 => "Running",
        _ => "Pending",
    }
}

/// Makes phase and conditions what the containers' states say. `over` is for a pod that has been stopped for good.
pub(super) fn conclude(pod: &mut Value, now: &str, over: bool) {
    let phase = phase(pod, over);
    pod.set(&["status", "phase"], phase);
    let generation = pod.generation();
    let sandbox = matches!(phase, "Running") || (phase == "Pending" && !pod.at(&["status", "podIP"]).is_empty());
    let incomplete = incomplete(pod).join(" ");
    let init = if phase == "Succeeded" {
        ("True", Some("PodCompleted"), None)
    } else if incomplete.is_empty() {
        ("True", None, None)
    } else {
        ("False", Some("ContainersNotInitialized"), Some(format!("containers with incomplete status: [{incomplete}]")))
    };
    let unready: Vec<&str> = pod
        .at(&["status", MAIN])
        .items()
        .iter()
        .filter(|status| !status.at(&["ready"]).is_true())
        .map(Value::name_of)
        .collect();
    let containers = match phase {
        "Succeeded" => ("False", Some("PodCompleted"), None),
        "Failed" => ("False", Some("PodFailed"), None),
        _ if unready.is_empty() => ("True", None, None),
        _ => {
            let message = format!("containers with unready status: [{}]", unready.join(" "));
            ("False", Some("ContainersNotReady"), Some(message))
        }
    };
    let gates = closed_gates(pod);
    let ready = if containers.0 == "True" && !gates.is_empty() {
        ("False", Some("ReadinessGatesNotReady"), Some(gates))
    } else {
        containers.clone()
    };
    let sandbox = (if sandbox { "True" } else { "False" }, None, None);
    for (kind, (status, reason, message)) in [
        ("PodScheduled", ("True", None, None)),
        ("PodReadyToStartContainers", sandbox),
        ("Initialized", init),
        ("Ready", ready),
        ("ContainersReady", containers),
    ] {
        let mut condition = doc!({"lastProbeTime": null, "status": (status), "type": (kind)});
        if generation != 0 {
            condition.set(&["observedGeneration"], generation);
        }
        if let Some(reason) = reason {
            condition.set(&["reason"], reason);
        }
        if let Some(message) = message {
            condition.set(&["message"], message);
        }
        set_condition(pod, now, condition);
    }
    if generation != 0 {
        pod.set(&["status", "observedGeneration"], generation);
    }
}

fn closed_gates(pod: &Value) -> String {
    let closed = pod.at(&["spec", "readinessGates"]).items().iter().filter_map(|gate| {
        let kind = gate.at(&["conditionType"]).str_or_empty();
        let status = pod.condition(kind).map_or("False", |condition| condition.at(&["status"]).str_or_empty());
        (status != "True").then(|| format!("the status of pod readiness gate {kind:?} is not \"True\", but {status}"))
    });
    closed.collect::<Vec<_>>().join(", ")
}

/// The node that a pod is bound to, if there is one and its kubelet can be heard.
pub(super) fn node<'a>(cluster: &'a Cluster, pod: &Value) -> Option<&'a Value> {
    let name = pod.at(&["spec", "nodeName"]).as_text().filter(|name| !name.is_empty())?;
    let node = cluster.get(&ObjectKey::new("nodes", "", name.clone()))?;
    let silent = node.annotation("twin.lazaret.dev/heartbeat") == Some("stop")
        || node.condition("Ready").is_some_and(|ready| ready.at(&["status"]) == "Unknown");
    (!silent).then_some(node)
}
