//! What a read costs does not grow with the collection it reads from.
//!
//! Knows: a generated cluster, and how many objects are looked at to answer.
//! Does not know: a clock.

#![allow(clippy::unwrap_used)] // a test that has nothing to test fails

use cluster::apiserver::{self, Request, User};
use cluster::population::{self, Size};
use cluster::snapshot::Loading;

#[test]
fn an_answer_costs_what_is_in_it_and_not_what_it_was_chosen_from() {
    let mut loading = Loading::new(None, 1);
    population::populate(Size { nodes: 60, pods: 2_400 }, 1, &mut |object| loading.take(&object));
    let cluster = loading.finish();
    for (what, path, query, limit) in [
        ("the first page", "/api/v1/pods", "limit=50", 52),
        ("the pods of a node", "/api/v1/pods", "fieldSelector=spec.nodeName%3Dnode-00007", 60),
        (
            "a node's pods in a namespace",
            "/api/v1/namespaces/shop/pods",
            "fieldSelector=spec.nodeName%3Dnode-00007",
            60,
        ),
        ("the pods of one workload", "/api/v1/namespaces/doomed/pods", "labelSelector=app%3Dapp-7", 21),
        ("the same in all namespaces", "/api/v1/pods", "labelSelector=app%3Dapp-7", 21),
        ("pods without a node", "/api/v1/pods", "fieldSelector=spec.nodeName%3D", 1),
    ] {
        let headers = [("accept".to_owned(), "application/json".to_owned())];
        let request = Request { method: "GET", path, query, headers: &headers, body: b"" };
        let call = apiserver::decode(&cluster.schema, &request).unwrap();
        let mut fork = cluster.clone();
        apiserver::handle(&mut fork, &call, &User::admin()).unwrap();
        let reads = fork.reads() - cluster.reads();
        assert!(reads <= limit, "{what}: {reads} objects were looked at, {limit} are enough");
    }
}
