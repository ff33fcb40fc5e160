//! Equal parts of documents, stored once.
//!
//! Knows: which strings, lists and maps it has seen.
//! Does not know: what they mean, or how long anyone needs them: it lives as long as one reading of many documents does.
//!
//! The replicas of one template differ in a few fields, so of a thousand pods nearly all is the same. What is equal is given
//! the same pointer, from the leaves up; so two parts are equal exactly if their own fields are and what lies below them is
//! *the same*, and looking a part up costs what it holds itself, however much lies below it.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::{FixedState, FoldHasher};
use hashbrown::HashTable;

use crate::json::NotJson;
use crate::scan::{self, Stretches};
use crate::value::{List, Map, Text, Value};

/// What is longer than one object can be is taken for a list of them.
const LARGE: usize = 1 << 21;

/// What has been seen. The table is only ever asked, never walked, so its order shows nowhere.
#[derive(Default)]
pub struct Interner {
    seen: HashTable<Value>,
    /// What was read from which text, while many documents are read.
    stretches: Stretches,
}

impl Interner {
    /// Reads JSON text that is probably much like what was read before; a key that stands twice is not told of.
    ///
    /// # Errors
    /// [`NotJson`] if the text is not one whole JSON value, is nested deeper than 128, or is no UTF-8.
    pub fn read(&mut self, text: &[u8]) -> Result<Value, NotJson> {
        let mut stretches = std::mem::take(&mut self.stretches);
        let plain = match text.len() {
            0..LARGE => scan::read(self, &mut stretches, text),
            _ => scan::read_list(self, &mut stretches, text),
        };
        self.stretches = stretches;
        plain.map_or_else(|| self.parse(text).map(|parsed| parsed.value), Ok)
    }

    /// The text that is equal to this one.
    pub(crate) fn text(&mut self, text: &str) -> Text {
        let hash = of_text(text);
        let found = self.seen.entry(hash, |have| have.as_str() == Some(text), of);
        match found.or_insert_with(|| Value::String(Text::from(text))).get() {
            Value::String(text) => text.clone(),
            _ => Text::from(text),
        }
    }

    /// The list of these elements, which were all given by this interner.
    pub(crate) fn list(&mut self, items: Vec<Value>) -> Value {
        self.part(Value::Array(items.into_iter().collect::<List>()))
    }

    /// The map of these entries, whose keys and values were all given by this interner.
    pub(crate) fn map(&mut self, map: Map) -> Value {
        self.part(Value::Object(map))
    }

    /// The document that is equal to this one, wherever it comes from. What this interner gave it knows at a glance.
    pub fn share(&mut self, document: &Value) -> Value {
        let known = self.seen.find(of(document), |have| have.same(document));
        match document {
            _ if known.is_some() => document.clone(),
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(list) => {
                let items = list.iter().map(|item| self.share(item)).collect();
                self.list(items)
            }
            Value::Object(map) => {
                let entries = map.iter().map(|(key, value)| (self.text(key), self.share(value)));
                let map = entries.collect();
                self.map(map)
            }
            scalar => scalar.clone(),
        }
    }

    fn part(&mut self, part: Value) -> Value {
        let found = self.seen.entry(of(&part), |have| is_same_part(have, &part), of);
        found.or_insert(part).get().clone()
    }
}

/// The hash is the same in every process, though nothing depends on it.
fn hasher() -> FoldHasher<'static> {
    FixedState::with_seed(0x6c61_7a61_7265_7400).build_hasher()
}

fn of_text(text: &str) -> u64 {
    let mut hasher = hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// The hash of a part: of what it holds itself, and of where that stands which lies below.
fn of(part: &Value) -> u64 {
    let mut hasher = hasher();
    match part {
        Value::String(text) => return of_text(text),
        Value::Array(list) => list.iter().for_each(|item| write(&mut hasher, item)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            hasher.write_usize(key.as_ptr().addr());
            write(&mut hasher, value);
        }),
        scalar => write(&mut hasher, scalar),
    }
    hasher.finish()
}

fn write(hasher: &mut impl Hasher, value: &Value) {
    match value {
        Value::Null => hasher.write_u8(0),
        Value::Bool(truth) => hasher.write_u8(1 + u8::from(*truth)),
        Value::Int(number) => hasher.write_i64(*number),
        Value::Float(number) => hasher.write_u64(number.to_bits()),
        Value::String(_) | Value::Array(_) | Value::Object(_) => hasher.write_usize(value.address()),
    }
}

/// Whether two parts hold the same: equal scalars, and below them the very same parts.
fn is_same_part(one: &Value, two: &Value) -> bool {
    let same = |one: &Value, two: &Value| match (one, two) {
        (Value::Float(one), Value::Float(two)) => one.to_bits() == two.to_bits(),
        (Value::Null, Value::Null) => true,
        (Value::Bool(one), Value::Bool(two)) => one == two,
        (Value::Int(one), Value::Int(two)) => one == two,
        _ => one.same(two),
    };
    match (one, two) {
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two.iter()).all(|(one, two)| same(one, two))
        }
        (Value::Object(one), Value::Object(two)) => {
            one.len() == two.len()
                && one.iter().zip(two.iter()).all(|(one, two)| Text::ptr_eq(&one.0, &two.0) && same(&one.1, &two.1))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;

    #[test]
    fn equal_parts_of_different_documents_are_the_same() {
        let mut interner = Interner::default();
        let pod = |name: &str| doc!({"name": (name), "spec": {"containers": [{"image": "web:1", "ports": [80, 81]}]}});
        let (one, two) = (interner.share(&pod("a")), interner.share(&pod("b")));
        assert_eq!((one.to_json(), two.to_json()), (pod("a").to_json(), pod("b").to_json()));
        assert!(!one.same(&two));
        assert!(one.at(&["spec"]).same(two.at(&["spec"])));
        assert!(interner.share(&pod("a")).same(&one));
    }

    #[test]
    fn what_only_looks_alike_stays_apart() {
        let mut interner = Interner::default();
        let all = [
            doc!({"a": []}),
            doc!({"a": {}}),
            doc!({"a": ""}),
            doc!({"a": null}),
            doc!({"a": 0}),
            doc!({"a": false}),
            doc!({"a": "0"}),
            doc!({"a": [[]]}),
        ];
        let shared: Vec<Value> = all.iter().map(|document| interner.share(document)).collect();
        assert_eq!(shared, all);
    }

    #[test]
    fn documents_that_follow_one_another_share_what_is_equal_in_them() {
        let mut interner = Interner::default();
        let mut read = Vec::new();
        interner.parse_all(b" {\"a\":[1]} {\"b\":[1]}\n", |_, value| read.push(value)).unwrap();
        assert!(read[0].at(&["a"]).same(read[1].at(&["b"])));
        assert!(interner.share(&read[0]).same(&read[0]));
        assert!(interner.parse_all(b"{} x", |_, _| ()).is_err());
    }

    #[test]
    fn a_document_is_read_into_what_is_there() {
        let mut interner = Interner::default();
        let text = br#"{"b":{"x":[1,"two"]},"a":{"x":[1,"two"]},"b":{"x":[1,"two"]}}"#;
        let parsed = interner.parse(text).unwrap();
        assert_eq!(parsed.duplicates, ["b"]);
        assert!(parsed.value.at(&["a"]).same(parsed.value.at(&["b"])));
        assert_eq!(parsed.value, crate::json::parse(text).unwrap().value);
    }
}
