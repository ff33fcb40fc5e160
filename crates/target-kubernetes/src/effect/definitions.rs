//! What custom resources lose with their definition.
//!
//! Knows: CustomResourceDefinitions, their schemas, and what is stored under them.
//! Does not know: what a field is for.

use cluster::{Cluster, ObjectKey, Value};
use model::{Forecast, Hazard, HazardKind};

use super::ledger::{Ledger, Net, reference};

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Fills in what becomes of instances.
pub(super) fn read(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.of(DEFINITIONS) {
        let Some(before) = net.before else { continue };
        let mut instances = ledger.before.list(&key.name, None).peekable();
        if instances.peek().is_none() {
            continue;
        }
        if net.is_deletion() || net.begins_to_terminate() {
            let because = format!("all {} objects of its kind are deleted with it", instances.count());
            warn(forecast, HazardKind::DataLostLater, key, before, because);
        } else if before.at(&["spec"]) != net.after.unwrap_or(before).at(&["spec"]) {
            changed(ledger.before, key, net, forecast);
        }
    }
}

fn warn(forecast: &mut Forecast, kind: HazardKind, key: &ObjectKey, object: &Value, because: String) {
    forecast.hazards.insert(Hazard { kind, object: reference(key, object), because, sure: true });
}

/// Every stored object, against every version's schema as it was and as it becomes.
fn changed(cluster: &Cluster, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let (Some(before), Some(after)) = (net.before, net.after) else { return };
    for old in before.at(&["spec", "versions"]).items() {
        let name = old.at(&["name"]);
        let new = after.at(&["spec", "versions"]).items().iter().find(|version| version.at(&["name"]) == name);
        let served = |version: &Value| version.at(&["served"]).is_true();
        if served(old) && !new.is_some_and(served) {
            let because = format!("its version {} is no longer served to whoever uses it", name.str_or_empty());
            warn(forecast, HazardKind::Dangling, key, after, because);
        }
        let Some(new) = new else { continue };
        let (was, is) = (old.at(&["schema", "openAPIV3Schema"]), new.at(&["schema", "openAPIV3Schema"]));
        if was == is {
            continue;
        }
        // One instance stands for all that lose the same: a person needs to hear of it once.
        let pruned = cluster.list(&key.name, None).find_map(|(own, object)| {
            let lost = first_pruned(object, is, "", true)?;
            (first_pruned(object, was, "", true).as_ref() != Some(&lost)).then(|| (lost, reference(own, object)))
        });
        if let Some((field, instance)) = pruned {
            let because = format!("{field} is dropped from {instance} and its like at their next write");
            warn(forecast, HazardKind::DataLostLater, key, after, because);
        }
        let refused = cluster.list(&key.name, None).find_map(|(own, object)| {
            let why = first_invalid(object, is, "")?;
            first_invalid(object, was, "").is_none().then(|| (why, reference(own, object)))
        });
        if let Some((why, instance)) = refused {
            let because = format!("every later write of {instance} would be refused: {why}");
            warn(forecast, HazardKind::CannotChange, key, after, because);
        }
    }
}

/// The first field that a schema does not keep.
fn first_pruned(value: &Value, schema: &Value, path: &str, root: bool) -> Option<String> {
    if schema.at(&["x-kubernetes-preserve-unknown-fields"]).is_true() {
        return None;
    }
    let whole = root || schema.at(&["x-kubernetes-embedded-resource"]).is_true();
    if value.as_object().is_some() {
        let known = schema.at(&["properties"]);
        let rest = schema.get("additionalProperties");
        return value.entries().iter().find_map(|(name, inner)| {
            if whole && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                return None;
            }
            let below = format!("{path}.{name}");
            match (known.get(name), rest) {
                (Some(schema), _) => first_pruned(inner, schema, &below, false),
                (None, Some(Value::Bool(true))) => None,
                (None, Some(schema)) if schema.as_object().is_some() => first_pruned(inner, schema, &below, false),
                _ => Some(below),
            }
        });
    }
    let items = schema.at(&["items"]);
    value.items().iter().find_map(|inner| first_pruned(inner, items, path, false))
}

/// The first rule of a schema that a value breaks, of those that need no more than the value.
fn first_invalid(value: &Value, schema: &Value, path: &str) -> Option<String> {
    let shown = if path.is_empty() { "the object" } else { path };
    let fits = match schema.at(&["type"]).str_or_empty() {
        "object" => value.as_object().is_some(),
        "array" => value.as_array().is_some(),
        "string" => value.as_str().is_some(),
        "integer" => value.as_int().is_some(),
        "boolean" => value.as_bool().is_some(),
        _ => true,
    };
    let null = value.is_null() && schema.at(&["nullable"]).is_true();
    if !fits && !null && !schema.at(&["x-kubernetes-int-or-string"]).is_true() {
        return Some(format!("{shown} is not of type {}", schema.at(&["type"]).str_or_empty()));
    }
    let allowed = schema.at(&["enum"]).items();
    if !allowed.is_empty() && !allowed.contains(value) {
        return Some(format!("{shown} is none of the allowed values"));
    }
    if let (Some(number), Some(most)) = (value.as_int(), schema.at(&["maximum"]).as_int())
        && number > most
    {
        return Some(format!("{shown} is more than {most}"));
    }
    if let (Some(number), Some(least)) = (value.as_int(), schema.at(&["minimum"]).as_int())
        && number < least
    {
        return Some(format!("{shown} is less than {least}"));
    }
    if value.as_object().is_some() {
        let missing = schema.at(&["required"]).items().iter().map(Value::str_or_empty);
        // What has a default is filled in before it is missed.
        let filled = |name: &str| schema.at(&["properties", name]).get("default").is_some();
        if let Some(name) = missing.filter(|name| !filled(name)).find(|name| value.get(name).is_none()) {
            return Some(format!("{path}.{name} is required"));
        }
    }
    let fields = value.entries().iter().find_map(|(name, inner)| {
        let schema = schema.at(&["properties"]).get(name)?;
        first_invalid(inner, schema, &format!("{path}.{name}"))
    });
    fields.or_else(|| {
        let items = schema.at(&["items"]);
        value.items().iter().find_map(|inner| first_invalid(inner, items, path))
    })
}
