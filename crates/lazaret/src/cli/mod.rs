//! The command line, one file for each subcommand.
//!
//! Knows: the subcommands, how a failure is told, what the exit statuses mean.
//! Does not know: what a subcommand does.

mod twin;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

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
    Twin(twin::Twin),
}

impl Command {
    async fn run(self) -> Outcome {
        match self {
            Self::Twin(twin) => twin.run().await,
        }
    }
}

/// Reads the command line, does what it says, and tells what went wrong.
pub(crate) fn main() -> ExitCode {
    let said = Lazaret::parse();
    target_kubernetes::tls::install_default();
    let filter = EnvFilter::try_from_env("LAZARET_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
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
