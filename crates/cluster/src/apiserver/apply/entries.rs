//! `metadata.managedFields`: who owns which fields of an object.
//!
//! Knows: how its entries are read, told apart, ordered and capped.
//! Does not know: how owners come to own.

use std::collections::BTreeMap;

use super::set::FieldSet;
use crate::doc;
use crate::value::{Text, Value};

/// How many entries of updates an object may have; older ones become one.
const UPDATES_MAX: usize = 10;

/// What the oldest updates become.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own: whoever applies says again each time what it wants to own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// Who owns. Whoever updates in two versions is two; whoever applies is one in all versions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) manager: Text,
    pub(super) operation: Operation,
    /// The `apiVersion` in whose words the fields are said.
    pub(super) version: Text,
    pub(super) subresource: Text,
    /// When it last changed something; none if it only came to share what was there.
    pub(super) time: Option<Text>,
    pub(super) fields: FieldSet,
}

impl Entry {
    /// Whether both are entries of the same owner.
    pub(super) fn is(&self, other: &Self) -> bool {
        (&self.manager, self.operation, &self.subresource) == (&other.manager, other.operation, &other.subresource)
            && (self.operation == Operation::Apply || self.version == other.version)
    }

    /// As a conflict names it.
    pub(super) fn name(&self) -> String {
        let mut name = format!("{:?}", self.manager.as_str());
        if !self.subresource.is_empty() {
            name = format!("{name} with subresource {:?}", self.subresource.as_str());
        }
        if self.operation == Operation::Update {
            name = format!("{name} using {}", self.version);
        }
        name
    }

    fn read(entry: &Value) -> Option<Self> {
        let text = |field: &str| entry.at(&[field]).as_text().cloned().unwrap_or_default();
        let operation = match text("operation").as_str() {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        Some(Self {
            manager: text("manager"),
            operation,
            version: text("apiVersion"),
            subresource: text("subresource"),
            time: entry.at(&["time"]).as_text().cloned(),
            fields: FieldSet::written(entry.at(&["fieldsV1"]))?,
        })
    }

    fn write(&self) -> Value {
        let operation = if self.operation == Operation::Apply { "Apply" } else { "Update" };
        let mut entry = doc!({
            "operation": (operation), "apiVersion": (&self.version), "fieldsType": "FieldsV1",
            "fieldsV1": (self.fields.tree()),
        });
        if !self.manager.is_empty() {
            entry.set(&["manager"], &self.manager);
        }
        if !self.subresource.is_empty() {
            entry.set(&["subresource"], &self.subresource);
        }
        if let Some(time) = &self.time {
            entry.set(&["time"], time);
        }
        entry
    }
}

/// The entries of an object; none if one of them makes no sense.
pub(super) fn read(object: &Value) -> Vec<Entry> {
    let entries = object.at(&["metadata", "managedFields"]).items().iter();
    entries.map(Entry::read).collect::<Option<Vec<Entry>>>().unwrap_or_default()
}

/// Whether a writer asks that all be forgotten: `managedFields: [{}]`, or `[]`.
pub(super) fn is_reset(object: &Value) -> bool {
    let said = object.at(&["metadata", "managedFields"]);
    let entries = said.items();
    (entries.is_empty() && said.as_array().is_some())
        || matches!(entries, [only] if only.as_object().is_some_and(|only| only.iter().all(|(_, field)| field.is_empty())))
}

/// An object without its entries.
pub(super) fn take(object: &mut Value) {
    if object.find(&["metadata", "managedFields"]).is_some() {
        object.remove(&["metadata", "managedFields"]);
    }
}

/// Gives an object its entries, in the order in which they are kept.
pub(super) fn put(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    if entries.is_empty() {
        return take(object);
    }
    let key = |entry: &Entry| {
        let texts = [&entry.manager, &entry.version, &entry.subresource].map(ToString::to_string);
        (entry.operation, entry.time.as_ref().map(ToString::to_string), texts)
    };
    entries.sort_by_cached_key(key);
    let written: Value = entries.iter().map(Entry::write).collect();
    if object.at(&["metadata", "managedFields"]) != &written {
        object.set(&["metadata", "managedFields"], written);
    }
}

/// Makes one entry of the oldest updates of each version, until there are not too many.
pub(super) fn cap(entries: &mut Vec<Entry>) {
    let is_update = |entry: &Entry| entry.operation == Operation::Update;
    let mut count = entries.iter().filter(|entry| is_update(entry)).count();
    if count <= UPDATES_MAX {
        return;
    }
    let (mut updates, mut kept): (Vec<Entry>, Vec<Entry>) = entries.drain(..).partition(is_update);
    updates.sort_by(|one, two| (&one.time, &one.manager).cmp(&(&two.time, &two.manager)));
    let mut buckets: BTreeMap<Text, Entry> = BTreeMap::new();
    let mut younger = updates.into_iter();
    for entry in younger.by_ref() {
        match buckets.get_mut(&entry.version) {
            // The first of a version is a bucket only once another falls into it.
            None => {
                buckets.insert(entry.version.clone(), entry);
            }
            Some(bucket) => {
                bucket.manager = ANCIENT.into();
                bucket.subresource = Text::default();
                bucket.fields = bucket.fields.union(&entry.fields);
                bucket.time = entry.time;
                count -= 1;
            }
        }
        if count <= UPDATES_MAX {
            break;
        }
    }
    kept.extend(buckets.into_values());
    kept.extend(younger);
    *entries = kept;
}

/// Whether two states of an object differ in nothing but the times of their entries.
pub(crate) fn differ_in_times_only(one: &Value, two: &Value) -> bool {
    let timeless = |object: &Value| {
        let mut object = object.clone();
        let mut entries = object.at(&["metadata", "managedFields"]).clone();
        for entry in entries.array() {
            entry.object().remove("time");
        }
        object.set(&["metadata", "managedFields"], entries);
        object
    };
    one.at(&["spec"]) == two.at(&["spec"]) && timeless(one) == timeless(two)
}
