//! The TTL-after-finished controller: jobs that have finished go when their time has come.
//!
//! Knows: `spec.ttlSecondsAfterFinished`.
//! Does not know: how a job finishes.

use std::time::Duration;

use twin::Time;

use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::controllers::client::Client;
use crate::controllers::{Controller, Next};
use crate::object::ObjectKey;
use crate::value::Value;

/// Deletes jobs that have been finished for long enough.
pub(crate) struct TtlAfterFinished;

const CLIENT: Client = Client::controller("ttl-after-finished-controller");

impl Controller for TtlAfterFinished {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, _: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if change.key.is("jobs.batch") && change.after.as_ref().is_some_and(|job| end(job).is_some()) {
            look(change.key.clone());
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(job) = cluster.get(key) else { return Next::Done };
        let Some(end) = end(job).filter(|_| !job.is_terminating()) else { return Next::Done };
        let now = cluster.now();
        if now < end {
            return Next::After(end.since(now));
        }
        let deletion = Deletion {
            uid: Some(job.uid().to_owned()),
            propagation: Some("Foreground".to_owned()),
            ..Deletion::default()
        };
        // Refused only if it went by itself.
        let _ = CLIENT.delete(cluster, key, &deletion);
        Next::Done
    }
}

/// When a job is to go; none if it has not finished or may stay.
fn end(job: &Value) -> Option<Time> {
    let seconds = u64::try_from(job.at(&["spec", "ttlSecondsAfterFinished"]).as_int()?).ok()?;
    let finished = ["Complete", "Failed"].iter().find(|kind| job.condition_is_true(kind))?;
    Some(job.condition(finished)?.time(&["lastTransitionTime"])? + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;
    use crate::testing::{START, cluster, story};
    use crate::time;

    #[test]
    fn a_finished_job_goes_after_its_time_and_an_unfinished_one_stays() {
        for (kind, told) in [("Complete", vec!["0 a: ", "7000 a: gone"]), ("Suspended", vec!["0 a: "])] {
            let mut cluster = cluster(&[]);
            let job = doc!({
                "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "namespace": "shop", "uid": "1"},
                "spec": {"ttlSecondsAfterFinished": 7},
                "status": {"conditions": [
                    {"type": (kind), "status": "True", "lastTransitionTime": (time::format(START))},
                ]},
            });
            let version = cluster.version();
            cluster.write(&ObjectKey::new("jobs.batch", "shop", "a"), Some(job));
            assert!(cluster.version() > version);
            let mut lines = vec!["0 a: ".to_owned()];
            // Foreground deletion waits for the garbage collector; what counts here is that it was told to go.
            lines.extend(story(&mut cluster, 60, "jobs.batch", |job| {
                if job.is_terminating() { "gone".into() } else { String::new() }
            }));
            lines.dedup_by(|one, two| one.ends_with("gone") && two.ends_with("gone"));
            assert_eq!(lines, told, "{kind}");
        }
    }
}
