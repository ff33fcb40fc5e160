//! People: which cases wait for them, what they agreed to, and for how long.
//!
//! Knows: pending cases and grants, as a fold over the journal, so that both survive a restart.
//! Does not know: how a person was authenticated, or over which channel they answered.
//!
//! An approval is bound to the effect that the person was shown, counted once per person, never from the agent
//! itself, and the grant that follows is good for one intent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Access, Action, AgentId, Approval, Digest, Effect, Likeness, Moment, Ruling, TargetName, Verdict};

use crate::classes::{Classes, Terms};
use crate::journal::{Draft, Entry, NotAppended, Outcome, Record, Seq};
use crate::permit::{Grant, Warrant};
use crate::{Case, CaseId, Gate, Refusal, Target};

/// Somebody who was authenticated as a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub name: String,
    /// In which roles.
    pub roles: BTreeSet<String>,
}

impl Person {
    /// Somebody in no particular role.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), roles: BTreeSet::new() }
    }

    /// The same person in one more role.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        self.roles.insert(role.into());
        self
    }
}

/// One person's agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Who.
    pub by: String,
    /// In which roles.
    pub roles: BTreeSet<String>,
    /// When.
    pub at: Moment,
    /// What they said about it.
    pub note: String,
    /// The terms on which they agree to effects like it too.
    pub class: Option<Terms>,
}

/// A case that waits for people, or waited.
#[derive(Debug, Clone)]
pub struct Held {
    /// Its id.
    pub case: CaseId,
    /// What was asked.
    pub action: Arc<Action>,
    /// What people are shown: verdict, reasons, effect.
    pub ruling: Arc<Ruling>,
    /// The digest of that effect; whoever approves says which one they saw.
    pub shown: Digest,
    /// Who has to agree.
    pub approval: Approval,
    /// When it was first held.
    pub asked: Moment,
    /// Nobody can agree any more after this.
    pub expires: Moment,
    /// Who has agreed.
    pub votes: Vec<Vote>,
    identity: Digest,
    pub(crate) effect: Arc<Effect>,
    grant_ms: u64,
    fate: Fate,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// People have not decided.
    Waiting,
    /// They agreed, and nobody has used it.
    Granted { until: Moment },
    /// An intent was written on it.
    Used { by: Seq },
    /// One of them disagreed.
    Denied { by: String, note: String, at: Moment },
}

/// Why a vote does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VoteError {
    /// It waits for nobody.
    #[error("case {0} is not waiting for anyone")]
    NotPending(CaseId),
    /// It is known what became of it, or nothing was ever sent.
    #[error("case {0} is not in doubt")]
    NotInDoubt(CaseId),
    /// The effect is no longer the one that the person looked at.
    #[error("case {0} has changed since you looked at it: look again")]
    Changed(CaseId),
    /// The agent cannot approve itself.
    #[error("{0} asked for this, and cannot approve it")]
    Oneself(String),
    /// The person has agreed before.
    #[error("{0} has already agreed to this")]
    Twice(String),
    /// The person has none of the roles that are asked for.
    #[error("{0} has none of the roles that may approve this: {1}")]
    NoRole(String, String),
    /// Nothing was agreed in this case for effects like its, or not any more.
    #[error("case {0} has no class grant that is in force")]
    NoClass(CaseId),
    /// It cannot be told what would be like it.
    #[error("case {0} cannot be approved as a class: it cannot be told which effects would be like it")]
    Unlike(CaseId),
    /// The journal cannot be written.
    #[error("the decision could not be recorded: {0}")]
    Unavailable(String),
}

/// How an action stands with the people.
#[derive(Debug)]
pub(crate) enum Standing {
    /// They agreed.
    Granted(Grant),
    /// They are looking at it.
    Waiting(CaseId),
    /// One of them said no, not long ago.
    Denied { case: CaseId, by: String, note: String },
    /// They have not been asked, or about less than this.
    Unasked,
}

impl Held {
    fn is_met(&self) -> bool {
        self.is_met_by(|_| true)
    }

    /// Are those enough whose votes are such?
    fn is_met_by(&self, such: impl Fn(&Vote) -> bool) -> bool {
        self.approval.quorums().iter().all(|quorum| {
            let able = |vote: &&Vote| quorum.roles.is_empty() || !quorum.roles.is_disjoint(&vote.roles);
            self.votes.iter().filter(|vote| such(vote)).filter(able).count() >= quorum.count as usize
        })
    }

    fn is_alive(&self, now: Moment, memory_ms: u64) -> bool {
        match &self.fate {
            Fate::Waiting => now <= self.expires,
            Fate::Granted { until } => now <= *until,
            Fate::Used { .. } => true,
            Fate::Denied { at, .. } => now <= at.plus_ms(memory_ms),
        }
    }

    fn grant(&self) -> Grant {
        Grant {
            case: self.case.clone(),
            identity: self.identity,
            effect: self.effect.clone(),
            approval: self.approval.clone(),
        }
    }
}

/// No gate remembers a denial for longer than a week, whatever its settings say.
const DENIAL_MAX_MS: u64 = 7 * 24 * 3_600_000;

/// Every case that people have, or had, to decide: a fold over the journal.
#[derive(Debug, Default)]
pub(crate) struct Docket {
    cases: BTreeMap<CaseId, Held>,
    /// The newest case of an action: a retry finds it again.
    newest: BTreeMap<Digest, CaseId>,
    /// What was agreed for effects like one.
    pub(crate) classes: Classes,
}

impl Docket {
    /// Takes in one entry.
    pub(crate) fn apply(&mut self, seq: Seq, at: Moment, case: &CaseId, entry: &Entry, last: Option<&Arc<Record>>) {
        match entry {
            Entry::Held { shown, identity, approval, expires, grant_ms } => {
                let Some(record) = last else { return };
                let held = Held {
                    case: case.clone(),
                    action: Arc::new(record.action.clone()),
                    ruling: Arc::new(record.ruling.clone()),
                    shown: *shown,
                    approval: approval.clone(),
                    asked: self.cases.get(case).map_or(at, |held| held.asked),
                    expires: *expires,
                    votes: Vec::new(),
                    identity: *identity,
                    effect: Arc::new(record.ruling.effect.clone()),
                    grant_ms: *grant_ms,
                    fate: Fate::Waiting,
                };
                self.prune(at);
                self.newest.insert(*identity, case.clone());
                self.cases.insert(case.clone(), held);
            }
            Entry::Approval { by, roles, note, class, .. } => {
                let Some(held) = self.cases.get_mut(case) else { return };
                let (by, roles, note) = (by.clone(), roles.clone(), note.clone());
                held.votes.push(Vote { by, roles, at, note, class: class.clone() });
                // As many as have to agree to one have to agree to the same terms for others like it.
                if let Some(terms) = class
                    && held.is_met_by(|vote| vote.class.as_ref() == Some(terms))
                {
                    self.classes.agree(held, terms.clone());
                }
                if held.is_met() {
                    held.fate = Fate::Granted { until: at.plus_ms(held.grant_ms) };
                }
            }
            Entry::Denial { by, note } => {
                if let Some(held) = self.cases.get_mut(case) {
                    held.fate = Fate::Denied { by: by.clone(), note: note.clone(), at };
                }
            }
            Entry::Intent(intended) => match &intended.warrant {
                Warrant::Grant { case } => self.spend(case, seq),
                Warrant::Class { case: class } => {
                    self.classes.spend(class, seq);
                    self.forget(case);
                }
                // It passes by itself now: nobody needs to look at it any more.
                Warrant::Policies | Warrant::Observed => self.forget(case),
            },
            Entry::Revocation { .. } => self.classes.revoke(case),
            Entry::Read { grant: Some(case), .. } => self.spend(case, seq),
            Entry::Conclusion { intent, outcome: Outcome::Abandoned { .. } } => {
                // Nothing was done, so the grant was not used.
                self.classes.refund(*intent);
                for held in self.cases.values_mut().filter(|held| held.fate == Fate::Used { by: *intent }) {
                    let voted = held.votes.last().map_or(at, |vote| vote.at);
                    held.fate = Fate::Granted { until: voted.plus_ms(held.grant_ms) };
                }
            }
            Entry::Conclusion { intent, outcome } if !matches!(outcome, Outcome::InDoubt { .. }) => {
                let done = |held: &&Held| held.fate == Fate::Used { by: *intent };
                let done: Vec<CaseId> = self.cases.values().filter(done).map(|held| held.case.clone()).collect();
                done.iter().for_each(|case| self.forget(case));
            }
            _ => {}
        }
    }

    /// How this action, with this effect, stands.
    pub(crate) fn standing(
        &self,
        identity: &Digest,
        effect: &Effect,
        approval: &Approval,
        now: Moment,
        memory_ms: u64,
    ) -> Standing {
        let held = self.newest.get(identity).and_then(|case| self.cases.get(case));
        let Some(held) = held.filter(|held| held.is_alive(now, memory_ms)) else { return Standing::Unasked };
        let same = held.effect.covers(effect) && approval.quorums().is_subset(&held.approval.quorums());
        let case = held.case.clone();
        match &held.fate {
            Fate::Used { .. } => Standing::Unasked,
            _ if !same => Standing::Unasked,
            Fate::Waiting => Standing::Waiting(case),
            Fate::Granted { .. } => Standing::Granted(held.grant()),
            Fate::Denied { by, note, .. } => Standing::Denied { case, by: by.clone(), note: note.clone() },
        }
    }

    /// The case under which this action waits, or was granted: a retry goes on with it.
    pub(crate) fn case_of(&self, identity: &Digest, now: Moment) -> Option<(CaseId, Option<Grant>)> {
        let held = self.newest.get(identity).and_then(|case| self.cases.get(case))?;
        match held.fate {
            Fate::Waiting if now <= held.expires => Some((held.case.clone(), None)),
            Fate::Granted { until } if now <= until => Some((held.case.clone(), Some(held.grant()))),
            _ => None,
        }
    }

    /// Is the grant of this case unused?
    pub(crate) fn is_usable(&self, case: &CaseId, now: Moment) -> bool {
        self.cases.get(case).is_some_and(|held| matches!(held.fate, Fate::Granted { until } if now <= until))
    }

    /// May this person decide on what they saw?
    pub(crate) fn check(&self, case: &CaseId, person: &Person, shown: &Digest, now: Moment) -> Result<(), VoteError> {
        let held = self.waiting(case, now)?;
        if held.shown != *shown {
            return Err(VoteError::Changed(case.clone()));
        }
        self.check_denial(case, person, now)?;
        if held.votes.iter().any(|vote| vote.by == person.name) {
            return Err(VoteError::Twice(person.name.clone()));
        }
        let able = |quorum: &model::Quorum| quorum.roles.is_empty() || !quorum.roles.is_disjoint(&person.roles);
        let quorums = held.approval.quorums();
        if !quorums.iter().any(able) {
            let roles: BTreeSet<&str> = quorums.iter().flat_map(|q| &q.roles).map(String::as_str).collect();
            let roles = roles.into_iter().collect::<Vec<_>>().join(", ");
            return Err(VoteError::NoRole(person.name.clone(), roles));
        }
        Ok(())
    }

    /// Can there be effects like that of this case? A look has none.
    pub(crate) fn check_class(&self, case: &CaseId) -> Result<(), VoteError> {
        let held = self.cases.get(case).ok_or_else(|| VoteError::NotPending(case.clone()))?;
        let known = held.action.access == Access::Write && Likeness::applies_to(&held.effect);
        if known { Ok(()) } else { Err(VoteError::Unlike(case.clone())) }
    }

    /// May this person say no? Anyone may who is not the agent.
    pub(crate) fn check_denial(&self, case: &CaseId, person: &Person, now: Moment) -> Result<(), VoteError> {
        let held = self.waiting(case, now)?;
        if held.action.agent == AgentId::from(person.name.as_str()) {
            return Err(VoteError::Oneself(person.name.clone()));
        }
        Ok(())
    }

    fn waiting(&self, case: &CaseId, now: Moment) -> Result<&Held, VoteError> {
        let held = self.cases.get(case).filter(|held| held.fate == Fate::Waiting && now <= held.expires);
        held.ok_or_else(|| VoteError::NotPending(case.clone()))
    }

    /// Everything that waits, oldest first.
    pub(crate) fn pending(&self, target: Option<&TargetName>, now: Moment) -> Vec<Held> {
        let waits = |held: &&Held| {
            held.fate == Fate::Waiting
                && now <= held.expires
                && target.is_none_or(|target| held.action.target == *target)
        };
        let mut waiting: Vec<Held> = self.cases.values().filter(waits).cloned().collect();
        waiting.sort_by_key(|held| held.asked);
        waiting
    }

    /// Forgets what nobody can use any more; the journal keeps it.
    fn prune(&mut self, at: Moment) {
        self.classes.prune(at);
        let dead = |held: &&Held| !held.is_alive(at, DENIAL_MAX_MS);
        let dead: Vec<CaseId> = self.cases.values().filter(dead).map(|held| held.case.clone()).collect();
        dead.iter().for_each(|case| self.forget(case));
    }

    fn spend(&mut self, case: &CaseId, by: Seq) {
        if let Some(held) = self.cases.get_mut(case) {
            held.fate = Fate::Used { by };
        }
    }

    fn forget(&mut self, case: &CaseId) {
        if let Some(held) = self.cases.remove(case)
            && self.newest.get(&held.identity) == Some(case)
        {
            self.newest.remove(&held.identity);
        }
    }
}

/// Asks people, and waits for them as long as the gate has patience. A grant that covers the case (none if they agreed to
/// effects like it meanwhile), or what to tell the agent.
///
/// The case waits on in the journal when the agent goes away. A retry of the same action finds it again, or finds
/// the grant.
pub(crate) async fn ask<T: Target>(
    gate: &Gate<T>,
    case: &Case<T::Call>,
    number: u64,
) -> Result<Option<Grant>, Refusal<T::Response>> {
    let Verdict::Hold { why, approval } = &case.judgement.verdict else {
        let cause = "a case that is not held was put to people".to_owned();
        return Err(Refusal::Unavailable { cause, retry_after_ms: gate.settings.retry_after_ms });
    };
    let (identity, title) = (case.action.identity(), case.action.title());
    let mut changes = gate.journal.changes();
    let mut patience = gate.host.sleep(gate.settings.patience_ms);
    let denial_ms = gate.settings.denial_ms;
    loop {
        changes.borrow_and_update();
        let now = gate.host.now();
        let standing = gate.journal.state().docket.standing(&identity, &case.effect, approval, now, denial_ms);
        match standing {
            Standing::Granted(grant) => return Ok(Some(grant)),
            Standing::Waiting(_) if gate.class_for(case).is_some() => return Ok(None),
            Standing::Denied { case, by, note } => return Err(Refusal::Rejected { case, title, by, note }),
            Standing::Waiting(case) => {
                let out_of_patience = tokio::select! {
                    biased;
                    changed = changes.changed() => changed.is_err(),
                    () = &mut patience => true,
                };
                if out_of_patience {
                    let retry_after_ms = gate.settings.retry_after_ms;
                    return Err(Refusal::Held { case, title, why: why.clone(), retry_after_ms });
                }
            }
            Standing::Unasked => {
                let held = Entry::Held {
                    shown: case.effect.digest(),
                    identity,
                    approval: approval.clone(),
                    expires: now.plus_ms(gate.settings.pending_ms),
                    grant_ms: gate.settings.grant_ms,
                };
                let drafts = vec![Draft::new(&case.id, case.entry(number, gate.mode())), Draft::new(&case.id, held)];
                let (effect, approval) = (case.effect.clone(), approval.clone());
                // Another request for the same action may have asked in this moment: then theirs is the case.
                let asked = gate.journal.append_if(now, drafts, move |state| {
                    match state.docket.standing(&identity, &effect, &approval, now, denial_ms) {
                        Standing::Unasked => Ok(()),
                        _ => Err(()),
                    }
                });
                if let Err(NotAppended::Unavailable(cause)) = asked.await {
                    return Err(Refusal::Unavailable { cause, retry_after_ms: gate.settings.retry_after_ms });
                }
            }
        }
    }
}
