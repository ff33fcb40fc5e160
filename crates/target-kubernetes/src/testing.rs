//! A small cluster with its controllers at work, and calls as a client would make them; for tests.
//!
//! Knows: how a request is written in few words.
//! Does not know: what any test is about.

use bytes::Bytes;
use cluster::apiserver::{self, User};
use cluster::{Cluster, Value};
use twin::Time;

use crate::decode::{Asked, decode};
use crate::message::Received;

/// A cluster with so many nodes, its controllers at work, and the namespace `shop`.
pub(crate) fn fresh(nodes: usize) -> Cluster {
    let mut cluster = cluster::build::fresh(Time::from_millis(1_790_000_000_000), 1);
    cluster::build::add_nodes(&mut cluster, nodes);
    cluster.start_controllers();
    make(&mut cluster, &cluster::doc!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    settle(&mut cluster);
    cluster
}

/// Lets everything come to rest.
pub(crate) fn settle(cluster: &mut Cluster) {
    let until = cluster.now() + std::time::Duration::from_secs(600);
    cluster.settle(until);
}

/// Makes an object as a client would.
pub(crate) fn make(cluster: &mut Cluster, object: &Value) {
    let resource = cluster.schema.of(object).expect("its kind is known").clone();
    let group = &resource.group;
    let base = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/{}", resource.version) };
    let within = match object.namespace() {
        "" => String::new(),
        namespace => format!("/namespaces/{namespace}"),
    };
    let path = format!("POST {base}{within}/{}", resource.plural);
    send(cluster, &path, object);
}

/// Does a call at once.
pub(crate) fn send(cluster: &mut Cluster, line: &str, body: &Value) {
    let asked = asked(cluster, line, body);
    let answer = apiserver::handle(cluster, &asked.call, &User::admin());
    answer.unwrap_or_else(|status| panic!("{line}: {}", status.message));
}

/// A request: `PATCH /api/v1/…`; a patch is a merge patch, or another if its kind follows (`PATCH /api/v1/… apply`).
pub(crate) fn asked(cluster: &Cluster, line: &str, body: &Value) -> Asked {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let kind = match (words.next(), method) {
        (Some("apply"), _) => "application/apply-patch+yaml",
        (Some("strategic"), _) => "application/strategic-merge-patch+json",
        (Some("json"), _) => "application/json-patch+json",
        (_, "PATCH") => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = http::Request::builder().method(method).uri(target).header("content-type", kind);
    let request = request.header("user-agent", "kubectl/v1.37").body(()).unwrap();
    let body = if body.is_empty() { Bytes::new() } else { body.to_json().into() };
    let received = Received { head: request.into_parts().0, body };
    decode(&cluster.schema, &received).unwrap_or_else(|status| panic!("{line}: {}", status.message))
}

/// A Deployment in the shop of pods labelled `app: NAME`.
pub(crate) fn deployment(name: &str, replicas: i64) -> Value {
    cluster::doc!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": (name), "namespace": "shop"},
        "spec": {
            "replicas": (replicas), "selector": {"matchLabels": {"app": (name)}},
            "template": {
                "metadata": {"labels": {"app": (name)}},
                "spec": {"containers": [{"name": "main", "image": "nginx",
                    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]},
            },
        },
    })
}

/// A Service in the shop before pods labelled `app: NAME`.
pub(crate) fn service(name: &str) -> Value {
    cluster::doc!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": (name), "namespace": "shop"},
        "spec": {"selector": {"app": (name)}, "ports": [{"port": 80}]},
    })
}
