//! How many replicas a metric asks for.
//!
//! Knows: `pkg/controller/podautoscaler/replica_calculator.go`: tolerance, pods that are not ready, pods of which no metric came.
//! Does not know: where a metric comes from, or how fast a workload may be scaled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use twin::Time;

use crate::quantity::Quantity;
use crate::time;
use crate::value::Value;

/// For how long after its start a pod's CPU counts only while it is ready (`--horizontal-pod-autoscaler-cpu-initialization-period`).
const CPU_INITIALIZATION: Duration = Duration::from_secs(300);

/// Who gets unready later than this after its start was ready once (`--horizontal-pod-autoscaler-initial-readiness-delay`).
const INITIAL_READINESS: Duration = Duration::from_secs(30);

/// By how much usage may miss its target and nothing happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tolerances {
    pub(super) down: f64,
    pub(super) up: f64,
}

impl Tolerances {
    fn allow(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// What was measured of one pod.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// In thousandths.
    pub(super) milli: i64,
    /// When.
    pub(super) at: Time,
    /// Over how long.
    pub(super) window: Duration,
}

/// What was measured, by pod.
pub(super) type Samples = BTreeMap<String, Sample>;

/// How many replicas are proposed, and what a pod uses on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Proposal {
    pub(super) replicas: i64,
    /// In thousandths.
    pub(super) average: i64,
    /// In percent of what is requested, where that is what counts.
    pub(super) percent: Option<i64>,
}

/// What a pod is to use.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal<'a> {
    /// So many percent of what it requests of a resource; of one container or (empty) of all.
    Percent { of: i64, resource: &'a str, container: &'a str },
    /// So many thousandths.
    Milli { of: i64, resource: &'a str },
}

impl<'a> Goal<'a> {
    const fn resource(self) -> &'a str {
        match self {
            Self::Percent { resource, .. } | Self::Milli { resource, .. } => resource,
        }
    }
}

/// Pods in groups that count differently.
struct Groups<'a> {
    ready: usize,
    unready: BTreeSet<&'a str>,
    missing: BTreeSet<&'a str>,
}

/// The replicas that would bring the mean use of these pods to the goal.
///
/// # Errors
/// Why it cannot be said.
pub(super) fn per_pod(
    pods: &[&Value],
    mut samples: Samples,
    current: i64,
    goal: Goal<'_>,
    tolerances: Tolerances,
    now: Time,
) -> Result<Proposal, String> {
    if pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let groups = group(pods, &mut samples, goal.resource() == "cpu", now);
    if samples.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    let mut used: BTreeMap<&str, i64> = samples.iter().map(|(name, sample)| (name.as_str(), sample.milli)).collect();
    let requests = match goal {
        Goal::Percent { resource, container, .. } => requests(pods, resource, container)?,
        Goal::Milli { .. } => BTreeMap::new(),
    };
    let (ratio, average, percent) = usage(&used, &requests, goal)?;
    let stays = Proposal { replicas: current, average, percent };
    let proposes = |replicas: i64| Proposal { replicas, ..stays };
    let up_with_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !up_with_unready && groups.missing.is_empty() {
        return Ok(if tolerances.allow(ratio) { stays } else { proposes(ceil(ratio * groups.ready as f64)) });
    }
    // What is not known is taken to stand against the change: at the goal when shrinking, idle when growing.
    for name in &groups.missing {
        if ratio < 1.0 {
            let assumed = match goal {
                Goal::Percent { of, .. } => requests.get(name).copied().unwrap_or(0) * of.max(100) / 100,
                Goal::Milli { of, .. } => of,
            };
            used.insert(name, assumed);
        } else if ratio > 1.0 {
            used.insert(name, 0);
        }
    }
    if up_with_unready {
        used.extend(groups.unready.iter().map(|name| (*name, 0)));
    }
    let (again, ..) = usage(&used, &requests, goal)?;
    let turned = (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0);
    if tolerances.allow(again) || turned {
        return Ok(stays);
    }
    let replicas = ceil(again * used.len() as f64);
    let against = (again < 1.0 && replicas > current) || (again > 1.0 && replicas < current);
    Ok(if against { stays } else { proposes(replicas) })
}

/// The replicas that would bring a value that all share to the goal; the value itself is what is shown.
///
/// # Errors
/// Why it cannot be said.
pub(super) fn shared(
    pods: &[&Value],
    current: i64,
    value: i64,
    goal: i64,
    tolerances: Tolerances,
) -> Result<Proposal, String> {
    let ratio = value as f64 / goal as f64;
    let proposal = |replicas: i64| Ok(Proposal { replicas, average: value, percent: None });
    if current == 0 {
        return proposal(ceil(ratio));
    }
    if tolerances.allow(ratio) {
        return proposal(current);
    }
    if pods.is_empty() {
        let none = "no pods returned by selector while calculating replica count";
        return Err(format!("unable to calculate ready pods: {none}"));
    }
    let ready = pods.iter().filter(|pod| pod.at(&["status", "phase"]) == "Running" && pod.condition_is_true("Ready"));
    proposal(ceil(ratio * ready.count() as f64))
}

/// The replicas among which a value is shared so that each has its goal.
pub(super) fn divided(have: i64, value: i64, goal: i64, tolerances: Tolerances) -> Proposal {
    let ratio = value as f64 / (goal as f64 * have as f64);
    let replicas = if tolerances.allow(ratio) { have } else { ceil(value as f64 / goal as f64) };
    Proposal { replicas, average: ceil(value as f64 / have as f64), percent: None }
}

/// As many replicas as an object can ask for at most.
fn ceil(number: f64) -> i64 {
    number.ceil().clamp(0.0, f64::from(i32::MAX)) as i64
}

/// Takes out of the samples those that do not count.
fn group<'a>(pods: &[&'a Value], samples: &mut Samples, cpu: bool, now: Time) -> Groups<'a> {
    let mut groups = Groups { ready: 0, unready: BTreeSet::new(), missing: BTreeSet::new() };
    for pod in pods {
        let phase = pod.at(&["status", "phase"]).str_or_empty();
        if pod.is_terminating() || phase == "Failed" {
            samples.remove(pod.name());
        } else if phase == "Pending" {
            samples.remove(pod.name());
            groups.unready.insert(pod.name());
        } else {
            match samples.get(pod.name()) {
                None => {
                    groups.missing.insert(pod.name());
                }
                Some(sample) if cpu && starts(pod, sample, now) => {
                    samples.remove(pod.name());
                    groups.unready.insert(pod.name());
                }
                Some(_) => groups.ready += 1,
            }
        }
    }
    groups
}

/// Whether a sample tells of a pod's start rather than of its work.
fn starts(pod: &Value, sample: &Sample, now: Time) -> bool {
    let at = |value: &Value| value.as_str().and_then(time::parse);
    let (Some(condition), Some(started)) = (pod.condition("Ready"), at(pod.at(&["status", "startTime"]))) else {
        return true;
    };
    let unready = *condition.at(&["status"]) == *"False";
    let since = at(condition.at(&["lastTransitionTime"])).unwrap_or_default();
    if started + CPU_INITIALIZATION > now {
        unready || sample.at < since + sample.window
    } else {
        unready && started + INITIAL_READINESS > since
    }
}

/// How near to the goal the pods are together: the ratio, the mean, and the percentage where that is what counts.
fn usage(
    used: &BTreeMap<&str, i64>,
    requests: &BTreeMap<&str, i64>,
    goal: Goal<'_>,
) -> Result<(f64, i64, Option<i64>), String> {
    let total = |numbers: &mut dyn Iterator<Item = i64>| numbers.fold(0, i64::saturating_add);
    match goal {
        Goal::Percent { of, .. } => {
            let known: Vec<(i64, i64)> =
                used.iter().filter_map(|(name, used)| Some((*used, *requests.get(name)?))).collect();
            let (sum, requested) =
                (total(&mut known.iter().map(|known| known.0)), total(&mut known.iter().map(|known| known.1)));
            let Some(percent) = sum.saturating_mul(100).checked_div(requested) else {
                return Err("no metrics returned matched known pods".to_owned());
            };
            let average = sum.checked_div(known.len() as i64).unwrap_or(0);
            Ok((percent as f64 / of as f64, average, Some(percent)))
        }
        Goal::Milli { of, .. } => {
            let average = total(&mut used.values().copied()).checked_div(used.len() as i64).unwrap_or(0);
            Ok((average as f64 / of as f64, average, None))
        }
    }
}

/// What each pod requests, in thousandths.
fn requests<'a>(pods: &[&'a Value], resource: &str, container: &str) -> Result<BTreeMap<&'a str, i64>, String> {
    pods.iter().map(|pod| Ok((pod.name(), request(pod, resource, container)?))).collect()
}

/// What one pod requests, in thousandths: of itself if it says so, else what its containers do that live as long as it does.
pub(super) fn request(pod: &Value, resource: &str, container: &str) -> Result<i64, String> {
    let milli = |value: &Value| Quantity::of(value).and_then(|quantity| i64::try_from(quantity.as_milli()).ok());
    let own = pod.at(&["spec", "resources", "requests"]);
    if container.is_empty() && !own.is_empty() {
        // What is said for the pod as a whole counts; what is not, its containers say.
        if let Some(request) = milli(own.at(&[resource])) {
            return Ok(request);
        }
    }
    let restarts = |init: &&Value| init.at(&["restartPolicy"]) == "Always";
    let spec = pod.at(&["spec"]);
    let containers =
        spec.at(&["containers"]).items().iter().chain(spec.at(&["initContainers"]).items().iter().filter(restarts));
    let mut sum = 0_i64;
    let mut found = container.is_empty();
    for one in containers {
        let name = one.at(&["name"]).str_or_empty();
        if !container.is_empty() && name != container {
            continue;
        }
        found = true;
        let Some(request) = milli(one.at(&["resources", "requests", resource])) else {
            return Err(format!("missing request for {resource} in container {name} of Pod {}", pod.name()));
        };
        sum = sum.saturating_add(request);
    }
    if found { Ok(sum) } else { Err(format!("container {container} not found in Pod {}", pod.name())) }
}

/// What a status says that a pod uses: bytes as `Mi`, all else in thousandths.
pub(super) fn shown(resource: &str, milli: i64) -> Value {
    let quantity = Quantity::milli(i128::from(milli));
    let quantity = if resource == "memory" { quantity.binary() } else { quantity };
    Value::from(quantity.to_string())
}
