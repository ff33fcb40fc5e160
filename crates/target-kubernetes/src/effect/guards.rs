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
        if (removed && !idle) || is_weaker(ledger.after, key, net) {
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

/// Whether a guard may be passed over where it had to be asked, or is asked under more conditions.
fn asks_less(old: &Value, new: &Value) -> bool {
    let must = |guard: &Value| guard.at(&["failurePolicy"]).as_str() != Some("Ignore");
    let conditions = |guard: &Value| guard.at(&["matchConditions"]).items().to_vec();
    let known = conditions(old);
    (must(old) && !must(new)) || conditions(new).iter().any(|condition| !known.contains(condition))
}

/// Whether a guard no longer sees some request that it saw: of a namespace there is, of some objects, about some resource.
fn sees_less(cluster: &Cluster, old: &Value, new: &Value, old_rules: &Value, new_rules: &Value) -> bool {
    let sees = |guard: &Value, labels: &Value| {
        let selector = guard.at(&["namespaceSelector"]);
        selector.is_empty() || cluster::labels::matches(selector, labels)
    };
    let mut namespaces = cluster.list("namespaces", None);
    let lost = namespaces.any(|(_, space)| sees(old, space.labels()) && !sees(new, space.labels()));
    let objects = |guard: &Value| guard.at(&["objectSelector"]).clone();
    let narrower = objects(old) != objects(new) && !objects(new).is_empty();
    let covers = |new: &Value, old: &Value| {
        ["apiGroups", "apiVersions", "operations", "resources"].iter().all(|field| {
            let has = new.at(&[field]).items();
            old.at(&[field]).items().iter().all(|one| has.contains(one) || has.iter().any(|any| *any == *"*"))
        })
    };
    let dropped = |old: &Value| !new_rules.items().iter().any(|new| covers(new, old));
    // No rules at all stand for whatever the policy is about; for webhooks, for nothing.
    let fewer = (!new_rules.items().is_empty() || !old_rules.items().is_empty())
        && (old_rules.items().iter().any(dropped) || (old_rules.items().is_empty() && old.get("rules").is_none()));
    lost || narrower || fewer
}

fn is_weaker(cluster: &Cluster, key: &ObjectKey, net: &Net<'_>) -> bool {
    let (Some(before), Some(after)) = (net.before, net.after) else { return false };
    match key.resource.as_str() {
        "poddisruptionbudgets.policy" => {
            let desired = |budget: &Value| budget.at(&["status", "desiredHealthy"]).as_int();
            before.at(&["spec"]) != after.at(&["spec"]) && desired(after) < desired(before)
        }
        "validatingwebhookconfigurations.admissionregistration.k8s.io"
        | "mutatingwebhookconfigurations.admissionregistration.k8s.io" => {
            let of = |name: &Value| after.at(&["webhooks"]).items().iter().find(|hook| hook.at(&["name"]) == name);
            before.at(&["webhooks"]).items().iter().any(|hook| {
                of(hook.at(&["name"])).is_none_or(|new| {
                    asks_less(hook, new) || sees_less(cluster, hook, new, hook.at(&["rules"]), new.at(&["rules"]))
                })
            })
        }
        "validatingadmissionpolicies.admissionregistration.k8s.io" => {
            let (old, new) = (before.at(&["spec"]), after.at(&["spec"]));
            let rules = |spec: &Value| spec.at(&["matchConstraints", "resourceRules"]).clone();
            let checks = new.at(&["validations"]).items();
            let dropped =
                |check: &Value| !checks.iter().any(|other| other.at(&["expression"]) == check.at(&["expression"]));
            old.at(&["validations"]).items().iter().any(dropped)
                || asks_less(old, new)
                || sees_less(
                    cluster,
                    old.at(&["matchConstraints"]),
                    new.at(&["matchConstraints"]),
                    &rules(old),
                    &rules(new),
                )
        }
        "validatingadmissionpolicybindings.admissionregistration.k8s.io" => {
            let (old, new) = (before.at(&["spec", "matchResources"]), after.at(&["spec", "matchResources"]));
            let rules = |object: &Value| object.at(&["resourceRules"]).clone();
            if sees_less(cluster, old, new, &rules(old), &rules(new))
                || before.at(&["spec", "policyName"]) != after.at(&["spec", "policyName"])
            {
                return true;
            }
            let denies = |binding: &Value| {
                binding.at(&["spec", "validationActions"]).items().iter().any(|action| *action == "Deny")
            };
            denies(before) && !denies(after)
        }
        "persistentvolumes" => {
            let retains = |volume: &Value| volume.at(&["spec", "persistentVolumeReclaimPolicy"]) == "Retain";
            retains(before) && !retains(after)
        }
        // Claims that stay behind their replicas keep the data for when these come back.
        "statefulsets.apps" => ["whenScaled", "whenDeleted"].into_iter().any(|when| {
            let gives_up = |set: &Value| set.at(&["spec", "persistentVolumeClaimRetentionPolicy", when]) == "Delete";
            !gives_up(before) && gives_up(after) && !after.at(&["spec", "volumeClaimTemplates"]).items().is_empty()
        }),
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
