//! What a Deployment says of itself: counts, and how its rollout goes.
//!
//! Knows: the conditions `Available`, `Progressing` and `ReplicaFailure`, with their reasons and sentences.
//! Does not know: how a rollout is moved on.

use super::{CLIENT, Rollout, deadline, now_text, number, wanted};
use crate::apiserver::Status;
use crate::cluster::Cluster;
use crate::controllers::Next;
use crate::controllers::children::set_count;
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

/// Writes counts and conditions; how the rollout goes only if it `rolls`.
pub(super) fn write(cluster: &mut Cluster, rollout: &Rollout, rolls: bool) -> Next {
    let sum = |field: &str| rollout.sets.iter().map(|(_, set)| number(set, &["status", field])).sum::<i64>();
    let new = rollout.current().map(|(_, set)| set.clone());
    let (now, old) = (now_text(cluster), rollout.deployment.clone());
    let status = old.at(&["status"]).clone();
    let available = sum("availableReplicas");
    let total: i64 = rollout.sets.iter().map(|(_, set)| wanted(set)).sum();
    let generation = old.generation();
    let mut next = Next::Done;
    let clock = cluster.now();

    let _ = CLIENT.update_status(cluster, &rollout.key, |deployment| {
        set_count(deployment, &["status", "replicas"], sum("replicas"));
        set_count(
            deployment,
            &["status", "updatedReplicas"],
            new.as_ref().map_or(0, |set| number(set, &["status", "replicas"])),
        );
        set_count(deployment, &["status", "readyReplicas"], sum("readyReplicas"));
        set_count(deployment, &["status", "availableReplicas"], available);
        set_count(deployment, &["status", "unavailableReplicas"], (total - available).max(0));
        deployment.set(&["status", "terminatingReplicas"], sum("terminatingReplicas"));
        deployment.set(&["status", "observedGeneration"], generation);

        let enough = available >= rollout.replicas() - rollout.max_unavailable();
        let (truth, reason, message) = if enough {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        set(deployment, "Available", truth, reason, message, &now);
        if rolls {
            next = progress(deployment, rollout, new.as_ref(), &status, &now, clock);
            failure(deployment, rollout, &now);
        }
    });
    next
}

/// A pause is told of in place of progress, and so is its end. A rollout that had come to its deadline stays so.
pub(super) fn pause(cluster: &mut Cluster, key: &ObjectKey, paused: bool) {
    let now = now_text(cluster);
    let _ = CLIENT.update_status(cluster, key, |deployment| {
        let reason = deployment.condition("Progressing").map(|condition| condition.at(&["reason"]).str_or_empty());
        if deadline(deployment).is_none() || reason == Some("ProgressDeadlineExceeded") {
            return;
        }
        match (paused, reason == Some("DeploymentPaused")) {
            (true, false) => {
                set(deployment, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", &now);
            }
            (false, true) => {
                set(deployment, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", &now);
            }
            _ => {}
        }
    });
}

/// The `Progressing` condition (`syncRolloutStatus`). Gives when the deadline has to be looked at.
fn progress(
    deployment: &mut Value,
    rollout: &Rollout,
    new: Option<&Value>,
    before: &Value,
    now: &str,
    clock: twin::Time,
) -> Next {
    let Some(limit) = deadline(deployment) else {
        remove(deployment, "Progressing");
        return Next::Done;
    };
    let current = deployment.condition("Progressing").cloned();
    let reason = current.as_ref().map_or("", |condition| condition.at(&["reason"]).str_or_empty()).to_owned();
    let stands_complete = number(deployment, &["status", "replicas"])
        == number(deployment, &["status", "updatedReplicas"])
        && reason == "NewReplicaSetAvailable";
    let name = new.map_or_else(|| deployment.name().to_owned(), |set| set.name().to_owned());
    let what = if new.is_some() { "ReplicaSet" } else { "Deployment" };
    if !stands_complete {
        let status = |field: &str| number(deployment, &["status", field]);
        let complete = status("updatedReplicas") == rollout.replicas()
            && status("replicas") == rollout.replicas()
            && status("availableReplicas") == rollout.replicas();
        let was = |field: &str| before.at(&[field]).as_int().unwrap_or(0);
        let moved = status("updatedReplicas") > was("updatedReplicas")
            || (status("replicas") - status("updatedReplicas")) < (was("replicas") - was("updatedReplicas"))
            || status("readyReplicas") > was("readyReplicas")
            || status("availableReplicas") > was("availableReplicas");
        let since = current.as_ref().and_then(|condition| condition.time(&["lastUpdateTime"]));
        let late = since.is_some_and(|since| since + limit <= clock);
        if complete {
            let message = format!("{what} \"{name}\" has successfully progressed.");
            set(deployment, "Progressing", "True", "NewReplicaSetAvailable", &message, now);
        } else if moved {
            let message = format!("{what} \"{name}\" is progressing.");
            let mut condition = doc!({
                "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": (message),
                "lastUpdateTime": (now), "lastTransitionTime": (now),
            });
            if let Some(current) = current.filter(|current| current.at(&["status"]) == "True") {
                let since = current.at(&["lastTransitionTime"]).clone();
                condition.set(&["lastTransitionTime"], since);
            }
            remove(deployment, "Progressing");
            put(deployment, condition);
        } else if late && reason != "ProgressDeadlineExceeded" {
            let message = format!("{what} \"{name}\" has timed out progressing.");
            set(deployment, "Progressing", "False", "ProgressDeadlineExceeded", &message, now);
        }
    }
    let condition = deployment.condition("Progressing");
    let waiting = condition.is_some_and(|condition| {
        !matches!(
            condition.at(&["reason"]).str_or_empty(),
            "NewReplicaSetAvailable" | "ProgressDeadlineExceeded" | "DeploymentPaused"
        )
    });
    let since = condition.and_then(|condition| condition.time(&["lastUpdateTime"]));
    match since.filter(|_| waiting) {
        Some(since) => Next::After((since + limit).since(clock)),
        None => Next::Done,
    }
}

/// `ReplicaFailure` stands while a ReplicaSet says so.
fn failure(deployment: &mut Value, rollout: &Rollout, now: &str) {
    let found = rollout.sets.iter().rev().find_map(|(_, set)| set.condition("ReplicaFailure"));
    match found {
        Some(condition) => {
            let text = |field: &str| condition.at(&[field]).str_or_empty().to_owned();
            set(deployment, "ReplicaFailure", "True", &text("reason"), &text("message"), now);
        }
        None => remove(deployment, "ReplicaFailure"),
    }
}

/// A new ReplicaSet was made.
pub(super) fn created(cluster: &mut Cluster, key: &ObjectKey, set_made: &Value) {
    begin(cluster, key, "NewReplicaSetCreated", &format!("Created new replica set \"{}\"", set_made.name()), true);
}

/// A ReplicaSet with the current template was there already.
pub(super) fn found(cluster: &mut Cluster, key: &ObjectKey, set_found: &Value) {
    let message = format!("Found new replica set \"{}\"", set_found.name());
    begin(cluster, key, "FoundNewReplicaSet", &message, false);
}

/// Begins to tell of a rollout, if it is limited in time; over what is told already only if it is another rollout.
fn begin(cluster: &mut Cluster, key: &ObjectKey, reason: &str, message: &str, anew: bool) {
    let now = now_text(cluster);
    let _ = CLIENT.update_status(cluster, key, |deployment| {
        if deadline(deployment).is_some() && (anew || deployment.condition("Progressing").is_none()) {
            set(deployment, "Progressing", "True", reason, message, &now);
        }
    });
}

/// A new ReplicaSet could not be made.
pub(super) fn failed(cluster: &mut Cluster, key: &ObjectKey, name: &str, status: &Status) {
    let now = now_text(cluster);
    let message = format!("Failed to create new replica set \"{name}\": {status}");
    let _ = CLIENT.update_status(cluster, key, |deployment| {
        set(deployment, "Progressing", "False", "ReplicaSetCreateError", &message, &now);
    });
}

/// Sets a condition. Nothing is written if status and reason stand already; the transition time moves with the status.
fn set(deployment: &mut Value, kind: &str, truth: &str, reason: &str, message: &str, now: &str) {
    let current = deployment.condition(kind).cloned();
    if let Some(current) = &current
        && current.at(&["status"]) == truth
        && current.at(&["reason"]) == reason
    {
        return;
    }
    let since = match &current {
        Some(current) if current.at(&["status"]) == truth => current.at(&["lastTransitionTime"]).clone(),
        _ => Value::from(now),
    };
    remove(deployment, kind);
    put(
        deployment,
        doc!({
            "type": (kind), "status": (truth), "reason": (reason), "message": (message),
            "lastUpdateTime": (now), "lastTransitionTime": (since),
        }),
    );
}

fn put(deployment: &mut Value, condition: Value) {
    deployment.make(&["status", "conditions"]).array().push(condition);
}

fn remove(deployment: &mut Value, kind: &str) {
    if deployment.condition(kind).is_some() {
        deployment.make(&["status", "conditions"]).array().retain(|condition| condition.at(&["type"]) != kind);
    }
}
