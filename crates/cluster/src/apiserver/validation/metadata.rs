//! What is wrong with the metadata of any object (`ValidateObjectMeta`).
//!
//! Knows: which form the names of each kind have.
//! Does not know: what else a kind has.

use super::faults::{At, Faults, quote};
use super::names;
use crate::object::ObjectKey;
use crate::value::Value;

/// All annotations of an object together, in bytes.
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// Said of an object without a name.
const UNNAMED: &str = "name or generateName is required";

/// The finalizers that have no domain because they are Kubernetes' own.
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// One look at an object that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// At its metadata, as if it were new.
    Whole,
    /// At its metadata, beside what it was.
    Beside,
    /// At what its kind has of its own.
    Kind,
    /// At what its kind does not let change.
    Change,
}

/// How a changed object is looked at after the check that all kinds share. Kinds differ in how often they look at metadata,
/// and when: it shows, since every look says all that it finds.
pub(super) fn looks(resource: &str) -> &'static [Look] {
    use Look::{Beside, Change, Kind, Whole};
    match resource {
        "pods"
        | "persistentvolumeclaims"
        | "endpoints"
        | "ingresses.networking.k8s.io"
        | "apiservices.apiregistration.k8s.io"
        | "controllerrevisions.apps"
        | "serviceaccounts" => &[Beside, Whole, Kind, Change],
        // A Secret's type decides what else it has to hold; so it is looked at first.
        "secrets" | "configmaps" | "ingressclasses.networking.k8s.io" | "volumeattributesclasses.storage.k8s.io" => {
            &[Beside, Change, Whole, Kind]
        }
        "daemonsets.apps" | "services" => &[Beside, Change, Kind],
        "jobs.batch"
        | "namespaces"
        | "ipaddresses.networking.k8s.io"
        | "runtimeclasses.node.k8s.io"
        | "storageclasses.storage.k8s.io"
        | "csistoragecapacities.storage.k8s.io"
        | "certificatesigningrequests.certificates.k8s.io"
        | "resourceclaimtemplates.resource.k8s.io"
        | "roles.rbac.authorization.k8s.io"
        | "clusterroles.rbac.authorization.k8s.io"
        | "rolebindings.rbac.authorization.k8s.io"
        | "clusterrolebindings.rbac.authorization.k8s.io" => &[Whole, Kind, Beside, Change],
        // A node is looked at as a whole, and then as a changed one.
        "nodes" => &[Whole, Kind, Beside, Change],
        // A volume is looked at as a new one, and again as a changed one.
        "persistentvolumes" => &[Whole, Kind, Whole, Kind, Change],
        "resourceclaims.resource.k8s.io" => &[Whole, Beside, Change],
        "deviceclasses.resource.k8s.io" => &[Whole, Beside, Kind],
        "endpointslices.discovery.k8s.io"
        | "limitranges"
        | "volumeattachments.storage.k8s.io"
        | "csinodes.storage.k8s.io"
        | "flowschemas.flowcontrol.apiserver.k8s.io"
        | "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io"
        | "validatingwebhookconfigurations.admissionregistration.k8s.io"
        | "mutatingwebhookconfigurations.admissionregistration.k8s.io"
        | "validatingadmissionpolicies.admissionregistration.k8s.io"
        | "validatingadmissionpolicybindings.admissionregistration.k8s.io"
        | "mutatingadmissionpolicies.admissionregistration.k8s.io"
        | "mutatingadmissionpolicybindings.admissionregistration.k8s.io" => &[Whole, Kind, Change],
        "poddisruptionbudgets.policy" | "events" => &[Kind, Change],
        "priorityclasses.scheduling.k8s.io" | "resourceslices.resource.k8s.io" => &[Beside, Change],
        _ => &[Beside, Kind, Change],
    }
}

/// What is wrong with the metadata of a new object: what its kind finds, and only if that is nothing, what any would.
pub(super) fn check(key: &ObjectKey, object: &Value, faults: &mut Faults) {
    let own = looks(&key.resource) != looks("events");
    if own {
        whole(key, object, faults);
    } else if key.name.is_empty() {
        faults.required(&At::root(object).down(&["metadata", "name"]), UNNAMED);
    }
}

/// What any kind's metadata has to be.
pub(super) fn check_common(object: &Value, faults: &mut Faults) {
    named(object, &Form { says: names::path_segment, unfilled: true, finalizers: false }, faults);
}

/// What is wrong with metadata by itself, as its kind sees it.
pub(super) fn whole(key: &ObjectKey, object: &Value, faults: &mut Faults) {
    named(object, &form(&key.resource), faults);
}

fn named(object: &Value, form: &Form, faults: &mut Faults) {
    let root = At::root(object);
    let metadata = root.field("metadata");
    let (name, prefix) = (metadata.field("name"), metadata.field("generateName"));
    if !prefix.text().is_empty() && form.unfilled {
        faults.all(&prefix, (form.says)(&filled_up(prefix.text())));
    }
    if name.text().is_empty() {
        faults.required(&name, UNNAMED);
    } else {
        faults.all(&name, (form.says)(name.text()));
    }
    maps(&metadata, faults);
    let finalizers = metadata.field("finalizers");
    for finalizer in finalizers.value.items() {
        let place = metadata.named("finalizers", finalizer);
        faults.all(&place, names::qualified(place.text()));
    }
    let has = |name: &str| finalizers.value.items().iter().any(|have| have == name);
    if has("orphan") && has("foregroundDeletion") {
        faults.invalid(&finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
    }
    if form.finalizers {
        standard(&finalizers, faults);
    }
}

/// A finalizer without a domain is one of Kubernetes' own.
fn standard(finalizers: &At<'_>, faults: &mut Faults) {
    for finalizer in finalizers.items() {
        if !finalizer.text().contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.text()) {
            faults.invalid_as(
                &finalizer,
                &quote(finalizer.text()),
                "name is neither a standard finalizer name nor is it fully qualified",
            );
        }
    }
}

/// What is wrong with metadata beside what it was. That an object has its name, its age and its end from the server is
/// seen to elsewhere.
pub(super) fn beside(key: &ObjectKey, object: &Value, old: &Value, faults: &mut Faults) {
    check_beside(object, old, faults);
    if form(&key.resource).finalizers {
        standard(&At::root(object).down(&["metadata", "finalizers"]), faults);
    }
}

/// The same, as far as all kinds share it.
pub(super) fn check_beside(object: &Value, old: &Value, faults: &mut Faults) {
    let root = At::root(object);
    let metadata = root.field("metadata");
    if old.is_terminating() {
        let new: Vec<String> =
            object.finalizers().filter(|name| !old.finalizers().any(|have| have == *name)).map(quote).collect();
        if !new.is_empty() {
            let new = new.join(", ");
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{new}}}"
            );
            faults.forbidden(&metadata.field("finalizers"), &why);
        }
    }
    maps(&metadata, faults);
}

fn maps(metadata: &At<'_>, faults: &mut Faults) {
    labels(&metadata.field("labels"), faults);
    annotations(&metadata.field("annotations"), faults);
    owners(&metadata.field("ownerReferences"), faults);
}

/// A name's beginning may end in a dash, since something follows.
pub(super) fn filled_up(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(most) if !most.is_empty() => format!("{}a", most.get(..most.len() - 1).unwrap_or_default()),
        _ => prefix.to_owned(),
    }
}

/// What a kind asks of names and finalizers.
struct Form {
    /// The form of its names.
    says: fn(&str) -> Vec<String>,
    /// Whether the beginning of a name that is made up is looked at too.
    unfilled: bool,
    /// Whether finalizers without a domain have to be Kubernetes' own.
    finalizers: bool,
}

fn form(resource: &str) -> Form {
    let group = resource.split_once('.').map_or("", |(_, group)| group);
    let says = match resource {
        "namespaces" | "services" | "statefulsets.apps" => names::label,
        "roles.rbac.authorization.k8s.io"
        | "rolebindings.rbac.authorization.k8s.io"
        | "clusterroles.rbac.authorization.k8s.io"
        | "clusterrolebindings.rbac.authorization.k8s.io" => names::path_segment,
        "cronjobs.batch" => cron_job_name,
        "ipaddresses.networking.k8s.io" => names::strict_address,
        // The name has to be something else, which the kind's own check says; or may be anything.
        "apiservices.apiregistration.k8s.io" | "certificatesigningrequests.certificates.k8s.io" => names::path_segment,
        _ => names::subdomain,
    };
    Form {
        says,
        unfilled: !matches!(resource, "replicationcontrollers" | "deviceclasses.resource.k8s.io"),
        finalizers: !matches!(
            group,
            "admissionregistration.k8s.io"
                | "apiextensions.k8s.io"
                | "apiregistration.k8s.io"
                | "coordination.k8s.io"
                | "events.k8s.io"
        ) && (group.ends_with(".k8s.io") || !group.contains('.')),
    }
}

/// A CronJob's jobs are named after it, and the time: eleven letters more.
fn cron_job_name(name: &str) -> Vec<String> {
    let mut why = names::subdomain(name);
    if name.len() > 52 {
        why.push("must be no more than 52 characters".to_owned());
    }
    why
}

/// Keys and values of labels.
pub(super) fn labels(at: &At<'_>, faults: &mut Faults) {
    for (key, value) in at.value.entries() {
        keyed(at, &Value::from(key), names::qualified(key), faults);
        keyed(at, value, names::label_value(value.str_or_empty()), faults);
    }
}

/// A fault of one key or value is the whole map's, and shows which.
pub(super) fn keyed(at: &At<'_>, shown: &Value, why: Vec<String>, faults: &mut Faults) {
    for why in why {
        faults.invalid_as(at, &super::faults::shown(shown), &why);
    }
}

/// Keys of annotations, and the size of all.
pub(super) fn annotations(at: &At<'_>, faults: &mut Faults) {
    let mut size = 0;
    for (key, value) in at.value.entries() {
        keyed(at, &Value::from(key), names::qualified(&key.to_lowercase()), faults);
        size += key.len() + value.str_or_empty().len();
    }
    if size > ANNOTATIONS_MAX {
        faults.too_long(at, ANNOTATIONS_MAX);
    }
}

fn owners(at: &At<'_>, faults: &mut Faults) {
    let mut controller: Option<String> = None;
    for owner in at.value.items() {
        // The real path names the list alone.
        let owner = at.sibling(owner);
        let version = owner.field("apiVersion");
        if version.text().rsplit('/').next().is_none_or(str::is_empty) {
            faults.invalid(&version, "version must not be empty");
        }
        for field in ["kind", "name", "uid"] {
            let field = owner.field(field);
            if field.text().is_empty() {
                faults.invalid_as(&field, "\"\"", "must not be empty");
            }
        }
        if version.text() == "v1" && owner.field("kind").text() == "Event" {
            faults.invalid(&owner, "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner.field("controller").value.is_true() {
            let name = format!("{}/{}", owner.field("kind").text(), owner.field("name").text());
            if let Some(first) = &controller {
                let why = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                faults.invalid(at, &why);
                continue;
            }
            controller = Some(name);
        }
    }
}
