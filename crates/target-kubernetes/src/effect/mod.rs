//! What came of an action on a fork, as an [`Effect`].
//!
//! Knows: the cluster before, the cluster after, and every change between them.
//! Does not know: who asked, or what is acceptable.
//!
//! Nothing is measured while the simulation runs. Everything here is read off its log afterwards, so that the same
//! functions serve a forecast, a rehearsal, and what was then observed in production.
//!
//! | file | reads off |
//! |---|---|
//! | `ledger` | what each object was and became |
//! | `availability` | ready endpoints and replicas over time, disruption budgets |
//! | `load` | how requests fare meanwhile |
//! | `data` | claims, volumes |
//! | `privilege` | who may do what |
//! | `guards` | what protected something and no longer does |
//! | `hazards` | what shows in no count: dangling references, pods that could not start again |
//! | `routing` | requests that go elsewhere, or to nobody |
//! | `upkeep` | what can no longer be replaced, drained, renewed, deleted or scaled |
//! | `definitions` | what custom resources lose with their definition |
//! | `programs` | what would run by itself, and what it would do |
//! | `machinery` | whoever the API server asks before it answers, and whose turn it is |
//! | `mesh` | who may speak to whom in a service mesh |
//! | `certificates` | hosts without a certificate that is theirs |
//! | `exposure` | what the outside reaches, and what is no longer where it was looked for |
//! | `changes` | what a workload's own words, or what it loses, will come to |
//! | `reach` | who reaches whom over the network |
//! | `templates` | what workloads are made of, for all of these |
//! | `blast` | how much of the whole is touched |

pub(crate) mod availability;
pub(crate) mod blast;
mod certificates;
mod changes;
pub(crate) mod data;
mod definitions;
mod exposure;
mod guards;
mod hazards;
pub(crate) mod ledger;
pub(crate) mod load;
mod machinery;
mod mesh;
pub(crate) mod privilege;
mod programs;
mod reach;
mod routing;
pub(crate) mod templates;
pub(crate) mod upkeep;

use std::collections::BTreeSet;
use std::time::Duration;

use cluster::{Advance, Cluster, ObjectKey};
use model::{Decimal, Effect, Forecast, Hazard, HazardKind, ObjectRef, Objects, Range, Reversibility};

pub(crate) use ledger::Ledger;

/// What is known of a run besides the two clusters.
pub(crate) struct Run<'a> {
    /// The cluster that the action came to.
    pub(crate) before: &'a Cluster,
    /// The fork that it and its consequences were played on.
    pub(crate) after: &'a Cluster,
    /// The objects that the request names.
    pub(crate) named: &'a BTreeSet<ObjectKey>,
    /// How far ahead was looked.
    pub(crate) horizon: Duration,
    /// How the run ended.
    pub(crate) end: Advance,
}

/// Reads the effect off a run.
pub(crate) fn read(run: &Run<'_>) -> Effect {
    let ledger = match Ledger::between(run.before, run.after, run.named) {
        Ok(ledger) => ledger,
        Err(compacted) => return Effect::unknown(format!("too much happened to tell all of it: {compacted}")),
    };
    if ledger.is_empty() {
        return Effect { objects: Objects::default(), forecast: idle(run.horizon) };
    }

    let mut forecast = idle(run.horizon);
    forecast.settled = run.end.settled;
    let began = run.before.now();
    let settled = run.end.last_change.map_or(Duration::ZERO, |at| at.since(began));
    forecast.settled_seconds = Range::exact(seconds(settled));

    let courses = availability::read(run, &ledger, &mut forecast);
    load::read(run, courses, &mut forecast);
    data::read(&ledger, &mut forecast);
    privilege::read(&ledger, &mut forecast);
    reach::read(&ledger, &mut forecast);
    guards::read(&ledger, &mut forecast);
    hazards::read(&ledger, &mut forecast);
    routing::read(&ledger, &mut forecast);
    upkeep::read(run, &ledger, &mut forecast);
    definitions::read(&ledger, &mut forecast);
    programs::read(&ledger, &mut forecast);
    machinery::read(run, &ledger, &mut forecast);
    exposure::read(&ledger, &mut forecast);
    certificates::read(&ledger, &mut forecast);
    mesh::read(&ledger, &mut forecast);
    changes::read(run, &ledger, &mut forecast);
    let objects = ledger.objects(run.named);
    forecast.reversibility = reversibility(&ledger, &forecast);
    blast::read(&ledger, &objects, &mut forecast);
    Effect { objects, forecast }
}

/// Writes down a danger that is sure to come.
fn warn(forecast: &mut Forecast, kind: HazardKind, object: ObjectRef, because: String) {
    forecast.hazards.insert(Hazard { kind, object, because, sure: true });
}

fn idle(horizon: Duration) -> Forecast {
    Forecast { horizon_seconds: seconds(horizon), ..Forecast::default() }
}

pub(crate) fn seconds(duration: Duration) -> Decimal {
    Decimal::from_millis(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// Data that is gone is gone. An object that is deleted can be made again, but with another uid: what trusted the old
/// one does not trust the new one. Pods and what controllers make anew are nobody's loss.
fn reversibility(ledger: &Ledger<'_>, forecast: &Forecast) -> Reversibility {
    if !forecast.volumes_lost.is_none() {
        return Reversibility::Irreversible;
    }
    let kept_by_nobody =
        |net: &ledger::Net<'_>| net.is_deletion() && net.before.is_some_and(|old| old.controller().is_none());
    if ledger.net().any(|(_, net)| kept_by_nobody(net)) {
        Reversibility::Compensable
    } else {
        Reversibility::Reversible
    }
}
