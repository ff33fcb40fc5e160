//! More or fewer replicas, one deleted, all replaced.
//!
//! Knows: how many are missing at the worst, and what must be certain for no more to be.
//! Does not know: what is enough.

use std::time::Duration;

use cluster::{ObjectKey, Value};
use model::{Decimal, Manner, ObjectRef, Prediction};

use super::Direct;
use super::sketch::{Course, Sketch};
use super::workload::{Workload, is_staged};
use crate::effect::ledger::{Net, reference};
use crate::effect::seconds;

/// So many past sets a workload keeps, if it does not say.
const HISTORY: i64 = 10;

/// Another number of replicas.
pub(super) fn scaled(direct: &Direct<'_>, workload: &Workload<'_>, new: &Value) -> Option<Prediction> {
    let wanted = u64::try_from(new.at(&["spec", "replicas"]).as_int()?).ok().filter(|wanted| *wanted > 0)?;
    let owner = keeper(workload)?;
    let mut sketch = Sketch::of(direct);
    sketch.rewrites(workload);
    if let Some(more) = wanted.checked_sub(workload.wanted) {
        let nodes = workload.room(workload.template(), more)?;
        sketch.takes_room(&nodes);
        sketch.replicas(workload, Manner::Created, more, &owner);
        let best = i64::try_from(more).ok()?;
        let start = start(direct, workload);
        let course = Course { missing: 0, may: false, best, worst: 0, seconds: start, settled: start };
        sketch.course(workload, wanted, &course);
    } else {
        let fewer = workload.wanted.checked_sub(wanted)?;
        draw(&mut sketch, workload, fewer, true)?;
        sketch.replicas(workload, Manner::Deleted, fewer, &owner);
        let change = -i64::try_from(fewer).ok()?;
        // They do not come back, and are gone for good once they have stopped.
        let (horizon, settled) = (seconds(direct.run.horizon), stop(direct, workload));
        let course = Course { missing: fewer, may: false, best: change, worst: change, seconds: horizon, settled };
        sketch.course(workload, wanted, &course);
    }
    Some(sketch.finish())
}

/// One replica is deleted, or evicted: another is made in its place.
pub(super) fn one_deleted(direct: &Direct<'_>, key: &ObjectKey, net: Net<'_>) -> Option<Prediction> {
    let pod = net.before.filter(|pod| !pod.is_terminating())?;
    if net.after.is_some() && !net.begins_to_terminate() {
        return None;
    }
    let workload = Workload::of_pod(direct.run.before, key)?;
    let mut sketch = Sketch::of(direct);
    let nodes = workload.room(workload.template(), 1)?;
    sketch.takes_room(&nodes);
    draw(&mut sketch, &workload, 1, false)?;
    sketch.is_gone(&reference(key, pod));
    sketch.replicas(&workload, Manner::Created, 1, &keeper(&workload)?);
    let start = start(direct, &workload);
    let course = Course { missing: 1, may: true, best: 0, worst: -1, seconds: start, settled: start };
    sketch.course(&workload, workload.wanted, &course);
    Some(sketch.finish())
}

/// All replicas are replaced, some at a time, never by more than the strategy says at once.
pub(super) fn replaced(direct: &Direct<'_>, workload: &Workload<'_>, new: &Value) -> Option<Prediction> {
    let strategy = new.at(&["spec", "strategy"]);
    let history = new.at(&["spec", "revisionHistoryLimit"]).as_int().unwrap_or(HISTORY);
    let forgets = i64::try_from(workload.sets.len()).ok()? > history;
    if strategy.at(&["type"]) != "RollingUpdate" || forgets || is_staged(new.at(&["spec", "template"])) {
        return None;
    }
    let share = |field, up| share(strategy.at(&["rollingUpdate", field]), workload.wanted, up);
    let missing = match (share("maxSurge", true)?, share("maxUnavailable", false)?) {
        (0, 0) => 1,
        (_, unavailable) => unavailable.min(workload.wanted),
    };
    let mut sketch = Sketch::of(direct);
    // The old ones keep their room until they have stopped, so there must be room for all of the new ones beside them.
    let nodes = workload.room(new.at(&["spec", "template"]), workload.wanted)?;
    sketch.takes_room(&nodes);
    draw(&mut sketch, workload, missing, false)?;
    let whole = reference(&workload.key, workload.object);
    sketch.rewrites(workload);
    let set = workload.sets.first().map(|(key, set)| reference(key, set))?;
    let next = ObjectRef { name: format!("{}-?", workload.key.name), ..set };
    sketch.touch(next.clone(), Manner::Created, Some(whole));
    sketch.replicas(workload, Manner::Deleted, workload.wanted, &keeper(workload)?);
    sketch.replicas(workload, Manner::Created, workload.wanted, &next);
    let worst = -i64::try_from(missing).ok()?;
    let start = start(direct, workload);
    let course = Course { missing, may: true, best: 0, worst, seconds: start, settled: start };
    sketch.course(workload, workload.wanted, &course);
    Some(sketch.finish())
}

/// What keeps a workload's replicas: itself, or a set of its own.
fn keeper(workload: &Workload<'_>) -> Option<ObjectRef> {
    let (_, pod) = workload.pods.first()?;
    let owner = pod.controller()?;
    Some(ObjectRef::namespaced(owner.kind(), workload.key.namespace.as_str(), owner.name()))
}

/// Draws on the budgets of a workload's replicas. `None` if one of them may not allow it, or may not allow anything ever
/// after.
fn draw(sketch: &mut Sketch<'_>, workload: &Workload<'_>, missing: u64, stays: bool) -> Option<()> {
    for (key, budget) in &workload.budgets {
        let number = |field: &str| budget.at(&["status", field]).as_int().and_then(|number| u64::try_from(number).ok());
        let (healthy, desired) = (number("currentHealthy")?, number("desiredHealthy")?);
        let left = healthy.checked_sub(missing)?;
        if left < desired {
            return None;
        }
        // Fewer for good: what it allows then must not be nothing. Shares of them round; who knows which way.
        let (least, most) = (budget.at(&["spec", "minAvailable"]), budget.at(&["spec", "maxUnavailable"]));
        let keeps_slack = match (least.as_int(), most.as_int()) {
            (Some(least), None) => i64::try_from(left).ok()? > least,
            (None, Some(most)) => most > 0,
            _ => false,
        };
        if stays && !keeps_slack {
            return None;
        }
        sketch.draws_on(reference(key, budget), number("disruptionsAllowed")?, missing);
    }
    Some(())
}

/// A number, or a share of a whole.
fn share(value: &Value, whole: u64, up: bool) -> Option<u64> {
    if let Some(number) = value.as_int() {
        return u64::try_from(number).ok();
    }
    let percent: u64 = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    let part = whole.checked_mul(percent)?;
    Some(if up { part.div_ceil(100) } else { part / 100 })
}

/// How long its replicas may take to stop: what they are given, as nobody has seen one stop.
fn stop(direct: &Direct<'_>, workload: &Workload<'_>) -> Decimal {
    /// `terminationGracePeriodSeconds`, where nothing is said.
    const GRACE: i64 = 30;
    let grace = workload.template().at(&["spec", "terminationGracePeriodSeconds"]).as_int().unwrap_or(GRACE);
    seconds(Duration::from_secs(u64::try_from(grace).unwrap_or(0)).min(direct.run.horizon))
}

/// How long it took the slowest of its replicas to get ready: the next will take about as long.
fn start(direct: &Direct<'_>, workload: &Workload<'_>) -> Decimal {
    let took = workload.pods.iter().filter_map(|(_, pod)| {
        let ready = pod.condition("Ready")?.time(&["lastTransitionTime"])?;
        Some(ready.since(pod.created()?))
    });
    seconds(took.max().unwrap_or_default().min(direct.run.horizon))
}
