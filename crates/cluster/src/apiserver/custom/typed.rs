//! A schema as a type of expressions, an object as a value of it.
//!
//! Knows: which names fields have in expressions, and what text of a format is there.
//! Does not know: expressions.

use base64::Engine;
use cel::{Key, Type};

use crate::value::{Text, Value};

/// The type of what a schema describes; none if it does not say. The top has what every object has.
pub(super) fn ty(schema: &Value, path: &str, top: bool) -> Option<Type> {
    if schema.at(&["x-kubernetes-int-or-string"]).is_true() {
        return Some(Type::Dyn);
    }
    Some(match schema.at(&["type"]).str_or_empty() {
        "array" => Type::list(ty(schema.at(&["items"]), path, is_whole(schema.at(&["items"])))?),
        "object" => {
            if let Some(values) = schema.get("additionalProperties").filter(|values| values.as_object().is_some()) {
                return Some(Type::map(ty(values, path, is_whole(values))?));
            }
            let fields = schema.at(&["properties"]).entries().iter();
            let mut fields: Vec<(Text, Type)> = fields
                .filter_map(|(name, below)| {
                    let path = format!("{path}.{name}");
                    Some((escaped(name)?, ty(below, &path, is_whole(below))?))
                })
                .collect();
            if top {
                fields.retain(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind" | "metadata"));
                let metadata = ["name", "generateName"].map(|name| (Text::from(name), Type::String));
                fields.push(("apiVersion".into(), Type::String));
                fields.push(("kind".into(), Type::String));
                fields.push(("metadata".into(), Type::structure(format!("{path}.metadata"), metadata)));
            }
            Type::structure(path, fields)
        }
        "string" => match schema.at(&["format"]).str_or_empty() {
            "byte" => Type::Bytes,
            "duration" => Type::Duration,
            "date" | "date-time" => Type::Timestamp,
            _ => Type::String,
        },
        "boolean" => Type::Bool,
        "integer" => Type::Int,
        "number" => Type::Double,
        _ => return None,
    })
}

/// Whether it is an object of its own within another.
pub(super) fn is_whole(schema: &Value) -> bool {
    schema.at(&["x-kubernetes-embedded-resource"]).is_true()
}

/// A value as expressions see it through a schema.
pub(super) fn value(schema: &Value, value: &Value) -> cel::Value {
    let mixed = schema.at(&["x-kubernetes-int-or-string"]).is_true();
    match (schema.at(&["type"]).str_or_empty(), value) {
        _ if mixed => plain(value),
        ("object", Value::Object(map)) => {
            let named = schema.at(&["properties"]);
            let others = schema.at(&["additionalProperties"]);
            cel::Value::map(map.iter().filter_map(|(name, below)| match named.get(name) {
                Some(of) => Some((Key::String(escaped(name)?), self::value(of, below))),
                None if others.as_object().is_some() => Some((Key::String(name.clone()), self::value(others, below))),
                None => Some((Key::String(escaped(name)?), plain(below))),
            }))
        }
        ("array", Value::Array(items)) => {
            let of = schema.at(&["items"]);
            cel::Value::list(items.iter().map(|item| self::value(of, item)))
        }
        ("number", Value::Int(number)) => {
            #[expect(clippy::cast_precision_loss, reason = "the schema says that it is a real number")]
            let number = *number as f64;
            cel::Value::Double(number)
        }
        ("string", Value::String(text)) => {
            let read = match schema.at(&["format"]).str_or_empty() {
                "byte" => base64::prelude::BASE64_STANDARD
                    .decode(text.as_bytes())
                    .ok()
                    .map(|bytes| cel::Value::Bytes(bytes.into())),
                "duration" => cel::Value::duration(text),
                "date" => cel::Value::timestamp(&format!("{text}T00:00:00Z")),
                "date-time" => cel::Value::timestamp(text),
                _ => None,
            };
            read.unwrap_or_else(|| cel::Value::String(text.clone()))
        }
        _ => plain(value),
    }
}

/// A value as expressions see it of which no schema is known.
pub(in crate::apiserver) fn plain(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(truth) => cel::Value::Bool(*truth),
        Value::Int(number) => cel::Value::Int(*number),
        Value::Float(number) => cel::Value::Double(*number),
        Value::String(text) => cel::Value::String(text.clone()),
        Value::Array(items) => cel::Value::list(items.iter().map(plain)),
        Value::Object(map) => cel::Value::map(map.iter().map(|(key, value)| (Key::String(key.clone()), plain(value)))),
    }
}

/// Words of the language, which are no names in it.
const WORDS: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The name of a field in expressions: what cannot stand in one is spelled out. None if it cannot be.
pub(super) fn escaped(name: &str) -> Option<Text> {
    if WORDS.contains(&name) {
        return Some(format!("__{name}__").into());
    }
    let simple = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if name.chars().all(simple) && !name.contains("__") {
        let digit = name.starts_with(|letter: char| letter.is_ascii_digit());
        return (!digit && !name.is_empty()).then(|| Text::from(name));
    }
    let spelled = name
        .replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__");
    (spelled.chars().all(simple) && !spelled.starts_with(|letter: char| letter.is_ascii_digit()))
        .then(|| spelled.into())
}

/// Whether text has a format, as far as the real server looks; formats that it does not know are no bounds.
/// `matches` tells whether text matches a pattern.
pub(super) fn has_format(format: &str, text: &str, matches: &dyn Fn(&str, &str) -> bool) -> bool {
    let is = |pattern: &str| matches(pattern, text);
    match format {
        "date-time" => cel::Value::timestamp(text).is_some(),
        "date" => cel::Value::timestamp(&format!("{text}T00:00:00Z")).is_some(),
        "duration" => cel::Value::duration(text).is_some(),
        "byte" => base64::prelude::BASE64_STANDARD.decode(text).is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "cidr" => cel::library::cidr::Cidr::read(text).is_ok(),
        "email" => is(r"^[^@\s]+@[^@\s]+$"),
        "hostname" => {
            text.len() <= 255
                && is(
                    r"^([a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\.)*[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\.?$",
                )
        }
        "uuid" => is("^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"),
        "uuid3" | "uuid4" | "uuid5" => {
            is("^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[345][0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$")
        }
        "mac" => is("^([0-9A-Fa-f]{2}[:.-]){5,7}[0-9A-Fa-f]{2}$"),
        "uri" => cel::library::url::Url::is(text),
        "hexcolor" => is("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
        _ => true,
    }
}
