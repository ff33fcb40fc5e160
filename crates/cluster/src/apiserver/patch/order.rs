//! In which order the elements of a merged list stand.
//!
//! Knows: the order that the patch wants, and the order that there was.
//! Does not know: how the elements were merged.
//!
//! Elements that the patch names stand in its order, the others in the order they had. Where the two runs meet, an
//! element that the patch does not name goes before a named one only if it stood before it: so what is new comes first.

use super::strategic::{Nonsense, bad_type, no_key};
use crate::value::Value;

/// What tells the elements of a list apart.
#[derive(Clone, Copy)]
pub(super) enum Identity<'a> {
    /// One of their fields.
    Key(&'a str),
    /// They themselves.
    Whole,
}

impl<'a> Identity<'a> {
    pub(super) fn of(key: Option<&'a str>) -> Self {
        key.map_or(Self::Whole, Identity::Key)
    }

    fn get(self, element: &Value) -> Result<&Value, Nonsense> {
        match self {
            Self::Whole => Ok(element),
            Self::Key(_) if element.as_object().is_none() => Err(bad_type("map[string]interface {}", element)),
            Self::Key(key) => element.get(key).ok_or_else(|| no_key(element, key)),
        }
    }

    fn place(self, list: &[Value], element: &Value) -> Result<Option<usize>, Nonsense> {
        let name = self.get(element)?;
        Ok(list.iter().position(|have| self.get(have).is_ok_and(|have| have == name)))
    }
}

/// Puts a merged list in order: `wanted` first in its own order, the rest as it stood in `original`.
pub(super) fn arrange(
    identity: Identity<'_>,
    merged: Vec<Value>,
    wanted: &[Value],
    original: &[Value],
) -> Result<Vec<Value>, Nonsense> {
    for element in wanted {
        identity.get(element)?;
    }
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for element in merged {
        match identity.place(wanted, &element)? {
            Some(rank) => named.push((rank, element)),
            None => others.push((identity.place(original, &element)?, element)),
        }
    }
    named.sort_by_key(|(rank, _)| *rank);
    others.sort_by_key(|(stood, _)| *stood);
    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, element) in named {
        if let Some(stood) = identity.place(original, &element)? {
            while let Some((_, other)) = others.next_if(|(other, _)| other.is_some_and(|other| other < stood)) {
                arranged.push(other);
            }
        }
        arranged.push(element);
    }
    arranged.extend(others.map(|(_, other)| other));
    Ok(arranged)
}

/// Refuses a patch whose own elements are not in the order that it sets, or are not in it at all.
pub(super) fn check(
    identity: Identity<'_>,
    patch: &[Value],
    wanted: &[Value],
    directive: &str,
    prefix: &str,
) -> Result<(), Nonsense> {
    if patch.is_empty() || wanted.is_empty() {
        return Ok(());
    }
    let mut order = wanted.iter();
    for element in patch.iter().filter(|element| element.get(directive).is_none()) {
        let name = identity.get(element)?;
        let mut found = false;
        for have in order.by_ref() {
            if identity.get(have)? == name {
                found = true;
                break;
            }
        }
        if !found {
            let print = |list: &[Value]| super::go_map(&Value::from(list.to_vec()));
            let (patch, wanted) = (print(patch), print(wanted));
            let message = format!("The order in patch list:\n{patch}\n doesn't match {prefix} list:\n{wanted}\n");
            return Err(Nonsense::Other(message));
        }
    }
    Ok(())
}
