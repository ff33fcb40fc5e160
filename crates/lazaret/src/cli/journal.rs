//! `lazaret journal`: whether the record is whole, and all of it for others to read.
//!
//! Knows: where the journal of a data folder is.
//! Does not know: how links are made.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gate::Archive;

use super::{Data, Outcome};

/// The record of every case
#[derive(Args)]
pub(crate) struct Journal {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Follow every link of the chain, and say where it breaks
    Verify(Data),
    /// Write every entry as a line of JSON, with its hash
    Export(Data),
}

impl Journal {
    pub(crate) fn run(self) -> Outcome {
        match self.command {
            Command::Verify(data) => match Archive::open(&data.folder)?.verify() {
                Ok(entries) => println!("The journal is whole: {entries} entries."),
                Err(broken) => return Err(format!("the journal is broken: {broken}").into()),
            },
            Command::Export(data) => Archive::open(&data.folder)?.export(&mut std::io::stdout().lock())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
