//! What came of it.
//!
//! Knows: how it is told to people, and to programs.
//! Does not know: how it was found.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::compare::Difference;

/// Places that are shown of a step that differs; programs get all.
const SHOWN: usize = 6;

/// What came of one case.
pub(crate) struct Outcome {
    pub(crate) area: String,
    pub(crate) case: String,
    pub(crate) verdict: Verdict,
    /// How many answers were compared.
    pub(crate) answers: usize,
    pub(crate) differing: Vec<Differing>,
    /// Webhooks that may be why it differs: only the cluster can ask them.
    pub(crate) others: Vec<String>,
}

/// A case in one word.
pub(crate) enum Verdict {
    Equal,
    Different,
    /// And why.
    Skipped(String),
}

/// A step that was answered differently.
pub(crate) struct Differing {
    /// Counted from one.
    pub(crate) step: usize,
    pub(crate) does: String,
    pub(crate) differences: Vec<Difference>,
}

impl Outcome {
    /// Nothing has differed yet.
    pub(crate) fn new(area: &str, case: &str) -> Self {
        Self {
            area: area.to_owned(),
            case: case.to_owned(),
            verdict: Verdict::Equal,
            answers: 0,
            differing: Vec::new(),
            others: Vec::new(),
        }
    }

    fn to_json(&self) -> Value {
        let (verdict, why) = match &self.verdict {
            Verdict::Equal => ("equal", None),
            Verdict::Different => ("different", None),
            Verdict::Skipped(why) => ("skipped", Some(why)),
        };
        let differing: Vec<Value> = self
            .differing
            .iter()
            .map(|step| {
                let differences: Vec<Value> = step.differences.iter().map(Difference::to_json).collect();
                json!({"step": step.step, "does": step.does, "differences": differences})
            })
            .collect();
        json!({
            "area": self.area, "case": self.case, "verdict": verdict, "because": why, "answers": self.answers,
            "differing": differing, "webhooks": self.others,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.area, self.case)?;
        if let Verdict::Skipped(why) = &self.verdict {
            return write!(f, "\n    skipped: {why}");
        }
        for step in &self.differing {
            write!(f, "\n    step {}, {}", step.step, step.does)?;
            for difference in step.differences.iter().take(SHOWN) {
                write!(f, "\n        {difference}")?;
            }
            if let Some(more) = step.differences.len().checked_sub(SHOWN).filter(|more| *more > 0) {
                write!(f, "\n        and {more} more places")?;
            }
        }
        for other in &self.others {
            write!(f, "\n    may be the site's own: {other}, which the twin cannot ask")?;
        }
        Ok(())
    }
}

/// The whole.
pub(crate) struct Report {
    pub(crate) server: String,
    pub(crate) namespace: String,
    pub(crate) version: String,
    pub(crate) objects: usize,
    /// How many nodes could be seen.
    pub(crate) nodes: usize,
    /// Resources of which only the namespace's could be seen.
    pub(crate) partly: Vec<String>,
    /// Resources that could not be seen, and why.
    pub(crate) unseen: Vec<(String, String)>,
    /// What else has a say in the namespace.
    pub(crate) site: Vec<String>,
    pub(crate) outcomes: Vec<Outcome>,
    /// Why not everything was tried.
    pub(crate) unfinished: Option<String>,
}

#[derive(Default)]
struct Tally {
    cases: usize,
    equal: usize,
    different: usize,
    skipped: usize,
    answers: usize,
    answers_equal: usize,
}

impl Tally {
    fn count(&mut self, outcome: &Outcome) {
        self.cases += 1;
        match outcome.verdict {
            Verdict::Equal => self.equal += 1,
            Verdict::Different => self.different += 1,
            Verdict::Skipped(_) => self.skipped += 1,
        }
        self.answers += outcome.answers;
        self.answers_equal += outcome.answers - outcome.differing.len();
    }

    fn to_json(&self) -> Value {
        json!({
            "cases": self.cases, "equal": self.equal, "different": self.different, "skipped": self.skipped,
            "answers": self.answers, "answersEqual": self.answers_equal,
        })
    }
}

impl Report {
    /// Whether anything differed.
    pub(crate) fn differs(&self) -> bool {
        self.outcomes.iter().any(|outcome| matches!(outcome.verdict, Verdict::Different))
    }

    /// Whether anything was compared at all.
    pub(crate) fn compared(&self) -> bool {
        self.outcomes.iter().any(|outcome| !matches!(outcome.verdict, Verdict::Skipped(_)))
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let (areas, total) = self.tallies();
        let areas: Vec<Value> = areas
            .into_iter()
            .map(|(area, tally)| {
                let mut shown = tally.to_json();
                if let Some(shown) = shown.as_object_mut() {
                    shown.insert("area".to_owned(), json!(area));
                }
                shown
            })
            .collect();
        let unseen: BTreeMap<&String, &String> = self.unseen.iter().map(|(resource, why)| (resource, why)).collect();
        json!({
            "server": self.server, "namespace": self.namespace, "version": self.version,
            "twin": {
                "objects": self.objects, "nodes": self.nodes, "seenInNamespaceOnly": self.partly, "unseen": unseen,
            },
            "site": self.site, "areas": areas, "total": total.to_json(), "unfinished": self.unfinished,
            "cases": self.outcomes.iter().map(Outcome::to_json).collect::<Vec<_>>(),
        })
    }

    /// Each area in the order in which it was run, and all together.
    fn tallies(&self) -> (Vec<(&str, Tally)>, Tally) {
        let (mut areas, mut total): (Vec<(&str, Tally)>, Tally) = Default::default();
        for outcome in &self.outcomes {
            if areas.last().is_none_or(|(area, _)| *area != outcome.area) {
                areas.push((&outcome.area, Tally::default()));
            }
            if let Some((_, tally)) = areas.last_mut() {
                tally.count(outcome);
            }
            total.count(outcome);
        }
        (areas, total)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, namespace, version, objects, nodes, .. } = self;
        writeln!(
            f,
            "Namespace {namespace} at {server} (Kubernetes {version}), and on a twin of {objects} objects and {nodes} nodes."
        )?;
        let unseen: Vec<&str> = self.unseen.iter().map(|(resource, _)| resource.as_str()).collect();
        if !unseen.is_empty() {
            writeln!(f, "The twin lacks what may not be seen: {}.", unseen.join(", "))?;
        }
        if !self.partly.is_empty() {
            writeln!(f, "Of these it has only the namespace's own: {}.", self.partly.join(", "))?;
        }
        if !self.site.is_empty() {
            writeln!(f, "In force there: {}.", self.site.join("; "))?;
        }
        for outcome in &self.outcomes {
            if !matches!(outcome.verdict, Verdict::Equal) {
                writeln!(f, "\n{outcome}")?;
            }
        }
        let (areas, total) = self.tallies();
        writeln!(
            f,
            "\n{:16} {:>6} {:>6} {:>10} {:>8}   ANSWERS EQUAL",
            "AREA", "CASES", "EQUAL", "DIFFERENT", "SKIPPED"
        )?;
        for (area, tally) in areas.iter().map(|(area, tally)| (*area, tally)).chain([("all", &total)]) {
            let Tally { cases, equal, different, skipped, answers, answers_equal } = tally;
            writeln!(f, "{area:16} {cases:>6} {equal:>6} {different:>10} {skipped:>8}   {answers_equal} of {answers}")?;
        }
        if let Some(why) = &self.unfinished {
            writeln!(f, "\nNot everything was tried: {why}.")?;
        }
        Ok(())
    }
}
