//! How things are written in a cell.
//!
//! Knows: the spelling of ages, selectors, labels, access modes, and lists that are cut short.
//! Does not know: which cell.

use std::time::Duration;

use twin::Time;

use super::at;
use crate::time;
use crate::value::Value;

/// A length of time to two places at most, coarser the longer it is.
#[must_use]
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |big: u64, big_unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{big}{big_unit}") } else { format!("{big}{big_unit}{small}{small_unit}") }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(days, "d", hours % 24, "h"),
        () if days < 365 * 2 => format!("{days}d"),
        () if days < 365 * 8 => two(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

/// How long ago a time was. A little in the future is now; more is a clock that is wrong.
pub(super) fn age(instant: &Value, now: Time) -> String {
    let Some(then) = instant.as_str().and_then(time::parse) else { return "<unknown>".to_owned() };
    if then.since(now) >= Duration::from_secs(2) {
        return "<invalid>".to_owned();
    }
    human_duration(now.since(then))
}

/// The first of these that is not empty; an empty text if all are.
pub(super) fn first<'a>(texts: impl IntoIterator<Item = &'a str>) -> &'a str {
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}

/// A text, or another if it is empty.
pub(super) fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// The first `shown` of a list, and how many more there are; `empty` if there is nothing to show.
pub(super) fn cut(list: &[String], shown: usize, empty: &str) -> String {
    let head = list.get(..shown).unwrap_or(list).join(",");
    match list.len().saturating_sub(shown) {
        0 if head.is_empty() => empty.to_owned(),
        0 => head,
        more => format!("{head} + {more} more..."),
    }
}

/// Labels as `a=b,c=d`.
pub(super) fn labels(labels: &Value) -> String {
    let pairs: Vec<String> =
        labels.entries().iter().map(|(key, value)| format!("{key}={}", value.str_or_empty())).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// A label selector as it would be written on the command line; empty if it selects all, or is not there.
pub(super) fn selector(selector: &Value) -> String {
    let equal = at(selector, "matchLabels").entries().iter();
    let equal = equal.map(|(key, value)| (key.as_str(), format!("{key}={}", value.str_or_empty())));
    let expressions = at(selector, "matchExpressions").items().iter().map(|expression| {
        let key = at(expression, "key").str_or_empty();
        let values = || {
            let mut values: Vec<&str> = at(expression, "values").items().iter().map(Value::str_or_empty).collect();
            values.sort_unstable();
            values.join(",")
        };
        let text = match at(expression, "operator").str_or_empty() {
            "In" => format!("{key} in ({})", values()),
            "NotIn" => format!("{key} notin ({})", values()),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        (key, text)
    });
    let mut all: Vec<(&str, String)> = equal.chain(expressions).collect();
    all.sort_by_key(|(key, _)| *key);
    all.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

/// The same, with a word for nothing.
pub(super) fn label_selector(value: &Value) -> String {
    or(&selector(value), "<none>").to_owned()
}

/// Access modes in their short form, in the order that the real printer has, each once.
pub(super) fn access_modes(modes: &Value) -> String {
    const SHORT: &[(&str, &str)] =
        &[("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |mode: &str| modes.items().iter().any(|have| *have == *mode);
    SHORT.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// An amount as text: it may be a number in the document. Nothing is zero.
pub(super) fn quantity(value: &Value) -> String {
    match value {
        Value::Null => "0".to_owned(),
        Value::String(text) => text.to_string(),
        other => other.to_json(),
    }
}
