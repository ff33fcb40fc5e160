//! The EndpointSlice controller: behind each service, where its pods can be reached.
//!
//! Knows: `pkg/controller/endpointslice` and `staging/src/k8s.io/endpointslice`.
//! Does not know: who reads the slices.

mod topology;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::client::{Client, Severity};
use super::{Controller, Next};
use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::memo::Memo;
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;

const CLIENT: Client = Client::controller("endpointslice-controller").telling_as("endpoint-slice-controller");
pub(super) const SLICES: &str = "endpointslices.discovery.k8s.io";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
const HEADLESS: &str = "service.kubernetes.io/headless";
pub(super) const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Of so many lists of endpoints it is kept from which pods they were made.
const LISTS_KEPT: usize = 1 << 10;

/// How many endpoints a slice holds at most.
const SLICE_SIZE: usize = 100;

/// The controller.
pub(super) struct EndpointSlices;

impl Controller for EndpointSlices {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        notice(cluster, change, look);
        if change.key.is(SLICES) {
            let slice = change.after.as_ref().or(change.before.as_ref());
            if let Some(service) = slice.filter(|slice| is_ours(slice)).and_then(|slice| slice.label(SERVICE_NAME)) {
                look(change.key.beside("services", service));
            }
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let Some(service) = cluster.get(key).cloned() else { return Next::Done };
        if !has_pods(&service) || service.is_terminating() {
            return Next::Done;
        }
        let families = service.at(&["spec", "ipFamilies"]).items();
        let families: Vec<String> = if families.is_empty() {
            vec!["IPv4".to_owned()]
        } else {
            families.iter().map(|family| family.str_or_empty().to_owned()).collect()
        };
        for family in &families {
            keep(cluster, &service, family);
        }
        // Slices of a family that the service no longer has.
        let past: Vec<ObjectKey> = cluster
            .slices(service.namespace(), service.name())
            .filter(|(_, slice)| {
                is_ours(slice) && !families.iter().any(|family| *slice.at(&["addressType"]) == *family.as_str())
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in past {
            let _ = CLIENT.delete(cluster, &key, &Deletion::default());
        }
        Next::Done
    }
}

/// Services whose pods changed in a way that shows in endpoints, and services that changed themselves.
pub(super) fn notice(cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
    match change.key.resource.as_str() {
        "services" => look(change.key.clone()),
        "pods" => {
            let (before, after) = (change.before.as_ref(), change.after.as_ref());
            if before.map(shown) == after.map(shown) {
                return;
            }
            let services = |pod: &Value| -> BTreeSet<ObjectKey> {
                cluster.selecting("services", &change.key.namespace, pod.labels()).map(|(key, _)| key.clone()).collect()
            };
            let mut behind = before.map(services).unwrap_or_default();
            if before.map(Value::labels) != after.map(Value::labels) {
                behind.extend(after.map(services).unwrap_or_default());
            }
            behind.into_iter().for_each(look);
        }
        _ => {}
    }
}

/// All of a pod that shows in its endpoint.
fn shown(pod: &Value) -> (Value, Value, bool, bool, bool, bool) {
    (
        pod.labels().clone(),
        pod.at(&["status", "podIPs"]).clone(),
        pod.at(&["spec", "nodeName"]).is_empty(),
        pod.is_terminating(),
        pod.condition_is_true("Ready"),
        matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed"),
    )
}

/// Whether a service has its pods found by a selector.
pub(super) fn has_pods(service: &Value) -> bool {
    !service.at(&["spec", "selector"]).is_empty() && service.at(&["spec", "type"]) != "ExternalName"
}

/// The pods behind a service that can be reached, or could.
pub(super) fn pods<'a>(cluster: &'a Cluster, service: &'a Value) -> impl Iterator<Item = &'a Value> {
    cluster.selected(service.namespace(), service.at(&["spec", "selector"])).map(|(_, pod)| pod).filter(|pod| {
        !pod.at(&["status", "podIP"]).is_empty()
            && !matches!(pod.at(&["status", "phase"]).str_or_empty(), "Succeeded" | "Failed")
    })
}

/// The ports of a service on one pod, names resolved.
pub(super) fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    let ports = service.at(&["spec", "ports"]).items().iter();
    ports
        .filter_map(|port| {
            let protocol = port.at(&["protocol"]).as_str().unwrap_or("TCP");
            let number = match port.at(&["targetPort"]) {
                Value::Int(number) if *number != 0 => *number,
                Value::String(name) if name.parse::<i64>().is_err() => named_port(pod, name, protocol)?,
                Value::String(number) => number.parse().ok()?,
                _ => port.at(&["port"]).as_int()?,
            };
            let mut found = doc!({
                "name": (port.at(&["name"]).str_or_empty()), "port": (number), "protocol": (protocol),
            });
            if let Some(application) = port.get("appProtocol") {
                found.set(&["appProtocol"], application);
            }
            Some(found)
        })
        .collect()
}

/// The ports that a pod's containers declare, those of its sidecars too: a list for each.
fn declared_ports(pod: &Value) -> impl Iterator<Item = &Value> {
    let sidecars =
        pod.at(&["spec", "initContainers"]).items().iter().filter(|one| one.at(&["restartPolicy"]) == "Always");
    pod.at(&["spec", "containers"]).items().iter().chain(sidecars).map(|one| one.at(&["ports"]))
}

fn named_port(pod: &Value, name: &str, protocol: &str) -> Option<i64> {
    let port = declared_ports(pod)
        .flat_map(Value::items)
        .find(|port| port.at(&["name"]) == name && port.at(&["protocol"]).as_str().unwrap_or("TCP") == protocol)?;
    port.at(&["containerPort"]).as_int()
}

/// The address of a pod in a family.
fn address<'a>(pod: &'a Value, family: &str) -> Option<&'a Value> {
    let ips = pod.at(&["status", "podIPs"]).items().iter().map(|entry| entry.at(&["ip"]));
    let mut ips = ips.chain([pod.at(&["status", "podIP"])]);
    ips.find(|ip| ip.as_str().is_some_and(|ip| ip.contains(':') == (family == "IPv6")))
}

/// Ready, serving, terminating.
fn conditions(service: &Value, pod: &Value) -> [bool; 3] {
    let (serving, terminating) = (pod.condition_is_true("Ready"), pod.is_terminating());
    let ready = service.at(&["spec", "publishNotReadyAddresses"]).is_true() || (serving && !terminating);
    [ready, serving, terminating]
}

/// Whether an endpoint that is there already is what [`endpoint`] would make, as far as that is easily told: nearly all are,
/// and to see it costs a fraction of making another. A node keeps its zone; if it does not, all its endpoints are made anew.
fn is_as_told(have: &Value, cluster: &Cluster, service: &Value, pod: &Value, family: &str) -> bool {
    let plain = [&["hostname"][..], &["hints"]].iter().all(|path| have.find(path).is_none())
        && pod.at(&["spec", "hostname"]).is_empty()
        && service.at(&["spec", "trafficDistribution"]).is_null();
    let (node, target, told) = (pod.at(&["spec", "nodeName"]), have.at(&["targetRef"]), have.at(&["conditions"]));
    let zone = match node.as_text() {
        Some(name) if !name.is_empty() => cluster.zone_of(name),
        _ => None,
    };
    plain
        && address(pod, family).is_some_and(|ip| matches!(have.at(&["addresses"]).items(), [only] if only == ip))
        && ["ready", "serving", "terminating"].map(|name| told.at(&[name]).as_bool())
            == conditions(service, pod).map(Some)
        && have.at(&["nodeName"]) == node
        && have.at(&["zone"]).as_str() == zone
        && *target.at(&["uid"]) == *pod.uid()
        && *target.at(&["name"]) == *pod.name()
        // Anything else is not ours to leave.
        && (told.entries().len(), target.entries().len()) == (3, 4)
        && have.entries().len() == 4 + usize::from(zone.is_some())
}

fn endpoint(cluster: &Cluster, service: &Value, pod: &Value, family: &str) -> Option<Value> {
    let ip = address(pod, family)?;
    let [ready, serving, terminating] = conditions(service, pod);
    let mut endpoint = doc!({
        "addresses": [(ip)],
        "conditions": {"ready": (ready), "serving": (serving), "terminating": (terminating)},
        "targetRef": {"kind": "Pod", "name": (pod.name()), "namespace": (pod.namespace()), "uid": (pod.uid())},
    });
    let hostname = pod.at(&["spec", "hostname"]);
    if !hostname.is_empty() && *pod.at(&["spec", "subdomain"]) == *service.name() {
        endpoint.set(&["hostname"], hostname);
    }
    if let Some(name) = pod.at(&["spec", "nodeName"]).as_text().filter(|name| !name.is_empty()) {
        endpoint.set(&["nodeName"], name);
        if let Some(zone) = cluster.zone_of(name) {
            endpoint.set(&["zone"], zone);
            let near = if topology::is_asked_for(service) {
                ""
            } else {
                service.at(&["spec", "trafficDistribution"]).str_or_empty()
            };
            if ready && matches!(near, "PreferClose" | "PreferSameZone" | "PreferSameNode") {
                endpoint.set(&["hints", "forZones"], doc!([{"name": (zone)}]));
            }
            if ready && near == "PreferSameNode" {
                endpoint.set(&["hints", "forNodes"], doc!([{"name": (name)}]));
            }
        }
    }
    Some(endpoint)
}

fn is_ours(slice: &Value) -> bool {
    slice.label(MANAGED_BY) == Some(MANAGER)
}

fn target(endpoint: &Value) -> &str {
    endpoint.at(&["targetRef", "uid"]).str_or_empty()
}

/// A pod that is to have an endpoint, and that endpoint if it is made already.
struct Wanted<'a> {
    pod: &'a Value,
    made: Option<Value>,
}

/// What is to be done about a service's slices of one address family.
#[derive(Default)]
struct Plan {
    /// Whether the service has the hints that it asks for, or why not.
    hinted: Option<Result<(), String>>,
    /// Slices that are to be otherwise than they are.
    changed: Vec<(ObjectKey, Value)>,
    /// Slices of which nothing is left.
    empty: Vec<(ObjectKey, Value)>,
    /// Ports and endpoints that have found no slice.
    left: Vec<(Value, Vec<Value>)>,
}

/// Brings a service's slices of one address family in step, and touches only those that are not.
fn keep(cluster: &mut Cluster, service: &Value, family: &str) {
    let Plan { hinted, changed, mut empty, left } = plan(cluster, service, family);
    if let Some(hinted) = hinted {
        tell(cluster, service, family, hinted);
    }
    for (key, slice) in changed {
        write(cluster, &key, slice);
    }
    for (ports, endpoints) in left {
        // A slice that lost its endpoints takes others before a new one is made.
        if let Some((key, mut slice)) = empty.pop() {
            slice.set(&["ports"], ports);
            slice.set(&["endpoints"], endpoints);
            label(&mut slice, service);
            write(cluster, &key, slice);
        } else {
            make(cluster, service, family, ports, endpoints);
        }
    }
    for (key, _) in empty {
        let _ = CLIENT.delete(cluster, &key, &Deletion::default());
    }
}

fn plan(cluster: &Cluster, service: &Value, family: &str) -> Plan {
    let mut plan = Plan::default();
    // What there should be: by ports (as JSON, which is a key), the endpoints by their pod's uid.
    let mut wanted: BTreeMap<String, (Value, BTreeMap<&str, Wanted<'_>>)> = BTreeMap::new();
    let mut last: Option<(Vec<&Value>, String, Value)> = None;
    for pod in pods(cluster, service).filter(|pod| address(pod, family).is_some()) {
        // Most pods of a service declare the same ports as the one before: they are resolved once.
        let declared = || declared_ports(pod);
        let (_, json, ports) = match &mut last {
            Some(same) if declared().eq(same.0.iter().copied()) => same,
            last => {
                let ports = ports(service, pod);
                // None at all is stored as `null`; compared as anything else, it would be written for ever.
                let ports = if ports.is_empty() { Value::Null } else { Value::from(ports) };
                last.insert((declared().collect(), ports.to_json(), ports))
            }
        };
        if !wanted.contains_key(json) {
            wanted.insert(json.clone(), (ports.clone(), BTreeMap::new()));
        }
        if let Some((_, group)) = wanted.get_mut(json) {
            group.insert(pod.uid(), Wanted { pod, made: None });
        }
    }
    if topology::is_asked_for(service) {
        let all = wanted.values_mut().flat_map(|(_, group)| group.values_mut());
        let mut made: Vec<&mut Value> = all
            .filter_map(|wanted| {
                wanted.made = endpoint(cluster, service, wanted.pod, family);
                wanted.made.as_mut()
            })
            .collect();
        plan.hinted = Some(topology::hint(cluster, &mut made));
    }
    let mine = cluster
        .slices(service.namespace(), service.name())
        .filter(|(_, slice)| is_ours(slice) && slice.at(&["addressType"]) == family && !slice.is_terminating());
    let nothing = wanted.is_empty();
    let make = |wanted: Wanted<'_>| wanted.made.or_else(|| endpoint(cluster, service, wanted.pod, family));
    let mut kept = 0_usize;
    for (key, slice) in mine {
        let mut new = slice.clone();
        match wanted.get_mut(&slice.at(&["ports"]).to_json()) {
            Some((_, group)) => fill(cluster, (service, family), &mut new, group, make),
            None => new.set(&["endpoints"], Value::Null),
        }
        // A slice without endpoints stays only where there are none at all.
        if new.at(&["endpoints"]).is_empty() && (!nothing || kept > 0) {
            plan.empty.push((key.clone(), new));
            continue;
        }
        kept += 1;
        if nothing {
            new.set(&["ports"], Value::Null);
        }
        label(&mut new, service);
        // An empty list and none are the same to readers: no reason to write.
        if new.at(&["endpoints"]).is_empty() && slice.at(&["endpoints"]).is_empty() {
            new.set(&["endpoints"], slice.at(&["endpoints"]));
            new.set(&["ports"], slice.at(&["ports"]));
        }
        if new != *slice {
            plan.changed.push((key.clone(), new));
        }
    }
    for (ports, group) in wanted.into_values() {
        let endpoints: Vec<Value> = group.into_values().filter_map(make).collect();
        plan.left.extend(endpoints.chunks(SLICE_SIZE).map(|chunk| (ports.clone(), chunk.to_vec())));
    }
    if nothing && kept == 0 {
        plan.left.push((Value::Null, Vec::new()));
    }
    plan
}

/// Tells people whether a service that asks for hints has them.
fn tell(cluster: &mut Cluster, service: &Value, family: &str, hinted: Result<(), String>) {
    let (severity, reason, why) = match hinted {
        Ok(()) => (Severity::Normal, "TopologyAwareHintsEnabled", "Topology Aware Hints has been enabled".to_owned()),
        Err(why) => (Severity::Warning, "TopologyAwareHintsDisabled", why),
    };
    let message = format!("{why}, addressType: {family}");
    CLIENT.event_once(cluster, service, severity, reason, &message);
}

fn write(cluster: &mut Cluster, key: &ObjectKey, new: Value) {
    let now = time::format(cluster.now());
    let _ = CLIENT.update(cluster, key, |slice| {
        *slice = new;
        slice.set(&["metadata", "annotations", TRIGGER], now);
    });
}

/// From which pods a list of endpoints was made, and for which service.
struct Origin {
    service: Value,
    pods: Vec<Value>,
}

/// Updates the endpoints of a slice, drops those that are gone, and adds as many new ones as there is room for. What
/// found its place is taken out of `group`; what is as it should be stays as it is.
fn fill<'a>(
    cluster: &Cluster,
    (service, family): (&Value, &str),
    slice: &mut Value,
    group: &mut BTreeMap<&'a str, Wanted<'a>>,
    make: impl Fn(Wanted<'a>) -> Option<Value>,
) {
    thread_local! {
        /// Of a service's pods one changes at a time: an endpoint made from the very same pod is as it was.
        static ORIGINS: Memo<Rc<Origin>> = const { Memo::of(LISTS_KEPT) };
    }
    let have = slice.at(&["endpoints"]).clone();
    let known = (cluster.scheduling.faces(), 0, u8::from(family == "IPv6"));
    let origin = ORIGINS.with(|memo| memo.recall(known, &have)).filter(|origin| origin.service.same(service));
    let made_from =
        |at: usize, pod: &Value| origin.as_ref().and_then(|of| of.pods.get(at)).is_some_and(|of| of.same(pod));
    let mut changed = false;
    let mut endpoints: Vec<Value> = Vec::with_capacity(SLICE_SIZE);
    let mut pods: Vec<Value> = Vec::with_capacity(SLICE_SIZE);
    for (at, have) in have.items().iter().enumerate() {
        let Some(wanted) = group.remove(target(have)) else {
            changed = true;
            continue;
        };
        let pod = wanted.pod;
        let stays = made_from(at, pod) || is_as_told(have, cluster, service, pod, family);
        let endpoint = if wanted.made.is_none() && stays { Some(have.clone()) } else { make(wanted) };
        changed |= endpoint.as_ref() != Some(have);
        pods.extend(endpoint.is_some().then(|| pod.clone()));
        endpoints.extend(endpoint);
    }
    while endpoints.len() < SLICE_SIZE
        && let Some((_, next)) = group.pop_first()
    {
        pods.push(next.pod.clone());
        endpoints.extend(make(next));
        changed = true;
    }
    if changed {
        slice.set(&["endpoints"], endpoints);
    }
    if !pods.is_empty() && (changed || origin.is_none()) {
        let origin = Rc::new(Origin { service: service.clone(), pods });
        ORIGINS.with(|memo| memo.keep(known, slice.at(&["endpoints"]), origin));
    }
}

/// The labels that a slice takes from its service, and those that say whose it is.
fn label(slice: &mut Value, service: &Value) {
    let mut labels = service.labels().clone();
    labels.object().retain(|key, _| key != MANAGED_BY && key != SERVICE_NAME && key != HEADLESS);
    labels.set(&[MANAGED_BY], MANAGER);
    labels.set(&[SERVICE_NAME], service.name());
    if service.at(&["spec", "clusterIP"]) == "None" {
        labels.set(&[HEADLESS], "");
    }
    if *slice.labels() != labels {
        slice.set(&["metadata", "labels"], labels);
    }
}

fn make(cluster: &mut Cluster, service: &Value, family: &str, ports: Value, endpoints: Vec<Value>) {
    let mut slice = doc!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": (family),
        "endpoints": null, "ports": (ports),
        "metadata": {
            "generateName": (format!("{}-", service.name())), "namespace": (service.namespace()),
            "annotations": {(TRIGGER): (time::format(cluster.now()))},
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Service", "name": (service.name()), "uid": (service.uid()),
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
    });
    if !endpoints.is_empty() {
        slice.set(&["endpoints"], endpoints);
    }
    label(&mut slice, service);
    let _ = CLIENT.create(cluster, SLICES, slice);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, create, delete, edit, pod, story};

    /// Each endpoint's pod with `r`eady, `s`erving, `t`erminating, and the ports.
    fn line(slice: &Value) -> String {
        let flag = |endpoint: &Value, name: &str| {
            if endpoint.at(&["conditions", name]).is_true() { name.get(..1).unwrap_or("") } else { "" }.to_owned()
        };
        let endpoints = slice.at(&["endpoints"]).items().iter().map(|endpoint| {
            let flags = ["ready", "serving", "terminating"].map(|name| flag(endpoint, name)).concat();
            format!("{} {flags}", endpoint.at(&["targetRef", "name"]).str_or_empty())
        });
        let ports = slice.at(&["ports"]).items().iter().map(|port| format!(":{}", port.at(&["port"])));
        format!("{}{}", endpoints.collect::<Vec<_>>().join(", "), ports.collect::<String>())
    }

    fn said(cluster: &mut Cluster, seconds: u64) -> Vec<String> {
        let lines = story(cluster, seconds, SLICES, line);
        let bare = |line: &String| {
            let (at, rest) = line.split_once(' ')?;
            Some(format!("{at} {}", rest.split_once(": ")?.1))
        };
        lines.iter().filter_map(bare).collect()
    }

    fn shop() -> Cluster {
        let mut cluster = cluster(&["4"]);
        create(
            &mut cluster,
            "services",
            doc!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
            }),
        );
        cluster
    }

    fn web(name: &str, port: i64) -> Value {
        let mut pod = pod(name);
        pod.set(&["metadata", "labels"], doc!({"app": "web"}));
        let ports = doc!([{"name": "http", "containerPort": (port)}]);
        pod.set(&["spec", "containers"], doc!([{"name": "app", "image": "app:1", "ports": (ports)}]));
        pod
    }

    #[test]
    fn a_slice_follows_its_pods_from_nothing_to_ready_to_terminating_to_gone() {
        let mut cluster = shop();
        assert_eq!(said(&mut cluster, 1), ["0 "]);
        create(&mut cluster, "pods", web("a", 8080));
        assert_eq!(said(&mut cluster, 9), ["1800 a rs:8080"]);
        delete(&mut cluster, "pods", "shop", "a", None);
        assert_eq!(said(&mut cluster, 9), ["10000 a st:8080", "10300 "]);
        assert_eq!(cluster.next_due(), None);
    }

    #[test]
    fn pods_whose_named_ports_differ_stand_in_slices_of_their_own() {
        let mut cluster = shop();
        create(&mut cluster, "pods", web("a", 8080));
        create(&mut cluster, "pods", web("b", 9090));
        said(&mut cluster, 9);
        let mut slices: Vec<String> = cluster.list(SLICES, Some("shop")).map(|(_, slice)| line(slice)).collect();
        slices.sort();
        assert_eq!(slices, ["a rs:8080", "b rs:9090"]);
    }

    #[test]
    fn a_service_without_ports_comes_to_rest() {
        let mut cluster = cluster(&["4"]);
        create(
            &mut cluster,
            "services",
            doc!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"clusterIP": "None", "selector": {"app": "web"}},
            }),
        );
        create(&mut cluster, "pods", web("a", 8080));
        assert_eq!(said(&mut cluster, 9), ["0 ", "800 a rs"]);
        assert_eq!(cluster.next_due(), None);
    }

    #[test]
    fn what_does_not_show_in_a_slice_writes_none() {
        let mut cluster = shop();
        create(&mut cluster, "pods", web("a", 8080));
        said(&mut cluster, 9);
        edit(&mut cluster, "pods", "shop", "a", |pod| pod.set(&["metadata", "annotations", "x"], "y"));
        assert!(said(&mut cluster, 9).is_empty());
    }

    #[test]
    fn a_new_service_has_endpoints_too_and_a_snapshot_without_them_gets_none() {
        let mut cluster = shop();
        create(&mut cluster, "pods", web("a", 8080));
        said(&mut cluster, 9);
        let key = ObjectKey::new("endpoints", "shop", "web");
        let subsets = cluster.get(&key).map(|found| found.at(&["subsets"]).clone()).unwrap_or_default();
        assert_eq!(subsets.items().len(), 1);
        // As a snapshot without Endpoints: loaded, and nobody told.
        let objects: Vec<(ObjectKey, Value)> = cluster
            .objects()
            .map(|(key, object)| (key.clone(), object.clone()))
            .filter(|(have, _)| *have != key)
            .collect();
        let mut again = Cluster::new(cluster.schema.clone(), cluster.now(), 1);
        for (key, object) in objects {
            again.load(key, object);
        }
        create(&mut again, "pods", web("b", 8080));
        again.advance(again.now() + std::time::Duration::from_secs(9));
        assert_eq!(again.get(&key), None);
    }
}
