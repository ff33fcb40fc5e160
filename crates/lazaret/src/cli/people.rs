//! `lazaret pending`, `show`, `approve`, `deny`, `grants`, `revoke`, `settle`, `mode`: the people's side.
//!
//! Knows: how a case is shown in a terminal, and what a person may say about it.
//! Does not know: how decisions are kept. What is shown comes from the journal, whether a gate runs or not; decisions
//! go to the running gate.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use gate::{Archive, CaseId, Doubt, Held, Terms};
use model::{Bound, Decimal, Likeness, Moment};
use serde_json::{Value, json};

use super::{Data, Failure, Form, Outcome, say};
use crate::admin::{self, Decision, Revocation, Settlement};

/// What waits for a person
#[derive(Args)]
pub(crate) struct Pending {
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    form: Form,
}

impl Pending {
    pub(crate) fn run(&self) -> Outcome {
        let archive = Archive::open(&self.data.folder)?;
        let (held, doubtful) = (archive.pending(now())?, archive.in_doubt()?);
        if self.form.json() {
            let doubtful = doubtful.iter().map(admin::describe_doubt);
            say!("{}", held.iter().map(admin::describe).chain(doubtful).collect::<Value>())?;
            return Ok(ExitCode::SUCCESS);
        }
        if held.is_empty() && doubtful.is_empty() {
            say!("Nothing waits for a person.")?;
        }
        for case in &held {
            say!("{}  {}  {} asks to {}", case.case, age(case.asked), case.action.agent, case.action.title())?;
            for line in case.ruling.effect.summary() {
                say!("      {}", plain(&line))?;
            }
            for because in &case.ruling.why {
                say!("      held because {}", plain(&because.to_string()))?;
            }
            if let Some(reason) = &case.action.reason {
                say!("      the agent says: {reason:?}")?;
            }
            say!("      lazaret approve {0} | lazaret deny {0} | lazaret show {0}", case.case)?;
        }
        for Doubt { case, action, why } in &doubtful {
            say!("{case}  in doubt: {} was to {}, and nobody knows whether it happened", action.agent, action.title())?;
            say!("      {}", plain(why))?;
            say!("      the gate goes on looking; if you know: lazaret settle {case} --happened | --did-not")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What happened in a case, and why it was allowed
#[derive(Args)]
pub(crate) struct Show {
    /// The case, such as 7q3k; without one, the cases that were judged last
    case: Option<CaseId>,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    form: Form,
}

impl Show {
    pub(crate) fn run(&self) -> Outcome {
        let archive = Archive::open(&self.data.folder)?;
        let Some(case) = &self.case else {
            let latest = archive.latest(30)?;
            if self.form.json() {
                say!("{}", serde_json::to_string(&latest)?)?;
                return Ok(ExitCode::SUCCESS);
            }
            for one in latest {
                let fate = if one.fate.is_empty() { &one.verdict } else { &one.fate };
                say!("{}  {}  {:12} {:20} {}", one.case, age(one.at), one.agent, plain(fate), plain(&one.title))?;
            }
            return Ok(ExitCode::SUCCESS);
        };
        let Some(story) = archive.story(case)? else {
            return Err(format!("nobody knows of a case {case}").into());
        };
        if self.form.json() {
            let mut shown = serde_json::to_value(&story)?;
            // A verdict reads the same wherever it is written; the story stands beside it.
            if let (Some(ruling), Some(map)) = (&story.ruling, shown.as_object_mut())
                && let Value::Object(ruling) = serde_json::to_value(ruling)?
            {
                map.extend(ruling);
            }
            say!("{shown}")?;
        } else {
            say!("{story}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Let a held action pass, once, with the effect that is shown; with --class, effects like it too
#[derive(Args)]
#[command(
    after_help = "The agent sends the same request again and it goes through, as long as its effect is within the one shown.

Effects like it are those of the same agent that touch the same kinds of things in the same namespaces in the same manner, no
more of them, write the same to them, and hurt nothing more. Examples:
  lazaret approve 7q3k
  lazaret approve 7q3k --class --uses 20 --hours 8
  lazaret approve 7q3k --class --between spec.replicas=3..12"
)]
pub(crate) struct Approve {
    #[command(flatten)]
    say: Say,
    #[command(flatten)]
    like: Like,
}

/// Effects like the one that is shown.
#[derive(Args)]
struct Like {
    /// Let effects like it pass too
    #[arg(long)]
    class: bool,
    /// So many times, this one among them
    #[arg(long, value_name = "N", default_value_t = 10, requires = "class")]
    uses: u64,
    /// For so many hours
    #[arg(long, value_name = "N", default_value_t = 8, requires = "class")]
    hours: u64,
    /// What may be written to a field instead of what is shown; may be given several times
    #[arg(long, value_name = "FIELD=LOW..HIGH", value_parser = between, requires = "class")]
    between: Vec<(String, Bound)>,
    /// A field to which anything may be written; may be given several times, and * is every field
    #[arg(long, value_name = "FIELD", requires = "class")]
    any: Vec<String>,
    /// So many objects one action may touch, instead of as many as are shown
    #[arg(long, value_name = "N", requires = "class")]
    objects: Option<u64>,
}

impl Like {
    fn terms(&self) -> Option<Terms> {
        let any = self.any.iter().map(|field| (field.clone(), Bound::Any));
        let fields = self.between.iter().cloned().chain(any).collect();
        let until = now().plus_ms(self.hours.saturating_mul(3_600_000));
        let likeness = Likeness { fields, objects_max: self.objects };
        self.class.then_some(Terms { likeness, uses_max: self.uses, until })
    }
}

/// `FIELD=LOW..HIGH`
fn between(text: &str) -> Result<(String, Bound), String> {
    let read = || {
        let (field, range) = text.split_once('=')?;
        let (low, high) = range.split_once("..")?;
        let number =
            |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(Decimal::from_f64);
        Some((field.to_owned(), Bound::Between(number(low)?, number(high)?)))
    };
    read().ok_or_else(|| "write it as spec.replicas=3..12".to_owned())
}

/// What was agreed for effects like one, and how much of it is left
#[derive(Args)]
pub(crate) struct Grants {
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    form: Form,
}

impl Grants {
    pub(crate) fn run(&self) -> Outcome {
        let classes = Archive::open(&self.data.folder)?.classes(now())?;
        if self.form.json() {
            say!("{}", serde_json::to_string(&classes)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        if classes.is_empty() {
            say!("Nothing was agreed for more than one action.")?;
        }
        for class in &classes {
            let by: Vec<&str> = class.by.iter().map(String::as_str).collect();
            let left = class.terms.until.ms_since(now()) / 60_000;
            say!("{}  {} may do what is like: {}", class.case, class.agent, plain(&class.title))?;
            say!(
                "      agreed by {}, used {} of {} times, for {left} more minutes",
                by.join(" and "),
                class.uses,
                class.terms.uses_max
            )?;
            for (field, bound) in &class.terms.likeness.fields {
                match bound {
                    Bound::Any => say!("      {} may be anything", plain(field))?,
                    Bound::Between(low, high) => say!("      {} may be from {low} to {high}", plain(field))?,
                }
            }
            say!("      lazaret revoke {0} | lazaret show {0}", class.case)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Take back what was agreed for effects like that of a case
#[derive(Args)]
pub(crate) struct Revoke {
    /// The case in which it was agreed, such as 7q3k
    case: CaseId,
    /// Whose decision it is
    #[arg(long = "as", value_name = "NAME", env = "USER", default_value = "operator")]
    by: String,
    /// What to put in the record
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    form: Form,
}

impl Revoke {
    pub(crate) async fn run(self) -> Outcome {
        let revocation = Revocation { case: self.case, by: self.by, note: self.note };
        admin::ask(&self.data.folder, "/revoke", Some(&serde_json::to_value(&revocation)?)).await?;
        let Revocation { case, by, .. } = revocation;
        if self.form.json() {
            say!("{}", json!({"case": case, "decision": "revoked", "by": by}))?;
            return Ok(ExitCode::SUCCESS);
        }
        say!("{case}: {by} took back what was agreed for effects like it. What was done on it stays done.")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Say no to a held action
#[derive(Args)]
pub(crate) struct Deny {
    #[command(flatten)]
    say: Say,
}

#[derive(Args)]
struct Say {
    /// The cases, such as 7q3k
    #[arg(required = true)]
    cases: Vec<CaseId>,
    /// Whose decision it is
    #[arg(long = "as", value_name = "NAME", env = "USER", default_value = "operator")]
    by: String,
    /// In which role; may be given several times
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// What to put in the record, and tell the agent
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    form: Form,
}

impl Approve {
    pub(crate) async fn run(self) -> Outcome {
        let terms = self.like.terms();
        self.say.run(true, terms).await
    }
}

impl Deny {
    pub(crate) async fn run(self) -> Outcome {
        self.say.run(false, None).await
    }
}

impl Say {
    async fn run(self, approves: bool, class: Option<Terms>) -> Outcome {
        let held = waiting(&self.data.folder)?;
        for case in &self.cases {
            let shown = held.iter().find(|held| held.case == *case);
            let Some(shown) = shown else { return Err(format!("case {case} is not waiting for anyone").into()) };
            let decision = Decision {
                case: case.clone(),
                by: self.by.clone(),
                roles: self.role.clone(),
                shown: Some(shown.shown),
                note: self.note.clone(),
                class: class.clone(),
            };
            let path = if approves { "/approve" } else { "/deny" };
            admin::ask(&self.data.folder, path, Some(&serde_json::to_value(&decision)?)).await?;
            let word = if approves { "approved" } else { "denied" };
            if self.form.json() {
                say!("{}", json!({"case": case, "decision": word, "by": self.by, "title": shown.action.title()}))?;
                continue;
            }
            let many = class
                .as_ref()
                .map_or_else(String::new, |terms| format!(", and effects like it {} times", terms.uses_max));
            say!("{case} {word} by {}: {}{many}", self.by, plain(&shown.action.title()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Say what became of an action in doubt
///
/// What was sent and never answered stays in doubt until production shows what became of it. Where that cannot be seen, a
/// person who has looked says so.
#[derive(Args)]
#[command(after_help = "Example:
  lazaret settle 7q3k --did-not --as alice --note 'nothing of it in the audit log'")]
pub(crate) struct Settle {
    /// The case, such as 7q3k
    case: CaseId,
    #[command(flatten)]
    fate: Fate,
    /// Who says so
    #[arg(long = "as", value_name = "NAME", env = "USER", default_value = "operator")]
    by: String,
    /// How they know, for the record
    #[arg(long)]
    note: String,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    form: Form,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Fate {
    /// It was done
    #[arg(long)]
    happened: bool,
    /// It was not done, and will not be
    #[arg(long)]
    did_not: bool,
}

impl Settle {
    pub(crate) async fn run(self) -> Outcome {
        let Fate { happened, did_not: _ } = self.fate;
        let settlement = Settlement { case: self.case, happened, by: self.by, note: self.note };
        admin::ask(&self.data.folder, "/settle", Some(&serde_json::to_value(&settlement)?)).await?;
        let Settlement { case, by, .. } = settlement;
        if self.form.json() {
            say!("{}", json!({"case": case, "happened": happened, "by": by}))?;
            return Ok(ExitCode::SUCCESS);
        }
        say!("{case} {}, says {by}", if happened { "happened" } else { "did not happen" })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether verdicts count: show it, or change it
#[derive(Args)]
pub(crate) struct Mode {
    /// enforce, or observe: forward everything and record what would have been decided
    #[arg(value_parser = ["enforce", "observe"])]
    mode: Option<String>,
    /// Whose decision it is
    #[arg(long = "as", value_name = "NAME", env = "USER", default_value = "operator")]
    by: String,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    form: Form,
}

impl Mode {
    pub(crate) async fn run(self) -> Outcome {
        let answer = match &self.mode {
            None => admin::ask(&self.data.folder, "/status", None).await?,
            Some(mode) => {
                let order = json!({"mode": mode, "by": self.by});
                admin::ask(&self.data.folder, "/mode", Some(&order)).await?
            }
        };
        if self.form.json() {
            say!("{answer}")?;
            return Ok(ExitCode::SUCCESS);
        }
        say!("{}", answer.get("mode").and_then(Value::as_str).unwrap_or("unknown"))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn waiting(data: &Path) -> Result<Vec<Held>, Failure> {
    Ok(Archive::open(data)?.pending(now())?)
}

fn now() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// How long ago, in the largest unit that fits.
fn age(at: Moment) -> String {
    let seconds = now().ms_since(at) / 1000;
    match seconds {
        0..=119 => format!("{seconds:>4}s"),
        120..=7199 => format!("{:>4}m", seconds / 60),
        7200..=172_799 => format!("{:>4}h", seconds / 3600),
        _ => format!("{:>4}d", seconds / 86_400),
    }
}

/// What an agent or a workload wrote is data: on a terminal it moves no cursor.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
