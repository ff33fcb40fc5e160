//! An effect as it is put together: what the call itself does, and what is concluded to follow.
//!
//! Knows: how consequences are written down so that they read, count and conflict as a simulation's would.
//! Does not know: what follows from what.

use model::{Change, Decimal, Effect, Footprint, Manner, ObjectRef, Prediction, Range};

use super::Direct;
use super::workload::{Before, Workload};
use crate::effect::availability::budget_allows;
use crate::effect::ledger::{reference, replica_of};
use crate::effect::load;
use crate::effect::{blast, seconds};
use crate::twin::{footprint, pins};

pub(super) struct Sketch<'d> {
    direct: &'d Direct<'d>,
    effect: Effect,
    footprint: Footprint,
}

/// What happens to everything that replicas stand behind.
pub(super) struct Course {
    /// So many are missing for a while, at the worst. Surely, if not `may`.
    pub(super) missing: u64,
    pub(super) may: bool,
    /// So many there are in the end, counted from before, at the best and at the worst.
    pub(super) best: i64,
    pub(super) worst: i64,
    /// How long they are missing, as far as can be expected.
    pub(super) seconds: Decimal,
    /// When all of it has happened, as far as can be expected.
    pub(super) settled: Decimal,
}

impl<'d> Sketch<'d> {
    /// What the call itself does.
    pub(super) fn of(direct: &'d Direct<'_>) -> Self {
        let effect = direct.effect.clone();
        let footprint = footprint(&direct.run, direct.call, &effect, std::iter::empty());
        Self { direct, effect, footprint }
    }

    /// Everything that stands on replicas goes this course.
    pub(super) fn course(&mut self, workload: &Workload<'_>, wanted: u64, course: &Course) {
        for service in &workload.services {
            self.service(workload, service, course);
        }
        let (min, after) = ranges(workload.wanted, course);
        let object = reference(&workload.key, workload.object);
        let record = model::Workload {
            wanted_before: workload.wanted,
            wanted_after: Range::exact(wanted),
            ready_before: workload.wanted,
            ready_min: min,
            ready_after: after,
            stateful: false,
            quorum: None,
        };
        self.effect.forecast.workloads.insert(object, record);
        self.effect.forecast.settled_seconds = Range::around(Decimal::ZERO, course.settled, self.horizon());
    }

    fn service(&mut self, workload: &Workload<'_>, service: &Before<'_>, course: &Course) {
        let (min, after) = ranges(service.ready, course);
        let below = if min.low() >= service.ready && after.low() >= service.ready {
            Range::exact(Decimal::ZERO)
        } else {
            Range::around(Decimal::ZERO, course.seconds, self.horizon())
        };
        let namespace = service.key.namespace.as_str();
        let record = model::Service {
            ready_before: service.ready,
            ready_min: min,
            ready_after: after,
            wanted: None,
            below_seconds: below,
            load: load::said(workload.cluster, service.object),
            within_budget: budget_allows(workload.cluster, &service.key, service.object) >= course.missing,
            removed: false,
        };
        self.effect.forecast.services.insert(format!("{namespace}/{}", service.key.name), record);
        self.footprint.write(&ObjectRef::namespaced("Service", namespace, service.key.name.as_str()));
        // The older list of the same endpoints.
        let list = service.key.beside("endpoints", &service.key.name);
        if workload.cluster.get(&list).is_some() {
            self.touch(ObjectRef::namespaced("Endpoints", namespace, list.name.as_str()), Manner::Changed, None);
        }
    }

    /// So many replicas come or go. Which they are is chance, so they have no names.
    pub(super) fn replicas(&mut self, workload: &Workload<'_>, manner: Manner, count: u64, owner: &ObjectRef) {
        for number in 1..=count {
            let name = format!("{}-?{number}", owner.name);
            let pod = ObjectRef::namespaced("Pod", workload.key.namespace.as_str(), name);
            self.touch(pod, manner, Some(owner.clone()));
        }
    }

    /// What a workload keeps its replicas with is written to.
    pub(super) fn rewrites(&mut self, workload: &Workload<'_>) {
        for (key, set) in &workload.sets {
            self.touch(reference(key, set), Manner::Changed, replica_of(set));
        }
    }

    /// One of its replicas, which the call itself tells to go, is gone in the end.
    pub(super) fn is_gone(&mut self, object: &ObjectRef) {
        if let Some(change) = self.effect.objects.touched.get_mut(object) {
            change.after = None;
        }
    }

    /// Something is created, changed or deleted by whatever reacts.
    pub(super) fn touch(&mut self, object: ObjectRef, manner: Manner, replica_of: Option<ObjectRef>) {
        self.footprint.write(&object);
        let change = Change { replica_of, ..Change::new(manner) };
        self.effect.objects.touched.entry(object).or_insert(change);
    }

    /// Room is taken on these nodes: what others count on must be counted again.
    pub(super) fn takes_room(&mut self, nodes: &[String]) {
        for node in nodes {
            self.footprint.write(&ObjectRef::global("NodeCapacity", node.as_str()));
        }
    }

    /// A budget is drawn on, within what it allows.
    pub(super) fn draws_on(&mut self, budget: ObjectRef, allowed: u64, needed: u64) {
        let record = model::Budget {
            allowed_before: allowed,
            allowed_after: Range::between(allowed, 0),
            needed: Range::between(0, needed),
            violated: Range::exact(0),
        };
        self.footprint.write(&budget);
        self.effect.forecast.budgets.insert(budget, record);
    }

    pub(super) fn finish(mut self) -> Prediction {
        let forecast = &mut self.effect.forecast;
        // Nothing was run to its end.
        forecast.settled = false;
        blast::read(&self.direct.ledger, &self.effect.objects, forecast);
        let surely =
            |service: &&model::Service| service.ready_min.high().min(service.ready_after.high()) < service.ready_before;
        let touched = &mut forecast.blast.services.touched;
        touched.best = forecast.services.values().filter(surely).count() as u64;
        let pins = pins(self.direct.run.before, self.direct.run.named);
        Prediction { effect: self.effect, footprint: self.footprint, pins }
    }

    fn horizon(&self) -> Decimal {
        seconds(self.direct.run.horizon)
    }
}

/// The fewest ready, and those ready in the end.
fn ranges(before: u64, course: &Course) -> (Range<u64>, Range<u64>) {
    let fewest = before.saturating_sub(course.missing);
    let min = Range::around(if course.may { before } else { fewest }, fewest, fewest);
    let best = before.saturating_add_signed(course.best);
    (min, Range::around(best, best, before.saturating_add_signed(course.worst)))
}
