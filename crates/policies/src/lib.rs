//! The rules: what an effect may be.
//!
//! Knows: the vocabulary of effects; in `site`, the language in which a site writes its own.
//! Does not know: any target, any twin, the gate.
//!
//! One file a built-in rule. Each compares an end of a range with a limit and lets the range choose between hold and deny; rules
//! that only a person can weigh never deny. The limits are fields, so that a site sets its own.

mod availability_floor;
mod blast_radius;
mod capacity;
mod certainty;
mod data_loss;
mod disruption_budget;
mod error_budget;
mod guards;
mod latent_danger;
mod privilege;
mod protected;
mod reach;
mod session_budget;
mod signature;
mod site;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use model::{Access, ActionPolicy, Evidence, Opinion, PolicyError};
use serde_json::Value;

pub use availability_floor::AvailabilityFloor;
pub use blast_radius::BlastRadius;
pub use capacity::Capacity;
pub use certainty::Certainty;
pub use data_loss::DataLoss;
pub use disruption_budget::DisruptionBudget;
pub use error_budget::ErrorBudget;
pub use guards::Guards;
pub use latent_danger::LatentDanger;
pub use privilege::Privileges;
pub use protected::Protected;
pub use reach::Reach;
pub use session_budget::SessionBudget;
pub use signature::Signature;
pub use site::{Excepted, Exception, Otherwise, Rule, RuleError, Scope, SiteRule};

/// The built-in rules with their limits, which a site may set.
#[derive(Debug, Clone, Default)]
pub struct Pack {
    /// What a request's shape decides.
    pub signature: Signature,
    /// What services keep.
    pub availability_floor: AvailabilityFloor,
    /// How many requests may fail.
    pub error_budget: ErrorBudget,
    /// How much one action touches.
    pub blast_radius: BlastRadius,
    /// What is not touched without a person.
    pub protected: Protected,
    /// What many actions may come to.
    pub session_budget: SessionBudget,
}

impl Pack {
    /// The rules, the cheapest to explain first.
    #[must_use]
    pub fn rules(self) -> Vec<Box<dyn ActionPolicy>> {
        vec![
            Box::new(self.signature),
            Box::new(self.availability_floor),
            Box::new(self.error_budget),
            Box::new(DisruptionBudget),
            Box::new(DataLoss),
            Box::new(Capacity),
            Box::new(self.protected),
            Box::new(Privileges),
            Box::new(Reach),
            Box::new(Guards),
            Box::new(LatentDanger),
            Box::new(self.blast_radius),
            Box::new(self.session_budget),
            Box::new(Certainty),
        ]
    }
}

/// The rules that are on where nothing else is said.
#[must_use]
pub fn builtin() -> Vec<Box<dyn ActionPolicy>> {
    Pack::default().rules()
}

/// What every rule about effects does first: say nothing of what only looks, and hold what nobody could foresee.
fn about_effects(
    evidence: &Evidence<'_>,
    judge: impl FnOnce() -> Result<Opinion, PolicyError>,
) -> Result<Opinion, PolicyError> {
    if evidence.action.access == Access::Read {
        return Ok(Opinion::Abstain);
    }
    // Where objects may be touched that nobody can name, an empty list of services says nothing about services.
    if evidence.effect.objects.unlisted {
        return Ok(Opinion::hold("what it would touch is not known"));
    }
    judge()
}

/// Limits under their names, as [`ActionPolicy::limits`] gives them.
fn limits<const N: usize>(limits: [(&str, Value); N]) -> BTreeMap<String, Value> {
    limits.into_iter().map(|(name, limit)| (name.to_owned(), limit)).collect()
}

/// A list of names as a person reads it: the first few, and how many more.
fn listed<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 3;
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ")),
    }
}
