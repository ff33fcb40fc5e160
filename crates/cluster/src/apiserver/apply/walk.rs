//! Documents and their types, walked together (`structured-merge-diff/typed`).
//!
//! Knows: which fields a document sets, in which fields two documents differ, what a list's elements are known by.
//! Does not know: who owns what.

use std::collections::BTreeMap;

use super::set::{FieldSet, Node, field, has_self, keyed, leaf, node, valued};
use crate::memo::{MANY, Memo, is_worth};
use crate::schema::{List, ListKind, Shape, Type};
use crate::value::{Map, Text, Value};

/// How the owners of a value share it.
pub(super) enum Sharing<'a> {
    /// Who writes any of it owns all of it.
    Whole,
    /// Field by field, or key by key.
    ByField,
    /// Element by element.
    ByElement(List<'a>),
}

/// How the owners of a value of this type share it. Where nothing is known of the type, the value tells.
pub(super) fn sharing<'a>(ty: Type<'a>, value: &Value) -> Sharing<'a> {
    match ty.shape() {
        _ if ty.is_atomic() => Sharing::Whole,
        Shape::List(list) => Sharing::ByElement(list),
        Shape::Struct | Shape::Map(_) => Sharing::ByField,
        Shape::Any if value.as_object().is_some() => Sharing::ByField,
        Shape::Any | Shape::Scalar(_) => Sharing::Whole,
    }
}

/// The type of what stands under a key. What the type does not name, in a document that has it all the same, is
/// anything.
pub(super) fn child<'a>(ty: Type<'a>, key: &str) -> Type<'a> {
    ty.child(key).unwrap_or(Type::unknown())
}

/// What an element of a list is known by; none if it has none of the keys.
pub(super) fn element(list: List<'_>, item: &Value) -> Option<Text> {
    if list.kind != ListKind::Map {
        return Some(valued(item));
    }
    let mut keys = Map::default();
    for key in list.keys {
        let value = item.get(key).filter(|value| !value.is_null());
        let default = || list.items.field(key).and_then(|field| field.default_value());
        if let Some(value) = value.or_else(default) {
            keys.insert(key.clone(), value.clone());
        }
    }
    (!keys.is_empty()).then(|| keyed(keys))
}

/// The fields that a document sets.
pub(super) fn fields(ty: Type<'_>, document: &Value) -> FieldSet {
    FieldSet::of(fields_below(ty, document))
}

fn fields_below(ty: Type<'_>, value: &Value) -> Option<Node> {
    match sharing(ty, value) {
        Sharing::Whole => Some(leaf()),
        Sharing::ByField => {
            let below = value.entries().iter().filter_map(|(key, below)| {
                let node = fields_below(child(ty, key), below);
                // A field of a struct is owned through what is below it; a key of a map is itself owned.
                let itself = below.is_null() || below.as_object().is_some_and(Map::is_empty) || ty.field(key).is_none();
                Some((field(key), if itself { with_self(node) } else { node? }))
            });
            node(false, below.collect())
        }
        Sharing::ByElement(list) => {
            let items = value.items().iter();
            let below =
                items.filter_map(|item| Some((element(list, item)?, with_self(fields_below(list.items, item)))));
            node(false, below.collect())
        }
    }
}

fn with_self(below: Option<Node>) -> Node {
    match below {
        None => leaf(),
        Some(node) if has_self(&node) => node,
        Some(mut node) => {
            node.object().insert(".", leaf());
            node
        }
    }
}

/// In which fields two documents differ.
#[derive(Default)]
pub(super) struct Difference {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

impl Difference {
    /// What is not what it was.
    pub(super) fn written(&self) -> FieldSet {
        self.modified.union(&self.added)
    }

    /// The same, as far as `keep` wants to know of it.
    pub(super) fn filter(self, keep: impl Fn(&FieldSet) -> FieldSet) -> Self {
        Self { added: keep(&self.added), modified: keep(&self.modified), removed: keep(&self.removed) }
    }
}

/// The three sets of a [`Difference`], one path of them.
#[derive(Default)]
struct Change {
    added: Option<Node>,
    modified: Option<Node>,
    removed: Option<Node>,
}

/// In which fields a new document differs from an old one.
pub(super) fn compare(ty: Type<'_>, old: &Value, new: &Value) -> Difference {
    let change = change(ty, Some(old), Some(new));
    Difference {
        added: FieldSet::of(change.added),
        modified: FieldSet::of(change.modified),
        removed: FieldSet::of(change.removed),
    }
}

/// One side of a change may be absent, not both.
fn change(ty: Type<'_>, old: Option<&Value>, new: Option<&Value>) -> Change {
    thread_local! {
        /// All that is added with a part that was not there before.
        static ADDED: Memo<Option<Node>> = const { Memo::of(MANY) };
    }
    let (None, Some(new)) = (old, new) else { return changed(ty, old, new) };
    if !is_worth(new) {
        return changed(ty, None, Some(new));
    }
    let identity = ty.identity();
    if let Some(added) = ADDED.with(|memo| memo.recall(identity, new)) {
        return Change { added, ..Change::default() };
    }
    let change = changed(ty, None, Some(new));
    if change.modified.is_none() && change.removed.is_none() {
        ADDED.with(|memo| memo.keep(identity, new, change.added.clone()));
    }
    change
}

fn changed(ty: Type<'_>, old: Option<&Value>, new: Option<&Value>) -> Change {
    if let (Some(old), Some(new)) = (old, new)
        && (old.same(new) || (!is_deep(old) && old == new))
    {
        return Change::default();
    }
    let some = new.filter(|new| !new.is_null()).or(old).unwrap_or(&Value::Null);
    let Some(below) = below(ty, some, old, new) else {
        return match (old, new) {
            (None, _) => Change { added: Some(leaf()), ..Change::default() },
            (_, None) => Change { removed: Some(leaf()), ..Change::default() },
            (old, new) if old == new => Change::default(),
            _ => Change { modified: Some(leaf()), ..Change::default() },
        };
    };
    let (mut added, mut modified, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for (key, change) in below {
        added.extend(change.added.map(|node| (key.clone(), node)));
        modified.extend(change.modified.map(|node| (key.clone(), node)));
        removed.extend(change.removed.map(|node| (key, node)));
    }
    // Where what may be anything was one kind of thing and is another, it is modified itself.
    let is_empty = |value: Option<&Value>| value.is_none_or(Value::is_null);
    let turned =
        ty.is_any() && !is_empty(old) && !is_empty(new) && old.is_some_and(|old| is_deep(old) != is_deep(some));
    Change {
        added: node(old.is_none(), added),
        modified: node(turned, modified),
        removed: node(new.is_none(), removed),
    }
}

fn is_deep(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}

/// The changes below a path; none if it is owned whole. An empty map or list on both sides is.
fn below(ty: Type<'_>, some: &Value, old: Option<&Value>, new: Option<&Value>) -> Option<Vec<(Text, Change)>> {
    let entries =
        |value: Option<&Value>| value.is_some_and(|value| !value.entries().is_empty() || !value.items().is_empty());
    match sharing(ty, some) {
        Sharing::Whole => None,
        _ if !entries(old) && !entries(new) => None,
        Sharing::ByField => {
            let (old, new) = (map(old), map(new));
            let one_of = old.keys().chain(new.keys().filter(|key| !old.contains_key(key)));
            Some(one_of.map(|key| (field(key), change(child(ty, key), old.get(key), new.get(key)))).collect())
        }
        Sharing::ByElement(list) => {
            let (old, new) = (by_element(list, old), by_element(list, new));
            let one_of = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
            let none = Vec::new();
            let pair = |key: &Text| {
                let (old, new) = (old.get(key).unwrap_or(&none), new.get(key).unwrap_or(&none));
                // An element that is there more than once is one thing: nobody can tell its copies apart.
                match (old.as_slice(), new.as_slice()) {
                    (old, new) if old.len() > 1 && !new.is_empty() || new.len() > 1 && !old.is_empty() => {
                        Change { modified: (old != new).then(leaf), ..Change::default() }
                    }
                    (old, new) => change(list.items, old.first().copied(), new.first().copied()),
                }
            };
            Some(one_of.map(|key| (key.clone(), pair(key))).collect())
        }
    }
}

fn map(value: Option<&Value>) -> Map {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

fn by_element<'v>(list: List<'_>, value: Option<&'v Value>) -> BTreeMap<Text, Vec<&'v Value>> {
    let mut elements: BTreeMap<Text, Vec<&Value>> = BTreeMap::new();
    for item in value.map(Value::items).unwrap_or_default() {
        if let Some(element) = element(list, item) {
            elements.entry(element).or_default().push(item);
        }
    }
    elements
}

/// A document without the fields and elements of a set, and without what is below them.
pub(super) fn without(ty: Type<'_>, document: &Value, gone: &FieldSet) -> Value {
    let mut kept = document.clone();
    if !gone.is_empty() {
        remove(ty, &mut kept, &gone.tree());
    }
    kept
}

fn remove(ty: Type<'_>, value: &mut Value, gone: &Node) {
    match sharing(ty, value) {
        Sharing::Whole => {}
        Sharing::ByField => {
            for (element, below) in gone.entries() {
                let Some(key) = element.strip_prefix("f:") else { continue };
                let Some(have) = value.get(key) else { continue };
                if has_self(below) {
                    value.object().remove(key);
                    continue;
                }
                let mut rest = have.clone();
                remove(child(ty, key), &mut rest, below);
                // A map of which nothing is left is gone, as structured-merge-diff has it.
                if rest.is_empty() && is_deep(&rest) && !have.is_empty() {
                    value.object().remove(key);
                } else if !rest.same(have) {
                    value.object().insert(key, rest);
                }
            }
        }
        Sharing::ByElement(list) => {
            let items = value.items().iter().filter_map(|item| {
                let below = element(list, item).and_then(|element| gone.get(&element).cloned());
                match below {
                    None => Some(item.clone()),
                    Some(below) if has_self(&below) => None,
                    Some(below) => {
                        let mut rest = item.clone();
                        remove(list.items, &mut rest, &below);
                        Some(rest)
                    }
                }
            });
            *value = items.collect::<Vec<Value>>().into();
        }
    }
}

/// A set with the fields of structs through which its paths go: they are there because of what is below them.
pub(super) fn with_structs(ty: Type<'_>, set: &FieldSet) -> FieldSet {
    FieldSet::of(node(false, structs(ty, &set.tree())))
}

fn structs(ty: Type<'_>, tree: &Node) -> Vec<(Text, Node)> {
    let mut below = Vec::new();
    for (element, tree) in tree.entries().iter().filter(|(element, _)| element != ".") {
        let name = element.strip_prefix("f:");
        let ty_below = match (name, ty.list()) {
            (Some(name), _) => child(ty, name),
            (None, Some(list)) => list.items,
            (None, None) => Type::unknown(),
        };
        let is_struct_field = name.is_some_and(|name| ty.field(name).is_some());
        let tree = node(has_self(tree) || is_struct_field, structs(ty_below, tree));
        below.extend(tree.map(|tree| (element.clone(), tree)));
    }
    below
}
