//! What is wrong with the variables of a container.
//!
//! Knows: where a variable's value may come from.
//! Does not know: the rest of the container.

use super::faults::{At, Faults, quote};
use super::{internal, names, source};
use crate::quantity::Quantity;

/// What a variable may be told of its pod.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields that selectors know, but that a container cannot be told.
const OTHER_FIELDS: &[&str] = &[
    "spec.hostNetwork",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.nominatedNodeName",
    "status.phase",
    "metadata.labels",
    "metadata.annotations",
];

/// What a container may be told of its amounts.
const AMOUNTS: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const BYTES: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

pub(super) fn environment(at: &At<'_>, faults: &mut Faults) {
    for variable in at.field("env").items() {
        faults.text_of(&variable.field("name"), names::env_name);
        let from = variable.field("valueFrom");
        if !from.is_absent() {
            let said = !variable.field("value").text().is_empty();
            value_from(&from, said, faults);
        }
    }
    let sources = at.field("envFrom");
    for source in sources.items() {
        faults.optional(&source.field("prefix"), names::env_name);
        let mut given = 0;
        for kind in ["configMapRef", "secretRef"] {
            let reference = source.field(kind);
            if !reference.is_absent() {
                given += 1;
                // What is named here may go on, so it may end in a dash.
                faults.text_of(&reference.field("name"), beginning);
            }
        }
        match given {
            0 => faults.invalid_as(&sources, "\"\"", "must specify one of: `configMapRef` or `secretRef`"),
            1 => {}
            _ => faults.invalid_as(&sources, "\"\"", "may not have more than one field specified at a time"),
        }
    }
}

fn beginning(text: &str) -> Vec<String> {
    names::subdomain(&super::metadata::filled_up(text))
}

fn value_from(from: &At<'_>, said: bool, faults: &mut Faults) {
    let mut given = 0;
    for kind in ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"] {
        let reference = from.field(kind);
        if reference.is_absent() {
            continue;
        }
        given += 1;
        match kind {
            "fieldRef" => field_ref(&reference, ENV_FIELDS, faults),
            "resourceFieldRef" => resource_ref(&reference, false, faults),
            "fileKeyRef" => {
                faults.text_of(&reference.field("key"), names::env_name);
                faults.text_of(&reference.field("volumeName"), names::label);
                let path = reference.field("path");
                if faults.some_text(&path) {
                    source::no_backsteps(&path, faults);
                }
            }
            _ => {
                faults.text_in(&reference.field("name"), names::subdomain);
                faults.text_of(&reference.field("key"), names::config_key);
            }
        }
    }
    let why = match given {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if said => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    faults.invalid_as(from, "\"\"", why);
}

/// A field of the pod that may be told.
pub(super) fn field_ref(at: &At<'_>, allowed: &[&str], faults: &mut Faults) {
    if !faults.some_text(&at.field("apiVersion")) {
        return;
    }
    let path = at.field("fieldPath");
    if !faults.some_text(&path) {
        return;
    }
    let version = at.field("apiVersion");
    let subscript = path.text().strip_suffix("']").and_then(|text| text.split_once("['"));
    let known = |path: &str| ENV_FIELDS.contains(&path) || OTHER_FIELDS.contains(&path);
    if version.text() != "v1" {
        let why = format!("error converting fieldPath: unsupported pod version: {}", version.text());
        return faults.invalid(&path, &why);
    }
    match subscript {
        Some(("metadata.labels", key)) => keyed(at, key, names::qualified(key), faults),
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            keyed(at, &key, names::qualified(&key), faults);
        }
        Some(_) => {
            let why = format!("error converting fieldPath: field label does not support subscript: {}", path.text());
            faults.invalid(&path, &why);
        }
        None if allowed.contains(&path.text()) => {}
        None if known(path.text()) => faults.unsupported(&path, allowed),
        None => {
            let why = format!("error converting fieldPath: field label not supported: {}", path.text());
            faults.invalid(&path, &why);
        }
    }
}

fn keyed(at: &At<'_>, key: &str, why: Vec<String>, faults: &mut Faults) {
    for why in why {
        faults.invalid_as(at, &quote(key), &why);
    }
}

/// An amount of a container's that may be told.
pub(super) fn resource_ref(at: &At<'_>, in_volume: bool, faults: &mut Faults) {
    let (container, resource) = (at.field("containerName"), at.field("resource"));
    let huge = ["limits.hugepages-", "requests.hugepages-"].iter().any(|begin| resource.text().starts_with(begin));
    if in_volume && container.text().is_empty() {
        faults.required(&container, "");
    } else if resource.text().is_empty() {
        faults.required(&resource, "");
    } else if !huge && !AMOUNTS.contains(&resource.text()) {
        faults.unsupported(&resource, AMOUNTS);
    }
    let divisor = at.field("divisor");
    let Some(amount) = Quantity::of(divisor.value).filter(|amount| *amount != Quantity::ZERO) else { return };
    let amount = amount.to_string();
    let (what, few): (&str, &[&str]) = match resource.text() {
        "limits.cpu" | "requests.cpu" => ("cpu", &["1m", "1"]),
        "limits.memory" | "requests.memory" => ("memory", BYTES),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => ("local ephemeral storage", BYTES),
        _ if huge => ("hugepages", BYTES),
        _ => return,
    };
    if !few.contains(&amount.as_str()) {
        let few = if what == "cpu" { "1m and 1".to_owned() } else { few.join(", ") };
        let why = format!("only divisor's values {few} are supported with the {what} resource");
        faults.invalid_as(&divisor, &quote(resource.text()), &why);
    }
}

/// Variables that are read from files, which only a directory of the pod's own can hold.
pub(super) fn files(spec: &At<'_>, faults: &mut Faults) {
    let volumes = spec.field("volumes").value.items();
    for container in internal::containers(spec) {
        for variable in container.field("env").items() {
            let name = variable.down(&["valueFrom", "fileKeyRef"]).field("volumeName");
            if variable.down(&["valueFrom", "fileKeyRef"]).is_absent() {
                continue;
            }
            match volumes.iter().find(|volume| volume.at(&["name"]) == name.text()) {
                None => faults.not_found(&name),
                Some(volume) if volume.at(&["emptyDir"]).is_null() => {
                    faults.invalid(&name, "referenced volume must be of type emptyDir");
                }
                Some(_) => {}
            }
        }
    }
}
