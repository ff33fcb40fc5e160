//! The status of a pod in a few words.
//!
//! Knows: which of a pod's many states is the one to tell.
//! Does not know: how a pod came into it.
//!
//! The word starts as the phase. While init containers run, the first unfinished one speaks (`Init:1/3`,
//! `Init:Error`); after that the containers do, the first one last and so loudest. Deletion drowns all of them.

use super::{Row, at, text};
use crate::value::Value;
use crate::{doc, time};

/// What the walk over a pod's containers finds.
#[derive(Default)]
struct Summary<'a> {
    status: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<(twin::Time, &'a Value)>,
}

impl<'a> Summary<'a> {
    /// Counts a container's restarts, and remembers when the last one was.
    fn count_restarts(&mut self, container: &'a Value) {
        self.restarts += at(container, "restartCount").as_int().unwrap_or_default();
        let finished = at(container, "lastState.terminated.finishedAt");
        let at = finished.as_str().and_then(time::parse);
        if let Some(at) = at
            && self.last_restart.is_none_or(|(last, _)| last < at)
        {
            self.last_restart = Some((at, finished));
        }
    }
}

fn summary<'a>(pod: &'a Value) -> Summary<'a> {
    let init = at(pod, "spec.initContainers").items();
    // A sidecar: an init container that is restarted always, and counts as a container.
    let is_sidecar = |status: &Value| {
        init.iter().any(|spec| at(spec, "name") == at(status, "name") && at(spec, "restartPolicy") == "Always")
    };
    let sidecars = init.iter().filter(|spec| at(spec, "restartPolicy") == "Always").count();
    let phase = at(pod, "status.phase").str_or_empty();
    let pod_reason = at(pod, "status.reason").str_or_empty();
    let gated = pod.condition("PodScheduled").is_some_and(|condition| at(condition, "reason") == "SchedulingGated");
    let mut found = Summary {
        status: if gated { "SchedulingGated" } else { text::or(pod_reason, phase) }.to_owned(),
        total: at(pod, "spec.containers").items().len().saturating_add(sidecars),
        ..Summary::default()
    };

    let mut of_sidecars = Summary::default();
    let mut initializing = false;
    for (index, status) in at(pod, "status.initContainerStatuses").items().iter().enumerate() {
        found.count_restarts(status);
        let sidecar = is_sidecar(status);
        if sidecar {
            of_sidecars.count_restarts(status);
        }
        let (terminated, waiting) = (at(status, "state.terminated"), at(status, "state.waiting.reason").str_or_empty());
        if !terminated.is_null() && exit_code(terminated) == 0 {
            continue;
        }
        if sidecar && at(status, "started").is_true() {
            found.ready += usize::from(at(status, "ready").is_true());
            continue;
        }
        found.status = if !terminated.is_null() {
            format!("Init:{}", why_terminated(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", init.len())
        };
        initializing = true;
        break;
    }

    if !initializing || pod.condition_is_true("Initialized") {
        found.restarts = of_sidecars.restarts;
        found.last_restart = of_sidecars.last_restart;
        let mut running = false;
        for status in at(pod, "status.containerStatuses").items().iter().rev() {
            found.count_restarts(status);
            let terminated = at(status, "state.terminated");
            let waiting = at(status, "state.waiting.reason").str_or_empty();
            if !waiting.is_empty() {
                found.status = waiting.to_owned();
            } else if !terminated.is_null() {
                found.status = why_terminated(terminated);
            } else if at(status, "ready").is_true() && !at(status, "state.running").is_null() {
                running = true;
                found.ready += 1;
            }
        }
        if found.status == "Completed" && running {
            found.status = if pod.condition_is_true("Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }

    if pod.is_terminating() {
        if pod_reason == "NodeLost" {
            found.status = "Unknown".to_owned();
        } else if phase != "Succeeded" && phase != "Failed" {
            found.status = "Terminating".to_owned();
        }
    }
    found
}

fn exit_code(terminated: &Value) -> i64 {
    at(terminated, "exitCode").as_int().unwrap_or_default()
}

fn why_terminated(terminated: &Value) -> String {
    let signal = at(terminated, "signal").as_int().unwrap_or_default();
    match at(terminated, "reason").str_or_empty() {
        "" if signal != 0 => format!("Signal:{signal}"),
        "" => format!("ExitCode:{}", exit_code(terminated)),
        reason => reason.to_owned(),
    }
}

/// `Ready`: `1/2`
pub(super) fn ready(row: &Row<'_>) -> Value {
    let found = summary(row.object);
    Value::from(format!("{}/{}", found.ready, found.total))
}

/// `Status`: `Running`, `Init:0/1`, `CrashLoopBackOff`…
pub(super) fn status(row: &Row<'_>) -> Value {
    Value::from(summary(row.object).status)
}

/// `Restarts`: `3 (5m ago)`
pub(super) fn restarts(row: &Row<'_>) -> Value {
    let found = summary(row.object);
    Value::from(match found.last_restart {
        Some((_, at)) if found.restarts != 0 => format!("{} ({} ago)", found.restarts, text::age(at, row.now)),
        _ => found.restarts.to_string(),
    })
}

/// `IP`
pub(super) fn ip(row: &Row<'_>) -> Value {
    let first = row.at("status.podIPs").items().first().map_or("", |entry| at(entry, "ip").str_or_empty());
    Value::from(text::or(first, "<none>"))
}

/// `Readiness Gates`: `0/1`
pub(super) fn readiness_gates(row: &Row<'_>) -> Value {
    let gates = row.at("spec.readinessGates").items();
    if gates.is_empty() {
        return Value::from("<none>");
    }
    let open = |gate: &&Value| row.object.condition_is_true(at(gate, "conditionType").str_or_empty());
    Value::from(format!("{}/{}", gates.iter().filter(open).count(), gates.len()))
}

/// What a row says of a pod that has run to its end, so that a client may leave it out.
pub(super) fn row_conditions(object: &Value) -> Option<Value> {
    if object.kind() != "Pod" {
        return None;
    }
    let (reason, message) = match at(object, "status.phase").str_or_empty() {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(doc!([{"type": "Completed", "status": "True", "reason": (reason), "message": (message)}]))
}
