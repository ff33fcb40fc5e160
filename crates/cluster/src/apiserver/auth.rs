//! Who may do what: RBAC, impersonation, and the reviews that ask about it.
//!
//! Knows: roles, bindings, and how a call is named in them.
//! Does not know: how a user was authenticated.

use super::call::{Answer, Call, User, Verb};
use super::handle::Request;
use super::status::{self, Status};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::Resource;
use crate::value::Value;

const ROLES: &str = "roles.rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const ROLE_BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";

/// What is asked for, as rules name it.
#[derive(Clone, Debug, Default)]
struct Attributes {
    verb: String,
    group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    /// For what is no resource.
    path: String,
}

impl Attributes {
    fn of(call: &Call) -> Self {
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
        Self {
            verb: verb.to_owned(),
            group: on.group.to_string(),
            resource: on.resource.to_string(),
            subresource: on.subresource.to_string(),
            namespace: on.namespace.to_string(),
            name: on.name.to_string(),
            path: on.path.to_string(),
        }
    }

    /// `pods/exec`, or `deployments`.
    fn resource_path(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    fn is_resource(&self) -> bool {
        !self.resource.is_empty()
    }
}

/// As whom a call acts: the caller, or whom it impersonates if it may.
pub(super) fn acting(cluster: &Cluster, call: &Call, user: &User) -> Result<User, Status> {
    let Some(wanted) = &call.impersonate else { return Ok(user.clone()) };
    let mut asked = vec![("users", wanted.name.as_str())];
    if let Some(account) = wanted.name.strip_prefix("system:serviceaccount:") {
        asked = vec![("serviceaccounts", account.rsplit(':').next().unwrap_or(account))];
    }
    asked.extend(wanted.groups.iter().map(|group| ("groups", group.as_str())));
    for (resource, name) in asked {
        let attributes = Attributes {
            verb: "impersonate".into(),
            resource: resource.into(),
            name: name.into(),
            ..Attributes::default()
        };
        if !allowed(cluster, user, &attributes) {
            return Err(forbidden(user, &attributes));
        }
    }
    let mut acting = wanted.clone();
    if acting.name.starts_with("system:serviceaccount:") && acting.groups.is_empty() {
        let namespace = acting.name.split(':').nth(2).unwrap_or("").to_owned();
        acting.groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
    }
    if acting.name != "system:anonymous" && !acting.groups.iter().any(|group| group == "system:authenticated") {
        acting.groups.push("system:authenticated".into());
    }
    Ok(acting)
}

/// Whether a user may make a call.
pub(super) fn authorize(cluster: &Cluster, call: &Call, user: &User) -> Result<(), Status> {
    let attributes = Attributes::of(call);
    if allowed(cluster, user, &attributes) { Ok(()) } else { Err(forbidden(user, &attributes)) }
}

fn forbidden(user: &User, asked: &Attributes) -> Status {
    let who = &user.name;
    if !asked.is_resource() {
        let why = format!("forbidden: User {who:?} cannot {} path {:?}", asked.verb, asked.path);
        return Status::new(403, "Forbidden", why);
    }
    let place = if asked.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", asked.namespace)
    };
    let why = format!(
        "User {who:?} cannot {} resource {:?} in API group {:?} {place}",
        asked.verb,
        asked.resource_path(),
        asked.group
    );
    Status::forbidden(&status::join(&asked.resource, &asked.group), &asked.name, &why)
}

/// Whether any rule that a user holds allows it.
fn allowed(cluster: &Cluster, user: &User, asked: &Attributes) -> bool {
    if user.groups.iter().any(|group| group == "system:masters") {
        return true;
    }
    let mut found = false;
    rules(cluster, user, &asked.namespace, &mut |rule| {
        found = allows(rule, asked);
        found
    });
    found
}

/// Calls `visit` with each rule that a user holds, everywhere or in a namespace, until it says that it has seen enough.
fn rules(cluster: &Cluster, user: &User, namespace: &str, visit: &mut dyn FnMut(&Value) -> bool) {
    let everywhere = cluster.list(CLUSTER_ROLE_BINDINGS, None);
    let inside = cluster.list(ROLE_BINDINGS, Some(namespace)).filter(|_| !namespace.is_empty());
    for (key, binding) in everywhere.chain(inside) {
        if !binding.at(&["subjects"]).items().iter().any(|subject| is(user, subject, &key.namespace)) {
            continue;
        }
        let name = binding.at(&["roleRef", "name"]).str_or_empty();
        let role = match binding.at(&["roleRef", "kind"]).str_or_empty() {
            "Role" => ObjectKey::new(ROLES, key.namespace.clone(), name),
            _ => ObjectKey::new(CLUSTER_ROLES, "", name),
        };
        for rule in cluster.get(&role).map_or(&[][..], |role| role.at(&["rules"]).items()) {
            if visit(rule) {
                return;
            }
        }
    }
}

fn is(user: &User, subject: &Value, binding_namespace: &str) -> bool {
    let name = subject.at(&["name"]).str_or_empty();
    match subject.at(&["kind"]).str_or_empty() {
        "User" => user.name == name,
        "Group" => user.groups.iter().any(|group| group == name),
        "ServiceAccount" => {
            let own = subject.at(&["namespace"]).str_or_empty();
            let namespace = if own.is_empty() { binding_namespace } else { own };
            user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

fn allows(rule: &Value, asked: &Attributes) -> bool {
    let among = |field: &str, want: &str| rule.at(&[field]).items().iter().any(|have| *have == "*" || *have == want);
    if !among("verbs", &asked.verb) {
        return false;
    }
    if !asked.is_resource() {
        return rule.at(&["nonResourceURLs"]).items().iter().map(Value::str_or_empty).any(|url| {
            url == "*" || url == asked.path || url.strip_suffix('*').is_some_and(|start| asked.path.starts_with(start))
        });
    }
    let path = asked.resource_path();
    let resource = rule.at(&["resources"]).items().iter().map(Value::str_or_empty).any(|have| {
        have == "*" || have == path || (!asked.subresource.is_empty() && have == format!("*/{}", asked.subresource))
    });
    let names = rule.at(&["resourceNames"]).items();
    among("apiGroups", &asked.group)
        && resource
        && (names.is_empty() || names.iter().any(|name| *name == asked.name.as_str()))
}

/// Whether a resource is a question, answered at once and kept nowhere.
pub(super) fn is_review(resource: &Resource) -> bool {
    matches!(resource.group.as_str(), "authorization.k8s.io" | "authentication.k8s.io")
}

/// Answers a question about rights or identities.
pub(super) fn review(cluster: &Cluster, request: &Request<'_>) -> Result<Answer, Status> {
    let mut answer = request.body(cluster)?;
    answer.set(&["metadata", "creationTimestamp"], Value::Null);
    let spec = answer.at(&["spec"]).clone();
    match request.resource.kind.as_str() {
        "SelfSubjectAccessReview" => {
            let status = access(cluster, request.user, &spec);
            answer.set(&["status"], status);
        }
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            let user = User {
                name: spec.at(&["user"]).str_or_empty().to_owned(),
                groups: spec.at(&["groups"]).items().iter().map(|group| group.str_or_empty().to_owned()).collect(),
                ..User::default()
            };
            let status = access(cluster, &user, &spec);
            answer.set(&["status"], status);
        }
        "SelfSubjectRulesReview" => {
            let namespace = spec.at(&["namespace"]).str_or_empty();
            let (mut resources, mut paths) = (Vec::new(), Vec::new());
            rules(cluster, request.user, namespace, &mut |rule| {
                let copy = |fields: &[&str]| {
                    let mut copy = doc!({});
                    for field in fields {
                        if let Some(value) = rule.get(field) {
                            copy.set(&[field], value.clone());
                        }
                    }
                    copy
                };
                if rule.get("nonResourceURLs").is_some() {
                    paths.push(copy(&["verbs", "nonResourceURLs"]));
                } else {
                    resources.push(copy(&["verbs", "apiGroups", "resources", "resourceNames"]));
                }
                false
            });
            if request.user.groups.iter().any(|group| group == "system:masters") {
                resources.push(doc!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
                paths.push(doc!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
            }
            answer.set(
                &["status"],
                doc!({"resourceRules": (resources), "nonResourceRules": (paths), "incomplete": false}),
            );
        }
        "SelfSubjectReview" => {
            let mut info = doc!({"username": (&request.user.name)});
            if !request.user.uid.is_empty() {
                info.set(&["uid"], &request.user.uid);
            }
            info.set(&["groups"], request.user.groups.iter().collect::<Value>());
            answer.set(&["status"], doc!({"userInfo": (info)}));
        }
        _ => answer.set(&["status"], doc!({"user": {}, "error": "tokens of others are not known here"})),
    }
    Ok(Answer::document(201, answer))
}

fn access(cluster: &Cluster, user: &User, spec: &Value) -> Value {
    let of = |group: &str, field: &str| spec.at(&[group, field]).str_or_empty().to_owned();
    let asked = if spec.get("resourceAttributes").is_some() {
        let text = |field: &str| of("resourceAttributes", field);
        Attributes {
            verb: text("verb"),
            group: text("group"),
            resource: text("resource"),
            subresource: text("subresource"),
            namespace: text("namespace"),
            name: text("name"),
            path: String::new(),
        }
    } else {
        Attributes {
            verb: of("nonResourceAttributes", "verb"),
            path: of("nonResourceAttributes", "path"),
            ..Attributes::default()
        }
    };
    doc!({"allowed": (allowed(cluster, user, &asked))})
}
