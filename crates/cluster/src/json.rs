//! Documents as JSON text, read and written by one parser.
//!
//! Knows: JSON as Kubernetes reads it: whole numbers are integers, a key that stands twice is noticed.
//! Does not know: what a document means.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};

use crate::intern::Interner;
use crate::value::{List, Map, Text, Value};

/// A document as it was sent: what it says, and which fields it says twice.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// What it says; where a key stands twice, what it says last, as Go's decoder does.
    pub value: Value,
    /// The paths of keys that stand more than once, such as `spec.replicas` or `spec.containers[0].name`.
    pub duplicates: Vec<String>,
}

impl From<Value> for Parsed {
    /// From where no key can stand twice.
    fn from(value: Value) -> Self {
        Self { value, duplicates: Vec::new() }
    }
}

/// The text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotJson(pub String);

impl Value {
    /// Reads JSON text.
    ///
    /// # Errors
    /// [`NotJson`] if the text is not one whole JSON value, is nested deeper than 128, or is no UTF-8.
    pub fn from_json(text: &[u8]) -> Result<Self, NotJson> {
        parse(text).map(|parsed| parsed.value)
    }

    /// Writes it as JSON, without white space, keys sorted.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Serialising to memory fails only for keys that are no strings, and ours are.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Writes it as JSON bytes, without white space, keys sorted.
    #[must_use]
    pub fn to_json_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Reads JSON text and notices keys that stand twice in one map.
///
/// # Errors
/// [`NotJson`] if the text is not one whole JSON value, is nested deeper than 128, or is no UTF-8.
pub fn parse(text: &[u8]) -> Result<Parsed, NotJson> {
    parse_with(text, &mut Fresh)
}

fn parse_with(text: &[u8], maker: &mut impl Maker) -> Result<Parsed, NotJson> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let mut duplicates = Vec::new();
    let value = Reader { path: &Path::Root, duplicates: &mut duplicates, maker }
        .deserialize(&mut deserializer)
        .map_err(|error| NotJson(error.to_string()))?;
    deserializer.end().map_err(|error| NotJson(error.to_string()))?;
    Ok(Parsed { value, duplicates })
}

impl Interner {
    /// Reads JSON text as [`parse`] does; what was read before is not stored again.
    ///
    /// # Errors
    /// [`NotJson`] if the text is not one whole JSON value, is nested deeper than 128, or is no UTF-8.
    pub fn parse(&mut self, text: &[u8]) -> Result<Parsed, NotJson> {
        parse_with(text, self)
    }

    /// Reads JSON values that follow one another, and gives each as soon as it is read.
    ///
    /// # Errors
    /// [`NotJson`] at the first that is none; those before it were given.
    pub fn parse_all(&mut self, text: &[u8], mut take: impl FnMut(&mut Self, Value)) -> Result<(), NotJson> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        while deserializer.end().is_err() {
            let reader = Reader { path: &Path::Root, duplicates: &mut Vec::new(), maker: self };
            let value = reader.deserialize(&mut deserializer).map_err(|error| NotJson(error.to_string()))?;
            take(self, value);
        }
        Ok(())
    }
}

/// Who makes the parts of a document as they are read.
trait Maker {
    fn text(&mut self, text: &str) -> Text;
    fn list(&mut self, items: Vec<Value>) -> Value;
    fn map(&mut self, map: Map) -> Value;
}

/// Makes every part anew.
struct Fresh;

impl Maker for Fresh {
    fn text(&mut self, text: &str) -> Text {
        Text::from(text)
    }

    fn list(&mut self, items: Vec<Value>) -> Value {
        Value::Array(items.into_iter().collect::<List>())
    }

    fn map(&mut self, map: Map) -> Value {
        Value::Object(map)
    }
}

impl Maker for Interner {
    fn text(&mut self, text: &str) -> Text {
        Self::text(self, text)
    }

    fn list(&mut self, items: Vec<Value>) -> Value {
        Self::list(self, items)
    }

    fn map(&mut self, map: Map) -> Value {
        Self::map(self, map)
    }
}

/// Reads YAML text as Kubernetes does, and notices keys that stand twice in one map.
///
/// # Errors
/// [`NotJson`] if the text is no YAML, is no UTF-8, or grows without bound through its aliases.
pub fn parse_yaml(text: &[u8]) -> Result<Parsed, NotJson> {
    // What looks like JSON is JSON, as `yaml.YAMLOrJSONDecoder` has it: its numbers are JSON's.
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        return parse(text);
    }
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    let mut duplicates = Vec::new();
    let text = first_document(text);
    let value = serde_saphyr::with_deserializer_from_slice_with_options(text, options, |deserializer| {
        Reader { path: &Path::Root, duplicates: &mut duplicates, maker: &mut Fresh }.deserialize(deserializer)
    })
    .map_err(|error| NotJson(error.to_string()))?;
    Ok(Parsed { value, duplicates })
}

/// The first of the documents that a YAML text consists of. Go's reader looks at no other.
fn first_document(text: &[u8]) -> &[u8] {
    let mut begun = false;
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let marks =
            |mark: &[u8]| line.strip_prefix(mark).is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace));
        if begun && (marks(b"---") || marks(b"...")) {
            return text.get(..at).unwrap_or(text);
        }
        begun = begun || marks(b"---") || !matches!(line.trim_ascii_start().first(), None | Some(b'#' | b'%'));
        at += line.len();
    }
    text
}

/// Where in the document the reader is; printed only when something is wrong there.
pub(crate) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Reads a value from any serde format; JSON and YAML come through here.
struct Reader<'a, M> {
    path: &'a Path<'a>,
    duplicates: &'a mut Vec<String>,
    maker: &'a mut M,
}

impl<'de, M: Maker> DeserializeSeed<'de> for Reader<'_, M> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, M: Maker> Visitor<'de> for Reader<'_, M> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    #[expect(clippy::cast_precision_loss, reason = "beyond 64 bits Go keeps a double too")]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Int))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(self.maker.text(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::with_capacity(items.size_hint().unwrap_or(0).min(1024));
        loop {
            let at = Path::Index(self.path, list.len());
            match items.next_element_seed(Reader { path: &at, duplicates: self.duplicates, maker: self.maker })? {
                Some(item) => list.push(item),
                None => {
                    list.shrink_to_fit();
                    return Ok(self.maker.list(list));
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut list: Vec<(Text, Value)> = Vec::with_capacity(entries.size_hint().unwrap_or(0).min(1024));
        while let Some(key) = entries.next_key_seed(Key { maker: self.maker })? {
            let at = Path::Key(self.path, &key);
            let value =
                entries.next_value_seed(Reader { path: &at, duplicates: self.duplicates, maker: self.maker })?;
            list.push((key, value));
        }
        let map = Map::of_entries(list, |key| self.duplicates.push(Path::Key(self.path, key).to_string()));
        Ok(self.maker.map(map))
    }
}

struct Key<'a, M> {
    maker: &'a mut M,
}

impl<'de, M: Maker> DeserializeSeed<'de> for Key<'_, M> {
    type Value = Text;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        // Any, not a string: YAML has keys that are numbers or truth values, and JSON has only strings anyway.
        deserializer.deserialize_any(self)
    }
}

impl<M: Maker> Visitor<'_> for Key<'_, M> {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string key")
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Text, E> {
        Ok(Text::from(if truth { "true" } else { "false" }))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Text, E> {
        Ok(arcstr::format!("{number}"))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Text, E> {
        Ok(arcstr::format!("{number}"))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Text, E> {
        Ok(arcstr::format!("{number}"))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
        Ok(Text::from("null"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(self.maker.text(text))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reader { path: &Path::Root, duplicates: &mut Vec::new(), maker: &mut Fresh }.deserialize(deserializer)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Int(number) => serializer.serialize_i64(*number),
            // Go prints a whole double without a point, and so do the documents that we compare with.
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
            Self::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => {
                serializer.serialize_i64(*number as i64)
            }
            Self::Float(number) if number.fract() == 0.0 && (1e15..1e21).contains(&number.abs()) => {
                // The shortest digits that mean the number, and zeros up to the point.
                let digits: i128 = number.to_string().parse().map_err(serde::ser::Error::custom)?;
                serializer.serialize_i128(digits)
            }
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(list) => {
                let mut out = serializer.serialize_seq(Some(list.len()))?;
                for item in list.iter() {
                    out.serialize_element(item)?;
                }
                out.end()
            }
            Self::Object(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    out.serialize_entry(key.as_str(), value)?;
                }
                out.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_stand_twice_are_noticed_with_their_paths_and_the_last_wins() {
        let parsed = parse(br#"{"a":1,"b":[{"c":1,"c":2,"c":3}],"a":2}"#).unwrap();
        assert_eq!(parsed.value.to_json(), r#"{"a":2,"b":[{"c":3}]}"#);
        assert_eq!(parsed.duplicates, ["b[0].c", "a"]);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [&b"{"[..], b"{}x", b"\xff\xfe", b"", b"{\"a\":01}", &[b'['; 100_000]] {
            assert!(parse(text).is_err(), "{:?}", &text[..text.len().min(8)]);
        }
    }

    #[test]
    fn yaml_says_what_json_says() {
        let yaml = b"a: 1\nb: [x, true, 1.5, null]\nc: {d: '1'}\nt: 2026-11-24T07:29:46Z\n";
        let want = r#"{"a":1,"b":["x",true,1.5,null],"c":{"d":"1"},"t":"2026-11-24T07:29:46Z"}"#;
        assert_eq!(parse_yaml(yaml).unwrap().value.to_json(), want);
        let twice = parse_yaml(b"on: 1\nb: {c: 1, c: 2}\n").unwrap();
        assert_eq!(
            (twice.value.to_json(), twice.duplicates),
            (r#"{"b":{"c":2},"true":1}"#.to_owned(), vec!["b.c".to_owned()])
        );
        assert!(parse_yaml(b"a: [\n").is_err());
    }

    #[test]
    fn whole_numbers_are_integers_and_others_doubles() {
        let cases = [("1", Value::Int(1)), ("1.5", Value::Float(1.5)), ("-9223372036854775808", Value::Int(i64::MIN))];
        for (text, want) in cases {
            assert_eq!(Value::from_json(text.as_bytes()), Ok(want), "{text}");
        }
    }
}
