//! What a prediction rests on, and what it disturbs.
//!
//! Knows: when two actions can spoil each other's prediction.
//! Does not know: in which order they were asked for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ObjectRef;

/// One thing, or all things of a sort, that was looked at or changed.
///
/// `None` matches anything: "all pods of namespace shop" is kind `Pod`, namespace `shop`, no name. Whoever lists a
/// collection depends on every member of it, those that do not exist yet included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Of one kind, or of any.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// In one namespace, or in any. What no namespace holds is in the namespace `""`.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// With one name, or with any.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Key {
    /// One object.
    pub fn object(object: &ObjectRef) -> Self {
        Self {
            kind: Some(object.kind.clone()),
            namespace: Some(object.namespace.clone().unwrap_or_default()),
            name: (object.name != "*").then(|| object.name.clone()),
        }
    }

    /// Every object of a kind, in one namespace or in all.
    pub fn collection(kind: impl Into<String>, namespace: Option<&str>) -> Self {
        Self { kind: Some(kind.into()), namespace: namespace.map(str::to_owned), name: None }
    }

    /// Everything in a namespace.
    pub fn namespace(namespace: impl Into<String>) -> Self {
        Self { kind: None, namespace: Some(namespace.into()), name: None }
    }

    /// Everything.
    pub const fn everything() -> Self {
        Self { kind: None, namespace: None, name: None }
    }

    /// Is there anything that both mean?
    pub fn meets(&self, other: &Self) -> bool {
        let meet = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        meet(&self.kind, &other.kind) && meet(&self.namespace, &other.namespace) && meet(&self.name, &other.name)
    }

    fn is_pattern(&self) -> bool {
        self.kind.is_none() || self.namespace.is_none() || self.name.is_none()
    }
}

impl From<&ObjectRef> for Key {
    fn from(object: &ObjectRef) -> Self {
        Self::object(object)
    }
}

/// What a simulation read and what it changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Footprint {
    /// Everything whose change would have made the prediction another one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub reads: BTreeSet<Key>,
    /// Everything that the action, or what reacts to it, changes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub writes: BTreeSet<Key>,
}

impl Footprint {
    /// Touches everything: the footprint of whatever nobody could trace. It waits for all and all wait for it.
    pub fn everything() -> Self {
        Self { reads: BTreeSet::new(), writes: BTreeSet::from([Key::everything()]) }
    }

    /// Notes that something was looked at.
    pub fn read(&mut self, key: impl Into<Key>) {
        self.reads.insert(key.into());
    }

    /// Notes that something was changed.
    pub fn write(&mut self, key: impl Into<Key>) {
        self.writes.insert(key.into());
    }

    /// Does it change this, or anything of this sort?
    pub fn writes_to(&self, key: &Key) -> bool {
        self.writes.contains(key) || self.writes.iter().any(|write| write.meets(key))
    }

    /// Can the two spoil each other's prediction? One of them must write what the other reads or writes; two that
    /// only read the same do not wait for each other.
    pub fn overlaps(&self, other: &Self) -> bool {
        meet(&self.writes, &other.writes) || meet(&self.writes, &other.reads) || meet(&self.reads, &other.writes)
    }
}

/// Plain keys are looked up; only patterns, of which there are few, are tried against everything.
fn meet(these: &BTreeSet<Key>, those: &BTreeSet<Key>) -> bool {
    let (few, many) = if these.len() <= those.len() { (these, those) } else { (those, these) };
    let patterns: Vec<&Key> = many.iter().filter(|key| key.is_pattern()).collect();
    few.iter().any(|key| match key.is_pattern() {
        true => many.iter().any(|other| key.meets(other)),
        false => many.contains(key) || patterns.iter().any(|pattern| pattern.meets(key)),
    })
}
