//! Predicted against observed.
//!
//! Knows: which numbers of an effect can be measured afterwards, and that a number inside its forecast range is right.
//! Does not know: how production is observed, or what is done with a twin that is often wrong.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Decimal, Effect, Manner, Number, ObjectRef, Range};

/// How far a forecast was from what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// How many numbers and sets were compared.
    pub compared: u64,
    /// Those that came out differently.
    pub wrong: Vec<Miss>,
}

/// One thing that came out differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Miss {
    /// What: `service shop/cart readyMin`.
    pub what: String,
    /// As forecast.
    pub predicted: String,
    /// As it was.
    pub observed: String,
}

impl Drift {
    /// Compares a forecast with an observation. Only what the observer reports on is compared: a service that it did
    /// not watch is neither right nor wrong.
    pub fn between(predicted: &Effect, observed: &Effect) -> Self {
        let mut drift = Self { compared: 0, wrong: Vec::new() };
        let (told, seen) = (&predicted.forecast, &observed.forecast);
        for (name, now) in &seen.services {
            let Some(then) = told.services.get(name) else { continue };
            drift.number(format!("service {name} readyMin"), &then.ready_min, &now.ready_min);
            drift.number(format!("service {name} readyAfter"), &then.ready_after, &now.ready_after);
        }
        for (name, now) in &seen.workloads {
            let Some(then) = told.workloads.get(name) else { continue };
            drift.number(format!("{name} wantedAfter"), &then.wanted_after, &now.wanted_after);
            drift.number(format!("{name} readyAfter"), &then.ready_after, &now.ready_after);
        }
        drift.number("podsUnschedulable".into(), &told.pods_unschedulable, &seen.pods_unschedulable);
        for (manner, what) in [(Manner::Created, "created"), (Manner::Changed, "changed"), (Manner::Deleted, "deleted")]
        {
            drift.set(what, &named(predicted, manner), &named(observed, manner), predicted.objects.unlisted);
        }
        drift.set("volumesLost", &told.volumes_lost.sure, &seen.volumes_lost.sure, told.volumes_lost.unlisted);
        drift.set("claimsDeleted", &told.claims_deleted.sure, &seen.claims_deleted.sure, told.claims_deleted.unlisted);
        drift
    }

    /// The share that came out as forecast (0..=1).
    pub fn score(&self) -> Decimal {
        Decimal::ratio(self.compared.saturating_sub(self.wrong.len() as u64), self.compared)
    }

    fn number<T: Number>(&mut self, what: String, predicted: &Range<T>, observed: &Range<T>) {
        self.compare(what, predicted.covers(observed), predicted, observed);
    }

    fn set(&mut self, what: &str, predicted: &BTreeSet<ObjectRef>, observed: &BTreeSet<ObjectRef>, unlisted: bool) {
        if predicted.is_empty() && observed.is_empty() {
            return;
        }
        let right = predicted == observed || (unlisted && predicted.is_subset(observed));
        let only = |these: &BTreeSet<ObjectRef>, those: &BTreeSet<ObjectRef>| {
            let names: Vec<String> = these.difference(those).take(5).map(ToString::to_string).collect();
            if names.is_empty() { "nothing more".to_owned() } else { names.join(", ") }
        };
        self.compare(what.to_owned(), right, only(predicted, observed), only(observed, predicted));
    }

    fn compare(&mut self, what: String, right: bool, predicted: impl fmt::Display, observed: impl fmt::Display) {
        self.compared += 1;
        if !right {
            self.wrong.push(Miss { what, predicted: predicted.to_string(), observed: observed.to_string() });
        }
    }
}

/// The names of replicas are chance, and their counts are compared with the workloads.
fn named(effect: &Effect, manner: Manner) -> BTreeSet<ObjectRef> {
    let touched = effect.objects.touched.iter();
    touched.filter(|(_, c)| c.manner == manner && c.replica_of.is_none()).map(|(object, _)| object.clone()).collect()
}
