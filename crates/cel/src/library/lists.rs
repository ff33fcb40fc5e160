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
const SORT: &str = "list(int).() -> list(int); list(uint).() -> list(uint); list(double).() -> list(double); \
    list(string).() -> list(string); list(bool).() -> list(bool); list(bytes).() -> list(bytes); \
    list(timestamp).() -> list(timestamp); list(duration).() -> list(duration)";
const SORT_BY: &str = "list(T).(list(int)) -> list(T); list(T).(list(uint)) -> list(T); list(T).(list(double)) -> list(T); \
    list(T).(list(string)) -> list(T); list(T).(list(bool)) -> list(T); list(T).(list(bytes)) -> list(T); \
    list(T).(list(timestamp)) -> list(T); list(T).(list(duration)) -> list(T)";
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
    ("lists.range", "(int) -> list(int)", |context, args| {
        let [Value::Int(many)] = args else { return mismatch() };
        let many = u64::try_from(*many).unwrap_or(0);
        context.meter.spend(many)?;
        Ok(Value::list((0_i64..).zip(0..many).map(|(number, _)| Value::Int(number))))
    }),
    ("flatten", "list(list(T)).() -> list(T); list(dyn).(int) -> list(dyn)", |context, args| {
        let (items, depth) = match args {
            [Value::List(items)] => (items, 1),
            [Value::List(items), Value::Int(depth)] => (items, *depth),
            _ => return mismatch(),
        };
        if depth < 0 {
            return Err(Error::new("level must be non-negative"));
        }
        let mut flat = Vec::new();
        flatten(items, depth, &mut flat, context.meter)?;
        Ok(Value::list(flat))
    }),
    ("sort", SORT, |context, args| {
        let [Value::List(items)] = args else { return mismatch() };
        sorted(items, items, context.meter)
    }),
    ("@sortByAssociatedKeys", SORT_BY, |context, args| {
        let [Value::List(items), Value::List(keys)] = args else { return mismatch() };
        sorted(items, keys, context.meter)
    }),
    ("distinct", "list(T).() -> list(T)", |context, args| {
        let [Value::List(items)] = args else { return mismatch() };
        let mut found: Vec<Value> = Vec::new();
        for item in items.iter() {
            let mut known = false;
            for have in &found {
                known = known || have.equals(item, context.meter)?;
            }
            context.meter.spend(1 + found.len() as u64)?;
            if !known {
                found.push(item.clone());
            }
        }
        Ok(Value::list(found))
    }),
    ("reverse", "list(T).() -> list(T)", |context, args| {
        let [Value::List(items)] = args else { return mismatch() };
        context.meter.spend(items.len() as u64)?;
        Ok(Value::list(items.iter().rev().cloned()))
    }),
    ("slice", "list(T).(int, int) -> list(T)", |context, args| {
        let [Value::List(items), Value::Int(start), Value::Int(end)] = args else { return mismatch() };
        let refuse = |why: &str| Err(Error::new(format!("cannot slice({start}, {end}), {why}")));
        let (Ok(from), Ok(to)) = (usize::try_from(*start), usize::try_from(*end)) else {
            return refuse("negative indexes not supported");
        };
        if from > to {
            return refuse("start index must be less than or equal to end index");
        }
        let Some(part) = items.get(from..to) else { return refuse(&format!("list is length {}", items.len())) };
        context.meter.spend(part.len() as u64)?;
        Ok(Value::list(part.iter().cloned()))
    }),
    ("first", "list(T).() -> optional(T)", |_, args| {
        let [Value::List(items)] = args else { return mismatch() };
        Ok(items.first().map_or(Value::Optional(None), |item| Value::some(item.clone())))
    }),
    ("last", "list(T).() -> optional(T)", |_, args| {
        let [Value::List(items)] = args else { return mismatch() };
        Ok(items.last().map_or(Value::Optional(None), |item| Value::some(item.clone())))
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

/// Puts what is in lists of lists into one, so many lists deep.
fn flatten(items: &[Value], depth: i64, flat: &mut Vec<Value>, meter: &mut Meter) -> Result<(), Error> {
    meter.spend(items.len() as u64)?;
    for item in items {
        match item {
            Value::List(inner) if depth > 0 => flatten(inner, depth - 1, flat, meter)?,
            item => flat.push(item.clone()),
        }
    }
    Ok(())
}

/// Items in the order of their keys; those with the same key stay as they stand.
fn sorted(items: &[Value], keys: &[Value], meter: &mut Meter) -> Result<Value, Error> {
    meter.spend(items.len() as u64)?;
    meter.work((items.len() as u64).saturating_mul(8))?;
    for key in keys.iter().skip(1) {
        if keys.first().and_then(|first| first.compare(key)).is_none() {
            return Err(Error::new("list elements must have the same type"));
        }
    }
    let mut pairs: Vec<(&Value, &Value)> = keys.iter().zip(items).collect();
    pairs.sort_by(|(one, _), (two, _)| one.compare(two).unwrap_or(Ordering::Equal));
    Ok(Value::list(pairs.into_iter().map(|(_, item)| item.clone())))
}
