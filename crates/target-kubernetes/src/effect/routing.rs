//! Where requests go: to other pods, to other hosts, to nobody.
//!
//! Knows: what Services select and name, which pods their slices list, which host and path an Ingress claims.
//! Does not know: whether whoever gets the requests now means well.

use std::collections::BTreeSet;

use cluster::{Cluster, ObjectKey, Value, labels};
use model::{Forecast, Hazard, HazardKind, ObjectRef};

use super::availability::ready_in;
use super::ledger::{Ledger, Net, reference};
use super::templates;

const INGRESSES: &str = "ingresses.networking.k8s.io";
const SLICES: &str = "endpointslices.discovery.k8s.io";

/// Fills in the requests that would go astray.
pub(super) fn read(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.of("services") {
        outside_names(key, net, forecast);
        unserved_ports(ledger, key, net, forecast);
    }
    for (key, net) in ledger.net() {
        relabelled(ledger, key, net, forecast);
        if matches!(key.resource.as_str(), "deployments.apps" | "statefulsets.apps" | "daemonsets.apps") {
            hollow(ledger, key, net, forecast);
        }
    }
    written_by_hand(ledger, forecast);
    for (key, net) in ledger.of(INGRESSES) {
        claimed_from_others(ledger, key, net, forecast);
        led_nowhere(ledger, key, net, forecast);
    }
    for (key, net) in ledger.of("services").filter(|(_, net)| net.is_deletion() || net.begins_to_terminate()) {
        let Some(before) = net.before else { continue };
        for (ingress, object) in ledger.after.list(INGRESSES, Some(&key.namespace)) {
            if routes(object).any(|route| route.service == key.name.as_str()) && !object.is_terminating() {
                let because = format!("it leads to {}, which is deleted", reference(key, before));
                warn(forecast, HazardKind::Dangling, reference(ingress, object), because);
            }
        }
    }
}

fn warn(forecast: &mut Forecast, kind: HazardKind, object: ObjectRef, because: String) {
    forecast.hazards.insert(Hazard { kind, object, because, sure: true });
}

/// A Service's clients follow it wherever it points. One that is new has none yet.
fn outside_names(key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let (Some(before), Some(after)) = (net.before, net.after) else { return };
    let external = |service: &Value| {
        let is_name = service.at(&["spec", "type"]) == "ExternalName";
        is_name.then(|| service.at(&["spec", "externalName"]).str_or_empty().trim_end_matches('.').to_ascii_lowercase())
    };
    if let Some(name) = external(after).filter(|name| external(before).as_ref() != Some(name)) {
        let because = format!("its clients would send their requests to {name}, outside of the cluster");
        warn(forecast, HazardKind::Misrouted, reference(key, after), because);
    }
    // Whoever may claim an address takes the traffic of every pod to it.
    let known: BTreeSet<&str> = before.at(&["spec", "externalIPs"]).items().iter().map(Value::str_or_empty).collect();
    for address in after.at(&["spec", "externalIPs"]).items().iter().map(Value::str_or_empty) {
        if !known.contains(address) {
            let because = format!("it would take all that is sent to {address}");
            warn(forecast, HazardKind::Misrouted, reference(key, after), because);
        }
    }
}

/// A pod, or what makes pods, that was there before and becomes one of a Service's by its labels alone, beside pods of
/// another workload.
fn relabelled(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let Some(after) = net.after.filter(|after| !after.is_terminating()) else { return };
    let Some(now) = templates::template(&key.resource, after) else { return };
    let bare = key.is("pods") && after.controller().is_none();
    let was = match net.before {
        Some(before) => match templates::template(&key.resource, before) {
            Some(was) => Some(was.labels()),
            None => return,
        },
        // What is made to stand beside others is a canary; a pod that nobody keeps is not one.
        None if bare => None,
        None => return,
    };
    // Pods that follow from a template are judged with it; a pod's own labels change only by hand.
    if was == Some(now.labels()) || (net.before.is_none() && !bare) {
        return;
    }
    let mine = templates::root(ledger.after, key, after);
    for (service, object) in ledger.before.selecting("services", &key.namespace, now.labels()) {
        let selector = object.at(&["spec", "selector"]);
        if was.is_some_and(|was| labels::matches_map(selector, was)) {
            continue;
        }
        let others = backends(ledger.before, service, selector);
        if !others.is_empty() && !others.contains(&mine) {
            let shown: Vec<String> = others.iter().map(ToString::to_string).collect();
            let because =
                format!("requests meant for {} would also go to {}", shown.join(" and "), reference(key, after));
            warn(forecast, HazardKind::Misrouted, reference(service, object), because);
        }
    }
}

/// The workloads whose pods a selector selects.
fn backends(cluster: &Cluster, service: &ObjectKey, selector: &Value) -> BTreeSet<ObjectRef> {
    cluster
        .selected(&service.namespace, selector)
        .filter(|(_, pod)| !pod.is_terminating())
        .map(|(key, pod)| templates::root(cluster, key, pod))
        .collect()
}

/// Endpoints that no controller keeps are whatever somebody writes there.
fn written_by_hand(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    for (key, net) in ledger.net().filter(|(key, _)| key.is(SLICES) || key.is("endpoints")) {
        let Some(after) = net.after else { continue };
        let kept = after.label("endpointslice.kubernetes.io/managed-by").is_some_and(|by| by.ends_with(".k8s.io"));
        let service = if key.is("endpoints") { key.name.as_str() } else { label_of(after) };
        let owner = key.beside("services", service);
        let selects = |cluster: &Cluster| {
            cluster.get(&owner).is_some_and(|service| !service.at(&["spec", "selector"]).is_empty())
        };
        // The controllers' own objects follow from pods. A mirror follows from an object that is judged itself.
        if kept || (key.is("endpoints") && selects(ledger.after)) || ledger.before.get(&owner).is_none() {
            continue;
        }
        let had = net.before.map(addresses).unwrap_or_default();
        let new: Vec<String> = addresses(after).difference(&had).map(|address| (*address).to_owned()).collect();
        let served = !had.is_empty() || ready_in(ledger.before, &key.namespace, service) > 0;
        if served && !new.is_empty() {
            let because = format!("its requests would go to {}, which nothing in the cluster keeps", new.join(", "));
            let object = ObjectRef::namespaced("Service", key.namespace.as_str(), service);
            warn(forecast, HazardKind::Misrouted, object, because);
        }
    }
}

fn label_of(slice: &Value) -> &str {
    slice.label("kubernetes.io/service-name").unwrap_or_default()
}

fn addresses(object: &Value) -> BTreeSet<&str> {
    let slice = object.at(&["endpoints"]).items().iter().flat_map(|endpoint| endpoint.at(&["addresses"]).items());
    let old = object.at(&["subsets"]).items().iter().flat_map(|subset| subset.at(&["addresses"]).items());
    slice.map(Value::str_or_empty).chain(old.map(|address| address.at(&["ip"]).str_or_empty())).collect()
}

/// A Service whose ports its pods no longer listen on.
fn unserved_ports(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let (Some(before), Some(after)) = (net.before, net.after) else { return };
    if before.at(&["spec"]) == after.at(&["spec"]) {
        return;
    }
    let selector = after.at(&["spec", "selector"]);
    if selector.is_empty() {
        return;
    }
    for (owner, object, template) in templates::workloads(ledger.after, Some(&key.namespace)) {
        if !labels::matches_map(selector, template.labels()) {
            continue;
        }
        for port in after.at(&["spec", "ports"]).items() {
            // A container need not declare what it listens on: only a port that was served tells that this one is not.
            let was = before.at(&["spec", "ports"]).items().iter().any(|old| serves(template, old).is_some());
            if was && serves(template, port).is_none() {
                let because =
                    format!("no container of {} listens on its port {}", reference(owner, object), target(port));
                warn(forecast, HazardKind::Hollow, reference(key, after), because);
            }
        }
    }
}

/// A workload that looks as healthy as before, without the container that answered a Service's requests.
fn hollow(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let (Some(before), Some(after)) = (net.before, net.after) else { return };
    let (old, new) = (before.at(&["spec", "template"]), after.at(&["spec", "template"]));
    if old.at(&["spec", "containers"]) == new.at(&["spec", "containers"]) {
        return;
    }
    for (service, object) in ledger.after.list("services", Some(&key.namespace)) {
        let selector = object.at(&["spec", "selector"]);
        if selector.is_empty() || !labels::matches_map(selector, new.labels()) {
            continue;
        }
        for port in object.at(&["spec", "ports"]).items() {
            if let Some(container) = serves(old, port).filter(|_| serves(new, port).is_none()) {
                let because = format!(
                    "no container would answer {} on port {} any more, as {container} does now",
                    reference(service, object),
                    target(port)
                );
                warn(forecast, HazardKind::Hollow, reference(key, after), because);
            }
        }
    }
}

fn target(port: &Value) -> String {
    let target = port.at(&["targetPort"]);
    let number = |value: &Value| value.as_int().map(|number| number.to_string());
    let named = target.as_str().map(str::to_owned).filter(|name| !name.is_empty());
    named.or_else(|| number(target)).or_else(|| number(port.at(&["port"]))).unwrap_or_default()
}

/// The container that declares the port that a Service's port leads to.
fn serves<'a>(template: &'a Value, port: &Value) -> Option<&'a str> {
    let wanted = target(port);
    let declares = |container: &&Value| {
        container.at(&["ports"]).items().iter().any(|port| {
            port.at(&["name"]) == wanted.as_str()
                || port.at(&["containerPort"]).as_int().is_some_and(|number| number.to_string() == wanted)
        })
    };
    // A sidecar is an init container that stays.
    let stays = |container: &&Value| container.at(&["restartPolicy"]) == "Always";
    let main = template.at(&["spec", "containers"]).items().iter();
    let sidecars = template.at(&["spec", "initContainers"]).items().iter().filter(stays);
    main.chain(sidecars).find(declares).map(|container| container.at(&["name"]).str_or_empty())
}

/// One line of an Ingress: what it claims, and who gets it.
struct Route<'a> {
    host: &'a str,
    path: &'a str,
    service: &'a str,
}

fn routes(ingress: &Value) -> impl Iterator<Item = Route<'_>> {
    ingress.at(&["spec", "rules"]).items().iter().flat_map(|rule| {
        let host = rule.at(&["host"]).str_or_empty();
        rule.at(&["http", "paths"]).items().iter().map(move |path| Route {
            host,
            path: path.at(&["path"]).str_or_empty(),
            service: path.at(&["backend", "service", "name"]).str_or_empty(),
        })
    })
}

/// Whether one host lies within what another claims. A claim on everything yields to whoever names a host.
fn within(host: &str, claim: &str) -> bool {
    let below = |suffix: &str| host.strip_suffix(suffix).is_some_and(|label| !label.is_empty() && !label.contains('.'));
    host == claim || (!claim.is_empty() && claim.strip_prefix('*').is_some_and(below))
}

/// Whether a path lies at or below another: controllers give a request to whoever claims more of its path.
fn below(path: &str, claim: &str) -> bool {
    let (path, claim) = (path.trim_end_matches('/'), claim.trim_end_matches('/'));
    path.strip_prefix(claim).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A host that another namespace serves is not for sharing; within a namespace, whoever writes one Ingress writes the other.
fn claimed_from_others(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let Some(after) = net.after.filter(|after| !after.is_terminating()) else { return };
    let had: BTreeSet<(&str, &str)> =
        net.before.into_iter().flat_map(routes).map(|route| (route.host, route.path)).collect();
    for route in routes(after).filter(|route| !had.contains(&(route.host, route.path))) {
        for (other, object) in ledger.before.list(INGRESSES, None).filter(|(other, _)| other.namespace != key.namespace)
        {
            let claims = |theirs: &Route<'_>| {
                within(route.host, theirs.host) && (route.host != theirs.host || below(route.path, theirs.path))
            };
            if let Some(theirs) = routes(object).find(claims) {
                let because = format!(
                    "requests for {}{} that {} gets would go to Service/{}/{}",
                    route.host,
                    route.path,
                    reference(other, object),
                    key.namespace,
                    route.service
                );
                let object = ObjectRef::namespaced("Service", other.namespace.as_str(), theirs.service);
                warn(forecast, HazardKind::Misrouted, object, because);
            }
        }
    }
}

/// A route that had somebody at its end, and has nobody.
fn led_nowhere(ledger: &Ledger<'_>, key: &ObjectKey, net: &Net<'_>, forecast: &mut Forecast) {
    let Some(before) = net.before else { return };
    let after = net.after.filter(|_| !(net.is_deletion() || net.begins_to_terminate()));
    for route in routes(before) {
        if ready_in(ledger.before, &key.namespace, route.service) == 0 {
            continue;
        }
        let own = after.and_then(|after| routes(after).find(|now| now.host == route.host && now.path == route.path));
        match own {
            Some(now) if now.service == route.service => {}
            Some(now) if ready_in(ledger.after, &key.namespace, now.service) > 0 => {}
            Some(now) => {
                let because =
                    format!("{}{} would lead to {}, which nobody answers", route.host, route.path, now.service);
                warn(forecast, HazardKind::Dangling, reference(key, before), because);
            }
            None => {
                let mut others = ledger.after.list(INGRESSES, None).filter(|(_, other)| !other.is_terminating());
                let covered = others.any(|(_, other)| {
                    routes(other).any(|now| within(route.host, now.host) && below(route.path, now.path))
                });
                // Whoever goes with the service behind it misses nothing.
                let gone = ready_in(ledger.after, &key.namespace, route.service) == 0;
                if !covered && !gone {
                    let because = format!("requests for {}{} would reach nobody", route.host, route.path);
                    let object = ObjectRef::namespaced("Service", key.namespace.as_str(), route.service);
                    warn(forecast, HazardKind::Misrouted, object, because);
                }
            }
        }
    }
}
