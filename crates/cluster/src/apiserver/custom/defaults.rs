//! What a schema fills in.
//!
//! Knows: `default`, and which nulls give way to it.
//! Does not know: whether what is filled in is valid; a definition whose defaults are not is never accepted.

use crate::value::Value;

/// Fills in, from the top down: what is filled in may lack something itself.
pub(super) fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, below) in schema.at(&["properties"]).entries() {
                let gives_way = |have: &Value| have.is_null() && !below.at(&["nullable"]).is_true();
                match (map.get(name).is_none_or(gives_way), below.get("default")) {
                    (true, Some(default)) => drop(map.insert(name.clone(), default.clone())),
                    // A null where none may be, and nothing to put there, is no value.
                    (true, None) if map.contains_key(name) && below.get("type").is_some() => drop(map.remove(name)),
                    _ => {}
                }
            }
            let named = schema.at(&["properties"]);
            let others = schema.at(&["additionalProperties"]);
            for (name, below) in map.entries_mut() {
                let of = named.get(name).unwrap_or(others);
                if of.as_object().is_some() {
                    fill(of, below);
                }
            }
        }
        Value::Array(items) if schema.get("items").is_some() => {
            let of = schema.at(&["items"]);
            items.edit().iter_mut().for_each(|item| fill(of, item));
        }
        _ => {}
    }
}
