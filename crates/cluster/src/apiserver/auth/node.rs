//! What a node may do: the Node authorizer, which is asked before roles are (`plugin/pkg/auth/authorizer/node`).
//!
//! Knows: what a node needs for the pods that are bound to it, and for itself.
//! Does not know: roles, except the one that lists what any node may do.

use super::rbac::{self, Attributes, Decision};
use crate::apiserver::call::User;
use crate::apiserver::status::join;
use crate::cluster::Cluster;
use crate::doc;
use crate::value::Value;

/// The name of the node that a user is; empty if it does not say which. None if it is no node.
fn node(user: &User) -> Option<&str> {
    let is_node = user.groups.iter().any(|group| group == "system:nodes");
    user.name.strip_prefix("system:node:").filter(|_| is_node)
}

/// What is decided for a node; none for who is none.
pub(super) fn decide(cluster: &Cluster, user: &User, asked: &Attributes) -> Option<Decision> {
    let node = node(user)?;
    let denied = |reason: String| Decision { allowed: false, reason };
    if node.is_empty() {
        return Some(denied(format!("unknown node for user {:?}", user.name)));
    }
    Some(match special(cluster, node, asked) {
        Some(Ok(())) => Decision { allowed: true, reason: String::new() },
        Some(Err(why)) => denied(why),
        None => {
            let role = rbac::role(cluster, &doc!({"kind": "ClusterRole", "name": "system:node"}), "");
            let rules = role.map_or(&[][..], |role| role.at(&["rules"]).items());
            let allowed = rules.iter().any(|rule| rbac::allows(rule, asked));
            Decision { allowed, reason: String::new() }
        }
    })
}

/// What is decided by how things hang together; none for what any node may do or not do.
fn special(cluster: &Cluster, node: &str, asked: &Attributes) -> Option<Result<(), String>> {
    let refuse = |why: &str| Err(why.to_owned());
    let (verb, below) = (asked.verb.as_str(), asked.subresource.as_str());
    let reads = matches!(verb, "get" | "list" | "watch");
    let related = || match (asked.name.as_str(), is_related(cluster, node, asked)) {
        ("", _) => refuse("No Object name found"),
        (_, true) => Ok(()),
        (_, false) => Err(format!("no relationship found between node '{node}' and this object")),
    };
    let get = || match (verb, below) {
        ("get", "") => related(),
        ("get", _) => refuse("cannot get subresource"),
        _ => refuse("can only get individual resources of this type"),
    };
    let own = |what: &str, named: &str| match verb {
        "create" => Ok(()),
        "get" | "update" | "patch" | "delete" if asked.name == node => Ok(()),
        "get" | "update" | "patch" | "delete" => {
            Err(format!("can only access {named} with the same name as the requesting node"))
        }
        _ => Err(format!("can only get, create, update, patch, or delete a {what}")),
    };
    Some(match join(&asked.resource, &asked.group).as_str() {
        "secrets" | "configmaps" => match (reads, below, asked.namespace.as_str()) {
            (false, ..) => refuse("can only read resources of this type"),
            (_, "", "") => refuse("can only read namespaced object of this type"),
            (_, "", _) => related(),
            _ => refuse("cannot read subresource"),
        },
        "persistentvolumeclaims" if below == "status" => match verb {
            "update" | "patch" => related(),
            _ => refuse("can only get/update/patch this type"),
        },
        "persistentvolumeclaims"
        | "persistentvolumes"
        | "resourceclaims.resource.k8s.io"
        | "volumeattachments.storage.k8s.io" => get(),
        "serviceaccounts" if verb == "get" && below.is_empty() => related(),
        "serviceaccounts" => match (verb, below, asked.name.as_str()) {
            ("create", "token", name) if !name.is_empty() => related(),
            ("create", _, name) if !name.is_empty() => refuse("can only create token subresource of serviceaccount"),
            _ => refuse("can only create tokens for individual service accounts"),
        },
        "leases.coordination.k8s.io" if asked.namespace != "kube-node-lease" => {
            refuse("can only access leases in the \"kube-node-lease\" system namespace")
        }
        "leases.coordination.k8s.io" => own("node lease", "node lease"),
        "csinodes.storage.k8s.io" => own("CSINode", "CSINode"),
        "nodes" => match (below, verb) {
            ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
            ("", "get" | "list" | "watch") => match asked.name.as_str() {
                name if name == node => Ok(()),
                "" => Err(format!("node '{node}' cannot read all nodes, only its own Node object")),
                name => Err(format!("node '{node}' cannot read '{name}', only its own Node object")),
            },
            _ => refuse(""),
        },
        "pods" => match (below, verb) {
            ("", "get") => get(),
            ("", "list" | "watch") if asked.node == node => Ok(()),
            ("", "list" | "watch") if !asked.name.is_empty() => related(),
            ("", "list" | "watch") => refuse("can only list/watch pods with spec.nodeName field selector"),
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
            _ => refuse(""),
        },
        _ => return None,
    })
}

/// Whether an object is one of a node's, or something that one of its pods uses.
fn is_related(cluster: &Cluster, node: &str, asked: &Attributes) -> bool {
    if asked.resource == "volumeattachments" {
        let key = crate::object::ObjectKey::new("volumeattachments.storage.k8s.io", "", asked.name.clone());
        return cluster.get(&key).is_some_and(|attachment| attachment.at(&["spec", "nodeName"]) == node);
    }
    let inside = |namespace: &str| asked.resource == "persistentvolumes" || namespace == asked.namespace;
    cluster.pods_on(node).filter(|(key, _)| inside(&key.namespace)).any(|(key, pod)| {
        let claims = || claims(pod);
        match asked.resource.as_str() {
            "pods" => key.name == asked.name.as_str(),
            "serviceaccounts" => pod.at(&["spec", "serviceAccountName"]) == asked.name.as_str(),
            "persistentvolumeclaims" => claims().any(|claim| claim == asked.name),
            "persistentvolumes" => claims().any(|claim| {
                let claim = cluster.get(&key.beside("persistentvolumeclaims", &claim));
                claim.is_some_and(|claim| claim.at(&["spec", "volumeName"]) == asked.name.as_str())
            }),
            "resourceclaims" => {
                let generated = pod.at(&["status", "resourceClaimStatuses"]).items().iter();
                let named = pod.at(&["spec", "resourceClaims"]).items().iter();
                named.chain(generated).any(|claim| claim.at(&["resourceClaimName"]) == asked.name.as_str())
            }
            "secrets" => uses(pod.at(&["spec"]), &["secret", "Secret"], &asked.name),
            _ => uses(pod.at(&["spec"]), &["configMap"], &asked.name),
        }
    })
}

/// The claims that a pod's volumes are.
fn claims(pod: &Value) -> impl Iterator<Item = String> {
    pod.at(&["spec", "volumes"]).items().iter().filter_map(|volume| {
        let named = volume.at(&["persistentVolumeClaim", "claimName"]).as_str().map(str::to_owned);
        let own = || format!("{}-{}", pod.name(), volume.at(&["name"]).str_or_empty());
        named.or_else(|| volume.get("ephemeral").map(|_| own()))
    })
}

/// Whether anything in a pod refers to a secret or config map of that name: all fields that do are called after it.
fn uses(value: &Value, kinds: &[&str], name: &str) -> bool {
    let refers = |key: &str, value: &Value| {
        let after = kinds.iter().any(|kind| key.starts_with(kind)) || (key.ends_with("SecretRef") && kinds.len() > 1);
        after && (value.at(&["name"]) == name || value.at(&["secretName"]) == name || *value == *name)
    };
    let pull =
        kinds.len() > 1 && value.at(&["imagePullSecrets"]).items().iter().any(|secret| secret.at(&["name"]) == name);
    pull || value.entries().iter().any(|(key, value)| refers(key, value) || uses(value, kinds, name))
        || value.items().iter().any(|value| uses(value, kinds, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ObjectKey;
    use crate::testing;

    #[test]
    fn a_node_reads_what_its_own_pods_use_and_says_why_it_reads_nothing_else() {
        let mut cluster = testing::cluster(&[]);
        let mut pod = testing::pod("a");
        pod.set(&["spec", "nodeName"], "n1");
        pod.set(&["spec", "volumes"], doc!([
            {"name": "s", "secret": {"secretName": "mine"}}, {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
        ]));
        pod.set(
            &["spec", "containers"],
            doc!([{"name": "app", "image": "i", "envFrom": [{"configMapRef": {"name": "settings"}}]}]),
        );
        cluster.write(&ObjectKey::new("pods", "shop", "a"), Some(pod));
        let none = "no relationship found between node 'n2' and this object";
        let cases = [
            ("n1", "get", "secrets", "mine", Ok(())),
            ("n2", "get", "secrets", "mine", Err(none)),
            ("n1", "get", "configmaps", "settings", Ok(())),
            ("n1", "list", "secrets", "", Err("No Object name found")),
            ("n1", "update", "secrets", "mine", Err("can only read resources of this type")),
            ("n1", "get", "persistentvolumeclaims", "data", Ok(())),
            ("n2", "get", "nodes", "n1", Err("node 'n2' cannot read 'n1', only its own Node object")),
            ("n1", "list", "pods", "", Err("can only list/watch pods with spec.nodeName field selector")),
            ("", "get", "secrets", "mine", Err("unknown node for user \"system:node:\"")),
        ];
        for (node, verb, resource, name, want) in cases {
            let user = User {
                name: format!("system:node:{node}"),
                groups: vec!["system:nodes".to_owned()],
                ..User::default()
            };
            let asked = Attributes {
                verb: verb.to_owned(),
                resource: resource.to_owned(),
                namespace: "shop".to_owned(),
                name: name.to_owned(),
                ..Attributes::default()
            };
            let decision = decide(&cluster, &user, &asked).expect("it is a node");
            let wanted = Decision { allowed: want.is_ok(), reason: want.err().unwrap_or_default().to_owned() };
            assert_eq!(decision, wanted, "{node} {verb} {resource} {name}");
        }
        let person = User { name: "system:node:n1".to_owned(), ..User::default() };
        assert_eq!(decide(&cluster, &person, &Attributes::default()), None);
    }
}
