//! `lazaret snapshot`: production as files, secrets taken out.
//!
//! Knows: where it comes from and where it goes.
//! Does not know: how production is followed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use cluster::ObjectKey;
use target_kubernetes::mask::Mask;
use target_kubernetes::sync::{self, Sync};
use target_kubernetes::telemetry;
use target_kubernetes::upstream::Upstream;

use super::{Out, Outcome, wall_clock};

/// Write production's state as JSON Lines, secrets taken out
///
/// Every listable resource is in it, custom ones too. Values of Secrets are replaced by marks before anything is written.
#[derive(Args)]
pub(crate) struct Snapshot {
    /// How to reach production
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    kubeconfig: PathBuf,
    /// Which of its contexts; the current one if not said
    #[arg(long)]
    context: Option<String>,
    /// Where to write; standard output if not said. A name that ends in .gz is compressed
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Where to learn the load on services: it is written to a traffic.yaml beside the output
    #[arg(long, value_name = "URL", requires = "output")]
    prometheus: Option<String>,
    /// How long to wait until everything was listed, in seconds
    #[arg(long, default_value_t = 120)]
    patience: u64,
}

impl Snapshot {
    pub(crate) async fn run(self) -> Outcome {
        let upstream = Upstream::from_file(&self.kubeconfig, self.context.as_deref()).await?;
        let sync = Sync::start(upstream, Mask::new()?, wall_clock(), sync::Options::default());
        let snapshot = sync.ready(Duration::from_secs(self.patience)).await?;
        let mut out: Box<dyn Write> = match &self.output {
            None => Box::new(std::io::BufWriter::new(Out)),
            Some(file) => {
                let written = std::fs::File::create(file)?;
                if file.extension().is_some_and(|ending| ending == "gz") {
                    Box::new(flate2::write::GzEncoder::new(written, flate2::Compression::default()))
                } else {
                    Box::new(std::io::BufWriter::new(written))
                }
            }
        };
        let mut count = 0_usize;
        // Definitions first, so that whoever reads it in order knows every kind before its first object.
        let definitions = "customresourcedefinitions.apiextensions.k8s.io";
        for first in [true, false] {
            for (_, object) in snapshot.cluster.objects().filter(|(key, _)| key.is(definitions) == first) {
                writeln!(out, "{object}")?;
                count += 1;
            }
        }
        out.flush()?;
        drop(out);
        if let Some(file) = &self.output {
            eprintln!("Wrote {count} objects to {}.", file.display());
            if let Some(url) = &self.prometheus {
                let learned = telemetry::learn_once(&telemetry::Options::new(url), &snapshot.cluster).await?;
                let traffic = file.with_file_name("traffic.yaml");
                // Of what is no longer there Prometheus goes on telling for a while.
                let known = learned.iter().filter(|(name, _)| {
                    let (namespace, name) = name.split_once('/').unwrap_or_default();
                    snapshot.cluster.get(&ObjectKey::new("services", namespace, name)).is_some()
                });
                let known: serde_json::Map<String, _> =
                    known.map(|(name, says)| (name.clone(), serde_json::json!(says))).collect();
                std::fs::write(&traffic, format!("services:\n  {}\n", serde_json::json!(known)))?;
                eprintln!("Wrote the load on {} services to {}.", known.len(), traffic.display());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
