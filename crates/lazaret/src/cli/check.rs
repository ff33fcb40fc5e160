//! `lazaret twin check`: may the twin of this cluster be trusted?
//!
//! Knows: what can be said about the check, how it ends, and that the namespace is left as it was found.
//! Does not know: what is compared.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use target_kubernetes::upstream::Upstream;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Form, Outcome, private_folder, say};
use crate::check::{self, Area, Ground, Plan, Report, Scratch};

/// The exit status when it could not be found out whether anything differs.
const UNKNOWN: u8 = 2;

/// Do the same to a cluster and to a twin of it, and tell where they differ
///
/// Fills a namespace of the cluster with small workloads, does the same to a twin made of that cluster, and compares every
/// answer but for what no two clusters share: uids, versions, times, addresses, generated names. Rights in that one
/// namespace are enough; what they do not allow is skipped, and said. Nothing outside the namespace is touched, and it is left as it
/// was found, also when this is interrupted or its time is over.
///
/// Exit status: 0 if all that was tried is equal; 1 if something differs; 2 if it could not be found out.
#[derive(Args)]
#[command(after_help = "Example:
  lazaret twin check --kubeconfig staging.kubeconfig --namespace lazaret-check")]
pub(crate) struct Check {
    /// How to reach the cluster
    #[arg(long, value_name = "FILE", env = "KUBECONFIG", required_unless_present = "list")]
    kubeconfig: Option<PathBuf>,
    /// Which of its contexts; the current one if not said
    #[arg(long)]
    context: Option<String>,
    /// The namespace to fill: an empty one, or one that is not there yet
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    namespace: Option<String>,
    /// Fill it though it holds something; that stays untouched
    #[arg(long)]
    force: bool,
    /// Only these areas; see --list
    #[arg(long, value_name = "AREA", num_args = 1..)]
    area: Vec<String>,
    /// Tell what would be tried, and do nothing
    #[arg(long)]
    list: bool,
    /// What the pods run: it must stay up without arguments, and exit 0 when its argument is -v
    #[arg(long, value_name = "IMAGE", default_value = "registry.k8s.io/pause:3.10")]
    image: String,
    /// The cluster has come to rest when nothing has changed for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    quiet: f64,
    /// After so many seconds it ends, wherever it is
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    limit: u64,
    /// The seed of the twin's choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    form: Form,
}

impl Check {
    pub(crate) async fn run(self) -> Outcome {
        match self.tried().await {
            Ok(status) => Ok(status),
            Err(failure) => {
                super::failed(&failure);
                Ok(ExitCode::from(UNKNOWN))
            }
        }
    }

    async fn tried(self) -> Outcome {
        let areas = self.areas()?;
        let (Some(kubeconfig), Some(namespace), false) = (&self.kubeconfig, &self.namespace, self.list) else {
            return self.print(&areas);
        };
        // Asked for before anything is made, so that from then on an interruption leads to its removal.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let upstream = Upstream::from_file(kubeconfig, self.context.as_deref()).await?;
        let quiet = Duration::try_from_secs_f64(self.quiet)?;
        let plan = Plan { image: self.image.clone(), quiet, seed: self.seed };
        let schema = target_kubernetes::sync::schema(&upstream).await?;
        let mut scratch = Scratch::prepare(upstream.clone(), schema, namespace, self.force).await?;

        let folder = private_folder()?;
        let mut report = None;
        let run = async {
            let ground = Ground::survey(&upstream, namespace, &plan).await?;
            let report: &mut Report = report.insert(ground.report(namespace));
            let total: usize = areas.iter().map(|area| area.cases.len()).sum();
            let mut done = 0_usize;
            ground
                .run(&areas, &plan, &mut scratch, &folder, report, |outcome| {
                    done += 1;
                    eprintln!("{done}/{total} {}: {}", outcome.area, outcome.case);
                })
                .await
        };
        let ended = tokio::select! {
            ended = run => ended.map_err(Failure::from),
            _ = terminate.recv() => Err("it was told to end".into()),
            _ = interrupt.recv() => Err("it was interrupted".into()),
            () = tokio::time::sleep(Duration::from_secs(self.limit)) => Err(format!("its {} s were over", self.limit).into()),
        };
        let left = tokio::select! {
            left = scratch.leave() => left.map_err(Failure::from),
            _ = interrupt.recv() => Err("it was interrupted again before everything was taken away".into()),
        };
        let _ = std::fs::remove_dir_all(&folder);

        let Some(mut report) = report else {
            ended?;
            left?;
            return Ok(ExitCode::from(UNKNOWN));
        };
        report.unfinished = ended.err().map(|why| chain(&*why));
        if self.form.json() {
            say!("{}", report.to_json())?;
        } else {
            say!("{}", report.to_string().trim_end())?;
        }
        left?;
        Ok(match (report.differs(), &report.unfinished) {
            (true, _) => ExitCode::FAILURE,
            (false, None) if report.compared() => ExitCode::SUCCESS,
            (false, _) => ExitCode::from(UNKNOWN),
        })
    }

    /// The areas that are asked for.
    fn areas(&self) -> Result<Vec<Area>, Failure> {
        let all = check::suite()?;
        if let Some(unknown) = self.area.iter().find(|name| all.iter().all(|area| area.area != **name)) {
            let known: Vec<&str> = all.iter().map(|area| area.area.as_str()).collect();
            return Err(format!("there is no area {unknown}: say {}", known.join(", ")).into());
        }
        Ok(all.into_iter().filter(|area| self.area.is_empty() || self.area.contains(&area.area)).collect())
    }

    fn print(&self, areas: &[Area]) -> Outcome {
        for area in areas {
            let cases: Vec<&str> = area.cases.iter().map(|case| case.name.as_str()).collect();
            if self.form.json() {
                say!("{}", json!({"area": area.area, "about": area.about, "cases": cases}))?;
                continue;
            }
            say!("{}: {}", area.area, area.about)?;
            for case in cases {
                say!("    {case}")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
