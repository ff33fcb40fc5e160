//! The horizontal pod autoscaler.
//!
//! Knows: `pkg/controller/podautoscaler/horizontal.go`: that it looks every 15 s and no sooner, what it says in conditions and
//! events, bounds, and which of several metrics counts.
//! Does not know: where metrics come from (`metrics`), what one asks for (`measure`, `replicas`), how fast is too fast (`history`).

mod history;
mod measure;
mod metrics;
mod replicas;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use history::History;

use self::history::{PERIOD, Rules};
use self::measure::{Measured, Unmeasured, measure};
use self::metrics::Pipeline;
use crate::apiserver::registry::set_condition;
use crate::apiserver::{scale_of, status};
use crate::cluster::{Change, Cluster};
use crate::controllers::client::{Client, Severity};
use crate::controllers::{self, Controller, Next};
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::split_api_version;
use crate::time;
use crate::value::{Text, Value};

/// Scales what autoscalers point at.
pub(crate) struct Autoscalers;

const CLIENT: Client = Client::controller("horizontal-pod-autoscaler");
const AUTOSCALERS: &str = "horizontalpodautoscalers.autoscaling";
const SLICES: &str = "endpointslices.discovery.k8s.io";

/// The name of the alarm that makes it look.
const BEAT: &str = "beat";

/// So long after its start a pod's CPU may still count differently at the next look.
const PODS_SETTLE: Duration = Duration::from_secs(330);

impl Controller for Autoscalers {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        let key = &change.key;
        if key.is(AUTOSCALERS) {
            let spec =
                |autoscaler: &Option<Value>| autoscaler.as_ref().map(|autoscaler| autoscaler.at(&["spec"]).clone());
            if spec(&change.before) != spec(&change.after) {
                look(key.clone());
            }
        } else if key.is("pods") {
            self.pod_changed(cluster, change, look);
        } else if key.is(SLICES) || key.is("services") {
            // Whoever calls a service that has more endpoints calls it more, wherever the caller's callees are.
            cluster.autoscaling().filter(|(_, history)| history.follows_load).for_each(|(key, _)| look(key.clone()));
        } else if key.is("namespaces") {
            cluster.list(AUTOSCALERS, Some(&key.name)).for_each(|(key, _)| look(key.clone()));
        } else if !key.namespace.is_empty() && !key.is("events") {
            let concerns = |object: &Option<Value>| {
                let part = |path| object.as_ref().map(|object| object.at(path).clone());
                (part(&["spec", "replicas"]), part(&["metadata", "annotations"]))
            };
            if concerns(&change.before) == concerns(&change.after) {
                return;
            }
            for (key, autoscaler) in cluster.list(AUTOSCALERS, Some(&key.namespace)) {
                let spec = autoscaler.at(&["spec"]);
                let described =
                    |metric: &Value| *metric.at(&["object", "describedObject", "name"]) == *change.key.name.as_str();
                if *spec.at(&["scaleTargetRef", "name"]) == *change.key.name.as_str()
                    || spec.at(&["metrics"]).items().iter().any(described)
                {
                    look(key.clone());
                }
            }
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(autoscaler) = cluster.get(key) else {
            cluster.set_autoscaling(key, None);
            return Next::Done;
        };
        // The beat begins with the autoscaler, and whatever happens is seen at the next one.
        let age = cluster.now().since(autoscaler.created().unwrap_or_default());
        let past = age.as_millis().checked_rem(PERIOD.as_millis()).and_then(|past| u64::try_from(past).ok());
        let left = PERIOD - Duration::from_millis(past.unwrap_or(0));
        controllers::set_alarm(cluster, CLIENT.name, key, BEAT, left);
        Next::Done
    }

    fn ring(&self, cluster: &mut Cluster, key: &ObjectKey, _: &str) -> Next {
        let Some(autoscaler) = cluster.get(key).filter(|autoscaler| !autoscaler.is_terminating()).cloned() else {
            return Next::Done;
        };
        let mut history = cluster.autoscaling_of(key).cloned().unwrap_or_else(|| taken_over(cluster, &autoscaler));
        history.catch_up(cluster.now());
        let mut look = Look { cluster, key, autoscaler: autoscaler.clone(), history, events: Vec::new(), moves: false };
        look.look();
        let Look { autoscaler: new, mut history, events, moves, .. } = look;
        let changed = new.at(&["status"]) != autoscaler.at(&["status"]);
        // Once nothing changes any more, only a change of something else can change that.
        let rests = !changed && !moves;
        history.quiet = rests;
        cluster.set_autoscaling(key, Some(history));
        if changed {
            let _ = CLIENT.update_status(cluster, key, |autoscaler| {
                autoscaler.set(&["status"], new.at(&["status"]).clone());
            });
            for (severity, reason, message) in events {
                CLIENT.event(cluster, &autoscaler, severity, reason, &message);
            }
        }
        if rests { Next::Done } else { self.reconcile(cluster, key) }
    }
}

impl Autoscalers {
    /// A pod that comes, goes, starts or gets ready is felt by whoever scales it.
    fn pod_changed(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        let concerns = |pod: &Option<Value>| {
            pod.as_ref().map(|pod| {
                let phase = pod.at(&["status", "phase"]).clone();
                (
                    phase,
                    pod.condition_is_true("Ready"),
                    pod.is_terminating(),
                    pod.at(&["metadata", "annotations"]).clone(),
                )
            })
        };
        if concerns(&change.before) == concerns(&change.after) {
            return;
        }
        let Some(pod) = change.after.as_ref().or(change.before.as_ref()) else { return };
        for (key, _) in cluster.list(AUTOSCALERS, Some(&change.key.namespace)) {
            // One that has not selected anything yet has a first look before it.
            let selector = cluster.autoscaling_of(key).and_then(|history| history.selector.as_deref());
            let felt = selector.and_then(|text| crate::labels::Selector::parse(text).ok());
            if felt.is_some_and(|selector| selector.matches(pod.labels())) {
                look(key.clone());
            }
        }
    }
}

/// What one begins with that has looked before, elsewhere: in the cluster that this one was taken from, or before the
/// controllers were started again. It recommended what it wanted, and what it measured is known.
fn taken_over(cluster: &Cluster, autoscaler: &Value) -> History {
    let mut history = History::default();
    let status = autoscaler.at(&["status"]);
    let active = autoscaler.condition_is_true("ScalingActive");
    if let Some(wanted) = status.at(&["desiredReplicas"]).as_int().filter(|_| active) {
        history.begin(wanted, cluster.now() - PERIOD);
        history.learned = Some(status.clone());
    }
    history
}

type Event = (Severity, &'static str, String);

/// What an autoscaler scales.
struct Target {
    key: ObjectKey,
    object: Value,
    path: Vec<Text>,
    /// `spec.replicas` of its scale.
    wanted: i64,
    /// `status.replicas` of its scale.
    have: i64,
    selector: String,
}

/// What all metrics together ask for.
struct Wanted {
    replicas: i64,
    metric: String,
}

/// One look.
struct Look<'a> {
    cluster: &'a mut Cluster,
    key: &'a ObjectKey,
    autoscaler: Value,
    history: History,
    events: Vec<Event>,
    /// Whether the next look may see something else though nothing happens meanwhile.
    moves: bool,
}

impl Look<'_> {
    fn say(&mut self, kind: &str, truth: bool, reason: &str, message: &str) {
        let now = time::format(self.cluster.now());
        let truth = if truth { "True" } else { "False" };
        let condition = doc!({"type": (kind), "status": (truth), "reason": (reason), "message": (message)});
        set_condition(&mut self.autoscaler, &now, condition);
    }

    fn tell(&mut self, severity: Severity, reason: &'static str, message: String) {
        self.events.push((severity, reason, message));
    }

    /// Does what is to be done, and writes the new status into its own copy of the autoscaler.
    fn look(&mut self) {
        if self.autoscaler.at(&["status", "currentMetrics"]).is_null() {
            self.autoscaler.set(&["status", "currentMetrics"], Value::Null);
        }
        let target = match target(self.cluster, self.key, &self.autoscaler) {
            Ok(target) => target,
            Err(why) => {
                let message = format!("the HPA controller was unable to get the target's current scale: {why}");
                self.say("AbleToScale", false, "FailedGetScale", &message);
                self.set(&["desiredReplicas"], self.number("desiredReplicas"));
                self.tell(Severity::Warning, "FailedGetScale", why);
                return;
            }
        };
        let message = "the HPA controller was able to get the target's current scale";
        self.say("AbleToScale", true, "SucceededGetScale", message);
        let now = self.cluster.now();
        let current = target.wanted;
        self.history.begin(current, now);
        let behavior = self.autoscaler.at(&["spec", "behavior"]).clone();
        let bound = |field: &str| self.autoscaler.at(&["spec", field]).as_int().unwrap_or(1);
        let rules = Rules { current, least: bound("minReplicas"), most: bound("maxReplicas"), behavior: &behavior };
        if current == 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            self.say("ScalingActive", false, "ScalingDisabled", message);
            self.set_replicas(0, 0, Value::Null);
            return;
        }
        if current > rules.most {
            let why = "Current number of replicas above Spec.MaxReplicas";
            self.rescale(&target, &rules, rules.most, why, Value::Null);
            return;
        }
        if current < rules.least {
            let why = "Current number of replicas below Spec.MinReplicas";
            self.rescale(&target, &rules, rules.least, why, Value::Null);
            return;
        }
        let (wanted, statuses) = self.measure(&target, &behavior);
        let Ok(wanted) = wanted else {
            self.set_replicas(current, self.number("desiredReplicas"), statuses);
            return;
        };
        let why = match wanted.replicas.cmp(&current) {
            std::cmp::Ordering::Greater => format!("{} above target", wanted.metric),
            std::cmp::Ordering::Less => "All metrics below target".to_owned(),
            std::cmp::Ordering::Equal => String::new(),
        };
        let normalized = self.history.normalize(wanted.replicas, &rules, now);
        self.moves |= normalized.held_back;
        let (stabilized, limited) = (normalized.stabilized, normalized.limited);
        self.say("AbleToScale", true, stabilized.reason, stabilized.message);
        self.say("ScalingLimited", limited.replicas != stabilized.replicas, limited.reason, limited.message);
        if limited.replicas == current {
            self.set_replicas(current, current, statuses);
        } else {
            self.rescale(&target, &rules, limited.replicas, &why, statuses);
        }
    }

    fn rescale(&mut self, target: &Target, rules: &Rules<'_>, to: i64, why: &str, statuses: Value) {
        let path: Vec<&str> = target.path.iter().map(|part| part.as_str()).collect();
        match CLIENT.update(self.cluster, &target.key, |object| object.set(&path, to)) {
            Ok(_) => {
                let message = format!("the HPA controller was able to update the target scale to {to}");
                self.say("AbleToScale", true, "SucceededRescale", &message);
                self.tell(Severity::Normal, "SuccessfulRescale", format!("New size: {to}; reason: {why}"));
                let now = self.cluster.now();
                self.history.scaled(rules, to, now);
                self.set(&["lastScaleTime"], time::format(now));
                self.set_replicas(rules.current, to, statuses);
            }
            Err(refused) => {
                let refused = refused.to_string();
                let message = format!("New size: {to}; reason: {why}; error: {refused}");
                self.tell(Severity::Warning, "FailedRescale", message);
                let message = format!("the HPA controller was unable to update the target scale: {refused}");
                self.say("AbleToScale", false, "FailedUpdateScale", &message);
                self.set_replicas(rules.current, self.number("desiredReplicas"), statuses);
            }
        }
    }

    /// What all metrics together ask for, and what is shown of each. With some of them unknown it may only grow.
    fn measure(&mut self, target: &Target, behavior: &Value) -> (Result<Wanted, ()>, Value) {
        let specs = self.autoscaler.at(&["spec", "metrics"]).clone();
        let tolerances = history::tolerances(behavior);
        if let Err((reason, message, told)) = self.select(target) {
            self.say("ScalingActive", false, reason, &message);
            let (event, told) = told.unwrap_or((reason, message.clone()));
            self.tell(Severity::Warning, event, told.clone());
            self.tell(Severity::Warning, "FailedComputeMetricsReplicas", told);
            return (Err(()), Value::Null);
        }
        let learned = self.history.learned.clone();
        let (results, follows_load) = {
            let pods = metrics::selected(self.cluster, &self.key.namespace, &target.selector).unwrap_or_default();
            let pipeline = Pipeline::of(self.cluster, &self.key.namespace, &target.object, &pods, learned.as_ref());
            let results: Vec<Result<Measured, Unmeasured>> =
                specs.items().iter().map(|spec| measure(&pipeline, target, spec, tolerances)).collect();
            let known = results.iter().any(Result::is_ok);
            self.moves |= known && (pipeline.by_hour || any_settles(&pods, self.cluster.now()));
            (results, pipeline.follows_load())
        };
        self.history.follows_load = follows_load;
        let statuses: Vec<Value> = results
            .iter()
            .map(|result| result.as_ref().map_or_else(|_| doc!({"type": ""}), |measured| measured.shown.clone()))
            .collect();
        let statuses = Value::from(statuses);
        let mut wanted: Option<Wanted> = None;
        let mut unmeasured = Vec::new();
        for result in results {
            match result {
                Ok(Measured { proposal, name, .. }) => {
                    if wanted.as_ref().is_none_or(|wanted| wanted.replicas == 0 || proposal.replicas > wanted.replicas)
                    {
                        wanted = Some(Wanted { replicas: proposal.replicas, metric: name });
                    }
                }
                Err(why) => unmeasured.push(why),
            }
        }
        for why in &unmeasured {
            self.tell(Severity::Warning, why.reason, why.message.clone());
        }
        let shrinks = wanted.as_ref().is_none_or(|wanted| wanted.replicas < target.wanted);
        if let Some(first) = unmeasured.first()
            && shrinks
        {
            let message = format!("the HPA was unable to compute the replica count: {}", first.message);
            let (of, all) = (unmeasured.len(), specs.items().len());
            let error = format!("invalid metrics ({of} invalid out of {all}), first error is: {}", first.error);
            self.say("ScalingActive", false, first.reason, &message);
            self.tell(Severity::Warning, "FailedComputeMetricsReplicas", error);
            return (Err(()), statuses);
        }
        let Some(wanted) = wanted else { return (Err(()), statuses) };
        let message = format!("the HPA was able to successfully calculate a replica count from {}", wanted.metric);
        self.say("ScalingActive", true, "ValidMetricFound", &message);
        (Ok(wanted), statuses)
    }

    /// Checks that the pods of a target can be told, and are nobody else's.
    ///
    /// # Errors
    /// The condition's reason and message, and the event's if they are others.
    #[expect(clippy::type_complexity, reason = "said once, read once")]
    fn select(&mut self, target: &Target) -> Result<(), (&'static str, String, Option<(&'static str, String)>)> {
        if target.selector.is_empty() {
            let message = "the HPA target's scale is missing a selector".to_owned();
            return Err(("InvalidSelector", message, Some(("SelectorRequired", "selector is required".to_owned()))));
        }
        let pods = match metrics::selected(self.cluster, &self.key.namespace, &target.selector) {
            Ok(pods) => pods,
            Err(why) => {
                let message = format!("couldn't convert selector into a corresponding internal selector object: {why}");
                return Err(("InvalidSelector", message, None));
            }
        };
        let mut rivals: Vec<&ObjectKey> = self
            .cluster
            .autoscaling()
            .filter(|(key, history)| {
                key.namespace == self.key.namespace && *key != self.key && {
                    let selector = history.selector.as_deref().map(crate::labels::Selector::parse);
                    let selector = selector.and_then(Result::ok);
                    selector.is_some_and(|selector| pods.iter().any(|pod| selector.matches(pod.labels())))
                }
            })
            .map(|(key, _)| key)
            .collect();
        self.history.selector = Some(Text::from(target.selector.as_str()));
        if rivals.is_empty() {
            return Ok(());
        }
        rivals.push(self.key);
        rivals.sort();
        let rivals: Vec<String> = rivals.iter().map(|key| format!("{}/{}", key.namespace, key.name)).collect();
        let (selector, rivals) = (&target.selector, rivals.join(" "));
        let message = format!("pods by selector {selector} are controlled by multiple HPAs: [{rivals}]");
        Err(("AmbiguousSelector", message, None))
    }

    fn number(&self, field: &str) -> i64 {
        self.autoscaler.at(&["status", field]).as_int().unwrap_or(0)
    }

    fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        let path: Vec<&str> = ["status"].iter().chain(path).copied().collect();
        self.autoscaler.set(&path, value);
    }

    fn set_replicas(&mut self, have: i64, wanted: i64, metrics: Value) {
        if have == 0 {
            self.autoscaler.remove(&["status", "currentReplicas"]);
        } else {
            self.set(&["currentReplicas"], have);
        }
        self.set(&["desiredReplicas"], wanted);
        self.set(&["currentMetrics"], metrics);
    }
}

/// Whether the CPU of one of these may yet count differently because it has not run for long.
fn any_settles(pods: &[&Value], now: twin::Time) -> bool {
    pods.iter().any(|pod| {
        let started = pod.at(&["status", "startTime"]).as_str().and_then(time::parse);
        started.is_none_or(|started| started + PODS_SETTLE > now)
    })
}

/// The `scale` of what an autoscaler points at, or why there is none.
fn target(cluster: &Cluster, key: &ObjectKey, autoscaler: &Value) -> Result<Target, String> {
    let reference = autoscaler.at(&["spec", "scaleTargetRef"]);
    let (kind, name) = (reference.at(&["kind"]).str_or_empty(), reference.at(&["name"]).str_or_empty());
    let (group, version) = split_api_version(reference.at(&["apiVersion"]).str_or_empty());
    let resource =
        cluster.schema.by_kind(group, version, kind).or_else(|| cluster.schema.preferred_by_kind(group, kind));
    let resource = resource.ok_or_else(|| format!("no matches for kind {kind:?} in group {group:?}"))?;
    let scale = resource.subresource("scale");
    let scale = scale.ok_or_else(|| "the server could not find the requested resource".to_owned())?;
    let target = key.beside(resource.storage.resource.clone(), name);
    let object = cluster.get(&target).ok_or_else(|| status::Status::not_found(&target.resource, name).message)?;
    let path = scale.scale.as_ref().map_or("spec.replicas", |paths| paths.spec.as_str());
    let path = path.trim_start_matches('.').split('.').map(Text::from).collect();
    let scale = scale_of(object, scale.scale.as_ref());
    let number = |path: &[&str]| scale.at(path).as_int().unwrap_or(0);
    Ok(Target {
        key: target,
        object: object.clone(),
        path,
        wanted: number(&["spec", "replicas"]),
        have: number(&["status", "replicas"]),
        selector: scale.at(&["status", "selector"]).str_or_empty().to_owned(),
    })
}
