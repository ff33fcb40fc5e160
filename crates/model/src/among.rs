//! Sets with doubt, as [`Range`] is a number with doubt.
//!
//! Knows: which members are sure, which are possible, and whether there may be others.
//! Does not know: what the members are.

use std::collections::BTreeSet;

use crate::Range;

/// A set that a forecast is not sure of: `sure` ⊆ what comes true ⊆ `sure` ∪ `possible` (∪ anything, if `unlisted`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Among<T: Ord> {
    /// These will be in it.
    pub sure: BTreeSet<T>,
    /// These may be.
    pub possible: BTreeSet<T>,
    /// There may be others that nobody can name.
    pub unlisted: bool,
}

impl<T: Ord> Among<T> {
    /// Known for sure to be empty.
    pub const fn none() -> Self {
        Self { sure: BTreeSet::new(), possible: BTreeSet::new(), unlisted: false }
    }

    /// Known for sure.
    pub fn exactly(members: impl IntoIterator<Item = T>) -> Self {
        Self { sure: members.into_iter().collect(), ..Self::none() }
    }

    /// No more than these.
    pub fn at_most(members: impl IntoIterator<Item = T>) -> Self {
        Self { possible: members.into_iter().collect(), ..Self::none() }
    }

    /// Anything at all.
    pub const fn unknown() -> Self {
        Self { sure: BTreeSet::new(), possible: BTreeSet::new(), unlisted: true }
    }

    /// How many there will be.
    pub fn count(&self) -> Range<u64> {
        let sure = self.sure.len() as u64;
        if self.unlisted {
            return Range::between(sure, u64::MAX);
        }
        let most = sure + self.possible.difference(&self.sure).count() as u64;
        if most == sure { Range::exact(sure) } else { Range::around(sure, sure, most) }
    }

    /// Everything that is sure or possible, in order, with whether it is sure.
    pub fn iter(&self) -> impl Iterator<Item = (&T, bool)> {
        self.sure.union(&self.possible).map(|member| (member, self.sure.contains(member)))
    }

    /// Is it sure that there is none?
    pub fn is_none(&self) -> bool {
        self.sure.is_empty() && self.possible.is_empty() && !self.unlisted
    }

    /// Could this come true as everything that the other can?
    pub fn covers(&self, other: &Self) -> bool {
        self.sure.is_subset(&other.sure) && self.bounds(other)
    }

    /// Is everything that the other may hold among what this may hold? Unlike [`covers`](Self::covers) the other may
    /// hold less: who agreed to lose two volumes has agreed to lose one.
    pub fn bounds(&self, other: &Self) -> bool {
        self.unlisted || (!other.unlisted && other.iter().all(|(member, _)| self.contains(member)))
    }

    fn contains(&self, member: &T) -> bool {
        self.sure.contains(member) || self.possible.contains(member)
    }
}

impl<T: Ord> Default for Among<T> {
    fn default() -> Self {
        Self::none()
    }
}

impl<T: Ord> FromIterator<T> for Among<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        Self::exactly(members)
    }
}
