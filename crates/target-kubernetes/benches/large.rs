//! What judging an action on a large cluster costs: the action, what follows from it, and its effect; and what it takes to
//! read the cluster from a file.
//!
//! Knows: what to time.
//! Does not know: the clusters, the actions and the table, which the ruler of the crate below has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a measuring instrument

#[path = "../../cluster/benches/measure/mod.rs"]
mod measure;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::atomic::AtomicBool;

use cluster::apiserver::Call;
use cluster::{Cluster, population};
use measure::{ACTIONS, Cost};
use target_kubernetes::snapshot;
use target_kubernetes::twin::ClusterTwin;

/// As the command has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // `cargo test --benches` only wants to know that it compiles and starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let small = from_file("small", measure::nodes() / 10);
    let large = from_file("large", measure::nodes());
    measure::header();
    for action in ACTIONS.iter().filter(|action| measure::asked(action.what)) {
        let cost = |cluster: &Cluster| judge(cluster, &action.call(cluster));
        measure::row(action.what, action.judged, &cost(&small), &cost(&large));
    }
}

/// A cluster from a snapshot, as the gate reads one, and how long that takes.
fn from_file(name: &str, nodes: usize) -> Cluster {
    let path = std::env::temp_dir().join(format!("lazaret-large-{}-{name}.jsonl", std::process::id()));
    let mut file = BufWriter::new(File::create(&path).unwrap());
    population::populate(measure::size(nodes), 1, &mut |object| {
        file.write_all(&object.to_json_bytes()).unwrap();
        file.write_all(b"\n").unwrap();
    });
    drop(file);
    let before = measure::memory("VmRSS:");
    let begin = measure::Clock::start();
    let cluster = snapshot::load(std::slice::from_ref(&path), None, 1).unwrap();
    let took = begin.elapsed();
    let bytes = std::fs::metadata(&path).unwrap().len();
    std::fs::remove_file(&path).unwrap();
    println!(
        "{name}: {} objects from a file of {} MB in {} ms (goal of the large one: 5000); {} MB kept, {} MB at most so far",
        cluster.len(),
        bytes >> 20,
        took.as_millis(),
        measure::memory("VmRSS:").saturating_sub(before) >> 20,
        measure::memory("VmHWM:") >> 20,
    );
    cluster
}

/// Plays an action and reads its effect, each time on a fork.
fn judge(cluster: &Cluster, call: &Call) -> Cost {
    let mut digest = None;
    let cost = Cost::of(|| {
        let begin = measure::Clock::start();
        let mut twin = ClusterTwin::new(cluster.clone());
        let told = std::hint::black_box(twin.play(call, &AtomicBool::new(false)).unwrap());
        let spent = (begin.elapsed(), twin.reads());
        drop(told);
        digest.get_or_insert_with(|| measure::digest(twin.cluster(), cluster.version()));
        spent
    });
    cost.with_digest(digest.unwrap_or_default())
}
