//! The kubelets of all nodes: they start, watch and stop the pods that are bound to them.
//!
//! Knows: the life of a pod on its node, step by step.
//! Does not know: why a pod is where it is, or what runs in it.
//!
//! A pod's status says how far it has come; what is awaited next follows from it and is an alarm. An alarm's name says
//! which step of which life it is for, so one that was overtaken means nothing when it rings.

mod behaviour;
mod needs;
mod pull;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use pull::Pulls;

use behaviour::{Behaviour, End};
use status::{INIT, MAIN};

use crate::apiserver::registry::{self, Deletion, Part, Writer};
use crate::cluster::{Change, Cluster};
use crate::controllers::client::{Client, Severity};
use crate::controllers::{self, Controller, Next};
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;

const CLIENT: Client = Client { name: "kubelet", source: "kubelet", program: "kubelet" };

/// A container that crashes is restarted at once, then after this long, then after twice that, and so on.
const BACK_OFF: Duration = Duration::from_secs(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(300);
/// Whoever ran this long starts over with the shortest back-off.
const BACK_OFF_RESET: Duration = Duration::from_secs(600);
/// From a failed pull until the kubelet says that it backs off.
const PULL_RETRY: Duration = Duration::from_secs(1);
/// The least that any step takes: what it follows is seen before it.
const AT_ONCE: Duration = Duration::from_millis(1);
/// So many milliseconds, and no more, lie between replicas that start together: enough to tell one from the other, too few
/// to matter to anyone.
const OUT_OF_STEP_MS: u64 = 32;
/// A container that is still not ready so long after it should have been is believed never to be.
const HOPELESS: Duration = Duration::from_secs(60);

/// The kubelets.
pub(crate) struct Kubelets;

/// What a pod waits for next.
struct Step {
    alarm: String,
    after: Duration,
    what: What,
}

enum What {
    /// These containers of the list start.
    Start(&'static str, Vec<usize>),
    /// The container becomes ready.
    Ready(&'static str, usize),
    /// The container ends.
    End(&'static str, usize, End),
    /// The container's restart is put off.
    PutOff(&'static str, usize, Duration),
    /// The image that could not be pulled is given a rest.
    PullLater(usize),
    /// The pod is over.
    Stop,
}

impl Controller for Kubelets {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        let key = &change.key;
        match (key.resource.as_str(), &change.before, &change.after) {
            ("pods", _, Some(pod)) if !pod.at(&["spec", "nodeName"]).is_empty() => look(key.clone()),
            // What a pod may have waited for.
            ("configmaps" | "secrets", None, Some(_)) | ("persistentvolumeclaims", _, Some(_)) => {
                cluster.starting(&key.namespace).for_each(|(pod, _)| look(pod.clone()));
            }
            ("nodes", Some(before), Some(after)) if hears(before) != hears(after) => {
                cluster.pods_on(&key.name).for_each(|(pod, _)| look(pod.clone()));
            }
            ("nodes", None, Some(_)) => cluster.pods_on(&key.name).for_each(|(pod, _)| look(pod.clone())),
            _ => {}
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        attend(cluster, key, None);
        Next::Done
    }

    fn ring(&self, cluster: &mut Cluster, key: &ObjectKey, alarm: &str) -> Next {
        attend(cluster, key, Some(alarm));
        Next::Done
    }
}

/// What about a node says whether its kubelet acts.
fn hears(node: &Value) -> (Option<&str>, bool) {
    let unknown = node.condition("Ready").is_some_and(|ready| ready.at(&["status"]) == "Unknown");
    (node.annotation("twin.lazaret.dev/heartbeat"), unknown)
}

/// Looks at a pod, takes the step whose alarm rings or that needs no waiting, and sets alarms for the others.
fn attend(cluster: &mut Cluster, key: &ObjectKey, alarm: Option<&str>) {
    let Some(pod) = cluster.get(key).cloned() else { return };
    let Some(node) = status::node(cluster, &pod).cloned() else { return };
    let over = matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed");
    if over && !pod.is_terminating() {
        return;
    }
    let mut new = pod.clone();
    if pod.at(&["status", "startTime"]).is_null() && !pod.is_terminating() {
        status::admit(cluster, &node, &mut new);
        return write(cluster, key, new, false);
    }
    let mut steps = awaited(cluster, &new);
    let due = steps.iter().position(|step| step.after.is_zero() || alarm == Some(step.alarm.as_str()));
    if let Some(due) = due {
        let step = steps.remove(due);
        take(cluster, key, &node, new, step.what);
        return;
    }
    // A pod that cannot be stopped has stopped its kubelet's mouth too.
    let stuck = pod.is_terminating() && steps.is_empty();
    if !stuck && (!pod.at(&["spec", "readinessGates"]).is_empty() || is_behind(&pod)) {
        write(cluster, key, new, false);
    }
    for step in steps {
        controllers::set_alarm(cluster, CLIENT.name, key, &step.alarm, step.after);
    }
}

/// Whether the status speaks of an older spec.
fn is_behind(pod: &Value) -> bool {
    pod.at(&["status", "observedGeneration"]).as_int().is_some_and(|seen| seen < pod.generation())
}

/// What a pod waits for.
fn awaited(cluster: &mut Cluster, pod: &Value) -> Vec<Step> {
    let settings = cluster.settings.clone();
    let behaviour = Behaviour::of(pod, &settings);
    if pod.is_terminating() {
        // With no grace left, only finalizers hold it: they are not the kubelet's.
        let held = pod.at(&["metadata", "deletionGracePeriodSeconds"]).as_int() == Some(0);
        let stop = behaviour.stop().filter(|_| !held);
        let alarm = format!("{}/stop/{}", pod.uid(), pod.at(&["metadata", "deletionTimestamp"]).str_or_empty());
        return stop.map(|after| Step { alarm, after, what: What::Stop }).into_iter().collect();
    }
    let mut steps = Vec::new();
    let init = pod.at(&["spec", "initContainers"]).items();
    for (at, container) in init.iter().enumerate() {
        let past = status::is_past(container, entry(pod, INIT, at));
        if !past || status::is_sidecar(container) {
            steps.extend(follow(cluster, pod, behaviour, INIT, at, at == 0));
        }
        if !past {
            return join_starts(steps);
        }
    }
    for at in 0..pod.at(&["spec", "containers"]).items().len() {
        steps.extend(follow(cluster, pod, behaviour, MAIN, at, init.is_empty()));
    }
    join_starts(steps)
}

/// Containers that start at the same time start in one step, as the status shows it.
fn join_starts(steps: Vec<Step>) -> Vec<Step> {
    let mut joined: Vec<Step> = Vec::new();
    for step in steps {
        if let What::Start(list, more) = &step.what {
            let same = joined.iter_mut().find(|have| have.alarm == step.alarm);
            if let Some(Step { what: What::Start(have_list, have), .. }) = same
                && have_list == list
            {
                have.extend(more);
                continue;
            }
        }
        joined.push(step);
    }
    joined
}

fn entry<'a>(pod: &'a Value, list: &str, at: usize) -> &'a Value {
    pod.at(&["status", list]).items().get(at).unwrap_or(&Value::Null)
}

fn entry_mut<'a>(pod: &'a mut Value, list: &str, at: usize) -> Option<&'a mut Value> {
    pod.make(&["status", list]).array().get_mut(at)
}

fn spec_of<'a>(pod: &'a Value, list: &str, at: usize) -> &'a Value {
    let containers = if list == INIT { "initContainers" } else { "containers" };
    pod.at(&["spec", containers]).items().get(at).unwrap_or(&Value::Null)
}

/// What one container waits for. `first` says whether it is among the first of its pod to start.
fn follow(
    cluster: &mut Cluster,
    pod: &Value,
    behaviour: Behaviour<'_>,
    list: &'static str,
    at: usize,
    first: bool,
) -> Vec<Step> {
    let now = cluster.now();
    let (container, entry) = (spec_of(pod, list, at), entry(pod, list, at));
    let restarts = entry.at(&["restartCount"]).as_int().unwrap_or(0);
    let life = format!("{}/{list}/{at}/{restarts}", pod.uid());
    let step = |what: &str, after: Duration, then: What| Step { alarm: format!("{life}/{what}"), after, what: then };
    let state = entry.at(&["state"]);
    if let Some(started) = state.time(&["running", "startedAt"]) {
        let mut steps = Vec::new();
        let one_off = list == INIT && !status::is_sidecar(container);
        if !one_off && !entry.at(&["ready"]).is_true() {
            let ready = behaviour.ready(container).filter(|after| now.since(started) <= *after + HOPELESS);
            steps.extend(ready.map(|after| step("ready", after, What::Ready(list, at))));
        }
        let end = behaviour.end(container.name_of(), entry);
        let end = if one_off { end.filter(|end| end.code != 0).or(Some(init_end(behaviour))) } else { end };
        steps.extend(end.map(|end| step("end", end.after.max(AT_ONCE), What::End(list, at, end))));
        return steps;
    }
    if let Some(code) = state.at(&["terminated", "exitCode"]).as_int() {
        if !restarts_after(pod, container, list, code) {
            return Vec::new();
        }
        let pause = back_off(restarts, state.at(&["terminated"]));
        let then = if pause.is_zero() { What::Start(list, vec![at]) } else { What::PutOff(list, at, pause) };
        return vec![step("again", AT_ONCE, then)];
    }
    let reason = state.at(&["waiting", "reason"]).str_or_empty();
    match reason {
        "CrashLoopBackOff" => {
            let last = entry.at(&["lastState", "terminated"]);
            let pause = back_off(restarts, last).max(BACK_OFF);
            let passed = last.time(&["finishedAt"]).map_or(Duration::ZERO, |at| now.since(at));
            vec![step("back", pause.saturating_sub(passed).max(AT_ONCE), What::Start(list, vec![at]))]
        }
        "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => Vec::new(),
        "ErrImagePull" => vec![step("pull", PULL_RETRY, What::PullLater(at))],
        _ => {
            if let Some(why) = needs::unmountable(cluster, pod) {
                CLIENT.event(cluster, pod, Severity::Warning, "FailedMount", &why);
                return Vec::new();
            }
            let fresh = matches!(reason, "ContainerCreating" | "PodInitializing");
            if !fresh && needs::misconfigured(cluster, pod, container).is_some() {
                return Vec::new();
            }
            // The first to start waits for the sandbox; the others, and those that were only misconfigured, do not.
            let after = if first && fresh {
                behaviour.start() + out_of_step(pod) + images(cluster, pod, list)
            } else {
                AT_ONCE
            };
            // Containers that start together share an alarm.
            let alarm = format!("{}/{list}/{}/start", pod.uid(), if list == INIT { at } else { 0 });
            vec![Step { alarm, after, what: What::Start(list, vec![at]) }]
        }
    }
}

/// How long the images of those containers take to arrive that start first, or (before the others) all of them.
fn images(cluster: &mut Cluster, pod: &Value, list: &str) -> Duration {
    let Some(node) = status::node(cluster, pod).cloned() else { return Duration::ZERO };
    let containers = pod.at(&["spec", if list == INIT { "initContainers" } else { "containers" }]);
    pull::wait(cluster, &node, containers.items())
}

/// Kubelets keep no step: replicas that are made at once start some milliseconds apart, and whoever watches them sees each
/// become ready by itself. What has a name of its own starts when it is said to.
fn out_of_step(pod: &Value) -> Duration {
    if pod.at(&["metadata", "generateName"]).is_empty() {
        return Duration::ZERO;
    }
    let sum = pod.uid().bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    Duration::from_millis(sum % OUT_OF_STEP_MS)
}

fn init_end(behaviour: Behaviour<'_>) -> End {
    End { after: behaviour.init(), code: 0, reason: "Completed" }
}

fn restarts_after(pod: &Value, container: &Value, list: &str, code: i64) -> bool {
    if list == INIT && status::is_sidecar(container) {
        return true;
    }
    match pod.at(&["spec", "restartPolicy"]).str_or_empty() {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => list == MAIN || code != 0,
    }
}

/// How long a restart is put off after so many of them.
fn back_off(restarts: i64, terminated: &Value) -> Duration {
    let ran = terminated
        .time(&["finishedAt"])
        .zip(terminated.time(&["startedAt"]))
        .map_or(Duration::ZERO, |(end, start)| end.since(start));
    if restarts == 0 || ran > BACK_OFF_RESET {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(restarts - 1).unwrap_or(0).min(8);
    (BACK_OFF * 2_u32.pow(doublings)).min(BACK_OFF_MAX)
}

/// Takes a step.
fn take(cluster: &mut Cluster, key: &ObjectKey, node: &Value, mut pod: Value, what: What) {
    match what {
        What::Start(list, containers) => {
            status::address(cluster, node, &mut pod);
            for at in containers {
                start(cluster, &mut pod, list, at);
            }
        }
        What::Ready(list, at) => {
            if let Some(entry) = entry_mut(&mut pod, list, at) {
                entry.set(&["ready"], true);
            }
        }
        What::End(list, at, end) => {
            if let Some(entry) = entry_mut(&mut pod, list, at) {
                status::end(cluster, entry, end.code, end.reason);
                if list == INIT && end.code == 0 {
                    entry.set(&["ready"], true);
                }
            }
        }
        What::PutOff(list, at, pause) => {
            let about = pod.clone();
            let name = spec_of(&about, list, at).name_of();
            let message = format!(
                "back-off {} restarting failed container={name} pod={}_{}({})",
                seconds(pause),
                about.name(),
                about.namespace(),
                about.uid()
            );
            if let Some(entry) = entry_mut(&mut pod, list, at) {
                let terminated = entry.at(&["state", "terminated"]).clone();
                entry.set(&["lastState"], crate::doc!({"terminated": (terminated)}));
                entry.set(&["state"], status::waiting("CrashLoopBackOff", Some(&message)));
            }
            let said = format!(
                "Back-off restarting failed container {name} in pod {}_{}({})",
                about.name(),
                about.namespace(),
                about.uid()
            );
            CLIENT.event(cluster, &about, Severity::Warning, "BackOff", &said);
        }
        What::PullLater(at) => {
            if let Some(entry) = entry_mut(&mut pod, MAIN, at) {
                let message = format!("Back-off pulling image {:?}", entry.at(&["image"]).str_or_empty());
                entry.set(&["state"], status::waiting("ImagePullBackOff", Some(&message)));
                let about = pod.clone();
                CLIENT.event(cluster, &about, Severity::Normal, "BackOff", &message);
                CLIENT.event(cluster, &about, Severity::Warning, "Failed", "Error: ImagePullBackOff");
            }
        }
        What::Stop => return stop(cluster, key, pod),
    }
    write(cluster, key, pod, false);
}

/// As Go prints a duration: `40s`, `2m40s`.
fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
}

fn start(cluster: &mut Cluster, pod: &mut Value, list: &'static str, at: usize) {
    let settings = cluster.settings.clone();
    let original = pod.clone();
    let behaviour = Behaviour::of(&original, &settings);
    let container = spec_of(&original, list, at);
    let problem = needs::misconfigured(cluster, &original, container);
    let Some(entry) = entry_mut(pod, list, at) else { return };
    if behaviour.lacks_image(container.name_of()) {
        let image = container.at(&["image"]).str_or_empty();
        let message =
            format!("failed to pull and unpack image {image:?}: failed to resolve reference {image:?}: not found");
        entry.set(&["state"], status::waiting("ErrImagePull", Some(&message)));
        let why = format!("Failed to pull image {image:?}: {message}");
        CLIENT.event(cluster, &original, Severity::Warning, "Failed", &why);
        CLIENT.event(cluster, &original, Severity::Warning, "Failed", "Error: ErrImagePull");
        return;
    }
    if let Some(why) = problem {
        entry.set(&["state"], status::waiting("CreateContainerConfigError", Some(&why)));
        CLIENT.event(cluster, &original, Severity::Warning, "Failed", &format!("Error: {why}"));
        return;
    }
    let one_off = list == INIT && !status::is_sidecar(container);
    let ready = !one_off && behaviour.ready(container).is_some_and(|after| after.is_zero());
    status::start(cluster, container, entry, ready);
}

/// Ends what still runs, says so where somebody may still read it, and lets the pod go.
///
/// A program that hears the signal to stop ends well; one that has to be killed does not.
fn stop(cluster: &mut Cluster, key: &ObjectKey, mut pod: Value) {
    let settings = cluster.settings.clone();
    let (code, reason) = if Behaviour::of(&pod, &settings).is_killed() { (137, "Error") } else { (0, "Completed") };
    for list in [INIT, MAIN] {
        for at in 0..pod.at(&["status", list]).items().len() {
            if let Some(entry) = entry_mut(&mut pod, list, at)
                && entry.at(&["state", "terminated"]).is_null()
            {
                status::end(cluster, entry, code, reason);
            }
        }
    }
    let uid = pod.uid().to_owned();
    // Without finalizers nobody but a watcher in this very instant could read the last status.
    if pod.finalizers().next().is_some() {
        write(cluster, key, pod, true);
    }
    let now = Deletion { uid: Some(uid), grace_period_seconds: Some(0), ..Deletion::default() };
    let _ = CLIENT.delete(cluster, key, &now);
}

/// Writes a pod's status, with the phase and conditions that follow from its containers.
fn write(cluster: &mut Cluster, key: &ObjectKey, mut pod: Value, over: bool) {
    status::conclude(&mut pod, &time::format(cluster.now()), over);
    let writer = Writer::component("node", CLIENT.program);
    let _ = registry::update(cluster, key, pod, Part::Status, &writer);
}
