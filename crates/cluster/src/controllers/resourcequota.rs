//! The resource quota controller: what a namespace uses of what it may.
//!
//! Knows: when something may have been set free, and how a quota is counted anew.
//! Does not know: what an object counts for (`quota` does), or who is refused for it.

use crate::cluster::{Change, Cluster};
use crate::controllers::client::Client;
use crate::controllers::{Controller, Next};
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::quota::{self, concerns, counted, covers, is_counted, usage};
use crate::scheduler::request::{Amounts, amounts};
use crate::value::{Map, Text, Value};

/// Keeps the status of quotas.
pub(crate) struct ResourceQuotas;

const CLIENT: Client = Client::controller("resourcequota-controller");
const QUOTAS: &str = "resourcequotas";

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
        }
        if key.namespace.is_empty() || !frees(cluster, change) {
            return;
        }
        for (quota, limits) in cluster.list(QUOTAS, Some(&key.namespace)) {
            if limits.at(&["status", "hard"]).entries().iter().any(|(name, _)| concerns(name, &key.resource)) {
                look(quota.clone());
            }
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(quota) = cluster.get(key).cloned() else { return Next::Done };
        let hard = quota.at(&["spec", "hard"]).clone();
        let used = used(cluster, &key.namespace, &quota);
        let known = quota.at(&["status", "used"]);
        if hard == *quota.at(&["status", "hard"]) && known.as_object().is_some() && amounts(known) == used {
            return Next::Done;
        }
        let used: Value =
            used.into_iter().map(|(name, amount)| (name, Value::from(amount.to_string()))).collect::<Map>().into();
        let _ = CLIENT.update_status(cluster, key, |quota| {
            quota.set(&["status", "hard"], hard);
            quota.set(&["status", "used"], used);
        });
        Next::Done
    }
}

/// Whether a change may have set something free. What is used more, admission has charged already; and of changes of what
/// is there only some are looked at.
fn frees(cluster: &Cluster, change: &Change) -> bool {
    let Some(before) = &change.before else { return false };
    let Some(after) = &change.after else { return true };
    match change.key.resource.as_str() {
        "pods" => {
            let (now, limited) = (cluster.now(), quota::is_limited_in_time);
            let resources = |pod: &Value| -> Vec<Value> {
                let lists =
                    ["containerStatuses", "initContainerStatuses"].map(|list| pod.at(&["status", list]).items());
                lists.into_iter().flatten().map(|status| status.at(&["resources"]).clone()).collect()
            };
            let ended = quota::is_charged(before, now) && !quota::is_charged(after, now);
            ended || limited(before) != limited(after) || resources(before) != resources(after)
        }
        "services" => {
            let kind = |service: &Value| match service.at(&["spec", "type"]).str_or_empty() {
                "NodePort" => 1,
                "LoadBalancer" => 2,
                _ => 0,
            };
            kind(before) != kind(after)
        }
        "persistentvolumeclaims" => {
            usage(&change.key, before, cluster.now()) != usage(&change.key, after, cluster.now())
        }
        _ => false,
    }
}

/// What of a quota is used now: a figure for everything that it limits and that can be counted.
fn used(cluster: &Cluster, namespace: &str, quota: &Value) -> Amounts {
    let known = amounts(quota.at(&["status", "used"]));
    let mut used = Amounts::new();
    let mut resources: Vec<Text> = Vec::new();
    for (name, _) in quota.at(&["spec", "hard"]).entries() {
        let resource = counted(name);
        if is_counted(&cluster.schema, &resource) && concerns(name, &resource) {
            used.insert(name.clone(), Quantity::ZERO);
            resources.push(resource);
        } else if let Some(amount) = known.get(name) {
            used.insert(name.clone(), *amount);
        }
    }
    resources.sort();
    resources.dedup();
    for resource in resources {
        for (key, object) in cluster.list(&resource, Some(namespace)) {
            if !covers(quota, key, object) {
                continue;
            }
            for (name, amount) in usage(key, object, cluster.now()) {
                if let Some(sum) = used.get_mut(&name).filter(|_| concerns(&name, &resource)) {
                    *sum += amount;
                }
            }
        }
    }
    used
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
