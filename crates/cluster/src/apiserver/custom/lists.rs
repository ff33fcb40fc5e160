//! Lists whose elements are told apart, by themselves or by some of their fields.
//!
//! Knows: when two elements are the same one.
//! Does not know: how such lists are merged.

use crate::apiserver::status::Cause;
use crate::value::{Map, Value};

/// Every element that was there before it.
pub(super) fn check(schema: &Value, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(schema, value, "", &mut causes);
    causes
}

fn walk(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(map) => {
            for (name, below) in map {
                let (of, path) = match schema.at(&["properties"]).get(name) {
                    Some(of) if path.is_empty() => (of, name.to_string()),
                    Some(of) => (of, format!("{path}.{name}")),
                    None => (schema.at(&["additionalProperties"]), format!("{path}[{name}]")),
                };
                walk(of, below, &path, causes);
            }
        }
        Value::Array(items) => {
            if let Some(identities) = identities(schema, items) {
                for (at, identity) in identities.iter().enumerate() {
                    if identities.iter().take(at).any(|before| before == identity) {
                        causes.push(Cause {
                            reason: "FieldValueDuplicate",
                            message: format!("Duplicate value: {}", identity.to_json()),
                            field: format!("{path}[{at}]"),
                        });
                    }
                }
            }
            for (at, item) in items.iter().enumerate() {
                walk(schema.at(&["items"]), item, &format!("{path}[{at}]"), causes);
            }
        }
        _ => {}
    }
}

/// What tells each element of a list apart, if its elements are told apart.
fn identities(schema: &Value, items: &[Value]) -> Option<Vec<Value>> {
    match schema.at(&["x-kubernetes-list-type"]).str_or_empty() {
        "set" => Some(items.to_vec()),
        "map" => {
            let keys = schema.at(&["x-kubernetes-list-map-keys"]).items();
            let identity = |item: &Value| {
                let keys = keys.iter().filter_map(Value::as_text);
                Value::Object(keys.filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect::<Map>())
            };
            Some(items.iter().map(identity).collect())
        }
        _ => None,
    }
}
