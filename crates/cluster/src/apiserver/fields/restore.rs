//! How the result of a strategic merge patch is read into its type: from a document in memory, not from text.
//!
//! Knows: what that reader (`runtime.DefaultUnstructuredConverter`) takes, and its words.
//! Does not know: the patch.

use super::{Read, Sent, names, scalars};
use crate::schema::{Scalar, Shape, Type};
use crate::value::{Map, Value};

/// Reads a document in memory into a type.
///
/// # Errors
/// The value that cannot be read.
pub(in crate::apiserver) fn restore(ty: Type<'_>, value: &Value) -> Result<Read, String> {
    if super::decode::fits(ty, value) {
        return Ok(Read { value: value.clone(), faults: Vec::new() });
    }
    let mut faults = Vec::new();
    let value = any(ty, value, "", ("", ""), &mut faults)?;
    faults.sort();
    Ok(Read { value, faults })
}

/// The kind of a value in memory.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

fn any(
    ty: Type<'_>,
    value: &Value,
    path: &str,
    (holder, field): (&str, &str),
    faults: &mut Vec<String>,
) -> Result<Value, String> {
    match (ty.shape(), value) {
        (Shape::Any, _) | (_, Value::Null) => Ok(value.clone()),
        (Shape::Struct, Value::Object(map)) => {
            let own = names::of_struct(ty);
            let mut read = Map::default();
            for (key, below) in map {
                let at = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
                match ty.field(key) {
                    Some(known) => {
                        read.insert(key.clone(), any(known.ty(), below, &at, (own, key), faults)?);
                    }
                    None => faults.push(format!("unknown field {at:?}")),
                }
            }
            Ok(Value::Object(read))
        }
        (Shape::Struct, other) => Err(format!("cannot restore struct from: {}", kind(other))),
        (Shape::Map(values), Value::Object(map)) => {
            let mut read = Map::default();
            for (key, below) in map {
                // A map's keys are not part of the path that faults name.
                read.insert(key.clone(), any(values, below, path, (holder, field), faults)?);
            }
            Ok(Value::Object(read))
        }
        (Shape::Map(_), other) => Err(format!("cannot restore map from {}", kind(other))),
        (Shape::List(list), Value::Array(items)) => {
            let mut read = Vec::with_capacity(items.len());
            for (at, item) in items.iter().enumerate() {
                read.push(any(list.items, item, &format!("{path}[{at}]"), (holder, field), faults)?);
            }
            Ok(Value::from(read))
        }
        (Shape::List(_), other) => Err(format!("cannot restore slice from {}", kind(other))),
        (Shape::Scalar(scalar), value) => leaf(scalar, value, || names::of_type(ty, holder, field)),
    }
}

fn leaf(scalar: Scalar, value: &Value, name: impl Fn() -> String) -> Result<Value, String> {
    let cannot = |from: &str| Err(format!("cannot convert {from} to {}", name()));
    let foreign = |wanted: &str| Err(format!("unrecognized type: {wanted}"));
    let wrong = |wanted: &str| {
        Err(format!("json: cannot unmarshal {} into Go value of type {wanted}", Sent::from(value).noun()))
    };
    let checked = |fault: Option<String>| fault.map_or_else(|| Ok(value.clone()), Err);
    match (scalar, value) {
        (Scalar::String, Value::String(_))
        | (Scalar::Boolean, Value::Bool(_))
        | (Scalar::Int64, Value::Int(_))
        | (Scalar::Double, Value::Int(_) | Value::Float(_))
        | (Scalar::IntOrString, Value::String(_)) => Ok(value.clone()),
        (Scalar::String, Value::Int(_)) => cannot("int64"),
        (Scalar::String, _) => foreign("string"),
        (Scalar::Boolean, _) => foreign("bool"),
        // In memory a number that is too large loses its upper half.
        #[expect(clippy::cast_possible_truncation, reason = "as the real server does")]
        (Scalar::Int32, Value::Int(number)) => Ok(Value::from(i64::from(*number as i32))),
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole")]
        (Scalar::Int32 | Scalar::Int64, Value::Float(number)) if number.fract() == 0.0 => {
            Ok(Value::from(*number as i64))
        }
        (Scalar::Int32 | Scalar::Int64, Value::Float(_)) => cannot("float64"),
        (Scalar::Int32, _) => foreign("int32"),
        (Scalar::Int64, _) => foreign("int64"),
        (Scalar::Double, _) => foreign("float64"),
        (Scalar::Bytes, Value::String(text)) => match scalars::base64_fault(text) {
            None => Ok(value.clone()),
            Some(fault) => Err(format!("error decoding from json: {fault}")),
        },
        (Scalar::Bytes, other) => Err(format!("cannot restore slice from {}", kind(other))),
        (Scalar::Time, Value::String(text)) => checked(scalars::time_fault(text)),
        (Scalar::MicroTime, Value::String(text)) => checked(scalars::micro_time_fault(text)),
        (Scalar::Duration, Value::String(text)) => checked(scalars::duration_fault(text)),
        (Scalar::Time | Scalar::MicroTime | Scalar::Duration, _) => wrong("string"),
        (Scalar::IntOrString, Value::Int(number)) if i32::try_from(*number).is_ok() => Ok(value.clone()),
        (Scalar::IntOrString, Value::Int(_) | Value::Float(_)) => {
            Err(format!("json: cannot unmarshal number {} into Go value of type int32", value.to_json()))
        }
        (Scalar::IntOrString, _) => wrong("int32"),
        (Scalar::Quantity, Value::String(text)) => checked(scalars::quantity_fault(text)),
        (Scalar::Quantity, other) => checked(scalars::quantity_fault(&other.to_json())),
    }
}
