//! What agents have spent, counted on effects: a fold over the journal.
//!
//! Knows: which intents count, and that they stop counting when the window has passed them.
//! Does not know: what is too much.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::{AgentId, Effect, Moment, Spent, Tally, TargetName};

use crate::journal::Seq;

/// One intent that counts.
#[derive(Debug)]
struct Expense {
    seq: Seq,
    at: Moment,
    agent: AgentId,
    target: TargetName,
    effect: Arc<Effect>,
}

/// Running tallies over a sliding window.
#[derive(Debug)]
pub(crate) struct Ledger {
    window_ms: u64,
    expenses: VecDeque<Expense>,
    agents: BTreeMap<(TargetName, AgentId), Tally>,
    everyone: BTreeMap<TargetName, Tally>,
    /// Goes up whenever a tally changes.
    version: u64,
}

impl Ledger {
    /// A window for folds that are not asked what was spent.
    pub(crate) const UNUSED: u64 = 0;

    pub(crate) fn over(window_ms: u64) -> Self {
        Self { window_ms, expenses: VecDeque::new(), agents: BTreeMap::new(), everyone: BTreeMap::new(), version: 0 }
    }

    /// An intent was written. It counts from here on: what is on its way may already have happened.
    pub(crate) fn spend(&mut self, seq: Seq, at: Moment, agent: &AgentId, target: &TargetName, effect: Arc<Effect>) {
        self.agents.entry((target.clone(), agent.clone())).or_default().add(&effect);
        self.everyone.entry(target.clone()).or_default().add(&effect);
        self.expenses.push_back(Expense { seq, at, agent: agent.clone(), target: target.clone(), effect });
        self.version += 1;
    }

    /// An intent came to nothing.
    pub(crate) fn refund(&mut self, seq: Seq) {
        let before = self.expenses.len();
        self.expenses.retain(|expense| expense.seq != seq);
        if self.expenses.len() != before {
            self.recount();
        }
    }

    /// What counts now. Tallies have sets and first values in them, so nothing can be subtracted: they are added up
    /// again, but only once per sixtieth of the window.
    pub(crate) fn spent(&mut self, agent: &AgentId, target: &TargetName, now: Moment) -> Spent {
        let slack = self.window_ms / 60;
        if self.expenses.front().is_some_and(|oldest| now.ms_since(oldest.at) > self.window_ms + slack) {
            let window_ms = self.window_ms;
            self.expenses.retain(|expense| now.ms_since(expense.at) <= window_ms);
            self.recount();
        }
        Spent {
            agent: self.agents.get(&(target.clone(), agent.clone())).cloned().unwrap_or_default(),
            everyone: self.everyone.get(target).cloned().unwrap_or_default(),
        }
    }

    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    fn recount(&mut self) {
        self.agents.clear();
        self.everyone.clear();
        for Expense { agent, target, effect, .. } in &self.expenses {
            self.agents.entry((target.clone(), agent.clone())).or_default().add(effect);
            self.everyone.entry(target.clone()).or_default().add(effect);
        }
        self.version += 1;
    }
}
