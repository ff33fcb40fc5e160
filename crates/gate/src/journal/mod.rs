//! The journal: on disk before a byte goes to production, and the one place where actions meet.
//!
//! Knows: how entries are appended on a condition, in groups, durably, in one chain; what they add up to.
//! Does not know: what a target is, beyond its name.
//!
//! Two actions, each fine on the same snapshot, can be an outage together; preconditions do not see that, because they
//! touch different objects. So the journal is the serialization point: an intent is appended only if no intent that
//! touches its footprint was written since its fork (`Overtaken` otherwise), and a fork is the snapshot and every
//! intent on its way. The condition is looked at by the one thread that writes, so there is no gap in which another
//! could slip in. Budgets, grants and votes hang on the same condition.

mod chain;
mod entry;
mod state;
mod store;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Moment, canonical_json};
use tokio::sync::{oneshot, watch};

pub use self::chain::Break;
pub(crate) use self::chain::{Head, Row};
pub use self::entry::Seq;
pub(crate) use self::entry::{Entry, Intended, Outcome, Record};
pub(crate) use self::state::{Live, Open, State};
pub(crate) use self::store::Reader;
use self::store::{Memory, Sqlite, Store, checkpointer};
use self::writer::{Condition, Request, Writer};
use crate::CaseId;

/// The journal cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal cannot be used: {0}")]
pub struct JournalError(pub String);

/// Why something was not appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotAppended<E> {
    /// The condition was not met.
    Declined(E),
    /// It could not be written. Nothing of it was.
    Unavailable(String),
}

/// One entry that is to be appended.
pub(crate) struct Draft {
    pub(crate) case: Option<CaseId>,
    pub(crate) entry: Entry,
    pub(crate) live: Option<Live>,
}

impl Draft {
    pub(crate) fn new(case: &CaseId, entry: Entry) -> Self {
        Self { case: Some(case.clone()), entry, live: None }
    }

    pub(crate) fn global(entry: Entry) -> Self {
        Self { case: None, entry, live: None }
    }

    pub(crate) fn with(mut self, live: Live) -> Self {
        self.live = Some(live);
        self
    }
}

/// A handle on the journal. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<Seq>,
    way: Way,
}

/// How requests reach the writer.
#[derive(Clone)]
enum Way {
    /// A thread of its own, that writes whatever has gathered in one go.
    Thread {
        requests: std::sync::mpsc::Sender<Request>,
        directory: Arc<PathBuf>,
        /// Dropped with the last handle, which ends the checkpoints.
        _checkpoints: Arc<std::sync::mpsc::Sender<()>>,
    },
    /// Whoever asks, at once: for journals in memory, where nothing waits for a disk.
    Here(Arc<Mutex<Writer>>),
}

/// An hour: the window that budgets are counted over, unless told otherwise.
pub const BUDGET_WINDOW_MS: u64 = 3_600_000;

impl Journal {
    /// The journal in a directory, made if there is none. Budgets are counted over so many milliseconds.
    ///
    /// # Errors
    /// When the directory cannot be used, another process writes there, or the chain is broken: nobody can say then
    /// what is on its way, so the gate does not start.
    pub fn open(directory: &Path, budget_window_ms: u64) -> Result<Self, JournalError> {
        let store = Sqlite::open(directory)?;
        // Folding it follows every link; what is left is whether it ends where it did.
        let (state, mut writer, changed) = Self::load(Box::new(store), budget_window_ms)?;
        let end = lock(&state).head;
        let reader = Reader::open(directory)?;
        reader.check_end(end, reader.noted().as_deref()).map_err(|broken| JournalError(broken.to_string()))?;
        let (stop_checkpoints, stopped) = std::sync::mpsc::channel();
        checkpointer(directory, stopped)?;
        let (requests, received) = std::sync::mpsc::channel();
        std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.serve(&received))
            .map_err(|error| JournalError(error.to_string()))?;
        Ok(Self {
            state,
            changed,
            way: Way::Thread {
                requests,
                directory: Arc::new(directory.to_owned()),
                _checkpoints: Arc::new(stop_checkpoints),
            },
        })
    }

    /// A journal that goes when the process goes.
    ///
    /// # Errors
    /// Never; the signature is that of [`open`](Self::open).
    pub fn in_memory(budget_window_ms: u64) -> Result<Self, JournalError> {
        let (state, writer, changed) = Self::load(Box::new(Memory::default()), budget_window_ms)?;
        Ok(Self { state, changed, way: Way::Here(Arc::new(Mutex::new(writer))) })
    }

    #[allow(clippy::type_complexity)]
    fn load(
        store: Box<dyn Store>,
        window_ms: u64,
    ) -> Result<(Arc<Mutex<State>>, Writer, watch::Receiver<Seq>), JournalError> {
        let state = Arc::new(Mutex::new(State::new(window_ms)));
        let (announce, changed) = watch::channel(Seq(0));
        let writer = Writer::new(store, state.clone(), announce, window_ms);
        let reloaded = writer.reload().map_err(|broken| JournalError(broken.to_string()))?;
        *lock(&state) = reloaded;
        Ok((state, writer, changed))
    }

    /// What the entries add up to. Held for moments only.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Tells when the journal has grown.
    pub(crate) fn changes(&self) -> watch::Receiver<Seq> {
        self.changed.clone()
    }

    /// Appends entries, all or none, if the condition holds at the moment of writing. The place of the last one.
    ///
    /// The request is on its way when this returns; whoever does not care for the outcome need not await it.
    pub(crate) fn append_if<E: Send + 'static, C: FnOnce(&mut State) -> Result<(), E> + Send + 'static>(
        &self,
        now: Moment,
        drafts: Vec<Draft>,
        condition: C,
    ) -> impl Future<Output = Result<Seq, NotAppended<E>>> + Send + use<E, C> {
        // The writer does not know of E: what the condition declined with comes back by a way of its own.
        let (declined, why) = oneshot::channel();
        let condition: Condition = Box::new(move |state| match condition(state) {
            Ok(()) => true,
            Err(error) => {
                drop(declined.send(error));
                false
            }
        });
        let (reply, answer) = oneshot::channel();
        // Spelled here, as the writer is one and those who ask are many.
        match spelled(drafts) {
            Ok(drafts) => self.send(Request { now, drafts, condition, reply }),
            Err(error) => drop(reply.send(Err(error))),
        }
        async move {
            match answer.await {
                Ok(Ok(Some(seq))) => Ok(seq),
                Ok(Ok(None)) => match why.await {
                    Ok(error) => Err(NotAppended::Declined(error)),
                    Err(_) => Err(NotAppended::Unavailable("the condition was lost".into())),
                },
                Ok(Err(error)) => Err(NotAppended::Unavailable(error)),
                Err(_) => Err(NotAppended::Unavailable("the journal is closed".into())),
            }
        }
    }

    /// Appends entries, all or none.
    pub(crate) fn append(
        &self,
        now: Moment,
        drafts: Vec<Draft>,
    ) -> impl Future<Output = Result<Seq, String>> + Send + use<> {
        let appended = self.append_if(now, drafts, |_| Ok::<(), std::convert::Infallible>(()));
        async move {
            appended.await.map_err(|error| match error {
                NotAppended::Declined(never) => match never {},
                NotAppended::Unavailable(why) => why,
            })
        }
    }

    fn send(&self, request: Request) {
        match &self.way {
            // If the thread is gone its end of the answer is too, and whoever waits hears of it.
            Way::Thread { requests, .. } => drop(requests.send(request)),
            Way::Here(writer) => lock(writer).write(vec![request]),
        }
    }

    /// Every row, for stories of a journal in memory; those on disk are read by [`Archive`](crate::Archive).
    pub(crate) fn rows(&self) -> Option<Vec<Row>> {
        match &self.way {
            Way::Here(writer) => Some(lock(writer).rows()),
            Way::Thread { .. } => None,
        }
    }

    /// Where it is, if it is on disk.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.way {
            Way::Thread { directory, .. } => Some(directory),
            Way::Here(_) => None,
        }
    }
}

/// Each draft with its entry in canonical JSON.
fn spelled(drafts: Vec<Draft>) -> Result<Vec<(Draft, String)>, String> {
    let spell = |draft: Draft| {
        let value = serde_json::to_value(&draft.entry).map_err(|error| error.to_string())?;
        Ok((draft, canonical_json(&value)))
    };
    drafts.into_iter().map(spell).collect()
}

/// A panic elsewhere does not make the state wrong: every change to it is a whole one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
