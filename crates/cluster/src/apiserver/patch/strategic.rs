//! Strategic merge patch (`k8s.io/apimachinery/pkg/util/strategicpatch`).
//!
//! Knows: the directives, and from the schema which lists are merged by which key.
//! Does not know: any kind.

use super::Status;
use crate::schema::{Patch, Type};
use crate::value::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Merges a patch into a document of this type.
pub(super) fn apply(ty: Type<'_>, document: &mut Value, patch: &Value) -> Result<(), Status> {
    let Some(changes) = patch.as_object() else {
        return Err(Status::bad_request("a strategic merge patch has to be an object"));
    };
    merge_map(ty, document, changes)
}

fn merge_map(ty: Type<'_>, target: &mut Value, patch: &Map) -> Result<(), Status> {
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            *target = Value::Object(without_directives(patch));
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::default());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => {
            return Err(Status::bad_request(format!("Wrong patch type. Unknown patch type: {other} found in: map")));
        }
    }
    if let Some(kept) = patch.get(RETAIN_KEYS) {
        retain(target, kept, patch)?;
    }
    for (key, change) in patch {
        let key = key.as_str();
        if key == DIRECTIVE || key == RETAIN_KEYS || key.starts_with(ORDER) {
            continue;
        }
        if let Some(field) = key.strip_prefix(DELETE_FROM) {
            delete_from(target, field, change);
            continue;
        }
        let field = ty.field(key);
        let below = ty.child(key).unwrap_or(Type::unknown());
        let plan = field.map(|field| field.patch().clone()).unwrap_or_default();
        merge_entry(below, &plan, target, key, change, patch)?;
    }
    // An order without elements only sorts what is there.
    for (key, order) in patch {
        if let Some(field) = key.strip_prefix(ORDER)
            && !patch.contains_key(field)
        {
            let plan = ty.field(field).map(|field| field.patch().clone()).unwrap_or_default();
            if let Some(list) = target.find_mut(&[field]) {
                sort(list, order, plan.merge_key.as_deref(), &[]);
            }
        }
    }
    Ok(())
}

fn merge_entry(
    ty: Type<'_>,
    plan: &Patch,
    target: &mut Value,
    key: &str,
    change: &Value,
    patch: &Map,
) -> Result<(), Status> {
    match change {
        Value::Null => {
            if target.get(key).is_some() {
                target.object().remove(key);
            }
        }
        Value::Object(below) => {
            let mut merged = target.get(key).cloned().unwrap_or_default();
            if plan.replace || merged.as_object().is_none() {
                merged = Value::Object(Map::default());
            }
            if plan.retain_keys && !below.contains_key(RETAIN_KEYS) && plan.replace {
                merged = Value::Object(Map::default());
            }
            merge_map(ty, &mut merged, below)?;
            put(target, key, merged);
        }
        Value::Array(elements) if plan.merge => {
            let mut merged = target.get(key).cloned().unwrap_or_default();
            let items = ty.list().map_or(Type::unknown(), |list| list.items);
            match plan.merge_key.as_deref() {
                Some(merge_key) => merge_by_key(items, merge_key, &mut merged, elements)?,
                None => merge_scalars(&mut merged, elements),
            }
            if let Some(order) = patch.get(&format!("{ORDER}{key}")) {
                sort(&mut merged, order, plan.merge_key.as_deref(), elements);
            }
            put(target, key, merged);
        }
        other => put(target, key, other.clone()),
    }
    Ok(())
}

fn put(target: &mut Value, key: &str, value: Value) {
    if target.get(key) != Some(&value) {
        target.object().insert(key, value);
    }
}

/// `$retainKeys`: what it does not name goes. Everything that the patch sets must be named.
fn retain(target: &mut Value, kept: &Value, patch: &Map) -> Result<(), Status> {
    let names = |key: &str| kept.items().iter().any(|name| *name == key);
    for key in patch.keys().filter(|key| !key.starts_with('$')) {
        if !names(key) && patch.get(key).is_some_and(|change| !change.is_null()) {
            return Err(Status::bad_request(format!(
                "{RETAIN_KEYS} list doesn't contain all fields present in the patch: {key}"
            )));
        }
    }
    if target.entries().iter().any(|(key, _)| !names(key)) {
        target.object().retain(|key, _| names(key));
    }
    Ok(())
}

fn delete_from(target: &mut Value, field: &str, gone: &Value) {
    if let Some(list) = target.find_mut(&[field]).and_then(Value::as_array_mut) {
        list.edit().retain(|item| !gone.items().contains(item));
    }
}

fn merge_scalars(target: &mut Value, elements: &[Value]) {
    for element in elements {
        if !target.items().contains(element) {
            target.array().push(element.clone());
        }
    }
}

fn merge_by_key(items: Type<'_>, merge_key: &str, target: &mut Value, elements: &[Value]) -> Result<(), Status> {
    if elements.iter().any(|element| element.at(&[DIRECTIVE]) == "replace") {
        let kept: Vec<Value> = elements.iter().filter(|element| element.get(DIRECTIVE).is_none()).cloned().collect();
        *target = Value::from(kept);
        return Ok(());
    }
    for element in elements {
        let Some(changes) = element.as_object() else {
            return Err(Status::bad_request("expected each element of a merged list to be an object"));
        };
        let Some(key) = changes.get(merge_key) else {
            return Err(Status::new(
                500,
                "InternalError",
                format!("map: {} does not contain declared merge key: {merge_key}", go_map(element)),
            ));
        };
        let place = target.items().iter().position(|have| have.get(merge_key) == Some(key));
        match (changes.get(DIRECTIVE).and_then(Value::as_str), place) {
            (Some("delete"), _) => target.array().retain(|have| have.get(merge_key) != Some(key)),
            (_, Some(at)) => {
                let mut merged = target.items().get(at).cloned().unwrap_or_default();
                merge_map(items, &mut merged, changes)?;
                if target.items().get(at) != Some(&merged)
                    && let Some(place) = target.array().get_mut(at)
                {
                    *place = merged;
                }
            }
            (_, None) => {
                let mut fresh = Value::Object(Map::default());
                merge_map(items, &mut fresh, changes)?;
                target.array().push(fresh);
            }
        }
    }
    Ok(())
}

/// `$setElementOrder`: elements that it names stand in its order; those that it does not name, which came from elsewhere,
/// keep their places between those that they stood between.
fn sort(list: &mut Value, order: &Value, merge_key: Option<&str>, _patched: &[Value]) {
    let identity = |item: &Value| match merge_key {
        Some(key) => item.at(&[key]).clone(),
        None => item.clone(),
    };
    let wanted: Vec<Value> = order.items().iter().map(identity).collect();
    let rank = |item: &Value| wanted.iter().position(|have| *have == identity(item));
    let items = list.items().iter().cloned().enumerate();
    let (mut named, others): (Vec<_>, Vec<_>) = items.partition(|(_, item)| rank(item).is_some());
    let places: Vec<(usize, Value)> = named.clone();
    named.sort_by_key(|(_, item)| rank(item));
    // Merge the two runs: a server-only element goes before the first named one that stood after it.
    let mut sorted = Vec::with_capacity(list.items().len());
    let mut others = others.into_iter().peekable();
    for (_, item) in named {
        let stood = places.iter().find(|(_, have)| identity(have) == identity(&item)).map_or(0, |(at, _)| *at);
        while others.peek().is_some_and(|(at, _)| *at < stood) {
            sorted.extend(others.next().map(|(_, other)| other));
        }
        sorted.push(item);
    }
    sorted.extend(others.map(|(_, other)| other));
    if sorted.as_slice() != list.items() {
        *list = Value::from(sorted);
    }
}

fn without_directives(patch: &Map) -> Map {
    let mut clean = patch.clone();
    clean.retain(|key, _| !key.starts_with('$'));
    clean
}

/// A map as Go's `%v` prints it, because the API server's message holds one.
pub(in crate::apiserver) fn go_map(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", go_map(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(go_map).collect::<Vec<_>>().join(" ")),
        Value::String(text) => text.to_string(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_json(),
    }
}
