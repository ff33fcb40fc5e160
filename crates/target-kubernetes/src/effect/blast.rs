//! How much of the whole is touched.
//!
//! Knows: how many objects, namespaces, nodes and services there are.
//! Does not know: which of them matter more.

use std::collections::BTreeSet;

use model::{Forecast, Manner, Objects, Range, Touched};

use super::ledger::Ledger;

/// Kinds that controllers make as many of as they need: what stands behind them is counted, not they.
const DERIVED: &[&str] = &["Pod", "EndpointSlice", "Endpoints", "ReplicaSet", "ControllerRevision"];

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
