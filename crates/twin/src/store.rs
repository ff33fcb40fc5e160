//! Versioned state that forks in O(1).
//!
//! Knows: keys, values, the order in which they changed.
//! Does not know: what a key or a value means.

use std::ops::RangeBounds;
use std::sync::atomic::{AtomicU64, Ordering};

use imbl::{OrdMap, Vector};

use crate::Time;

/// One change: what stood under a key before it and after it. Absent means there was, or is, nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<K, V> {
    /// The version that this change made. Versions only grow, one for each change.
    pub version: u64,
    /// When, in virtual time.
    pub at: Time,
    /// What changed.
    pub key: K,
    /// What stood there before.
    pub before: Option<V>,
    /// What stands there now.
    pub after: Option<V>,
}

/// The changes asked for are no longer kept: take the whole state and follow from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("changes since {asked} are no longer kept, the oldest known version is {oldest}")]
pub struct Compacted {
    /// The version that was asked for.
    pub asked: u64,
    /// The oldest version from which changes can still be followed.
    pub oldest: u64,
}

/// A map from keys to values that remembers how it came to be.
///
/// Cloning is O(1) and shares everything; a clone and its origin never see each other's changes.
#[derive(Clone, Debug)]
pub struct Store<K: Ord + Clone, V: Clone> {
    entries: OrdMap<K, V>,
    log: Vector<Change<K, V>>,
    /// Changes after this version are in the log.
    floor: u64,
    version: u64,
    keep: usize,
    reads: Meter,
}

/// Counts without asking for exclusive access. A copy counts on by itself.
///
/// It is what says that work is proportional to what an action touches, where a clock would only say that this machine was
/// quick today. Threads that read one store at once may lose counts to each other; a fork has one reader.
#[derive(Debug, Default)]
struct Meter(AtomicU64);

impl Meter {
    fn tick(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

impl Clone for Meter {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

impl<K: Ord + Clone, V: Clone> Store<K, V> {
    /// An empty store at `version` that keeps the last `keep` changes.
    #[must_use]
    pub fn new(version: u64, keep: usize) -> Self {
        Self { entries: OrdMap::new(), log: Vector::new(), floor: version, version, keep, reads: Meter::default() }
    }

    /// The version of the newest change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version that the next change will get.
    #[must_use]
    pub fn next_version(&self) -> u64 {
        self.version + 1
    }

    /// What stands under `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.reads.tick();
        self.entries.get(key)
    }

    /// How many values were looked at, by key or in passing, since the store and those it was forked from were new.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.reads.0.load(Ordering::Relaxed)
    }

    /// Counts a value that was looked at where else it is kept.
    pub fn saw_elsewhere(&self) {
        self.reads.tick();
    }

    /// Everything in a range of keys, in order.
    pub fn range<R: RangeBounds<K>>(&self, range: R) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.range(range).inspect(|_| self.reads.tick())
    }

    /// Everything, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.iter().inspect(|_| self.reads.tick())
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts a value in without a trace in the log, as a snapshot is loaded. The version rises to `version` if it is higher.
    pub fn load(&mut self, key: K, value: V, version: u64) {
        self.entries.insert(key, value);
        self.version = self.version.max(version);
        self.floor = self.version;
        self.log = Vector::new();
    }

    /// Takes a value out without a trace in the log, as [`load`](Self::load) put it in.
    pub fn unload(&mut self, key: &K) -> Option<V> {
        let value = self.entries.remove(key)?;
        self.floor = self.version;
        self.log = Vector::new();
        Some(value)
    }

    /// Writes (`Some`) or removes (`None`) what stands under `key` at an instant, and says what changed.
    /// Removing what is not there changes nothing and gives `None`.
    pub fn write(&mut self, at: Time, key: K, after: Option<V>) -> Option<Change<K, V>> {
        let before = match &after {
            Some(value) => self.entries.insert(key.clone(), value.clone()),
            None => Some(self.entries.remove(&key)?),
        };
        self.version += 1;
        let change = Change { version: self.version, at, key, before, after };
        self.log.push_back(change.clone());
        while self.log.len() > self.keep {
            if let Some(oldest) = self.log.pop_front() {
                self.floor = oldest.version;
            }
        }
        Some(change)
    }

    /// The changes after `version`, oldest first.
    ///
    /// # Errors
    /// [`Compacted`] if some of them are no longer kept.
    pub fn changes_since(&self, version: u64) -> Result<impl Iterator<Item = &Change<K, V>>, Compacted> {
        if version < self.floor {
            return Err(Compacted { asked: version, oldest: self.floor });
        }
        let start = self.log.binary_search_by_key(&version, |change| change.version).map_or_else(|at| at, |at| at + 1);
        Ok(self.log.focus().narrow(start..).into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(0);

    fn versions(store: &Store<&'static str, u8>, since: u64) -> Result<Vec<u64>, Compacted> {
        Ok(store.changes_since(since)?.map(|change| change.version).collect())
    }

    #[test]
    fn a_fork_and_its_origin_never_see_each_others_changes() {
        let mut origin = Store::new(0, 10);
        origin.write(NOW, "a", Some(1));
        let mut fork = origin.clone();
        fork.write(NOW, "a", Some(2));
        fork.write(NOW, "b", Some(3));
        assert_eq!((origin.get(&"a"), origin.get(&"b"), origin.version()), (Some(&1), None, 1));
        assert_eq!((fork.get(&"a"), fork.get(&"b"), fork.version()), (Some(&2), Some(&3), 3));
    }

    #[test]
    fn changes_are_told_from_any_version_that_is_still_kept() {
        let mut store = Store::new(0, 3);
        for value in 1..=5 {
            store.write(NOW, "a", Some(value));
        }
        assert_eq!(versions(&store, 5), Ok(vec![]));
        assert_eq!(versions(&store, 3), Ok(vec![4, 5]));
        assert_eq!(versions(&store, 2), Ok(vec![3, 4, 5]));
        assert_eq!(versions(&store, 1), Err(Compacted { asked: 1, oldest: 2 }));
    }

    #[test]
    fn every_look_is_counted_and_a_fork_counts_for_itself() {
        let mut store = Store::new(0, 3);
        for key in ["a", "b", "c"] {
            store.write(NOW, key, Some(1));
        }
        let fork = store.clone();
        assert_eq!(store.get(&"a"), Some(&1));
        store.range("b"..).for_each(drop);
        store.iter().next();
        assert_eq!((store.reads(), fork.reads()), (4, 0));
    }

    #[test]
    fn removing_what_is_not_there_is_no_change() {
        let mut store = Store::<_, u8>::new(7, 3);
        assert_eq!(store.write(NOW, "a", None), None);
        assert_eq!(store.version(), 7);
    }
}
