//! How a Job ends: complete or failed, why, and by which rule.
//!
//! Knows: limits, deadlines, failure and success policies, and the conditions that tell of them.
//! Does not know: how pods are made.

use std::time::Duration;

use twin::Time;

use super::super::client::Severity;
use super::indexes::{self, Indexes};
use super::{CLIENT, Pods, deadline, has_failed};
use crate::apiserver::registry::set_condition;
use crate::cluster::Cluster;
use crate::doc;
use crate::value::Value;

/// What a Job comes to.
pub(super) struct Outcome {
    success: bool,
    reason: String,
    message: String,
}

/// Whether the Job is over.
pub(super) fn is_finished(job: &Value) -> bool {
    job.condition_is_true("Complete") || job.condition_is_true("Failed")
}

/// What was decided at an earlier look.
pub(super) fn target(job: &Value) -> Option<Outcome> {
    [("SuccessCriteriaMet", true), ("FailureTarget", false)].into_iter().find_map(|(kind, success)| {
        let condition = job.condition(kind).filter(|condition| condition.at(&["status"]) == "True")?;
        let text = |field: &str| condition.at(&[field]).str_or_empty().to_owned();
        Some(Outcome { success, reason: text("reason"), message: text("message") })
    })
}

/// Whether the Job has come to an end, and to which.
pub(super) fn judge(
    job: &Value,
    pods: &Pods,
    active: &Pods,
    indexes: Option<&Indexes>,
    succeeded: i64,
    failed: i64,
    now: Time,
) -> Option<Outcome> {
    let fails = |reason: &str, message: &str| {
        Some(Outcome { success: false, reason: reason.to_owned(), message: message.to_owned() })
    };
    let by_policy = pods.iter().map(|(_, pod)| pod).filter(|pod| super::is_tracked(pod));
    if let Some(message) = by_policy.filter_map(|pod| rule(job, pod)).find(|rule| rule.action == "FailJob") {
        return fails("PodFailurePolicy", &message.message);
    }
    let limit = job.at(&["spec", "backoffLimit"]).as_int().unwrap_or(6);
    let restarts: i64 = active.iter().map(|(_, pod)| restarts(pod)).sum();
    let retries = job.at(&["spec", "template", "spec", "restartPolicy"]) == "OnFailure";
    let worn = retries && if limit == 0 { restarts > 0 } else { restarts >= limit };
    if failed > limit || worn {
        return fails("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    let suspended = job.at(&["spec", "suspend"]).is_true();
    if !suspended && deadline(job).is_some_and(|at| at <= now) {
        return fails("DeadlineExceeded", "Job was active longer than specified deadline");
    }
    if let Some(indexes) = indexes.filter(|indexes| indexes.failed() > 0) {
        let max = job.at(&["spec", "maxFailedIndexes"]).as_int();
        if max.is_some_and(|max| indexes.failed() > max) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return fails("MaxFailedIndexesExceeded", message);
        }
        if indexes.is_exhausted() {
            return fails("FailedIndexes", "Job has failed indexes");
        }
    }
    if let Some(rule) = indexes.and_then(|indexes| success_rule(job, indexes)) {
        let message = format!("Matched rules at index {rule}");
        return Some(Outcome { success: true, reason: "SuccessPolicy".to_owned(), message });
    }
    let complete = match job.at(&["spec", "completions"]).as_int() {
        Some(completions) => succeeded >= completions && !suspended,
        // Without a number, one success tells the others that the work is done, and the last one ends it.
        None => succeeded > 0 && active.is_empty(),
    };
    complete.then(|| Outcome {
        success: true,
        reason: "CompletionsReached".to_owned(),
        message: "Reached expected number of succeeded pods".to_owned(),
    })
}

fn success_rule(job: &Value, indexes: &Indexes) -> Option<usize> {
    job.at(&["spec", "successPolicy", "rules"]).items().iter().position(|rule| {
        let these = rule.at(&["succeededIndexes"]).as_str();
        let done = indexes.done_of(these);
        match (rule.at(&["succeededCount"]).as_int(), these) {
            (Some(wanted), _) => done >= wanted,
            (None, Some(these)) => done >= indexes.size_of(these),
            (None, None) => false,
        }
    })
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    let of = |list: &str| pod.at(&["status", list]).items().iter();
    of("initContainerStatuses").chain(of("containerStatuses"))
}

fn restarts(pod: &Value) -> i64 {
    statuses(pod).filter_map(|status| status.at(&["restartCount"]).as_int()).sum()
}

/// When a pod ended: with its last container, or when it stopped being ready, or when it was told to go.
pub(super) fn end(pod: &Value) -> Option<Time> {
    let ends: Vec<Option<Time>> =
        statuses(pod).map(|status| status.time(&["state", "terminated", "finishedAt"])).collect();
    let last = ends.iter().copied().collect::<Option<Vec<Time>>>().and_then(|ends| ends.into_iter().max());
    let unready = || {
        let ready = pod.condition("Ready").filter(|ready| ready.at(&["status"]) == "False")?;
        ready.time(&["lastTransitionTime"])
    };
    let told = || {
        let grace = pod.at(&["metadata", "deletionGracePeriodSeconds"]).as_int().unwrap_or(0);
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        pod.time(&["metadata", "deletionTimestamp"]).map(|gone| gone - grace)
    };
    last.or_else(unready).or_else(told).or_else(|| pod.created())
}

struct Matched {
    action: String,
    message: String,
}

/// Whether the failure policy ignores how a pod ended.
pub(super) fn is_ignored(job: &Value, pod: &Value) -> bool {
    rule(job, pod).is_some_and(|rule| rule.action == "Ignore")
}

/// Whether the failure policy gives the pod's index up.
pub(super) fn fails_index(job: &Value, pod: &Value) -> bool {
    indexes::of_pod(pod).is_some() && rule(job, pod).is_some_and(|rule| rule.action == "FailIndex")
}

/// The first rule of the failure policy that a failed pod matches.
fn rule(job: &Value, pod: &Value) -> Option<Matched> {
    let rules = job.at(&["spec", "podFailurePolicy", "rules"]).items();
    if rules.is_empty() || pod.at(&["status", "phase"]) != "Failed" || !has_failed(job, pod) {
        return None;
    }
    let name = format!("{}/{}", pod.namespace(), pod.name());
    rules.iter().enumerate().find_map(|(at, rule)| {
        let action = rule.at(&["action"]).str_or_empty();
        let codes = rule.at(&["onExitCodes"]);
        let message = if codes.is_null() {
            let met = rule.at(&["onPodConditions"]).items().iter().find(|pattern| {
                let kind = pattern.at(&["type"]).str_or_empty();
                let wanted = pattern.at(&["status"]).as_str().unwrap_or("True");
                pod.condition(kind).is_some_and(|have| *have.at(&["status"]) == *wanted)
            })?;
            let kind = met.at(&["type"]).str_or_empty();
            format!("Pod {name} has condition {kind} matching {action} rule at index {at}")
        } else {
            let (container, code) = statuses(pod).find_map(|status| exit(status, codes))?;
            format!(
                "Container {container} for pod {name} failed with exit code {code} matching {action} rule at index {at}"
            )
        };
        Some(Matched { action: action.to_owned(), message })
    })
}

/// The name and exit code of a container that ended badly in a way that a rule names.
fn exit<'a>(status: &'a Value, codes: &Value) -> Option<(&'a str, i64)> {
    let (name, only) = (status.at(&["name"]).str_or_empty(), codes.at(&["containerName"]).str_or_empty());
    let code = status.at(&["state", "terminated", "exitCode"]).as_int().filter(|code| *code != 0)?;
    let among = codes.at(&["values"]).items().iter().any(|value| value.as_int() == Some(code));
    let met = among != (codes.at(&["operator"]) == "NotIn");
    ((only.is_empty() || only == name) && met).then_some((name, code))
}

fn condition(kind: &str, status: &str, reason: &str, message: &str, now: &str) -> Value {
    doc!({"type": (kind), "status": (status), "reason": (reason), "message": (message), "lastProbeTime": (now)})
}

fn announce(job: &mut Value, kind: &str, reason: &str, message: &str, now: &str) {
    if !job.condition_is_true(kind) {
        set_condition(job, now, condition(kind, "True", reason, message, now));
    }
}

impl Outcome {
    /// Whether it is a good one.
    pub(super) fn is_success(&self) -> bool {
        self.success
    }

    /// Says what the Job will come to, while pods are still on their way out.
    pub(super) fn announce(&self, job: &mut Value, now: &str) {
        let kind = if self.success { "SuccessCriteriaMet" } else { "FailureTarget" };
        announce(job, kind, &self.reason, &self.message, now);
    }

    /// Ends the Job.
    pub(super) fn conclude(&self, cluster: &mut Cluster, job: &mut Value, now: &str) {
        let kind = if self.success { "Complete" } else { "Failed" };
        announce(job, kind, &self.reason, &self.message, now);
        if self.success {
            job.set(&["status", "completionTime"], now);
            CLIENT.event(cluster, job, Severity::Normal, "Completed", "Job completed");
        } else {
            CLIENT.event(cluster, job, Severity::Warning, &self.reason, &self.message);
        }
    }
}

/// Says that the Job is suspended.
pub(super) fn suspend(cluster: &mut Cluster, job: &mut Value, now: &str) {
    if !job.condition_is_true("Suspended") {
        set_condition(job, now, condition("Suspended", "True", "JobSuspended", "Job suspended", now));
        CLIENT.event(cluster, job, Severity::Normal, "Suspended", "Job suspended");
    }
    job.remove(&["status", "startTime"]);
}

/// Says that it goes on, if it was suspended.
pub(super) fn resume(cluster: &mut Cluster, job: &mut Value, now: &str) {
    if job.condition_is_true("Suspended") {
        set_condition(job, now, condition("Suspended", "False", "JobResumed", "Job resumed", now));
        job.set(&["status", "startTime"], now);
        CLIENT.event(cluster, job, Severity::Normal, "Resumed", "Job resumed");
    }
}
