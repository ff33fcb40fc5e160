//! Operators, sizes, conversions.
//!
//! Knows: arithmetic that does not overflow silently, order, membership, and how one type becomes another.
//! Does not know: `&&`, `||`, `?:`: they are no functions, for they do not look at all their arguments.

use std::sync::Arc;

use jiff::Timestamp;

use super::time::{read_duration, read_timestamp, show_duration, show_timestamp};
use super::{Context, Entry, mismatch, tenth};
use crate::error::Error;
use crate::value::Value;

/// What can be put in an order: things of one type, and numbers of any.
const ORDERED: &str = "(bool, bool) -> bool; (int, int) -> bool; (int, double) -> bool; \
    (int, uint) -> bool; (uint, uint) -> bool; (uint, double) -> bool; \
    (uint, int) -> bool; (double, double) -> bool; (double, int) -> bool; \
    (double, uint) -> bool; (string, string) -> bool; (bytes, bytes) -> bool; \
    (timestamp, timestamp) -> bool; (duration, duration) -> bool";

pub(super) const FUNCTIONS: &[Entry] = &[
    // Never called: the evaluation has forms of its own for them.
    ("_&&_", "(bool, bool) -> bool", |_, _| mismatch()),
    ("_||_", "(bool, bool) -> bool", |_, _| mismatch()),
    ("_?_:_", "(bool, T, T) -> T", |_, _| mismatch()),
    ("!_", "(bool) -> bool", |_, args| match args {
        [Value::Bool(truth)] => Ok(Value::Bool(!truth)),
        _ => mismatch(),
    }),
    ("_==_", "(T, T) -> bool", |context, args| equal(context, args).map(Value::Bool)),
    ("_!=_", "(T, T) -> bool", |context, args| equal(context, args).map(|equal| Value::Bool(!equal))),
    ("@in", "(T, list(T)) -> bool", |context, args| match args {
        [one, Value::List(items)] => {
            for item in items.iter() {
                context.meter.spend(1)?;
                if one.equals(item, context.meter)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        _ => mismatch(),
    }),
    ("@in", "(K, map(K, V)) -> bool", |_, args| match args {
        [key, Value::Map(entries)] => Ok(Value::Bool(key.to_key().is_some_and(|key| entries.contains_key(&key)))),
        _ => mismatch(),
    }),
    ("_<_", ORDERED, |context, args| compare(context, args, |order| order.is_lt())),
    ("_<=_", ORDERED, |context, args| compare(context, args, |order| order.is_le())),
    ("_>_", ORDERED, |context, args| compare(context, args, |order| order.is_gt())),
    ("_>=_", ORDERED, |context, args| compare(context, args, |order| order.is_ge())),
    ("_+_", "(int, int) -> int", |_, args| whole(args, i64::checked_add)),
    ("_+_", "(uint, uint) -> uint", |_, args| natural(args, u64::checked_add)),
    ("_+_", "(double, double) -> double", |_, args| real(args, |one, two| one + two)),
    ("_+_", "(string, string) -> string", |context, args| match args {
        [Value::String(one), Value::String(two)] => {
            context.meter.spend(tenth(one.len() + two.len()))?;
            context.meter.work((one.len() + two.len()) as u64 / 16)?;
            Ok(Value::from(format!("{one}{two}")))
        }
        _ => mismatch(),
    }),
    ("_+_", "(bytes, bytes) -> bytes", |context, args| match args {
        [Value::Bytes(one), Value::Bytes(two)] => {
            context.meter.spend(tenth(one.len() + two.len()))?;
            context.meter.work((one.len() + two.len()) as u64 / 16)?;
            Ok(Value::Bytes(one.iter().chain(two.iter()).copied().collect()))
        }
        _ => mismatch(),
    }),
    ("_+_", "(list(T), list(T)) -> list(T)", |context, args| match args {
        [Value::List(one), Value::List(two)] => {
            // cel-go joins them without a copy, for one unit.
            context.meter.work((one.len() + two.len()) as u64)?;
            Ok(Value::list(one.iter().chain(two.iter()).cloned()))
        }
        _ => mismatch(),
    }),
    ("_+_", "(timestamp, duration) -> timestamp", |_, args| match args {
        [Value::Timestamp(at), Value::Duration(by)] => moved(*at, *by),
        _ => mismatch(),
    }),
    ("_+_", "(duration, timestamp) -> timestamp", |_, args| match args {
        [Value::Duration(by), Value::Timestamp(at)] => moved(*at, *by),
        _ => mismatch(),
    }),
    ("_+_", "(duration, duration) -> duration", |_, args| lengths(args, i64::checked_add)),
    ("_-_", "(int, int) -> int", |_, args| whole(args, i64::checked_sub)),
    ("_-_", "(uint, uint) -> uint", |_, args| natural(args, u64::checked_sub)),
    ("_-_", "(double, double) -> double", |_, args| real(args, |one, two| one - two)),
    ("_-_", "(timestamp, timestamp) -> duration", |_, args| match args {
        [Value::Timestamp(one), Value::Timestamp(two)] => {
            let apart = one.as_nanosecond() - two.as_nanosecond();
            i64::try_from(apart).map(Value::Duration).map_err(|_| Error::new("integer overflow"))
        }
        _ => mismatch(),
    }),
    ("_-_", "(timestamp, duration) -> timestamp", |_, args| match args {
        [Value::Timestamp(at), Value::Duration(by)] => moved(*at, by.saturating_neg()),
        _ => mismatch(),
    }),
    ("_-_", "(duration, duration) -> duration", |_, args| lengths(args, i64::checked_sub)),
    ("_*_", "(int, int) -> int", |_, args| whole(args, i64::checked_mul)),
    ("_*_", "(uint, uint) -> uint", |_, args| natural(args, u64::checked_mul)),
    ("_*_", "(double, double) -> double", |_, args| real(args, |one, two| one * two)),
    ("_/_", "(int, int) -> int", |_, args| match args {
        [_, Value::Int(0)] => Err(Error::new("division by zero")),
        _ => whole(args, i64::checked_div),
    }),
    ("_/_", "(uint, uint) -> uint", |_, args| match args {
        [_, Value::Uint(0)] => Err(Error::new("division by zero")),
        _ => natural(args, u64::checked_div),
    }),
    ("_/_", "(double, double) -> double", |_, args| real(args, |one, two| one / two)),
    ("_%_", "(int, int) -> int", |_, args| match args {
        [_, Value::Int(0)] => Err(Error::new("modulus by zero")),
        _ => whole(args, i64::checked_rem),
    }),
    ("_%_", "(uint, uint) -> uint", |_, args| match args {
        [_, Value::Uint(0)] => Err(Error::new("modulus by zero")),
        _ => natural(args, u64::checked_rem),
    }),
    ("-_", "(int) -> int", |_, args| match args {
        [Value::Int(number)] => number.checked_neg().map(Value::Int).ok_or_else(overflow),
        _ => mismatch(),
    }),
    ("-_", "(double) -> double", |_, args| match args {
        [Value::Double(number)] => Ok(Value::Double(-number)),
        _ => mismatch(),
    }),
    (
        "size",
        "(string) -> int; (bytes) -> int; (list(T)) -> int; (map(K, V)) -> int; string.() -> int; bytes.() -> int; list(T).() -> int; map(K, V).() -> int",
        |_, args| size(args),
    ),
    ("dyn", "(T) -> dyn", |_, args| args.first().cloned().ok_or_else(Error::no_overload)),
    ("type", "(T) -> type(T)", |_, args| match args {
        [value] => Ok(Value::Type(value.type_name().into())),
        _ => mismatch(),
    }),
    ("bool", "(bool) -> bool; (string) -> bool", |_, args| to_bool(args)),
    (
        "int",
        "(int) -> int; (uint) -> int; (double) -> int; (string) -> int; (timestamp) -> int; (duration) -> int",
        |_, args| to_int(args),
    ),
    ("uint", "(uint) -> uint; (int) -> uint; (double) -> uint; (string) -> uint", |_, args| to_uint(args)),
    ("double", "(double) -> double; (int) -> double; (uint) -> double; (string) -> double", |_, args| to_double(args)),
    (
        "string",
        "(string) -> string; (bool) -> string; (int) -> string; (uint) -> string; (double) -> string; (bytes) -> string; (timestamp) -> string; (duration) -> string; (ip) -> string; (cidr) -> string",
        |_, args| to_string(args),
    ),
    ("bytes", "(bytes) -> bytes; (string) -> bytes", |_, args| to_bytes(args)),
    ("timestamp", "(timestamp) -> timestamp; (string) -> timestamp; (int) -> timestamp", |_, args| to_timestamp(args)),
    ("duration", "(duration) -> duration; (string) -> duration; (int) -> duration", |_, args| to_duration(args)),
];

fn overflow() -> Error {
    Error::new("integer overflow")
}

fn equal(context: &mut Context<'_>, args: &[Value]) -> Result<bool, Error> {
    let [one, two] = args else { return Err(Error::no_overload()) };
    let size = one.size().min(two.size());
    if matches!(one, Value::String(_) | Value::Bytes(_)) {
        context.meter.spend(size / 10)?;
    }
    one.equals(two, context.meter)
}

fn compare(context: &mut Context<'_>, args: &[Value], wanted: fn(std::cmp::Ordering) -> bool) -> Result<Value, Error> {
    let [one, two] = args else { return mismatch() };
    if matches!(one, Value::String(_) | Value::Bytes(_)) {
        context.meter.spend(one.size().min(two.size()) / 10)?;
    }
    Ok(Value::Bool(one.compare(two).is_some_and(wanted)))
}

fn whole(args: &[Value], run: fn(i64, i64) -> Option<i64>) -> Result<Value, Error> {
    match args {
        [Value::Int(one), Value::Int(two)] => run(*one, *two).map(Value::Int).ok_or_else(overflow),
        _ => mismatch(),
    }
}

fn natural(args: &[Value], run: fn(u64, u64) -> Option<u64>) -> Result<Value, Error> {
    match args {
        [Value::Uint(one), Value::Uint(two)] => {
            run(*one, *two).map(Value::Uint).ok_or_else(|| Error::new("unsigned integer overflow"))
        }
        _ => mismatch(),
    }
}

fn real(args: &[Value], run: fn(f64, f64) -> f64) -> Result<Value, Error> {
    match args {
        [Value::Double(one), Value::Double(two)] => Ok(Value::Double(run(*one, *two))),
        _ => mismatch(),
    }
}

fn lengths(args: &[Value], run: fn(i64, i64) -> Option<i64>) -> Result<Value, Error> {
    match args {
        [Value::Duration(one), Value::Duration(two)] => run(*one, *two).map(Value::Duration).ok_or_else(overflow),
        _ => mismatch(),
    }
}

fn moved(at: Timestamp, by: i64) -> Result<Value, Error> {
    let nanos = at.as_nanosecond() + i128::from(by);
    Timestamp::from_nanosecond(nanos).map(Value::Timestamp).map_err(|_| Error::new("timestamp overflow"))
}

fn size(args: &[Value]) -> Result<Value, Error> {
    let size = match args {
        [Value::String(text)] => text.chars().count(),
        [Value::Bytes(bytes)] => bytes.len(),
        [Value::List(items)] => items.len(),
        [Value::Map(entries)] => entries.len(),
        _ => return mismatch(),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// What a conversion says that does not succeed.
pub(super) fn unconverted(value: &Value, to: &str) -> Error {
    Error::new(format!("type conversion error from '{}' to '{to}'", value.type_name()))
}

fn unsigned_overflow() -> Error {
    Error::new("unsigned integer overflow")
}

fn to_bool(args: &[Value]) -> Result<Value, Error> {
    match args {
        [Value::Bool(truth)] => Ok(Value::Bool(*truth)),
        [value @ Value::String(text)] => match text.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            _ => Err(unconverted(value, "bool")),
        },
        _ => mismatch(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what is out of range is refused before")]
fn to_int(args: &[Value]) -> Result<Value, Error> {
    match args {
        [Value::Int(number)] => Ok(Value::Int(*number)),
        [Value::Uint(number)] => i64::try_from(*number).map(Value::Int).map_err(|_| overflow()),
        [Value::Double(number)] if number.abs() < 9_223_372_036_854_775_807.0 => Ok(Value::Int(*number as i64)),
        [Value::Double(_)] => Err(overflow()),
        [value @ Value::String(text)] => text.parse().map(Value::Int).map_err(|_| unconverted(value, "int")),
        [Value::Timestamp(at)] => Ok(Value::Int(at.as_second())),
        [Value::Duration(nanos)] => Ok(Value::Int(*nanos)),
        _ => mismatch(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is out of range is refused before")]
fn to_uint(args: &[Value]) -> Result<Value, Error> {
    match args {
        [Value::Uint(number)] => Ok(Value::Uint(*number)),
        [Value::Int(number)] => u64::try_from(*number).map(Value::Uint).map_err(|_| unsigned_overflow()),
        [Value::Double(number)] if *number >= 0.0 && *number < 18_446_744_073_709_551_615.0 => {
            Ok(Value::Uint(*number as u64))
        }
        [Value::Double(_)] => Err(unsigned_overflow()),
        [value @ Value::String(text)] => text.parse().map(Value::Uint).map_err(|_| unconverted(value, "uint")),
        _ => mismatch(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is what the conversion means")]
fn to_double(args: &[Value]) -> Result<Value, Error> {
    match args {
        [Value::Double(number)] => Ok(Value::Double(*number)),
        [Value::Int(number)] => Ok(Value::Double(*number as f64)),
        [Value::Uint(number)] => Ok(Value::Double(*number as f64)),
        [value @ Value::String(text)] => text.parse().map(Value::Double).map_err(|_| unconverted(value, "double")),
        _ => mismatch(),
    }
}

fn to_string(args: &[Value]) -> Result<Value, Error> {
    Ok(match args {
        [Value::String(text)] => Value::String(text.clone()),
        [Value::Bool(truth)] => Value::from(truth.to_string()),
        [Value::Int(number)] => Value::from(number.to_string()),
        [Value::Uint(number)] => Value::from(number.to_string()),
        [Value::Double(number)] => Value::from(crate::value::shortest(*number)),
        [Value::Bytes(bytes)] => match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => return Err(Error::new("invalid UTF-8 in bytes, cannot convert to string")),
        },
        [Value::Timestamp(at)] => Value::from(show_timestamp(*at)),
        [Value::Duration(nanos)] => Value::from(show_duration(*nanos)),
        [Value::Ip(address)] => Value::from(address.to_string()),
        [Value::Cidr(cidr)] => Value::from(cidr.to_string()),
        _ => return mismatch(),
    })
}

fn to_bytes(args: &[Value]) -> Result<Value, Error> {
    match args {
        [bytes @ Value::Bytes(_)] => Ok(bytes.clone()),
        [Value::String(text)] => Ok(Value::Bytes(Arc::from(text.as_bytes()))),
        _ => mismatch(),
    }
}

fn to_timestamp(args: &[Value]) -> Result<Value, Error> {
    match args {
        [at @ Value::Timestamp(_)] => Ok(at.clone()),
        [value @ Value::String(text)] => {
            read_timestamp(text).map(Value::Timestamp).ok_or_else(|| unconverted(value, "google.protobuf.Timestamp"))
        }
        [Value::Int(second)] => {
            Timestamp::from_second(*second).map(Value::Timestamp).map_err(|_| Error::new("timestamp overflow"))
        }
        _ => mismatch(),
    }
}

fn to_duration(args: &[Value]) -> Result<Value, Error> {
    match args {
        [length @ Value::Duration(_)] => Ok(length.clone()),
        [Value::Int(nanos)] => Ok(Value::Duration(*nanos)),
        [value @ Value::String(text)] => {
            read_duration(text).map(Value::Duration).ok_or_else(|| unconverted(value, "google.protobuf.Duration"))
        }
        _ => mismatch(),
    }
}
