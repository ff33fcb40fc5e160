//! What rules may cost at most.
//!
//! Knows: how large a value may be that a schema describes, by its bounds or by the size of a request.
//! Does not know: what expressions cost; `cel` estimates that.

use cel::{Program, Step};

use super::typed;
use crate::value::Value;

/// What one rule may cost by estimate, and what all of a definition's version may.
pub(super) const RULE_MAX: u64 = 10_000_000;
pub(super) const ALL_MAX: u64 = 100_000_000;

/// A request is no larger than this, in bytes.
const REQUEST: u64 = 3 * 1024 * 1024;

/// What a rule about a schema costs at most for one value.
pub(super) fn of(program: &Program, schema: &Value) -> u64 {
    program.estimate(&|path| {
        let (_, path) = path.split_first()?;
        path.iter().try_fold(Some(schema), |schema, step| Some(below(schema?, step)))?.and_then(size)
    })
}

/// How many values a schema may describe in one request, if nothing else bounds them.
pub(super) fn cardinality(schema: &Value) -> u64 {
    REQUEST / (least(schema) + 1)
}

/// How many elements or entries of a list or map there may be; none if nothing says so.
pub(super) fn bound(schema: &Value) -> Option<u64> {
    let key = if schema.at(&["type"]) == "array" { "maxItems" } else { "maxProperties" };
    schema.at(&[key]).as_int().and_then(|bound| u64::try_from(bound).ok())
}

fn below<'a>(schema: &'a Value, step: &Step) -> Option<&'a Value> {
    match step {
        Step::Name(name) => {
            let named = schema.at(&["properties"]).entries().iter();
            let field = named.into_iter().find(|(have, _)| typed::escaped(have).as_ref() == Some(name));
            field.map(|(_, below)| below).or_else(|| schema.get("additionalProperties"))
        }
        Step::Item => schema.get("items").or_else(|| schema.get("additionalProperties")),
        // Any text.
        Step::Key => None,
    }
}

/// How many elements, entries or bytes there may be.
fn size(schema: &Value) -> Option<u64> {
    let number = |key: &str| schema.at(&[key]).as_int().and_then(|bound| u64::try_from(bound).ok());
    match schema.at(&["type"]).str_or_empty() {
        "array" => Some(bound(schema).unwrap_or_else(|| (REQUEST - 2) / (least(schema.at(&["items"])) + 1))),
        "object" => {
            let values = schema.get("additionalProperties").filter(|values| values.as_object().is_some())?;
            Some(bound(schema).unwrap_or_else(|| (REQUEST - 2) / (least(values) + 6)))
        }
        "string" => Some(match (number("maxLength"), schema.at(&["format"]).str_or_empty()) {
            // A letter may take four bytes.
            (Some(most), _) => most.saturating_mul(4),
            (None, "duration") => 32,
            (None, "date") => 10,
            (None, "date-time") => 27,
            (None, _) => {
                let words = schema.at(&["enum"]).items().iter().filter_map(Value::as_str);
                words.map(|word| word.len() as u64).max().unwrap_or(REQUEST - 2)
            }
        }),
        _ if schema.at(&["x-kubernetes-int-or-string"]).is_true() => Some(REQUEST - 2),
        _ => None,
    }
}

/// The fewest bytes that a value takes as JSON.
fn least(schema: &Value) -> u64 {
    match schema.at(&["type"]).str_or_empty() {
        "integer" | "number" => 1,
        "boolean" => 4,
        "object" => {
            let required = schema.at(&["required"]).items().iter().filter_map(Value::as_str);
            let fields = required.filter_map(|name| Some((name, schema.at(&["properties"]).get(name)?)));
            let undefaulted = fields.filter(|(_, field)| field.get("default").is_none());
            2 + undefaulted.map(|(name, field)| name.len() as u64 + least(field) + 4).sum::<u64>()
        }
        "string" => match schema.at(&["format"]).str_or_empty() {
            "duration" => 4,
            "date" => 12,
            "date-time" => 22,
            _ => 2,
        },
        "array" => 2,
        _ => 1,
    }
}

/// How an estimate that is too high is told.
pub(super) fn sentence(what: &str, cost: u64, most: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is a factor")]
    let factor = cost as f64 / most as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}
