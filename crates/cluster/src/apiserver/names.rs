//! What Kubernetes' own Go code calls its types: some of its errors say so.
//!
//! Knows: Go package names.
//! Does not know: anything about what the types hold.

use crate::schema::Resource;

/// The package of a group's internal types: `core`, `apps`, `rbac`.
#[must_use]
pub(crate) fn internal_package(group: &str) -> &str {
    match group {
        "" | "events.k8s.io" => "core",
        group => group.split('.').next().unwrap_or(group),
    }
}

/// The internal type of a resource's objects, or of their lists: `*core.ConfigMap`.
#[must_use]
pub(crate) fn go_type(resource: &Resource, list: bool) -> String {
    let suffix = if list { "List" } else { "" };
    if resource.custom {
        return format!("*unstructured.Unstructured{suffix}");
    }
    format!("*{}.{}{suffix}", internal_package(&resource.group), resource.kind)
}
