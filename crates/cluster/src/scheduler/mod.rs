//! The scheduler: which node a pod goes to.
//!
//! Knows: `kube-scheduler`'s default profile: queue, filters, scores with their weights, preemption, binding.
//! Does not know: what became of a pod once it is bound.
//!
//! | file | does |
//! |---|---|
//! | `state` | nodes summed up, and the pods that wait |
//! | `filter` | why a node does not take a pod |
//! | `request`, `fit`, `affinity`, `spread`, `interpod`, `volumes`, `devices` | the plugins: resources; selectors and taints; topology; other pods; claims of volumes, and of devices |
//! | `score` | how good a node is for a pod |
//! | `preempt` | who would have to go |
//! | `room` | whether more pods would find a place, without looking for one |
//!
//! Where nodes score equal the real scheduler picks one at random; we pick by the cluster's seed.

pub mod affinity;
mod devices;
mod filter;
mod fit;
mod interpod;
mod preempt;
pub mod request;
mod room;
mod score;
mod spread;
mod state;
#[cfg(test)]
mod tests;
mod volumes;

use std::collections::BTreeMap;

use crate::apiserver::registry::set_condition;
use crate::cluster::{Change, Cluster};
use crate::controllers::client::{Client, Severity};
use crate::controllers::{Controller, Next};
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::{Text, Value};

pub(crate) use devices::CLAIMS;
pub(crate) use state::State;

/// The scheduler.
pub(crate) struct Scheduler;

/// The name by which pods ask for it.
const NAME: &str = "default-scheduler";

const CLIENT: Client = Client { name: NAME, source: NAME, program: "kube-scheduler" };

/// The parts of the scheduler that can refuse a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plugin {
    Unschedulable,
    Taints,
    Affinity,
    Ports,
    Fit,
    Volumes,
    Devices,
    Spread,
    Interpod,
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Plugins(u16);

impl Plugins {
    const fn of(plugin: Plugin) -> Self {
        Self(1 << plugin as u16)
    }

    const fn has(self, plugin: Plugin) -> bool {
        self.0 & Self::of(plugin).0 != 0
    }

    fn add(&mut self, plugin: Plugin) {
        self.0 |= Self::of(plugin).0;
    }
}

/// Why a node does not take a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    plugin: Plugin,
    /// As people read it.
    reasons: Vec<Text>,
    /// Whether it would refuse even if other pods went.
    is_final: bool,
}

impl Refusal {
    fn new(plugin: Plugin, reason: &str, is_final: bool) -> Self {
        Self { plugin, reasons: vec![Text::from(reason)], is_final }
    }
}

/// Why no node takes a pod, whatever the node.
struct Hopeless {
    plugin: Plugin,
    reason: String,
}

/// Why a pod goes nowhere.
struct Failure {
    message: String,
    plugins: Plugins,
    /// Where it would fit if its victims were gone.
    nominated: Option<Text>,
}

impl Controller for Scheduler {
    fn name(&self) -> &'static str {
        NAME
    }

    fn notice(&self, cluster: &Cluster, _change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        if cluster.scheduling.has_work() {
            look(ObjectKey::new("pods", "", ""));
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, _key: &ObjectKey) -> Next {
        let now = cluster.now();
        while let Some(key) = cluster.scheduling.take(now) {
            schedule(cluster, &key);
        }
        cluster.scheduling.next().map_or(Next::Done, |at| Next::After(at.since(now)))
    }
}

/// Finds a place for one pod, or says why there is none.
fn schedule(cluster: &mut Cluster, key: &ObjectKey) {
    let Some(pod) = cluster.get(key).cloned() else { return };
    if devices::are_awaited(cluster, key, &pod) {
        cluster.scheduling.put_aside(key, Plugins::of(Plugin::Devices), fit::requests(&pod), cluster.now());
        return;
    }
    match place(cluster, key, &pod) {
        Ok(node) => {
            if volumes::bind(cluster, &pod, &node) {
                bind(cluster, key, &node);
            } else {
                // The claims are on their way; their binding wakes the pod.
                cluster.scheduling.put_aside(key, Plugins::of(Plugin::Volumes), fit::requests(&pod), cluster.now());
            }
        }
        Err(failure) => {
            let request = fit::requests(&pod);
            cluster.scheduling.put_aside(key, failure.plugins, request, cluster.now());
            say_unschedulable(cluster, key, &pod, &failure);
        }
    }
}

/// The best node for a pod.
fn place(cluster: &mut Cluster, key: &ObjectKey, pod: &Value) -> Result<Text, Failure> {
    if cluster.scheduling.count() == 0 {
        let message = "no nodes available to schedule pods".to_owned();
        return Err(Failure { message, plugins: Plugins(u16::MAX), nominated: None });
    }
    let filter = match filter::Filter::prepare(cluster, key, pod) {
        Ok(filter) => filter,
        Err(refused) => {
            let nodes = cluster.scheduling.count();
            // Of claims of volumes the real one speaks as if it had looked for who might go, and had not found out.
            let preemption = match refused.plugin {
                Plugin::Volumes => "not found".to_owned(),
                _ => format!("no new claims to deallocate, preemption: {}", unhelpful(nodes)),
            };
            let message = format!("0/{nodes} nodes are available: {}. {preemption}", refused.reason);
            return Err(Failure { message, plugins: Plugins::of(refused.plugin), nominated: None });
        }
    };
    let (mut feasible, mut refused) = (Vec::new(), BTreeMap::new());
    let enough = enough(cluster.scheduling.count());
    for node in cluster.scheduling.in_turn() {
        match filter.refusal(cluster, node) {
            None => feasible.push(node.clone()),
            Some(refusal) => {
                refused.insert(Text::from(node.object.name()), refusal);
            }
        }
        if feasible.len() == enough {
            break;
        }
    }
    cluster.scheduling.pass_on(feasible.len() + refused.len());
    if !feasible.is_empty() {
        feasible.sort_by(|one, two| one.object.name().cmp(two.object.name()));
        let best = score::best(cluster, pod, &filter.request, &feasible);
        let at = usize::try_from(cluster.random().below(u64::try_from(best.len()).unwrap_or(1))).unwrap_or(0);
        if let Some(node) = best.into_iter().nth(at) {
            return Ok(node);
        }
    }
    let mut plugins = Plugins::default();
    refused.values().for_each(|refusal| plugins.add(refusal.plugin));
    let why = summary(cluster.scheduling.count(), refused.values().flat_map(|refusal| refusal.reasons.iter().cloned()));
    match preempt::preempt(cluster, pod, &filter, &refused) {
        Ok(node) => {
            plugins.add(Plugin::Fit);
            Err(Failure { message: why, plugins, nominated: Some(node) })
        }
        Err(no) => {
            let claims = if filter.wants_devices() { "still not schedulable" } else { "no new claims to deallocate" };
            let message = format!("{why} {claims}, preemption: {no}");
            Err(Failure { message, plugins, nominated: None })
        }
    }
}

/// That nobody's going would help, on any of so many nodes.
fn unhelpful(nodes: usize) -> String {
    let reason = Text::from("Preemption is not helpful for scheduling");
    summary(nodes, std::iter::repeat_n(reason, nodes))
}

/// How many good nodes are enough to choose from (`numFeasibleNodesToFind`): all of up to a hundred, a tenth of 5,000.
fn enough(nodes: usize) -> usize {
    const ALWAYS: usize = 100;
    let percent = 50_usize.saturating_sub(nodes / 125).max(5);
    if nodes < ALWAYS { nodes } else { (nodes * percent / 100).max(ALWAYS) }
}

/// `0/6 nodes are available: 3 Insufficient cpu, 3 node(s) …`
fn summary(nodes: usize, reasons: impl Iterator<Item = Text>) -> String {
    let mut counts: BTreeMap<Text, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut said: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    said.sort();
    format!("0/{nodes} nodes are available: {}.", said.join(", "))
}

/// Binds a pod to a node, as `pods/binding` does. The pod takes over where its node stands.
pub(crate) fn bind(cluster: &mut Cluster, key: &ObjectKey, node: &str) {
    let Some(mut pod) = cluster.get(key).cloned() else { return };
    pod.set(&["spec", "nodeName"], node);
    take_topology(cluster, &mut pod);
    if pod.find(&["status", "nominatedNodeName"]).is_some() {
        pod.remove(&["status", "nominatedNodeName"]);
    }
    let now = time::format(cluster.now());
    let generation = pod.generation();
    let scheduled = doc!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "observedGeneration": (generation),
    });
    set_condition(&mut pod, &now, scheduled);
    let message = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
    if let Some(pod) = cluster.write(key, Some(pod)) {
        CLIENT.acted(cluster, &pod, Severity::Normal, "Scheduled", "Binding", &message);
    }
}

/// Gives a pod the labels that say where its node stands (`PodTopologyLabels`), however it came to its node.
pub(crate) fn take_topology(cluster: &Cluster, pod: &mut Value) {
    let Some(name) = pod.at(&["spec", "nodeName"]).as_text().filter(|name| !name.is_empty()) else { return };
    let Some(node) = cluster.get(&ObjectKey::new("nodes", "", name.clone())) else { return };
    for label in ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"] {
        if let Some(value) = node.label(label) {
            pod.set(&["metadata", "labels", label], value);
        }
    }
}

fn say_unschedulable(cluster: &mut Cluster, key: &ObjectKey, pod: &Value, failure: &Failure) {
    let said = pod
        .condition("PodScheduled")
        .is_some_and(|said| said.at(&["status"]) == "False" && *said.at(&["message"]) == *failure.message);
    let now = time::format(cluster.now());
    let _ = CLIENT.update_status(cluster, key, |pod| {
        if !said {
            let generation = pod.generation();
            let condition = doc!({
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastProbeTime": null,
                "message": (&failure.message), "observedGeneration": (generation),
            });
            set_condition(pod, &now, condition);
        }
        match &failure.nominated {
            Some(node) => pod.set(&["status", "nominatedNodeName"], node),
            None if pod.find(&["status", "nominatedNodeName"]).is_some() => {
                pod.remove(&["status", "nominatedNodeName"]);
            }
            None => {}
        }
    });
    // The real one says it at every attempt; said once is enough for people, and a settled cluster stays settled.
    if !said {
        CLIENT.acted(cluster, pod, Severity::Warning, "FailedScheduling", "Scheduling", &failure.message);
    }
}
