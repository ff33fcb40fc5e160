//! Cluster roles that are made of others: `admin`, `edit`, `view`, and whoever has an `aggregationRule`.
//!
//! Knows: `pkg/controller/clusterroleaggregation`.
//! Does not know: who is bound to a role.

use super::client::Client;
use super::{Controller, Next};
use crate::cluster::{Change, Cluster};
use crate::labels;
use crate::object::ObjectKey;
use crate::value::Value;

const CLIENT: Client = Client::controller("clusterrole-aggregation-controller");
const ROLES: &str = "clusterroles.rbac.authorization.k8s.io";

/// The controller.
pub(super) struct Aggregation;

fn selectors(role: &Value) -> &[Value] {
    role.at(&["aggregationRule", "clusterRoleSelectors"]).items()
}

/// Whether a snapshot leaves out what a role is made of: Kubernetes itself makes a part for each of its own aggregated
/// roles. Such a role gains rules and loses none.
fn is_partial(cluster: &Cluster, key: &ObjectKey) -> bool {
    let own = matches!(key.name.as_str(), "admin" | "edit" | "view");
    own && cluster.get(&ObjectKey::new(ROLES, "", format!("system:aggregate-to-{}", key.name))).is_none()
}

impl Controller for Aggregation {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if !change.key.is(ROLES) {
            return;
        }
        let states: Vec<&Value> = change.before.iter().chain(&change.after).collect();
        for (key, role) in cluster.list(ROLES, None) {
            let takes = |part: &&Value| selectors(role).iter().any(|one| labels::matches(one, part.labels()));
            if !selectors(role).is_empty() && (*key == change.key || states.iter().any(takes)) {
                look(key.clone());
            }
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(role) = cluster.get(key).filter(|role| !selectors(role).is_empty()) else { return Next::Done };
        let mut rules: Vec<Value> = Vec::new();
        for selector in selectors(role) {
            let parts = cluster.list(ROLES, None).filter(|(part, _)| *part != key);
            for (_, part) in parts.filter(|(_, part)| labels::matches(selector, part.labels())) {
                for rule in part.at(&["rules"]).items() {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
        if is_partial(cluster, key) {
            let known = role.at(&["rules"]).items().iter().filter(|rule| !rules.contains(rule)).cloned();
            let known: Vec<Value> = known.collect();
            rules.splice(0..0, known);
        }
        // The same rules in another order mean the same: no reason to write.
        let have = role.at(&["rules"]).items();
        if have.len() == rules.len() && rules.iter().all(|rule| have.contains(rule)) {
            return Next::Done;
        }
        let _ = CLIENT.update(cluster, key, |role| role.set(&["rules"], rules));
        Next::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;
    use crate::testing::{cluster, create};

    #[test]
    fn a_role_whose_parts_the_snapshot_leaves_out_loses_nothing() {
        let mut cluster = cluster(&[]);
        let rule = doc!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
        create(
            &mut cluster,
            ROLES,
            doc!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "view"},
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "view"}}]}, "rules": [(&rule)],
            }),
        );
        cluster.advance(cluster.now() + std::time::Duration::from_secs(1));
        let view = cluster.get(&ObjectKey::new(ROLES, "", "view")).cloned().unwrap_or_default();
        assert_eq!(view.at(&["rules"]), &doc!([(rule)]));
    }

    #[test]
    fn a_role_made_of_others_has_the_rules_of_all_that_it_selects() {
        let mut cluster = cluster(&[]);
        let role = |name: &str, verb: &str| {
            doc!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": (name), "labels": {"to": "all"}},
                "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": [(verb)]}],
            })
        };
        create(&mut cluster, ROLES, role("a", "get"));
        create(
            &mut cluster,
            ROLES,
            doc!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "all"},
                "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}, "rules": [],
            }),
        );
        create(&mut cluster, ROLES, role("b", "list"));
        cluster.advance(cluster.now() + std::time::Duration::from_secs(1));
        let all = cluster.get(&ObjectKey::new(ROLES, "", "all")).cloned().unwrap_or_default();
        let verbs: Vec<&Value> = all.at(&["rules"]).items().iter().map(|rule| rule.at(&["verbs"])).collect();
        assert_eq!(verbs, [&doc!(["get"]), &doc!(["list"])]);
    }
}
