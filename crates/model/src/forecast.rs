//! What becomes of everything that stands on the objects an action touches.
//!
//! Knows: services, workloads, capacity, data, cost, reach, privilege, and the dangers that no replica count shows.
//! Does not know: Kubernetes. A service is whatever answers requests from endpoints, a workload whatever keeps a
//! number of replicas, a guard whatever protects others.
//!
//! Each number is a [`Range`], each set an [`Among`]. `Default` is "nothing happens"; `unknown` is "anything may".

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::effect::widen_set;
use crate::record::record;
use crate::{Among, Decimal, Number, ObjectRef, Range, Simulated};

record! {
    /// The consequences of an action over its horizon.
    pub struct Forecast {
        /// How far ahead was looked, in seconds of virtual time.
        horizon_seconds: Decimal => "horizonSeconds",
        /// When nothing more happened, in seconds from the action.
        settled_seconds: Range<Decimal> => "settledSeconds",
        /// Nothing more would have happened at the horizon.
        settled: bool => "settled",
        /// How often the twin has been right about this kind of action (0..=1).
        fidelity: Decimal => "fidelity",
        /// Whether, and how, it can be taken back.
        reversibility: Reversibility => "reversibility",
        /// What answers requests, by name (`namespace/name`). Those that nothing happens to may be left out.
        services: BTreeMap<String, Service> => "services",
        /// What keeps replicas.
        workloads: BTreeMap<ObjectRef, Workload> => "workloads",
        /// Pods (or tasks) that have no place to run at the horizon, beyond those that had none before.
        pods_unschedulable: Range<u64> => "podsUnschedulable",
        /// Of these, as many as live on leftovers: they come after everything else and throw nothing out, so that they
        /// are meant to wait.
        pods_content: u64 => "podsContent",
        /// Running things that are thrown out to make room.
        preempted: Among<ObjectRef> => "preempted",
        /// Volumes, buckets, tables whose data exists nowhere afterwards.
        volumes_lost: Among<ObjectRef> => "volumesLost",
        /// Machines that took new work and no longer do: cordoned, out of order, or gone.
        machines_lost: Among<ObjectRef> => "machinesLost",
        /// Claims on storage that are given up.
        claims_deleted: Among<ObjectRef> => "claimsDeleted",
        /// What it costs.
        cost: Cost => "cost",
        /// Who reaches whom over the network.
        reach: Reach => "reach",
        /// Who may do what.
        privilege: PrivilegeChange => "privilege",
        /// Secrets whose values somebody gets to see who did not before.
        secrets_exposed: Among<ObjectRef> => "secretsExposed",
        /// Safeguards that no longer guard: budgets, quotas, admission rules, network rules, finalizers, locks.
        guards_removed: Among<ObjectRef> => "guardsRemoved",
        /// Disruption budgets that the action draws on.
        budgets: BTreeMap<ObjectRef, Budget> => "disruptionBudgets",
        /// Room on the machines.
        capacity: Option<Capacity> => "capacity",
        /// How much of the whole is touched.
        blast: Blast => "blastRadius",
        /// Dangers that the numbers above do not show.
        hazards: BTreeSet<Hazard> => "hazards",
        /// Why the twin is not sure of itself: what it does not model, could not read, or guessed.
        uncertain: BTreeSet<String> => "uncertain",
    }
}

/// Whether an action can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reversibility {
    /// Another action brings everything back as it was.
    #[default]
    Reversible,
    /// Another action brings something back that serves as well: a restored copy, a new replica.
    Compensable,
    /// Nobody knows.
    Unknown,
    /// Something is gone for good.
    Irreversible,
}

record! {
    /// Whatever answers requests from endpoints.
    pub struct Service {
        /// Endpoints ready when the action came.
        ready_before: u64 => "readyBefore",
        /// The fewest ready at any moment.
        ready_min: Range<u64> => "readyMin",
        /// Ready at the horizon.
        ready_after: Range<u64> => "readyAfter",
        /// Endpoints wanted at the horizon, if that is written anywhere.
        wanted: Option<u64> => "wanted",
        /// For how long fewer were ready than when the action came, in seconds.
        below_seconds: Range<Decimal> => "belowSeconds",
        /// What it has to carry, if anybody knows.
        load: Option<Load> => "load",
        /// Never more of its endpoints were missing than a disruption budget for them allowed when the action came.
        within_budget: bool => "withinBudget",
        /// The service itself is gone at the horizon, and not only what stands behind it.
        removed: bool => "removed",
    }
}

record! {
    /// What a service has to carry, and what it can.
    pub struct Load {
        /// What it gets, in requests per second, at the busiest moment within the horizon.
        requests_per_second: Range<Decimal> => "requestsPerSecond",
        /// What one ready endpoint serves, in requests per second.
        capacity_per_endpoint: Range<Decimal> => "capacityPerEndpoint",
        /// The share of requests that fail within the horizon (0..=1), if load was simulated.
        error_share: Simulated<Decimal> => "errorShare",
        /// The share that would have failed without the action, if load was simulated.
        error_share_before: Option<Decimal> => "errorShareBefore",
        /// The longest mean time to an answer, in seconds, if load was simulated.
        latency_seconds: Simulated<Decimal> => "latencySeconds",
        /// What is sent for each request that is meant, retries among it, if load was simulated.
        amplification: Simulated<Decimal> => "amplification",
        /// The most that is sent at any moment, by what can be served then, if load was simulated; at most a thousand.
        utilisation: Simulated<Decimal> => "utilisation",
        /// Whether requests still fail at the horizon however lucky it goes, so that it does not recover by itself, if load was
        /// simulated.
        failing_at_end: Option<bool> => "failingAtEnd",
        /// The expected run, moment by moment, if load was simulated.
        course: Vec<Sample> => "course",
    }
}

record! {
    /// How a service fares at one moment.
    pub struct Sample {
        /// How long after the action, in seconds.
        seconds: Decimal => "seconds",
        /// What is sent to it, retries among it.
        requests_per_second: Decimal => "requestsPerSecond",
        /// What is sent by what can be served; at most a thousand.
        utilisation: Decimal => "utilisation",
        /// The share that fails (0..=1).
        error_share: Decimal => "errorShare",
        /// The mean time to an answer.
        latency_seconds: Decimal => "latencySeconds",
    }
}

impl Load {
    /// What comes and what can be served, before anybody has simulated what becomes of it.
    pub fn new(requests_per_second: Range<Decimal>, capacity_per_endpoint: Range<Decimal>) -> Self {
        Self {
            requests_per_second,
            capacity_per_endpoint,
            error_share: Simulated::default(),
            error_share_before: None,
            latency_seconds: Simulated::default(),
            amplification: Simulated::default(),
            utilisation: Simulated::default(),
            failing_at_end: None,
            course: Vec::new(),
        }
    }

    /// The share of requests that fail because of the action, if load was simulated.
    pub fn errors_added(&self) -> Option<Range<Decimal>> {
        let before = self.error_share_before.unwrap_or(Decimal::ZERO);
        let added = |share: Decimal| share.minus(before).max(Decimal::ZERO);
        let share = self.error_share.0?;
        Some(Range { best: added(share.best), expected: share.expected.map(added), worst: added(share.worst) })
    }
}

record! {
    /// Whatever keeps a number of replicas.
    pub struct Workload {
        /// Replicas wanted when the action came.
        wanted_before: u64 => "wantedBefore",
        /// Replicas wanted at the horizon.
        wanted_after: Range<u64> => "wantedAfter",
        /// Ready when the action came.
        ready_before: u64 => "readyBefore",
        /// The fewest ready at any moment.
        ready_min: Range<u64> => "readyMin",
        /// Ready at the horizon.
        ready_after: Range<u64> => "readyAfter",
        /// Its replicas keep data or vote, so they do not stand in for each other.
        stateful: bool => "stateful",
        /// The replicas without which its members cannot agree, if they vote.
        quorum: Option<u64> => "quorum",
    }
}

record! {
    /// What it costs, in the currency of the operator's price list, per hour.
    #[derive(Default)]
    pub struct Cost {
        /// When the action came.
        per_hour_before: Decimal => "perHourBefore",
        /// At the horizon.
        per_hour_after: Range<Decimal> => "perHourAfter",
    }
}

/// One direction of traffic: who, to whom, on what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// Where it starts: a group of pods, a namespace, `anywhere`.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// Protocol and port, or a name: `tcp/5432`, `any`.
    pub on: String,
    /// One end is outside of everything that the operator runs.
    #[serde(default)]
    pub outside: bool,
    /// The ends do not belong together: they lie in different namespaces, accounts, or one of them outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
}

record! {
    /// Who reaches whom, compared with before.
    #[derive(Default)]
    pub struct Reach {
        /// Newly possible.
        opened: Among<Flow> => "opened",
        /// No longer possible.
        closed: Among<Flow> => "closed",
    }
}

/// Something that a subject may do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Privilege {
    /// Who: `ServiceAccount/shop/cart`, `Group/developers`, `Pod/shop/debug`.
    pub subject: String,
    /// What: `get secrets`, `impersonate users`, `root on the node`.
    pub can: String,
    /// Where: a namespace, or `everywhere`.
    pub within: String,
    /// It is as good as owning the system: wildcards, escalation, the node's root, all secrets.
    #[serde(default)]
    pub sweeping: bool,
}

record! {
    /// Who may do what, compared with before.
    #[derive(Default)]
    pub struct PrivilegeChange {
        /// Newly allowed.
        gained: Among<Privilege> => "gained",
        /// No longer allowed.
        lost: Among<Privilege> => "lost",
    }
}

record! {
    /// A disruption budget: how many replicas may be missing at once.
    pub struct Budget {
        /// Disruptions allowed when the action came.
        allowed_before: u64 => "allowedBefore",
        /// Disruptions allowed at the horizon.
        allowed_after: Range<u64> => "allowedAfter",
        /// Disruptions that the action causes at once.
        needed: Range<u64> => "needed",
        /// Disruptions that go past it: what a plain delete does, and an eviction would not.
        violated: Range<u64> => "violated",
    }
}

record! {
    /// Room on the machines.
    pub struct Capacity {
        /// By resource, each with its unit in its name: `cpuMilli`, `memoryBytes`, `pods`.
        resources: BTreeMap<String, Headroom> => "resources",
        /// Machines that may be lost with everything still placed, when the action came.
        spare_nodes_before: u64 => "spareNodesBefore",
        /// The same at the horizon. Zero: the loss of the fullest machine leaves something without a place.
        spare_nodes_after: Range<u64> => "spareNodesAfter",
    }
}

record! {
    /// How much of one resource there is, and how much is spoken for.
    pub struct Headroom {
        /// There was, when the action came.
        total_before: u64 => "totalBefore",
        /// Spoken for, when the action came.
        used_before: u64 => "usedBefore",
        /// There is at the horizon, on machines that take new work.
        total_after: Range<u64> => "totalAfter",
        /// Spoken for at the horizon.
        used_after: Range<u64> => "usedAfter",
    }
}

record! {
    /// So many of how many.
    #[derive(Default)]
    pub struct Touched {
        /// Created, changed or deleted; or degraded, in case of services and nodes.
        touched: Range<u64> => "touched",
        /// How many there are.
        of: u64 => "of",
    }
}

record! {
    /// How much of the whole is touched.
    #[derive(Default)]
    pub struct Blast {
        /// Objects of any kind.
        objects: Touched => "objects",
        /// Objects deleted.
        deleted: Touched => "deleted",
        /// Namespaces, accounts, schemas.
        namespaces: Touched => "namespaces",
        /// Machines that lose work or take none.
        nodes: Touched => "nodes",
        /// Services that have fewer ready endpoints at some moment.
        services: Touched => "services",
    }
}

/// A danger that no count shows yet: nothing is missing today, and something will be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hazard {
    /// What sort of danger.
    pub kind: HazardKind,
    /// What is in danger.
    pub object: ObjectRef,
    /// Why, as a clause: `its template reads ConfigMap/shop/settings, which is deleted`.
    pub because: String,
    /// It will come true, as far as the twin can see; else it may.
    pub sure: bool,
}

/// The sorts of danger that show in no count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HazardKind {
    /// The next replica to start cannot, so the one that is lost never comes back.
    CannotStart,
    /// A change that was begun never completes.
    NeverCompletes,
    /// It can no longer be changed, renewed or deleted as somebody needs to.
    CannotChange,
    /// Its floor is lowered, so that something else may take replicas away later.
    FloorLowered,
    /// Maintenance (a drain, an upgrade) will be blocked.
    BlocksMaintenance,
    /// Requests meant for it go elsewhere, or others' requests come to it.
    Misrouted,
    /// Something refers to it, and it will not be there.
    Dangling,
    /// Data will be lost at the next write, scale or expiry.
    DataLostLater,
    /// Something with consequences will run by itself.
    RunsLater,
    /// Secrets or data leave to where they should not.
    Leaks,
    /// The ways of repair, or the gate itself, lie within what is touched.
    LocksOut,
    /// It no longer does what it is for, though it looks healthy.
    Hollow,
    /// Members can no longer agree.
    QuorumLost,
    /// The load on a shared part (API server, DNS, registry) jumps.
    Stampede,
    /// Somebody depends on what no longer is protected.
    Unguarded,
}

impl Forecast {
    /// Anything may happen.
    pub fn unknown(why: impl Into<String>) -> Self {
        let anything = Touched { touched: Range::unknown(), of: 0 };
        Self {
            settled: false,
            settled_seconds: Range::unknown(),
            fidelity: Decimal::ZERO,
            reversibility: Reversibility::Unknown,
            pods_unschedulable: Range::unknown(),
            preempted: Among::unknown(),
            volumes_lost: Among::unknown(),
            machines_lost: Among::unknown(),
            claims_deleted: Among::unknown(),
            cost: Cost { per_hour_before: Decimal::ZERO, per_hour_after: Range::unknown() },
            reach: Reach { opened: Among::unknown(), closed: Among::unknown() },
            privilege: PrivilegeChange { gained: Among::unknown(), lost: Among::unknown() },
            secrets_exposed: Among::unknown(),
            guards_removed: Among::unknown(),
            blast: Blast {
                objects: anything.clone(),
                deleted: anything.clone(),
                namespaces: anything.clone(),
                nodes: anything.clone(),
                services: anything,
            },
            uncertain: BTreeSet::from([why.into()]),
            ..Self::default()
        }
    }

    /// Does the other end no worse than the worst that this one says?
    pub(crate) fn covers(&self, other: &Self) -> bool {
        (!self.settled || other.settled)
            && other.reversibility <= self.reversibility
            && is_covered(&self.services, &other.services, Service::is_degraded, Service::covers)
            && is_covered(&self.workloads, &other.workloads, Workload::is_degraded, Workload::covers)
            && is_covered(&self.budgets, &other.budgets, Budget::is_violated, Budget::covers)
            && no_more(&self.pods_unschedulable, &other.pods_unschedulable)
            && self.preempted_count_covers(other)
            && self.volumes_lost.bounds(&other.volumes_lost)
            && self.machines_lost.bounds(&other.machines_lost)
            && self.claims_deleted.bounds(&other.claims_deleted)
            && roughly_no_more(&self.cost.per_hour_after, &other.cost.per_hour_after)
            && self.reach.opened.bounds(&other.reach.opened)
            && self.reach.closed.bounds(&other.reach.closed)
            && self.privilege.gained.bounds(&other.privilege.gained)
            && self.privilege.lost.bounds(&other.privilege.lost)
            && self.secrets_exposed.bounds(&other.secrets_exposed)
            && self.guards_removed.bounds(&other.guards_removed)
            && match (&self.capacity, &other.capacity) {
                (Some(seen), Some(now)) => no_less(&seen.spare_nodes_after, &now.spare_nodes_after),
                (_, None) => true,
                (None, Some(_)) => false,
            }
            && self.blast.covers(&other.blast)
            && other.hazards.iter().all(|hazard| self.warns_of(hazard))
            && other.uncertain.is_subset(&self.uncertain)
    }

    /// Which replica is thrown out is chance; how many are is not.
    fn preempted_count_covers(&self, other: &Self) -> bool {
        no_more(&self.preempted.count(), &other.preempted.count())
    }

    fn warns_of(&self, hazard: &Hazard) -> bool {
        self.hazards.iter().any(|seen| seen.kind == hazard.kind && seen.object == hazard.object)
    }

    /// Wider by a doubt (0..=1).
    pub(crate) fn widen(&mut self, doubt: Decimal) {
        let (horizon, share) = (self.horizon_seconds, Decimal::ONE);
        self.fidelity = self.fidelity.min(share.minus(doubt));
        for service in self.services.values_mut() {
            let most = service.wanted.unwrap_or(0).max(service.ready_before).max(service.ready_after.high());
            service.ready_min = service.ready_min.widened(doubt, 0, most);
            service.ready_after = service.ready_after.widened(doubt, 0, most);
            // A service that keeps all its endpoints, even at the wider worst, spends no time below.
            if service.is_degraded() {
                service.below_seconds = service.below_seconds.widened(doubt, Decimal::ZERO, horizon);
            }
        }
        for workload in self.workloads.values_mut() {
            let most = workload.wanted_after.high().max(workload.ready_before).max(workload.ready_after.high());
            workload.ready_min = workload.ready_min.widened(doubt, 0, most);
            workload.ready_after = workload.ready_after.widened(doubt, 0, most);
        }
        for budget in self.budgets.values_mut() {
            let most = budget.needed.high().max(budget.allowed_before);
            budget.needed = budget.needed.widened(doubt, 0, most);
            budget.violated = budget.violated.widened(doubt, 0, most);
        }
        if let Some(capacity) = &mut self.capacity {
            let most = capacity.spare_nodes_before.max(capacity.spare_nodes_after.high());
            capacity.spare_nodes_after = capacity.spare_nodes_after.widened(doubt, 0, most);
        }
        // Before what is touched is widened itself, or the doubt would count twice.
        let most = self.blast.objects.touched.high().max(self.pods_unschedulable.high());
        self.pods_unschedulable = self.pods_unschedulable.widened(doubt, 0, most);
        for touched in self.blast.parts_mut() {
            // What a twin leaves out is in proportion to what it names, not to the whole: one percent of doubt about three
            // objects is not fifteen hundred in a system of 150,000. One so often wrong that it may have left out anything
            // is not believed to have named everything (`unlisted`).
            let high = touched.touched.high();
            let most = touched.of.min(high.saturating_mul(2)).max(high);
            touched.touched = touched.touched.widened(doubt, touched.touched.low(), most);
        }
        widen_set(&mut self.preempted, doubt);
        widen_set(&mut self.volumes_lost, doubt);
        widen_set(&mut self.machines_lost, doubt);
        widen_set(&mut self.claims_deleted, doubt);
        widen_set(&mut self.reach.opened, doubt);
        widen_set(&mut self.reach.closed, doubt);
        widen_set(&mut self.privilege.gained, doubt);
        widen_set(&mut self.secrets_exposed, doubt);
        widen_set(&mut self.guards_removed, doubt);
    }
}

impl Default for Forecast {
    fn default() -> Self {
        Self {
            horizon_seconds: Decimal::ZERO,
            settled_seconds: Range::default(),
            settled: true,
            fidelity: Decimal::ONE,
            reversibility: Reversibility::Reversible,
            services: BTreeMap::new(),
            workloads: BTreeMap::new(),
            pods_unschedulable: Range::default(),
            pods_content: 0,
            preempted: Among::none(),
            volumes_lost: Among::none(),
            machines_lost: Among::none(),
            claims_deleted: Among::none(),
            cost: Cost::default(),
            reach: Reach::default(),
            privilege: PrivilegeChange::default(),
            secrets_exposed: Among::none(),
            guards_removed: Among::none(),
            budgets: BTreeMap::new(),
            capacity: None,
            blast: Blast::default(),
            hazards: BTreeSet::new(),
            uncertain: BTreeSet::new(),
        }
    }
}

impl Service {
    /// Nothing happens to it.
    pub fn steady(ready: u64) -> Self {
        Self {
            ready_before: ready,
            ready_min: Range::exact(ready),
            ready_after: Range::exact(ready),
            wanted: None,
            below_seconds: Range::default(),
            load: None,
            within_budget: false,
            removed: false,
        }
    }

    /// The share of what it carries that its ready endpoints are needed for at the worst moment: over one, it is
    /// overloaded. `None` if nobody knows its load.
    pub fn utilisation(&self) -> Option<Range<Decimal>> {
        let load = self.load.as_ref()?;
        let serves = |ready: u64, each: Decimal| Decimal::from(ready).times(each);
        let over = |get: Decimal, serve: Decimal| if get == Decimal::ZERO { Decimal::ZERO } else { get.over(serve) };
        let (get, each) = (&load.requests_per_second, &load.capacity_per_endpoint);
        Some(Range {
            best: over(get.low(), serves(self.ready_min.high(), each.high())),
            expected: Some(over(get.likely(), serves(self.ready_min.likely(), each.likely()))),
            worst: over(get.high(), serves(self.ready_min.low(), each.low())),
        })
    }

    fn covers(&self, other: &Self) -> bool {
        no_less(&self.ready_min, &other.ready_min)
            && no_less(&self.ready_after, &other.ready_after)
            && roughly_no_more(&self.below_seconds, &other.below_seconds)
            && self.removed >= other.removed
            && match (self.utilisation(), other.utilisation()) {
                (Some(seen), Some(now)) => roughly_no_more(&seen, &now) || now.worst <= Decimal::ONE,
                _ => true,
            }
            && self.errors_added() >= other.errors_added()
    }

    /// The largest share of requests that fail because of the action, in tenths of a percent, so that what a person agreed to is
    /// not asked anew for a handful of requests.
    fn errors_added(&self) -> i64 {
        let added = self.load.as_ref().and_then(Load::errors_added).unwrap_or_default();
        added.high().micros() / 1000
    }

    /// Does it have fewer endpoints than before, at some moment or at the end?
    pub fn is_degraded(&self) -> bool {
        self.ready_min.low() < self.ready_before || self.ready_after.low() < self.ready_before
    }
}

impl Workload {
    /// Has it, or wants it, fewer replicas than before, at some moment or at the end?
    pub fn is_degraded(&self) -> bool {
        self.ready_min.low() < self.ready_before
            || self.ready_after.low() < self.ready_before
            || self.wanted_after.low() < self.wanted_before
    }

    fn covers(&self, other: &Self) -> bool {
        no_less(&self.wanted_after, &other.wanted_after)
            && no_less(&self.ready_min, &other.ready_min)
            && no_less(&self.ready_after, &other.ready_after)
    }
}

impl Budget {
    /// May the action go past it?
    pub fn is_violated(&self) -> bool {
        self.violated.high() > 0
    }

    fn covers(&self, other: &Self) -> bool {
        no_more(&self.violated, &other.violated) && no_less(&self.allowed_after, &other.allowed_after)
    }
}

impl Blast {
    fn covers(&self, other: &Self) -> bool {
        self.parts().iter().zip(other.parts()).all(|(seen, now)| no_more(&seen.touched, &now.touched))
    }

    fn parts(&self) -> [&Touched; 5] {
        [&self.objects, &self.deleted, &self.namespaces, &self.nodes, &self.services]
    }

    fn parts_mut(&mut self) -> [&mut Touched; 5] {
        [&mut self.objects, &mut self.deleted, &mut self.namespaces, &mut self.nodes, &mut self.services]
    }
}

impl Touched {
    /// Which share of the whole: of nothing, everything (so that an empty system is not safe to wipe).
    pub fn share(&self) -> Range<Decimal> {
        let share = |part| if part == 0 { Decimal::ZERO } else { Decimal::ratio(part, self.of) };
        let touched = &self.touched;
        Range { best: share(touched.best), expected: touched.expected.map(share), worst: share(touched.worst) }
    }
}

/// Everything that is hurt was shown, and is hurt no worse than shown. What is not hurt need not have been shown.
fn is_covered<K: Ord, V>(
    seen: &BTreeMap<K, V>,
    now: &BTreeMap<K, V>,
    is_hurt: impl Fn(&V) -> bool,
    covers: impl Fn(&V, &V) -> bool,
) -> bool {
    now.iter().all(|(name, now)| !is_hurt(now) || seen.get(name).is_some_and(|seen| covers(seen, now)))
}

fn no_more<T: Number>(seen: &Range<T>, now: &Range<T>) -> bool {
    now.high() <= seen.high()
}

fn no_less<T: Number>(seen: &Range<T>, now: &Range<T>) -> bool {
    now.low() >= seen.low()
}

/// Seconds, money and rates are shown rounded: a tenth more, or one unit, is what the person saw.
fn roughly_no_more(seen: &Range<Decimal>, now: &Range<Decimal>) -> bool {
    let slack = seen.high().times(Decimal::from_millis(100)).max(Decimal::ONE);
    now.high() <= seen.high().plus(slack)
}
