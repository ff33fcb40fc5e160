//! Sets of fields, in the form in which `managedFields` writes them (`fieldsV1`).
//!
//! Knows: the algebra of such sets, and how their paths are spelled.
//! Does not know: types; what a document holds is walked elsewhere.
//!
//! `fieldsV1` is a tree: `f:name` is a field, `k:{…}` an element of a list by its keys, `v:…` one by its value, and `.`
//! says that the path itself is in the set. A path with nothing below it is written `{}`, and is in the set. That tree
//! is what we compute with: reading and writing it costs nothing, and what an operation leaves alone stays shared.

use std::fmt::Write as _;

use crate::value::{Map, Text, Value};

/// Says that the path itself is in the set.
const SELF: &str = ".";

/// A set of paths. Nothing is said of the root, which nobody owns.
#[derive(Clone, Default)]
pub(crate) struct FieldSet(Map);

/// A subtree of a set: a path with what is below it. Never one that says nothing.
pub(super) type Node = Value;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Difference,
    Intersection,
}

impl FieldSet {
    /// From a tree as `managedFields` has it; what is no tree is the empty set.
    pub(crate) fn read(tree: &Value) -> Self {
        Self(tree.as_object().cloned().unwrap_or_default())
    }

    /// From a tree that a client wrote; none if one of its keys is no path's.
    pub(super) fn written(tree: &Value) -> Option<Self> {
        fn makes_sense(key: &str, below: &Value) -> bool {
            let known = key == SELF
                || match key.split_once(':') {
                    Some(("f", _)) => true,
                    Some(("i", index)) => index.parse::<i64>().is_ok(),
                    Some(("k", keys)) => Value::from_json(keys.as_bytes()).is_ok_and(|keys| keys.as_object().is_some()),
                    Some(("v", value)) => Value::from_json(value.as_bytes()).is_ok(),
                    _ => false,
                };
            known && below.entries().iter().all(|(key, below)| makes_sense(key, below))
        }
        tree.entries().iter().all(|(key, below)| makes_sense(key, below)).then(|| Self::read(tree))
    }

    /// From the subtree at the root of a walk.
    pub(super) fn of(root: Option<Node>) -> Self {
        let mut set = Self::read(&root.unwrap_or_default());
        if set.0.contains_key(SELF) {
            set.0.remove(SELF);
        }
        set
    }

    /// The set of one path of fields.
    pub(crate) fn path(fields: &[&str]) -> Self {
        let empty = Value::Object(Map::default());
        let tree = fields.iter().rev().fold(empty, |below, field| {
            let key = arcstr::format!("f:{field}");
            Value::Object([(key, below)].into_iter().collect())
        });
        Self::read(&tree)
    }

    /// As `managedFields` writes it.
    pub(crate) fn tree(&self) -> Value {
        Value::Object(self.0.clone())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        Self(join(Operation::Union, &self.0, &other.0))
    }

    /// What is here and not there.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        Self(join(Operation::Difference, &self.0, &other.0))
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        Self(join(Operation::Intersection, &self.0, &other.0))
    }

    /// The same without the paths of the other, and without whatever is below them.
    pub(crate) fn without_below(&self, other: &Self) -> Self {
        Self(prune(&self.0, &other.0))
    }

    /// Whether nothing of the other is missing here.
    #[cfg(test)]
    pub(super) fn contains(&self, other: &Self) -> bool {
        other.difference(self).is_empty()
    }

    /// Its paths as conflicts name them (`.spec.containers[name="web"].image`), those higher up first.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        list("", &self.0, &mut paths);
        paths
    }
}

impl PartialEq for FieldSet {
    fn eq(&self, other: &Self) -> bool {
        self.tree() == other.tree()
    }
}

impl std::fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.tree().to_json())
    }
}

fn list(prefix: &str, below: &Map, paths: &mut Vec<String>) {
    let named = |key: &Text| (*key != SELF).then(|| format!("{prefix}{}", spell(key)));
    paths.extend(below.iter().filter(|(_, node)| has_self(node)).filter_map(|(key, _)| named(key)));
    for (key, node) in below {
        if let (Some(path), Some(below)) = (named(key), node.as_object()) {
            list(&path, below, paths);
        }
    }
}

/// Whether a subtree's own path is in the set.
pub(super) fn has_self(node: &Node) -> bool {
    node.as_object().is_some_and(|below| below.is_empty() || below.contains_key(SELF))
}

/// A subtree from its parts; none if it says nothing.
pub(super) fn node(has_self: bool, mut below: Vec<(Text, Node)>) -> Option<Node> {
    match (has_self, below.is_empty()) {
        (false, true) => return None,
        (true, false) => below.push((SELF.into(), leaf())),
        _ => {}
    }
    Some(Value::Object(below.into_iter().collect()))
}

/// A path with nothing below it.
pub(super) fn leaf() -> Node {
    Value::Object(Map::default())
}

/// The element of a path that is a field.
pub(super) fn field(name: &str) -> Text {
    arcstr::format!("f:{name}")
}

/// The element of a path that is known by its keys.
pub(super) fn keyed(keys: Map) -> Text {
    arcstr::format!("k:{}", Value::Object(keys).to_json())
}

/// The element of a path that is known by its value.
pub(super) fn valued(value: &Value) -> Text {
    arcstr::format!("v:{}", value.to_json())
}

/// An element of a path as messages name it.
pub(super) fn spell(element: &str) -> String {
    let parse = |json: &str| Value::from_json(json.as_bytes()).unwrap_or_default();
    match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let mut text = String::new();
            for (key, value) in parse(keys).entries() {
                let comma = if text.is_empty() { "" } else { "," };
                let _ = write!(text, "{comma}{key}={}", value.to_json());
            }
            format!("[{text}]")
        }
        Some(("v", value)) => format!("[={}]", parse(value).to_json()),
        Some(("i", index)) => format!("[{index}]"),
        _ => format!(".{element}"),
    }
}

fn join(operation: Operation, one: &Map, two: &Map) -> Map {
    if one.is_empty() || two.is_empty() {
        return match operation {
            Operation::Union if one.is_empty() => two.clone(),
            Operation::Intersection => Map::default(),
            _ => one.clone(),
        };
    }
    let mut joined = one.clone();
    for (key, here) in one {
        match (two.get(key), operation) {
            (None, Operation::Intersection) => {
                joined.remove(key);
            }
            (None, _) => {}
            (Some(there), _) => match combine(operation, here, there) {
                Some(node) if node.same(here) => {}
                Some(node) => {
                    joined.insert(key.clone(), node);
                }
                None => {
                    joined.remove(key);
                }
            },
        }
    }
    if operation == Operation::Union {
        for (key, there) in two.iter().filter(|(key, _)| !one.contains_key(key)) {
            joined.insert(key.clone(), there.clone());
        }
    }
    joined
}

fn combine(operation: Operation, one: &Node, two: &Node) -> Option<Node> {
    if one.same(two) || one == two {
        return (operation != Operation::Difference).then(|| one.clone());
    }
    let (here, there) = (has_self(one), has_self(two));
    let has_self = match operation {
        Operation::Union => here || there,
        Operation::Difference => here && !there,
        Operation::Intersection => here && there,
    };
    let none = Map::default();
    let below = |node: &Node| {
        let mut below = node.as_object().unwrap_or(&none).clone();
        if below.contains_key(SELF) {
            below.remove(SELF);
        }
        below
    };
    let joined = join(operation, &below(one), &below(two));
    node(has_self, joined.iter().cloned().collect())
}

fn prune(one: &Map, two: &Map) -> Map {
    let mut kept = one.clone();
    for (key, there) in two {
        let Some(here) = one.get(key) else { continue };
        let rest = if has_self(there) {
            None
        } else {
            let (Some(here_below), Some(there_below)) = (here.as_object(), there.as_object()) else { continue };
            // A path with nothing below it is in the set; it must not become one that is there for nothing.
            let below = if here_below.is_empty() { Map::default() } else { prune(here_below, there_below) };
            (here_below.is_empty() || !below.is_empty()).then(|| Value::Object(below))
        };
        match rest {
            None => {
                kept.remove(key);
            }
            Some(rest) if rest == *here => {}
            Some(rest) => {
                // `{".": {}}` alone is written `{}`.
                let alone = rest.as_object().is_some_and(|below| below.len() == 1 && below.contains_key(SELF));
                kept.insert(key.clone(), if alone { leaf() } else { rest });
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(json: &str) -> FieldSet {
        FieldSet::read(&Value::from_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn sets_are_joined_path_by_path() {
        let one = set(r#"{"f:a":{".":{},"f:x":{}},"f:b":{}}"#);
        let two = set(r#"{"f:a":{"f:x":{},"f:y":{}},"f:c":{"f:z":{}}}"#);
        for (got, want) in [
            (one.union(&two), r#"{"f:a":{".":{},"f:x":{},"f:y":{}},"f:b":{},"f:c":{"f:z":{}}}"#),
            (one.difference(&two), r#"{"f:a":{},"f:b":{}}"#),
            (two.difference(&one), r#"{"f:a":{"f:y":{}},"f:c":{"f:z":{}}}"#),
            (one.intersection(&two), r#"{"f:a":{"f:x":{}}}"#),
            (two.without_below(&set(r#"{"f:a":{},"f:c":{"f:q":{}}}"#)), r#"{"f:c":{"f:z":{}}}"#),
        ] {
            assert_eq!(got.tree().to_json(), want);
        }
    }

    #[test]
    fn paths_are_spelled_as_conflicts_name_them() {
        let set = set(r#"{"f:a":{"k:{\"name\":\"x\",\"port\":80}":{".":{},"f:b":{}},"v:\"q\"":{}}}"#);
        assert_eq!(set.paths(), [r#".a[name="x",port=80]"#, r#".a[="q"]"#, r#".a[name="x",port=80].b"#]);
    }
}
