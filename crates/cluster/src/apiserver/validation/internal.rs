//! A pod's spec as Go shows one that has no JSON names: every field, by its own name, in its own order.
//!
//! Knows: the structs that the real server keeps pods in, which are not quite those that clients see.
//! Does not know: what is wrong with them.
//!
//! The real server refuses to change a Job's template by showing all of it in this form, so that is what a client reads.

use std::fmt::Write;

use super::faults::{At, quote};
use crate::value::Value;

/// A pod's spec.
pub(super) fn pod_spec(spec: &Value) -> String {
    let mut spec = spec.clone();
    // What a client writes beside the security context is kept within it.
    let context = spec.make(&["securityContext"]);
    context.object();
    for field in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"] {
        if let Some(value) = spec.remove(&[field]) {
            spec.set(&["securityContext", field], value);
        }
    }
    let mut text = String::new();
    write_struct("PodSpec", &spec, &mut text);
    text
}

/// A struct of those below.
pub(super) fn of(name: &str, value: &Value) -> String {
    let mut text = String::new();
    write_struct(name, value, &mut text);
    text
}

/// A list of structs.
pub(super) fn list_of(name: &str, list: &Value) -> String {
    let all: Vec<String> = list.items().iter().map(|item| of(name, item)).collect();
    format!("[{}]", all.join(","))
}

/// All containers of a pod, in the order in which the real server visits them.
pub(super) fn containers<'v>(spec: &At<'v>) -> impl Iterator<Item = At<'v>> {
    let lists = ["initContainers", "containers", "ephemeralContainers"].map(|list| spec.field(list));
    lists.into_iter().flat_map(|list| list.items().collect::<Vec<_>>())
}

/// The fields of each struct in order. What stands behind a name says what is shown when there is nothing: `'` an empty
/// text, `0` a zero, `!` false, `.X` a struct X with nothing in it; `null` otherwise. `*X` is a struct X that may be
/// absent, `[X` a list of them. A field that a document calls quite otherwise says so behind a `/`.
const STRUCTS: &[(&str, &str)] = &[
    (
        "PodSpec",
        "Volumes[Volume InitContainers[Container Containers[Container EphemeralContainers[EphemeralContainer \
         RestartPolicy' TerminationGracePeriodSeconds ActiveDeadlineSeconds DNSPolicy' NodeSelector \
         ServiceAccountName' AutomountServiceAccountToken NodeName' SecurityContext*PodSecurityContext \
         ImagePullSecrets[LocalObjectReference Hostname' Subdomain' SetHostnameAsFQDN Affinity*Affinity SchedulerName' \
         Tolerations[Toleration HostAliases[HostAlias PriorityClassName' Priority PreemptionPolicy \
         DNSConfig*PodDNSConfig ReadinessGates[PodReadinessGate RuntimeClassName Overhead EnableServiceLinks \
         TopologySpreadConstraints[TopologySpreadConstraint OS*PodOS SchedulingGates[PodSchedulingGate \
         ResourceClaims[PodResourceClaim Resources*ResourceRequirements HostnameOverride SchedulingGroup",
    ),
    (
        "PodSecurityContext",
        "HostNetwork! HostPID! HostIPC! ShareProcessNamespace HostUsers SELinuxOptions*SELinuxOptions \
         WindowsOptions*WindowsSecurityContextOptions RunAsUser RunAsGroup RunAsNonRoot SupplementalGroups \
         SupplementalGroupsPolicy FSGroup FSGroupChangePolicy Sysctls[Sysctl SeccompProfile*Profile \
         AppArmorProfile*Profile SELinuxChangePolicy",
    ),
    (
        "Container",
        "Name' Image' Command Args WorkingDir' Ports[ContainerPort EnvFrom[EnvFromSource Env[EnvVar \
         Resources.ResourceRequirements ResizePolicy[ContainerResizePolicy RestartPolicy RestartPolicyRules \
         VolumeMounts[VolumeMount VolumeDevices[VolumeDevice LivenessProbe*Probe ReadinessProbe*Probe \
         StartupProbe*Probe Lifecycle*Lifecycle TerminationMessagePath' TerminationMessagePolicy' ImagePullPolicy' \
         SecurityContext*SecurityContext Stdin! StdinOnce! TTY!",
    ),
    (
        "EphemeralContainer",
        "Name' Image' Command Args WorkingDir' Ports[ContainerPort EnvFrom[EnvFromSource Env[EnvVar \
         Resources.ResourceRequirements ResizePolicy[ContainerResizePolicy RestartPolicy RestartPolicyRules \
         VolumeMounts[VolumeMount VolumeDevices[VolumeDevice LivenessProbe*Probe ReadinessProbe*Probe \
         StartupProbe*Probe Lifecycle*Lifecycle TerminationMessagePath' TerminationMessagePolicy' ImagePullPolicy' \
         SecurityContext*SecurityContext Stdin! StdinOnce! TTY! TargetContainerName'",
    ),
    (
        "SecurityContext",
        "Capabilities*Capabilities Privileged SELinuxOptions*SELinuxOptions \
         WindowsOptions*WindowsSecurityContextOptions RunAsUser RunAsGroup RunAsNonRoot ReadOnlyRootFilesystem \
         AllowPrivilegeEscalation ProcMount SeccompProfile*Profile AppArmorProfile*Profile",
    ),
    ("Capabilities", "Add Drop"),
    ("SELinuxOptions", "User' Role' Type' Level'"),
    ("WindowsSecurityContextOptions", "GMSACredentialSpecName GMSACredentialSpec RunAsUserName HostProcess"),
    ("Profile", "Type' LocalhostProfile"),
    ("Sysctl", "Name' Value'"),
    ("ContainerPort", "Name' HostPort0 ContainerPort0 Protocol' HostIP'"),
    ("EnvFromSource", "Prefix' ConfigMapRef*EnvSource SecretRef*EnvSource"),
    ("EnvSource", "Name' Optional"),
    ("EnvVar", "Name' Value' ValueFrom*EnvVarSource"),
    (
        "EnvVarSource",
        "FieldRef*ObjectFieldSelector ResourceFieldRef*ResourceFieldSelector ConfigMapKeyRef*KeySelector \
         SecretKeyRef*KeySelector FileKeyRef*FileKeySelector",
    ),
    ("ObjectFieldSelector", "APIVersion' FieldPath'"),
    ("ResourceFieldSelector", "ContainerName' Resource' Divisor"),
    ("KeySelector", "Name' Key' Optional"),
    ("FileKeySelector", "VolumeName' Path' Key' Optional"),
    ("ResourceRequirements", "Limits Requests Claims"),
    ("ContainerResizePolicy", "ResourceName' RestartPolicy'"),
    ("VolumeMount", "Name' ReadOnly! RecursiveReadOnly MountPath' SubPath' MountPropagation SubPathExpr'"),
    ("VolumeDevice", "Name' DevicePath'"),
    (
        "Probe",
        "Exec*ExecAction HTTPGet*HTTPGetAction TCPSocket*TCPSocketAction GRPC*GRPCAction InitialDelaySeconds0 \
         TimeoutSeconds0 PeriodSeconds0 SuccessThreshold0 FailureThreshold0 TerminationGracePeriodSeconds",
    ),
    ("LifecycleHandler", "Exec*ExecAction HTTPGet*HTTPGetAction TCPSocket*TCPSocketAction Sleep*SleepAction"),
    ("Lifecycle", "PostStart*LifecycleHandler PreStop*LifecycleHandler StopSignal"),
    ("ExecAction", "Command"),
    ("HTTPGetAction", "Path' Port0 Host' Scheme' HTTPHeaders[HTTPHeader"),
    ("HTTPHeader", "Name' Value'"),
    ("TCPSocketAction", "Port0 Host'"),
    ("GRPCAction", "Port0 Service"),
    ("SleepAction", "Seconds0"),
    ("LocalObjectReference", "Name'"),
    ("Toleration", "Key' Operator' Value' Effect' TolerationSeconds"),
    ("HostAlias", "IP' Hostnames"),
    ("PodDNSConfig", "Nameservers Searches Options[PodDNSConfigOption"),
    ("PodDNSConfigOption", "Name' Value"),
    ("PodReadinessGate", "ConditionType'"),
    (
        "TopologySpreadConstraint",
        "MaxSkew0 TopologyKey' WhenUnsatisfiable' LabelSelector MinDomains NodeAffinityPolicy NodeTaintsPolicy \
         MatchLabelKeys",
    ),
    ("PodOS", "Name'"),
    ("PodSchedulingGate", "Name'"),
    ("PodResourceClaim", "Name' ResourceClaimName ResourceClaimTemplateName"),
    ("Affinity", "NodeAffinity*NodeAffinity PodAffinity*PodAffinity PodAntiAffinity*PodAffinity"),
    (
        "NodeAffinity",
        "RequiredDuringSchedulingIgnoredDuringExecution*NodeSelector \
         PreferredDuringSchedulingIgnoredDuringExecution[PreferredSchedulingTerm",
    ),
    ("NodeSelector", "NodeSelectorTerms[NodeSelectorTerm"),
    ("VolumeNodeAffinity", "Required*NodeSelector"),
    ("PreferredSchedulingTerm", "Weight0 Preference.NodeSelectorTerm"),
    ("NodeSelectorTerm", "MatchExpressions[NodeSelectorRequirement MatchFields[NodeSelectorRequirement"),
    ("NodeSelectorRequirement", "Key' Operator' Values"),
    (
        "PodAffinity",
        "RequiredDuringSchedulingIgnoredDuringExecution[PodAffinityTerm \
         PreferredDuringSchedulingIgnoredDuringExecution[WeightedPodAffinityTerm",
    ),
    ("WeightedPodAffinityTerm", "Weight0 PodAffinityTerm.PodAffinityTerm"),
    ("PodAffinityTerm", "LabelSelector Namespaces TopologyKey' NamespaceSelector MatchLabelKeys MismatchLabelKeys"),
    (
        "Volume",
        "Name' HostPath*HostPathVolumeSource EmptyDir*EmptyDirVolumeSource GCEPersistentDisk AWSElasticBlockStore \
         GitRepo Secret*SecretVolumeSource NFS*NFSVolumeSource ISCSI Glusterfs \
         PersistentVolumeClaim*PersistentVolumeClaimVolumeSource RBD Quobyte FlexVolume Cinder CephFS Flocker \
         DownwardAPI FC AzureFile ConfigMap*ConfigMapVolumeSource VsphereVolume AzureDisk PhotonPersistentDisk \
         Projected PortworxVolume ScaleIO StorageOS CSI Ephemeral Image*ImageVolumeSource",
    ),
    ("HostPathVolumeSource", "Path' Type"),
    ("EmptyDirVolumeSource", "Medium' SizeLimit"),
    ("SecretVolumeSource", "SecretName' Items[KeyToPath DefaultMode Optional"),
    ("ConfigMapVolumeSource", "Name' Items[KeyToPath DefaultMode Optional"),
    ("KeyToPath", "Key' Path' Mode"),
    ("NFSVolumeSource", "Server' Path' ReadOnly!"),
    ("PersistentVolumeClaimVolumeSource", "ClaimName' ReadOnly!"),
    ("ResourceClaimSpec", "Devices.DeviceClaim"),
    ("DeviceClaim", "Requests[DeviceRequest Constraints[DeviceConstraint Config[DeviceClaimConfiguration"),
    ("DeviceRequest", "Name' Exactly*ExactDeviceRequest FirstAvailable[DeviceSubRequest"),
    (
        "ExactDeviceRequest",
        "DeviceClassName' Selectors[DeviceSelector AllocationMode' Count0 AdminAccess Tolerations[DeviceToleration \
         Capacity*CapacityRequirements",
    ),
    (
        "DeviceSubRequest",
        "Name' DeviceClassName' Selectors[DeviceSelector AllocationMode' Count0 Tolerations[DeviceToleration \
         Capacity*CapacityRequirements",
    ),
    ("DeviceSelector", "CEL*CELDeviceSelector"),
    ("CELDeviceSelector", "Expression'"),
    ("DeviceToleration", "Key' Operator' Value' Effect' TolerationSeconds"),
    ("CapacityRequirements", "Requests"),
    ("DeviceConstraint", "Requests MatchAttribute DistinctAttribute"),
    ("DeviceClaimConfiguration", "Requests Opaque*OpaqueDeviceConfiguration"),
    ("OpaqueDeviceConfiguration", "Driver' Parameters"),
    (
        "DeviceAttribute",
        "IntValue/int BoolValue/bool StringValue/string VersionValue/version IntValues/ints BoolValues/bools \
         StringValues/strings VersionValues/versions",
    ),
    ("FlowDistinguisherMethod", "Type'"),
    ("IPAddressSpec", "ParentRef*ParentReference"),
    ("ParentReference", "Group' Resource' Namespace' Name'"),
    ("VolumeAttachmentSpec", "Attacher' Source.VolumeAttachmentSource NodeName'"),
    ("VolumeAttachmentSource", "PersistentVolumeName InlineVolumeSpec"),
    ("CSINodeDriver", "Name' NodeID' TopologyKeys Allocatable*VolumeNodeResources"),
    ("VolumeNodeResources", "Count"),
    ("ObjectReference", "Kind' Namespace' Name' UID' APIVersion' ResourceVersion' FieldPath'"),
    ("EventSource", "Component' Host'"),
    ("ScopeSelector", "MatchExpressions[ScopedRequirement"),
    ("ScopedRequirement", "ScopeName' Operator' Values"),
    ("Taint", "Key' Value' Effect' TimeAdded"),
    ("ClusterTrustBundleProjection", "Name SignerName LabelSelector Optional Path'"),
    ("ImageVolumeSource", "Reference' PullPolicy'"),
];

fn write_struct(name: &str, value: &Value, text: &mut String) {
    let fields = STRUCTS.iter().find(|(have, _)| *have == name).map_or("", |(_, fields)| *fields);
    text.push('{');
    for (at, field) in fields.split_ascii_whitespace().enumerate() {
        let (field, key) = field.split_once('/').map_or((field, None), |(field, key)| (field, Some(key)));
        let end = field.find(['\'', '0', '!', '.', '*', '[']).unwrap_or(field.len());
        let (name, zero) = field.split_at(end);
        let key = key.map_or_else(|| json_name(name), str::to_owned);
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(text, "{comma}{}:", quote(name));
        write_field(value.at(&[&key]), zero, text);
    }
    text.push('}');
}

fn write_field(value: &Value, zero: &str, text: &mut String) {
    let kind = zero.get(1..).unwrap_or_default();
    match (zero.get(..1).unwrap_or_default(), value) {
        (".", _) | ("*", Value::Object(_)) => write_struct(kind, value, text),
        ("[", Value::Array(list)) => {
            text.push('[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_struct(kind, item, text);
            }
            text.push(']');
        }
        ("'", Value::Null) => text.push_str("\"\""),
        ("0", Value::Null) => text.push('0'),
        ("!", Value::Null) => text.push_str("false"),
        (_, value) => text.push_str(&value.to_json()),
    }
}

/// The name that a field has in a document: its first word in small letters, `DNSPolicy` as `dnsPolicy`.
fn json_name(name: &str) -> String {
    let capitals = name.bytes().take_while(u8::is_ascii_uppercase).count();
    let first = if capitals > 1 && capitals < name.len() { capitals - 1 } else { capitals };
    let (small, rest) = name.split_at(first);
    small.to_ascii_lowercase() + rest
}
