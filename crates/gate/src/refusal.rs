//! Why an action went no further, and what to do next.
//!
//! Knows: the answers that end a passage, and the words that every target puts into its client's language.
//! Does not know: any client's language.
//!
//! A refusal is the product: what, why, which rule, what would pass, where to look.

use model::{Because, Tier};

use crate::{CaseId, DecodeError};

/// What the agent is told instead of production's answer. Each variant asks for a different next step.
#[derive(Debug)]
pub enum Refusal<R> {
    /// The request is not clear. Mend it.
    NotDecoded(DecodeError),
    /// It may not be done. Do something else.
    Denied {
        /// The record of it.
        case: CaseId,
        /// What was asked: `scale Deployment/shop/cart`.
        title: String,
        /// Where it was decided.
        tier: Tier,
        /// The reasons, the deciding one first.
        why: Vec<Because>,
        /// What would pass.
        would_pass: Option<String>,
    },
    /// People are looking at it. Send the same request again after a while.
    Held {
        /// The record of it.
        case: CaseId,
        /// What was asked.
        title: String,
        /// The reasons, the deciding one first.
        why: Vec<Because>,
        /// When to ask again.
        retry_after_ms: u64,
    },
    /// A person said no. Do something else.
    Rejected {
        /// The record of it.
        case: CaseId,
        /// What was asked.
        title: String,
        /// Who.
        by: String,
        /// What they said about it.
        note: String,
    },
    /// Production would refuse it, and says so. Its own words.
    Refused {
        /// The record of it.
        case: CaseId,
        /// Production's answer.
        said: R,
    },
    /// Production would refuse it, as far as the twin knows; production was not asked.
    Foreseen {
        /// The record of it.
        case: CaseId,
        /// What the twin says.
        said: String,
    },
    /// The twin is not what production is. Try later.
    Stale {
        /// What is wrong with it.
        cause: String,
        /// When to try again.
        retry_after_ms: u64,
    },
    /// Others are changing the same things faster than this can be judged. Try later.
    Contended {
        /// The record of it.
        case: CaseId,
        /// When to try again.
        retry_after_ms: u64,
    },
    /// It may have happened. Look before doing anything else.
    InDoubt {
        /// The record of it.
        case: CaseId,
        /// What was asked.
        title: String,
        /// Why nobody knows.
        cause: String,
    },
    /// The gate, or production, cannot serve this now; nothing was changed. Try later.
    Unavailable {
        /// What is wrong.
        cause: String,
        /// When to try again.
        retry_after_ms: u64,
    },
}

impl<R> Refusal<R> {
    /// The record of it, if there is one.
    pub fn case(&self) -> Option<&CaseId> {
        match self {
            Self::Denied { case, .. }
            | Self::Held { case, .. }
            | Self::Rejected { case, .. }
            | Self::Refused { case, .. }
            | Self::Foreseen { case, .. }
            | Self::Contended { case, .. }
            | Self::InDoubt { case, .. } => Some(case),
            Self::NotDecoded(_) | Self::Stale { .. } | Self::Unavailable { .. } => None,
        }
    }

    /// When to send the same request again, if that can help.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Held { retry_after_ms, .. }
            | Self::Stale { retry_after_ms, .. }
            | Self::Contended { retry_after_ms, .. }
            | Self::Unavailable { retry_after_ms, .. } => Some(*retry_after_ms),
            _ => None,
        }
    }

    /// The rule that decided, if one did.
    pub fn policy(&self) -> Option<&str> {
        match self {
            Self::Denied { why, .. } | Self::Held { why, .. } => why.first().map(|why| why.policy.as_str()),
            _ => None,
        }
    }

    /// A fixed word for logs and metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotDecoded(_) => "not decoded",
            Self::Denied { .. } => "denied",
            Self::Held { .. } => "held",
            Self::Rejected { .. } => "rejected",
            Self::Refused { .. } => "refused",
            Self::Foreseen { .. } => "foreseen",
            Self::Stale { .. } => "stale",
            Self::Contended { .. } => "contended",
            Self::InDoubt { .. } => "in doubt",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// The whole of it, as a person reads it in a terminal.
    pub fn text(&self) -> String {
        let look = |case: &CaseId| format!("Details: lazaret show {case}");
        match self {
            Self::NotDecoded(error) => format!("the request is not clear, nothing was forwarded: {error}"),
            Self::Denied { case, title, tier, why, would_pass } => {
                let pass = would_pass.as_ref().map_or_else(String::new, |remedy| format!("Would pass: {remedy}. "));
                format!("{title} is denied: {}\n{pass}{}", reasons(why, Some(*tier)), look(case))
            }
            Self::Held { case, title, why, retry_after_ms } => format!(
                "{title} is held for a person: {}.\nSend the same request again in {} s. {}",
                reasons(why, None),
                retry_after_ms.div_ceil(1000),
                look(case)
            ),
            Self::Rejected { case, title, by, note } => {
                let note = if note.is_empty() { String::new() } else { format!(": {note}") };
                format!("{title} is denied by {by}{note}. {}", look(case))
            }
            Self::Refused { case, .. } => format!("production refused it. {}", look(case)),
            Self::Foreseen { case, said } => format!("{said}. {}", look(case)),
            Self::Stale { cause, .. } => {
                format!("the twin cannot vouch for production now, nothing was forwarded: {cause}")
            }
            Self::Contended { case, .. } => {
                format!("other actions keep changing the same things, nothing was forwarded. {}", look(case))
            }
            Self::InDoubt { case, title, cause } => format!(
                "{title} was sent and no answer came, it may have happened: {cause}\nDo not repeat it; look first. {}",
                look(case)
            ),
            Self::Unavailable { cause, .. } => format!("the gate cannot serve this now, nothing was changed: {cause}"),
        }
    }
}

/// All reasons, each with its rule: `service shop/cart would have 0 of 6 endpoints (policy availability-floor, tier simulation)`.
fn reasons(why: &[Because], tier: Option<Tier>) -> String {
    let tier = tier.map_or_else(String::new, |tier| format!(", tier {tier}"));
    let reason = |because: &Because| format!("{} (policy {}{tier})", because.text, because.policy);
    why.iter().map(reason).collect::<Vec<_>>().join("; ")
}
