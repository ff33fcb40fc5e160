//! What is wrong with a pod, and with the pods that a template would make (`ValidatePodSpec`).
//!
//! Knows: the pod's own fields, in the order in which the real server looks at them.
//! Does not know: containers, volumes and affinities, which have chapters of their own.

use std::collections::BTreeSet;

use super::container::{self, Around};
use super::faults::{At, Faults, diff, quote};
use super::metadata::{annotations, labels};
use super::selectors::{affinity, label_name, spread, tolerations};
use super::{environment, names, resources, security, volume};
use crate::doc;
use crate::value::Value;

/// A pod.
pub(super) fn pod(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    own_annotations(root, &spec, faults);
    check(&spec, Some(root.value.name()), &BTreeSet::new(), faults);
    for list in ["containers", "initContainers"] {
        for one in spec.field(list).items() {
            container::padded_image(&one, faults);
        }
    }
}

/// Annotations of a pod that mean something.
fn own_annotations(root: &At<'_>, spec: &At<'_>, faults: &mut Faults) {
    let annotations = root.down(&["metadata", "annotations"]);
    let mirror = annotations.key("kubernetes.io/config.mirror");
    if !mirror.is_absent() && spec.field("nodeName").text().is_empty() {
        faults.invalid(&mirror, "must set spec.nodeName if mirror pod annotation is set");
    }
    let cost = annotations.key("controller.kubernetes.io/pod-deletion-cost");
    let sound =
        |text: &str| text.parse::<i32>().is_ok() && !text.starts_with('+') && (text == "0" || !text.starts_with('0'));
    if !cost.is_absent() && !sound(cost.text()) {
        faults.invalid(&cost, "must be a 32bit integer");
    }
}

/// The spec of a pod that a template would make; `more` are volumes that it gets besides those it names.
fn check(at: &At<'_>, name: Option<&str>, more: &BTreeSet<&str>, faults: &mut Faults) {
    let volumes = volume::of_pod(&at.field("volumes"), name, faults);
    let claims = device_claims(&at.field("resourceClaims"), faults);
    let around = Around { volumes: &volumes, more, claims, spec: at.value };
    let (main, init) = (at.field("containers"), at.field("initContainers"));
    container::main(&main, &around, faults);
    container::init(&init, &main, &around, faults);
    container::ephemeral(&at.field("ephemeralContainers"), &[&main, &init], &around, faults);
    resources::of_pod(at, &around.claims, faults);
    host_ports(at, name.is_some(), faults);
    faults.some_of(&at.field("restartPolicy"), &["Always", "OnFailure", "Never"]);
    faults.some_of(&at.field("dnsPolicy"), &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    labels(&at.field("nodeSelector"), faults);
    security::of_pod(at, faults);
    affinity(&at.field("affinity"), faults);
    dns(at, faults);
    for gate in at.field("readinessGates").items() {
        label_name(&gate.field("conditionType"), faults);
    }
    scheduling_gates(&at.field("schedulingGates"), faults);
    spread(&at.field("topologySpreadConstraints"), faults);
    security::host_process(at, faults);
    security::host_users(at, faults);
    host_name(at, faults);
    faults.optional(&at.field("serviceAccountName"), names::subdomain);
    faults.optional(&at.field("nodeName"), names::subdomain);
    faults.between(
        &at.field("activeDeadlineSeconds"),
        1,
        i64::from(i32::MAX),
        "must be between 1 and 2147483647, inclusive",
    );
    faults.optional(&at.field("hostname"), names::label);
    faults.optional(&at.field("subdomain"), names::label);
    tolerations(&at.field("tolerations"), faults);
    for alias in at.field("hostAliases").items() {
        faults.text_in(&alias.field("ip"), names::address);
        for name in alias.field("hostnames").items() {
            faults.text_in(&name, names::subdomain);
        }
    }
    faults.optional(&at.field("priorityClassName"), names::subdomain);
    let class = at.field("runtimeClassName");
    if !class.is_absent() {
        faults.text_in(&class, names::subdomain);
    }
    let preemption = at.field("preemptionPolicy");
    if !preemption.is_absent() {
        faults.some_of(&preemption, &["PreemptLowerPriority", "Never"]);
    }
    if !at.field("overhead").is_absent() {
        // The real server looks at what a pod costs by itself as if it were the limits of a container.
        let limits = doc!({"limits": (at.field("overhead").value)});
        resources::requirements(&At::root(&limits).moved(at.field("overhead").path()), &BTreeSet::new(), faults);
    }
    security::system(at, faults);
    environment::files(at, faults);
}

/// Claims to devices. Gives their names.
fn device_claims<'v>(list: &At<'v>, faults: &mut Faults) -> BTreeSet<&'v str> {
    let mut taken = BTreeSet::new();
    for claim in list.items() {
        let name = claim.field("name");
        if taken.contains(name.text()) {
            faults.duplicate(&name);
        } else if faults.some_text(&name) {
            faults.all(&name, names::label(name.text()));
            taken.insert(name.text());
        }
        let (made, template) = (claim.field("resourceClaimName"), claim.field("resourceClaimTemplateName"));
        let shown = || super::internal::of("PodResourceClaim", claim.value);
        match (made.is_absent(), template.is_absent()) {
            (false, false) => {
                let why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                faults.invalid_as(&claim, &shown(), why);
            }
            (true, true) => {
                let why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                faults.invalid_as(&claim, &shown(), why);
            }
            _ => {}
        }
        for name in [made, template] {
            if !name.is_absent() {
                faults.text_in(&name, names::subdomain);
            }
        }
    }
    list.value.items().iter().map(|claim| claim.at(&["name"]).str_or_empty()).filter(|name| !name.is_empty()).collect()
}

/// On the node's own network a port is the node's port. A template's ports are given the node's when pods are made of it.
fn host_ports(at: &At<'_>, is_pod: bool, faults: &mut Faults) {
    if !at.field("hostNetwork").value.is_true() {
        return;
    }
    for port in at.field("containers").items().flat_map(|one| one.field("ports").items().collect::<Vec<_>>()) {
        let (host, own) = (port.field("hostPort"), port.field("containerPort"));
        let number = host.number().unwrap_or(0);
        if (is_pod || number != 0) && number != own.number().unwrap_or(0) {
            faults.invalid_as(&host, &number.to_string(), "must match `containerPort` when `hostNetwork` is true");
        }
    }
}

fn host_name(at: &At<'_>, faults: &mut Faults) {
    let name = at.field("hostnameOverride");
    if name.is_absent() {
        return;
    }
    for (field, why) in [
        ("setHostnameAsFQDN", "may not be specified when setHostnameAsFQDN is true"),
        ("hostNetwork", "may not be specified when hostNetwork is true"),
    ] {
        if at.field(field).value.is_true() {
            faults.forbidden(&name, why);
        }
    }
    if name.text().len() > 64 {
        faults.too_long(&name, 64);
    }
    faults.text_in(&name, names::subdomain);
}

fn dns(at: &At<'_>, faults: &mut Faults) {
    const SEARCHES_LONGEST: usize = 2048;
    let config = at.field("dnsConfig");
    if at.field("dnsPolicy").text() == "None" {
        if config.is_absent() {
            faults.required(&config, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if config.field("nameservers").value.is_empty() {
            let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            faults.required(&config.field("nameservers"), why);
            return;
        }
    }
    let servers = config.field("nameservers");
    if servers.value.items().len() > 3 {
        faults.invalid(&servers, "must not have more than 3 nameservers");
    }
    for server in servers.items() {
        faults.text_in(&server, names::address);
    }
    let searches = config.field("searches");
    if searches.value.items().len() > 32 {
        faults.invalid(&searches, "must not have more than 32 search paths");
    }
    let length: usize = searches.value.items().iter().map(|search| search.str_or_empty().len() + 1).sum();
    if length > SEARCHES_LONGEST + 1 {
        let why = "must not have more than 2048 characters (including spaces) in the search list";
        faults.invalid(&searches, why);
    }
    for search in searches.items().filter(|search| search.text() != ".") {
        let text = search.text().strip_suffix('.').unwrap_or(search.text());
        for why in names::loose_subdomain(text) {
            faults.invalid_as(&search, &quote(text), &why);
        }
    }
    for option in config.field("options").items() {
        if option.field("name").text().is_empty() {
            faults.required(&option, "must not be empty");
        }
    }
}

fn scheduling_gates(at: &At<'_>, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for gate in at.items() {
        let name = gate.field("name");
        for why in names::qualified(name.text()) {
            faults.invalid_as(&gate, &quote(name.text()), &why);
        }
        if !taken.insert(name.text()) {
            faults.duplicate_as(&gate, &quote(name.text()));
        }
    }
}

/// A template: its metadata, whose paths the real server shortens, and its spec.
pub(super) fn template(at: &At<'_>, more: &BTreeSet<&str>, faults: &mut Faults) {
    let metadata = at.value.at(&["metadata"]);
    labels(&at.named("labels", metadata.at(&["labels"])), faults);
    let annotations_at = at.named("annotations", metadata.at(&["annotations"]));
    annotations(&annotations_at, faults);
    let spec = at.field("spec");
    check(&spec, None, more, faults);
    let ephemeral = spec.field("ephemeralContainers");
    if !ephemeral.value.is_empty() {
        faults.forbidden(&ephemeral, "ephemeral containers not allowed in pod template");
    }
}

/// What a new pod may not have yet.
pub(super) fn create(spec: &At<'_>, faults: &mut Faults) {
    let ephemeral = spec.field("ephemeralContainers");
    if !ephemeral.value.is_empty() {
        faults.forbidden(&ephemeral, "cannot be set on create");
    }
    let node = spec.field("nodeName");
    if !node.text().is_empty() && !spec.field("schedulingGates").value.is_empty() {
        faults.forbidden(&node, "cannot be set until all schedulingGates have been cleared");
    }
}

/// What may change in a pod: its images, and a few seconds.
pub(super) fn update(at: &At<'_>, old: &Value, faults: &mut Faults) {
    for list in ["containers", "initContainers"] {
        let new = at.field(list);
        if new.value.items().len() != old.at(&[list]).items().len() {
            faults.forbidden(&new, "pod updates may not add or remove containers");
            return;
        }
        for container in new.items() {
            container::image(&container, faults);
        }
    }
    let deadline = at.field("activeDeadlineSeconds");
    faults.between(&deadline, 0, i64::from(i32::MAX), "must be between 0 and 2147483647, inclusive");
    let had = old.at(&["activeDeadlineSeconds"]).as_int();
    match (had, deadline.number()) {
        (Some(had), Some(now)) if now > had => {
            faults.invalid(&deadline, "must be less than or equal to previous value");
        }
        (Some(_), None) => faults.invalid(&deadline, "must not update from a positive integer to nil value"),
        _ => {}
    }
    let lost = |toleration: &Value| {
        let same = |other: &Value| {
            ["key", "operator", "value", "effect"].iter().all(|field| toleration.at(&[field]) == other.at(&[field]))
        };
        !at.field("tolerations").value.items().iter().any(same)
    };
    for _ in old.at(&["tolerations"]).items().iter().filter(|toleration| lost(toleration)) {
        faults.forbidden(
            &at.field("tolerations"),
            "existing toleration can not be modified except its tolerationSeconds",
        );
    }
    tolerations(&at.field("tolerations"), faults);
    for gate in at.field("schedulingGates").items() {
        let name = gate.field("name");
        let known = old.at(&["schedulingGates"]).items().iter().any(|gate| gate.at(&["name"]) == name.text());
        if !known {
            let why = format!("only deletion is allowed, but found new scheduling gate '{}'", name.text());
            faults.forbidden(&name, &why);
        }
    }
    if at.value == old {
        return;
    }
    if !old.at(&["schedulingGates"]).is_empty() {
        gated_update(at, old, faults);
    }
    let (was, is) = (fixed(old, old), fixed(at.value, old));
    if was != is {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,\
            `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
            `spec.tolerations` (only additions to existing tolerations),\
            `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        faults.forbidden(at, &format!("{why}{}", diff(&was, &is)));
    }
}

/// Until it may be scheduled, what a pod asks of nodes may still grow.
fn gated_update(at: &At<'_>, old: &Value, faults: &mut Faults) {
    const REQUIRED: &[&str] = &["nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    let selector = at.field("nodeSelector");
    for (key, value) in old.at(&["nodeSelector"]).entries() {
        if selector.value.get(key) != Some(value) {
            let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            faults.invalid(&selector, why);
        }
    }
    let terms = at.field("affinity").down(REQUIRED).field("nodeSelectorTerms");
    let before = old.at(&["affinity"]).at(REQUIRED).at(&["nodeSelectorTerms"]).items();
    if !before.is_empty() && before.len() != terms.value.items().len() {
        let shown = super::internal::list_of("NodeSelectorTerm", terms.value);
        let why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        return faults.invalid_as(&terms, &shown, why);
    }
    for (term, had) in terms.items().zip(before) {
        let none = ["matchExpressions", "matchFields"].iter().all(|list| had.at(&[list]).is_empty());
        let begins = |list: &str| {
            let (now, had) = (term.value.at(&[list]).items(), had.at(&[list]).items());
            if none { now.is_empty() } else { now.starts_with(had) }
        };
        if !begins("matchExpressions") || !begins("matchFields") {
            let shown = super::internal::of("NodeSelectorTerm", term.value);
            faults.invalid_as(&term, &shown, "only additions are allowed (no mutations or deletions)");
        }
    }
}

/// Containers that were put into a pod stay in it as they are.
pub(super) fn ephemeral_update(at: &At<'_>, old: &Value, faults: &mut Faults) {
    let ephemeral = at.field("ephemeralContainers");
    for had in old.at(&["ephemeralContainers"]).items() {
        let name = had.at(&["name"]);
        match ephemeral.value.items().iter().find(|container| container.at(&["name"]) == name) {
            None => {
                let why = format!("existing ephemeral containers {name} may not be removed\n");
                faults.forbidden(&ephemeral, &why);
            }
            Some(new) if new != had => {
                let why = format!("existing ephemeral containers {name} may not be changed");
                faults.forbidden(&ephemeral, &format!("{why}{}", diff(had, new)));
            }
            Some(_) => {}
        }
    }
}

/// Only processor time and memory are asked for anew, and not so much or little that the pod is of another class.
pub(super) fn resize(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let spec = root.field("spec");
    let before = faults.len();
    if old.at(&["spec", "os", "name"]) == "windows" {
        return faults.forbidden(&At::root(root.value).named("", root.value), "windows pods cannot be resized");
    }
    let class = crate::apiserver::defaults::quality(root.value);
    if old.at(&["status", "qosClass"]) != class {
        let why = "Pod QOS Class may not change as a result of resizing";
        faults.invalid_as(&spec, &quote(old.at(&["status", "qosClass"]).str_or_empty()), why);
    }
    let mut new = spec.value.clone();
    let old = old.at(&["spec"]);
    if !pod_level(old).is_empty() || !pod_level(spec.value).is_empty() {
        pod_level_resize(&spec, old, &mut new, faults);
    }
    if !same_containers(&spec, old, faults) {
        return;
    }
    for (list, all) in [("initContainers", false), ("containers", true)] {
        for (one, had) in spec.field(list).items().zip(old.at(&[list]).items()) {
            if all || had.at(&["restartPolicy"]) == "Always" {
                nothing_removed(&one.field("resources"), had.at(&["resources"]), "resource", faults);
            }
        }
    }
    for (list, all) in [("containers", true), ("initContainers", false)] {
        let mut kept = Vec::new();
        for (one, had) in spec.field(list).items().zip(old.at(&[list]).items()) {
            let may = all || one.field("restartPolicy").text() == "Always";
            let mut fixed = one.value.clone();
            if may {
                fixed.set(&["resources"], elastic(one.value.at(&["resources"]), had.at(&["resources"])));
            }
            if fixed != *had {
                match (all, may) {
                    (true, _) => faults.forbidden(&spec, "only cpu and memory resources are mutable"),
                    (_, true) => {
                        let why = "only cpu and memory resources for init or sidecar containers are mutable";
                        faults.forbidden(&one, why);
                    }
                    _ => faults.forbidden(&spec, "resources for non-sidecar init containers are immutable"),
                }
            }
            kept.push(fixed);
        }
        if new.get(list).is_some() {
            new.set(&[list], Value::from(kept));
        }
    }
    if faults.len() == before && new != *old {
        faults.forbidden(&spec, "only cpu and memory resources are mutable");
    }
}

fn pod_level(spec: &Value) -> Vec<&Value> {
    let amounts = ["requests", "limits"].into_iter().map(|list| spec.at(&["resources", list]));
    amounts.filter(|list| !list.is_empty()).collect()
}

fn pod_level_resize(spec: &At<'_>, old: &Value, new: &mut Value, faults: &mut Faults) {
    let (now, had) = (spec.field("resources"), old.at(&["resources"]));
    if !had.is_null() && now.is_absent() {
        return faults.forbidden(&now, "pod-level resources cannot be removed");
    }
    nothing_removed(&now, had, "pod-level resource", faults);
    let fixed = elastic(now.value, had);
    if fixed != *had && !(had.is_null() && fixed.is_empty()) {
        faults.forbidden(spec, "only cpu and memory resources are mutable at pod-level");
    }
    match had {
        Value::Null => new.remove(&["resources"]),
        had => {
            new.set(&["resources"], had.clone());
            None
        }
    };
}

/// Amounts once promised are not taken back.
fn nothing_removed(now: &At<'_>, had: &Value, what: &str, faults: &mut Faults) {
    for list in ["requests", "limits"] {
        let new = now.field(list);
        if had.at(&[list]).entries().iter().any(|(name, _)| new.value.get(name).is_none()) {
            faults.forbidden(&new, &format!("{what} {list} cannot be removed"));
        }
    }
}

/// Resources as they would be if processor time and memory had not changed.
fn elastic(now: &Value, had: &Value) -> Value {
    let mut fixed = now.clone();
    for list in ["limits", "requests"] {
        for resource in ["cpu", "memory"] {
            match had.find(&[list, resource]) {
                Some(amount) => fixed.set(&[list, resource], amount.clone()),
                None => {
                    fixed.remove(&[list, resource]);
                }
            }
        }
        if fixed.find(&[list]).is_some_and(Value::is_empty) {
            fixed.remove(&[list]);
        }
    }
    fixed
}

/// Whether a pod has the containers that it had.
fn same_containers(spec: &At<'_>, old: &Value, faults: &mut Faults) -> bool {
    let before = faults.len();
    for list in ["containers", "initContainers"] {
        let (now, had) = (spec.field(list), old.at(&[list]).items());
        if now.value.items().len() != had.len() {
            faults.forbidden(&now, &format!("{list} may not be added or removed on resize"));
            continue;
        }
        for (one, had) in now.items().zip(had) {
            if one.value.at(&["name"]) != had.at(&["name"]) {
                faults.forbidden(&one.field("name"), &format!("{list} may not be renamed or reordered on resize"));
            }
        }
    }
    faults.len() == before
}

/// What of a spec may not change.
fn fixed(spec: &Value, old: &Value) -> Value {
    let mut fixed = spec.clone();
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        fixed.object().remove(field);
    }
    let gated = !old.at(&["schedulingGates"]).is_empty();
    if gated {
        // Until it may be scheduled, a pod's demands on nodes may still grow.
        fixed.object().remove("nodeSelector");
        fixed.remove(&["affinity", "nodeAffinity"]);
        if fixed.find(&["affinity"]).is_some_and(Value::is_empty) {
            fixed.object().remove("affinity");
        }
    }
    if old.at(&["terminationGracePeriodSeconds"]).as_int().is_some_and(|seconds| seconds < 0) {
        fixed.object().remove("terminationGracePeriodSeconds");
    }
    for list in ["containers", "initContainers"] {
        if fixed.get(list).is_some() {
            let without: Value = fixed
                .at(&[list])
                .items()
                .iter()
                .map(|container| {
                    let mut container = container.clone();
                    container.set(&["image"], doc!(""));
                    container
                })
                .collect();
            fixed.set(&[list], without);
        }
    }
    fixed
}
