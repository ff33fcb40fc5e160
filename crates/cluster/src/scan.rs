//! JSON of many documents that are alike, read at the speed of looking.
//!
//! Knows: where in a text each list and map ends, and which stretches of text it has read before.
//! Does not know: what is wrong with a text. What is not plainly JSON it leaves to the parser, which says so.
//!
//! The replicas of one template have the same text but for a few fields. A first pass finds where every list and map ends; a
//! second then sees at a glance whether the stretch between is one that it knows, and gives what that said. It is compared byte
//! by byte, so that no two texts are ever taken for one another.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::intern::Interner;
use crate::value::{Map, Text, Value};

/// Shorter stretches are read again: that costs less than to keep them.
const STRETCH_MIN: usize = 32;

/// Of so many stretches it is remembered that they were read; then all are forgotten, and begin anew.
const ONCE_MAX: usize = 1 << 20;

/// Deeper nesting is left to the parser, which has its limit there.
const DEPTH_MAX: usize = 100;

/// Stretches of text and what they say.
#[derive(Default)]
pub(crate) struct Stretches {
    /// Hashes of those that were read once. Most never come again, and are not worth keeping.
    once: HashTable<u64>,
    known: HashTable<(u64, Box<[u8]>, Value)>,
}

fn hash(stretch: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(1).build_hasher();
    hasher.write(stretch);
    hasher.finish()
}

impl Stretches {
    fn recall(&self, hash: u64, stretch: &[u8]) -> Option<Value> {
        self.known.find(hash, |(_, have, _)| **have == *stretch).map(|(_, _, value)| value.clone())
    }

    /// Whether a stretch was read before, as far as its hash tells.
    fn comes_again(&mut self, hash: u64) -> bool {
        if self.once.len() >= ONCE_MAX {
            self.once.clear();
        }
        let found = self.once.find(hash, |have| *have == hash).is_some();
        if !found {
            self.once.insert_unique(hash, hash, |have| *have);
        }
        found
    }

    fn keep(&mut self, hash: u64, stretch: &[u8], value: &Value) {
        self.known.insert_unique(hash, (hash, stretch.into(), value.clone()), |(hash, ..)| *hash);
    }
}

/// What a text says that is one whole JSON value; none if it is not plainly that, or says something that only the parser knows
/// how to read.
pub(crate) fn read(interner: &mut Interner, stretches: &mut Stretches, text: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(text).ok()?;
    let ends = ends(text.as_bytes())?;
    let bytes = text.as_bytes();
    let mut reader = Reader { text, bytes, ends: ends.iter(), at: 0, known_above: false, interner, stretches };
    let value = reader.value()?;
    reader.space();
    (reader.at == text.len()).then_some(value)
}

/// The same of a text that may be a list of very many objects: they are read one after another, as if each stood alone.
pub(crate) fn read_list(interner: &mut Interner, stretches: &mut Stretches, text: &[u8]) -> Option<Value> {
    let mut entries: Vec<(Text, Value)> = Vec::new();
    let mut at = past(text, 0, b'{')?;
    loop {
        let end = value_end(text, at)?;
        let key = match read(interner, stretches, text.get(at..end)?)? {
            Value::String(key) => key,
            _ => return None,
        };
        at = past(text, end, b':')?;
        let end = value_end(text, at)?;
        let value = match text.get(at)? {
            b'[' if key == "items" => items(interner, stretches, text.get(at..end)?)?,
            _ => read(interner, stretches, text.get(at..end)?)?,
        };
        entries.push((key, value));
        match past(text, end, b',') {
            Some(next) => at = next,
            None => {
                let rest = text.get(past(text, end, b'}')?..)?;
                return rest.is_empty().then(|| interner.map(Map::of_entries(entries, |_| {})));
            }
        }
    }
}

fn items(interner: &mut Interner, stretches: &mut Stretches, text: &[u8]) -> Option<Value> {
    let mut items = Vec::new();
    let mut at = past(text, 0, b'[')?;
    while text.get(at) != Some(&b']') || !items.is_empty() {
        let end = value_end(text, at)?;
        items.push(read(interner, stretches, text.get(at..end)?)?);
        match past(text, end, b',') {
            Some(next) => at = next,
            None => {
                at = past(text, end, b']')?;
                return (at == text.len()).then(|| interner.list(items));
            }
        }
    }
    Some(interner.list(items))
}

/// Where what follows a sign begins, if that sign is next; spaces before and after it do not count.
fn past(text: &[u8], at: usize, sign: u8) -> Option<usize> {
    let space = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count()
    };
    let at = space(at);
    (text.get(at) == Some(&sign)).then(|| space(at + 1))
}

/// Where the value ends that begins here.
fn value_end(text: &[u8], begin: usize) -> Option<usize> {
    let (mut at, mut depth) = (begin, 0_usize);
    loop {
        match text.get(at)? {
            b'"' => at = string_end(text, at)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            // A number or a word.
            _ if depth == 0 => {
                let rest = text.get(at..)?;
                return Some(at + rest.iter().position(|byte| b",:]} \n\r\t".contains(byte))?);
            }
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Where each list and map ends, in the order in which they begin. A bracket in a text is none.
fn ends(text: &[u8]) -> Option<Vec<(usize, usize)>> {
    let (mut ends, mut open) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at)?,
            b'{' | b'[' => {
                open.push(ends.len());
                if open.len() > DEPTH_MAX {
                    return None;
                }
                // How many begin within it is known when it ends.
                ends.push((0, 0));
            }
            b'}' | b']' => {
                let (begun, count) = (open.pop()?, ends.len());
                *ends.get_mut(begun)? = (at + 1, count - begun - 1);
            }
            _ => {}
        }
        at += 1;
    }
    open.is_empty().then_some(ends)
}

/// The place of the quotation mark that ends the string that begins at one.
fn string_end(text: &[u8], begin: usize) -> Option<usize> {
    let mut at = begin + 1;
    loop {
        let rest = text.get(at..)?;
        let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        at += found;
        if text.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    ends: std::slice::Iter<'a, (usize, usize)>,
    at: usize,
    /// Whether a stretch around this one is about to be kept: what is within it comes again only with it.
    known_above: bool,
    interner: &'a mut Interner,
    stretches: &'a mut Stretches,
}

impl Reader<'_> {
    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// The next byte that is no space, taken.
    fn next(&mut self) -> Option<u8> {
        self.space();
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn value(&mut self) -> Option<Value> {
        self.space();
        let begin = self.at;
        match self.bytes.get(begin)? {
            b'{' | b'[' => self.stretch(begin),
            b'"' => Some(Value::String(self.string()?)),
            _ => self.scalar(begin),
        }
    }

    /// A list or a map.
    fn stretch(&mut self, begin: usize) -> Option<Value> {
        let (end, within) = *self.ends.next()?;
        let stretch = self.bytes.get(begin..end)?;
        if stretch.len() < STRETCH_MIN {
            return self.parts(begin);
        }
        let hash = hash(stretch);
        if let Some(value) = self.stretches.recall(hash, stretch) {
            self.at = end;
            if within > 0 {
                self.ends.nth(within - 1)?;
            }
            return Some(value);
        }
        if self.known_above || !self.stretches.comes_again(hash) {
            return self.parts(begin);
        }
        self.known_above = true;
        let value = self.parts(begin)?;
        self.known_above = false;
        self.stretches.keep(hash, stretch, &value);
        Some(value)
    }

    fn parts(&mut self, begin: usize) -> Option<Value> {
        self.at = begin + 1;
        if self.bytes.get(begin) == Some(&b'{') { self.map() } else { self.list() }
    }

    fn map(&mut self) -> Option<Value> {
        let mut entries: Vec<(Text, Value)> = Vec::new();
        loop {
            match self.next()? {
                b'}' if entries.is_empty() => break,
                b'"' => self.at -= 1,
                _ => return None,
            }
            let key = self.string()?;
            if self.next()? != b':' {
                return None;
            }
            let value = self.value()?;
            entries.push((key, value));
            match self.next()? {
                // What follows a comma is another entry: an end would be refused above, where there is one already.
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        Some(self.interner.map(Map::of_entries(entries, |_| {})))
    }

    fn list(&mut self) -> Option<Value> {
        let mut items = Vec::new();
        self.space();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            return Some(self.interner.list(items));
        }
        loop {
            items.push(self.value()?);
            match self.next()? {
                b',' => {}
                b']' => return Some(self.interner.list(items)),
                _ => return None,
            }
        }
    }

    /// A string; one with an escape in it is read by the parser.
    fn string(&mut self) -> Option<Text> {
        let end = string_end(self.bytes, self.at)?;
        let within = self.text.get(self.at + 1..end)?;
        let text = if within.bytes().all(|byte| byte >= b' ' && byte != b'\\') {
            self.interner.text(within)
        } else {
            let read: String = serde_json::from_slice(self.bytes.get(self.at..=end)?).ok()?;
            self.interner.text(&read)
        };
        self.at = end + 1;
        Some(text)
    }

    /// A number or a word, read by the parser.
    fn scalar(&mut self, begin: usize) -> Option<Value> {
        let rest = self.bytes.get(begin..)?;
        let length = rest.iter().position(|byte| b",]} \n\r\t".contains(byte)).unwrap_or(rest.len());
        let scalar = rest.get(..length)?;
        self.at = begin + length;
        match scalar {
            b"true" => Some(Value::Bool(true)),
            b"false" => Some(Value::Bool(false)),
            b"null" => Some(Value::Null),
            [digit @ b'0'..=b'9'] => Some(Value::Int(i64::from(digit - b'0'))),
            _ => Value::from_json(scalar).ok().filter(|value| matches!(value, Value::Int(_) | Value::Float(_))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &[u8], stretches: &mut Stretches, interner: &mut Interner) -> Result<(), TestCaseError> {
        let said = crate::json::parse(text).map(|parsed| parsed.value);
        // Twice more, so that what is known by then is tried as well.
        for _ in 0..3 {
            for read in [read, read_list] {
                if let Some(value) = read(interner, stretches, text) {
                    prop_assert_eq!(Ok(value), said.clone());
                }
            }
        }
        Ok(())
    }

    #[test]
    fn what_is_plainly_json_is_read_and_the_largest_part_that_comes_again_is_known_then() {
        let (mut interner, mut stretches) = (Interner::default(), Stretches::default());
        let same = r#"{"c":{"long enough to be kept":"yes, it is that"}}"#;
        for number in 0..3 {
            let text = format!(
                r#" {{"a" : [{number}, -2.5e3, true, null, "x\u00e9\"]", {{}}] , "b":{same}, "b": {{}}, "d": [], "e":{same} }} "#
            );
            let said = crate::json::parse(text.as_bytes()).unwrap().value;
            assert_eq!(read(&mut interner, &mut stretches, text.as_bytes()), Some(said));
        }
        let known: Vec<&[u8]> = stretches.known.iter().map(|(_, stretch, _)| &**stretch).collect();
        assert_eq!(known, [same.as_bytes()]);
    }

    #[test]
    fn a_list_is_read_object_by_object() {
        let (mut interner, mut stretches) = (Interner::default(), Stretches::default());
        for text in [
            r#"{"kind":"List","items":[]}"#,
            r#" { "kind" : "List" , "items" : [ ] , "metadata" : {} } "#,
            r#"{"items":[{"a":[1,"]"]}, {"b":{}} ,3],"kind":"List","items":[{"c":"}"}]}"#,
        ] {
            let said = crate::json::parse(text.as_bytes()).unwrap().value;
            assert_eq!(read_list(&mut interner, &mut stretches, text.as_bytes()), Some(said), "{text}");
        }
    }

    #[test]
    fn what_the_parser_refuses_is_not_read() {
        for text in [
            "",
            "{",
            "]",
            "{}x",
            "[1,]",
            "[,1]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 "b":2}"#,
            "[1 2]",
            "[01]",
            "[+1]",
            "[tru]",
            "\"\t\"",
            r#""\x""#,
            r#""open"#,
            "[}",
            "{]",
            "[\"a\":1]",
            "{\"a\",1}",
            "[\u{b}1]",
            "nul",
            "[1]]",
            "[[1]",
        ] {
            assert!(crate::json::parse(text.as_bytes()).is_err(), "{text:?} is JSON");
            for read in [read, read_list] {
                let read = read(&mut Interner::default(), &mut Stretches::default(), text.as_bytes());
                assert_eq!(read, None, "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_parser_reads(
            text in r#"([\[\]{}:,\\ ]|"(a|b|\\")*"|-?[0-9]{1,2}(\.[0-9])?(e[0-9])?|true|null){0,40}"#,
        ) {
            check(text.as_bytes(), &mut Stretches::default(), &mut Interner::default())?;
        }

        #[test]
        fn a_document_with_a_byte_changed_is_read_as_the_parser_reads_it(at in 0_usize..400, byte: u8) {
            let mut text = crate::testing::pod("a").to_json_bytes();
            let (mut interner, mut stretches) = (Interner::default(), Stretches::default());
            check(&text, &mut stretches, &mut interner)?;
            let length = text.len();
            text[at % length] = byte;
            check(&text, &mut stretches, &mut interner)?;
        }
    }
}
