//! The objects that a binding parametrises its policy with.
//!
//! Knows: which objects a reference means, and what it means that there are none.
//! Does not know: what a policy does with them.

use super::Attempt;
use crate::cluster::Cluster;
use crate::labels;
use crate::object::ObjectKey;
use crate::schema::split_api_version;
use crate::value::Value;

/// Why no binding of a policy can have parameters, if their kind is not known.
pub(super) fn unknown_kind(cluster: &Cluster, policy: &Value) -> Option<String> {
    let kind = policy.at(&["spec", "paramKind"]);
    let (group, version) = split_api_version(kind.api_version());
    if kind.is_null() || cluster.schema.by_kind(group, version, kind.kind()).is_some() {
        return None;
    }
    let (version, kind) = (kind.api_version(), kind.kind());
    Some(format!("failed to find resource referenced by paramKind: '{version}, Kind={kind}'"))
}

/// The parameters to use a policy with, one after the other; none of them is also one way to use it.
///
/// # Errors
/// Why it cannot be used at all.
pub(super) fn find(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    policy: &Value,
    binding: &Value,
) -> Result<Vec<Option<Value>>, String> {
    let (kind, reference) = (policy.at(&["spec", "paramKind"]), binding.at(&["spec", "paramRef"]));
    if kind.is_null() || reference.is_null() {
        return Ok(vec![None]);
    }
    let (group, version) = split_api_version(kind.api_version());
    let Some(resource) = cluster.schema.by_kind(group, version, kind.kind()) else {
        return Err(format!("paramKind kind `{}, Kind={}` not known", kind.api_version(), kind.kind()));
    };
    let wanted = reference.at(&["namespace"]).str_or_empty();
    let namespace = match (resource.namespaced, wanted) {
        (false, "") => None,
        (false, _) => return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned()),
        (true, "") if attempt.key.namespace.is_empty() => {
            return Err(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned()
            );
        }
        (true, "") => Some(attempt.key.namespace.as_str()),
        (true, wanted) => Some(wanted),
    };
    let name = reference.at(&["name"]).str_or_empty();
    let shown = |object: &Value| cluster.schema.convert(object, &resource.gvk());
    let found: Vec<Option<Value>> = if name.is_empty() {
        let selector = reference.at(&["selector"]);
        let all = cluster.list(&resource.storage.resource, namespace);
        all.filter(|(_, object)| labels::matches(selector, object.labels()))
            .map(|(_, object)| Some(shown(object)))
            .collect()
    } else {
        let key = ObjectKey::new(resource.storage.resource.clone(), namespace.unwrap_or(""), name);
        cluster.get(&key).map(|object| Some(shown(object))).into_iter().collect()
    };
    if found.is_empty() && reference.at(&["parameterNotFoundAction"]) == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(found)
}

/// What of a namespace expressions may see.
pub(super) fn shown(namespace: &Value) -> Value {
    let mut shown = Value::default();
    for field in [
        "name",
        "generateName",
        "namespace",
        "labels",
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "resourceVersion",
        "finalizers",
    ] {
        if let Some(value) = namespace.find(&["metadata", field]) {
            shown.set(&["metadata", field], value.clone());
        }
    }
    shown.set(&["metadata", "UID"], namespace.uid());
    for path in [["spec", "finalizers"], ["status", "phase"]] {
        if let Some(value) = namespace.find(&path) {
            shown.set(&path, value.clone());
        }
    }
    shown
}
