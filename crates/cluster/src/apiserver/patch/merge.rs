//! JSON merge patch, RFC 7386.
//!
//! Knows: maps are merged, `null` removes, everything else replaces.
//! Does not know: the schema.

use crate::value::{Map, Value};

/// The target with the patch merged in.
pub(super) fn apply(target: &Value, patch: &Value) -> Value {
    let Some(changes) = patch.as_object() else { return patch.clone() };
    let mut merged = target.as_object().cloned().unwrap_or_default();
    for (key, change) in changes {
        match change {
            Value::Null => {
                if merged.contains_key(key) {
                    merged.remove(key);
                }
            }
            Value::Object(_) => put(&mut merged, key, |old| apply(old, change)),
            other => put(&mut merged, key, |old| if old.as_object().is_some() { other.clone() } else { pruned(other) }),
        }
    }
    Value::Object(merged)
}

/// A value without the members that are `null`, which is how the API server's library takes what it does not merge.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, below)| !below.is_null());
            Value::Object(kept.map(|(key, below)| (key.clone(), pruned(below))).collect())
        }
        Value::Array(list) => Value::from(list.iter().map(pruned).collect::<Vec<_>>()),
        other => other.clone(),
    }
}

/// Puts a value in only if it differs: what a patch says again must not copy the document.
fn put(map: &mut Map, key: &str, make: impl FnOnce(&Value) -> Value) {
    let old = map.get(key);
    let new = make(old.unwrap_or(&Value::Null));
    if old != Some(&new) {
        map.insert(key, new);
    }
}
