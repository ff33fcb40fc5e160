//! Numbers with doubt.
//!
//! Knows: how a forecast is compared with a limit, and what "lies within" means.
//! Does not know: what is forecast.
//!
//! A forecast is a range, and that is all that the tiers need: bounds are wide and cheap, a simulation is narrow, a
//! rehearsal narrower. Its worst must pass for an allow, its best must fail for a deny, anything between is held.
//! Not knowing is the widest range, so ignorance needs no special case.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Decimal, Finding};

/// What can be forecast: a count or a measure, neither ever negative.
pub trait Number: Copy + Ord + fmt::Debug + fmt::Display + Serialize + DeserializeOwned {
    /// Nothing at all.
    const LEAST: Self;
    /// Stands for "no upper bound is known".
    const MOST: Self;

    /// The point a `share` (0..=1) of the way from here to `end`, rounded to the nearest.
    fn towards(self, end: Self, share: Decimal) -> Self;
}

impl Number for u64 {
    const LEAST: Self = 0;
    const MOST: Self = u64::MAX;

    fn towards(self, end: Self, share: Decimal) -> Self {
        u64::try_from(interpolate(self.into(), end.into(), share)).unwrap_or(Self::MOST)
    }
}

impl Number for Decimal {
    const LEAST: Self = Decimal::ZERO;
    const MOST: Self = Decimal::MOST;

    fn towards(self, end: Self, share: Decimal) -> Self {
        let point = interpolate(self.micros().into(), end.micros().into(), share);
        i64::try_from(point).map_or(Self::MOST, Decimal::from_micros)
    }
}

/// Rounds to the nearest, because twins that are right to two percent must not widen a count of three.
fn interpolate(from: i128, to: i128, share: Decimal) -> i128 {
    let one = i128::from(Decimal::ONE.micros());
    let share = i128::from(share.micros()).clamp(0, one);
    let step = (to - from) * share;
    from + (step + step.signum() * one / 2) / one
}

/// A number that a forecast is not sure of.
///
/// `best` and `worst` are what an operator would call so: of ready endpoints the worst is the fewest, of cost the
/// most. Comparisons look at the numbers only, so a limit never depends on which way round a field is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range<T> {
    /// The end that an operator would wish for.
    pub best: T,
    /// What the expected run says, if anything ran: a bound has no expectation.
    pub expected: Option<T>,
    /// The end that an operator would fear.
    pub worst: T,
}

/// A number with doubt that only a simulation gives; none if there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simulated<T: Number>(pub Option<Range<T>>);

impl<T: Number> Default for Simulated<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Number> From<Range<T>> for Simulated<T> {
    fn from(range: Range<T>) -> Self {
        Self(Some(range))
    }
}

impl<T: Number> Range<T> {
    /// Known for sure.
    pub const fn exact(number: T) -> Self {
        Self { best: number, expected: Some(number), worst: number }
    }

    /// Somewhere between two ends, and nothing said about where.
    pub const fn between(best: T, worst: T) -> Self {
        Self { best, expected: None, worst }
    }

    /// Expected to be one number, and sure to be between two.
    pub const fn around(best: T, expected: T, worst: T) -> Self {
        Self { best, expected: Some(expected), worst }
    }

    /// Nothing is known, and the more the worse.
    pub const fn unknown() -> Self {
        Self::between(T::LEAST, T::MOST)
    }

    /// The smaller end.
    pub fn low(&self) -> T {
        self.best.min(self.worst)
    }

    /// The larger end.
    pub fn high(&self) -> T {
        self.best.max(self.worst)
    }

    /// Is there no doubt?
    pub fn is_exact(&self) -> bool {
        self.best == self.worst
    }

    /// What to show when one number must do: the expected run, else the end to fear.
    pub fn likely(&self) -> T {
        self.expected.unwrap_or(self.worst)
    }

    /// Does every number it can be stay at or under the limit?
    pub fn at_most(&self, limit: T) -> Finding {
        if self.high() <= limit {
            Finding::Passes
        } else if self.low() > limit {
            Finding::Fails
        } else {
            Finding::Unsure
        }
    }

    /// Does every number it can be stay at or over the limit?
    pub fn at_least(&self, limit: T) -> Finding {
        if self.low() >= limit {
            Finding::Passes
        } else if self.high() < limit {
            Finding::Fails
        } else {
            Finding::Unsure
        }
    }

    /// Can it be everything that the other can be?
    pub fn covers(&self, other: &Self) -> bool {
        self.low() <= other.low() && other.high() <= self.high()
    }

    /// The narrowest range that covers both. The expectation stays this one's.
    pub fn hull(&self, other: &Self) -> Self {
        let (low, high) = (self.low().min(other.low()), self.high().max(other.high()));
        let (best, worst) =
            if self.best <= self.worst && other.best <= other.worst { (low, high) } else { (high, low) };
        Self { best, expected: self.expected, worst }
    }

    /// Wider by a doubt (0..=1): each end goes that share of the way to the end of what is possible at all, so no
    /// doubt changes nothing, and complete doubt is not knowing.
    pub fn widened(&self, doubt: Decimal, least: T, most: T) -> Self {
        let low = self.low().min(self.low().towards(least, doubt));
        let high = self.high().max(self.high().towards(most, doubt));
        let (best, worst) = if self.best <= self.worst { (low, high) } else { (high, low) };
        Self { best, expected: self.expected, worst }
    }
}

impl<T: Number + Default> Default for Range<T> {
    fn default() -> Self {
        Self::exact(T::default())
    }
}

impl<T: Number> From<T> for Range<T> {
    fn from(number: T) -> Self {
        Self::exact(number)
    }
}

impl<T: Number> fmt::Display for Range<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (self.low(), self.high());
        match (low == T::LEAST, high == T::MOST) {
            (_, false) if low == high => write!(f, "{low}"),
            (true, true) => f.write_str("an unknown number"),
            (false, true) => write!(f, "{low} or more"),
            (_, false) => write!(f, "{low}..{high}"),
        }
    }
}

impl<T: Number> fmt::Debug for Range<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expected {
            Some(_) if self.is_exact() => write!(f, "{:?}", self.best),
            Some(expected) => write!(f, "{expected:?} in {:?}..{:?}", self.best, self.worst),
            None => write!(f, "{:?}..{:?}", self.best, self.worst),
        }
    }
}
