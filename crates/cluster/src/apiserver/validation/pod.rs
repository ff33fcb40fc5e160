//! What is wrong with a pod, and with the pods that a template would make (`ValidatePodSpec`).
//!
//! Knows: the pod's own fields, in the order in which the real server looks at them.
//! Does not know: containers, volumes and affinities, which have their own chapters.

use std::collections::BTreeSet;

use super::container::{self, Around, Kind};
use super::faults::{At, Faults, diff, quote};
use super::metadata::{annotations, labels};
use super::selectors::{affinity, label_name, spread, tolerations};
use super::{names, resources, volume};
use crate::doc;
use crate::value::Value;

const POLICIES: &[&str] = &["Always", "OnFailure", "Never"];

/// A spec, wherever it stands.
pub(super) fn spec(at: &At<'_>, faults: &mut Faults) {
    spec_with(at, &BTreeSet::new(), faults);
}

/// A spec whose pods get more volumes than it names.
pub(super) fn spec_with(at: &At<'_>, more: &BTreeSet<&str>, faults: &mut Faults) {
    let mut volumes = volume::of_pod(&at.field("volumes"), faults);
    volumes.extend(more);
    containers(at, &volumes, faults);
    resources::requirements(&at.field("resources"), faults);
    policy(&at.field("restartPolicy"), POLICIES, faults);
    policy(&at.field("dnsPolicy"), &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], faults);
    labels(&at.field("nodeSelector"), faults);
    host(at, faults);
    security_context(&at.field("securityContext"), faults);
    for secret in at.field("imagePullSecrets").items() {
        let name = secret.field("name");
        if !name.is_absent() {
            faults.all(&name, names::subdomain(name.text()));
        }
    }
    affinity(&at.field("affinity"), faults);
    dns(at, faults);
    for gate in at.field("readinessGates").items() {
        label_name(&gate.field("conditionType"), faults);
    }
    scheduling_gates(&at.field("schedulingGates"), faults);
    spread(&at.field("topologySpreadConstraints"), faults);
    host_process(at, faults);
    for (field, form) in
        [("serviceAccountName", names::subdomain as fn(&str) -> Vec<String>), ("nodeName", names::subdomain)]
    {
        optional(&at.field(field), form, faults);
    }
    let deadline = at.field("activeDeadlineSeconds");
    if deadline.number().is_some_and(|seconds| !(1..=i64::from(i32::MAX)).contains(&seconds)) {
        faults.invalid(&deadline, "must be between 1 and 2147483647, inclusive");
    }
    optional(&at.field("hostname"), names::label, faults);
    optional(&at.field("subdomain"), names::label, faults);
    tolerations(&at.field("tolerations"), faults);
    for alias in at.field("hostAliases").items() {
        faults.all(&alias.field("ip"), names::address(alias.field("ip").text()));
        for name in alias.field("hostnames").items() {
            faults.all(&name, names::subdomain(name.text()));
        }
    }
    optional(&at.field("priorityClassName"), names::subdomain, faults);
    optional(&at.field("runtimeClassName"), names::subdomain, faults);
    faults.one_of(&at.field("preemptionPolicy"), &["Never", "PreemptLowerPriority"]);
    for (name, amount) in at.field("overhead").entries() {
        resources::name(&amount, name, faults);
        resources::amount(&amount, name, faults);
    }
}

fn optional(at: &At<'_>, form: fn(&str) -> Vec<String>, faults: &mut Faults) {
    if !at.text().is_empty() {
        faults.all(at, form(at.text()));
    }
}

fn policy(at: &At<'_>, words: &[&str], faults: &mut Faults) {
    if at.text().is_empty() {
        faults.required(at, "");
    } else {
        faults.one_of(at, words);
    }
}

fn containers(at: &At<'_>, volumes: &BTreeSet<&str>, faults: &mut Faults) {
    let main = at.field("containers");
    let names = main.value.items().iter().map(|container| container.at(&["name"]).str_or_empty()).collect();
    let around = Around { volumes, main: names };
    let mut taken = BTreeSet::new();
    for init in at.field("initContainers").items() {
        container::check(&init, Kind::Init, &around, &mut taken, faults);
    }
    if main.value.is_empty() {
        faults.required(&main, "");
        return;
    }
    let mut taken = BTreeSet::new();
    for one in main.items() {
        container::check(&one, Kind::Main, &around, &mut taken, faults);
    }
    container::host_port_conflicts(&main, faults);
}

/// On the node's own network a port is the node's port.
fn host(at: &At<'_>, faults: &mut Faults) {
    if at.field("hostNetwork").value.is_true() {
        for one in at.field("containers").items() {
            for port in one.field("ports").items() {
                let host = port.field("hostPort");
                // A template's ports are given the node's when pods are made of it.
                let asked = host.number().is_some_and(|number| number != 0);
                if asked && host.value != port.field("containerPort").value {
                    faults.invalid(&host, "must match `containerPort` when `hostNetwork` is true");
                }
            }
        }
    }
    let shared = at.field("shareProcessNamespace");
    if shared.value.is_true() && at.field("hostPID").value.is_true() {
        faults.invalid(&shared, "ShareProcessNamespace and HostPID cannot both be enabled");
    }
}

fn security_context(at: &At<'_>, faults: &mut Faults) {
    if at.is_absent() {
        return;
    }
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        container::id(&at.field(field), faults);
    }
    for group in at.field("supplementalGroups").items() {
        container::id(&group, faults);
    }
    let mut taken = BTreeSet::new();
    for sysctl in at.field("sysctls").items() {
        let name = sysctl.field("name");
        if name.text().is_empty() {
            faults.required(&name, "");
        } else if !is_sysctl(name.text()) {
            faults.invalid(
                &name,
                r"must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            );
        } else if !taken.insert(name.text()) {
            faults.duplicate(&name);
        }
    }
    faults.one_of(&at.field("fsGroupChangePolicy"), &["Always", "OnRootMismatch"]);
    container::profile(&at.field("seccompProfile"), "seccomp", faults);
    container::profile(&at.field("appArmorProfile"), "AppArmor", faults);
}

fn is_sysctl(name: &str) -> bool {
    let outer = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let ends = bytes.first().copied().is_some_and(outer) && bytes.last().copied().is_some_and(outer);
        ends && bytes.iter().all(|byte| outer(*byte) || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split(['.', '/']).all(part)
}

fn dns(at: &At<'_>, faults: &mut Faults) {
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
        faults.all(&server, names::address(server.text()));
    }
    let searches = config.field("searches");
    if searches.value.items().len() > 32 {
        faults.invalid(&searches, "must not have more than 32 search paths");
    }
    for option in config.field("options").items() {
        faults.some_text(&option.field("name"));
    }
}

fn scheduling_gates(at: &At<'_>, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for gate in at.items() {
        let name = gate.field("name");
        for why in names::qualified(name.text()) {
            faults.invalid_as(&name, &quote(name.text()), &why);
        }
        if !taken.insert(name.text()) {
            faults.duplicate_as(&gate, &quote(name.text()));
        }
    }
}

fn host_process(at: &At<'_>, faults: &mut Faults) {
    let asks = |context: &Value| context.at(&["securityContext", "windowsOptions", "hostProcess"]).is_true();
    let any = asks(at.value) || at.field("containers").value.items().iter().any(asks);
    let network = at.field("hostNetwork");
    if any && !network.value.is_true() {
        faults.invalid_as(&network, "false", "hostNetwork must be true if pod contains any hostProcess containers");
    }
}

/// A template: its metadata, whose paths the real server shortens, and its spec.
pub(super) fn template(at: &At<'_>, more: &BTreeSet<&str>, faults: &mut Faults) {
    let metadata = at.value.at(&["metadata"]);
    labels(&at.named("labels", metadata.at(&["labels"])), faults);
    annotations(&at.named("annotations", metadata.at(&["annotations"])), faults);
    let spec = at.field("spec");
    spec_with(&spec, more, faults);
    let ephemeral = spec.field("ephemeralContainers");
    if !ephemeral.value.is_empty() {
        faults.forbidden(&ephemeral, "ephemeral containers not allowed in pod template");
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
    let had = old.at(&["activeDeadlineSeconds"]).as_int();
    match (had, deadline.number()) {
        (Some(had), Some(now)) if now > had => {
            faults.invalid(&deadline, "must be less than or equal to previous value");
        }
        (Some(_), None) => faults.invalid(&deadline, "must not update from a positive integer to nil value"),
        _ => {}
    }
    for gate in at.field("schedulingGates").items() {
        let name = gate.field("name").text();
        let known = old.at(&["schedulingGates"]).items().iter().any(|gate| gate.at(&["name"]) == name);
        if !known {
            let why = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            faults.forbidden(&at.field("schedulingGates"), &why);
        }
    }
    let lost = |toleration: &Value| {
        let same = |other: &Value| {
            ["key", "operator", "value", "effect"].iter().all(|field| toleration.at(&[field]) == other.at(&[field]))
        };
        !at.field("tolerations").value.items().iter().any(same)
    };
    if old.at(&["tolerations"]).items().iter().any(lost) {
        faults.forbidden(
            &at.field("tolerations"),
            "existing toleration can not be modified except its tolerationSeconds",
        );
    }
    if !faults.is_empty() {
        return;
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

/// Containers that were put into a pod stay in it as they are.
pub(super) fn ephemeral_update(at: &At<'_>, old: &Value, faults: &mut Faults) {
    let ephemeral = at.field("ephemeralContainers");
    let names = |list: &'static str| at.field(list).value.items().iter().map(|container| container.at(&["name"]));
    let others: Vec<&Value> = names("containers").chain(names("initContainers")).collect();
    let mut taken = BTreeSet::new();
    for container in ephemeral.items() {
        let name = container.field("name");
        if faults.some_text(&name) {
            faults.all(&name, names::label(name.text()));
        }
        if others.contains(&name.value) || !taken.insert(name.text()) {
            faults.duplicate(&name);
        }
        if container.field("image").text().is_empty() {
            faults.required(&container.field("image"), "");
        }
        let target = container.field("targetContainerName");
        if !target.text().is_empty() && !others.contains(&target.value) {
            faults.not_found(&target);
        }
        for field in ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources"] {
            let field = container.field(field);
            if !field.value.is_empty() {
                faults.forbidden(&field, "cannot be set for an Ephemeral Container");
            }
        }
    }
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
    let class = crate::apiserver::defaults::quality(root.value);
    if old.at(&["status", "qosClass"]) != class {
        let why = "Pod QOS Class may not change as a result of resizing";
        faults.invalid_as(&spec, &quote(old.at(&["status", "qosClass"]).str_or_empty()), why);
    }
    let elastic = |resources: &Value| -> Value {
        let mut fixed = resources.clone();
        for list in ["limits", "requests"] {
            for resource in ["cpu", "memory"] {
                fixed.remove(&[list, resource]);
            }
            if fixed.find(&[list]).is_some_and(Value::is_empty) {
                fixed.remove(&[list]);
            }
        }
        fixed
    };
    for list in ["containers", "initContainers"] {
        let before = old.at(&["spec", list]).items();
        let fixed = |containers: &[Value]| -> Vec<Value> {
            containers.iter().map(|container| elastic(container.at(&["resources"]))).collect()
        };
        if fixed(spec.field(list).value.items()) != fixed(before) {
            faults.forbidden(&spec, "only cpu and memory resources are mutable");
        }
        for (container, had) in spec.field(list).items().zip(before) {
            let gone = |which: &str| {
                let now = container.value.at(&["resources", which]);
                had.at(&["resources", which]).entries().iter().any(|(resource, _)| now.get(resource).is_none())
            };
            for which in ["requests", "limits"] {
                if gone(which) {
                    let why = format!("resource {which} cannot be removed");
                    faults.forbidden(&container.down(&["resources", which]), &why);
                }
            }
        }
    }
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
        for field in ["nodeSelector", "affinity"] {
            fixed.object().remove(field);
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

/// What does not do what it seems to.
pub(super) fn warnings(spec: &Value, metadata: &Value, path: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    const CRITICAL: &str = "scheduler.alpha.kubernetes.io/critical-pod";
    for (label, new) in [
        ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
        ("beta.kubernetes.io/os", "kubernetes.io/os"),
        ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
        ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
        ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
    ] {
        if spec.at(&["nodeSelector"]).get(label).is_some() {
            let since = if label.ends_with("arch") || label.ends_with("os") { "1.14" } else { "1.17" };
            warnings
                .push(format!("{path}spec.nodeSelector[{label}]: deprecated since v{since}; use \"{new}\" instead"));
        }
    }
    if metadata.at(&["annotations"]).get(CRITICAL).is_some() {
        warnings.push(format!(
            "{path}metadata.annotations[{CRITICAL}]: non-functional in v1.16+; use the \"priorityClassName\" field instead"
        ));
    }
    let mut ports: Vec<(String, String, &Value)> = Vec::new();
    let mut port_names: Vec<(&str, String)> = Vec::new();
    for (number, container) in spec.at(&["containers"]).items().iter().enumerate() {
        let here = format!("{path}spec.containers[{number}]");
        let mut variables = BTreeSet::new();
        for (index, variable) in container.at(&["env"]).items().iter().enumerate() {
            let name = variable.at(&["name"]).str_or_empty();
            if !variables.insert(name) {
                warnings.push(format!(
                    "{here}.env[{index}]: hides previous definition of \"{name}\", which may be dropped when using apply"
                ));
            }
        }
        for (index, port) in container.at(&["ports"]).items().iter().enumerate() {
            let place = format!("{here}.ports[{index}]");
            let same = |field: &str| port.at(&[field]).to_json();
            let key = [same("protocol"), same("hostIP"), same("containerPort"), same("hostPort")].join("/");
            if let Some((_, first, _)) = ports.iter().find(|(other, _, _)| *other == key) {
                warnings.push(format!("{place}: duplicate port definition with {first}"));
            } else {
                ports.push((key, place.clone(), port));
            }
            let name = port.at(&["name"]).str_or_empty();
            if !name.is_empty() {
                if let Some((_, first)) = port_names.iter().find(|(other, _)| *other == name) {
                    warnings.push(format!(
                        "{place}: duplicate port name \"{name}\" with {first}, services and probes that select ports by name will use {first}"
                    ));
                } else {
                    port_names.push((name, place));
                }
            }
        }
    }
    warnings
}
