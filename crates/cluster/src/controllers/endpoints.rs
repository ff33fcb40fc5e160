//! The Endpoints controller: the old form of endpoint slices, one object a service.
//!
//! Knows: `pkg/controller/endpoint`.
//! Does not know: slices, but for what a snapshot without Endpoints looks like.

use std::collections::BTreeMap;

use super::client::Client;
use super::endpointslice::{has_pods, notice, pods, ports};
use super::{Controller, Next};
use crate::apiserver::registry::Deletion;
use crate::cluster::{Change, Cluster};
use crate::doc;
use crate::object::ObjectKey;
use crate::time;
use crate::value::Value;

const CLIENT: Client = Client::controller("endpoint-controller");
const HEADLESS: &str = "service.kubernetes.io/headless";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The controller. It stands before the one for slices: whoever finds slices but no Endpoints knows that the snapshot had
/// none, and does not make any up.
pub(super) struct Endpoints;

impl Controller for Endpoints {
    fn name(&self) -> &'static str {
        CLIENT.name
    }

    fn notice(&self, cluster: &Cluster, change: &Change, look: &mut dyn FnMut(ObjectKey)) {
        notice(cluster, change, look);
        // Someone took them away: they come back, slices or not. That is what this key says.
        if change.key.is("endpoints") && change.after.is_none() {
            look(change.key.clone());
        }
    }

    fn reconcile(&self, cluster: &mut Cluster, key: &ObjectKey) -> Next {
        let (service, place) = (key.beside("services", &*key.name), key.beside("endpoints", &*key.name));
        let old = cluster.get(&place).cloned();
        let Some(service) = cluster.get(&service).cloned() else {
            if old.is_some_and(|old| old.label(MANAGED_BY).is_some()) {
                let _ = CLIENT.delete(cluster, &place, &Deletion::default());
            }
            return Next::Done;
        };
        if !has_pods(&service) || service.is_terminating() {
            return Next::Done;
        }
        let sliced = cluster.dependents(service.uid()).next().is_some();
        if old.is_none() && sliced && key.is("services") {
            return Next::Done;
        }
        let new = wanted(cluster, &service, old.as_ref());
        match old {
            None => {
                let _ = CLIENT.create(cluster, "endpoints", new);
            }
            Some(old) if old != new => {
                let now = time::format(cluster.now());
                let _ = CLIENT.update(cluster, &place, |endpoints| {
                    *endpoints = new;
                    endpoints.set(&["metadata", "annotations", TRIGGER], now);
                });
            }
            Some(_) => {}
        }
        Next::Done
    }
}

/// What should be there, given what is.
fn wanted(cluster: &Cluster, service: &Value, old: Option<&Value>) -> Value {
    let mut new = old.cloned().unwrap_or_else(|| {
        doc!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": {
                "name": (service.name()), "namespace": (service.namespace()),
                "annotations": {(TRIGGER): (time::format(cluster.now()))},
            },
        })
    });
    let mut labels = service.labels().clone();
    labels.set(&[MANAGED_BY], "endpoint-controller");
    if service.at(&["spec", "clusterIP"]) == "None" {
        labels.set(&[HEADLESS], "");
    } else {
        labels.remove(&[HEADLESS]);
    }
    if *new.labels() != labels {
        new.set(&["metadata", "labels"], labels);
    }
    let subsets = subsets(cluster, service);
    if subsets.is_empty() {
        if new.find(&["subsets"]).is_some() {
            new.remove(&["subsets"]);
        }
    } else {
        new.set(&["subsets"], subsets);
    }
    new
}

/// Pods with the same ports.
#[derive(Default)]
struct Group {
    ready: Vec<Value>,
    unready: Vec<Value>,
    ports: Vec<Value>,
}

fn subsets(cluster: &Cluster, service: &Value) -> Vec<Value> {
    let early = service.at(&["spec", "publishNotReadyAddresses"]).is_true();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for pod in pods(cluster, service) {
        if pod.is_terminating() && !early {
            continue;
        }
        let mut ports = ports(service, pod);
        for port in &mut ports {
            if port.at(&["name"]).is_empty() {
                port.remove(&["name"]);
            }
        }
        if ports.is_empty() && !service.at(&["spec", "ports"]).is_empty() {
            continue;
        }
        let mut address = doc!({
            "ip": (pod.at(&["status", "podIP"])), "nodeName": (pod.at(&["spec", "nodeName"])),
            "targetRef": {"kind": "Pod", "name": (pod.name()), "namespace": (pod.namespace()), "uid": (pod.uid())},
        });
        let hostname = pod.at(&["spec", "hostname"]);
        if !hostname.is_empty() && *pod.at(&["spec", "subdomain"]) == *service.name() {
            address.set(&["hostname"], hostname);
        }
        let group = groups.entry(Value::from(ports.clone()).to_json()).or_default();
        group.ports = ports;
        if early || pod.condition_is_true("Ready") { group.ready.push(address) } else { group.unready.push(address) }
    }
    groups
        .into_values()
        .map(|Group { ready, unready, ports }| {
            let mut subset = doc!({});
            for (field, mut list) in [("addresses", ready), ("notReadyAddresses", unready), ("ports", ports)] {
                if field != "ports" {
                    list.sort_by_key(|address| address.at(&["targetRef", "uid"]).str_or_empty().to_owned());
                }
                if !list.is_empty() {
                    subset.set(&[field], list);
                }
            }
            subset
        })
        .collect()
}
