//! What shows in no count: nothing is missing today, and something will be.
//!
//! Knows: what a pod cannot start without.
//! Does not know: when the next pod will start. One always does.

use std::collections::BTreeSet;

use cluster::{Cluster, ObjectKey, Value};
use model::{Forecast, Hazard, HazardKind, ObjectRef};

use super::ledger::{Ledger, reference};

/// Where a pod template stands in each kind that has one.
const TEMPLATES: &[(&str, &[&str])] = &[
    ("deployments.apps", &["spec", "template", "spec"]),
    ("statefulsets.apps", &["spec", "template", "spec"]),
    ("daemonsets.apps", &["spec", "template", "spec"]),
    ("jobs.batch", &["spec", "template", "spec"]),
    ("cronjobs.batch", &["spec", "jobTemplate", "spec", "template", "spec"]),
];

/// Fills in the dangers that the other figures do not show.
pub(super) fn read(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.net() {
        let Some(before) = net.before else { continue };
        if !(net.is_deletion() || net.begins_to_terminate()) {
            continue;
        }
        if let Some(kind) = needed_kind(&key.resource) {
            for workload in dependents(ledger.after, key, kind) {
                forecast.hazards.insert(Hazard {
                    kind: HazardKind::CannotStart,
                    object: workload,
                    because: format!("its pods need {}, which is deleted", reference(key, before)),
                    sure: true,
                });
            }
        }
    }
    members(ledger, forecast);
    stuck(ledger, forecast);
}

/// A claim that is a member's own: the member that comes next under its name begins with nothing.
fn members(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let gone = ledger.of("persistentvolumeclaims").filter(|(_, net)| net.is_deletion() || net.begins_to_terminate());
    for (key, _) in gone {
        for (own, set) in ledger.after.list("statefulsets.apps", Some(&key.namespace)) {
            let wanted = set.at(&["spec", "replicas"]).as_int().unwrap_or(1);
            let first = set.at(&["spec", "ordinals", "start"]).as_int().unwrap_or(0);
            let kept = set.at(&["spec", "volumeClaimTemplates"]).items().iter().any(|template| {
                let prefix = format!("{}-{}-", template.name(), own.name);
                let number = key.name.strip_prefix(prefix.as_str()).and_then(|number| number.parse::<i64>().ok());
                number.is_some_and(|number| (first..first + wanted).contains(&number))
            });
            if kept && !set.is_terminating() {
                let because = format!("the member that {} belongs to would begin with nothing", key.name);
                super::warn(forecast, HazardKind::DataLostLater, reference(own, set), because);
            }
        }
    }
}

fn needed_kind(resource: &str) -> Option<Needed> {
    match resource {
        "configmaps" => Some(Needed::ConfigMap),
        "secrets" => Some(Needed::Secret),
        "serviceaccounts" => Some(Needed::ServiceAccount),
        "persistentvolumeclaims" => Some(Needed::Claim),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needed {
    ConfigMap,
    Secret,
    ServiceAccount,
    Claim,
}

/// The workloads of the namespace that stay and whose pods cannot start without the object.
fn dependents(cluster: &Cluster, key: &ObjectKey, kind: Needed) -> Vec<ObjectRef> {
    let mut found = Vec::new();
    for (resource, path) in TEMPLATES {
        for (owner, object) in cluster.list(resource, Some(&key.namespace)) {
            let runs = match *resource {
                "jobs.batch" => {
                    object.controller().is_none()
                        && !object.condition_is_true("Complete")
                        && !object.condition_is_true("Failed")
                }
                _ => true,
            };
            if runs && !object.is_terminating() && needs(object.at(path), kind, &key.name) {
                found.push(reference(owner, object));
            }
        }
    }
    for (owner, pod) in cluster.orphans("pods", &key.namespace) {
        // A bare pod that runs has what it needs already; it is what it becomes after a restart that is in danger.
        let bare = pod.controller().is_none() && !pod.is_terminating();
        let over = matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed");
        if bare && !over && needs(pod.at(&["spec"]), kind, &key.name) {
            found.push(reference(owner, pod));
        }
    }
    found
}

/// Whether a pod of this spec cannot start without the object of this name. What is marked optional is not needed.
fn needs(spec: &Value, kind: Needed, name: &str) -> bool {
    let names = |source: &Value, field: &str| source.at(&[field]) == name && !source.at(&["optional"]).is_true();
    let volume = |volume: &Value| match kind {
        Needed::ConfigMap => names(volume.at(&["configMap"]), "name"),
        Needed::Secret => names(volume.at(&["secret"]), "secretName"),
        Needed::Claim => names(volume.at(&["persistentVolumeClaim"]), "claimName"),
        Needed::ServiceAccount => false,
    };
    let projected = |source: &Value| match kind {
        Needed::ConfigMap => names(source.at(&["configMap"]), "name"),
        Needed::Secret => names(source.at(&["secret"]), "name"),
        _ => false,
    };
    let (from, key_ref) = match kind {
        Needed::ConfigMap => ("configMapRef", "configMapKeyRef"),
        Needed::Secret => ("secretRef", "secretKeyRef"),
        _ => ("", ""),
    };
    let container = |container: &Value| {
        container.at(&["envFrom"]).items().iter().any(|source| names(source.at(&[from]), "name"))
            || container.at(&["env"]).items().iter().any(|entry| names(entry.at(&["valueFrom", key_ref]), "name"))
    };
    let volumes = spec.at(&["volumes"]).items();
    (kind == Needed::ServiceAccount && spec.at(&["serviceAccountName"]) == name)
        || volumes.iter().any(volume)
        || volumes.iter().any(|volume| volume.at(&["projected", "sources"]).items().iter().any(projected))
        || ["containers", "initContainers"].iter().any(|list| spec.at(&[list]).items().iter().any(container))
}

/// Rollouts that were begun and never complete: the new replicas cannot be placed, started or made ready.
fn stuck(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let touched: BTreeSet<&ObjectKey> = ledger.changes.iter().map(|change| &change.key).collect();
    for key in touched.into_iter().filter(|key| key.is("deployments.apps")) {
        let Some(after) = ledger.after.get(key) else { continue };
        let count = |field: &str| after.at(&["status", field]).as_int().unwrap_or(0);
        let wanted = after.at(&["spec", "replicas"]).as_int().unwrap_or(1);
        let template = ledger.before.get(key).map(|before| before.at(&["spec", "template"]).clone());
        let rolled = template.as_ref().is_some_and(|template| template != after.at(&["spec", "template"]));
        // One that is told to wait stands still as it should.
        let waits = after.at(&["spec", "paused"]).is_true();
        if rolled && !waits && (count("updatedReplicas") < wanted || count("unavailableReplicas") > 0) {
            forecast.hazards.insert(Hazard {
                kind: HazardKind::NeverCompletes,
                object: reference(key, after),
                because: format!(
                    "its rollout stands at {} of {wanted} updated replicas, {} of them unavailable, when the forecast ends",
                    count("updatedReplicas"),
                    count("unavailableReplicas")
                ),
                sure: true,
            });
        }
    }
}
