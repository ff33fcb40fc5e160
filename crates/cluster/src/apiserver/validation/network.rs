//! What is wrong with what routes and filters traffic.
//!
//! Knows: Ingresses and their classes, NetworkPolicies.
//! Does not know: where traffic goes.

use super::container::port;
use super::faults::{At, Faults};
use super::names;
use super::selectors::label_selector;
use crate::value::Value;

/// An Ingress.
pub(super) fn ingress(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let (rules, default) = (spec.field("rules"), spec.field("defaultBackend"));
    if rules.value.is_empty() && default.is_absent() {
        faults.invalid_as(&spec, "null", "either `defaultBackend` or `rules` must be specified");
    }
    if !default.is_absent() {
        backend(&default, faults);
    }
    for rule in rules.items() {
        let host_name = rule.field("host");
        if !host_name.text().is_empty() {
            host(&host_name, faults);
        }
        if !rule.field("http").is_absent() {
            paths(&rule.down(&["http", "paths"]), faults);
        }
    }
    for tls in spec.field("tls").items() {
        for name in tls.field("hosts").items() {
            let form = if name.text().contains('*') { names::wildcard } else { names::subdomain };
            faults.all(&name, form(name.text()));
        }
        let secret = tls.field("secretName");
        if !secret.text().is_empty() {
            faults.all(&secret, names::subdomain(secret.text()));
        }
    }
    let class = spec.field("ingressClassName");
    if !class.is_absent() {
        faults.all(&class, names::subdomain(class.text()));
    }
}

fn host(at: &At<'_>, faults: &mut Faults) {
    if at.text().parse::<std::net::IpAddr>().is_ok() {
        faults.invalid(at, "must be a DNS name, not an IP address");
        return;
    }
    let form = if at.text().contains('*') { names::wildcard } else { names::subdomain };
    faults.all(at, form(at.text()));
}

fn paths(at: &At<'_>, faults: &mut Faults) {
    if at.value.is_empty() {
        faults.required(at, "");
    }
    for it in at.items() {
        let (path, kind) = (it.field("path"), it.field("pathType"));
        if kind.is_absent() {
            faults.required(&kind, "pathType must be specified");
        }
        match kind.text() {
            "Exact" | "Prefix" => {
                if !path.text().starts_with('/') {
                    faults.invalid_as(&path, &super::faults::quote(path.text()), "must be an absolute path");
                }
                for bad in ["//", "/./", "/../", "%2f", "%2F"] {
                    if path.text().contains(bad) {
                        faults.invalid(&path, &format!("must not contain '{bad}'"));
                    }
                }
                for bad in ["/..", "/."] {
                    if path.text().ends_with(bad) {
                        faults.invalid(&path, &format!("cannot end with '{bad}'"));
                    }
                }
            }
            "ImplementationSpecific" => {
                if !path.text().is_empty() && !path.text().starts_with('/') {
                    faults.invalid(&path, "must be an absolute path");
                }
            }
            _ => faults.one_of(&kind, &["Exact", "ImplementationSpecific", "Prefix"]),
        }
        backend(&it.field("backend"), faults);
    }
}

fn backend(at: &At<'_>, faults: &mut Faults) {
    let (service, resource) = (at.field("service"), at.field("resource"));
    match (service.is_absent(), resource.is_absent()) {
        (false, false) => faults.invalid_as(at, "\"\"", "cannot set both resource and service backends"),
        (true, true) => faults.invalid_as(at, "\"\"", "resource or service backend is required"),
        (true, false) => {
            faults.some_text(&resource.field("kind"));
            faults.some_text(&resource.field("name"));
        }
        (false, true) => {
            let name = service.field("name");
            if faults.some_text(&name) {
                faults.all(&name, names::label(name.text()));
            }
            let (port_name, number) = (service.down(&["port", "name"]), service.down(&["port", "number"]));
            let has_number = number.number().is_some_and(|number| number != 0);
            match (!port_name.text().is_empty(), has_number) {
                (true, true) => faults.invalid_as(at, "\"\"", "cannot set both port name & port number"),
                (false, false) => faults.required(at, "port name or number is required"),
                (true, false) => faults.all(&port_name, names::port_name(port_name.text())),
                (false, true) => {
                    if !number.number().is_some_and(names::is_port) {
                        faults.invalid(&number, names::PORT_RANGE);
                    }
                }
            }
        }
    }
}

/// An IngressClass.
pub(super) fn ingress_class(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let controller = spec.field("controller");
    if faults.some_text(&controller) {
        if controller.text().len() > 250 {
            faults.too_long(&controller, 250);
        }
        faults.all(&controller, names::domain_path(controller.text()));
    }
    let parameters = spec.field("parameters");
    if parameters.is_absent() {
        return;
    }
    let group = parameters.field("apiGroup");
    if !group.is_absent() {
        faults.all(&group, names::subdomain(group.text()));
    }
    faults.some_text(&parameters.field("kind"));
    faults.some_text(&parameters.field("name"));
    let (scope, namespace) = (parameters.field("scope"), parameters.field("namespace"));
    faults.one_of(&scope, &["Cluster", "Namespace"]);
    if scope.text() == "Namespace" && namespace.text().is_empty() {
        faults.required(&namespace, "`parameters.scope` is set to 'Namespace'");
    }
    if scope.text() == "Cluster" && !namespace.is_absent() {
        faults.forbidden(&namespace, "`parameters.scope` is set to 'Cluster'");
    }
}

/// A NetworkPolicy.
pub(super) fn policy(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    label_selector(&spec.field("podSelector"), faults);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.field(direction).items() {
            for it in rule.field("ports").items() {
                policy_port(&it, faults);
            }
            for it in rule.field(peers).items() {
                peer(&it, faults);
            }
        }
    }
    let types = spec.field("policyTypes");
    if types.value.items().len() > 2 {
        faults.invalid(&types, "may not specify more than two policyTypes");
        return;
    }
    for kind in types.items() {
        faults.one_of(&kind, &["Ingress", "Egress"]);
    }
}

fn policy_port(at: &At<'_>, faults: &mut Faults) {
    faults.one_of(&at.field("protocol"), &["TCP", "UDP", "SCTP"]);
    let (number, end) = (at.field("port"), at.field("endPort"));
    if !number.is_absent() {
        port(&number, faults);
    }
    if end.is_absent() {
        return;
    }
    match number.value {
        Value::Null => faults.invalid(&end, "may not be specified when `port` is not specified"),
        Value::Int(first) if end.number().is_some_and(|end| end < *first) => {
            faults.invalid_as(&end, &first.to_string(), "must be greater than or equal to `port`");
        }
        Value::Int(_) => {
            if !end.number().is_some_and(names::is_port) {
                faults.invalid(&end, names::PORT_RANGE);
            }
        }
        _ => faults.invalid(&end, "may not be specified when `port` is non-numeric"),
    }
}

fn peer(at: &At<'_>, faults: &mut Faults) {
    let mut peers = 0;
    for kind in ["podSelector", "namespaceSelector"] {
        let selector = at.field(kind);
        if !selector.is_absent() {
            peers += 1;
            label_selector(&selector, faults);
        }
    }
    let block = at.field("ipBlock");
    let has_block = !block.is_absent();
    if has_block {
        ip_block(&block, faults);
    }
    match (peers, has_block) {
        (0, false) => faults.required(at, "must specify a peer"),
        (1.., true) => faults.forbidden(at, "may not specify both ipBlock and another peer"),
        _ => {}
    }
}

fn ip_block(at: &At<'_>, faults: &mut Faults) {
    let cidr = at.field("cidr");
    if !faults.some_text(&cidr) {
        return;
    }
    let Some(outer) = names::parse_cidr(cidr.text()) else {
        faults.all(&cidr, names::cidr(cidr.text()));
        return;
    };
    for except in at.field("except").items() {
        match names::parse_cidr(except.text()) {
            None => faults.all(&except, names::cidr(except.text())),
            Some(inner) if !names::is_within(inner, outer) => {
                faults.invalid(&except, "must be a strict subset of `cidr`");
            }
            Some(_) => {}
        }
    }
}
