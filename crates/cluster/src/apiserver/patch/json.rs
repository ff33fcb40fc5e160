//! JSON patch, RFC 6902, with the words of the library that the API server uses (`evanphx/json-patch`).
//!
//! Knows: operations and pointers.
//! Does not know: the schema.

use super::Status;
use crate::value::Value;

/// As many operations as the API server takes in one patch.
const OPERATIONS_MAX: usize = 10_000;

/// The document with all operations applied, or none of them.
pub(super) fn apply(original: &Value, patch: &Value) -> Result<Value, Status> {
    let Some(operations) = patch.as_array() else {
        return Err(Status::bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch",
        ));
    };
    if operations.len() > OPERATIONS_MAX {
        let message =
            format!("The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}", operations.len());
        return Err(Status::new(413, "RequestEntityTooLarge", message));
    }
    let mut document = original.clone();
    for operation in operations.iter() {
        perform(&mut document, operation).map_err(|why| {
            Status::new(
                422,
                "Invalid",
                format!("the server rejected our request due to an error in our request: {why}"),
            )
        })?;
    }
    Ok(document)
}

fn perform(document: &mut Value, operation: &Value) -> Result<(), String> {
    let text = |field: &str| operation.at(&[field]).as_str();
    let path = text("path").unwrap_or("");
    let value = || operation.get("value").cloned();
    let from = || text("from").ok_or_else(|| "missing from".to_owned());
    match text("op").unwrap_or("") {
        "add" => add(document, path, value().unwrap_or_default()),
        "remove" => remove(document, path).map(|_| ()),
        "replace" => {
            if path.is_empty() {
                *document = value().unwrap_or_default();
                return Ok(());
            }
            let place = find(document, path).ok_or_else(|| {
                format!("replace operation does not apply: doc is missing key: {path}: missing value")
            })?;
            *place = value().unwrap_or_default();
            Ok(())
        }
        "move" => {
            let moved = remove(document, from()?)?;
            add(document, path, moved)
        }
        "copy" => {
            let from = from()?;
            let copied = find(document, from)
                .ok_or_else(|| {
                    format!("copy operation does not apply: doc is missing from path: {from}: missing value")
                })?
                .clone();
            add(document, path, copied)
        }
        "test" => {
            let have = find(document, path).cloned().unwrap_or_default();
            if have == value().unwrap_or_default() { Ok(()) } else { Err(format!("testing value {path} failed")) }
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

/// A pointer's parts, unescaped.
fn parts(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect()
}

fn step<'v>(value: &'v mut Value, part: &str) -> Option<&'v mut Value> {
    match value {
        Value::Object(map) => map.get_mut(part),
        Value::Array(list) => {
            let at = index(part, list.len())?;
            list.edit().get_mut(at)
        }
        _ => None,
    }
}

/// A position in a list of this length; negative ones count from its end, as that library has it.
fn index(part: &str, length: usize) -> Option<usize> {
    let number: i64 = part.parse().ok()?;
    let at = if number < 0 { i64::try_from(length).ok()? + number } else { number };
    usize::try_from(at).ok().filter(|at| *at < length)
}

fn find<'v>(document: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    parts(path).iter().try_fold(document, |value, part| step(value, part))
}

/// What holds the last part of a pointer, and that part.
fn parent<'v>(document: &'v mut Value, path: &str, doing: &str) -> Result<(&'v mut Value, String), String> {
    let mut parts = parts(path);
    let last = parts
        .pop()
        .ok_or_else(|| format!("{doing} operation does not apply: doc is missing path: {path:?}: missing value"))?;
    let holder = parts
        .iter()
        .try_fold(document, |value, part| step(value, part))
        .ok_or_else(|| format!("{doing} operation does not apply: doc is missing path: {path:?}: missing value"))?;
    Ok((holder, last))
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    let (holder, last) = parent(document, path, "add")?;
    match holder {
        Value::Object(map) => {
            map.insert(last, value);
            Ok(())
        }
        Value::Array(list) => {
            let length = list.len();
            let at = if last == "-" {
                Some(length)
            } else {
                last.parse::<i64>().ok().and_then(|number| {
                    let at = if number < 0 { i64::try_from(length).ok()? + number + 1 } else { number };
                    usize::try_from(at).ok().filter(|at| *at <= length)
                })
            };
            let at = at.ok_or_else(|| {
                format!("add operation does not apply: doc is missing path: {path:?}: Unable to access invalid index: {last}: invalid index referenced")
            })?;
            list.edit().insert(at, value);
            Ok(())
        }
        _ => Err(format!("add operation does not apply: doc is missing path: {path:?}: missing value")),
    }
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let (holder, last) = parent(document, path, "remove")?;
    let gone = match holder {
        Value::Object(map) => map.remove(&last),
        Value::Array(list) => index(&last, list.len()).map(|at| list.edit().remove(at)),
        _ => None,
    };
    gone.ok_or_else(|| format!("remove operation does not apply: doc is missing key: {path}: missing value"))
}
