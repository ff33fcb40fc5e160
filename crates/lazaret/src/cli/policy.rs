//! `lazaret policy`: the rules in force.
//!
//! Knows: how a rule is told to a person.
//! Does not know: any rule.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::ActionPolicy;
use serde_json::{Value, json};

use super::{Form, Outcome, say};
use crate::config::Config;

/// The rules that actions are judged by
#[derive(Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
}

impl Policy {
    pub(crate) fn run(self) -> Outcome {
        match self.command {
            Command::List(list) => list.run(),
        }
    }
}

/// Every rule in force: what it is for, what to do when it refuses, and its limits
///
/// A limit stands under the name by which [policy] in lazaret.toml sets it.
#[derive(Args)]
struct List {
    /// The gate's configuration; without one every limit has its default
    #[arg(long, value_name = "FILE", env = "LAZARET_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

impl List {
    fn run(self) -> Outcome {
        let rules = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default().policies();
        if self.form.json() {
            say!("{}", rules.iter().map(|rule| described(&**rule)).collect::<Value>())?;
            return Ok(ExitCode::SUCCESS);
        }
        for rule in &rules {
            say!("{}\n    {}\n    When it refuses: {}", rule.name(), rule.help(), rule.remedy())?;
            for (name, limit) in rule.limits() {
                say!("    {name} = {limit}")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn described(rule: &dyn ActionPolicy) -> Value {
    json!({"name": rule.name(), "help": rule.help(), "remedy": rule.remedy(), "limits": rule.limits()})
}
