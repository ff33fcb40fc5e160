//! What fields a message has, learned from its type by trying.
//!
//! Knows: protobuf's wire format, and how `Debug` tells what was read.
//! Does not know: documents.
//!
//! The types of `k8s-pb` cannot be asked for their fields. But they can be given a message with one field of one number: if
//! they know the number, they write the field again, and `Debug` tells what it is called and what it holds. What lies in a
//! message within a message is tried where it lies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::known::Known;
use super::shape::{self, Shape};

/// No message has a field of a higher number.
const NUMBER_MAX: u32 = 100;

/// How a value is written: a variable number of bytes, eight, or as many as it says.
pub(super) const VARINT: u32 = 0;
const EIGHT: u32 = 1;
const FOUR: u32 = 5;
pub(super) const DELIMITED: u32 = 2;

/// A message's fields.
#[derive(Debug)]
pub(super) struct Fields {
    /// What the type is called.
    #[cfg(test)]
    pub(super) message: String,
    /// By number.
    pub(super) list: Vec<Field>,
    by_name: BTreeMap<String, usize>,
}

impl Fields {
    pub(super) fn named(&self, plain: &str) -> Option<&Field> {
        self.list.get(*self.by_name.get(plain)?)
    }
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Its name, plain.
    pub(super) name: String,
    pub(super) many: Many,
    pub(super) kind: Kind,
}

/// How often a field may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Many {
    One,
    List,
    /// Of text to what the field holds.
    Map,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bytes,
    Truth,
    Whole,
    Double,
    Message(String),
}

/// The fields of a message that lies at a path of field numbers within one of a known type. Learned once: `group` and the
/// message's name tell it from all others.
pub(super) fn fields(known: Known, group: &str, message: &str, path: &[u32]) -> Arc<Fields> {
    static LEARNED: Mutex<BTreeMap<(String, String), Arc<Fields>>> = Mutex::new(BTreeMap::new());
    let key = (group.to_owned(), message.to_owned());
    let learned = || LEARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(fields) = learned().get(&key) {
        return fields.clone();
    }
    let fields = Arc::new(learn(
        known,
        #[cfg(test)]
        message,
        path,
    ));
    learned().insert(key, fields.clone());
    fields
}

fn learn(known: Known, #[cfg(test)] message: &str, path: &[u32]) -> Fields {
    let list: Vec<Field> = (1..=NUMBER_MAX).filter_map(|number| field(known, path, number)).collect();
    let by_name = list.iter().enumerate().map(|(at, field)| (field.name.clone(), at)).collect();
    Fields {
        #[cfg(test)]
        message: message.to_owned(),
        list,
        by_name,
    }
}

/// The field of a number, if there is one.
fn field(known: Known, path: &[u32], number: u32) -> Option<Field> {
    let one = 1.0_f64.to_le_bytes();
    for (wire, value) in [(DELIMITED, &[0][..]), (VARINT, &[1]), (EIGHT, &one)] {
        if let Some((name, shape)) = attempt(known, path, number, wire, value) {
            return describe(number, &name, shape);
        }
        // Bytes that are none look like a list of none: they are told by one byte.
        let known_though_silent = wire == DELIMITED && written_again(known, path, number, wire, value).is_some();
        if known_though_silent && let Some((name, _)) = attempt(known, path, number, wire, &[1, b'A']) {
            return Some(Field { number, name: super::plain(&name), many: Many::One, kind: Kind::Bytes });
        }
    }
    None
}

/// A message with one field, if the type writes it as it was.
fn written_again(known: Known, path: &[u32], number: u32, wire: u32, value: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    key(number, wire, &mut message);
    message.extend(value);
    for outer in path.iter().rev() {
        let inner = std::mem::take(&mut message);
        delimited(*outer, &inner, &mut message);
    }
    ((known.measure)(&message) == Some(message.len())).then_some(message)
}

/// Tries a field: what it is called and holds.
fn attempt(known: Known, path: &[u32], number: u32, wire: u32, value: &[u8]) -> Option<(String, Shape)> {
    let message = written_again(known, path, number, wire, value)?;
    let told = (known.tell)(&message).ok()?;
    let mut shape = shape::read(&told)?;
    let mut depth = path.len();
    while depth > 0 {
        let (_, inner) = only(shape)?;
        shape = match inner {
            Shape::List(items) => items.into_iter().next()?,
            // An entry is a message of its own around its value.
            Shape::Map(entries) => {
                depth -= 1;
                entries.into_iter().next()?.1
            }
            other => other,
        };
        depth = depth.checked_sub(1)?;
    }
    only(shape)
}

/// The only field of a message that says something.
fn only(shape: Shape) -> Option<(String, Shape)> {
    let Shape::Struct(_, fields) = shape else { return None };
    fields.into_iter().find(|(_, shape)| match shape {
        Shape::Absent => false,
        Shape::List(items) => !items.is_empty(),
        Shape::Map(entries) => !entries.is_empty(),
        _ => true,
    })
}

fn describe(number: u32, name: &str, shape: Shape) -> Option<Field> {
    let (many, one) = match shape {
        Shape::List(items) => (Many::List, items.into_iter().next()?),
        Shape::Map(entries) => (Many::Map, entries.into_iter().next()?.1),
        one => (Many::One, one),
    };
    let kind = match one {
        Shape::Text(_) => Kind::Text,
        Shape::Truth(_) => Kind::Truth,
        Shape::Whole(_) => Kind::Whole,
        Shape::Double(_) => Kind::Double,
        Shape::List(_) => Kind::Bytes,
        Shape::Struct(message, _) => Kind::Message(message),
        Shape::Absent | Shape::Map(_) => return None,
    };
    Some(Field { number, name: super::plain(name), many, kind })
}

/// Whether a message, and every message in it, has only fields that its type knows. None if it cannot be read.
pub(super) fn knows_all(known: Known, group: &str, message: &str, path: &mut Vec<u32>, raw: &[u8]) -> Option<bool> {
    let fields = fields(known, group, message, path);
    let mut reader = Reader(raw);
    while !reader.0.is_empty() {
        let (number, value) = reader.field()?;
        let Ok(at) = fields.list.binary_search_by_key(&number, |field| field.number) else { return Some(false) };
        let (Some(field), Some(value)) = (fields.list.get(at), value) else { continue };
        let Kind::Message(inner) = &field.kind else { continue };
        path.push(number);
        let all = if field.many == Many::Map {
            let mut entry = Reader(value);
            let mut all = true;
            path.push(2);
            while !entry.0.is_empty() {
                if let (2, Some(value)) = entry.field()? {
                    all = all && knows_all(known, group, inner, path, value)?;
                }
            }
            path.pop();
            all
        } else {
            knows_all(known, group, inner, path, value)?
        };
        path.pop();
        if !all {
            return Some(false);
        }
    }
    Some(true)
}

/// Reads fields off a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for at in 0..10 {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(at * 7)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// The next field's number, and its value if it says how long it is.
    fn field(&mut self) -> Option<(u32, Option<&'a [u8]>)> {
        let key = self.varint()?;
        let length = match u32::try_from(key & 7).ok()? {
            VARINT => {
                self.varint()?;
                None
            }
            EIGHT => Some(8),
            DELIMITED => Some(usize::try_from(self.varint()?).ok()?),
            FOUR => Some(4),
            _ => return None,
        };
        let value = match length {
            Some(length) => {
                let (value, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Some(value)
            }
            None => None,
        };
        Some((u32::try_from(key >> 3).ok()?, value.filter(|_| key & 7 == u64::from(DELIMITED))))
    }
}

/// Writes the number and the form of a field.
pub(super) fn key(number: u32, wire: u32, out: &mut Vec<u8>) {
    varint(u64::from(number << 3 | wire), out);
}

/// Writes a number of variable length.
pub(super) fn varint(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Writes a field that says how long it is.
pub(super) fn delimited(number: u32, value: &[u8], out: &mut Vec<u8>) {
    key(number, DELIMITED, out);
    varint(u64::try_from(value.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(value);
}

/// The names in a message that is part of its holder in JSON, and in those that are part of it.
#[cfg(test)]
fn embedded(known: Known, group: &str, message: &str, path: &mut Vec<u32>, names: &mut Vec<String>) {
    for field in &fields(known, group, message, path).list {
        names.push(field.name.clone());
        if let (Kind::Message(inner), true) = (&field.kind, path.len() < 8) {
            path.push(field.number);
            if field.many == Many::One {
                embedded(known, group, inner, path, names);
            }
            path.pop();
        }
    }
}

/// What of a type a message has no field for.
#[cfg(test)]
pub(super) fn lacking(
    known: Known,
    group: &str,
    message: &str,
    ty: crate::schema::Type<'_>,
    path: &mut Vec<u32>,
    lacks: &mut std::collections::BTreeSet<String>,
) {
    use super::plain;
    if path.len() > 12 || ty.is_any() {
        return;
    }
    let here = fields(known, group, message, path);
    let mut names: Vec<String> = here.list.iter().map(|field| field.name.clone()).collect();
    for field in &here.list {
        let Kind::Message(inner) = &field.kind else { continue };
        let found = ty.fields().find(|have| plain(have.name()) == field.name);
        path.push(field.number);
        match found {
            Some(below) => {
                let below = below.ty();
                let below = match field.many {
                    Many::One => below,
                    Many::List => below.list().map_or(crate::schema::Type::unknown(), |list| list.items),
                    Many::Map => {
                        path.push(2);
                        below.values().unwrap_or(crate::schema::Type::unknown())
                    }
                };
                if below.fields().next().is_some() && !inner.starts_with("JsonSchema") {
                    lacking(known, group, inner, below, path, lacks);
                }
                if field.many == Many::Map {
                    path.pop();
                }
            }
            None => embedded(known, group, inner, path, &mut names),
        }
        path.pop();
    }
    for field in
        ty.fields().filter(|field| ty.field("metadata").is_none() || !matches!(field.name(), "apiVersion" | "kind"))
    {
        if !names.contains(&plain(field.name())) {
            lacks.insert(format!("{}.{}", here.message, field.name()));
        }
    }
}
