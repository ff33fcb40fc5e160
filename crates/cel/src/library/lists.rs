//! Lists, sets and optionals.
//!
//! Knows: Kubernetes' functions on lists, cel-go's on sets, and what there is of a value that may be absent.
//! Does not know: macros, which are forms of the language.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Context, Entry, mismatch};
use crate::error::Error;
use crate::meter::Meter;
use crate::value::Value;

/// Lists of what can be put in an order.
const SORTED: &str = "list(int).() -> bool; list(uint).() -> bool; list(double).() -> bool; list(string).() -> bool; \
    list(bool).() -> bool; list(bytes).() -> bool; list(timestamp).() -> bool; list(duration).() -> bool";
const BEST: &str = "list(int).() -> int; list(uint).() -> uint; list(double).() -> double; \
    list(string).() -> string; list(bool).() -> bool; list(bytes).() -> bytes; \
    list(timestamp).() -> timestamp; list(duration).() -> duration";
const SUM: &str =
    "list(int).() -> int; list(uint).() -> uint; list(double).() -> double; list(duration).() -> duration";

pub(super) const FUNCTIONS: &[Entry] = &[
    ("isSorted", SORTED, |context, args| {
        let [Value::List(items)] = args else { return mismatch() };
        context.meter.spend(items.len() as u64)?;
        let pairs = items.iter().zip(items.iter().skip(1));
        for (one, two) in pairs {
            match one.compare(two) {
                Some(Ordering::Greater) => return Ok(Value::Bool(false)),
                Some(_) => {}
                None => return mismatch(),
            }
        }
        Ok(Value::Bool(true))
    }),
    ("min", BEST, |context, args| best(context, args, "min", Ordering::is_lt)),
    ("max", BEST, |context, args| best(context, args, "max", Ordering::is_gt)),
    ("sum", SUM, |context, args| {
        let [Value::List(items)] = args else { return mismatch() };
        context.meter.spend(items.len() as u64)?;
        let mut sum: Option<Value> = None;
        for item in items.iter() {
            sum = Some(match sum {
                None => item.clone(),
                Some(sum) => super::call(context, "_+_", false, &[sum, item.clone()])?,
            });
        }
        Ok(sum.unwrap_or(Value::Int(0)))
    }),
    ("indexOf", "list(T).(T) -> int", |context, args| {
        let [Value::List(items), wanted] = args else { return mismatch() };
        context.meter.spend(items.len() as u64)?;
        for (index, item) in (0_i64..).zip(items.iter()) {
            if item.equals(wanted, context.meter)? {
                return Ok(Value::Int(index));
            }
        }
        Ok(Value::Int(-1))
    }),
    ("lastIndexOf", "list(T).(T) -> int", |context, args| {
        let [Value::List(items), wanted] = args else { return mismatch() };
        context.meter.spend(items.len() as u64)?;
        let mut found = -1;
        for (index, item) in (0_i64..).zip(items.iter()) {
            if item.equals(wanted, context.meter)? {
                found = index;
            }
        }
        Ok(Value::Int(found))
    }),
    ("sets.contains", "(list(T), list(T)) -> bool", |context, args| {
        let [Value::List(all), Value::List(some)] = args else { return mismatch() };
        Ok(Value::Bool(contains(context, all, some)?))
    }),
    ("sets.equivalent", "(list(T), list(T)) -> bool", |context, args| {
        let [Value::List(one), Value::List(two)] = args else { return mismatch() };
        Ok(Value::Bool(contains(context, one, two)? && contains(context, two, one)?))
    }),
    ("sets.intersects", "(list(T), list(T)) -> bool", |context, args| {
        let [Value::List(one), Value::List(two)] = args else { return mismatch() };
        context.meter.spend(one.len() as u64 * two.len() as u64)?;
        for item in one.iter() {
            if holds(two, item, context.meter)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }),
    ("optional.of", "(T) -> optional(T)", |_, args| match args {
        [value] => Ok(Value::some(value.clone())),
        _ => mismatch(),
    }),
    ("optional.none", "() -> optional(T)", |_, _| Ok(Value::Optional(None))),
    ("optional.ofNonZeroValue", "(T) -> optional(T)", |_, args| match args {
        [value] => Ok(Value::Optional((!is_zero(value)).then(|| Arc::new(value.clone())))),
        _ => mismatch(),
    }),
    ("hasValue", "optional(T).() -> bool", |_, args| match args {
        [Value::Optional(value)] => Ok(Value::Bool(value.is_some())),
        _ => mismatch(),
    }),
    ("value", "optional(T).() -> T", |_, args| match args {
        [Value::Optional(Some(value))] => Ok((**value).clone()),
        [Value::Optional(None)] => Err(Error::new("optional.none() dereference")),
        _ => mismatch(),
    }),
    // Evaluated by a form of their own: the other side may not be looked at.
    ("or", "optional(T).(optional(T)) -> optional(T)", |_, _| mismatch()),
    ("orValue", "optional(T).(T) -> T", |_, _| mismatch()),
];

fn best(context: &mut Context<'_>, args: &[Value], name: &str, better: fn(Ordering) -> bool) -> Result<Value, Error> {
    let [Value::List(items)] = args else { return mismatch() };
    context.meter.spend(items.len() as u64)?;
    let mut best: Option<&Value> = None;
    for item in items.iter() {
        let order = best.map(|best| item.compare(best));
        match order {
            Some(None) => return mismatch(),
            Some(Some(order)) if !better(order) => {}
            _ => best = Some(item),
        }
    }
    best.cloned().ok_or_else(|| Error::new(format!("{name} called on empty list")))
}

fn holds(items: &[Value], wanted: &Value, meter: &mut Meter) -> Result<bool, Error> {
    for item in items {
        if item.equals(wanted, meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn contains(context: &mut Context<'_>, all: &[Value], some: &[Value]) -> Result<bool, Error> {
    context.meter.spend(all.len() as u64 * some.len() as u64)?;
    for item in some {
        if !holds(all, item, context.meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Int(number) => *number == 0,
        Value::Uint(number) => *number == 0,
        Value::Double(number) => *number == 0.0,
        Value::Duration(nanos) => *nanos == 0,
        Value::Optional(value) => value.is_none(),
        Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => value.size() == 0,
        _ => false,
    }
}
