//! What an agent has done so far, counted on effects.
//!
//! Knows: how effects add up, so that many small actions cannot make a large one unseen.
//! Does not know: where the effects are kept (a fold over the journal gives these), or what is too much.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::record::record;
use crate::{Among, Cost, Effect, Manner, ObjectRef, Range};

record! {
    /// The effects of some actions, added up. Sums are ranges as the effects are, so that a budget compares them with
    /// its limit in the same way, and what nobody knows is never sure to be too much.
    #[derive(Default)]
    pub struct Tally {
        /// Actions that changed something, or may have.
        actions: u64 => "actions",
        /// Objects created.
        created: Range<u64> => "created",
        /// Objects changed.
        changed: Range<u64> => "changed",
        /// Objects deleted.
        deleted: Range<u64> => "deleted",
        /// Namespaces in which anything was touched.
        namespaces: BTreeSet<String> => "namespaces",
        /// The course of each service that was touched.
        services: BTreeMap<String, Course> => "services",
        /// Volumes and the like that were lost.
        volumes_lost: Among<ObjectRef> => "volumesLost",
        /// Safeguards that were taken away.
        guards_removed: Among<ObjectRef> => "guardsRemoved",
        /// Machines that were taken out of work, each counted once however often.
        machines_lost: Among<ObjectRef> => "machinesLost",
        /// Cost per hour before the first action, and after the last.
        cost: Cost => "cost",
    }
}

record! {
    /// What became of a service over several actions.
    #[derive(Default)]
    pub struct Course {
        /// Endpoints ready when the first of them came.
        ready_first: u64 => "readyFirst",
        /// The fewest ready at any moment.
        ready_min: Range<u64> => "readyMin",
        /// Endpoints ready after the last.
        ready_last: Range<u64> => "readyLast",
    }
}

/// Sums saturate, and an end that nobody knows stays unknown.
fn sum(a: &Range<u64>, b: &Range<u64>) -> Range<u64> {
    let expected = a.expected.zip(b.expected).map(|(a, b)| a.saturating_add(b));
    Range { best: a.low().saturating_add(b.low()), expected, worst: a.high().saturating_add(b.high()) }
}

/// The smaller of two numbers, as far as either is known.
fn fewer(a: &Range<u64>, b: &Range<u64>) -> Range<u64> {
    let expected = a.expected.zip(b.expected).map(|(a, b)| a.min(b));
    Range { best: a.high().min(b.high()), expected, worst: a.low().min(b.low()) }
}

fn union<T: Ord + Clone>(into: &mut Among<T>, from: &Among<T>) {
    into.sure.extend(from.sure.iter().cloned());
    into.possible.extend(from.possible.iter().cloned());
    into.unlisted |= from.unlisted;
}

impl Tally {
    /// Adds one effect.
    pub fn add(&mut self, effect: &Effect) {
        let (forecast, objects) = (&effect.forecast, &effect.objects);
        if self.actions == 0 {
            self.cost.per_hour_before = forecast.cost.per_hour_before;
        }
        self.actions += 1;
        self.created = sum(&self.created, &objects.count(Manner::Created));
        self.changed = sum(&self.changed, &objects.count(Manner::Changed));
        self.deleted = sum(&self.deleted, &objects.count(Manner::Deleted));
        self.namespaces.extend(objects.namespaces().into_iter().map(str::to_owned));
        for (name, service) in &forecast.services {
            let course = self.services.entry(name.clone()).or_insert(Course {
                ready_first: service.ready_before,
                ready_min: service.ready_min,
                ready_last: service.ready_after,
            });
            course.ready_min = fewer(&course.ready_min, &service.ready_min);
            course.ready_last = service.ready_after;
        }
        union(&mut self.volumes_lost, &forecast.volumes_lost);
        union(&mut self.guards_removed, &forecast.guards_removed);
        union(&mut self.machines_lost, &forecast.machines_lost);
        self.cost.per_hour_after = forecast.cost.per_hour_after;
    }

    /// This and one more effect: what would be spent if it passed.
    pub fn with(&self, effect: &Effect) -> Self {
        let mut tally = self.clone();
        tally.add(effect);
        tally
    }
}

/// What has been spent within the window that the gate counts over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spent {
    /// By this agent.
    pub agent: Tally,
    /// By all agents together, on this target.
    pub everyone: Tally,
}
