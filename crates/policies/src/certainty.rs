//! What the twin is not sure of is not taken for granted.

use model::{ActionPolicy, Evidence, Opinion, PolicyError};

use crate::{about_effects, listed};

/// Holds what the twin says it did not model, could not read, or guessed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Certainty;

impl ActionPolicy for Certainty {
    fn name(&self) -> &str {
        "certainty"
    }

    fn help(&self) -> &str {
        "Holds effects of which the twin itself says that it may be wrong."
    }

    fn remedy(&self) -> &str {
        "Rehearse it where it does no harm, or ask a person."
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let forecast = &evidence.effect.forecast;
            let reach = &forecast.reach;
            if !forecast.uncertain.is_empty() {
                return Ok(Opinion::hold(format!("the twin is not sure: {}", listed(&forecast.uncertain))));
            }
            if reach.opened.unlisted || reach.closed.unlisted {
                return Ok(Opinion::hold("who could reach whom afterwards is not known"));
            }
            Ok(Opinion::Abstain)
        })
    }
}
