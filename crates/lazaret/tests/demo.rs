//! `lazaret demo --exit`: the story comes out the same, with kubectl and without.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

use std::path::PathBuf;
use std::process::Command;

/// What the demo prints, in one line of single blanks, where what is in the PATH is this.
fn told(path: &str) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_lazaret")).args(["demo", "--exit"]).env("PATH", path).output().unwrap();
    let out = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{out}{}", String::from_utf8_lossy(&run.stderr));
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Checks that the parts stand in the story, in this order.
fn check(story: &str, parts: &[&str]) {
    let mut rest = story;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} does not come where it should in\n{story}"));
        rest = &rest[at + part.len()..];
    }
}

/// What the gate says, whoever asks.
const VERDICTS: [&str; 9] = [
    "scale Deployment/shop/checkout is denied: service shop/checkout would have 0 of 5 endpoints",
    "Would pass: replicas >= 4",
    "Told what would pass",
    "is denied: exec opens a session",
    "asks to delete Namespace/shop-2025",
    "held because the data of PersistentVolume/pvc-orders-2025 would be lost for good (policy data-loss)",
    "ana approved: \"orders are archived\"",
    "production did it",
    "The journal is whole:",
];

#[test]
fn the_demo_tells_its_story_with_kubectl() {
    let path = std::env::var("PATH").unwrap();
    let kubectl = std::env::split_paths(&path).any(|folder: PathBuf| folder.join("kubectl").is_file());
    assert!(kubectl, "this test needs kubectl in the PATH: run scripts/test");
    let story = told(&path);
    check(&story, &VERDICTS);
    check(
        &story,
        &[
            "$ kubectl get deployments,pods -n shop",
            "Error from server (Forbidden)",
            "deployment.apps/checkout rolled back",
            "deployment \"checkout\" successfully rolled out",
            "namespace \"shop-2025\" deleted",
        ],
    );
    assert!(!story.contains("sk_live"), "a secret's value was printed");
}

#[test]
fn the_demo_tells_the_same_story_where_there_is_no_kubectl() {
    let story = told("");
    check(&story, &VERDICTS);
    check(&story, &["$ GET /apis/apps/v1/namespaces/shop/deployments", "403 scale Deployment/shop/checkout is denied"]);
    assert!(!story.contains("$ kubectl") && !story.contains("sk_live"), "{story}");
}
