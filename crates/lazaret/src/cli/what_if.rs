//! `lazaret what-if`: a command, run against a throw-away gate on a fork.
//!
//! Knows: how a command is pointed at the fork, and how what it would have done is told.
//! Does not know: anything real.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use cluster::Schema;
use cluster::apiserver::Status;
use gate::{Gate, Refusal};
use http::Response;
use model::{Access, Action, AgentId, Ruling};
use serde_json::json;
use target_kubernetes::decode::Asked;
use target_kubernetes::front::{self, Authenticate, Passage, status};
use target_kubernetes::kubeconfig::{Kubeconfig, write_private};
use target_kubernetes::message::{Body, random_word};
use target_kubernetes::refuse;
use target_kubernetes::standalone::Standalone;
use target_kubernetes::tls::Authority;

use super::{DENIED, Form, HELD, Limits, Outcome, private_folder, say};
use crate::offline::Bench;

/// Run a command against a fork, and print what each of its actions would do
///
/// The command gets a KUBECONFIG that leads to a gate in front of a copy of the snapshot. What would be held or denied is
/// refused there too, so that the command goes the way it would really go. Nothing real is touched.
///
/// Exit status: 0 if every action would be allowed, 3 if one would be held, 4 if one would be denied.
#[derive(Args)]
#[command(after_help = "Example:
  lazaret what-if --snapshot prod.jsonl.gz -- kubectl scale deployment/checkout --replicas=0 -n shop")]
pub(crate) struct WhatIf {
    /// The cluster to fork: a List in JSON or YAML, a folder of such files, or JSON Lines; .gz and .zst of any
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    snapshot: Vec<PathBuf>,
    /// The seed of every random choice
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    form: Form,
    /// The command, and what it is told
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// What was asked so far, and what it would have come to.
type Told = Arc<Mutex<Vec<(Action, Ruling)>>>;

impl WhatIf {
    pub(crate) async fn run(self) -> Outcome {
        let bench = Bench::open(&self.snapshot, self.seed, self.limits.read()?)?;
        let authority = Authority::new("lazaret what-if")?;
        let token = random_word()?;
        let told = Told::default();
        let through = Through { gate: bench.gate().clone(), told: told.clone() };
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let door = front::open(address, authority.server(&[], &[])?, Only(token.clone()), through).await?;

        let folder = private_folder()?;
        let kubeconfig = folder.join("kubeconfig");
        let server = format!("https://{}", door.address);
        let text = Kubeconfig { name: "what-if", server: &server, authority: authority.pem(), token: &token }.to_yaml();
        write_private(&kubeconfig, &text)?;
        let [program, arguments @ ..] = self.command.as_slice() else {
            return Err("there is no command to run".into());
        };
        let ended = tokio::process::Command::new(program).args(arguments).env("KUBECONFIG", &kubeconfig).status().await;
        let _ = std::fs::remove_dir_all(&folder);
        door.stop().await;
        let ended = ended.map_err(|error| format!("{program} could not be run: {error}"))?;

        let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
        let mut worst = 0;
        for (action, ruling) in &told {
            worst = worst.max(match ruling.verdict.as_str() {
                "allow" => 0,
                "hold" => HELD,
                _ => DENIED,
            });
            if self.form.json() {
                let mut line = serde_json::to_value(ruling)?;
                if let Some(line) = line.as_object_mut() {
                    line.insert("action".to_owned(), json!(action.title()));
                }
                say!("{line}")?;
            } else {
                print(action, ruling)?;
            }
        }
        if told.is_empty() && !self.form.json() {
            say!("{program} changed nothing, and ended with {ended}.")?;
        }
        Ok(ExitCode::from(worst))
    }
}

fn print(action: &Action, ruling: &Ruling) -> std::io::Result<()> {
    say!("{:5}  {}", ruling.verdict, action.title())?;
    for line in ruling.effect.summary() {
        say!("       would: {line}")?;
    }
    if let Some(said) = &ruling.foreseen {
        say!("       production would refuse it: {said}")?;
    }
    for because in &ruling.why {
        say!("       because {because}")?;
    }
    if let Some(remedy) = &ruling.would_pass {
        say!("       would pass: {remedy}")?;
    }
    Ok(())
}

/// The one who holds the token.
struct Only(String);

impl Authenticate for Only {
    fn agent(&self, token: &str) -> Option<AgentId> {
        (token == self.0).then(|| AgentId::from("what-if"))
    }
}

struct Through {
    gate: Arc<Gate<Standalone>>,
    told: Told,
}

impl Passage for Through {
    fn schema(&self) -> Schema {
        self.gate.target().schema()
    }

    async fn pass(&self, agent: AgentId, asked: Asked) -> Response<Body> {
        if let Ok(case) = gate::examine(&self.gate, &agent, asked.clone()).await
            && case.action().access == Access::Write
        {
            let entry = (case.action().clone(), case.ruling());
            self.told.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        }
        match gate::pass(&self.gate, &agent, asked).await {
            Ok(response) => response,
            // Nobody will come to approve it here, so the client is not told to wait.
            Err(held @ Refusal::Held { .. }) => status(&Status::new(403, "Forbidden", held.text())),
            Err(refusal) => refuse::refuse(refusal),
        }
    }
}
