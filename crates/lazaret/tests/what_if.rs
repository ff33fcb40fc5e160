//! `lazaret snapshot` and `lazaret what-if`, as an SRE uses them: production written to a file, and a command tried on a fork
//! of it with the real kubectl.
//!
//! Needs kubectl in the PATH; `scripts/test` puts one there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]
#![cfg(test)]

#[path = "support/twin.rs"]
mod twin;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;
use twin::Twin;

/// A shop of three, its Service and a Secret, written down once for all tests of this file.
static SNAPSHOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let production = Twin::serve(&["--nodes", "3"]);
    production.run("create namespace shop");
    production.run("-n shop create deployment web --image=registry.test/app:1 --replicas=3");
    production.run("-n shop expose deployment web --port=80");
    production.run("-n shop create secret generic db --from-literal=password=hunter2");
    production.run("-n shop rollout status deployment/web --timeout=60s");
    let file = std::env::temp_dir().join(format!("lazaret-what-if-{}.jsonl.gz", std::process::id()));
    let made = lazaret(&["snapshot", "--kubeconfig", production.said("kubeconfig"), "-o", file.to_str().unwrap()]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    file
});

fn lazaret(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lazaret")).args(arguments).output().unwrap()
}

/// The exit status, and what was printed.
fn what_if(arguments: &[&str], command: &str) -> (i32, String) {
    let file = SNAPSHOT.to_str().unwrap();
    let mut line = vec!["what-if", "--snapshot", file];
    line.extend(arguments);
    line.push("--");
    line.extend(command.split(' '));
    let run = lazaret(&line);
    (run.status.code().unwrap(), String::from_utf8(run.stdout).unwrap() + &String::from_utf8_lossy(&run.stderr))
}

#[test]
fn what_a_command_would_do_is_told_with_a_status_that_scripts_can_read() {
    for (command, status, says) in [
        ("kubectl -n shop scale deployment/web --replicas=4", 0, "allow  scale Deployment/shop/web"),
        ("kubectl -n shop scale deployment/web --replicas=0", 4, "would pass: replicas >= 2"),
        ("kubectl delete namespace shop", 3, "because service shop/web would be gone, with its 3 endpoints"),
        ("kubectl -n shop delete service web", 3, "because service shop/web would be gone, with its 3 endpoints"),
        ("kubectl -n shop delete deployment web", 4, "would pass: service shop/web keeps 2 ready endpoints"),
        ("kubectl -n shop get pods", 0, "kubectl changed nothing, and ended with exit status: 0."),
        ("no-such-program", 1, "no-such-program could not be run"),
    ] {
        let (code, said) = what_if(&[], command);
        assert!(code == status && said.contains(says), "{command}: {code}: {said}");
    }
}

#[test]
fn a_command_goes_on_with_what_its_earlier_actions_did() {
    let steps = "kubectl -n shop scale deployment/web --replicas=5 && kubectl -n shop rollout status deployment/web \
                 --timeout=60s && kubectl -n shop scale deployment/web --replicas=4";
    let file = SNAPSHOT.to_str().unwrap();
    let run = lazaret(&["what-if", "--snapshot", file, "-o", "json", "--", "sh", "-c", steps]);
    let said = String::from_utf8(run.stdout).unwrap();
    let rulings: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let wanted = |at: usize, field: &str| {
        rulings[at]["effect"]["forecast"]["workloads"]["Deployment/shop/web"][field].as_u64().unwrap()
    };
    assert_eq!(rulings.len(), 2, "{said}");
    assert_eq!((wanted(0, "wantedBefore"), wanted(0, "wantedAfter")), (3, 5));
    assert_eq!((wanted(1, "wantedBefore"), wanted(1, "wantedAfter")), (5, 4));
}

#[test]
fn no_secret_leaves_production_with_a_snapshot() {
    let unpacked = Command::new("gzip").args(["-dc", SNAPSHOT.to_str().unwrap()]).output().unwrap().stdout;
    let text = String::from_utf8(unpacked).unwrap();
    assert!(text.contains(r#""kind":"Secret""#));
    assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"));
}
