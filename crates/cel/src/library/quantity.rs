//! Amounts with a unit, exactly.
//!
//! Knows: how Kubernetes writes amounts, down to a billionth; adding and comparing them.
//! Does not know: what is measured.

use std::cmp::Ordering;

use super::{Entry, mismatch};
use crate::error::Error;
use crate::value::Value;

/// An amount.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    /// In billionths.
    nanos: i128,
    /// Whether the real one keeps it as a whole number times a power of ten that is not below one. Only such an amount has
    /// an integer there: `1.5Gi` and `1000m` have none, though they are whole.
    plain: bool,
}

const ONE: i128 = 1_000_000_000;
/// What is larger is cut to this, as the real one does.
const MAX: i128 = i64::MAX as i128 * ONE;

pub(super) const FUNCTIONS: &[Entry] = &[
    ("quantity", "(string) -> quantity", |_, args| match args {
        [Value::String(text)] => Quantity::read(text).map(Value::Quantity).map_err(Error::new),
        _ => mismatch(),
    }),
    ("isQuantity", "(string) -> bool", |_, args| match args {
        [Value::String(text)] => Ok(Value::Bool(Quantity::read(text).is_ok())),
        _ => mismatch(),
    }),
    ("sign", "(quantity) -> int", |_, args| match args {
        [Value::Quantity(one)] => Ok(Value::Int(i64::try_from(one.nanos.signum()).unwrap_or(0))),
        _ => mismatch(),
    }),
    ("isInteger", "quantity.() -> bool", |_, args| match args {
        [Value::Quantity(one)] => Ok(Value::Bool(one.whole().is_some())),
        _ => mismatch(),
    }),
    ("asInteger", "quantity.() -> int", |_, args| match args {
        [Value::Quantity(one)] => {
            one.whole().map(Value::Int).ok_or_else(|| Error::new("cannot convert value to integer"))
        }
        _ => mismatch(),
    }),
    ("asApproximateFloat", "quantity.() -> double", |_, args| match args {
        [Value::Quantity(one)] => Ok(Value::Double(one.approximate())),
        _ => mismatch(),
    }),
    ("isLessThan", "quantity.(quantity) -> bool", |_, args| compare(args, |order| Value::Bool(order.is_lt()))),
    ("isGreaterThan", "quantity.(quantity) -> bool", |_, args| compare(args, |order| Value::Bool(order.is_gt()))),
    ("compareTo", "quantity.(quantity) -> int", |_, args| compare(args, |order| Value::Int(order as i64))),
    ("add", "quantity.(quantity) -> quantity; quantity.(int) -> quantity", |_, args| join(args, i128::saturating_add)),
    ("sub", "quantity.(quantity) -> quantity; quantity.(int) -> quantity", |_, args| join(args, i128::saturating_sub)),
];

impl Quantity {
    /// Reads an amount.
    ///
    /// # Errors
    /// In the real words.
    pub fn read(text: &str) -> Result<Self, String> {
        const WRONG: &str =
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
        const SUFFIX: &str = "unable to parse quantity's suffix";
        if text.is_empty() {
            return Err(WRONG.to_owned());
        }
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("-", rest)) => (-1, rest),
            Some(("+", rest)) => (1, rest),
            _ => (1, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at_checked(end).ok_or(WRONG)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(WRONG.to_owned());
        }
        let (up, down) = scale(suffix).ok_or(SUFFIX)?;
        // What is finer than a billionth is rounded up; digits that only say so need not all be read.
        let kept = fraction.get(..fraction.len().min(18)).unwrap_or(fraction);
        let finer = fraction.len() > kept.len() && fraction.bytes().skip(kept.len()).any(|digit| digit != b'0');
        let mantissa: Option<i128> = format!("0{whole}{kept}").parse().ok();
        let divisor = 10_i128.pow(u32::try_from(kept.len()).unwrap_or(0));
        let amount = mantissa.and_then(|mantissa| {
            let scaled = mantissa.checked_mul(up)?;
            let (units, rest) = (scaled / divisor, scaled % divisor);
            let nanos = units.checked_mul(ONE)?.checked_add(ceil(rest.checked_mul(ONE)?, divisor))?;
            Some(ceil(nanos, down) + i128::from(finer && down == 1 && up < 10))
        });
        let plain = fraction.is_empty() && is_plain(whole.len(), suffix);
        Ok(Self { nanos: sign * amount.unwrap_or(MAX).min(MAX), plain })
    }

    fn whole(self) -> Option<i64> {
        if self.plain { i64::try_from(self.nanos / ONE).ok() } else { None }
    }

    #[expect(clippy::cast_precision_loss, reason = "it is asked for approximately")]
    fn approximate(self) -> f64 {
        self.nanos as f64 / ONE as f64
    }
}

/// Two amounts are the same however they are kept.
impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

/// Whether the real one keeps a number of so many digits and that suffix as 64 bits and a scale.
fn is_plain(digits: usize, suffix: &str) -> bool {
    match "KMGTPE".find(suffix.strip_suffix('i').unwrap_or("-")) {
        Some(power) => digits + (power + 1) * 3 < 15,
        None => digits <= 18 && !matches!(suffix, "n" | "u" | "m") && !suffix.contains("e-") && !suffix.contains("E-"),
    }
}

fn ceil(amount: i128, by: i128) -> i128 {
    amount / by + i128::from(amount % by != 0)
}

/// What a suffix multiplies by, and divides by.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let power = |letters: &str, base: i128| {
        let at = letters.find(suffix.chars().next()?)?;
        base.checked_pow(u32::try_from(at).ok()? + 1)
    };
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, ONE),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" | "G" | "T" | "P" | "E" => (power("kMGTPE", 1000)?, 1),
        "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => (power("KMGTPE", 1024)?, 1),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let size = 10_i128.checked_pow(exponent.unsigned_abs().min(30))?;
            if exponent < 0 { (1, size) } else { (size, 1) }
        }
    })
}

fn compare(args: &[Value], show: fn(Ordering) -> Value) -> Result<Value, Error> {
    match args {
        [Value::Quantity(one), Value::Quantity(two)] => Ok(show(one.nanos.cmp(&two.nanos))),
        _ => mismatch(),
    }
}

fn join(args: &[Value], run: fn(i128, i128) -> i128) -> Result<Value, Error> {
    let (one, two) = match args {
        [Value::Quantity(one), Value::Quantity(two)] => (one, *two),
        [Value::Quantity(one), Value::Int(two)] => {
            (one, Quantity { nanos: i128::from(*two).saturating_mul(ONE), plain: true })
        }
        _ => return mismatch(),
    };
    Ok(Value::Quantity(Quantity { nanos: run(one.nanos, two.nanos), plain: one.plain && two.plain }))
}
