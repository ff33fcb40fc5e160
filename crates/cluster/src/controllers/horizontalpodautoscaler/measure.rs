//! What each metric of an autoscaler asks for, and what is said of it.
//!
//! Knows: the five types of metric, and the words of their names and errors.
//! Does not know: what the others ask for, or what becomes of it.

use super::Target;
use super::metrics::{Pipeline, selector_text};
use super::replicas::{self, Goal, Proposal, Tolerances, shown};
use crate::doc;
use crate::quantity::Quantity;
use crate::value::Value;

/// What a metric asks for: how many, what that is called, and what is shown of it.
pub(super) struct Measured {
    pub(super) proposal: Proposal,
    pub(super) name: String,
    pub(super) shown: Value,
}

/// Why a metric asks for nothing: the reason, the words of the condition, and those of the error.
pub(super) struct Unmeasured {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) error: String,
}

/// What one metric asks for.
pub(super) fn measure(
    pipeline: &Pipeline<'_>,
    target: &Target,
    spec: &Value,
    tolerances: Tolerances,
) -> Result<Measured, Unmeasured> {
    match spec.at(&["type"]).str_or_empty() {
        "Pods" => pods_metric(pipeline, target, spec.at(&["pods"]), tolerances),
        "Object" => object_metric(pipeline, target, spec.at(&["object"]), tolerances),
        "External" => external_metric(pipeline, target, spec.at(&["external"]), tolerances),
        "ContainerResource" => resource_metric(pipeline, target, spec, "containerResource", tolerances),
        _ => resource_metric(pipeline, target, spec, "resource", tolerances),
    }
}

fn resource_metric(
    pipeline: &Pipeline<'_>,
    target: &Target,
    spec: &Value,
    source: &'static str,
    tolerances: Tolerances,
) -> Result<Measured, Unmeasured> {
    let metric = spec.at(&[source]);
    let (name, container) = (metric.at(&["name"]).str_or_empty(), metric.at(&["container"]).str_or_empty());
    let (reason, of) = match source {
        "resource" => ("FailedGetResourceMetric", format!("{name} resource")),
        _ => ("FailedGetContainerResourceMetric", format!("{container} container")),
    };
    let (goal, what) = match goal(metric, "averageValue") {
        Some(milli) => (Goal::Milli { of: milli, resource: name }, "usage"),
        None => {
            let percent = metric.at(&["target", "averageUtilization"]).as_int().unwrap_or(1);
            (Goal::Percent { of: percent, resource: name, container }, "utilization")
        }
    };
    let samples = pipeline.resource(name, container);
    let proposal = samples.and_then(|samples| {
        replicas::per_pod(pipeline.pods, samples, target.wanted, goal, tolerances, pipeline.cluster.now())
    });
    let proposal = proposal.map_err(|why| {
        let message = format!("failed to get {name} {what}: {why}");
        let error = format!("failed to get {of} metric value: {message}");
        Unmeasured { reason, message, error }
    })?;
    let mut current = doc!({"averageValue": (shown(name, proposal.average))});
    if let Some(percent) = proposal.percent {
        current.set(&["averageUtilization"], percent);
    }
    let mut inner = doc!({"name": (name), "current": (current)});
    let called = match (goal, source) {
        (Goal::Milli { .. }, _) => format!("{name} resource"),
        (_, "resource") => format!("{name} resource utilization (percentage of request)"),
        _ => format!("{name} container resource utilization (percentage of request)"),
    };
    if !container.is_empty() {
        inner.set(&["container"], container);
    }
    Ok(Measured { proposal, name: called, shown: status_of(spec, source, inner) })
}

fn pods_metric(
    pipeline: &Pipeline<'_>,
    target: &Target,
    metric: &Value,
    tolerances: Tolerances,
) -> Result<Measured, Unmeasured> {
    let name = metric.at(&["metric", "name"]).str_or_empty();
    let goal = Goal::Milli { of: goal(metric, "averageValue").unwrap_or(1), resource: "" };
    let samples = pipeline.of_pods(name, metric.at(&["metric", "selector"]));
    let proposal = samples.and_then(|samples| {
        replicas::per_pod(pipeline.pods, samples, target.wanted, goal, tolerances, pipeline.cluster.now())
    });
    let proposal = proposal.map_err(|message| {
        let error = format!("failed to get pods metric value: {message}");
        Unmeasured { reason: "FailedGetPodsMetric", message, error }
    })?;
    let inner = doc!({"metric": (metric.at(&["metric"])), "current": {"averageValue": (shown("", proposal.average))}});
    Ok(Measured { proposal, name: format!("pods metric {name}"), shown: doc!({"type": "Pods", "pods": (inner)}) })
}

fn object_metric(
    pipeline: &Pipeline<'_>,
    target: &Target,
    metric: &Value,
    tolerances: Tolerances,
) -> Result<Measured, Unmeasured> {
    let name = metric.at(&["metric", "name"]).str_or_empty();
    let (described, selector) = (metric.at(&["describedObject"]), metric.at(&["metric", "selector"]));
    let each = *metric.at(&["target", "type"]) == *"AverageValue";
    let value = pipeline.of_object(described, name, selector);
    let proposal = value.and_then(|value| propose(pipeline, target, metric, value, each, tolerances));
    let proposal = proposal.map_err(|message| {
        let inner = if each { format!("failed to get {name} object metric: {message}") } else { message.clone() };
        let error = format!("failed to get object metric value: {inner}");
        Unmeasured { reason: "FailedGetObjectMetric", message, error }
    })?;
    let field = if each { "averageValue" } else { "value" };
    let mut current = doc!({});
    current.set(&[field], shown("", proposal.average));
    let inner = doc!({"describedObject": (described), "metric": (metric.at(&["metric"])), "current": (current)});
    let called = if each {
        format!("external metric {name}({})", selector_text(selector))
    } else {
        format!("{} metric {name}", described.at(&["kind"]).str_or_empty())
    };
    Ok(Measured { proposal, name: called, shown: doc!({"type": "Object", "object": (inner)}) })
}

fn external_metric(
    pipeline: &Pipeline<'_>,
    target: &Target,
    metric: &Value,
    tolerances: Tolerances,
) -> Result<Measured, Unmeasured> {
    let (name, selector) = (metric.at(&["metric", "name"]).str_or_empty(), metric.at(&["metric", "selector"]));
    let each = goal(metric, "averageValue").is_some();
    let value = pipeline.external(name, selector);
    let proposal = value.and_then(|value| propose(pipeline, target, metric, value, each, tolerances));
    let proposal = proposal.map_err(|message| {
        let what = if each { format!("{name} external metric") } else { format!("external metric {name}") };
        let error = format!("failed to get {name} external metric value: failed to get {what}: {message}");
        Unmeasured { reason: "FailedGetExternalMetric", message, error }
    })?;
    let mut current = doc!({});
    current.set(&[if each { "averageValue" } else { "value" }], shown("", proposal.average));
    let inner = doc!({"metric": (metric.at(&["metric"])), "current": (current)});
    let called = format!("external metric {name}({})", selector_text(selector));
    Ok(Measured { proposal, name: called, shown: doc!({"type": "External", "external": (inner)}) })
}

/// What a value asks for that is not any pod's own: for each replica so much, or so much in all.
fn propose(
    pipeline: &Pipeline<'_>,
    target: &Target,
    metric: &Value,
    value: i64,
    each: bool,
    tolerances: Tolerances,
) -> Result<Proposal, String> {
    let goal = goal(metric, if each { "averageValue" } else { "value" }).unwrap_or(1);
    if each {
        return Ok(replicas::divided(target.have, value, goal, tolerances));
    }
    replicas::shared(pipeline.pods, target.wanted, value, goal, tolerances)
}

/// A target in thousandths.
fn goal(metric: &Value, field: &str) -> Option<i64> {
    Quantity::of(metric.at(&["target", field])).and_then(|goal| i64::try_from(goal.as_milli()).ok())
}

fn status_of(spec: &Value, source: &str, inner: Value) -> Value {
    let mut status = doc!({"type": (spec.at(&["type"]))});
    status.set(&[source], inner);
    status
}
