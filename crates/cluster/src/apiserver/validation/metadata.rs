//! Names, labels, annotations, owners and finalizers (`k8s.io/apimachinery/pkg/api/validation`).
//!
//! Knows: the alphabets and lengths.
//! Does not know: kinds, beyond whose names may be freer.

use super::{invalid, required};
use crate::apiserver::status::Cause;
use crate::object::ObjectKey;
use crate::value::Value;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// Kinds whose names are only kept out of paths: RBAC's.
const FREE: &str = "rbac.authorization.k8s.io";
/// Kinds whose names are DNS labels.
const LABELS: &[&str] = &["namespaces", "services"];

/// What is wrong with an object's metadata.
pub(super) fn check(key: &ObjectKey, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = object.at(&["metadata", "name"]);
    let text = name.str_or_empty();
    if key.resource.ends_with(FREE) {
        if text == "." || text == ".." || text.contains(['/', '%']) {
            causes.push(invalid("metadata.name", name, "may not be '.', '..', or contain '/' or '%'"));
        }
    } else if LABELS.contains(&key.resource.as_str()) {
        if !is_label(text) {
            causes.push(invalid("metadata.name", name, LABEL));
        }
    } else {
        if text.len() > 253 {
            causes.push(invalid("metadata.name", name, "must be no more than 253 bytes"));
        }
        if !text.split('.').all(is_subdomain_part) {
            causes.push(invalid("metadata.name", name, SUBDOMAIN));
        }
    }
    pairs("metadata.labels", object.labels(), true, &mut causes);
    pairs("metadata.annotations", object.at(&["metadata", "annotations"]), false, &mut causes);
    for (at, owner) in object.at(&["metadata", "ownerReferences"]).items().iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.at(&[field]).str_or_empty().is_empty() {
                let why = if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                causes.push(invalid(&format!("metadata.ownerReferences[{at}].{field}"), &Value::from(""), why));
            }
        }
    }
    if object
        .at(&["metadata", "ownerReferences"])
        .items()
        .iter()
        .filter(|owner| owner.at(&["controller"]).is_true())
        .count()
        > 1
    {
        causes.push(invalid(
            "metadata.ownerReferences",
            object.at(&["metadata", "ownerReferences"]),
            "Only one reference can have Controller set to true",
        ));
    }
    if text.is_empty() {
        causes.push(required("metadata.name", "name or generateName is required"));
    }
    causes
}

fn pairs(field: &str, map: &Value, values_are_labels: bool, causes: &mut Vec<Cause>) {
    for (key, value) in map.entries() {
        let (prefix, name) = key.rsplit_once('/').map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
        if !is_label_value(name) || name.is_empty() || name.len() > 63 {
            causes.push(invalid(field, &Value::from(key), QUALIFIED));
        }
        if prefix.is_some_and(|prefix| !prefix.split('.').all(is_subdomain_part)) {
            causes.push(invalid(field, &Value::from(key), &format!("prefix part {SUBDOMAIN}")));
        }
        let text = value.str_or_empty();
        if values_are_labels && text.len() > 63 {
            causes.push(invalid(field, value, "must be no more than 63 bytes"));
        }
        if values_are_labels && !is_label_value(text) {
            causes.push(invalid(field, value, LABEL_VALUE));
        }
    }
}

fn is_subdomain_part(part: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_subdomain_part(text)
}

fn is_label_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let outer = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    text.bytes().all(inner) && outer(text.bytes().next()) && outer(text.bytes().last())
}
