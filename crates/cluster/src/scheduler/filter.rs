//! Whether a node can take a pod.
//!
//! Knows: the filters, in the order in which the real scheduler asks them.
//! Does not know: which of the nodes that can is best.

use std::collections::BTreeMap;

use super::neighbours::Neighbours;
use super::request::{self, Amounts, is_live};
use super::volumes::Volumes;
use super::{World, affinity};
use crate::object::ObjectKey;
use crate::quantity::Quantity;
use crate::value::Value;

/// Why a node cannot take a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// In the words of the real filters; several if it lacks several resources.
    pub(super) reasons: Vec<String>,
    /// Whether it might, if other pods went.
    pub(super) may_yield: bool,
}

impl Refusal {
    pub(super) fn for_good(reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], may_yield: false }
    }

    pub(super) fn for_now(reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], may_yield: true }
    }
}

/// All that is known about a pod before nodes are looked at.
pub(super) struct Demand<'a> {
    pub(super) pod: &'a Value,
    pub(super) requests: Amounts,
    pub(super) neighbours: Neighbours,
    pub(super) volumes: Volumes,
    ports: Vec<(i64, String, String)>,
    pinned: Option<Vec<&'a str>>,
}

impl<'a> Demand<'a> {
    /// Reads what a pod needs; or why no node will do, whichever it is.
    pub(super) fn of(world: &World<'_>, pod: &'a Value) -> Result<Self, String> {
        Ok(Self {
            pod,
            requests: request::of_pod(pod, "requests"),
            neighbours: Neighbours::of(world, pod),
            volumes: Volumes::of(world, pod)?,
            ports: host_ports(pod),
            pinned: affinity::pinned(pod),
        })
    }

    /// The same pod, other pods having gone.
    pub(super) fn again(&mut self, world: &World<'_>) {
        self.neighbours = Neighbours::of(world, self.pod);
    }

    /// Asks the filters one by one; the first that refuses is the answer.
    pub(super) fn fits(&self, world: &World<'_>, node: &Value) -> Result<(), Refusal> {
        let pod = self.pod;
        if self.pinned.as_ref().is_some_and(|names| !names.contains(&node.name())) {
            return Err(Refusal::for_good("node(s) didn't satisfy plugin(s) [NodeAffinity]"));
        }
        if node.at(&["spec", "unschedulable"]).is_true() && !bears_cordon(pod) {
            return Err(Refusal::for_good("node(s) were unschedulable"));
        }
        if affinity::untolerated(pod, node, &["NoSchedule", "NoExecute"]).is_some() {
            return Err(Refusal::for_good("node(s) had untolerated taint(s)"));
        }
        if !affinity::wants_node(pod, node) {
            return Err(Refusal::for_good("node(s) didn't match Pod's node affinity/selector"));
        }
        self.ports(world, node)?;
        self.resources(world, node)?;
        self.volumes.reach(world, node)?;
        self.neighbours.spread(node)?;
        self.neighbours.affinity(node)
    }

    fn ports(&self, world: &World<'_>, node: &Value) -> Result<(), Refusal> {
        if self.ports.is_empty() {
            return Ok(());
        }
        let clash = |one: &(i64, String, String), two: &(i64, String, String)| {
            one.0 == two.0 && one.1 == two.1 && (one.2 == two.2 || one.2 == "0.0.0.0" || two.2 == "0.0.0.0")
        };
        let taken = world
            .pods_on(node.name())
            .filter(|(_, other)| is_live(other))
            .flat_map(|(_, other)| host_ports(other))
            .any(|have| self.ports.iter().any(|want| clash(want, &have)));
        if taken { Err(Refusal::for_now("node(s) didn't have free ports for the requested pod ports")) } else { Ok(()) }
    }

    fn resources(&self, world: &World<'_>, node: &Value) -> Result<(), Refusal> {
        let (used, pods) = world.used(node.name(), self.pod);
        let allocatable = node.at(&["status", "allocatable"]);
        let mut refusal = Refusal { reasons: Vec::new(), may_yield: true };
        if pods + 1 > Quantity::or_zero(allocatable.at(&["pods"])).as_whole() {
            refusal.reasons.push("Too many pods".to_owned());
        }
        for (name, amount) in self.requests.iter().filter(|(_, amount)| !amount.is_zero()) {
            let have = Quantity::or_zero(allocatable.at(&[name.as_str()]));
            let used = used.get(name).copied().unwrap_or_default();
            if used + *amount > have {
                refusal.reasons.push(format!("Insufficient {name}"));
                refusal.may_yield &= *amount <= have;
            }
        }
        if refusal.reasons.is_empty() { Ok(()) } else { Err(refusal) }
    }
}

fn bears_cordon(pod: &Value) -> bool {
    let taint = crate::doc!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
    affinity::tolerates(pod, &taint)
}

/// (port, protocol, address) that a pod takes of its node.
fn host_ports(pod: &Value) -> Vec<(i64, String, String)> {
    let mut containers = pod.at(&["spec", "containers"]).items().iter().collect::<Vec<_>>();
    containers.extend(
        pod.at(&["spec", "initContainers"]).items().iter().filter(|one| one.at(&["restartPolicy"]) == "Always"),
    );
    let ports = containers.into_iter().flat_map(|container| container.at(&["ports"]).items());
    ports
        .filter_map(|port| {
            let number = port.at(&["hostPort"]).as_int().filter(|number| *number > 0)?;
            let or = |field: &str, default: &str| port.at(&[field]).as_str().unwrap_or(default).to_owned();
            Some((number, or("protocol", "TCP"), or("hostIP", "0.0.0.0")))
        })
        .collect()
}

/// `3 Insufficient cpu, 2 node(s) were unschedulable`: how many nodes gave which reason.
pub(super) fn histogram<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut parts: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    parts.join(", ")
}

impl World<'_> {
    /// What the pods on a node have been given, and how many they are; with those that are promised a place there.
    fn used(&self, node: &str, pod: &Value) -> (Amounts, i128) {
        let (mut used, mut count) = (Amounts::new(), 0);
        for (_, other) in self.pods_on(node).filter(|(_, other)| is_live(other)) {
            request::add(&mut used, &request::of_pod(other, "requests"));
            count += 1;
        }
        for promised in self.promised(node, pod) {
            request::add(&mut used, &request::of_pod(promised, "requests"));
            count += 1;
        }
        (used, count)
    }

    /// What the pods on a node have been given.
    pub(super) fn given(&self, node: &str, pod: &Value) -> Amounts {
        self.used(node, pod).0
    }

    /// The node that a pod is on.
    pub(super) fn node_of(&self, pod: &Value) -> Option<&Value> {
        let name = pod.at(&["spec", "nodeName"]).as_text().filter(|name| !name.is_empty())?;
        self.get(&ObjectKey::new("nodes", "", name.clone()))
    }
}
