//! What is wrong with a HorizontalPodAutoscaler (`pkg/apis/autoscaling/validation`).
//!
//! Knows: metrics, targets, and how fast replicas may come and go.
//! Does not know: how they are scaled.

use super::faults::{At, Faults, quote};
use super::{names, resources};
use crate::quantity::Quantity;

const KINDS: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

/// A HorizontalPodAutoscaler.
pub(super) fn check(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let (least, most) = (spec.field("minReplicas"), spec.field("maxReplicas"));
    if least.number().is_some_and(|count| count < 1) {
        faults.invalid(&least, "must be greater than or equal to 1");
    }
    match most.number().unwrap_or(0) {
        0 => faults.required(&most, "must be set and greater than 0"),
        count if count < 0 => faults.invalid(&most, "must be greater than or equal to 1"),
        _ => {}
    }
    if least.number().is_some_and(|least| most.number().unwrap_or(0) < least) {
        let shown = most.number().unwrap_or(0).to_string();
        faults.invalid_as(&most, &shown, "must be greater than or equal to `minReplicas`");
    }
    reference(&spec.field("scaleTargetRef"), true, faults);
    let metrics = spec.field("metrics");
    for metric in metrics.items() {
        one_metric(&metric, faults);
    }
    let scales_to_zero =
        |metric: &crate::value::Value| matches!(metric.at(&["type"]).str_or_empty(), "Object" | "External");
    if least.number() == Some(0) && !metrics.value.items().iter().any(scales_to_zero) {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        faults.forbidden(&metrics, why);
    }
    for direction in ["scaleUp", "scaleDown"] {
        rules(&spec.down(&["behavior", direction]), faults);
    }
}

fn reference(at: &At<'_>, with_group: bool, faults: &mut Faults) {
    for field in ["kind", "name"] {
        faults.text_of(&at.field(field), names::path_segment);
    }
    let version = at.field("apiVersion");
    let parts = version.text().split('/').count();
    if parts > 2 {
        let why = format!("unexpected GroupVersion string: {}", version.text());
        faults.invalid_as(&version, &quote(version.text()), &why);
    } else if with_group && (parts < 2 || version.text().starts_with('/')) {
        faults.invalid_as(&version, &quote(version.text()), "apiVersion must specify API group");
    }
}

/// What may be measured, in the order in which it is looked for.
const SOURCES: &[&str] = &["object", "external", "pods", "resource", "containerResource"];

fn one_metric(metric: &At<'_>, faults: &mut Faults) {
    let kind = metric.field("type");
    if kind.text().is_empty() {
        faults.required(&kind, "must specify a metric source type");
    }
    let known = KINDS.contains(&kind.text());
    if !known {
        faults.word(&kind, KINDS);
    }
    let given: Vec<&str> = SOURCES.iter().copied().filter(|source| !metric.field(source).is_absent()).collect();
    if let Some(first) = given.first() {
        source(first, &metric.field(first), faults);
    }
    let wanted = SOURCES.iter().copied().find(|source| source.eq_ignore_ascii_case(kind.text())).filter(|_| known);
    match wanted {
        Some(wanted) if metric.field(wanted).is_absent() => {
            faults.required(&metric.field(wanted), "must populate information for the given metric source");
        }
        Some(_) => {}
        None => faults.word(&kind, KINDS),
    }
    if given.len() != 1 {
        for other in given.into_iter().filter(|source| Some(*source) != wanted) {
            faults.forbidden(&metric.field(other), "must populate the given metric source only");
        }
    }
}

fn source(kind: &str, source: &At<'_>, faults: &mut Faults) {
    let target = source.field("target");
    let (value, average) = (target.field("value"), target.field("averageValue"));
    match kind {
        "resource" | "containerResource" => of_resource(kind, source, &target, faults),
        "pods" => {
            metric_name(source, faults);
            target_of(&target, faults);
            if average.is_absent() {
                faults.required(&average, "must specify a positive target averageValue");
            }
        }
        "object" => {
            reference(&source.field("describedObject"), false, faults);
            metric_name(source, faults);
            target_of(&target, faults);
            if value.is_absent() && average.is_absent() {
                faults.required(&average, "must set either a target value or averageValue");
            }
        }
        _ => {
            metric_name(source, faults);
            target_of(&target, faults);
            match (value.is_absent(), average.is_absent()) {
                (true, true) => {
                    faults.required(&average, "must set either a target value for metric or a per-pod target");
                }
                (false, false) => {
                    faults.forbidden(&value, "may not set both a target value for metric and a per-pod target");
                }
                _ => {}
            }
        }
    }
}

fn metric_name(source: &At<'_>, faults: &mut Faults) {
    let name = source.down(&["metric", "name"]);
    if name.text().is_empty() {
        faults.required(&name, "must specify a metric name");
    } else {
        faults.all(&name, names::path_segment(name.text()));
    }
}

fn target_of(at: &At<'_>, faults: &mut Faults) {
    let kind = at.field("type");
    if kind.text().is_empty() {
        faults.required(&kind, "must specify a metric target type");
    }
    if !matches!(kind.text(), "AverageValue" | "Utilization" | "Value") {
        faults.invalid_as(&kind, &quote(kind.text()), "must be either Utilization, Value, or AverageValue");
    }
    for field in ["value", "averageValue"] {
        let amount = at.field(field);
        if let Some(read) = Quantity::of(amount.value).filter(|read| *read <= Quantity::ZERO) {
            faults.invalid_as(&amount, &quote(&read.to_string()), "must be positive");
        }
    }
    let share = at.field("averageUtilization");
    if share.number().is_some_and(|share| share < 1) {
        faults.invalid(&share, "must be greater than 0");
    }
}

fn of_resource(kind: &str, source: &At<'_>, target: &At<'_>, faults: &mut Faults) {
    let (name, container) = (source.field("name"), source.field("container"));
    if name.text().is_empty() {
        faults.required(&name, "must specify a resource name");
    } else if kind == "containerResource" {
        resources::container_name(&name, name.text(), faults);
    }
    if kind == "containerResource" {
        if container.text().is_empty() {
            faults.required(&container, "must specify a container");
        } else {
            faults.all(&container, names::label(container.text()));
        }
    }
    target_of(target, faults);
    let (share, value) = (target.field("averageUtilization"), target.field("averageValue"));
    match (share.is_absent(), value.is_absent()) {
        (true, true) => faults.required(&share, "must set either a target raw value or a target utilization"),
        (false, false) => faults.forbidden(&value, "may not set both a target raw value and a target utilization"),
        _ => {}
    }
}

fn rules(at: &At<'_>, faults: &mut Faults) {
    if at.is_absent() {
        return;
    }
    let window = at.field("stabilizationWindowSeconds");
    if window.number().is_some_and(|seconds| seconds < 0) {
        faults.invalid(&window, "must be greater than or equal to zero");
    }
    if window.number().is_some_and(|seconds| seconds > 3600) {
        faults.invalid(&window, "must be less than or equal to 3600");
    }
    faults.one_of(&at.field("selectPolicy"), &["Disabled", "Max", "Min"]);
    let policies = at.field("policies");
    if policies.value.is_empty() {
        faults.required(&policies, "must specify at least one Policy");
    }
    for policy in policies.items() {
        let (value, period) = (policy.field("value"), policy.field("periodSeconds"));
        faults.word(&policy.field("type"), &["Percent", "Pods"]);
        for number in [&value, &period] {
            let count = number.number().unwrap_or(0);
            if count <= 0 {
                faults.invalid_as(number, &count.to_string(), "must be greater than zero");
            }
        }
        if period.number().is_some_and(|seconds| seconds > 1800) {
            faults.invalid(&period, "must be less than or equal to 1800");
        }
    }
    let tolerance = at.field("tolerance");
    if !tolerance.is_absent() {
        resources::amount(&tolerance, "", faults);
    }
}
