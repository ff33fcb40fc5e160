//! The same object in another version's words.
//!
//! Knows: the two kinds of Kubernetes' own that are served in two forms, Event and HorizontalPodAutoscaler.
//! Does not know: who wants it. A custom resource's versions differ by their name alone: what a conversion webhook would
//! do to it nobody but the webhook knows.

use super::{GroupVersionKind, Schema, split_api_version};
use crate::doc;
use crate::value::{Map, Text, Value};

/// The fields of a core Event, and what `events.k8s.io` calls them.
const EVENT: &[(&str, &str)] = &[
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("involvedObject", "regarding"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
];

/// Where an autoscaler's first version keeps what it has no fields for, and which field of the second that is.
const ANNOTATIONS: &[(&str, &[&str])] = &[
    ("autoscaling.alpha.kubernetes.io/behavior", &["spec", "behavior"]),
    ("autoscaling.alpha.kubernetes.io/conditions", &["status", "conditions"]),
];
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";

impl Schema {
    /// An object as it is said in another version, or group, that shows the same storage.
    #[must_use]
    pub fn convert(&self, object: &Value, to: &GroupVersionKind) -> Value {
        let (group, version) = split_api_version(object.api_version());
        let same = group == to.group && version == to.version;
        if same && object.kind() == to.kind {
            return object.clone();
        }
        let mut object = match (group, version, to.group.as_str(), to.version.as_str(), to.kind.as_str()) {
            ("", _, "events.k8s.io", _, "Event") => renamed(object, EVENT.iter().copied()),
            ("events.k8s.io", _, "", _, "Event") => renamed(object, EVENT.iter().map(|&(core, new)| (new, core))),
            ("autoscaling", "v2", _, "v1", "HorizontalPodAutoscaler") => autoscaler_to_v1(object),
            ("autoscaling", "v1", _, "v2", "HorizontalPodAutoscaler") => autoscaler_to_v2(object),
            _ => object.clone(),
        };
        object.set(&["apiVersion"], to.api_version());
        object.set(&["kind"], &to.kind);
        let typed = self.by_kind(&to.group, &to.version, &to.kind).and_then(|resource| resource.ty().as_go(&object));
        typed.unwrap_or(object)
    }
}

/// The same with fields of the first names under the second. What says nothing is left out: whether it must be said
/// anyway differs by version.
fn renamed<'a>(object: &Value, names: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let names: Vec<_> = names.collect();
    let entries = object.entries().iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| {
        let name = names.iter().find(|(from, _)| key == from).map_or(key.as_str(), |(_, to)| to);
        (name, value.clone())
    });
    Value::from(entries.collect::<Map>())
}

/// Whether a metric is the one that the first version has fields for: the utilisation of the pods' processors.
fn is_cpu_utilization(metric: &Value, target: &str) -> bool {
    metric.at(&["type"]) == "Resource"
        && metric.at(&["resource", "name"]) == "cpu"
        && metric.at(&["resource", target, "averageUtilization"]).as_int().is_some()
}

fn annotation(object: &mut Value, key: &str, value: &Value) {
    let mut text = String::new();
    write_in_order(value, &mut text);
    object.make(&["metadata", "annotations"]).set(&[key], text);
}

/// The order in which the first version's types have their fields, which shows in annotations alone.
const ORDER: &[&str] = &[
    "type",
    "status",
    "lastTransitionTime",
    "reason",
    "message",
    "target",
    "kind",
    "name",
    "apiVersion",
    "metricName",
    "metricSelector",
    "targetAverageUtilization",
    "currentAverageUtilization",
    "targetValue",
    "currentValue",
    "targetAverageValue",
    "currentAverageValue",
    "selector",
    "averageValue",
    "container",
    "matchLabels",
];

fn write_in_order(value: &Value, text: &mut String) {
    let list = |text: &mut String, ends: [char; 2], parts: &mut dyn Iterator<Item = String>| {
        text.push(ends[0]);
        text.push_str(&parts.collect::<Vec<_>>().join(","));
        text.push(ends[1]);
    };
    let written = |value: &Value| {
        let mut text = String::new();
        write_in_order(value, &mut text);
        text
    };
    if let Some(map) = value.as_object() {
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by_key(|(key, _)| ORDER.iter().position(|have| have == key).unwrap_or(ORDER.len()));
        let entry =
            |(key, value): &&(Text, Value)| format!("{}:{}", Value::from(key.as_str()).to_json(), written(value));
        list(text, ['{', '}'], &mut entries.iter().map(entry));
    } else if value.as_array().is_some() {
        list(text, ['[', ']'], &mut value.items().iter().map(written));
    } else {
        text.push_str(&value.to_json());
    }
}

fn autoscaler_to_v1(object: &Value) -> Value {
    let mut v1 = object.clone();
    for (key, path) in ANNOTATIONS {
        if let Some(value) = v1.remove(path).filter(|value| !value.is_empty()) {
            annotation(&mut v1, key, &value);
        }
    }
    let lists = [
        (["spec", "metrics"], "target", ["spec", "targetCPUUtilizationPercentage"], METRICS),
        (["status", "currentMetrics"], "current", ["status", "currentCPUUtilizationPercentage"], CURRENT_METRICS),
    ];
    for (path, target, field, key) in lists {
        let metrics = v1.remove(&path).unwrap_or_default();
        let cpu = metrics.items().iter().position(|metric| is_cpu_utilization(metric, target));
        let mut others = Vec::new();
        for (at, metric) in metrics.items().iter().enumerate() {
            if Some(at) == cpu {
                v1.set(&field, metric.at(&["resource", target, "averageUtilization"]));
            }
            // What is measured is kept whole, for the raw value's sake.
            if (Some(at) != cpu || target == "current") && !metric.at(&["type"]).is_empty() {
                others.push(metric_to_v1(metric, target));
            }
        }
        if !others.is_empty() {
            annotation(&mut v1, key, &Value::from(others));
        }
    }
    v1
}

fn autoscaler_to_v2(object: &Value) -> Value {
    let mut v2 = object.clone();
    let kept = |v2: &mut Value, key: &str| -> Option<Value> {
        let text = v2.find_mut(&["metadata", "annotations"])?.as_object_mut()?.remove(key)?;
        Value::from_json(text.str_or_empty().as_bytes()).ok()
    };
    for (key, path) in ANNOTATIONS {
        if let Some(value) = kept(&mut v2, key) {
            v2.set(path, value);
        }
    }
    let lists = [
        (["spec", "metrics"], "target", ["spec", "targetCPUUtilizationPercentage"], METRICS),
        (["status", "currentMetrics"], "current", ["status", "currentCPUUtilizationPercentage"], CURRENT_METRICS),
    ];
    for (path, target, field, key) in lists {
        let mut metrics: Vec<Value> = Vec::new();
        if let Some(others) = kept(&mut v2, key) {
            metrics.extend(others.items().iter().map(|metric| metric_to_v2(metric, target)));
        }
        let said = v2.remove(&field).filter(|percent| !percent.is_null());
        if let Some(percent) = said.filter(|_| target == "target" || metrics.is_empty()) {
            let mut of_cpu = doc!({"averageUtilization": (percent)});
            if target == "target" {
                of_cpu.set(&["type"], "Utilization");
            }
            metrics.push(doc!({"type": "Resource", "resource": {"name": "cpu", (target): (of_cpu)}}));
        }
        if !metrics.is_empty() {
            v2.set(&path, metrics);
        }
    }
    v2
}

/// Where the numbers of a metric stand: in the second version below `target` or `current`, in the first beside the name.
const NUMBERS: &[(&str, &str, &str)] = &[
    ("averageUtilization", "targetAverageUtilization", "currentAverageUtilization"),
    ("averageValue", "targetAverageValue", "currentAverageValue"),
    ("value", "targetValue", "currentValue"),
];

/// The field of a metric that its type names.
fn source(metric: &Value) -> &'static str {
    match metric.at(&["type"]).str_or_empty() {
        "ContainerResource" => "containerResource",
        "External" => "external",
        "Object" => "object",
        "Pods" => "pods",
        _ => "resource",
    }
}

/// One metric of the second version in the words of the first, `target` being `target` or `current`.
fn metric_to_v1(metric: &Value, target: &str) -> Value {
    let source = source(metric);
    let v2 = metric.at(&[source]);
    let mut v1 = Value::default();
    for key in ["name", "container"] {
        v1.object();
        if let Some(value) = v2.get(key) {
            v1.set(&[key], value);
        }
    }
    if let Some(name) = v2.find(&["metric", "name"]) {
        v1.set(&["metricName"], name);
    }
    if let Some(selector) = v2.find(&["metric", "selector"]) {
        v1.set(&[if source == "external" { "metricSelector" } else { "selector" }], selector);
    }
    if let Some(object) = v2.get("describedObject") {
        v1.set(&["target"], object);
    }
    for (number, wanted, current) in NUMBERS {
        if let Some(value) = v2.find(&[target, number]) {
            // An object's average stands alone, whichever of the two it is.
            let key = match (target, source, *number) {
                (_, "object", "averageValue") => "averageValue",
                ("target", ..) => wanted,
                _ => current,
            };
            v1.set(&[key], value);
        }
    }
    doc!({"type": (metric.at(&["type"])), source: (v1)})
}

/// One metric of the first version in the words of the second.
fn metric_to_v2(metric: &Value, target: &str) -> Value {
    let source = source(metric);
    let v1 = metric.at(&[source]);
    let mut v2 = doc!({});
    for key in ["name", "container"] {
        if let Some(value) = v1.get(key) {
            v2.set(&[key], value);
        }
    }
    if let Some(name) = v1.get("metricName") {
        v2.set(&["metric", "name"], name);
    }
    if let Some(selector) = v1.get("metricSelector").or_else(|| v1.get("selector")) {
        v2.set(&["metric", "selector"], selector);
    }
    if let Some(object) = v1.get("target") {
        v2.set(&["describedObject"], object);
    }
    let mut kind = "Value";
    for (number, wanted, current) in NUMBERS {
        let found = v1.get(if target == "target" { wanted } else { current });
        let found = found.or_else(|| v1.get(number).filter(|_| source == "object" && *number == "averageValue"));
        if let Some(value) = found {
            v2.set(&[target, number], value);
            kind = match *number {
                "averageUtilization" => "Utilization",
                "averageValue" => "AverageValue",
                _ => kind,
            };
        }
    }
    if target == "target" {
        v2.set(&["target", "type"], kind);
    }
    doc!({"type": (metric.at(&["type"])), source: (v2)})
}
