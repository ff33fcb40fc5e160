//! What becomes of a live document when another is applied to it (`structured-merge-diff/typed/merge.go`).
//!
//! Knows: how maps and lists are merged, and in which order a merged list stands.
//! Does not know: who applies it, or what no one applies any more.

use std::collections::{BTreeMap, BTreeSet};

use super::walk::{Sharing, child, element, sharing};
use crate::schema::{List, Type};
use crate::value::{Text, Value};

/// The live document with everything that the applied one sets. What it does not touch stays shared.
pub(in crate::apiserver) fn merge(ty: Type<'_>, live: &Value, applied: &Value) -> Value {
    let known = if applied.is_null() { live } else { applied };
    match sharing(ty, known) {
        Sharing::Whole => whole(live, applied),
        _ if is_empty(live) && is_empty(applied) => whole(live, applied),
        Sharing::ByField => {
            let mut merged = if live.as_object().is_some() { live.clone() } else { Value::Object(Default::default()) };
            for (key, applied) in applied.entries() {
                let have = merged.get(key);
                let new = have.map_or_else(|| applied.clone(), |have| merge(child(ty, key), have, applied));
                if have != Some(&new) {
                    merged.object().insert(key.clone(), new);
                }
            }
            merged
        }
        Sharing::ByElement(list) => {
            let merged = merge_lists(list, live.items(), applied.items());
            if merged.as_slice() == live.items() { live.clone() } else { Value::from(merged) }
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.entries().is_empty() && value.items().is_empty()
}

fn whole(live: &Value, applied: &Value) -> Value {
    if live == applied { live.clone() } else { applied.clone() }
}

/// Two lists of elements that are known by their keys or values.
///
/// Elements of both stand in the order of the applied list. Those that only the live list has stand before whatever
/// shared element they stood before.
fn merge_lists(list: List<'_>, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let name = |item: &Value| element(list, item).unwrap_or_default();
    let live_names: Vec<Text> = live.iter().map(name).collect();
    let applied_names: Vec<Text> = applied.iter().map(name).collect();
    let first = |names: &[Text], items: &[Value]| -> BTreeMap<Text, Value> {
        names.iter().cloned().zip(items.iter().cloned()).rev().collect()
    };
    let (live_by, applied_by) = (first(&live_names, live), first(&applied_names, applied));
    let mut shared = applied_names.iter().filter(|name| live_by.contains_key(*name));
    let mut next_shared = shared.next();

    let mut merged = Vec::with_capacity(live.len().max(applied.len()));
    let mut done: BTreeSet<&Text> = BTreeSet::new();
    let one = |name: &Text| match (live_by.get(name), applied_by.get(name)) {
        (Some(live), Some(applied)) => merge(list.items, live, applied),
        (Some(only), None) | (None, Some(only)) => only.clone(),
        (None, None) => Value::Null,
    };
    let (mut at_live, mut at_applied) = (0, 0);
    loop {
        let (here, there) = (live_names.get(at_live), applied_names.get(at_applied));
        match (here, there) {
            (None, None) => return merged,
            (Some(here), Some(there)) if here == there => {
                done.insert(here);
                merged.push(one(here));
                at_live += 1;
                at_applied += 1;
                next_shared = shared.next();
                continue;
            }
            // A shared element, but not the one whose turn it is.
            (Some(here), Some(_)) if applied_by.contains_key(here) && next_shared.is_some_and(|next| next != here) => {
                at_live += 1;
                continue;
            }
            _ => {}
        }
        if let Some(here) = here {
            if !applied_by.contains_key(here) {
                // By position: an element that is there twice stays there twice.
                merged.extend(live.get(at_live).cloned());
                at_live += 1;
                continue;
            }
            if done.contains(here) {
                at_live += 1;
            }
        }
        if let Some(there) = there {
            done.insert(there);
            merged.push(one(there));
            at_applied += 1;
            if next_shared == Some(there) {
                next_shared = shared.next();
            }
        }
    }
}
