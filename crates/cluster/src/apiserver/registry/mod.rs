//! The verbs that change objects, the same for every kind.
//!
//! Knows: what the API server does to any object on its way in: names, uids, generations, finalizers.
//! Does not know: how a call came in; what controllers make of the change.
//!
//! | file | does |
//! |---|---|
//! | `strategy` | what differs from kind to kind, as data |
//! | `delete` | how an object goes |
//! | `names` | names and uids |
//! | `definitions` | what a CustomResourceDefinition changes about the server itself |

pub mod definitions;
mod delete;
mod names;
mod strategy;

pub use delete::{Deleted, Deletion, delete, is_done, remove};
pub use names::{random_suffix, random_uid};
pub use strategy::{answers_with_itself, makes_on_update};

use super::{admission, apply, auth, custom, defaults, validation};
use crate::apiserver::status::{Cause, Status, split};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::split_api_version;
use crate::time;
use crate::value::{List, Text, Value};
use definitions::types_changed;
use strategy::Strategy;

/// Who writes, and how.
#[derive(Clone, Debug)]
pub struct Writer {
    /// Who; admission and escalation checks want to know.
    pub user: crate::apiserver::User,
    /// The field manager that what is written belongs to.
    pub manager: String,
    /// The `apiVersion` in whose words it is said; empty for the one in which objects are kept.
    pub version: Text,
    /// Through which subresource it is written; empty for none.
    pub subresource: Text,
    /// Whether the object says already who owns what, because it was applied.
    pub applied: bool,
    /// Whether everything happens but the writing.
    pub dry_run: bool,
    /// Whether the call names no object: it is about a collection, or the name is still to be made.
    pub unnamed: bool,
    /// The options of the call, as policies see them: `fieldManager` and the like.
    pub options: Value,
    /// What the writer is told of though it is not refused.
    pub heard: Heard,
}

/// Sentences for the writer, whoever holds a copy of it.
pub type Heard = std::rc::Rc<std::cell::RefCell<Vec<String>>>;

impl Writer {
    /// A part of the control plane, such as `deployment-controller`, which runs in `kube-controller-manager`.
    #[must_use]
    pub fn component(name: &str, program: &str) -> Self {
        // Each controller has an account of its own, by which policies know it.
        let user = match program {
            "kube-controller-manager" => format!("serviceaccount:kube-system:{name}"),
            "kube-apiserver" => "apiserver".to_owned(),
            "kube-scheduler" => program.to_owned(),
            _ => name.to_owned(),
        };
        Self {
            user: crate::apiserver::User::component(&user),
            manager: program.to_owned(),
            version: Text::default(),
            subresource: Text::default(),
            applied: false,
            dry_run: false,
            unnamed: false,
            options: Value::Null,
            heard: Heard::default(),
        }
    }
}

/// Which part of an object a write may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All but the status.
    Main,
    /// The status alone.
    Status,
    /// Of a pod: the containers that are put into it while it runs.
    EphemeralContainers,
    /// Of a pod: what its containers ask for.
    Resources,
    /// Of a namespace: all but the status, and who still has to empty it, which no other write changes.
    Finalizers,
}

/// How often a generated name may be taken before the server gives up.
const NAMES_TRIED: usize = 8;

/// Makes a new object of `resource` (`deployments.apps`). Gives it as it was stored.
///
/// # Errors
/// What the API server would answer.
pub fn create(cluster: &mut Cluster, resource: &str, mut object: Value, writer: &Writer) -> Result<Value, Status> {
    let known = cluster.schema.stored(resource).cloned();
    let strategy = Strategy::of(resource, known.as_deref());
    let group = split(resource).1;
    let unnamed = ObjectKey::new(resource, object.namespace(), asked_name(&object));
    let nameless = object.name().is_empty();
    in_living_namespace(cluster, &unnamed)?;
    name(cluster, resource, &mut object);
    let key = key_of(resource, &object);
    auth::check_escalation(cluster, &key, &object, None, &writer.user)?;

    let version = object.resource_version().to_owned();
    for field in ["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        if object.find(&["metadata", field]).is_some() {
            object.remove(&["metadata", field]);
        }
    }
    let uid = random_uid(cluster);
    object.set(&["metadata", "uid"], uid);
    object.set(&["metadata", "creationTimestamp"], time::format(cluster.now()));
    if !strategy.takes_status_at_first() && object.get("status").is_some() {
        object.object().remove("status");
    }
    if strategy.begins_with_a_generation() {
        object.set(&["metadata", "generation"], 1);
    }
    if resource == "certificatesigningrequests.certificates.k8s.io" {
        ask_as(&writer.user, &mut object);
    }
    forget_zeros(known.as_deref(), &mut object);
    defaults::apply(resource, &mut object);
    let schema = custom::schema(cluster, resource, &writer.version);
    if let Some(schema) = &schema {
        custom::fill(schema, &mut object);
    }
    own(cluster, resource, Part::Main, writer, None, &mut object);
    // Names are made when all that changes an object has seen it.
    let before = Writer { unnamed: nameless, ..writer.clone() };
    admission::mutate(cluster, admission::Write { key: &unnamed, old: None, writer: &before }, &mut object)?;
    let write = admission::Write { key: &key, old: None, writer };
    defaults::prepare_create(resource, &mut object);
    if resource == "pods" {
        writer.heard.borrow_mut().extend(defaults::from_annotations(&mut object));
    }
    if resource == definitions::RESOURCE {
        definitions::first_status(&mut object);
    }
    if let Some(typed) = known.as_ref().and_then(|known| known.ty().as_go(&object)) {
        object = typed;
    }
    let mut causes = validation::create(&key, &writer.version, &object);
    if key.name.is_empty() && !causes.iter().any(|cause| cause.field == "metadata.name") {
        causes.insert(0, Cause::required("metadata.name", "name or generateName is required"));
    }
    causes.extend(schema.iter().flat_map(|schema| custom::causes(schema, &object, None)));
    if !causes.is_empty() {
        return Err(Status::invalid(group, object.kind(), &key.name, &causes));
    }
    writer.heard.borrow_mut().extend(validation::warnings(&key, &object, None));
    let names_a_version = version.parse::<u64>().is_ok_and(|version| version != 0);
    if names_a_version && !writer.dry_run && !writer.applied {
        // The storage says this, so it is said as its own error, and only when something is to be stored. What is
        // applied goes another way into it.
        return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    if let Some(there) = cluster.get(&key) {
        return Err(already_there(&key, there));
    }
    admission::validate(cluster, write, &object)?;
    Ok(store(cluster, &key, object, writer))
}

/// Drops what says nothing to Go, which is how defaults see an object: text that is empty is none, unless it is a pointer.
fn forget_zeros(known: Option<&crate::schema::Resource>, object: &mut Value) {
    if let Some(less) = known.and_then(|known| known.ty().without_zeros(object)) {
        *object = less;
    }
}

/// Whoever asks for a certificate is who the request says asks, whatever it says.
fn ask_as(user: &crate::apiserver::User, request: &mut Value) {
    for field in ["username", "uid", "groups", "extra"] {
        request.remove(&["spec", field]);
    }
    request.set(&["spec", "username"], &user.name);
    if !user.uid.is_empty() {
        request.set(&["spec", "uid"], &user.uid);
    }
    request.set(&["spec", "groups"], user.groups.iter().map(String::as_str).collect::<Value>());
    for (key, values) in &user.extra {
        request.set(&["spec", "extra", key], values.iter().map(String::as_str).collect::<Value>());
    }
}

/// What is said of an object before it has a name: the beginning of the one that is made for it.
fn asked_name(object: &Value) -> &str {
    let prefix = object.at(&["metadata", "generateName"]).str_or_empty();
    [object.name(), prefix].into_iter().find(|name| !name.is_empty()).unwrap_or("Unknown")
}

/// The name is taken, if only for as long as what has it is going.
fn already_there(key: &ObjectKey, there: &Value) -> Status {
    let mut status = Status::already_exists(&key.resource, &key.name);
    if there.is_terminating() {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}

/// Gives an object that asks for it a name that is not taken.
fn name(cluster: &mut Cluster, resource: &str, object: &mut Value) {
    let prefix = object.at(&["metadata", "generateName"]).str_or_empty().to_owned();
    if !object.name().is_empty() || prefix.is_empty() {
        return;
    }
    for _ in 0..NAMES_TRIED {
        let name = names::generated(cluster, &prefix);
        object.set(&["metadata", "name"], name);
        if cluster.get(&key_of(resource, object)).is_none() {
            return;
        }
    }
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
    let Some(old) = cluster.get(key).map(|kept| custom::as_read(cluster, &key.resource, kept)) else {
        return Err(Status::not_found(&key.resource, &key.name));
    };
    let known = cluster.schema.stored(&key.resource).cloned();
    let strategy = Strategy::of(&key.resource, known.as_deref());
    let group = split(&key.resource).1;
    check_version(key, &object, &old, &strategy)?;
    auth::check_escalation(cluster, key, &object, Some(&old), &writer.user)?;
    let uid = object.uid().to_owned();
    let schema = custom::schema(cluster, &key.resource, &writer.version);
    match part {
        Part::Main | Part::Finalizers if strategy.has_status() => keep(&mut object, &old, &["status"]),
        Part::Main | Part::Finalizers => {}
        Part::Status => {
            let mut new = old.clone();
            keep(&mut new, &object, &["status"]);
            if writer.applied {
                keep(&mut new, &object, &["metadata", "managedFields"]);
            }
            for field in strategy.metadata_with_status() {
                keep(&mut new, &object, &["metadata", field]);
            }
            object = new;
        }
        Part::EphemeralContainers | Part::Resources => {
            let mut new = old.clone();
            if writer.applied {
                keep(&mut new, &object, &["metadata", "managedFields"]);
            }
            match part {
                Part::Resources => resize(&mut new, &object),
                _ => keep(&mut new, &object, &["spec", "ephemeralContainers"]),
            }
            object = new;
        }
    }
    // What only the server writes.
    for field in ["uid", "creationTimestamp", "generation", "resourceVersion"] {
        keep(&mut object, &old, &["metadata", field]);
    }
    // An object that goes cannot be told to stay; one that stays is told to go in another way.
    let going = ["deletionTimestamp", "deletionGracePeriodSeconds"].map(|field| ["metadata", field]);
    for path in going.iter().filter(|path| old.find(*path).is_some()) {
        if !matches!(part, Part::Main | Part::Finalizers)
            || path.last() == Some(&"deletionTimestamp")
            || object.find(path).is_none()
        {
            keep(&mut object, &old, path);
        }
    }
    match part {
        Part::Main | Part::Finalizers | Part::EphemeralContainers | Part::Resources => {
            forget_zeros(known.as_deref(), &mut object);
            defaults::apply(&key.resource, &mut object);
            if let Some(schema) = &schema {
                custom::fill(schema, &mut object);
            }
            own(cluster, &key.resource, part, writer, Some(&old), &mut object);
            defaults::prepare_update(&key.resource, &mut object, &old);
            let write = admission::Write { key, old: Some(&old), writer };
            admission::mutate(cluster, write, &mut object)?;
            match key.resource.as_str() {
                definitions::RESOURCE => definitions::remember_versions(&mut object),
                // What empties a namespace says so elsewhere.
                "namespaces" if part != Part::Finalizers => keep(&mut object, &old, &["spec", "finalizers"]),
                _ => {}
            }
            if strategy.is_new_generation(&object, &old) {
                object.set(&["metadata", "generation"], old.generation() + 1);
            }
        }
        Part::Status => {
            if key.is("pods") {
                keep(&mut object, &old, &["status", "qosClass"]);
                one_address(&mut object);
            }
            own(cluster, &key.resource, part, writer, Some(&old), &mut object);
        }
    }
    if let Some(typed) = known.as_ref().and_then(|known| known.ty().as_go(&object)) {
        match part {
            // A write of the status leaves the rest as it is, to the letter.
            Part::Status => keep(&mut object, &typed, &["status"]),
            _ => object = typed,
        }
    }
    let warned = |object: &Value| {
        if part == Part::Main {
            writer.heard.borrow_mut().extend(validation::warnings(key, object, Some(&old)));
        }
    };
    if (object == old || apply::differ_in_times_only(&object, &old)) && (uid.is_empty() || uid == old.uid()) {
        warned(&old);
        return Ok(old);
    }
    let mut causes = update_causes(key, &writer.version, &object, &old, &uid, part);
    causes.extend(schema.iter().flat_map(|schema| custom::causes(schema, &object, Some(&old))));
    if !causes.is_empty() {
        return Err(Status::invalid(group, object.kind(), &key.name, &causes));
    }
    warned(&object);
    let write = admission::Write { key, old: Some(&old), writer };
    match part {
        Part::Status => admission::validate_status(cluster, write, &object)?,
        _ => admission::validate(cluster, write, &object)?,
    }
    if object.is_terminating() && is_done(key, &object) {
        if !writer.dry_run {
            cluster.write(key, None);
            types_changed(cluster, key);
        }
        return Ok(object);
    }
    Ok(store(cluster, key, object, writer))
}

/// A pod's address is the first of its addresses; whoever says only one of the two says both.
fn one_address(pod: &mut Value) {
    let one = pod.at(&["status", "podIP"]).clone();
    let first =
        pod.at(&["status", "podIPs"]).items().first().map(|first| first.at(&["ip"]).clone()).unwrap_or_default();
    if !one.is_empty() && one != first {
        pod.set(&["status", "podIPs"], doc!([{"ip": (one)}]));
    } else if one.is_empty() && !first.is_empty() {
        pod.set(&["status", "podIP"], first);
    }
}

/// Gives the containers of a pod what those of the same names in another ask for.
fn resize(pod: &mut Value, asked: &Value) {
    for list in ["containers", "initContainers"] {
        let containers = pod.find_mut(&["spec", list]).and_then(Value::as_array_mut).map(List::edit);
        for container in containers.into_iter().flatten() {
            let name = container.at(&["name"]).clone();
            let asks = asked.at(&["spec", list]).items().iter().find(|asks| *asks.at(&["name"]) == name);
            for field in ["resources", "resizePolicy"] {
                if let Some(asks) = asks {
                    keep(container, asks, &[field]);
                }
            }
        }
    }
}

/// What is written must be a change of what its writer saw.
fn check_version(key: &ObjectKey, object: &Value, old: &Value, strategy: &Strategy<'_>) -> Result<(), Status> {
    let version = match object.resource_version() {
        "0" => "",
        version => version,
    };
    if !version.is_empty() && version.parse::<u64>().is_err() {
        return Err(Status::new(500, "", format!("strconv.ParseUint: parsing {version:?}: invalid syntax")));
    }
    if !version.is_empty() && version != old.resource_version() {
        return Err(Status::modified(&key.resource, &key.name));
    }
    if version.is_empty() && strategy.wants_version() {
        // The real server names the resource where others name the kind.
        let (plural, group) = split(&key.resource);
        let cause = Cause::invalid("metadata.resourceVersion", 0, "must be specified for an update");
        return Err(Status::invalid(group, plural, &key.name, &[cause]));
    }
    Ok(())
}

/// What is wrong with a change. The real server checks metadata twice, once for all kinds and once for each, and says so
/// twice; each kind's check is validation's.
fn update_causes(key: &ObjectKey, version: &str, object: &Value, old: &Value, uid: &str, part: Part) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut fixed = Vec::new();
    if !uid.is_empty() && uid != old.uid() {
        fixed.push(Cause::invalid("metadata.uid", uid, "field is immutable"));
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        let said = object.at(&["metadata", field]);
        if said != old.at(&["metadata", field]) {
            fixed.push(Cause::invalid(format!("metadata.{field}"), said.clone(), "field is immutable"));
        }
    }
    causes.extend(fixed.iter().chain(&fixed).cloned());
    causes.extend(match part {
        Part::Main | Part::Finalizers => validation::update(key, version, object, old),
        Part::Status => validation::status(key, object, old),
        Part::EphemeralContainers => validation::ephemeral_containers(key, object, old),
        Part::Resources => validation::resize(key, object, old),
    });
    causes
}

/// What is known of a write as far as ownership of fields goes; none for a resource that nobody knows.
pub(super) fn writing<'a>(
    cluster: &'a Cluster,
    resource: &str,
    part: Part,
    writer: &'a Writer,
) -> Option<apply::Writing<'a>> {
    let kept = cluster.schema.stored(resource)?;
    let (group, version) = split_api_version(&writer.version);
    let spoken = cluster.schema.by_kind(group, version, &kept.kind).unwrap_or(kept);
    let subresource = match part {
        Part::Status if writer.subresource.is_empty() => "status",
        _ => writer.subresource.as_str(),
    };
    Some(apply::Writing {
        schema: &cluster.schema,
        resource: spoken,
        manager: &writer.manager,
        subresource,
        unreached: Strategy::of(resource, Some(kept)).unreached(subresource),
        now: time::format(cluster.now()).into(),
    })
}

/// Notes in an object who owns what of it after a write.
fn own(cluster: &Cluster, resource: &str, part: Part, writer: &Writer, old: Option<&Value>, object: &mut Value) {
    if !writer.applied
        && let Some(writing) = writing(cluster, resource, part, writer)
    {
        writing.update(old, object);
    }
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

fn store(cluster: &mut Cluster, key: &ObjectKey, object: Value, writer: &Writer) -> Value {
    if writer.dry_run {
        return object;
    }
    let stored = cluster.write(key, Some(object.clone())).unwrap_or(object);
    types_changed(cluster, key);
    stored
}

/// The resource of a kind, as in object keys.
#[must_use]
pub fn key_of(resource: &str, object: &Value) -> ObjectKey {
    ObjectKey { resource: Text::from(resource), namespace: object.namespace().into(), name: object.name().into() }
}
