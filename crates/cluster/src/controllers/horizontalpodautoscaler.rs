//! The horizontal pod autoscaler.
//!
//! Knows: `pkg/controller/podautoscaler`: bounds, conditions, and that it looks every 15 s and no sooner.
//! Does not know: any metric yet. Without them it does as the real one does without a metrics server: it only keeps the
//! bounds, and says why it does no more.

use std::time::Duration;

use crate::apiserver::registry::set_condition;
use crate::apiserver::status;
use crate::cluster::{Change, Cluster};
use crate::controllers::client::{Client, Severity};
use crate::controllers::{self, Controller, Next};
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::split_api_version;
use crate::time;
use crate::value::Value;

/// Scales what autoscalers point at.
pub(crate) struct Autoscalers;

const CLIENT: Client = Client::controller("horizontal-pod-autoscaler");
const AUTOSCALERS: &str = "horizontalpodautoscalers.autoscaling";

/// How often the real one looks (`--horizontal-pod-autoscaler-sync-period`).
const PERIOD_MS: u64 = 15_000;

/// The name of the alarm that makes it look.
const BEAT: &str = "beat";

impl Controller for Autoscalers {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if change.key.is(AUTOSCALERS) {
            let spec =
                |autoscaler: &Option<Value>| autoscaler.as_ref().map(|autoscaler| autoscaler.at(&["spec"]).clone());
            if change.after.is_some() && spec(&change.before) != spec(&change.after) {
                look(change.key.clone());
            }
            return;
        }
        let wanted = |object: &Option<Value>| object.as_ref().map(|object| object.at(&["spec", "replicas"]).clone());
        if change.key.namespace.is_empty() || change.key.is("pods") || wanted(&change.before) == wanted(&change.after) {
            return;
        }
        for (key, autoscaler) in cluster.list(AUTOSCALERS, Some(&change.key.namespace)) {
            if *autoscaler.at(&["spec", "scaleTargetRef", "name"]) == *change.key.name.as_str() {
                look(key.clone());
            }
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(autoscaler) = cluster.get(key) else { return Next::Done };
        // The beat begins with the autoscaler, and whatever happens is seen at the next one.
        let age = cluster.now().since(autoscaler.created().unwrap_or_default()).as_millis();
        let past = u64::try_from(age).unwrap_or(0).checked_rem(PERIOD_MS).unwrap_or(0);
        controllers::set_alarm(cluster, CLIENT.name, key, BEAT, Duration::from_millis(PERIOD_MS - past));
        Next::Done
    }

    fn ring(&self, cluster: &mut Cluster, key: &ObjectKey, _: &str) -> Next {
        let Some(autoscaler) = cluster.get(key).cloned() else { return Next::Done };
        if autoscaler.is_terminating() {
            return Next::Done;
        }
        let (status, event) = look(cluster, key, &autoscaler);
        // Once nothing changes any more, only a change of the target or of the autoscaler can change that.
        if status == *autoscaler.at(&["status"]) {
            return Next::Done;
        }
        let _ = CLIENT.update_status(cluster, key, |autoscaler| autoscaler.set(&["status"], status));
        if let Some((severity, reason, message)) = event {
            CLIENT.event(cluster, &autoscaler, severity, reason, &message);
        }
        self.reconcile(cluster, key)
    }
}

/// What an autoscaler scales.
struct Target {
    key: ObjectKey,
    path: Vec<String>,
    wanted: i64,
    have: i64,
}

type Event = (Severity, &'static str, String);

/// Does what is to be done; gives the new status, and what people should hear.
fn look(cluster: &mut Cluster, key: &ObjectKey, autoscaler: &Value) -> (Value, Option<Event>) {
    let now = time::format(cluster.now());
    let mut new = autoscaler.clone();
    if new.at(&["status", "currentMetrics"]).is_null() {
        new.set(&["status", "currentMetrics"], Value::Null);
    }
    let mut say = |kind: &str, truth: bool, reason: &str, message: &str| {
        let truth = if truth { "True" } else { "False" };
        set_condition(
            &mut new,
            &now,
            doc!({"type": (kind), "status": (truth), "reason": (reason), "message": (message)}),
        );
    };
    let target = match target(cluster, key, autoscaler) {
        Ok(target) => target,
        Err(why) => {
            let message = format!("the HPA controller was unable to get the target's current scale: {why}");
            say("AbleToScale", false, "FailedGetScale", &message);
            new.set(
                &["status", "desiredReplicas"],
                autoscaler.at(&["status", "desiredReplicas"]).as_int().unwrap_or(0),
            );
            return (new.at(&["status"]).clone(), Some((Severity::Warning, "FailedGetScale", why)));
        }
    };
    say("AbleToScale", true, "SucceededGetScale", "the HPA controller was able to get the target's current scale");
    let bound = |field: &str, default: i64| autoscaler.at(&["spec", field]).as_int().unwrap_or(default);
    let (least, most) = (bound("minReplicas", 1), bound("maxReplicas", 1));
    if target.wanted == 0 && least != 0 {
        let message = "scaling is disabled since the replica count of the target is zero";
        say("ScalingActive", false, "ScalingDisabled", message);
        set_replicas(&mut new, target.have, 0);
        return (new.at(&["status"]).clone(), None);
    }
    let (wanted, why) = if target.wanted > most {
        (most, "Current number of replicas above Spec.MaxReplicas")
    } else if target.wanted < least {
        (least, "Current number of replicas below Spec.MinReplicas")
    } else {
        let (reason, message) = unmeasured(autoscaler);
        say("ScalingActive", false, reason, &format!("the HPA was unable to compute the replica count: {message}"));
        let before = autoscaler.at(&["status", "desiredReplicas"]).as_int().unwrap_or(0);
        set_replicas(&mut new, target.have, before);
        let unknown: Vec<Value> =
            autoscaler.at(&["spec", "metrics"]).items().iter().map(|_| doc!({"type": ""})).collect();
        new.set(&["status", "currentMetrics"], unknown);
        return (new.at(&["status"]).clone(), Some((Severity::Warning, reason, message)));
    };
    let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
    match CLIENT.update(cluster, &target.key, |object| object.set(&path, wanted)) {
        Ok(_) => {
            let message = format!("the HPA controller was able to update the target scale to {wanted}");
            say("AbleToScale", true, "SucceededRescale", &message);
            new.set(&["status", "lastScaleTime"], now.as_str());
            set_replicas(&mut new, target.have, wanted);
            let message = format!("New size: {wanted}; reason: {why}");
            (new.at(&["status"]).clone(), Some((Severity::Normal, "SuccessfulRescale", message)))
        }
        Err(refused) => {
            let message = format!("the HPA controller was unable to update the target scale: {refused}");
            say("AbleToScale", false, "FailedUpdateScale", &message);
            set_replicas(&mut new, target.have, target.wanted);
            (new.at(&["status"]).clone(), Some((Severity::Warning, "FailedRescale", message)))
        }
    }
}

fn set_replicas(autoscaler: &mut Value, have: i64, wanted: i64) {
    if have == 0 {
        autoscaler.remove(&["status", "currentReplicas"]);
    } else {
        autoscaler.set(&["status", "currentReplicas"], have);
    }
    autoscaler.set(&["status", "desiredReplicas"], wanted);
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
    let split = |path: &str| path.trim_start_matches('.').split('.').map(str::to_owned).collect::<Vec<_>>();
    let paths = scale.scale.as_ref().map(|paths| (split(&paths.spec), split(&paths.status)));
    let (wanted, have) = paths.unwrap_or_else(|| (split("spec.replicas"), split("status.replicas")));
    let number =
        |path: &[String]| object.at(&path.iter().map(String::as_str).collect::<Vec<_>>()).as_int().unwrap_or(0);
    Ok(Target { key: target, wanted: number(&wanted), have: number(&have), path: wanted })
}

/// Why the first metric cannot be had: reason and message, as a cluster without metrics APIs says it.
fn unmeasured(autoscaler: &Value) -> (&'static str, String) {
    let none = |what: &str| format!("unable to get metric {what}: no metrics API");
    let metric = autoscaler.at(&["spec", "metrics"]).items().first().cloned().unwrap_or_default();
    match metric.at(&["type"]).str_or_empty() {
        "Pods" => ("FailedGetPodsMetric", none(metric.at(&["pods", "metric", "name"]).str_or_empty())),
        "Object" => ("FailedGetObjectMetric", none(metric.at(&["object", "metric", "name"]).str_or_empty())),
        "External" => ("FailedGetExternalMetric", none(metric.at(&["external", "metric", "name"]).str_or_empty())),
        kind => {
            let source = if kind == "ContainerResource" { "containerResource" } else { "resource" };
            let reason = if kind == "ContainerResource" {
                "FailedGetContainerResourceMetric"
            } else {
                "FailedGetResourceMetric"
            };
            let name = metric.at(&[source, "name"]).as_str().unwrap_or("cpu");
            let what = if metric.at(&[source, "target", "type"]) == "AverageValue" { "usage" } else { "utilization" };
            let message = format!(
                "failed to get {name} {what}: unable to get metrics for resource {name}: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
            );
            (reason, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, create, story};

    fn check(replicas: Option<i64>, expected: &[&str]) {
        let mut cluster = cluster(&["4"]);
        if let Some(replicas) = replicas {
            let labels = doc!({"app": "web"});
            create(
                &mut cluster,
                "deployments.apps",
                doc!({
                    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
                    "spec": {
                        "replicas": (replicas), "selector": {"matchLabels": (&labels)},
                        "template": {"metadata": {"labels": (&labels)}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}},
                    },
                }),
            );
        }
        create(
            &mut cluster,
            AUTOSCALERS,
            doc!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "namespace": "shop"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                    "minReplicas": 2, "maxReplicas": 3,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
                },
            }),
        );
        let told = story(&mut cluster, 100, AUTOSCALERS, |autoscaler| {
            let conditions = autoscaler.at(&["status", "conditions"]).items().iter();
            let reasons: Vec<&str> = conditions.map(|condition| condition.at(&["reason"]).str_or_empty()).collect();
            format!("{} {}", reasons.join(" "), autoscaler.at(&["status", "desiredReplicas"]))
        });
        assert_eq!(told, expected);
        assert!(cluster.settle(twin::Time::NEVER).settled, "an autoscaler that has said all is quiet");
    }

    #[test]
    fn bounds_are_kept_without_any_metric_and_only_at_the_beat() {
        check(Some(5), &["15000 web: SucceededRescale 3", "30000 web: SucceededGetScale FailedGetResourceMetric 3"]);
        check(Some(1), &["15000 web: SucceededRescale 2", "30000 web: SucceededGetScale FailedGetResourceMetric 2"]);
        check(Some(2), &["15000 web: SucceededGetScale FailedGetResourceMetric 0"]);
    }

    #[test]
    fn a_target_at_zero_or_not_there_is_not_scaled() {
        check(Some(0), &["15000 web: SucceededGetScale ScalingDisabled 0"]);
        check(None, &["15000 web: FailedGetScale 0"]);
    }
}
