//! `lazaret policy`: the rules in force, what they have to say, and what others would have said.
//!
//! Knows: how a rule is told to a person.
//! Does not know: any rule.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gate::{Archive, Rejudged};
use model::{ActionPolicy, Tier, Verdict};
use serde_json::{Value, json};

use super::{Data, Form, Limits, Outcome, judge, say};
use crate::config::{Config, WINDOW_MS};
use crate::offline::Bench;
use crate::rules::Test;

/// The rules that actions are judged by
#[derive(Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Test(Tests),
    Diff(Diff),
}

impl Policy {
    pub(crate) async fn run(self) -> Outcome {
        match self.command {
            Command::List(list) => list.run(),
            Command::Test(tests) => tests.run().await,
            Command::Diff(diff) => diff.run(),
        }
    }
}

/// Every rule in force: what it is for, what to do when it refuses, and its limits
///
/// A built-in rule's limit stands under the name by which [policy] in lazaret.toml sets it.
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
        let rules = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default().policies()?;
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

/// Run the tests that stand beside a site's own rules
///
/// Each says what a rule, or all of them together, have to say of an action on a snapshot. Nothing real is touched.
///
/// Exit status: 0 if all pass, 1 if one does not.
#[derive(Args)]
struct Tests {
    /// The gate's configuration, whose [policy] names the folder of rules
    #[arg(long, value_name = "FILE", env = "LAZARET_CONFIG")]
    config: PathBuf,
    /// The seed of every random choice
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Tests {
    async fn run(self) -> Outcome {
        let config = Config::read(&self.config)?;
        let (mut passed, mut failed) = (0, 0);
        for test in &config.policy.site.tests {
            match self.try_one(&config, test).await {
                Ok(()) => {
                    passed += 1;
                    say!("ok      {}", test.name)?;
                }
                Err(why) => {
                    failed += 1;
                    say!("FAILED  {}\n        {why}", test.name)?;
                }
            }
        }
        say!("{passed} passed, {failed} failed")?;
        if passed + failed == 0 {
            return Err("there are no tests beside the rules: a rule that nobody tried may say anything".into());
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn try_one(&self, config: &Config, test: &Test) -> Result<(), String> {
        let said = |error: super::Failure| error.to_string();
        let line = serde_json::from_value(test.action.clone()).map_err(|error| format!("its action: {error}"))?;
        let recorded = judge::recorded(line).map_err(|why| format!("its action: {why}"))?;
        let mut bench = Bench::open(std::slice::from_ref(&test.snapshot), self.seed, config.clone()).map_err(said)?;
        let known = test.rule.as_ref().map_or(Ok(true), |rule| bench.alone(rule)).map_err(said)?;
        if !known {
            return Err("there is no such rule".to_owned());
        }
        let case = bench.examine(&recorded).await.map_err(said)?;
        let judgement = case.judgement();
        let (opinion, because) = match judgement.voices.as_slice() {
            [voice] if test.rule.is_some() => (voice.opinion.as_str(), voice.because.clone()),
            _ => (judgement.verdict.name(), reasons(&judgement.verdict)),
        };
        if opinion == test.expect {
            return Ok(());
        }
        let whose = test.rule.as_deref().unwrap_or("the verdict");
        Err(format!(
            "{whose}: expected {}, got {opinion}{}",
            test.expect,
            if because.is_empty() { because } else { format!(": {because}") }
        ))
    }
}

fn reasons(verdict: &Verdict) -> String {
    verdict.why().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Which past cases other rules would have decided differently
///
/// Every case of the journal is judged again, on the effect that was foreseen then. What was settled by bounds alone, and
/// other rules would not settle so, would have been simulated: the journal cannot tell what came of that.
///
/// Exit status: 0 if no case would be decided differently, 3 if one would.
#[derive(Args)]
struct Diff {
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    form: Form,
}

impl Diff {
    fn run(self) -> Outcome {
        let rules = self.limits.read()?.policies()?;
        let (mut cases, mut different) = (0_u64, Vec::new());
        Archive::open(&self.data.folder)?.judged_by(&rules, WINDOW_MS, &mut |case| {
            cases += 1;
            if case.before != case.after.verdict.name() {
                different.push(case);
            }
        })?;
        if self.form.json() {
            let list: Vec<Value> = different.iter().map(differs).collect();
            say!("{}", json!({"cases": cases, "different": list}))?;
        } else {
            for case in &different {
                let why = reasons(&case.after.verdict);
                let would = if open(case) { "would be simulated" } else { case.after.verdict.name() };
                let colon = if why.is_empty() { "" } else { ": " };
                say!(
                    "{}  {}  {}: {} -> {would}{colon}{why}",
                    case.case,
                    case.action.agent,
                    case.action.title(),
                    case.before
                )?;
            }
            say!("{} of {cases} cases would be decided differently", different.len())?;
        }
        Ok(if different.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(super::HELD) })
    }
}

/// Whether only a simulation would have told.
fn open(case: &Rejudged) -> bool {
    case.tier < Tier::Simulation && !case.after.verdict.is_settled()
}

fn differs(case: &Rejudged) -> Value {
    json!({
        "case": case.case, "at": case.at, "agent": case.action.agent, "title": case.action.title(),
        "before": case.before, "after": case.after.verdict.name(), "wouldBeSimulated": open(case), "why": case.after.verdict.why(),
    })
}
