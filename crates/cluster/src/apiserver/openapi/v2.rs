//! OpenAPI v2, written from v3.
//!
//! Knows: what the older language says otherwise, and what it cannot say.
//! Does not know: any path or type.
//!
//! The real server builds both from the same Go types, so one follows from the other: references stand alone instead
//! of in an `allOf`, bodies are parameters, and there are no defaults, no `nullable` and no choice of types.

use std::collections::BTreeSet;

use crate::doc;
use crate::schema::Schema;
use crate::value::{Map, Text, Value};

/// What v2 has no word for.
const UNSAYABLE: &[&str] = &["allOf", "anyOf", "default", "not", "nullable", "oneOf"];

const METHODS: &[&str] = &["delete", "get", "head", "options", "patch", "post", "put"];

/// Everything that a server says in OpenAPI, as one document.
pub(super) fn document(schema: &Schema) -> Value {
    let (mut paths, mut definitions) = (Map::default(), Map::default());
    for (_, document) in schema.documents() {
        // Documents of a server that we read are JSON; so are ours.
        let Ok(document) = Value::from_json(document.bytes()) else { continue };
        for (path, operations) in document.at(&["paths"]).entries() {
            paths.insert(path.clone(), self::path(operations));
        }
        for (name, schema) in document.at(&["components", "schemas"]).entries() {
            add(&mut definitions, name, schema);
        }
    }
    let version = schema.version();
    let part = |key: &str| version.at(&[key]).str_or_empty();
    doc!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": (format!("{}.{}", part("major"), part("minor")))},
        "paths": (paths), "definitions": (definitions),
        "securityDefinitions": {"BearerToken": {
            "description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header",
        }},
        "security": [{"BearerToken": []}],
    })
}

/// Takes a definition in. The kinds that one claims to be (`DeleteOptions` is one of every group) add up over documents.
fn add(definitions: &mut Map, name: &Text, schema: &Value) {
    const KINDS: &str = "x-kubernetes-group-version-kind";
    let Some(have) = definitions.get_mut(name) else {
        definitions.insert(name.clone(), self::schema(schema));
        return;
    };
    for kind in schema.at(&[KINDS]).items() {
        if !have.at(&[KINDS]).items().contains(kind) {
            have.make(&[KINDS]).array().push(kind.clone());
        }
    }
}

/// A schema, at any depth.
fn schema(v3: &Value) -> Value {
    let mut v2 = Map::default();
    for (key, value) in v3.entries() {
        let value = match key.as_str() {
            "properties" => {
                Value::from(value.entries().iter().map(|(name, below)| (name.clone(), schema(below))).collect::<Map>())
            }
            "items" | "additionalProperties" if value.as_object().is_some() => schema(value),
            "$ref" => reference(value),
            // The one thing that it is, with what is said beside it.
            "allOf" if value.items().len() == 1 => {
                if let Some(target) = value.items().first().and_then(|only| only.get("$ref")) {
                    v2.insert("$ref", reference(target));
                }
                continue;
            }
            // A choice of types (an amount, a port) is text where there is one name for both.
            "oneOf" if v3.get("type").is_none() => {
                v2.insert("type", "string");
                continue;
            }
            key if UNSAYABLE.contains(&key) => continue,
            _ => value.clone(),
        };
        v2.insert(key.clone(), value);
    }
    Value::from(v2)
}

fn reference(v3: &Value) -> Value {
    let name = v3.str_or_empty().rsplit('/').next().unwrap_or_default();
    Value::from(format!("#/definitions/{name}"))
}

fn path(v3: &Value) -> Value {
    let part = |(key, value): &(Text, Value)| {
        let value = match key.as_str() {
            "parameters" => parameters(value).into(),
            method if METHODS.contains(&method) => operation(value),
            _ => value.clone(),
        };
        (key.clone(), value)
    };
    Value::from(v3.entries().iter().map(part).collect::<Map>())
}

fn operation(v3: &Value) -> Value {
    let mut v2 = v3.as_object().cloned().unwrap_or_default();
    let body = v2.remove("requestBody").unwrap_or_default();
    let content = body.at(&["content"]).entries();
    let mut parameters = Vec::new();
    if let Some((_, content)) = content.first() {
        let mut parameter = doc!({"name": "body", "in": "body", "schema": (schema(content.at(&["schema"])))});
        if body.at(&["required"]).is_true() {
            parameter.set(&["required"], true);
        }
        parameters.push(parameter);
    }
    parameters.extend(self::parameters(v3.at(&["parameters"])));

    let mut produces = BTreeSet::new();
    let mut responses = Map::default();
    for (code, response) in v3.at(&["responses"]).entries() {
        let mut response = response.as_object().cloned().unwrap_or_default();
        let content = response.remove("content").unwrap_or_default();
        produces.extend(content.entries().iter().map(|(kind, _)| kind.clone()));
        if let Some((_, content)) = content.entries().first() {
            response.insert("schema", schema(content.at(&["schema"])));
        }
        responses.insert(code.clone(), response);
    }
    if produces.is_empty() {
        produces.insert("application/json".into());
    }
    let mut consumes: Vec<Text> = content.iter().map(|(kind, _)| kind.clone()).collect();
    if consumes.is_empty() && v3.get("x-kubernetes-action").is_some() {
        consumes.push("*/*".into());
    } else if consumes.is_empty() {
        consumes.extend(produces.iter().cloned());
    }
    if !parameters.is_empty() {
        v2.insert("parameters", parameters);
    }
    v2.insert("responses", responses);
    v2.insert("consumes", consumes.into_iter().collect::<Value>());
    v2.insert("produces", produces.into_iter().collect::<Value>());
    v2.insert("schemes", doc!(["https"]));
    Value::from(v2)
}

/// Parameters whose type stands in the parameter itself.
fn parameters(v3: &Value) -> Vec<Value> {
    let one = |parameter: &Value| {
        let mut v2 = parameter.as_object().cloned().unwrap_or_default();
        let schema = v2.remove("schema").unwrap_or_default();
        for (key, value) in self::schema(&schema).entries() {
            v2.insert(key.clone(), value);
        }
        Value::from(v2)
    };
    v3.items().iter().map(one).collect()
}
