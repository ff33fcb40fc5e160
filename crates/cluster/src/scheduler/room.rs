//! Whether more pods like one would find a place, told from sums alone.
//!
//! Knows: when it depends on nothing but sums where a pod can go.
//! Does not know: which node the scheduler would take. It need not: whichever it takes, the sum of the others stays.

use super::filter::Filter;
use super::fit::Resources;
use super::state::{self, Node};
use crate::cluster::Cluster;
use crate::object::ObjectKey;
use crate::value::{Text, Value};

/// Volumes that are wherever the pod is.
const ANYWHERE: &[&str] = &["name", "configMap", "secret", "emptyDir", "projected", "downwardAPI"];

impl Cluster {
    /// Nodes that together have room for so many more pods like this one, however the scheduler spreads them. `None` if
    /// that is not certain: if there is too little room, if it depends on other pods, ports or volumes where such a pod
    /// can go, or if others wait for room.
    #[must_use]
    pub fn room_for(&self, pod: &Value, count: u64) -> Option<Vec<Text>> {
        let scheduling = &self.scheduling;
        let default = pod.at(&["spec", "schedulerName"]).as_str().unwrap_or(super::NAME) == super::NAME;
        if !default || self.unplaced().next().is_some() || scheduling.has_nominated() || is_particular(pod) {
            return None;
        }
        let key = ObjectKey::new("pods", pod.namespace(), "");
        let filter = Filter::prepare(self, &key, pod).ok()?;
        if !filter.is_about_sums() {
            return None;
        }
        // Each kind of pod begins its search elsewhere, so that two that are looked at at once seldom need the same node.
        let nodes: Vec<_> = scheduling.nodes().collect();
        let first = pod.owners().flat_map(|owner| owner.name().bytes()).map(usize::from).sum::<usize>();
        let (mut found, mut left) = (Vec::new(), count);
        for node in nodes.iter().cycle().skip(first.checked_rem(nodes.len())?).take(nodes.len()) {
            if left == 0 {
                break;
            }
            if filter.refusal(self, node).is_none() {
                left = left.saturating_sub(places(node, &filter.request));
                found.push(Text::from(node.object.name()));
            }
        }
        (left == 0).then_some(found)
    }
}

/// Whether it depends on more than sums where a pod can go.
fn is_particular(pod: &Value) -> bool {
    let spec = pod.at(&["spec"]);
    let required =
        |which: &str| !spec.at(&["affinity", which, "requiredDuringSchedulingIgnoredDuringExecution"]).is_empty();
    let anywhere = |volume: &Value| volume.entries().iter().all(|(source, _)| ANYWHERE.contains(&source.as_str()));
    required("podAffinity")
        || required("podAntiAffinity")
        || !spec.at(&["topologySpreadConstraints"]).is_empty()
        || !spec.at(&["resourceClaims"]).is_empty()
        || !spec.at(&["volumes"]).items().iter().all(anywhere)
        || !state::ports(pod).is_empty()
        || state::is_gated(pod)
}

/// How many more such pods a node takes.
fn places(node: &Node, request: &Resources) -> u64 {
    let amounts = request.each().filter(|(_, wanted)| *wanted > 0).map(|(name, wanted)| {
        let free = node.allocatable.named(name) - node.requested.named(name);
        free.checked_div(wanted).unwrap_or(0)
    });
    let places = amounts.chain([node.pods_max - node.pods]).min().unwrap_or(0);
    u64::try_from(places).unwrap_or(0)
}
