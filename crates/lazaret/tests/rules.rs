//! A site's own rules, through the real program: read, refused when wrong, tried, in force, and held against the past.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::gate::LAZARET;
use support::{Folder, Station};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

fn lazaret(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(LAZARET);
    let mut process =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    process.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A configuration with this file of rules.
fn site(folder: &Folder, rules: &str) -> String {
    std::fs::create_dir_all(folder.join("rules")).unwrap();
    std::fs::write(folder.join("rules/site.yaml"), rules).unwrap();
    std::fs::write(folder.join("lazaret.toml"), "[policy]\nrules = \"rules\"\n").unwrap();
    folder.join("lazaret.toml").to_str().unwrap().to_owned()
}

fn rule(require: &str) -> String {
    format!("rules: [{{name: site, help: Keeps it well., remedy: Ask for less., require: \"{require}\"}}]\n")
}

#[test]
fn the_example_passes_its_own_tests() {
    let run = lazaret(&["policy", "test", "--config", &format!("{EXAMPLE}/lazaret.toml")], "");
    let told = said(&run);
    assert!(run.status.success() && told.contains("7 passed, 0 failed"), "{told}");
}

#[test]
fn a_test_that_expects_something_else_fails_and_says_what_it_got() {
    let folder = Folder::new();
    std::fs::copy(format!("{EXAMPLE}/rules/shop.jsonl"), folder.join("shop.jsonl")).unwrap();
    let test = "tests:\n- {name: nothing may pass, snapshot: ../shop.jsonl, rule: site, expect: allow, action: {request: \
        {method: DELETE, path: /api/v1/namespaces/shop/services/cart}}}\n";
    let config = site(&folder, &(rule("objects.size() == 0") + test));
    let run = lazaret(&["policy", "test", "--config", &config], "");
    let told = said(&run);
    assert!(run.status.code() == Some(1), "{told}");
    assert!(told.contains("FAILED  nothing may pass") && told.contains("site: expected allow, got deny"), "{told}");
}

#[test]
fn rules_without_tests_are_not_called_good() {
    let folder = Folder::new();
    let run = lazaret(&["policy", "test", "--config", &site(&folder, &rule("true"))], "");
    assert!(run.status.code() == Some(1) && said(&run).contains("there are no tests"), "{}", said(&run));
}

#[test]
fn a_rule_that_is_wrong_keeps_everything_from_starting_and_says_where() {
    let folder = Folder::new();
    for (rules, why) in [
        (rule("forecast.servces.size() == 0"), "rule site: require: ERROR: <input>:1:9: undefined field 'servces'"),
        (rule("objects"), "it gives list(Change), and has to give bool"),
        ("rules: [{name: site, requires: 'true'}]".to_owned(), "unknown field `requires`"),
        (rule("true") + &rule("true").replace("rules: [", "").replace("]\n", ""), "site.yaml"),
        (
            "exceptions: [{rule: gone, why: w, by: b, until: 2027-01-01T00:00:00Z}]".to_owned(),
            "rule gone: exception: there is no such rule",
        ),
        (rule("true").replace("name: site", "name: capacity"), "rule capacity: name: another rule has it too"),
    ] {
        let config = site(&folder, &rules);
        for command in [&["policy", "list", "--config"][..], &["serve", "--config"], &["policy", "test", "--config"]] {
            let run = lazaret(&[command, &[&config]].concat(), "");
            assert!(!run.status.success() && said(&run).contains(why), "{command:?} {rules}: {}", said(&run));
        }
    }
}

#[test]
fn judge_asks_the_sites_rules_too_and_names_them() {
    let scale = json!({"id": "a", "request": {
        "method": "PATCH",
        "path": "/apis/apps/v1/namespaces/shop/deployments/cart/scale",
        "headers": {"Content-Type": "application/merge-patch+json"},
        "body": {"spec": {"replicas": 7}},
    }});
    let snapshot = format!("{EXAMPLE}/rules/shop.jsonl");
    let judged = |rules: &[&str]| -> Value {
        let run = lazaret(&[&["judge", "--snapshot", &snapshot], rules].concat(), &scale.to_string());
        serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{}", said(&run)))
    };
    assert_eq!(judged(&[])["verdict"], "allow");
    let folder = Folder::new();
    let config = site(&folder, &rule("objects.filter(o, o.object.kind == 'Pod' && o.manner == 'created').size() < 1"));
    let ruling = judged(&["--policy", &config]);
    assert_eq!((&ruling["verdict"], &ruling["tier"]), (&json!("deny"), &json!("simulation")));
    assert_eq!(ruling["why"][0]["policy"], "site");
    assert_eq!(ruling["why"][0]["wouldPass"], "Ask for less.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_enforces_a_sites_rule_and_the_past_is_held_against_another() {
    let rules = Folder::new();
    site(&rules, &rule("!objects.exists(o, o.object.name == 'lone')"));
    let config = format!("[policy]\nrules = {:?}\n", rules.join("rules").to_str().unwrap());
    let station = Station::of(&support::shop(), &config, &[]).await;
    let client = station.gate.client(&station.gate.agent("oncall").token);
    let scale = |name: &str| format!("/apis/apps/v1/namespaces/shop/deployments/{name}/scale");
    assert_eq!(client.patch(&scale("web"), &json!({"spec": {"replicas": 4}})).await.code, 200);
    let refused = client.patch(&scale("lone"), &json!({"spec": {"replicas": 2}})).await;
    assert_eq!(refused.code, 403, "{}", refused.message());
    assert!(
        refused.message().contains("objects.exists") && refused.message().contains("site"),
        "{}",
        refused.message()
    );

    let data = station.gate.data.to_str().unwrap();
    let other = Folder::new();
    let diff = |rules: &str| {
        let config = site(&other, rules);
        lazaret(&["policy", "diff", "--data", data, "--policy", &config, "-o", "json"], "")
    };
    let run = diff(&rule("action.agent != 'oncall'"));
    let told: Value = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("{}", said(&run)));
    assert_eq!((run.status.code(), told["cases"].as_u64()), (Some(3), Some(2)), "{told}");
    let changed = &told["different"][0];
    assert_eq!((&changed["before"], &changed["after"]), (&json!("allow"), &json!("deny")), "{told}");
    assert_eq!(changed["title"], "scale Deployment/shop/web");
    let same = diff(&rule("!action.resources.exists(r, r.name == 'lone')"));
    assert_eq!(same.status.code(), Some(0), "{}", said(&same));
}
