//! What the journal promises: order, durability, and that it shows when somebody touched it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use model::{Key, Micros, Ruling, Verdict};
use proptest::prelude::*;

use super::*;
use crate::permit::Warrant;
use crate::{Archive, Mode};

fn case(number: u64) -> CaseId {
    CaseId::of_number(number)
}

fn record(number: u64) -> Entry {
    let judgement = model::Judgement { verdict: Verdict::Allow, voices: Vec::new() };
    let effect = model::Effect::none();
    let ruling = Ruling::new(case(number).as_str(), &judgement, model::Tier::Simulation, Micros::default(), effect);
    let action = model::Action {
        agent: "bot".into(),
        target: "toy".into(),
        operation: "delete".into(),
        access: model::Access::Write,
        resources: Vec::new(),
        shape: Default::default(),
        reason: Some("it said \"so\"\n".into()),
        facts: Default::default(),
        kind: "delete".into(),
        payload: model::Digest::of_bytes(&number.to_le_bytes()),
    };
    Entry::Case(Box::new(Record { number, mode: Mode::Enforce, action, ruling }))
}

/// A case and its intent, that touches one object.
fn intent(number: u64, touches: &str) -> Vec<Draft> {
    let mut footprint = model::Footprint::default();
    footprint.write(Key::collection(touches, None));
    let intended = Intended { warrant: Warrant::Policies, footprint, pins: Default::default(), call: "sealed".into() };
    let live: Live = Arc::new(number);
    vec![
        Draft::new(&case(number), record(number)),
        Draft::new(&case(number), Entry::Intent(Box::new(intended))).with(live),
    ]
}

/// Appends an intent as the passage does: if none that it touches was written after `head`.
fn intend(
    journal: &Journal,
    number: u64,
    touches: &str,
    head: Seq,
) -> impl Future<Output = Result<Seq, NotAppended<()>>> + use<> {
    let mut footprint = model::Footprint::default();
    footprint.write(Key::collection(touches, None));
    journal.append_if(Moment(number), intent(number, touches), move |state| {
        if state.overtaken(&"toy".into(), &footprint, head) { Err(()) } else { Ok(()) }
    })
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(future)
}

/// A store that can be told to fail, and counts.
#[derive(Default, Clone)]
struct Moody {
    rows: Arc<Mutex<Vec<Row>>>,
    full: Arc<AtomicBool>,
    appends: Arc<AtomicUsize>,
}

impl Store for Moody {
    fn append(&mut self, rows: &[Row]) -> Result<(), String> {
        self.appends.fetch_add(1, Ordering::Relaxed);
        if self.full.load(Ordering::Relaxed) {
            return Err("no space left on device".into());
        }
        lock(&self.rows).extend_from_slice(rows);
        Ok(())
    }
    fn scan(&self, each: &mut dyn FnMut(Row)) -> Result<(), Break> {
        lock(&self.rows).iter().cloned().for_each(each);
        Ok(())
    }
}

fn moody() -> (Journal, Moody) {
    let store = Moody::default();
    let (state, writer, changed) = Journal::load(Box::new(store.clone()), BUDGET_WINDOW_MS).unwrap();
    (Journal { state, changed, way: Way::Here(Arc::new(Mutex::new(writer))) }, store)
}

#[test]
fn an_intent_is_overtaken_only_by_a_later_one_that_it_touches() {
    let journal = Journal::in_memory(BUDGET_WINDOW_MS).unwrap();
    let first = wait(intend(&journal, 1, "Pod", Seq(0))).unwrap();
    assert!(wait(intend(&journal, 2, "Pod", Seq(0))).is_err(), "the fork knew nothing of the first");
    assert!(wait(intend(&journal, 3, "Table", Seq(0))).is_ok(), "another kind is not touched");
    assert!(wait(intend(&journal, 4, "Pod", first)).is_ok(), "this fork knew of it");
}

#[test]
fn of_two_that_exclude_each_other_in_one_batch_the_first_wins() {
    let store = Moody::default();
    let (state, mut writer, changed) = Journal::load(Box::new(store.clone()), BUDGET_WINDOW_MS).unwrap();
    let (requests, received) = std::sync::mpsc::channel();
    let (checkpoints, _) = std::sync::mpsc::channel();
    let way = Way::Thread { requests, directory: Arc::default(), _checkpoints: Arc::new(checkpoints) };
    let journal = Journal { state, changed, way };
    // All of them wait before the writer wakes.
    let asked: Vec<_> =
        (0..100).map(|n| intend(&journal, n, if n % 2 == 0 { "Pod" } else { "Table" }, Seq(0))).collect();
    drop(journal);
    writer.serve(&received);
    let passed: Vec<bool> = asked.into_iter().map(|one| wait(one).is_ok()).collect();
    assert_eq!(passed.iter().filter(|passed| **passed).count(), 2);
    assert!(passed[0] && passed[1]);
    assert_eq!(store.appends.load(Ordering::Relaxed), 1, "a hundred requests, one sync");
}

#[test]
fn a_full_disk_refuses_and_leaves_everything_as_it_was() {
    let (journal, store) = moody();
    wait(intend(&journal, 1, "Pod", Seq(0))).unwrap();
    let head = journal.state().head;

    store.full.store(true, Ordering::Relaxed);
    let refused = wait(intend(&journal, 2, "Table", Seq(0)));
    assert_eq!(refused, Err(NotAppended::Unavailable("no space left on device".into())));
    assert_eq!(journal.state().head, head);
    assert_eq!(journal.state().open.len(), 1, "what was not written is not on its way");
    assert!(journal.state().open.values().all(|open| open.call.is_some()), "and what was still has its call");
    assert_eq!(journal.state().ledger.spent(&"bot".into(), &"toy".into(), Moment(2)).agent.actions, 1);

    store.full.store(false, Ordering::Relaxed);
    wait(intend(&journal, 3, "Table", Seq(0))).unwrap();
    Archive::of(&journal).unwrap().verify().unwrap();
}

#[test]
fn a_condition_that_panics_does_not_hold() {
    let (journal, _) = moody();
    let entry = || vec![Draft::new(&case(1), record(1))];
    let panics = journal.append_if(Moment(1), entry(), |_| -> Result<(), ()> { panic!("a bug") });
    assert!(matches!(wait(panics), Err(NotAppended::Unavailable(_))));
    assert!(wait(journal.append(Moment(1), entry())).is_ok(), "and the journal goes on");
}

#[test]
fn a_fork_older_than_anything_remembered_is_overtaken_without_a_look() {
    let journal = Journal::in_memory(BUDGET_WINDOW_MS).unwrap();
    for number in 0..5_000 {
        wait(journal.append(Moment(number), intent(number, "Pod"))).unwrap();
    }
    assert!(wait(intend(&journal, 9_000, "Table", Seq(0))).is_err());
    let head = journal.state().head.seq;
    assert!(wait(intend(&journal, 9_001, "Table", head)).is_ok());
}

/// A journal on disk with a few entries; everything is in the one file when it is closed.
fn written(directory: &Path, entries: u64) {
    let journal = Journal::open(directory, BUDGET_WINDOW_MS).unwrap();
    for number in 0..entries {
        wait(journal.append(Moment(number), vec![Draft::new(&case(number), record(number))])).unwrap();
    }
}

fn closed(directory: &Path) {
    let lock = std::fs::File::open(directory.join("journal.lock")).unwrap();
    for _ in 0..2000 {
        if lock.try_lock().is_ok() && !directory.join("journal.db-wal").exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    panic!("the journal stays open");
}

fn exported(directory: &Path) -> Result<Vec<u8>, String> {
    let archive = Archive::open(directory).map_err(|error| error.to_string())?;
    archive.verify().map_err(|broken| broken.to_string())?;
    let mut lines = Vec::new();
    archive.export(&mut lines).map_err(|error| error.to_string())?;
    Ok(lines)
}

#[test]
fn a_journal_read_back_is_the_one_that_was_written() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), 20);
    closed(directory.path());
    let journal = Journal::open(directory.path(), BUDGET_WINDOW_MS).unwrap();
    assert_eq!(journal.state().head.seq, Seq(20));
    assert_eq!(journal.state().next_case, 20);
    let lines = String::from_utf8(exported(directory.path()).unwrap()).unwrap();
    assert_eq!(lines.lines().count(), 20);

    // As the documentation tells an auditor to check a line.
    let line = lines.lines().nth(7).unwrap();
    let row: serde_json::Value = serde_json::from_str(line).unwrap();
    let hash = row["hash"].as_str().unwrap();
    let without = line.replacen(&format!("\"hash\":\"{hash}\","), "", 1);
    assert_eq!(model::Digest::of_bytes(without.as_bytes()).to_string(), hash);
}

#[test]
fn whichever_byte_is_flipped_either_nothing_is_lost_or_it_is_said_where() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    written(directory, 12);
    closed(directory);
    let whole = exported(directory).unwrap();
    let path = store::database(directory);
    let bytes = std::fs::read(&path).unwrap();
    let mut said = 0;
    for at in (0..bytes.len()).step_by(11) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).unwrap();
        match exported(directory) {
            Ok(lines) => assert_eq!(lines, whole, "byte {at} was flipped, and nobody noticed"),
            Err(_) => said += 1,
        }
    }
    assert!(said > bytes.len() / 11 / 4, "most bytes mean something: {said}");
}

#[test]
fn wherever_the_file_is_cut_off_it_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    written(directory, 40);
    closed(directory);
    let path = store::database(directory);
    let bytes = std::fs::read(&path).unwrap();
    for length in (0..bytes.len()).step_by(509) {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(exported(directory).is_err(), "cut off after {length} of {} bytes", bytes.len());
    }
}

#[test]
fn wherever_the_log_of_a_killed_gate_is_cut_off_either_nothing_is_lost_or_it_is_noticed() {
    let (open, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = Journal::open(open.path(), BUDGET_WINDOW_MS).unwrap();
    for number in 0..12 {
        wait(journal.append(Moment(number), vec![Draft::new(&case(number), record(number))])).unwrap();
    }
    for name in ["journal.db", "journal.head"] {
        std::fs::copy(open.path().join(name), copy.path().join(name)).unwrap();
    }
    let log = std::fs::read(open.path().join("journal.db-wal")).unwrap();
    let whole = exported(open.path()).unwrap();
    for length in (0..=log.len()).step_by(1021) {
        std::fs::write(copy.path().join("journal.db-wal"), &log[..length]).unwrap();
        drop(std::fs::remove_file(copy.path().join("journal.db-shm")));
        if let Ok(lines) = exported(copy.path()) {
            assert_eq!(lines, whole, "cut off after {length} of {} bytes", log.len());
        }
    }
}

#[test]
fn a_journal_is_whole_to_whoever_verifies_it_while_a_gate_writes() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(directory.path(), BUDGET_WINDOW_MS).unwrap();
    // Long enough that something is always written while it is read.
    let many = (0..3_000).map(|number| Draft::new(&case(number), record(number))).collect();
    wait(journal.append(Moment(0), many)).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writes = std::thread::spawn({
        let (journal, done) = (journal.clone(), done.clone());
        move || {
            let mut number = 3_000;
            while !done.load(Ordering::Relaxed) {
                wait(journal.append(Moment(number), vec![Draft::new(&case(number), record(number))])).unwrap();
                number += 1;
            }
        }
    });
    let mut last = 0;
    for _ in 0..10 {
        let entries = Archive::open(directory.path()).unwrap().verify().unwrap();
        assert!(entries >= last);
        last = entries;
    }
    done.store(true, Ordering::Relaxed);
    writes.join().unwrap();
}

#[test]
fn an_older_copy_of_the_journal_is_not_taken_for_todays() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    written(directory, 5);
    closed(directory);
    let path = store::database(directory);
    let older = std::fs::read(&path).unwrap();
    let journal = Journal::open(directory, BUDGET_WINDOW_MS).unwrap();
    wait(journal.append(Moment(5), vec![Draft::new(&case(5), record(5))])).unwrap();
    drop(journal);
    closed(directory);
    std::fs::write(&path, older).unwrap();
    let broken = Archive::open(directory).unwrap().verify().unwrap_err();
    assert_eq!(broken.to_string(), "the chain breaks at entry 6: it ends here, but 6 entries were written");
    assert!(Journal::open(directory, BUDGET_WINDOW_MS).is_err(), "and no gate starts on it");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_changed_removed_swapped_or_forged_the_chain_breaks_there(
        at in 0_usize..20, kind in 0_u8..5, other in 0_usize..20,
    ) {
        let (journal, store) = moody();
        for number in 0..20 {
            wait(journal.append(Moment(number), vec![Draft::new(&case(number), record(number))])).unwrap();
        }
        let mut rows = lock(&store.rows).clone();
        let changed = match kind {
            0 => { rows[at].at = Moment(999); true }
            1 => { rows[at].body = rows[at].body.replace("\"bot\"", "\"bob\""); true }
            2 => { rows[at].case = case(500).as_str().to_owned(); true }
            3 => { rows.remove(at); at < 19 }
            _ => { rows.swap(at, other); at != other }
        };
        let first = if kind == 4 { at.min(other) } else { at };
        let followed = rows.iter().try_fold(Head::default(), |head, row| head.extended(row));
        match followed {
            Ok(_) => prop_assert!(!changed),
            Err(broken) => prop_assert_eq!(broken.seq, Seq(first as u64 + 1)),
        }
    }

    #[test]
    fn a_row_that_was_changed_and_hashed_again_breaks_the_next_one(at in 0_usize..19) {
        let (journal, store) = moody();
        for number in 0..20 {
            wait(journal.append(Moment(number), vec![Draft::new(&case(number), record(number))])).unwrap();
        }
        let mut rows = lock(&store.rows).clone();
        let forged = rows[at].clone();
        let before = Head { seq: Seq(at as u64), hash: forged.prev };
        rows[at] = Row::after(&before, forged.at, forged.case, &forged.kind, forged.body.replace("bot", "bob"));
        let broken = rows.iter().try_fold(Head::default(), |head, row| head.extended(row)).unwrap_err();
        prop_assert_eq!(broken.seq, Seq(at as u64 + 2));
    }
}

#[test]
fn what_an_agent_may_be_called_is_never_part_of_another_entry() {
    // The case and the body are quoted where they are hashed: no text can imitate the border between two fields.
    let head = Head::default();
    let one = Row::after(&head, Moment(1), "a\",\"kind\":\"x".into(), "case", "{}".into());
    let two = Row::after(&head, Moment(1), "a".into(), "x\",\"kind\":\"case", "{}".into());
    assert_ne!(one.hash, two.hash);
}
