//! `lazaret serve`: the gate.
//!
//! Knows: how it is told where its configuration is, and how it ends.
//! Does not know: how it is put together.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Configured, Outcome, say};
use crate::serving;

/// How long to wait for the first whole snapshot before saying so.
const FIRST: Duration = Duration::from_secs(30);

/// Stand between agents and production
///
/// Agents come in over HTTPS with the kubeconfigs that 'lazaret agent add' prints; people look at 'lazaret pending'. Ends
/// on SIGTERM or Ctrl-C, after the answers under way.
#[derive(Args)]
#[command(after_help = "Example:
  lazaret serve --kubeconfig prod.kubeconfig --data /var/lib/lazaret
  lazaret serve --config /etc/lazaret.toml")]
pub(crate) struct Serve {
    /// How to reach production; taken into the vault, so that it is needed once
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    configured: Configured,
}

impl Serve {
    pub(crate) async fn run(self) -> Outcome {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut config = self.configured.read()?;
        if self.kubeconfig.is_some() {
            config.target.kubeconfig = self.kubeconfig;
        }
        let serving = serving::start(&config).await?;
        let address = serving.door.address;
        say!("Lazaret stands in front of {} and listens at https://{address}.", config.target.name)?;
        let sync = serving.gate.target().sync().clone();
        tokio::spawn(async move {
            // A gate stands whether or not this can be said.
            let _ = match sync.ready(FIRST).await {
                Ok(snapshot) => say!("The twin is whole: {} objects.", snapshot.cluster.len()),
                Err(stale) => say!("Writes are held back until the twin is whole: {stale}"),
            };
        });
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        serving.door.stop().await;
        Ok(ExitCode::SUCCESS)
    }
}
