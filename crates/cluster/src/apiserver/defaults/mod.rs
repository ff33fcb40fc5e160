//! What is filled in where a client said nothing (`pkg/apis/*/v1/defaults.go`, and the `PrepareFor*` of the strategies).
//!
//! Knows: the defaults of built-in kinds.
//! Does not know: custom resources; their schemas say so themselves. Nor the cluster: what is looked up there is admission.
//!
//! Defaults are written down by *type*: what a `Container` is given stands once, and holds wherever a container stands.
//! A [`Type`] says which values its paths have when they have none, which types stand below it, and, where a default
//! depends on other fields, a rule in code. Filling in an object walks only the places that its table names, and copies
//! nothing where nothing is missing, so that defaulting what is complete costs no memory.

mod apparmor;
mod autoscaler;
mod kinds;
mod pod;
mod prepare;
mod quality;
mod service;
#[cfg(test)]
mod tests;

pub(super) use apparmor::from_annotations;
pub(super) use prepare::{prepare_create, prepare_update};
pub(crate) use quality::quality;
pub(super) use service::{needs_address, needs_health_port, needs_node_ports};

use crate::value::Value;

/// Keys from one value down to another.
type Path = &'static [&'static str];

/// What stands at a path where nothing does.
type Missing = (Path, fn() -> Value);

/// What is filled in in one type of the API, wherever it stands.
struct Type {
    /// Values for paths that have none.
    values: &'static [Missing],
    /// Types below this one. A path to a list means each of its elements; one that leads nowhere is passed over.
    parts: &'static [(Path, &'static Self)],
    /// What depends on other fields. Runs after `values`, before `parts`.
    rule: fn(&mut Value),
}

/// Writes types down: `NAME: rule { "path"."to" = value; } [ "path" => PART; ]`, rule and parts where there are any.
macro_rules! types {
    ($($(#[$doc:meta])* $name:ident $(: $rule:path)? { $($($key:literal).+ = $value:tt;)* }
        $([ $($($part:literal).+ => $type:path;)* ])?)*) => {
        $($(#[$doc])* pub(super) static $name: $crate::apiserver::defaults::Type = $crate::apiserver::defaults::Type {
            values: &[$((&[$($key),+], || $crate::doc!($value))),*],
            parts: &[$($((&[$($part),+], &$type)),*)?],
            rule: types!(@rule $($rule)?),
        };)*
    };
    (@rule) => { |_| {} };
    (@rule $rule:path) => { $rule };
}
use types;

/// The first field of a spec that `applied` leaves out, that has a default, and that is something else in the live object:
/// whoever applied it before, and nobody else, takes it back to its default by leaving it out.
#[must_use]
pub fn would_reset(resource: &str, applied: &Value, live: &Value) -> Option<String> {
    fn look(path: &str, said: &Value, defaulted: &Value, live: &Value) -> Option<String> {
        defaulted.entries().iter().find_map(|(name, default)| {
            let (path, said, live) = (format!("{path}.{name}"), said.at(&[name]), live.at(&[name]));
            if said.is_null() && !live.is_null() && default.as_object().is_none() {
                return (default != live).then_some(path);
            }
            look(&path, said, default, live)
        })
    }
    let mut defaulted = applied.clone();
    apply(resource, &mut defaulted);
    look("spec", applied.at(&["spec"]), defaulted.at(&["spec"]), live.at(&["spec"]))
}

/// Fills in what an object of `resource` (`deployments.apps`, in the version it is kept in) says nothing of.
pub(crate) fn apply(resource: &str, object: &mut Value) {
    if let Some(kind) = kinds::of(resource) {
        fill(kind, object);
    }
}

fn fill(kind: &Type, object: &mut Value) {
    for (path, value) in kind.values {
        set_missing(object, path, value);
    }
    (kind.rule)(object);
    for (path, part) in kind.parts {
        change(object, path, |value| fill(part, value));
    }
}

/// Sets what stands at the end of a path if nothing does. What Go takes for nothing is gone by then.
fn set_missing(object: &mut Value, path: &[&str], value: impl FnOnce() -> Value) {
    if object.at(path).is_null() {
        object.set(path, value());
    }
}

/// Changes the map that stands at the end of a path, or each map in the list that does. What the change leaves as it is
/// stays the same in memory.
fn change(object: &mut Value, path: &[&str], change: impl Fn(&mut Value)) {
    let old = object.at(path).clone();
    let changed = |old: &Value| {
        let mut new = old.clone();
        change(&mut new);
        (!new.same(old)).then_some(new)
    };
    match &old {
        Value::Object(_) => {
            if let Some(new) = changed(&old) {
                object.set(path, new);
            }
        }
        Value::Array(items) => {
            let news: Vec<Option<Value>> =
                items.iter().map(|item| item.as_object().and_then(|_| changed(item))).collect();
            if news.iter().any(Option::is_some) {
                let list: Value = items.iter().zip(news).map(|(old, new)| new.unwrap_or_else(|| old.clone())).collect();
                object.set(path, list);
            }
        }
        _ => {}
    }
}
