//! Which columns each built-in kind has.
//!
//! Knows: for every kind, its columns in order, as the real printers have them.
//! Does not know: how a cell is computed, where that is more than a field.

use super::{Column, Show, autoscaler, cells, pods};
use Show::{Age, By, Count, Each, Labels, Number, Selector, Text, Truth};

/// A column of text.
const fn col(name: &'static str, show: Show) -> Column {
    Column { name, kind: "string", format: "", priority: 0, show }
}

/// A column of whole numbers.
const fn int(name: &'static str, show: Show) -> Column {
    Column { name, kind: "integer", format: "", priority: 0, show }
}

/// A column of truths.
const fn boolean(name: &'static str, show: Show) -> Column {
    Column { name, kind: "boolean", format: "", priority: 0, show }
}

/// A column that is shown on `-o wide` only.
const fn wide(name: &'static str, show: Show) -> Column {
    Column { name, kind: "string", format: "", priority: 1, show }
}

/// A column that names the object, by more than its name.
const fn named(show: Show) -> Column {
    Column { name: "Name", kind: "string", format: "name", priority: 0, show }
}

const NAME: Column = named(Text("metadata.name", ""));
const AGE: Column = col("Age", Age("metadata.creationTimestamp"));
const CONTAINERS: Column = wide("Containers", Each("spec.template.spec.containers", "name"));
const IMAGES: Column = wide("Images", Each("spec.template.spec.containers", "image"));
const SELECTOR: Column = wide("Selector", Selector("spec.selector"));

/// What is shown of a kind that has no columns of its own.
static OTHERS: &[Column] =
    &[NAME, Column { name: "Created At", kind: "date", format: "", priority: 0, show: By(cells::created_at) }];

/// The columns of a kind.
pub(super) fn columns(group: &str, kind: &str) -> &'static [Column] {
    let found = KINDS.iter().find(|(groups, kinds, _)| groups.contains(&group) && kinds.contains(&kind));
    found.map_or(OTHERS, |(_, _, columns)| columns)
}

type Kind = (&'static [&'static str], &'static [&'static str], &'static [Column]);

const CORE: &[&str] = &[""];
const ADMISSION: &[&str] = &["admissionregistration.k8s.io"];
const APPS: &[&str] = &["apps"];
const BATCH: &[&str] = &["batch"];
const FLOW: &[&str] = &["flowcontrol.apiserver.k8s.io"];
const NETWORKING: &[&str] = &["networking.k8s.io"];
const RESOURCE: &[&str] = &["resource.k8s.io"];
const STORAGE: &[&str] = &["storage.k8s.io"];

/// Groups, kinds, columns.
static KINDS: &[Kind] = &[
    (
        CORE,
        &["Pod"],
        &[
            NAME,
            col("Ready", By(pods::ready)),
            col("Status", By(pods::status)),
            col("Restarts", By(pods::restarts)),
            AGE,
            wide("IP", By(pods::ip)),
            wide("Node", Text("spec.nodeName", "<none>")),
            wide("Nominated Node", Text("status.nominatedNodeName", "<none>")),
            wide("Readiness Gates", By(pods::readiness_gates)),
        ],
    ),
    (
        CORE,
        &["PodTemplate"],
        &[
            NAME,
            col("Containers", Each("template.spec.containers", "name")),
            col("Images", Each("template.spec.containers", "image")),
            col("Pod Labels", Labels("template.metadata.labels")),
        ],
    ),
    (
        &["policy"],
        &["PodDisruptionBudget"],
        &[
            NAME,
            col("Min Available", Text("spec.minAvailable", "N/A")),
            col("Max Unavailable", Text("spec.maxUnavailable", "N/A")),
            int("Allowed Disruptions", Number("status.disruptionsAllowed")),
            AGE,
        ],
    ),
    (
        CORE,
        &["ReplicationController"],
        &[
            NAME,
            int("Desired", Number("spec.replicas")),
            int("Current", Number("status.replicas")),
            int("Ready", Number("status.readyReplicas")),
            AGE,
            CONTAINERS,
            IMAGES,
            wide("Selector", Labels("spec.selector")),
        ],
    ),
    (
        APPS,
        &["ReplicaSet"],
        &[
            NAME,
            int("Desired", Number("spec.replicas")),
            int("Current", Number("status.replicas")),
            int("Ready", Number("status.readyReplicas")),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        APPS,
        &["DaemonSet"],
        &[
            NAME,
            int("Desired", Number("status.desiredNumberScheduled")),
            int("Current", Number("status.currentNumberScheduled")),
            int("Ready", Number("status.numberReady")),
            int("Up-to-date", Number("status.updatedNumberScheduled")),
            int("Available", Number("status.numberAvailable")),
            col("Node Selector", Labels("spec.template.spec.nodeSelector")),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        BATCH,
        &["Job"],
        &[
            NAME,
            col("Status", By(cells::job_status)),
            col("Completions", By(cells::job_completions)),
            col("Duration", By(cells::job_duration)),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        BATCH,
        &["CronJob"],
        &[
            NAME,
            col("Schedule", Text("spec.schedule", "")),
            col("Timezone", Text("spec.timeZone", "<none>")),
            boolean("Suspend", By(cells::cron_job_suspend)),
            int("Active", Count("status.active")),
            col("Last Schedule", By(cells::cron_job_last_schedule)),
            AGE,
            wide("Containers", Each("spec.jobTemplate.spec.template.spec.containers", "name")),
            wide("Images", Each("spec.jobTemplate.spec.template.spec.containers", "image")),
            wide("Selector", Selector("spec.jobTemplate.spec.selector")),
        ],
    ),
    (
        CORE,
        &["Service"],
        &[
            NAME,
            col("Type", Text("spec.type", "")),
            col("Cluster-IP", By(cells::service_cluster_ip)),
            col("External-IP", By(cells::service_external_ip)),
            col("Port(s)", By(cells::service_ports)),
            AGE,
            wide("Selector", Labels("spec.selector")),
        ],
    ),
    (
        NETWORKING,
        &["Ingress"],
        &[
            NAME,
            col("Class", Text("spec.ingressClassName", "<none>")),
            col("Hosts", By(cells::ingress_hosts)),
            col("Address", By(cells::ingress_address)),
            col("Ports", By(cells::ingress_ports)),
            AGE,
        ],
    ),
    (
        NETWORKING,
        &["IngressClass"],
        &[
            NAME,
            col("Controller", Text("spec.controller", "")),
            col("Parameters", By(cells::ingress_class_parameters)),
            AGE,
        ],
    ),
    (APPS, &["StatefulSet"], &[NAME, col("Ready", By(cells::ready_replicas)), AGE, CONTAINERS, IMAGES]),
    (CORE, &["Endpoints"], &[NAME, col("Endpoints", By(cells::endpoints)), AGE]),
    (
        CORE,
        &["Node"],
        &[
            NAME,
            col("Status", By(cells::node_status)),
            col("Roles", By(cells::node_roles)),
            AGE,
            col("Version", Text("status.nodeInfo.kubeletVersion", "")),
            wide("Internal-IP", By(cells::node_internal_ip)),
            wide("External-IP", By(cells::node_external_ip)),
            wide("OS-Image", Text("status.nodeInfo.osImage", "<unknown>")),
            wide("Kernel-Version", Text("status.nodeInfo.kernelVersion", "<unknown>")),
            wide("Container-Runtime", Text("status.nodeInfo.containerRuntimeVersion", "<unknown>")),
        ],
    ),
    (
        &["", "events.k8s.io"],
        &["Event"],
        &[
            col("Last Seen", By(cells::event_last_seen)),
            col("Type", Text("type", "")),
            col("Reason", Text("reason", "")),
            col("Object", By(cells::event_object)),
            wide("Subobject", By(cells::event_subobject)),
            wide("Source", By(cells::event_source)),
            col("Message", By(cells::event_message)),
            wide("First Seen", By(cells::event_first_seen)),
            wide("Count", By(cells::event_count)),
            Column { name: "Name", kind: "string", format: "name", priority: 1, show: Text("metadata.name", "") },
        ],
    ),
    (CORE, &["Namespace"], &[NAME, col("Status", Text("status.phase", "")), AGE]),
    (CORE, &["Secret"], &[NAME, col("Type", Text("type", "")), col("Data", Count("data")), AGE]),
    (CORE, &["ServiceAccount"], &[NAME, AGE]),
    (
        CORE,
        &["PersistentVolume"],
        &[
            NAME,
            col("Capacity", By(cells::volume_capacity)),
            col("Access Modes", By(cells::volume_access_modes)),
            col("Reclaim Policy", Text("spec.persistentVolumeReclaimPolicy", "")),
            col("Status", By(cells::phase_or_terminating)),
            col("Claim", By(cells::volume_claim)),
            col("StorageClass", By(cells::storage_class)),
            col("VolumeAttributesClass", Text("spec.volumeAttributesClassName", "<unset>")),
            col("Reason", Text("status.reason", "")),
            AGE,
            wide("VolumeMode", Text("spec.volumeMode", "<unset>")),
        ],
    ),
    (
        CORE,
        &["PersistentVolumeClaim"],
        &[
            NAME,
            col("Status", By(cells::phase_or_terminating)),
            col("Volume", Text("spec.volumeName", "")),
            col("Capacity", By(cells::claim_capacity)),
            col("Access Modes", By(cells::claim_access_modes)),
            col("StorageClass", By(cells::storage_class)),
            col("VolumeAttributesClass", Text("spec.volumeAttributesClassName", "<unset>")),
            AGE,
            wide("VolumeMode", Text("spec.volumeMode", "<unset>")),
        ],
    ),
    (
        CORE,
        &["ComponentStatus"],
        &[
            NAME,
            col("Status", By(cells::component_status)),
            col("Message", By(cells::component_message)),
            col("Error", By(cells::component_error)),
        ],
    ),
    (
        APPS,
        &["Deployment"],
        &[
            NAME,
            col("Ready", By(cells::ready_replicas)),
            col("Up-to-date", Number("status.updatedReplicas")),
            col("Available", Number("status.availableReplicas")),
            AGE,
            CONTAINERS,
            IMAGES,
            wide("Selector", By(cells::bare_selector)),
        ],
    ),
    (
        &["autoscaling"],
        &["HorizontalPodAutoscaler"],
        &[
            NAME,
            col("Reference", By(autoscaler::reference)),
            col("Targets", By(autoscaler::targets)),
            col("MinPods", Text("spec.minReplicas", "<unset>")),
            col("MaxPods", Number("spec.maxReplicas")),
            col("Replicas", Number("status.currentReplicas")),
            AGE,
        ],
    ),
    (CORE, &["ConfigMap"], &[NAME, col("Data", By(cells::config_map_data)), AGE]),
    (NETWORKING, &["NetworkPolicy"], &[NAME, col("Pod-Selector", Selector("spec.podSelector")), AGE]),
    (
        &["rbac.authorization.k8s.io"],
        &["RoleBinding", "ClusterRoleBinding"],
        &[
            NAME,
            col("Role", By(cells::binding_role)),
            AGE,
            wide("Users", By(cells::binding_users)),
            wide("Groups", By(cells::binding_groups)),
            wide("ServiceAccounts", By(cells::binding_service_accounts)),
        ],
    ),
    (
        &["certificates.k8s.io"],
        &["CertificateSigningRequest"],
        &[
            NAME,
            AGE,
            col("SignerName", Text("spec.signerName", "<none>")),
            col("Requestor", Text("spec.username", "")),
            col("RequestedDuration", By(cells::request_duration)),
            col("Condition", By(cells::request_condition)),
        ],
    ),
    (&["certificates.k8s.io"], &["ClusterTrustBundle"], &[NAME, col("SignerName", Text("spec.signerName", "<none>"))]),
    (&["coordination.k8s.io"], &["Lease"], &[NAME, col("Holder", Text("spec.holderIdentity", "")), AGE]),
    (
        &["coordination.k8s.io"],
        &["LeaseCandidate"],
        &[
            NAME,
            col("LeaseName", Text("spec.leaseName", "")),
            col("BinaryVersion", Text("spec.binaryVersion", "")),
            col("EmulationVersion", Text("spec.emulationVersion", "")),
            AGE,
        ],
    ),
    (
        STORAGE,
        &["StorageClass"],
        &[
            named(By(cells::storage_class_name)),
            col("Provisioner", Text("provisioner", "")),
            col("ReclaimPolicy", Text("reclaimPolicy", "Delete")),
            col("VolumeBindingMode", Text("volumeBindingMode", "Immediate")),
            col("AllowVolumeExpansion", Truth("allowVolumeExpansion", false)),
            AGE,
        ],
    ),
    (
        STORAGE,
        &["VolumeAttributesClass"],
        &[named(By(cells::attributes_class_name)), col("DriverName", Text("driverName", "")), AGE],
    ),
    (
        CORE,
        &["Status"],
        &[col("Status", Text("status", "")), col("Reason", Text("reason", "")), col("Message", Text("message", ""))],
    ),
    (
        APPS,
        &["ControllerRevision"],
        &[NAME, col("Controller", By(cells::revision_controller)), col("Revision", Number("revision")), AGE],
    ),
    (
        CORE,
        &["ResourceQuota"],
        &[NAME, col("Request", By(cells::quota_request)), col("Limit", By(cells::quota_limit)), AGE],
    ),
    (
        &["scheduling.k8s.io"],
        &["PriorityClass"],
        &[
            NAME,
            int("Value", Number("value")),
            boolean("Global-Default", Truth("globalDefault", false)),
            AGE,
            col("PreemptionPolicy", Text("preemptionPolicy", "")),
        ],
    ),
    (&["node.k8s.io"], &["RuntimeClass"], &[NAME, col("Handler", Text("handler", "")), AGE]),
    (
        STORAGE,
        &["VolumeAttachment"],
        &[
            NAME,
            Column { name: "Attacher", kind: "string", format: "name", priority: 0, show: Text("spec.attacher", "") },
            col("PV", Text("spec.source.persistentVolumeName", "")),
            col("Node", Text("spec.nodeName", "")),
            boolean("Attached", Truth("status.attached", false)),
            AGE,
        ],
    ),
    (
        &["discovery.k8s.io"],
        &["EndpointSlice"],
        &[
            NAME,
            col("AddressType", Text("addressType", "")),
            col("Ports", By(cells::slice_ports)),
            col("Endpoints", By(cells::slice_endpoints)),
            AGE,
        ],
    ),
    (STORAGE, &["CSINode"], &[NAME, int("Drivers", Count("spec.drivers")), AGE]),
    (
        STORAGE,
        &["CSIDriver"],
        &[
            NAME,
            boolean("AttachRequired", Truth("spec.attachRequired", true)),
            boolean("PodInfoOnMount", Truth("spec.podInfoOnMount", false)),
            boolean("StorageCapacity", Truth("spec.storageCapacity", false)),
            col("TokenRequests", By(cells::driver_token_requests)),
            boolean("RequiresRepublish", Truth("spec.requiresRepublish", false)),
            col("Modes", By(cells::driver_modes)),
            AGE,
        ],
    ),
    (
        ADMISSION,
        &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"],
        &[NAME, int("Webhooks", Count("webhooks")), AGE],
    ),
    (
        ADMISSION,
        &["ValidatingAdmissionPolicy"],
        &[NAME, int("Validations", Count("spec.validations")), col("ParamKind", By(cells::param_kind)), AGE],
    ),
    (
        ADMISSION,
        &["MutatingAdmissionPolicy"],
        &[NAME, int("Mutations", Count("spec.mutations")), col("ParamKind", By(cells::param_kind)), AGE],
    ),
    (
        ADMISSION,
        &["ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicyBinding"],
        &[NAME, col("PolicyName", Text("spec.policyName", "")), col("ParamRef", By(cells::param_ref)), AGE],
    ),
    (
        FLOW,
        &["FlowSchema"],
        &[
            NAME,
            col("PriorityLevel", Text("spec.priorityLevelConfiguration.name", "")),
            col("MatchingPrecedence", Number("spec.matchingPrecedence")),
            col("DistinguisherMethod", Text("spec.distinguisherMethod.type", "<none>")),
            AGE,
            col("MissingPL", By(cells::flow_missing)),
        ],
    ),
    (
        FLOW,
        &["PriorityLevelConfiguration"],
        &[
            NAME,
            col("Type", Text("spec.type", "")),
            col("NominalConcurrencyShares", By(cells::level_shares)),
            col("Queues", By(cells::level_queues)),
            col("HandSize", By(cells::level_hand_size)),
            col("QueueLengthLimit", By(cells::level_queue_length)),
            AGE,
        ],
    ),
    (
        &["autoscaling"],
        &["Scale"],
        &[
            col("Name", Text("metadata.name", "")),
            int("Desired", Number("spec.replicas")),
            int("Available", Number("status.replicas")),
            AGE,
        ],
    ),
    (RESOURCE, &["DeviceClass", "ResourceClaimTemplate"], &[NAME, AGE]),
    (RESOURCE, &["ResourceClaim"], &[NAME, col("State", By(cells::claim_state)), AGE]),
    (
        RESOURCE,
        &["ResourceSlice"],
        &[
            NAME,
            col("Node", Text("spec.nodeName", "")),
            col("Driver", Text("spec.driver", "")),
            col("Pool", Text("spec.pool.name", "")),
            AGE,
        ],
    ),
    (NETWORKING, &["ServiceCIDR"], &[NAME, col("CIDRs", By(cells::cidrs)), AGE]),
    (NETWORKING, &["IPAddress"], &[NAME, col("ParentRef", By(cells::address_parent))]),
    (
        &["apiregistration.k8s.io"],
        &["APIService"],
        &[NAME, col("Service", By(cells::api_service)), col("Available", By(cells::api_service_available)), AGE],
    ),
];
