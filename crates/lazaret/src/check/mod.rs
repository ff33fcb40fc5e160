//! Whether a cluster's twin may be trusted: the same steps on both, and where they differ.
//!
//! Knows: how a case is run on the cluster and on a fork of its twin, and what it takes to run it at all.
//! Does not know: the steps themselves (`suite`), or how it is asked for and shown.
//!
//! | file | does |
//! |---|---|
//! | `suite`, `suite/*.yaml` | what is tried |
//! | `scratch` | the namespace that is filled, and left as it was found |
//! | `rights` | what we may do there |
//! | `side` | a step on the cluster, or on the twin |
//! | `normal`, `compare` | where two answers differ, but for what was made up |
//! | `site` | what else has a say in the cluster, that the twin cannot ask |
//! | `report` | what came of it, for people and for programs |

mod compare;
mod normal;
mod report;
mod rights;
mod scratch;
mod side;
mod site;
mod suite;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, ObjectKey, Schema, build, doc};
use serde_json::{Value, json};
use target_kubernetes::mask::Mask;
use target_kubernetes::serve::{self, Served, Speed};
use target_kubernetes::sync::{self, Look};
use target_kubernetes::tls::Authority;
use target_kubernetes::upstream::Upstream;

use crate::cli::wall_clock;
use normal::Normal;
pub(crate) use report::Report;
use report::{Differing, Outcome, Verdict};
use rights::Rights;
pub(crate) use scratch::Scratch;
use side::{Answered, Clock, Side, SideError};
use suite::{Act, Case, Need, Step};
pub(crate) use suite::{Area, suite};

/// Nodes of the twin where those of the cluster cannot be seen: something has to run the pods.
const STAND_INS: usize = 3;

/// How long what was under way in the cluster may take on the twin before the first case.
const REST: Duration = Duration::from_secs(30);

/// Why the twin could not be checked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// The cluster does not answer, or not as one.
    #[error("the cluster cannot be asked: {0}")]
    Unreachable(String),
    /// The namespace may not be filled.
    #[error("{0}")]
    Refused(String),
    /// We could not take away what we made.
    #[error("something was left behind: {0}")]
    Unclean(String),
    /// A case could not be run.
    #[error("{area}, {case:?}: {source}")]
    Case {
        area: String,
        case: String,
        #[source]
        source: SideError,
    },
    /// The twin cannot be served.
    #[error("the twin cannot be served")]
    Serve(#[from] serve::ServeError),
    /// No certificate could be made for it.
    #[error("the twin cannot be served")]
    Tls(#[from] target_kubernetes::tls::TlsError),
    /// Its client could not be made.
    #[error("the twin cannot be reached")]
    Upstream(#[from] target_kubernetes::upstream::UpstreamError),
}

/// How it is to be done.
pub(crate) struct Plan {
    /// What stays up in the suite's pods.
    pub(crate) image: String,
    /// The cluster has settled when nothing has changed for so long.
    pub(crate) quiet: Duration,
    /// The seed of the twin's choices.
    pub(crate) seed: u64,
}

/// A cluster, and the twin that was made of it.
pub(crate) struct Ground {
    upstream: Upstream,
    look: Look,
    nodes: usize,
    authority: Arc<Authority>,
}

impl Ground {
    /// Makes a twin of a cluster, in which the namespace is as it is now.
    pub(crate) async fn survey(upstream: &Upstream, namespace: &str, plan: &Plan) -> Result<Self, CheckError> {
        let options = sync::Options { seed: plan.seed, ..sync::Options::default() };
        let mask = Mask::new().map_err(|error| CheckError::Unreachable(error.to_string()))?;
        let look = sync::look(upstream, &mask, wall_clock(), &options, namespace).await;
        let mut look = look.map_err(CheckError::Unreachable)?;
        let nodes = look.cluster.count("nodes");
        furnish(&mut look.cluster, namespace);
        if nodes == 0 {
            build::add_nodes(&mut look.cluster, STAND_INS);
        }
        look.cluster.resume();
        let until = look.cluster.now() + REST;
        look.cluster.settle(until);
        let authority = Arc::new(Authority::new("lazaret twin check")?);
        Ok(Self { upstream: upstream.clone(), look, nodes, authority })
    }

    /// Runs these areas, and tells of each case as soon as it is done.
    pub(crate) async fn run(
        &self,
        areas: &[Area],
        plan: &Plan,
        scratch: &mut Scratch,
        folder: &Path,
        report: &mut Report,
        mut tell: impl FnMut(&Outcome),
    ) -> Result<(), CheckError> {
        let mut rights = Rights::new(self.upstream.clone(), &scratch.namespace);
        for area in areas {
            for case in &area.cases {
                let outcome = self.case(area, case, plan, scratch, folder, &mut rights).await?;
                tell(&outcome);
                report.outcomes.push(outcome);
            }
        }
        Ok(())
    }

    async fn case(
        &self,
        area: &Area,
        case: &Case,
        plan: &Plan,
        scratch: &mut Scratch,
        folder: &Path,
        rights: &mut Rights,
    ) -> Result<Outcome, CheckError> {
        let failed = |source| CheckError::Case { area: area.area.clone(), case: case.name.clone(), source };
        let mut outcome = Outcome::new(&area.area, &case.name);
        if let Some(why) = self.lacks(case, scratch, rights).await? {
            outcome.verdict = Verdict::Skipped(why);
            return Ok(outcome);
        }
        let schema = &self.look.cluster.schema;
        let options = serve::Options {
            speed: Speed::Max,
            authority: Some(self.authority.clone()),
            ..serve::Options::new(folder)
        };
        let Served { kubeconfig, handle, .. } = serve::serve(self.look.cluster.clone(), options).await?;
        // From the start its time passes when it is told to, so that the same seed gives the same answers.
        handle.live().settle(Duration::ZERO);
        let namespace = scratch.namespace.clone();
        let clock = Clock::Virtual(handle.live().clone());
        let twin = Side::new(Upstream::from_file(&kubeconfig, None).await?, clock, &namespace, &plan.image);
        let here = Side::new(self.upstream.clone(), Clock::Wall(plan.quiet), &namespace, &plan.image);
        let (answers, foretold) =
            tokio::join!(steps(schema, case, here, Some(&mut *scratch)), steps(schema, case, twin, None));
        handle.stop().await;
        let (answers, foretold) = (answers.map_err(failed)?, foretold.map_err(failed)?);
        scratch.clean().await?;

        for (index, (answer, foretold)) in answers.into_iter().zip(foretold).enumerate() {
            let (Some((does, answer)), Some((_, foretold))) = (answer, foretold) else { continue };
            outcome.answers += 1;
            let differences = compare::differences(&answer, &foretold);
            if !differences.is_empty() {
                outcome.differing.push(Differing { step: index + 1, does, differences });
            }
        }
        if !outcome.differing.is_empty() {
            outcome.verdict = Verdict::Different;
            let touched = case.steps.iter().filter_map(|step| match &step.act {
                Act::Ask(ask) if ask.verb.writes() => side::place(&self.look.cluster.schema, ask, "").ok()?,
                _ => None,
            });
            outcome.others = site::hooks(&self.look.cluster, &scratch.namespace, touched.map(|place| place.resource()));
        }
        Ok(outcome)
    }

    /// What the case cannot be run without, and is not there.
    async fn lacks(&self, case: &Case, scratch: &Scratch, rights: &mut Rights) -> Result<Option<String>, CheckError> {
        if case.needs.contains(&Need::Nodes) && self.nodes == 0 {
            return Ok(Some("the cluster's nodes may not be seen".to_owned()));
        }
        let namespace = scratch.namespace.as_str();
        for step in &case.steps {
            let Act::Ask(ask) = &step.act else { continue };
            let place = side::place(&self.look.cluster.schema, ask, namespace);
            let place = place.map_err(|error| CheckError::Refused(error.to_string()))?;
            let Some(place) = &place else {
                let of = ask.of.clone().or_else(|| Some(ask.body.as_ref()?.get("kind")?.as_str()?.to_owned()));
                return Ok(Some(format!("the cluster has no {}", of.unwrap_or_default())));
            };
            if let Some(why) = scratch.forbids(ask.verb, place, ask.body.as_ref()) {
                return Ok(Some(why));
            }
            let resource = place.resource();
            for verb in ask.verb.rights(!place.name.is_empty()) {
                if !rights.may(verb, &resource).await? {
                    return Ok(Some(format!("we may not {verb} {resource} in namespace {namespace}")));
                }
            }
        }
        Ok(None)
    }

    /// What is to be said of the cluster and its twin before anything is compared.
    pub(crate) fn report(&self, namespace: &str) -> Report {
        let cluster = &self.look.cluster;
        let version = cluster.schema.version().at(&["gitVersion"]).str_or_empty().to_owned();
        Report {
            server: self.upstream.server().to_owned(),
            namespace: namespace.to_owned(),
            version,
            objects: cluster.len(),
            nodes: self.nodes,
            partly: self.look.partly.clone(),
            unseen: self.look.unseen.clone(),
            site: site::guards(cluster, namespace),
            outcomes: Vec::new(),
            unfinished: None,
        }
    }
}

/// Runs a case's steps on one side: what each asks, and what was answered, as it is compared.
async fn steps(
    schema: &Schema,
    case: &Case,
    mut side: Side,
    mut scratch: Option<&mut Scratch>,
) -> Result<Vec<Option<(String, Value)>>, SideError> {
    let mut normal = Normal::new(case.owners);
    let mut shown = Vec::new();
    for step in &case.steps {
        let ask = match &step.act {
            Act::Ask(ask) => side.filled(ask),
            Act::Settle(limit) => {
                side.settle(schema, *limit, &mut normal).await?;
                shown.push(None);
                continue;
            }
            Act::Pause(time) => {
                side.pause(*time).await?;
                shown.push(None);
                continue;
            }
        };
        let Some(place) = side::place(schema, &ask, &side.namespace)? else { continue };
        let makes = ask.verb.writes() && place.subresource.is_empty();
        if makes && let Some(scratch) = &mut scratch {
            scratch.will_make(&place, ask.body.as_ref());
        }
        let answered = side.ask(&place, &ask).await?;
        if makes
            && answered.code == 201
            && let Some(scratch) = &mut scratch
        {
            scratch.will_make(&place, Some(&answered.body));
        }
        keep(step, &answered, &mut side);
        let name = if place.name.is_empty() { String::new() } else { format!(" {}", place.name) };
        let does = format!("{} {}{name}", ask.verb.word(), place.resource());
        let answer = answered.shown(&mut normal);
        shown.push((!step.aside).then_some((does, answer)));
    }
    Ok(shown)
}

fn keep(step: &Step, answered: &Answered, side: &mut Side) {
    for (name, path) in &step.keep {
        // What is not there is the name of nothing; the answer itself is compared, and differs.
        let value = side::field(&answered.body, path).cloned().unwrap_or_else(|| json!("absent"));
        side.kept.insert(name.clone(), value);
    }
}

/// What every namespace has, where it could not be seen.
fn furnish(cluster: &mut Cluster, namespace: &str) {
    let objects = [
        (
            ObjectKey::new("namespaces", "", namespace),
            doc!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": (namespace), "labels": {"kubernetes.io/metadata.name": (namespace)}},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
            }),
        ),
        (
            ObjectKey::new("serviceaccounts", namespace, "default"),
            doc!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": (namespace)},
            }),
        ),
        (
            ObjectKey::new("configmaps", namespace, "kube-root-ca.crt"),
            doc!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "kube-root-ca.crt", "namespace": (namespace)},
            }),
        ),
    ];
    for (key, object) in objects {
        if cluster.get(&key).is_none() {
            cluster.load(key, object);
        }
    }
}

#[cfg(test)]
mod tests;
