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

/// The finalizers that have no domain because they are Kubernetes' own.
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// Kinds whose changes are not compared with what was there by the check of their own metadata.
const NOT_COMPARED: &[&str] =
    &["endpointslices.discovery.k8s.io", "limitranges", "poddisruptionbudgets.policy", "statefulsets.apps"];

/// Kinds that are checked as if they were new whenever they change.
const CHECKED_AS_NEW: &[&str] = &[
    "clusterrolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "configmaps",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "jobs.batch",
    "limitranges",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "poddisruptionbudgets.policy",
    "pods",
    "rolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "secrets",
    "serviceaccounts",
    "services",
    "statefulsets.apps",
];

/// What is wrong with the metadata of a new object.
pub(super) fn check(key: &ObjectKey, object: &Value, faults: &mut Faults) {
    check_names(key, object, faults);
    check_maps(&At::root(object).field("metadata"), faults);
}

/// What is wrong with the labels, annotations and owners of a changed object: it is said as often as the real server
/// says it, which looks at every object twice, and once or twice more for its kind.
pub(super) fn check_again(resource: &str, object: &Value, faults: &mut Faults) {
    let more = usize::from(!NOT_COMPARED.contains(&resource)) + usize::from(CHECKED_AS_NEW.contains(&resource));
    for _ in 0..2 + more {
        check_maps(&At::root(object).field("metadata"), faults);
    }
}

fn check_maps(metadata: &At<'_>, faults: &mut Faults) {
    labels(&metadata.field("labels"), faults);
    annotations(&metadata.field("annotations"), faults);
    owners(&metadata.field("ownerReferences"), faults);
}

/// What is wrong with the name and the finalizers of an object.
pub(super) fn check_names(key: &ObjectKey, object: &Value, faults: &mut Faults) {
    let root = At::root(object);
    let metadata = root.field("metadata");
    let name = metadata.field("name");
    let prefix = metadata.field("generateName");
    if !prefix.text().is_empty() {
        faults.all(&prefix, form(&key.resource)(&filled_up(prefix.text())));
    }
    if name.text().is_empty() {
        faults.required(&name, "name or generateName is required");
    } else {
        faults.all(&name, form(&key.resource)(name.text()));
    }
    let of_kubernetes =
        !key.resource.split_once('.').is_some_and(|(_, group)| group.contains('.') && !group.ends_with(".k8s.io"));
    for finalizer in metadata.field("finalizers").items() {
        faults.all(&metadata.named("finalizers", finalizer.value), names::qualified(finalizer.text()));
        let bare = !finalizer.text().contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.text());
        if bare && of_kubernetes && !finalizer.text().is_empty() {
            faults.invalid(&finalizer, "name is neither a standard finalizer name nor is it fully qualified");
        }
    }
    let has = |name: &str| object.finalizers().any(|have| have == name);
    if has("orphan") && has("foregroundDeletion") {
        let why = "finalizer orphan and foregroundDeletion cannot be both set";
        faults.invalid(&metadata.field("finalizers"), why);
    }
}

/// What may not change in metadata.
pub(super) fn check_update(object: &Value, old: &Value, faults: &mut Faults) {
    let root = At::root(object);
    let finalizers = root.down(&["metadata", "finalizers"]);
    if old.is_terminating() {
        let new: Vec<String> =
            object.finalizers().filter(|name| !old.finalizers().any(|have| have == *name)).map(quote).collect();
        if !new.is_empty() {
            faults.forbidden(
                &finalizers,
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    new.join(", ")
                ),
            );
        }
    }
}

/// A name's beginning may end in a dash, since something follows.
fn filled_up(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(most) if !most.is_empty() => format!("{}a", most.get(..most.len() - 1).unwrap_or_default()),
        _ => prefix.to_owned(),
    }
}

/// The form of a kind's names.
fn form(resource: &str) -> fn(&str) -> Vec<String> {
    match resource {
        "namespaces" | "services" | "statefulsets.apps" => names::label,
        "roles.rbac.authorization.k8s.io"
        | "rolebindings.rbac.authorization.k8s.io"
        | "clusterroles.rbac.authorization.k8s.io"
        | "clusterrolebindings.rbac.authorization.k8s.io" => names::path_segment,
        "cronjobs.batch" => cron_job_name,
        // The name has to be something else, which the kind's own check says; or may be anything.
        "apiservices.apiregistration.k8s.io" | "ipaddresses.networking.k8s.io" => names::path_segment,
        "certificatesigningrequests.certificates.k8s.io" => names::path_segment,
        _ => names::subdomain,
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
    let mut controller: Option<&str> = None;
    for owner in at.items() {
        // Which of the references is meant nobody says.
        let owner = At::root(owner.value).named(at.path(), owner.value);
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
            let name = owner.field("name").text();
            if let Some(first) = controller {
                let why = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                faults.invalid(at, &why);
            }
            controller = Some(name);
        }
    }
}
