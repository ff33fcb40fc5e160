//! The verbs that change objects, the same for every kind.
//!
//! Knows: what the API server does to any object on its way in: names, uids, generations, finalizers.
//! Does not know: how a call came in; what controllers make of the change.

use crate::apiserver::status::{Status, split};
use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::time;
use crate::value::{Text, Value};

/// Who writes, and how.
#[derive(Clone, Debug)]
pub struct Writer {
    /// Who; admission and escalation checks want to know.
    pub user: crate::apiserver::User,
    /// The field manager that what is written belongs to.
    pub manager: String,
    /// Whether everything happens but the writing.
    pub dry_run: bool,
}

impl Writer {
    /// A part of the control plane, such as `deployment-controller`, which runs in `kube-controller-manager`.
    #[must_use]
    pub fn component(name: &str, program: &str) -> Self {
        Self { user: crate::apiserver::User::component(name), manager: program.to_owned(), dry_run: false }
    }
}

/// Which part of an object a write may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All but the status.
    Main,
    /// The status alone.
    Status,
}

/// What a delete insists on, and what becomes of the dependents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only the object at this version.
    pub resource_version: Option<String>,
    /// `Orphan`, `Background` or `Foreground`; the resource's own default if not said.
    pub propagation: Option<String>,
    /// For pods: how long they may take to stop.
    pub grace_period_seconds: Option<i64>,
}

/// The letters that generated names end in: no vowels, so that they spell nothing (`k8s.io/apimachinery/pkg/util/rand`).
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A random string as generated names end in.
pub fn random_suffix(cluster: &mut Cluster, length: usize) -> String {
    let count = u64::try_from(LETTERS.len()).unwrap_or(1);
    (0..length)
        .filter_map(|_| {
            let at = usize::try_from(cluster.random().below(count)).unwrap_or(0);
            LETTERS.get(at).copied().map(char::from)
        })
        .collect()
}

/// A random uid: a version 4 UUID.
pub fn random_uid(cluster: &mut Cluster) -> String {
    let high = (cluster.random().bits() & 0xffff_ffff_ffff_0fff) | 0x4000;
    let low = (cluster.random().bits() & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// Makes a new object of `resource` (`deployments.apps`). Gives it as it was stored.
///
/// # Errors
/// What the API server would answer.
pub fn create(cluster: &mut Cluster, resource: &str, mut object: Value, writer: &Writer) -> Result<Value, Status> {
    if object.name().is_empty() && !object.at(&["metadata", "generateName"]).is_empty() {
        let name = format!("{}{}", object.at(&["metadata", "generateName"]).str_or_empty(), random_suffix(cluster, 5));
        object.set(&["metadata", "name"], name);
    }
    let key = ObjectKey::new(resource, object.namespace(), object.name());
    if cluster.get(&key).is_some() {
        return Err(Status::already_exists(resource, &key.name));
    }
    let uid = random_uid(cluster);
    object.set(&["metadata", "uid"], uid);
    object.set(&["metadata", "creationTimestamp"], time::format(cluster.now()));
    if object.get("spec").is_some() {
        object.set(&["metadata", "generation"], 1);
    }
    store(cluster, &key, object, writer)
}

/// Writes a new state of an object that is there. A `resourceVersion` in it must be the current one.
///
/// # Errors
/// What the API server would answer.
pub fn update(
    cluster: &mut Cluster,
    key: &ObjectKey,
    mut object: Value,
    part: Part,
    writer: &Writer,
) -> Result<Value, Status> {
    let Some(old) = cluster.get(key).cloned() else {
        return Err(Status::not_found(&key.resource, &key.name));
    };
    if !object.resource_version().is_empty() && object.resource_version() != old.resource_version() {
        return Err(Status::modified(&key.resource, &key.name));
    }
    match part {
        Part::Main => {
            object.set(&["status"], old.at(&["status"]).clone());
            if object.at(&["spec"]) != old.at(&["spec"]) {
                object.set(&["metadata", "generation"], old.generation() + 1);
            }
        }
        Part::Status => {
            let mut new = old.clone();
            new.set(&["status"], object.at(&["status"]).clone());
            object = new;
        }
    }
    object.set(&["metadata", "resourceVersion"], old.resource_version());
    if object == old {
        return Ok(old);
    }
    store(cluster, key, object, writer)
}

/// Tells an object to go. It is gone at once if nothing keeps it; else it terminates.
///
/// # Errors
/// What the API server would answer.
pub fn delete(cluster: &mut Cluster, key: &ObjectKey, deletion: &Deletion, writer: &Writer) -> Result<Value, Status> {
    let Some(old) = cluster.get(key).cloned() else {
        return Err(Status::not_found(&key.resource, &key.name));
    };
    if deletion.uid.as_ref().is_some_and(|uid| uid != old.uid()) {
        return Err(Status::conflict(split(&key.resource).0, &key.name, "the UID in the precondition does not match"));
    }
    if !writer.dry_run {
        cluster.write(key, None);
    }
    Ok(old)
}

fn store(cluster: &mut Cluster, key: &ObjectKey, object: Value, writer: &Writer) -> Result<Value, Status> {
    if writer.dry_run {
        return Ok(object);
    }
    cluster.write(key, Some(object)).ok_or_else(|| Status::not_found(&key.resource, &key.name))
}

/// The resource of a kind, as in object keys.
#[must_use]
pub fn key_of(resource: &str, object: &Value) -> ObjectKey {
    ObjectKey { resource: Text::from(resource), namespace: object.namespace().into(), name: object.name().into() }
}
