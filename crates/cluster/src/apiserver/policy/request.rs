//! What the names in a policy's expressions stand for in a request.
//!
//! Knows: the object before and after, who asks for what, the namespace, parameters, variables when they are asked for.
//! Does not know: what is asked with them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cel::library::authorizer::{Permission, Question};
use cel::{Authorizer, Error, Meter};

use super::matching::{Matched, spoken};
use super::names::Variables;
use super::{Attempt, params};
use crate::apiserver::call::User;
use crate::apiserver::custom::typed::plain;
use crate::apiserver::{auth, subresources};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::GroupVersionKind;
use crate::value::{Text, Value};

/// What the names stand for.
pub(super) struct Names<'a> {
    values: BTreeMap<&'static str, cel::Value>,
    variables: Option<&'a Variables>,
    /// What variables came to: each is worked out once, if at all.
    known: RefCell<BTreeMap<Text, Result<cel::Value, Error>>>,
    asked: Asked<'a>,
}

impl<'a> Names<'a> {
    /// In a request that is subject to a policy.
    pub(super) fn of(
        cluster: &'a Cluster,
        attempt: &Attempt<'a>,
        matched: &Matched,
        object: Option<&Value>,
        param: Option<&Value>,
    ) -> Self {
        // A policy sees objects in the version in which its rules speak of them.
        let shown = |object: &Value| match object.kind() == matched.kind.kind.as_str() {
            true => plain(&cluster.schema.convert(object, &matched.kind)),
            false if attempt.writer.subresource == "scale" => {
                plain(&subresources::scale_in(&cluster.schema, &attempt.key.resource, object))
            }
            false => plain(object),
        };
        let seen = |object: Option<&Value>| object.map_or(cel::Value::Null, shown);
        let namespace = (!attempt.key.namespace.is_empty())
            .then(|| cluster.get(&ObjectKey::new("namespaces", "", attempt.key.namespace.clone())))
            .flatten();
        let values = BTreeMap::from([
            ("object", seen(object)),
            ("oldObject", seen(attempt.old)),
            ("request", plain(&request(cluster, attempt, matched))),
            ("namespaceObject", namespace.map_or(cel::Value::Null, |namespace| plain(&params::shown(namespace)))),
            ("params", param.map_or(cel::Value::Null, plain)),
            ("authorizer", Permission::unasked()),
            ("authorizer.requestResource", Permission::about(about(attempt, matched))),
        ]);
        let asked = Asked { cluster, user: attempt.user() };
        Self { values, variables: None, known: RefCell::default(), asked }
    }

    /// The same with a policy's variables.
    pub(super) fn with(mut self, variables: &'a Variables) -> Self {
        self.variables = Some(variables);
        self
    }
}

impl cel::Variables for Names<'_> {
    fn get(&self, name: &str) -> Option<cel::Value> {
        self.values.get(name).cloned()
    }

    fn field(&self, variable: &str, field: &str, meter: &mut Meter) -> Option<Result<cel::Value, Error>> {
        if variable == "authorizer" {
            return (field == "requestResource").then(|| self.get("authorizer.requestResource")).flatten().map(Ok);
        }
        if variable != "variables" {
            return None;
        }
        if let Some(known) = self.known.borrow().get(field) {
            return Some(known.clone());
        }
        let (name, program) = self.variables?.programs.iter().find(|(name, _)| name == field)?;
        let value = match program {
            Ok(program) => program.eval(self, meter).map_err(|error| match error {
                Error::TooCostly => Error::TooCostly,
                error => Error::new(format!("composited variable {field:?} fails to evaluate: {error}")),
            }),
            Err(error) => Err(Error::new(format!("composited variable {field:?} fails to compile: {error}"))),
        };
        self.known.borrow_mut().insert(name.clone(), value.clone());
        Some(value)
    }

    fn authorizer(&self) -> Option<&dyn Authorizer> {
        Some(&self.asked)
    }
}

/// Who is asked whether something is allowed, and on whose behalf.
struct Asked<'a> {
    cluster: &'a Cluster,
    user: &'a User,
}

impl Authorizer for Asked<'_> {
    fn check(&self, question: &Question) -> Result<(bool, String), String> {
        Ok(auth::ask(self.cluster, self.user, question))
    }
}

/// `request`, as the API server shows it to webhooks, without the objects.
fn request(cluster: &Cluster, attempt: &Attempt<'_>, matched: &Matched) -> Value {
    let (user, key) = (attempt.user(), attempt.key);
    let gvk = |gvk: &GroupVersionKind, last: &str| -> Value {
        let mut shown = doc!({"group": (&gvk.group), "version": (&gvk.version)});
        shown.set(&[last], &gvk.kind);
        shown
    };
    let mut who = doc!({"username": (&user.name)});
    if !user.uid.is_empty() {
        who.set(&["uid"], &user.uid);
    }
    let groups = groups(user);
    if !groups.is_empty() {
        who.set(&["groups"], groups.iter().map(String::as_str).collect::<Value>());
    }
    for (name, values) in &user.extra {
        who.set(&["extra", name], values.iter().map(String::as_str).collect::<Value>());
    }
    let mut request = doc!({
        "kind": (gvk(&matched.kind, "kind")), "resource": (gvk(&matched.resource, "resource")),
        "operation": (attempt.operation()), "userInfo": (who), "dryRun": (attempt.writer.dry_run),
    });
    if let Some(spoken) = spoken(cluster, attempt) {
        request.set(&["requestKind"], gvk(&spoken.gvk(), "kind"));
        let resource = GroupVersionKind::new(&spoken.group, &spoken.version, &spoken.plural);
        request.set(&["requestResource"], gvk(&resource, "resource"));
    }
    let subresource = attempt.writer.subresource.as_str();
    let texts = [
        ("name", if attempt.writer.unnamed { "" } else { key.name.as_str() }),
        ("namespace", key.namespace.as_str()),
        ("subResource", subresource),
        ("requestSubResource", subresource),
    ];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        request.set(&[name], text);
    }
    let kind = match attempt.operation() {
        "CREATE" => "CreateOptions",
        "UPDATE" => "UpdateOptions",
        "DELETE" => "DeleteOptions",
        // A stream is opened with its options alone, and those are the object.
        _ => return request,
    };
    let mut options = doc!({"kind": (kind), "apiVersion": "meta.k8s.io/v1"});
    for (name, value) in attempt.writer.options.entries() {
        options.set(&[name], value.clone());
    }
    request.set(&["options"], options);
    request
}

/// The groups of a user. The control plane's own controllers may do anything here; to a policy they are the service accounts
/// that they would be.
fn groups(user: &User) -> Vec<String> {
    match user.name.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':')) {
        Some((namespace, _)) => vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ],
        None => user.groups.clone(),
    }
}

/// What `authorizer.requestResource` is about.
fn about(attempt: &Attempt<'_>, matched: &Matched) -> Question {
    Question {
        group: matched.resource.group.to_string(),
        resource: matched.resource.kind.to_string(),
        subresource: attempt.writer.subresource.to_string(),
        namespace: attempt.key.namespace.to_string(),
        name: attempt.key.name.to_string(),
        ..Question::default()
    }
}
