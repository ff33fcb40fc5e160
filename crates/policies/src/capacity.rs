//! There is room for what is asked.

use model::{ActionPolicy, Evidence, Finding, Opinion, PolicyError};

use crate::{about_effects, listed};

/// Nothing is thrown out, and nothing that ran before is left without a place.
#[derive(Debug, Clone, Copy, Default)]
pub struct Capacity;

impl ActionPolicy for Capacity {
    fn name(&self) -> &str {
        "capacity"
    }

    fn help(&self) -> &str {
        "Stops what would throw out running replicas, or leave replicas without a machine to run on."
    }

    fn remedy(&self) -> &str {
        "Ask for less, at a lower priority, or make room first."
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let forecast = &evidence.effect.forecast;
            let thrown_out = forecast.preempted.count().at_most(0);
            if thrown_out != Finding::Passes {
                let names = listed(forecast.preempted.iter().map(|(object, _)| object));
                return Ok(thrown_out.because(format!("{names} would be thrown out to make room")));
            }
            match forecast.pods_unschedulable.at_most(forecast.pods_content) {
                Finding::Passes => Ok(Opinion::Abstain),
                // Replicas that wait do no harm by waiting; a person decides whether they are worth asking for.
                _ => Ok(Opinion::hold(format!("{} replicas would find no place to run", forecast.pods_unschedulable))),
            }
        })
    }
}
