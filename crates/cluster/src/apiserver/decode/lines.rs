//! On which lines of a YAML text keys stand twice.
//!
//! Knows: lines, and keys.
//! Does not know: what the text says; it is read for this alone, and only if something in it stands twice.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::value::Value;

/// The keys that stand more than once in one map of a YAML text, each with the line (from 1) of what stands there again;
/// what is within comes before what it is in.
pub(super) fn repeated(text: &[u8]) -> Vec<(u64, Value)> {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    let read = serde_saphyr::with_deserializer_from_slice_with_options(text, options, |deserializer| {
        Lines::deserialize(deserializer)
    });
    read.map(|lines| lines.0).unwrap_or_default()
}

/// The repeated keys in a value.
struct Lines(Vec<(u64, Value)>);

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LinesVisitor)
    }
}

struct LinesVisitor;

impl<'de> Visitor<'de> for LinesVisitor {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Lines, E> {
        Ok(Lines(Vec::new()))
    }

    fn visit_none<E: de::Error>(self) -> Result<Lines, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Lines, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Lines, E> {
        self.visit_unit()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Lines, E> {
        self.visit_unit()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Lines, E> {
        self.visit_unit()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Lines, E> {
        self.visit_unit()
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Lines, E> {
        self.visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Lines, A::Error> {
        let mut lines = Vec::new();
        while let Some(item) = items.next_element::<Lines>()? {
            lines.extend(item.0);
        }
        Ok(Lines(lines))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Lines, A::Error> {
        let (mut lines, mut keys) = (Vec::new(), Vec::new());
        while let Some(key) = entries.next_key::<Value>()? {
            let value = entries.next_value::<serde_saphyr::Spanned<Lines>>()?;
            lines.extend(value.value.0);
            if keys.contains(&key) {
                lines.push((value.referenced.line(), key.clone()));
            }
            keys.push(key);
        }
        Ok(Lines(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_twice_in_yaml_is_known_by_its_line() {
        let text = b"a: 1\nb:\n  c: 1\n  d: [{e: 1, e: 2}]\n  c: 2\nb:\n  x: 1\na: 3\n";
        let want = [(4, "e"), (5, "c"), (7, "b"), (8, "a")].map(|(line, key)| (line, Value::from(key)));
        assert_eq!(repeated(text), want);
        assert_eq!(repeated(b"{\"a\": 1,\n\"a\": 2}"), [(2, Value::from("a"))]);
        assert!(repeated(b"a: [").is_empty());
    }
}
