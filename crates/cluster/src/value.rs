//! Documents: JSON values that share structure.
//!
//! Knows: maps, lists and scalars; cloning any of them is O(1), changing one copies only what it must.
//! Does not know: Kubernetes.
//!
//! A map keeps its keys sorted, so equal documents have one form and print the same. Everything below the top is
//! behind a counted pointer: two documents that came from one another are compared by pointer first, so finding what
//! differs costs as much as what differs.

use std::fmt;
use std::sync::Arc;

pub use arcstr::ArcStr as Text;

/// A JSON value. Numbers are what Kubernetes makes of them: whole ones are 64-bit integers, others doubles.
#[derive(Clone, Default)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    String(Text),
    /// A list.
    Array(List),
    /// A map.
    Object(Map),
}

/// A list of values, shared until it is changed.
#[derive(Clone, Default)]
pub struct List(Arc<Vec<Value>>);

/// A map from strings to values, sorted by key, shared until it is changed.
#[derive(Clone, Default)]
pub struct Map(Arc<Vec<(Text, Value)>>);

/// Of so few entries all are looked at.
const SMALL: usize = 16;

/// What a missing value looks like, so that look-ups can be chained.
static NOTHING: Value = Value::Null;

impl Value {
    /// The value under `key`, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// The value at the end of a path of keys; `null` if there is none.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> &Self {
        self.find(path).unwrap_or(&NOTHING)
    }

    /// The value at the end of a path of keys, if there is one.
    #[must_use]
    pub fn find(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this is `null`, `false`, zero, or empty: what Go's `omitempty` leaves out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(truth) => !truth,
            Self::Int(number) => *number == 0,
            Self::Float(number) => *number == 0.0,
            Self::String(text) => text.is_empty(),
            Self::Array(list) => list.is_empty(),
            Self::Object(map) => map.is_empty(),
        }
    }

    /// The string, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The string as a shared one, if this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&Text> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The string, or an empty one.
    #[must_use]
    pub fn str_or_empty(&self) -> &str {
        self.as_str().unwrap_or("")
    }

    /// The whole number, if this is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// The truth value, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// Whether this is `true`.
    #[must_use]
    pub fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    /// The map, if this is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&Map> {
        if let Self::Object(map) = self { Some(map) } else { None }
    }

    /// The map, to be changed, if this is one.
    pub fn as_object_mut(&mut self) -> Option<&mut Map> {
        if let Self::Object(map) = self { Some(map) } else { None }
    }

    /// The list, if this is one.
    #[must_use]
    pub fn as_array(&self) -> Option<&List> {
        if let Self::Array(list) = self { Some(list) } else { None }
    }

    /// The list, to be changed, if this is one.
    pub fn as_array_mut(&mut self) -> Option<&mut List> {
        if let Self::Array(list) = self { Some(list) } else { None }
    }

    /// The elements of a list; none if this is something else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        self.as_array().map_or(&[], |list| list.0.as_slice())
    }

    /// The entries of a map, sorted by key; none if this is something else.
    #[must_use]
    pub fn entries(&self) -> &[(Text, Self)] {
        self.as_object().map_or(&[], |map| map.0.as_slice())
    }

    /// Makes this a map if it is none, and gives it.
    pub fn object(&mut self) -> &mut Map {
        if !matches!(self, Self::Object(_)) {
            *self = Self::Object(Map::default());
        }
        match self {
            Self::Object(map) => map,
            _ => unreachable!("it was made a map above"),
        }
    }

    /// Makes this a list if it is none, and gives it.
    pub fn array(&mut self) -> &mut Vec<Self> {
        if !matches!(self, Self::Array(_)) {
            *self = Self::Array(List::default());
        }
        match self {
            Self::Array(list) => list.edit(),
            _ => unreachable!("it was made a list above"),
        }
    }

    /// The place at the end of a path of keys, made of maps on the way where there are none.
    pub fn make(&mut self, path: &[&str]) -> &mut Self {
        path.iter().fold(self, |value, key| value.object().entry(key))
    }

    /// The place at the end of a path of keys, if it is there.
    pub fn find_mut(&mut self, path: &[&str]) -> Option<&mut Self> {
        path.iter().try_fold(self, |value, key| value.as_object_mut()?.get_mut(key))
    }

    /// Sets what stands at the end of a path of keys.
    pub fn set(&mut self, path: &[&str], value: impl Into<Self>) {
        *self.make(path) = value.into();
    }

    /// Takes away what stands at the end of a path of keys, if it is there.
    pub fn remove(&mut self, path: &[&str]) -> Option<Self> {
        let (last, parents) = path.split_last()?;
        self.find_mut(parents)?.as_object_mut()?.remove(last)
    }

    /// Whether two values are one and the same in memory: equal without looking.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(one), Self::Array(two)) => Arc::ptr_eq(&one.0, &two.0),
            (Self::Object(one), Self::Object(two)) => Arc::ptr_eq(&one.0, &two.0),
            (Self::String(one), Self::String(two)) => Text::ptr_eq(one, two),
            _ => false,
        }
    }

    /// Where in memory it stands, if it is a string, a list or a map; of values that are [the same](Self::same), the same.
    pub(crate) fn address(&self) -> usize {
        match self {
            Self::Array(list) => Arc::as_ptr(&list.0).addr(),
            Self::Object(map) => Arc::as_ptr(&map.0).addr(),
            Self::String(text) => text.as_ptr().addr(),
            _ => 0,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(two)) => one == two,
            (Self::Int(one), Self::Int(two)) => one == two,
            (Self::Float(one), Self::Float(two)) => one == two,
            (Self::String(one), Self::String(two)) => Text::ptr_eq(one, two) || one.as_str() == two.as_str(),
            (Self::Array(one), Self::Array(two)) => Arc::ptr_eq(&one.0, &two.0) || one.0 == two.0,
            (Self::Object(one), Self::Object(two)) => Arc::ptr_eq(&one.0, &two.0) || one.0 == two.0,
            _ => false,
        }
    }
}

impl PartialEq<str> for Value {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<&str> for Value {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == Some(*other)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl List {
    /// The elements, to be changed; copies them (not what is in them) if they are shared.
    pub fn edit(&mut self) -> &mut Vec<Value> {
        Arc::make_mut(&mut self.0)
    }
}

impl std::ops::Deref for List {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.0
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self(Arc::new(values.into_iter().collect()))
    }
}

impl Map {
    fn place(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(have, _)| have.as_str().cmp(key))
    }

    /// The value under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        // Nearly all maps are small, and keys of one length are few: looking through them costs less than the comparisons of
        // a search by halves, each of which waits for the one before.
        if self.0.len() <= SMALL {
            return self.0.iter().find(|(have, _)| have.as_bytes() == key.as_bytes()).map(|(_, value)| value);
        }
        self.place(key).ok().and_then(|at| self.0.get(at)).map(|(_, value)| value)
    }

    /// The value under `key`, to be changed; copies the map (not what is in it) if it is shared.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let at = self.place(key).ok()?;
        Arc::make_mut(&mut self.0).get_mut(at).map(|(_, value)| value)
    }

    /// Whether there is something under `key`.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.place(key).is_ok()
    }

    /// The place under `key`, `null` at first if there was none.
    pub fn entry(&mut self, key: &str) -> &mut Value {
        let place = self.place(key);
        let entries = Arc::make_mut(&mut self.0);
        let at = place.unwrap_or_else(|at| {
            entries.insert(at, (Text::from(key), Value::Null));
            at
        });
        match entries.get_mut(at) {
            Some((_, value)) => value,
            None => unreachable!("the place was found or made above"),
        }
    }

    /// Puts a value under `key`, and gives what was there.
    pub fn insert(&mut self, key: impl Into<Text>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match self.place(&key) {
            Ok(at) => {
                let entries = Arc::make_mut(&mut self.0);
                entries.get_mut(at).map(|(_, place)| std::mem::replace(place, value))
            }
            Err(at) => {
                Arc::make_mut(&mut self.0).insert(at, (key, value));
                None
            }
        }
    }

    /// Takes away what stands under `key`.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.place(key).ok()?;
        Some(Arc::make_mut(&mut self.0).remove(at).1)
    }

    /// Keeps only the entries for which `keep` says yes.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value) -> bool) {
        Arc::make_mut(&mut self.0).retain_mut(|(key, value)| keep(key, value));
    }

    /// The entries, sorted by key.
    pub fn iter(&self) -> std::slice::Iter<'_, (Text, Value)> {
        self.0.iter()
    }

    /// The keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &Text> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, sorted by their keys, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        Arc::make_mut(&mut self.0).iter_mut().map(|(_, value)| value)
    }

    /// The entries, sorted by key, their values to be changed.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        Arc::make_mut(&mut self.0).iter_mut().map(|(key, value)| (key.as_str(), value))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = &'a (Text, Value);
    type IntoIter = std::slice::Iter<'a, (Text, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Later entries win over earlier ones with the same key.
impl<K: Into<Text>> FromIterator<(K, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        let list = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Self::of_entries(list, |_| {})
    }
}

impl Map {
    /// The map of these entries, in any order; later ones win over earlier ones with the same key. `twice` hears of each key
    /// that stands more than once.
    pub(crate) fn of_entries(mut list: Vec<(Text, Value)>, mut twice: impl FnMut(&Text)) -> Self {
        if !list.is_sorted_by(|one, two| one.0.as_str() < two.0.as_str()) {
            list.sort_by(|one, two| one.0.as_str().cmp(two.0.as_str()));
            let mut said: Option<Text> = None;
            list.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    std::mem::swap(later, kept);
                    if said.as_ref() != Some(&kept.0) {
                        twice(&kept.0);
                        said = Some(kept.0.clone());
                    }
                }
                same
            });
        }
        list.shrink_to_fit();
        Self(Arc::new(list))
    }
}

macro_rules! from {
    ($($from:ty, $value:ident => $made:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $made
            }
        })*
    };
}

from! {
    bool, it => Self::Bool(it);
    i64, it => Self::Int(it);
    i32, it => Self::Int(i64::from(it));
    u32, it => Self::Int(i64::from(it));
    u16, it => Self::Int(i64::from(it));
    usize, it => Self::Int(i64::try_from(it).unwrap_or(i64::MAX));
    u64, it => Self::Int(i64::try_from(it).unwrap_or(i64::MAX));
    f64, it => Self::Float(it);
    &str, it => Self::String(Text::from(it));
    String, it => Self::String(Text::from(it));
    &String, it => Self::String(Text::from(it.as_str()));
    Text, it => Self::String(it);
    &Text, it => Self::String(it.clone());
    List, it => Self::Array(it);
    Map, it => Self::Object(it);
    Vec<Value>, it => Self::Array(List(Arc::new(it)));
    &Value, it => it.clone();
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<V: Into<Self>> FromIterator<V> for Value {
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Self {
        Self::Array(values.into_iter().map(Into::into).collect())
    }
}

/// Writes a document as JSON is written: `doc!({"spec": {"replicas": 3, "name": (name)}})`. A Rust expression that is
/// more than one token stands in parentheses; so does a key that is no literal.
#[macro_export]
macro_rules! doc {
    (null) => { $crate::value::Value::Null };
    ({}) => { $crate::value::Value::Object($crate::value::Map::default()) };
    ([]) => { $crate::value::Value::Array($crate::value::List::default()) };
    ([ $($item:tt),* $(,)? ]) => { $crate::value::Value::from(vec![ $($crate::doc!($item)),* ] as Vec<$crate::value::Value>) };
    ({ $($key:tt : $item:tt),* $(,)? }) => {
        $crate::value::Value::Object([ $(($crate::value::Text::from($key), $crate::doc!($item))),* ].into_iter().collect::<$crate::value::Map>())
    };
    ($other:expr) => { $crate::value::Value::from($other) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_as_json_is() {
        let name = "web";
        let doc = doc!({"b": [1, "two", null, true], "a": {(name): (1 + 1)}});
        assert_eq!(doc.to_json(), r#"{"a":{"web":2},"b":[1,"two",null,true]}"#);
    }

    #[test]
    fn changing_a_copy_leaves_the_original_and_shares_the_rest() {
        let one = doc!({"spec": {"replicas": 1}, "status": {"ready": 1}});
        let mut two = one.clone();
        two.set(&["spec", "replicas"], 2);
        assert_eq!(one.at(&["spec", "replicas"]).as_int(), Some(1));
        assert_eq!(two.at(&["spec", "replicas"]).as_int(), Some(2));
        assert!(one.at(&["status"]).same(two.at(&["status"])));
        assert!(!one.at(&["spec"]).same(two.at(&["spec"])));
    }

    #[test]
    fn the_last_of_equal_keys_wins_and_keys_are_sorted() {
        let map: Map = [("b", Value::from(1)), ("a", Value::from(2)), ("b", Value::from(3))].into_iter().collect();
        assert_eq!(Value::from(map).to_json(), r#"{"a":2,"b":3}"#);
    }

    #[test]
    fn removing_on_a_missing_path_makes_nothing() {
        let mut doc = doc!({"a": 1});
        assert_eq!(doc.remove(&["spec", "replicas"]), None);
        assert_eq!(doc, doc!({"a": 1}));
    }
}
