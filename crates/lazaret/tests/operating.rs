//! What the person who runs a gate may rely on: what starts, what does not, and what they are told then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod support;

use std::process::{Command, Output};

use support::gate::LAZARET;
use support::{Folder, Production, Station};

/// Runs the program to its end: what it says of what went wrong, if it did.
fn complaint(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = Command::new(LAZARET).args(arguments).output().unwrap();
    assert!(!status.success(), "{arguments:?} should have failed");
    String::from_utf8_lossy(&stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gate_on_the_same_folder_leaves_the_first_ones_credential_alone() {
    let station = Station::start().await;
    let other = Production::start(&[], &station.folder.join("other")).await;
    let (data, vault) = (station.gate.data.to_str().unwrap(), station.gate.data.join("vault.json"));
    let before = std::fs::read(&vault).unwrap();
    let other = other.kubeconfig.to_str().unwrap();
    let said = complaint(&["serve", "--listen", "127.0.0.1:0", "--kubeconfig", other, "--data", data]);
    assert!(said.contains("another gate writes to the journal"), "{said}");
    assert_eq!(std::fs::read(&vault).unwrap(), before);
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_what_to_do() {
    let folder = Folder::new();
    let nowhere = complaint(&["serve", "--data", "/proc/nope"]);
    assert!(nowhere.contains("/proc/nope cannot be used") && nowhere.contains("--data"), "{nowhere}");

    let data = folder.join("data");
    let agents = data.join("agents.json");
    // What cannot be written over, whoever tries.
    std::fs::create_dir_all(agents.join("full")).unwrap();
    std::fs::write(data.join("ca.crt"), "").unwrap();
    let full = complaint(&["agent", "add", "bot", "--data", data.to_str().unwrap()]);
    assert!(full.contains(&format!("{} cannot be used", agents.display())) && full.contains("--data"), "{full}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_holds_a_token_that_has_ended_is_told_that_it_has() {
    let station = Station::start().await;
    let ended = station.gate.agent_for("yesterday", 0).token;
    let said = station.gate.client(&ended).get("/api").await;
    assert_eq!(said.code, 401);
    let message = said.message();
    assert!(message.contains("the token of agent yesterday ended"), "{message}");
    assert!(message.ends_with("lazaret agent add yesterday"), "{message}");
    for stranger in [format!("{ended}0"), "lzr_guess".to_owned(), String::new()] {
        let said = station.gate.client(&stranger).get("/api").await;
        assert_eq!((said.code, said.message().as_str()), (401, "Unauthorized"));
    }
}

#[cfg(debug_assertions)] // a release build has no plug to pull
#[tokio::test(flavor = "multi_thread")]
async fn a_doubt_that_looking_cannot_resolve_is_listed_and_settled_by_a_person() {
    let mut station = Station::of(&support::shop(), "[target]\nmode = \"observe\"\n", &[]).await;
    let token = station.gate.agent("oncall").token;
    station.gate.restart(&[("LAZARET_KILL_AT", "Intended")]);
    let client = station.gate.client(&token);
    // Which objects a deletion of many would have been about, nobody can see afterwards.
    let lost = client.try_send(client.request("DELETE", "/api/v1/namespaces/shop/secrets", "", "")).await;
    assert!(lost.is_err(), "{lost:?}");
    station.gate.restart(&[]);

    let doubtful = station.gate.json(&["pending"]);
    let case = doubtful[0]["case"].as_str().unwrap().to_owned();
    assert_eq!(doubtful.as_array().unwrap().len(), 1, "{doubtful}");
    assert!(doubtful[0]["inDoubt"].as_str().unwrap().contains("the gate ended"), "{doubtful}");
    let told = station.gate.ask(&["pending"]).unwrap();
    assert!(told.contains("in doubt") && told.contains(&format!("lazaret settle {case} --happened")), "{told}");

    let settle = |how: &str| station.gate.ask(&["settle", &case, how, "--as", "alice", "--note", "looked it up"]);
    let settled = settle("--did-not").unwrap();
    assert!(settled.contains(&case) && settled.contains("did not happen"), "{settled}");
    assert_eq!(station.gate.json(&["pending"]), serde_json::json!([]));
    let story = station.gate.ask(&["show", &case]).unwrap();
    assert!(story.contains("alice") && story.contains("looked it up"), "{story}");
    let again = settle("--happened").unwrap_err();
    assert!(again.contains(&format!("case {case} is not in doubt")), "{again}");
}
