//! What the server makes of an object besides its defaults, before it is checked (`PrepareForCreate`, `PrepareForUpdate`).
//!
//! Knows: the fields of built-in kinds that follow from the object itself, or from what it was.
//! Does not know: the cluster, or what every kind has (names, uids, generations): the registry writes those.

use super::change;
use super::quality::quality;
use super::service;
use crate::doc;
use crate::value::Value;

/// How many times a DaemonSet's template has changed, kept from the days before `metadata.generation`.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// A new object, with its uid.
pub(in crate::apiserver) fn prepare_create(resource: &str, object: &mut Value) {
    match resource {
        "pods" => {
            if object.at(&["spec", "terminationGracePeriodSeconds"]).as_int().is_some_and(|seconds| seconds < 0) {
                object.set(&["spec", "terminationGracePeriodSeconds"], 1);
            }
            select_own_labels(object);
            let class = quality(object);
            object.set(&["status"], doc!({"phase": "Pending", "qosClass": (class)}));
            if !object.at(&["spec", "schedulingGates"]).is_empty() {
                object.set(&["status", "conditions"], vec![gated(object)]);
            }
        }
        "namespaces" => {
            if !object.at(&["spec", "finalizers"]).items().iter().any(|have| have == "kubernetes") {
                object.make(&["spec", "finalizers"]).array().push(Value::from("kubernetes"));
            }
            object.set(&["status"], doc!({"phase": "Active"}));
        }
        "persistentvolumes" => {
            let now = object.at(&["metadata", "creationTimestamp"]).clone();
            object.set(&["status"], doc!({"phase": "Pending", "lastPhaseTransitionTime": (now)}));
        }
        "nodes" => {
            one_range_of_many(object);
            drop(object, &Value::Null, NODE_GATED);
        }
        "leases.coordination.k8s.io" => drop(object, &Value::Null, LEASE_GATED),
        "services" => {
            service::families(object);
            object.set(&["status"], doc!({"loadBalancer": {}}));
        }
        "daemonsets.apps" => object.set(&["metadata", "annotations", TEMPLATE_GENERATION], "1"),
        "jobs.batch" => generate_selector(object),
        _ => {}
    }
}

/// What a pod says of itself while its gates keep it from the scheduler. It stands there from the first on, so that nobody
/// takes such a pod for one that the scheduler has not seen yet.
fn gated(pod: &Value) -> Value {
    doc!({
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "lastProbeTime": null,
        "lastTransitionTime": (pod.at(&["metadata", "creationTimestamp"])),
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    })
}

/// A change of all but the status.
pub(in crate::apiserver) fn prepare_update(resource: &str, object: &mut Value, old: &Value) {
    match resource {
        "services" => service::keep(object, old),
        "daemonsets.apps" => {
            let have = old.annotation(TEMPLATE_GENERATION).and_then(|count| count.parse().ok()).unwrap_or(1_i64);
            let changed = object.at(&["spec", "template"]) != old.at(&["spec", "template"]);
            let count = if changed { have + 1 } else { have }.to_string();
            if object.annotation(TEMPLATE_GENERATION) != Some(&count) {
                object.set(&["metadata", "annotations", TEMPLATE_GENERATION], count);
            }
        }
        "nodes" => drop(object, old, NODE_GATED),
        // What was asked to be signed, and by whom, stays.
        "certificatesigningrequests.certificates.k8s.io" => object.set(&["spec"], old.at(&["spec"]).clone()),
        "leases.coordination.k8s.io" => drop(object, old, LEASE_GATED),
        _ => {}
    }
}

/// Fields behind a feature gate that a stock server has off, of a node and of a lease.
const NODE_GATED: &[&str] = &["configSource"];
const LEASE_GATED: &[&str] = &["preferredHolder", "strategy"];

/// Drops fields of a spec that are behind a closed feature gate, unless the object had them before.
fn drop(object: &mut Value, old: &Value, gated: &[&str]) {
    for field in gated {
        if old.at(&["spec", field]).is_null() && object.find(&["spec", field]).is_some() {
            object.remove(&["spec", field]);
        }
    }
}

/// Terms that are to hold for pods with the same value of some labels name the values, which are this pod's.
fn select_own_labels(pod: &mut Value) {
    let labels = pod.labels().clone();
    let add = |term: &mut Value| {
        for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
            for key in term.at(&[field]).clone().items() {
                if let Some(value) = labels.get(key.str_or_empty()) {
                    let requirement = doc!({"key": (key), "operator": (operator), "values": [(value)]});
                    term.make(&["labelSelector", "matchExpressions"]).array().push(requirement);
                }
            }
        }
    };
    change(pod, &["spec", "topologySpreadConstraints"], add);
    for kind in ["podAffinity", "podAntiAffinity"] {
        change(pod, &["spec", "affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution"], add);
        change(pod, &["spec", "affinity", kind, "preferredDuringSchedulingIgnoredDuringExecution"], |term| {
            change(term, &["podAffinityTerm"], add);
        });
    }
}

/// `podCIDR` is the first of `podCIDRs`; of two that differ, the one counts.
fn one_range_of_many(node: &mut Value) {
    let one = node.at(&["spec", "podCIDR"]).clone();
    if !one.is_empty() && node.at(&["spec", "podCIDRs"]).items().first() != Some(&one) {
        node.set(&["spec", "podCIDRs"], vec![one]);
    }
}

/// A job's pods are told from others' by its own uid, unless it says that it knows better.
fn generate_selector(job: &mut Value) {
    if job.at(&["spec", "manualSelector"]).is_true() {
        return;
    }
    // A job without labels shares its template's, those to come included.
    let template = job.at(&["spec", "template", "metadata", "labels"]);
    let shares = job.labels().is_empty() || job.labels().same(template);
    let (uid, name) = (job.uid().to_owned(), job.name().to_owned());
    let labels = [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ];
    for (label, value) in labels {
        let place = job.make(&["spec", "template", "metadata", "labels", label]);
        if place.is_null() {
            *place = Value::from(value);
        }
    }
    let selected = job.make(&["spec", "selector", "matchLabels", "batch.kubernetes.io/controller-uid"]);
    if selected.is_null() {
        *selected = Value::from(uid);
    }
    if shares {
        let labels = job.at(&["spec", "template", "metadata", "labels"]).clone();
        job.set(&["metadata", "labels"], labels);
    }
}
