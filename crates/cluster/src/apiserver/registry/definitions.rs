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

/// Which of a definition's names another of its group has already, as its condition says it: reason and message.
#[must_use]
pub fn conflict(cluster: &Cluster, definition: &Value) -> Option<(&'static str, String)> {
    let (group, names) = (definition.at(&["spec", "group"]), definition.at(&["spec", "names"]));
    let others = cluster.list(RESOURCE, None).map(|(_, other)| other);
    let others: Vec<&Value> = others
        .filter(|other| other.name() != definition.name() && other.at(&["spec", "group"]) == group)
        .map(|other| other.at(&["status", "acceptedNames"]))
        .collect();
    let taken = |fields: &[&str], name: &Value| {
        let is = |other: &&Value| {
            fields.iter().any(|field| other.at(&[field]) == name)
                || fields.contains(&"plural") && other.at(&["shortNames"]).items().contains(name)
        };
        !name.is_empty() && others.iter().any(is)
    };
    let (paths, kinds) = (["plural", "singular"], ["kind", "listKind"]);
    let mut found = None;
    let mut look = |fields: &[&str], name: &Value, reason: &'static str| {
        if taken(fields, name) {
            found = Some((reason, format!("{:?} is already in use", name.str_or_empty())));
        }
    };
    look(&paths, names.at(&["plural"]), "PluralConflict");
    look(&paths, names.at(&["singular"]), "SingularConflict");
    for short in names.at(&["shortNames"]).items() {
        look(&paths, short, "ShortNamesConflict");
    }
    look(&kinds, names.at(&["kind"]), "KindConflict");
    look(&kinds, names.at(&["listKind"]), "ListKindConflict");
    found
}

/// A definition that comes, changes or goes changes what the API server serves.
pub(super) fn types_changed(cluster: &mut Cluster, key: &ObjectKey) {
    if !key.is(RESOURCE) {
        return;
    }
    let schema = match cluster.get(key) {
        // One whose names are another's is not served until they are free.
        Some(definition) if conflict(cluster, definition).is_some() && !definition.condition_is_true("Established") => {
            None
        }
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

#[cfg(test)]
mod tests {
    use twin::Time;

    use super::*;
    use crate::schema::Schema;

    #[test]
    fn a_name_that_another_definition_of_the_group_has_is_a_conflict() {
        let definition = |plural: &str, kind: &str, group: &str, short: &str| {
            doc!({
                "kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1",
                "metadata": {"name": (format!("{plural}.{group}"))},
                "spec": {"group": (group), "names": {
                    "plural": (plural), "singular": (kind.to_lowercase()), "kind": (kind),
                    "listKind": (format!("{kind}List")), "shortNames": [(short)],
                }},
            })
        };
        let mut cluster = Cluster::new(Schema::default(), Time::default(), 1);
        let mut have = definition("widgets", "Widget", "a.example.com", "w");
        have.set(&["status", "acceptedNames"], have.at(&["spec", "names"]).clone());
        cluster.write(&ObjectKey::new(RESOURCE, "", have.name()), Some(have.clone()));
        for (wanted, said) in [
            (definition("gadgets", "Gadget", "a.example.com", "g"), None),
            (definition("widgets", "Widget", "b.example.com", "w"), None),
            (definition("gadgets", "Widget", "a.example.com", "g"), Some("ListKindConflict")),
            (definition("gadgets", "Gadget", "a.example.com", "w"), Some("ShortNamesConflict")),
            (have, None),
        ] {
            assert_eq!(conflict(&cluster, &wanted).map(|(reason, _)| reason), said, "{wanted}");
        }
    }
}
