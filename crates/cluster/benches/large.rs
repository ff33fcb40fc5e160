//! What a large cluster costs: to load, to keep, to fork, to change, to read.
//!
//! Knows: a generated cluster of 5,000 nodes and 150,000 pods, one of a tenth of that, and a clock.
//! Does not know: what is fast enough. Machines differ, so it prints the large one beside the small one: work that is
//! proportional to what is touched has a ratio near 1.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a measuring instrument
#![expect(clippy::disallowed_methods, reason = "the clock that measures is not the cluster's")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use cluster::Cluster;
use cluster::apiserver::{self, Call, Request, User};
use cluster::population::{self, SHOP, Size};
use cluster::snapshot::Loading;

/// How many nodes the large cluster has; the small one has a tenth, and both have thirty pods for each.
const NODES: usize = 5_000;
/// How far ahead a simulation looks, as the gate's does.
const HORIZON: Duration = Duration::from_secs(600);
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
    let of = |nodes: usize| Size { nodes, pods: nodes * 30 };
    let small = measured("small", of(nodes / 10));
    let large = measured("large", of(nodes));
    println!("\n{:34} {:>12} {:>12} {:>7}   objects read", "", "small", "large", "ratio");
    fork(&small, &large);
    for (what, method, path, body) in ACTIONS.iter().filter(|action| action.0.contains(&only)) {
        let play = |cluster: &Cluster| play(cluster, method, path, body);
        row(what, play(&small), play(&large));
    }
    for (what, path) in [
        ("get a pod", "{pod}"),
        ("list the pods of a namespace", "/api/v1/namespaces/shop/pods"),
        ("list the first 500 pods of all", "/api/v1/pods?limit=500"),
        ("list the pods of a node", "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-00007"),
        ("list all pods, as bytes", "/api/v1/pods"),
        (
            "begin a watch of all pods",
            "/api/v1/pods?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
        ),
    ] {
        if what.contains(&only) {
            row(what, read(&small, path), read(&large, path));
        }
    }
    row("let 10 minutes pass", idle(&small), idle(&large));
}

/// Loads a cluster from JSON text, and says what that took.
fn measured(name: &str, size: Size) -> Cluster {
    let (mut text, mut count, mut parsing, mut loaded) = (0, 0, Duration::ZERO, Duration::ZERO);
    let before = resident();
    let mut loading = Loading::new(None, 1);
    population::populate(size, 1, &mut |object| {
        let bytes = object.to_json_bytes();
        (text, count) = (text + bytes.len(), count + 1);
        let begin = Instant::now();
        let object = loading.interner().parse(&bytes).unwrap().value;
        parsing += begin.elapsed();
        let begin = Instant::now();
        loading.take_shared(object);
        loaded += begin.elapsed();
    });
    let begin = Instant::now();
    let mut cluster = loading.finish();
    loaded += begin.elapsed();
    let begin = Instant::now();
    cluster.resume();
    let resuming = begin.elapsed();
    let kept = resident().saturating_sub(before);
    println!(
        "{name}: {} nodes, {} pods, {count} objects, {} MB of JSON, {} bytes each\n  read {} ms, load {} ms, resume {} ms; {} MB kept, {} bytes an object",
        size.nodes,
        size.pods,
        text >> 20,
        text / count,
        parsing.as_millis(),
        loaded.as_millis(),
        resuming.as_millis(),
        kept >> 20,
        kept / count,
    );
    cluster
}

/// How much memory this process has in use, as Linux counts it.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok()).unwrap_or(0) << 10
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

fn fork(small: &Cluster, large: &Cluster) {
    let forks = |cluster: &Cluster| {
        Cost::of(times(), || {
            let begin = Instant::now();
            for _ in 0..1000 {
                black_box(cluster.clone());
            }
            (begin.elapsed() / 1000, 0)
        })
    };
    row("fork", forks(small), forks(large));
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

/// Plays an action and what follows from it, each time on a fork.
fn play(cluster: &Cluster, method: &str, path: &str, body: &str) -> Cost {
    let call = call(cluster, method, path, body);
    Cost::of(times(), || {
        let begin = Instant::now();
        let mut fork = cluster.clone();
        apiserver::handle(&mut fork, &call, &User::admin()).unwrap();
        let until = fork.now() + HORIZON;
        fork.settle(until);
        if std::env::var("TRACE").is_ok() {
            for change in fork.changes_since(cluster.version()).unwrap() {
                println!("{} {} {}", change.at, change.key, change.version);
            }
            std::process::exit(0);
        }
        (begin.elapsed(), fork.reads() - cluster.reads())
    })
}

fn read(cluster: &Cluster, path: &str) -> Cost {
    let call = call(cluster, "GET", path, "");
    Cost::of(3, || {
        let mut fork = cluster.clone();
        let begin = Instant::now();
        let answer = apiserver::handle(&mut fork, &call, &User::admin());
        let encoded = apiserver::encode(&answer, &call.output);
        match encoded.body {
            apiserver::Body::Bytes(bytes) => drop(black_box(bytes)),
            apiserver::Body::Watch(mut watch) => drop(black_box(watch.poll(&fork).unwrap())),
        }
        (begin.elapsed(), fork.reads() - cluster.reads())
    })
}

fn idle(cluster: &Cluster) -> Cost {
    Cost::of(3, || {
        let mut fork = cluster.clone();
        let until = fork.now() + HORIZON;
        let begin = Instant::now();
        fork.advance(until);
        (begin.elapsed(), fork.reads() - cluster.reads())
    })
}
