//! The record, read: one case told as a story, the whole verified and exported.
//!
//! Knows: how entries become sentences, and how a journal is read while a gate writes it.
//! Does not know: how entries are written.
//!
//! What an agent or a production system wrote is data here: shown on one line, quoted, with control characters spelled
//! out, and after what was computed.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use model::{Action, ActionPolicy, Evidence, Judgement, Moment, Ruling, Tier, judge};
use serde::Serialize;

use crate::approvals::Held;
use crate::budgets::Ledger;
use crate::journal::{Break, Entry, Journal, JournalError, Open, Outcome, Reader, Row, Seq, State};
use crate::permit::Warrant;
use crate::{CaseId, Class, Mode};

/// A journal that is only read; a gate may be writing it.
pub struct Archive(Source);

enum Source {
    Disk(Reader),
    Memory(Vec<Row>),
}

/// A case in one line.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Its id.
    pub case: CaseId,
    /// When it was last judged.
    pub at: Moment,
    /// Who asked.
    pub agent: String,
    /// For what: `scale Deployment/shop/cart`.
    pub title: String,
    /// On which system.
    pub target: String,
    /// `allow`, `hold` or `deny`.
    pub verdict: String,
    /// What became of it: `waiting`, `committed`, `in doubt`, ...; empty if nothing was to become of it.
    pub fate: String,
}

/// A case, and what other rules would have said of it.
#[derive(Debug, Clone)]
pub struct Rejudged {
    /// Its id.
    pub case: CaseId,
    /// When it was judged.
    pub at: Moment,
    /// What was asked.
    pub action: Action,
    /// What was decided then: `allow`, `hold` or `deny`.
    pub before: String,
    /// The tier that decided then. Its effect is all that the journal has: below a simulation these are bounds.
    pub tier: Tier,
    /// What the other rules say of the same effect.
    pub after: Judgement,
}

/// A case that was sent, and of which nobody knows whether it happened.
#[derive(Debug, Clone)]
pub struct Doubt {
    /// Its id.
    pub case: CaseId,
    /// What was asked.
    pub action: Arc<Action>,
    /// Why nobody knows.
    pub why: String,
}

impl Archive {
    /// The journal in a directory.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(directory: &Path) -> Result<Self, JournalError> {
        Reader::open(directory).map(Source::Disk).map(Self)
    }

    /// The journal that a gate is writing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(journal: &Journal) -> Result<Self, JournalError> {
        match journal.directory() {
            Some(directory) => Self::open(directory),
            None => Ok(Self(Source::Memory(journal.rows().unwrap_or_default()))),
        }
    }

    /// Follows every link of the chain. The number of entries.
    ///
    /// # Errors
    /// Where it breaks.
    pub fn verify(&self) -> Result<u64, Break> {
        match &self.0 {
            Source::Disk(reader) => reader.verify().map(|head| head.seq.0),
            Source::Memory(rows) => {
                let whole = rows.iter().try_fold(crate::journal::Head::default(), |head, row| head.extended(row))?;
                Ok(whole.seq.0)
            }
        }
    }

    /// Writes every entry as a line of JSON, with its hash.
    ///
    /// # Errors
    /// When it cannot be read, or written.
    pub fn export(&self, to: &mut dyn Write) -> std::io::Result<()> {
        let mut written = Ok(());
        let read = self.scan(&mut |row| {
            if written.is_ok() {
                written = row.line().map_err(std::io::Error::other).and_then(|line| writeln!(to, "{line}"));
            }
        });
        read.map_err(std::io::Error::other)?;
        written
    }

    /// One case, from the first request to the last observation. `None` if nobody knows it.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn story(&self, case: &CaseId) -> Result<Option<Story>, Break> {
        let mut story = Story { case: case.clone(), action: None, ruling: None, lines: Vec::new() };
        self.entries(&mut |_, at, of, entry| {
            if of == Some(case) {
                story.tell(at, entry);
            }
        })?;
        Ok((!story.lines.is_empty()).then_some(story))
    }

    /// The cases that were judged last, newest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn latest(&self, how_many: usize) -> Result<Vec<Summary>, Break> {
        let mut cases: std::collections::BTreeMap<CaseId, (Seq, Summary)> = Default::default();
        self.entries(&mut |seq, at, of, entry| {
            let Some(case) = of else { return };
            if let Entry::Case(record) = entry {
                let summary = Summary {
                    case: case.clone(),
                    at,
                    agent: record.action.agent.to_string(),
                    title: record.action.title(),
                    target: record.action.target.to_string(),
                    verdict: record.ruling.verdict.clone(),
                    fate: String::new(),
                };
                cases.insert(case.clone(), (seq, summary));
            } else if let (Some((_, summary)), Some(fate)) = (cases.get_mut(case), fate(entry)) {
                summary.fate = fate.to_owned();
            }
        })?;
        let mut cases: Vec<(Seq, Summary)> = cases.into_values().collect();
        cases.sort_by_key(|(seq, _)| std::cmp::Reverse(*seq));
        Ok(cases.into_iter().take(how_many).map(|(_, summary)| summary).collect())
    }

    /// The cases that wait for people, as the journal has them.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn pending(&self, now: Moment) -> Result<Vec<Held>, Break> {
        Ok(self.state()?.docket.pending(None, now))
    }

    /// What people have agreed to for effects like one, and how much of it is left.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn classes(&self, now: Moment) -> Result<Vec<Class>, Break> {
        Ok(self.state()?.docket.classes.list(now))
    }

    /// What was sent, and of which nobody knows whether it happened, oldest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn in_doubt(&self) -> Result<Vec<Doubt>, Break> {
        let open = self.state()?.open;
        let doubt = |open: Open| Some(Doubt { case: open.case, action: open.action, why: open.doubt? });
        Ok(open.into_values().filter_map(doubt).collect())
    }

    /// What these rules would have said of every case: of the effect that was foreseen then, with what had been spent
    /// by then.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn judged_by(
        &self,
        policies: &[Box<dyn ActionPolicy>],
        window_ms: u64,
        each: &mut dyn FnMut(Rejudged),
    ) -> Result<(), Break> {
        let mut state = State::new(window_ms);
        self.entries(&mut |seq, at, case, entry| {
            if let (Some(case), Entry::Case(record)) = (case, entry) {
                let (action, ruling) = (&record.action, &record.ruling);
                let spent = state.ledger.spent(&action.agent, &action.target, at);
                let evidence = Evidence { action, effect: &ruling.effect, tier: ruling.tier, spent: &spent, now: at };
                each(Rejudged {
                    case: case.clone(),
                    at,
                    action: action.clone(),
                    before: ruling.verdict.clone(),
                    tier: ruling.tier,
                    after: judge(policies.iter().map(|policy| &**policy), &evidence),
                });
            }
            state.apply(crate::journal::Head { seq, ..Default::default() }, at, case, entry, None);
        })
    }

    fn state(&self) -> Result<State, Break> {
        let mut state = State::new(Ledger::UNUSED);
        self.entries(&mut |seq, at, case, entry| {
            let head = crate::journal::Head { seq, ..Default::default() };
            state.apply(head, at, case, entry, None);
        })?;
        Ok(state)
    }

    fn entries(&self, each: Each<'_>) -> Result<(), Break> {
        let mut broken = None;
        self.scan(&mut |row| match serde_json::from_str::<Entry>(&row.body) {
            Ok(entry) => each(row.seq, row.at, row.case.parse().ok().as_ref(), &entry),
            Err(error) => {
                // The message quotes what stands there.
                let what = plain(&format!("it cannot be read: {error}"));
                broken.get_or_insert(Break { seq: row.seq, what });
            }
        })?;
        broken.map_or(Ok(()), Err)
    }

    fn scan(&self, each: &mut dyn FnMut(Row)) -> Result<(), Break> {
        match &self.0 {
            Source::Disk(reader) => reader.scan(each),
            Source::Memory(rows) => {
                rows.iter().cloned().for_each(each);
                Ok(())
            }
        }
    }
}

/// Hears of every entry: its place, its time, its case.
type Each<'e> = &'e mut dyn FnMut(Seq, Moment, Option<&CaseId>, &Entry);

/// What an entry says has become of its case.
const fn fate(entry: &Entry) -> Option<&'static str> {
    match entry {
        Entry::Held { .. } => Some("waiting"),
        Entry::Denial { .. } => Some("denied"),
        Entry::Approval { .. } => Some("approved"),
        Entry::Intent(_) => Some("on its way"),
        Entry::Conclusion { outcome, .. } => Some(match outcome {
            Outcome::Committed { .. } => "committed",
            Outcome::Refused { .. } => "refused by production",
            Outcome::Abandoned { .. } => "abandoned",
            Outcome::InDoubt { .. } => "in doubt",
            Outcome::Resolved { happened: true, .. } => "happened",
            Outcome::Resolved { happened: false, .. } => "did not happen",
        }),
        Entry::Observation { .. } => Some("observed"),
        _ => None,
    }
}

/// One case: what was asked, what would have happened, which rule decided, who approved, what was sent, what
/// production answered, what was observed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// Its id.
    pub case: CaseId,
    /// What was asked.
    pub action: Option<Action>,
    /// What was thought of it last.
    pub ruling: Option<Ruling>,
    /// What happened, in order.
    pub lines: Vec<Line>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// When.
    pub at: Moment,
    /// What, in a sentence.
    pub text: String,
}

impl Story {
    fn tell(&mut self, at: Moment, entry: &Entry) {
        let mut say = |text: String| self.lines.push(Line { at, text: plain(&text) });
        match entry {
            Entry::Case(record) => {
                let (action, ruling) = (&record.action, &record.ruling);
                say(format!("{} asked to {} on {}", action.agent, action.title(), action.target));
                for line in ruling.effect.summary() {
                    say(format!("would: {line}"));
                }
                if let Some(said) = &ruling.foreseen {
                    say(format!("production would refuse it: {said:?}"));
                }
                let would = if record.mode == Mode::Observe { "would be " } else { "" };
                let word = match ruling.verdict.as_str() {
                    "allow" => "allowed",
                    "hold" => "held",
                    _ => "denied",
                };
                say(format!("{would}{word}, tier {}", ruling.tier));
                for because in &ruling.why {
                    let remedy = because.remedy.as_ref().map_or_else(String::new, |r| format!("; would pass: {r}"));
                    say(format!("because {because}{remedy}"));
                }
                if let Some(reason) = &action.reason {
                    say(format!("the agent says: {reason:?}"));
                }
                self.action = Some(action.clone());
                self.ruling = Some(ruling.clone());
            }
            Entry::Held { approval, .. } => {
                let who = |quorum: &model::Quorum| {
                    let roles: Vec<&str> = quorum.roles.iter().map(String::as_str).collect();
                    let of = if roles.is_empty() { String::new() } else { format!(" of {}", roles.join(" or ")) };
                    format!("{}{of}", quorum.count)
                };
                let people: Vec<String> = approval.quorums().iter().map(who).collect();
                say(format!("waits for {} to approve", people.join(" and ")));
            }
            Entry::Approval { by, note, class: None, .. } => say(format!("{by} approved{}", noted(note))),
            Entry::Approval { by, note, class: Some(terms), .. } => {
                say(format!("{by} approved it, and effects like it {} times{}", terms.uses_max, noted(note)));
            }
            Entry::Revocation { by, note } => {
                say(format!("{by} took back the approval of effects like it{}", noted(note)));
            }
            Entry::Denial { by, note } => say(format!("{by} denied it{}", noted(note))),
            Entry::Intent(intended) => say(match &intended.warrant {
                Warrant::Policies => "intent written, allowed by the policies".to_owned(),
                Warrant::Grant { case } => format!("intent written, approved in case {case}"),
                Warrant::Class { case } => format!("intent written, as effects like it were approved in case {case}"),
                Warrant::Observed => "intent written, as this gate only observes".to_owned(),
            }),
            Entry::Conclusion { outcome, .. } => say(match outcome {
                Outcome::Committed { told, .. } if !told.is_empty() => format!("production did it: {told}"),
                Outcome::Committed { receipt, .. } => format!("production did it: {receipt}"),
                Outcome::Refused { said } => format!("production refused it: {said:?}"),
                Outcome::Abandoned { why } => format!("not done: {why}"),
                Outcome::InDoubt { why } => format!("in doubt: {why}"),
                Outcome::Resolved { happened: true, how } => format!("it happened: {how}"),
                Outcome::Resolved { happened: false, how } => format!("it did not happen: {how}"),
            }),
            Entry::Observation { drift, .. } => {
                let right = drift.compared.saturating_sub(drift.wrong.len() as u64);
                if drift.compared > 0 || drift.overtaken.is_empty() {
                    say(format!("observed: {right} of {} as predicted", drift.compared));
                }
                for (by, what) in drift.overtaken.told() {
                    say(format!("not observed, as overtaken by {by}: {}", what.join(", ")));
                }
                for miss in &drift.wrong {
                    say(format!("{}: predicted {}, observed {}", miss.what, miss.predicted, miss.observed));
                }
            }
            Entry::Read { agent, title, .. } => say(format!("{agent} read: {title}")),
            Entry::Mode { .. } | Entry::Policies { .. } => {}
        }
    }
}

fn noted(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(": {note:?}") }
}

/// On one line, and nothing in it that a terminal would act on or that could hide.
fn plain(text: &str) -> String {
    let visible = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if visible(c) { c.to_string() } else { c.escape_unicode().to_string() }).collect()
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "case {}", self.case)?;
        for Line { at, text } in &self.lines {
            let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
            match jiff::Timestamp::from_millisecond(ms) {
                Ok(time) => writeln!(f, "{time:.3}  {text}")?,
                Err(_) => writeln!(f, "{ms} ms  {text}")?,
            }
        }
        Ok(())
    }
}
