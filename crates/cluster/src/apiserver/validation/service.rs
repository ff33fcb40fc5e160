//! What is wrong with a Service, and with the endpoints behind it.
//!
//! Knows: `ValidateService`, and what of a Service may not change.
//! Does not know: which addresses and ports are taken.

use std::collections::BTreeSet;

use super::container::port;
use super::faults::{At, Faults, quote};
use super::metadata::labels;
use super::names;
use crate::value::Value;

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const ONLY_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";

/// A Service.
pub(super) fn check(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let kind = spec.field("type").text();
    let headless = spec.field("clusterIP").text() == "None";
    let ports = spec.field("ports");
    if ports.value.is_empty() && !headless && kind != "ExternalName" {
        faults.required(&ports, "");
    }
    let first_address = At::clone(&spec.field("clusterIPs")).items().next();
    if let Some(first) = first_address.filter(|_| headless && matches!(kind, "NodePort" | "LoadBalancer")) {
        faults.invalid(&first, &format!("may not be set to 'None' for {kind} services"));
    }
    if kind == "ExternalName" {
        let name = spec.field("externalName");
        if faults.some_text(&name) {
            faults.all(&name, names::subdomain(name.text().trim_end_matches('.')));
        }
    }
    service_ports(&ports, faults);
    labels(&spec.field("selector"), faults);
    affinity(&spec, faults);
    for address in spec.field("externalIPs").items() {
        let why = names::address(address.text());
        let special = if why.is_empty() { names::not_special(address.text()) } else { why };
        faults.all(&address, special);
    }
    let type_at = spec.field("type");
    if type_at.text().is_empty() {
        faults.required(&type_at, "");
    } else {
        faults.one_of(&type_at, TYPES);
    }
    distinct(&ports, kind, faults);
    balancer(&spec, kind, faults);
    traffic(&spec, kind, faults);
}

fn service_ports(ports: &At<'_>, faults: &mut Faults) {
    let need_names = ports.value.items().len() > 1;
    let mut taken = BTreeSet::new();
    for it in ports.items() {
        let name = it.field("name");
        if name.text().is_empty() {
            if need_names {
                faults.required(&name, "");
            }
        } else {
            faults.all(&name, names::label(name.text()));
            if !taken.insert(name.text()) {
                faults.duplicate(&name);
            }
        }
        let number = it.field("port");
        if !number.number().is_some_and(names::is_port) {
            faults.invalid_as(&number, &number.number().unwrap_or(0).to_string(), names::PORT_RANGE);
        }
        faults.one_of(&it.field("protocol"), PROTOCOLS);
        let target = it.field("targetPort");
        if !target.is_absent() {
            port(&target, faults);
        }
        let protocol = it.field("appProtocol");
        if !protocol.is_absent() {
            for why in names::qualified(protocol.text()) {
                faults.invalid(&protocol, &why);
            }
        }
    }
}

fn distinct(ports: &At<'_>, kind: &str, faults: &mut Faults) {
    let (mut numbers, mut on_nodes) = (BTreeSet::new(), BTreeSet::new());
    for it in ports.items() {
        let node = it.field("nodePort");
        let protocol = it.field("protocol").text();
        let on_node = node.number().filter(|number| *number != 0);
        if let Some(number) = on_node {
            if kind == "ClusterIP" {
                faults.forbidden(&node, "may not be used when `type` is 'ClusterIP'");
            } else if !on_nodes.insert((protocol, number)) {
                faults.duplicate(&node);
            }
        }
        let number = it.field("port").number().unwrap_or(0);
        if !numbers.insert((protocol, number)) {
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{},\"AppProtocol\":null,\"Port\":{number},\"TargetPort\":0,\"NodePort\":0}}",
                quote(protocol)
            );
            faults.duplicate_as(&it, &shown);
        }
    }
}

fn affinity(spec: &At<'_>, faults: &mut Faults) {
    let kind = spec.field("sessionAffinity");
    if kind.text().is_empty() {
        faults.required(&kind, "");
    } else {
        faults.one_of(&kind, &["ClientIP", "None"]);
    }
    let seconds = spec.down(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"]);
    if kind.text() == "ClientIP" && seconds.number().is_some_and(|it| !(1..=86_400).contains(&it)) {
        faults.invalid(&seconds, "must be greater than 0 and less than 86400");
    }
}

fn balancer(spec: &At<'_>, kind: &str, faults: &mut Faults) {
    let ranges = spec.field("loadBalancerSourceRanges");
    // The path is written as the field's name in Go.
    let place = spec.named("LoadBalancerSourceRanges", ranges.value);
    let balanced = kind == "LoadBalancer";
    if !ranges.value.is_empty() && !balanced {
        faults.forbidden(&place, ONLY_BALANCER);
    }
    for range in place.items() {
        faults.all(&range, names::cidr(range.text().trim()));
    }
    let allocates = spec.field("allocateLoadBalancerNodePorts");
    if !balanced && !allocates.is_absent() {
        faults.forbidden(&allocates, ONLY_BALANCER);
    }
    let class = spec.field("loadBalancerClass");
    if !class.is_absent() {
        if balanced {
            faults.all(&class, names::qualified(class.text()));
        } else {
            faults.forbidden(&class, ONLY_BALANCER);
        }
    }
}

fn traffic(spec: &At<'_>, kind: &str, faults: &mut Faults) {
    let outer = spec.field("externalTrafficPolicy");
    let reached = matches!(kind, "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && !spec.field("externalIPs").value.is_empty());
    if reached {
        if outer.text().is_empty() {
            faults.required(&outer, "");
        } else {
            faults.one_of(&outer, &["Cluster", "Local"]);
        }
    } else if !outer.text().is_empty() {
        faults.invalid(&outer, "may only be set for externally-accessible services");
    }
    let health = spec.field("healthCheckNodePort");
    let local = kind == "LoadBalancer" && outer.text() == "Local";
    if health.number().is_some_and(|number| number != 0) && !local {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        faults.invalid(&health, why);
    }
    let inner = spec.field("internalTrafficPolicy");
    if kind != "ExternalName" {
        if inner.is_absent() {
            faults.required(&inner, "");
        }
        faults.one_of(&inner, &["Cluster", "Local"]);
    }
    faults.one_of(&spec.field("trafficDistribution"), &["PreferClose", "PreferSameZone", "PreferSameNode"]);
}

/// What may not change in a Service.
pub(super) fn update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let (spec, was) = (root.field("spec"), old.at(&["spec"]));
    let named = |spec: &Value| spec.at(&["type"]) == "ExternalName";
    if !named(spec.value) && !named(was) {
        let addresses = spec.field("clusterIPs");
        let (first, old_first) = (addresses.value.items().first(), was.at(&["clusterIPs"]).items().first());
        if old_first.is_some() && first != old_first {
            let place = addresses.items().next().unwrap_or_else(|| addresses.clone());
            faults.invalid_as(&place, &addresses.value.to_json(), "may not change once set");
        }
    }
    let class = spec.field("loadBalancerClass");
    let balanced = |spec: &Value| spec.at(&["type"]) == "LoadBalancer";
    if balanced(spec.value) && balanced(was) && class.value != was.at(&["loadBalancerClass"]) {
        faults.invalid(&class, "may not change once set");
    }
}
