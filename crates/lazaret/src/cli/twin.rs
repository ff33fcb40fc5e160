//! `lazaret twin`: a cluster in memory, as a live API.
//!
//! Knows: what can be said about the cluster to serve.
//! Does not know: how it lives or is served.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use ::twin::Time;
use clap::{Args, Subcommand};
use cluster::{Cluster, build};
use serde_json::json;
use target_kubernetes::serve::{self, Options, Served, Speed};
use tokio::signal::unix::{SignalKind, signal};

use super::check::Check;
use super::{Failure, Outcome, private_folder, say};
use crate::offline;

/// A Kubernetes cluster in memory
#[derive(Args)]
pub(crate) struct Twin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(Serve),
    Check(Box<Check>),
}

impl Twin {
    pub(crate) async fn run(self) -> Outcome {
        match self.command {
            Command::Serve(serve) => serve.run().await,
            Command::Check(check) => check.run().await,
        }
    }
}

/// Serve a cluster in memory as a live Kubernetes API
///
/// Prints one line of JSON when it listens: server, token, kubeconfig and ca. Ends on SIGTERM or Ctrl-C. Whatever a
/// client does to it, controllers, scheduler and kubelets act on as in a real cluster, in virtual time.
#[derive(Args)]
#[command(after_help = EXAMPLE)]
struct Serve {
    /// What the cluster starts as: a List in JSON or YAML, JSON Lines, a folder of them; plain, .gz or .zst
    #[arg(long, value_name = "FILE", num_args = 1..)]
    snapshot: Vec<PathBuf>,
    /// Ready nodes to add: node-01, node-02… with 8 CPUs, 32 GiB and room for 110 pods, in zones a, b and c in turn
    #[arg(long, value_name = "N", default_value_t = 0)]
    nodes: usize,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What names and choices follow from: same seed, same cluster life
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How fast time passes: max (as fast as what is due can be done), real, or a factor
    #[arg(long, value_parser = speed, default_value = "max")]
    speed: Speed,
    /// Folder for the kubeconfig and the certificate; by default one that is removed at the end
    #[arg(long, value_name = "FOLDER")]
    directory: Option<PathBuf>,
}

const EXAMPLE: &str = "Example:
  lazaret twin serve --nodes 6 --directory /tmp/twin &
  kubectl --kubeconfig /tmp/twin/kubeconfig create deployment web --image nginx --replicas 3";

fn speed(said: &str) -> Result<Speed, String> {
    match said {
        "max" => Ok(Speed::Max),
        "real" => Ok(Speed::Factor(1.0)),
        _ => match said.parse::<f64>() {
            Ok(factor) if factor > 0.0 && factor <= 1e6 => Ok(Speed::Factor(factor)),
            _ => Err("say max, real, or a factor such as 10".to_owned()),
        },
    }
}

impl Serve {
    async fn run(self) -> Outcome {
        // Asked for first, so that a signal during start-up ends it as well.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let cluster = self.cluster()?;
        let made = self.directory.is_none();
        let directory = match &self.directory {
            Some(directory) => directory.clone(),
            None => private_folder()?,
        };
        let options = Options { listen: self.listen, speed: self.speed, ..Options::new(&directory) };
        let Served { server, token, kubeconfig, ca, handle } = serve::serve(cluster, options).await?;
        let line = json!({"server": server, "token": token, "kubeconfig": kubeconfig, "ca": ca});
        say!("{line}")?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        handle.stop().await;
        if made {
            let _ = std::fs::remove_dir_all(directory);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn cluster(&self) -> Result<Cluster, Failure> {
        let mut cluster = if self.snapshot.is_empty() {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
            build::fresh(Time::from_millis(i64::try_from(now)?), self.seed)
        } else {
            offline::load(&self.snapshot, self.seed)?
        };
        build::add_nodes(&mut cluster, self.nodes);
        Ok(cluster)
    }
}
