//! What Go calls the types of fields.
//!
//! Knows: how a definition's name is a Go type's name, and which fields have a named type where OpenAPI only says
//! `string`.
//! Does not know: documents.
//!
//! Go names the type of a field that it cannot read, and for a `string` that is one of a few that is a name of its own:
//! `v1.PullPolicy`. OpenAPI does not have those, so they are listed here, by the struct and field they belong to.

use crate::schema::{Scalar, Shape, Type};

/// The end of a definition's name: the struct.
pub(super) fn of_struct(ty: Type<'_>) -> &str {
    ty.name().and_then(|name| name.rsplit('.').next()).unwrap_or("")
}

/// As Go prints a type, such as `[]v1.Container` or `map[string]string`. `holder` and `field` say where it stands.
pub(super) fn of_type(ty: Type<'_>, holder: &str, field: &str) -> String {
    if let Some(name) = ty.name() {
        let mut ends = name.rsplit('.');
        let (own, package) = (ends.next().unwrap_or_default(), ends.next().unwrap_or_default());
        return format!("{package}.{own}");
    }
    match ty.shape() {
        Shape::List(list) => format!("[]{}", of_type(list.items, holder, field)),
        Shape::Map(values) if values.scalar() == Some(Scalar::Quantity) => "v1.ResourceList".to_owned(),
        Shape::Map(values) if values.list().is_some() && matches!(field, "extra") => {
            "map[string]v1.ExtraValue".to_owned()
        }
        Shape::Map(values) => format!("map[string]{}", of_type(values, holder, field)),
        Shape::Scalar(Scalar::String) => named(holder, field).unwrap_or("string").to_owned(),
        Shape::Scalar(Scalar::Int32) => "int32".to_owned(),
        Shape::Scalar(Scalar::Int64) => "int64".to_owned(),
        Shape::Scalar(Scalar::Double) => "float64".to_owned(),
        Shape::Scalar(Scalar::Boolean) => "bool".to_owned(),
        Shape::Scalar(Scalar::Bytes) => "[]uint8".to_owned(),
        Shape::Scalar(Scalar::Time) => "v1.Time".to_owned(),
        Shape::Scalar(Scalar::MicroTime) => "v1.MicroTime".to_owned(),
        Shape::Scalar(Scalar::Duration) => "v1.Duration".to_owned(),
        Shape::Scalar(Scalar::IntOrString) => "intstr.IntOrString".to_owned(),
        Shape::Scalar(Scalar::Quantity) => "resource.Quantity".to_owned(),
        Shape::Struct | Shape::Any => "interface {}".to_owned(),
    }
}

/// The name of a string's type, where it has one of its own.
fn named(holder: &str, field: &str) -> Option<&'static str> {
    let of_holder = NAMED.iter().find(|(have, _)| *have == holder)?.1;
    of_holder.iter().find(|(have, _)| *have == field).map(|(_, name)| *name)
}

/// By struct: a field, and the type of its text (of a list: of its elements).
const NAMED: &[(&str, &[(&str, &str)])] = &[
    ("AppArmorProfile", &[("type", "v1.AppArmorProfileType")]),
    ("AzureDiskVolumeSource", &[("cachingMode", "v1.AzureDataDiskCachingMode"), ("kind", "v1.AzureDataDiskKind")]),
    ("CSIDriverSpec", &[("fsGroupPolicy", "v1.FSGroupPolicy"), ("volumeLifecycleModes", "v1.VolumeLifecycleMode")]),
    ("CertificateSigningRequestCondition", &[("type", "v1.RequestConditionType"), ("status", "v1.ConditionStatus")]),
    ("CertificateSigningRequestSpec", &[("usages", "v1.KeyUsage")]),
    ("ComponentCondition", &[("type", "v1.ComponentConditionType"), ("status", "v1.ConditionStatus")]),
    ("Condition", &[("status", "v1.ConditionStatus")]),
    (
        "Container",
        &[
            ("imagePullPolicy", "v1.PullPolicy"),
            ("restartPolicy", "v1.ContainerRestartPolicy"),
            ("terminationMessagePolicy", "v1.TerminationMessagePolicy"),
        ],
    ),
    ("ContainerPort", &[("protocol", "v1.Protocol")]),
    (
        "ContainerResizePolicy",
        &[("resourceName", "v1.ResourceName"), ("restartPolicy", "v1.ResourceResizeRestartPolicy")],
    ),
    ("ContainerResourceMetricSource", &[("name", "v1.ResourceName")]),
    ("ContainerRestartRule", &[("action", "v1.ContainerRestartRuleAction")]),
    ("ContainerRestartRuleOnExitCodes", &[("operator", "v1.ContainerRestartRuleOnExitCodesOperator")]),
    ("CronJobSpec", &[("concurrencyPolicy", "v1.ConcurrencyPolicy")]),
    (
        "CustomResourceDefinitionCondition",
        &[("type", "v1.CustomResourceDefinitionConditionType"), ("status", "v1.ConditionStatus")],
    ),
    ("CustomResourceDefinitionSpec", &[("scope", "v1.ResourceScope")]),
    ("CustomResourceConversion", &[("strategy", "v1.ConversionStrategyType")]),
    ("DaemonSetCondition", &[("type", "v1.DaemonSetConditionType"), ("status", "v1.ConditionStatus")]),
    ("DaemonSetUpdateStrategy", &[("type", "v1.DaemonSetUpdateStrategyType")]),
    ("DeleteOptions", &[("propagationPolicy", "v1.DeletionPropagation")]),
    ("DeploymentCondition", &[("type", "v1.DeploymentConditionType"), ("status", "v1.ConditionStatus")]),
    ("DeploymentStrategy", &[("type", "v1.DeploymentStrategyType")]),
    ("EmptyDirVolumeSource", &[("medium", "v1.StorageMedium")]),
    ("EndpointPort", &[("protocol", "v1.Protocol")]),
    ("EndpointSlice", &[("addressType", "v1.AddressType")]),
    (
        "EphemeralContainer",
        &[
            ("imagePullPolicy", "v1.PullPolicy"),
            ("restartPolicy", "v1.ContainerRestartPolicy"),
            ("terminationMessagePolicy", "v1.TerminationMessagePolicy"),
        ],
    ),
    ("FieldSelectorRequirement", &[("operator", "v1.FieldSelectorOperator")]),
    ("FlowDistinguisherMethod", &[("type", "v1.FlowDistinguisherMethodType")]),
    ("HPAScalingPolicy", &[("type", "v2.HPAScalingPolicyType")]),
    ("HPAScalingRules", &[("selectPolicy", "v2.ScalingPolicySelect")]),
    ("HTTPGetAction", &[("scheme", "v1.URIScheme")]),
    ("HTTPIngressPath", &[("pathType", "v1.PathType")]),
    (
        "HorizontalPodAutoscalerCondition",
        &[("type", "v2.HorizontalPodAutoscalerConditionType"), ("status", "v1.ConditionStatus")],
    ),
    ("HostPathVolumeSource", &[("type", "v1.HostPathType")]),
    ("IngressPortStatus", &[("protocol", "v1.Protocol")]),
    ("JobCondition", &[("type", "v1.JobConditionType"), ("status", "v1.ConditionStatus")]),
    ("JobSpec", &[("completionMode", "v1.CompletionMode"), ("podReplacementPolicy", "v1.PodReplacementPolicy")]),
    ("LabelSelectorRequirement", &[("operator", "v1.LabelSelectorOperator")]),
    ("LeaseSpec", &[("strategy", "v1.CoordinatedLeaseStrategy")]),
    ("Lifecycle", &[("stopSignal", "v1.Signal")]),
    ("LimitRangeItem", &[("type", "v1.LimitType")]),
    ("LimitResponse", &[("type", "v1.LimitResponseType")]),
    ("LoadBalancerIngress", &[("ipMode", "v1.LoadBalancerIPMode")]),
    ("ManagedFieldsEntry", &[("operation", "v1.ManagedFieldsOperationType")]),
    ("MatchResources", &[("matchPolicy", "v1.MatchPolicyType")]),
    ("MetricSpec", &[("type", "v2.MetricSourceType")]),
    ("MetricStatus", &[("type", "v2.MetricSourceType")]),
    ("MetricTarget", &[("type", "v2.MetricTargetType")]),
    (
        "MutatingAdmissionPolicySpec",
        &[("failurePolicy", "v1.FailurePolicyType"), ("reinvocationPolicy", "v1.ReinvocationPolicyType")],
    ),
    (
        "MutatingWebhook",
        &[
            ("failurePolicy", "v1.FailurePolicyType"),
            ("matchPolicy", "v1.MatchPolicyType"),
            ("reinvocationPolicy", "v1.ReinvocationPolicyType"),
            ("sideEffects", "v1.SideEffectClass"),
        ],
    ),
    ("Mutation", &[("patchType", "v1.PatchType")]),
    ("NamespaceCondition", &[("type", "v1.NamespaceConditionType"), ("status", "v1.ConditionStatus")]),
    ("NamespaceSpec", &[("finalizers", "v1.FinalizerName")]),
    ("NamespaceStatus", &[("phase", "v1.NamespacePhase")]),
    ("NetworkPolicyPort", &[("protocol", "v1.Protocol")]),
    ("NetworkPolicySpec", &[("policyTypes", "v1.PolicyType")]),
    ("NodeAddress", &[("type", "v1.NodeAddressType")]),
    ("NodeCondition", &[("type", "v1.NodeConditionType"), ("status", "v1.ConditionStatus")]),
    ("NodeSelectorRequirement", &[("operator", "v1.NodeSelectorOperator")]),
    ("NodeStatus", &[("phase", "v1.NodePhase"), ("volumesInUse", "v1.UniqueVolumeName")]),
    ("ObjectMeta", &[("uid", "types.UID")]),
    ("ObjectReference", &[("uid", "types.UID")]),
    ("OwnerReference", &[("uid", "types.UID")]),
    ("ParamRef", &[("parameterNotFoundAction", "v1.ParameterNotFoundActionType")]),
    (
        "PersistentVolumeClaimCondition",
        &[("type", "v1.PersistentVolumeClaimConditionType"), ("status", "v1.ConditionStatus")],
    ),
    (
        "PersistentVolumeClaimSpec",
        &[("accessModes", "v1.PersistentVolumeAccessMode"), ("volumeMode", "v1.PersistentVolumeMode")],
    ),
    (
        "PersistentVolumeClaimStatus",
        &[("accessModes", "v1.PersistentVolumeAccessMode"), ("phase", "v1.PersistentVolumeClaimPhase")],
    ),
    (
        "PersistentVolumeSpec",
        &[
            ("accessModes", "v1.PersistentVolumeAccessMode"),
            ("persistentVolumeReclaimPolicy", "v1.PersistentVolumeReclaimPolicy"),
            ("volumeMode", "v1.PersistentVolumeMode"),
        ],
    ),
    ("PersistentVolumeStatus", &[("phase", "v1.PersistentVolumePhase")]),
    ("PodCondition", &[("type", "v1.PodConditionType"), ("status", "v1.ConditionStatus")]),
    ("PodDisruptionBudgetSpec", &[("unhealthyPodEvictionPolicy", "v1.UnhealthyPodEvictionPolicyType")]),
    ("PodFailurePolicyOnExitCodesRequirement", &[("operator", "v1.PodFailurePolicyOnExitCodesOperator")]),
    ("PodFailurePolicyOnPodConditionsPattern", &[("type", "v1.PodConditionType"), ("status", "v1.ConditionStatus")]),
    ("PodFailurePolicyRule", &[("action", "v1.PodFailurePolicyAction")]),
    ("PodOS", &[("name", "v1.OSName")]),
    ("PodReadinessGate", &[("conditionType", "v1.PodConditionType")]),
    (
        "PodSecurityContext",
        &[
            ("fsGroupChangePolicy", "v1.PodFSGroupChangePolicy"),
            ("seLinuxChangePolicy", "v1.PodSELinuxChangePolicy"),
            ("supplementalGroupsPolicy", "v1.SupplementalGroupsPolicy"),
        ],
    ),
    (
        "PodSpec",
        &[
            ("dnsPolicy", "v1.DNSPolicy"),
            ("preemptionPolicy", "v1.PreemptionPolicy"),
            ("restartPolicy", "v1.RestartPolicy"),
        ],
    ),
    ("PodStatus", &[("phase", "v1.PodPhase"), ("qosClass", "v1.PodQOSClass"), ("resize", "v1.PodResizeStatus")]),
    ("PortStatus", &[("protocol", "v1.Protocol")]),
    ("Preconditions", &[("uid", "types.UID")]),
    ("PriorityClass", &[("preemptionPolicy", "v1.PreemptionPolicy")]),
    ("PriorityLevelConfigurationSpec", &[("type", "v1.PriorityLevelEnablement")]),
    ("ReplicaSetCondition", &[("type", "v1.ReplicaSetConditionType"), ("status", "v1.ConditionStatus")]),
    (
        "ReplicationControllerCondition",
        &[("type", "v1.ReplicationControllerConditionType"), ("status", "v1.ConditionStatus")],
    ),
    ("ResourceMetricSource", &[("name", "v1.ResourceName")]),
    ("ResourceQuotaSpec", &[("scopes", "v1.ResourceQuotaScope")]),
    ("RuleWithOperations", &[("operations", "v1.OperationType"), ("scope", "v1.ScopeType")]),
    (
        "ScopedResourceSelectorRequirement",
        &[("scopeName", "v1.ResourceQuotaScope"), ("operator", "v1.ScopeSelectorOperator")],
    ),
    ("SeccompProfile", &[("type", "v1.SeccompProfileType")]),
    ("Secret", &[("type", "v1.SecretType")]),
    ("SecurityContext", &[("procMount", "v1.ProcMountType")]),
    ("Capabilities", &[("add", "v1.Capability"), ("drop", "v1.Capability")]),
    ("ServicePort", &[("protocol", "v1.Protocol")]),
    (
        "ServiceSpec",
        &[
            ("externalTrafficPolicy", "v1.ServiceExternalTrafficPolicy"),
            ("internalTrafficPolicy", "v1.ServiceInternalTrafficPolicy"),
            ("ipFamilies", "v1.IPFamily"),
            ("ipFamilyPolicy", "v1.IPFamilyPolicy"),
            ("sessionAffinity", "v1.ServiceAffinity"),
            ("type", "v1.ServiceType"),
        ],
    ),
    ("StatefulSetCondition", &[("type", "v1.StatefulSetConditionType"), ("status", "v1.ConditionStatus")]),
    (
        "StatefulSetPersistentVolumeClaimRetentionPolicy",
        &[
            ("whenDeleted", "v1.PersistentVolumeClaimRetentionPolicyType"),
            ("whenScaled", "v1.PersistentVolumeClaimRetentionPolicyType"),
        ],
    ),
    ("StatefulSetSpec", &[("podManagementPolicy", "v1.PodManagementPolicyType")]),
    ("StatefulSetUpdateStrategy", &[("type", "v1.StatefulSetUpdateStrategyType")]),
    (
        "StorageClass",
        &[("reclaimPolicy", "v1.PersistentVolumeReclaimPolicy"), ("volumeBindingMode", "v1.VolumeBindingMode")],
    ),
    ("Taint", &[("effect", "v1.TaintEffect")]),
    ("Toleration", &[("effect", "v1.TaintEffect"), ("operator", "v1.TolerationOperator")]),
    (
        "TopologySpreadConstraint",
        &[
            ("nodeAffinityPolicy", "v1.NodeInclusionPolicy"),
            ("nodeTaintsPolicy", "v1.NodeInclusionPolicy"),
            ("whenUnsatisfiable", "v1.UnsatisfiableConstraintAction"),
        ],
    ),
    ("ValidatingAdmissionPolicyBindingSpec", &[("validationActions", "v1.ValidationAction")]),
    ("ValidatingAdmissionPolicySpec", &[("failurePolicy", "v1.FailurePolicyType")]),
    (
        "ValidatingWebhook",
        &[
            ("failurePolicy", "v1.FailurePolicyType"),
            ("matchPolicy", "v1.MatchPolicyType"),
            ("sideEffects", "v1.SideEffectClass"),
        ],
    ),
    ("Validation", &[("reason", "v1.StatusReason")]),
    (
        "VolumeMount",
        &[("mountPropagation", "v1.MountPropagationMode"), ("recursiveReadOnly", "v1.RecursiveReadOnlyMode")],
    ),
];
