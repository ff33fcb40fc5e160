//! Who may do what, asked from within an expression.
//!
//! Knows: how a question is put together, step by step.
//! Does not know: the answer; an [`Authorizer`] does.

use std::sync::Arc;

use super::{Context, Entry, mismatch};
use crate::error::Error;
use crate::value::Value;

/// Who answers.
pub trait Authorizer {
    /// Whether it is allowed, and why; or why that cannot be said.
    ///
    /// # Errors
    /// A sentence about what kept it from being known.
    fn check(&self, question: &Question) -> Result<(bool, String), String>;
}

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Namespace and name of the service account it is about; none if it is about who makes the request.
    pub account: Option<(String, String)>,
    /// A path that is no resource; else the rest is meant.
    pub path: Option<String>,
    /// The API group.
    pub group: String,
    /// The resource's plural name.
    pub resource: String,
    /// Such as `status`.
    pub subresource: String,
    /// Empty for all namespaces, and for what is in none.
    pub namespace: String,
    /// Empty for any.
    pub name: String,
    /// As given, unread.
    pub field_selector: String,
    /// As given, unread.
    pub label_selector: String,
    /// Such as `get`.
    pub verb: String,
}

/// A question on its way, or what was answered.
#[derive(Debug, Clone)]
pub struct Permission {
    step: Step,
    question: Question,
}

#[derive(Debug, Clone)]
enum Step {
    Authorizer,
    Path,
    Group,
    Resource,
    Decision(Result<(bool, String), String>),
}

pub(super) const FUNCTIONS: &[Entry] = &[
    ("path", "authorizer.(string) -> path", |_, args| {
        set(args, Step::Path, |question, path| question.path = Some(path))
    }),
    ("group", "authorizer.(string) -> group", |_, args| {
        set(args, Step::Group, |question, group| question.group = group)
    }),
    ("serviceAccount", "authorizer.(string, string) -> authorizer", |_, args| match args {
        [Value::Permission(at), Value::String(namespace), Value::String(name)] => {
            let mut question = at.question.clone();
            question.account = Some((namespace.to_string(), name.to_string()));
            Ok(Value::Permission(Arc::new(Permission { step: Step::Authorizer, question })))
        }
        _ => mismatch(),
    }),
    ("resource", "group.(string) -> resource", |_, args| {
        set(args, Step::Resource, |question, resource| question.resource = resource)
    }),
    ("subresource", "resource.(string) -> resource", |_, args| {
        set(args, Step::Resource, |question, subresource| question.subresource = subresource)
    }),
    ("namespace", "resource.(string) -> resource", |_, args| {
        set(args, Step::Resource, |question, namespace| question.namespace = namespace)
    }),
    ("name", "resource.(string) -> resource", |_, args| {
        set(args, Step::Resource, |question, name| question.name = name)
    }),
    ("fieldSelector", "resource.(string) -> resource", |_, args| {
        set(args, Step::Resource, |question, selector| question.field_selector = selector)
    }),
    ("labelSelector", "resource.(string) -> resource", |_, args| {
        set(args, Step::Resource, |question, selector| question.label_selector = selector)
    }),
    ("check", "path.(string) -> decision; resource.(string) -> decision", |context, args| {
        // What it costs to ask, by Kubernetes' count.
        context.meter.spend(350_000)?;
        let [Value::Permission(at), Value::String(verb)] = args else { return mismatch() };
        let mut question = at.question.clone();
        question.verb = verb.to_string();
        let answer = ask(context, &question);
        Ok(Value::Permission(Arc::new(Permission { step: Step::Decision(answer), question })))
    }),
    ("allowed", "decision.() -> bool", |_, args| decision(args, |answer| Value::Bool(matches!(answer, Ok((true, _)))))),
    ("reason", "decision.() -> string", |_, args| {
        decision(args, |answer| Value::from(answer.as_ref().map_or("", |(_, why)| why.as_str())))
    }),
    ("errored", "decision.() -> bool", |_, args| decision(args, |answer| Value::Bool(answer.is_err()))),
    ("error", "decision.() -> string", |_, args| {
        decision(args, |answer| Value::from(answer.as_ref().err().map_or("", String::as_str)))
    }),
];

impl Permission {
    /// What `authorizer` stands for: nothing is asked yet.
    #[must_use]
    pub fn unasked() -> Value {
        Value::Permission(Arc::new(Self { step: Step::Authorizer, question: Question::default() }))
    }

    /// What `authorizer.requestResource` stands for: the resource of the request is asked about.
    #[must_use]
    pub fn about(question: Question) -> Value {
        Value::Permission(Arc::new(Self { step: Step::Resource, question }))
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self.step {
            Step::Authorizer => "kubernetes.authorization.Authorizer",
            Step::Path => "kubernetes.authorization.PathCheck",
            Step::Group => "kubernetes.authorization.GroupCheck",
            Step::Resource => "kubernetes.authorization.ResourceCheck",
            Step::Decision(_) => "kubernetes.authorization.Decision",
        }
    }
}

fn ask(context: &Context<'_>, question: &Question) -> Result<(bool, String), String> {
    match context.authorizer {
        Some(authorizer) => authorizer.check(question),
        None => Err("there is nobody to ask".to_owned()),
    }
}

fn set(args: &[Value], step: Step, set: fn(&mut Question, String)) -> Result<Value, Error> {
    let [Value::Permission(at), Value::String(text)] = args else { return mismatch() };
    let mut question = at.question.clone();
    set(&mut question, text.to_string());
    Ok(Value::Permission(Arc::new(Permission { step, question })))
}

fn decision(args: &[Value], show: fn(&Result<(bool, String), String>) -> Value) -> Result<Value, Error> {
    match args {
        [Value::Permission(permission)] => match &permission.step {
            Step::Decision(answer) => Ok(show(answer)),
            _ => mismatch(),
        },
        _ => mismatch(),
    }
}
