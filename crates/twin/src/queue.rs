//! What is due, and when.
//!
//! Knows: an order of work by time, and within one instant by arrival.
//! Does not know: what the work is.

use imbl::OrdMap;

use crate::Time;

/// Work by the time it is due; each item stands in it at most once, at its earliest time.
///
/// Keeping only the earliest is enough because the work is level-triggered: whoever handles an item looks at
/// the whole state and says anew when it must be looked at again. Cloning is O(1).
#[derive(Clone, Debug)]
pub struct Queue<T: Ord + Clone> {
    due: OrdMap<(Time, u64), T>,
    place: OrdMap<T, (Time, u64)>,
    arrivals: u64,
}

impl<T: Ord + Clone> Default for Queue<T> {
    fn default() -> Self {
        Self { due: OrdMap::new(), place: OrdMap::new(), arrivals: 0 }
    }
}

impl<T: Ord + Clone> Queue<T> {
    /// Puts `item` in at `at`, unless it is due no later already.
    pub fn add(&mut self, at: Time, item: T) {
        if let Some(place) = self.place.get(&item) {
            if place.0 <= at {
                return;
            }
            self.due.remove(place);
        }
        self.arrivals += 1;
        let place = (at, self.arrivals);
        self.due.insert(place, item.clone());
        self.place.insert(item, place);
    }

    /// When the next item is due.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.due.get_min().map(|(place, _)| place.0)
    }

    /// Takes the first item that is due at `until` or before.
    pub fn pop(&mut self, until: Time) -> Option<(Time, T)> {
        let (place, _) = self.due.get_min()?;
        if place.0 > until {
            return None;
        }
        let place = *place;
        let item = self.due.remove(&place)?;
        self.place.remove(&item);
        Some((place.0, item))
    }

    /// How many items wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut Queue<&'static str>) -> Vec<(i64, &'static str)> {
        std::iter::from_fn(|| queue.pop(Time::NEVER)).map(|(at, item)| (at.as_millis(), item)).collect()
    }

    #[test]
    fn items_come_out_by_time_and_within_one_instant_by_arrival() {
        let mut queue = Queue::default();
        for (at, item) in [(5, "c"), (1, "b"), (1, "a")] {
            queue.add(Time::from_millis(at), item);
        }
        assert_eq!(drain(&mut queue), [(1, "b"), (1, "a"), (5, "c")]);
    }

    #[test]
    fn an_item_stands_once_at_its_earliest_time() {
        let mut queue = Queue::default();
        for at in [9, 3, 7] {
            queue.add(Time::from_millis(at), "a");
        }
        assert_eq!(drain(&mut queue), [(3, "a")]);
    }

    #[test]
    fn nothing_is_taken_before_it_is_due() {
        let mut queue = Queue::default();
        queue.add(Time::from_millis(10), "a");
        assert_eq!(queue.pop(Time::from_millis(9)), None);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_fork_does_not_disturb_its_origin() {
        let mut origin = Queue::default();
        origin.add(Time::from_millis(1), "a");
        let mut fork = origin.clone();
        fork.pop(Time::NEVER);
        assert_eq!(drain(&mut origin), [(1, "a")]);
    }
}
