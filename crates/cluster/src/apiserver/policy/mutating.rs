//! What MutatingAdmissionPolicies make of an object.
//!
//! Knows: objects and patches that expressions make, and how they are put together with what is there.
//! Does not know: which policies a request is subject to.

use std::sync::Arc;

use cel::{Env, Key, Type};

use super::matching::{self, Matched};
use super::names::Compiled;
use super::request::Names;
use super::validating::{Budget, conditions_hold, fails};
use super::{Attempt, BUDGET, MUTATING, MUTATING_BINDINGS, params};
use crate::apiserver::PatchType;
use crate::apiserver::apply::merge;
use crate::apiserver::fields::{self, Sent};
use crate::apiserver::patch;
use crate::apiserver::status::Status;
use crate::cluster::Cluster;
use crate::doc;
use crate::schema;
use crate::value::{Map, Text, Value};

/// Has every policy that a request is subject to change the object, one after the other. Those that wish it are asked once
/// more if others changed the object after them. Gives whether anything changed.
///
/// # Errors
/// Everything that went wrong with policies whose failures refuse the request.
pub(in crate::apiserver) fn mutate(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    object: &mut Value,
) -> Result<bool, Status> {
    let before = object.clone();
    let mut round = Round { cluster, attempt, again: Vec::new(), refusals: Vec::new() };
    let subject = matching::subject(cluster, attempt, MUTATING, MUTATING_BINDINGS);
    let mut asked: Vec<(&Value, &Matched, &Value)> = Vec::new();
    for (policy, matched, bindings) in &subject {
        if let Some(why) = params::unknown_kind(cluster, policy) {
            let why = format!("policy '{}' denied request: failed to configure policy: {why}", policy.name());
            round.refusals.extend(fails(policy).then_some((why, "Forbidden")));
            continue;
        }
        for binding in bindings {
            let changed = round.ask(policy, matched, binding, object)?;
            if changed {
                round.again = (0..asked.len()).collect();
            }
            if policy.at(&["spec", "reinvocationPolicy"]) == "IfNeeded" {
                asked.push((policy, matched, binding));
            }
        }
    }
    for at in std::mem::take(&mut round.again) {
        if let Some((policy, matched, binding)) = asked.get(at) {
            round.ask(policy, matched, binding, object)?;
        }
    }
    let Some((message, reason)) = round.refusals.first().cloned() else { return Ok(*object != before) };
    let mut status = Status::forbidden(&attempt.key.resource, &attempt.key.name, &message);
    (status.message, status.reason) = (message, reason);
    Err(status.because(round.refusals.iter().map(|(why, _)| doc!({"message": (why)})).collect()))
}

/// One pass over the policies.
struct Round<'a> {
    cluster: &'a Cluster,
    attempt: &'a Attempt<'a>,
    /// Which of those that wish it are to be asked once more.
    again: Vec<usize>,
    /// Why not, and for which reason.
    refusals: Vec<(String, &'static str)>,
}

impl Round<'_> {
    /// Asks one policy through one binding. Gives whether it changed the object.
    ///
    /// # Errors
    /// What is no refusal of the policy, but of what it made.
    fn ask(&mut self, policy: &Value, matched: &Matched, binding: &Value, object: &mut Value) -> Result<bool, Status> {
        let before = object.clone();
        let refusals = &mut self.refusals;
        let mut refuse = |why: &str, reason: &'static str| {
            let (policy_name, binding_name) = (policy.name(), binding.name());
            let why = format!("policy '{policy_name}' with binding '{binding_name}' denied request: {why}");
            refusals.extend(fails(policy).then_some((why, reason)));
        };
        match params::find(self.cluster, self.attempt, policy, binding) {
            Err(why) => refuse(&format!("failed to configure binding: {why}"), "Forbidden"),
            Ok(found) => {
                for param in found {
                    for why in apply(self.cluster, self.attempt, policy, matched, param.as_ref(), object)? {
                        refuse(&why, "Invalid");
                    }
                }
            }
        }
        Ok(*object != before)
    }
}

/// The names of the types that expressions make values of.
pub(in crate::apiserver) fn with_types(env: Env) -> Env {
    let fields = [("op", Type::String), ("path", Type::String), ("from", Type::String), ("value", Type::Dyn)];
    let patch = Type::structure("JSONPatch", fields.map(|(name, ty)| (Text::from(name), ty)));
    env.with_struct("Object", Type::open("Object")).with_struct("JSONPatch", patch)
}

/// What keeps a mutation from being made.
enum Wrong {
    /// The policy fails.
    Failed(String),
    /// What it made is no object.
    Broken(Status),
}

/// Applies a policy's mutations, each to what those before it made. What goes wrong with one does not keep the others from
/// being tried.
///
/// # Errors
/// If what a mutation made cannot be read.
fn apply(
    cluster: &Cluster,
    attempt: &Attempt<'_>,
    policy: &Value,
    matched: &Matched,
    param: Option<&Value>,
    object: &mut Value,
) -> Result<Vec<String>, Status> {
    let compiled = Compiled::of(policy, with_types);
    let names = |object: &Value| Names::of(cluster, attempt, matched, Some(object), param).with(&compiled.variables);
    match conditions_hold(policy, &compiled, &names(object)) {
        Ok(true) => {}
        Ok(false) => return Ok(Vec::new()),
        Err(why) => return Ok(vec![why]),
    }
    let resource = matching::spoken(cluster, attempt);
    // Of what is no object by itself, such as a scale, nobody knows how its owners share it.
    let ty = resource.filter(|resource| resource.kind == matched.kind.kind).map(|resource| resource.ty());
    let mut wrong = Vec::new();
    for mutation in policy.at(&["spec", "mutations"]).items() {
        match mutated(mutation, &compiled, &names(object), ty, matched, object) {
            Ok(mutated) => *object = mutated,
            Err(Wrong::Failed(why)) => wrong.push(why),
            Err(Wrong::Broken(status)) => return Err(status),
        }
    }
    Ok(wrong)
}

fn mutated(
    mutation: &Value,
    compiled: &Compiled,
    names: &Names<'_>,
    ty: Option<schema::Type<'_>>,
    matched: &Matched,
    object: &Value,
) -> Result<Value, Wrong> {
    let json_patch = mutation.at(&["patchType"]) == "JSONPatch";
    let place = if json_patch { "jsonPatch" } else { "applyConfiguration" };
    let expression = mutation.at(&[place, "expression"]).str_or_empty();
    let made = Budget(Some(BUDGET)).run(compiled, names, expression).map_err(Wrong::Failed)?;
    let unmade = || Wrong::Failed(format!("expression '{expression}' made what is no document"));
    let made = document(&made).ok_or_else(unmade)?;
    if json_patch {
        return patched(ty.unwrap_or(schema::Type::unknown()), object, &made);
    }
    let failed = |why: &str| Wrong::Failed(format!("error applying patch: {why}"));
    let Some(ty) = ty else {
        let kind = &matched.kind;
        let what = format!("no corresponding type for {}, Kind={}", kind.api_version(), kind.kind);
        return Err(failed(&format!("failed to convert patch object to typed object: {what}")));
    };
    if let Some(path) = undeclared(ty, &made, "") {
        let why = format!("failed to convert patch object to typed object: {path}: field not declared in schema");
        return Err(failed(&why));
    }
    if let Some(path) = atomic(ty, &made, "") {
        let why = "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs";
        return Err(failed(&format!("{why}: {path}")));
    }
    let mut applied = made;
    applied.set(&["apiVersion"], object.api_version());
    applied.set(&["kind"], object.kind());
    Ok(merge(ty, object, &applied))
}

/// The first field of an applied document that its type does not have.
fn undeclared(ty: schema::Type<'_>, value: &Value, path: &str) -> Option<String> {
    let structure = matches!(ty.shape(), schema::Shape::Struct) && !ty.preserves_unknown();
    match (value, ty.shape()) {
        (Value::Object(map), _) => map.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match ty.child(key) {
                Some(child) => undeclared(child, value, &path),
                None => structure.then_some(path),
            }
        }),
        (Value::Array(list), schema::Shape::List(of)) => list.iter().find_map(|item| undeclared(of.items, item, path)),
        _ => None,
    }
}

/// The first place where an applied document sets something that is only ever set as a whole.
fn atomic(ty: schema::Type<'_>, value: &Value, path: &str) -> Option<String> {
    let whole = || ty.is_atomic().then(|| path.to_owned());
    match value {
        Value::Object(map) => whole().or_else(|| {
            map.iter().find_map(|(key, value)| {
                atomic(ty.child(key).unwrap_or(schema::Type::unknown()), value, &format!("{path}.{key}"))
            })
        }),
        Value::Array(list) => whole().or_else(|| {
            let schema::Shape::List(of) = ty.shape() else { return None };
            list.iter().find_map(|item| atomic(of.items, item, path))
        }),
        _ => None,
    }
}

/// The object with a JSON patch applied. A test that fails means that there is nothing to do.
fn patched(ty: schema::Type<'_>, object: &Value, operations: &Value) -> Result<Value, Wrong> {
    let mut patched = object.clone();
    for operation in operations.items() {
        match patch::apply(PatchType::Json, ty, &patched, &doc!([(operation)])) {
            Ok(next) => patched = next,
            Err(_) => match refusal(&patched, operation) {
                None => return Ok(object.clone()),
                Some(why) => return Err(Wrong::Failed(format!("JSON Patch: {why}"))),
            },
        }
    }
    let read = fields::read(ty, &patched, false, || Sent::from(&patched));
    read.map_err(|why| Wrong::Broken(Status::internal(why)))?;
    Ok(patched)
}

/// Why an operation cannot be done, in the words of the library that the real server uses; none if it is a test that only
/// does not hold.
fn refusal(document: &Value, operation: &Value) -> Option<String> {
    let text = |member: &str| operation.at(&[member]).str_or_empty();
    let (op, path, from) = (text("op"), text("path"), text("from"));
    let there = |pointer: &str| -> Option<bool> {
        let (holder, last) = pointer.rsplit_once('/')?;
        let unescaped = |part: &str| part.replace("~1", "/").replace("~0", "~");
        let holder = holder.split('/').skip(1).try_fold(document, |value, part| match value {
            Value::Array(list) => part.parse::<usize>().ok().and_then(|at| list.get(at)),
            value => value.get(&unescaped(part)),
        })?;
        match holder {
            Value::Array(list) => Some(last.parse::<usize>().is_ok_and(|at| at < list.len())),
            Value::Object(map) => Some(map.get(&unescaped(last)).is_some()),
            _ => None,
        }
    };
    let last = |pointer: &str| pointer.rsplit('/').next().unwrap_or("").to_owned();
    Some(match (op, there(path)) {
        ("test", None) => format!("test operation does not apply: is missing path: {path}: missing value"),
        ("test", Some(_)) => return None,
        ("remove", None) => {
            format!("remove operation does not apply: doc is missing path: {path:?}: missing value")
        }
        ("remove", Some(_)) => {
            let key = last(path);
            format!("error in remove for path: '{path}': Unable to remove nonexistent key: {key}: missing value")
        }
        ("replace", _) => format!("replace operation does not apply: doc is missing path: {path}: missing value"),
        ("move" | "copy", _) if there(from) != Some(true) => {
            format!("{op} operation does not apply: doc is missing from path: {from}: missing value")
        }
        (_, None) => format!("{op} operation does not apply: doc is missing path: {path:?}: missing value"),
        (_, Some(_)) => {
            let index = last(path);
            format!(
                "error in {op} for path: '{path}': Unable to access invalid index: {index}: invalid index referenced"
            )
        }
    })
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
