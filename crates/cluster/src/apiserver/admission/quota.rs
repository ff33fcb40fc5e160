//! `ResourceQuota`: how much all objects of a namespace may ask for together.
//!
//! Knows: what each kind of object uses, and how that is charged before the object is stored.
//! Does not know: how usage shrinks again; the quota controller counts anew when objects go.
//!
//! A quota binds only in what its *status* lists, and charging adds to that status, so the work of admitting an object
//! does not grow with the namespace.

use super::Write;
use crate::apiserver::Status;
use crate::apiserver::defaults::{needs_node_ports, quality};
use crate::apiserver::status::split;
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::scheduler::request::{Amounts, amounts, is_live, of_pod};
use crate::value::{Text, Value};

/// Kinds that have a name of their own in quotas, besides `count/…`.
const NAMED: &[&str] = &[
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
];

/// What every container of a pod has to say if a quota limits it.
const DEMANDED: &[&str] = &["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// Refuses what exceeds a quota, or charges it.
pub(super) fn charge(cluster: &mut Cluster, write: Write<'_>, object: &Value) -> Result<(), Status> {
    // What only counts objects does not change with them.
    let counted_once = !matches!(write.key.resource.as_str(), "pods" | "services" | "persistentvolumeclaims");
    if write.key.namespace.is_empty() || (counted_once && !write.is_create()) {
        return Ok(());
    }
    let more = delta(write, object);
    if more.is_empty() {
        return Ok(());
    }
    let mut charged = Vec::new();
    for (key, quota) in cluster.list("resourcequotas", Some(&write.key.namespace)) {
        if let Some(used) = admit(write, &more, object, key, quota)? {
            charged.push((key.clone(), used));
        }
    }
    if write.writer.dry_run {
        return Ok(());
    }
    for (key, used) in charged {
        if let Some(mut quota) = cluster.get(&key).cloned() {
            quota.set(&["status", "used"], used);
            cluster.write(&key, Some(quota));
        }
    }
    Ok(())
}

/// What a write uses more than before.
fn delta(write: Write<'_>, object: &Value) -> Amounts {
    let mut more = usage(write.key, object);
    for (name, amount) in write.old.map(|old| usage(write.key, old)).unwrap_or_default() {
        let have = more.entry(name).or_default();
        *have = *have - amount;
    }
    more.retain(|_, amount| *amount > Quantity::ZERO);
    more
}

/// What one quota has used after the write, if the write uses any of it.
fn admit(
    write: Write<'_>,
    more: &Amounts,
    object: &Value,
    key: &ObjectKey,
    quota: &Value,
) -> Result<Option<Value>, Status> {
    let hard = amounts(quota.at(&["status", "hard"]));
    if !covers(quota, write.key, object) || !hard.keys().any(|name| concerns(name, write.key)) {
        return Ok(None);
    }
    let name = &key.name;
    if write.key.is("pods")
        && write.is_create()
        && let Some(missing) = unsaid(&hard, object)
    {
        return Err(write.forbidden(&format!("failed quota: {name}: must specify {missing}")));
    }
    let asked: Amounts = more.iter().filter(|(name, _)| hard.contains_key(*name)).map(clone).collect();
    if asked.is_empty() {
        return Ok(None);
    }
    let used = amounts(quota.at(&["status", "used"]));
    let unknown: Vec<&str> = asked.keys().filter(|name| !used.contains_key(*name)).map(Text::as_str).collect();
    if !unknown.is_empty() {
        return Err(write.forbidden(&format!("status unknown for quota: {name}, resources: {}", unknown.join(","))));
    }
    let after = |name: &Text, amount: &Quantity| used.get(name).copied().unwrap_or_default() + *amount;
    let over: Vec<&Text> = asked
        .iter()
        .filter(|(name, amount)| hard.get(*name).is_some_and(|limit| after(name, amount) > *limit))
        .map(|(name, _)| name)
        .collect();
    if !over.is_empty() {
        let list = |amounts: &Amounts| {
            let shown: Vec<String> =
                over.iter().map(|name| format!("{name}={}", amounts.get(*name).copied().unwrap_or_default())).collect();
            shown.join(",")
        };
        return Err(write.forbidden(&format!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            list(&asked),
            list(&used),
            list(&hard)
        )));
    }
    let mut status = quota.at(&["status", "used"]).clone();
    for (name, amount) in &asked {
        status.set(&[name], after(name, amount));
    }
    Ok(Some(status))
}

fn clone((name, amount): (&Text, &Quantity)) -> (Text, Quantity) {
    (name.clone(), *amount)
}

/// What an object uses of a quota, by the names that quotas have for it.
pub(crate) fn usage(key: &ObjectKey, object: &Value) -> Amounts {
    let mut used = Amounts::new();
    if key.is("pods") && !is_live(object) {
        return used;
    }
    let one = Quantity::whole(1);
    used.insert(arcstr::format!("count/{}", key.resource), one);
    if NAMED.contains(&key.resource.as_str()) {
        used.insert(key.resource.clone(), one);
    }
    match key.resource.as_str() {
        "pods" => pod_usage(object, &mut used),
        "services" => service_usage(object, &mut used),
        "persistentvolumeclaims" => claim_usage(object, &mut used),
        _ => {}
    }
    used
}

fn pod_usage(pod: &Value, used: &mut Amounts) {
    for (name, amount) in of_pod(pod, "requests") {
        let plain = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
        if plain {
            used.insert(name.clone(), amount);
        }
        used.insert(arcstr::format!("requests.{name}"), amount);
    }
    for (name, amount) in of_pod(pod, "limits") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            used.insert(arcstr::format!("limits.{name}"), amount);
        }
    }
}

fn service_usage(service: &Value, used: &mut Amounts) {
    let ports = i64::try_from(service.at(&["spec", "ports"]).items().len()).unwrap_or(0);
    let node_ports = if needs_node_ports(service) { ports } else { 0 };
    let balancer = service.at(&["spec", "type"]) == "LoadBalancer";
    used.insert(Text::from("services.nodeports"), Quantity::whole(node_ports));
    used.insert(Text::from("services.loadbalancers"), Quantity::whole(i64::from(balancer)));
}

fn claim_usage(claim: &Value, used: &mut Amounts) {
    let class = claim.at(&["spec", "storageClassName"]).str_or_empty();
    let storage = Quantity::or_zero(claim.at(&["spec", "resources", "requests", "storage"]));
    used.insert(Text::from("requests.storage"), storage);
    if !class.is_empty() {
        used.insert(arcstr::format!("{class}.storageclass.storage.k8s.io/requests.storage"), storage);
        let count = arcstr::format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims");
        used.insert(count, Quantity::whole(1));
    }
}

/// Whether a name in a quota is about objects of this resource.
fn concerns(name: &str, key: &ObjectKey) -> bool {
    let resource = key.resource.as_str();
    if name.strip_prefix("count/") == Some(resource) || name == resource {
        return true;
    }
    match split(resource).0 {
        "pods" => {
            DEMANDED.contains(&name)
                || name == "ephemeral-storage"
                || name.starts_with("hugepages-")
                || name.starts_with("limits.")
                || (name.starts_with("requests.") && name != "requests.storage")
        }
        "services" => name.starts_with("services."),
        "persistentvolumeclaims" => name == "requests.storage" || name.contains(".storageclass.storage.k8s.io/"),
        _ => false,
    }
}

/// What a pod has to say and does not: `limits.cpu for: app; limits.memory for: app,side`.
fn unsaid(hard: &Amounts, pod: &Value) -> Option<String> {
    if !pod.at(&["spec", "resources"]).is_empty() {
        return None;
    }
    let lists = ["containers", "initContainers"].map(|list| pod.at(&["spec", list]).items());
    let missing = |demanded: &str| {
        let (kind, resource) = demanded.split_once('.').unwrap_or(("requests", demanded));
        let without = lists.iter().flat_map(|list| list.iter());
        let mut names: Vec<&str> = without
            .filter(|container| container.at(&["resources", kind, resource]).is_null())
            .map(|container| container.at(&["name"]).str_or_empty())
            .collect();
        names.sort_unstable();
        (!names.is_empty()).then(|| format!("{demanded} for: {}", names.join(",")))
    };
    let demanded = hard.keys().map(Text::as_str).filter(|name| DEMANDED.contains(name));
    let all: Vec<String> = demanded.filter_map(missing).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Whether a quota's scopes admit an object.
pub(crate) fn covers(quota: &Value, key: &ObjectKey, object: &Value) -> bool {
    let scopes =
        quota.at(&["spec", "scopes"]).items().iter().map(|scope| doc!({"scopeName": (scope), "operator": "Exists"}));
    let selected = quota.at(&["spec", "scopeSelector", "matchExpressions"]).items().iter().cloned();
    scopes.chain(selected).all(|scope| in_scope(&scope, key, object))
}

fn in_scope(scope: &Value, key: &ObjectKey, object: &Value) -> bool {
    let name = scope.at(&["scopeName"]).str_or_empty();
    let spec = object.at(&["spec"]);
    match (key.resource.as_str(), name) {
        ("pods", "Terminating") => spec.at(&["activeDeadlineSeconds"]).as_int().is_some_and(|seconds| seconds >= 0),
        ("pods", "NotTerminating") => spec.at(&["activeDeadlineSeconds"]).is_null(),
        ("pods", "BestEffort") => quality(object) == "BestEffort",
        ("pods", "NotBestEffort") => quality(object) != "BestEffort",
        ("pods", "PriorityClass") => matches_value(scope, spec.at(&["priorityClassName"])),
        ("pods", "CrossNamespacePodAffinity") => crosses_namespaces(spec),
        ("persistentvolumeclaims", "VolumeAttributesClass") => {
            matches_value(scope, spec.at(&["volumeAttributesClassName"]))
        }
        _ => false,
    }
}

fn matches_value(scope: &Value, have: &Value) -> bool {
    let listed = scope.at(&["values"]).items().contains(have);
    match scope.at(&["operator"]).str_or_empty() {
        "In" => listed,
        "NotIn" => !listed,
        "DoesNotExist" => have.is_empty(),
        _ => !have.is_empty(),
    }
}

fn crosses_namespaces(spec: &Value) -> bool {
    let kinds = ["podAffinity", "podAntiAffinity"];
    let crosses = |term: &Value| {
        !term.at(&["namespaces"]).is_empty() || term.get("namespaceSelector").is_some_and(|it| !it.is_null())
    };
    kinds.iter().any(|kind| {
        let affinity = spec.at(&["affinity", kind]);
        let preferred = affinity.at(&["preferredDuringSchedulingIgnoredDuringExecution"]).items().iter();
        affinity.at(&["requiredDuringSchedulingIgnoredDuringExecution"]).items().iter().any(crosses)
            || preferred.map(|term| term.at(&["podAffinityTerm"])).any(crosses)
    })
}
