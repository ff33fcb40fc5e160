//! Custom objects: what their definition's schema fills in and refuses.
//!
//! Knows: OpenAPI as a CustomResourceDefinition may write it, and Kubernetes' extensions of it.
//! Does not know: how objects are stored, or how definitions come to be served.
//!
//! The schema is read as it stands in the definition, not as a [`Type`](crate::schema::Type): only here are its bounds,
//! patterns and rules of any interest.
//!
//! | file | does |
//! |---|---|
//! | `defaults` | what is filled in |
//! | `check` | what a schema refuses, in the words of the library that the real server uses |
//! | `lists` | elements that stand twice in lists whose elements are told apart |
//! | `typed` | a schema as a type of expressions, an object as a value of it |
//! | `rules`, `cost` | `x-kubernetes-validations`, and what they may cost |

mod check;
mod cost;
mod defaults;
mod lists;
mod rules;
#[cfg(test)]
mod tests;
pub(super) mod typed;

use cel::{CompileError, Program};

use super::fields::{self, Sent};
use super::registry::definitions::RESOURCE;
use super::status::Cause;
use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::schema::split_api_version;
use crate::value::Value;

/// The schema of the objects of a resource, as their definition has it for a version; none if they are not custom, or
/// have none.
pub(super) fn schema(cluster: &Cluster, resource: &str, api_version: &str) -> Option<Value> {
    let definition = cluster.get(&ObjectKey::new(RESOURCE, "", resource))?;
    let version = split_api_version(api_version).1;
    let versions = definition.at(&["spec", "versions"]).items();
    let named = versions.iter().find(|have| *have.at(&["name"]) == version);
    let version = named.or_else(|| versions.iter().find(|have| have.at(&["storage"]).is_true()))?;
    version.find(&["schema", "openAPIV3Schema"]).cloned()
}

/// An object that is kept, as its definition has it read now: without what it does not know any more, and with what it has
/// come to fill in since.
pub(super) fn as_read(cluster: &Cluster, resource: &str, kept: &Value) -> Value {
    let Some(known) = cluster.schema.stored(resource).filter(|known| known.custom) else { return kept.clone() };
    let mut object = match fields::read(known.ty(), kept, false, || Sent::from(kept)) {
        Ok(read) => read.value,
        Err(_) => kept.clone(),
    };
    for field in ["apiVersion", "kind"] {
        if let Some(said) = kept.get(field).filter(|said| object.get(field) != Some(said)) {
            object.set(&[field], said.clone());
        }
    }
    if let Some(schema) = schema(cluster, resource, &known.api_version()) {
        fill(&schema, &mut object);
    }
    object
}

/// Fills in what a schema says of fields that are not there, and takes away nulls that it does not allow.
pub(super) fn fill(schema: &Value, object: &mut Value) {
    defaults::fill(schema, object);
}

/// A rule's expression in one of its fields, that can be evaluated; none if there is nothing in it.
pub(super) fn compile(schema: &Value, rule: &Value, field: &str, top: bool) -> Option<Result<Program, CompileError>> {
    rules::compile(schema, rule, field, top)
}

/// What a rule costs at most for all the values that a schema may describe in one object: `many` of them, or as many as go
/// into a request.
pub(super) fn cost(program: &Program, schema: &Value, many: Option<u64>) -> u64 {
    cost::of(program, schema).saturating_mul(many.unwrap_or_else(|| cost::cardinality(schema)))
}

/// What is said of a rule that may cost too much, if it may.
pub(super) fn too_costly(what: &str, cost: u64) -> Option<String> {
    (cost > cost::RULE_MAX).then(|| cost::sentence(what, cost, cost::RULE_MAX))
}

/// The same of all rules of a schema.
pub(super) fn all_too_costly(cost: u64) -> Option<String> {
    let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
    (cost > cost::ALL_MAX).then(|| cost::sentence(what, cost, cost::ALL_MAX))
}

/// How many elements or entries a schema allows at most; none if it does not say.
pub(super) fn bound(schema: &Value) -> Option<u64> {
    cost::bound(schema)
}

/// What is wrong with an object. What is as it was before is not looked at again.
pub(super) fn causes(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = check::check(schema, object, old);
    causes.extend(lists::check(schema, object));
    let blocking = |cause: &Cause| {
        matches!(
            cause.reason,
            "FieldValueRequired" | "FieldValueTooLong" | "FieldValueTooMany" | "FieldValueTypeInvalid"
        )
    };
    if rules::any(schema) && causes.iter().any(blocking) {
        let why = "some validation rules were not checked because the object was invalid; correct the existing errors to \
                   complete validation";
        causes.push(Cause::invalid("<nil>", Value::Null, why));
    } else {
        causes.extend(rules::check(schema, object, old));
    }
    causes
}
