//! What differs from kind to kind in how objects are written: data, not code.
//!
//! Knows: the switches of the real strategies (`pkg/registry/*/*/strategy.go`).
//! Does not know: what the fields mean.

use std::sync::LazyLock;

use crate::apiserver::apply::FieldSet;
use crate::schema::Resource;
use crate::value::{Text, Value};

/// Kinds that PUT makes if they are not there (`AllowCreateOnUpdate`).
const MADE_ON_UPDATE: &[&str] = &[
    "clusterrolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "endpoints",
    "events",
    "leasecandidates.coordination.k8s.io",
    "leases.coordination.k8s.io",
    "limitranges",
    "rolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "services",
];

/// Kinds that can only be written by who says which version they saw (`AllowUnconditionalUpdate` is false). Custom
/// resources are among them.
const CONDITIONAL: &[&str] = &[
    "apiservices.apiregistration.k8s.io",
    "clustertrustbundles.certificates.k8s.io",
    "csidrivers.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "csistoragecapacities.storage.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    "leasecandidates.coordination.k8s.io",
    "leases.coordination.k8s.io",
    "mutatingadmissionpolicies.admissionregistration.k8s.io",
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "poddisruptionbudgets.policy",
    "runtimeclasses.node.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
    "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "volumeattachments.storage.k8s.io",
];

/// Kinds whose delete is answered with the object itself, though it is gone (`ReturnDeletedObject`).
const SHOWN_WHEN_DELETED: &[&str] = &[
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "resourcequotas",
    "serviceaccounts",
    "services",
];

/// What a change has to touch to be a new generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Generation {
    /// Nothing is.
    Once,
    /// The spec.
    Spec,
    /// The spec or the annotations.
    SpecOrAnnotations,
    /// Anything but metadata and status.
    Content,
    /// The same, or the labels.
    ContentOrLabels,
}

/// Kinds that count generations.
const GENERATIONS: &[(&str, Generation)] = &[
    ("cronjobs.batch", Generation::Spec),
    ("csidrivers.storage.k8s.io", Generation::Spec),
    ("customresourcedefinitions.apiextensions.k8s.io", Generation::Spec),
    ("daemonsets.apps", Generation::Spec),
    ("deployments.apps", Generation::SpecOrAnnotations),
    ("deviceclasses.resource.k8s.io", Generation::Spec),
    ("endpointslices.discovery.k8s.io", Generation::ContentOrLabels),
    ("flowschemas.flowcontrol.apiserver.k8s.io", Generation::Spec),
    ("ingressclasses.networking.k8s.io", Generation::Spec),
    ("ingresses.networking.k8s.io", Generation::Spec),
    ("jobs.batch", Generation::Spec),
    ("mutatingadmissionpolicies.admissionregistration.k8s.io", Generation::Spec),
    ("mutatingadmissionpolicybindings.admissionregistration.k8s.io", Generation::Spec),
    ("mutatingwebhookconfigurations.admissionregistration.k8s.io", Generation::Content),
    ("networkpolicies.networking.k8s.io", Generation::Spec),
    ("poddisruptionbudgets.policy", Generation::Spec),
    ("pods", Generation::Spec),
    ("podtemplates", Generation::Content),
    ("priorityclasses.scheduling.k8s.io", Generation::Once),
    ("prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", Generation::Spec),
    ("replicasets.apps", Generation::Spec),
    ("replicationcontrollers", Generation::Spec),
    ("resourceslices.resource.k8s.io", Generation::Spec),
    ("statefulsets.apps", Generation::Spec),
    ("validatingadmissionpolicies.admissionregistration.k8s.io", Generation::Spec),
    ("validatingadmissionpolicybindings.admissionregistration.k8s.io", Generation::Spec),
    ("validatingwebhookconfigurations.admissionregistration.k8s.io", Generation::Content),
];

/// What of the metadata a write of the status may change, or may not.
const METADATA: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

/// What becomes of an object's dependents if who deletes it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dependents {
    /// They go too.
    Go,
    /// They stay, and lose their owner.
    Stay,
    /// Nobody asks after them: the kind has none, and takes no such finalizers.
    None,
}

/// The strategy of one kind.
pub(super) struct Strategy<'a> {
    resource: &'a str,
    custom: bool,
    has_status: bool,
}

impl<'a> Strategy<'a> {
    /// That of the objects kept under a key's resource. `known` is what the schema says of it.
    pub(super) fn of(resource: &'a str, known: Option<&Resource>) -> Self {
        let has_status = known.is_some_and(|known| known.subresource("status").is_some());
        Self { resource, custom: known.is_some_and(|known| known.custom), has_status }
    }

    /// Whether the status is written by itself, and left alone by other writes.
    pub(super) fn has_status(&self) -> bool {
        self.has_status
    }

    /// Whether a new object may come with a status. A node's kubelet knows it when it makes the node.
    pub(super) fn takes_status_at_first(&self) -> bool {
        !self.has_status || self.resource == "nodes"
    }

    /// Whether who writes must say which version they saw.
    pub(super) fn wants_version(&self) -> bool {
        self.custom || CONDITIONAL.contains(&self.resource)
    }

    /// What becomes of the dependents.
    pub(super) fn dependents(&self) -> Dependents {
        match self.resource {
            "jobs.batch" | "replicationcontrollers" => Dependents::Stay,
            "events" => Dependents::None,
            _ => Dependents::Go,
        }
    }

    /// Which metadata a write of the status may change too.
    pub(super) fn metadata_with_status(&self) -> &'static [&'static str] {
        match self.resource {
            _ if self.custom => &[],
            "pods" => &["labels", "annotations", "finalizers"],
            "deployments.apps" => &["annotations", "finalizers", "ownerReferences"],
            _ => &["labels", "annotations", "finalizers", "ownerReferences"],
        }
    }

    /// Fields that a write through a subresource does not reach (`GetResetFields`); empty for the object itself.
    pub(super) fn unreached(&self, subresource: &str) -> FieldSet {
        static SETS: LazyLock<Vec<FieldSet>> = LazyLock::new(|| {
            let path = FieldSet::path;
            let of = |without: usize| {
                let fields = METADATA.iter().enumerate().filter(|(at, _)| without & (1 << at) != 0);
                fields.fold(path(&["spec"]), |set, (_, field)| set.union(&path(&["metadata", field])))
            };
            [path(&["status"])].into_iter().chain((0..1 << METADATA.len()).map(of)).collect()
        });
        let at = match subresource {
            "" if self.has_status => 0,
            "status" => {
                let unreached = |(_, field): &(usize, &&str)| !self.metadata_with_status().contains(*field);
                1 + METADATA.iter().enumerate().filter(unreached).map(|(at, _)| 1 << at).sum::<usize>()
            }
            _ => return FieldSet::default(),
        };
        SETS.get(at).cloned().unwrap_or_default()
    }

    fn generation(&self) -> Option<Generation> {
        if self.custom {
            return Some(Generation::Content);
        }
        GENERATIONS.iter().find(|(resource, _)| *resource == self.resource).map(|(_, rule)| *rule)
    }

    /// Whether a new object is the first generation. A CSIDriver is none until it is changed.
    pub(super) fn begins_with_a_generation(&self) -> bool {
        self.generation().is_some() && self.resource != "csidrivers.storage.k8s.io"
    }

    /// Whether a change is a new generation.
    pub(super) fn is_new_generation(&self, object: &Value, old: &Value) -> bool {
        let differs = |path: &[&str]| object.at(path) != old.at(path);
        let (spec, annotations, labels) = (&["spec"], &["metadata", "annotations"], &["metadata", "labels"]);
        match self.generation() {
            None | Some(Generation::Once) => false,
            Some(Generation::Spec) => differs(spec),
            Some(Generation::SpecOrAnnotations) => differs(spec) || differs(annotations),
            // Without a status of its own, a custom resource's status is content like any other.
            Some(Generation::Content) => content_differs(object, old, self.has_status),
            Some(Generation::ContentOrLabels) => content_differs(object, old, self.has_status) || differs(labels),
        }
    }
}

/// Whether two states of an object differ outside their metadata, and outside their status if that stands apart.
fn content_differs(object: &Value, old: &Value, status_apart: bool) -> bool {
    let is_content = |key: &Text| match key.as_str() {
        "apiVersion" | "kind" | "metadata" => false,
        "status" => !status_apart,
        _ => true,
    };
    let content = |object: &Value| -> Vec<(Text, Value)> {
        object.entries().iter().filter(|(key, _)| is_content(key)).cloned().collect()
    };
    content(object) != content(old)
}

/// Whether PUT makes what is not there.
#[must_use]
pub fn makes_on_update(resource: &str) -> bool {
    MADE_ON_UPDATE.contains(&resource)
}

/// Whether a delete is answered with the object itself, though it is gone.
#[must_use]
pub fn answers_with_itself(resource: &str) -> bool {
    SHOWN_WHEN_DELETED.contains(&resource)
}
