//! What is refused because a field is wrong.
//!
//! Knows: the checks that every object has to pass, and those of single kinds.
//! Does not know: who asks, or what the cluster holds.

mod metadata;

use super::status::Cause;
use crate::object::ObjectKey;
use crate::value::Value;

/// What is wrong with a new object.
pub(super) fn create(key: &ObjectKey, object: &Value) -> Vec<Cause> {
    let mut causes = metadata::check(key, object);
    causes.extend(kinds(key, object));
    causes
}

/// What is wrong with a change.
pub(super) fn update(key: &ObjectKey, object: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = metadata::check(key, object);
    causes.extend(kinds(key, object));
    causes.extend(immutable(key, object, old));
    causes
}

/// What is not wrong but does not do what it seems to.
pub(super) fn warnings(_key: &ObjectKey, _object: &Value) -> Vec<String> {
    Vec::new()
}

fn invalid(field: &str, value: &Value, why: &str) -> Cause {
    Cause {
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {}: {why}", value.to_json()),
        field: field.to_owned(),
    }
}

fn required(field: &str, why: &str) -> Cause {
    let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
    Cause { reason: "FieldValueRequired", message, field: field.to_owned() }
}

/// Workloads whose pods they would not recognise, and counts below nothing.
fn kinds(key: &ObjectKey, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if !matches!(
        key.resource.as_str(),
        "deployments.apps" | "replicasets.apps" | "statefulsets.apps" | "daemonsets.apps"
    ) {
        return causes;
    }
    let replicas = object.at(&["spec", "replicas"]);
    if replicas.as_int().is_some_and(|count| count < 0) {
        causes.push(invalid("spec.replicas", replicas, "must be greater than or equal to 0"));
    }
    let selector = object.at(&["spec", "selector"]);
    let labels = object.at(&["spec", "template", "metadata", "labels"]);
    if selector.is_null() {
        causes.push(required("spec.selector", ""));
    } else if !crate::labels::matches(selector, labels) {
        causes.push(invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"));
    }
    if object.at(&["spec", "template", "spec", "containers"]).items().is_empty() {
        causes.push(required("spec.template.spec.containers", ""));
    }
    causes
}

/// Fields that may not change once they are set.
const IMMUTABLE: &[(&str, &[&str])] = &[
    ("deployments.apps", &["spec", "selector"]),
    ("replicasets.apps", &["spec", "selector"]),
    ("daemonsets.apps", &["spec", "selector"]),
    ("jobs.batch", &["spec", "selector"]),
    ("jobs.batch", &["spec", "completionMode"]),
    ("rolebindings.rbac.authorization.k8s.io", &["roleRef"]),
    ("clusterrolebindings.rbac.authorization.k8s.io", &["roleRef"]),
    ("storageclasses.storage.k8s.io", &["provisioner"]),
    ("secrets", &["type"]),
    ("priorityclasses.scheduling.k8s.io", &["value"]),
];

fn immutable(key: &ObjectKey, object: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (_, path) in IMMUTABLE.iter().filter(|(resource, _)| key.is(resource)) {
        if object.at(path) != old.at(path) {
            let why = if *path == ["roleRef"] { "cannot change roleRef" } else { "field is immutable" };
            causes.push(invalid(&path.join("."), object.at(path), why));
        }
    }
    if matches!(key.resource.as_str(), "configmaps" | "secrets") && old.at(&["immutable"]).is_true() {
        let changed = |field: &str| object.at(&[field]) != old.at(&[field]);
        for field in ["immutable", "data", "binaryData", "stringData"].into_iter().filter(|field| changed(field)) {
            causes.push(Cause {
                reason: "FieldValueForbidden",
                message: "Forbidden: field is immutable when `immutable` is set".to_owned(),
                field: field.to_owned(),
            });
        }
    }
    causes
}
