//! What is wrong with the rules of a cluster: who may do what, how much, and when.
//!
//! Knows: RBAC, quotas, limit ranges, disruption budgets, priority and runtime classes, leases, nodes, namespaces.
//! Does not know: whom a rule concerns.

use std::collections::BTreeSet;

use super::faults::{At, Faults, go_struct, quote};
use super::selectors::{label_selector, taint_effect, tolerations};
use super::workload::{at_most_all, count_or_share};
use super::{internal, metadata, names, resources};
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
        resources::requirements(&At::root(&wrapped), &BTreeSet::new(), &mut below);
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
        let why = names::label_value(value.text());
        if !why.is_empty() {
            faults.invalid_as(&value, &quote(value.text()), &why.join(";"));
        }
        taint_effect(&taint.field("effect"), faults);
        if !taken.insert((key.text(), taint.field("effect").text())) {
            let shown = internal::of("Taint", taint.value);
            faults.duplicate_as(&taint, &format!("{shown}: taints must be unique by key and effect pair"));
        }
    }
}

/// Where a Node's pods have their addresses from.
pub(super) fn node_ranges(root: &At<'_>, faults: &mut Faults) {
    let ranges = root.down(&["spec", "podCIDRs"]);
    for range in ranges.items() {
        faults.text_in(&range, names::cidr);
    }
    let families: BTreeSet<bool> =
        ranges.value.items().iter().map(|range| range.str_or_empty().contains(':')).collect();
    let count = ranges.value.items().len();
    if count > 1 && (count > 2 || families.len() < 2) {
        faults.invalid(&ranges, "may specify no more than one CIDR for each IP family");
    }
}

/// Where a node came from may be said once.
pub(super) fn node_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    const RANGES: &str = "node updates may not change podCIDR except from \"\" to valid";
    let ranges = root.down(&["spec", "podCIDRs"]);
    let (now, before) = (ranges.value.items(), old.at(&["spec", "podCIDRs"]).items());
    if !before.is_empty() {
        let changed = if now.len() == before.len() {
            now.iter().zip(before).filter(|(one, other)| one != other).count()
        } else {
            1
        };
        for _ in 0..changed {
            faults.forbidden(&ranges, RANGES);
        }
    }
    let provider = root.down(&["spec", "providerID"]);
    let had = old.at(&["spec", "providerID"]);
    if !had.is_empty() && provider.value != had {
        faults.forbidden(&provider, "node updates may not change providerID except from \"\" to valid");
    }
    node(root, faults);
    let outside = root.down(&["spec", "externalID"]);
    if outside.text() != old.at(&["spec", "externalID"]).str_or_empty() {
        faults.forbidden(&outside, "may not be updated");
    }
}
