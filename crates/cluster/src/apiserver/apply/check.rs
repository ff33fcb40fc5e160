//! Whether a document fits its type, in the words of `structured-merge-diff`.
//!
//! Knows: kinds of values, unknown fields, elements that stand twice.
//! Does not know: whether a value is a good one.

use std::collections::BTreeSet;

use super::set::spell;
use super::walk::{Sharing, element, sharing};
use crate::schema::{ListKind, Scalar, Shape, Type};
use crate::value::Value;

/// Says why a document does not fit its type.
///
/// # Errors
/// All that is wrong, as one sentence or a list of them.
pub(super) fn errors(ty: Type<'_>, document: &Value) -> Result<(), String> {
    let mut errors = Vec::new();
    check(ty, document, "", &mut errors);
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n{}", many.iter().map(|one| format!("  {one}")).collect::<Vec<_>>().join("\n"))),
    }
}

fn check(ty: Type<'_>, value: &Value, path: &str, errors: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    let mut wrong = |why: String| errors.push(format!("{path}: {why}"));
    match ty.shape() {
        Shape::Any => {}
        Shape::Scalar(scalar) => {
            if let Some(why) = scalar_error(scalar, value) {
                wrong(why);
            }
        }
        Shape::Struct | Shape::Map(_) => {
            if value.as_object().is_none() {
                return wrong(format!("expected map, got {}", go(value)));
            }
            for (key, below) in value.entries() {
                let path = format!("{path}.{key}");
                match ty.child(key) {
                    Some(ty) => check(ty, below, &path, errors),
                    None if ty.preserves_unknown() => {}
                    None => errors.push(format!("{path}: field not declared in schema")),
                }
            }
        }
        Shape::List(list) => {
            if value.as_array().is_none() {
                return wrong(format!("expected list, got {}", go(value)));
            }
            let mut seen = BTreeSet::new();
            for (index, item) in value.items().iter().enumerate() {
                if !matches!(sharing(ty, value), Sharing::ByElement(_)) {
                    check(list.items, item, &format!("{path}[{index}]"), errors);
                    continue;
                }
                if list.kind == ListKind::Map && item.as_object().is_none() {
                    errors.push(format!(
                        "{path}: element {index}: associative list with keys may not have non-map elements"
                    ));
                    continue;
                }
                let Some(element) = element(list, item) else {
                    let keys: Vec<String> = list.keys.iter().map(|key| format!("{:?}", key.as_str())).collect();
                    errors.push(format!(
                        "{path}: element {index}: associative list with keys has an element that omits all key fields \
                         [{}] (and doesn't have default values for any key fields)",
                        keys.join(" ")
                    ));
                    continue;
                };
                let name = spell(&element);
                check(list.items, item, &format!("{path}{name}"), errors);
                if !seen.insert(element) {
                    errors.push(format!("{path}: duplicate entries for key {name}"));
                }
            }
        }
    }
}

fn scalar_error(scalar: Scalar, value: &Value) -> Option<String> {
    let is_number = matches!(value, Value::Int(_) | Value::Float(_));
    match scalar {
        Scalar::Int32 | Scalar::Int64 | Scalar::Double => {
            (!is_number).then(|| format!("expected numeric (int or float), got {}", go_type(value)))
        }
        Scalar::Boolean => value.as_bool().is_none().then(|| format!("expected boolean, got {}", wrapped(value))),
        Scalar::String | Scalar::Bytes => {
            value.as_str().is_none().then(|| format!("expected string, got {}", wrapped(value)))
        }
        Scalar::Time | Scalar::MicroTime | Scalar::Duration | Scalar::IntOrString | Scalar::Quantity => {
            let is_deep = matches!(value, Value::Object(_) | Value::Array(_));
            is_deep.then(|| format!("expected any scalar, got {}", wrapped(value)))
        }
    }
}

fn wrapped(value: &Value) -> String {
    format!("&value.valueUnstructured{{Value:{}}}", go_syntax(value))
}

/// As Go's `%#v` writes it.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{:?}:{}", key.as_str(), go_syntax(value))).collect();
            format!("map[string]interface {{}}{{{}}}", entries.join(", "))
        }
        Value::Array(list) => {
            format!("[]interface {{}}{{{}}}", list.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_json(),
    }
}

/// As Go's `%T` names it.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// As Go's `%v` writes what holds it.
fn go(value: &Value) -> String {
    fn plain(value: &Value) -> String {
        match value {
            Value::Null => "<nil>".to_owned(),
            Value::String(text) => text.to_string(),
            Value::Object(map) => {
                let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
                format!("map[{}]", entries.join(" "))
            }
            Value::Array(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(" ")),
            other => other.to_json(),
        }
    }
    format!("&{{{}}}", plain(value))
}
