//! Predicted against observed.
//!
//! Knows: which numbers of an effect can be measured afterwards, that a number inside its forecast range is right, and
//! that nobody can be held to what something else has changed before it came true.
//! Does not know: how production is observed, or what is done with a twin that is often wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Decimal, Effect, Footprint, Key, Manner, Number, ObjectRef, Range};

/// How far a forecast was from what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// How many numbers and sets were compared.
    pub compared: u64,
    /// Those that came out differently.
    pub wrong: Vec<Miss>,
    /// What was not compared, because something else changed it first. It speaks neither for the twin nor against it.
    #[serde(default, skip_serializing_if = "Overtaken::is_empty")]
    pub overtaken: Overtaken,
}

/// What something else has changed before a forecast of it could come true, each with who did: `case 7q3k`.
///
/// A forecast says what comes of one action if nothing else happens. Where something else does, what is seen afterwards
/// measures both, and blaming the forecast for it would make a twin look worse the more it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Overtaken {
    /// By the names that forecasts give them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, String>,
    /// Workloads among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objects: BTreeMap<ObjectRef, String>,
}

impl Overtaken {
    /// Nothing is.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.objects.is_empty()
    }

    /// Takes in what another knows of. Whoever was first stays the one who is named.
    pub fn add(&mut self, other: Self) {
        for (service, by) in other.services {
            self.services.entry(service).or_insert(by);
        }
        for (object, by) in other.objects {
            self.objects.entry(object).or_insert(by);
        }
    }

    /// Notes what of a forecast a later action touches, by what that one was forecast to do.
    pub fn by_action(&mut self, predicted: &Effect, later: &Effect, touches: &Footprint, by: &str) {
        for service in predicted.forecast.services.keys() {
            if later.forecast.services.contains_key(service) || later.objects.unlisted {
                self.services.entry(service.clone()).or_insert_with(|| by.to_owned());
            }
        }
        for object in measurable(predicted) {
            if touches.writes_to(&Key::object(object)) {
                self.objects.entry(object.clone()).or_insert_with(|| by.to_owned());
            }
        }
    }

    /// Is there nothing left of a forecast that it could be held to?
    pub fn leaves_nothing_of(&self, predicted: &Effect) -> bool {
        !self.is_empty()
            && predicted.forecast.services.keys().all(|service| self.services.contains_key(service))
            && measurable(predicted).all(|object| self.objects.contains_key(object))
    }

    /// What was overtaken, by whom, for people.
    pub fn told(&self) -> BTreeMap<&str, Vec<String>> {
        let mut told: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (service, by) in &self.services {
            told.entry(by).or_default().push(format!("service {service}"));
        }
        for (object, by) in &self.objects {
            told.entry(by).or_default().push(object.to_string());
        }
        told
    }
}

/// The objects of a forecast that an observation can find again: the names of replicas are chance.
fn measurable(effect: &Effect) -> impl Iterator<Item = &ObjectRef> {
    let touched = effect.objects.touched.iter().filter(|(_, change)| change.replica_of.is_none());
    effect.forecast.workloads.keys().chain(touched.map(|(object, _)| object))
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
    /// Compares a forecast with an observation. Only what the observer reports on is compared, and nothing that was
    /// overtaken: a service that it did not watch is neither right nor wrong.
    pub fn between(predicted: &Effect, observed: &Effect, overtaken: Overtaken) -> Self {
        let mut drift = Self { compared: 0, wrong: Vec::new(), overtaken };
        let (told, seen) = (&predicted.forecast, &observed.forecast);
        for (name, now) in &seen.services {
            let Some(then) = told.services.get(name) else { continue };
            if !drift.overtaken.services.contains_key(name) {
                drift.number(format!("service {name} readyMin"), &then.ready_min, &now.ready_min);
                drift.number(format!("service {name} readyAfter"), &then.ready_after, &now.ready_after);
            }
        }
        for (name, now) in &seen.workloads {
            let Some(then) = told.workloads.get(name) else { continue };
            if !drift.overtaken.objects.contains_key(name) {
                drift.number(format!("{name} wantedAfter"), &then.wanted_after, &now.wanted_after);
                drift.number(format!("{name} readyAfter"), &then.ready_after, &now.ready_after);
            }
        }
        for (manner, what) in [(Manner::Created, "created"), (Manner::Changed, "changed"), (Manner::Deleted, "deleted")]
        {
            let (told, seen) = (drift.named(predicted, manner), drift.named(observed, manner));
            drift.set(what, &told, &seen, predicted.objects.unlisted);
        }
        for (what, told, seen) in [
            ("volumesLost", &told.volumes_lost, &seen.volumes_lost),
            ("claimsDeleted", &told.claims_deleted, &seen.claims_deleted),
        ] {
            let (sure, now) = (drift.left(&told.sure), drift.left(&seen.sure));
            drift.set(what, &sure, &now, told.unlisted);
        }
        drift
    }

    /// Nothing was compared: everything was overtaken, so that there was nothing to observe any more.
    pub const fn void(overtaken: Overtaken) -> Self {
        Self { compared: 0, wrong: Vec::new(), overtaken }
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

    /// What is touched in one manner, without replicas: their counts are compared with the workloads.
    fn named(&self, effect: &Effect, manner: Manner) -> BTreeSet<ObjectRef> {
        let touched = effect.objects.touched.iter().filter(|(_, c)| c.manner == manner && c.replica_of.is_none());
        self.left(touched.map(|(object, _)| object))
    }

    /// Without what was overtaken.
    fn left<'o>(&self, objects: impl IntoIterator<Item = &'o ObjectRef>) -> BTreeSet<ObjectRef> {
        objects.into_iter().filter(|object| !self.overtaken.objects.contains_key(*object)).cloned().collect()
    }
}
