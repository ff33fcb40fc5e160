//! An effect as rules in CEL see it: the same names as in JSON, each with its type.
//!
//! Knows: how a description of records becomes types, and how what is written of a record becomes values of them. A
//! number with doubt is one value here, though it is two keys in JSON.
//! Does not know: which records there are; their own descriptions tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::{Bounds, Key, Partial, Type, Value};
use model::{Action, Change, Described, Evidence, Forecast, Objects, Schema, Spent};
use serde::Serialize;
use serde_json::{Map, Value as Json};

/// What rules may speak of, and what each is.
pub(super) fn variables() -> [(&'static str, Type); 6] {
    [
        ("action", ty(&Action::schema())),
        ("objects", Type::list(ty(&touched()))),
        ("forecast", ty(&Forecast::schema())),
        ("spent", ty(&Spent::schema())),
        ("tier", Type::String),
        ("now", Type::Timestamp),
    ]
}

/// What a variable stands for.
pub(super) fn variable(name: &str, evidence: &Evidence<'_>) -> Option<Value> {
    Some(match name {
        "action" => written(&Action::schema(), evidence.action),
        "objects" => objects(&evidence.effect.objects),
        "forecast" => written(&Forecast::schema(), &evidence.effect.forecast),
        "spent" => written(&Spent::schema(), evidence.spent),
        "tier" => Value::from(evidence.tier.to_string()),
        "now" => moment(evidence.now.0),
        _ => return None,
    })
}

/// A touched object is its name and what happens to it.
fn touched() -> Schema {
    let Schema::Record(name, mut fields) = Change::schema() else { return Schema::Any };
    fields.push(("object", Schema::Object));
    Schema::Record(name, fields)
}

fn objects(objects: &Objects) -> Value {
    let of = touched();
    let items = objects.touched.iter().map(|(object, change)| {
        let mut keys = match serde_json::to_value(change) {
            Ok(Json::Object(keys)) => keys,
            _ => Map::new(),
        };
        keys.insert("object".to_owned(), Json::String(object.to_string()));
        value(&of, Some(&Json::Object(keys)))
    });
    let items: Arc<[Value]> = items.collect();
    if objects.unlisted {
        Value::Partial(Arc::new(Partial { sure: items, possible: Arc::new([]), unlisted: true }))
    } else {
        Value::List(items)
    }
}

fn moment(milliseconds: u64) -> Value {
    let at = i64::try_from(milliseconds).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map_or(Value::Null, Value::Timestamp)
}

fn written(schema: &Schema, record: &impl Serialize) -> Value {
    value(schema, serde_json::to_value(record).ok().as_ref())
}

fn ty(schema: &Schema) -> Type {
    match schema {
        Schema::Text => Type::String,
        Schema::Truth => Type::Bool,
        Schema::Count => Type::Int,
        Schema::Measure => Type::Double,
        Schema::Range => Type::Opaque("range"),
        Schema::Object => {
            let text = |name: &str| (name.into(), Type::String);
            Type::structure("Object", [text("kind"), text("namespace"), text("name")])
        }
        Schema::Any => Type::Dyn,
        Schema::Optional(of) => ty(of),
        Schema::List(of) | Schema::Among(of) => Type::list(ty(of)),
        Schema::Map(of) => Type::map(ty(of)),
        Schema::Record(name, fields) => {
            Type::structure(*name, fields.iter().map(|(name, of)| ((*name).into(), ty(of))))
        }
    }
}

/// What is written, as a value. What is left out in writing is empty, as it is in the record.
fn value(schema: &Schema, json: Option<&Json>) -> Value {
    match (schema, json) {
        (Schema::Text, json) => Value::from(json.and_then(Json::as_str).unwrap_or_default()),
        (Schema::Truth, json) => Value::Bool(json.and_then(Json::as_bool).unwrap_or_default()),
        (Schema::Count, json) => {
            Value::Int(json.and_then(Json::as_u64).map_or(0, |count| i64::try_from(count).unwrap_or(i64::MAX)))
        }
        (Schema::Measure, json) => Value::Double(json.and_then(Json::as_f64).unwrap_or_default()),
        (Schema::Range, json) => {
            json.and_then(Json::as_f64).map_or_else(unbounded, |it| Value::Range(Bounds::new(it, it)))
        }
        (Schema::Object, json) => object(json.and_then(Json::as_str).unwrap_or_default()),
        (Schema::Any, json) => json.map_or(Value::Null, any),
        (Schema::Optional(of), json) => value(of, json),
        (Schema::List(of) | Schema::Among(of), json) => Value::List(items(of, json)),
        (Schema::Map(of), json) => {
            let entries = json.and_then(Json::as_object).into_iter().flatten();
            Value::map(entries.map(|(name, json)| (Key::String(name.as_str().into()), value(of, Some(json)))))
        }
        (Schema::Record(_, fields), json) => record(fields, json.and_then(Json::as_object)),
    }
}

fn items(of: &Schema, json: Option<&Json>) -> Arc<[Value]> {
    json.and_then(Json::as_array).into_iter().flatten().map(|item| value(of, Some(item))).collect()
}

fn record(fields: &[(&'static str, Schema)], keys: Option<&Map<String, Json>>) -> Value {
    let key = |name: &str| keys.and_then(|keys| keys.get(name));
    let fields = fields.iter().filter_map(|(name, schema)| {
        let plain = key(name);
        let value = match schema {
            Schema::Range => range(key(&format!("{name}Range")), plain),
            Schema::Optional(of) if **of == Schema::Range => {
                let ends = key(&format!("{name}Range"));
                if ends.is_none() && plain.is_none_or(Json::is_null) {
                    return None;
                }
                range(ends, plain)
            }
            Schema::Among(of) => {
                let (possible, unlisted) = (key(&format!("{name}Possible")), key(&format!("{name}Unlisted")));
                let unlisted = unlisted.and_then(Json::as_bool).unwrap_or_default();
                if possible.is_some() || unlisted {
                    let (sure, possible) = (items(of, plain), items(of, possible));
                    Value::Partial(Arc::new(Partial { sure, possible, unlisted }))
                } else {
                    value(schema, plain)
                }
            }
            // Absent is absent, so that `has` tells and reading it is an error.
            Schema::Optional(_) if plain.is_none_or(Json::is_null) => return None,
            _ => value(schema, plain),
        };
        Some((*name, value))
    });
    Value::fields(fields.collect::<BTreeMap<_, _>>())
}

/// A number with doubt: its ends if they are written, else what it is for sure.
fn range(ends: Option<&Json>, sure: Option<&Json>) -> Value {
    match ends.and_then(Json::as_array).map(Vec::as_slice) {
        Some([best, worst]) => {
            let end = |end: &Json| end.as_f64().unwrap_or(f64::INFINITY);
            Value::Range(Bounds::new(end(best), end(worst)))
        }
        _ => value(&Schema::Range, sure),
    }
}

fn unbounded() -> Value {
    Value::Range(Bounds::new(f64::NEG_INFINITY, f64::INFINITY))
}

/// `Kind/namespace/name` in its parts; without a namespace that is empty.
fn object(text: &str) -> Value {
    let object = text.parse::<model::ObjectRef>().unwrap_or_else(|_| model::ObjectRef::global("", text));
    Value::fields([
        ("kind", Value::from(object.kind)),
        ("namespace", Value::from(object.namespace.unwrap_or_default())),
        ("name", Value::from(object.name)),
    ])
}

/// JSON of which nothing is described. Whole numbers are whole here too.
pub(super) fn any(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Double(number.as_f64().unwrap_or(f64::NAN)), Value::Int)
        }
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::list(items.iter().map(any)),
        Json::Object(entries) => Value::fields(entries.iter().map(|(name, json)| (name.as_str(), any(json)))),
    }
}
