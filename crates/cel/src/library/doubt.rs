//! What is not known for sure: numbers between two bounds, and lists that may hold more than they show.
//!
//! Knows: that a comparison which holds for some of what a number can be, and not for all, has no answer. That is an
//! [`Error::Unknown`], and `&&`, `||`, `!`, `all` and `exists` treat it as Kleene's logic does, for that is how they treat
//! any error: what decides without it, decides; nothing else does. So not knowing cannot be negated into knowing.
//! Does not know: where the doubt comes from.
//!
//! Only for those who ask ([`Env::with_doubt`](crate::Env::with_doubt)): Kubernetes has none of this.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::{Context, Entry, mismatch};
use crate::error::Error;
use crate::value::Value;

/// A number of which only two bounds are known, both included. An end that nobody knows is infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    low: f64,
    high: f64,
}

/// A list of which it is not known whether all of it is there, or whether there is more.
#[derive(Debug, Clone)]
pub struct Partial {
    /// These are in it.
    pub sure: Arc<[Value]>,
    /// These may be.
    pub possible: Arc<[Value]>,
    /// There may be others that nobody can name.
    pub unlisted: bool,
}

impl Bounds {
    /// Between these two. What is no number is no bound.
    #[must_use]
    pub fn new(one: f64, two: f64) -> Self {
        let low = if one.is_nan() || two.is_nan() { f64::NEG_INFINITY } else { one.min(two) };
        let high = if one.is_nan() || two.is_nan() { f64::INFINITY } else { one.max(two) };
        Self { low, high }
    }

    /// How every number within stands to every number within another, if they all stand in one way.
    fn order(self, other: Self) -> [bool; 3] {
        // Can it be less, equal, greater?
        [self.low < other.high, self.low <= other.high && other.low <= self.high, self.high > other.low]
    }

    /// The narrowest bounds around what an operation makes of the four pairs of ends.
    fn around(self, other: Self, run: fn(f64, f64) -> f64) -> Self {
        let ends = [
            run(self.low, other.low),
            run(self.low, other.high),
            run(self.high, other.low),
            run(self.high, other.high),
        ];
        ends.iter().fold(Self::new(ends[0], ends[0]), |all, end| {
            let end = Self::new(*end, *end);
            Self { low: all.low.min(end.low), high: all.high.max(end.high) }
        })
    }

    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Range(bounds) => *bounds,
            #[expect(clippy::cast_precision_loss, reason = "counts of things in one system are far below 2^53")]
            Value::Int(number) => Self::new(*number as f64, *number as f64),
            Value::Double(number) => Self::new(*number, *number),
            _ => return None,
        })
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.low.is_finite(), self.high.is_finite()) {
            _ if self.low == self.high => write!(f, "{}", self.low),
            (true, true) => write!(f, "{}..{}", self.low, self.high),
            (true, false) => write!(f, "{} or more", self.low),
            (false, true) => write!(f, "{} or less", self.high),
            (false, false) => f.write_str("an unknown number"),
        }
    }
}

/// A number that is not known for sure, with each other kind of number.
const PAIRS: &str = "(range, range); (range, int); (int, range); (range, double); (double, range)";

pub(super) const FUNCTIONS: &[Entry] = &[
    ("_<_", PAIRS, |_, args| compare(args, "<", |order| order.is_lt())),
    ("_<=_", PAIRS, |_, args| compare(args, "<=", |order| order.is_le())),
    ("_>_", PAIRS, |_, args| compare(args, ">", |order| order.is_gt())),
    ("_>=_", PAIRS, |_, args| compare(args, ">=", |order| order.is_ge())),
    ("_==_", PAIRS, |_, args| compare(args, "==", |order| order.is_eq())),
    ("_!=_", PAIRS, |_, args| compare(args, "!=", |order| order.is_ne())),
    ("_+_", PAIRS, |_, args| reckon(args, |one, two| one + two)),
    ("_-_", PAIRS, |_, args| reckon(args, |one, two| one - two)),
    ("_*_", PAIRS, |_, args| {
        // What is nothing stays nothing, however often an unknown number takes it.
        reckon(args, |one, two| if one == 0.0 || two == 0.0 { 0.0 } else { one * two })
    }),
    ("_/_", PAIRS, |_, args| match args {
        [_, by] if Bounds::of(by).is_none_or(|by| by.low <= 0.0 && by.high >= 0.0) => {
            Err(Error::Unknown("what is divided by may be zero".to_owned()))
        }
        _ => reckon(args, |one, two| one / two),
    }),
    // Of what is known for sure: text of bounds could be compared, and would tell them apart from the numbers within.
    ("string", "(range) -> string", |_, args| match args {
        [Value::Range(bounds)] if bounds.low == bounds.high => Ok(Value::from(bounds.to_string())),
        [Value::Range(bounds)] => Err(Error::Unknown(format!("the number is only known to be {bounds}"))),
        _ => mismatch(),
    }),
    ("count", "list(T).() -> range", |_, args| match args {
        [list] => count(list).map(Value::Range),
        _ => mismatch(),
    }),
];

/// Whether a comparison gives a truth, which the declarations in [`PAIRS`] leave open.
pub(super) fn result(name: &str) -> &'static str {
    match name {
        "_+_" | "_-_" | "_*_" | "_/_" => "range",
        _ => "bool",
    }
}

#[expect(clippy::cast_precision_loss, reason = "as above")]
fn count(list: &Value) -> Result<Bounds, Error> {
    match list {
        Value::List(items) => Ok(Bounds::new(items.len() as f64, items.len() as f64)),
        Value::Partial(list) => {
            let sure = list.sure.len() as f64;
            let most = if list.unlisted { f64::INFINITY } else { sure + list.possible.len() as f64 };
            Ok(Bounds::new(sure, most))
        }
        _ => Err(Error::no_overload()),
    }
}

fn compare(args: &[Value], operator: &str, holds: fn(Ordering) -> bool) -> Result<Value, Error> {
    let [one, two] = args else { return mismatch() };
    let (Some(left), Some(right)) = (Bounds::of(one), Bounds::of(two)) else { return mismatch() };
    let possible = [Ordering::Less, Ordering::Equal, Ordering::Greater].into_iter().zip(left.order(right));
    let (mut yes, mut no) = (false, false);
    for (order, _) in possible.filter(|(_, possible)| *possible) {
        if holds(order) { yes = true } else { no = true }
    }
    match (yes, no) {
        (true, false) => Ok(Value::Bool(true)),
        (false, true) => Ok(Value::Bool(false)),
        _ => Err(Error::Unknown(format!("it is not known whether {left} {operator} {right}"))),
    }
}

fn reckon(args: &[Value], run: fn(f64, f64) -> f64) -> Result<Value, Error> {
    let [one, two] = args else { return mismatch() };
    let (Some(one), Some(two)) = (Bounds::of(one), Bounds::of(two)) else { return mismatch() };
    Ok(Value::Range(one.around(two, run)))
}

/// `x in list`, where more may be in the list than it shows.
pub(super) fn contains(context: &mut Context<'_>, one: &Value, list: &Partial) -> Result<Value, Error> {
    for (items, sure) in [(&list.sure, true), (&list.possible, false)] {
        for item in items.iter() {
            context.meter.spend(1)?;
            if one.equals(item, context.meter)? {
                return if sure { Ok(Value::Bool(true)) } else { Err(Error::Unknown(unsure(one))) };
            }
        }
    }
    if list.unlisted { Err(Error::Unknown(unsure(one))) } else { Ok(Value::Bool(false)) }
}

#[cfg(test)]
mod tests;

fn unsure(one: &Value) -> String {
    format!("it is not known whether {} is among them", one.shown())
}

/// What to say of a function that cannot be asked of what is not known, if that is why it could not be called.
pub(super) fn refused(name: &str, args: &[Value]) -> Option<Error> {
    let name = name.trim_matches('_').trim_start_matches('@');
    args.iter().find_map(|arg| match arg {
        Value::Partial(_) => Some(Error::Unknown(format!("{name}: it is not known all that is in the list"))),
        Value::Range(bounds) => Some(Error::Unknown(format!("{name}: the number is only known to be {bounds}"))),
        _ => None,
    })
}
