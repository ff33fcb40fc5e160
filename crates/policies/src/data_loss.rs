//! Data that exists nowhere else is not given up without a person.

use model::{ActionPolicy, Evidence, Opinion, PolicyError};

use crate::{about_effects, listed};

/// Volumes, buckets and tables are not lost without somebody agreeing.
#[derive(Debug, Clone, Copy, Default)]
pub struct DataLoss;

impl ActionPolicy for DataLoss {
    fn name(&self) -> &str {
        "data-loss"
    }

    fn help(&self) -> &str {
        "Holds whatever would end the only copy of stored data."
    }

    fn remedy(&self) -> &str {
        "Keep the data first: set its reclaim policy to retain, or take a snapshot and wait until it is ready."
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let lost = &evidence.effect.forecast.volumes_lost;
            if lost.is_none() {
                return Ok(Opinion::Abstain);
            }
            let names = listed(lost.iter().map(|(object, _)| object));
            let because = if names.is_empty() {
                "data may be lost that nobody can name".into()
            } else {
                format!("the data of {names} would be lost for good")
            };
            // A person may know that it is not needed; no rule can.
            Ok(Opinion::hold(because).remedy("a reclaim policy that retains, or a fresh snapshot"))
        })
    }
}
