//! What is wrong with the rules of a cluster: who may do what, how much, and when.
//!
//! Knows: RBAC, quotas, limit ranges, disruption budgets, priority and runtime classes, leases, nodes, namespaces.
//! Does not know: whom a rule concerns.

use std::collections::BTreeSet;

use super::faults::{At, Faults, go_struct, quote};
use super::selectors::{label_selector, taint_effect, tolerations};
use super::workload::{at_most_all, count_or_share};
use super::{metadata, names, resources};
use crate::quantity::Quantity;
use crate::value::Value;

const RBAC: &str = "rbac.authorization.k8s.io";

/// A Role (of a namespace) or a ClusterRole.
pub(super) fn role(root: &At<'_>, of_namespace: bool, faults: &mut Faults) {
    for rule in root.field("rules").items() {
        let verbs = rule.field("verbs");
        if verbs.value.is_empty() {
            faults.required(&verbs, "verbs must contain at least one value");
        }
        let (urls, groups, kinds) = (rule.field("nonResourceURLs"), rule.field("apiGroups"), rule.field("resources"));
        if !urls.value.is_empty() {
            if of_namespace {
                faults.invalid(&urls, "namespaced rules cannot apply to non-resource URLs");
            }
            let both = [&groups, &kinds, &rule.field("resourceNames")].iter().any(|list| !list.value.is_empty());
            if both {
                faults.invalid(&urls, "rules cannot apply to both regular resources and non-resource URLs");
            }
            continue;
        }
        if groups.value.is_empty() {
            faults.required(&groups, "resource rules must supply at least one api group");
        }
        if kinds.value.is_empty() {
            faults.required(&kinds, "resource rules must supply at least one resource");
        }
    }
    let aggregation = root.field("aggregationRule");
    if !aggregation.is_absent() {
        let selectors = aggregation.field("clusterRoleSelectors");
        if selectors.value.is_empty() {
            faults.required(&selectors, "at least one clusterRoleSelector required if aggregationRule is non-nil");
        }
        for selector in selectors.items() {
            label_selector(&selector, faults);
        }
    }
}

/// A RoleBinding (of a namespace) or a ClusterRoleBinding.
pub(super) fn binding(root: &At<'_>, of_namespace: bool, faults: &mut Faults) {
    let reference = root.field("roleRef");
    let group = reference.field("apiGroup");
    if group.text() != RBAC {
        faults.unsupported_as(&group, &quote(group.text()), &[RBAC]);
    }
    let kinds: &[&str] = if of_namespace { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    let kind = reference.field("kind");
    if !kinds.contains(&kind.text()) {
        faults.unsupported_as(&kind, &quote(kind.text()), kinds);
    }
    faults.text_of(&reference.field("name"), names::path_segment);
    for subject in root.field("subjects").items() {
        let name = subject.field("name");
        let named = faults.some_text(&name);
        let group = subject.field("apiGroup");
        match subject.field("kind").text() {
            "ServiceAccount" => {
                if named {
                    faults.all(&name, names::subdomain(name.text()));
                }
                if !group.text().is_empty() {
                    faults.unsupported(&group, &[""]);
                }
                if !of_namespace {
                    faults.some_text(&subject.field("namespace"));
                }
            }
            "User" | "Group" => {
                if group.text() != RBAC {
                    faults.unsupported_as(&group, &quote(group.text()), &[RBAC]);
                }
            }
            other => faults.unsupported_as(&subject.field("kind"), &quote(other), &["ServiceAccount", "User", "Group"]),
        }
    }
}

/// Whom a binding binds may change, to what may not.
pub(super) fn binding_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let reference = root.field("roleRef");
    if reference.value != old.at(&["roleRef"]) {
        let shown = go_struct(reference.value, &["APIGroup", "Kind", "Name"]);
        faults.invalid_as(&reference, &shown, "cannot change roleRef");
    }
}

/// A ResourceQuota.
pub(super) fn quota(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    for (name, amount) in spec.field("hard").entries() {
        resources::quota_name(&amount, name, faults);
        resources::amount(&amount, name, faults);
    }
    let scopes = spec.field("scopes");
    let listed: Vec<&str> = scopes.value.items().iter().map(Value::str_or_empty).collect();
    let hard = spec.field("hard");
    let of_pods = |name: &str| {
        name == "pods"
            || name == "count/pods"
            || matches!(name, "cpu" | "memory")
            || name.starts_with("limits.")
            || (name.starts_with("requests.") && name != "requests.storage")
    };
    for scope in &listed {
        let known = matches!(
            *scope,
            "Terminating"
                | "NotTerminating"
                | "BestEffort"
                | "NotBestEffort"
                | "PriorityClass"
                | "CrossNamespacePodAffinity"
                | "VolumeAttributesClass"
        );
        let fits =
            |name: &str| if *scope == "BestEffort" { matches!(name, "pods" | "count/pods") } else { of_pods(name) };
        if known && !hard.value.entries().iter().all(|(name, _)| fits(name)) {
            faults.invalid(&scopes, "unsupported scope applied to resource");
        }
        if !known {
            faults.invalid(&scopes, "unsupported scope");
        }
    }
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if listed.contains(&one) && listed.contains(&other) {
            faults.invalid(&scopes, "conflicting scopes");
        }
    }
    // The path has no place in the list, as the real one has none.
    let terms = spec.down(&["scopeSelector", "matchExpressions"]);
    for term in terms.value.items() {
        let values = terms.named("values", term.at(&["values"]));
        match term.at(&["operator"]).str_or_empty() {
            "In" | "NotIn" if values.value.is_empty() => faults
                .required(&values, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"),
            "Exists" | "DoesNotExist" if !values.value.is_empty() => {
                faults.invalid(
                    &values,
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
                );
            }
            _ => {}
        }
    }
}

/// What a quota counts among may not change.
pub(super) fn quota_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    faults.unchanged(&root.down(&["spec", "scopes"]), old.at(&["spec", "scopes"]));
}

/// A LimitRange.
pub(super) fn limit_range(root: &At<'_>, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for limit in root.down(&["spec", "limits"]).items() {
        let kind = limit.field("type");
        for why in names::qualified(kind.text()) {
            faults.invalid_as(&kind, &quote(kind.text()), &why);
        }
        let standard = matches!(kind.text(), "Container" | "Pod" | "PersistentVolumeClaim");
        if !standard && !kind.text().contains('/') && !kind.text().is_empty() {
            faults.invalid(&kind, "must be a standard limit type or fully qualified");
        }
        if !taken.insert(kind.text()) {
            faults.duplicate(&kind);
        }
        one_limit(&limit, kind.text(), faults);
    }
}

fn one_limit(limit: &At<'_>, kind: &str, faults: &mut Faults) {
    let fields = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"].map(|name| limit.field(name));
    let [max, min, default, request, ratio] = &fields;
    let mut all = BTreeSet::new();
    for field in [max, min] {
        for (name, amount) in field.entries() {
            resources::name(&amount, name, faults);
            all.insert(name.as_str());
        }
    }
    if kind == "Pod" {
        for field in [default, request] {
            if !field.value.is_empty() {
                faults.forbidden(field, "may not be specified when `type` is 'Pod'");
            }
        }
    }
    for field in [default, request, ratio] {
        for (name, amount) in field.entries() {
            if kind != "Pod" || std::ptr::eq(field, ratio) {
                resources::name(&amount, name, faults);
            }
            all.insert(name.as_str());
        }
    }
    let none = max.field("storage").is_absent() && min.field("storage").is_absent();
    if kind == "PersistentVolumeClaim" && none {
        let place = limit.named("limits", limit.value);
        faults.required(&place, "either minimum or maximum storage value is required, but neither was provided");
    }
    if kind == "Pod" {
        return compare(&all, &[(min, "min value", max, "max value")], faults, ratio);
    }
    compare(
        &all,
        &[
            (min, "min value", max, "max value"),
            (request, "default request value", max, "max value"),
            (request, "default request value", default, "default limit value"),
            (default, "default value", max, "max value"),
        ],
        faults,
        ratio,
    );
    // What is less than the least is shown by itself.
    for name in all {
        let Some(least) = Quantity::of(min.value.at(&[name])) else { continue };
        for (field, word) in [(request, "default request value"), (default, "default value")] {
            if let Some(amount) = Quantity::of(field.value.at(&[name])).filter(|amount| *amount < least) {
                let shown = if word == "default value" { least } else { amount };
                let why = format!("min value {least} is greater than {word} {amount}");
                faults.invalid_as(&field.key(name), &quote(&shown.to_string()), &why);
            }
        }
    }
}

type Pair<'a, 'v> = (&'a At<'v>, &'static str, &'a At<'v>, &'static str);

fn compare(all: &BTreeSet<&str>, pairs: &[Pair<'_, '_>], faults: &mut Faults, ratio: &At<'_>) {
    for name in all {
        for (less, less_word, more, more_word) in pairs {
            let (Some(one), Some(two)) = (Quantity::of(less.value.at(&[name])), Quantity::of(more.value.at(&[name])))
            else {
                continue;
            };
            if one > two {
                let shown = if *less_word == "default value" { two } else { one };
                let why = format!("{less_word} {one} is greater than {more_word} {two}");
                faults.invalid_as(&less.key(name), &quote(&shown.to_string()), &why);
            }
        }
        if let Some(amount) = Quantity::of(ratio.value.at(&[name])).filter(|amount| amount.as_milli() < 1000) {
            let why = format!("ratio {amount} is less than 1");
            faults.invalid_as(&ratio.key(name), &quote(&amount.to_string()), &why);
        }
    }
}

/// A PodDisruptionBudget.
pub(super) fn budget(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let (least, most) = (spec.field("minAvailable"), spec.field("maxUnavailable"));
    if !least.is_absent() && !most.is_absent() {
        let shown = format!(
            "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
            least.value,
            spec.field("selector").value,
            most.value,
            spec.field("unhealthyPodEvictionPolicy").value
        );
        faults.invalid_as(&spec, &shown, "minAvailable and maxUnavailable cannot be both set");
    }
    for field in [&least, &most] {
        if !field.is_absent() {
            count_or_share(field, faults);
            at_most_all(field, faults);
        }
    }
    label_selector(&spec.field("selector"), faults);
    faults.one_of(&spec.field("unhealthyPodEvictionPolicy"), &["AlwaysAllow", "IfHealthyBudget"]);
}

/// The greatest priority that is not the system's.
const PRIORITY_MAX: i64 = 1_000_000_000;

/// A PriorityClass.
pub(super) fn priority_class(root: &At<'_>, faults: &mut Faults) {
    let name = root.value.name();
    let value = root.field("value");
    let known = matches!(name, "system-cluster-critical" | "system-node-critical");
    if name.starts_with("system-") {
        if !known {
            let why = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system priority class"
            );
            faults.forbidden(&root.down(&["metadata", "name"]), &why);
        }
    } else if value.number().is_some_and(|value| value > PRIORITY_MAX) {
        let why = format!("maximum allowed value of a user defined priority is {PRIORITY_MAX}");
        faults.forbidden(&value, &why);
    }
    faults.one_of(&root.field("preemptionPolicy"), &["PreemptLowerPriority", "Never"]);
}

/// What a priority is worth may not change.
pub(super) fn priority_class_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let value = root.field("value");
    if value.value.as_int().unwrap_or(0) != old.at(&["value"]).as_int().unwrap_or(0) {
        faults.forbidden(&value, "may not be changed in an update.");
    }
    faults.unchanged(&root.field("preemptionPolicy"), old.at(&["preemptionPolicy"]));
}

/// A RuntimeClass.
pub(super) fn runtime_class(root: &At<'_>, faults: &mut Faults) {
    faults.text_of(&root.field("handler"), names::label);
    let fixed = root.down(&["overhead", "podFixed"]);
    let wrapped = crate::doc!({"limits": (fixed.value)});
    if !fixed.is_absent() {
        let mut below = Faults::default();
        resources::requirements(&At::root(&wrapped), &mut below);
        for mut cause in below.causes {
            cause.field = format!("overhead.{}", cause.field);
            faults.causes.push(cause);
        }
    }
    let scheduling = root.field("scheduling");
    metadata::labels(&scheduling.field("nodeSelector"), faults);
    tolerations(&scheduling.field("tolerations"), faults);
}

/// A Lease.
pub(super) fn lease(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let seconds = spec.field("leaseDurationSeconds");
    if seconds.number().is_some_and(|seconds| seconds <= 0) {
        faults.invalid(&seconds, "must be greater than 0");
    }
    faults.not_negative(&spec.field("leaseTransitions"));
}

/// A Node.
pub(super) fn node(root: &At<'_>, faults: &mut Faults) {
    // The paths say `metadata`, as the real ones do.
    let taints = root.field("metadata").named("taints", root.value.at(&["spec", "taints"]));
    let mut taken = BTreeSet::new();
    for taint in taints.items() {
        let key = taint.field("key");
        for why in names::qualified(key.text()) {
            faults.invalid_as(&key, &quote(key.text()), &why);
        }
        let value = taint.field("value");
        if !value.text().is_empty() {
            faults.all(&value, names::label_value(value.text()));
        }
        taint_effect(&taint.field("effect"), faults);
        if !taken.insert((key.text(), taint.field("effect").text())) {
            let shown = format!(
                "{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":{}}}: taints must be unique by key and effect pair",
                quote(key.text()),
                quote(value.text()),
                quote(taint.field("effect").text()),
                taint.field("timeAdded").value
            );
            faults.duplicate_as(&taint, &shown);
        }
    }
    let spec = root.field("spec");
    let ranges = spec.field("podCIDRs");
    for range in ranges.items() {
        faults.all(&range, names::cidr(range.text()));
    }
}

/// Where a node came from may be said once.
pub(super) fn node_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let provider = root.down(&["spec", "providerID"]);
    let had = old.at(&["spec", "providerID"]);
    if !had.is_empty() && provider.value != had {
        faults.forbidden(&provider, "node updates may not change providerID except from \"\" to valid");
    }
}
