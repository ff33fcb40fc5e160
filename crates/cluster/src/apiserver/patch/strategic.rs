//! Strategic merge patch (`k8s.io/apimachinery/pkg/util/strategicpatch`).
//!
//! Knows: the directives, and from the schema which lists are merged by which key.
//! Does not know: any kind.
//!
//! | in a map of the patch | means |
//! |---|---|
//! | `$patch: replace`, `delete` | this map as it stands, or an empty one; in a list's element: the list, or that element |
//! | `$retainKeys: […]` | whatever else is there goes |
//! | `$deleteFromPrimitiveList/f: […]` | these go out of the list `f` |
//! | `$setElementOrder/f: […]` | the list `f` stands in this order |
//!
//! What was not there before is taken from the patch as it is: within it nothing is merged, and what has a `$patch` is
//! left out.

use super::Status;
use super::order::{self, Identity};
use crate::schema::{Patch, Type};
use crate::value::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const ORDER: &str = "$setElementOrder";

/// Why a patch makes no sense.
#[derive(Debug)]
pub(super) enum Nonsense {
    /// A directive has not the form that it should have.
    Form(&'static str),
    /// What strategic merge does not do.
    NotDone,
    /// Anything else: the real server says this as its own error, with neither a reason nor a field.
    Other(String),
}

impl From<Nonsense> for Status {
    fn from(nonsense: Nonsense) -> Self {
        match nonsense {
            Nonsense::Form(of) => Self::bad_request(format!("invalid patch format of {of}")),
            Nonsense::NotDone => Self::unprocessable(),
            Nonsense::Other(message) => Self::new(500, "", message),
        }
    }
}

/// Merges a patch into a document of this type.
pub(super) fn apply(ty: Type<'_>, document: &Value, patch: &Value) -> Result<Value, Status> {
    let Some(changes) = patch.as_object() else {
        return Err(Status::bad_request("a strategic merge patch has to be an object"));
    };
    Ok(merge_map(ty, document, changes)?)
}

fn merge_map(ty: Type<'_>, original: &Value, patch: &Map) -> Result<Value, Nonsense> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(without(patch, DIRECTIVE)),
            Some("delete") => Ok(Value::Object(Map::default())),
            _ => Err(unknown(directive, patch)),
        };
    }
    let mut merged = original.clone();
    merged.object();
    retain_keys(&mut merged, patch)?;
    let mut done: Vec<&str> = Vec::new();
    for (key, order) in patch.iter().filter(|(key, _)| key.starts_with(ORDER)) {
        let field = field_of(key, ORDER, "setElementOrder list")?;
        merge_in_order(ty, &mut merged, field, order, patch.get(field))?;
        done.push(field);
    }
    for (key, change) in patch {
        let key = key.as_str();
        let deletes = key.starts_with(DELETE_FROM);
        let field = if deletes { field_of(key, DELETE_FROM, "primitive list")? } else { key };
        if key == RETAIN_KEYS || key.starts_with(ORDER) || done.contains(&key) {
            continue;
        }
        merge_field(ty, &mut merged, field, change, deletes)?;
    }
    Ok(merged)
}

/// The field that a directive is about.
fn field_of<'k>(key: &'k str, prefix: &str, form: &'static str) -> Result<&'k str, Nonsense> {
    key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')).ok_or(Nonsense::Form(form))
}

fn unknown(directive: &Value, patch: &Map) -> Nonsense {
    let (directive, map) = (go_map(directive), go_map(&Value::Object(patch.clone())));
    Nonsense::Other(format!("unknown patch type: {directive} in map: {map}"))
}

/// How two writers of a field are merged.
fn plan(ty: Type<'_>, field: &str) -> Patch {
    ty.field(field).map(|field| field.patch().clone()).unwrap_or_default()
}

fn merge_field(ty: Type<'_>, target: &mut Value, field: &str, change: &Value, deletes: bool) -> Result<(), Nonsense> {
    if change.is_null() {
        if target.get(field).is_some() {
            target.object().remove(field);
        }
        return Ok(());
    }
    let below = ty.child(field).unwrap_or(Type::unknown());
    let plan = plan(ty, field);
    let merged = match (target.get(field), change) {
        (Some(Value::Object(_)), Value::Object(_)) if plan.replace => Some(change.clone()),
        (Some(old @ Value::Object(_)), Value::Object(changes)) => Some(merge_map(below, old, changes)?),
        (Some(Value::Array(old)), Value::Array(changes)) if plan.merge || deletes => {
            Some(Value::from(merge_list(below, &plan, old, changes, deletes)?))
        }
        (Some(Value::Array(_)), Value::Array(_)) => Some(change.clone()),
        // There is nothing to delete from.
        _ if deletes => return Ok(()),
        _ => taken(change),
    };
    match merged {
        Some(merged) if target.get(field) == Some(&merged) => {}
        Some(merged) => {
            target.object().insert(field, merged);
        }
        None => {
            target.object().remove(field);
        }
    }
    Ok(())
}

/// What is taken of a value that is not merged with anything: no `null`s, and nothing that has a directive.
fn taken(change: &Value) -> Option<Value> {
    match change {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let kept = map.iter().filter(|(_, below)| !below.is_null());
            Some(Value::Object(kept.filter_map(|(key, below)| Some((key.clone(), taken(below)?))).collect()))
        }
        Value::Array(list) => Some(Value::from(list.iter().filter_map(taken).collect::<Vec<_>>())),
        other => Some(other.clone()),
    }
}

/// `$retainKeys`: what it does not name goes. Everything that the patch sets must be named.
fn retain_keys(target: &mut Value, patch: &Map) -> Result<(), Nonsense> {
    const FORM: Nonsense = Nonsense::Form("retainKeys");
    let Some(kept) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let Some(kept) = kept.as_array() else { return Err(FORM) };
    let names = |key: &str| kept.iter().any(|name| *name == key);
    let sets = |key: &str, change: &Value| {
        !change.is_null() && key != RETAIN_KEYS && !key.starts_with(DELETE_FROM) && !key.starts_with(ORDER)
    };
    if patch.iter().any(|(key, change)| sets(key, change) && !names(key)) {
        return Err(FORM);
    }
    if target.entries().iter().any(|(key, _)| !names(key)) {
        target.object().retain(|key, _| names(key));
    }
    Ok(())
}

/// `$setElementOrder`: the list is merged, if the patch has it too, and put in order.
fn merge_in_order(
    ty: Type<'_>,
    target: &mut Value,
    field: &str,
    wanted: &Value,
    patch: Option<&Value>,
) -> Result<(), Nonsense> {
    let list = |value: Option<&Value>| -> Result<Option<Vec<Value>>, Nonsense> {
        match value {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list.to_vec())),
            Some(other) => Err(bad_type("[]interface {}", other)),
        }
    };
    let wanted = list(Some(wanted))?.unwrap_or_default();
    let (original, changes) = (list(target.get(field))?, list(patch)?);
    let Some(known) = ty.field(field) else {
        let name = ty.name().and_then(|name| name.rsplit('.').next()).unwrap_or("");
        return Err(Nonsense::Other(format!("unable to find api field in struct {name} for the json field {field:?}")));
    };
    let (below, plan) = (known.ty(), known.patch());
    let identity = Identity::of(plan.merge_key.as_deref());
    order::check(identity, changes.as_deref().unwrap_or_default(), &wanted, DIRECTIVE, ORDER)?;
    let merged = match (&original, &changes) {
        (None, None) => return Ok(()),
        (Some(original), None) => original.clone(),
        (None, Some(changes)) => changes.iter().filter_map(taken_as_it_is).collect(),
        (Some(original), Some(changes)) if plan.merge => merge_list(below, plan, original, changes, false)?,
        (Some(_), Some(changes)) => changes.clone(),
    };
    let original = original.unwrap_or_default();
    element_kind(&original, changes.as_deref().unwrap_or_default())?;
    let merged = Value::from(order::arrange(identity, merged, &wanted, &original)?);
    if target.get(field) != Some(&merged) {
        target.object().insert(field, merged);
    }
    Ok(())
}

/// A value without what has a directive; its `null`s stay.
fn taken_as_it_is(change: &Value) -> Option<Value> {
    match change {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let kept = map.iter().filter_map(|(key, below)| Some((key.clone(), taken_as_it_is(below)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(list) => Some(Value::from(list.iter().filter_map(taken_as_it_is).collect::<Vec<_>>())),
        other => Some(other.clone()),
    }
}

fn merge_list(
    ty: Type<'_>,
    plan: &Patch,
    original: &[Value],
    changes: &[Value],
    deletes: bool,
) -> Result<Vec<Value>, Nonsense> {
    if original.is_empty() && changes.is_empty() {
        return Ok(Vec::new());
    }
    if element_kind(original, changes)? != "map[string]interface {}" {
        if deletes {
            return Ok(original.iter().filter(|item| !changes.contains(item)).cloned().collect());
        }
        let mut merged: Vec<Value> = Vec::new();
        for item in original.iter().chain(changes) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return order::arrange(Identity::Whole, merged, changes, original);
    }
    let items = ty.list().map_or(Type::unknown(), |list| list.items);
    let Some(key) = plan.merge_key.as_deref() else {
        let name = items.name().and_then(|name| name.rsplit('.').next()).unwrap_or("");
        return Err(Nonsense::Other(format!("cannot merge lists without merge key for {name}")));
    };
    let (original, changes) = heed_directives(original, changes, key)?;
    let mut merged = original.clone();
    for change in &changes {
        let Some(changed) = change.as_object() else { continue };
        let Some(name) = changed.get(key) else { return Err(no_key(change, key)) };
        match merged.iter_mut().find(|have| have.get(key) == Some(name)) {
            Some(have) => *have = merge_map(items, have, changed)?,
            None => merged.push(change.clone()),
        }
    }
    order::arrange(Identity::Key(key), merged, &changes, &original)
}

/// Does what elements with a `$patch` say, and gives the list and the patch that are left.
fn heed_directives(original: &[Value], changes: &[Value], key: &str) -> Result<(Vec<Value>, Vec<Value>), Nonsense> {
    let (mut original, mut left, mut replace) = (original.to_vec(), Vec::new(), false);
    for change in changes {
        let Some(directive) = change.get(DIRECTIVE) else {
            left.push(change.clone());
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let Some(name) = change.get(key) else { return Err(no_key(change, key)) };
                original.retain(|have| have.get(key) != Some(name));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(Nonsense::Other("merging lists cannot yet be specified in the patch".to_owned()));
            }
            _ => return Err(change.as_object().map_or(Nonsense::NotDone, |map| unknown(directive, map))),
        }
    }
    Ok(if replace { (left, Vec::new()) } else { (original, left) })
}

/// What Go calls the elements of two lists, which have to be of one kind.
fn element_kind(original: &[Value], changes: &[Value]) -> Result<&'static str, Nonsense> {
    let mut kinds = original.iter().chain(changes).map(go_type);
    let Some(first) = kinds.next() else {
        return Err(Nonsense::Other("no elements in any of the given slices".to_owned()));
    };
    if first == "[]interface {}" {
        return Err(Nonsense::NotDone);
    }
    if kinds.any(|kind| kind != first) {
        let lists: Vec<String> = [original, changes].iter().map(|list| go_map(&Value::from(list.to_vec()))).collect();
        return Err(Nonsense::Other(format!("list element types are not identical: [{}]", lists.join(" "))));
    }
    Ok(first)
}

/// An element has not the field that says which one it is.
pub(super) fn no_key(element: &Value, key: &str) -> Nonsense {
    Nonsense::Other(format!("map: {} does not contain declared merge key: {key}", go_map(element)))
}

/// Go wanted another kind of value.
pub(super) fn bad_type(wanted: &str, got: &Value) -> Nonsense {
    Nonsense::Other(format!("expected a {wanted}, but received a {}", go_type(got)))
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn without(patch: &Map, key: &str) -> Value {
    let mut clean = patch.clone();
    clean.remove(key);
    Value::Object(clean)
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
