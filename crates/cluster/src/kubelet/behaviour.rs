//! How a container behaves: what its pod's annotations say, else what the cluster's settings say.
//!
//! Knows: the annotations `twin.lazaret.dev/…`, probes, and how long a container ran the last time.
//! Does not know: what state a container is in.

use std::time::Duration;

use crate::cluster::Settings;
use crate::value::Value;

const PREFIX: &str = "twin.lazaret.dev/";

/// Whoever crashed twice and never ran this long is believed to crash again.
const RAN_WELL: Duration = Duration::from_secs(600);

/// How one pod behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behaviour<'a> {
    pod: &'a Value,
    settings: &'a Settings,
}

/// How a container ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// How long after its start.
    pub(super) after: Duration,
    /// With which exit code.
    pub(super) code: i64,
    /// Why, as the container's status says it.
    pub(super) reason: &'static str,
}

impl End {
    fn exit(after: Duration, code: i64) -> Self {
        Self { after, code, reason: if code == 0 { "Completed" } else { "Error" } }
    }
}

impl<'a> Behaviour<'a> {
    pub(super) fn of(pod: &'a Value, settings: &'a Settings) -> Self {
        Self { pod, settings }
    }

    fn say(self, what: &str) -> Option<&'a str> {
        self.pod.annotation(&format!("{PREFIX}{what}"))
    }

    fn millis(self, what: &str) -> Option<Duration> {
        Some(Duration::from_millis(self.say(what)?.parse().ok()?))
    }

    /// From being bound to a node until the first container runs.
    pub(super) fn start(self) -> Duration {
        self.millis("start-delay-ms").unwrap_or(self.settings.pod_start)
    }

    /// What an init container takes.
    pub(super) fn init(self) -> Duration {
        self.millis("init-ms").unwrap_or(self.settings.pod_init)
    }

    /// From being told to stop until gone; `None` if it never goes by itself.
    pub(super) fn stop(self) -> Option<Duration> {
        if self.say("stuck-terminating") == Some("true") {
            return None;
        }
        let grace = self.pod.at(&["metadata", "deletionGracePeriodSeconds"]).as_int().unwrap_or(0);
        let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        if self.say("ignore-sigterm") == Some("true") {
            return Some(grace);
        }
        Some(self.millis("stop-delay-ms").unwrap_or(self.settings.pod_stop).min(grace))
    }

    /// Whether it does not stop by itself when it is told to.
    pub(super) fn is_killed(self) -> bool {
        let grace = self.pod.at(&["metadata", "deletionGracePeriodSeconds"]).as_int().unwrap_or(0);
        grace == 0 || self.say("ignore-sigterm") == Some("true")
    }

    /// How this container is told to fail.
    fn fails(self, container: &str) -> Option<&'a str> {
        let fail = self.say("fail")?;
        self.say("fail-container").is_none_or(|name| name == container).then_some(fail)
    }

    /// Whether the image of a container cannot be had.
    pub(super) fn lacks_image(self, container: &str) -> bool {
        self.fails(container) == Some("imagepull")
    }

    /// From a container's start until it is ready; `None` if it never is.
    pub(super) fn ready(self, container: &Value) -> Option<Duration> {
        if self.fails(container.name_of()) == Some("unready") {
            return None;
        }
        let probe = |kind: &str| container.at(&[kind, "initialDelaySeconds"]).as_int().unwrap_or(0);
        let probes = u64::try_from(probe("readinessProbe").max(probe("startupProbe"))).unwrap_or(0);
        let own = self.millis("ready-delay-ms").unwrap_or(self.settings.pod_ready);
        Some(own.max(Duration::from_secs(probes)))
    }

    /// When and how a container that started ends, if it does by itself. `status` is its entry in the pod's status.
    pub(super) fn end(self, container: &str, status: &Value) -> Option<End> {
        let crash = self.millis("crash-after-ms").unwrap_or(self.settings.crash_after);
        match self.fails(container) {
            Some("crashloop") => return Some(End::exit(crash, self.code().unwrap_or(1))),
            Some("oom") => return Some(End { after: crash, code: 137, reason: "OOMKilled" }),
            _ => {}
        }
        if let Some(after) = self.millis("exit-after-ms") {
            return Some(End::exit(after, self.code().unwrap_or(0)));
        }
        if self.pod.controller().is_some_and(|owner| owner.kind() == "Job") {
            return Some(End::exit(self.settings.job_pod_run, self.code().unwrap_or(0)));
        }
        as_before(status)
    }

    fn code(self) -> Option<i64> {
        self.say("exit-code")?.parse().ok()
    }
}

/// A container that has crashed again and again is believed to go on: it runs as long as the last time.
fn as_before(status: &Value) -> Option<End> {
    let last = status.at(&["lastState", "terminated"]);
    let code = last.at(&["exitCode"]).as_int().filter(|code| *code != 0)?;
    let ran = last.time(&["finishedAt"])?.since(last.time(&["startedAt"])?);
    let often = status.at(&["restartCount"]).as_int().unwrap_or(0) >= 2;
    let oom = last.at(&["reason"]) == "OOMKilled";
    let end = End { after: ran.max(Duration::from_secs(1)), code, reason: if oom { "OOMKilled" } else { "Error" } };
    (often && ran < RAN_WELL).then_some(end)
}

impl Value {
    /// `name` of an entry of a list, such as a container.
    pub(crate) fn name_of(&self) -> &str {
        self.at(&["name"]).str_or_empty()
    }
}
