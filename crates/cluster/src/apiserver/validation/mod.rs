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
//! | `pod`, `container`, `volume`, `selectors`, `resources` | pods, wherever they stand |
//! | `workload`, `job`, `autoscaler` | what makes pods, and how many |
//! | `service`, `network` | what reaches them |
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
mod faults;
mod internal;
mod job;
mod machinery;
mod metadata;
mod names;
mod network;
mod pod;
mod policy;
mod resources;
mod selectors;
mod service;
mod status;
mod storage;
mod structure;
#[cfg(test)]
mod tests;
mod volume;
mod workload;

use self::faults::{At, Faults};
use super::status::Cause;
use crate::object::ObjectKey;
use crate::value::Value;

/// What is wrong with the key of a label.
pub(super) fn label_key(key: &str) -> Vec<String> {
    names::qualified(key)
}

/// What is wrong with a new object.
pub(super) fn create(key: &ObjectKey, object: &Value) -> Vec<Cause> {
    let mut faults = Faults::default();
    metadata::check(key, object, &mut faults);
    let root = At::root(object);
    kind(&key.resource, &root, &mut faults);
    let ephemeral = root.down(&["spec", "ephemeralContainers"]);
    if key.is("pods") && !ephemeral.value.is_empty() {
        faults.forbidden(&ephemeral, "cannot be set on create");
    }
    faults.causes
}

/// What is wrong with a change of all but the status.
pub(super) fn update(key: &ObjectKey, object: &Value, old: &Value) -> Vec<Cause> {
    let mut faults = Faults::default();
    let root = At::root(object);
    let resource = key.resource.as_str();
    metadata::check_names(key, object, &mut faults);
    metadata::check_again(resource, object, &mut faults);
    metadata::check_update(object, old, &mut faults);
    // A Secret's type decides what else it has to hold; so it is looked at first.
    if resource == "secrets" {
        faults.unchanged(&root.field("type"), old.at(&["type"]));
        data::immutable(&root, old, &["data"], &mut faults);
    }
    if resource == "daemonsets.apps" {
        // What a DaemonSet does not let change comes first.
        change(resource, &root, old, &mut faults);
        kind(resource, &root, &mut faults);
        return faults.causes;
    }
    kind(resource, &root, &mut faults);
    if resource == "nodes" {
        // A node is looked at as a whole, and then as a changed one.
        kind(resource, &root, &mut faults);
    }
    change(resource, &root, old, &mut faults);
    faults.causes
}

/// What is wrong with containers that are put into a pod while it runs.
pub(super) fn ephemeral_containers(key: &ObjectKey, object: &Value, old: &Value) -> Vec<Cause> {
    let mut faults = Faults::default();
    metadata::check_again(&key.resource, object, &mut faults);
    let spec = At::root(object).field("spec");
    pod::spec(&spec, &mut faults);
    pod::ephemeral_update(&spec, old.at(&["spec"]), &mut faults);
    faults.causes
}

/// What is wrong with what a pod's containers ask for while they run.
pub(super) fn resize(key: &ObjectKey, object: &Value, old: &Value) -> Vec<Cause> {
    let mut faults = Faults::default();
    metadata::check_again(&key.resource, object, &mut faults);
    let root = At::root(object);
    pod::spec(&root.field("spec"), &mut faults);
    pod::resize(&root, old, &mut faults);
    faults.causes
}

/// What is wrong with a change of the status.
pub(super) fn status(key: &ObjectKey, object: &Value, old: &Value) -> Vec<Cause> {
    let mut faults = Faults::default();
    metadata::check_again(&key.resource, object, &mut faults);
    metadata::check_update(object, old, &mut faults);
    status::check(&key.resource, &At::root(object), old, &mut faults);
    faults.causes
}

/// What is not wrong but does not do what it seems to.
pub(super) fn warnings(key: &ObjectKey, object: &Value) -> Vec<String> {
    let template: &[&str] = match key.resource.as_str() {
        "pods" => &[],
        "deployments.apps"
        | "replicasets.apps"
        | "statefulsets.apps"
        | "daemonsets.apps"
        | "jobs.batch"
        | "replicationcontrollers" => &["spec", "template"],
        "cronjobs.batch" => &["spec", "jobTemplate", "spec", "template"],
        _ => return Vec::new(),
    };
    let path = template.join(".");
    let path = if path.is_empty() { path } else { format!("{path}.") };
    let pod = object.at(template);
    pod::warnings(pod.at(&["spec"]), pod.at(&["metadata"]), &path)
}

/// What is wrong with what a kind has of its own.
fn kind(resource: &str, root: &At<'_>, faults: &mut Faults) {
    if workload::check(resource, root, faults).is_some() {
        return;
    }
    match resource {
        "pods" => pod::spec(&root.field("spec"), faults),
        "jobs.batch" => job::job(root, faults),
        "cronjobs.batch" => job::cron_job(root, faults),
        "horizontalpodautoscalers.autoscaling" => autoscaler::check(root, faults),
        "services" => service::check(root, faults),
        "endpoints" => service::endpoints(root, faults),
        "endpointslices.discovery.k8s.io" => service::slice(root, faults),
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
        "resourcequotas" => cluster::quota(root, faults),
        "limitranges" => cluster::limit_range(root, faults),
        "poddisruptionbudgets.policy" => cluster::budget(root, faults),
        "priorityclasses.scheduling.k8s.io" => cluster::priority_class(root, faults),
        "runtimeclasses.node.k8s.io" => cluster::runtime_class(root, faults),
        "leases.coordination.k8s.io" => cluster::lease(root, faults),
        "nodes" => cluster::node(root, faults),
        "customresourcedefinitions.apiextensions.k8s.io" => definition::check(root, faults),
        "validatingadmissionpolicies.admissionregistration.k8s.io" => policy::validating(root, faults),
        "validatingadmissionpolicybindings.admissionregistration.k8s.io" => policy::binding(root, true, faults),
        "mutatingadmissionpolicies.admissionregistration.k8s.io" => policy::mutating(root, faults),
        "mutatingadmissionpolicybindings.admissionregistration.k8s.io" => policy::binding(root, false, faults),
        "events" => attachments::event(root, faults),
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
        "endpointslices.discovery.k8s.io" => faults.unchanged(&root.field("addressType"), old.at(&["addressType"])),
        "ingressclasses.networking.k8s.io" => {
            faults.unchanged(&root.down(&["spec", "controller"]), old.at(&["spec", "controller"]));
        }
        "configmaps" => data::immutable(root, old, &["data", "binaryData"], faults),
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
        "resourcequotas" => cluster::quota_update(root, old, faults),
        "priorityclasses.scheduling.k8s.io" => cluster::priority_class_update(root, old, faults),
        "runtimeclasses.node.k8s.io" => faults.unchanged(&root.field("handler"), old.at(&["handler"])),
        "nodes" => cluster::node_update(root, old, faults),
        "controllerrevisions.apps" => faults.unchanged(&root.field("data"), old.at(&["data"])),
        "csistoragecapacities.storage.k8s.io" => {
            for field in ["nodeTopology", "storageClassName"] {
                faults.unchanged(&root.field(field), old.at(&[field]));
            }
        }
        "volumeattachments.storage.k8s.io" => faults.unchanged(&root.field("spec"), old.at(&["spec"])),
        "volumeattributesclasses.storage.k8s.io" => attachments::attributes_update(root, old, faults),
        _ => {}
    }
}
