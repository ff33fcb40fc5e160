//! A verdict as everything that prints or keeps one writes it.
//!
//! Knows: the JSON that `judge`, `what-if` and `show` promise.
//! Does not know: how the verdict came about.

use serde::{Deserialize, Serialize};

use crate::{Approval, Because, Effect, Judgement, Micros, Tier, Verdict, Voice};

/// A verdict with its reasons and its effect, under the id that people quote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ruling {
    /// The case, or the id that the asker gave.
    pub id: String,
    /// `allow`, `hold` or `deny`.
    pub verdict: String,
    /// The tier that decided.
    pub tier: Tier,
    /// What each stage took.
    #[serde(default)]
    pub micros: Micros,
    /// Every policy that had an opinion.
    #[serde(default)]
    pub policies: Vec<Voice>,
    /// The reasons that decided, the first one first. An allow has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<Because>,
    /// Who has to agree, if it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What would pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_pass: Option<String>,
    /// Production would refuse the request by itself, and with these words: nothing would happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreseen: Option<String>,
    /// What would come of it.
    #[serde(default)]
    pub effect: Effect,
}

impl Ruling {
    /// The ruling that follows from a judgement of an effect.
    pub fn new(id: impl Into<String>, judgement: &Judgement, tier: Tier, micros: Micros, effect: Effect) -> Self {
        let verdict = &judgement.verdict;
        Self {
            id: id.into(),
            verdict: verdict.name().to_owned(),
            tier,
            micros,
            policies: judgement.voices.iter().filter(|voice| voice.opinion != "abstain").cloned().collect(),
            why: verdict.why().to_vec(),
            approval: match verdict {
                Verdict::Hold { approval, .. } => Some(approval.clone()),
                _ => None,
            },
            would_pass: verdict.would_pass(),
            foreseen: None,
            effect,
        }
    }

    /// The ruling on something that could not even be decoded.
    pub fn undecodable(id: impl Into<String>, why: impl Into<String>) -> Self {
        let because = Because { policy: "decode".into(), ..Because::new(why) };
        Self {
            id: id.into(),
            verdict: "deny".into(),
            tier: Tier::Signature,
            micros: Micros::default(),
            policies: vec![Voice {
                name: because.policy.clone(),
                opinion: "deny".into(),
                because: because.text.clone(),
                would_pass: None,
            }],
            why: vec![because],
            approval: None,
            would_pass: None,
            foreseen: None,
            effect: Effect::none(),
        }
    }
}
