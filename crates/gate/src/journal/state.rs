//! What the entries add up to: who waits, what is on its way, what was spent.
//!
//! Knows: how each entry changes that. It is a fold, so a restarted gate knows what the killed one knew.
//! Does not know: how entries are kept.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::{Action, Effect, Footprint, Moment, Overtaken, TargetName};

use super::chain::Head;
use super::{Entry, Outcome, Record, Seq};
use crate::approvals::Docket;
use crate::budgets::Ledger;
use crate::fidelity::Fidelity;
use crate::permit::Pins;
use crate::{CaseId, Mode};

/// A value that lives only in this process: a call, a receipt. Each gate knows the type of its own.
pub(crate) type Live = Arc<dyn Any + Send + Sync>;

/// An intent that the newest snapshot may not show yet.
#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) case: CaseId,
    pub(crate) action: Arc<Action>,
    pub(crate) effect: Arc<Effect>,
    pub(crate) pins: Arc<Pins>,
    /// As written; opened after a restart.
    pub(crate) sealed: String,
    pub(crate) call: Option<Live>,
    pub(crate) receipt: Option<Live>,
    pub(crate) doubt: Option<String>,
}

/// An intent whose footprint a younger fork may have missed, and which an older one's observation may meet.
struct Recent {
    seq: Seq,
    case: CaseId,
    target: TargetName,
    effect: Arc<Effect>,
    footprint: Arc<Footprint>,
    /// It came to nothing, so that no observation meets it.
    void: bool,
}

/// So many intents are remembered for comparison. A fork older than all of them is overtaken without a look.
const RECENT_MAX: usize = 4096;

pub(crate) struct State {
    pub(crate) head: Head,
    pub(crate) docket: Docket,
    pub(crate) ledger: Ledger,
    pub(crate) fidelity: Fidelity,
    pub(crate) open: BTreeMap<Seq, Open>,
    pub(crate) modes: BTreeMap<TargetName, Mode>,
    /// The number that the next case gets.
    pub(crate) next_case: u64,
    recent: VecDeque<Recent>,
    /// Intents up to here are no longer remembered for comparison.
    forgotten: Seq,
    /// The case that was written last: a hold or an intent follows it in the same batch.
    last: Option<(CaseId, Arc<Record>)>,
}

impl State {
    pub(crate) fn new(budget_window_ms: u64) -> Self {
        Self {
            head: Head::default(),
            docket: Docket::default(),
            ledger: Ledger::over(budget_window_ms),
            fidelity: Fidelity::default(),
            open: BTreeMap::new(),
            modes: BTreeMap::new(),
            next_case: 0,
            recent: VecDeque::new(),
            forgotten: Seq(0),
            last: None,
        }
    }

    /// Was an intent written after `head` that this footprint touches?
    pub(crate) fn overtaken(&self, target: &TargetName, footprint: &Footprint, head: Seq) -> bool {
        let newer = self.recent.iter().rev().take_while(|recent| recent.seq > head);
        head < self.forgotten
            || newer.filter(|recent| recent.target == *target).any(|recent| recent.footprint.overlaps(footprint))
    }

    /// What of a forecast that an intent rests on has been changed by intents after it. Those whose fate is not known
    /// count: they may have happened.
    pub(crate) fn overtakers(&self, target: &TargetName, intent: Seq, predicted: &Effect) -> Overtaken {
        let newer = self.recent.iter().skip(self.recent.partition_point(|recent| recent.seq <= intent));
        let mut overtaken = Overtaken::default();
        for later in newer.filter(|later| !later.void && later.target == *target) {
            let by = format!("case {}", later.case);
            overtaken.by_action(predicted, &later.effect, &later.footprint, &by);
            if overtaken.leaves_nothing_of(predicted) {
                break;
            }
        }
        overtaken
    }

    /// Takes in one entry. `live` is what it is about, if this process has it.
    pub(crate) fn apply(&mut self, head: Head, at: Moment, case: Option<&CaseId>, entry: &Entry, live: Option<Live>) {
        self.head = head;
        let seq = head.seq;
        let last = self.last.as_ref().filter(|(last, _)| Some(last) == case).map(|(_, record)| record.clone());
        if let Some(case) = case {
            self.docket.apply(seq, at, case, entry, last.as_ref());
        }
        match entry {
            Entry::Case(record) => {
                self.next_case = self.next_case.max(record.number + 1);
                self.last = case.map(|case| (case.clone(), Arc::new(Record::clone(record))));
            }
            Entry::Intent(intended) => {
                let (Some(record), Some(case)) = (last, case) else { return };
                let (action, effect) = (Arc::new(record.action.clone()), Arc::new(record.ruling.effect.clone()));
                self.ledger.spend(seq, at, &action.agent, &action.target, effect.clone());
                let footprint = Arc::new(intended.footprint.clone());
                self.recent.push_back(Recent {
                    seq,
                    case: case.clone(),
                    target: action.target.clone(),
                    effect: effect.clone(),
                    footprint,
                    void: false,
                });
                if self.recent.len() > RECENT_MAX {
                    self.forgotten = self.recent.pop_front().map_or(self.forgotten, |oldest| oldest.seq);
                }
                let open = Open {
                    case: case.clone(),
                    action,
                    effect,
                    pins: Arc::new(intended.pins.clone()),
                    sealed: intended.call.clone(),
                    call: live,
                    receipt: None,
                    doubt: None,
                };
                self.open.insert(seq, open);
            }
            Entry::Conclusion { intent, outcome } => self.conclude(*intent, outcome, live),
            Entry::Observation { kind, drift, intent } => {
                let target = self.open.get(intent).map(|open| open.action.target.clone());
                if let Some(target) = target.or_else(|| self.target_of(*intent)) {
                    self.fidelity.measure(&target, kind, drift);
                }
            }
            Entry::Mode { target, mode, .. } => {
                self.modes.insert(target.clone(), *mode);
            }
            Entry::Held { .. } | Entry::Approval { .. } | Entry::Denial { .. } | Entry::Revocation { .. } => {}
            Entry::Read { .. } | Entry::Policies { .. } => {}
        }
    }

    fn conclude(&mut self, intent: Seq, outcome: &Outcome, live: Option<Live>) {
        match outcome {
            Outcome::Committed { .. } => match (self.open.get_mut(&intent), live) {
                // It stays in the overlay until the snapshot shows it.
                (Some(open), Some(receipt)) => open.receipt = Some(receipt),
                // Read back after a restart: the snapshot is younger than the commit.
                _ => drop(self.open.remove(&intent)),
            },
            Outcome::Resolved { happened: true, .. } => drop(self.open.remove(&intent)),
            Outcome::Refused { .. } | Outcome::Abandoned { .. } | Outcome::Resolved { happened: false, .. } => {
                self.open.remove(&intent);
                self.ledger.refund(intent);
                if let Some(recent) = self.recent.iter_mut().rev().find(|recent| recent.seq == intent) {
                    recent.void = true;
                }
            }
            Outcome::InDoubt { why } => {
                if let Some(open) = self.open.get_mut(&intent) {
                    open.doubt = Some(why.clone());
                }
            }
        }
    }

    fn target_of(&self, intent: Seq) -> Option<TargetName> {
        self.recent.iter().find(|recent| recent.seq == intent).map(|recent| recent.target.clone())
    }
}
