//! A site's own rules, written in the Common Expression Language over the effect.
//!
//! Knows: what a rule says, for whom and where it speaks, and that what nobody knows satisfies no rule.
//! Does not know: which rules a site has, or where they are kept.
//!
//! A rule is an expression that has to be true. Numbers and sets in the effect carry their doubt into it (`cel`'s
//! ranges), so the expression is true, false, or not known, and that chooses between allow, deny and hold, as the ends
//! of a range do for the built-in rules.

mod exception;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use cel::{Env, Meter, Program, Type, Variables};
use model::{Access, ActionPolicy, Approval, Evidence, Finding, Opinion, PolicyError, Tier};
use serde::Deserialize;
use serde_json::Value;

pub use exception::{Excepted, Exception};

/// A rule, as a site writes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    /// What refusals and the journal call it: `two-in-every-zone`.
    pub name: String,
    /// What it is for, in a sentence.
    pub help: String,
    /// What to do when it refuses, in a sentence.
    pub remedy: String,
    /// Numbers and words that the expressions call `params.NAME`.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// For whom and where it speaks; elsewhere it has no opinion.
    #[serde(default)]
    pub scope: Scope,
    /// In which case it speaks.
    #[serde(default)]
    pub when: Option<String>,
    /// What has to be true.
    pub require: String,
    /// What follows where it is false.
    #[serde(default)]
    pub otherwise: Otherwise,
    /// What to say then: an expression that gives text.
    #[serde(default)]
    pub because: Option<String>,
    /// Who may let it through, where it is held.
    #[serde(default)]
    pub approval: Approval,
}

/// What follows where a rule's requirement is false.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Otherwise {
    /// No.
    #[default]
    Deny,
    /// A person decides.
    Hold,
}

/// For whom and where a rule speaks. What is not said is any. In names, `*` stands for any letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Scope {
    /// These agents.
    pub agents: BTreeSet<String>,
    /// These targets.
    pub targets: BTreeSet<String>,
    /// What touches one of these namespaces, directly or in consequence.
    pub namespaces: BTreeSet<String>,
    /// These operations, in the target's own words.
    pub operations: BTreeSet<String>,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {part}: {why}")]
pub struct RuleError {
    /// Which rule.
    pub rule: String,
    /// Which part of it.
    pub part: &'static str,
    /// What is wrong, and where.
    pub why: String,
}

/// A rule that can be asked.
#[derive(Debug)]
pub struct SiteRule {
    rule: Rule,
    when: Option<Program>,
    require: Program,
    because: Option<Program>,
    /// It speaks of what would happen, not only of what was asked.
    foresees: bool,
}

impl SiteRule {
    /// Reads the expressions of a rule.
    ///
    /// # Errors
    /// When its name is none, or an expression is none, misspells a field, or gives something else than it has to.
    pub fn new(rule: Rule) -> Result<Self, RuleError> {
        let wrong = |part, why: String| RuleError { rule: rule.name.clone(), part, why };
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if rule.name.is_empty() || !rule.name.bytes().all(letter) {
            return Err(wrong("name", "it is made of small letters, digits and hyphens".to_owned()));
        }
        let compile = |part, source: &str, gives: &Type| {
            let program = environment().compile(source).map_err(|error| wrong(part, error.to_string()))?;
            if program.ty().is(gives) || program.ty().is_dyn() {
                Ok(program)
            } else {
                Err(wrong(part, format!("it gives {}, and has to give {gives}", program.ty())))
            }
        };
        let when = rule.when.as_deref().map(|source| compile("when", source, &Type::Bool)).transpose()?;
        let require = compile("require", &rule.require, &Type::Bool)?;
        let because = rule.because.as_deref().map(|source| compile("because", source, &Type::String)).transpose()?;
        let about = |program: &Program| ["objects", "forecast"].iter().any(|name| program.uses(name));
        let foresees = about(&require) || when.as_ref().is_some_and(about);
        Ok(Self { rule, when, require, because, foresees })
    }

    /// Whether the requirement holds in the case in which the rule speaks; none if it does not speak.
    fn finding(&self, facts: &Facts<'_>) -> Result<Option<Held>, PolicyError> {
        let spoken = self.when.as_ref().map_or(Ok(Held::Yes), |when| facts.held(when))?;
        if spoken == Held::No {
            return Ok(None);
        }
        // Where it may not even speak, only what would satisfy it anyway is settled.
        Ok(Some(match (spoken, facts.held(&self.require)?) {
            (Held::Unknown(why), Held::No) => Held::Unknown(why),
            (_, held) => held,
        }))
    }

    fn reason(&self, facts: &Facts<'_>) -> String {
        let said = self.because.as_ref().and_then(|because| facts.text(because));
        said.unwrap_or_else(|| format!("it has to be so that {}", self.rule.require.trim()))
    }
}

impl ActionPolicy for SiteRule {
    fn name(&self) -> &str {
        &self.rule.name
    }

    fn help(&self) -> &str {
        &self.rule.help
    }

    fn remedy(&self) -> &str {
        &self.rule.remedy
    }

    fn limits(&self) -> BTreeMap<String, Value> {
        self.rule.params.clone()
    }

    fn judge(&self, evidence: &Evidence<'_>) -> Result<Opinion, PolicyError> {
        if !self.rule.scope.covers(evidence) || (self.foresees && evidence.action.access == Access::Read) {
            return Ok(Opinion::Abstain);
        }
        if self.foresees && evidence.effect.objects.unlisted {
            return Ok(Opinion::hold("what it would touch is not known"));
        }
        // Bounds contain what a simulation says number by number and set by set; what an expression makes of which
        // services are listed, or of a text, need not follow from them.
        if self.foresees && evidence.tier == Tier::Constraints {
            return Ok(Opinion::hold("this rule is asked about a simulation, not about bounds"));
        }
        let facts = Facts { evidence, params: &self.rule.params };
        let opinion = match self.finding(&facts)? {
            None => return Ok(Opinion::Abstain),
            Some(Held::Yes) => return Ok(Finding::Passes.because(self.rule.help.clone())),
            Some(Held::Unknown(why)) => Opinion::hold(format!("{}; {why}", self.reason(&facts))),
            Some(Held::No) => Opinion::deny(self.reason(&facts)),
        };
        let opinion = if self.rule.otherwise == Otherwise::Hold { opinion.softened() } else { opinion };
        Ok(opinion.remedy(self.rule.remedy.clone()).approved_by(self.rule.approval.clone()))
    }
}

impl Scope {
    fn covers(&self, evidence: &Evidence<'_>) -> bool {
        let (action, objects) = (evidence.action, &evidence.effect.objects);
        let named = action.resources.iter().filter_map(|object| object.namespace.as_deref());
        let mut namespaces = objects.namespaces().into_iter().chain(named);
        // Where others may be touched that nobody can name, one of them may be in any namespace.
        among(&self.agents, action.agent.as_str())
            && among(&self.targets, action.target.as_str())
            && among(&self.operations, action.operation.as_str())
            && (self.namespaces.is_empty() || objects.unlisted || namespaces.any(|name| among(&self.namespaces, name)))
    }
}

impl Scope {
    /// Whether an exception for this scope applies: everything that is touched lies in it.
    fn surely_covers(&self, evidence: &Evidence<'_>) -> bool {
        let objects = &evidence.effect.objects;
        let inside = |namespace: Option<&str>| namespace.is_some_and(|name| among(&self.namespaces, name));
        self.covers(evidence)
            && (self.namespaces.is_empty()
                || (!objects.unlisted && objects.touched.keys().all(|object| inside(object.namespace.as_deref()))))
    }
}

/// Whether a name is one of these, or nothing is said of which.
fn among(patterns: &BTreeSet<String>, name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, name))
}

/// Whether a pattern with `*` for any letters fits the whole of a name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((tail, middle)) = parts.split_last() else { return true };
    for part in middle {
        // The first place is as good as any later one: what remains is the longest.
        let Some(at) = left.find(part) else { return false };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    left.ends_with(tail)
}

fn environment() -> Env {
    let env = view::variables().into_iter().fold(Env::new().with_doubt(), |env, (name, ty)| env.with(name, ty));
    env.with("params", Type::Map(Type::String.into(), Type::Dyn.into()))
}

/// Whether something is so.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Yes,
    No,
    /// Nobody knows, for this reason.
    Unknown(String),
}

/// What the names in an expression stand for.
struct Facts<'a> {
    evidence: &'a Evidence<'a>,
    params: &'a BTreeMap<String, Value>,
}

impl Facts<'_> {
    fn held(&self, program: &Program) -> Result<Held, PolicyError> {
        match program.eval(self, &mut Meter::default()) {
            Ok(cel::Value::Bool(truth)) => Ok(if truth { Held::Yes } else { Held::No }),
            Ok(_) => Err(PolicyError("it gives neither true nor false".to_owned())),
            Err(cel::Error::Unknown(why)) => Ok(Held::Unknown(why)),
            Err(error) => Err(PolicyError(error.to_string())),
        }
    }

    fn text(&self, program: &Program) -> Option<String> {
        let said = program.eval(self, &mut Meter::default()).ok()?;
        said.as_str().map(str::to_owned)
    }
}

impl Variables for Facts<'_> {
    fn get(&self, name: &str) -> Option<cel::Value> {
        if name == "params" {
            let params = self.params.iter().map(|(name, value)| (name.as_str(), view::any(value)));
            return Some(cel::Value::fields(params));
        }
        view::variable(name, self.evidence)
    }
}
