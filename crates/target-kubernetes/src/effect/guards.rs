//! What protected something, and no longer does.
//!
//! Knows: which kinds protect, and which of their changes make them protect less.
//! Does not know: whether what they protected still matters.

use cluster::{Cluster, ObjectKey, Value};
use model::Forecast;

use super::ledger::{Ledger, Net, reference};

/// Kinds whose absence lets through what they stopped.
const GUARDS: &[&str] = &[
    "poddisruptionbudgets.policy",
    "networkpolicies.networking.k8s.io",
    "resourcequotas",
    "limitranges",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "mutatingadmissionpolicies.admissionregistration.k8s.io",
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
];

/// Fills in the guards that are gone or weakened.
pub(super) fn read(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.net() {
        let Some(before) = net.before else { continue };
        let guards = GUARDS.contains(&key.resource.as_str());
        let removed = guards && (net.is_deletion() || net.begins_to_terminate()) && guarded(ledger.after, key, before);
        // What others still keep apart was not kept apart by this one alone.
        let idle = key.is("networkpolicies.networking.k8s.io") && forecast.reach.opened.is_none();
        if (removed && !idle) || is_weaker(key, net) {
            forecast.guards_removed.sure.insert(reference(key, before));
        }
    }
}

/// Whether there is still something that a guard would guard. What goes with all that it guarded is no loss.
fn guarded(after: &Cluster, key: &ObjectKey, guard: &Value) -> bool {
    if key.namespace.is_empty() {
        return true;
    }
    let selector = match key.resource.as_str() {
        "poddisruptionbudgets.policy" => return keeps_something_up(after, key, guard.at(&["spec", "selector"])),
        "networkpolicies.networking.k8s.io" => guard.at(&["spec", "podSelector"]),
        _ => return after.list("pods", Some(&key.namespace)).any(|(_, pod)| !pod.is_terminating()),
    };
    after.selected(&key.namespace, selector).any(|(_, pod)| !pod.is_terminating())
}

/// Whether somebody misses the pods of a budget while they are away: whoever calls them, or the other members of their set.
fn keeps_something_up(after: &Cluster, key: &ObjectKey, selector: &Value) -> bool {
    let called = |pod: &Value| after.selecting("services", &key.namespace, pod.labels()).next().is_some();
    let is_member = |pod: &Value| pod.controller().is_none_or(|owner| owner.kind() != "ReplicaSet");
    after.selected(&key.namespace, selector).any(|(_, pod)| !pod.is_terminating() && (is_member(pod) || called(pod)))
}

fn is_weaker(key: &ObjectKey, net: &Net<'_>) -> bool {
    let (Some(before), Some(after)) = (net.before, net.after) else { return false };
    match key.resource.as_str() {
        "poddisruptionbudgets.policy" => {
            let desired = |budget: &Value| budget.at(&["status", "desiredHealthy"]).as_int();
            before.at(&["spec"]) != after.at(&["spec"]) && desired(after) < desired(before)
        }
        "validatingadmissionpolicybindings.admissionregistration.k8s.io" => {
            let denies = |binding: &Value| {
                binding.at(&["spec", "validationActions"]).items().iter().any(|action| *action == "Deny")
            };
            denies(before) && !denies(after)
        }
        "persistentvolumes" => {
            let retains = |volume: &Value| volume.at(&["spec", "persistentVolumeReclaimPolicy"]) == "Retain";
            retains(before) && !retains(after)
        }
        "namespaces" => {
            let level = |namespace: &Value| match namespace.label("pod-security.kubernetes.io/enforce") {
                Some("restricted") => 2,
                Some("baseline") => 1,
                _ => 0,
            };
            level(after) < level(before)
        }
        _ => false,
    }
}
