//! Which policies and bindings a request is subject to.
//!
//! Knows: resource rules, selectors of namespaces and objects, what counts as the same resource in another version.
//! Does not know: expressions; a policy's match conditions are asked afterwards.

use super::Attempt;
use crate::cluster::Cluster;
use crate::labels;
use crate::object::ObjectKey;
use crate::schema::{GroupVersionKind, Resource, split_api_version};
use crate::value::Value;

/// A resource in the version in which a policy speaks of it.
#[derive(Clone)]
pub(super) struct Matched {
    /// Its group and version, and its plural name where the kind would be.
    pub(super) resource: GroupVersionKind,
    pub(super) kind: GroupVersionKind,
}

/// The policies and the bindings of each that a request is subject to, in the order of their names.
pub(super) fn subject<'a>(
    cluster: &'a Cluster,
    attempt: &Attempt<'_>,
    policies: &'static str,
    bindings: &'static str,
) -> Vec<(&'a Value, Matched, Vec<&'a Value>)> {
    if attempt.is_exempt() {
        return Vec::new();
    }
    let subject = |(_, policy): (&ObjectKey, &'a Value)| {
        let constraints = policy.at(&["spec", "matchConstraints"]);
        let matched = matches(cluster, attempt, constraints)?;
        let bound = |binding: &&Value| {
            let resources = binding.at(&["spec", "matchResources"]);
            *binding.at(&["spec", "policyName"]) == policy.name()
                && (resources.is_null() || matches(cluster, attempt, resources).is_some())
        };
        let bindings: Vec<&Value> = cluster.list(bindings, None).map(|(_, binding)| binding).filter(bound).collect();
        let speaks = !bindings.is_empty() || super::params::unknown_kind(cluster, policy).is_some();
        speaks.then_some((policy, matched, bindings))
    };
    cluster.list(policies, None).filter_map(subject).collect()
}

/// Whether constraints match, and in which version. Without rules they match any resource.
fn matches(cluster: &Cluster, attempt: &Attempt<'_>, constraints: &Value) -> Option<Matched> {
    if !namespace_matches(cluster, attempt, constraints.at(&["namespaceSelector"])) {
        return None;
    }
    let selector = constraints.at(&["objectSelector"]);
    let selected = |object: &Value| labels::matches(selector, object.labels());
    if !selector.is_empty() && !attempt.objects().any(selected) {
        return None;
    }
    let exact = spoken(cluster, attempt)?;
    let equivalent = constraints.at(&["matchPolicy"]) != "Exact";
    let rules = |key: &str, resource: &Resource| {
        constraints.at(&[key]).items().iter().any(|rule| rule_matches(rule, attempt, resource))
    };
    // The version that the client speaks comes first; then others that show the same objects.
    let others = cluster.schema.resources().filter(|other| {
        equivalent && other.storage.resource == exact.storage.resource && other.version != exact.version
    });
    let versions: Vec<&Resource> = std::iter::once(exact).chain(others.map(std::sync::Arc::as_ref)).collect();
    if versions.iter().any(|resource| rules("excludeResourceRules", resource)) {
        return None;
    }
    let any = constraints.at(&["resourceRules"]).items().is_empty();
    let resource = versions.into_iter().find(|resource| any || rules("resourceRules", resource))?;
    let below = resource.subresource(&attempt.writer.subresource);
    Some(Matched {
        resource: GroupVersionKind::new(&resource.group, &resource.version, &resource.plural),
        kind: below.map_or_else(|| resource.gvk(), |below| below.kind.clone()),
    })
}

/// The resource in the version in which the client speaks of it.
pub(super) fn spoken<'a>(cluster: &'a Cluster, attempt: &Attempt<'_>) -> Option<&'a Resource> {
    let kept = cluster.schema.stored(&attempt.key.resource)?;
    let (group, version) = split_api_version(&attempt.writer.version);
    Some(cluster.schema.by_kind(group, version, &kept.kind).unwrap_or(kept))
}

/// What is in no namespace is subject to selectors of namespaces only if it is one.
fn namespace_matches(cluster: &Cluster, attempt: &Attempt<'_>, selector: &Value) -> bool {
    if selector.is_empty() {
        return true;
    }
    if attempt.key.is("namespaces") {
        return attempt.objects().next().is_some_and(|namespace| labels::matches(selector, namespace.labels()));
    }
    if attempt.key.namespace.is_empty() {
        return true;
    }
    let namespace = cluster.get(&ObjectKey::new("namespaces", "", attempt.key.namespace.clone()));
    namespace.is_some_and(|namespace| labels::matches(selector, namespace.labels()))
}

fn rule_matches(rule: &Value, attempt: &Attempt<'_>, resource: &Resource) -> bool {
    let has = |key: &str, wanted: &str| {
        rule.at(&[key]).items().iter().filter_map(Value::as_str).any(|have| have == "*" || have == wanted)
    };
    let scope = match rule.at(&["scope"]).str_or_empty() {
        "Namespaced" => resource.namespaced,
        "Cluster" => !resource.namespaced,
        _ => true,
    };
    let names = rule.at(&["resourceNames"]).items();
    let named = names.is_empty() || names.iter().any(|name| *name == attempt.key.name.as_str());
    let subresource = attempt.writer.subresource.as_str();
    let resources = rule.at(&["resources"]).items().iter().filter_map(Value::as_str).any(|pattern| {
        let (wanted, below) = pattern.split_once('/').unwrap_or((pattern, ""));
        (wanted == "*" || wanted == resource.plural) && (below == subresource || below == "*")
    });
    scope
        && named
        && resources
        && has("operations", attempt.operation())
        && has("apiGroups", &resource.group)
        && has("apiVersions", &resource.version)
}
