//! What an action costs does not grow with the cluster around it.
//!
//! Knows: the same workloads in clusters of two sizes, and how many objects a twin looks at to judge an action on them.
//! Does not know: a clock. What is counted is the same on every machine.

#![allow(clippy::unwrap_used)] // a test that has nothing to test fails

use std::sync::atomic::AtomicBool;

use cluster::Cluster;
use cluster::apiserver::{self, Request};
use cluster::population::{self, SHOP, Size};
use cluster::snapshot::Loading;
use target_kubernetes::twin::ClusterTwin;

const MERGE: &str = "application/merge-patch+json";
const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

fn cluster(nodes: usize, pods: usize) -> Cluster {
    let mut loading = Loading::new(None, 1);
    population::populate(Size { nodes, pods }, 1, &mut |object| loading.take(&object));
    loading.finish()
}

/// How many objects are looked at to judge a request.
fn reads(cluster: &Cluster, method: &str, path: &str, body: &str) -> u64 {
    let carts = cluster.list("pods", Some(SHOP)).filter(|(_, pod)| pod.label("app") == Some("cart"));
    let cart = carts.map(|(key, _)| key.name.clone()).next().unwrap();
    let path = path.replace("{cart}", &cart);
    let headers = [("content-type", if method == "PATCH" { MERGE } else { "application/json" })];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request = Request { method, path: &path, query: "", headers: &headers, body: body.as_bytes() };
    let call = apiserver::decode(&cluster.schema, &request).unwrap();
    let mut twin = ClusterTwin::new(cluster.clone());
    twin.play(&call, &AtomicBool::new(false)).unwrap();
    twin.reads()
}

#[test]
fn judging_an_action_looks_at_what_it_touches_however_large_the_cluster_is() {
    // The scheduler looks at every node of so small clusters: the nodes stay, and what runs on them grows.
    let (small, large) = (cluster(60, 1_400), cluster(60, 4_200));
    for (what, starts, method, path, body) in [
        ("scale up", 1, "PATCH", WEB, r#"{"spec":{"replicas":51}}"#),
        ("scale down", 0, "PATCH", WEB, r#"{"spec":{"replicas":49}}"#),
        ("roll", 50, "PATCH", WEB, r#"{"spec":{"template":{"metadata":{"annotations":{"at":"now"}}}}}"#),
        ("delete a pod", 1, "DELETE", "/api/v1/namespaces/shop/pods/{cart}", ""),
        ("cordon", 0, "PATCH", "/api/v1/nodes/node-00007", r#"{"spec":{"unschedulable":true}}"#),
        ("change settings", 0, "PATCH", "/api/v1/namespaces/shop/configmaps/web-config", r#"{"data":{"a":"b"}}"#),
        ("delete a service", 0, "DELETE", "/api/v1/namespaces/shop/services/web", ""),
        ("delete a deployment", 0, "DELETE", "/apis/apps/v1/namespaces/shop/deployments/cart", ""),
        ("delete a namespace", 0, "DELETE", "/api/v1/namespaces/doomed", ""),
    ] {
        let (few, many) = (reads(&small, method, path, body), reads(&large, method, path, body));
        // For each pod that starts, a kubelet looks at the pods of its node, of which there are more in a fuller cluster, and
        // never more than 110.
        assert!(
            many <= few + few / 20 + 110 * starts.max(1),
            "{what}: {few} objects looked at in a cluster of 1,400 pods, {many} in one of 4,200"
        );
    }
}
