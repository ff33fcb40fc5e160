//! What is handed out to Services: addresses, and ports of the nodes; none of them twice.
//!
//! Knows: which are taken, by looking.
//! Does not know: which a real cluster would have chosen. It too chooses at random.

use std::collections::BTreeSet;

use super::Write;
use crate::apiserver::Status;
use crate::apiserver::defaults::{needs_address, needs_health_port, needs_node_ports};
use crate::apiserver::status::Cause;
use crate::cluster::Cluster;
use crate::value::Value;

/// Tries before what is left is handed out in order.
const TRIES_MAX: usize = 100;

/// The nodes' ports that lead to Services.
const NODE_PORTS: std::ops::Range<i64> = 30_000..32_768;

/// Addresses of Services: 10.96.0.0/16, the first of it kept for those who ask by number.
const ADDRESSES: std::ops::Range<i64> = 256..65_535;

/// Gives a Service what it needs and has not; or says why it cannot have what it asks for.
pub(super) fn hand_out(cluster: &mut Cluster, write: Write<'_>, service: &mut Value) -> Result<(), Status> {
    if let Some(cause) = refused(cluster, write, service) {
        return Err(Status::invalid("", "Service", &write.key.name, &[cause]));
    }
    if needs_address(service) && service.at(&["spec", "clusterIP"]).is_empty() {
        let taken = |cluster: &Cluster, address: &str| {
            cluster.list("services", None).any(|(_, other)| other.at(&["spec", "clusterIP"]) == address)
        };
        let free = pick(cluster, ADDRESSES, |cluster, number| !taken(cluster, &address(number)));
        if let Some(number) = free {
            service.set(&["spec", "clusterIP"], address(number));
            service.set(&["spec", "clusterIPs"], vec![Value::from(address(number))]);
        }
    }
    let wants = |port: &Value| port.at(&["nodePort"]).is_empty();
    let ports = service.at(&["spec", "ports"]).items();
    if needs_node_ports(service) && ports.iter().any(wants) {
        let mut ports = ports.to_vec();
        let mut taken = node_ports(cluster);
        for port in ports.iter_mut().filter(|port| wants(port)) {
            if let Some(number) = pick(cluster, NODE_PORTS, |_, number| !taken.contains(&number)) {
                taken.insert(number);
                port.set(&["nodePort"], number);
            }
        }
        service.set(&["spec", "ports"], ports);
    }
    if needs_health_port(service) && service.at(&["spec", "healthCheckNodePort"]).is_empty() {
        let taken = node_ports(cluster);
        if let Some(number) = pick(cluster, NODE_PORTS, |_, number| !taken.contains(&number)) {
            service.set(&["spec", "healthCheckNodePort"], number);
        }
    }
    Ok(())
}

/// What of a Service this cluster cannot give: addresses of another family or range, ports that are no node's or taken.
fn refused(cluster: &Cluster, write: Write<'_>, service: &Value) -> Option<Cause> {
    let spec = service.at(&["spec"]);
    let fault = |field: String, value: &Value, why: &str| {
        Some(Cause { reason: "FieldValueInvalid", message: format!("Invalid value: {value}: {why}"), field })
    };
    let headless = spec.at(&["clusterIP"]) == "None";
    if needs_address(service) && !(headless && spec.at(&["selector"]).is_empty()) {
        let policy = spec.at(&["ipFamilyPolicy"]);
        if policy == "RequireDualStack" {
            return fault(
                "spec.ipFamilyPolicy".into(),
                policy,
                "this cluster is not configured for dual-stack services",
            );
        }
        for (index, family) in spec.at(&["ipFamilies"]).items().iter().enumerate() {
            if family != "IPv4" {
                return fault(format!("spec.ipFamilies[{index}]"), family, "not configured on this cluster");
            }
        }
    }
    let old = |path: &[&str]| write.old.map(|old| old.at(path));
    let asked = spec.at(&["clusterIP"]);
    let own = old(&["spec", "clusterIP"]) == Some(asked);
    if let Ok(address) = asked.str_or_empty().parse::<std::net::Ipv4Addr>()
        && !own
        && write.is_create()
    {
        let list = Value::from(vec![asked.clone()]);
        let failed =
            |why: &str| fault("spec.clusterIPs".into(), &list, &format!("failed to allocate IP {address}: {why}"));
        if address.octets().get(..2) != Some(&[10, 96]) {
            return failed("the provided network does not match the current range");
        }
        if cluster.list("services", None).any(|(_, other)| other.at(&["spec", "clusterIP"]) == asked) {
            return failed("provided IP is already allocated");
        }
    }
    if !needs_node_ports(service) {
        return None;
    }
    let taken = node_ports(cluster);
    let had = |number: i64| {
        let ports = old(&["spec", "ports"]).map(Value::items).unwrap_or_default();
        ports.iter().any(|port| port.at(&["nodePort"]).as_int() == Some(number))
    };
    for (index, port) in spec.at(&["ports"]).items().iter().enumerate() {
        let field = || format!("spec.ports[{index}].nodePort");
        let value = port.at(&["nodePort"]);
        match value.as_int().filter(|number| *number != 0 && !had(*number)) {
            Some(number) if !NODE_PORTS.contains(&number) => {
                let why = "provided port is not in the valid range. The range of valid ports is 30000-32767";
                return fault(field(), value, why);
            }
            Some(number) if taken.contains(&number) => {
                return fault(field(), value, "provided port is already allocated");
            }
            _ => {}
        }
    }
    None
}

fn address(number: i64) -> String {
    format!("10.96.{}.{}", (number >> 8) & 0xff, number & 0xff)
}

fn node_ports(cluster: &Cluster) -> BTreeSet<i64> {
    let of = |service: &Value| -> Vec<i64> {
        let ports = service.at(&["spec", "ports"]).items().iter().map(|port| port.at(&["nodePort"]));
        ports.chain([service.at(&["spec", "healthCheckNodePort"])]).filter_map(Value::as_int).collect()
    };
    cluster.list("services", None).flat_map(|(_, service)| of(service)).collect()
}

/// A free number, at random while that is quick.
fn pick(cluster: &mut Cluster, range: std::ops::Range<i64>, free: impl Fn(&Cluster, i64) -> bool) -> Option<i64> {
    let span = u64::try_from(range.end - range.start).unwrap_or(1);
    for _ in 0..TRIES_MAX {
        let number = range.start + i64::try_from(cluster.random().below(span)).unwrap_or(0);
        if free(cluster, number) {
            return Some(number);
        }
    }
    range.into_iter().find(|number| free(cluster, *number))
}
