//! A guard is not taken down on the way to what it guards.

use model::{ActionPolicy, Evidence, Opinion, PolicyError};

use crate::{about_effects, listed};

/// Budgets, quotas, network and admission rules are not removed or weakened while they guard something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guards;

impl ActionPolicy for Guards {
    fn name(&self) -> &str {
        "guards"
    }

    fn help(&self) -> &str {
        "Holds the removal or weakening of safeguards that still guard something."
    }

    fn remedy(&self) -> &str {
        "Ask for the guarded action itself; if the guard is wrong, a person changes it."
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let removed = &evidence.effect.forecast.guards_removed;
            if removed.is_none() {
                return Ok(Opinion::Abstain);
            }
            Ok(Opinion::hold(format!(
                "{} would no longer guard what it guards",
                listed(removed.iter().map(|(object, _)| object))
            )))
        })
    }
}
