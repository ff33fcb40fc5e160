//! `plugin/pkg/admission/limitranger`: how much one pod, container or claim may ask for.
//!
//! Knows: the namespace's LimitRanges.
//! Does not know: what all of them ask for together; that is a quota's.

use super::Write;
use crate::apiserver::Status;
use crate::cluster::Cluster;
use crate::quantity::Quantity;
use crate::scheduler::request::{Amounts, amounts, of_pod};
use crate::value::Value;

/// Who was given requests and limits by the plugin, for people to read.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

fn ranges(cluster: &Cluster, write: Write<'_>) -> Vec<Value> {
    cluster.list("limitranges", Some(&write.key.namespace)).map(|(_, range)| range.clone()).collect()
}

/// Gives containers the requests and limits that they do not name.
pub(super) fn fill(cluster: &Cluster, write: Write<'_>, pod: &mut Value) {
    for range in ranges(cluster, write) {
        let mut given = Vec::new();
        for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
            let mut containers = pod.at(&["spec", list]).items().to_vec();
            for container in &mut containers {
                for (kind, field) in [("request", "defaultRequest"), ("limit", "default")] {
                    let names = give(container, kind, &range, field);
                    if !names.is_empty() {
                        let name = container.at(&["name"]).str_or_empty();
                        given.push(format!("{} {kind} for {what} {name}", names.join(", ")));
                    }
                }
            }
            if containers.as_slice() != pod.at(&["spec", list]).items() {
                pod.set(&["spec", list], containers);
            }
        }
        if !given.is_empty() {
            pod.set(&["metadata", "annotations", ANNOTATION], format!("LimitRanger plugin set: {}", given.join("; ")));
        }
    }
}

/// Gives one container the amounts of one kind that it does not name, and says which those were.
fn give(container: &mut Value, kind: &str, range: &Value, field: &str) -> Vec<String> {
    let kind = format!("{kind}s");
    let mut names = Vec::new();
    let items = range.at(&["spec", "limits"]).items().iter();
    for item in items.filter(|item| item.at(&["type"]) == "Container") {
        for (name, amount) in item.at(&[field]).entries() {
            if container.at(&["resources", &kind, name]).is_null() {
                container.set(&["resources", &kind, name], amount.clone());
                names.push(name.to_string());
            }
        }
    }
    names
}

/// Refuses what is out of range.
pub(super) fn check(cluster: &Cluster, write: Write<'_>, object: &Value) -> Result<(), Status> {
    let claim = write.key.is("persistentvolumeclaims");
    // What a pod's containers ask for only changes when it is resized.
    let pod = write.key.is("pods") && (write.is_create() || write.writer.subresource == "resize");
    if !(claim || pod) || write.old.is_some_and(Value::is_terminating) {
        return Ok(());
    }
    for range in ranges(cluster, write) {
        let items = range.at(&["spec", "limits"]).items().iter();
        let faults: Vec<String> =
            items.flat_map(|item| if claim { of_claim(item, object) } else { of_pods(item, object) }).collect();
        match faults.as_slice() {
            [] => {}
            [one] => return Err(write.forbidden(one)),
            many => return Err(write.forbidden(&format!("[{}]", many.join(", ")))),
        }
    }
    Ok(())
}

fn of_pods(item: &Value, pod: &Value) -> Vec<String> {
    let kind = item.at(&["type"]).str_or_empty();
    match kind {
        "Container" => {
            let lists = ["containers", "initContainers"].map(|list| pod.at(&["spec", list]).items());
            let checked = |container: &Value| {
                let (requests, limits) = (
                    amounts(container.at(&["resources", "requests"])),
                    amounts(container.at(&["resources", "limits"])),
                );
                bounds(item, kind, &requests, &limits)
            };
            lists.into_iter().flatten().flat_map(checked).collect()
        }
        "Pod" => bounds(item, kind, &of_pod(pod, "requests"), &of_pod(pod, "limits")),
        _ => Vec::new(),
    }
}

fn of_claim(item: &Value, claim: &Value) -> Vec<String> {
    let kind = item.at(&["type"]).str_or_empty();
    if kind != "PersistentVolumeClaim" {
        return Vec::new();
    }
    let requests = amounts(claim.at(&["spec", "resources", "requests"]));
    let least = amounts(item.at(&["min"]));
    let mut faults: Vec<String> = least
        .iter()
        .filter_map(|(name, least)| minimum(name, kind, *least, requests.get(name).copied(), None))
        .collect();
    for (name, most) in amounts(item.at(&["max"])) {
        let shown = format!("maximum {name} usage per {kind} is {most}");
        match requests.get(&name) {
            None => faults.push(format!("{shown}.  No request is specified")),
            Some(request) if *request > most => faults.push(format!("{shown}, but request is {request}")),
            Some(_) => {}
        }
    }
    faults
}

/// What is too little, too much, or too far apart.
fn bounds(item: &Value, kind: &str, requests: &Amounts, limits: &Amounts) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, least) in amounts(item.at(&["min"])) {
        faults.extend(minimum(&name, kind, least, requests.get(&name).copied(), limits.get(&name).copied()));
    }
    for (name, most) in amounts(item.at(&["max"])) {
        let shown = format!("maximum {name} usage per {kind} is {most}");
        let request = requests.get(&name).filter(|request| **request > most);
        match limits.get(&name) {
            None => faults.push(format!("{shown}.  No limit is specified")),
            Some(limit) if *limit > most => faults.push(format!("{shown}, but limit is {limit}")),
            Some(_) => faults.extend(request.map(|request| format!("{shown}, but request is {request}"))),
        }
    }
    for (name, most) in amounts(item.at(&["maxLimitRequestRatio"])) {
        let shown = format!("{name} max limit to request ratio per {kind} is {most}");
        let given = |amounts: &Amounts| amounts.get(&name).copied().filter(|amount| !amount.is_zero());
        match (given(requests), given(limits)) {
            (None, _) => faults.push(format!("{shown}, but no request is specified or request is 0")),
            (_, None) => faults.push(format!("{shown}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let (request, limit, most) = (request.as_milli(), limit.as_milli(), most.as_milli());
                if limit.saturating_mul(1000) > most.saturating_mul(request) {
                    faults.push(format!("{shown}, but provided ratio is {}", ratio(limit, request)));
                }
            }
        }
    }
    faults
}

fn minimum(
    name: &str,
    kind: &str,
    least: Quantity,
    request: Option<Quantity>,
    limit: Option<Quantity>,
) -> Option<String> {
    let shown = format!("minimum {name} usage per {kind} is {least}");
    match (request, limit) {
        (None, _) => Some(format!("{shown}.  No request is specified")),
        (Some(request), _) if request < least => Some(format!("{shown}, but request is {request}")),
        (_, Some(limit)) if limit < least => Some(format!("{shown}, but limit is {limit}")),
        _ => None,
    }
}

/// A ratio to six places, as Go prints it.
fn ratio(of: i128, to: i128) -> String {
    let millionths = (of.saturating_mul(2_000_000) / to.max(1)).saturating_add(1) / 2;
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}
