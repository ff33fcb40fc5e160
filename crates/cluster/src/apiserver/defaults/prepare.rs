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
    if let Some(path) = pod_of(resource) {
        drop_in_pod(object, path);
    }
    match resource {
        "persistentvolumeclaims" => one_source(object),
        "resourceslices.resource.k8s.io" => {
            let now = object.at(&["metadata", "creationTimestamp"]).clone();
            change(object, &["spec", "devices"], |device| {
                change(device, &["taints"], |taint| {
                    if taint.at(&["timeAdded"]).is_null() {
                        taint.set(&["timeAdded"], now.clone());
                    }
                });
            });
        }
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
    if let Some(path) = pod_of(resource) {
        drop_in_pod(object, path);
    }
    match resource {
        "persistentvolumeclaims" => one_source(object),
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

/// Where a kind has the spec of a pod.
fn pod_of(resource: &str) -> Option<&'static [&'static str]> {
    Some(match resource {
        "pods" => &["spec"],
        "podtemplates" => &["template", "spec"],
        "cronjobs.batch" => &["spec", "jobTemplate", "spec", "template", "spec"],
        "deployments.apps"
        | "replicasets.apps"
        | "statefulsets.apps"
        | "daemonsets.apps"
        | "jobs.batch"
        | "replicationcontrollers" => &["spec", "template", "spec"],
        _ => return None,
    })
}

/// What of a pod is behind a feature gate that a stock server has off.
fn drop_in_pod(object: &mut Value, path: &[&str]) {
    change(object, path, |spec| {
        if spec.get("schedulingGroup").is_some() {
            spec.remove(&["schedulingGroup"]);
        }
        change(spec, &["volumes"], |volume| {
            change(volume, &["projected", "sources"], |source| {
                for kind in ["clusterTrustBundle", "podCertificate"] {
                    if source.get(kind).is_some() {
                        source.remove(&[kind]);
                    }
                }
            });
        });
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            change(spec, &[list], |container| {
                if container.find(&["lifecycle", "stopSignal"]).is_some() {
                    container.remove(&["lifecycle", "stopSignal"]);
                    if container.at(&["lifecycle"]).is_empty() {
                        container.remove(&["lifecycle"]);
                    }
                }
            });
        }
    });
}

/// Two names of what a claim is filled from: who sets one sets both. The newer one may name a namespace, but behind a
/// feature gate that a stock server has off.
fn one_source(claim: &mut Value) {
    if claim.find(&["spec", "dataSourceRef", "namespace"]).is_some() {
        claim.remove(&["spec", "dataSourceRef"]);
    }
    // The older name knows of claims and snapshots only, and forgets the rest.
    let source = claim.at(&["spec", "dataSource"]);
    let known = match source.at(&["apiGroup"]).str_or_empty() {
        "" => source.at(&["kind"]) == "PersistentVolumeClaim",
        group => group == "snapshot.storage.k8s.io" && source.at(&["kind"]) == "VolumeSnapshot",
    };
    if !source.is_null() && !known && claim.at(&["spec", "dataSourceRef"]).is_null() {
        claim.remove(&["spec", "dataSource"]);
    }
    let (old, new) = (claim.at(&["spec", "dataSource"]).clone(), claim.at(&["spec", "dataSourceRef"]).clone());
    if new.is_null() && !old.is_null() {
        claim.set(&["spec", "dataSourceRef"], old);
    } else if old.is_null() && !new.is_null() {
        claim.set(&["spec", "dataSource"], new);
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
