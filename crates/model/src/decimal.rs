//! Numbers that are not counts: seconds, money, rates, shares.
//!
//! Knows: fixed-point arithmetic that saturates.
//! Does not know: units. The name of the field that holds one ends with its unit.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A decimal with six places, kept as a whole number of millionths.
///
/// Not a float, because a forecast is compared, digested and journaled: a float has NaN, which neither passes nor
/// fails a limit, and sums that depend on the order of addition. JSON shows it as an ordinary number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(i64);

const ONE: i64 = 1_000_000;

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One whole: of a share, everything.
    pub const ONE: Self = Self(ONE);
    /// Larger than anything that is measured. Stands for "no upper bound is known".
    pub const MOST: Self = Self(i64::MAX);

    /// A whole number.
    pub const fn whole(number: i64) -> Self {
        Self(number.saturating_mul(ONE))
    }

    /// So many thousandths: `from_millis(1500)` is 1.5, so milliseconds become seconds.
    pub const fn from_millis(thousandths: i64) -> Self {
        Self(thousandths.saturating_mul(1_000))
    }

    /// So many millionths.
    pub const fn from_micros(millionths: i64) -> Self {
        Self(millionths)
    }

    /// The nearest decimal to a float. NaN is zero, infinities saturate.
    pub fn from_f64(number: f64) -> Self {
        // A float cast saturates and takes NaN to zero, which is what the documentation promises.
        Self((number * ONE as f64).round() as i64)
    }

    /// `part` of `whole` as a share; nothing of nothing is everything, so that an empty service misses nothing.
    pub fn ratio(part: u64, whole: u64) -> Self {
        if whole == 0 {
            return Self::ONE;
        }
        Self(clamp(i128::from(part) * i128::from(ONE) / i128::from(whole)))
    }

    /// The number of millionths.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The number of thousandths, rounded towards zero.
    pub const fn millis(self) -> i64 {
        self.0 / 1_000
    }

    /// The nearest float, for display and for languages that have nothing else.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / ONE as f64
    }

    /// Sum, staying at the ends of what can be expressed.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Difference, staying at the ends of what can be expressed.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Product, staying at the ends of what can be expressed.
    pub fn times(self, other: Self) -> Self {
        Self(clamp(i128::from(self.0) * i128::from(other.0) / i128::from(ONE)))
    }

    /// Quotient, staying at the ends of what can be expressed; anything by zero is [`Decimal::MOST`].
    pub fn over(self, other: Self) -> Self {
        if other.0 == 0 {
            return Self::MOST;
        }
        Self(clamp(i128::from(self.0) * i128::from(ONE) / i128::from(other.0)))
    }
}

fn clamp(wide: i128) -> i64 {
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

impl From<u64> for Decimal {
    fn from(number: u64) -> Self {
        Self::whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.unsigned_abs() / ONE as u64, self.0.unsigned_abs() % ONE as u64);
        let sign = if self.0 < 0 { "-" } else { "" };
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{part:06}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::from_f64)
    }
}
