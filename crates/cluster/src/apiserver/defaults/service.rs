//! The defaults of a Service, and what of it follows from what it was.
//!
//! Knows: `SetDefaults_Service`; which fields a type of Service has (`pkg/registry/core/service/strategy.go`).
//! Does not know: which addresses and ports are free; admission hands those out.

use super::pod::PORT;
use super::{change, set_missing, types};
use crate::doc;
use crate::value::Value;

types! {
    SERVICE: service {
        "spec"."sessionAffinity" = "None";
        "spec"."type" = "ClusterIP";
    } [
        "spec"."ports" => PORT;
        "spec"."ports" => TARGET;
    ]
    TARGET: target {}
}

/// Traffic goes to the port it came to if nothing else is said.
fn target(port: &mut Value) {
    let number = port.at(&["port"]).clone();
    if port.at(&["targetPort"]).is_empty() && !number.is_empty() {
        port.set(&["targetPort"], number);
    }
}

fn service(service: &mut Value) {
    if service.at(&["spec", "sessionAffinity"]) == "ClientIP" {
        set_missing(service, &["spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"], || Value::from(10_800));
    } else if service.find(&["spec", "sessionAffinityConfig"]).is_some() {
        service.remove(&["spec", "sessionAffinityConfig"]);
    }
    let kind = Kind::of(service);
    if kind.has_address() {
        set_missing(service, &["spec", "internalTrafficPolicy"], || Value::from("Cluster"));
    }
    if kind.is_reached_from_outside() || (kind.has_address() && !service.at(&["spec", "externalIPs"]).is_empty()) {
        set_missing(service, &["spec", "externalTrafficPolicy"], || Value::from("Cluster"));
    }
    if kind == Kind::LoadBalancer {
        set_missing(service, &["spec", "allocateLoadBalancerNodePorts"], || Value::from(true));
    }
}

/// What kind of Service this is; each includes what stands before it, but for the last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

impl Kind {
    fn of(service: &Value) -> Self {
        match service.at(&["spec", "type"]).str_or_empty() {
            "NodePort" => Self::NodePort,
            "LoadBalancer" => Self::LoadBalancer,
            "ExternalName" => Self::ExternalName,
            _ => Self::ClusterIp,
        }
    }

    fn has_address(self) -> bool {
        self != Self::ExternalName
    }

    fn is_reached_from_outside(self) -> bool {
        matches!(self, Self::NodePort | Self::LoadBalancer)
    }
}

/// Whether the nodes' own ports lead to the Service.
pub(in crate::apiserver) fn needs_node_ports(service: &Value) -> bool {
    match Kind::of(service) {
        Kind::NodePort => true,
        Kind::LoadBalancer => service.at(&["spec", "allocateLoadBalancerNodePorts"]).as_bool() != Some(false),
        _ => false,
    }
}

/// Whether load balancers ask the nodes on a port of its own whether they have a pod of the Service.
pub(in crate::apiserver) fn needs_health_port(service: &Value) -> bool {
    Kind::of(service) == Kind::LoadBalancer && service.at(&["spec", "externalTrafficPolicy"]) == "Local"
}

/// Whether the Service has an address, or at least could have.
pub(in crate::apiserver) fn needs_address(service: &Value) -> bool {
    Kind::of(service).has_address()
}

/// The families of addresses: one, unless a Service without address and selector leaves it to whoever fills it in.
pub(super) fn families(service: &mut Value) {
    if !needs_address(service) {
        return;
    }
    let spec = service.at(&["spec"]);
    let selects = !spec.at(&["selector"]).is_empty();
    let headless = spec.at(&["clusterIP"]) == "None";
    let asked = spec.at(&["ipFamilies"]).items().len();
    let both = asked > 1 || (headless && !selects && asked == 0 && spec.at(&["ipFamilyPolicy"]).is_null());
    set_missing(service, &["spec", "ipFamilyPolicy"], || {
        Value::from(if both { "RequireDualStack" } else { "SingleStack" })
    });
    let policy = service.at(&["spec", "ipFamilyPolicy"]).str_or_empty();
    let all = both || (headless && !selects && policy != "SingleStack");
    let families = if all { doc!(["IPv4", "IPv6"]) } else { doc!(["IPv4"]) };
    if service.at(&["spec", "ipFamilies"]).is_empty() {
        service.set(&["spec", "ipFamilies"], families);
    }
    one_address_of_many(service);
}

/// `clusterIP` is the first of `clusterIPs`: who sets one sets both.
fn one_address_of_many(service: &mut Value) {
    let (one, many) = (service.at(&["spec", "clusterIP"]).clone(), service.at(&["spec", "clusterIPs"]).clone());
    if !one.is_empty() && many.is_empty() {
        service.set(&["spec", "clusterIPs"], vec![one]);
    }
}

/// What was handed out stays when an update does not mention it, and goes with the type that needed it.
pub(super) fn keep(service: &mut Value, old: &Value) {
    let (one, many) = (service.at(&["spec", "clusterIP"]).clone(), service.at(&["spec", "clusterIPs"]).clone());
    let (old_one, old_many) = (old.at(&["spec", "clusterIP"]), old.at(&["spec", "clusterIPs"]));
    if needs_address(service) && needs_address(old) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            let have = old.at(&["spec", field]).clone();
            if service.at(&["spec", field]).is_empty() && !have.is_empty() {
                service.set(&["spec", field], have);
            }
        }
        if !one.is_empty() && one != *old_one && many == *old_many {
            let mut list = many.items().to_vec();
            if let Some(first) = list.first_mut() {
                *first = one;
                service.set(&["spec", "clusterIPs"], list);
            }
        }
        if needs_node_ports(service) && needs_node_ports(old) {
            keep_node_ports(service, old);
        }
        if needs_health_port(service) && needs_health_port(old) {
            let have = old.at(&["spec", "healthCheckNodePort"]).clone();
            set_missing(service, &["spec", "healthCheckNodePort"], || have);
        }
    }
    drop_what_the_type_has_not(service, old);
    families(service);
}

fn keep_node_ports(service: &mut Value, old: &Value) {
    let handed_out = old.at(&["spec", "ports"]).clone();
    change(service, &["spec", "ports"], |port| {
        let same = handed_out
            .items()
            .iter()
            .find(|old| ["port", "protocol"].iter().all(|field| old.at(&[field]) == port.at(&[field])));
        if let Some(old) = same.filter(|_| port.at(&["nodePort"]).is_empty()) {
            let number = old.at(&["nodePort"]).clone();
            if !number.is_empty() {
                port.set(&["nodePort"], number);
            }
        }
    });
}

/// Leaves out what only the old type had, unless the update says something new of it: that is for validation to refuse.
fn drop_what_the_type_has_not(service: &mut Value, old: &Value) {
    let (new_kind, old_kind) = (Kind::of(service), Kind::of(old));
    let mut gone: Vec<&str> = Vec::new();
    if !new_kind.has_address() {
        gone.extend(["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]);
    }
    if old_kind.is_reached_from_outside() && !new_kind.is_reached_from_outside() {
        gone.push("externalTrafficPolicy");
    }
    if old_kind == Kind::LoadBalancer && new_kind != Kind::LoadBalancer {
        gone.extend(["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
    }
    if needs_health_port(old) && !needs_health_port(service) {
        gone.push("healthCheckNodePort");
    }
    for field in gone {
        let have = service.find(&["spec", field]);
        if have.is_some_and(|have| have.is_empty() || have == old.at(&["spec", field])) {
            service.remove(&["spec", field]);
        }
    }
    if needs_node_ports(old) && !needs_node_ports(service) {
        let numbers = |service: &Value| -> Vec<Value> {
            service.at(&["spec", "ports"]).items().iter().map(|port| port.at(&["nodePort"]).clone()).collect()
        };
        if numbers(service) == numbers(old) {
            change(service, &["spec", "ports"], |port| {
                if port.get("nodePort").is_some() {
                    port.remove(&["nodePort"]);
                }
            });
        }
    }
}
