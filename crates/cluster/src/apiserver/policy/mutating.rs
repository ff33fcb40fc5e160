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
/// What went wrong, if that refuses the request.
pub(in crate::apiserver) fn mutate(cluster: &Cluster, attempt: &Attempt<'_>, object: &mut Value) -> Result<(), Status> {
    for (policy, matched, bindings) in matching::subject(cluster, attempt, MUTATING, MUTATING_BINDINGS) {
        for binding in bindings {
            let outcome = params::find(cluster, attempt, policy, binding)
                .map_err(|why| format!("failed to configure binding: {why}"))
                .and_then(|found| {
                    let mut mutated = object.clone();
                    for param in found {
                        let attempt = Attempt { object: Some(&mutated), ..*attempt };
                        mutated = apply(cluster, &attempt, policy, &matched, param.as_ref(), &mutated)?;
                    }
                    Ok(mutated)
                });
            match outcome {
                Ok(mutated) => *object = mutated,
                Err(why) if fails(policy) => {
                    let message =
                        format!("policy '{}' with binding '{}' denied request: {why}", policy.name(), binding.name());
                    let mut status = Status::forbidden(&attempt.key.resource, &attempt.key.name, &message);
                    (status.code, status.reason) = (422, "Invalid");
                    return Err(status.because(vec![doc!({"message": (&message)})]));
                }
                Err(_) => {}
            }
        }
    }
    Ok(())
}

/// The names of the types that expressions make values of.
pub(in crate::apiserver) fn with_types(env: Env) -> Env {
    let fields = [("op", Type::String), ("path", Type::String), ("from", Type::String), ("value", Type::Dyn)];
    let patch = Type::structure("JSONPatch", fields.map(|(name, ty)| (Text::from(name), ty)));
    env.with_struct("Object", Type::open("Object")).with_struct("JSONPatch", patch)
}

fn apply(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    policy: &Value,
    matched: &matching::Matched,
    param: Option<&Value>,
    object: &Value,
) -> Result<Value, String> {
    let base = with_types(names::env(policy, Type::Dyn, true));
    let variables = names::with_variables(policy, &base);
    let ty = matching::spoken(cluster, attempt).map_or(crate::schema::Type::unknown(), |resource| resource.ty());
    let first = Names::of(cluster, attempt, matched, Some(object), param).with(&variables);
    if !conditions_hold(policy, &variables.env, &first)? {
        return Ok(object.clone());
    }
    let (mut mutated, mut budget) = (object.clone(), Budget(Some(BUDGET)));
    for mutation in policy.at(&["spec", "mutations"]).items() {
        // Each sees what those before it made.
        let names = Names::of(cluster, attempt, matched, Some(&mutated), param).with(&variables);
        let json_patch = mutation.at(&["patchType"]) == "JSONPatch";
        let place = if json_patch { "jsonPatch" } else { "applyConfiguration" };
        let made = budget.run(&variables.env, &names, mutation.at(&[place, "expression"]).str_or_empty())?;
        let made = document(&made).ok_or("the expression made what is no document")?;
        mutated = if json_patch {
            patch::apply(PatchType::Json, ty, &mutated, &made).map_err(|status| status.message)?
        } else {
            let mut applied = made;
            applied.set(&["apiVersion"], mutated.api_version());
            applied.set(&["kind"], mutated.kind());
            merge(ty, &mutated, &applied)
        };
    }
    Ok(mutated)
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
