//! A decoded call, described in words that fit every target.
//!
//! Knows: what Kubernetes' verbs and subresources mean for the people who are asked about them.
//! Does not know: what comes of the call.

use std::collections::{BTreeMap, BTreeSet};

use crate::decode::Asked;
use cluster::apiserver::{Call, PatchType, Verb};
use cluster::{ObjectKey, Schema, Value};
use model::{Access, Action, AgentId, Digest, ObjectRef, Operation, Shape, TargetName};

/// Subresources through which a client leaves the API: what then happens nobody can judge.
const SESSIONS: &[&str] = &["exec", "attach", "portforward", "proxy"];

/// Resources that are asked a question by being created: nothing is stored.
const QUESTIONS: &[&str] = &[
    "selfsubjectaccessreviews.authorization.k8s.io",
    "selfsubjectrulesreviews.authorization.k8s.io",
    "subjectaccessreviews.authorization.k8s.io",
    "localsubjectaccessreviews.authorization.k8s.io",
    "selfsubjectreviews.authentication.k8s.io",
    "tokenreviews.authentication.k8s.io",
];

/// Describes a call.
pub(crate) fn action(schema: &Schema, target: &TargetName, agent: &AgentId, asked: &Asked) -> Action {
    let call = &asked.call;
    let resources = resources(schema, call);
    let kind = resources.first().map_or("path", |object| object.kind.as_str());
    let operation = operation(call);
    let kind = format!("{operation} {kind}");
    Action {
        agent: agent.clone(),
        target: target.clone(),
        operation: Operation::from(operation),
        access: access(call),
        resources,
        shape: shape(call),
        reason: asked.reason.clone(),
        facts: facts(call),
        kind,
        payload: payload(call),
    }
}

/// Whether production could be another one afterwards.
pub(crate) fn access(call: &Call) -> Access {
    let asks = call.verb == Verb::Create && QUESTIONS.contains(&call.resource().as_str());
    if (call.verb.is_read() && !is_session(call)) || asks { Access::Read } else { Access::Write }
}

fn is_session(call: &Call) -> bool {
    call.verb == Verb::Connect || SESSIONS.contains(&call.on.subresource.as_str())
}

/// The verb as people say it: `scale`, `evict`, `restart`, else Kubernetes' own.
fn operation(call: &Call) -> &str {
    match (call.verb, call.on.subresource.as_str()) {
        (_, session) if SESSIONS.contains(&session) => session,
        (Verb::Create, "eviction") => "evict",
        (Verb::Create, "binding") => "bind",
        (Verb::Create, "token") => "request token for",
        (Verb::Update | Verb::Patch(_), "scale") => "scale",
        (Verb::Patch(PatchType::Apply), _) => "apply",
        (verb, _) => verb.as_str(),
    }
}

/// What the call names: one object, or a collection.
pub(crate) fn resources(schema: &Schema, call: &Call) -> Vec<ObjectRef> {
    if call.on.resource.is_empty() {
        return vec![ObjectRef::global("Path", call.on.path.as_str())];
    }
    let known = schema.resource(&call.on.group, &call.on.version, &call.on.resource);
    let kind = known.map_or(call.on.resource.as_str(), |resource| resource.kind.as_str());
    let name = named(call);
    let namespace = (!call.on.namespace.is_empty()).then_some(call.on.namespace.as_str());
    vec![ObjectRef::new(kind, namespace, name)]
}

fn named(call: &Call) -> String {
    let generated = call.body.at(&["metadata", "generateName"]).str_or_empty();
    match (call.on.name.as_str(), call.verb) {
        ("", Verb::Create) if call.body.name().is_empty() => format!("{generated}*"),
        ("", Verb::Create) => call.body.name().to_owned(),
        ("", _) => "*".to_owned(),
        (name, _) => name.to_owned(),
    }
}

/// The object that the call names, as the cluster keeps it; none for collections and paths.
pub(crate) fn key(call: &Call) -> Option<ObjectKey> {
    let name = if call.on.name.is_empty() { call.body.name() } else { call.on.name.as_str() };
    (!name.is_empty() && !call.on.resource.is_empty())
        .then(|| ObjectKey::new(call.resource(), call.on.namespace.clone(), name))
}

fn shape(call: &Call) -> BTreeSet<Shape> {
    let mut shape = BTreeSet::new();
    let mut says = |what, holds: bool| {
        if holds {
            shape.insert(what);
        }
    };
    let secret = call.on.resource == "secrets" && call.on.group.is_empty();
    says(Shape::DryRun, call.options.dry_run && !call.verb.is_read());
    says(Shape::Session, is_session(call));
    says(Shape::SecretRead, secret && call.verb.is_read());
    says(Shape::OutputRead, call.on.subresource == "log");
    says(Shape::CredentialMint, call.on.subresource == "token" && call.verb == Verb::Create);
    says(Shape::Collection, call.verb == Verb::DeleteCollection);
    says(Shape::Force, call.options.force);
    says(Shape::Impersonation, call.impersonate.is_some());
    shape
}

fn facts(call: &Call) -> BTreeMap<String, String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    [
        ("verb", call.verb.as_str().to_owned()),
        ("group", call.on.group.to_string()),
        ("version", call.on.version.to_string()),
        ("resource", call.on.resource.to_string()),
        ("subresource", call.on.subresource.to_string()),
        ("fieldManager", text(&call.options.field_manager)),
        ("labelSelector", text(&call.options.label_selector)),
        ("fieldSelector", text(&call.options.field_selector)),
        ("propagationPolicy", text(&call.options.propagation)),
        ("userAgent", call.user_agent.clone()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// A digest of everything that would be sent.
fn payload(call: &Call) -> Digest {
    let request = cluster::apiserver::encode_call(call);
    Digest::of(&(request.method, request.target, Value::to_json(&call.body)))
}
