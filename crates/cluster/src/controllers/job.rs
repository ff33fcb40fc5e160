//! The Job controller: pods that run to their end, counted once each.
//!
//! Knows: `pkg/controller/job`. What it counted stands in the status; what it has yet to count has its finalizer.
//! Does not know: when a finished Job goes; that is the TTL controller's business.

mod indexes;
mod outcome;

use std::time::Duration;

use twin::Time;

use super::children::{self, Kind, count, set_count};
use super::client::{Client, Severity};
use super::{Controller, Next};
use crate::apiserver::Status;
use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;
use indexes::Indexes;

const KIND: Kind = Kind { api_version: "batch/v1", kind: "Job", resource: "jobs.batch" };
const CLIENT: Client = Client::controller("job-controller");
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const BACK_OFF: Duration = Duration::from_secs(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(600);
/// What happens to pods within so long is looked at as one.
const TOGETHER: Duration = Duration::from_secs(1);
/// As many as are made at one look.
const BURST: usize = 500;

/// The controller.
pub(super) struct Jobs;

type Pods = Vec<(ObjectKey, Value)>;

impl Controller for Jobs {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        children::notice(cluster, change, KIND, "pods", look);
        // A pod whose Job is gone has nobody to count it.
        if change.key.is(KIND.resource)
            && let (Some(before), None) = (&change.before, &change.after)
        {
            let left = cluster.dependents(before.uid()).filter(|(key, _)| key.is("pods"));
            left.map(|(key, _)| key.clone()).for_each(&mut *look);
        }
        if let Some(pod) = change.after.as_ref().filter(|pod| change.key.is("pods") && is_tracked(pod))
            && job_of(cluster, &change.key, pod).is_none()
        {
            look(change.key.clone());
        }
    }

    /// Pods of one Job often end together, and its own writes come back to it: both are looked at as one.
    fn gathers(&self, change: &Change) -> Duration {
        let generation = |job: &Option<Value>| job.as_ref().map(Value::generation);
        let asked = change.key.is(KIND.resource) && generation(&change.before) != generation(&change.after);
        let orphaned = change.key.is("pods") && change.after.as_ref().is_some_and(|pod| pod.controller().is_none());
        if asked || orphaned { Duration::ZERO } else { TOGETHER }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(object) = cluster.get(key).cloned() else { return Next::Done };
        if key.is("pods") {
            if job_of(cluster, key, &object).is_none() {
                untrack(cluster, key);
            }
            return Next::Done;
        }
        let manager = object.at(&["spec", "managedBy"]).str_or_empty();
        if !matches!(manager, "" | "kubernetes.io/job-controller") || !children::knows_its_own(&object) {
            return Next::Done;
        }
        let pods = children::claim(cluster, CLIENT, KIND, &object, "pods");
        if outcome::is_finished(&object) || object.is_terminating() {
            pods.iter().filter(|(_, pod)| is_tracked(pod)).for_each(|(key, _)| untrack(cluster, key));
            return Next::Done;
        }
        sync(cluster, key, &object, pods)
    }
}

fn is_tracked(pod: &Value) -> bool {
    pod.finalizers().any(|finalizer| finalizer == TRACKING)
}

/// The Job that manages a pod, if it is there.
fn job_of<'a>(cluster: &'a Cluster, key: &ObjectKey, pod: &Value) -> Option<&'a Value> {
    let owner = pod.controller().filter(|owner| owner.kind() == KIND.kind)?;
    cluster.get(&key.beside(KIND.resource, owner.name())).filter(|job| job.uid() == owner.uid())
}

/// Lets a pod go: it is counted, or is not to be.
fn untrack(cluster: &mut Cluster, key: &ObjectKey) {
    let _ = CLIENT.update(cluster, key, |pod| {
        pod.make(&["metadata", "finalizers"]).array().retain(|have| have != TRACKING);
        if pod.at(&["metadata", "finalizers"]).is_empty() {
            pod.remove(&["metadata", "finalizers"]);
        }
    });
}

fn number(job: &Value, path: &[&str]) -> i64 {
    job.at(path).as_int().unwrap_or(0)
}

/// Whether a pod is replaced only once it is over, not when it is told to go.
fn replaces_only_failed(job: &Value) -> bool {
    job.at(&["spec", "podReplacementPolicy"]) == "Failed" || !job.at(&["spec", "podFailurePolicy"]).is_empty()
}

fn has_failed(job: &Value, pod: &Value) -> bool {
    match pod.at(&["status", "phase"]).str_or_empty() {
        "Failed" => true,
        "Succeeded" => false,
        _ => pod.is_terminating() && !replaces_only_failed(job),
    }
}

fn has_succeeded(pod: &Value) -> bool {
    pod.at(&["status", "phase"]) == "Succeeded"
}

fn sync(cluster: &mut Cluster, key: &ObjectKey, old: &Value, pods: Pods) -> Next {
    let now = cluster.now();
    let stamp = time::format(now);
    let mut job = old.clone();
    let suspended = job.at(&["spec", "suspend"]).is_true();
    if !suspended && job.at(&["status", "startTime"]).is_null() {
        job.set(&["status", "startTime"], stamp.as_str());
    }
    // Count what has ended since the last look.
    let settled = outcome::target(&job).is_some_and(|target| target.is_success());
    let ended: Vec<_> =
        pods.iter().filter(|(_, pod)| is_tracked(pod) && (has_succeeded(pod) || has_failed(&job, pod))).collect();
    let succeeded = number(&job, &["status", "succeeded"]) + count(ended.iter().filter(|(_, pod)| has_succeeded(pod)));
    let failures = ended.iter().filter(|(_, pod)| {
        has_failed(&job, pod) && !outcome::is_ignored(&job, pod) && !(settled && pod.is_terminating())
    });
    let mut failed = number(&job, &["status", "failed"]) + count(failures);
    let indexes = Indexes::of(&job, &pods);
    let succeeded = indexes.as_ref().map_or(succeeded, Indexes::completed);
    let mut counted: Vec<ObjectKey> = ended.iter().map(|(key, _)| key.clone()).collect();

    let mut active: Pods = pods.iter().filter(|(_, pod)| children::is_active(pod)).cloned().collect();
    let target = outcome::target(&job)
        .or_else(|| outcome::judge(&job, &pods, &active, indexes.as_ref(), succeeded, failed, now));
    let mut wait = None;
    let mut refused = None;
    if let Some(target) = &target {
        // The rest is told to go; the Job is over when they are gone. With a Job that fails they have failed, however they end.
        for (key, pod) in std::mem::take(&mut active) {
            remove(cluster, &job, &key);
            if !target.is_success() && is_tracked(&pod) {
                failed += 1;
                counted.push(key);
            }
        }
        target.announce(&mut job, &stamp);
    } else if suspended {
        for (key, _) in std::mem::take(&mut active) {
            untrack(cluster, &key);
            remove(cluster, &job, &key);
        }
        outcome::suspend(cluster, &mut job, &stamp);
    } else {
        outcome::resume(cluster, &mut job, &stamp);
        match scale(cluster, &job, &pods, &active, indexes.as_ref(), succeeded) {
            Ok(pause) => wait = pause,
            Err(status) => refused = Some(status),
        }
    }
    for key in &counted {
        untrack(cluster, key);
    }
    let pods = children::claim(cluster, CLIENT, KIND, &job, "pods");
    let active: Vec<_> = pods.iter().filter(|(_, pod)| children::is_active(pod)).collect();
    let terminating = count(pods.iter().filter(|(_, pod)| pod.is_terminating() && !children::is_over(pod)));
    let ready = count(active.iter().filter(|(_, pod)| children::is_ready(pod)));
    let uncounted = pods.iter().any(|(key, pod)| is_tracked(pod) && target.is_some() && !counted.contains(key));
    if let Some(target) = &target
        && active.is_empty()
        && terminating == 0
        && !uncounted
    {
        target.conclude(cluster, &mut job, &stamp);
    }
    set_count(&mut job, &["status", "active"], count(&active));
    set_count(&mut job, &["status", "succeeded"], succeeded);
    set_count(&mut job, &["status", "failed"], failed);
    job.set(&["status", "ready"], ready);
    job.set(&["status", "terminating"], terminating);
    job.set(&["status", "uncountedTerminatedPods"], doc!({}));
    if let Some(indexes) = &indexes {
        indexes.report(&mut job);
    }
    let status = job.at(&["status"]).clone();
    let _ = CLIENT.update_status(cluster, key, |job| job.set(&["status"], status));
    let deadline = deadline(&job).map(|at| at.since(now)).filter(|left| !left.is_zero() && target.is_none());
    match (refused, wait.into_iter().chain(deadline).min()) {
        (Some(status), _) if !children::is_hopeless(&status) => Next::After(BACK_OFF),
        (_, Some(wait)) => Next::After(wait),
        _ => Next::Done,
    }
}

/// When the Job has run for too long.
fn deadline(job: &Value) -> Option<Time> {
    let seconds = u64::try_from(job.at(&["spec", "activeDeadlineSeconds"]).as_int()?).ok()?;
    Some(job.time(&["status", "startTime"])? + Duration::from_secs(seconds))
}

fn remove(cluster: &mut Cluster, job: &Value, key: &ObjectKey) {
    if CLIENT.delete(cluster, key, &Deletion::default()).is_ok() {
        let message = format!("Deleted pod: {}", key.name);
        CLIENT.event(cluster, job, Severity::Normal, "SuccessfulDelete", &message);
    }
}

/// Makes what is missing, removes what is too much. Gives how long to wait before a failed pod is replaced.
fn scale(
    cluster: &mut Cluster,
    job: &Value,
    pods: &Pods,
    active: &Pods,
    indexes: Option<&Indexes>,
    succeeded: i64,
) -> Result<Option<Duration>, Status> {
    let now = cluster.now();
    let parallelism = job.at(&["spec", "parallelism"]).as_int().unwrap_or(1);
    let running = count(active);
    let wanted = match job.at(&["spec", "completions"]).as_int() {
        Some(completions) => parallelism.min((completions - succeeded).max(0)),
        None if succeeded > 0 => running.min(parallelism),
        None => parallelism,
    };
    if running > wanted {
        let mut order: Vec<&(ObjectKey, Value)> = active.iter().collect();
        let ranking = children::Ranking { now, crowd: None };
        ranking.sort(&mut order, |(_, pod)| pod);
        if let Some(indexes) = indexes {
            order = indexes.superfluous_first(order);
        }
        let surplus = usize::try_from(running - wanted).unwrap_or(0);
        let doomed: Vec<ObjectKey> = order.into_iter().take(surplus).map(|(key, _)| key.clone()).collect();
        for key in doomed {
            untrack(cluster, &key);
            remove(cluster, job, &key);
        }
        return Ok(None);
    }
    let held = if replaces_only_failed(job) {
        count(pods.iter().filter(|(_, pod)| pod.is_terminating() && !children::is_over(pod)))
    } else {
        0
    };
    let missing = usize::try_from(wanted - running - held).unwrap_or(0).min(BURST);
    if missing == 0 {
        return Ok(None);
    }
    let Some(indexes) = indexes else {
        if let Some(pause) = pause(job, pods.iter().map(|(_, pod)| pod), now) {
            return Ok(Some(pause));
        }
        for _ in 0..missing {
            make(cluster, job, pod(job))?;
        }
        return Ok(None);
    };
    let per_index = !job.at(&["spec", "backoffLimitPerIndex"]).is_null();
    if !per_index && let Some(pause) = pause(job, pods.iter().map(|(_, pod)| pod), now) {
        return Ok(Some(pause));
    }
    let mut wait = None::<Duration>;
    for index in indexes.open().take(missing) {
        let of_index = pods.iter().map(|(_, pod)| pod).filter(|pod| indexes::of_pod(pod) == Some(index));
        match pause(job, of_index, now).filter(|_| per_index) {
            Some(pause) => wait = Some(wait.map_or(pause, |have| have.min(pause))),
            None => make(cluster, job, indexes.pod(job, pod(job), index))?,
        }
    }
    Ok(wait)
}

/// How long to wait before the next pod: twice as long for each that failed since the last that succeeded.
fn pause<'a>(job: &Value, pods: impl Iterator<Item = &'a Value>, now: Time) -> Option<Duration> {
    let mut ends: Vec<(Time, bool)> = pods
        .filter(|pod| has_succeeded(pod) || has_failed(job, pod))
        .filter_map(|pod| Some((outcome::end(pod)?, has_succeeded(pod))))
        .collect();
    ends.sort();
    let row = ends.iter().rev().take_while(|(_, succeeded)| !succeeded).count();
    let (last, _) = ends.last().filter(|_| row > 0)?;
    let doublings = u32::try_from(row - 1).unwrap_or(u32::MAX).min(6);
    let until = *last + (BACK_OFF * 2_u32.pow(doublings)).min(BACK_OFF_MAX);
    (until > now).then(|| until.since(now))
}

fn pod(job: &Value) -> Value {
    let mut pod = children::pod(KIND, job, job.at(&["spec", "template"]), None);
    pod.make(&["metadata", "finalizers"]).array().push(Value::from(TRACKING));
    pod
}

fn make(cluster: &mut Cluster, job: &Value, pod: Value) -> Result<(), Status> {
    match CLIENT.create(cluster, "pods", pod) {
        Ok(made) => {
            let message = format!("Created pod: {}", made.name());
            CLIENT.event(cluster, job, Severity::Normal, "SuccessfulCreate", &message);
            Ok(())
        }
        Err(status) => {
            let message = format!("Error creating: {status}");
            CLIENT.event(cluster, job, Severity::Warning, "FailedCreate", &message);
            Err(status)
        }
    }
}
