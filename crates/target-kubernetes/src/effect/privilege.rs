//! Who may do what, before and after.
//!
//! Knows: RBAC rules and bindings, and what a pod may do to its node.
//! Does not know: who holds a subject's credentials.

use std::collections::BTreeSet;

use cluster::{Cluster, ObjectKey, Value};
use model::{Forecast, HazardKind, Privilege};

use super::ledger::{Ledger, Net, reference};
use super::{templates, warn};

const ROLES: &str = "roles.rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const ROLE_BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";

/// Fills in privilege gained and lost.
pub(super) fn read(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let bindings = touched_bindings(ledger);
    let mut before = BTreeSet::new();
    let mut after = BTreeSet::new();
    for key in &bindings {
        grants(ledger.before, key, &mut before);
        grants(ledger.after, key, &mut after);
    }
    for (_, net) in ledger.of("pods") {
        before.extend(net.before.into_iter().flat_map(on_the_node));
        // A replica of a template that may do this already gains nothing new: its owner's name stands for it.
        after.extend(net.after.into_iter().flat_map(on_the_node));
    }
    for (key, net) in ledger.net() {
        borrows(ledger, key, net, &mut after);
    }
    forecast.privilege.gained.sure = after.difference(&before).cloned().collect();
    forecast.privilege.lost.sure = before.difference(&after).cloned().collect();
    missed(ledger, forecast);
}

/// Whoever makes pods gives them an account, or a machine: pods that run as somebody who may do everything, or where their
/// like is kept out, may do as much.
fn borrows(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, found: &mut BTreeSet<Privilege>) {
    let Some(object) = net.after.filter(|after| after.controller().is_none() && !after.is_terminating()) else {
        return;
    };
    let Some(template) = templates::template(&key.resource, object) else { return };
    let old = net.before.filter(|_| !net.is_deletion()).and_then(|before| templates::template(&key.resource, before));
    let subject = reference(key, object).to_string();
    let within = key.namespace.to_string();
    let account = |template: &Value| match template.at(&["spec", "serviceAccountName"]).str_or_empty() {
        "" => "default".to_owned(),
        name => name.to_owned(),
    };
    let name = account(template);
    if old.map(account).as_ref() != Some(&name) {
        let mut has = BTreeSet::new();
        let own = format!("ServiceAccount/{}/{name}", key.namespace);
        let bindings =
            [ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS].into_iter().flat_map(|kind| ledger.after.list(kind, None));
        for (binding, _) in
            bindings.filter(|(_, binding)| binding.at(&["subjects"]).items().iter().any(|one| subject_of(one) == own))
        {
            grants(ledger.after, binding, &mut has);
        }
        if has.iter().any(|privilege| privilege.subject == own && privilege.sweeping) {
            let can = format!("do all that {own} may");
            found.insert(Privilege { subject: subject.clone(), can, within: within.clone(), sweeping: true });
        }
    }
    // A scheduler says where a pod goes; whoever says it instead is asked by nobody.
    let first = ledger.changes.iter().find(|change| change.key == *key).and_then(|change| change.after.as_ref());
    let placed = |template: &Value| template.at(&["spec", "nodeName"]).str_or_empty().to_owned();
    let node = if key.is("pods") {
        first.filter(|_| net.before.is_none()).map(placed).unwrap_or_default()
    } else {
        placed(template)
    };
    if node.is_empty() || old.map(placed).as_ref() == Some(&node) {
        return;
    }
    let taints =
        ledger.before.get(&ObjectKey::new("nodes", "", node.as_str())).map(|node| node.at(&["spec", "taints"]));
    let tolerations = template.at(&["spec", "tolerations"]).items();
    let kept_out = taints.into_iter().flat_map(Value::items).any(|taint| {
        taint.at(&["effect"]) != "PreferNoSchedule"
            && !tolerations.iter().any(|one| {
                let key = one.at(&["key"]);
                let effect = one.at(&["effect"]);
                (key.is_empty() || key == taint.at(&["key"])) && (effect.is_empty() || effect == taint.at(&["effect"]))
            })
    });
    if kept_out {
        let can = format!("run on {node}, whose taints keep its like out");
        found.insert(Privilege { subject, can, within, sweeping: true });
    }
}

/// Pods that run as an account which loses a right.
fn missed(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let lost = forecast.privilege.lost.sure.clone();
    for privilege in &lost {
        let Some((space, name)) =
            privilege.subject.strip_prefix("ServiceAccount/").and_then(|rest| rest.split_once('/'))
        else {
            continue;
        };
        let runs = templates::workloads(ledger.after, Some(space)).find(|(_, object, template)| {
            let account = template.at(&["spec", "serviceAccountName"]).as_str().unwrap_or("default");
            let has_token = template.at(&["spec", "automountServiceAccountToken"]).as_bool() != Some(false);
            account == name && has_token && templates::is_alive(object)
        });
        if let Some((key, object, _)) = runs {
            let because = format!("it runs as {}, which could no longer {}", privilege.subject, privilege.can);
            warn(forecast, HazardKind::Hollow, reference(key, object), because);
        }
    }
}

/// The bindings that give something else than before: those that changed, and those of roles that changed.
fn touched_bindings(ledger: &Ledger<'_>) -> BTreeSet<ObjectKey> {
    let mut found = BTreeSet::new();
    let mut roles: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
    for (key, _) in ledger.net() {
        match key.resource.as_str() {
            ROLE_BINDINGS | CLUSTER_ROLE_BINDINGS => {
                found.insert(key.clone());
            }
            ROLES => {
                roles.insert(("Role", key.namespace.as_str(), key.name.as_str()));
            }
            CLUSTER_ROLES => {
                roles.insert(("ClusterRole", "", key.name.as_str()));
            }
            _ => {}
        }
    }
    if roles.is_empty() {
        return found;
    }
    for cluster in [ledger.before, ledger.after] {
        let bindings = cluster.list(ROLE_BINDINGS, None).chain(cluster.list(CLUSTER_ROLE_BINDINGS, None));
        for (key, binding) in bindings {
            let kind = binding.at(&["roleRef", "kind"]).str_or_empty();
            let namespace = if kind == "Role" { key.namespace.as_str() } else { "" };
            if roles.contains(&(kind, namespace, binding.at(&["roleRef", "name"]).str_or_empty())) {
                found.insert(key.clone());
            }
        }
    }
    found
}

/// Everything that a binding gives to its subjects.
fn grants(cluster: &Cluster, key: &ObjectKey, found: &mut BTreeSet<Privilege>) {
    let Some(binding) = cluster.get(key) else { return };
    let name = binding.at(&["roleRef", "name"]).str_or_empty();
    let role = match binding.at(&["roleRef", "kind"]).str_or_empty() {
        "ClusterRole" => ObjectKey::new(CLUSTER_ROLES, "", name),
        _ => ObjectKey::new(ROLES, key.namespace.clone(), name),
    };
    let within = if key.namespace.is_empty() { "everywhere".to_owned() } else { key.namespace.to_string() };
    let rules = cluster.get(&role).map_or(&[][..], |role| role.at(&["rules"]).items());
    for subject in binding.at(&["subjects"]).items().iter().map(subject_of) {
        for (can, sweeping) in rules.iter().flat_map(|rule| permissions(rule, key.namespace.is_empty())) {
            found.insert(Privilege { subject: subject.clone(), can, within: within.clone(), sweeping });
        }
    }
}

fn subject_of(subject: &Value) -> String {
    let part = |field| subject.at(&[field]).str_or_empty();
    match part("kind") {
        "ServiceAccount" => format!("ServiceAccount/{}/{}", part("namespace"), part("name")),
        kind => format!("{kind}/{}", part("name")),
    }
}

/// One rule as single permissions, each with whether it is as good as owning the cluster (or, in a namespace, as good as
/// owning what runs there).
fn permissions(rule: &Value, everywhere: bool) -> Vec<(String, bool)> {
    let list = |field| rule.at(&[field]).items().iter().map(Value::str_or_empty);
    let mut found = Vec::new();
    for verb in list("verbs") {
        for path in list("nonResourceURLs") {
            found.push((format!("{verb} {path}"), false));
        }
        for group in list("apiGroups") {
            for resource in list("resources") {
                let shown = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
                let names: Vec<&str> = list("resourceNames").collect();
                let only = if names.is_empty() { String::new() } else { format!(" named {}", names.join(", ")) };
                let sweeping = names.is_empty() && is_sweeping(verb, group, resource, everywhere);
                found.push((format!("{verb} {shown}{only}"), sweeping));
            }
        }
    }
    found
}

/// Ways to more than is written: see "Privilege escalation risks" in Kubernetes' RBAC good practices.
fn is_sweeping(verb: &str, group: &str, resource: &str, everywhere: bool) -> bool {
    let writes = matches!(verb, "*" | "create" | "update" | "patch");
    let reads = matches!(verb, "*" | "get" | "list" | "watch");
    matches!(verb, "escalate" | "bind" | "impersonate")
        || (verb == "*" && resource == "*")
        || (writes && group == "rbac.authorization.k8s.io")
        || (writes && matches!(resource, "serviceaccounts/token" | "pods/exec" | "pods/attach" | "nodes/proxy"))
        || (writes
            && everywhere
            && matches!(group, "admissionregistration.k8s.io" | "apiregistration.k8s.io" | "certificates.k8s.io"))
        || (writes && everywhere && matches!(resource, "pods" | "nodes" | "persistentvolumes" | "*"))
        || ((reads || writes) && matches!(resource, "secrets" | "*") && (group.is_empty() || group == "*"))
        || (reads && resource == "nodes/proxy")
}

/// What a pod may do to the node it runs on, beyond its containers. Named by its owner, if it has one.
pub(crate) fn on_the_node(pod: &Value) -> Vec<Privilege> {
    let spec = pod.at(&["spec"]);
    let mut can = BTreeSet::new();
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec.at(&[field]).is_true() {
            can.insert(format!("use the node's {}", field.trim_start_matches("host").to_lowercase()));
        }
    }
    for volume in spec.at(&["volumes"]).items() {
        if let Some(path) = volume.at(&["hostPath", "path"]).as_str() {
            can.insert(format!("use {path} of the node"));
        }
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in spec.at(&[list]).items() {
            let context = container.at(&["securityContext"]);
            if context.at(&["privileged"]).is_true() {
                can.insert("be root on the node".to_owned());
            }
            for capability in context.at(&["capabilities", "add"]).items() {
                can.insert(format!("use the capability {}", capability.str_or_empty()));
            }
        }
    }
    let subject = match pod.controller() {
        Some(owner) => format!("{}/{}/{}", owner.kind(), pod.namespace(), owner.name()),
        None => format!("Pod/{}/{}", pod.namespace(), pod.name()),
    };
    can.into_iter()
        .map(|can| Privilege { subject: subject.clone(), can, within: pod.namespace().to_owned(), sweeping: true })
        .collect()
}
