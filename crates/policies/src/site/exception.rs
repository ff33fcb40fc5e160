//! Exceptions: what a rule refuses may pass for a while, for a reason that somebody answers for.
//!
//! Knows: that an exception ends, and that where it may not apply it does not.
//! Does not know: who may write one; whoever may change the policies.

use std::collections::BTreeMap;

use cel::Program;
use jiff::Timestamp;
use model::{Access, ActionPolicy, Evidence, Moment, Opinion, PolicyError, Tier};
use serde::Deserialize;
use serde_json::Value;

use super::{Facts, Held, RuleError, Scope, environment};

/// An exception, as a site writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Exception {
    /// From which rule, built-in or the site's own.
    pub rule: String,
    /// Why.
    pub why: String,
    /// Who answers for it.
    pub by: String,
    /// Until when, as RFC 3339 writes it. There are none for ever.
    pub until: Timestamp,
    /// For whom and where.
    #[serde(default)]
    pub scope: Scope,
    /// In which case; none is any.
    #[serde(default)]
    pub when: Option<String>,
}

/// A rule with the exceptions from it.
pub struct Excepted {
    rule: Box<dyn ActionPolicy>,
    exceptions: Vec<(Exception, Option<Program>)>,
}

impl Excepted {
    /// The rule with those of the exceptions that are from it.
    ///
    /// # Errors
    /// When the expression of one is none.
    pub fn from(rule: Box<dyn ActionPolicy>, exceptions: &[Exception]) -> Result<Box<dyn ActionPolicy>, RuleError> {
        let mut from = Vec::new();
        for exception in exceptions.iter().filter(|exception| exception.rule == rule.name()) {
            let wrong = |why| RuleError { rule: exception.rule.clone(), part: "the exception's when", why };
            let compile = |source: &String| environment().compile(source).map_err(|error| wrong(error.to_string()));
            let when = exception.when.as_ref().map(compile).transpose()?;
            from.push((exception.clone(), when));
        }
        Ok(if from.is_empty() { rule } else { Box::new(Self { rule, exceptions: from }) })
    }

    /// The exception that surely applies now, if one does.
    fn applies(&self, evidence: &Evidence<'_>) -> Option<&Exception> {
        let params = BTreeMap::new();
        let facts = Facts { evidence, params: &params };
        let applies = |(exception, when): &&(Exception, Option<Program>)| {
            let until = u64::try_from(exception.until.as_millisecond()).map_or(Moment(0), Moment);
            evidence.now < until
                && exception.scope.surely_covers(evidence)
                && when.as_ref().is_none_or(|when| facts.held(when) == Ok(Held::Yes))
        };
        self.exceptions.iter().find(applies).map(|(exception, _)| exception)
    }
}

impl ActionPolicy for Excepted {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn help(&self) -> &str {
        self.rule.help()
    }

    fn remedy(&self) -> &str {
        self.rule.remedy()
    }

    fn limits(&self) -> BTreeMap<String, Value> {
        self.rule.limits()
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        let opinion = self.rule.judge(evidence)?;
        let (Opinion::Hold(because) | Opinion::Deny(because)) = &opinion else { return Ok(opinion) };
        // What an exception is for has to be seen to happen: bounds and shapes do not show it.
        if evidence.action.access == Access::Write && evidence.tier < Tier::Simulation {
            return Ok(Opinion::Hold(because.clone()));
        }
        Ok(match self.applies(evidence) {
            Some(Exception { why, by, until, .. }) => {
                Opinion::allow(format!("{}; excepted by {by} until {until}: {why}", because.text))
            }
            None => opinion,
        })
    }
}
