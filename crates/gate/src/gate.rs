//! One target's gate: everything that an action passes by, put together.
//!
//! Knows: which stations there are, and what people may turn on them.
//! Does not know: the way through; that is [`pass`](crate::pass).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use model::{Access, Action, ActionPolicy, Digest, TargetName, Verdict};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::approvals::{Held, Person, VoteError};
use crate::journal::{Draft, Entry, Journal, Live, NotAppended, Open, Outcome, Seq, State};
use crate::permit::Grant;
use crate::probe::{Point, Probe, Rule};
use crate::target::{Pending, Sent, Target};
use crate::{Case, CaseId, Class, Host, Score, Terms, Vault};

/// What the gate does with a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Forwards everything that can be decoded, and records what would have been decided.
    Observe,
    /// Forwards what is allowed or approved.
    Enforce,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        })
    }
}

/// What an operator may set.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The mode until a person sets another.
    pub mode: Mode,
    /// How often an action is judged anew when others overtake it, before it is told to come back later.
    pub attempts_max: u32,
    /// How long one simulation may take.
    pub simulate_ms: u64,
    /// How long one rehearsal may take.
    pub rehearse_ms: u64,
    /// How many simulations may run at once.
    pub simulations_max: usize,
    /// How long production may take to answer a change, before it is in doubt.
    pub commit_ms: u64,
    /// How long a held request waits for people before the agent is told to come back.
    pub patience_ms: u64,
    /// When the agent is told to come back.
    pub retry_after_ms: u64,
    /// How long a case waits for people.
    pub pending_ms: u64,
    /// How long a grant can be used.
    pub grant_ms: u64,
    /// How long a person's no is remembered when the agent asks again.
    pub denial_ms: u64,
    /// How often an observation is tried before a commit stays unmeasured.
    pub observations_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            attempts_max: 8,
            simulate_ms: 10_000,
            rehearse_ms: 10_000,
            simulations_max: std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)),
            commit_ms: 120_000,
            patience_ms: 5_000,
            retry_after_ms: 10_000,
            pending_ms: 24 * 3_600_000,
            grant_ms: 3_600_000,
            denial_ms: 3_600_000,
            observations_max: 5,
        }
    }
}

/// What a gate is made of.
pub struct Parts<T: Target> {
    /// The system behind it.
    pub target: T,
    /// The rules.
    pub policies: Vec<Box<dyn ActionPolicy>>,
    /// The record. Several gates may share one.
    pub journal: Journal,
    /// The credentials.
    pub vault: Vault,
    /// The machine.
    pub host: Arc<dyn Host>,
    /// The operator's choices.
    pub settings: Settings,
    /// For tests.
    pub probe: Option<Arc<dyn Probe>>,
}

/// The rules in force.
pub(crate) type Policies = Arc<Vec<Box<dyn ActionPolicy>>>;

/// One target's gate.
pub struct Gate<T: Target> {
    pub(crate) target: T,
    pub(crate) journal: Journal,
    pub(crate) vault: Vault,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) settings: Settings,
    pub(crate) thinking: Arc<Semaphore>,
    /// Whoever was overtaken once tries again one at a time: so one of them always gets through.
    pub(crate) turnstile: Arc<tokio::sync::Mutex<()>>,
    policies: RwLock<Policies>,
    probe: Option<Arc<dyn Probe>>,
}

/// The list of what is on its way cannot be had: an intent in it cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("what is on its way in case {0} cannot be read: the vault's key is not the one it was sealed with")]
pub(crate) struct Unreadable(CaseId);

impl<T: Target> Gate<T> {
    /// Puts a gate together. Call [`resume`](crate::resume) before the first action passes.
    pub fn new(parts: Parts<T>) -> Arc<Self> {
        Arc::new(Self {
            thinking: Arc::new(Semaphore::new(parts.settings.simulations_max)),
            turnstile: Arc::default(),
            target: parts.target,
            journal: parts.journal,
            vault: parts.vault,
            host: parts.host,
            settings: parts.settings,
            policies: RwLock::new(Arc::new(parts.policies)),
            probe: parts.probe,
        })
    }

    /// The system behind it.
    pub fn target(&self) -> &T {
        &self.target
    }

    /// The credentials.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The record.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What it does with a verdict.
    pub fn mode(&self) -> Mode {
        self.journal.state().modes.get(self.name()).copied().unwrap_or(self.settings.mode)
    }

    /// Changes what it does with a verdict.
    ///
    /// # Errors
    /// When it cannot be recorded; the mode stays.
    pub async fn set_mode(&self, person: &Person, mode: Mode) -> Result<(), VoteError> {
        let entry = Entry::Mode { target: self.name().clone(), mode, by: person.name.clone() };
        self.append(vec![Draft::global(entry)]).await.map(drop).map_err(VoteError::Unavailable)
    }

    /// The rules in force.
    pub fn policies(&self) -> Arc<Vec<Box<dyn ActionPolicy>>> {
        self.policies.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other rules in force.
    ///
    /// # Errors
    /// When it cannot be recorded; the rules stay.
    pub async fn set_policies(&self, person: &Person, policies: Vec<Box<dyn ActionPolicy>>) -> Result<(), VoteError> {
        let names = policies.iter().map(|policy| policy.name().to_owned()).collect();
        let entry = Entry::Policies { target: self.name().clone(), names, by: person.name.clone() };
        self.append(vec![Draft::global(entry)]).await.map_err(VoteError::Unavailable)?;
        *self.policies.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policies);
        Ok(())
    }

    /// The cases that wait for people, oldest first.
    pub fn pending_cases(&self) -> Vec<Held> {
        self.journal.state().docket.pending(Some(self.name()), self.host.now())
    }

    /// One person agrees to the effect that they saw (`shown` of the [`Held`] case). When enough have, the same
    /// request passes once, as long as its effect lies within that one.
    ///
    /// # Errors
    /// When the vote does not count.
    pub async fn approve(&self, case: &CaseId, person: &Person, shown: Digest, note: &str) -> Result<(), VoteError> {
        self.vote(case, person, shown, note, None).await
    }

    async fn vote(
        &self,
        case: &CaseId,
        person: &Person,
        shown: Digest,
        note: &str,
        class: Option<Terms>,
    ) -> Result<(), VoteError> {
        let (by, roles, note) = (person.name.clone(), person.roles.clone(), note.to_owned());
        let many = class.is_some();
        let entry = Entry::Approval { by, roles, shown, note, class };
        let (voter, of, now) = (person.clone(), case.clone(), self.host.now());
        let counts = move |state: &mut State| {
            state.docket.check(&of, &voter, &shown, now)?;
            if many { state.docket.check_class(&of) } else { Ok(()) }
        };
        self.journal.append_if(now, vec![Draft::new(case, entry)], counts).await.map(drop).map_err(vote_error)
    }

    /// One person agrees to the effect that they were shown, and to effects like it on these terms.
    ///
    /// # Errors
    /// When the vote does not count, or nothing can be like what was shown.
    pub async fn approve_class(
        &self,
        case: &CaseId,
        person: &Person,
        shown: Digest,
        note: &str,
        terms: Terms,
    ) -> Result<(), VoteError> {
        self.vote(case, person, shown, note, Some(terms)).await
    }

    /// One person takes back what was agreed for effects like that of a case. What was done on it stays done.
    ///
    /// # Errors
    /// When nothing was agreed in that case, or it cannot be recorded.
    pub async fn revoke(&self, case: &CaseId, person: &Person, note: &str) -> Result<(), VoteError> {
        let entry = Entry::Revocation { by: person.name.clone(), note: note.to_owned() };
        let (of, now) = (case.clone(), self.host.now());
        let known = move |state: &mut State| {
            let known = state.docket.classes.is_usable(&of, now);
            if known { Ok(()) } else { Err(VoteError::NoClass(of)) }
        };
        self.journal.append_if(now, vec![Draft::new(case, entry)], known).await.map(drop).map_err(vote_error)
    }

    /// What people have agreed to for effects like one, and how much of it is left.
    pub fn classes(&self) -> Vec<Class> {
        self.journal.state().docket.classes.list(self.host.now())
    }

    /// The case in which people agreed to effects like this one's, if they did.
    pub(crate) fn class_for<C>(&self, case: &Case<C>) -> Option<CaseId> {
        let Verdict::Hold { why, approval } = &case.judgement.verdict else { return None };
        // A look has no effect that could be like another.
        if case.action.access == Access::Read {
            return None;
        }
        let (state, now) = (self.journal.state(), self.host.now());
        state.docket.classes.covering(&case.action, &case.effect, approval, why, now)
    }

    /// One person disagrees, and that settles it: the same request is refused for a while.
    ///
    /// # Errors
    /// When the vote does not count.
    pub async fn deny(&self, case: &CaseId, person: &Person, note: &str) -> Result<(), VoteError> {
        let entry = Entry::Denial { by: person.name.clone(), note: note.to_owned() };
        let (voter, of, now) = (person.clone(), case.clone(), self.host.now());
        let drafts = vec![Draft::new(case, entry)];
        let vote = self.journal.append_if(now, drafts, move |state| state.docket.check_denial(&of, &voter, now));
        vote.await.map(drop).map_err(vote_error)
    }

    /// Intents of which nobody knows whether they happened, with the reason.
    pub fn in_doubt(&self) -> Vec<(CaseId, String)> {
        let state = self.journal.state();
        let mine = state.open.values().filter(|open| open.action.target == *self.name());
        mine.filter_map(|open| open.doubt.clone().map(|why| (open.case.clone(), why))).collect()
    }

    /// A person settles a doubt that looking could not: they know whether it happened.
    ///
    /// # Errors
    /// When the case is not in doubt, or it cannot be recorded.
    pub async fn settle(&self, case: &CaseId, person: &Person, happened: bool, note: &str) -> Result<(), VoteError> {
        let doubtful = {
            let state = self.journal.state();
            let mut open = state.open.iter();
            open.find(|(_, open)| open.case == *case && open.doubt.is_some()).map(|(seq, _)| *seq)
        };
        let intent = doubtful.ok_or_else(|| VoteError::NotInDoubt(case.clone()))?;
        let how = format!("{} says so: {note}", person.name);
        let drafts = vec![resolved(case, intent, happened, how)];
        self.resolve(intent, drafts, VoteError::NotInDoubt(case.clone())).await.map_err(vote_error)
    }

    /// Writes what has become of a doubt, unless it has been written meanwhile: people and the gate look at the same time,
    /// and what was spent is given back once.
    pub(crate) async fn resolve<E: Send + 'static>(
        &self,
        intent: Seq,
        drafts: Vec<Draft>,
        settled: E,
    ) -> Result<(), NotAppended<E>> {
        let open = move |state: &mut State| if state.open.contains_key(&intent) { Ok(()) } else { Err(settled) };
        self.journal.append_if(self.host.now(), drafts, open).await.map(drop)
    }

    /// How often the twin has been right, by kind of action.
    pub fn scores(&self) -> BTreeMap<String, Score> {
        self.journal.state().fidelity.scores(self.name())
    }

    pub(crate) fn name(&self) -> &TargetName {
        self.target.name()
    }

    /// Is this very action in doubt? With its case, and why.
    pub(crate) fn doubt_about(&self, action: &Action) -> Option<(CaseId, String)> {
        let identity = action.identity();
        let state = self.journal.state();
        let mut doubtful = state.open.values().filter(|open| open.doubt.is_some());
        let open = doubtful.find(|open| open.action.identity() == identity)?;
        Some((open.case.clone(), open.doubt.clone().unwrap_or_default()))
    }

    /// Lets a test look in.
    pub(crate) async fn reach(&self, point: Point, case: &CaseId) {
        if let Some(probe) = &self.probe {
            probe.at(point, case).await;
        }
    }

    /// Has a test put this rule out of force, to show what it is for?
    pub(crate) fn breaks(&self, rule: Rule) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.breaks(rule))
    }

    /// The id that an action goes by: that of the case it already waits in, or a new one. With the grant, if people
    /// have agreed meanwhile.
    pub(crate) fn case_for(&self, action: &Action) -> (CaseId, u64, Option<Grant>) {
        let mut state = self.journal.state();
        let number = state.next_case;
        state.next_case += 1;
        match state.docket.case_of(&action.identity(), self.host.now()) {
            Some((case, grant)) => (case, number, grant),
            None => (CaseId::of_number(number), number, None),
        }
    }

    pub(crate) fn append(&self, drafts: Vec<Draft>) -> impl Future<Output = Result<Seq, String>> + Send + use<T> {
        self.journal.append(self.host.now(), drafts)
    }

    /// Writes what came of an intent.
    pub(crate) fn conclude(
        &self,
        case: &CaseId,
        intent: Seq,
        outcome: Outcome,
        live: Option<Live>,
    ) -> impl Future<Output = Result<Seq, String>> + Send + use<T> {
        let draft = Draft { case: Some(case.clone()), entry: Entry::Conclusion { intent, outcome }, live };
        self.append(vec![draft])
    }

    /// Every intent of this target that the newest snapshot may not show.
    pub(crate) fn overlay(&self) -> Result<Pending<T::Call, T::Receipt>, Unreadable> {
        let (head, open): (Seq, Vec<(Seq, Open)>) = {
            let state = self.journal.state();
            let mine = state.open.iter().filter(|(_, open)| open.action.target == *self.name());
            (state.head.seq, mine.map(|(seq, open)| (*seq, open.clone())).collect())
        };
        let intents = open.into_iter().map(|(seq, open)| self.sent(seq, open)).collect::<Result<_, _>>()?;
        Ok(Pending { head, intents })
    }

    /// An open intent, its call unsealed if this process did not make it.
    fn sent(&self, seq: Seq, open: Open) -> Result<Sent<T::Call, T::Receipt>, Unreadable> {
        let live = open.call.clone().and_then(|call| call.downcast::<T::Call>().ok());
        let call = match live {
            Some(call) => call,
            None => {
                let name = seal_name(self.name(), &open.case);
                let unreadable = || Unreadable(open.case.clone());
                let bytes = self.vault.unseal(&open.sealed, &name).map_err(|_| unreadable())?;
                let call = Arc::new(serde_json::from_slice(bytes.expose_secret()).map_err(|_| unreadable())?);
                if let Some(open) = self.journal.state().open.get_mut(&seq) {
                    open.call = Some(Arc::clone(&call) as Live);
                }
                call
            }
        };
        let receipt = open.receipt.and_then(|receipt| receipt.downcast().ok());
        let Open { case, action, effect, pins, .. } = open;
        Ok(Sent { seq, case, action, call, effect, pins, receipt })
    }
}

impl<T: Target> fmt::Debug for Gate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({}, {})", self.name(), self.mode())
    }
}

/// The end of a doubt.
pub(crate) fn resolved(case: &CaseId, intent: Seq, happened: bool, how: String) -> Draft {
    Draft::new(case, Entry::Conclusion { intent, outcome: Outcome::Resolved { happened, how } })
}

fn vote_error(error: NotAppended<VoteError>) -> VoteError {
    match error {
        NotAppended::Declined(error) => error,
        NotAppended::Unavailable(why) => VoteError::Unavailable(why),
    }
}

/// The name that a call is sealed under, so that it opens in no other case.
pub(crate) fn seal_name(target: &TargetName, case: &CaseId) -> String {
    format!("{target} {case}")
}
