//! In which order Go writes the fields of its structs.
//!
//! Knows: the order in the structs that most objects are made of.
//! Does not know: what the fields mean.
//!
//! Documents are sorted by key here, and nobody can tell. But where a refusal shows the document that it refuses, it is
//! text, and a client that compares or cuts it sees the order. What is not listed is written in the order of its names,
//! which is that of a document that was merged.

use crate::schema::{Shape, Type};
use crate::value::Value;

/// A document as Go writes it. Where `merged` has a map, that map was taken apart and put together again, and is sorted.
pub(in crate::apiserver) fn as_go_writes(ty: Type<'_>, value: &Value, merged: &Value) -> String {
    if !ty.is_go() {
        // A custom resource is a map to Go, sorted throughout.
        return value.to_json();
    }
    let mut text = String::new();
    write(ty, value, Some(merged), &mut text);
    text
}

fn write(ty: Type<'_>, value: &Value, merged: Option<&Value>, text: &mut String) {
    match value {
        Value::Object(map) => {
            let sorted = merged.is_some_and(|merged| merged.as_object().is_some());
            let order = if sorted { None } else { order(ty) };
            let rank = |key: &str| match order {
                Some(order) => order.iter().position(|have| *have == key).unwrap_or(order.len()),
                None => 0,
            };
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| rank(key));
            text.push('{');
            for (at, (key, below)) in entries.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key).to_json());
                text.push(':');
                let merged = merged.and_then(|merged| merged.get(key));
                write(ty.child(key).unwrap_or(Type::unknown()), below, merged, text);
            }
            text.push('}');
        }
        Value::Array(list) => {
            let items = ty.list().map_or(Type::unknown(), |list| list.items);
            text.push('[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(items, item, merged.and_then(|merged| merged.get(&at.to_string())), text);
            }
            text.push(']');
        }
        leaf => text.push_str(&leaf.to_json()),
    }
}

/// The order of a struct's fields, where it is known.
fn order(ty: Type<'_>) -> Option<&'static [&'static str]> {
    if !matches!(ty.shape(), Shape::Struct) {
        return None;
    }
    let name = ty.name()?.rsplit('.').next()?;
    let listed = ORDERS.iter().find(|(have, _)| *have == name).map(|(_, order)| *order);
    // A whole object: what it is, what every object has, what is wanted, what is.
    listed.or_else(|| ty.field("metadata").is_some().then_some(OBJECT))
}

const OBJECT: &[&str] = &["kind", "apiVersion", "metadata", "spec", "status"];

/// What is said of every object, in the order in which Go writes it.
pub(in crate::apiserver) const METADATA: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

const SELECTOR: &[&str] = &["matchLabels", "matchExpressions"];

const ORDERS: &[(&str, &[&str])] = &[
    ("ObjectMeta", METADATA),
    ("ManagedFieldsEntry", &["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"]),
    ("OwnerReference", &["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"]),
    ("LabelSelector", SELECTOR),
    ("LabelSelectorRequirement", &["key", "operator", "values"]),
    (
        "PodSpec",
        &[
            "volumes",
            "initContainers",
            "containers",
            "ephemeralContainers",
            "restartPolicy",
            "terminationGracePeriodSeconds",
            "activeDeadlineSeconds",
            "dnsPolicy",
            "nodeSelector",
            "serviceAccountName",
            "serviceAccount",
            "automountServiceAccountToken",
            "nodeName",
            "hostNetwork",
            "hostPID",
            "hostIPC",
            "shareProcessNamespace",
            "securityContext",
            "imagePullSecrets",
            "hostname",
            "subdomain",
            "affinity",
            "schedulerName",
            "tolerations",
            "hostAliases",
            "priorityClassName",
            "priority",
            "dnsConfig",
            "readinessGates",
            "runtimeClassName",
            "enableServiceLinks",
            "preemptionPolicy",
            "overhead",
            "topologySpreadConstraints",
            "setHostnameAsFQDN",
            "os",
            "hostUsers",
            "schedulingGates",
            "resourceClaims",
            "resources",
            "hostnameOverride",
            "schedulingGroup",
        ],
    ),
    (
        "Container",
        &[
            "name",
            "image",
            "command",
            "args",
            "workingDir",
            "ports",
            "envFrom",
            "env",
            "resources",
            "resizePolicy",
            "restartPolicy",
            "restartPolicyRules",
            "volumeMounts",
            "volumeDevices",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle",
            "terminationMessagePath",
            "terminationMessagePolicy",
            "imagePullPolicy",
            "securityContext",
            "stdin",
            "stdinOnce",
            "tty",
        ],
    ),
    ("ContainerPort", &["name", "hostPort", "containerPort", "protocol", "hostIP"]),
    ("EnvVar", &["name", "value", "valueFrom"]),
    ("ResourceRequirements", &["limits", "requests", "claims"]),
    (
        "VolumeMount",
        &["name", "readOnly", "recursiveReadOnly", "mountPath", "subPath", "mountPropagation", "subPathExpr"],
    ),
    (
        "Probe",
        &[
            "exec",
            "httpGet",
            "tcpSocket",
            "grpc",
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
            "terminationGracePeriodSeconds",
        ],
    ),
    ("HTTPGetAction", &["path", "port", "host", "scheme", "httpHeaders"]),
    (
        "PodStatus",
        &[
            "observedGeneration",
            "phase",
            "conditions",
            "message",
            "reason",
            "nominatedNodeName",
            "hostIP",
            "hostIPs",
            "podIP",
            "podIPs",
            "startTime",
            "initContainerStatuses",
            "containerStatuses",
            "qosClass",
            "ephemeralContainerStatuses",
            "resize",
            "resourceClaimStatuses",
        ],
    ),
    ("Toleration", &["key", "operator", "value", "effect", "tolerationSeconds"]),
    (
        "DeploymentSpec",
        &[
            "replicas",
            "selector",
            "template",
            "strategy",
            "minReadySeconds",
            "revisionHistoryLimit",
            "paused",
            "progressDeadlineSeconds",
        ],
    ),
    ("DeploymentStrategy", &["type", "rollingUpdate"]),
    ("RollingUpdateDeployment", &["maxUnavailable", "maxSurge"]),
    (
        "DeploymentStatus",
        &[
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "terminatingReplicas",
            "conditions",
            "collisionCount",
        ],
    ),
    ("DeploymentCondition", &["type", "status", "lastUpdateTime", "lastTransitionTime", "reason", "message"]),
    ("ReplicaSetSpec", &["replicas", "minReadySeconds", "selector", "template"]),
    (
        "ReplicaSetStatus",
        &[
            "replicas",
            "fullyLabeledReplicas",
            "readyReplicas",
            "availableReplicas",
            "terminatingReplicas",
            "observedGeneration",
            "conditions",
        ],
    ),
    (
        "StatefulSetSpec",
        &[
            "replicas",
            "selector",
            "template",
            "volumeClaimTemplates",
            "serviceName",
            "podManagementPolicy",
            "updateStrategy",
            "revisionHistoryLimit",
            "minReadySeconds",
            "persistentVolumeClaimRetentionPolicy",
            "ordinals",
        ],
    ),
    ("DaemonSetSpec", &["selector", "template", "updateStrategy", "minReadySeconds", "revisionHistoryLimit"]),
    ("DaemonSetUpdateStrategy", &["type", "rollingUpdate"]),
    ("StatefulSetUpdateStrategy", &["type", "rollingUpdate"]),
    (
        "JobSpec",
        &[
            "parallelism",
            "completions",
            "activeDeadlineSeconds",
            "podFailurePolicy",
            "successPolicy",
            "backoffLimit",
            "backoffLimitPerIndex",
            "maxFailedIndexes",
            "selector",
            "manualSelector",
            "template",
            "ttlSecondsAfterFinished",
            "completionMode",
            "suspend",
            "podReplacementPolicy",
            "managedBy",
        ],
    ),
    (
        "CronJobSpec",
        &[
            "schedule",
            "timeZone",
            "startingDeadlineSeconds",
            "concurrencyPolicy",
            "suspend",
            "jobTemplate",
            "successfulJobsHistoryLimit",
            "failedJobsHistoryLimit",
        ],
    ),
    (
        "ServiceSpec",
        &[
            "ports",
            "selector",
            "clusterIP",
            "clusterIPs",
            "type",
            "externalIPs",
            "sessionAffinity",
            "loadBalancerIP",
            "loadBalancerSourceRanges",
            "externalName",
            "externalTrafficPolicy",
            "healthCheckNodePort",
            "publishNotReadyAddresses",
            "sessionAffinityConfig",
            "ipFamilies",
            "ipFamilyPolicy",
            "allocateLoadBalancerNodePorts",
            "loadBalancerClass",
            "internalTrafficPolicy",
            "trafficDistribution",
        ],
    ),
    ("ServicePort", &["name", "protocol", "appProtocol", "port", "targetPort", "nodePort"]),
    ("ConfigMap", &["kind", "apiVersion", "metadata", "immutable", "data", "binaryData"]),
    ("Secret", &["kind", "apiVersion", "metadata", "immutable", "data", "stringData", "type"]),
    (
        "ServiceAccount",
        &["kind", "apiVersion", "metadata", "secrets", "imagePullSecrets", "automountServiceAccountToken"],
    ),
    ("Role", &["kind", "apiVersion", "metadata", "rules"]),
    ("ClusterRole", &["kind", "apiVersion", "metadata", "rules", "aggregationRule"]),
    ("RoleBinding", &["kind", "apiVersion", "metadata", "subjects", "roleRef"]),
    ("ClusterRoleBinding", &["kind", "apiVersion", "metadata", "subjects", "roleRef"]),
    ("PolicyRule", &["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"]),
    ("HorizontalPodAutoscalerSpec", &["scaleTargetRef", "minReplicas", "maxReplicas", "metrics", "behavior"]),
    ("CrossVersionObjectReference", &["kind", "name", "apiVersion"]),
    ("PodDisruptionBudgetSpec", &["minAvailable", "selector", "maxUnavailable", "unhealthyPodEvictionPolicy"]),
    ("NetworkPolicySpec", &["podSelector", "ingress", "egress", "policyTypes"]),
    ("IngressSpec", &["ingressClassName", "defaultBackend", "tls", "rules"]),
    (
        "PersistentVolumeClaimSpec",
        &[
            "accessModes",
            "selector",
            "resources",
            "volumeName",
            "storageClassName",
            "volumeMode",
            "dataSource",
            "dataSourceRef",
            "volumeAttributesClassName",
        ],
    ),
    ("NodeSpec", &["podCIDR", "podCIDRs", "providerID", "unschedulable", "taints", "configSource", "externalID"]),
    ("Taint", &["key", "value", "effect", "timeAdded"]),
    (
        "LeaseSpec",
        &[
            "holderIdentity",
            "leaseDurationSeconds",
            "acquireTime",
            "renewTime",
            "leaseTransitions",
            "strategy",
            "preferredHolder",
        ],
    ),
];
