//! What shows in no count today, and will.

use model::{ActionPolicy, Evidence, Opinion, PolicyError};

use crate::about_effects;

/// Dangers that are sure to come are for a person to accept.
#[derive(Debug, Clone, Copy, Default)]
pub struct LatentDanger;

impl ActionPolicy for LatentDanger {
    fn name(&self) -> &str {
        "latent-danger"
    }

    fn help(&self) -> &str {
        "Holds what leaves something unable to start, complete, be changed or be found later, though nothing is missing now."
    }

    fn remedy(&self) -> &str {
        "Change what depends on it first."
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let mut hazards = evidence.effect.forecast.hazards.iter();
            let Some(first) = hazards.next() else {
                return Ok(Opinion::Abstain);
            };
            let others = hazards.count();
            let more = if others > 0 { format!("; and {others} more such dangers") } else { String::new() };
            Ok(Opinion::hold(format!("{} is in danger: {}{more}", first.object, first.because)))
        })
    }
}
