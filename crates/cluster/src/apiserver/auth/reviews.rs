//! Questions about rights and identities, answered at once and kept nowhere.
//!
//! Knows: the reviews of `authorization.k8s.io` and `authentication.k8s.io`.
//! Does not know: what the answers are used for.

use super::rbac::{self, Attributes};
use crate::apiserver::call::{Answer, User};
use crate::apiserver::handle::Request;
use crate::apiserver::status::{Cause, Status};
use crate::apiserver::{token, validation};
use crate::cluster::Cluster;
use crate::doc;
use crate::schema::Resource;
use crate::time;
use crate::value::Value;

const AUTHORIZATION: &str = "authorization.k8s.io";

/// Whether a resource is a question.
pub(in crate::apiserver) fn is_review(resource: &Resource) -> bool {
    matches!(resource.group.as_str(), AUTHORIZATION | "authentication.k8s.io")
}

/// Answers a question.
///
/// # Errors
/// What the API server says of a question that makes no sense.
pub(in crate::apiserver) fn review(cluster: &Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let mut answer = request.body(cluster)?;
    let spec = answer.at(&["spec"]).clone();
    let kind = request.resource.kind.as_str();
    let status = match kind {
        "SelfSubjectAccessReview" => {
            refuse(access_causes(&spec))?;
            access(cluster, request.user, &spec)
        }
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            let mut causes = access_causes(&spec);
            if spec.at(&["user"]).is_empty() && spec.at(&["groups"]).is_empty() {
                causes.push(Cause::invalid("spec.user", "", "at least one of user or group must be specified"));
            }
            if kind == "LocalSubjectAccessReview" {
                causes.extend(local_causes(&spec, answer.namespace()));
            }
            refuse(causes)?;
            access(cluster, &subject(&spec), &spec)
        }
        "SelfSubjectRulesReview" => {
            let status = rules(cluster, request.user, spec.at(&["namespace"]).str_or_empty())?;
            // What was asked is not repeated here.
            answer.set(&["spec"], doc!({}));
            status
        }
        "SelfSubjectReview" => {
            answer.set(&["metadata", "creationTimestamp"], time::format(cluster.now()));
            doc!({"userInfo": (info(request.user))})
        }
        _ if spec.at(&["token"]).is_empty() => {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        _ => match token::authenticate(cluster, spec.at(&["token"]).str_or_empty()) {
            Some(user) => {
                let audiences = spec.at(&["audiences"]);
                let mut status = doc!({"authenticated": true, "user": (info(&user))});
                if !audiences.is_empty() {
                    status.set(&["audiences"], audiences);
                }
                status
            }
            None => doc!({"user": {}, "error": "invalid bearer token"}),
        },
    };
    answer.set(&["status"], status);
    Ok(Answer::document(201, answer))
}

fn refuse(causes: Vec<Cause>) -> Result<(), Status> {
    // The real server does not say which kind: it has one check for all of them.
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(AUTHORIZATION, "", "", &causes)) }
}

fn access_causes(spec: &Value) -> Vec<Cause> {
    let (resource, path) = (spec.at(&["resourceAttributes"]), spec.at(&["nonResourceAttributes"]));
    match (resource.is_null(), path.is_null()) {
        (false, false) => {
            let why = "cannot be specified in combination with resourceAttributes";
            vec![about_path(path, why)]
        }
        (true, true) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            vec![Cause::invalid("spec.resourceAttributes", Value::Null, why)]
        }
        (false, true) => selector_causes(resource),
        (true, false) => Vec::new(),
    }
}

/// A path where none may be, shown as the server's own type of it, whose fields have no names in JSON.
fn about_path(path: &Value, why: &str) -> Cause {
    let shown = format!("{{\"Path\":{},\"Verb\":{}}}", quoted(path.at(&["path"])), quoted(path.at(&["verb"])));
    Cause {
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {shown}: {why}"),
        field: "spec.nonResourceAttributes".to_owned(),
    }
}

fn quoted(text: &Value) -> String {
    Value::from(text.str_or_empty()).to_json()
}

/// Selectors say what they select in one of two ways.
fn selector_causes(resource: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in ["fieldSelector", "labelSelector"] {
        let (selector, place) = (resource.at(&[field]), format!("spec.resourceAttributes.{field}"));
        let (raw, requirements) = (selector.at(&["rawSelector"]), selector.at(&["requirements"]).items());
        if selector.is_null() {
            continue;
        }
        if !raw.is_empty() && !requirements.is_empty() {
            let why = "may not specified at the same time as requirements";
            causes.push(Cause::invalid(format!("{place}.rawSelector"), raw, why));
        }
        if raw.is_empty() && requirements.is_empty() {
            let why = format!("when {place} is specified, requirements or rawSelector is required");
            causes.push(Cause::required(format!("{place}.requirements"), &why));
        }
        for (at, requirement) in requirements.iter().enumerate() {
            let place = format!("{place}.requirements[{at}]");
            let values = requirement.at(&["values"]);
            match requirement.at(&["operator"]).str_or_empty() {
                "In" | "NotIn" if values.is_empty() => {
                    let why = "must be specified when `operator` is 'In' or 'NotIn'";
                    causes.push(Cause::required(format!("{place}.values"), why));
                }
                "Exists" | "DoesNotExist" if !values.is_empty() => {
                    let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    causes.push(Cause::forbidden(format!("{place}.values"), why));
                }
                "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
                other => {
                    causes.push(Cause::invalid(format!("{place}.operator"), other, "not a valid selector operator"))
                }
            }
            if field == "labelSelector" {
                let key = requirement.at(&["key"]).str_or_empty();
                let wrong = validation::label_key(key);
                causes.extend(wrong.iter().map(|why| Cause::invalid(format!("{place}.key"), key, why)));
            } else if requirement.at(&["key"]).is_empty() {
                causes.push(Cause::required(format!("{place}.key"), "must be specified"));
            }
        }
    }
    causes
}

fn local_causes(spec: &Value, namespace: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let asked = spec.at(&["resourceAttributes", "namespace"]);
    if !spec.at(&["resourceAttributes"]).is_null() && asked.str_or_empty() != namespace {
        causes.push(Cause::invalid(
            "spec.resourceAttributes.namespace",
            asked.str_or_empty(),
            "must match metadata.namespace",
        ));
    }
    if !spec.at(&["nonResourceAttributes"]).is_null() {
        let why = "disallowed on this kind of request";
        causes.push(about_path(spec.at(&["nonResourceAttributes"]), why));
    }
    causes
}

/// Whom a review asks about.
fn subject(spec: &Value) -> User {
    let texts = |list: &Value| list.items().iter().map(|text| text.str_or_empty().to_owned()).collect();
    let extra = spec.at(&["extra"]).entries().iter().map(|(key, values)| (key.to_string(), texts(values)));
    User {
        name: spec.at(&["user"]).str_or_empty().to_owned(),
        uid: spec.at(&["uid"]).str_or_empty().to_owned(),
        groups: texts(spec.at(&["groups"])),
        extra: extra.collect(),
    }
}

fn access(cluster: &Cluster, user: &User, spec: &Value) -> Value {
    let text = |path: &[&str]| spec.at(path).str_or_empty().to_owned();
    let asked = if spec.at(&["resourceAttributes"]).is_null() {
        let of = |field: &str| text(&["nonResourceAttributes", field]);
        Attributes { verb: of("verb"), path: of("path"), ..Attributes::default() }
    } else {
        let of = |field: &str| text(&["resourceAttributes", field]);
        Attributes {
            verb: of("verb"),
            group: of("group"),
            resource: of("resource"),
            subresource: of("subresource"),
            namespace: of("namespace"),
            name: of("name"),
            ..Attributes::default()
        }
    };
    let decision = rbac::decide(cluster, user, &asked);
    let mut status = doc!({"allowed": (decision.allowed)});
    if !decision.reason.is_empty() {
        status.set(&["reason"], decision.reason);
    }
    status
}

fn rules(cluster: &Cluster, user: &User, namespace: &str) -> Result<Value, Status> {
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    if rbac::is_master(user) {
        resources.push(doc!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
        paths.push(doc!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
    }
    let copy = |rule: &Value, fields: &[&str]| -> Value {
        let kept = fields.iter().filter_map(|field| Some((*field, rule.get(field)?.clone())));
        Value::from(kept.collect::<crate::value::Map>())
    };
    for rule in rbac::grants(cluster, user, namespace).filter_map(|grant| grant.rules).flat_map(Value::items) {
        if !rule.at(&["resources"]).is_empty() {
            resources.push(copy(rule, &["verbs", "apiGroups", "resources", "resourceNames"]));
        }
        if !rule.at(&["nonResourceURLs"]).is_empty() {
            paths.push(copy(rule, &["verbs", "nonResourceURLs"]));
        }
    }
    Ok(doc!({"resourceRules": (resources), "nonResourceRules": (paths), "incomplete": false}))
}

/// A user as a document.
fn info(user: &User) -> Value {
    let mut info = doc!({"username": (&user.name)});
    if !user.uid.is_empty() {
        info.set(&["uid"], &user.uid);
    }
    if !user.groups.is_empty() {
        info.set(&["groups"], user.groups.iter().collect::<Value>());
    }
    for (key, values) in &user.extra {
        info.set(&["extra", key], values.iter().collect::<Value>());
    }
    info
}
