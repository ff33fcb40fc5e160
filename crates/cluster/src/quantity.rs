//! Quantities as Kubernetes writes them: `250m`, `1.5`, `64Mi`, `2e3`.
//!
//! Knows: the suffixes, and the one form in which each quantity is written.
//! Does not know: what is measured.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use crate::value::Value;

/// An amount, in thousandths: nothing that a cluster counts is finer than a milli-CPU, and what is finer is rounded up,
/// as the scheduler does (`resource.Quantity.MilliValue`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    milli: i128,
    family: Family,
}

/// The suffixes that a quantity is written with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Family {
    /// `m`, `k`, `M`, `G`: powers of 1000.
    #[default]
    Decimal,
    /// `Ki`, `Mi`, `Gi`: powers of 1024.
    Binary,
    /// `e3`, `e6`: powers of 1000 as exponents.
    Exponent,
}

const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [&str; 8] = ["m", "", "k", "M", "G", "T", "P", "E"];

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { milli: 0, family: Family::Decimal };

    /// So many whole ones.
    #[must_use]
    pub fn whole(count: i64) -> Self {
        Self { milli: i128::from(count) * 1000, family: Family::Decimal }
    }

    /// So many thousandths.
    #[must_use]
    pub fn milli(milli: i128) -> Self {
        Self { milli, family: Family::Decimal }
    }

    /// The same, written in powers of 1024.
    #[must_use]
    pub fn binary(self) -> Self {
        Self { family: Family::Binary, ..self }
    }

    /// In thousandths.
    #[must_use]
    pub fn as_milli(self) -> i128 {
        self.milli
    }

    /// In whole ones, rounded up.
    #[must_use]
    pub fn as_whole(self) -> i128 {
        self.milli.div_euclid(1000) + i128::from(self.milli.rem_euclid(1000) != 0)
    }

    /// The next whole amount, or this if it is one.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        Self { milli: self.as_whole() * 1000, family: self.family }
    }

    /// Whether this is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.milli == 0
    }

    /// Reads a quantity as it is written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
        let (number, suffix) = text.split_at_checked(end)?;
        let (negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mantissa: i128 = format!("0{whole}{fraction}").parse().ok()?;
        // The amount is mantissa × scale ÷ divisor; in thousandths, rounded away from zero.
        let places = u32::try_from(fraction.len()).ok()?;
        let (scale, divisor, family) = suffix_scale(suffix)?;
        let divisor = 10_i128.checked_pow(places)?.checked_mul(divisor)?;
        let scaled = mantissa.checked_mul(scale).and_then(|scaled| scaled.checked_mul(1000));
        let milli = scaled.map_or(MILLI_MAX, |scaled| scaled / divisor + i128::from(scaled % divisor != 0));
        let milli = milli.min(MILLI_MAX);
        Some(Self { milli: if negative { -milli } else { milli }, family })
    }

    /// The quantity in a document: written as a string, or a bare number.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Int(number) => Some(Self::whole(*number)),
            Value::Float(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// The quantity in a document, nothing if there is none.
    #[must_use]
    pub fn or_zero(value: &Value) -> Self {
        Self::of(value).unwrap_or_default()
    }
}

/// The largest amount there is: what is larger is cut to it, as the real server does.
const MILLI_MAX: i128 = i64::MAX as i128 * 1000;

/// What a suffix multiplies by, and divides by.
fn suffix_scale(suffix: &str) -> Option<(i128, i128, Family)> {
    if let Some(power) = BINARY.iter().position(|have| *have == suffix).filter(|power| *power > 0) {
        return Some((1024_i128.pow(u32::try_from(power).ok()?), 1, Family::Binary));
    }
    if let Some(power) = DECIMAL.iter().position(|have| *have == suffix).filter(|power| *power > 0) {
        return Some((1000_i128.pow(u32::try_from(power - 1).ok()?), 1, Family::Decimal));
    }
    if let Some(power) = ["m", "u", "n"].iter().position(|have| *have == suffix) {
        return Some((1, 1000_i128.pow(u32::try_from(power + 1).ok()?), Family::Decimal));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let (scale, divisor) = if exponent < 0 { (1, power) } else { (power, 1) };
    Some((scale, divisor, Family::Exponent))
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.milli == other.milli
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.milli.cmp(&other.milli)
    }
}

impl Add for Quantity {
    type Output = Self;

    /// The sum is written as the first one is, unless that is nothing.
    fn add(self, other: Self) -> Self {
        let family = if self.milli == 0 { other.family } else { self.family };
        Self { milli: self.milli.saturating_add(other.milli), family }
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let family = if self.milli == 0 { other.family } else { self.family };
        Self { milli: self.milli.saturating_sub(other.milli), family }
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(quantities: I) -> Self {
        quantities.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: the largest suffix that leaves a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.milli % 1000 == 0;
        if self.family == Family::Binary && whole {
            let (number, suffix) = reduce(self.milli / 1000, 1024, &BINARY);
            return write!(f, "{number}{suffix}");
        }
        let (number, suffix) = reduce(self.milli, 1000, &DECIMAL);
        if self.family == Family::Exponent && self.milli != 0 {
            let power = DECIMAL.iter().position(|have| *have == suffix).unwrap_or(1);
            return match power {
                0 => write!(f, "{number}e-3"),
                1 => write!(f, "{number}"),
                _ => write!(f, "{number}e{}", (power - 1) * 3),
            };
        }
        write!(f, "{number}{suffix}")
    }
}

fn reduce<'a>(number: i128, by: i128, suffixes: &[&'a str]) -> (i128, &'a str) {
    if number == 0 {
        return (0, "");
    }
    let (mut number, mut at) = (number, 0);
    while number % by == 0 && at + 1 < suffixes.len() {
        number /= by;
        at += 1;
    }
    (number, suffixes.get(at).copied().unwrap_or(""))
}

impl From<Quantity> for Value {
    fn from(quantity: Quantity) -> Self {
        Self::from(quantity.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_read_and_written_in_its_one_form() {
        for (text, milli, form) in [
            ("250m", 250, "250m"),
            ("1", 1000, "1"),
            ("1.5", 1500, "1500m"),
            ("1000m", 1000, "1"),
            ("2000", 2_000_000, "2k"),
            ("64Mi", 64 * 1024 * 1024 * 1000, "64Mi"),
            ("1024Mi", 1024 * 1024 * 1024 * 1000, "1Gi"),
            ("0.5Gi", 512 * 1024 * 1024 * 1000, "512Mi"),
            ("2e3", 2_000_000, "2e3"),
            ("5e-3", 5, "5e-3"),
            ("-585472147.6e-6", -585_473, "-585473e-3"),
            ("1e38", i128::from(i64::MAX) * 1000, "9223372036854775807"),
            ("100n", 1, "1m"),
            ("0", 0, "0"),
            ("-1", -1000, "-1"),
        ] {
            let quantity = Quantity::parse(text).unwrap_or_default();
            assert_eq!((quantity.as_milli(), quantity.to_string().as_str()), (milli, form), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", "m", "1x", "one", "1ki", "1e", "1e++3"] {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_sum_is_written_as_its_first_part_that_is_something() {
        let sum: Quantity = ["64Mi", "1Gi"].iter().filter_map(|text| Quantity::parse(text)).sum();
        assert_eq!(sum.to_string(), "1088Mi");
        let rest = Quantity::parse("1").unwrap_or_default() - Quantity::parse("250m").unwrap_or_default();
        assert_eq!(rest.to_string(), "750m");
    }
}
