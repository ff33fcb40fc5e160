//! Masks a list as it passes: one element at a time is held, never the list.
//!
//! Knows: just enough JSON to tell where a member of the outermost object, or an element of its list, ends.
//! Does not know: what stands in an element; it is parsed when it is whole, and what does not parse does not pass.

use cluster::Value;
use cluster::json::NotJson;

use super::Mask;

/// The largest element: etcd takes 1.5 MB, and an object in two versions' managedFields may be told in twice that.
const UNIT_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Members of a list that hold nothing secret.
const PLAIN: &[&str] = &["kind", "apiVersion", "metadata", "columnDefinitions"];

/// Why a list cannot pass.
#[derive(Debug, thiserror::Error)]
pub enum NotPassed {
    /// It is no JSON object, or ends too early.
    #[error("the list is no JSON object: {0}")]
    Form(String),
    /// An element is larger than any can be.
    #[error("an element of the list is larger than {UNIT_BYTES_MAX} bytes")]
    TooLarge,
}

impl From<NotJson> for NotPassed {
    fn from(error: NotJson) -> Self {
        Self::Form(error.to_string())
    }
}

/// Where in the list we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before its opening brace.
    Before,
    /// Among its members.
    Members,
    /// In its `items`, which are objects.
    Items,
    /// In its `rows`, which hold objects.
    Rows,
    /// After its closing brace.
    After,
}

/// A list that passes.
pub struct Passing {
    mask: Mask,
    place: Place,
    /// The member or element that is not whole yet.
    unit: Vec<u8>,
    /// How deep we are below the place's own level.
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Passing {
    /// A list, of which nothing has come yet.
    #[must_use]
    pub fn new(mask: Mask) -> Self {
        Self { mask, place: Place::Before, unit: Vec::new(), depth: 0, in_string: false, escaped: false }
    }

    /// Takes in what came, and gives what can go on.
    ///
    /// # Errors
    /// [`NotPassed`] says what is wrong with the list. Nothing more of it may go on.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<Vec<u8>, NotPassed> {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.take(byte, &mut out)?;
        }
        if self.unit.len() > UNIT_BYTES_MAX { Err(NotPassed::TooLarge) } else { Ok(out) }
    }

    /// Whether the list is whole.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.place == Place::After
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), NotPassed> {
        if self.in_string {
            self.unit.push(byte);
            (self.in_string, self.escaped) = match byte {
                _ if self.escaped => (true, false),
                b'\\' => (true, true),
                b'"' => (false, false),
                _ => (true, false),
            };
            return Ok(());
        }
        match (self.place, byte, self.depth) {
            (Place::Before, b'{', _) => {
                self.place = Place::Members;
                out.push(byte);
            }
            (Place::Before | Place::After, _, _) if byte.is_ascii_whitespace() => out.push(byte),
            (Place::Before | Place::After, _, _) => {
                return Err(NotPassed::Form("there is something around it".to_owned()));
            }
            (Place::Members, b',', 0) => self.member(byte, out)?,
            (Place::Members, b'}', 0) => {
                self.member(byte, out)?;
                self.place = Place::After;
            }
            (Place::Members, b'[', 0) if self.list().is_some() => {
                self.place = self.list().unwrap_or(Place::Items);
                out.append(&mut self.unit);
                out.push(byte);
            }
            (Place::Items | Place::Rows, b',', 0) => self.element(byte, out)?,
            (Place::Items | Place::Rows, b']', 0) => {
                self.element(byte, out)?;
                self.place = Place::Members;
            }
            _ => {
                self.in_string = byte == b'"';
                self.depth = match byte {
                    b'{' | b'[' => self.depth + 1,
                    b'}' | b']' => self.depth.checked_sub(1).ok_or_else(|| NotPassed::Form("brackets".to_owned()))?,
                    _ => self.depth,
                };
                self.unit.push(byte);
            }
        }
        Ok(())
    }

    /// Which list begins here, if the member under way is one of those that are taken apart.
    fn list(&self) -> Option<Place> {
        let text = std::str::from_utf8(&self.unit).ok()?;
        match text.trim().strip_suffix(':')?.trim_end() {
            "\"items\"" => Some(Place::Items),
            "\"rows\"" => Some(Place::Rows),
            _ => None,
        }
    }

    /// Lets a member of the list go on, with what ended it.
    fn member(&mut self, end: u8, out: &mut Vec<u8>) -> Result<(), NotPassed> {
        let unit = std::mem::take(&mut self.unit);
        if unit.iter().all(u8::is_ascii_whitespace) {
            out.push(end); // after a list, or in an empty object
            return Ok(());
        }
        let mut alone = Value::from_json(&[b"{", unit.as_slice(), b"}"].concat())?;
        self.mask.secret(&mut alone); // no list, then, but what it is must not matter
        for (key, value) in alone.as_object_mut().into_iter().flat_map(cluster::Map::entries_mut) {
            if !PLAIN.contains(&key) {
                self.mask.strings(Some(value), false);
            }
        }
        let text = alone.to_json_bytes();
        out.extend_from_slice(text.get(1..text.len().saturating_sub(1)).unwrap_or_default());
        out.push(end);
        Ok(())
    }

    /// Lets an element of the list go on, masked, with what ended it.
    fn element(&mut self, end: u8, out: &mut Vec<u8>) -> Result<(), NotPassed> {
        let unit = std::mem::take(&mut self.unit);
        if !unit.iter().all(u8::is_ascii_whitespace) {
            let mut element = Value::from_json(&unit)?;
            if self.place == Place::Rows {
                self.mask.within(&mut element, "object");
            } else {
                self.mask.document(&mut element);
            }
            out.extend_from_slice(&element.to_json_bytes());
        }
        out.push(end);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(text: &str, piece: usize) -> Result<String, NotPassed> {
        let mut passing = Passing::new(Mask { key: [7; 32] });
        let mut out = Vec::new();
        for bytes in text.as_bytes().chunks(piece) {
            out.extend(passing.pass(bytes)?);
        }
        if passing.is_over() {
            Ok(String::from_utf8(out).unwrap())
        } else {
            Err(NotPassed::Form("it is not over".to_owned()))
        }
    }

    const SECRET: &str = r#"{"metadata":{"name":"a]}\"{["},"data":{"k":"aHVudGVyMg=="}}"#;

    #[test]
    fn a_list_that_passes_is_masked_as_one_that_is_held() {
        let lists = [
            format!(r#"{{"kind":"SecretList","metadata":{{"resourceVersion":"7"}},"items":[{SECRET}, {SECRET}]}}"#),
            format!(r#"{{ "items" : [ {SECRET} ] , "kind":"SecretList"}}"#),
            format!(
                r#"{{"kind":"Table","columnDefinitions":[{{"name":"Name"}}],"rows":[{{"cells":["a"],"object":{SECRET}}}]}}"#
            ),
            r#"{"kind":"SecretList","items":[]}"#.to_owned(),
            r#"{"kind":"SecretList","items":null}"#.to_owned(),
        ];
        for list in lists {
            let mut held = Value::from_json(list.as_bytes()).unwrap();
            Mask { key: [7; 32] }.document(&mut held);
            for piece in [1, 2, 7, 64, 4096] {
                let passed = pass(&list, piece).unwrap();
                assert_eq!(Value::from_json(passed.as_bytes()).unwrap(), held, "{piece} {list}");
                assert!(!passed.contains("aHVudGVyMg=="), "{passed}");
            }
        }
    }

    #[test]
    fn what_is_no_list_does_not_pass_or_only_masked() {
        for text in ["", "[]", "{", r#"{"items":[{"#, r#"{"items":[}]}"#, r#"{"items":[]}{}"#, "x{}", r#"{"a":}"#] {
            assert!(pass(text, 3).is_err(), "{text}");
        }
        for text in [SECRET, r#"{"kind":"SecretList","more":{"data":["aHVudGVyMg=="]}}"#] {
            assert!(!pass(text, 3).unwrap().contains("aHVudGVyMg=="), "{text}");
        }
    }
}
