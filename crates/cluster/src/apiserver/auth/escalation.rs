//! Nobody gives away rights that they do not have.
//!
//! Knows: what a role gives, and what its writer holds, as `pkg/registry/rbac` compares them.
//! Does not know: how a role came to be written.

use super::rbac::{self, Attributes};
use crate::apiserver::call::User;
use crate::apiserver::status::{Status, split};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

/// Refuses a role or binding that gives what its writer does not hold, unless they may do even that: `escalate` roles, or
/// `bind` them.
///
/// # Errors
/// 403, as the API server says it; 404 if the role that is bound is not there.
pub(in crate::apiserver) fn check(
    cluster: &Cluster,
    key: &ObjectKey,
    object: &Value,
    old: Option<&Value>,
    user: &User,
) -> Result<(), Status> {
    if rbac::is_master(user) {
        return Ok(());
    }
    let (rules, verb, about) = match key.resource.as_str() {
        rbac::ROLES | rbac::CLUSTER_ROLES => {
            let unchanged = |field: &str| old.is_some_and(|old| old.at(&[field]) == object.at(&[field]));
            if unchanged("rules") && unchanged("aggregationRule") {
                return Ok(());
            }
            let about = (key.resource.as_str(), object.name());
            let aggregates = |role: &Value| !role.at(&["aggregationRule"]).is_null();
            if (aggregates(object) || old.is_some_and(aggregates))
                && !may(cluster, user, "escalate", about, &key.namespace)
                && !missing(cluster, user, &key.namespace, &everything()).is_empty()
            {
                // Whoever chooses what a role is made of could choose anything.
                let why = "must have cluster-admin privileges to use the aggregationRule";
                return Err(Status::forbidden(&key.resource, object.name(), why));
            }
            (object.at(&["rules"]).items().to_vec(), "escalate", about)
        }
        rbac::ROLE_BINDINGS | rbac::CLUSTER_ROLE_BINDINGS => {
            let reference = object.at(&["roleRef"]);
            let of = if reference.at(&["kind"]) == "Role" { rbac::ROLES } else { rbac::CLUSTER_ROLES };
            let name = reference.at(&["name"]).str_or_empty();
            let about = (of, name);
            if may(cluster, user, "bind", about, &key.namespace) {
                return Ok(());
            }
            let Some(role) = rbac::role(cluster, reference, &key.namespace) else {
                // The real server says it of the binding's resource, with the role's name.
                return Err(Status::not_found(&key.resource, name));
            };
            (role.at(&["rules"]).items().to_vec(), "bind", about)
        }
        _ => return Ok(()),
    };
    if may(cluster, user, verb, about, &key.namespace) {
        return Ok(());
    }
    let missing = missing(cluster, user, &key.namespace, &rules);
    if missing.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = compact(missing).iter().map(shown).collect();
    lines.sort();
    lines.dedup();
    let groups: Vec<String> = user.groups.iter().map(|group| format!("{group:?}")).collect();
    let why = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        lines.join("\n")
    );
    Err(Status::forbidden(&key.resource, object.name(), &why))
}

/// All that can be given.
fn everything() -> [Value; 2] {
    [doc!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}), doc!({"nonResourceURLs": ["*"], "verbs": ["*"]})]
}

/// What of some rules a user does not hold, one verb of one thing at a time.
fn missing(cluster: &Cluster, user: &User, namespace: &str, rules: &[Value]) -> Vec<Value> {
    let held: Vec<Value> = rbac::grants(cluster, user, namespace)
        .filter_map(|grant| grant.rules)
        .flat_map(|rules| rules.items().iter().flat_map(parts))
        .collect();
    rules.iter().flat_map(parts).filter(|part| !held.iter().any(|have| covers(have, part))).collect()
}

fn may(cluster: &Cluster, user: &User, verb: &str, about: (&str, &str), namespace: &str) -> bool {
    let (plural, group) = split(about.0);
    let asked = Attributes {
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource: plural.to_owned(),
        namespace: namespace.to_owned(),
        name: about.1.to_owned(),
        ..Attributes::default()
    };
    rbac::decide(cluster, user, &asked).allowed
}

const FIELDS: &[(&str, &str)] = &[
    ("apiGroups", "APIGroups"),
    ("resources", "Resources"),
    ("nonResourceURLs", "NonResourceURLs"),
    ("resourceNames", "ResourceNames"),
    ("verbs", "Verbs"),
];

/// A rule as rules of which each names one verb of one thing.
fn parts(rule: &Value) -> Vec<Value> {
    let mut parts = Vec::new();
    let (groups, resources) = (rule.at(&["apiGroups"]).items(), rule.at(&["resources"]).items());
    let (names, urls) = (rule.at(&["resourceNames"]).items(), rule.at(&["nonResourceURLs"]).items());
    for verb in rule.at(&["verbs"]).items() {
        for group in groups {
            for resource in resources {
                let part = doc!({"apiGroups": [(group)], "resources": [(resource)], "verbs": [(verb)]});
                if names.is_empty() {
                    parts.push(part);
                } else {
                    parts.extend(names.iter().map(|name| {
                        let mut part = part.clone();
                        part.set(&["resourceNames"], doc!([(name)]));
                        part
                    }));
                }
            }
        }
        parts.extend(urls.iter().map(|url| doc!({"nonResourceURLs": [(url)], "verbs": [(verb)]})));
    }
    parts
}

/// Whether one part gives all that another does.
fn covers(have: &Value, want: &Value) -> bool {
    let only = |rule: &Value, field: &str| -> Option<String> {
        rule.at(&[field]).items().first().map(|one| one.str_or_empty().to_owned())
    };
    let includes = |field: &str| match (only(have, field), only(want, field)) {
        (Some(have), Some(want)) => have == "*" || have == want,
        (None, None) => true,
        _ => false,
    };
    if let Some(url) = only(want, "nonResourceURLs") {
        return includes("verbs") && only(have, "nonResourceURLs").is_some_and(|have| rbac::covers_url(&have, &url));
    }
    let names = only(have, "resourceNames").is_none() || only(have, "resourceNames") == only(want, "resourceNames");
    let resource = match (only(have, "resources"), only(want, "resources")) {
        (Some(have), Some(want)) => {
            have == "*" || have == want || want.split_once('/').is_some_and(|(_, below)| have == format!("*/{below}"))
        }
        _ => false,
    };
    includes("verbs") && includes("apiGroups") && resource && names
}

/// The same in fewer rules: the verbs of one thing stand together.
fn compact(parts: Vec<Value>) -> Vec<Value> {
    let mut rules: Vec<Value> = Vec::new();
    for part in parts {
        let same = |rule: &&mut Value| {
            part.get("resources").is_some()
                && ["apiGroups", "resources", "resourceNames"]
                    .iter()
                    .all(|field| rule.at(&[field]) == part.at(&[field]))
        };
        match rules.iter_mut().find(same) {
            Some(rule) => rule.make(&["verbs"]).array().extend(part.at(&["verbs"]).items().iter().cloned()),
            None => rules.push(part),
        }
    }
    rules
}

/// A rule as the error lists it.
fn shown(rule: &Value) -> String {
    let fields = FIELDS.iter().filter(|(field, _)| !rule.at(&[field]).is_empty()).map(|(field, name)| {
        let values: Vec<String> = rule.at(&[field]).items().iter().map(Value::to_json).collect();
        format!("{name}:[{}]", values.join(" "))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}
