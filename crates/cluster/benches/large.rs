//! What a large cluster costs: to load, to keep, to fork, to change, to read.
//!
//! Knows: what to time, and how far ahead a simulation looks.
//! Does not know: the clusters, the actions and the table, which `measure` has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a measuring instrument
#![expect(clippy::disallowed_methods, reason = "what varies is said to an instrument from outside")]

mod measure;

use std::hint::black_box;
use std::time::Duration;

use cluster::apiserver::{self, Call, User};
use cluster::{Cluster, ObjectKey};
use measure::{ACTIONS, Cost, Goal, NONE, within};

/// As the command has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How far ahead a simulation looks, as the gate's does.
const HORIZON: Duration = Duration::from_secs(600);

/// How long `kubectl drain` waits before it asks again for a pod that may not be evicted yet.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What is read.
const READS: &[(&str, &str)] = &[
    ("get a pod", "/api/v1/namespaces/shop/pods/{cart}"),
    ("list the pods of a namespace", "/api/v1/namespaces/shop/pods"),
    ("list the first 500 pods of all", "/api/v1/pods?limit=500"),
    ("list the pods of a node", "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-00007"),
    ("list all pods, as bytes", "/api/v1/pods"),
    (
        "begin a watch of all pods",
        "/api/v1/pods?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
    ),
];

fn main() {
    // `cargo test --benches` only wants to know that it compiles and starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let small = measure::loaded("small", measure::size(measure::nodes() / 10));
    let large = measure::loaded("large", measure::size(measure::nodes()));
    measure::header();
    let row = |what: &str, goal: Goal, cost: &dyn Fn(&Cluster) -> Cost| {
        if measure::asked(what) {
            measure::row(what, goal, &cost(&small), &cost(&large));
        }
    };
    row("fork", within(0.001), &fork);
    for action in ACTIONS {
        row(action.what, action.goal, &|cluster| play(cluster, &action.call(cluster)));
    }
    row("drain a node", within(20.0), &drain);
    row("let 10 minutes pass", within(10.0), &idle);
    for (what, path) in READS {
        row(what, NONE, &|cluster| read(cluster, path));
    }
}

fn fork(cluster: &Cluster) -> Cost {
    Cost::of(|| {
        let begin = measure::Clock::start();
        for _ in 0..1000 {
            black_box(cluster.clone());
        }
        (begin.elapsed() / 1000, 0)
    })
}

/// Does something to forks of a cluster and lets what follows from it happen.
fn on_forks(cluster: &Cluster, mut what: impl FnMut(&mut Cluster)) -> Cost {
    let mut digest = None;
    let cost = Cost::of(|| {
        let begin = measure::Clock::start();
        let mut fork = cluster.clone();
        what(&mut fork);
        let until = cluster.now() + HORIZON;
        fork.settle(until);
        let spent = (begin.elapsed(), fork.reads() - cluster.reads());
        digest.get_or_insert_with(|| measure::digest(&fork, cluster.version()));
        spent
    });
    cost.with_digest(digest.unwrap_or_default())
}

fn play(cluster: &Cluster, call: &Call) -> Cost {
    on_forks(cluster, |fork| {
        apiserver::handle(fork, call, &User::admin()).unwrap();
    })
}

/// What `kubectl drain` does: cordons the node, and evicts what no DaemonSet keeps there until it is gone.
fn drain(cluster: &Cluster) -> Cost {
    const NODE: &str = "node-00007";
    let cordon = ACTIONS.iter().find(|action| action.what == "cordon a node").unwrap().call(cluster);
    let pods = cluster.pods_on(NODE).filter(|(_, pod)| pod.controller().is_none_or(|by| by.kind() != "DaemonSet"));
    let evictions: Vec<(ObjectKey, Call)> = pods
        .map(|(key, _)| {
            let (namespace, name) = (&key.namespace, &key.name);
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
            let body = cluster::doc!({
                "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": (name), "namespace": (namespace)},
            });
            (key.clone(), measure::call(cluster, "POST", &path, &body.to_json()))
        })
        .collect();
    on_forks(cluster, |fork| {
        apiserver::handle(fork, &cordon, &User::admin()).unwrap();
        let until = fork.now() + HORIZON;
        let mut left: Vec<&(ObjectKey, Call)> = evictions.iter().collect();
        while !left.is_empty() && fork.now() < until {
            left.retain(|(_, call)| apiserver::handle(fork, call, &User::admin()).is_err());
            let pause = fork.now() + ASK_AGAIN;
            fork.advance(pause);
        }
        // A StatefulSet's pod comes again under its name, elsewhere.
        assert!(fork.pods_on(NODE).all(|(_, pod)| pod.controller().is_some_and(|by| by.kind() == "DaemonSet")));
    })
}

fn read(cluster: &Cluster, path: &str) -> Cost {
    let call = measure::call(cluster, "GET", path, "");
    Cost::of(|| {
        let mut fork = cluster.clone();
        let begin = measure::Clock::start();
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
    Cost::of(|| {
        let mut fork = cluster.clone();
        let until = fork.now() + HORIZON;
        let begin = measure::Clock::start();
        fork.advance(until);
        (begin.elapsed(), fork.reads() - cluster.reads())
    })
}
