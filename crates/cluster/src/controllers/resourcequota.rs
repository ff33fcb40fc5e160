//! The resource quota controller: what a namespace uses of what it may.
//!
//! Knows: what each object counts for, and which quotas count it (`pkg/quota/v1/evaluator`).
//! Does not know: who is refused for it; admission asks [`usage`] too.

use std::collections::BTreeMap;

use crate::cluster::{Change, Cluster};
use crate::controllers::client::Client;
use crate::controllers::{Controller, Next};
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::scheduler::request;
use crate::value::{Map, Text, Value};

/// Keeps the status of quotas.
pub(crate) struct ResourceQuotas;

const CLIENT: Client = Client::controller("resourcequota-controller");
const QUOTAS: &str = "resourcequotas";

/// What something counts for, by the names under which quotas limit it.
pub(crate) type Usage = BTreeMap<Text, Quantity>;

impl Controller for ResourceQuotas {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        let key = &change.key;
        if key.is(QUOTAS) {
            let part = |quota: &Option<Value>| quota.as_ref().map(|quota| quota.at(&["spec"]).clone());
            if change.after.is_some() && part(&change.before) != part(&change.after) {
                look(key.clone());
            }
        } else if key.namespace.is_empty() || cluster.list(QUOTAS, Some(&key.namespace)).next().is_none() {
            return;
        }
        let count = |object: &Option<Value>| object.as_ref().map(|object| usage(key, object));
        if count(&change.before) != count(&change.after) {
            cluster.list(QUOTAS, Some(&key.namespace)).for_each(|(quota, _)| look(quota.clone()));
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(quota) = cluster.get(key).cloned() else { return Next::Done };
        let hard = quota.at(&["spec", "hard"]).clone();
        let used: Map = used(cluster, &key.namespace, &quota)
            .into_iter()
            .map(|(name, amount)| (name, Value::from(amount.to_string())))
            .collect();
        let _ = CLIENT.update_status(cluster, key, |quota| {
            quota.set(&["status", "hard"], hard);
            quota.set(&["status", "used"], used);
        });
        Next::Done
    }
}

/// What of a quota is used now: a figure for everything that it limits.
pub(crate) fn used(cluster: &Cluster, namespace: &str, quota: &Value) -> Usage {
    let limited = quota.at(&["spec", "hard"]).entries();
    let mut used: Usage = limited.iter().map(|(name, _)| (name.clone(), Quantity::ZERO)).collect();
    let mut resources: Vec<Text> = limited.iter().filter_map(|(name, _)| counted_resource(name)).collect();
    resources.sort();
    resources.dedup();
    for resource in resources {
        for (key, object) in cluster.list(&resource, Some(namespace)) {
            if !covers(quota, key, object) {
                continue;
            }
            for (name, amount) in usage(key, object) {
                if let Some(sum) = used.get_mut(&name) {
                    *sum += amount;
                }
            }
        }
    }
    used
}

/// Which objects a limit of that name counts.
fn counted_resource(name: &str) -> Option<Text> {
    if let Some(resource) = name.strip_prefix("count/") {
        return Some(Text::from(resource));
    }
    if name == "requests.storage" || name.contains(".storageclass.storage.k8s.io/") {
        return Some(Text::from("persistentvolumeclaims"));
    }
    match name {
        "services.loadbalancers" | "services.nodeports" => Some(Text::from("services")),
        "configmaps"
        | "secrets"
        | "services"
        | "replicationcontrollers"
        | "resourcequotas"
        | "persistentvolumeclaims" => Some(Text::from(name)),
        _ => Some(Text::from("pods")),
    }
}

/// What an object counts for, in every quota that covers it.
pub(crate) fn usage(key: &ObjectKey, object: &Value) -> Usage {
    let one = Quantity::whole(1);
    let mut usage = Usage::from([(arcstr::format!("count/{}", key.resource), one)]);
    match key.resource.as_str() {
        "pods" => of_pod(object, &mut usage),
        "services" => {
            usage.insert(Text::from("services"), one);
            let ports = i64::try_from(object.at(&["spec", "ports"]).items().len()).unwrap_or(0);
            let kind = object.at(&["spec", "type"]).str_or_empty();
            if kind == "LoadBalancer" {
                usage.insert(Text::from("services.loadbalancers"), one);
            }
            let with_ports = kind == "NodePort"
                || (kind == "LoadBalancer"
                    && object.at(&["spec", "allocateLoadBalancerNodePorts"]).as_bool() != Some(false));
            if with_ports {
                usage.insert(Text::from("services.nodeports"), Quantity::whole(ports));
            }
        }
        "persistentvolumeclaims" => {
            let asked = Quantity::or_zero(object.at(&["spec", "resources", "requests", "storage"]));
            usage.insert(Text::from("persistentvolumeclaims"), one);
            usage.insert(Text::from("requests.storage"), asked);
            if let Some(class) = object.at(&["spec", "storageClassName"]).as_str().filter(|class| !class.is_empty()) {
                let of_class = |what: &str| arcstr::format!("{class}.storageclass.storage.k8s.io/{what}");
                usage.insert(of_class("persistentvolumeclaims"), one);
                usage.insert(of_class("requests.storage"), asked);
            }
        }
        "configmaps" | "secrets" | "replicationcontrollers" | QUOTAS => {
            usage.insert(key.resource.clone(), one);
        }
        _ => {}
    }
    usage
}

/// A pod that has ended counts as an object only.
fn of_pod(pod: &Value, usage: &mut Usage) {
    if !request::is_live(pod) {
        return;
    }
    usage.insert(Text::from("pods"), Quantity::whole(1));
    for (which, plain) in [("requests", true), ("limits", false)] {
        for (name, amount) in request::of_pod(pod, which) {
            usage.insert(arcstr::format!("{which}.{name}"), amount);
            if plain && matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
                usage.insert(name, amount);
            }
        }
    }
}

/// Whether a quota's scopes cover an object. Without scopes it covers everything; with them, pods only.
pub(crate) fn covers(quota: &Value, key: &ObjectKey, object: &Value) -> bool {
    let named = quota.at(&["spec", "scopes"]).items().iter().map(|scope| (scope.str_or_empty(), "Exists", &[][..]));
    let stated = quota.at(&["spec", "scopeSelector", "matchExpressions"]).items().iter().map(|expression| {
        let operator = expression.at(&["operator"]).str_or_empty();
        (expression.at(&["scopeName"]).str_or_empty(), operator, expression.at(&["values"]).items())
    });
    named.chain(stated).all(|(scope, operator, values)| key.is("pods") && in_scope(object, scope, operator, values))
}

fn in_scope(pod: &Value, scope: &str, operator: &str, values: &[Value]) -> bool {
    let spec = pod.at(&["spec"]);
    let best_effort = pod.at(&["status", "qosClass"]) == "BestEffort";
    match scope {
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "Terminating" => !spec.at(&["activeDeadlineSeconds"]).is_null(),
        "NotTerminating" => spec.at(&["activeDeadlineSeconds"]).is_null(),
        "PriorityClass" => {
            let class = spec.at(&["priorityClassName"]);
            match operator {
                "In" => values.contains(class),
                "NotIn" => !values.contains(class),
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => spec.at(&["affinity"]).to_json().contains("\"namespace"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;
    use crate::testing::{cluster, create, delete, pod, story};

    fn quota(hard: Value, scopes: Value) -> Value {
        doc!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "shop"},
            "spec": {"hard": (hard), "scopes": (scopes)},
        })
    }

    fn used(quota: &Value) -> String {
        quota.at(&["status", "used"]).to_json()
    }

    #[test]
    fn a_quota_says_what_is_used_and_forgets_pods_that_have_gone() {
        let mut cluster = cluster(&["4"]);
        let hard = doc!({"pods": "5", "requests.cpu": "1", "configmaps": "3"});
        create(&mut cluster, QUOTAS, quota(hard, Value::Null));
        story(&mut cluster, 1, QUOTAS, used);
        let mut asking = pod("a");
        let resources = doc!({"requests": {"cpu": "300m"}});
        asking.set(&["spec", "containers"], doc!([{"name": "app", "image": "app:1", "resources": (resources)}]));
        create(&mut cluster, "pods", asking);
        story(&mut cluster, 10, QUOTAS, used);
        let found = cluster.get(&ObjectKey::new(QUOTAS, "shop", "q")).map(used);
        assert_eq!(found.as_deref(), Some(r#"{"configmaps":"0","pods":"1","requests.cpu":"300m"}"#));
        delete(&mut cluster, "pods", "shop", "a", None);
        let told = story(&mut cluster, 10, QUOTAS, used);
        assert_eq!(told, [r#"11300 q: {"configmaps":"0","pods":"0","requests.cpu":"0"}"#]);
    }

    #[test]
    fn a_quota_with_a_scope_counts_only_pods_in_it() {
        let mut cluster = cluster(&["4"]);
        create(&mut cluster, QUOTAS, quota(doc!({"pods": "5"}), doc!(["NotBestEffort"])));
        create(&mut cluster, "pods", pod("a"));
        story(&mut cluster, 10, QUOTAS, used);
        let found = cluster.get(&ObjectKey::new(QUOTAS, "shop", "q")).map(used);
        assert_eq!(found.as_deref(), Some(r#"{"pods":"0"}"#));
    }
}
