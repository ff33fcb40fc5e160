//! Who may know whom: the table of `ARCHITECTURE.md`, held against what cargo says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Every crate of the workspace, and which of the others it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("cel", &[]),
    ("load", &[]),
    ("model", &[]),
    ("twin", &[]),
    ("policies", &["cel", "model"]),
    ("cluster", &["cel", "load", "twin"]),
    ("gate", &["model"]),
    ("target-kubernetes", &["model", "gate", "cluster", "load", "twin"]),
    ("lazaret", &["model", "gate", "policies", "cluster", "cel", "load", "twin", "target-kubernetes"]),
];

/// Crates without I/O, clock or entropy, and what they may therefore never reach, even through others.
const PURE: &[&str] = &["cel", "load", "model", "twin", "policies", "cluster"];
const IMPURE: [&[&str]; 3] = [INPUT_OUTPUT, CLOCK, ENTROPY];
const INPUT_OUTPUT: &[&str] = &[
    "async-io",
    "async-std",
    "hyper",
    "kube",
    "memmap2",
    "mio",
    "reqwest",
    "rusqlite",
    "rustls",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
    "ureq",
];
// jiff reckons with times and dates; that nobody asks it what time it is, is held by clippy.toml.
const CLOCK: &[&str] = &["chrono", "quanta", "time"];
const ENTROPY: &[&str] = &["ahash", "fastrand", "getrandom", "rand", "uuid"];

/// What the heart may not know: HTTP and the SQL of a target are a target's own.
const NOT_IN_GATE: &[&str] = &["hyper", "http", "kube", "rustls", "tokio-postgres"];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// For each package, by name, the names of the packages that its library or program is built from.
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut names = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        names.insert(package["id"].as_str().expect("id"), package["name"].as_str().expect("name"));
    }
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().expect("nodes") {
        let uses = graph.entry(names[node["id"].as_str().expect("id")].to_owned()).or_default();
        for dep in node["deps"].as_array().expect("deps") {
            let normal = dep["dep_kinds"].as_array().expect("kinds").iter().any(|kind| kind["kind"].is_null());
            if normal {
                uses.insert(names[dep["pkg"].as_str().expect("pkg")].to_owned());
            }
        }
    }
    graph
}

fn reached(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
    while let Some(name) = open.pop() {
        for next in graph.get(&name).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    seen
}

#[test]
fn a_crate_uses_only_the_crates_that_it_may_know() {
    let metadata = metadata();
    let graph = dependencies(&metadata);
    let members: BTreeSet<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    for (name, may) in MAY_USE {
        let uses: BTreeSet<&str> =
            graph[*name].iter().map(String::as_str).filter(|used| members.contains(used)).collect();
        let may: BTreeSet<&str> = may.iter().copied().collect();
        assert!(uses.is_subset(&may), "{name} uses {:?}, which it may not know", uses.difference(&may));
    }
    let workspace = metadata["workspace_members"].as_array().expect("members").len();
    assert_eq!(workspace, MAY_USE.len(), "a crate of the workspace is missing from the table");
}

#[test]
fn pure_crates_reach_no_io_no_clock_and_no_entropy() {
    let graph = dependencies(&metadata());
    for name in PURE {
        let found: Vec<_> = reached(&graph, name)
            .into_iter()
            .filter(|used| IMPURE.iter().any(|some| some.contains(&used.as_str())))
            .collect();
        assert!(found.is_empty(), "{name} reaches {found:?}");
    }
}

#[test]
fn the_heart_knows_no_wire_format() {
    let found: Vec<_> =
        dependencies(&metadata())["gate"].iter().filter(|used| NOT_IN_GATE.contains(&used.as_str())).cloned().collect();
    assert!(found.is_empty(), "gate uses {found:?}");
}
