//! What a document is after Go has read and written it.
//!
//! Knows: which fields of Kubernetes' own types have no absence, and what in a document means the same as absence.
//! Does not know: defaulting, which is a decision of the API server. This is only how its types are written.
//!
//! A Go struct, or a number without `omitempty`, is always written: a container has `resources: {}`, a pod `status: {}`,
//! an event `eventTime: null`. A list or map that is empty is not, and neither is what was `null`.
//!
//! OpenAPI says almost everywhere which fields have no absence: its generator gives such a field its zero as the
//! default. It is silent on times and lists, which are `null` then, and it says the same of a few fields whose zero is a
//! default proper. What it cannot tell is a field that is a pointer from one that is not: that is written down here, text
//! that is a pointer, and numbers that are none, for those are the fewer.

use super::types::{Field, FieldNode, Node, NodeShape, Scalar, Shape, Type};
use crate::memo::{MANY, Memo, is_worth};
use crate::quantity::Quantity;
use crate::value::{Map, Text, Value};

/// Fields whose default is a zero, but that are left out when they are zero: by the end of their definition's name.
const OMITTED: &[(&str, &[&str])] = &[
    (".api.autoscaling.v1.ScaleSpec", &["replicas"]),
    (".api.core.v1.ConfigMapEnvSource", &["name"]),
    (".api.core.v1.ConfigMapKeySelector", &["name"]),
    (".api.core.v1.ConfigMapProjection", &["name"]),
    (".api.core.v1.ConfigMapVolumeSource", &["name"]),
    (".api.core.v1.LocalObjectReference", &["name"]),
    (".api.core.v1.ReplicationControllerSpec", &["minReadySeconds"]),
    (".api.core.v1.SecretEnvSource", &["name"]),
    (".api.core.v1.SecretKeySelector", &["name"]),
    (".api.core.v1.SecretProjection", &["name"]),
];

/// Numbers and truth values that are left out when they are zero. Of others, a zero that was sent stays.
const NOT_POINTERS: &[(&str, &[&str])] = &[
    (".APIServiceSpec", &["insecureSkipTLSVerify"]),
    (".AWSElasticBlockStoreVolumeSource", &["partition", "readOnly"]),
    (".CSIDriverSpec", &["preventPodSchedulingIfMissing"]),
    (".Container", &["stdin", "stdinOnce", "tty"]),
    (".ContainerPort", &["hostPort"]),
    (".CustomResourceColumnDefinition", &["priority"]),
    (".CustomResourceDefinitionSpec", &["preserveUnknownFields"]),
    (".CustomResourceDefinitionVersion", &["deprecated"]),
    (".DaemonSetSpec", &["minReadySeconds"]),
    (".DeploymentSpec", &["minReadySeconds", "paused"]),
    (".DeviceSubRequest", &["count"]),
    (".EphemeralContainer", &["stdin", "stdinOnce", "tty"]),
    (".Event", &["count", "deprecatedCount"]),
    (".ExactDeviceRequest", &["count"]),
    (".GCEPersistentDiskVolumeSource", &["partition", "readOnly"]),
    (".ISCSIPersistentVolumeSource", &["chapAuthDiscovery", "chapAuthSession", "readOnly"]),
    (".ISCSIVolumeSource", &["chapAuthDiscovery", "chapAuthSession", "readOnly"]),
    (
        ".JSONSchemaProps",
        &[
            "exclusiveMaximum",
            "exclusiveMinimum",
            "nullable",
            "uniqueItems",
            "x-kubernetes-embedded-resource",
            "x-kubernetes-int-or-string",
        ],
    ),
    (".NodeSpec", &["unschedulable"]),
    (".ObjectMeta", &["generation"]),
    (".PodSpec", &["hostIPC", "hostNetwork", "hostPID"]),
    (".PriorityClass", &["globalDefault"]),
    (".Probe", &["initialDelaySeconds"]),
    (".ReplicaSetSpec", &["minReadySeconds"]),
    (".ResourcePolicyRule", &["clusterScope"]),
    (".ScaleIOPersistentVolumeSource", &["readOnly", "sslEnabled"]),
    (".ScaleIOVolumeSource", &["readOnly", "sslEnabled"]),
    (".ServiceBackendPort", &["number"]),
    (".ServicePort", &["nodePort"]),
    (".ServiceSpec", &["healthCheckNodePort", "publishNotReadyAddresses"]),
    (".StatefulSetSpec", &["minReadySeconds"]),
    (".VolumeMount", &["readOnly"]),
];

/// Types of volumes of which a pointer says whether they are only read.
const SAY_WHETHER_READ: &[&str] = &[".AzureDiskVolumeSource", ".core.v1.CSIVolumeSource"];

/// Optional text that is a pointer, so that none is something else than an empty one.
const POINTERS: &[(&str, &[&str])] = &[
    (".AppArmorProfile", &["localhostProfile"]),
    (".AzureDiskVolumeSource", &["cachingMode", "fsType", "kind"]),
    (".AzureFilePersistentVolumeSource", &["secretNamespace"]),
    (".CSIDriverSpec", &["fsGroupPolicy"]),
    (".CSIVolumeSource", &["fsType"]),
    (".ClusterTrustBundleProjection", &["name", "signerName"]),
    (".Container", &["restartPolicy"]),
    (".CronJobSpec", &["timeZone"]),
    (".CustomResourceDefinitionVersion", &["deprecationWarning"]),
    (".CustomResourceSubresourceScale", &["labelSelectorPath"]),
    (".Device", &["nodeName"]),
    (".DeviceAttribute", &["string", "version"]),
    (".DeviceClassSpec", &["extendedResourceName"]),
    (".DeviceConstraint", &["distinctAttribute", "matchAttribute"]),
    (".Endpoint", &["hostname", "nodeName", "zone"]),
    (".EndpointAddress", &["nodeName"]),
    (".core.v1.EndpointPort", &["appProtocol"]),
    (".discovery.v1.EndpointPort", &["appProtocol", "name", "protocol"]),
    (".EphemeralContainer", &["restartPolicy"]),
    (".GRPCAction", &["service"]),
    (".GlusterfsPersistentVolumeSource", &["endpointsNamespace"]),
    (".HPAScalingRules", &["selectPolicy"]),
    (".HTTPIngressPath", &["pathType"]),
    (".HostPathVolumeSource", &["type"]),
    (".ISCSIPersistentVolumeSource", &["initiatorName"]),
    (".ISCSIVolumeSource", &["initiatorName"]),
    (".IngressClassParametersReference", &["apiGroup", "namespace", "scope"]),
    (".IngressSpec", &["ingressClassName"]),
    (".JSONSchemaProps", &["x-kubernetes-list-type", "x-kubernetes-map-type"]),
    (".JobSpec", &["completionMode", "managedBy", "podReplacementPolicy"]),
    (".LeaseSpec", &["holderIdentity", "preferredHolder", "strategy"]),
    (".Lifecycle", &["stopSignal"]),
    (".LoadBalancerIngress", &["ipMode"]),
    (".LocalVolumeSource", &["fsType"]),
    (".MatchResources", &["matchPolicy"]),
    (".MutatingAdmissionPolicySpec", &["failurePolicy"]),
    (".MutatingWebhook", &["failurePolicy", "matchPolicy", "reinvocationPolicy", "sideEffects"]),
    (".NamedRuleWithOperations", &["scope"]),
    (".NetworkPolicyPort", &["protocol"]),
    (".ParamRef", &["parameterNotFoundAction"]),
    (".PersistentVolumeClaimSpec", &["storageClassName", "volumeAttributesClassName", "volumeMode"]),
    (".PersistentVolumeSpec", &["volumeAttributesClassName", "volumeMode"]),
    (".PodDNSConfigOption", &["value"]),
    (".PodDisruptionBudgetSpec", &["unhealthyPodEvictionPolicy"]),
    (".PodFailurePolicyOnExitCodesRequirement", &["containerName"]),
    (".PodResourceClaim", &["resourceClaimName", "resourceClaimTemplateName"]),
    (".PodSecurityContext", &["fsGroupChangePolicy", "seLinuxChangePolicy", "supplementalGroupsPolicy"]),
    (".PodSpec", &["hostnameOverride", "preemptionPolicy", "runtimeClassName"]),
    (".PriorityClass", &["preemptionPolicy"]),
    (".ResourceSliceSpec", &["nodeName"]),
    (".RuleWithOperations", &["scope"]),
    (".SeccompProfile", &["localhostProfile"]),
    (".SecurityContext", &["procMount"]),
    (".ServicePort", &["appProtocol"]),
    (".ServiceReference", &["path"]),
    (".ServiceSpec", &["internalTrafficPolicy", "ipFamilyPolicy", "loadBalancerClass", "trafficDistribution"]),
    (".StorageClass", &["reclaimPolicy", "volumeBindingMode"]),
    (".SuccessPolicyRule", &["succeededIndexes"]),
    (".TopologySpreadConstraint", &["nodeAffinityPolicy", "nodeTaintsPolicy"]),
    (".TypedLocalObjectReference", &["apiGroup"]),
    (".TypedObjectReference", &["apiGroup", "namespace"]),
    (".ValidatingAdmissionPolicySpec", &["failurePolicy"]),
    (".ValidatingWebhook", &["failurePolicy", "matchPolicy", "sideEffects"]),
    (".Validation", &["reason"]),
    (".ValidationRule", &["reason"]),
    (".VolumeAttachmentSource", &["persistentVolumeName"]),
    (".VolumeMount", &["mountPropagation", "recursiveReadOnly"]),
    (".WebhookClientConfig", &["url"]),
    (".WindowsSecurityContextOptions", &["gmsaCredentialSpec", "gmsaCredentialSpecName", "runAsUserName"]),
];

/// Lists and times that are `null` when nobody set them, though OpenAPI does not require them.
const NULL: &[(&str, &[&str])] = &[
    (".api.autoscaling.v2.HorizontalPodAutoscalerStatus", &["currentMetrics"]),
    (".api.core.v1.ContainerStateRunning", &["startedAt"]),
    (".api.core.v1.ContainerStateTerminated", &["finishedAt", "startedAt"]),
    (".api.core.v1.TypedLocalObjectReference", &["apiGroup"]),
    (".api.core.v1.TypedObjectReference", &["apiGroup"]),
    (".api.core.v1.Event", &["eventTime", "firstTimestamp", "lastTimestamp"]),
    (".api.discovery.v1.EndpointSlice", &["endpoints", "ports"]),
    (".api.events.v1.Event", &["deprecatedFirstTimestamp", "deprecatedLastTimestamp", "eventTime"]),
    (".api.rbac.v1.ClusterRole", &["rules"]),
    (".api.rbac.v1.Role", &["rules"]),
    (".apis.apiextensions.v1.CustomResourceDefinitionStatus", &["conditions", "storedVersions"]),
];

/// The times of a condition, whoever's it is.
const CONDITION_TIMES: &[&str] = &["lastHeartbeatTime", "lastProbeTime", "lastTransitionTime", "lastUpdateTime"];

/// Where Kubernetes' own types are written. Others define theirs in groups of `k8s.io` too: `io.k8s.storage.snapshot…`.
const MODULES: &[&str] = &["api", "apimachinery", "apiextensions-apiserver", "kube-aggregator"];

/// Whether a definition is of a type of Kubernetes' own.
pub(super) fn is_go(name: &str) -> bool {
    name.strip_prefix("io.k8s.").and_then(|rest| rest.split('.').next()).is_some_and(|module| MODULES.contains(&module))
}

fn is_in(table: &[(&str, &[&str])], name: &str, field: &FieldNode) -> bool {
    table.iter().any(|(end, fields)| name.ends_with(end) && fields.contains(&field.name.as_str()))
}

/// Whether an empty text in a field is something else than none.
pub(super) fn is_pointer(name: &str, field: &FieldNode) -> bool {
    is_in(POINTERS, name, field)
}

/// Whether a field is left out when it is zero.
pub(super) fn is_omitted(name: &str, field: &FieldNode, scalar: Option<Scalar>) -> bool {
    match (scalar, &field.default) {
        (Some(Scalar::String | Scalar::Bytes), None) => !field.required && !is_pointer(name, field),
        (Some(Scalar::Boolean), None) if field.name.as_str() == "readOnly" && name.ends_with("VolumeSource") => {
            !SAY_WHETHER_READ.iter().any(|end| name.ends_with(end))
        }
        (_, None) => is_in(NOT_POINTERS, name, field),
        (_, Some(_)) => is_in(OMITTED, name, field),
    }
}

/// What the fields of one of Kubernetes' own types are when nobody set them.
pub(super) fn of(name: &str, node: &Node, is_list: impl Fn(&FieldNode) -> bool) -> Vec<(Text, Value)> {
    let NodeShape::Struct(fields) = &node.shape else { return Vec::new() };
    let is_null = |field: &FieldNode| {
        let listed = NULL.iter().any(|(end, fields)| name.ends_with(end) && fields.contains(&field.name.as_str()));
        let condition = name.ends_with("Condition") && CONDITION_TIMES.contains(&field.name.as_str());
        listed || condition || (field.required && is_list(field))
    };
    let zero = |field: &FieldNode| match &field.default {
        Some(default) if !default.is_empty() => None,
        Some(_) if field.omitted => None,
        Some(default) => Some(default.clone()),
        None => is_null(field).then_some(Value::Null),
    };
    fields.iter().filter_map(|field| Some((field.name.clone(), zero(field)?))).collect()
}

impl Type<'_> {
    /// The object as it is after it was stored: read by Go, and written again; none if it is so already.
    ///
    /// Not for lists of objects, whose `items` are never `null`.
    ///
    /// It changes what is typed in Go only, so of a custom resource at most the metadata.
    #[must_use]
    pub fn as_go(self, document: &Value) -> Option<Value> {
        self.written(document, false, false)
    }

    /// The object as it is before it is stored: a list that is `null` when nobody sets it is still empty if it was sent so.
    #[must_use]
    pub fn as_go_read(self, document: &Value) -> Option<Value> {
        self.written(document, false, true)
    }

    fn written(self, document: &Value, typed: bool, as_read: bool) -> Option<Value> {
        thread_local! {
            /// What was found to be so already.
            static WRITTEN: Memo<()> = const { Memo::of(MANY) };
        }
        if !is_worth(document) {
            return self.written_anew(document, typed, as_read);
        }
        let (arena, node, _) = self.identity();
        let ty = (arena, node, u8::from(typed) | u8::from(as_read) << 1);
        if WRITTEN.with(|memo| memo.recall(ty, document)).is_some() {
            return None;
        }
        let written = self.written_anew(document, typed, as_read);
        if written.is_none() {
            WRITTEN.with(|memo| memo.keep(ty, document, ()));
        }
        written
    }

    fn written_anew(self, document: &Value, typed: bool, as_read: bool) -> Option<Value> {
        match (document, self.shape()) {
            (Value::Object(map), Shape::Struct) => self.struct_written(map, as_read).map(Value::from),
            (Value::Object(map), Shape::Map(values)) => map_written(map, values, typed, as_read).map(Value::from),
            (Value::Array(list), Shape::List(list_type)) => {
                let mut changed: Option<Vec<Value>> = None;
                let typed = typed || self.is_go();
                for (at, item) in list.iter().enumerate() {
                    let zero = (item.is_null() && typed).then(|| list_type.items.zero()).flatten();
                    if let Some(new) = zero.or_else(|| list_type.items.written(item, typed, as_read))
                        && let Some(place) = changed.get_or_insert_with(|| list.to_vec()).get_mut(at)
                    {
                        *place = new;
                    }
                }
                changed.map(Value::from)
            }
            // An amount has one form, whatever form it was sent in.
            (_, Shape::Scalar(Scalar::Quantity)) if typed => {
                let written = Value::from(Quantity::of(document)?);
                (written != *document).then_some(written)
            }
            // Bytes are written in one line, however they were sent.
            (Value::String(text), Shape::Scalar(Scalar::Bytes)) if typed && text.contains(['\n', '\r']) => {
                Some(Value::from(text.replace(['\n', '\r'], "")))
            }
            _ => None,
        }
    }

    /// What Go makes of `null` where there is no absence: in a list or a map.
    fn zero(self) -> Option<Value> {
        match self.shape() {
            Shape::Scalar(Scalar::String | Scalar::Bytes) => Some(Value::from("")),
            Shape::Struct => {
                Some(self.written(&Value::Object(Map::default()), true, false).unwrap_or_else(|| Map::default().into()))
            }
            _ => None,
        }
    }

    /// The object without what says nothing to Go. Unlike [`Type::as_go`] it adds nothing.
    #[must_use]
    pub fn without_zeros(self, document: &Value) -> Option<Value> {
        match (document, self.shape()) {
            (Value::Object(map), Shape::Struct) => {
                let typed = self.is_go();
                let mut changed: Option<Map> = None;
                for (key, below) in map {
                    let Some(field) = self.field(key) else { continue };
                    let none = below.as_str() == Some("") && !field.is_pointer();
                    let scalar = matches!(field.ty().shape(), Shape::Scalar(_));
                    if typed && scalar && (none || field.is_absence(below)) {
                        changed.get_or_insert_with(|| map.clone()).remove(key);
                    } else if let Some(new) = field.ty().without_zeros(below) {
                        changed.get_or_insert_with(|| map.clone()).insert(key.clone(), new);
                    }
                }
                changed.map(Value::from)
            }
            (Value::Object(map), Shape::Map(values)) => {
                let mut changed: Option<Map> = None;
                for (key, below) in map {
                    if let Some(new) = values.without_zeros(below) {
                        changed.get_or_insert_with(|| map.clone()).insert(key.clone(), new);
                    }
                }
                changed.map(Value::from)
            }
            (Value::Array(list), Shape::List(list_type)) => {
                let mut changed: Option<Vec<Value>> = None;
                for (at, item) in list.iter().enumerate() {
                    if let Some(new) = list_type.items.without_zeros(item)
                        && let Some(place) = changed.get_or_insert_with(|| list.to_vec()).get_mut(at)
                    {
                        *place = new;
                    }
                }
                changed.map(Value::from)
            }
            _ => None,
        }
    }

    fn struct_written(self, map: &Map, as_read: bool) -> Option<Map> {
        let typed = self.is_go();
        let stays = |key: &str, below: &Value| {
            as_read
                && below.as_array().is_some()
                && self.zeros().iter().any(|(have, zero)| *have == key && zero.is_null())
        };
        let mut changed: Option<Map> = None;
        for (key, below) in map {
            let Some(field) = self.field(key) else { continue };
            if typed && field.is_absence(below) && !stays(key, below) {
                changed.get_or_insert_with(|| map.clone()).remove(key);
            } else if let Some(new) = field.ty().written(below, typed, as_read) {
                changed.get_or_insert_with(|| map.clone()).insert(key.clone(), new);
            }
        }
        for (key, zero) in self.zeros() {
            let have = changed.as_ref().unwrap_or(map);
            if !have.contains_key(key) {
                let zero =
                    self.child(key).and_then(|ty| ty.written(zero, true, as_read)).unwrap_or_else(|| zero.clone());
                changed.get_or_insert_with(|| map.clone()).insert(key.clone(), zero);
            }
        }
        // What was taken away and put back is no change.
        changed.filter(|changed| Value::from(changed.clone()) != Value::from(map.clone()))
    }
}

/// A map's values; where text is wanted `null` is read as an empty one.
fn map_written(map: &Map, values: Type<'_>, typed: bool, as_read: bool) -> Option<Map> {
    let mut changed: Option<Map> = None;
    for (key, below) in map {
        let is_text = matches!(values.scalar(), Some(Scalar::String | Scalar::Bytes));
        let new =
            if typed && below.is_null() && is_text { values.zero() } else { values.written(below, typed, as_read) };
        if let Some(new) = new {
            changed.get_or_insert_with(|| map.clone()).insert(key.clone(), new);
        }
    }
    changed
}

impl Field<'_> {
    /// Whether a value says the same as nothing, to Go: `null`, an empty list or map, the zero of a number that is left
    /// out when it is zero.
    fn is_absence(self, value: &Value) -> bool {
        match self.ty().shape() {
            _ if value.is_null() => true,
            Shape::List(_) | Shape::Map(_) => value.is_empty(),
            Shape::Scalar(_) => value.is_empty() && self.is_omitted_when_zero(),
            Shape::Struct | Shape::Any => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_go;

    #[test]
    fn what_others_define_in_a_group_of_kubernetes_is_not_its_own_type() {
        for (name, own) in [
            ("io.k8s.api.core.v1.Pod", true),
            ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", true),
            ("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService", true),
            ("io.k8s.storage.snapshot.v1.VolumeSnapshot", false),
            ("io.k8s.networking.gateway.v1.Gateway", false),
            ("org.example.v1.Widget", false),
        ] {
            assert_eq!(is_go(name), own, "{name}");
        }
    }
}
