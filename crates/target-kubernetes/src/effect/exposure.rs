//! What the outside reaches that it did not reach, and what others were let into by their address, label or name.
//!
//! Knows: Services' types, source ranges, ports and traffic policies, and which class serves an Ingress.
//! Does not know: firewalls, or what a cloud makes of an annotation it does not name here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cluster::{Cluster, ObjectKey, Value, labels};
use model::{Flow, Forecast, HazardKind, ObjectRef};

use super::availability::ready_in;
use super::ledger::{Ledger, Net, reference};
use super::{templates, warn};

const INGRESSES: &str = "ingresses.networking.k8s.io";
const CLASSES: &str = "ingressclasses.networking.k8s.io";

/// What clouds call a load balancer that only their own network reaches.
const INTERNAL: &[(&str, &[&str])] = &[
    ("networking.gke.io/load-balancer-type", &["Internal"]),
    ("cloud.google.com/load-balancer-type", &["Internal"]),
    ("service.beta.kubernetes.io/aws-load-balancer-internal", &["true", "0.0.0.0/0"]),
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", &["internal"]),
    ("service.beta.kubernetes.io/azure-load-balancer-internal", &["true"]),
    ("service.beta.kubernetes.io/oci-load-balancer-internal", &["true"]),
    ("service.kubernetes.io/qcloud-loadbalancer-internal", &["true"]),
];

/// Fills in what opens to the outside, and what is no longer found where it was.
pub(super) fn read(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.of("services") {
        let Some(after) = net.after.filter(|after| !net.is_deletion() && !after.is_terminating()) else {
            if let Some(after) = net.after.filter(|after| !after.is_terminating()) {
                opens(ledger, key, net, after, forecast);
            }
            continue;
        };
        opens(ledger, key, net, after, forecast);
        if let Some(before) = net.before {
            given_up(ledger, key, before, after, forecast);
            nearby(ledger, key, before, after, forecast);
        }
    }
    for (key, net) in ledger.of(INGRESSES) {
        unserved_class(ledger, key, net, forecast);
    }
}

/// Where a Service lets the outside in from; nobody if it does not.
fn sources(service: &Value) -> Vec<String> {
    let internal = INTERNAL.iter().any(|(note, says)| {
        service.annotation(note).is_some_and(|said| says.iter().any(|one| said.eq_ignore_ascii_case(one)))
    });
    let ranges: Vec<String> = service
        .at(&["spec", "loadBalancerSourceRanges"])
        .items()
        .iter()
        .map(|one| one.str_or_empty().to_owned())
        .collect();
    match service.at(&["spec", "type"]).str_or_empty() {
        "LoadBalancer" if internal => Vec::new(),
        "LoadBalancer" if !ranges.is_empty() => ranges,
        "LoadBalancer" | "NodePort" => vec!["0.0.0.0/0".into()],
        _ => Vec::new(),
    }
}

/// A block of addresses: the address, and how many of its bits count.
fn block(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/')?;
    Some((address.trim().parse().ok()?, bits.trim().parse().ok()?))
}

/// Whether one block lies within another. What is no block lies nowhere.
fn within(inner: &str, outer: &str) -> bool {
    let (Some((inner, long)), Some((outer, short))) = (block(inner), block(outer)) else { return inner == outer };
    let same = |one: u128, other: u128, width: u32| {
        let shift = width.saturating_sub(short);
        one.checked_shr(shift).unwrap_or(0) == other.checked_shr(shift).unwrap_or(0)
    };
    long >= short
        && match (inner, outer) {
            (IpAddr::V4(one), IpAddr::V4(other)) => same(u32::from(one).into(), u32::from(other).into(), 32),
            (IpAddr::V6(one), IpAddr::V6(other)) => same(one.into(), other.into(), 128),
            _ => false,
        }
}

/// Networks that nobody outside is in.
fn is_private(range: &str) -> bool {
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"].iter().any(|own| within(range, own))
}

/// Pods that the outside reaches through a Service, and did not.
fn opens(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, after: &Value, forecast: &mut Forecast) {
    let selector = after.at(&["spec", "selector"]);
    let had = net.before.map(sources).unwrap_or_default();
    let new: Vec<String> = sources(after)
        .into_iter()
        .filter(|range| !is_private(range) && !had.iter().any(|known| within(range, known)))
        .collect();
    if new.is_empty() || selector.is_empty() {
        return;
    }
    for (owner, object, template) in templates::workloads(ledger.after, Some(&key.namespace)) {
        if !labels::matches_map(selector, template.labels()) || is_public(ledger.before, owner, template) {
            continue;
        }
        for port in after.at(&["spec", "ports"]).items() {
            let on = port.at(&["targetPort"]).as_int().or_else(|| port.at(&["port"]).as_int()).unwrap_or_default();
            let protocol = port.at(&["protocol"]).as_str().unwrap_or("TCP").to_ascii_lowercase();
            forecast.reach.opened.sure.insert(Flow {
                from: if new.iter().any(|range| range.ends_with("/0")) { "anywhere".into() } else { new.join(", ") },
                to: reference(owner, object).to_string(),
                on: format!("{protocol}/{on}"),
                outside: true,
                foreign: true,
            });
        }
    }
}

/// Whether anybody outside reaches a workload's pods already.
fn is_public(cluster: &Cluster, owner: &ObjectKey, template: &Value) -> bool {
    templates::services_of(cluster, &owner.namespace, template).any(|(service, object)| {
        sources(object).iter().any(|range| range.ends_with("/0")) || routes_to(cluster, service)
    })
}

fn routes_to(cluster: &Cluster, service: &ObjectKey) -> bool {
    cluster.list(INGRESSES, Some(&service.namespace)).any(|(_, ingress)| {
        let mut paths =
            ingress.at(&["spec", "rules"]).items().iter().flat_map(|rule| rule.at(&["http", "paths"]).items());
        paths.any(|path| *path.at(&["backend", "service", "name"]) == *service.name)
    })
}

/// Addresses and ports that clients know, and that lead nowhere any more.
fn given_up(ledger: &Ledger<'_>, key: &ObjectKey, before: &Value, after: &Value, forecast: &mut Forecast) {
    if ready_in(ledger.before, &key.namespace, &key.name) == 0 {
        return;
    }
    let balanced = |service: &Value| service.at(&["spec", "type"]) == "LoadBalancer";
    if balanced(before) && !balanced(after) {
        let because = "whoever comes by its load balancer would find it gone".to_owned();
        warn(forecast, HazardKind::Misrouted, reference(key, after), because);
    }
    let ports = |service: &Value, field: &str| -> BTreeSet<i64> {
        service
            .at(&["spec", "ports"])
            .items()
            .iter()
            .filter_map(|port| port.at(&[field]).as_int())
            .filter(|n| *n > 0)
            .collect()
    };
    for (field, called) in [("port", "port"), ("nodePort", "machines' port")] {
        // A Service that gives up its type gives up the ports on machines with it: said above, or nobody's loss.
        let kept = ports(after, field);
        if field == "nodePort" && (kept.is_empty() || before.at(&["spec", "type"]) != after.at(&["spec", "type"])) {
            continue;
        }
        for port in ports(before, field).difference(&kept) {
            let because = format!("whoever asks for its {called} {port} would find nobody");
            warn(forecast, HazardKind::Hollow, reference(key, after), because);
        }
    }
}

/// Only pods on the caller's own machine answer, and there are machines with callers and none of them.
fn nearby(ledger: &Ledger<'_>, key: &ObjectKey, before: &Value, after: &Value, forecast: &mut Forecast) {
    let local = |service: &Value| service.at(&["spec", "internalTrafficPolicy"]) == "Local";
    if local(before) || !local(after) {
        return;
    }
    let selector = after.at(&["spec", "selector"]);
    let answers: BTreeSet<&str> = ledger
        .after
        .list("pods", Some(&key.namespace))
        .filter(|(_, pod)| !selector.is_empty() && labels::matches_map(selector, pod.labels()))
        .map(|(_, pod)| pod.at(&["spec", "nodeName"]).str_or_empty())
        .collect();
    let calls = |pod: &Value| !pod.at(&["spec", "nodeName"]).is_empty() && !labels::matches_map(selector, pod.labels());
    let without: BTreeSet<&str> = ledger
        .after
        .list("pods", None)
        .filter(|(_, pod)| calls(pod))
        .map(|(_, pod)| pod.at(&["spec", "nodeName"]).str_or_empty())
        .filter(|node| !answers.contains(node))
        .collect();
    if !without.is_empty() {
        let because =
            format!("callers on {} machines would find nobody, as only their own machine is asked", without.len());
        warn(forecast, HazardKind::Hollow, reference(key, after), because);
    }
}

/// An Ingress that is handed to another class: to one that nobody serves, or to other addresses than are known.
fn unserved_class(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let (Some(before), Some(after)) = (net.before, net.after) else { return };
    let class = |ingress: &Value| {
        let own = ingress.at(&["spec", "ingressClassName"]).as_str().map(str::to_owned);
        own.or_else(|| ingress.annotation("kubernetes.io/ingress.class").map(str::to_owned))
    };
    let (was, is) = (class(before), class(after));
    if was == is || after.is_terminating() {
        return;
    }
    let controller = |name: &Option<String>| {
        let name = name.as_ref()?;
        let object = ledger.after.get(&ObjectKey::new(CLASSES, "", name.as_str()))?;
        Some(object.at(&["spec", "controller"]).str_or_empty().to_owned())
    };
    if controller(&was).is_some() && controller(&was) == controller(&is) {
        return;
    }
    let because = match &is {
        Some(name) => {
            format!("it would be served by {name}, or by nobody, and no longer where its clients look for it")
        }
        None => "nobody would serve it any more".to_owned(),
    };
    let object: ObjectRef = reference(key, after);
    warn(forecast, HazardKind::Misrouted, object, because);
}
