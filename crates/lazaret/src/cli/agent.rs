//! `lazaret agent`: identities for agents.
//!
//! Knows: what an agent needs to find the gate.
//! Does not know: what an agent may do.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde_json::json;
use target_kubernetes::kubeconfig::{Kubeconfig, write_private};

use super::{Configured, Out, Outcome, say};
use crate::agents::Agents;
use crate::files::unusable;
use crate::serving::{authority_file, server_file};

/// Who may knock at the gate
#[derive(Args)]
pub(crate) struct Agent {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Add(Add),
}

impl Agent {
    pub(crate) fn run(self) -> Outcome {
        match self.command {
            Command::Add(add) => add.run(),
        }
    }
}

/// Give an agent a short-lived identity, and print the kubeconfig it works with
///
/// The token in it is shown once and kept nowhere. Giving an agent a new one leaves the old ones good until they end.
#[derive(Args)]
#[command(after_help = "Example:
  lazaret agent add oncall-bot -o oncall.kubeconfig
  KUBECONFIG=oncall.kubeconfig kubectl get pods")]
struct Add {
    /// Who this is, in policies and in the journal
    name: String,
    /// Write the kubeconfig to a file that only its owner can read, instead of printing it; `json` prints JSON with all
    /// that it holds (a file of that name is ./json)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How long the identity is good, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    ttl: u64,
    #[command(flatten)]
    configured: Configured,
}

impl Add {
    fn run(self) -> Outcome {
        let config = self.configured.read()?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err("a name is made of letters, digits, '-', '_' and '.'".into());
        }
        std::fs::create_dir_all(&config.data).map_err(unusable(&config.data))?;
        let authority = std::fs::read_to_string(authority_file(&config.data)).map_err(|error| {
            format!("the gate has no certificate yet ({error}): start it once with 'lazaret serve'")
        })?;
        let ttl = Duration::from_secs(self.ttl.saturating_mul(60));
        let token = Agents::of(&config.data).add(&self.name, ttl, SystemTime::now())?;
        let server = match &config.public {
            Some(public) => public.clone(),
            None => {
                let file = server_file(&config.data);
                std::fs::read_to_string(&file).map_err(unusable(&file))?
            }
        };
        let text =
            Kubeconfig { name: &config.target.name, server: &server, authority: &authority, token: &token }.to_yaml();
        match &self.output {
            Some(form) if form.as_os_str() == "json" => {
                let minutes = self.ttl;
                say!(
                    "{}",
                    json!({"agent": self.name, "server": server.trim(), "token": token, "ca": authority, "kubeconfig": text, "minutes": minutes})
                )?;
            }
            Some(file) => {
                write_private(file, &text).map_err(|error| {
                    format!("{} cannot be written: {error}: name another file with --output", file.display())
                })?;
                say!("Wrote {}: agent {}, good for {} minutes.", file.display(), self.name, self.ttl)?;
            }
            None => Out.write_all(text.as_bytes())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
