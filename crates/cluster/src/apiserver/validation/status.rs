//! What is wrong with a status that somebody writes (`Validate*StatusUpdate`).
//!
//! Knows: which numbers of a status bound which others, what a load balancer may be reached at.
//! Does not know: whether the status is true.

use super::faults::{At, Faults};
use super::names;
use super::resources;
use crate::value::Value;

/// What is wrong with the status of an object of a resource.
pub(super) fn check(resource: &str, root: &At<'_>, old: &Value, faults: &mut Faults) {
    let status = root.field("status");
    let before = old.at(&["status"]);
    match resource {
        "deployments.apps" => {
            let counts = [
                "observedGeneration",
                "replicas",
                "updatedReplicas",
                "readyReplicas",
                "availableReplicas",
                "unavailableReplicas",
            ];
            none_negative(&status, &counts, faults);
            for part in ["updatedReplicas", "readyReplicas", "availableReplicas"] {
                at_most(&status, part, "replicas", "status.replicas", faults);
            }
            at_most(&status, "availableReplicas", "readyReplicas", "readyReplicas", faults);
            not_decremented(&status, before, faults);
        }
        "replicasets.apps" | "replicationcontrollers" => {
            let counts =
                ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"];
            none_negative(&status, &counts, faults);
            for part in ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"] {
                at_most(&status, part, "replicas", "status.replicas", faults);
            }
            at_most(&status, "availableReplicas", "readyReplicas", "readyReplicas", faults);
        }
        "statefulsets.apps" => {
            let counts = [
                "replicas",
                "readyReplicas",
                "currentReplicas",
                "updatedReplicas",
                "observedGeneration",
                "collisionCount",
            ];
            none_negative(&status, &counts, faults);
            for part in ["readyReplicas", "currentReplicas", "updatedReplicas"] {
                at_most(&status, part, "replicas", "status.replicas", faults);
            }
            at_most(&status, "availableReplicas", "readyReplicas", "status.readyReplicas", faults);
            not_decremented(&status, before, faults);
        }
        "daemonsets.apps" => {
            let counts = [
                "currentNumberScheduled",
                "numberMisscheduled",
                "desiredNumberScheduled",
                "numberReady",
                "observedGeneration",
                "updatedNumberScheduled",
                "numberAvailable",
                "numberUnavailable",
            ];
            none_negative(&status, &counts, faults);
            not_decremented(&status, before, faults);
        }
        "jobs.batch" => none_negative(&status, &["active", "succeeded", "failed", "ready", "terminating"], faults),
        "horizontalpodautoscalers.autoscaling" => {
            none_negative(&status, &["currentReplicas", "desiredReplicas"], faults)
        }
        "poddisruptionbudgets.policy" => {
            let counts = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
            none_negative(&status, &counts, faults);
        }
        "services" => {
            let balanced = root.down(&["spec", "type"]).text() == "LoadBalancer";
            let addresses = status.down(&["loadBalancer", "ingress"]);
            if !balanced && !addresses.value.is_empty() {
                faults.forbidden(&addresses, "may only be used when `spec.type` is \"LoadBalancer\"");
            }
            for address in addresses.items() {
                reached_at(&address, true, faults);
            }
        }
        "ingresses.networking.k8s.io" => {
            for address in status.down(&["loadBalancer", "ingress"]).items() {
                reached_at(&address, false, faults);
            }
        }
        "namespaces" => {
            // As the server's own type spells it.
            let phase = status.named("Phase", status.value.at(&["phase"]));
            if root.value.is_terminating() && phase.text() != "Terminating" {
                faults.invalid(&phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
            } else if !root.value.is_terminating() && phase.text() != "Active" {
                faults.invalid(&phase, "may only be 'Active' if `deletionTimestamp` is empty");
            }
        }
        "nodes" => node(&status, faults),
        "resourcequotas" => {
            for list in ["hard", "used"] {
                super::limits::amounts(&status.field(list), faults);
            }
        }
        "persistentvolumeclaims" => {
            for (name, amount) in status.field("capacity").entries() {
                resources::amount(&amount, name, faults);
            }
        }
        _ => {}
    }
}

fn none_negative(status: &At<'_>, counts: &[&str], faults: &mut Faults) {
    for count in counts {
        faults.not_negative(&status.field(count));
    }
}

/// One number is part of another.
fn at_most(status: &At<'_>, part: &str, whole: &str, named: &str, faults: &mut Faults) {
    let count = status.field(part);
    let (have, most) = (count.number().unwrap_or(0), status.field(whole).number().unwrap_or(0));
    if have > most {
        faults.invalid(&count, &format!("cannot be greater than {named}"));
    }
}

/// How often names collided is only counted up.
fn not_decremented(status: &At<'_>, before: &Value, faults: &mut Faults) {
    let Some(had) = before.at(&["collisionCount"]).as_int() else { return };
    let count = status.field("collisionCount");
    let now = count.number().unwrap_or(0);
    if now < had {
        faults.invalid_as(&count, &now.to_string(), "cannot be decremented");
    }
}

/// An address or a name under which a load balancer is reached.
fn reached_at(at: &At<'_>, has_mode: bool, faults: &mut Faults) {
    let (ip, host, mode) = (at.field("ip"), at.field("hostname"), at.field("ipMode"));
    if !ip.text().is_empty() {
        faults.all(&ip, names::address(ip.text()));
        if has_mode && mode.is_absent() {
            faults.required(&mode, "must be specified when `ip` is set");
        }
    } else if has_mode && !mode.is_absent() {
        faults.forbidden(&mode, "may not be specified when `ip` is not set");
    }
    if has_mode && !ip.text().is_empty() {
        faults.one_of(&mode, &["Proxy", "VIP"]);
    }
    if !host.text().is_empty() {
        faults.all(&host, names::subdomain(host.text()));
        if names::address(host.text()).is_empty() {
            faults.invalid(&host, "must be a DNS name, not an IP address");
        }
    }
}

/// What a node has; what of it may be given away is all of it if nobody says otherwise.
fn node(status: &At<'_>, faults: &mut Faults) {
    let capacity = status.field("capacity");
    let allocatable = status.field("allocatable");
    let given = if allocatable.is_absent() { capacity.value } else { allocatable.value };
    for (list, amounts) in [(&capacity, capacity.value), (&allocatable, given)] {
        for (name, amount) in amounts.entries() {
            resources::amount(&list.named(name, amount), name, faults);
        }
    }
}
