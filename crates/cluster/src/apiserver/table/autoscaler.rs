//! What a HorizontalPodAutoscaler aims at, in a few words.
//!
//! Knows: the kinds of metrics, and how each is told: what it is over what is wanted.
//! Does not know: where the numbers come from.

use super::{Row, at, text};
use crate::value::Value;

pub(super) fn reference(row: &Row<'_>) -> Value {
    Value::from(format!("{}/{}", row.text("spec.scaleTargetRef.kind"), row.text("spec.scaleTargetRef.name")))
}

pub(super) fn targets(row: &Row<'_>) -> Value {
    const SHOWN: usize = 2;
    let metrics = row.at("spec.metrics").items();
    let now = row.at("status.currentMetrics").items();
    let mut list: Vec<String> = Vec::new();
    // The first version of the kind knows one metric, in two fields.
    if let Some(target) = row.at("spec.targetCPUUtilizationPercentage").as_int() {
        let current = row.at("status.currentCPUUtilizationPercentage").as_int();
        let current = current.map_or_else(|| "<unknown>".to_owned(), |percent| format!("{percent}%"));
        list.push(format!("cpu: {current}/{target}%"));
    }
    list.extend(metrics.iter().enumerate().map(|(index, metric)| target(metric, now.get(index))));
    if list.is_empty() {
        return Value::from("<none>");
    }
    let more = list.len().saturating_sub(SHOWN);
    let head = list.get(..SHOWN).unwrap_or(&list).join(", ");
    Value::from(if more == 0 { head } else { format!("{head} + {more} more...") })
}

/// One metric of an autoscaler: what it is over what is wanted.
fn target(metric: &Value, status: Option<&Value>) -> String {
    let (source, is_resource, averaged_only) = match at(metric, "type").str_or_empty() {
        "External" => ("external", false, false),
        "Object" => ("object", false, false),
        "Pods" => ("pods", false, true),
        "Resource" => ("resource", true, false),
        "ContainerResource" => ("containerResource", true, false),
        _ => return "<unknown type>".to_owned(),
    };
    let (wanted, current) = (
        at(at(metric, source), "target"),
        status.map(|status| at(status, source)).filter(|source| !source.is_null()).map(|source| at(source, "current")),
    );
    let show = |key: &str, write: fn(&Value) -> String| {
        let current = current.map(|current| at(current, key)).filter(|value| !value.is_null());
        current.map_or_else(|| "<unknown>".to_owned(), write)
    };
    let percent = |value: &Value| format!("{value}%");
    let average = at(wanted, "averageValue");
    let text = match (average.is_null(), is_resource) {
        (false, _) => format!("{}/{}", show("averageValue", text::quantity), text::quantity(average)),
        (true, true) => {
            let wanted = at(wanted, "averageUtilization");
            let wanted = if wanted.is_null() { "<auto>".to_owned() } else { percent(wanted) };
            format!("{}/{wanted}", show("averageUtilization", percent))
        }
        (true, false) => format!("{}/{}", show("value", text::quantity), text::quantity(at(wanted, "value"))),
    };
    if is_resource {
        format!("{}: {text}", at(at(metric, source), "name").str_or_empty())
    } else if !average.is_null() && !averaged_only {
        format!("{text} (avg)")
    } else {
        text
    }
}
