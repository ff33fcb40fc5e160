//! What an agent has done so far, counted on effects.
//!
//! Knows: how effects add up, so that many small actions cannot make a large one unseen.
//! Does not know: where the effects are kept (a fold over the journal gives these), or what is too much.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Decimal, Effect, Manner, ObjectRef};

/// The effects of some actions, added up. Of what is uncertain the worst is counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tally {
    /// Actions that changed something, or may have.
    pub actions: u64,
    /// Objects created.
    pub created: u64,
    /// Objects changed.
    pub changed: u64,
    /// Objects deleted.
    pub deleted: u64,
    /// Namespaces in which anything was touched.
    pub namespaces: BTreeSet<String>,
    /// Ready endpoints each service had before the first action that touched it, and ready endpoints after the last.
    pub services: BTreeMap<String, (u64, u64)>,
    /// Volumes and the like that were lost.
    pub volumes_lost: BTreeSet<ObjectRef>,
    /// Safeguards that were taken away.
    pub guards_removed: BTreeSet<ObjectRef>,
    /// Machines that lose work or take none: summed, as their names are not part of an effect.
    pub nodes: u64,
    /// Cost added, per hour.
    pub cost_per_hour: Decimal,
}

impl Tally {
    /// Adds one effect.
    pub fn add(&mut self, effect: &Effect) {
        let forecast = &effect.forecast;
        self.actions += 1;
        self.created = self.created.saturating_add(effect.objects.count(Manner::Created).high());
        self.changed = self.changed.saturating_add(effect.objects.count(Manner::Changed).high());
        self.deleted = self.deleted.saturating_add(effect.objects.count(Manner::Deleted).high());
        self.namespaces.extend(effect.objects.namespaces().into_iter().map(str::to_owned));
        for (name, service) in &forecast.services {
            let first = self.services.get(name).map_or(service.ready_before, |(first, _)| *first);
            self.services.insert(name.clone(), (first, service.ready_after.low()));
        }
        self.volumes_lost.extend(forecast.volumes_lost.iter().map(|(object, _)| object.clone()));
        self.guards_removed.extend(forecast.guards_removed.iter().map(|(object, _)| object.clone()));
        self.nodes = self.nodes.saturating_add(forecast.blast.nodes.touched.high());
        let cost = &forecast.cost;
        self.cost_per_hour = self.cost_per_hour.plus(cost.per_hour_after.high().minus(cost.per_hour_before));
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
