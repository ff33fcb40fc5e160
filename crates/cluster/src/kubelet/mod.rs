//! The kubelets of all nodes: they start, watch and stop the pods that are bound to them.
//!
//! Knows: the life of a pod on its node, step by step.
//! Does not know: why a pod is where it is, or what runs in it.
//!
//! A pod's status says how far it has come; what is awaited next follows from it and is an alarm. An alarm's name says
//! which step of which life it is for, so one that was overtaken means nothing when it rings.

mod behaviour;
mod needs;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use behaviour::{Behaviour, End};
use status::{INIT, MAIN};

use crate::apiserver::registry::{self, Deletion, Part, Writer};
use crate::cluster::{Change, Cluster};
use crate::controllers::client::{Client, Severity};
use crate::controllers::{self, Controller, Next};
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;

const CLIENT: Client = Client { name: "kubelet", program: "kubelet" };

/// A container that crashes is restarted at once, then after this long, then after twice that, and so on.
const BACK_OFF: Duration = Duration::from_secs(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(300);
/// Whoever ran this long starts over with the shortest back-off.
const BACK_OFF_RESET: Duration = Duration::from_secs(600);
/// From a failed pull until the kubelet says that it backs off.
const PULL_RETRY: Duration = Duration::from_secs(1);
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
                for (pod, value) in cluster.list("pods", Some(&key.namespace)) {
                    if value.at(&["status", "phase"]) == "Pending" && !value.at(&["spec", "nodeName"]).is_empty() {
                        look(pod.clone());
                    }
                }
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
    let (mut steps, put_right) = awaited(cluster, &mut new);
    let due = steps.iter().position(|step| step.after.is_zero() || alarm == Some(step.alarm.as_str()));
    if let Some(due) = due {
        let step = steps.remove(due);
        take(cluster, key, &node, new, step.what);
        return;
    }
    if put_right || !pod.at(&["spec", "readinessGates"]).is_empty() || is_behind(&pod) {
        write(cluster, key, new, false);
    }
    for step in steps {
        controllers::set_alarm(cluster, CLIENT.name, key, &step.alarm, step.after);
    }
}

/// Whether the status speaks of an older spec.
fn is_behind(pod: &Value) -> bool {
    !pod.is_terminating()
        && pod.at(&["status", "observedGeneration"]).as_int().is_some_and(|seen| seen < pod.generation())
}

/// What the pod waits for; and whether something in its status was put right on the way.
fn awaited(cluster: &mut Cluster, pod: &mut Value) -> (Vec<Step>, bool) {
    let settings = cluster.settings.clone();
    let original = pod.clone();
    let behaviour = Behaviour::of(&original, &settings);
    let uid = original.uid();
    if original.is_terminating() {
        // With no grace left, only finalizers hold it: they are not the kubelet's.
        let held = original.at(&["metadata", "deletionGracePeriodSeconds"]).as_int() == Some(0);
        let stop = behaviour.stop().filter(|_| !held);
        let alarm = format!("{uid}/stop/{}", original.at(&["metadata", "deletionTimestamp"]).str_or_empty());
        return (stop.map(|after| Step { alarm, after, what: What::Stop }).into_iter().collect(), false);
    }
    let mut steps = Vec::new();
    let mut put_right = false;
    let mut initialized = true;
    let init = original.at(&["spec", "initContainers"]).items();
    for (at, container) in init.iter().enumerate() {
        let entry = entry(&original, INIT, at);
        let past = status::is_past(container, entry);
        if past && !status::is_sidecar(container) {
            continue;
        }
        let first = at == 0;
        put_right |= follow(cluster, pod, behaviour, INIT, at, first, &mut steps);
        if !past {
            initialized = false;
            break;
        }
    }
    if initialized {
        for at in 0..original.at(&["spec", "containers"]).items().len() {
            put_right |= follow(cluster, pod, behaviour, MAIN, at, init.is_empty(), &mut steps);
        }
    }
    (join_starts(steps), put_right)
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

/// Says what one container waits for. Gives whether its status had to be put right.
fn follow(
    cluster: &mut Cluster,
    pod: &mut Value,
    behaviour: Behaviour<'_>,
    list: &'static str,
    at: usize,
    first: bool,
    steps: &mut Vec<Step>,
) -> bool {
    let now = cluster.now();
    let (container, entry) = (spec_of(pod, list, at).clone(), entry(pod, list, at).clone());
    let restarts = entry.at(&["restartCount"]).as_int().unwrap_or(0);
    let life = format!("{}/{list}/{at}/{restarts}", pod.uid());
    let state = entry.at(&["state"]);
    if let Some(started) = state.time(&["running", "startedAt"]) {
        let one_off = list == INIT && !status::is_sidecar(&container);
        if !entry.at(&["ready"]).is_true() && !one_off {
            let ready = behaviour.ready(&container).filter(|after| now.since(started) <= *after + HOPELESS);
            steps.extend(ready.map(|after| Step {
                alarm: format!("{life}/ready"),
                after,
                what: What::Ready(list, at),
            }));
        }
        let end = behaviour.end(container.name_of(), &entry).or_else(|| one_off.then(|| init_end(behaviour)));
        let end = if one_off && end.is_some_and(|end| end.code == 0) { Some(init_end(behaviour)) } else { end };
        steps.extend(end.map(|end| Step {
            alarm: format!("{life}/end"),
            after: end.after.max(Duration::from_millis(1)),
            what: What::End(list, at, end),
        }));
        return false;
    }
    if !state.at(&["terminated"]).is_null() {
        if restarts_after(pod, &container, list, state.at(&["terminated", "exitCode"]).as_int().unwrap_or(0)) {
            let pause = back_off(restarts, &state.at(&["terminated"]).clone());
            let what = if pause.is_zero() { What::Start(list, vec![at]) } else { What::PutOff(list, at, pause) };
            steps.push(Step { alarm: format!("{life}/again"), after: Duration::from_millis(1), what });
        }
        return false;
    }
    match state.at(&["waiting", "reason"]).str_or_empty() {
        "CrashLoopBackOff" => {
            let last = entry.at(&["lastState", "terminated"]);
            let pause = back_off(restarts, last).max(BACK_OFF);
            let passed = last.time(&["finishedAt"]).map_or(Duration::ZERO, |at| now.since(at));
            let after = pause.saturating_sub(passed).max(Duration::from_millis(1));
            steps.push(Step { alarm: format!("{life}/back"), after, what: What::Start(list, vec![at]) });
            false
        }
        "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => false,
        "ErrImagePull" => {
            steps.push(Step { alarm: format!("{life}/pull"), after: PULL_RETRY, what: What::PullLater(at) });
            false
        }
        _ => {
            if let Some(why) = needs::unmountable(cluster, pod) {
                CLIENT.event(cluster, &pod.clone(), Severity::Warning, "FailedMount", &why);
                return false;
            }
            let fresh =
                matches!(state.at(&["waiting", "reason"]).str_or_empty(), "ContainerCreating" | "PodInitializing");
            // The first to start waits for the sandbox; the others, and those that were only misconfigured, do not.
            let after = if first && fresh { behaviour.start() } else { Duration::from_millis(1) };
            if !fresh && needs::misconfigured(cluster, pod, &container).is_some() {
                return false;
            }
            let alarm = format!("{}/{list}/{}/start", pod.uid(), if list == INIT { at } else { 0 });
            steps.push(Step { alarm, after, what: What::Start(list, vec![at]) });
            false
        }
    }
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
            let said = format!("Back-off restarting failed container {name} in pod {}", about.name());
            CLIENT.event(cluster, &about, Severity::Warning, "BackOff", &said);
        }
        What::PullLater(at) => {
            if let Some(entry) = entry_mut(&mut pod, MAIN, at) {
                let message = format!("Back-off pulling image {:?}", entry.at(&["image"]).str_or_empty());
                entry.set(&["state"], status::waiting("ImagePullBackOff", Some(&message)));
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
    status::start(cluster, entry, ready);
}

/// Ends what still runs, says so where somebody may still read it, and lets the pod go.
fn stop(cluster: &mut Cluster, key: &ObjectKey, mut pod: Value) {
    for list in [INIT, MAIN] {
        for at in 0..pod.at(&["status", list]).items().len() {
            if let Some(entry) = entry_mut(&mut pod, list, at)
                && entry.at(&["state", "terminated"]).is_null()
            {
                status::end(cluster, entry, 137, "Error");
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
