//! JSON patch, RFC 6902, as the library does it that the API server uses (`evanphx/json-patch`).
//!
//! Knows: operations and pointers.
//! Does not know: the schema.
//!
//! That library is lenient where the RFC is not: `replace` sets a member that was not there, `copy` of one that was not
//! there copies `null`, positions count from the end if they are negative. What it has against an operation the client
//! never hears.

use super::Status;
use crate::value::{List, Map, Value};

/// As many operations as the API server takes in one patch.
const OPERATIONS_MAX: usize = 10_000;

/// The document with all operations applied, or none of them.
pub(super) fn apply(original: &Value, patch: &Value) -> Result<Value, Status> {
    let operations = patch.items();
    if operations.len() > OPERATIONS_MAX {
        let message =
            format!("The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}", operations.len());
        return Err(Status::new(413, "RequestEntityTooLarge", message));
    }
    let mut document = original.clone();
    for operation in operations {
        perform(&mut document, operation).ok_or_else(Status::unprocessable)?;
    }
    Ok(document)
}

/// Does one operation; none if it cannot be done.
fn perform(document: &mut Value, operation: &Value) -> Option<()> {
    let text = |member: &str| operation.get(member)?.as_str();
    let path = text("path")?;
    let value = operation.at(&["value"]);
    match text("op")? {
        "add" => add(document, path, value.clone()),
        "remove" => remove(document, path).map(|_| ()),
        "replace" if path.is_empty() => {
            *document = matches!(value, Value::Object(_) | Value::Array(_)).then(|| value.clone())?;
            Some(())
        }
        "replace" => replace(document, path, value.clone()),
        "move" => {
            let moved = remove(document, text("from")?)?;
            add(document, path, moved)
        }
        "copy" => {
            let copied = find(document, text("from")?)?;
            add(document, path, copied)
        }
        "test" if path.is_empty() => (document == value).then_some(()),
        "test" => (find(document, path)? == *value).then_some(()),
        _ => None,
    }
}

/// What holds the last part of a pointer, and that part. The whole document is held by nothing.
fn holder<'v>(document: &'v mut Value, path: &str) -> Option<(&'v mut Value, String)> {
    let mut parts = path.split('/').skip(1).map(unescape);
    let mut last = parts.next()?;
    let mut value = document;
    for part in parts {
        value = match value {
            Value::Object(map) => map.get_mut(&last)?,
            Value::Array(list) => {
                let at = position(list, &last)?;
                list.edit().get_mut(at)?
            }
            _ => return None,
        };
        last = part;
    }
    matches!(value, Value::Object(_) | Value::Array(_)).then_some((value, last))
}

/// A position in a list; a negative one counts from its end.
fn position(list: &List, part: &str) -> Option<usize> {
    let number: i64 = part.parse().ok()?;
    let at = if number < 0 { i64::try_from(list.len()).ok()? + number } else { number };
    usize::try_from(at).ok().filter(|at| *at < list.len())
}

/// What stands at a pointer. A map's member that is not there reads as `null`.
fn find(document: &mut Value, path: &str) -> Option<Value> {
    match holder(document, path)? {
        (Value::Array(list), last) => position(list, &last).and_then(|at| list.get(at)).cloned(),
        (map, last) => Some(map.get(&last).cloned().unwrap_or_default()),
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Option<()> {
    match holder(document, path)? {
        (Value::Array(list), last) => {
            let at = position(list, &last)?;
            *list.edit().get_mut(at)? = value;
        }
        (map, last) => {
            map.object().insert(last, value);
        }
    }
    Some(())
}

fn add(document: &mut Value, path: &str, value: Value) -> Option<()> {
    match holder(document, path)? {
        (Value::Array(list), last) => {
            let length = i64::try_from(list.len()).ok()?;
            let at = match last.as_str() {
                "-" => length,
                number => match number.parse::<i64>().ok()? {
                    negative @ ..0 => length + 1 + negative,
                    number => number,
                },
            };
            let at = usize::try_from(at).ok().filter(|at| *at <= list.len())?;
            list.edit().insert(at, value);
        }
        (map, last) => {
            map.object().insert(last, value);
        }
    }
    Some(())
}

fn remove(document: &mut Value, path: &str) -> Option<Value> {
    match holder(document, path)? {
        (Value::Array(list), last) => {
            let at = position(list, &last)?;
            Some(list.edit().remove(at))
        }
        (map, last) => map.object().remove(&last),
    }
}

/// The maps and lists that a patch takes apart, as maps of maps: its pointers, without what they point at.
pub(in crate::apiserver) fn opened(patch: &Value) -> Value {
    let mut opened = Value::Object(Map::default());
    let pointers = patch
        .items()
        .iter()
        .flat_map(|operation| ["path", "from"].map(|member| operation.at(&[member]).str_or_empty()));
    for pointer in pointers {
        let mut place = &mut opened;
        let mut parts = pointer.split('/').skip(1).map(unescape).peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_some() {
                place = place.object().entry(&part);
                place.object();
            }
        }
    }
    opened
}

/// A part of a pointer as it is meant.
fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}
