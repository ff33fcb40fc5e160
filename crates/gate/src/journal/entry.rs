//! What the journal says.
//!
//! Knows: every kind of entry, and what each keeps.
//! Does not know: how entries are chained, written or folded.
//!
//! Nothing here is secret: the call of an intent is sealed with the vault's key before it comes here.

use std::collections::{BTreeMap, BTreeSet};

use model::{Action, AgentId, Approval, Digest, Drift, Footprint, Moment, ObjectRef, Ruling, TargetName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::classes::Terms;
use crate::permit::Warrant;
use crate::{CaseId, Mode};

/// The place of an entry in the journal. The first is 1; 0 is before everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// One entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Entry {
    /// Somebody asked for something, and this is what was thought of it.
    Case(Box<Record>),
    /// The case waits for people.
    Held {
        /// What they are shown.
        shown: Digest,
        /// Which action it is: a retry has the same.
        identity: Digest,
        /// Who has to agree.
        approval: Approval,
        /// Nobody can agree any more after this.
        expires: Moment,
        /// How long the grant lasts that follows.
        grant_ms: u64,
    },
    /// One person agrees.
    Approval {
        /// Who.
        by: String,
        /// In which roles.
        roles: BTreeSet<String>,
        /// To what: what they were shown.
        shown: Digest,
        /// What they said about it.
        note: String,
        /// To effects like it too, on these terms.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<Terms>,
    },
    /// One person disagrees, and that settles it.
    Denial {
        /// Who.
        by: String,
        /// What they said about it.
        note: String,
    },
    /// One person takes back what was agreed for effects like that of the case.
    Revocation {
        /// Who.
        by: String,
        /// What they said about it.
        note: String,
    },
    /// This is about to be done.
    Intent(Box<Intended>),
    /// This came of an intent.
    Conclusion {
        /// Which.
        intent: Seq,
        /// What.
        outcome: Outcome,
    },
    /// This was then measured.
    Observation {
        /// Of which intent.
        intent: Seq,
        /// Of which kind of action.
        kind: String,
        /// Predicted against observed.
        drift: Drift,
    },
    /// Somebody looked at something.
    Read {
        /// Who.
        agent: AgentId,
        /// At what.
        title: String,
        /// The case whose grant allowed it, if it took one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant: Option<CaseId>,
    },
    /// The gate of a target changes its mode.
    Mode {
        /// Which target.
        target: TargetName,
        /// From now on.
        mode: Mode,
        /// Who changed it.
        by: String,
    },
    /// The gate of a target gets other rules.
    Policies {
        /// Which target.
        target: TargetName,
        /// Their names.
        names: Vec<String>,
        /// Who changed them.
        by: String,
    },
}

impl Entry {
    /// Its kind, as a column to search by.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Case(_) => "case",
            Self::Held { .. } => "held",
            Self::Approval { .. } => "approval",
            Self::Denial { .. } => "denial",
            Self::Revocation { .. } => "revocation",
            Self::Intent(_) => "intent",
            Self::Conclusion { .. } => "conclusion",
            Self::Observation { .. } => "observation",
            Self::Read { .. } => "read",
            Self::Mode { .. } => "mode",
            Self::Policies { .. } => "policies",
        }
    }
}

/// A case as it was judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// The number that the id was made from, so that a restarted gate goes on after it.
    pub(crate) number: u64,
    /// What the gate would do with it.
    pub(crate) mode: Mode,
    /// What was asked.
    pub(crate) action: Action,
    /// What was thought of it.
    pub(crate) ruling: Ruling,
}

/// An intent as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Intended {
    /// What it rests on.
    pub(crate) warrant: Warrant,
    /// What its prediction read and changed.
    pub(crate) footprint: Footprint,
    /// The versions it is conditional on.
    pub(crate) pins: BTreeMap<ObjectRef, String>,
    /// The call, sealed; base64.
    pub(crate) call: String,
}

/// What came of an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Outcome {
    /// Production did it.
    Committed {
        /// And answered so.
        receipt: Value,
        /// As a person reads it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        told: String,
    },
    /// Production said no.
    Refused {
        /// In these words.
        said: String,
    },
    /// It was not done, and can be tried again.
    Abandoned {
        /// Why.
        why: String,
    },
    /// Nobody knows.
    InDoubt {
        /// Why.
        why: String,
    },
    /// It was in doubt, and is no more.
    Resolved {
        /// It did happen.
        happened: bool,
        /// How that was found out.
        how: String,
    },
}
