//! Parts of production that agents do not touch alone.

use std::collections::{BTreeMap, BTreeSet};

use model::{ActionPolicy, Evidence, Manner, Opinion, PolicyError};
use serde_json::Value;

use crate::{about_effects, limits, listed};

/// Namespaces in which nothing is changed, and kinds of which nothing is deleted, without a person.
#[derive(Debug, Clone)]
pub struct Protected {
    /// Namespaces that hold what everything else stands on.
    pub namespaces: BTreeSet<String>,
    /// Kinds whose members are not deleted.
    pub kinds: BTreeSet<String>,
}

/// The fact that nothing stands on an object any more, and nothing new would.
const IDLE: &str = "idle";

/// The fact that an object calls itself a part of its machine or of the cluster.
const CRITICAL: &str = "critical";

impl Default for Protected {
    fn default() -> Self {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            namespaces: set(&["kube-system", "kube-public", "kube-node-lease"]),
            kinds: set(&[
                "Node",
                "PersistentVolume",
                "APIService",
                "StorageClass",
                "CSIDriver",
                "PriorityClass",
                "IngressClass",
            ]),
        }
    }
}

impl ActionPolicy for Protected {
    fn name(&self) -> &str {
        "protected"
    }

    fn help(&self) -> &str {
        "Holds changes in namespaces, and deletions of kinds, that everything else stands on."
    }

    fn remedy(&self) -> &str {
        "Ask a person who owns the platform."
    }

    fn limits(&self) -> BTreeMap<String, Value> {
        limits([
            ("protected_namespaces", self.namespaces.iter().cloned().collect()),
            ("protected_kinds", self.kinds.iter().cloned().collect()),
        ])
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        about_effects(evidence, || {
            let touched = evidence.effect.objects.touched.iter().filter(|(object, change)| {
                let inside = object.namespace.as_ref().is_some_and(|namespace| self.namespaces.contains(namespace));
                let whole = object.kind == "Namespace" && self.namespaces.contains(&object.name);
                let kept = change.manner == Manner::Deleted
                    && self.kinds.contains(&object.kind)
                    && change.facts.get(IDLE).is_none_or(|idle| *idle != true);
                // What reacts inside a protected namespace (a daemon's pod on a drained node) was not asked for there.
                let critical = change.named && change.facts.get(CRITICAL).is_some_and(|critical| *critical == true);
                (change.named && inside) || whole || kept || critical
            });
            let names: Vec<_> = touched.map(|(object, _)| object).collect();
            if names.is_empty() {
                return Ok(Opinion::Abstain);
            }
            Ok(Opinion::hold(format!("{} is protected", listed(names))))
        })
    }
}
