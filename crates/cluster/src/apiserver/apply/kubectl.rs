//! What an apply by kubectl takes over from its older, client-side self.
//!
//! Knows: the annotation in which `kubectl apply` remembers what it applied.
//! Does not know: any kind.

use super::set::FieldSet;
use super::walk;
use crate::schema::Type;
use crate::value::Value;

/// What `kubectl apply --server-side` calls itself.
pub(super) const MANAGER: &str = "kubectl";

/// Where `kubectl apply` remembers what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// More than this an object's annotations may not hold, in bytes.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// The fields that a client-side apply set and that are still as it set them: kubectl may take them from whomever it was.
pub(super) fn may_take(ty: Type<'_>, live: &Value) -> FieldSet {
    let last = live.annotation(LAST_APPLIED).and_then(|text| Value::from_json(text.as_bytes()).ok());
    let Some(last) = last else { return FieldSet::default() };
    let difference = walk::compare(ty, &last, live);
    walk::fields(ty, &last)
        .difference(&difference.modified)
        .difference(&difference.added)
        .difference(&difference.removed)
}

/// Keeps what a client-side apply remembers up to date, where one was ever done.
pub(super) fn remember(object: &mut Value, config: &Value) {
    if object.annotation(LAST_APPLIED).is_none() {
        return;
    }
    let mut applied = config.clone();
    if applied.annotation(LAST_APPLIED).is_some() {
        applied.remove(&["metadata", "annotations", LAST_APPLIED]);
    }
    let mut text = applied.to_json();
    text.push('\n');
    let others = object.at(&["metadata", "annotations"]).entries().iter().filter(|(key, _)| *key != LAST_APPLIED);
    let size = |key: &str, value: &str| key.len() + value.len();
    let bytes = size(LAST_APPLIED, &text) + others.map(|(key, value)| size(key, value.str_or_empty())).sum::<usize>();
    if bytes > ANNOTATIONS_BYTES_MAX {
        text.clear();
    }
    object.set(&["metadata", "annotations", LAST_APPLIED], text);
}
