//! What is wrong with amounts of resources.
//!
//! Knows: the names of resources, and which of them may be promised twice.
//! Does not know: how much there is.

use std::collections::BTreeSet;

use super::faults::{At, Faults, quote};
use super::names;
use crate::doc;
use crate::quantity::Quantity;
use crate::scheduler::request;

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
pub(super) fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

/// Whether a quota knows a resource by a name of Kubernetes' own.
pub(super) fn is_quota_standard(name: &str) -> bool {
    STANDARD.contains(&name) && name != "storage" || is_huge(name)
}

/// Whether more of a resource may be promised than there is.
pub(super) fn is_overcommitted(name: &str) -> bool {
    !is_extended(name) && !is_huge(name)
}

/// A name of any resource, at the amount that it names. Says whether it has a domain.
pub(super) fn name(at: &At<'_>, name: &str, faults: &mut Faults) -> bool {
    let domain = name.contains('/');
    if form(at, name, faults) && !domain && !STANDARD.contains(&name) && !is_huge(name) {
        faults.invalid_as(at, &quote(name), "must be a standard resource type or fully qualified");
    }
    domain
}

fn form(at: &At<'_>, name: &str, faults: &mut Faults) -> bool {
    let why = names::qualified(name);
    let sound = why.is_empty();
    for why in why {
        faults.invalid_as(at, &quote(name), &why);
    }
    sound
}

/// A name of what a container may be given.
pub(super) fn container_name(at: &At<'_>, resource: &str, faults: &mut Faults) {
    if name(at, resource, faults) {
        if !resource.contains("kubernetes.io/") && !is_extended(resource) {
            faults.invalid_as(at, &quote(resource), "doesn't follow extended resource name standard");
        }
    } else if !matches!(resource, "cpu" | "memory" | "ephemeral-storage") && !is_huge(resource) {
        faults.invalid_as(at, &quote(resource), "must be a standard resource for containers");
    }
}

/// A name of what a pod's containers may be given together.
fn shared_name(at: &At<'_>, resource: &str, faults: &mut Faults) {
    let before = faults.len();
    name(at, resource, faults);
    if faults.len() == before && !matches!(resource, "cpu" | "memory") && !resource.starts_with("hugepages-") {
        faults.unsupported_as(at, &quote(resource), &["cpu", "hugepages-", "memory"]);
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

/// Requests and limits of a container, and which of the pod's claims to devices it uses.
pub(super) fn requirements(at: &At<'_>, claims: &BTreeSet<&str>, faults: &mut Faults) {
    amounts(at, container_name, faults);
    uses(&at.field("claims"), claims, faults);
}

/// Requests and limits of a pod as a whole.
pub(super) fn of_pod(spec: &At<'_>, claims: &BTreeSet<&str>, faults: &mut Faults) {
    let at = spec.field("resources");
    if at.is_absent() {
        return;
    }
    if spec.down(&["os", "name"]).text() == "windows" {
        return faults.forbidden(&at, "may not be set for a windows pod");
    }
    let own = at.field("claims");
    if !own.value.is_empty() {
        faults.forbidden(&own, "claims may not be set for Resources at pod-level");
    }
    amounts(&at, shared_name, faults);
    uses(&own, claims, faults);
    consistent(spec, &at, faults);
}

/// What a pod has together is enough for what its containers ask for.
fn consistent(spec: &At<'_>, at: &At<'_>, faults: &mut Faults) {
    let mut containers = spec.value.clone();
    for field in ["resources", "overhead"] {
        containers.object().remove(field);
    }
    let pod = doc!({"spec": (containers)});
    for (list, what, all) in [("requests", "requests", true), ("limits", "limits", false)] {
        for (name, asked) in request::of_pod(&pod, list) {
            let place = at.field(list).key(&name);
            let Some(given) = Quantity::of(place.value).filter(|_| all || is_huge(&name)) else { continue };
            if asked > given {
                let why = format!("must be greater than or equal to aggregate container {what} of {asked}");
                faults.invalid_as(&place, &quote(&given.to_string()), &why);
            }
        }
    }
    let limits = at.field("limits");
    for (number, container) in spec.field("containers").value.items().iter().enumerate() {
        for (name, limit) in container.at(&["resources", "limits"]).entries() {
            let Some(most) = Quantity::of(limits.key(name).value) else { continue };
            let own = Quantity::or_zero(limit);
            if own > most {
                // The real path stands on its head.
                let place = at.named(&format!("containers[{number}][{name}].limits"), limit);
                let why = format!("must be less than or equal to pod limits of {most}");
                faults.invalid_as(&place, &quote(&own.to_string()), &why);
            }
        }
    }
}

fn amounts(at: &At<'_>, named: fn(&At<'_>, &str, &mut Faults), faults: &mut Faults) {
    let (limits, requests) = (at.field("limits"), at.field("requests"));
    let (mut huge, mut plain) = (false, false);
    for (resource, limit) in limits.entries() {
        named(&limit, resource, faults);
        amount(&limit, resource, faults);
        in_pages(&limit, resource, faults);
        huge |= is_huge(resource);
        plain |= matches!(resource.as_str(), "cpu" | "memory");
    }
    for (resource, request) in requests.entries() {
        named(&request, resource, faults);
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
        in_pages(&request, resource, faults);
        huge |= is_huge(resource);
        plain |= matches!(resource.as_str(), "cpu" | "memory");
    }
    if huge && !plain {
        faults.forbidden(at, "HugePages require cpu or memory");
    }
}

/// Huge pages come in whole pages.
fn in_pages(at: &At<'_>, resource: &str, faults: &mut Faults) {
    let Some(size) = resource.strip_prefix("hugepages-").and_then(Quantity::parse) else { return };
    let amount = Quantity::or_zero(at.value);
    let whole = size > Quantity::ZERO && amount.as_milli() % size.as_milli() == 0;
    if !whole {
        let why = format!("{amount} is not positive integer multiple of {resource}");
        faults.invalid_as(at, &quote(&amount.to_string()), &why);
    }
}

/// The claims to devices that a container uses.
fn uses(list: &At<'_>, claims: &BTreeSet<&str>, faults: &mut Faults) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for claim in list.items() {
        let (name, request) = (claim.field("name").text(), claim.field("request"));
        if name.is_empty() {
            faults.required(&claim, "");
            continue;
        }
        if known.contains(name) {
            faults.duplicate_as(&claim, &quote(name));
        } else {
            let mut key = name.to_owned();
            if !request.text().is_empty() {
                faults.all(&request, names::label(request.text()));
                key = format!("{name}/{}", request.text());
            }
            if known.contains(&key) {
                faults.duplicate_as(&claim, &quote(&key));
            } else if request.text().is_empty() {
                for _ in known.iter().filter(|other| other.split_once('/').is_some_and(|(other, _)| other == name)) {
                    faults.duplicate_as(&claim, &quote(name));
                }
            }
            known.insert(key);
        }
        if !claims.contains(name) {
            let all: Vec<&str> = claims.iter().copied().collect();
            let which = if all.is_empty() { " which is empty".to_owned() } else { format!(": {}", all.join(", ")) };
            let why = format!("must be one of the names in pod.spec.resourceClaims{which}");
            faults.not_found_as(&claim, &quote(name), &why);
        }
    }
}
