//! Disruption budgets hold however the disruption is asked for.

use model::{ActionPolicy, Evidence, Finding, Opinion, PolicyError};

use crate::about_effects;

/// Nothing takes away more replicas than their disruption budget allows, by eviction or otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct DisruptionBudget;

impl ActionPolicy for DisruptionBudget {
    fn name(&self) -> &str {
        "disruption-budget"
    }

    fn help(&self) -> &str {
        "Holds plain deletes, restarts and drains to the disruption budgets that evictions are held to."
    }

    fn remedy(&self) -> &str {
        "Evict instead of deleting, one at a time, and wait until replacements are ready."
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let budgets = evidence.effect.forecast.budgets.iter();
            let worst = budgets
                .map(|(name, budget)| (budget.violated.at_most(0), name, budget))
                .filter(|(finding, ..)| *finding != Finding::Passes)
                .reduce(|worst, next| if next.0 > worst.0 { next } else { worst });
            let Some((finding, name, budget)) = worst else {
                return Ok(Opinion::Abstain);
            };
            let because = format!(
                "{name} allows {} disruptions, and {} more would be caused",
                budget.allowed_before, budget.violated
            );
            Ok(finding.because(because).remedy("the same through the eviction API"))
        })
    }
}
