//! Role-based access control: which rules a user holds, and what they allow.
//!
//! Knows: roles and bindings, as `plugin/pkg/auth/authorizer/rbac` reads them.
//! Does not know: what is asked in which request.

use crate::apiserver::call::User;
use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::value::Value;

pub(super) const ROLES: &str = "roles.rbac.authorization.k8s.io";
pub(super) const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
pub(super) const ROLE_BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
pub(super) const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";

/// The group whom authorization never stops.
const MASTERS: &str = "system:masters";

/// What is asked for, as rules name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) verb: String,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) subresource: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// For what is no resource.
    pub(super) path: String,
    /// On which node all of a collection's objects have to be, if that is asked.
    pub(super) node: String,
}

impl Attributes {
    /// `pods/exec`, or `deployments`.
    pub(super) fn resource_path(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    pub(super) fn is_resource(&self) -> bool {
        !self.resource.is_empty()
    }
}

/// Whether something is allowed, and why; where it is not, what could not be looked up on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) allowed: bool,
    /// Empty if there is nothing to say.
    pub(super) reason: String,
}

/// Whether authorization never stops a user.
pub(super) fn is_master(user: &User) -> bool {
    user.groups.iter().any(|group| group == MASTERS)
}

/// Whether any rule that a user holds allows it.
pub(super) fn decide(cluster: &Cluster, user: &User, asked: &Attributes) -> Decision {
    if is_master(user) {
        return Decision { allowed: true, reason: String::new() };
    }
    let of_node = super::node::decide(cluster, user, asked);
    if let Some(decision) = of_node.as_ref().filter(|decision| decision.allowed) {
        return decision.clone();
    }
    let mut missing: Vec<String> = Vec::new();
    for grant in grants(cluster, user, &asked.namespace) {
        match grant.rules {
            Some(rules) if rules.items().iter().any(|rule| allows(rule, asked)) => {
                return Decision { allowed: true, reason: format!("RBAC: allowed by {}", grant.source) };
            }
            Some(_) => {}
            None => missing.push(grant.source),
        }
    }
    missing.dedup();
    let reason = match missing.as_slice() {
        [] => of_node.map(|decision| decision.reason).unwrap_or_default(),
        [one] => format!("RBAC: {one}"),
        many => format!("RBAC: [{}]", many.join(", ")),
    };
    Decision { allowed: false, reason }
}

/// What one binding gives a user.
pub(super) struct Grant<'a> {
    /// The rules; none if the role is not there.
    pub(super) rules: Option<&'a Value>,
    /// `RoleBinding "b/ns" of Role "r" to User "u"`; if the role is not there, that it is not.
    pub(super) source: String,
}

/// What a user holds everywhere, and in a namespace if one is named.
pub(super) fn grants<'a>(cluster: &'a Cluster, user: &'a User, namespace: &'a str) -> impl Iterator<Item = Grant<'a>> {
    let everywhere = cluster.list(CLUSTER_ROLE_BINDINGS, None);
    let inside = cluster.list(ROLE_BINDINGS, Some(namespace)).filter(move |_| !namespace.is_empty());
    everywhere.chain(inside).filter_map(move |(key, binding)| {
        let subjects = binding.at(&["subjects"]).items();
        let subject = subjects.iter().find(|subject| is(user, subject, &key.namespace))?;
        let (kind, name) =
            (binding.at(&["roleRef", "kind"]).str_or_empty(), binding.at(&["roleRef", "name"]).str_or_empty());
        let Some(role) = role(cluster, binding.at(&["roleRef"]), &key.namespace) else {
            let source = format!("{}.rbac.authorization.k8s.io {name:?} not found", kind.to_lowercase());
            return Some(Grant { rules: None, source });
        };
        let binding = if key.namespace.is_empty() {
            format!("ClusterRoleBinding {:?}", key.name.as_str())
        } else {
            format!("RoleBinding \"{}/{}\"", key.name, key.namespace)
        };
        let source = format!("{binding} of {kind} {name:?} to {}", shown(subject, &key.namespace));
        Some(Grant { rules: Some(role.at(&["rules"])), source })
    })
}

/// The role that a binding refers to.
pub(super) fn role<'a>(cluster: &'a Cluster, reference: &Value, namespace: &str) -> Option<&'a Value> {
    let name = reference.at(&["name"]).str_or_empty();
    cluster.get(&match reference.at(&["kind"]).str_or_empty() {
        "Role" => ObjectKey::new(ROLES, namespace, name),
        _ => ObjectKey::new(CLUSTER_ROLES, "", name),
    })
}

/// A subject's namespace, or the binding's if it names none.
fn namespace_of<'a>(subject: &'a Value, namespace: &'a str) -> &'a str {
    let own = subject.at(&["namespace"]).str_or_empty();
    if own.is_empty() { namespace } else { own }
}

fn is(user: &User, subject: &Value, namespace: &str) -> bool {
    let name = subject.at(&["name"]).str_or_empty();
    match subject.at(&["kind"]).str_or_empty() {
        "User" => user.name == name,
        "Group" => user.groups.iter().any(|group| group == name),
        "ServiceAccount" => {
            let namespace = namespace_of(subject, namespace);
            !namespace.is_empty() && user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

fn shown(subject: &Value, namespace: &str) -> String {
    let (kind, name) = (subject.at(&["kind"]).str_or_empty(), subject.at(&["name"]).str_or_empty());
    if kind == "ServiceAccount" {
        format!("{kind} \"{name}/{}\"", namespace_of(subject, namespace))
    } else {
        format!("{kind} {name:?}")
    }
}

/// Whether one rule allows it.
pub(super) fn allows(rule: &Value, asked: &Attributes) -> bool {
    let among = |field: &str, want: &str| rule.at(&[field]).items().iter().any(|have| have == "*" || have == want);
    if !among("verbs", &asked.verb) {
        return false;
    }
    if !asked.is_resource() {
        return rule.at(&["nonResourceURLs"]).items().iter().any(|url| covers_url(url.str_or_empty(), &asked.path));
    }
    let path = asked.resource_path();
    let resource = rule.at(&["resources"]).items().iter().map(Value::str_or_empty).any(|have| {
        have == "*" || have == path || (!asked.subresource.is_empty() && have == format!("*/{}", asked.subresource))
    });
    let names = rule.at(&["resourceNames"]).items();
    among("apiGroups", &asked.group)
        && resource
        && (names.is_empty() || names.iter().any(|name| name == asked.name.as_str()))
}

/// Whether a rule's URL means a path; a star at its end means all that begins so.
pub(super) fn covers_url(url: &str, path: &str) -> bool {
    url == path || url.strip_suffix('*').is_some_and(|start| path.starts_with(start))
}
