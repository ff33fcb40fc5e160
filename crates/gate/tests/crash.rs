//! Kill the gate anywhere: nothing is lost, nothing is sent twice.
//!
//! This test program starts itself as a child that carries one action and kills itself at a given point; then it opens
//! what the child left behind, as a restarted gate would.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

mod toy;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use gate::vault::{Unlock, Write};
use gate::{CaseId, Journal, Person, Point, Probe, Refusal, Target as _, Task, Vault};
use model::ActionPolicy;
use secrecy::SecretSlice;
use toy::{Floor, Station, Toy, Trouble, hold_all};

const SECRET: &str = "production-password-hunter2";

/// Kills the process at one point.
struct Bomb(String);

impl Probe for Bomb {
    fn at(&self, point: Point, _: &CaseId) -> Task {
        if format!("{point:?}") == self.0 {
            std::process::abort();
        }
        Box::pin(async {})
    }
}

/// The gate over what is in a directory, and production as it has become.
fn station(directory: &Path, policies: Vec<Box<dyn ActionPolicy>>, bomb: Option<&str>) -> Station {
    let vault = Unlock::KeyFile(directory.join("vault.key"));
    let vault = Vault::open(&directory.join("vault.json"), vault).unwrap();
    let mut toy = Toy::new(&[("a", 3)]);
    vault.put(toy.name(), Write, &SecretSlice::from(SECRET.as_bytes().to_vec())).unwrap();
    toy.file = Some(directory.join("production.log"));
    for gone in done(directory) {
        toy.world.lock().unwrap().remove(&gone);
    }
    toy.sync();
    if let Some(at) = bomb.map(str::to_owned) {
        toy.within = Arc::new(move |within| {
            if within == at {
                std::process::abort()
            }
        });
    }
    let journal = Journal::open(directory, gate::journal::BUDGET_WINDOW_MS).unwrap();
    let probe = bomb.map(|at| Arc::new(Bomb(at.to_owned())) as Arc<dyn Probe>);
    Station::in_vault(toy, policies, probe, journal, vault, |_| {})
}

/// Everything that production ever did.
fn done(directory: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(directory.join("production.log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

fn policies(approved: bool) -> Vec<Box<dyn ActionPolicy>> {
    if approved { vec![hold_all()] } else { vec![Box::new(Floor)] }
}

const TROUBLES: [(&str, Trouble); 3] =
    [("none", Trouble::None), ("answer-lost", Trouble::AnswerLost), ("request-lost", Trouble::RequestLost)];

/// What the child does: one action, until it is killed.
#[test]
fn child() {
    let Ok(what) = std::env::var("GATE_CRASH") else { return };
    let [directory, at, trouble, approved] = what.split(';').collect::<Vec<_>>()[..] else { panic!("{what}") };
    let station = station(Path::new(directory), policies(approved == "approved"), Some(at));
    station.toy.trouble(TROUBLES.iter().find(|(name, _)| *name == trouble).unwrap().1);
    drop(station.ask("bot", "delete a-1"));
    station.hand.settle();
}

fn kill_at(directory: &Path, at: &str, trouble: &str, approved: bool) {
    if approved {
        let station = station(directory, policies(true), None);
        let case = station.ask("bot", "delete a-1").unwrap_err().case().unwrap().clone();
        let shown = station.gate.pending_cases()[0].shown;
        station.hand.run(station.gate.approve(&case, &Person::named("alice"), shown, "")).unwrap();
        drop(station);
        wait_for_lock(directory);
    }
    let how = if approved { "approved" } else { "allowed" };
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture"])
        .env("GATE_CRASH", format!("{};{at};{trouble};{how}", directory.display()))
        .output()
        .unwrap();
    assert!(!child.status.success(), "the child was to be killed at {at}: {}", String::from_utf8_lossy(&child.stdout));
}

/// The writer's thread gives the lock back when it has seen that nobody is left; a killed process at once.
fn wait_for_lock(directory: &Path) {
    for _ in 0..1000 {
        let lock = std::fs::File::open(directory.join("journal.lock")).unwrap();
        if lock.try_lock().is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    panic!("the journal stays locked");
}

#[test]
fn killed_at_any_point_nothing_is_lost_and_nothing_is_sent_twice() {
    let points = Point::ALL.iter().map(|point| format!("{point:?}"));
    let points: Vec<String> = points.chain(["before".into(), "after".into()]).collect();
    for (trouble, _) in TROUBLES {
        for approved in [false, true] {
            for at in &points {
                let unreached = trouble == "request-lost" && ["after", "Arrived"].contains(&at.as_str());
                if !unreached {
                    killed(at, trouble, approved);
                }
            }
        }
    }
}

fn killed(at: &str, trouble: &str, approved: bool) {
    let what = format!("killed at {at}, trouble {trouble}, approved {approved}");
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    kill_at(directory, at, trouble, approved);
    let happened = !done(directory).is_empty();

    // The restarted gate finds out by looking.
    let station = station(directory, policies(approved), None);
    station.hand.run(gate::resume(&station.gate)).unwrap();
    station.hand.settle();
    assert!(station.gate.in_doubt().is_empty(), "{what}");
    let archive = gate::Archive::open(directory).unwrap();
    archive.verify().unwrap();
    let stories: Vec<String> = archive
        .latest(10)
        .unwrap()
        .iter()
        .flat_map(|summary| archive.story(&summary.case).unwrap().unwrap().lines)
        .map(|line| line.text)
        .collect();
    let intents = stories.iter().filter(|line| line.starts_with("intent written")).count();
    let ends = ["production did it", "it happened", "it did not happen"];
    let concluded = stories.iter().filter(|line| ends.iter().any(|end| line.starts_with(end))).count();
    assert_eq!(intents, concluded, "{what}: {stories:#?}");
    assert!(!happened || intents == 1, "{what}: production did what was not on disk: {stories:#?}");
    assert_eq!(done(directory).len(), usize::from(happened), "{what}: sent again");

    // The agent asks again, as agents do.
    let again = station.ask("bot", "delete a-1");
    match (happened, intents, approved) {
        (true, ..) => assert!(matches!(again, Err(Refusal::Foreseen { .. })), "{what}: {again:?}"),
        // It came to nothing, and the approval went with it: single use.
        (false, 1, true) => assert!(matches!(again, Err(Refusal::Held { .. })), "{what}: {again:?}"),
        // Nothing was written, so a grant from before the crash still holds.
        _ => assert!(again.is_ok(), "{what}: {again:?}"),
    }
    assert!(done(directory).len() <= 1, "{what}");

    // And nowhere on disk stands what only the vault may know.
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{}", path.display());
    }
}

#[test]
fn held_cases_and_grants_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let first = station(directory, policies(true), None);
    let case = first.ask("bot", "delete a-1").unwrap_err().case().unwrap().clone();
    drop(first);
    wait_for_lock(directory);

    let second = station(directory, policies(true), None);
    let pending = second.gate.pending_cases();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].case, case);
    second.hand.run(second.gate.approve(&case, &Person::named("alice"), pending[0].shown, "")).unwrap();
    drop(second);
    wait_for_lock(directory);

    let third = station(directory, policies(true), None);
    assert_eq!(third.told("bot", "delete a-1"), "a-1 deleted");
    third.hand.settle();
    drop(third);
    wait_for_lock(directory);

    let fourth = station(directory, policies(true), None);
    assert!(fourth.gate.pending_cases().is_empty());
    assert_eq!(fourth.told("bot", "delete a-2"), "held");
    let other = fourth.ask("bot", "delete a-2").unwrap_err().case().unwrap().clone();
    assert_ne!(other, case, "numbers go on after a restart");
}

#[test]
fn two_gates_cannot_write_one_journal() {
    let directory = tempfile::tempdir().unwrap();
    let first = Journal::open(directory.path(), 1).unwrap();
    let second = Journal::open(directory.path(), 1).map(drop);
    assert!(second.unwrap_err().to_string().contains("another gate writes"));
    drop(first);
}

#[test]
fn without_the_key_that_sealed_what_is_on_its_way_the_gate_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    kill_at(directory, "before", "none", false);
    std::fs::remove_file(directory.join("vault.json")).unwrap();
    std::fs::remove_file(directory.join("vault.key")).unwrap();
    let station = station(directory, policies(false), None);
    let resumed = station.hand.run(gate::resume(&station.gate));
    assert!(matches!(resumed, Err(Refusal::Unavailable { .. })), "{resumed:?}");
    assert_eq!(station.told("bot", "delete a-2"), "unavailable", "nobody knows what is on its way");
}
