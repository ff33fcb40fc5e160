//! Why a node does not take a pod.
//!
//! Knows: the filters of the default profile, in its order; the first that refuses speaks for the node.
//! Does not know: which of several good nodes is best.

use std::collections::BTreeSet;

use super::devices::Devices;
use super::fit::{self, Lack, Resources};
use super::interpod::Interpod;
use super::spread::Spread;
use super::state::{self, Node, Port};
use super::volumes::Volumes;
use super::{Hopeless, Plugin, Refusal, affinity};
use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::value::{Text, Value};

/// Everything about one pod that can be known before looking at any node.
pub(super) struct Filter<'a> {
    key: &'a ObjectKey,
    pod: &'a Value,
    pub(super) request: Resources,
    ports: Vec<Port>,
    /// The only nodes it may go to.
    named: Option<Vec<&'a str>>,
    spread: Spread,
    interpod: Interpod,
    volumes: Volumes,
    devices: Devices,
}

impl<'a> Filter<'a> {
    /// Looks at what does not depend on the node; an error refuses the pod everywhere.
    pub(super) fn prepare(cluster: &Cluster, key: &'a ObjectKey, pod: &'a Value) -> Result<Self, Hopeless> {
        let volumes = Volumes::prepare(cluster, pod).map_err(|reason| Hopeless { plugin: Plugin::Volumes, reason })?;
        let devices =
            Devices::prepare(cluster, key, pod).map_err(|reason| Hopeless { plugin: Plugin::Devices, reason })?;
        Ok(Self {
            key,
            pod,
            request: fit::requests(pod),
            ports: state::ports(pod),
            named: affinity::pinned(pod),
            spread: Spread::prepare(cluster, pod, &BTreeSet::new()),
            interpod: Interpod::prepare(cluster, pod, &BTreeSet::new()),
            volumes,
            devices,
        })
    }

    /// Whether it has claims of devices that are still to be allocated.
    pub(super) fn wants_devices(&self) -> bool {
        self.devices.are_wanted()
    }

    /// Whether other pods matter only by what they take.
    pub(super) fn is_about_sums(&self) -> bool {
        self.spread.is_empty() && self.interpod.concerns_nobody()
    }

    /// Why this node does not take the pod; none if it does. Pods that were promised a place on it count.
    pub(super) fn refusal(&self, cluster: &Cluster, node: &Node) -> Option<Refusal> {
        if cluster.scheduling.has_nominated() {
            let priority = super::preempt::priority(self.pod);
            let promised: Vec<&Value> = cluster
                .scheduling
                .nominated(node.object.name())
                .filter(|key| *key != self.key)
                .filter_map(|key| cluster.get(key))
                .filter(|pod| super::preempt::priority(pod) >= priority)
                .collect();
            if !promised.is_empty() {
                let mut full = node.clone();
                for pod in promised {
                    full.pods += 1;
                    full.requested.add(&fit::requests(pod));
                    full.ports.extend(state::ports(pod));
                }
                return self.own_refusal(cluster, &full, &self.spread, &self.interpod);
            }
        }
        self.own_refusal(cluster, node, &self.spread, &self.interpod)
    }

    /// The same if some pods were gone; `node` is without them already.
    pub(super) fn refusal_without(
        &self,
        cluster: &Cluster,
        node: &Node,
        gone: &BTreeSet<&ObjectKey>,
    ) -> Option<Refusal> {
        let (spread, interpod);
        let (spread, interpod) = if self.spread.is_empty() && self.interpod.is_empty() {
            (&self.spread, &self.interpod)
        } else {
            spread = Spread::prepare(cluster, self.pod, gone);
            interpod = Interpod::prepare(cluster, self.pod, gone);
            (&spread, &interpod)
        };
        self.own_refusal(cluster, node, spread, interpod)
    }

    fn own_refusal(&self, cluster: &Cluster, node: &Node, spread: &Spread, interpod: &Interpod) -> Option<Refusal> {
        let object = &node.object;
        if let Some(named) = &self.named
            && !named.contains(&object.name())
        {
            return Some(Refusal::new(Plugin::Affinity, "node(s) didn't satisfy plugin(s) [NodeAffinity]", true));
        }
        self.unschedulable(object)
            .or_else(|| self.untolerated(object))
            .or_else(|| self.unmatched(object))
            .or_else(|| self.taken_ports(node))
            .or_else(|| self.lacking(node))
            .or_else(|| self.volumes.refusal(cluster, object))
            .or_else(|| spread.refusal(object))
            .or_else(|| interpod.refusal(object))
            .or_else(|| self.devices.refusal(object))
    }

    fn unschedulable(&self, node: &Value) -> Option<Refusal> {
        let bears = || {
            let taint = crate::doc!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
            affinity::tolerates(self.pod, &taint)
        };
        let refused = node.at(&["spec", "unschedulable"]).is_true() && !bears();
        refused.then(|| Refusal::new(Plugin::Unschedulable, "node(s) were unschedulable", true))
    }

    fn untolerated(&self, node: &Value) -> Option<Refusal> {
        affinity::untolerated(self.pod, node, &["NoSchedule", "NoExecute"])
            .map(|_| Refusal::new(Plugin::Taints, "node(s) had untolerated taint(s)", true))
    }

    fn unmatched(&self, node: &Value) -> Option<Refusal> {
        let why = "node(s) didn't match Pod's node affinity/selector";
        (!affinity::wants_node(self.pod, node)).then(|| Refusal::new(Plugin::Affinity, why, true))
    }

    fn taken_ports(&self, node: &Node) -> Option<Refusal> {
        let clash = |wanted: &Port, have: &Port| {
            let any = |port: &Port| port.1 == "0.0.0.0";
            wanted.0 == have.0 && wanted.2 == have.2 && (wanted.1 == have.1 || any(wanted) || any(have))
        };
        let taken = self.ports.iter().any(|wanted| node.ports.iter().any(|have| clash(wanted, have)));
        let why = "node(s) didn't have free ports for the requested pod ports";
        taken.then(|| Refusal::new(Plugin::Ports, why, false))
    }

    fn lacking(&self, node: &Node) -> Option<Refusal> {
        let lacks = fit::lacks(&self.request, &node.requested, &node.allocatable, node.pods, node.pods_max);
        (!lacks.is_empty()).then(|| Refusal {
            plugin: Plugin::Fit,
            reasons: lacks.iter().map(|lack| Text::from(lack.reason())).collect(),
            is_final: lacks.iter().any(Lack::is_final),
        })
    }
}
