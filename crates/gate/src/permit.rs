//! The right to change production, once.
//!
//! Knows: that only a judged case becomes a permit, and only a journaled permit becomes an intent.
//! Does not know: how either is judged or written.
//!
//! Nothing here can be cloned, read from bytes, or made outside of this crate; a target's `commit` takes nothing but
//! an [`Intent`], and the vault gives a writing credential only against one. So "what was validated is what is
//! committed" is a property of the types (`tests/forgery/` holds the compiler to it).

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Action, Approval, Digest, Effect, ObjectRef, Verdict};
use serde::{Deserialize, Serialize};

use crate::journal::Seq;
use crate::{Case, CaseId, Mode};

/// The versions that an effect was computed on.
pub(crate) type Pins = BTreeMap<ObjectRef, String>;

/// Leave for one action to change production. Good for one [`Intent`].
#[derive(Debug)]
pub struct Permit<C> {
    pub(crate) case: Case<C>,
    pub(crate) warrant: Warrant,
}

/// What a permit rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "by")]
pub(crate) enum Warrant {
    /// The policies allow it.
    Policies,
    /// People approved an effect that covers it, in this case.
    Grant {
        /// The case they approved.
        case: CaseId,
    },
    /// People approved effects like this one, in this case.
    Class {
        /// The case they approved.
        case: CaseId,
    },
    /// The gate only observes: it would have been held or denied.
    Observed,
}

impl<C> Permit<C> {
    /// The permit that follows from a case, or the case back if none does.
    ///
    /// A grant given ten minutes ago was for the production of ten minutes ago. It still holds if the new effect lies
    /// within the one the people saw; otherwise they are asked again, unless they agreed to effects like it (`class`).
    pub(crate) fn issue(
        case: Case<C>,
        mode: Mode,
        grant: Option<&Grant>,
        class: Option<CaseId>,
        effect_counts: bool,
    ) -> Result<Self, Box<Case<C>>> {
        let covering = |approval: &Approval| {
            grant.filter(|grant| grant.covers(&case.action.identity(), &case.effect, approval) || !effect_counts)
        };
        let warrant = match &case.judgement.verdict {
            Verdict::Allow => Warrant::Policies,
            _ if mode == Mode::Observe => Warrant::Observed,
            Verdict::Hold { approval, .. } => match (covering(approval), class) {
                (Some(grant), _) => Warrant::Grant { case: grant.case.clone() },
                (None, Some(case)) => Warrant::Class { case },
                (None, None) => return Err(Box::new(case)),
            },
            Verdict::Deny { .. } => return Err(Box::new(case)),
        };
        Ok(Self { case, warrant })
    }
}

/// What people agreed to: one effect of one action, once.
#[derive(Debug, Clone)]
pub struct Grant {
    pub(crate) case: CaseId,
    pub(crate) identity: Digest,
    pub(crate) effect: Arc<Effect>,
    pub(crate) approval: Approval,
}

impl Grant {
    /// Does what the people agreed to include this?
    pub(crate) fn covers(&self, identity: &Digest, effect: &Effect, approval: &Approval) -> bool {
        self.identity == *identity
            && self.effect.covers(effect)
            && approval.quorums().is_subset(&self.approval.quorums())
    }
}

/// A change that is about to be made, and is on disk. Moved into one commit.
#[derive(Debug)]
pub struct Intent<C> {
    pub(crate) seq: Seq,
    pub(crate) case: CaseId,
    pub(crate) action: Arc<Action>,
    pub(crate) call: Arc<C>,
    pub(crate) effect: Arc<Effect>,
    pub(crate) told: Arc<Effect>,
    pub(crate) pins: Arc<Pins>,
}

impl<C> Intent<C> {
    /// The case it belongs to.
    pub fn case(&self) -> &CaseId {
        &self.case
    }

    /// What was asked.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// What to send: production's request is encoded from this.
    pub fn call(&self) -> &C {
        &self.call
    }

    /// What was judged.
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    /// The versions of the objects that the effect was computed on. Production must still have them.
    pub fn pins(&self) -> &BTreeMap<ObjectRef, String> {
        &self.pins
    }

    /// A name for this attempt that no other ever has: an idempotency token, where production takes one.
    pub fn token(&self) -> String {
        format!("lazaret-{}-{}", self.case, self.seq.0)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::{Intent, Permit};

    /// Two ways to be `Plain`: a type that can be copied, or read from bytes, has both, and the call is ambiguous.
    trait Plain<Way> {
        fn is_plain() {}
    }
    struct Any;
    struct Copied;
    struct Read;
    impl<T> Plain<Any> for T {}
    impl<T: Clone> Plain<Copied> for T {}
    impl<T: DeserializeOwned> Plain<Read> for T {}

    #[test]
    fn permits_and_intents_can_neither_be_copied_nor_read_from_bytes() {
        // That this compiles is the test.
        <Permit<()> as Plain<_>>::is_plain();
        <Intent<()> as Plain<_>>::is_plain();
    }
}
