//! What is wrong with a HorizontalPodAutoscaler (`pkg/apis/autoscaling/validation`).
//!
//! Knows: metrics, targets, and how fast replicas may come and go.
//! Does not know: how they are scaled.

use super::faults::{At, Faults, quote};
use super::names;
use crate::quantity::Quantity;

const KINDS: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

/// A HorizontalPodAutoscaler.
pub(super) fn check(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let (least, most) = (spec.field("minReplicas"), spec.field("maxReplicas"));
    let scales_to_zero = spec
        .field("metrics")
        .value
        .items()
        .iter()
        .any(|metric| matches!(metric.at(&["type"]).str_or_empty(), "Object" | "External"));
    if least.number().is_some_and(|count| count < 1) {
        faults.invalid(&least, "must be greater than or equal to 1");
    }
    if most.number().unwrap_or(0) < 1 {
        faults.required(&most, "must be set and greater than 0");
    }
    if most.number().unwrap_or(0) < least.number().unwrap_or(0) {
        faults.invalid(&most, "must be greater than or equal to `minReplicas`");
    }
    reference(&spec.field("scaleTargetRef"), true, faults);
    if least.number() == Some(0) && !scales_to_zero {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        faults.forbidden(&spec.field("metrics"), why);
    }
    for metric in spec.field("metrics").items() {
        one_metric(&metric, faults);
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
    if with_group && version.text().is_empty() {
        faults.invalid_as(&version, "\"\"", "apiVersion must specify API group");
    }
}

fn one_metric(metric: &At<'_>, faults: &mut Faults) {
    let kind = metric.field("type");
    if kind.text().is_empty() {
        faults.required(&kind, "must specify a metric source type");
        return;
    }
    if !KINDS.contains(&kind.text()) {
        faults.unsupported(&kind, KINDS);
        faults.unsupported(&kind, KINDS);
        return;
    }
    let mut letters = kind.text().chars();
    let field: String = letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect());
    let source = metric.field(&field);
    if source.is_absent() {
        faults.required(&source, "must populate information for the given metric source");
        return;
    }
    let name = source.down(&["metric", "name"]);
    let target = source.field("target");
    match kind.text() {
        "Resource" | "ContainerResource" => {
            if source.field("name").text().is_empty() {
                faults.required(&source.field("name"), "must specify a resource name");
            }
            of_resource(&target, faults);
        }
        "Pods" => {
            metric_name(&name, faults);
            let average = target.field("averageValue");
            target_of(&target, faults);
            if Quantity::or_zero(average.value) <= Quantity::ZERO {
                faults.required(&average, "must specify a positive target averageValue");
            }
        }
        "Object" => {
            reference(&source.field("describedObject"), false, faults);
            metric_name(&name, faults);
            target_of(&target, faults);
            let (value, average) = (target.field("value"), target.field("averageValue"));
            if value.is_absent() && average.is_absent() {
                faults.required(&average, "must set either a target value or averageValue");
            }
        }
        _ => {
            metric_name(&name, faults);
            target_of(&target, faults);
            let (value, average) = (target.field("value"), target.field("averageValue"));
            match (value.is_absent(), average.is_absent()) {
                (true, true) => {
                    faults.required(&average, "must set either a target value for metric or a per-pod target")
                }
                (false, false) => {
                    faults.forbidden(&value, "may not set both a target value for metric and a per-pod target");
                }
                _ => {}
            }
        }
    }
}

fn metric_name(at: &At<'_>, faults: &mut Faults) {
    if at.text().is_empty() {
        faults.required(at, "must specify a metric name");
    } else {
        faults.all(at, names::path_segment(at.text()));
    }
}

fn target_of(at: &At<'_>, faults: &mut Faults) {
    let kind = at.field("type");
    if kind.text().is_empty() {
        faults.required(&kind, "must specify a metric target type");
    } else {
        faults.one_of(&kind, &["AverageValue", "Utilization", "Value"]);
    }
    let share = at.field("averageUtilization");
    if share.number().is_some_and(|share| share < 1) {
        faults.invalid(&share, "must be greater than 0");
    }
    for field in ["value", "averageValue"] {
        let amount = at.field(field);
        if let Some(read) = Quantity::of(amount.value).filter(|read| *read <= Quantity::ZERO) {
            faults.invalid_as(&amount, &quote(&read.to_string()), "must be positive");
        }
    }
}

fn of_resource(at: &At<'_>, faults: &mut Faults) {
    target_of(at, faults);
    let (share, value) = (at.field("averageUtilization"), at.field("averageValue"));
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
    faults.not_negative(&window);
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
        faults.one_of(&policy.field("type"), &["Percent", "Pods"]);
        if value.number().unwrap_or(0) <= 0 {
            faults.invalid(&value, "must be greater than zero");
        }
        if period.number().unwrap_or(0) <= 0 {
            faults.invalid(&period, "must be greater than zero");
        }
        if period.number().is_some_and(|seconds| seconds > 1800) {
            faults.invalid(&period, "must be less than or equal to 1800");
        }
    }
}
