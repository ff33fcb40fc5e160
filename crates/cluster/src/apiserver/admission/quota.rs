//! `ResourceQuota`: how much all objects of a namespace may ask for together.
//!
//! Knows: how what an object counts for is charged before it is stored.
//! Does not know: what each kind of object counts for, or how usage shrinks again; the quota controller counts anew when
//! objects go.
//!
//! A quota binds only in what its *status* lists, and charging adds to that status, so the work of admitting an object
//! does not grow with the namespace.

use super::Write;
use crate::apiserver::Status;
use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::quota::{self, usage};
use crate::scheduler::request::{Amounts, amounts};
use crate::value::{Text, Value};

/// What every container of a pod has to say if a quota limits it.
const DEMANDED: &[&str] = &["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// Refuses what exceeds a quota, or charges it.
pub(super) fn charge(cluster: &mut Cluster, write: Write<'_>, object: &Value) -> Result<(), Status> {
    if write.key.namespace.is_empty() || !is_charged(write, object) {
        return Ok(());
    }
    let now = cluster.now();
    if !quota::is_counted(&cluster.schema, &write.key.resource) {
        return Ok(());
    }
    let whole = usage(write.key, object, now);
    let more = write.old.map(|old| grown(&whole, &usage(write.key, old, now)));
    let mut charges = Vec::new();
    for (key, quota) in cluster.list("resourcequotas", Some(&write.key.namespace)) {
        let hard = amounts(quota.at(&["status", "hard"]));
        let limited: Vec<&Text> = hard.keys().filter(|name| quota::concerns(name, &write.key.resource)).collect();
        if limited.is_empty() || !quota::covers(quota, write.key, object) {
            continue;
        }
        check_bound(write, &key.name, quota, &limited, object)?;
        // What a quota did not mean before is new to it as a whole.
        let meant = write.old.is_some_and(|old| quota::covers(quota, write.key, old));
        let asked = more.as_ref().filter(|_| meant).unwrap_or(&whole);
        let asked: Amounts = asked
            .iter()
            .filter(|(name, amount)| hard.contains_key(*name) && !amount.is_zero())
            .map(|(name, amount)| (name.clone(), *amount))
            .collect();
        if !asked.is_empty() {
            charges.push((key.clone(), hard, asked));
        }
    }
    let mut charged = Vec::new();
    for (key, hard, asked) in charges {
        let Some(quota) = cluster.get(&key) else { continue };
        charged.push((key.clone(), admit(write, &key, quota, &hard, &asked)?));
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

/// Whether a write can change what an object counts for.
fn is_charged(write: Write<'_>, object: &Value) -> bool {
    let subresource = write.writer.subresource.as_str();
    match (write.key.resource.as_str(), write.old) {
        ("pods", Some(old)) => {
            let limited = |pod: &Value| quota::is_limited_in_time(pod);
            subresource == "resize" || (subresource.is_empty() && limited(object) != limited(old))
        }
        (_, None) => true,
        ("services" | "persistentvolumeclaims" | "resourceclaims.resource.k8s.io", Some(_)) => subresource.is_empty(),
        _ => false,
    }
}

/// By how much usage has grown; what has shrunk counts for nothing.
fn grown(after: &Amounts, before: &Amounts) -> Amounts {
    let more = |name: &Text, amount: &Quantity| *amount - before.get(name).copied().unwrap_or_default();
    after.iter().map(|(name, amount)| (name.clone(), more(name, amount).max(Quantity::ZERO))).collect()
}

/// Refuses what does not say what a quota limits, and a quota of which nobody has said yet how much is used.
fn check_bound(write: Write<'_>, name: &str, quota: &Value, limited: &[&Text], object: &Value) -> Result<(), Status> {
    if write.key.is("pods")
        && let Some(missing) = unsaid(limited, object)
    {
        return Err(write.forbidden(&format!("failed quota: {name}: must specify {missing}")));
    }
    let used = quota.at(&["status", "used"]);
    if limited.iter().any(|name| used.get(name).is_none()) {
        let limited: Vec<&str> = limited.iter().map(|name| name.as_str()).collect();
        return Err(write.forbidden(&format!("status unknown for quota: {name}, resources: {}", limited.join(","))));
    }
    Ok(())
}

/// What a quota has used after the write.
fn admit(write: Write<'_>, key: &ObjectKey, quota: &Value, hard: &Amounts, asked: &Amounts) -> Result<Value, Status> {
    let used = amounts(quota.at(&["status", "used"]));
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
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            key.name,
            list(asked),
            list(&used),
            list(hard)
        )));
    }
    let mut status = quota.at(&["status", "used"]).clone();
    for (name, amount) in asked {
        status.set(&[name], after(name, amount));
    }
    Ok(status)
}

/// What a pod has to say and does not: `limits.cpu for: app; limits.memory for: app,side`.
fn unsaid(limited: &[&Text], pod: &Value) -> Option<String> {
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
    let demanded = limited.iter().map(|name| name.as_str()).filter(|name| DEMANDED.contains(name));
    let all: Vec<String> = demanded.filter_map(missing).collect();
    (!all.is_empty()).then(|| all.join("; "))
}
