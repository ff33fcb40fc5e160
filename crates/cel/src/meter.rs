//! How much an evaluation may cost, and what it has cost so far.
//!
//! Knows: two purses. One holds Kubernetes' cost units, which decide what a real API server would refuse. The other holds
//! work of our own (steps, bytes), for there are expressions that cost little by Kubernetes' count and yet take for ever.
//! Does not know: what is paid for.

use crate::error::Error;

/// What one expression may cost, in Kubernetes' units (`PerCallLimit`).
pub const PER_CALL: u64 = 1_000_000;

/// Steps, elements and sixteens of bytes that one expression may take.
const WORK_MAX: u64 = 5_000_000;

/// So many expressions may be evaluated within one another. One expression is never so deep; one whose variables are
/// expressions themselves might be.
const DEPTH_MAX: usize = 400;

/// Counts what an evaluation costs, and stops it.
#[derive(Debug)]
pub struct Meter {
    spent: u64,
    limit: u64,
    worked: u64,
    depth: usize,
}

impl Meter {
    /// May cost so many units.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { spent: 0, limit, worked: 0, depth: 0 }
    }

    /// What it has cost so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// Charges units.
    ///
    /// # Errors
    /// If there are not so many left.
    pub fn spend(&mut self, units: u64) -> Result<(), Error> {
        self.spent = self.spent.saturating_add(units);
        self.work(1)?;
        if self.spent > self.limit { Err(Error::TooCostly) } else { Ok(()) }
    }

    /// Goes into an expression.
    ///
    /// # Errors
    /// If that is too deep.
    pub(crate) fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        self.work(1)?;
        if self.depth > DEPTH_MAX { Err(Error::TooCostly) } else { Ok(()) }
    }

    /// Comes out of it.
    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Charges work that Kubernetes does not count.
    ///
    /// # Errors
    /// If it is too much.
    pub fn work(&mut self, steps: u64) -> Result<(), Error> {
        self.worked = self.worked.saturating_add(steps);
        if self.worked > WORK_MAX { Err(Error::TooCostly) } else { Ok(()) }
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new(PER_CALL)
    }
}
