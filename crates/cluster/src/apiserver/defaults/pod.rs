//! The defaults of a pod's spec, wherever it stands.
//!
//! Knows: `SetDefaults_PodSpec`, `SetDefaults_Container`, `SetDefaults_Probe` and their like.
//! Does not know: which kind the spec stands in.

use super::set_missing;
use crate::doc;
use crate::value::Value;

/// Fills in a pod spec that stands at a path.
pub(super) fn spec(object: &mut Value, path: &[&str]) {
    let Some(old) = object.find(path) else { return };
    if old.as_object().is_none() {
        return;
    }
    let mut spec = old.clone();
    for (field, value) in [
        ("dnsPolicy", Value::from("ClusterFirst")),
        ("restartPolicy", Value::from("Always")),
        ("securityContext", doc!({})),
        ("terminationGracePeriodSeconds", Value::from(30)),
        ("schedulerName", Value::from("default-scheduler")),
    ] {
        set_missing(&mut spec, &[field], value);
    }
    // Only a pod itself is given this; a template waits until a pod is made of it.
    if path == ["spec"] {
        set_missing(&mut spec, &["enableServiceLinks"], true);
    }
    mirror(&mut spec, "serviceAccountName", "serviceAccount");
    let host_network = spec.at(&["hostNetwork"]).is_true();
    each(&mut spec, "containers", |item| container(item, host_network));
    each(&mut spec, "initContainers", |item| container(item, host_network));
    each(&mut spec, "volumes", volume);
    if *old != spec {
        object.set(path, spec);
    }
}

/// Two names of one field: who sets one sets both.
fn mirror(spec: &mut Value, name: &str, old_name: &str) {
    let (new, old) = (spec.at(&[name]).clone(), spec.at(&[old_name]).clone());
    if !new.is_empty() && old != new {
        spec.set(&[old_name], new);
    } else if new.is_empty() && !old.is_empty() {
        spec.set(&[name], old);
    }
}

fn each(spec: &mut Value, list: &str, change: impl Fn(&mut Value)) {
    let Some(old) = spec.find(&[list]) else { return };
    let mut new: Vec<Value> = old.items().to_vec();
    new.iter_mut().for_each(change);
    if new.as_slice() != old.items() {
        spec.set(&[list], new);
    }
}

fn container(container: &mut Value, host_network: bool) {
    let pull = if is_latest(container.at(&["image"]).str_or_empty()) { "Always" } else { "IfNotPresent" };
    for (field, value) in [
        ("imagePullPolicy", Value::from(pull)),
        ("terminationMessagePath", Value::from("/dev/termination-log")),
        ("terminationMessagePolicy", Value::from("File")),
        ("resources", doc!({})),
    ] {
        set_missing(container, &[field], value);
    }
    each(container, "ports", |port| {
        set_missing(port, &["protocol"], "TCP");
        if host_network && port.at(&["hostPort"]).is_empty() {
            let same = port.at(&["containerPort"]).clone();
            port.set(&["hostPort"], same);
        }
    });
    each(container, "env", |entry| {
        if entry.find(&["valueFrom", "fieldRef"]).is_some() {
            set_missing(entry, &["valueFrom", "fieldRef", "apiVersion"], "v1");
        }
    });
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(old) = container.find(&[name]) {
            let mut new = old.clone();
            probe(&mut new);
            if *old != new {
                container.set(&[name], new);
            }
        }
    }
    for hook in ["postStart", "preStop"] {
        if container.find(&["lifecycle", hook, "httpGet"]).is_some() {
            set_missing(container, &["lifecycle", hook, "httpGet", "scheme"], "HTTP");
            set_missing(container, &["lifecycle", hook, "httpGet", "path"], "/");
        }
    }
    // A limit without a request asks for as much as it may have.
    let limits = container.at(&["resources", "limits"]).clone();
    for (resource, limit) in limits.entries() {
        set_missing(container, &["resources", "requests", resource], limit.clone());
    }
}

fn probe(probe: &mut Value) {
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if probe.at(&[field]).is_empty() {
            probe.set(&[field], value);
        }
    }
    if probe.find(&["httpGet"]).is_some() {
        set_missing(probe, &["httpGet", "scheme"], "HTTP");
        set_missing(probe, &["httpGet", "path"], "/");
    }
    if probe.find(&["grpc"]).is_some() {
        set_missing(probe, &["grpc", "service"], "");
    }
}

/// Whether an image names no version, so that it has to be asked for each time.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn volume(volume: &mut Value) {
    for kind in ["secret", "configMap", "downwardAPI", "projected"] {
        if volume.find(&[kind]).is_some() {
            set_missing(volume, &[kind, "defaultMode"], 420);
        }
    }
    if volume.find(&["hostPath"]).is_some() {
        set_missing(volume, &["hostPath", "type"], "");
    }
    if let Some(old) = volume.find(&["projected", "sources"]) {
        let mut new: Vec<Value> = old.items().to_vec();
        for source in &mut new {
            if source.find(&["serviceAccountToken"]).is_some() {
                set_missing(source, &["serviceAccountToken", "expirationSeconds"], 3600);
            }
            each_item(source);
        }
        if new.as_slice() != old.items() {
            volume.set(&["projected", "sources"], new);
        }
    }
    let only_name = volume.entries().len() == 1;
    if only_name {
        volume.set(&["emptyDir"], doc!({}));
    }
}

fn each_item(source: &mut Value) {
    let Some(old) = source.find(&["downwardAPI", "items"]) else { return };
    let mut new: Vec<Value> = old.items().to_vec();
    for item in &mut new {
        if item.find(&["fieldRef"]).is_some() {
            set_missing(item, &["fieldRef", "apiVersion"], "v1");
        }
    }
    if new.as_slice() != old.items() {
        source.set(&["downwardAPI", "items"], new);
    }
}
