//! What MutatingAdmissionPolicies make of an object.
//!
//! Knows: objects and patches that expressions make, and how they are put together with what is there.
//! Does not know: which policies a request is subject to.

use std::sync::Arc;

use cel::{Env, Key, Type};

use super::matching;
use super::names;
use super::request::Names;
use super::validating::{Budget, conditions_hold, fails};
use super::{Attempt, BUDGET, MUTATING, MUTATING_BINDINGS, params};
use crate::apiserver::PatchType;
use crate::apiserver::apply::merge;
use crate::apiserver::patch;
use crate::apiserver::status::Status;
use crate::cluster::Cluster;
use crate::doc;
use crate::value::{Map, Text, Value};

/// Has every policy that a request is subject to change the object, one after the other.
///
/// # Errors
/// Everything that went wrong with policies whose failures refuse the request.
pub(in crate::apiserver) fn mutate(cluster: &Cluster, attempt: &Attempt<'_>, object: &mut Value) -> Result<(), Status> {
    let mut refusals: Vec<(String, &'static str)> = Vec::new();
    for (policy, matched, bindings) in matching::subject(cluster, attempt, MUTATING, MUTATING_BINDINGS) {
        for binding in bindings {
            let mut refuse = |why: &str, reason: &'static str| {
                let (policy_name, binding_name) = (policy.name(), binding.name());
                let why = format!("policy '{policy_name}' with binding '{binding_name}' denied request: {why}");
                refusals.extend(fails(policy).then_some((why, reason)));
            };
            match params::find(cluster, attempt, policy, binding) {
                Err(why) => refuse(&format!("failed to configure binding: {why}"), "Forbidden"),
                Ok(found) => {
                    for param in found {
                        for why in apply(cluster, attempt, policy, &matched, param.as_ref(), object) {
                            refuse(&why, "Invalid");
                        }
                    }
                }
            }
        }
    }
    let Some((message, reason)) = refusals.first().cloned() else { return Ok(()) };
    let mut status = Status::forbidden(&attempt.key.resource, &attempt.key.name, &message);
    (status.message, status.reason) = (message, reason);
    Err(status.because(refusals.iter().map(|(why, _)| doc!({"message": (why)})).collect()))
}

/// The names of the types that expressions make values of.
pub(in crate::apiserver) fn with_types(env: Env) -> Env {
    let fields = [("op", Type::String), ("path", Type::String), ("from", Type::String), ("value", Type::Dyn)];
    let patch = Type::structure("JSONPatch", fields.map(|(name, ty)| (Text::from(name), ty)));
    env.with_struct("Object", Type::open("Object")).with_struct("JSONPatch", patch)
}

/// Applies a policy's mutations, each to what those before it made. What goes wrong with one does not keep the others from
/// being tried.
fn apply(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    policy: &Value,
    matched: &matching::Matched,
    param: Option<&Value>,
    object: &mut Value,
) -> Vec<String> {
    let base = with_types(names::env(policy, Type::Dyn, true));
    let variables = names::with_variables(policy, &base);
    let names = |object: &Value| Names::of(cluster, attempt, matched, Some(object), param).with(&variables);
    match conditions_hold(policy, &variables.env, &names(object)) {
        Ok(true) => {}
        Ok(false) => return Vec::new(),
        Err(why) => return vec![why],
    }
    let ty = matching::spoken(cluster, attempt).map_or(crate::schema::Type::unknown(), |resource| resource.ty());
    let mut wrong = Vec::new();
    for mutation in policy.at(&["spec", "mutations"]).items() {
        match mutated(mutation, &variables.env, &names(object), ty, object) {
            Ok(mutated) => *object = mutated,
            Err(why) => wrong.push(why),
        }
    }
    wrong
}

fn mutated(
    mutation: &Value,
    env: &Env,
    names: &Names<'_>,
    ty: crate::schema::Type<'_>,
    object: &Value,
) -> Result<Value, String> {
    let json_patch = mutation.at(&["patchType"]) == "JSONPatch";
    let place = if json_patch { "jsonPatch" } else { "applyConfiguration" };
    let expression = mutation.at(&[place, "expression"]).str_or_empty();
    let made = Budget(Some(BUDGET)).run(env, names, expression)?;
    let made = document(&made).ok_or_else(|| format!("expression '{expression}' made what is no document"))?;
    if json_patch {
        return patch::apply(PatchType::Json, ty, object, &made).map_err(|status| status.message);
    }
    let mut applied = made;
    applied.set(&["apiVersion"], object.api_version());
    applied.set(&["kind"], object.kind());
    Ok(merge(ty, object, &applied))
}

/// A value as a document; none if it is not of such values as documents hold.
fn document(value: &cel::Value) -> Option<Value> {
    Some(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(truth) => Value::from(*truth),
        cel::Value::Int(number) => Value::from(*number),
        cel::Value::Uint(number) => Value::Int(i64::try_from(*number).ok()?),
        cel::Value::Double(number) => Value::from(*number),
        cel::Value::String(text) => Value::from(text),
        cel::Value::Optional(value) => value.as_ref().map_or(Some(Value::Null), |value| document(value))?,
        cel::Value::List(items) => Value::from(items.iter().map(document).collect::<Option<Vec<_>>>()?),
        cel::Value::Map(entries) => Value::Object(fields(entries)?),
        _ => return None,
    })
}

fn fields(entries: &Arc<std::collections::BTreeMap<Key, cel::Value>>) -> Option<Map> {
    let named = entries.iter().map(|(key, value)| match key {
        Key::String(name) => Some((name.clone(), document(value)?)),
        _ => None,
    });
    named.collect::<Option<Vec<_>>>().map(|fields| fields.into_iter().collect())
}
