//! What a schema refuses.
//!
//! Knows: OpenAPI's keywords, and the words in which `kube-openapi` says what breaks them.
//! Does not know: rules written as expressions.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use cel::pattern::{self, Regex};

use super::lists::Before;
use super::typed;
use crate::apiserver::status::Cause;
use crate::value::Value;

/// Everything that is wrong with a value. What is as it was before is not looked at again.
pub(super) fn check(schema: &Value, value: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Causes::default();
    // The top itself always changes.
    node(schema, value, old, "", &mut causes);
    causes.found
}

/// What is wrong so far, and the patterns that were read on the way: the same ones come again and again.
#[derive(Default)]
struct Causes {
    found: Vec<Cause>,
    patterns: Rc<RefCell<BTreeMap<String, Option<Regex>>>>,
}

impl Causes {
    fn push(&mut self, cause: Cause) {
        self.found.push(cause);
    }

    fn extend(&mut self, causes: impl IntoIterator<Item = Cause>) {
        self.found.extend(causes);
    }

    /// Whether text matches a pattern; any does if that is none.
    fn matches(&self, pattern: &str, text: &str) -> bool {
        let mut patterns = self.patterns.borrow_mut();
        let pattern = patterns.entry(pattern.to_owned()).or_insert_with(|| pattern::read(pattern).ok());
        pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
    }
}

fn node(schema: &Value, value: &Value, old: Option<&Value>, path: &str, causes: &mut Causes) {
    if !path.is_empty() && old == Some(value) {
        return;
    }
    let before = causes.found.len();
    kind(schema, value, path, causes);
    if value.is_null() || causes.found.len() > before {
        return;
    }
    match value {
        Value::String(text) => string(schema, text, path, causes),
        Value::Int(number) => numeric(schema, value, as_real(*number), path, causes),
        Value::Float(number) => numeric(schema, value, *number, path, causes),
        Value::Array(items) => list(schema, items, old, path, causes),
        _ => {}
    }
    common(schema, value, path, causes);
    if value.as_object().is_some() {
        object(schema, value, old, path, causes);
    }
}

#[expect(clippy::cast_precision_loss, reason = "bounds are compared as real numbers, as the real server does")]
fn as_real(number: i64) -> f64 {
    number as f64
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(as_real(*number)),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

fn invalid(path: &str, value: &Value, causes: &mut Causes, why: &str) {
    causes.push(Cause::invalid(path, value, why));
}

/// The kind of value that a document's value is, as OpenAPI calls it.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Int(_) => "integer",
        Value::Float(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn kind(schema: &Value, value: &Value, path: &str, causes: &mut Causes) {
    let mixed = schema.at(&["x-kubernetes-int-or-string"]).is_true();
    let wanted = if mixed { "integer,string" } else { schema.at(&["type"]).str_or_empty() };
    let found = kind_of(value);
    let fits = match wanted {
        "" => true,
        _ if value.is_null() => schema.at(&["nullable"]).is_true(),
        "number" => matches!(found, "number" | "integer"),
        "integer" => found == "integer" || matches!(value, Value::Float(number) if number.fract() == 0.0),
        _ => wanted.split(',').any(|wanted| wanted == found),
    };
    if !fits {
        let why = format!("{path} in body must be of type {wanted}: {found:?}");
        let message = format!("Invalid value: {found:?}: {why}");
        causes.push(Cause { reason: "FieldValueTypeInvalid", message, field: path.to_owned() });
    }
}

fn string(schema: &Value, text: &str, path: &str, causes: &mut Causes) {
    let value = Value::from(text);
    let length = text.chars().count();
    let bound = |key: &str| schema.at(&[key]).as_int().and_then(|bound| usize::try_from(bound).ok());
    if let Some(most) = bound("maxLength").filter(|most| length > *most) {
        let message = format!("Too long: may not be more than {most} characters");
        causes.push(Cause { reason: "FieldValueTooLong", message, field: path.to_owned() });
    }
    if let Some(least) = bound("minLength").filter(|least| length < *least) {
        invalid(path, &value, causes, &format!("{path} in body should be at least {least} chars long"));
    }
    let pattern = schema.at(&["pattern"]).str_or_empty();
    if !pattern.is_empty() && !causes.matches(pattern, text) {
        invalid(path, &value, causes, &format!("{path} in body should match '{pattern}'"));
    }
    let format = schema.at(&["format"]).str_or_empty();
    if !format.is_empty() && !typed::has_format(format, text, &|pattern, text| causes.matches(pattern, text)) {
        let why = format!("{path} in body must be of type {format}: {}", value.to_json());
        let message = format!("Invalid value: {}: {why}", value.to_json());
        causes.push(Cause { reason: "FieldValueTypeInvalid", message, field: path.to_owned() });
    }
}

fn numeric(schema: &Value, value: &Value, number: f64, path: &str, causes: &mut Causes) {
    let bound = |key: &str| schema.get(key).and_then(|bound| Some((real(bound)?, bound.to_json())));
    let exclusive = |key: &str| schema.at(&[key]).is_true();
    if let Some((by, shown)) = bound("multipleOf")
        && by > 0.0
        && (number / by).fract() != 0.0
    {
        invalid(path, value, causes, &format!("{path} in body should be a multiple of {shown}"));
    }
    if let Some((most, shown)) = bound("maximum") {
        let exclusive = exclusive("exclusiveMaximum");
        if number > most || exclusive && number >= most {
            let or_equal = if exclusive { "" } else { " or equal to" };
            invalid(path, value, causes, &format!("{path} in body should be less than{or_equal} {shown}"));
        }
    }
    if let Some((least, shown)) = bound("minimum") {
        let exclusive = exclusive("exclusiveMinimum");
        if number < least || exclusive && number <= least {
            let or_equal = if exclusive { "" } else { " or equal to" };
            invalid(path, value, causes, &format!("{path} in body should be greater than{or_equal} {shown}"));
        }
    }
    let format = schema.at(&["format"]).str_or_empty();
    let range = match format {
        "int32" => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
        _ => None,
    };
    if range.is_some_and(|(least, most)| number < least || number > most) {
        invalid(path, value, causes, &format!("Checked value must be of type integer with format {format}"));
    }
}

fn list(schema: &Value, items: &[Value], old: Option<&Value>, path: &str, causes: &mut Causes) {
    let whole: Value = items.iter().cloned().collect();
    let bound = |key: &str| schema.at(&[key]).as_int().and_then(|bound| usize::try_from(bound).ok());
    if let Some(of) = schema.get("items") {
        let before = old.map(|old| Before::of(schema, old));
        for (at, item) in items.iter().enumerate() {
            let old = before.as_ref().and_then(|before| before.get(at, item));
            node(of, item, old, &format!("{path}[{at}]"), causes);
        }
    }
    if let Some(least) = bound("minItems").filter(|least| items.len() < *least) {
        let why = format!("{path} in body should have at least {least} items");
        causes.push(Cause {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {}: {why}", items.len()),
            field: path.to_owned(),
        });
    }
    if let Some(most) = bound("maxItems").filter(|most| items.len() > *most) {
        too_many(items.len(), most, path, causes);
    }
    let mut known = BTreeSet::new();
    if schema.at(&["uniqueItems"]).is_true() && !items.iter().all(|item| known.insert(item.to_json())) {
        invalid(path, &whole, causes, &format!("{path} in body shouldn't contain duplicates"));
    }
}

fn too_many(have: usize, most: usize, path: &str, causes: &mut Causes) {
    let message = format!("Too many: {have}: must have at most {most} items");
    causes.push(Cause { reason: "FieldValueTooMany", message, field: path.to_owned() });
}

fn common(schema: &Value, value: &Value, path: &str, causes: &mut Causes) {
    let allowed = schema.at(&["enum"]).items();
    if !allowed.is_empty() && !allowed.contains(value) {
        let shown: Vec<String> = allowed
            .iter()
            .map(|one| Value::from(one.as_str().map_or_else(|| one.to_json(), str::to_owned)).to_json())
            .collect();
        let message = format!("Unsupported value: {}: supported values: {}", value.to_json(), shown.join(", "));
        causes.push(Cause { reason: "FieldValueNotSupported", message, field: path.to_owned() });
    }
    let patterns = Rc::clone(&causes.patterns);
    let passes = |schema: &Value| {
        let mut causes = Causes { patterns: Rc::clone(&patterns), ..Causes::default() };
        node(schema, value, None, path, &mut causes);
        causes.found
    };
    let composite = |why: String, causes: &mut Causes| {
        causes.push(Cause {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: \"\": {why}"),
            field: path.to_owned(),
        });
    };
    let any_of = schema.at(&["anyOf"]).items();
    if !any_of.is_empty() {
        let outcomes: Vec<Vec<Cause>> = any_of.iter().map(passes).collect();
        if !outcomes.iter().any(Vec::is_empty) {
            composite(format!("{path:?} must validate at least one schema (anyOf)"), causes);
            causes.extend(outcomes.into_iter().min_by_key(Vec::len).unwrap_or_default());
        }
    }
    let one_of = schema.at(&["oneOf"]).items();
    if !one_of.is_empty() {
        let outcomes: Vec<Vec<Cause>> = one_of.iter().map(passes).collect();
        let valid = outcomes.iter().filter(|causes| causes.is_empty()).count();
        let sentence = format!("{path:?} must validate one and only one schema (oneOf).");
        match valid {
            0 => {
                composite(format!("{sentence} Found none valid"), causes);
                causes.extend(outcomes.into_iter().min_by_key(Vec::len).unwrap_or_default());
            }
            1 => {}
            many => composite(format!("{sentence} Found {many} valid alternatives"), causes),
        }
    }
    let all_of = schema.at(&["allOf"]).items();
    if !all_of.is_empty() {
        let failed: Vec<Cause> = all_of.iter().flat_map(passes).collect();
        if !failed.is_empty() {
            causes.extend(failed);
            composite(format!("{path:?} must validate all the schemas (allOf)"), causes);
        }
    }
    if let Some(not) = schema.get("not")
        && passes(not).is_empty()
    {
        composite(format!("{path:?} must not validate the schema (not)"), causes);
    }
}

fn object(schema: &Value, value: &Value, old: Option<&Value>, path: &str, causes: &mut Causes) {
    let entries = value.entries();
    let bound = |key: &str| schema.at(&[key]).as_int().and_then(|bound| usize::try_from(bound).ok());
    if let Some(least) = bound("minProperties").filter(|least| entries.len() < *least) {
        invalid(path, value, causes, &format!("{path} in body should have at least {least} properties"));
    }
    if let Some(most) = bound("maxProperties").filter(|most| entries.len() > *most) {
        too_many(entries.len(), most, path, causes);
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for name in schema.at(&["required"]).items().iter().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            causes.push(Cause::required(below(name), ""));
        }
    }
    let named = schema.at(&["properties"]);
    for (name, item) in entries {
        // What every object has is checked for every object.
        if path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            continue;
        }
        let of = named.get(name).or_else(|| schema.get("additionalProperties"));
        if let Some(of) = of.filter(|of| of.as_object().is_some()) {
            node(of, item, old.and_then(|old| old.get(name)), &below(name), causes);
        }
    }
}
