//! How Go reads a JSON document into a type.
//!
//! Knows: what each kind of type takes, when the reading ends at once and when it goes on, and Go's words.
//! Does not know: what is done about what it found.
//!
//! A value of the wrong kind is remembered and the reading goes on; the first one is told in the end. Text that a type
//! reads by itself (times, amounts) and cannot ends the reading at once, and is told instead of what was remembered.

use super::{FAULTS_MAX, Read, Sent, names, scalars};
use crate::schema::{Scalar, Shape, Type};
use crate::value::{Map, Text, Value};

/// Whether a document has nothing but fields that the type has, with values that it takes. Of one whose keys may stand
/// twice this says nothing.
pub(super) fn fits(ty: Type<'_>, value: &Value) -> bool {
    fits_as(ty, ty.is_go(), value)
}

/// A field of a typed struct is typed, though its type may have no name to say so.
fn fits_as(ty: Type<'_>, typed: bool, value: &Value) -> bool {
    let typed = typed || ty.is_go();
    match (ty.shape(), value) {
        (Shape::Any, _) | (_, Value::Null) => true,
        (Shape::Struct, Value::Object(map)) => map.iter().all(|(key, below)| match ty.field(key) {
            Some(field) => fits_as(field.ty(), typed, below),
            None => !typed && known(ty, key).is_some(),
        }),
        (Shape::Map(values), Value::Object(map)) => map.iter().all(|(_, below)| fits_as(values, typed, below)),
        (Shape::List(list), Value::Array(items)) => items.iter().all(|item| fits_as(list.items, typed, item)),
        (Shape::Scalar(scalar), value) if typed => fits_scalar(scalar, value),
        _ => !typed,
    }
}

fn fits_scalar(scalar: Scalar, value: &Value) -> bool {
    match (scalar, value) {
        (Scalar::String, Value::String(_))
        | (Scalar::Boolean, Value::Bool(_))
        | (Scalar::Int64, Value::Int(_))
        | (Scalar::Double, Value::Int(_) | Value::Float(_))
        | (Scalar::IntOrString, Value::String(_)) => true,
        (Scalar::Int32 | Scalar::IntOrString, Value::Int(number)) => i32::try_from(*number).is_ok(),
        (Scalar::Bytes, Value::String(text)) => scalars::base64_fault(text).is_none(),
        (Scalar::Time, Value::String(text)) => scalars::time_fault(text).is_none(),
        (Scalar::MicroTime, Value::String(text)) => scalars::micro_time_fault(text).is_none(),
        (Scalar::Duration, Value::String(text)) => scalars::duration_fault(text).is_none(),
        (Scalar::Quantity, Value::String(text)) => scalars::quantity_fault(text).is_none(),
        (Scalar::Quantity, Value::Int(_)) => true,
        _ => false,
    }
}

/// An object within a custom resource keeps what every object has.
fn keeps(ty: Type<'_>, key: &str) -> bool {
    ty.is_embedded_resource() && matches!(key, "apiVersion" | "kind" | "metadata")
}

/// Reads a document into a type.
///
/// # Errors
/// The value that cannot be read, in Go's words.
pub(super) fn decode(ty: Type<'_>, sent: &Sent) -> Result<Read, String> {
    let mut reader = Reader::default();
    let value = if ty.is_go() {
        reader.typed(ty, sent, "", "")?
    } else {
        metadata_fits(ty, sent)?;
        reader.custom(ty, sent)
    };
    if let Some(mismatch) = reader.mismatch {
        return Err(mismatch);
    }
    // What a custom resource's type does not have is looked for when it was read, and told in the order of its names.
    reader.strangers.sort();
    let Reader { mut faults, strangers, .. } = reader;
    faults.extend(strangers);
    Ok(Read { value, faults })
}

/// Of a custom resource only what every object has is typed.
fn metadata_fits(ty: Type<'_>, sent: &Sent) -> Result<(), String> {
    let metadata = ty.field("metadata").map(|field| field.ty()).filter(|metadata| metadata.is_go());
    let (Some(metadata), Sent::Map(entries)) = (metadata, sent) else { return Ok(()) };
    let Some((_, said)) = entries.iter().rfind(|(key, _)| *key == "metadata") else { return Ok(()) };
    let mut reader = Reader::default();
    reader.typed(metadata, said, "", "")?;
    reader.mismatch.map_or(Ok(()), Err)
}

#[derive(Default)]
struct Reader {
    /// Where the reader is, as faults name it: `spec.containers[0].name`.
    path: String,
    /// Where it is, as mismatches name it: the fields of structs alone.
    fields: Vec<Text>,
    /// The struct that it is in.
    holder: String,
    mismatch: Option<String>,
    faults: Vec<String>,
    strangers: Vec<String>,
}

impl Reader {
    fn fault(&mut self, what: &str, key: &str) {
        let fault = format!("{what} field {:?}", self.below(key));
        if self.faults.len() < FAULTS_MAX && !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn below(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Goes a step down and comes back.
    fn at<R>(&mut self, path: String, read: impl FnOnce(&mut Self) -> R) -> R {
        let before = std::mem::replace(&mut self.path, path);
        let result = read(self);
        self.path = before;
        result
    }

    /// A value of the wrong kind, where Go wanted `wanted`.
    fn unread(&self, what: &str, wanted: &str) -> String {
        if self.fields.is_empty() {
            return format!("json: cannot unmarshal {what} into Go value of type {wanted}");
        }
        let fields: Vec<&str> = self.fields.iter().map(Text::as_str).collect();
        let place = fields.join(".");
        format!("json: cannot unmarshal {what} into Go struct field {}.{place} of type {wanted}", self.holder)
    }

    /// Reads a value of one of Kubernetes' own types. `holder` and `field` say where its type is written.
    fn typed(&mut self, ty: Type<'_>, sent: &Sent, holder: &str, field: &str) -> Result<Value, String> {
        match (ty.shape(), sent) {
            // Whatever a type takes as it is was never looked into.
            (Shape::Any, _) | (_, Sent::Null) => return Ok(Value::from(sent)),
            (Shape::Struct, Sent::Map(entries)) => return self.typed_struct(ty, entries),
            (Shape::Map(values), Sent::Map(entries)) => {
                let mut map = Map::default();
                let mut said: Vec<&str> = Vec::new();
                for (key, below) in entries {
                    if said.contains(&key.as_str()) {
                        self.fault("duplicate", key);
                    }
                    said.push(key);
                    let path = self.below(key);
                    let value = self.at(path, |reader| reader.typed(values, below, holder, field))?;
                    map.insert(key.clone(), value);
                }
                return Ok(Value::Object(map));
            }
            (Shape::List(list), Sent::List(items)) => {
                let mut read = Vec::with_capacity(items.len());
                for (at, item) in items.iter().enumerate() {
                    let path = format!("{}[{at}]", self.path);
                    read.push(self.at(path, |reader| reader.typed(list.items, item, holder, field))?);
                }
                return Ok(Value::from(read));
            }
            (Shape::Scalar(scalar), _) => match self.scalar(scalar, sent)? {
                Some(value) => return Ok(value),
                None if matches!(scalar, Scalar::Bytes) && matches!(sent, Sent::Text(_)) => return Ok(Value::Null),
                None => {}
            },
            _ => {}
        }
        let what = match (ty.scalar(), sent) {
            (Some(Scalar::Int32 | Scalar::Int64 | Scalar::Double), Sent::Number(digits)) => format!("number {digits}"),
            _ => sent.noun().to_owned(),
        };
        let mismatch = self.unread(&what, &names::of_type(ty, holder, field));
        self.mismatch.get_or_insert(mismatch);
        Ok(Value::Null)
    }

    fn typed_struct(&mut self, ty: Type<'_>, entries: &[(Text, Sent)]) -> Result<Value, String> {
        let own = names::of_struct(ty);
        let holder = std::mem::replace(&mut self.holder, own.to_owned());
        let mut map = Map::default();
        let mut said: Vec<&str> = Vec::new();
        for (key, below) in entries {
            let Some(field) = ty.field(key) else {
                self.fault("unknown", key);
                continue;
            };
            if said.contains(&key.as_str()) {
                self.fault("duplicate", key);
            }
            said.push(key);
            self.fields.push(key.clone());
            let path = self.below(key);
            let value = self.at(path, |reader| reader.typed(field.ty(), below, own, key));
            // The words for what cannot be read at all name the place, so it is left only afterwards.
            let value = value?;
            own.clone_into(&mut self.holder);
            self.fields.pop();
            map.insert(key.clone(), value);
        }
        self.holder = holder;
        Ok(Value::Object(map))
    }

    /// Reads a leaf; none if it is of the wrong kind.
    ///
    /// # Errors
    /// What the leaf's own reader says.
    fn scalar(&mut self, scalar: Scalar, sent: &Sent) -> Result<Option<Value>, String> {
        let value = || Some(Value::from(sent));
        Ok(match (scalar, sent) {
            (Scalar::String, Sent::Text(_)) | (Scalar::Boolean, Sent::Bool(_)) => value(),
            (Scalar::Int32, Sent::Number(digits)) => digits.parse::<i32>().ok().and_then(|_| value()),
            (Scalar::Int64, Sent::Number(digits)) => digits.parse::<i64>().ok().and_then(|_| value()),
            (Scalar::Double, Sent::Number(digits)) => {
                digits.parse::<f64>().ok().filter(|number| number.is_finite()).and_then(|_| value())
            }
            (Scalar::Bytes, Sent::Text(text)) => match scalars::base64_fault(text) {
                None => value(),
                Some(fault) => {
                    self.mismatch.get_or_insert(fault);
                    None
                }
            },
            (Scalar::Time, Sent::Text(text)) => own(scalars::time_fault(text), value())?,
            (Scalar::MicroTime, Sent::Text(text)) => own(scalars::micro_time_fault(text), value())?,
            (Scalar::Duration, Sent::Text(text)) => own(scalars::duration_fault(text), value())?,
            (Scalar::Time | Scalar::MicroTime | Scalar::Duration, _) => return Err(self.unread(sent.noun(), "string")),
            (Scalar::IntOrString, Sent::Text(_)) => value(),
            (Scalar::IntOrString, Sent::Number(digits)) => match digits.parse::<i32>() {
                Ok(_) => value(),
                Err(_) => return Err(self.unread(&format!("number {digits}"), "int32")),
            },
            (Scalar::IntOrString, _) => return Err(self.unread(sent.noun(), "int32")),
            (Scalar::Quantity, Sent::Text(text)) => own(scalars::quantity_fault(text), value())?,
            (Scalar::Quantity, Sent::Number(digits)) => own(scalars::quantity_fault(digits), value())?,
            (Scalar::Quantity, other) => own(scalars::quantity_fault(&Value::from(other).to_json()), None)?,
            _ => None,
        })
    }

    /// Reads a value of a custom resource: only what stands twice, and what its type does not have, is a fault.
    fn custom(&mut self, ty: Type<'_>, sent: &Sent) -> Value {
        match sent {
            Sent::Map(entries) => {
                let mut map = Map::default();
                for (at, (key, below)) in entries.iter().enumerate() {
                    if entries.iter().take(at).any(|(earlier, _)| earlier == key) {
                        self.fault("duplicate", key);
                    }
                    let (known, path) = (known(ty, key), self.below(key));
                    if known.is_none() {
                        let stranger = format!("unknown field {path:?}");
                        if !self.strangers.contains(&stranger) {
                            self.strangers.push(stranger);
                        }
                    }
                    // What is not kept is read all the same: it may say something twice.
                    let seen = self.strangers.len();
                    let value = self.at(path, |reader| reader.custom(known.unwrap_or(Type::unknown()), below));
                    if known.is_some() {
                        map.insert(key.clone(), value);
                    } else {
                        self.strangers.truncate(seen);
                    }
                }
                Value::Object(map)
            }
            Sent::List(items) => {
                let below = ty.list().map_or(Type::unknown(), |list| list.items);
                let read = items.iter().enumerate().map(|(at, item)| {
                    let path = format!("{}[{at}]", self.path);
                    self.at(path, |reader| reader.custom(below, item))
                });
                Value::from(read.collect::<Vec<_>>())
            }
            other => Value::from(other),
        }
    }
}

/// The type of what stands under a key of a custom resource; none if it is not kept.
fn known<'a>(ty: Type<'a>, key: &str) -> Option<Type<'a>> {
    match ty.shape() {
        Shape::Struct => match ty.field(key) {
            Some(field) => Some(field.ty()),
            None => (ty.preserves_unknown() || keeps(ty, key)).then_some(Type::unknown()),
        },
        Shape::Map(values) => Some(values),
        _ => Some(Type::unknown()),
    }
}

fn own(fault: Option<String>, value: Option<Value>) -> Result<Option<Value>, String> {
    fault.map_or(Ok(value), Err)
}
