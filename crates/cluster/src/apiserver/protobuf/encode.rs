//! Documents as Kubernetes protobuf.
//!
//! Knows: how a document's fields become a message's, the envelope around it, and the frames of a watch.
//! Does not know: which fields a message has; `learn` does.
//!
//! Go writes fields that are no pointers even when they are zero; here only what the document says is written. Whoever
//! reads either finds the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::known::{self, Known};
use super::learn::{self, Field, Fields, Kind, Many, delimited, key, varint};
use super::{MAGIC, plain};
use crate::schema::{Schema, Type, split_api_version};
use crate::time;
use crate::value::{Text, Value};

/// Whether objects of a kind have a message.
pub(in crate::apiserver) fn is_known(api_version: &str, kind: &str) -> bool {
    known::message(api_version, kind).is_some()
}

/// Writes a document: an object, a list of them, a `Status`. None if it is of a kind without a message, or says more than
/// its message has room for.
pub(in crate::apiserver) fn encode(document: &Value) -> Option<Vec<u8>> {
    let (api_version, kind) = (document.api_version(), document.kind());
    // What is older than the rule that every document says its version.
    let api_version = if api_version.is_empty() { "v1" } else { api_version };
    let raw = match known::message(api_version, kind) {
        Some(known) => Writer::of(api_version, kind, known).object(document)?,
        None => list(api_version, kind.strip_suffix("List")?, document)?,
    };
    Some(enveloped(api_version, kind, &raw))
}

/// Writes a watch event as a frame: its length, and the event, in which the object is a whole document.
pub(in crate::apiserver) fn frame(event: &Value) -> Option<Vec<u8>> {
    let mut object = Vec::new();
    delimited(1, &encode(event.at(&["object"]))?, &mut object);
    let mut message = Vec::new();
    delimited(1, event.at(&["type"]).str_or_empty().as_bytes(), &mut message);
    delimited(2, &object, &mut message);
    let mut frame = u32::try_from(message.len()).ok()?.to_be_bytes().to_vec();
    frame.extend(message);
    Some(frame)
}

fn enveloped(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut of = Vec::new();
    delimited(1, api_version.as_bytes(), &mut of);
    delimited(2, kind.as_bytes(), &mut of);
    let mut out = MAGIC.to_vec();
    out.reserve(raw.len() + of.len() + 16);
    delimited(1, &of, &mut out);
    delimited(2, raw, &mut out);
    // In which encoding and of which type the content is: nothing beyond what it is.
    delimited(3, b"", &mut out);
    delimited(4, b"", &mut out);
    out
}

/// All lists are one message: what is said of the list, and its items.
fn list(api_version: &str, kind: &str, list: &Value) -> Option<Vec<u8>> {
    let writer = Writer::of(api_version, kind, known::message(api_version, kind)?);
    let status = known::message("v1", "Status")?;
    let metadata = doc_with_metadata(list);
    // The metadata of a list is that of a status.
    let mut out = Writer::of("v1", "Status", status).object(&metadata)?;
    for item in list.at(&["items"]).items() {
        delimited(2, &writer.object(item)?, &mut out);
    }
    Some(out)
}

fn doc_with_metadata(list: &Value) -> Value {
    crate::doc!({"metadata": (list.at(&["metadata"]).clone())})
}

/// Writes the objects of one kind.
struct Writer {
    known: Known,
    group: String,
    kind: String,
    schema: Schema,
}

/// Fields with their names, plain.
type Entries<'v> = Vec<(String, &'v Value)>;

impl Writer {
    fn of(api_version: &str, kind: &str, known: Known) -> Self {
        Self { known, group: api_version.to_owned(), kind: kind.to_owned(), schema: Schema::default() }
    }

    fn object(&self, object: &Value) -> Option<Vec<u8>> {
        let (group, version) = split_api_version(&self.group);
        let ty = self.schema.type_of(group, version, &self.kind).unwrap_or(Type::unknown());
        let fields = learn::fields(self.known, &self.group, &self.kind, &[]);
        let said = object.entries().iter().filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind"));
        self.all(&fields, ty, &mut Vec::new(), said)
    }

    /// A message with all of some fields.
    fn all<'v>(
        &self,
        fields: &Fields,
        ty: Type<'_>,
        path: &mut Vec<u32>,
        said: impl Iterator<Item = &'v (Text, Value)>,
    ) -> Option<Vec<u8>> {
        let mut entries: Entries<'_> =
            said.filter(|(_, value)| !value.is_null()).map(|(key, value)| (plain(key), value)).collect();
        let message = self.some(fields, ty, path, &mut entries)?;
        // Which kind an object within another is goes without saying.
        if fields.named("metadata").is_some() {
            entries.retain(|(name, _)| !matches!(name.as_str(), "apiversion" | "kind"));
        }
        entries.is_empty().then_some(message)
    }

    /// A message with those fields that it has; the others are left.
    fn some(&self, fields: &Fields, ty: Type<'_>, path: &mut Vec<u32>, entries: &mut Entries<'_>) -> Option<Vec<u8>> {
        let mut parts: Vec<(u32, Vec<u8>)> = Vec::new();
        let mut others = Entries::new();
        for (name, value) in entries.drain(..) {
            match fields.named(&name) {
                Some(field) => {
                    let below =
                        ty.fields().find(|have| plain(have.name()) == name).map_or(Type::unknown(), |have| have.ty());
                    let mut part = Vec::new();
                    self.field(field, below, path, value, &mut part)?;
                    parts.push((field.number, part));
                }
                None => others.push((name, value)),
            }
        }
        // What Go embeds is a message of its own here and part of its holder in JSON.
        for field in fields.list.iter().filter(|field| field.many == Many::One) {
            let Kind::Message(message) = &field.kind else { continue };
            if others.is_empty() || ty.fields().any(|have| plain(have.name()) == field.name) {
                continue;
            }
            path.push(field.number);
            let inner = learn::fields(self.known, &self.group, message, path);
            let written = self.some(&inner, ty, path, &mut others)?;
            path.pop();
            if !written.is_empty() {
                let mut part = Vec::new();
                delimited(field.number, &written, &mut part);
                parts.push((field.number, part));
            }
        }
        *entries = others;
        parts.sort_by_key(|(number, _)| *number);
        Some(parts.into_iter().flat_map(|(_, part)| part).collect())
    }

    fn field(&self, field: &Field, ty: Type<'_>, path: &mut Vec<u32>, value: &Value, out: &mut Vec<u8>) -> Option<()> {
        match field.many {
            Many::One => self.one(field.number, field.number, &field.kind, ty, path, value, out),
            Many::List => {
                let items = ty.list().map_or(Type::unknown(), |list| list.items);
                for item in value.as_array()?.iter() {
                    self.one(field.number, field.number, &field.kind, items, path, item, out)?;
                }
                Some(())
            }
            Many::Map => {
                let values = ty.values().unwrap_or(Type::unknown());
                for (name, below) in value.as_object()? {
                    let mut entry = Vec::new();
                    delimited(1, name.as_bytes(), &mut entry);
                    path.push(field.number);
                    self.one(2, 2, &field.kind, values, path, below, &mut entry)?;
                    path.pop();
                    delimited(field.number, &entry, out);
                }
                Some(())
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what is written, where, and as what")]
    fn one(
        &self,
        number: u32,
        step: u32,
        kind: &Kind,
        ty: Type<'_>,
        path: &mut Vec<u32>,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        match kind {
            Kind::Text => delimited(number, value.as_str()?.as_bytes(), out),
            Kind::Bytes => delimited(number, &STANDARD.decode(value.as_str()?).ok()?, out),
            Kind::Truth => {
                key(number, learn::VARINT, out);
                varint(u64::from(value.as_bool()?), out);
            }
            Kind::Whole => {
                key(number, learn::VARINT, out);
                varint(value.as_int()?.cast_unsigned(), out);
            }
            Kind::Double => {
                key(number, 1, out);
                let double = match value {
                    Value::Float(number) => *number,
                    other => other.to_json().parse().ok()?,
                };
                out.extend(double.to_le_bytes());
            }
            Kind::Message(message) => {
                path.push(step);
                let written = self.message(message, ty, path, value);
                path.pop();
                delimited(number, &written?, out);
            }
        }
        Some(())
    }

    fn message(&self, message: &str, ty: Type<'_>, path: &mut Vec<u32>, value: &Value) -> Option<Vec<u8>> {
        if let Some(special) = special(message, value) {
            return special;
        }
        let fields = learn::fields(self.known, &self.group, message, path);
        let alone = |name: &str| fields.named(name);
        match (value, message) {
            // A list of lists, or a map of them: protobuf wants a message between.
            (Value::Array(_), "JsonSchemaPropsOrArray") => self.within(alone("jsonschemas")?, ty, path, value),
            (Value::Array(_), "JsonSchemaPropsOrStringArray") => self.within(alone("property")?, ty, path, value),
            (Value::Array(_), _) => self.within(alone("items")?, ty, path, value),
            (Value::Bool(_), _) => self.within(alone("allows")?, ty, path, value),
            (_, "JsonSchemaPropsOrBool") => {
                // What is a schema is also allowed.
                let mut out = Vec::new();
                self.field(alone("allows")?, ty, path, &Value::Bool(true), &mut out)?;
                self.field(alone("schema")?, ty, path, value, &mut out)?;
                Some(out)
            }
            (_, "JsonSchemaPropsOrArray" | "JsonSchemaPropsOrStringArray") => {
                self.within(alone("schema")?, ty, path, value)
            }
            (Value::Object(_), _) => self.all(&fields, ty, path, value.entries().iter()),
            _ => None,
        }
    }

    /// A message of one field.
    fn within(&self, field: &Field, ty: Type<'_>, path: &mut Vec<u32>, value: &Value) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.field(field, ty, path, value, &mut out)?;
        Some(out)
    }
}

/// Messages that are one scalar in a document, or anything at all. None for all others.
fn special(message: &str, value: &Value) -> Option<Option<Vec<u8>>> {
    let mut out = Vec::new();
    let written = match message {
        "Time" | "MicroTime" => value.as_str().and_then(instant).map(|(seconds, nanos)| {
            for (number, part) in [(1, seconds), (2, nanos)] {
                key(number, learn::VARINT, &mut out);
                varint(part.cast_unsigned(), &mut out);
            }
        }),
        "Quantity" => match value {
            Value::String(text) => Some(text.to_string()),
            Value::Int(_) | Value::Float(_) => Some(value.to_json()),
            _ => None,
        }
        .map(|text| delimited(1, text.as_bytes(), &mut out)),
        "IntOrString" => {
            let (kind, number, text) = match value {
                Value::Int(number) => (0, *number, ""),
                _ => (1, 0, value.str_or_empty()),
            };
            for (field, part) in [(1, kind), (2, number)] {
                key(field, learn::VARINT, &mut out);
                varint(part.cast_unsigned(), &mut out);
            }
            delimited(3, text.as_bytes(), &mut out);
            Some(())
        }
        "RawExtension" | "FieldsV1" | "Json" => {
            delimited(1, value.to_json().as_bytes(), &mut out);
            Some(())
        }
        _ => return None,
    };
    Some(written.map(|()| out))
}

/// A time as seconds and billionths of one.
fn instant(text: &str) -> Option<(i64, i64)> {
    let seconds = time::parse(text)?.as_millis().div_euclid(1000);
    let digits: String = match text.split_once('.') {
        Some((_, rest)) => rest.chars().take_while(char::is_ascii_digit).chain("000000000".chars()).take(9).collect(),
        None => "0".to_owned(),
    };
    Some((seconds, digits.parse().ok()?))
}
