//! The EndpointSlice mirroring controller: Endpoints that people wrote for a service without pods, shown as slices.
//!
//! Knows: `pkg/controller/endpointslicemirroring`. Whoever reads services today reads slices alone.
//! Does not know: the Endpoints that the Endpoints controller writes; behind those stand slices already.

use std::collections::BTreeMap;

use super::client::Client;
use super::endpointslice::{MANAGED_BY, SERVICE_NAME, SLICES, TRIGGER};
use super::{Controller, Next};
use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::value::Value;

const CLIENT: Client =
    Client::controller("endpointslicemirroring-controller").telling_as("endpoint-slice-mirroring-controller");
const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// Endpoints with this label are nobody's business but their writer's.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Endpoints that are no endpoints, but a lock among the replicas of some program.
const LOCK: &str = "control-plane.alpha.kubernetes.io/leader";
/// How many addresses of a subset are shown; the others are left out.
const SHOWN_MAX: usize = 1000;
const NOT_COPIED: &[&str] = &[TRIGGER, "kubectl.kubernetes.io/last-applied-configuration"];

/// The controller.
pub(super) struct Mirrors;

impl Controller for Mirrors {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        let key = &change.key;
        let endpoints = |name: &str| key.beside("endpoints", name);
        let either = change.after.as_ref().or(change.before.as_ref());
        match key.resource.as_str() {
            "endpoints" => look(key.clone()),
            "services" if cluster.get(&endpoints(&key.name)).is_some() => look(endpoints(&key.name)),
            SLICES => {
                let mirror = either.filter(|slice| is_mirror(slice)).and_then(|slice| slice.label(SERVICE_NAME));
                if let Some(name) = mirror {
                    look(endpoints(name));
                }
            }
            _ => {}
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let mirrored = cluster.get(key).filter(|endpoints| is_mirrored(cluster, key, endpoints)).cloned();
        let have: Vec<(ObjectKey, Value)> = cluster
            .slices(&key.namespace, &key.name)
            .filter(|(_, slice)| is_mirror(slice) && !slice.is_terminating())
            .map(|(key, slice)| (key.clone(), slice.clone()))
            .collect();
        match mirrored {
            Some(endpoints) => keep(cluster, &endpoints, have),
            None => drop(cluster, have),
        }
        Next::Done
    }
}

fn is_mirror(slice: &Value) -> bool {
    slice.label(MANAGED_BY) == Some(MANAGER)
}

/// Whether someone wrote these for a service that finds no pods by itself.
fn is_mirrored(cluster: &Cluster, key: &ObjectKey, endpoints: &Value) -> bool {
    let service = cluster.get(&key.beside("services", &*key.name));
    !endpoints.is_terminating()
        && endpoints.label(SKIP) != Some("true")
        && endpoints.annotation(LOCK).is_none()
        && service.is_some_and(|service| service.at(&["spec", "selector"]).is_empty())
}

fn drop(cluster: &mut Cluster, slices: Vec<(ObjectKey, Value)>) {
    for (key, _) in slices {
        let _ = CLIENT.delete(cluster, &key, &Deletion::default());
    }
}

/// The slices that should be: endpoints by address family and ports (as JSON, which is a key).
fn wanted(endpoints: &Value) -> BTreeMap<(&'static str, String), (Value, Vec<Value>)> {
    let mut wanted: BTreeMap<_, (Value, Vec<Value>)> = BTreeMap::new();
    for subset in endpoints.at(&["subsets"]).items() {
        let ports: Vec<Value> = subset.at(&["ports"]).items().iter().map(port).collect();
        let ports = Value::from(ports);
        let of = |field: &str, ready: bool| {
            subset.at(&[field]).items().iter().map(move |address| endpoint(address, ready)).collect::<Vec<_>>()
        };
        for endpoint in of("addresses", true).into_iter().chain(of("notReadyAddresses", false)).take(SHOWN_MAX) {
            let is_six = endpoint.at(&["addresses"]).items().iter().any(|ip| ip.str_or_empty().contains(':'));
            let family = if is_six { "IPv6" } else { "IPv4" };
            let group = wanted.entry((family, ports.to_json())).or_insert_with(|| (ports.clone(), Vec::new()));
            group.1.push(endpoint);
        }
    }
    if wanted.is_empty() {
        wanted.insert(("IPv4", String::new()), (Value::from(Vec::new()), Vec::new()));
    }
    wanted
}

fn port(port: &Value) -> Value {
    let mut shown = doc!({
        "name": (port.at(&["name"]).str_or_empty()), "port": (port.at(&["port"])),
        "protocol": (port.at(&["protocol"]).as_str().unwrap_or("TCP")),
    });
    if let Some(application) = port.get("appProtocol") {
        shown.set(&["appProtocol"], application);
    }
    shown
}

fn endpoint(address: &Value, ready: bool) -> Value {
    let mut endpoint = doc!({"addresses": [(address.at(&["ip"]))], "conditions": {"ready": (ready)}});
    for field in ["hostname", "nodeName", "targetRef"] {
        if let Some(value) = address.get(field).filter(|value| !value.is_empty()) {
            endpoint.set(&[field], value);
        }
    }
    endpoint
}

/// Brings the slices of some Endpoints in step, and touches only those that are not.
fn keep(cluster: &mut Cluster, endpoints: &Value, have: Vec<(ObjectKey, Value)>) {
    let mut wanted = wanted(endpoints);
    let mut left_over = Vec::new();
    for (key, slice) in have {
        let ports = slice.at(&["ports"]);
        let place = wanted
            .iter()
            .find(|((family, _), (wanted, _))| slice.at(&["addressType"]) == *family && same_list(ports, wanted))
            .map(|(place, _)| place.clone());
        let Some((_, listed)) = place.and_then(|place| wanted.remove(&place)) else {
            left_over.push((key, slice));
            continue;
        };
        let _ = CLIENT.update(cluster, &key, |slice| {
            let listed = Value::from(listed);
            if !same_list(slice.at(&["endpoints"]), &listed) {
                slice.set(&["endpoints"], listed);
            }
            mark(slice, endpoints);
        });
    }
    for ((family, _), (ports, listed)) in wanted {
        let mut slice = doc!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": (family),
            "endpoints": (listed), "ports": (ports),
            "metadata": {
                "generateName": (format!("{}-", endpoints.name())), "namespace": (endpoints.namespace()),
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Endpoints", "name": (endpoints.name()), "uid": (endpoints.uid()),
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
        });
        mark(&mut slice, endpoints);
        let _ = CLIENT.create(cluster, SLICES, slice);
    }
    drop(cluster, left_over);
}

/// An empty list and none are the same to readers: no reason to write.
fn same_list(one: &Value, two: &Value) -> bool {
    (one.is_empty() && two.is_empty()) || one == two
}

/// The labels and annotations of a slice are those of the Endpoints, and what says whose it is.
fn mark(slice: &mut Value, endpoints: &Value) {
    let mut labels = endpoints.labels().clone();
    labels.set(&[SERVICE_NAME], endpoints.name());
    labels.set(&[MANAGED_BY], MANAGER);
    if *slice.labels() != labels {
        slice.set(&["metadata", "labels"], labels);
    }
    let mut annotations = endpoints.at(&["metadata", "annotations"]).clone();
    if !annotations.is_empty() {
        annotations.object().retain(|key, _| !NOT_COPIED.contains(&key));
    }
    if annotations.is_empty() {
        if slice.find(&["metadata", "annotations"]).is_some() {
            slice.remove(&["metadata", "annotations"]);
        }
    } else if *slice.at(&["metadata", "annotations"]) != annotations {
        slice.set(&["metadata", "annotations"], annotations);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster, create, delete, edit, story};

    /// Family, addresses (`-` before one that is not ready) and ports.
    fn line(slice: &Value) -> String {
        let addresses = slice.at(&["endpoints"]).items().iter().map(|endpoint| {
            let ready = endpoint.at(&["conditions", "ready"]).is_true();
            let ip = endpoint.at(&["addresses"]).items().first().map_or("", Value::str_or_empty);
            format!("{}{ip}", if ready { "" } else { "-" })
        });
        let ports = slice.at(&["ports"]).items().iter().map(|port| format!(":{}", port.at(&["port"])));
        let family = slice.at(&["addressType"]).str_or_empty();
        format!("{family} {}{}", addresses.collect::<Vec<_>>().join(" "), ports.collect::<String>())
    }

    fn said(cluster: &mut Cluster) -> Vec<String> {
        let lines = story(cluster, 5, SLICES, line);
        let mut said: Vec<String> = lines.iter().filter_map(|line| Some(line.split_once(": ")?.1.to_owned())).collect();
        said.sort();
        said
    }

    fn service(selector: Value) -> Value {
        doc!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "ext", "namespace": "shop"},
            "spec": {"selector": (selector), "ports": [{"port": 80}]},
        })
    }

    fn endpoints(labels: Value) -> Value {
        doc!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {"name": "ext", "namespace": "shop", "labels": (labels)},
            "subsets": [{
                "addresses": [{"ip": "192.0.2.7"}, {"ip": "2001:db8::7"}], "notReadyAddresses": [{"ip": "192.0.2.9"}],
                "ports": [{"port": 80}],
            }],
        })
    }

    #[test]
    fn endpoints_written_by_hand_show_as_a_slice_of_each_family_for_as_long_as_they_stand() {
        let mut cluster = cluster(&[]);
        create(&mut cluster, "services", service(doc!({})));
        create(&mut cluster, "endpoints", endpoints(doc!({})));
        assert_eq!(said(&mut cluster), ["IPv4 192.0.2.7 -192.0.2.9:80", "IPv6 2001:db8::7:80"]);
        edit(&mut cluster, "endpoints", "shop", "ext", |endpoints| {
            endpoints.set(&["subsets"], doc!([{"addresses": [{"ip": "192.0.2.8"}], "ports": [{"port": 80}]}]));
        });
        assert_eq!(said(&mut cluster), ["IPv4 192.0.2.8:80", "gone"]);
        edit(&mut cluster, "endpoints", "shop", "ext", |endpoints| {
            endpoints.set(&["metadata", "annotations", "a"], "b")
        });
        assert_eq!(said(&mut cluster).len(), 1, "what was said of them is copied");
        delete(&mut cluster, "endpoints", "shop", "ext", None);
        assert_eq!(said(&mut cluster), ["gone"]);
        assert_eq!(cluster.next_due(), None);
    }

    #[test]
    fn endpoints_that_nobody_should_mirror_are_left_alone() {
        for (selector, labels) in [(doc!({"app": "web"}), doc!({})), (doc!({}), doc!({SKIP: "true"}))] {
            let mut cluster = cluster(&[]);
            create(&mut cluster, "services", service(selector));
            create(&mut cluster, "endpoints", endpoints(labels));
            story(&mut cluster, 5, SLICES, line);
            assert!(cluster.list(SLICES, Some("shop")).all(|(_, slice)| !is_mirror(slice)));
        }
    }
}
