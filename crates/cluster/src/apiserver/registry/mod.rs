//! The verbs that change objects, the same for every kind.
//!
//! Knows: what the API server does to any object on its way in: names, uids, generations, finalizers.
//! Does not know: how a call came in; what controllers make of the change.

mod strategy;

pub use strategy::{answers_with_itself, makes_on_update};

use super::{admission, defaults, validation};
use crate::apiserver::status::{Cause, Status, split};
use crate::cluster::Cluster;
use crate::doc;
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
    let known = cluster.schema.stored(resource).cloned();
    let group = split(resource).1;
    if object.name().is_empty() && !object.at(&["metadata", "generateName"]).is_empty() {
        let name = format!("{}{}", object.at(&["metadata", "generateName"]).str_or_empty(), random_suffix(cluster, 5));
        object.set(&["metadata", "name"], name);
    }
    if object.name().is_empty() {
        let cause = Cause {
            reason: "FieldValueRequired",
            message: "Required value: name or generateName is required".to_owned(),
            field: "metadata.name".to_owned(),
        };
        return Err(Status::invalid(group, object.kind(), "", &[cause]));
    }
    let key = ObjectKey::new(resource, object.namespace(), object.name());
    in_living_namespace(cluster, &key)?;

    let uid = random_uid(cluster);
    object.set(&["metadata", "uid"], uid);
    object.set(&["metadata", "creationTimestamp"], time::format(cluster.now()));
    for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"] {
        if object.find(&["metadata", field]).is_some() {
            object.remove(&["metadata", field]);
        }
    }
    if known.as_ref().is_some_and(|known| strategy::has_status(known)) && object.get("status").is_some() {
        object.object().remove("status");
    }
    if strategy::counts_generations(resource, &object) {
        object.set(&["metadata", "generation"], 1);
    }
    defaults::apply(resource, &mut object);
    let write = admission::Write { key: &key, old: None, dry_run: writer.dry_run };
    admission::mutate(cluster, write, &mut object)?;
    defaults::prepare_create(resource, &mut object);
    if let Some(typed) = known.as_ref().and_then(|known| known.ty().as_go(&object)) {
        object = typed;
    }
    let causes = validation::create(&key, &object);
    if !causes.is_empty() {
        return Err(Status::invalid(group, object.kind(), &key.name, &causes));
    }
    if cluster.get(&key).is_some() {
        return Err(Status::already_exists(resource, &key.name));
    }
    admission::validate(cluster, write, &object)?;
    let made = store(cluster, &key, object, writer)?;
    if !writer.dry_run {
        types_changed(cluster, &key);
    }
    Ok(made)
}

/// What a client that made an object should be told of it.
#[must_use]
pub fn warnings(cluster: &Cluster, resource: &str, made: &Value) -> Vec<String> {
    let key = key_of(resource, made);
    let mut warnings = validation::warnings(&key, made);
    warnings.extend(admission::warnings(cluster, admission::Write { key: &key, old: None, dry_run: false }, made));
    warnings
}

/// Writes a new state of an object that is there. A `resourceVersion` in it must be the current one. Writing what is there
/// already changes nothing, not even the version. The last finalizer's end is the object's.
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
    let group = split(&key.resource).1;
    if !object.resource_version().is_empty() && object.resource_version() != old.resource_version() {
        return Err(Status::modified(&key.resource, &key.name));
    }
    if !object.uid().is_empty() && object.uid() != old.uid() {
        let why =
            format!("Precondition failed: UID in precondition: {}, UID in object meta: {}", object.uid(), old.uid());
        return Err(Status::conflict(&key.resource, &key.name, &why));
    }
    let known = cluster.schema.stored(&key.resource).cloned();
    let has_status = known.as_ref().is_some_and(|known| strategy::has_status(known));
    if part == Part::Main && has_status {
        keep(&mut object, &old, &["status"]);
    }
    if part == Part::Status {
        let mut new = old.clone();
        keep(&mut new, &object, &["status"]);
        for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
            // A status write may change what others hang onto the object, never what is wanted of it.
            keep(&mut new, &object, &["metadata", field]);
        }
        object = new;
    }
    // What only the server writes.
    for field in [
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
        "generateName",
    ] {
        keep(&mut object, &old, &["metadata", field]);
    }
    if part == Part::Main {
        defaults::apply(&key.resource, &mut object);
        defaults::prepare_update(&key.resource, &mut object, &old);
        let write = admission::Write { key, old: Some(&old), dry_run: writer.dry_run };
        admission::mutate(cluster, write, &mut object)?;
        let counts = strategy::counts_generations(&key.resource, &object);
        if counts && strategy::wanted(&object) != strategy::wanted(&old) {
            object.set(&["metadata", "generation"], old.generation() + 1);
        }
    }
    if object == old {
        return Ok(old);
    }
    if part == Part::Main {
        let causes = validation::update(key, &object, &old);
        if !causes.is_empty() {
            return Err(Status::invalid(group, object.kind(), &key.name, &causes));
        }
        admission::validate(cluster, admission::Write { key, old: Some(&old), dry_run: writer.dry_run }, &object)?;
    }
    if object.is_terminating() && is_done(key, &object) {
        if !writer.dry_run {
            cluster.write(key, None);
            types_changed(cluster, key);
        }
        return Ok(object);
    }
    let stored = store(cluster, key, object, writer)?;
    if !writer.dry_run {
        types_changed(cluster, key);
    }
    Ok(stored)
}

/// Makes a field what it is in another object, absent included.
fn keep(object: &mut Value, other: &Value, path: &[&str]) {
    match other.find(path) {
        Some(value) => {
            if object.find(path) != Some(value) {
                object.set(path, value.clone());
            }
        }
        None => {
            if object.find(path).is_some() {
                object.remove(path);
            }
        }
    }
}

/// Whether nothing holds an object that has been told to go.
#[must_use]
pub fn is_done(key: &ObjectKey, object: &Value) -> bool {
    let held = object.finalizers().next().is_some();
    let filled = key.is("namespaces") && !object.at(&["spec", "finalizers"]).is_empty();
    // A pod that may take its time is ended by its kubelet, not by the last finalizer.
    let running = key.is("pods") && object.at(&["metadata", "deletionGracePeriodSeconds"]).as_int().unwrap_or(0) > 0;
    !held && !filled && !running
}

/// Tells an object to go. It is gone at once if nothing keeps it; else it terminates. Gives it as it last was.
///
/// # Errors
/// What the API server would answer.
pub fn delete(cluster: &mut Cluster, key: &ObjectKey, deletion: &Deletion, writer: &Writer) -> Result<Value, Status> {
    let Some(old) = cluster.get(key).cloned() else {
        return Err(Status::not_found(&key.resource, &key.name));
    };
    admission::delete(key)?;
    let failed = |what: &str, asked: &str, have: &str| {
        let why = format!("Precondition failed: {what} in precondition: {asked}, {what} in object meta: {have}");
        Status::conflict(&key.resource, &key.name, &why)
    };
    if let Some(uid) = deletion.uid.as_ref().filter(|uid| *uid != old.uid()) {
        return Err(failed("UID", uid, old.uid()));
    }
    if let Some(version) = deletion.resource_version.as_ref().filter(|version| *version != old.resource_version()) {
        return Err(failed("ResourceVersion", version, old.resource_version()));
    }
    let mut doomed = old.clone();
    set_finalizers(&mut doomed, deletion.propagation.as_deref());
    let grace = grace(key, &old, deletion);
    let now = cluster.now();
    let began = old.is_terminating();
    let kept = old.at(&["metadata", "deletionGracePeriodSeconds"]).as_int().unwrap_or(0);
    if !began || (key.is("pods") && grace < kept) {
        let until = now + std::time::Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        doomed.set(&["metadata", "deletionTimestamp"], time::format(until));
        doomed.set(&["metadata", "deletionGracePeriodSeconds"], grace);
        if !began && strategy::counts_generations(&key.resource, &old) {
            doomed.set(&["metadata", "generation"], old.generation() + 1);
        }
        if key.is("namespaces") {
            doomed.set(&["status", "phase"], "Terminating");
        }
    }
    if is_done(key, &doomed) {
        if !writer.dry_run {
            cluster.write(key, None);
            types_changed(cluster, key);
        }
        return Ok(if began { doomed } else { old });
    }
    if doomed == old {
        return Ok(old);
    }
    store(cluster, key, doomed, writer)
}

/// How long a pod may take; nothing else is given time.
fn grace(key: &ObjectKey, object: &Value, deletion: &Deletion) -> i64 {
    if !key.is("pods") {
        return 0;
    }
    let over = matches!(object.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed");
    let unplaced = object.at(&["spec", "nodeName"]).is_empty();
    let asked = deletion.grace_period_seconds;
    let own = object.at(&["spec", "terminationGracePeriodSeconds"]).as_int().unwrap_or(30);
    match asked.unwrap_or(own) {
        _ if unplaced || (over && asked.is_none()) => 0,
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}

/// The finalizers through which the garbage collector learns what becomes of the dependents.
fn set_finalizers(object: &mut Value, propagation: Option<&str>) {
    let wanted = match propagation {
        Some("Foreground") => Some("foregroundDeletion"),
        Some("Orphan") => Some("orphan"),
        Some(_) => None,
        None => return, // whatever it was told before stays
    };
    let mut finalizers: Vec<Value> =
        object.finalizers().filter(|name| !matches!(*name, "foregroundDeletion" | "orphan")).map(Value::from).collect();
    finalizers.extend(wanted.map(Value::from));
    if finalizers.is_empty() {
        if object.find(&["metadata", "finalizers"]).is_some() {
            object.remove(&["metadata", "finalizers"]);
        }
    } else {
        object.set(&["metadata", "finalizers"], finalizers);
    }
}

/// Nothing is made in a namespace that is not there or is going.
fn in_living_namespace(cluster: &Cluster, key: &ObjectKey) -> Result<(), Status> {
    if key.namespace.is_empty() {
        return Ok(());
    }
    match cluster.get(&ObjectKey::new("namespaces", "", key.namespace.clone())) {
        None => Err(Status::not_found("namespaces", &key.namespace)),
        Some(namespace) if namespace.is_terminating() => {
            let why =
                format!("unable to create new content in namespace {} because it is being terminated", key.namespace);
            let cause = doc!({
                "reason": "NamespaceTerminating", "field": "metadata.namespace",
                "message": (format!("namespace {} is being terminated", key.namespace)),
            });
            Err(Status::forbidden(&key.resource, &key.name, &why).because(vec![cause]))
        }
        Some(_) => Ok(()),
    }
}

/// A CustomResourceDefinition that comes, changes or goes changes what the API server serves.
fn types_changed(cluster: &mut Cluster, key: &ObjectKey) {
    if !key.is("customresourcedefinitions.apiextensions.k8s.io") {
        return;
    }
    let schema = match cluster.get(key) {
        Some(definition) => cluster.schema.with_definition(definition).ok(),
        None => {
            let (plural, group) = split(&key.name);
            Some(cluster.schema.without(group, plural))
        }
    };
    if let Some(schema) = schema {
        cluster.schema = schema;
    }
}

/// Sets a condition; its `lastTransitionTime` moves only if its status does.
pub fn set_condition(object: &mut Value, now: &str, mut condition: Value) {
    let kind = condition.at(&["type"]).clone();
    let conditions = object.make(&["status", "conditions"]).array();
    let place = conditions.iter().position(|have| *have.at(&["type"]) == kind);
    let old = place.and_then(|at| conditions.get(at));
    let since = match old {
        Some(old) if old.at(&["status"]) == condition.at(&["status"]) => old.at(&["lastTransitionTime"]).clone(),
        _ => Value::from(now),
    };
    condition.set(&["lastTransitionTime"], since);
    match place.and_then(|at| conditions.get_mut(at)) {
        Some(have) => *have = condition,
        None => conditions.push(condition),
    }
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
