//! Custom resource definitions: what the server fills in and says of them, and what serving them means.
//!
//! Knows: their names, versions and conditions.
//! Does not know: the objects that they define.

use super::delete::instances_pending;
use crate::apiserver::status::split;
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

/// Where definitions are kept.
pub const RESOURCE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// What keeps a definition until its objects are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// A new definition: none of its names is accepted yet, and its objects are kept in one version.
pub(super) fn first_status(definition: &mut Value) {
    let stored = stored_version(definition);
    definition.set(
        &["status"],
        doc!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": [(stored)]}),
    );
}

/// A changed definition remembers every version that objects were ever kept in.
pub(super) fn remember_versions(definition: &mut Value) {
    let stored = stored_version(definition);
    let known = definition.at(&["status", "storedVersions"]);
    if !stored.is_null() && !known.items().contains(&stored) {
        definition.make(&["status", "storedVersions"]).array().push(stored);
    }
}

fn stored_version(definition: &Value) -> Value {
    let versions = definition.at(&["spec", "versions"]).items();
    versions
        .iter()
        .find(|version| version.at(&["storage"]).is_true())
        .map(|version| version.at(&["name"]).clone())
        .unwrap_or_default()
}

/// A definition that has been told to go, and waits for its objects to.
pub(super) fn terminating(mut definition: Value, now: &str) -> Value {
    definition.set(&["metadata", "deletionTimestamp"], now);
    if !definition.finalizers().any(|finalizer| finalizer == CLEANUP) {
        definition.make(&["metadata", "finalizers"]).array().push(Value::from(CLEANUP));
    }
    instances_pending(&mut definition, now);
    definition
}

/// A definition that comes, changes or goes changes what the API server serves.
pub(super) fn types_changed(cluster: &mut Cluster, key: &ObjectKey) {
    if !key.is(RESOURCE) {
        return;
    }
    let schema = match cluster.get(key) {
        Some(definition) => cluster.schema.with_definition(definition).ok(),
        None => {
            let (plural, group) = split(&key.name);
            Some(cluster.schema.without(group, plural))
        }
    };
    if let Some(schema) = schema {
        cluster.schema = schema;
    }
}
