//! Many small actions do not add up to a large one.

use std::collections::BTreeMap;

use model::{ActionPolicy, Decimal, Evidence, Opinion, PolicyError};
use serde_json::Value;

use crate::{about_effects, limits, listed};

/// What an agent may do within the gate's window, all its actions together.
#[derive(Debug, Clone)]
pub struct SessionBudget {
    /// Objects deleted.
    pub deleted_max: u64,
    /// Machines taken out of work.
    pub nodes_max: u64,
    /// The share of all machines, in thousandths, that agents together may take out of work beyond so many.
    pub nodes_max_permille: u16,
    /// Of the endpoints that a service had before the agent's first action, in thousandths, so many must be left.
    pub floor_permille: u16,
}

impl Default for SessionBudget {
    fn default() -> Self {
        Self { deleted_max: 200, nodes_max: 3, nodes_max_permille: 250, floor_permille: 500 }
    }
}

impl ActionPolicy for SessionBudget {
    fn name(&self) -> &str {
        "session-budget"
    }

    fn help(&self) -> &str {
        "Counts effects over an agent's session, so that small steps cannot go where one large step may not."
    }

    fn remedy(&self) -> &str {
        "Submit the whole change at once, so that a person sees where it leads."
    }

    fn limits(&self) -> BTreeMap<String, Value> {
        limits([
            ("session_deleted_max", self.deleted_max.into()),
            ("session_nodes_max", self.nodes_max.into()),
            ("session_nodes_max_permille", self.nodes_max_permille.into()),
            ("session_floor_permille", self.floor_permille.into()),
        ])
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let spent = &evidence.spent.agent;
            let takes = !evidence.effect.forecast.machines_lost.is_none();
            // Many hands, one machine each: what each may do alone is not what all of them may.
            let taken = evidence.spent.everyone.with(evidence.effect).machines_lost.count();
            let of = evidence.effect.forecast.blast.nodes.of;
            let many = Decimal::from_millis(i64::from(self.nodes_max_permille));
            let others = evidence.spent.everyone.actions > spent.actions;
            if takes && others && taken.high() > self.nodes_max && Decimal::ratio(taken.high(), of.max(1)) > many {
                return Ok(Opinion::hold(format!(
                    "with what others took, {taken} of {of} machines would be taken out of work, limit {}",
                    self.nodes_max
                )));
            }
            if spent.actions == 0 {
                return Ok(Opinion::Abstain); // the other rules judge a single action
            }
            let total = spent.with(evidence.effect);
            let floor = Decimal::from_millis(i64::from(self.floor_permille));
            let worn: Vec<String> = total
                .services
                .iter()
                .filter(|(name, course)| {
                    let shrinks = evidence.effect.forecast.services.get(*name).is_some_and(model::Service::is_degraded);
                    let (first, last) = (course.ready_first, course.ready_last.low());
                    shrinks && first > 0 && Decimal::ratio(last, first) < floor && spent.services.contains_key(*name)
                })
                .map(|(name, course)| {
                    let (first, last) = (course.ready_first, course.ready_last);
                    format!("service {name} would have gone from {first} to {last} endpoints")
                })
                .collect();
            if !worn.is_empty() {
                return Ok(Opinion::hold(format!("in this session {}", listed(worn))));
            }
            if total.deleted.high() > self.deleted_max {
                return Ok(Opinion::hold(format!(
                    "in this session {} objects would be deleted, limit {}",
                    total.deleted, self.deleted_max
                )));
            }
            // Who gives a machine back is not held for those taken before.
            let machines = total.machines_lost.count();
            if machines.high() > self.nodes_max && takes {
                return Ok(Opinion::hold(format!(
                    "in this session {machines} machines would be taken out of work, limit {}",
                    self.nodes_max
                )));
            }
            Ok(Opinion::Abstain)
        })
    }
}
