//! Which messages there are.
//!
//! Knows: the type of the crate `k8s-pb` for each kind.
//! Does not know: what fields any of them has; `told` and `learn` find out.

use k8s_pb::api;
use k8s_pb::apiextensions_apiserver::pkg::apis::apiextensions;
use k8s_pb::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_pb::kube_aggregator::pkg::apis::apiregistration;
use prost::Message;

/// What can be asked of a type of message.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// Reads a message and tells it, as `Debug` does.
    pub(super) tell: fn(&[u8]) -> Result<String, prost::DecodeError>,
    /// Reads a message, and says as how many bytes it would be written: fewer, if there is something in it that the type
    /// does not know. None if it cannot be read.
    pub(super) measure: fn(&[u8]) -> Option<usize>,
}

impl Known {
    const fn of<M: Message + Default + std::fmt::Debug>() -> Self {
        Self { tell: tell::<M>, measure: measure::<M> }
    }
}

fn tell<M: Message + Default + std::fmt::Debug>(raw: &[u8]) -> Result<String, prost::DecodeError> {
    Ok(format!("{:?}", M::decode(raw)?))
}

fn measure<M: Message + Default>(raw: &[u8]) -> Option<usize> {
    M::decode(raw).ok().map(|message| message.encoded_len())
}

macro_rules! messages {
    ($($version:literal: $in:path { $($kind:ident),* $(,)? })*) => {
        /// The message of a kind.
        pub(super) fn message(api_version: &str, kind: &str) -> Option<Known> {
            $({
                use $in as group;
                match kind {
                    $(stringify!($kind) if api_version == $version => return Some(Known::of::<group::$kind>()),)*
                    _ => {}
                }
            })*
            match (api_version, kind) {
                // Each group has its own name for the options of a delete; they are all the same message.
                (_, "DeleteOptions") => Some(Known::of::<meta::DeleteOptions>()),
                ("v1", "Status") => Some(Known::of::<meta::Status>()),
                ("v1", "APIGroup") => Some(Known::of::<meta::APIGroup>()),
                ("v1", "APIGroupList") => Some(Known::of::<meta::APIGroupList>()),
                ("v1", "APIResourceList") => Some(Known::of::<meta::APIResourceList>()),
                ("v1", "APIVersions") => Some(Known::of::<meta::APIVersions>()),
                ("meta.k8s.io/v1", "PartialObjectMetadata") => Some(Known::of::<meta::PartialObjectMetadata>()),
                ("apiregistration.k8s.io/v1", "APIService") => Some(Known::of::<apiregistration::v1::APIService>()),
                _ => None,
            }
        }
    };
}

messages! {
    "v1": api::core::v1 {
        Binding, ComponentStatus, ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume,
        PersistentVolumeClaim, Pod, PodTemplate, ReplicationController, ResourceQuota, Secret, Service, ServiceAccount,
    }
    "admissionregistration.k8s.io/v1": api::admissionregistration::v1 {
        MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
        ValidatingWebhookConfiguration,
    }
    "apiextensions.k8s.io/v1": apiextensions::v1 { CustomResourceDefinition }
    "apps/v1": api::apps::v1 { ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet }
    "authentication.k8s.io/v1": api::authentication::v1 { SelfSubjectReview, TokenRequest, TokenReview }
    "authorization.k8s.io/v1": api::authorization::v1 {
        LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
    }
    "autoscaling/v1": api::autoscaling::v1 { HorizontalPodAutoscaler, Scale }
    "autoscaling/v2": api::autoscaling::v2 { HorizontalPodAutoscaler }
    "batch/v1": api::batch::v1 { CronJob, Job }
    "certificates.k8s.io/v1": api::certificates::v1 { CertificateSigningRequest }
    "coordination.k8s.io/v1": api::coordination::v1 { Lease }
    "discovery.k8s.io/v1": api::discovery::v1 { EndpointSlice }
    "events.k8s.io/v1": api::events::v1 { Event }
    "flowcontrol.apiserver.k8s.io/v1": api::flowcontrol::v1 { FlowSchema, PriorityLevelConfiguration }
    "networking.k8s.io/v1": api::networking::v1 { IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR }
    "node.k8s.io/v1": api::node::v1 { RuntimeClass }
    "policy/v1": api::policy::v1 { Eviction, PodDisruptionBudget }
    "rbac.authorization.k8s.io/v1": api::rbac::v1 { ClusterRole, ClusterRoleBinding, Role, RoleBinding }
    "resource.k8s.io/v1": api::resource::v1 { DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice }
    "scheduling.k8s.io/v1": api::scheduling::v1 { PriorityClass }
    "storage.k8s.io/v1": api::storage::v1 {
        CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
    }
}
