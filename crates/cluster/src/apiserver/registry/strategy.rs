//! What differs from kind to kind in how objects are written: data, not code.
//!
//! Knows: which kinds have a status of their own, count generations, or may be made by PUT.
//! Does not know: what the fields mean.

use crate::schema::Resource;
use crate::value::Value;

/// Kinds without a generation, though they have a spec (`pkg/registry/*/strategy.go` sets none).
const NO_GENERATION: &[&str] = &[
    "services",
    "namespaces",
    "nodes",
    "persistentvolumes",
    "persistentvolumeclaims",
    "resourcequotas",
    "limitranges",
    "leases.coordination.k8s.io",
    "volumeattachments.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "csidrivers.storage.k8s.io",
    "horizontalpodautoscalers.autoscaling",
    "certificatesigningrequests.certificates.k8s.io",
    "apiservices.apiregistration.k8s.io",
    "servicecidrs.networking.k8s.io",
    "ipaddresses.networking.k8s.io",
];

/// Kinds that PUT makes if they are not there (`AllowCreateOnUpdate`).
const MADE_ON_UPDATE: &[&str] = &[
    "endpoints",
    "events",
    "limitranges",
    "services",
    "leases.coordination.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
];

/// Whether PUT makes what is not there.
#[must_use]
pub fn makes_on_update(resource: &str) -> bool {
    MADE_ON_UPDATE.contains(&resource)
}

/// Kinds whose delete is answered with the object itself.
#[must_use]
pub fn answers_with_itself(resource: &str) -> bool {
    matches!(
        resource,
        "pods"
            | "services"
            | "persistentvolumes"
            | "persistentvolumeclaims"
            | "serviceaccounts"
            | "podtemplates"
            | "replicationcontrollers"
            | "storageclasses.storage.k8s.io"
            | "volumeattachments.storage.k8s.io"
            | "csinodes.storage.k8s.io"
            | "csidrivers.storage.k8s.io"
            | "resourcequotas"
    ) && !matches!(resource, "replicationcontrollers")
}

/// Whether a generation counts the changes of what is wanted.
#[must_use]
pub(super) fn counts_generations(resource: &str, object: &Value) -> bool {
    let policy = matches!(
        resource,
        "validatingwebhookconfigurations.admissionregistration.k8s.io"
            | "mutatingwebhookconfigurations.admissionregistration.k8s.io"
    );
    policy || (object.get("spec").is_some() && !NO_GENERATION.contains(&resource))
}

/// Whether the status is written by itself, and left alone by other writes.
#[must_use]
pub(super) fn has_status(resource: &Resource) -> bool {
    resource.subresource("status").is_some()
}

/// What of an object is wanted: all but metadata and status. A change of it is a new generation.
#[must_use]
pub(super) fn wanted(object: &Value) -> Value {
    let mut wanted = object.clone();
    for field in ["metadata", "status", "apiVersion", "kind"] {
        if wanted.get(field).is_some() {
            wanted.object().remove(field);
        }
    }
    wanted
}
