//! What is wrong with amounts of resources.
//!
//! Knows: the names of resources, and which of them may be promised twice.
//! Does not know: how much there is.

use super::faults::{At, Faults, quote};
use super::names;
use crate::quantity::Quantity;

/// Resources that have a name without a domain.
const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// Resources that come in whole ones.
const WHOLE: &[&str] = &[
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

fn is_huge(name: &str) -> bool {
    name.strip_prefix("requests.").unwrap_or(name).starts_with("hugepages-")
}

/// Whether a resource is one of a node's devices: it has a domain that is not Kubernetes' own.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

/// A name of any resource, at the amount that it names. Says whether it has a domain.
pub(super) fn name(at: &At<'_>, name: &str, faults: &mut Faults) -> bool {
    let shown = quote(name);
    for why in names::qualified(name) {
        faults.invalid_as(at, &shown, &why);
    }
    let domain = name.contains('/');
    if !domain && !STANDARD.contains(&name) && !is_huge(name) {
        faults.invalid_as(at, &shown, "must be a standard resource type or fully qualified");
    }
    domain
}

fn container_name(at: &At<'_>, resource: &str, faults: &mut Faults) {
    if !name(at, resource, faults) && !matches!(resource, "cpu" | "memory" | "ephemeral-storage") && !is_huge(resource)
    {
        faults.invalid_as(at, &quote(resource), "must be a standard resource for containers");
    }
}

/// A name in a quota.
pub(super) fn quota_name(at: &At<'_>, resource: &str, faults: &mut Faults) {
    if !name(at, resource, faults) && !STANDARD.contains(&resource) && !is_huge(resource) {
        faults.invalid_as(at, &quote(resource), "must be a standard resource for quota");
    }
}

/// An amount of a resource: not below nothing, and whole where it comes in whole ones.
pub(super) fn amount(at: &At<'_>, name: &str, faults: &mut Faults) {
    let amount = Quantity::or_zero(at.value);
    if amount < Quantity::ZERO {
        faults.invalid_as(at, &quote(&amount.to_string()), "must be greater than or equal to 0");
    }
    let whole = WHOLE.contains(&name) || is_extended(name) || name.starts_with("count/");
    if whole && amount.as_milli() % 1000 != 0 {
        faults.invalid_as(at, &quote(&amount.to_string()), "must be an integer");
    }
}

/// Requests and limits.
pub(super) fn requirements(at: &At<'_>, faults: &mut Faults) {
    let (limits, requests) = (at.field("limits"), at.field("requests"));
    let (mut huge, mut plain) = (false, false);
    for (resource, limit) in limits.entries() {
        container_name(&limit, resource, faults);
        amount(&limit, resource, faults);
        huge |= is_huge(resource);
        plain |= matches!(resource.as_str(), "cpu" | "memory");
    }
    for (resource, request) in requests.entries() {
        container_name(&request, resource, faults);
        amount(&request, resource, faults);
        let asked = Quantity::or_zero(request.value);
        let overcommitted = !is_extended(resource) && !is_huge(resource);
        match Quantity::of(limits.key(resource).value) {
            Some(limit) if !overcommitted && asked != limit => {
                let why = format!("must be equal to {resource} limit of {limit}");
                faults.invalid_as(&requests, &quote(&asked.to_string()), &why);
            }
            Some(limit) if asked > limit => {
                let why = format!("must be less than or equal to {resource} limit of {limit}");
                faults.invalid_as(&requests, &quote(&asked.to_string()), &why);
            }
            None if !overcommitted => faults.required(&limits, "Limit must be set for non overcommitable resources"),
            _ => {}
        }
        huge |= is_huge(resource);
        plain |= matches!(resource.as_str(), "cpu" | "memory");
    }
    if huge && !plain {
        faults.forbidden(at, "HugePages require cpu or memory");
    }
}
