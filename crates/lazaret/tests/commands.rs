//! What commands print: for people, for programs with `-o json`, and to nobody at all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::gate::LAZARET;
use support::{Folder, Station};

/// A gate that answers a held request at once.
const IMPATIENT: &str = "[hold]\npatience_seconds = 0\nretry_after_seconds = 0\n";

/// Runs a command; its output goes to the pipe, if there is one.
fn lazaret(arguments: &[&str], input: &str, output: impl Into<Stdio>) -> Output {
    let mut command = Command::new(LAZARET);
    command.args(arguments).stdin(Stdio::piped()).stdout(output).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // It need not read it all.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    process.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The end of a pipe that nobody reads from any more, as after `| head`.
fn unheard() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// Production of a station as a file.
fn snapshot(station: &Station) -> PathBuf {
    let file = station.folder.join("production.jsonl");
    let kubeconfig = station.production.kubeconfig.to_str().unwrap();
    let made = lazaret(&["snapshot", "--kubeconfig", kubeconfig, "-o", file.to_str().unwrap()], "", Stdio::piped());
    assert!(made.status.success(), "{}", said(&made));
    file
}

/// An action as `judge` reads it.
fn scale(name: &str, replicas: u32) -> String {
    let path = format!("/apis/apps/v1/namespaces/shop/deployments/{name}/scale");
    let headers = json!({"Content-Type": "application/merge-patch+json"});
    let body = json!({"spec": {"replicas": replicas}});
    json!({"id": name, "request": {"method": "PATCH", "path": path, "headers": headers, "body": body}}).to_string()
}

#[test]
fn every_rule_in_force_is_listed_with_its_help_its_remedy_and_its_limits() {
    let folder = Folder::new();
    let config = folder.join("lazaret.toml");
    std::fs::write(&config, "[policy]\ndeleted_max = 7\n").unwrap();
    let list = ["policy", "list", "--config", config.to_str().unwrap()];
    let rules: Value =
        serde_json::from_slice(&lazaret(&[&list[..], &["-o", "json"]].concat(), "", Stdio::piped()).stdout).unwrap();
    let rules = rules.as_array().unwrap();
    let text = said(&lazaret(&list, "", Stdio::piped()));
    let mut names = BTreeSet::new();
    for rule in rules {
        for part in ["name", "help", "remedy"] {
            let part = rule[part].as_str().unwrap();
            assert!(!part.is_empty() && text.contains(part), "{part} is not in\n{text}");
        }
        names.insert(rule["name"].as_str().unwrap());
    }
    assert_eq!(names, policies::builtin().iter().map(|rule| rule.name()).collect::<Vec<_>>().into_iter().collect());
    let blast = rules.iter().find(|rule| rule["name"] == "blast-radius").unwrap();
    assert_eq!((&blast["limits"]["deleted_max"], &blast["limits"]["objects_max"]), (&json!(7), &json!(50)));
    assert!(text.contains("deleted_max = 7\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_leaves_is_no_failure_and_hides_no_verdict() {
    let station = Station::start().await;
    let agent = station.gate.agent("oncall");
    let client = station.gate.client(&agent.token);
    let path = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
    assert_eq!(client.patch(path, &json!({"spec": {"replicas": 4}})).await.code, 200);
    let case = station.gate.json(&["show"])[0]["case"].as_str().unwrap().to_owned();
    let (file, data) = (snapshot(&station), station.gate.data.to_str().unwrap());
    let judge = ["judge", "--snapshot", file.to_str().unwrap()];
    let of_the_data: [&[&str]; 8] = [
        &["show"],
        &["show", &case],
        &["show", &case, "-o", "json"],
        &["pending"],
        &["mode"],
        &["journal", "verify"],
        &["journal", "export"],
        &["agent", "add", "other"],
    ];
    let mut cases: Vec<(Vec<&str>, i32)> =
        of_the_data.map(|command| ([command, &["--data", data]].concat(), 0)).to_vec();
    cases.push((vec!["policy", "list"], 0));
    cases.push((judge.to_vec(), 4));
    for (command, status) in cases {
        let run = lazaret(&command, &scale("web", 0), unheard());
        assert_eq!((run.status.code(), said(&run).as_str()), (Some(status), ""), "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn judge_and_what_if_measure_with_the_limits_of_a_policy_file() {
    let station = Station::start().await;
    let file = snapshot(&station);
    let strict = station.folder.join("strict.toml");
    std::fs::write(&strict, "[policy]\navailability_floor_permille = 1000\n").unwrap();
    let limits: [&[&str]; 2] = [&[], &["--policy", strict.to_str().unwrap()]];
    for (limits, status, verdict) in [(limits[0], 0, "allow"), (limits[1], 4, "replicas >= 3")] {
        let snapshot = ["--snapshot", file.to_str().unwrap()];
        let judge = [&["judge"][..], &snapshot, limits].concat();
        let what_if = [&["what-if"][..], &snapshot, limits, &["--"]].concat();
        let kubectl = ["kubectl", "-n", "shop", "scale", "deployment/web", "--replicas=2"];
        for command in [judge, [&what_if[..], &kubectl].concat()] {
            let run = lazaret(&command, &scale("web", 2), Stdio::piped());
            let told = said(&run);
            assert!(run.status.code() == Some(status) && told.contains(verdict), "{command:?}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_for_people_is_printed_for_programs_too() {
    let station = Station::of(&support::shop(), IMPATIENT, &[]).await;
    let gate = &station.gate;
    let client = gate.client(&gate.agent("oncall").token);
    let mut held = Vec::new();
    for name in ["web", "lone"] {
        assert_eq!(client.delete(&format!("/api/v1/namespaces/shop/services/{name}")).await.code, 429);
        let pending = gate.json(&["pending"]);
        let title = format!("delete Service/shop/{name}");
        let waits = pending.as_array().unwrap().iter().find(|case| case["title"] == *title).unwrap();
        held.push(waits["case"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        gate.json(&["approve", &held[0], "--as", "ana"]),
        json!({"case": held[0], "decision": "approved", "by": "ana", "title": "delete Service/shop/web"})
    );
    assert_eq!(
        gate.json(&["deny", &held[1], "--as", "ana"]),
        json!({"case": held[1], "decision": "denied", "by": "ana", "title": "delete Service/shop/lone"})
    );
    assert_eq!(gate.json(&["mode"])["mode"], "enforce");
    assert_eq!(gate.json(&["mode", "observe", "--as", "ana"]), json!({"mode": "observe"}));
    let verified = gate.json(&["journal", "verify"]);
    assert!(verified["whole"] == true && verified["entries"].as_u64().unwrap() > 4, "{verified}");
    let added = gate.json(&["agent", "add", "other", "--ttl", "5"]);
    assert_eq!((&added["agent"], &added["minutes"]), (&json!("other"), &json!(5)));
    for part in ["server", "token"] {
        assert!(added["kubeconfig"].as_str().unwrap().contains(added[part].as_str().unwrap()), "{part}: {added}");
    }
}
