//! The one who writes.
//!
//! Knows: conditions, batches, and what to do when the disk refuses.
//! Does not know: who asked, or what for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use model::Moment;
use tokio::sync::{oneshot, watch};

use super::chain::{Break, Head, Row};
use super::state::{Live, State};
use super::store::Store;
use super::{Draft, Entry, Seq, lock};

/// Looked at in the order of writing, against everything that is written before.
pub(crate) type Condition = Box<dyn FnOnce(&mut State) -> bool + Send>;

/// Something to append. The answer is the place of the last entry, nothing if the condition did not hold, or why it
/// could not be written.
pub(crate) struct Request {
    pub(crate) now: Moment,
    pub(crate) drafts: Vec<(Draft, String)>,
    pub(crate) condition: Condition,
    pub(crate) reply: oneshot::Sender<Result<Option<Seq>, String>>,
}

/// So many requests share one sync of the disk.
const BATCH_MAX: usize = 256;

pub(crate) struct Writer {
    store: Box<dyn Store>,
    state: Arc<Mutex<State>>,
    announce: watch::Sender<Seq>,
    window_ms: u64,
}

impl Writer {
    pub(crate) fn new(
        store: Box<dyn Store>,
        state: Arc<Mutex<State>>,
        announce: watch::Sender<Seq>,
        window_ms: u64,
    ) -> Self {
        Self { store, state, announce, window_ms }
    }

    /// Writes until nobody is left who could ask. What gathers while a batch is synced is the next batch.
    pub(crate) fn serve(&mut self, requests: &Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let mut batch = vec![first];
            batch.extend(requests.try_iter().take(BATCH_MAX - 1));
            self.write(batch);
        }
    }

    /// Writes a batch: every request whose condition holds, in order, in one sync.
    ///
    /// Each is folded in before the next one's condition is looked at, so two that exclude each other cannot share a
    /// batch. If the disk then refuses, what was folded in is taken back by reading the disk again: nobody was told.
    pub(crate) fn write(&mut self, batch: Vec<Request>) {
        let mut rows = Vec::new();
        let mut answers = Vec::new();
        {
            let mut state = lock(&self.state);
            for Request { now, drafts, condition, reply } in batch {
                // A condition that panics does not hold.
                let holds = catch_unwind(AssertUnwindSafe(|| condition(&mut state))).unwrap_or(false);
                let answer = holds.then(|| Self::fold(&mut state, now, drafts, &mut rows));
                answers.push((reply, answer));
            }
        }
        let written = if rows.is_empty() { Ok(()) } else { self.store.append(&rows) };
        if let Err(error) = &written {
            tracing::error!(%error, "journal not written");
            self.take_back();
        }
        for (reply, answer) in answers {
            let answer = match &written {
                Err(error) if answer.is_some() => Err(error.clone()),
                _ => Ok(answer),
            };
            drop(reply.send(answer));
        }
        self.announce.send_replace(lock(&self.state).head.seq);
    }

    fn fold(state: &mut State, now: Moment, drafts: Vec<(Draft, String)>, rows: &mut Vec<Row>) -> Seq {
        for (Draft { case, entry, live }, body) in drafts {
            let name = case.as_ref().map_or_else(String::new, |case| case.as_str().to_owned());
            let row = Row::after(&state.head, now, name, entry.kind(), body);
            let head = Head { seq: row.seq, hash: row.hash };
            state.apply(head, now, case.as_ref(), &entry, live);
            rows.push(row);
        }
        state.head.seq
    }

    /// The state as the disk has it, with the live values that this process had before.
    fn take_back(&self) {
        match self.reload() {
            Ok(mut reloaded) => {
                let mut state = lock(&self.state);
                let before = std::mem::take(&mut state.open);
                for (seq, was) in before {
                    // A commit is known here by its receipt, though the disk may not have taken it: keep the overlay.
                    let kept = |live: &Option<Live>| live.is_some();
                    if let Some(open) = reloaded.open.get_mut(&seq) {
                        open.call = was.call;
                        open.receipt = was.receipt;
                    } else if kept(&was.receipt) && seq <= reloaded.head.seq {
                        reloaded.open.insert(seq, was);
                    }
                }
                reloaded.next_case = reloaded.next_case.max(state.next_case);
                *state = reloaded;
            }
            // Every later append fails as well, as its row does not follow what is on disk.
            Err(error) => tracing::error!(%error, "journal cannot be read back"),
        }
    }

    /// Folds everything that is stored.
    pub(crate) fn reload(&self) -> Result<State, Break> {
        let mut state = State::new(self.window_ms);
        let mut broken = None;
        self.store.scan(&mut |row| {
            if broken.is_some() {
                return;
            }
            let entry: Result<Entry, _> = serde_json::from_str(&row.body);
            match (state.head.extended(&row), entry) {
                (Ok(head), Ok(entry)) => {
                    let case = row.case.parse().ok();
                    state.apply(head, row.at, case.as_ref(), &entry, None);
                }
                (Err(error), _) => broken = Some(error),
                (_, Err(error)) => broken = Some(Break { seq: row.seq, what: format!("it cannot be read: {error}") }),
            }
        })?;
        broken.map_or(Ok(state), Err)
    }

    /// Everything that is stored.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        drop(self.store.scan(&mut |row| rows.push(row)));
        rows
    }
}
