//! Lists whose elements are told apart, by themselves or by some of their fields.
//!
//! Knows: when two elements are the same one.
//! Does not know: how such lists are merged.

use std::collections::{BTreeMap, BTreeSet};

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
                let mut known = BTreeSet::new();
                for (at, identity) in identities.iter().enumerate() {
                    if !known.insert(identity.to_json()) {
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

/// A list as it was, in which elements are found again.
pub(super) enum Before<'a> {
    /// By what tells them apart: with many elements, looking at each for each would take for ever.
    Told(BTreeMap<String, &'a Value>, &'a Value),
    /// By their place.
    Placed(&'a [Value]),
}

impl<'a> Before<'a> {
    /// The list as a schema tells its elements apart.
    pub(super) fn of(schema: &'a Value, old: &'a Value) -> Self {
        match identities(schema, old.items()) {
            Some(identities) => {
                let told = identities.iter().map(Value::to_json).zip(old.items()).rev();
                Self::Told(told.collect(), schema)
            }
            None => Self::Placed(old.items()),
        }
    }

    /// Whether elements are found by what tells them apart.
    pub(super) fn is_told(&self) -> bool {
        matches!(self, Self::Told(..))
    }

    /// What an element was before.
    pub(super) fn get(&self, at: usize, item: &Value) -> Option<&'a Value> {
        match self {
            Self::Placed(items) => items.get(at),
            Self::Told(known, schema) => {
                let identity = identities(schema, std::slice::from_ref(item))?;
                known.get(&identity.first()?.to_json()).copied()
            }
        }
    }
}
