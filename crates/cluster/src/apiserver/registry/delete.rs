//! How an object goes.
//!
//! Knows: preconditions, grace, and the finalizers that keep an object until someone has done what they stand for, as
//! `k8s.io/apiserver/pkg/registry/{rest,generic/registry}` have them.
//! Does not know: who takes the finalizers away. The garbage collector, the namespace controller and the kubelets do.

use std::time::Duration;

use super::strategy::{Dependents, Strategy};
use super::{Writer, definitions, set_condition, types_changed};
use crate::apiserver::admission;
use crate::apiserver::status::Status;
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;

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

/// What came of a delete.
#[derive(Clone, Debug, PartialEq)]
pub struct Deleted {
    /// The object as it last was.
    pub object: Value,
    /// Whether it is gone; else it terminates.
    pub gone: bool,
}

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Tells an object to go. It is gone at once if nothing keeps it; else it terminates.
///
/// # Errors
/// What the API server would answer.
pub fn remove(cluster: &mut Cluster, key: &ObjectKey, deletion: &Deletion, writer: &Writer) -> Result<Deleted, Status> {
    admission::delete(key)?;
    let Some(old) = cluster.get(key).cloned() else {
        return Err(Status::not_found(&key.resource, &key.name));
    };
    let known = cluster.schema.stored(&key.resource).cloned();
    let strategy = Strategy::of(&key.resource, known.as_deref());
    check_preconditions(&key.resource, &old, deletion)?;
    admission::validate_delete(cluster, admission::Write { key, old: Some(&old), writer })?;
    match key.resource.as_str() {
        "namespaces" if !old.is_terminating() || !old.at(&["spec", "finalizers"]).is_empty() => {
            return terminate_namespace(cluster, key, old, deletion, &strategy, writer);
        }
        definitions::RESOURCE if !old.is_terminating() => {
            let marked = definitions::terminating(old, &time::format(cluster.now()));
            return Ok(Deleted { object: write(cluster, key, marked, writer), gone: false });
        }
        _ => {}
    }

    let mut doomed = old.clone();
    let graceful = if key.is("pods") { grace(cluster, &mut doomed, deletion) } else { Grace::None };
    if graceful == Grace::Pending {
        return Ok(Deleted { object: old, gone: false });
    }
    set_propagation(&mut doomed, &strategy, deletion.propagation.as_deref());
    let held = doomed.finalizers().next().is_some();
    match graceful {
        Grace::Period(seconds) => {
            // The mark is written even if nothing keeps the object: whoever watches sees it before the object goes.
            let marked = write(cluster, key, doomed, writer);
            if held || seconds > 0 {
                return Ok(Deleted { object: marked, gone: false });
            }
            doomed = marked;
        }
        _ if held => {
            mark(&mut doomed, &time::format(cluster.now()));
            return Ok(Deleted { object: write(cluster, key, doomed, writer), gone: false });
        }
        _ => {}
    }
    if !writer.dry_run {
        cluster.write(key, None);
        types_changed(cluster, key);
    }
    Ok(Deleted { object: doomed, gone: true })
}

/// Tells an object to go, and gives it as it last was.
///
/// # Errors
/// What the API server would answer.
pub fn delete(cluster: &mut Cluster, key: &ObjectKey, deletion: &Deletion, writer: &Writer) -> Result<Value, Status> {
    remove(cluster, key, deletion, writer).map(|deleted| deleted.object)
}

/// Writes a new state, unless it says what is there already.
fn write(cluster: &mut Cluster, key: &ObjectKey, object: Value, writer: &Writer) -> Value {
    if writer.dry_run || cluster.get(key) == Some(&object) {
        return object;
    }
    cluster.write(key, Some(object.clone())).unwrap_or(object)
}

fn check_preconditions(resource: &str, old: &Value, deletion: &Deletion) -> Result<(), Status> {
    // The real server names the kind where others name the resource.
    let group = super::split(resource).1;
    let kind = crate::apiserver::status::join(old.kind(), group);
    let conflict = |why: String| Err(Status::conflict(&kind, old.name(), &why));
    if let Some(uid) = deletion.uid.as_ref().filter(|uid| *uid != old.uid()) {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            old.uid()
        ));
    }
    if let Some(version) = deletion.resource_version.as_ref().filter(|version| *version != old.resource_version()) {
        return conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The \
             object might have been modified",
            old.resource_version()
        ));
    }
    Ok(())
}

/// How a pod's grace stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grace {
    /// It has none, or it is over: the object goes at once if nothing holds it.
    None,
    /// It goes on, and the delete does not shorten it.
    Pending,
    /// It begins, or is shortened to so many seconds.
    Period(i64),
}

/// `rest.BeforeDelete` for the only kind that is given time to stop.
fn grace(cluster: &Cluster, pod: &mut Value, deletion: &Deletion) -> Grace {
    let asked = deletion.grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
    if pod.is_terminating() {
        let rest = pod.at(&["metadata", "deletionGracePeriodSeconds"]).as_int().unwrap_or(0);
        return match asked {
            _ if rest == 0 => Grace::None,
            Some(seconds) if seconds < rest => {
                let end = pod.time(&["metadata", "deletionTimestamp"]).unwrap_or(cluster.now());
                let sooner = Duration::from_secs(u64::try_from(rest - seconds).unwrap_or(0));
                pod.set(&["metadata", "deletionTimestamp"], time::format(end - sooner));
                pod.set(&["metadata", "deletionGracePeriodSeconds"], seconds);
                Grace::Period(seconds)
            }
            _ => Grace::Pending,
        };
    }
    let own = pod.at(&["spec", "terminationGracePeriodSeconds"]).as_int().unwrap_or(0);
    let over = matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed");
    let unplaced = pod.at(&["spec", "nodeName"]).is_empty();
    let seconds = match asked.unwrap_or(own) {
        _ if unplaced || over => 0,
        negative if negative < 0 => 1,
        seconds => seconds,
    };
    let end = cluster.now() + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    pod.set(&["metadata", "deletionTimestamp"], time::format(end));
    pod.set(&["metadata", "deletionGracePeriodSeconds"], seconds);
    count_generation(pod);
    Grace::Period(seconds)
}

/// Has an object that only its finalizers keep say since when.
fn mark(object: &mut Value, now: &str) {
    if object.at(&["metadata", "deletionGracePeriodSeconds"]).is_null() {
        count_generation(object);
    }
    if !object.is_terminating() {
        object.set(&["metadata", "deletionTimestamp"], now);
    }
    object.set(&["metadata", "deletionGracePeriodSeconds"], 0);
}

fn count_generation(object: &mut Value) {
    let generation = object.generation();
    if generation > 0 {
        object.set(&["metadata", "generation"], generation + 1);
    }
}

/// The finalizers through which the garbage collector learns what becomes of the dependents.
fn set_propagation(object: &mut Value, strategy: &Strategy<'_>, propagation: Option<&str>) {
    let has = |name: &str| object.finalizers().any(|finalizer| finalizer == name);
    let wanted = match (propagation, strategy.dependents()) {
        (_, Dependents::None) => return,
        (Some("Orphan"), _) => Some(ORPHAN),
        (Some("Foreground"), _) => Some(FOREGROUND),
        (Some(_), _) => None,
        // What was decided before stands.
        (None, _) if has(ORPHAN) => Some(ORPHAN),
        (None, _) if has(FOREGROUND) => Some(FOREGROUND),
        (None, Dependents::Stay) => Some(ORPHAN),
        (None, Dependents::Go) => None,
    };
    let mut finalizers: Vec<Value> =
        object.finalizers().filter(|name| !matches!(*name, FOREGROUND | ORPHAN)).map(Value::from).collect();
    finalizers.extend(wanted.map(Value::from));
    if finalizers.is_empty() {
        object.remove(&["metadata", "finalizers"]);
    } else {
        object.set(&["metadata", "finalizers"], finalizers);
    }
}

/// A namespace goes when it is empty; until then it says that it is going.
fn terminate_namespace(
    cluster: &mut Cluster,
    key: &ObjectKey,
    old: Value,
    deletion: &Deletion,
    strategy: &Strategy<'_>,
    writer: &Writer,
) -> Result<Deleted, Status> {
    let mut namespace = old.clone();
    if !old.is_terminating() {
        namespace.set(&["metadata", "deletionTimestamp"], time::format(cluster.now()));
        namespace.set(&["status", "phase"], "Terminating");
        set_propagation(&mut namespace, strategy, deletion.propagation.as_deref());
    }
    Ok(Deleted { object: write(cluster, key, namespace, writer), gone: false })
}

/// Whether nothing holds an object that has been told to go.
#[must_use]
pub fn is_done(key: &ObjectKey, object: &Value) -> bool {
    let held = object.finalizers().next().is_some();
    let filled = key.is("namespaces") && !object.at(&["spec", "finalizers"]).is_empty();
    // A pod that may take its time is ended by its kubelet, not by the last finalizer.
    let grace = object.at(&["metadata", "deletionGracePeriodSeconds"]).as_int().unwrap_or(0);
    !held && !filled && grace == 0
}

/// Says in a definition's status that its objects are about to be deleted.
pub(super) fn instances_pending(definition: &mut Value, now: &str) {
    set_condition(
        definition,
        now,
        doc!({
            "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        }),
    );
}
