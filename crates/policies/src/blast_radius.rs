//! One action touches only so much of the whole.

use std::collections::BTreeMap;

use model::{ActionPolicy, Decimal, Evidence, Finding, Opinion, PolicyError, Touched};
use serde_json::Value;

use crate::{about_effects, limits};

/// How much one action may touch before a person looks.
#[derive(Debug, Clone)]
pub struct BlastRadius {
    /// Objects, not counting the replicas that controllers make as many of as they need.
    pub objects_max: u64,
    /// Of these, deleted ones.
    pub deleted_max: u64,
    /// Namespaces.
    pub namespaces_max: u64,
    /// Machines that lose work or take none, in thousandths of all.
    pub nodes_max_permille: u16,
    /// Services that have fewer endpoints at some moment, in thousandths of all; two may always.
    pub services_max_permille: u16,
}

impl Default for BlastRadius {
    fn default() -> Self {
        Self {
            objects_max: 50,
            deleted_max: 20,
            namespaces_max: 3,
            nodes_max_permille: 250,
            services_max_permille: 250,
        }
    }
}

/// So few are never too many, however small the whole is.
const ALWAYS: u64 = 2;

impl ActionPolicy for BlastRadius {
    fn name(&self) -> &str {
        "blast-radius"
    }

    fn help(&self) -> &str {
        "Holds what touches more objects, namespaces, machines or services at once than one action should."
    }

    fn remedy(&self) -> &str {
        "Do it in parts, each of which can be looked at and taken back."
    }

    fn limits(&self) -> BTreeMap<String, Value> {
        limits([
            ("objects_max", self.objects_max.into()),
            ("deleted_max", self.deleted_max.into()),
            ("namespaces_max", self.namespaces_max.into()),
            ("nodes_max_permille", self.nodes_max_permille.into()),
            ("services_max_permille", self.services_max_permille.into()),
        ])
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let blast = &evidence.effect.forecast.blast;
            let count = |what: &str, touched: &Touched, max: u64| {
                (touched.touched.at_most(max), format!("{} {what}, limit {max}", touched.touched))
            };
            let share = |what: &str, touched: &Touched, permille: u16| {
                let max = Decimal::from_millis(i64::from(permille));
                let few = touched.touched.at_most(ALWAYS);
                (few.or(touched.share().at_most(max)), format!("{} of {} {what}", touched.touched, touched.of))
            };
            let found = [
                count("objects", &blast.objects, self.objects_max),
                count("objects deleted", &blast.deleted, self.deleted_max),
                count("namespaces", &blast.namespaces, self.namespaces_max),
                share("machines", &blast.nodes, self.nodes_max_permille),
                share("services with fewer endpoints", &blast.services, self.services_max_permille),
            ];
            let beyond: Vec<String> =
                found.into_iter().filter(|(finding, _)| *finding != Finding::Passes).map(|(_, said)| said).collect();
            Ok(if beyond.is_empty() {
                Opinion::allow("it touches little")
            } else {
                // Size alone is no harm: a person says whether it was meant.
                Opinion::hold(format!("it would touch {}", beyond.join(", "))).remedy("the same in smaller parts")
            })
        })
    }
}
