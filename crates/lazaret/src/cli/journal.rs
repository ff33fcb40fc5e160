//! `lazaret journal`: whether the record is whole, and all of it for others to read.
//!
//! Knows: where the journal of a data folder is.
//! Does not know: how links are made.

use std::io;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gate::Archive;
use serde_json::json;

use super::{Data, Form, Out, Outcome, say};

/// The record of every case
#[derive(Args)]
pub(crate) struct Journal {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Follow every link of the chain, and say where it breaks
    Verify(Verify),
    /// Write every entry as a line of JSON, with its hash
    Export(Data),
}

#[derive(Args)]
struct Verify {
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    form: Form,
}

impl Verify {
    fn run(&self) -> Outcome {
        match Archive::open(&self.data.folder)?.verify() {
            Ok(entries) if self.form.json() => say!("{}", json!({"whole": true, "entries": entries}))?,
            Ok(entries) => say!("The journal is whole: {entries} entries.")?,
            Err(broken) => {
                if self.form.json() {
                    say!("{}", json!({"whole": false, "breaksAt": broken.seq, "because": broken.what}))?;
                }
                return Err(format!("the journal is broken: {broken}").into());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Journal {
    pub(crate) fn run(self) -> Outcome {
        match self.command {
            Command::Verify(verify) => verify.run(),
            Command::Export(data) => {
                Archive::open(&data.folder)?.export(&mut io::BufWriter::new(Out))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
