//! `x-kubernetes-validations`: rules written as expressions.
//!
//! Knows: which rules look at what, what their messages are, what all of them together may cost.
//! Does not know: whether a definition's rules can be compiled at all; it is accepted only if they can.

use std::collections::BTreeMap;
use std::rc::Rc;

use cel::{CompileError, Env, Error, Meter, PER_CALL, Program, Type};

use super::lists::Before;
use super::typed;
use crate::apiserver::status::Cause;
use crate::value::{Text, Value};

/// What all rules of one object may cost together, in Kubernetes' units.
const BUDGET: u64 = 10_000_000;

/// A message that an expression makes is no longer than this, in bytes.
const MESSAGE_MAX: usize = 5 * 1024;

/// Whether there is any rule in a schema.
pub(super) fn any(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.iter().any(|(key, below)| key == "x-kubernetes-validations" || any(below)),
        Value::Array(items) => items.iter().any(any),
        _ => false,
    }
}

/// Everything that rules have against an object.
pub(super) fn check(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<Cause> {
    if !any(schema) {
        return Vec::new();
    }
    let mut run = Run { left: Some(BUDGET), causes: Vec::new(), compiled: BTreeMap::new() };
    run.node(schema, object, old, "", true);
    run.causes
}

/// The names that a rule about a schema may use.
pub(super) fn env(schema: &Value, top: bool, old_is_optional: bool) -> Option<Env> {
    let ty = typed::ty(schema, "object", top || typed::is_whole(schema))?;
    let old = if old_is_optional { Type::optional(ty.clone()) } else { ty.clone() };
    Some(Env::new().with("self", ty).with("oldSelf", old))
}

/// A rule's expression in one of its fields, that can be evaluated; none if there is nothing in it.
pub(super) fn compile(schema: &Value, rule: &Value, field: &str, top: bool) -> Option<Result<Program, CompileError>> {
    let text = rule.at(&[field]).str_or_empty();
    let env = env(schema, top, rule.at(&["optionalOldSelf"]).is_true())?;
    (!text.trim().is_empty()).then(|| env.compile(text))
}

struct Run {
    /// None when it is used up: then no other rule is looked at.
    left: Option<u64>,
    causes: Vec<Cause>,
    /// Each rule, by its place in memory, is compiled once however many values it looks at.
    compiled: BTreeMap<(usize, &'static str), Compiled>,
}

/// An expression that was compiled; none if there is nothing in it.
type Compiled = Option<Rc<Result<Program, CompileError>>>;

impl Run {
    fn node(&mut self, schema: &Value, value: &Value, old: Option<&Value>, path: &str, top: bool) {
        if value.is_null() || self.left.is_none() {
            return;
        }
        for rule in schema.at(&["x-kubernetes-validations"]).items() {
            self.rule(schema, rule, value, old.filter(|old| !old.is_null()), path, top);
        }
        for part in schema.at(&["allOf"]).items() {
            let mut typed = part.clone();
            for key in ["type", "properties", "items", "additionalProperties"] {
                if let Some(of) = schema.get(key) {
                    typed.set(&[key], of.clone());
                }
            }
            for rule in part.at(&["x-kubernetes-validations"]).items() {
                self.rule(&typed, rule, value, old, path, top);
            }
        }
        match value {
            Value::Object(map) => {
                for (name, below) in map {
                    let (of, path) = match schema.at(&["properties"]).get(name) {
                        Some(of) if path.is_empty() => (of, name.to_string()),
                        Some(of) => (of, format!("{path}.{name}")),
                        None => (schema.at(&["additionalProperties"]), format!("{path}[{name}]")),
                    };
                    self.node(of, below, old.and_then(|old| old.get(name)), &path, false);
                }
            }
            Value::Array(items) => {
                // Only an element that is told apart is known again.
                let before = old.map(|old| Before::of(schema, old)).filter(Before::is_told);
                for (at, item) in items.iter().enumerate() {
                    let old = before.as_ref().and_then(|before| before.get(at, item));
                    self.node(schema.at(&["items"]), item, old, &format!("{path}[{at}]"), false);
                }
            }
            _ => {}
        }
    }

    fn rule(&mut self, schema: &Value, rule: &Value, value: &Value, old: Option<&Value>, path: &str, top: bool) {
        let Some(left) = self.left else { return };
        let Some(compiled) = self.compiled(schema, rule, "rule", top) else { return };
        let program = match compiled.as_ref() {
            Ok(program) => program,
            Err(error) => return self.failed(schema, path, &format!("rule compile error: {error}")),
        };
        let optional = rule.at(&["optionalOldSelf"]).is_true();
        let transition = program.uses("oldSelf");
        if transition && old.is_none() && !optional {
            return;
        }
        // What did not change was accepted once, and is not held against who changes something else.
        if !transition && !top && old == Some(value) {
            return;
        }
        let mut variables: BTreeMap<Text, cel::Value> = BTreeMap::new();
        variables.insert("self".into(), typed::value(schema, value));
        let before = old.map(|old| typed::value(schema, old));
        if optional {
            variables.insert("oldSelf".into(), before.map_or(cel::Value::Optional(None), cel::Value::some));
        } else if let Some(before) = before {
            variables.insert("oldSelf".into(), before);
        }
        let mut meter = Meter::new(PER_CALL);
        let outcome = program.eval(&variables, &mut meter);
        self.left = left.checked_sub(meter.spent());
        let shown = rule.at(&["rule"]).str_or_empty().trim();
        if self.left.is_none() {
            let why = "validation failed due to running out of cost budget, no further validation rules will be run";
            return self.failed(schema, path, why);
        }
        match outcome {
            Ok(cel::Value::Bool(true)) => {}
            Ok(_) => {
                let message = self.message(schema, rule, &variables, top);
                self.refuse(schema, rule, value, path, message);
            }
            Err(error @ Error::TooCostly) => {
                self.left = None;
                let why = format!(
                    "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {shown}"
                );
                self.failed(schema, path, &why);
            }
            Err(error) if error.to_string().starts_with("no such overload") => {
                let why = format!(
                    "'{error}': call arguments did not match a supported operator, function or macro signature for \
                     rule: {shown}"
                );
                self.failed(schema, path, &why);
            }
            Err(error) => self.failed(schema, path, &format!("{error} evaluating rule: {shown}")),
        }
    }

    fn compiled(&mut self, schema: &Value, rule: &Value, field: &'static str, top: bool) -> Compiled {
        let place = (std::ptr::from_ref(rule).addr(), field);
        self.compiled.entry(place).or_insert_with(|| compile(schema, rule, field, top).map(Rc::new)).clone()
    }

    /// A rule that came to nothing. Of the value only its type is shown.
    fn failed(&mut self, schema: &Value, path: &str, why: &str) {
        let ty = schema.at(&["type"]).clone();
        self.causes.push(Cause::invalid(place(path), ty, why));
    }

    fn message(&mut self, schema: &Value, rule: &Value, variables: &BTreeMap<Text, cel::Value>, top: bool) -> String {
        let expression = rule.at(&["messageExpression"]).str_or_empty();
        if !expression.is_empty()
            && let Some(left) = self.left
            && let Some(compiled) = self.compiled(schema, rule, "messageExpression", top)
            && let Ok(program) = compiled.as_ref()
        {
            let mut meter = Meter::new(PER_CALL.min(left));
            let made = program.eval(variables, &mut meter);
            self.left = Some(left.saturating_sub(meter.spent()));
            if let Ok(cel::Value::String(text)) = made {
                let text = text.trim();
                if !text.is_empty() && text.len() <= MESSAGE_MAX && !text.contains('\n') {
                    return text.to_owned();
                }
            }
        }
        match rule.at(&["message"]).str_or_empty().trim() {
            "" => format!("failed rule: {}", rule.at(&["rule"]).str_or_empty().trim()),
            message => message.to_owned(),
        }
    }

    fn refuse(&mut self, schema: &Value, rule: &Value, value: &Value, path: &str, message: String) {
        let below = rule.at(&["fieldPath"]).str_or_empty();
        let mut field = path.to_owned();
        if !below.is_empty() {
            let below = below.trim_start_matches('.').replace("['", "[").replace("']", "]");
            field =
                if field.is_empty() || below.starts_with('[') { field + &below } else { format!("{field}.{below}") };
        }
        let field = place(&field).to_owned();
        let structured = matches!(schema.at(&["type"]).str_or_empty(), "object" | "array");
        let cause = match rule.at(&["reason"]).str_or_empty() {
            "FieldValueForbidden" => Cause::forbidden(field, &message),
            "FieldValueRequired" => Cause::required(field, &message),
            "FieldValueDuplicate" => {
                Cause { reason: "FieldValueDuplicate", message: format!("Duplicate value: {}", value.to_json()), field }
            }
            _ if structured => {
                Cause { reason: "FieldValueInvalid", message: format!("Invalid value: {message}"), field }
            }
            _ => Cause::invalid(field, value.clone(), &message),
        };
        self.causes.push(cause);
    }
}

/// A path as the real server prints it: that of the whole is none.
fn place(path: &str) -> &str {
    if path.is_empty() { "<nil>" } else { path }
}
