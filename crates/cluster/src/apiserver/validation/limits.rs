//! What is wrong with quotas and with limits: how much there may be, together and of one.
//!
//! Knows: scopes, and how the five amounts of a limit bound each other.
//! Does not know: what is used.

use std::collections::BTreeSet;

use super::faults::{At, Faults, quote};
use super::{internal, names, resources};
use crate::quantity::Quantity;
use crate::value::Value;

const SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// A ResourceQuota.
pub(super) fn quota(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    amounts(&spec.field("hard"), faults);
    let scopes = spec.field("scopes");
    let listed: Vec<&str> = scopes.value.items().iter().map(Value::str_or_empty).collect();
    let hard = spec.field("hard");
    let misfits = |scope: &str| hard.value.entries().iter().filter(|(name, _)| !fits(scope, name)).count();
    for scope in &listed {
        if !SCOPES.contains(scope) {
            faults.invalid(&scopes, "unsupported scope");
        }
        for _ in 0..misfits(scope) {
            faults.invalid(&scopes, "unsupported scope applied to resource");
        }
    }
    conflicts(&listed, &scopes, &scopes, faults);
    let selector = spec.field("scopeSelector");
    // The real paths have no place in the list.
    let place = selector.field("matchExpressions");
    let mut named = Vec::new();
    for term in place.value.items() {
        let of = |field: &str| place.named(field, term.at(&[field]));
        let (scope, operator, values) = (of("scopeName"), of("operator"), of("values"));
        if !SCOPES.contains(&scope.text()) {
            faults.invalid_as(&scope, &quote(scope.text()), "unsupported scope");
        }
        for _ in 0..misfits(scope.text()) {
            let shown = internal::of("ScopeSelector", selector.value);
            faults.invalid_as(&place, &shown, "unsupported scope applied to resource");
        }
        let only_there = !matches!(scope.text(), "PriorityClass" | "VolumeAttributesClass");
        if SCOPES.contains(&scope.text()) && only_there && operator.text() != "Exists" {
            let why = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                       ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort \
                       or ResourceQuotaScopeCrossNamespacePodAffinity";
            faults.invalid_as(&operator, &quote(operator.text()), why);
        }
        match operator.text() {
            "In" | "NotIn" => {
                if values.value.is_empty() {
                    let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                    faults.required(&values, why);
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.value.is_empty() {
                    let why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                    faults.invalid(&values, why);
                }
            }
            _ => faults.invalid_as(&operator, &quote(operator.text()), "not a valid selector operator"),
        }
        named.push(scope.text());
    }
    conflicts(&named, &place, &scopes, faults);
}

/// What a quota has, or is said to.
pub(super) fn amounts(map: &At<'_>, faults: &mut Faults) {
    for (name, amount) in map.entries() {
        resources::quota_name(&amount, name, faults);
        resources::amount(&amount, name, faults);
    }
}

fn conflicts(scopes: &[&str], place: &At<'_>, shown: &At<'_>, faults: &mut Faults) {
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if scopes.contains(&one) && scopes.contains(&other) {
            faults.invalid_as(place, &super::faults::shown(shown.value), "conflicting scopes");
        }
    }
}

/// Whether what a scope is about has a resource.
fn fits(scope: &str, resource: &str) -> bool {
    let compute =
        matches!(resource, "cpu" | "memory" | "limits.cpu" | "limits.memory" | "requests.cpu" | "requests.memory");
    if !resources::is_quota_standard(resource) {
        return true;
    }
    match scope {
        "BestEffort" => resource == "pods",
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            resource == "pods" || compute
        }
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

/// What a quota counts among may not change.
pub(super) fn quota_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let set = |scopes: &Value| -> BTreeSet<String> {
        scopes.items().iter().map(|scope| scope.str_or_empty().to_owned()).collect()
    };
    let scopes = root.down(&["spec", "scopes"]);
    if set(scopes.value) != set(old.at(&["spec", "scopes"])) {
        faults.invalid(&scopes, "field is immutable");
    }
}

/// A LimitRange.
pub(super) fn limit_range(root: &At<'_>, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for limit in root.down(&["spec", "limits"]).items() {
        let kind = limit.field("type");
        let why = names::qualified(kind.text());
        let formed = why.is_empty();
        for why in why {
            faults.invalid_as(&kind, &quote(kind.text()), &why);
        }
        let standard = matches!(kind.text(), "Container" | "Pod" | "PersistentVolumeClaim");
        if formed && !standard && !kind.text().contains('/') {
            faults.invalid(&kind, "must be a standard limit type or fully qualified");
        }
        if !taken.insert(kind.text()) {
            faults.duplicate_as(&kind, &quote(kind.text()));
        }
        one_limit(&limit, kind.text(), faults);
    }
}

fn one_limit(limit: &At<'_>, kind: &str, faults: &mut Faults) {
    let of_containers = matches!(kind, "Pod" | "Container");
    let [max, min, default, request, ratio] =
        ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"].map(|name| limit.field(name));
    let mut all = BTreeSet::new();
    let mut named = |field: &At<'_>, faults: &mut Faults| {
        for (name, amount) in field.entries() {
            if of_containers {
                resources::container_name(&amount, name, faults);
            } else {
                resources::name(&amount, name, faults);
            }
            all.insert(name.to_string());
        }
    };
    named(&max, faults);
    named(&min, faults);
    let fixed = kind != "Pod";
    for field in [&default, &request] {
        if fixed {
            named(field, faults);
        } else if !field.value.is_empty() {
            faults.forbidden(field, "may not be specified when `type` is 'Pod'");
        }
    }
    let none = max.field("storage").is_absent() && min.field("storage").is_absent();
    if kind == "PersistentVolumeClaim" && none {
        let place = limit.named("limits", limit.value);
        faults.required(&place, "either minimum or maximum storage value is required, but neither was provided");
    }
    named(&ratio, faults);
    for name in &all {
        let of = |field: &At<'_>| Quantity::of(field.value.at(&[name]));
        let (most, least) = (of(&max), of(&min));
        let (usual, asked) = if fixed { (of(&default), of(&request)) } else { (None, None) };
        let mut above =
            |one: Option<Quantity>, other: Option<Quantity>, at: &At<'_>, first: bool, words: (&str, &str)| {
                if let (Some(one), Some(other)) = (one, other)
                    && one > other
                {
                    let shown = if first { one } else { other };
                    let why = format!("{} value {one} is greater than {} value {other}", words.0, words.1);
                    faults.invalid_as(&at.key(name), &quote(&shown.to_string()), &why);
                }
            };
        above(least, most, &min, true, ("min", "max"));
        above(least, asked, &request, false, ("min", "default request"));
        above(asked, most, &request, true, ("default request", "max"));
        above(asked, usual, &request, true, ("default request", "default limit"));
        above(least, usual, &default, true, ("min", "default"));
        above(usual, most, &default, false, ("default", "max"));
        if let Some(share) = of(&ratio) {
            ratios(&ratio.key(name), share, least.zip(most), faults);
        }
        if let (Some(usual), Some(asked)) = (usual, asked)
            && usual != asked
            && !resources::is_overcommitted(name)
        {
            let why = format!("default value {usual} must equal to defaultRequest value {asked} in {name}");
            faults.invalid_as(&request.key(name), &quote(&asked.to_string()), &why);
        }
    }
}

/// How many times the request a limit may be.
fn ratios(at: &At<'_>, share: Quantity, bounds: Option<(Quantity, Quantity)>, faults: &mut Faults) {
    if share.as_milli() < 1000 {
        faults.invalid_as(at, &quote(&share.to_string()), &format!("ratio {share} is less than 1"));
    }
    let Some((least, most)) = bounds else { return };
    #[expect(clippy::cast_precision_loss, reason = "the real server divides them so")]
    let (have, bound) = (share.as_milli() as f64 / 1000.0, most.as_milli() as f64 / least.as_milli() as f64);
    if have > bound {
        let why = format!("ratio {share} is greater than max/min = {bound:.6}");
        faults.invalid_as(at, &quote(&share.to_string()), &why);
    }
}
