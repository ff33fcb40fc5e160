//! `lazaret pending`, `show`, `approve`, `deny`, `settle`, `mode`: the people's side.
//!
//! Knows: how a case is shown in a terminal, and what a person may say about it.
//! Does not know: how decisions are kept. What is shown comes from the journal, whether a gate runs or not; decisions
//! go to the running gate.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use gate::{Archive, CaseId, Doubt, Held};
use model::Moment;
use serde_json::{Value, json};

use super::{Data, Failure, Form, Outcome, say};
use crate::admin::{self, Decision, Settlement};

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

/// Let a held action pass, once, with the effect that is shown
#[derive(Args)]
#[command(
    after_help = "The agent sends the same request again and it goes through, as long as its effect is within the one shown."
)]
pub(crate) struct Approve {
    #[command(flatten)]
    say: Say,
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
        self.say.run(true).await
    }
}

impl Deny {
    pub(crate) async fn run(self) -> Outcome {
        self.say.run(false).await
    }
}

impl Say {
    async fn run(self, approves: bool) -> Outcome {
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
            };
            let path = if approves { "/approve" } else { "/deny" };
            admin::ask(&self.data.folder, path, Some(&serde_json::to_value(&decision)?)).await?;
            let word = if approves { "approved" } else { "denied" };
            if self.form.json() {
                say!("{}", json!({"case": case, "decision": word, "by": self.by, "title": shown.action.title()}))?;
                continue;
            }
            say!("{case} {word} by {}: {}", self.by, plain(&shown.action.title()))?;
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
