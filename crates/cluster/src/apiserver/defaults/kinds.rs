//! The defaults of whole kinds.
//!
//! Knows: which type is filled in for which resource, and the types that stand in one kind alone.
//! Does not know: what stands below a pod's spec, or a Service's and an autoscaler's own rules.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::pod::{CLAIM_SPEC, POD, PORT, TEMPLATE};
use super::service::SERVICE;
use super::{Type, autoscaler, change, set_missing, types};
use crate::doc;
use crate::quantity::Quantity;
use crate::value::Value;

/// The type of a resource, if it has defaults.
pub(super) fn of(resource: &str) -> Option<&'static Type> {
    Some(match resource {
        "pods" => &POD,
        "podtemplates" => &POD_TEMPLATE,
        "replicationcontrollers" => &REPLICATION_CONTROLLER,
        "services" => &SERVICE,
        "endpoints" => &ENDPOINTS,
        "secrets" => &SECRET,
        "namespaces" => &NAMESPACE,
        "nodes" => &NODE,
        "limitranges" => &LIMIT_RANGE,
        "persistentvolumes" => &VOLUME,
        "persistentvolumeclaims" => &CLAIM,
        "deployments.apps" => &DEPLOYMENT,
        "replicasets.apps" => &REPLICA_SET,
        "statefulsets.apps" => &STATEFUL_SET,
        "daemonsets.apps" => &DAEMON_SET,
        "jobs.batch" => &JOB,
        "cronjobs.batch" => &CRON_JOB,
        "horizontalpodautoscalers.autoscaling" => &autoscaler::AUTOSCALER,
        "networkpolicies.networking.k8s.io" => &NETWORK_POLICY,
        "ingressclasses.networking.k8s.io" => &INGRESS_CLASS,
        "endpointslices.discovery.k8s.io" => &ENDPOINT_SLICE,
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => &ROLE_BINDING,
        "storageclasses.storage.k8s.io" => &STORAGE_CLASS,
        "csidrivers.storage.k8s.io" => &CSI_DRIVER,
        "resourceclaims.resource.k8s.io" => &RESOURCE_CLAIM,
        "resourceclaimtemplates.resource.k8s.io" => &RESOURCE_CLAIM_TEMPLATE,
        "priorityclasses.scheduling.k8s.io" => &PRIORITY_CLASS,
        "validatingwebhookconfigurations.admissionregistration.k8s.io" => &VALIDATING_WEBHOOKS,
        "mutatingwebhookconfigurations.admissionregistration.k8s.io" => &MUTATING_WEBHOOKS,
        "validatingadmissionpolicies.admissionregistration.k8s.io"
        | "mutatingadmissionpolicies.admissionregistration.k8s.io" => &ADMISSION_POLICY,
        "validatingadmissionpolicybindings.admissionregistration.k8s.io"
        | "mutatingadmissionpolicybindings.admissionregistration.k8s.io" => &ADMISSION_BINDING,
        "customresourcedefinitions.apiextensions.k8s.io" => &DEFINITION,
        "apiservices.apiregistration.k8s.io" => &API_SERVICE,
        "flowschemas.flowcontrol.apiserver.k8s.io" => &FLOW_SCHEMA,
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io" => &PRIORITY_LEVEL,
        _ => return None,
    })
}

types! {
    POD_TEMPLATE {} [
        "template" => TEMPLATE;
    ]
    REPLICATION_CONTROLLER: replication_controller {
        "spec"."replicas" = 1;
    } [
        "spec"."template" => TEMPLATE;
    ]
    ENDPOINTS {} [
        "subsets" => SUBSET;
    ]
    SUBSET {} [
        "ports" => PORT;
    ]
    SECRET: string_data {
        "type" = "Opaque";
    }
    NAMESPACE: name_label {
        "status"."phase" = "Active";
    }
    NODE: node {}
    LIMIT_RANGE {} [
        "spec"."limits" => LIMIT;
    ]
    LIMIT: limit {}
    VOLUME {
        "spec"."persistentVolumeReclaimPolicy" = "Retain";
        "spec"."volumeMode" = "Filesystem";
        "status"."phase" = "Pending";
    } [
        "spec"."hostPath" => super::pod::HOST_PATH;
        "spec"."azureDisk" => super::pod::AZURE_DISK;
        "spec"."iscsi" => super::pod::ISCSI;
        "spec"."rbd" => super::pod::RBD;
        "spec"."scaleIO" => super::pod::SCALE_IO;
    ]
    CLAIM {
        "status"."phase" = "Pending";
    } [
        "spec" => CLAIM_SPEC;
    ]

    DEPLOYMENT: deployment {
        "spec"."replicas" = 1;
        "spec"."revisionHistoryLimit" = 10;
        "spec"."progressDeadlineSeconds" = 600;
        "spec"."strategy"."type" = "RollingUpdate";
    } [
        "spec"."template" => TEMPLATE;
    ]
    REPLICA_SET {
        "spec"."replicas" = 1;
    } [
        "spec"."template" => TEMPLATE;
    ]
    STATEFUL_SET: stateful_set {
        "spec"."replicas" = 1;
        "spec"."revisionHistoryLimit" = 10;
        "spec"."podManagementPolicy" = "OrderedReady";
        "spec"."persistentVolumeClaimRetentionPolicy"."whenDeleted" = "Retain";
        "spec"."persistentVolumeClaimRetentionPolicy"."whenScaled" = "Retain";
    } [
        "spec"."template" => TEMPLATE;
        "spec"."volumeClaimTemplates" => CLAIM_TEMPLATE;
    ]
    CLAIM_TEMPLATE {
        "apiVersion" = "v1";
        "kind" = "PersistentVolumeClaim";
        "status"."phase" = "Pending";
    } [
        "spec" => CLAIM_SPEC;
    ]
    DAEMON_SET: daemon_set {
        "spec"."revisionHistoryLimit" = 10;
        "spec"."updateStrategy"."type" = "RollingUpdate";
    } [
        "spec"."template" => TEMPLATE;
    ]
    JOB: job {
        "spec"."completionMode" = "NonIndexed";
        "spec"."suspend" = false;
        "spec"."manualSelector" = false;
    } [
        "spec" => JOB_SPEC;
    ]
    /// What a job's spec is given in a template too.
    JOB_SPEC {} [
        "template" => TEMPLATE;
        "podFailurePolicy"."rules" => FAILURE_RULE;
    ]
    FAILURE_RULE {} [
        "onPodConditions" => POD_CONDITION;
    ]
    POD_CONDITION { "status" = "True"; }
    CRON_JOB {
        "spec"."concurrencyPolicy" = "Allow";
        "spec"."suspend" = false;
        "spec"."successfulJobsHistoryLimit" = 3;
        "spec"."failedJobsHistoryLimit" = 1;
    } [
        "spec"."jobTemplate"."spec" => JOB_SPEC;
    ]

    NETWORK_POLICY: network_policy {} [
        "spec"."ingress" => POLICY_RULE;
        "spec"."egress" => POLICY_RULE;
    ]
    POLICY_RULE {} [
        "ports" => PORT;
    ]
    INGRESS_CLASS {} [
        "spec"."parameters" => PARAMETERS;
    ]
    PARAMETERS { "scope" = "Cluster"; }
    ENDPOINT_SLICE {} [
        "ports" => ENDPOINT_PORT;
    ]
    ENDPOINT_PORT {
        "name" = "";
        "protocol" = "TCP";
    }
    ROLE_BINDING {
        "roleRef"."apiGroup" = "rbac.authorization.k8s.io";
    } [
        "subjects" => SUBJECT;
    ]
    SUBJECT: subject {}
    STORAGE_CLASS {
        "reclaimPolicy" = "Delete";
        "volumeBindingMode" = "Immediate";
    }
    CSI_DRIVER: volume_modes {
        "spec"."attachRequired" = true;
        "spec"."podInfoOnMount" = false;
        "spec"."storageCapacity" = false;
        "spec"."fsGroupPolicy" = "ReadWriteOnceWithFSType";
        "spec"."requiresRepublish" = false;
        "spec"."seLinuxMount" = false;
    }
    RESOURCE_CLAIM {} [
        "spec"."devices"."requests" => DEVICE_REQUEST;
    ]
    RESOURCE_CLAIM_TEMPLATE {} [
        "spec" => RESOURCE_CLAIM;
    ]
    DEVICE_REQUEST {} [
        "exactly" => EXACT_DEVICES;
        "firstAvailable" => EXACT_DEVICES;
    ]
    EXACT_DEVICES: exact_devices { "allocationMode" = "ExactCount"; } [
        "tolerations" => DEVICE_TOLERATION;
    ]
    DEVICE_TOLERATION { "operator" = "Equal"; }
    PRIORITY_CLASS { "preemptionPolicy" = "PreemptLowerPriority"; }

    VALIDATING_WEBHOOKS {} [
        "webhooks" => WEBHOOK;
    ]
    MUTATING_WEBHOOKS {} [
        "webhooks" => WEBHOOK;
        "webhooks" => MUTATING_WEBHOOK;
    ]
    WEBHOOK {
        "failurePolicy" = "Fail";
        "matchPolicy" = "Equivalent";
        "namespaceSelector" = {};
        "objectSelector" = {};
        "timeoutSeconds" = 10;
    } [
        "rules" => RULE;
        "clientConfig"."service" => SERVICE_REF;
    ]
    MUTATING_WEBHOOK { "reinvocationPolicy" = "Never"; }
    RULE { "scope" = "*"; }
    SERVICE_REF { "port" = 443; }
    ADMISSION_POLICY {
        "spec"."failurePolicy" = "Fail";
    } [
        "spec"."matchConstraints" => MATCH;
    ]
    ADMISSION_BINDING {} [
        "spec"."matchResources" => MATCH;
    ]
    MATCH {
        "matchPolicy" = "Equivalent";
        "namespaceSelector" = {};
        "objectSelector" = {};
    } [
        "resourceRules" => RULE;
        "excludeResourceRules" => RULE;
    ]
    DEFINITION: definition {
        "spec"."conversion"."strategy" = "None";
    } [
        "spec"."conversion"."webhook"."clientConfig"."service" => SERVICE_REF;
    ]
    API_SERVICE {} [
        "spec"."service" => SERVICE_REF;
    ]
    FLOW_SCHEMA { "spec"."matchingPrecedence" = 1000; }
    PRIORITY_LEVEL {} [
        "spec"."limited" => LIMITED;
        "spec"."exempt" => EXEMPT;
    ]
    LIMITED {
        "nominalConcurrencyShares" = 30;
        "lendablePercent" = 0;
    } [
        "limitResponse"."queuing" => QUEUING;
    ]
    EXEMPT {
        "nominalConcurrencyShares" = 0;
        "lendablePercent" = 0;
    }
    QUEUING {
        "handSize" = 8;
        "queues" = 64;
        "queueLengthLimit" = 50;
    }
}

/// What each way of updating needs, of those that need anything: only the way that is chosen gets its parameters.
fn rolling(object: &mut Value, strategy: &str, parameters: &[(&str, Value)]) {
    if object.at(&["spec", strategy, "type"]) == "RollingUpdate" {
        for (field, value) in parameters {
            set_missing(object, &["spec", strategy, "rollingUpdate", field], || value.clone());
        }
    }
}

fn deployment(object: &mut Value) {
    rolling(object, "strategy", &[("maxUnavailable", "25%".into()), ("maxSurge", "25%".into())]);
}

fn stateful_set(object: &mut Value) {
    let strategy = object.at(&["spec", "updateStrategy"]);
    let said = !strategy.at(&["type"]).is_null();
    // Who names the way of updating, and says no more, is taken at their word.
    if !said || !strategy.at(&["rollingUpdate"]).is_null() {
        set_missing(object, &["spec", "updateStrategy", "type"], || Value::from("RollingUpdate"));
        rolling(object, "updateStrategy", &[("partition", 0.into())]);
    }
    // Behind a feature gate that is off: what a client says of it is dropped.
    let gated = &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"];
    if object.find(gated).is_some() {
        object.remove(gated);
    }
}

fn daemon_set(object: &mut Value) {
    rolling(object, "updateStrategy", &[("maxUnavailable", 1.into()), ("maxSurge", 0.into())]);
}

/// The oldest of the workloads knows its pods by their labels if nothing else is said.
fn replication_controller(object: &mut Value) {
    let labels = object.at(&["spec", "template", "metadata", "labels"]).clone();
    if labels.is_empty() {
        return;
    }
    if object.at(&["spec", "selector"]).is_empty() {
        object.set(&["spec", "selector"], labels.clone());
    }
    if object.labels().is_empty() {
        object.set(&["metadata", "labels"], labels);
    }
}

fn job(job: &mut Value) {
    let spec = job.at(&["spec"]);
    let policy = if spec.get("podFailurePolicy").is_some() { "Failed" } else { "TerminatingOrFailed" };
    // Who counts failures by index does not count them together.
    let limit = if spec.at(&["backoffLimitPerIndex"]).is_null() { 6 } else { i32::MAX };
    if spec.at(&["completions"]).is_null() && spec.at(&["parallelism"]).is_null() {
        job.set(&["spec", "completions"], 1);
    }
    set_missing(job, &["spec", "parallelism"], || Value::from(1));
    set_missing(job, &["spec", "backoffLimit"], || Value::from(limit));
    set_missing(job, &["spec", "podReplacementPolicy"], || Value::from(policy));
    let labels = job.at(&["spec", "template", "metadata", "labels"]).clone();
    if !labels.is_empty() && job.labels().is_empty() {
        job.set(&["metadata", "labels"], labels);
    }
}

/// `stringData` is a way to write `data`; it is not kept.
fn string_data(secret: &mut Value) {
    if secret.get("stringData").is_none() {
        return;
    }
    let texts = secret.object().remove("stringData").unwrap_or_default();
    for (key, text) in texts.entries() {
        secret.set(&["data", key], STANDARD.encode(text.str_or_empty()));
    }
}

/// Every namespace can be selected by its name.
fn name_label(namespace: &mut Value) {
    let name = namespace.name().to_owned();
    if !name.is_empty() && namespace.label("kubernetes.io/metadata.name") != Some(&name) {
        namespace.set(&["metadata", "labels", "kubernetes.io/metadata.name"], name);
    }
}

fn node(node: &mut Value) {
    let capacity = node.at(&["status", "capacity"]).clone();
    if !capacity.is_empty() && node.at(&["status", "allocatable"]).is_empty() {
        node.set(&["status", "allocatable"], capacity);
    }
}

/// A container may have the most and asks for what it may have, or for the least.
fn limit(limit: &mut Value) {
    if limit.at(&["type"]) != "Container" {
        return;
    }
    for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        for (resource, amount) in limit.at(&[from]).clone().entries() {
            let canonical = Quantity::of(amount).map_or_else(|| amount.clone(), Value::from);
            set_missing(limit, &[to, resource], || canonical);
        }
    }
}

fn exact_devices(request: &mut Value) {
    if request.at(&["allocationMode"]) == "ExactCount" {
        set_missing(request, &["count"], || Value::from(1));
    }
}

fn network_policy(policy: &mut Value) {
    if policy.at(&["spec", "policyTypes"]).is_empty() {
        let egress = !policy.at(&["spec", "egress"]).is_empty();
        policy.set(&["spec", "policyTypes"], if egress { doc!(["Ingress", "Egress"]) } else { doc!(["Ingress"]) });
    }
}

fn subject(subject: &mut Value) {
    if matches!(subject.at(&["kind"]).str_or_empty(), "User" | "Group") {
        set_missing(subject, &["apiGroup"], || Value::from("rbac.authorization.k8s.io"));
    }
}

fn volume_modes(driver: &mut Value) {
    if driver.at(&["spec", "volumeLifecycleModes"]).is_empty() {
        driver.set(&["spec", "volumeLifecycleModes"], doc!(["Persistent"]));
    }
}

fn definition(definition: &mut Value) {
    let kind = definition.at(&["spec", "names", "kind"]).str_or_empty().to_owned();
    if kind.is_empty() {
        return;
    }
    change(definition, &["spec", "names"], |names| {
        set_missing(names, &["singular"], || Value::from(kind.to_lowercase()));
        set_missing(names, &["listKind"], || Value::from(format!("{kind}List")));
    });
}
