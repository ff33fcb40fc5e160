//! What is filled in where a client said nothing (`pkg/apis/*/v1/defaults.go`).
//!
//! Knows: the defaults of built-in kinds.
//! Does not know: custom resources; their schemas say so themselves.
//!
//! Most defaults are a path and a value and stand in a table. What depends on other fields is code.

mod pod;

use crate::doc;
use crate::value::Value;

/// A value for a path that has none. `when` holds for the object first.
struct Default {
    path: &'static [&'static str],
    value: fn() -> Value,
}

macro_rules! defaults {
    ($($($part:literal).+ = $value:tt;)*) => {
        &[$(Default { path: &[$($part),+], value: || doc!($value) }),*]
    };
}

const DEPLOYMENT: &[Default] = defaults! {
    "spec"."replicas" = 1;
    "spec"."revisionHistoryLimit" = 10;
    "spec"."progressDeadlineSeconds" = 600;
    "spec"."strategy"."type" = "RollingUpdate";
};
const REPLICA_SET: &[Default] = defaults! {
    "spec"."replicas" = 1;
};
const STATEFUL_SET: &[Default] = defaults! {
    "spec"."replicas" = 1;
    "spec"."revisionHistoryLimit" = 10;
    "spec"."podManagementPolicy" = "OrderedReady";
    "spec"."updateStrategy"."type" = "RollingUpdate";
    "spec"."persistentVolumeClaimRetentionPolicy"."whenDeleted" = "Retain";
    "spec"."persistentVolumeClaimRetentionPolicy"."whenScaled" = "Retain";
};
const DAEMON_SET: &[Default] = defaults! {
    "spec"."revisionHistoryLimit" = 10;
    "spec"."updateStrategy"."type" = "RollingUpdate";
};
const JOB: &[Default] = defaults! {
    "spec"."backoffLimit" = 6;
    "spec"."completionMode" = "NonIndexed";
    "spec"."suspend" = false;
    "spec"."podReplacementPolicy" = "TerminatingOrFailed";
    "spec"."manualSelector" = false;
};
const CRON_JOB: &[Default] = defaults! {
    "spec"."concurrencyPolicy" = "Allow";
    "spec"."suspend" = false;
    "spec"."successfulJobsHistoryLimit" = 3;
    "spec"."failedJobsHistoryLimit" = 1;
};
const SERVICE: &[Default] = defaults! {
    "spec"."type" = "ClusterIP";
    "spec"."sessionAffinity" = "None";
};
const CLAIM: &[Default] = defaults! {
    "spec"."volumeMode" = "Filesystem";
    "status"."phase" = "Pending";
};
const VOLUME: &[Default] = defaults! {
    "spec"."persistentVolumeReclaimPolicy" = "Retain";
    "spec"."volumeMode" = "Filesystem";
    "status"."phase" = "Pending";
};
const NAMESPACE: &[Default] = defaults! {
    "spec"."finalizers" = ["kubernetes"];
    "status"."phase" = "Active";
};
const SECRET: &[Default] = defaults! {
    "type" = "Opaque";
};
const STORAGE_CLASS: &[Default] = defaults! {
    "reclaimPolicy" = "Delete";
    "volumeBindingMode" = "Immediate";
};
const AUTOSCALER: &[Default] = defaults! {
    "spec"."minReplicas" = 1;
};
const PRIORITY_CLASS: &[Default] = defaults! {
    "preemptionPolicy" = "PreemptLowerPriority";
};

/// Fills in what an object of `resource` says nothing of. Writes nothing where nothing is missing.
pub(super) fn apply(resource: &str, object: &mut Value) {
    let table = match resource {
        "deployments.apps" => DEPLOYMENT,
        "replicasets.apps" | "replicationcontrollers" => REPLICA_SET,
        "statefulsets.apps" => STATEFUL_SET,
        "daemonsets.apps" => DAEMON_SET,
        "jobs.batch" => JOB,
        "cronjobs.batch" => CRON_JOB,
        "services" => SERVICE,
        "persistentvolumeclaims" => CLAIM,
        "persistentvolumes" => VOLUME,
        "namespaces" => NAMESPACE,
        "secrets" => SECRET,
        "storageclasses.storage.k8s.io" => STORAGE_CLASS,
        "horizontalpodautoscalers.autoscaling" => AUTOSCALER,
        "priorityclasses.scheduling.k8s.io" => PRIORITY_CLASS,
        _ => &[],
    };
    // A namespace that is being emptied has no finalizer left, and is not given it back.
    if !(resource == "namespaces" && object.is_terminating()) {
        fill(object, table);
    }
    match resource {
        "pods" => pod::spec(object, &["spec"]),
        "deployments.apps" => {
            rolling(object, "strategy", &[("maxUnavailable", "25%"), ("maxSurge", "25%")]);
            pod::spec(object, &["spec", "template", "spec"]);
        }
        "replicasets.apps" | "replicationcontrollers" => {
            inherit_labels(object);
            pod::spec(object, &["spec", "template", "spec"]);
        }
        "statefulsets.apps" => {
            if object.at(&["spec", "updateStrategy", "type"]) == "RollingUpdate" {
                fill(object, defaults! { "spec"."updateStrategy"."rollingUpdate"."partition" = 0; });
            }
            claims(object);
            pod::spec(object, &["spec", "template", "spec"]);
        }
        "daemonsets.apps" => {
            if object.at(&["spec", "updateStrategy", "type"]) == "RollingUpdate" {
                fill(
                    object,
                    defaults! {
                        "spec"."updateStrategy"."rollingUpdate"."maxUnavailable" = 1;
                        "spec"."updateStrategy"."rollingUpdate"."maxSurge" = 0;
                    },
                );
            }
            pod::spec(object, &["spec", "template", "spec"]);
        }
        "jobs.batch" => job(object),
        "cronjobs.batch" => pod::spec(object, &["spec", "jobTemplate", "spec", "template", "spec"]),
        "services" => service(object),
        "secrets" => string_data(object),
        "roles.rbac.authorization.k8s.io" | "clusterroles.rbac.authorization.k8s.io" => {}
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => binding(object),
        "namespaces" => name_label(object),
        "networkpolicies.networking.k8s.io" => network_policy(object),
        _ => {}
    }
}

fn fill(object: &mut Value, table: &[Default]) {
    for default in table {
        if object.at(default.path).is_null() {
            object.set(default.path, (default.value)());
        }
    }
}

fn set_missing(object: &mut Value, path: &[&str], value: impl Into<Value>) {
    if object.at(path).is_null() {
        object.set(path, value);
    }
}

fn rolling(object: &mut Value, strategy: &str, fields: &[(&str, &str)]) {
    if object.at(&["spec", strategy, "type"]) == "RollingUpdate" {
        for (field, value) in fields {
            set_missing(object, &["spec", strategy, "rollingUpdate", field], *value);
        }
    }
}

fn inherit_labels(object: &mut Value) {
    let labels = object.at(&["spec", "template", "metadata", "labels"]).clone();
    if !labels.is_empty() && object.labels().is_empty() {
        object.set(&["metadata", "labels"], labels);
    }
}

fn claims(object: &mut Value) {
    let Some(list) = object.find(&["spec", "volumeClaimTemplates"]).cloned() else { return };
    let filled: Value = list
        .items()
        .iter()
        .map(|claim| {
            let mut claim = claim.clone();
            fill(&mut claim, CLAIM);
            set_missing(&mut claim, &["kind"], "PersistentVolumeClaim");
            set_missing(&mut claim, &["apiVersion"], "v1");
            claim
        })
        .collect();
    if filled != list {
        object.set(&["spec", "volumeClaimTemplates"], filled);
    }
}

fn job(object: &mut Value) {
    let spec = object.at(&["spec"]);
    if spec.at(&["completions"]).is_null() && spec.at(&["parallelism"]).is_null() {
        object.set(&["spec", "completions"], 1);
    }
    set_missing(object, &["spec", "parallelism"], 1);
    pod::spec(object, &["spec", "template", "spec"]);
    // A job's pods are told from others' by its own uid.
    if object.at(&["spec", "selector"]).is_null() && !object.uid().is_empty() {
        let (uid, name) = (object.uid().to_owned(), object.name().to_owned());
        object.set(&["spec", "selector"], doc!({"matchLabels": {"batch.kubernetes.io/controller-uid": (&uid)}}));
        for (label, value) in [
            ("batch.kubernetes.io/controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            ("job-name", &name),
        ] {
            object.set(&["spec", "template", "metadata", "labels", label], value);
        }
    }
}

fn service(object: &mut Value) {
    let Some(ports) = object.find(&["spec", "ports"]).cloned() else { return };
    let filled: Value = ports
        .items()
        .iter()
        .map(|port| {
            let mut port = port.clone();
            set_missing(&mut port, &["protocol"], "TCP");
            if port.at(&["targetPort"]).is_empty() {
                let same = port.at(&["port"]).clone();
                port.set(&["targetPort"], same);
            }
            port
        })
        .collect();
    if filled != ports {
        object.set(&["spec", "ports"], filled);
    }
    if object.at(&["spec", "type"]) != "ExternalName" {
        fill(
            object,
            defaults! {
                "spec"."internalTrafficPolicy" = "Cluster";
                "spec"."ipFamilyPolicy" = "SingleStack";
                "spec"."ipFamilies" = ["IPv4"];
            },
        );
    }
    if matches!(object.at(&["spec", "type"]).str_or_empty(), "NodePort" | "LoadBalancer") {
        fill(object, defaults! { "spec"."externalTrafficPolicy" = "Cluster"; });
    }
    if object.at(&["spec", "type"]) == "LoadBalancer" {
        fill(object, defaults! { "spec"."allocateLoadBalancerNodePorts" = true; });
    }
}

/// `stringData` is a way to write `data`; it is not kept.
fn string_data(object: &mut Value) {
    use base64::Engine as _;
    let Some(texts) = object.object().remove("stringData") else { return };
    for (key, text) in texts.entries() {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text.str_or_empty());
        object.set(&["data", key], encoded);
    }
}

fn binding(object: &mut Value) {
    set_missing(object, &["roleRef", "apiGroup"], "rbac.authorization.k8s.io");
    let Some(subjects) = object.find(&["subjects"]).cloned() else { return };
    let filled: Value = subjects
        .items()
        .iter()
        .map(|subject| {
            let mut subject = subject.clone();
            if matches!(subject.at(&["kind"]).str_or_empty(), "User" | "Group") {
                set_missing(&mut subject, &["apiGroup"], "rbac.authorization.k8s.io");
            }
            subject
        })
        .collect();
    if filled != subjects {
        object.set(&["subjects"], filled);
    }
}

fn name_label(object: &mut Value) {
    let name = object.name().to_owned();
    if object.label("kubernetes.io/metadata.name") != Some(&name) && !name.is_empty() {
        object.set(&["metadata", "labels", "kubernetes.io/metadata.name"], name);
    }
}

fn network_policy(object: &mut Value) {
    if object.at(&["spec", "policyTypes"]).is_empty() {
        let mut types = vec![Value::from("Ingress")];
        if !object.at(&["spec", "egress"]).is_empty() {
            types.push(Value::from("Egress"));
        }
        object.set(&["spec", "policyTypes"], types);
    }
}
