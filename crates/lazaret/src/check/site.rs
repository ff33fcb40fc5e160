//! What else has a say in a cluster, besides Kubernetes itself.
//!
//! Knows: webhooks, which only the cluster can ask; quotas, limits and policies, which the twin applies as well.
//! Does not know: what came of them.

use std::collections::BTreeSet;

use cluster::{Cluster, ObjectKey, Value, labels};

/// Where webhooks are registered, and what each kind is called.
const HOOKS: &[(&str, &str)] = &[
    ("mutatingwebhookconfigurations.admissionregistration.k8s.io", "mutating webhook"),
    ("validatingwebhookconfigurations.admissionregistration.k8s.io", "validating webhook"),
];

/// What the twin applies, too.
const GUARDS: &[(&str, &str, bool)] = &[
    ("resourcequotas", "resource quota", true),
    ("limitranges", "limit range", true),
    ("validatingadmissionpolicies.admissionregistration.k8s.io", "validating admission policy", false),
    ("mutatingadmissionpolicies.admissionregistration.k8s.io", "mutating admission policy", false),
];

/// The webhooks that are asked about these resources in a namespace, and about the pods that come of them.
pub(super) fn hooks(cluster: &Cluster, namespace: &str, resources: impl Iterator<Item = String>) -> Vec<String> {
    let touched: BTreeSet<String> = resources.chain(["pods".to_owned()]).collect();
    all_hooks(cluster, namespace, |rule| touched.iter().any(|resource| covers(rule, resource)))
}

/// All that has a say in a namespace, for people.
pub(super) fn guards(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (resource, what, namespaced) in GUARDS {
        for (key, _) in cluster.list(resource, namespaced.then_some(namespace)) {
            found.push(format!("{what} {} (on the twin too)", key.name));
        }
    }
    let hooks = all_hooks(cluster, namespace, |_| true);
    found.extend(hooks.into_iter().map(|hook| format!("{hook} (not on the twin)")));
    found
}

fn all_hooks(cluster: &Cluster, namespace: &str, mut concerns: impl FnMut(&Value) -> bool) -> Vec<String> {
    let own = cluster.get(&ObjectKey::new("namespaces", "", namespace));
    let own = own.map(|own| own.at(&["metadata", "labels"]).clone()).unwrap_or_default();
    let mut found = Vec::new();
    for (resource, what) in HOOKS {
        for (key, configuration) in cluster.list(resource, None) {
            for hook in configuration.at(&["webhooks"]).items() {
                let selector = hook.at(&["namespaceSelector"]);
                let here = selector.is_empty() || labels::matches(selector, &own);
                if here && hook.at(&["rules"]).items().iter().any(&mut concerns) {
                    found.push(format!("{what} {} of {}", hook.at(&["name"]).str_or_empty(), key.name));
                }
            }
        }
    }
    found
}

/// Whether a webhook's rule covers a resource (`deployments.apps`).
fn covers(rule: &Value, resource: &str) -> bool {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let says = |list: &str, wanted: &str| {
        rule.at(&[list]).items().iter().any(|said| {
            let said = said.str_or_empty();
            said == "*" || said == wanted || said == "*/*"
        })
    };
    says("apiGroups", group) && says("resources", plural)
}
