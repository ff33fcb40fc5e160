//! The rule that rules are made of, and how their opinions become one verdict.
//!
//! Knows: that a broken policy holds, that silence holds, and that the strictest wins.
//! Does not know: any policy.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use crate::{Action, Because, Effect, Moment, Opinion, Spent, Tier, Verdict, Voice};

/// Everything that a policy may look at.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What was asked.
    pub action: &'a Action,
    /// What would come of it. Bounds in the tier of constraints, a simulation above.
    pub effect: &'a Effect,
    /// Where the effect comes from.
    pub tier: Tier,
    /// What the agent, and all agents together, have done before.
    pub spent: &'a Spent,
    /// Now, for change windows and freezes.
    pub now: Moment,
}

/// A policy could not form an opinion. The action is held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub String);

/// One rule about what an effect may be.
///
/// It compares an end of a range with a limit and lets the range choose between hold and deny; it never mentions a
/// target, so that it guards all of them.
pub trait ActionPolicy: Send + Sync {
    /// What refusals and the journal call it: `availability-floor`.
    fn name(&self) -> &str;

    /// What it is for, in a sentence.
    fn help(&self) -> &str;

    /// What to do when it refuses, in a sentence.
    fn remedy(&self) -> &str;

    /// The limits it measures with, each under the name by which a site sets it. A limit's name ends with its unit.
    fn limits(&self) -> BTreeMap<String, Value> {
        BTreeMap::new()
    }

    /// What it thinks of this action.
    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError>;
}

/// A verdict, and the voices it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What follows.
    pub verdict: Verdict,
    /// Every policy's opinion, in the order of the policies.
    pub voices: Vec<Voice>,
}

/// The strictest opinion wins. A broken policy holds. Silence holds, and so does ignorance.
pub fn judge<'p>(policies: impl IntoIterator<Item = &'p dyn ActionPolicy>, evidence: &Evidence<'_>) -> Judgement {
    let opinions: Vec<(&str, Opinion)> =
        policies.into_iter().map(|policy| (policy.name(), ask(policy, evidence))).collect();
    let strictest = opinions.iter().fold(Opinion::Abstain, |strictest, (_, next)| strictest.join(next.clone()));

    let reasons = |rank: fn(&Opinion) -> Option<&Because>| -> Vec<Because> {
        opinions.iter().filter_map(|(_, opinion)| rank(opinion)).cloned().collect()
    };
    let hold = |text: &str| {
        let why = Because { policy: "silence".into(), ..Because::new(text) };
        Verdict::Hold { why: vec![why], approval: Default::default() }
    };
    let verdict = match strictest {
        // A policy looks at what it knows of, and may overlook that nothing is known.
        Opinion::Allow(_) if evidence.effect.is_unknown() => hold("nobody knows what would happen"),
        Opinion::Allow(_) => Verdict::Allow,
        Opinion::Abstain => hold("no policy covers this action"),
        Opinion::Hold(_) => {
            let why = reasons(|opinion| matches!(opinion, Opinion::Hold(_)).then(|| opinion.why()).flatten());
            let approval = why.iter().fold(Default::default(), |all: crate::Approval, w| all.and(w.approval.clone()));
            Verdict::Hold { why, approval }
        }
        Opinion::Deny(_) => Verdict::Deny {
            why: reasons(|opinion| matches!(opinion, Opinion::Deny(_)).then(|| opinion.why()).flatten()),
        },
    };
    Judgement { verdict, voices: opinions.into_iter().map(|(name, opinion)| voice(name, &opinion)).collect() }
}

/// One policy's opinion, with its name on it; if it errs or panics, a hold that says so.
fn ask(policy: &dyn ActionPolicy, evidence: &Evidence<'_>) -> Opinion {
    let opinion = catch_unwind(AssertUnwindSafe(|| policy.judge(evidence)));
    let mut opinion = match opinion {
        Ok(Ok(opinion)) => opinion,
        Ok(Err(error)) => Opinion::hold(format!("the policy failed: {error}")),
        Err(_) => Opinion::hold("the policy panicked"),
    };
    if let Some(because) = opinion.because_mut() {
        because.policy = policy.name().to_owned();
    }
    opinion
}

fn voice(name: &str, opinion: &Opinion) -> Voice {
    let because = opinion.why();
    Voice {
        name: name.to_owned(),
        opinion: opinion.name().to_owned(),
        because: because.map_or_else(String::new, |because| because.text.clone()),
        would_pass: because.and_then(|because| because.remedy.clone()),
    }
}
