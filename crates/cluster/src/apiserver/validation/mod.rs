//! What is refused because a field is wrong (`pkg/apis/*/validation`), in the real paths, words and order.
//!
//! Knows: the checks that every object has to pass, and those of built-in kinds.
//! Does not know: who asks, or what else the cluster holds; what depends on that is admission.
//!
//! Every check is given the place it looks at ([`faults::At`]) and says what is wrong there ([`faults::Faults`]); a kind is
//! a function that looks at its fields in the order in which the real server does, for the order shows in the message.
//!
//! | file | checks |
//! |---|---|
//! | `faults` | the vocabulary: places, and sentences about them |
//! | `internal` | a pod's spec as Go shows it |
//! | `names` | forms of names, labels, ports, addresses |
//! | `metadata` | what every object has |
//! | `pod`, `container`, `environment`, `handlers`, `security`, `selectors`, `resources` | pods, wherever they stand |
//! | `devices`, `slices` | claims to devices, and what drivers say of those |
//! | `volume`, `projected`, `source` | what pods and the cluster keep files in |
//! | `warnings` | what is not wrong, but does not do what it seems to |
//! | `workload`, `job`, `autoscaler` | what makes pods, and how many |
//! | `service`, `endpoints`, `network` | what reaches them |
//! | `limits` | quotas, and limits of each |
//! | `storage`, `data` | what they keep and read |
//! | `machinery` | what configures the API server itself |
//! | `attachments` | events, revisions, and what drivers say |
//! | `status` | what is said of all these, by whoever may |
//! | `definition`, `structure` | definitions of custom resources and their schemas |
//! | `policy` | admission policies and their bindings |
//! | `cluster` | who may do what, how much and when; nodes, namespaces, leases |

mod attachments;
mod autoscaler;
mod cluster;
mod container;
mod data;
mod definition;
mod devices;
mod endpoints;
mod environment;
mod faults;
mod handlers;
mod internal;
mod job;
mod limits;
mod machinery;
mod metadata;
mod names;
mod network;
mod pod;
mod pod_warnings;
mod policy;
mod projected;
mod resources;
mod security;
mod selectors;
mod service;
mod slices;
mod source;
mod status;
mod storage;
mod structure;
#[cfg(test)]
mod tests;
mod volume;
mod warnings;
mod workload;

use self::faults::{At, Faults};
use self::metadata::Look;
use super::status::Cause;
use crate::object::ObjectKey;
use crate::value::Value;

/// What is wrong with the key of a label.
pub(super) fn label_key(key: &str) -> Vec<String> {
    names::qualified(key)
}

/// What is wrong with a new object, sent in words of `version`.
pub(super) fn create(key: &ObjectKey, version: &str, object: &Value) -> Vec<Cause> {
    let mut faults = Faults::default();
    let root = At::root(object);
    if key.is("events") && is_newer_event(version) {
        attachments::event(&root, true, &mut faults);
        metadata::whole(key, object, &mut faults);
        attachments::new_event(&root, &mut faults);
        return faults.causes;
    }
    metadata::check(key, object, &mut faults);
    kind(&key.resource, &root, &mut faults);
    if key.is("pods") {
        pod::create(&root.field("spec"), &mut faults);
    }
    if faults.is_empty() {
        metadata::check_common(object, &mut faults);
    }
    faults.causes
}

/// Of the two groups that have events, the newer one wants to know more.
fn is_newer_event(version: &str) -> bool {
    version.starts_with("events.k8s.io/")
}

/// What any change of metadata has to be like.
fn common(object: &Value, old: &Value) -> Faults {
    let mut faults = Faults::default();
    metadata::check_common(object, &mut faults);
    metadata::check_beside(object, old, &mut faults);
    faults
}

/// What is wrong with a change of all but the status, sent in words of `version`.
pub(super) fn update(key: &ObjectKey, version: &str, object: &Value, old: &Value) -> Vec<Cause> {
    let mut faults = common(object, old);
    let root = At::root(object);
    let resource = key.resource.as_str();
    if key.is("events") && is_newer_event(version) {
        attachments::event(&root, true, &mut faults);
        metadata::beside(key, object, old, &mut faults);
        attachments::event_update(&root, old, &mut faults);
        return faults.causes;
    }
    for look in metadata::looks(resource) {
        match look {
            Look::Whole => metadata::whole(key, object, &mut faults),
            Look::Beside => metadata::beside(key, object, old, &mut faults),
            Look::Kind => match without_what_stayed(resource, object, old) {
                Some(less) => kind(resource, &At::root(&less), &mut faults),
                None => kind(resource, &root, &mut faults),
            },
            Look::Change => change(resource, &root, old, &mut faults),
        }
    }
    faults.causes
}

/// Where a service's requests go is not looked at again if it stays.
fn without_what_stayed(resource: &str, object: &Value, old: &Value) -> Option<Value> {
    let list = match resource {
        "endpoints" => "subsets",
        "endpointslices.discovery.k8s.io" => "endpoints",
        _ => return None,
    };
    (object.at(&[list]) == old.at(&[list])).then(|| {
        let mut less = object.clone();
        less.object().remove(list);
        less
    })
}

/// What is wrong with containers that are put into a pod while it runs.
pub(super) fn ephemeral_containers(key: &ObjectKey, object: &Value, old: &Value) -> Vec<Cause> {
    let mut faults = common(object, old);
    metadata::beside(key, object, old, &mut faults);
    metadata::whole(key, object, &mut faults);
    let root = At::root(object);
    pod::pod(&root, &mut faults);
    pod::ephemeral_update(&root.field("spec"), old.at(&["spec"]), &mut faults);
    faults.causes
}

/// What is wrong with what a pod's containers ask for while they run.
pub(super) fn resize(key: &ObjectKey, object: &Value, old: &Value) -> Vec<Cause> {
    let mut faults = common(object, old);
    metadata::beside(key, object, old, &mut faults);
    metadata::whole(key, object, &mut faults);
    let root = At::root(object);
    pod::pod(&root, &mut faults);
    pod::resize(&root, old, &mut faults);
    faults.causes
}

/// What is wrong with a change of the status.
pub(super) fn status(key: &ObjectKey, object: &Value, old: &Value) -> Vec<Cause> {
    let mut faults = common(object, old);
    if metadata::looks(&key.resource).contains(&Look::Beside) {
        metadata::beside(key, object, old, &mut faults);
    }
    status::check(&key.resource, &At::root(object), old, &mut faults);
    faults.causes
}

/// What is not wrong but does not do what it seems to, in a new object or in one that was `old`.
pub(super) fn warnings(key: &ObjectKey, object: &Value, old: Option<&Value>) -> Vec<String> {
    warnings::of(key, object, old)
}

/// What is wrong with what a kind has of its own.
fn kind(resource: &str, root: &At<'_>, faults: &mut Faults) {
    if workload::check(resource, root, faults).is_some() {
        return;
    }
    match resource {
        "pods" => pod::pod(root, faults),
        "jobs.batch" => job::job(root, faults),
        "cronjobs.batch" => job::cron_job(root, faults),
        "horizontalpodautoscalers.autoscaling" => autoscaler::check(root, faults),
        "services" => service::check(root, faults),
        "endpoints" => endpoints::endpoints(root, faults),
        "endpointslices.discovery.k8s.io" => endpoints::slice(root, faults),
        "ingresses.networking.k8s.io" => network::ingress(root, faults),
        "ingressclasses.networking.k8s.io" => network::ingress_class(root, faults),
        "networkpolicies.networking.k8s.io" => network::policy(root, faults),
        "configmaps" => data::config_map(root, faults),
        "secrets" => data::secret(root, faults),
        "persistentvolumes" => storage::persistent(root, faults),
        "persistentvolumeclaims" => storage::claim(root, faults),
        "storageclasses.storage.k8s.io" => storage::class(root, faults),
        "csidrivers.storage.k8s.io" => storage::driver(root, faults),
        "roles.rbac.authorization.k8s.io" => cluster::role(root, true, faults),
        "clusterroles.rbac.authorization.k8s.io" => cluster::role(root, false, faults),
        "rolebindings.rbac.authorization.k8s.io" => cluster::binding(root, true, faults),
        "clusterrolebindings.rbac.authorization.k8s.io" => cluster::binding(root, false, faults),
        "resourcequotas" => limits::quota(root, faults),
        "limitranges" => limits::limit_range(root, faults),
        "poddisruptionbudgets.policy" => cluster::budget(root, faults),
        "priorityclasses.scheduling.k8s.io" => cluster::priority_class(root, faults),
        "runtimeclasses.node.k8s.io" => cluster::runtime_class(root, faults),
        "leases.coordination.k8s.io" => cluster::lease(root, faults),
        "nodes" => {
            cluster::node(root, faults);
            cluster::node_ranges(root, faults);
        }
        "customresourcedefinitions.apiextensions.k8s.io" => definition::check(root, faults),
        "validatingadmissionpolicies.admissionregistration.k8s.io" => policy::validating(root, faults),
        "validatingadmissionpolicybindings.admissionregistration.k8s.io" => policy::binding(root, true, faults),
        "mutatingadmissionpolicies.admissionregistration.k8s.io" => policy::mutating(root, faults),
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io" => policy::binding(root, false, faults),
        "events" => attachments::event(root, false, faults),
        "controllerrevisions.apps" => attachments::revision(root, faults),
        "podtemplates" => attachments::template(root, faults),
        "csinodes.storage.k8s.io" => attachments::csi_node(root, faults),
        "csistoragecapacities.storage.k8s.io" => attachments::capacity(root, faults),
        "volumeattachments.storage.k8s.io" => attachments::attachment(root, faults),
        "volumeattributesclasses.storage.k8s.io" => attachments::attributes(root, faults),
        "ipaddresses.networking.k8s.io" => attachments::ip_address(root, faults),
        "servicecidrs.networking.k8s.io" => attachments::service_range(root, faults),
        "validatingwebhookconfigurations.admissionregistration.k8s.io"
        | "mutatingwebhookconfigurations.admissionregistration.k8s.io" => machinery::webhooks(root, faults),
        "apiservices.apiregistration.k8s.io" => machinery::api_service(root, faults),
        "flowschemas.flowcontrol.apiserver.k8s.io" => machinery::flow_schema(root, faults),
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io" => machinery::priority_level(root, faults),
        "certificatesigningrequests.certificates.k8s.io" => machinery::signing_request(root, faults),
        "resourceclaims.resource.k8s.io" => devices::claim(root, faults),
        "resourceclaimtemplates.resource.k8s.io" => devices::template(root, faults),
        "deviceclasses.resource.k8s.io" => devices::class(root, faults),
        "resourceslices.resource.k8s.io" => slices::check(root, faults),
        _ => {}
    }
}

/// What a kind does not let change.
fn change(resource: &str, root: &At<'_>, old: &Value, faults: &mut Faults) {
    workload::update(resource, root, old, faults);
    match resource {
        "pods" => pod::update(&root.field("spec"), old.at(&["spec"]), faults),
        "jobs.batch" => job::job_update(root, old, faults),
        "services" => service::update(root, old, faults),
        "endpointslices.discovery.k8s.io" => endpoints::slice_update(root, old, faults),
        "ingressclasses.networking.k8s.io" => {
            faults.unchanged(&root.down(&["spec", "controller"]), old.at(&["spec", "controller"]));
        }
        "configmaps" => data::immutable(root, old, &["data", "binaryData"], faults),
        "secrets" => {
            faults.unchanged(&root.field("type"), old.at(&["type"]));
            data::immutable(root, old, &["data"], faults);
        }
        "persistentvolumes" => storage::persistent_update(root, old, faults),
        "persistentvolumeclaims" => storage::claim_update(root, old, faults),
        "storageclasses.storage.k8s.io" => {
            for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
                faults.unchanged(&root.field(field), old.at(&[field]));
            }
        }
        "customresourcedefinitions.apiextensions.k8s.io" => definition::update(root, old, faults),
        "csidrivers.storage.k8s.io" => storage::driver_update(root, old, faults),
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => {
            cluster::binding_update(root, old, faults);
        }
        "resourcequotas" => limits::quota_update(root, old, faults),
        "priorityclasses.scheduling.k8s.io" => cluster::priority_class_update(root, old, faults),
        "runtimeclasses.node.k8s.io" => faults.unchanged(&root.field("handler"), old.at(&["handler"])),
        "nodes" => cluster::node_update(root, old, faults),
        "controllerrevisions.apps" => faults.unchanged(&root.field("data"), old.at(&["data"])),
        "csistoragecapacities.storage.k8s.io" => {
            for field in ["nodeTopology", "storageClassName"] {
                faults.unchanged(&root.field(field), old.at(&[field]));
            }
        }
        "volumeattachments.storage.k8s.io" => attachments::attachment_update(root, old, faults),
        "csinodes.storage.k8s.io" => attachments::csi_node_update(root, old, faults),
        "ipaddresses.networking.k8s.io" => attachments::ip_address_update(root, old, faults),
        "volumeattributesclasses.storage.k8s.io" => attachments::attributes_update(root, old, faults),
        "resourceclaims.resource.k8s.io" => devices::unchanged(root, old, "ResourceClaimSpec", faults),
        "resourceclaimtemplates.resource.k8s.io" => devices::unchanged(root, old, "ResourceClaimTemplateSpec", faults),
        "resourceslices.resource.k8s.io" => slices::update(root, old, faults),
        _ => {}
    }
}
