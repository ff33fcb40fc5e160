//! Class grants: people agreed to effects like one they saw, on terms, and every later use cites them.
//!
//! Knows: which terms are in force, and how often each was used; a fold over the journal.
//! Does not know: when one effect is like another.
//!
//! A class grant stands in for the people who would have been asked, so it is no wider than their answer: for the same
//! agent on the same system, held by no other rules than those they were told of, and for no more people than agreed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Action, AgentId, Approval, Because, Effect, Likeness, Moment, TargetName};
use serde::{Deserialize, Serialize};

use crate::CaseId;
use crate::approvals::Held;
use crate::journal::Seq;

/// On which terms people agree to effects like one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// How an effect may differ.
    #[serde(flatten)]
    pub likeness: Likeness,
    /// How often.
    pub uses_max: u64,
    /// Until when.
    pub until: Moment,
}

/// What people agreed to for effects like that of a case.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Class {
    /// The case in which they agreed.
    pub case: CaseId,
    /// Whose actions it is for.
    pub agent: AgentId,
    /// On which system.
    pub target: TargetName,
    /// What was asked then.
    pub title: String,
    /// On which terms.
    pub terms: Terms,
    /// Who agreed.
    pub by: BTreeSet<String>,
    /// The rules that held it.
    pub rules: BTreeSet<String>,
    /// How often it was used.
    pub uses: u64,
    #[serde(skip)]
    shown: Arc<Effect>,
    #[serde(skip)]
    approval: Approval,
    #[serde(skip)]
    used_by: BTreeSet<Seq>,
}

impl Class {
    fn is_usable(&self, now: Moment) -> bool {
        now <= self.terms.until && self.uses < self.terms.uses_max
    }
}

/// Every class grant in force.
#[derive(Debug, Default)]
pub(crate) struct Classes(BTreeMap<CaseId, Class>);

impl Classes {
    /// People have agreed.
    pub(crate) fn agree(&mut self, held: &Held, terms: Terms) {
        let agreed = held.votes.iter().filter(|vote| vote.class.as_ref() == Some(&terms));
        let class = Class {
            case: held.case.clone(),
            agent: held.action.agent.clone(),
            target: held.action.target.clone(),
            title: held.action.title(),
            by: agreed.map(|vote| vote.by.clone()).collect(),
            rules: held.ruling.why.iter().map(|because| because.policy.clone()).collect(),
            uses: 0,
            shown: held.effect.clone(),
            approval: held.approval.clone(),
            used_by: BTreeSet::new(),
            terms,
        };
        self.0.insert(held.case.clone(), class);
    }

    /// The grant, by its case, that covers an action which these reasons hold.
    pub(crate) fn covering(
        &self,
        action: &Action,
        effect: &Effect,
        approval: &Approval,
        why: &[Because],
        now: Moment,
    ) -> Option<CaseId> {
        let covers = |class: &&Class| {
            class.is_usable(now)
                && class.agent == action.agent
                && class.target == action.target
                && why.iter().all(|because| class.rules.contains(&because.policy))
                && approval.quorums().is_subset(&class.approval.quorums())
                && class.terms.likeness.covers(&class.shown, effect)
        };
        self.0.values().find(covers).map(|class| class.case.clone())
    }

    /// May it be used once more?
    pub(crate) fn is_usable(&self, case: &CaseId, now: Moment) -> bool {
        self.0.get(case).is_some_and(|class| class.is_usable(now))
    }

    /// An intent rests on it.
    pub(crate) fn spend(&mut self, case: &CaseId, by: Seq) {
        if let Some(class) = self.0.get_mut(case)
            && class.used_by.insert(by)
        {
            class.uses += 1;
        }
    }

    /// An intent came to nothing.
    pub(crate) fn refund(&mut self, intent: Seq) {
        for class in self.0.values_mut() {
            if class.used_by.remove(&intent) {
                class.uses -= 1;
            }
        }
    }

    /// Somebody took it back.
    pub(crate) fn revoke(&mut self, case: &CaseId) {
        self.0.remove(case);
    }

    /// Forgets what nobody can use any more; the journal keeps it.
    pub(crate) fn prune(&mut self, now: Moment) {
        self.0.retain(|_, class| now <= class.terms.until);
    }

    /// Those in force.
    pub(crate) fn list(&self, now: Moment) -> Vec<Class> {
        self.0.values().filter(|class| class.is_usable(now)).cloned().collect()
    }
}
