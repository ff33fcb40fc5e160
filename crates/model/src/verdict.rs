//! Opinions, and how they join into a verdict.
//!
//! Knows: that the strictest opinion wins, and that silence holds.
//! Does not know: any policy.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How a forecast stands to a limit: the three answers that a range can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// Even its worst is within.
    Passes,
    /// Some of what it can be is within, some is not.
    Unsure,
    /// Even its best is beyond.
    Fails,
}

impl Finding {
    /// Both must pass.
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }

    /// One must pass.
    pub fn or(self, other: Self) -> Self {
        self.min(other)
    }

    /// The opinion that follows: allow, hold or deny. The policy does not choose, the range does.
    pub fn because(self, text: impl Into<String>) -> Opinion {
        let because = Because::new(text);
        match self {
            Self::Passes => Opinion::Allow(because),
            Self::Unsure => Opinion::Hold(because),
            Self::Fails => Opinion::Deny(because),
        }
    }
}

impl From<bool> for Finding {
    fn from(passes: bool) -> Self {
        if passes { Self::Passes } else { Self::Fails }
    }
}

/// So many people, each with one of these roles. No role named means anyone who may approve at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Quorum {
    /// How many different people.
    pub count: u32,
    /// Any of these roles will do.
    #[serde(default)]
    pub roles: BTreeSet<String>,
}

/// Who has to agree to a held action: every quorum must be met. One person may count for several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Approval(pub BTreeSet<Quorum>);

impl Approval {
    /// So many people with one of these roles.
    pub fn of<R: Into<String>>(count: u32, roles: impl IntoIterator<Item = R>) -> Self {
        Self(BTreeSet::from([Quorum { count, roles: roles.into_iter().map(Into::into).collect() }]))
    }

    /// What both ask for.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The quorums, never none: whoever asked for nobody in particular still asked for a person.
    pub fn quorums(&self) -> BTreeSet<Quorum> {
        if self.0.is_empty() { BTreeSet::from([Quorum { count: 1, roles: BTreeSet::new() }]) } else { self.0.clone() }
    }
}

/// Why an opinion is what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Because {
    /// The policy, filled in by the fold.
    #[serde(default)]
    pub policy: String,
    /// What it found, as a clause: `service shop/cart would have 0 of 3 endpoints`.
    pub text: String,
    /// What would pass: `replicas >= 2`.
    #[serde(default, rename = "wouldPass", skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Who may let it through, if it is held.
    #[serde(default, skip_serializing_if = "is_anyone")]
    pub approval: Approval,
}

fn is_anyone(approval: &Approval) -> bool {
    approval.0.is_empty()
}

impl Because {
    /// A reason, without a remedy.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (policy {})", self.text, self.policy)
    }
}

/// What one policy thinks of an action. In order of strictness.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opinion {
    /// It has nothing to say about this.
    Abstain,
    /// Fine.
    Allow(Because),
    /// A person should look.
    Hold(Because),
    /// No.
    Deny(Because),
}

impl Opinion {
    /// Allows, with a reason.
    pub fn allow(text: impl Into<String>) -> Self {
        Self::Allow(Because::new(text))
    }

    /// Holds, with a reason.
    pub fn hold(text: impl Into<String>) -> Self {
        Self::Hold(Because::new(text))
    }

    /// Denies, with a reason.
    pub fn deny(text: impl Into<String>) -> Self {
        Self::Deny(Because::new(text))
    }

    /// Adds what would pass.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        if let Some(because) = self.because_mut() {
            because.remedy = Some(remedy.into());
        }
        self
    }

    /// Adds who may approve.
    pub fn approved_by(mut self, approval: Approval) -> Self {
        if let Some(because) = self.because_mut() {
            because.approval = approval;
        }
        self
    }

    /// A rule that never denies: what fails is for a person to decide.
    pub fn softened(self) -> Self {
        match self {
            Self::Deny(because) => Self::Hold(because),
            other => other,
        }
    }

    /// The stricter of two. Of two equally strict the first stays, so that a fold names the first rule that decided.
    pub fn join(self, other: Self) -> Self {
        if other.strictness() > self.strictness() { other } else { self }
    }

    /// The reason, unless it abstains.
    pub fn why(&self) -> Option<&Because> {
        match self {
            Self::Abstain => None,
            Self::Allow(because) | Self::Hold(because) | Self::Deny(because) => Some(because),
        }
    }

    /// Its name in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Abstain => "abstain",
            Self::Allow(_) => "allow",
            Self::Hold(_) => "hold",
            Self::Deny(_) => "deny",
        }
    }

    pub(crate) fn because_mut(&mut self) -> Option<&mut Because> {
        match self {
            Self::Abstain => None,
            Self::Allow(because) | Self::Hold(because) | Self::Deny(because) => Some(because),
        }
    }

    const fn strictness(&self) -> u8 {
        match self {
            Self::Abstain => 0,
            Self::Allow(_) => 1,
            Self::Hold(_) => 2,
            Self::Deny(_) => 3,
        }
    }
}

/// What all policies together think.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "decision")]
pub enum Verdict {
    /// It may pass.
    Allow,
    /// A person decides.
    #[serde(rename_all = "camelCase")]
    Hold {
        /// Every reason, the deciding one first.
        why: Vec<Because>,
        /// Who has to agree.
        approval: Approval,
    },
    /// It may not pass, whoever agrees.
    #[serde(rename_all = "camelCase")]
    Deny {
        /// Every reason, the deciding one first.
        why: Vec<Because>,
    },
}

impl Verdict {
    /// Is there nothing left to find out? A hold is not settled: a closer look may allow or deny.
    pub const fn is_settled(&self) -> bool {
        !matches!(self, Self::Hold { .. })
    }

    /// Its name in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hold { .. } => "hold",
            Self::Deny { .. } => "deny",
        }
    }

    /// The reasons, the deciding one first. An allow needs none.
    pub fn why(&self) -> &[Because] {
        match self {
            Self::Allow => &[],
            Self::Hold { why, .. } | Self::Deny { why } => why,
        }
    }

    /// What would pass: everything that the deciding rules ask for.
    pub fn would_pass(&self) -> Option<String> {
        let mut remedies: Vec<&str> = Vec::new();
        for remedy in self.why().iter().filter_map(|because| because.remedy.as_deref()) {
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        (!remedies.is_empty()).then(|| remedies.join("; "))
    }
}

/// One policy's opinion, as verdicts list it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Voice {
    /// The policy.
    pub name: String,
    /// `abstain`, `allow`, `hold` or `deny`.
    pub opinion: String,
    /// What it found.
    pub because: String,
    /// What would pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_pass: Option<String>,
}
