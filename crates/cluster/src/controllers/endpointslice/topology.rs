//! Topology aware hints: which zone's clients each endpoint is meant for, in proportion to the zones' CPUs.
//!
//! Knows: `staging/src/k8s.io/endpointslice/topologycache`: when hints are safe, and how endpoints are given from zones that
//! have more than their share to zones that have fewer.
//! Does not know: slices.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::doc;
use crate::quantity::Quantity;
use crate::value::{Text, Value};

const ZONE: &str = "topology.kubernetes.io/zone";
/// Nodes with these labels serve no ordinary clients.
const ELSEWHERE: &[&str] = &["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
/// How much more than its share an endpoint may have to bear for the sake of hints.
const OVERLOAD: f64 = 0.2;

/// Whether a service asks for hints.
pub(super) fn is_asked_for(service: &Value) -> bool {
    let mode = service
        .annotation("service.kubernetes.io/topology-mode")
        .or_else(|| service.annotation("service.kubernetes.io/topology-aware-hints"));
    mode.is_some_and(|mode| mode.eq_ignore_ascii_case("auto"))
}

/// Gives every ready endpoint its hint, or none any.
///
/// # Errors
/// Why there are none, as people read it.
pub(super) fn hint(cluster: &Cluster, endpoints: &mut [&mut Value]) -> Result<(), String> {
    for endpoint in endpoints.iter_mut().filter(|endpoint| endpoint.find(&["hints"]).is_some()) {
        endpoint.remove(&["hints"]);
    }
    let ready = endpoints.iter_mut().filter(|endpoint| endpoint.at(&["conditions", "ready"]).is_true());
    let mut ready: Vec<&mut &mut Value> = ready.collect();
    let shares = shares(cluster, ready.len())?;
    let mut zones: Vec<Text> = Vec::new();
    for endpoint in &ready {
        let zone = endpoint.at(&["zone"]).as_text().filter(|zone| !zone.is_empty());
        zones.push(zone.cloned().ok_or("One or more endpoints do not have a zone specified")?);
    }
    for (from, to) in moves(&shares, &zones) {
        if let Some(zone) = zones.iter_mut().find(|zone| **zone == from) {
            *zone = to;
        }
    }
    for (endpoint, zone) in ready.iter_mut().zip(&zones) {
        endpoint.set(&["hints", "forZones"], doc!([{"name": (zone)}]));
    }
    Ok(())
}

/// How many endpoints each zone should have, by its part of all CPUs.
fn shares(cluster: &Cluster, endpoints: usize) -> Result<BTreeMap<Text, f64>, String> {
    let mut cpus: BTreeMap<Text, f64> = BTreeMap::new();
    for (_, node) in cluster.list("nodes", None) {
        if ELSEWHERE.iter().any(|label| node.label(label).is_some()) || !node.condition_is_true("Ready") {
            continue;
        }
        let cpu = Quantity::or_zero(node.at(&["status", "allocatable", "cpu"]));
        let zone = node.label(ZONE).filter(|_| !cpu.is_zero());
        let zone =
            zone.ok_or("Insufficient Node information: allocatable CPU or zone not specified on one or more nodes")?;
        *cpus.entry(Text::from(zone)).or_default() += float(cpu.as_milli());
    }
    if cpus.len() < 2 {
        return Err("Nodes only ready in one zone".to_owned());
    }
    let counted = format!("({endpoints} endpoints, {} zones)", cpus.len());
    if cpus.len() > endpoints {
        return Err(format!("Insufficient number of endpoints {counted}"));
    }
    let all: f64 = cpus.values().sum();
    let endpoints = float(i128::try_from(endpoints).unwrap_or(i128::MAX));
    let mut least = 0.0;
    for share in cpus.values_mut() {
        let desired = *share / all * endpoints;
        let minimum = (desired / (1.0 + OVERLOAD)).ceil();
        least += minimum;
        *share = desired.max(minimum);
    }
    if least > endpoints {
        let why = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold";
        return Err(format!("{why} {counted}"));
    }
    Ok(cpus)
}

/// From which zone to which endpoints go: from who has most to spare to who lacks most, while it is worth a whole one.
fn moves(shares: &BTreeMap<Text, f64>, zones: &[Text]) -> Vec<(Text, Text)> {
    let mut spare: BTreeMap<&Text, f64> = shares.iter().map(|(zone, share)| (zone, -share)).collect();
    for zone in zones {
        // A zone without nodes of its own gives all it has.
        *spare.entry(zone).or_default() += 1.0;
    }
    let mut moves = Vec::new();
    loop {
        let most = spare.iter().max_by(|one, two| one.1.total_cmp(two.1)).map(|(zone, spare)| (*zone, *spare));
        let least = spare.iter().min_by(|one, two| one.1.total_cmp(two.1)).map(|(zone, spare)| (*zone, *spare));
        let (Some((giver, give)), Some((taker, take))) = (most, least) else { return moves };
        let take = -take;
        if (give < 1.0 && take < 1.0) || give < 0.5 || take < 0.5 || moves.len() >= zones.len() {
            return moves;
        }
        moves.push((giver.clone(), taker.clone()));
        *spare.entry(giver).or_default() -= 1.0;
        *spare.entry(taker).or_default() += 1.0;
    }
}

fn float(number: i128) -> f64 {
    // Counts of milli-CPUs and endpoints lie far below the 53 bits that a float keeps.
    i32::try_from(number).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, edit};

    /// The zones of the ready endpoints, and where their hints point.
    fn hinted(cpus: &[&str], zones: &str) -> String {
        let cluster = cluster(cpus);
        let mut endpoints: Vec<Value> =
            zones.split(' ').map(|zone| doc!({"zone": (zone), "conditions": {"ready": (zone != "-")}})).collect();
        let mut places: Vec<&mut Value> = endpoints.iter_mut().collect();
        if let Err(why) = hint(&cluster, &mut places) {
            return why;
        }
        let target = |endpoint: &Value| {
            let zones = endpoint.at(&["hints", "forZones"]).items().first();
            zones.map_or("-", |zone| zone.at(&["name"]).str_or_empty()).to_owned()
        };
        endpoints.iter().map(target).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_zone_gets_endpoints_by_its_cpus_or_none_gets_any() {
        for (cpus, zones, want) in [
            (vec!["4", "4", "4"], "a b c", "a b c"),
            (vec!["4", "4", "4"], "a b c -", "a b c -"),
            (vec!["4", "4", "4"], "a a c", "b a c"),
            (vec!["8", "4"], "a b b", "a a b"),
            (vec!["4", "4", "4"], "a b", "Insufficient number of endpoints (2 endpoints, 3 zones)"),
            (
                vec!["4", "4", "4"],
                "a b c a",
                "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (4 endpoints, 3 zones)",
            ),
            (vec!["4"], "a a", "Nodes only ready in one zone"),
        ] {
            assert_eq!(hinted(&cpus, zones), want, "{cpus:?} {zones}");
        }
    }

    #[test]
    fn nodes_that_serve_nobody_do_not_count() {
        let mut cluster = cluster(&["4", "4", "4"]);
        edit(&mut cluster, "nodes", "", "n3", |node| {
            node.set(&["metadata", "labels", "node-role.kubernetes.io/control-plane"], "");
        });
        assert_eq!(shares(&cluster, 2).map(|shares| shares.len()), Ok(2));
    }
}
