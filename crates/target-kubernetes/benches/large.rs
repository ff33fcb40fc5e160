//! What judging an action on a large cluster costs: the action, what follows from it, and its effect.
//!
//! Knows: a generated cluster of 5,000 nodes and 150,000 pods, one of a tenth of that, and a clock.
//! Does not know: what is fast enough. Machines differ, so it prints the large one beside the small one: work that is
//! proportional to what is touched has a ratio near 1.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a measuring instrument

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cluster::Cluster;
use cluster::apiserver::{self, Call, Request};
use cluster::population::{self, SHOP, Size};
use cluster::snapshot::Loading;
use target_kubernetes::twin::ClusterTwin;

/// How many nodes the large cluster has; the small one has a tenth, and both have thirty pods for each.
const NODES: usize = 5_000;
/// How often each action is played, each time on a fork of its own. A profile wants it oftener.
const TIMES: usize = 21;

fn times() -> usize {
    std::env::var("TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(TIMES)
}

/// What is done: a name, and the request.
const ACTIONS: &[(&str, &str, &str, &str)] = &[
    (
        "scale a deployment of 50 by 1",
        "PATCH",
        "/apis/apps/v1/namespaces/shop/deployments/web/scale",
        r#"{"spec":{"replicas":51}}"#,
    ),
    (
        "scale it down by 1",
        "PATCH",
        "/apis/apps/v1/namespaces/shop/deployments/web/scale",
        r#"{"spec":{"replicas":49}}"#,
    ),
    ("delete a pod of 3", "DELETE", "{pod}", ""),
    (
        "new image of 50 pods",
        "PATCH",
        "/apis/apps/v1/namespaces/shop/deployments/web",
        r#"{"spec":{"template":{"metadata":{"annotations":{"at":"now"}}}}}"#,
    ),
    ("cordon a node", "PATCH", "/api/v1/nodes/node-00007", r#"{"spec":{"unschedulable":true}}"#),
    (
        "taint a node NoExecute",
        "PATCH",
        "/api/v1/nodes/node-00007",
        r#"{"spec":{"taints":[{"key":"gone","effect":"NoExecute"}]}}"#,
    ),
    ("change a config map", "PATCH", "/api/v1/namespaces/shop/configmaps/web-config", r#"{"data":{"a":"b"}}"#),
    ("delete a namespace of 1,000", "DELETE", "/api/v1/namespaces/doomed", ""),
];

fn main() {
    // `cargo test --benches` only wants to know that it compiles and starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let only = std::env::var("ONLY").unwrap_or_default();
    let nodes = std::env::var("NODES").ok().and_then(|nodes| nodes.parse().ok()).unwrap_or(NODES);
    let of = |nodes: usize| {
        let mut loading = Loading::new(None, 1);
        population::populate(Size { nodes, pods: nodes * 30 }, 1, &mut |object| loading.take(&object));
        loading.finish()
    };
    let (small, large) = (of(nodes / 10), of(nodes));
    println!("{:34} {:>12} {:>12} {:>7}   objects read", "judged", "small", "large", "ratio");
    for (what, method, path, body) in ACTIONS.iter().filter(|action| action.0.contains(&only)) {
        row(what, play(&small, method, path, body), play(&large, method, path, body));
    }
}

/// What was timed, and how many objects were read for it.
struct Cost {
    times: Vec<Duration>,
    reads: u64,
}

impl Cost {
    fn of(times: usize, mut what: impl FnMut() -> (Duration, u64)) -> Self {
        let mut cost = Self { times: Vec::new(), reads: 0 };
        for _ in 0..times {
            let (time, reads) = what();
            cost.times.push(time);
            cost.reads = reads;
        }
        cost.times.sort_unstable();
        cost
    }

    fn middle(&self) -> Duration {
        self.times[self.times.len() / 2]
    }
}

fn row(what: &str, small: Cost, large: Cost) {
    let ratio = large.middle().as_secs_f64() / small.middle().as_secs_f64();
    let shown = |cost: &Cost| format!("{:.1} µs", cost.middle().as_secs_f64() * 1e6);
    println!("{what:34} {:>12} {:>12} {ratio:>7.2}   {} {}", shown(&small), shown(&large), small.reads, large.reads);
}

fn call(cluster: &Cluster, method: &str, path: &str, body: &str) -> Call {
    let pod = || cluster.list("pods", Some(SHOP)).find(|(_, pod)| pod.label("app") == Some("cart")).unwrap().0.clone();
    let path = match path {
        "{pod}" => format!("/api/v1/namespaces/{SHOP}/pods/{}", pod().name),
        path => path.to_owned(),
    };
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let headers =
        [("content-type", kind), ("accept", "application/json")].map(|(name, value)| (name.into(), value.into()));
    let request = Request { method, path, query, headers: &headers, body: body.as_bytes() };
    apiserver::decode(&cluster.schema, &request).unwrap()
}

/// Plays an action and reads its effect, each time on a fork.
fn play(cluster: &Cluster, method: &str, path: &str, body: &str) -> Cost {
    let call = call(cluster, method, path, body);
    Cost::of(times(), || {
        let begin = Instant::now();
        let mut twin = ClusterTwin::new(cluster.clone());
        std::hint::black_box(twin.play(&call, &AtomicBool::new(false)).unwrap());
        (begin.elapsed(), twin.reads())
    })
}
