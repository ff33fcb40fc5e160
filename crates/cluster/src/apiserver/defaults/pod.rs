//! The defaults of pods, wherever they stand.
//!
//! Knows: `SetDefaults_Pod`, `SetDefaults_PodSpec`, `SetDefaults_Container`, `SetDefaults_Volume` and their like.
//! Does not know: what admission adds to a pod (accounts, tolerations, priorities).

use super::{change, set_missing, types};
use crate::doc;
use crate::quantity::Quantity;
use crate::value::Value;

types! {
    /// A pod itself, not one in a template: a template's pods get these when they are made.
    POD: pod {
        "spec"."enableServiceLinks" = true;
        "status"."phase" = "Pending";
    } [
        "spec" => SPEC;
    ]
    SPEC: spec {
        "dnsPolicy" = "ClusterFirst";
        "restartPolicy" = "Always";
        "securityContext" = {};
        "terminationGracePeriodSeconds" = 30;
        "schedulerName" = "default-scheduler";
    } [
        "containers" => CONTAINER;
        "initContainers" => CONTAINER;
        "ephemeralContainers" => CONTAINER;
        "volumes" => VOLUME;
    ]
    TEMPLATE {} [
        "spec" => SPEC;
    ]
    CONTAINER: container {
        "terminationMessagePath" = "/dev/termination-log";
        "terminationMessagePolicy" = "File";
        "resources" = {};
    } [
        "ports" => PORT;
        "env" => VARIABLE;
        "livenessProbe" => PROBE;
        "readinessProbe" => PROBE;
        "startupProbe" => PROBE;
        "lifecycle"."postStart"."httpGet" => HTTP;
        "lifecycle"."preStop"."httpGet" => HTTP;
    ]
    PORT { "protocol" = "TCP"; }
    VARIABLE {} [
        "valueFrom"."fieldRef" => FIELD_REF;
        "valueFrom"."resourceFieldRef" => RESOURCE_REF;
        "valueFrom"."fileKeyRef" => FILE_KEY_REF;
    ]
    FIELD_REF { "apiVersion" = "v1"; }
    RESOURCE_REF { "divisor" = "0"; }
    FILE_KEY_REF { "optional" = false; }
    PROBE: probe {} [
        "httpGet" => HTTP;
        "grpc" => GRPC;
    ]
    HTTP {
        "path" = "/";
        "scheme" = "HTTP";
    }
    GRPC { "service" = ""; }

    VOLUME: volume {} [
        "secret" => FILES;
        "configMap" => FILES;
        "downwardAPI" => FILES;
        "projected" => PROJECTED;
        "hostPath" => HOST_PATH;
        "azureDisk" => AZURE_DISK;
        "iscsi" => ISCSI;
        "rbd" => RBD;
        "scaleIO" => SCALE_IO;
        "ephemeral"."volumeClaimTemplate"."spec" => CLAIM_SPEC;
    ]
    /// Files with modes, among them perhaps facts about the pod.
    FILES { "defaultMode" = 420; } [
        "items" => FILE;
    ]
    FILE {} [
        "fieldRef" => FIELD_REF;
        "resourceFieldRef" => RESOURCE_REF;
    ]
    PROJECTED { "defaultMode" = 420; } [
        "sources" => PROJECTION;
    ]
    PROJECTION {} [
        "serviceAccountToken" => TOKEN;
        "downwardAPI"."items" => FILE;
    ]
    TOKEN { "expirationSeconds" = 3600; }
    HOST_PATH { "type" = ""; }
    AZURE_DISK {
        "cachingMode" = "ReadWrite";
        "fsType" = "ext4";
        "kind" = "Shared";
        "readOnly" = false;
    }
    ISCSI { "iscsiInterface" = "default"; }
    RBD {
        "pool" = "rbd";
        "user" = "admin";
        "keyring" = "/etc/ceph/keyring";
    }
    SCALE_IO {
        "fsType" = "xfs";
        "storageMode" = "ThinProvisioned";
    }
    CLAIM_SPEC { "volumeMode" = "Filesystem"; }
}

/// A limit without a request asks for as much as it may have; on the node's own network a port is the node's port.
fn pod(pod: &mut Value) {
    let host_network = pod.at(&["spec", "hostNetwork"]).is_true();
    for list in ["containers", "initContainers"] {
        change(pod, &["spec", list], |container| {
            let limits = container.at(&["resources", "limits"]).clone();
            for (resource, limit) in limits.entries() {
                set_missing(container, &["resources", "requests", resource], || limit.clone());
            }
            if host_network {
                change(container, &["ports"], |port| {
                    let number = port.at(&["containerPort"]).clone();
                    if port.at(&["hostPort"]).is_empty() && !number.is_empty() {
                        port.set(&["hostPort"], number);
                    }
                });
            }
        });
    }
    whole_pod_requests(pod);
}

/// A pod with limits of its own asks for what its containers ask for together, or as much as it may have.
fn whole_pod_requests(pod: &mut Value) {
    let limits = pod.at(&["spec", "resources", "limits"]).clone();
    for (resource, limit) in limits.entries() {
        let requests = |list: &str| {
            let containers = pod.at(&["spec", list]).items().iter();
            containers.filter_map(|container| Quantity::of(container.at(&["resources", "requests", resource])))
        };
        let together: Quantity = requests("containers").sum();
        let largest = requests("initContainers").max().unwrap_or_default();
        let asked = together.max(largest);
        let request = if asked.is_zero() { limit.clone() } else { asked.into() };
        set_missing(pod, &["spec", "resources", "requests", resource], || request);
    }
}

/// Two names of one field: who sets one sets both. Of two that differ, the new name's wins.
fn spec(spec: &mut Value) {
    let (new, old) = (spec.at(&["serviceAccountName"]).clone(), spec.at(&["serviceAccount"]).clone());
    if !new.is_empty() && old != new {
        spec.set(&["serviceAccount"], new);
    } else if new.is_empty() && !old.is_empty() {
        spec.set(&["serviceAccountName"], old);
    }
}

fn container(container: &mut Value) {
    let policy = pull_policy(container.at(&["image"]).str_or_empty());
    set_missing(container, &["imagePullPolicy"], || Value::from(policy));
}

/// An image whose tag moves is asked for each time. Of a text that names no image no tag is known.
fn pull_policy(image: &str) -> &'static str {
    let (image, digest) = image.split_once('@').map_or((image, None), |(image, digest)| (image, Some(digest)));
    let (name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    };
    let latest = digest.is_none() && is_image(name) && tag.is_none_or(|tag| tag == "latest");
    if latest { "Always" } else { "IfNotPresent" }
}

/// `registry.example.com:5000/team/image`: the host may be anything like one; the rest is in small letters.
fn is_image(name: &str) -> bool {
    let host = |part: &str| part.contains(['.', ':']) || part == "localhost" || part != part.to_lowercase();
    let path = match name.split_once('/') {
        Some((first, rest)) if host(first) => rest,
        _ => name,
    };
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let ends = bytes.first().copied().is_some_and(word) && bytes.last().copied().is_some_and(word);
        let sound = bytes.iter().all(|byte| word(*byte) || matches!(byte, b'.' | b'_' | b'-'));
        // Words are held together by a dot, one or two lines below, or dashes; never by two kinds.
        let separators = part.split(|letter: char| letter.is_ascii_alphanumeric()).filter(|one| !one.is_empty());
        ends && sound
            && separators.into_iter().all(|one| matches!(one, "." | "_" | "__") || one.bytes().all(|b| b == b'-'))
    };
    name.len() <= 255 && path.split('/').all(part)
}

fn probe(probe: &mut Value) {
    let numbers = [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)];
    for (field, value) in numbers {
        if probe.at(&[field]).is_empty() {
            probe.set(&[field], value);
        }
    }
}

/// A volume of no type is a scratch directory.
fn volume(volume: &mut Value) {
    if volume.entries().iter().all(|(key, value)| key == "name" || value.is_null()) {
        volume.set(&["emptyDir"], doc!({}));
    }
    let policy = volume.find(&["image"]).map(|image| pull_policy(image.at(&["reference"]).str_or_empty()));
    if let Some(policy) = policy {
        set_missing(volume, &["image", "pullPolicy"], || Value::from(policy));
    }
}
