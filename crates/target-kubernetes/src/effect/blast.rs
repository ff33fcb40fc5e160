//! How much of the whole is touched.
//!
//! Knows: how many objects, namespaces, nodes and services there are.
//! Does not know: which of them matter more.

use std::collections::BTreeSet;

use cluster::{ObjectKey, Value};
use model::{Forecast, Manner, ObjectRef, Objects, Range, Touched};

use super::ledger::{Ledger, Net, reference};

/// Kinds that controllers make as many of as they need: what stands behind them is counted, not they.
const DERIVED: &[&str] = &["Pod", "EndpointSlice", "Endpoints", "ReplicaSet", "ControllerRevision"];

/// A node that took new pods, and does not any more.
fn machine_lost(key: &ObjectKey, net: &Net<'_>) -> Option<ObjectRef> {
    let before = net.before.filter(|node| takes_pods(node))?;
    let after = net.after.filter(|_| !net.is_deletion());
    (!after.is_some_and(takes_pods)).then(|| reference(key, before))
}

/// Whether new pods go to a node, as far as it says itself.
fn takes_pods(node: &Value) -> bool {
    let conditions = node.at(&["status", "conditions"]).items();
    let unready = |condition: &Value| {
        condition.at(&["type"]).str_or_empty() == "Ready" && condition.at(&["status"]).str_or_empty() != "True"
    };
    !node.at(&["spec", "unschedulable"]).is_true() && !node.is_terminating() && !conditions.iter().any(unready)
}

/// Fills in the blast radius.
pub(crate) fn read(ledger: &Ledger<'_>, objects: &Objects, forecast: &mut Forecast) {
    let counted = || objects.touched.iter().filter(|(object, _)| !DERIVED.contains(&object.kind.as_str()));
    let mut namespaces: BTreeSet<&str> = objects.namespaces();
    let mut nodes = 0;
    for (object, change) in counted() {
        match object.kind.as_str() {
            "Namespace" if change.manner == Manner::Deleted => {
                namespaces.insert(&object.name);
            }
            "Node" => nodes += 1,
            _ => {}
        }
    }
    forecast.machines_lost.sure = ledger.of("nodes").filter_map(|(key, net)| machine_lost(key, net)).collect();
    let deleted = counted().filter(|(_, change)| change.manner == Manner::Deleted).count() as u64;
    let degraded = forecast.services.values().filter(|service| service.is_degraded()).count() as u64;
    let total = |resource: &str| ledger.before.count(resource) as u64;
    let of = |touched: u64, of: u64| Touched { touched: Range::exact(touched), of };
    let all = ledger.before.len() as u64;
    forecast.blast.objects = of(counted().count() as u64, all);
    forecast.blast.deleted = of(deleted, all);
    forecast.blast.namespaces = of(namespaces.len() as u64, total("namespaces"));
    forecast.blast.nodes = of(nodes, total("nodes"));
    forecast.blast.services = of(degraded, total("services"));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use cluster::doc;
    use model::{Effect, Tally};

    use super::*;
    use crate::testing::{asked, fresh, send, settle};
    use crate::twin::ClusterTwin;

    const NODE: &str = "PATCH /api/v1/nodes/node-01";

    /// What a request would come to.
    fn effect(cluster: &cluster::Cluster, line: &str, body: &Value) -> Effect {
        let asked = asked(cluster, line, body);
        ClusterTwin::new(cluster.clone()).play(&asked.call, &AtomicBool::new(false)).unwrap().effect
    }

    #[test]
    fn a_node_that_is_cordoned_and_uncordoned_ten_times_is_one_machine_taken_out_of_work() {
        let (mut cluster, mut tally) = (fresh(3), Tally::default());
        let cordon = |on: bool| doc!({"spec": {"unschedulable": (on)}});
        for _ in 0..10 {
            for on in [true, false] {
                tally.add(&effect(&cluster, NODE, &cordon(on)));
                send(&mut cluster, NODE, &cordon(on));
                settle(&mut cluster);
            }
        }
        assert_eq!(tally.machines_lost.count(), Range::exact(1), "{:?}", tally.machines_lost);
        let label = effect(&cluster, NODE, &doc!({"metadata": {"labels": {"rack": "b"}}}));
        assert!(label.forecast.machines_lost.is_none(), "a label takes nothing out of work");
        let deleted = effect(&cluster, "DELETE /api/v1/nodes/node-02", &Value::Null);
        let names = deleted.forecast.machines_lost.iter().map(|(node, _)| node.to_string());
        assert_eq!(names.collect::<Vec<_>>(), ["Node/node-02"]);
    }
}
