//! What is wrong with where a service's requests go: Endpoints and EndpointSlices.
//!
//! Knows: addresses that can be reached, and by which ports.
//! Does not know: the service.

use std::collections::BTreeSet;

use super::faults::{At, Faults, quote};
use super::names;
use crate::value::Value;

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const ENDPOINTS_MAX: usize = 1000;
const PORTS_MAX: usize = 20_000;
const ADDRESSES_MAX: usize = 100;
const HINTS_MAX: usize = 8;

/// An Endpoints.
pub(super) fn endpoints(root: &At<'_>, faults: &mut Faults) {
    for subset in root.field("subsets").items() {
        let lists = ["addresses", "notReadyAddresses"];
        if lists.iter().all(|list| subset.field(list).value.is_empty()) {
            faults.required(&subset, "must specify `addresses` or `notReadyAddresses`");
        }
        for address in lists.iter().flat_map(|list| subset.field(list).items().collect::<Vec<_>>()) {
            let ip = address.field("ip");
            faults.text_in(&ip, names::address);
            faults.optional(&address.field("hostname"), names::label);
            let node = address.field("nodeName");
            if !node.is_absent() {
                faults.text_in(&node, names::subdomain);
            }
            faults.text_in(&ip, names::not_special);
        }
        let ports = subset.field("ports");
        let several = ports.value.items().len() > 1;
        for port in ports.items() {
            let name = port.field("name");
            if several && name.text().is_empty() {
                faults.required(&name, "");
            }
            faults.optional(&name, names::label);
            let number = port.field("port");
            if !number.number().is_some_and(names::is_port) {
                faults.invalid_as(&number, &number.number().unwrap_or(0).to_string(), names::PORT_RANGE);
            }
            faults.some_of(&port.field("protocol"), PROTOCOLS);
            let protocol = port.field("appProtocol");
            if !protocol.is_absent() {
                faults.text_in(&protocol, names::qualified);
            }
        }
    }
}

/// An EndpointSlice.
pub(super) fn slice(root: &At<'_>, faults: &mut Faults) {
    let kind = root.field("addressType");
    if kind.text().is_empty() {
        faults.required(&kind, "");
    } else {
        faults.one_of(&kind, &["FQDN", "IPv4", "IPv6"]);
    }
    let ports = root.field("ports");
    let mut taken = BTreeSet::new();
    if ports.value.items().len() > PORTS_MAX {
        faults.too_many(&ports, ports.value.items().len(), PORTS_MAX);
    }
    for port in ports.items().take_while(|_| ports.value.items().len() <= PORTS_MAX) {
        let name = port.field("name");
        faults.optional(&name, names::label);
        if !taken.insert(name.text()) {
            faults.duplicate_as(&name, &quote(name.text()));
        }
        let protocol = port.field("protocol");
        if protocol.is_absent() {
            faults.required(&protocol, "");
        } else {
            faults.word(&protocol, PROTOCOLS);
        }
        let protocol = port.field("appProtocol");
        if !protocol.is_absent() {
            faults.text_in(&protocol, names::qualified);
        }
    }
    let list = root.field("endpoints");
    if list.value.items().len() > ENDPOINTS_MAX {
        return faults.too_many(&list, list.value.items().len(), ENDPOINTS_MAX);
    }
    for endpoint in list.items() {
        self::endpoint(&endpoint, kind.text(), faults);
    }
}

fn endpoint(endpoint: &At<'_>, kind: &str, faults: &mut Faults) {
    let addresses = endpoint.field("addresses");
    let count = addresses.value.items().len();
    if count == 0 {
        faults.required(&addresses, "must contain at least 1 address");
    } else if count > ADDRESSES_MAX {
        return faults.too_many(&addresses, count, ADDRESSES_MAX);
    }
    for address in addresses.items() {
        match kind {
            "IPv4" | "IPv6" => {
                let (form, is_family): (fn(&str) -> Vec<String>, bool) = if kind == "IPv4" {
                    (names::address, !address.text().contains(':'))
                } else {
                    (names::strict_address, address.text().contains(':'))
                };
                let before = faults.len();
                faults.text_in(&address, form);
                if faults.len() > before {
                    continue;
                }
                if !is_family {
                    // The real path names the list alone.
                    faults.invalid_as(&addresses, &quote(address.text()), &format!("must be an {kind} address"));
                }
                faults.text_in(&address, names::not_special);
            }
            "FQDN" => faults.text_in(&address, names::full_domain),
            _ => {}
        }
    }
    let (node, host) = (endpoint.field("nodeName"), endpoint.field("hostname"));
    if !node.is_absent() {
        faults.text_in(&node, names::subdomain);
    }
    let topology = endpoint.field("deprecatedTopology");
    super::metadata::labels(&topology, faults);
    if !host.is_absent() {
        faults.text_in(&host, names::label);
    }
    for (list, form) in [("forZones", names::label_value as fn(&str) -> Vec<String>), ("forNodes", names::subdomain)] {
        let hints = endpoint.field("hints").field(list);
        let count = hints.value.items().len();
        if count > HINTS_MAX {
            faults.too_many(&hints, count, HINTS_MAX);
            continue;
        }
        let mut known = BTreeSet::new();
        for name in hints.items().map(|hint| hint.field("name")) {
            if !known.insert(name.text()) {
                faults.duplicate_as(&name, &quote(name.text()));
            }
            faults.text_in(&name, form);
        }
    }
}

/// What kind of addresses a slice has stays.
pub(super) fn slice_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let kind = root.field("addressType");
    if kind.value != old.at(&["addressType"]) {
        faults.invalid_as(&kind, &quote(kind.text()), "field is immutable");
    }
}
