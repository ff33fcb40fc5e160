//! The command line, one file for each subcommand.
//!
//! Knows: the subcommands, how a failure is told, what the exit statuses mean.
//! Does not know: what a subcommand does.

mod agent;
mod check;
mod demo;
mod journal;
mod judge;
mod people;
mod policy;
mod serve;
mod snapshot;
mod twin;
mod what_if;

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// The exit status when an action was held.
pub(crate) const HELD: u8 = 3;
/// The exit status when an action was denied.
pub(crate) const DENIED: u8 = 4;

/// Why a command failed, to be told with all its causes.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a command gives: its exit status.
pub(crate) type Outcome = Result<ExitCode, Failure>;

/// The station where an AI agent's actions wait before they are let into production.
#[derive(Parser)]
#[command(name = "lazaret", version, after_help = AFTER_HELP)]
struct Lazaret {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Exit status: 0 done; 1 failed; 2 usage; 3 the action was held; 4 it was denied.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Agent(agent::Agent),
    Pending(people::Pending),
    Show(people::Show),
    Approve(people::Approve),
    Deny(people::Deny),
    Grants(people::Grants),
    Revoke(people::Revoke),
    Settle(people::Settle),
    Mode(people::Mode),
    Judge(judge::Judge),
    WhatIf(what_if::WhatIf),
    Snapshot(snapshot::Snapshot),
    Twin(twin::Twin),
    Journal(journal::Journal),
    Policy(policy::Policy),
}

/// Where the gate keeps what must outlive it.
#[derive(Args)]
pub(crate) struct Data {
    /// The gate's data folder
    #[arg(long = "data", value_name = "FOLDER", env = "LAZARET_DATA", default_value = "lazaret-data")]
    pub(crate) folder: PathBuf,
}

/// For whom to print.
#[derive(Args)]
pub(crate) struct Form {
    /// Print JSON
    #[arg(short, long = "output", value_name = "FORM", value_parser = ["json"])]
    output: Option<String>,
}

impl Form {
    pub(crate) fn json(&self) -> bool {
        self.output.is_some()
    }
}

/// What the gate is configured to be.
#[derive(Args)]
pub(crate) struct Configured {
    /// The gate's configuration; without one everything has its default
    #[arg(long, value_name = "FILE", env = "LAZARET_CONFIG")]
    config: Option<PathBuf>,
    /// The gate's data folder, instead of the configuration's
    #[arg(long, value_name = "FOLDER", env = "LAZARET_DATA")]
    data: Option<PathBuf>,
    /// Where agents come in, instead of the configuration's
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<std::net::SocketAddr>,
}

impl Configured {
    pub(crate) fn read(&self) -> Result<Config, Failure> {
        let mut config = match &self.config {
            Some(file) => Config::read(file)?,
            None => Config::default(),
        };
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        Ok(config)
    }
}

/// Limits from a file instead of the defaults.
#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// A lazaret.toml whose [policy] sets the limits of the rules
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl Limits {
    pub(crate) fn read(&self) -> Result<Config, Failure> {
        Ok(self.policy.as_deref().map(Config::read).transpose()?.unwrap_or_default())
    }
}

/// Standard output, the only way to it: every write is whole, under its lock.
///
/// Whoever reads may have heard enough (`lazaret show | head`). That is no failure and ends nothing: a gate goes on serving,
/// and a verdict's exit status is the verdict's.
pub(crate) struct Out;

impl io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        or_unheard(io::stdout().lock().write_all(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        or_unheard(io::stdout().lock().flush())
    }
}

fn or_unheard(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Prints a line, as `println!` would.
macro_rules! say {
    ($($said:tt)*) => { $crate::cli::print(format_args!($($said)*)) };
}
pub(crate) use say;

pub(crate) fn print(line: fmt::Arguments<'_>) -> io::Result<()> {
    Out.write_all(format!("{line}\n").as_bytes())
}

/// A new folder that only we may look into.
pub(crate) fn private_folder() -> Result<PathBuf, Failure> {
    let name = format!("lazaret-{}", target_kubernetes::message::random_word()?);
    let folder = std::env::temp_dir().join(name);
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder)?;
    Ok(folder)
}

/// What time it is out there.
pub(crate) fn wall_clock() -> ::twin::Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    ::twin::Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Command {
    async fn run(self) -> Outcome {
        match self {
            Self::Demo(demo) => demo.run().await,
            Self::Serve(serve) => serve.run().await,
            Self::Agent(agent) => agent.run(),
            Self::Pending(pending) => pending.run(),
            Self::Show(show) => show.run(),
            Self::Approve(approve) => approve.run().await,
            Self::Deny(deny) => deny.run().await,
            Self::Grants(grants) => grants.run(),
            Self::Revoke(revoke) => revoke.run().await,
            Self::Settle(settle) => settle.run().await,
            Self::Mode(mode) => mode.run().await,
            Self::Judge(judge) => judge.run().await,
            Self::WhatIf(what_if) => what_if.run().await,
            Self::Snapshot(snapshot) => snapshot.run().await,
            Self::Twin(twin) => twin.run().await,
            Self::Journal(journal) => journal.run(),
            Self::Policy(policy) => policy.run().await,
        }
    }
}

/// Reads the command line, does what it says, and tells what went wrong.
pub(crate) fn main() -> ExitCode {
    let said = Lazaret::parse();
    target_kubernetes::tls::install_default();
    let filter = EnvFilter::try_from_env("LAZARET_LOG").unwrap_or_else(|_| EnvFilter::new("warn,kube_client=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let outcome = runtime.block_on(said.command.run());
    // Whatever still runs in the background has been told to stop, or does not matter any more.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|failure| failed(&failure))
}

fn failed(failure: &Failure) -> ExitCode {
    let mut text = format!("error: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    eprintln!("{text}");
    ExitCode::FAILURE
}
