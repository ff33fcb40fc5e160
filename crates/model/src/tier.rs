//! How sure a verdict had to become, and what that took.
//!
//! Knows: the tiers, their order, and a moment as a number that somebody else read from a clock.
//! Does not know: the clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a verdict was reached. Each costs more than the one before, and is asked only if that could not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tier {
    /// The request's shape alone.
    Signature,
    /// Bounds on totals, with nothing executed.
    Constraints,
    /// The action and what controllers make of it, on a fork of the twin.
    Simulation,
    /// The real thing in a disposable place.
    Rehearsal,
    /// Somebody read the effect and agreed.
    Person,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => "signature",
            Self::Constraints => "constraints",
            Self::Simulation => "simulation",
            Self::Rehearsal => "rehearsal",
            Self::Person => "person",
        })
    }
}

/// How long each stage took, in microseconds. A stage that was not entered is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Micros {
    /// Bytes to a call and its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode: Option<u64>,
    /// Bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<u64>,
    /// Fork and simulation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulation: Option<u64>,
    /// Rehearsal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<u64>,
    /// All policies, in all tiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<u64>,
}

/// A point in wall-clock time, in milliseconds since 1970. It comes in through arguments; no rule reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// So many milliseconds later.
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The milliseconds from an earlier moment to this one; zero if it is no earlier.
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
