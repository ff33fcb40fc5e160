//! The CronJob controller: Jobs by the clock.
//!
//! Knows: `pkg/controller/cronjob`. Of the moments that passed since the last one, only the latest is made up for.
//! Does not know: what becomes of a Job; it only counts which are over.

mod schedule;

use std::time::Duration;

use jiff::Timestamp;
use twin::Time;

use super::children::{self, Kind};
use super::client::{Client, Severity};
use super::{Controller, Next};
use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;
use schedule::Schedule;

const KIND: Kind = Kind { api_version: "batch/v1", kind: "CronJob", resource: "cronjobs.batch" };
const CLIENT: Client = Client::controller("cronjob-controller");
const JOBS: &str = "jobs.batch";
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// So long after the moment it looks, to be sure that the moment has come.
const AFTER_THE_MOMENT: Duration = Duration::from_millis(100);
/// How long to wait after the API server refused a Job.
const BACK_OFF: Duration = Duration::from_secs(10);
/// More missed moments than this are worth a warning.
const MISSED_MAX: usize = 100;

/// The controller.
pub(super) struct CronJobs;

impl Controller for CronJobs {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        // It adopts nothing: a Job that nobody manages concerns no CronJob.
        let managed = [&change.before, &change.after].into_iter().flatten().any(|job| job.controller().is_some());
        if change.key.is(KIND.resource) || managed {
            children::notice(cluster, change, KIND, JOBS, look);
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(cron) = cluster.get(key).cloned() else { return Next::Done };
        let mut look = Look { status: cron.at(&["status"]).clone(), cron };
        look.follow(cluster);
        let next = look.start(cluster).unwrap_or(Next::Done);
        look.forget(cluster);
        let status = look.status;
        let _ = CLIENT.update_status(cluster, key, |cron| {
            if *cron.at(&["status"]) != status {
                cron.set(&["status"], status);
            }
        });
        next
    }
}

/// A CronJob, and what its status is to be.
struct Look {
    cron: Value,
    status: Value,
}

/// How a Job that is over has ended.
fn end(job: &Value) -> Option<&'static str> {
    ["Complete", "Failed"].into_iter().find(|kind| job.condition_is_true(kind))
}

impl Look {
    fn jobs(&self, cluster: &Cluster) -> Vec<(ObjectKey, Value)> {
        let uid = self.cron.uid();
        cluster
            .dependents(uid)
            .filter(|(key, job)| key.is(JOBS) && job.controller().is_some_and(|owner| owner.uid() == uid))
            .map(|(key, job)| (key.clone(), job.clone()))
            .collect()
    }

    fn say(&self, cluster: &mut Cluster, severity: Severity, reason: &str, message: &str) {
        CLIENT.event(cluster, &self.cron, severity, reason, message);
    }

    fn active(&self) -> Vec<Value> {
        self.status.at(&["active"]).items().to_vec()
    }

    fn is_active(&self, uid: &str) -> bool {
        self.status.at(&["active"]).items().iter().any(|job| job.at(&["uid"]) == uid)
    }

    fn drop_active(&mut self, uid: &str) {
        let left: Vec<Value> = self.active().into_iter().filter(|job| job.at(&["uid"]) != uid).collect();
        if left.is_empty() {
            self.status.remove(&["active"]);
        } else {
            self.status.set(&["active"], left);
        }
    }

    /// Brings the status up to date with what has become of its Jobs.
    fn follow(&mut self, cluster: &mut Cluster) {
        let jobs = self.jobs(cluster);
        for (key, job) in &jobs {
            match (self.is_active(job.uid()), end(job)) {
                (false, None) => {
                    let message = format!("Saw a job that the controller did not create or forgot: {}", key.name);
                    self.say(cluster, Severity::Warning, "UnexpectedJob", &message);
                }
                (true, Some(end)) => {
                    self.drop_active(job.uid());
                    let message = format!("Saw completed job: {}, condition: {end}", key.name);
                    self.say(cluster, Severity::Normal, "SawCompletedJob", &message);
                }
                _ => {}
            }
            let completed = job.time(&["status", "completionTime"]).filter(|_| end(job) == Some("Complete"));
            if completed.is_some() && completed > self.status.time(&["lastSuccessfulTime"]) {
                self.status.set(&["lastSuccessfulTime"], job.at(&["status", "completionTime"]).clone());
            }
        }
        for active in self.active() {
            let uid = active.at(&["uid"]).str_or_empty();
            if !jobs.iter().any(|(_, job)| job.uid() == uid) {
                self.drop_active(uid);
                let message = format!("Active job went missing: {}", active.at(&["name"]).str_or_empty());
                self.say(cluster, Severity::Normal, "MissingJob", &message);
            }
        }
    }

    /// Starts what is due, if it may. Gives when to look again; none if the clock alone will change nothing.
    fn start(&mut self, cluster: &mut Cluster) -> Option<Next> {
        let spec = self.cron.at(&["spec"]).clone();
        if self.cron.is_terminating() {
            return None;
        }
        let name = spec.at(&["timeZone"]).str_or_empty();
        let Some(zone) = schedule::zone(name) else {
            let message = format!("invalid timeZone: {name:?}: unknown time zone {name}");
            self.say(cluster, Severity::Warning, "UnknownTimeZone", &message);
            return None;
        };
        if spec.at(&["suspend"]).is_true() {
            return None;
        }
        let text = spec.at(&["schedule"]).str_or_empty();
        let schedule = match Schedule::parse(text, zone) {
            Ok(schedule) => schedule,
            Err(why) => {
                let message = format!("unparseable schedule: {text:?} : {why}");
                self.say(cluster, Severity::Warning, "UnparseableSchedule", &message);
                return None;
            }
        };
        let now = cluster.now();
        let next = schedule.next(now).map(|at| Next::After((at + AFTER_THE_MOMENT).since(now)));
        let Some(due) = self.due(cluster, &schedule) else { return next };
        let patience = spec.at(&["startingDeadlineSeconds"]).as_int().and_then(|seconds| u64::try_from(seconds).ok());
        if patience.is_some_and(|seconds| due + Duration::from_secs(seconds) < now) {
            let message = format!("Missed scheduled time to start a job: {}", rfc1123(due));
            self.say(cluster, Severity::Warning, "MissSchedule", &message);
            return next;
        }
        let job = self.job(&spec, due);
        let started = self.active().iter().any(|active| active.at(&["name"]) == job.name());
        if started || self.status.time(&["lastScheduleTime"]) == Some(due) {
            return next;
        }
        match spec.at(&["concurrencyPolicy"]).str_or_empty() {
            "Forbid" if !self.active().is_empty() => {
                let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
                self.say(cluster, Severity::Normal, "JobAlreadyActive", message);
                return next;
            }
            "Replace" => {
                for active in self.active() {
                    self.delete(cluster, active.at(&["name"]).str_or_empty(), active.at(&["uid"]).str_or_empty());
                }
            }
            _ => {}
        }
        match CLIENT.create(cluster, JOBS, job) {
            Ok(made) => {
                let message = format!("Created job {}", made.name());
                self.say(cluster, Severity::Normal, "SuccessfulCreate", &message);
                self.started(&made, due);
                next
            }
            Err(status) if status.reason == "AlreadyExists" => {
                // Made at an earlier look whose status was lost, unless it is somebody else's.
                let name = job_name(&self.cron, due);
                let made = self.jobs(cluster).into_iter().find(|(key, _)| key.name.as_str() == name);
                if let Some((_, made)) = made.filter(|(_, job)| end(job).is_none()) {
                    self.started(&made, due);
                }
                next
            }
            Err(status) if children::is_hopeless(&status) => None,
            Err(status) => {
                self.say(cluster, Severity::Warning, "FailedCreate", &format!("Error creating job: {status}"));
                Some(Next::After(BACK_OFF))
            }
        }
    }

    /// The latest moment that has passed since the last Job, as far as the starting deadline lets one look back.
    fn due(&self, cluster: &mut Cluster, schedule: &Schedule) -> Option<Time> {
        let now = cluster.now();
        let last = self.status.time(&["lastScheduleTime"]).or_else(|| self.cron.created()).unwrap_or(now);
        let patience = self.cron.at(&["spec", "startingDeadlineSeconds"]).as_int();
        let earliest = patience.map_or(last, |seconds| {
            last.max(Time::from_millis(now.as_millis().saturating_sub(seconds.saturating_mul(1000))))
        });
        let due = schedule.last(earliest, now)?;
        let mut missed = std::iter::successors(schedule.next(earliest), |at| schedule.next(*at));
        if missed.nth(MISSED_MAX).is_some_and(|at| at <= now) {
            let message =
                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.say(cluster, Severity::Warning, "TooManyMissedTimes", message);
        }
        Some(due)
    }

    fn started(&mut self, job: &Value, due: Time) {
        self.status.make(&["active"]).array().push(doc!({
            "apiVersion": (job.api_version()), "kind": (job.kind()), "name": (job.name()),
            "namespace": (job.namespace()), "uid": (job.uid()), "resourceVersion": (job.resource_version()),
        }));
        self.status.set(&["lastScheduleTime"], time::format(due));
    }

    /// The Job of a moment.
    fn job(&self, spec: &Value, due: Time) -> Value {
        let template = spec.at(&["jobTemplate"]);
        let mut job = doc!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": (job_name(&self.cron, due)), "namespace": (self.cron.namespace()),
                "ownerReferences": [(children::reference(KIND, &self.cron))],
            },
            "spec": (template.at(&["spec"])),
        });
        for field in ["labels", "annotations"] {
            let value = template.at(&["metadata", field]);
            if !value.is_empty() {
                job.set(&["metadata", field], value.clone());
            }
        }
        let at = in_zone(due, spec.at(&["timeZone"]).str_or_empty());
        job.set(&["metadata", "annotations", SCHEDULED], at);
        job
    }

    fn delete(&mut self, cluster: &mut Cluster, name: &str, uid: &str) {
        let key = ObjectKey::new(JOBS, self.cron.namespace(), name);
        let deletion = Deletion { propagation: Some("Background".to_owned()), ..Deletion::default() };
        match CLIENT.delete(cluster, &key, &deletion) {
            Ok(_) => self.say(cluster, Severity::Normal, "SuccessfulDelete", &format!("Deleted job {name}")),
            Err(status) => {
                let message = format!("Deleted job: {status}");
                return self.say(cluster, Severity::Warning, "FailedDelete", &message);
            }
        }
        self.drop_active(uid);
    }

    /// Deletes the oldest of the Jobs that are over, beyond those to be kept of each end.
    fn forget(&mut self, cluster: &mut Cluster) {
        for (kind, limit) in [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")] {
            let Some(limit) = self.cron.at(&["spec", limit]).as_int() else { continue };
            let mut over: Vec<_> = self.jobs(cluster).into_iter().filter(|(_, job)| end(job) == Some(kind)).collect();
            let surplus = over.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
            // One that never began is the youngest.
            over.sort_by_key(|(key, job)| {
                let began = job.time(&["status", "startTime"]);
                (began.is_none(), began, key.clone())
            });
            for (key, job) in over.into_iter().take(surplus).filter(|(_, job)| !job.is_terminating()) {
                self.delete(cluster, &key.name, job.uid());
            }
        }
    }
}

/// One name for one moment, so that a moment has one Job however often it is looked at.
fn job_name(cron: &Value, due: Time) -> String {
    format!("{}-{}", cron.name(), due.as_millis().div_euclid(60_000))
}

fn in_zone(at: Time, zone: &str) -> String {
    let (at, zone) = (Timestamp::from_millisecond(at.as_millis()), schedule::zone(zone));
    let at = at.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned_datetime(zone.unwrap_or(jiff::tz::TimeZone::UTC));
    let form = if at.offset().is_zero() { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    at.strftime(form).to_string()
}

fn rfc1123(at: Time) -> String {
    let at = Timestamp::from_millisecond(at.as_millis()).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}
