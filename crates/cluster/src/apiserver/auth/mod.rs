//! Who may do what.
//!
//! Knows: how a call is named in rules; impersonation.
//! Does not know: how a user was authenticated.
//!
//! | file | does |
//! |---|---|
//! | `node` | what a node may do for its pods |
//! | `rbac` | which rules a user holds, and what they allow |
//! | `escalation` | nobody gives away rights that they do not have |
//! | `reviews` | questions about rights and identities |

mod escalation;
mod node;
mod rbac;
mod reviews;

pub(super) use escalation::check as check_escalation;
pub(super) use reviews::{is_review, review};

use cel::library::authorizer::Question;

use super::call::{Call, User, Verb};
use super::selector::FieldSelector;
use super::status::{self, Status};
use crate::cluster::Cluster;
use rbac::{Attributes, decide};

/// How RBAC names what is impersonated by itself, and not as a right on anything else.
const IDENTITIES: &str = "authentication.k8s.io";

/// What a call asks for.
fn attributes(call: &Call) -> Attributes {
    let on = &call.on;
    let verb = match call.verb {
        Verb::Connect => match call.options.connect_method.as_deref() {
            Some("GET") => "get",
            Some("PUT") => "update",
            Some("PATCH") => "patch",
            Some("DELETE") => "delete",
            _ => "create",
        },
        verb => verb.as_str(),
    };
    let mut asked = Attributes {
        verb: verb.to_owned(),
        group: on.group.to_string(),
        resource: on.resource.to_string(),
        subresource: on.subresource.to_string(),
        namespace: on.namespace.to_string(),
        name: on.name.to_string(),
        path: on.path.to_string(),
        node: String::new(),
    };
    if on.resource == "namespaces" && on.group.is_empty() {
        // A namespace is inside itself, so that who may do anything in it may also read it.
        asked.namespace = on.name.to_string();
    }
    let selector = call.options.field_selector.as_deref().and_then(|text| FieldSelector::parse(text).ok());
    if let Some(name) = selector.as_ref().and_then(FieldSelector::name).filter(|_| asked.name.is_empty()) {
        // A collection of which one object is meant is that object.
        asked.name = name.to_owned();
    }
    if let Some(node) = selector.as_ref().and_then(|selector| selector.demands("spec.nodeName")) {
        node.clone_into(&mut asked.node);
    }
    asked
}

/// Whether a user may make a call.
///
/// # Errors
/// 403, as the API server says it.
pub(super) fn authorize(cluster: &Cluster, call: &Call, user: &User) -> Result<(), Status> {
    require(cluster, user, &attributes(call))
}

fn require(cluster: &Cluster, user: &User, asked: &Attributes) -> Result<(), Status> {
    let decision = decide(cluster, user, asked);
    if decision.allowed { Ok(()) } else { Err(forbidden(user, asked, &decision.reason)) }
}

/// Whether a user, or the service account that a question is about, may do something, and why.
pub(super) fn ask(cluster: &Cluster, user: &User, question: &Question) -> (bool, String) {
    let account = question
        .account
        .as_ref()
        .map(|(namespace, name)| completed(&User { name: format!("{ACCOUNT}{namespace}:{name}"), ..User::default() }));
    let asked = Attributes {
        verb: question.verb.clone(),
        group: question.group.clone(),
        resource: question.resource.clone(),
        subresource: question.subresource.clone(),
        namespace: question.namespace.clone(),
        name: question.name.clone(),
        path: question.path.clone().unwrap_or_default(),
        node: String::new(),
    };
    let decision = decide(cluster, account.as_ref().unwrap_or(user), &asked);
    (decision.allowed, decision.reason)
}

fn forbidden(user: &User, asked: &Attributes, reason: &str) -> Status {
    let who = &user.name;
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    if !asked.is_resource() {
        let message = format!("forbidden: User {who:?} cannot {} path {:?}{because}", asked.verb, asked.path);
        return Status::generic(403, "Forbidden", message);
    }
    let place = if asked.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", asked.namespace)
    };
    let why = format!(
        "User {who:?} cannot {} resource {:?} in API group {:?} {place}{because}",
        asked.verb,
        asked.resource_path(),
        asked.group
    );
    Status::forbidden(&status::join(&asked.resource, &asked.group), &asked.name, &why)
}

/// As whom a call acts: the caller, or whom it impersonates if it may.
///
/// Whoever may `impersonate` someone may do whatever they may. Else each call asks for two rights, narrower ones: to be
/// that someone at all (`impersonate:user-info`), and to do just this as another (`impersonate-on:user-info:list`).
///
/// # Errors
/// 403, as the API server says it.
pub(super) fn acting(cluster: &Cluster, call: &Call, user: &User) -> Result<User, Status> {
    let Some(wanted) = &call.impersonate else { return Ok(user.clone()) };
    let identities = identities(wanted);
    let unlimited = identities.iter().all(|asked| decide(cluster, user, asked).allowed);
    if !unlimited {
        let mode = if wanted.name.starts_with(ACCOUNT) { "serviceaccount" } else { "user-info" };
        let mut on = attributes(call);
        on.verb = format!("impersonate-on:{mode}:{}", on.verb);
        require(cluster, user, &on)?;
        for mut asked in identities {
            asked.verb = format!("impersonate:{mode}");
            asked.group = IDENTITIES.to_owned();
            require(cluster, user, &asked)?;
        }
    }
    Ok(completed(wanted))
}

/// What the names of service accounts begin with.
const ACCOUNT: &str = "system:serviceaccount:";

/// The rights that it takes to be someone: one for each thing that is said of them.
fn identities(wanted: &User) -> Vec<Attributes> {
    let asked = |group: &str, resource: &str, name: &str| Attributes {
        verb: "impersonate".to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    let mut identities = match wanted.name.strip_prefix(ACCOUNT).and_then(|account| account.split_once(':')) {
        Some((namespace, name)) => {
            vec![Attributes { namespace: namespace.to_owned(), ..asked("", "serviceaccounts", name) }]
        }
        None => vec![asked("", "users", &wanted.name)],
    };
    identities.extend(wanted.groups.iter().map(|group| asked("", "groups", group)));
    if !wanted.uid.is_empty() {
        identities.push(asked(IDENTITIES, "uids", &wanted.uid));
    }
    for (key, values) in &wanted.extra {
        identities.extend(
            values
                .iter()
                .map(|value| Attributes { subresource: key.clone(), ..asked(IDENTITIES, "userextras", value) }),
        );
    }
    identities
}

/// Someone impersonated, with the groups that they would have had anyway.
fn completed(wanted: &User) -> User {
    let mut user = wanted.clone();
    let account = user.name.strip_prefix(ACCOUNT).and_then(|account| account.split_once(':'));
    if let Some((namespace, _)) = account.filter(|_| wanted.groups.is_empty()) {
        user.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let has = |user: &User, group: &str| user.groups.iter().any(|have| have == group);
    let group = match user.name.as_str() {
        "system:anonymous" => "system:unauthenticated",
        // Who is said to be nobody that is known stays so.
        _ if has(&user, "system:unauthenticated") => return user,
        _ => "system:authenticated",
    };
    if !has(&user, group) {
        user.groups.push(group.to_owned());
    }
    user
}
