//! What was kept apart stays apart.

use model::{ActionPolicy, Evidence, Opinion, PolicyError};

use crate::{about_effects, listed};

/// Nobody from elsewhere reaches what they could not reach, unless a person says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reach;

impl ActionPolicy for Reach {
    fn name(&self) -> &str {
        "reach"
    }

    fn help(&self) -> &str {
        "Holds what lets other namespaces, or anywhere, reach over the network what they could not reach before."
    }

    fn remedy(&self) -> &str {
        "Admit single callers on single ports, and keep the rest isolated."
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let opened = &evidence.effect.forecast.reach.opened;
            let foreign: Vec<String> = opened
                .iter()
                .filter(|(flow, _)| flow.foreign || flow.outside)
                .map(|(flow, _)| format!("{} would reach {} on {}", flow.from, flow.to, flow.on))
                .collect();
            if foreign.is_empty() {
                return Ok(Opinion::Abstain);
            }
            Ok(Opinion::hold(listed(foreign)))
        })
    }
}
