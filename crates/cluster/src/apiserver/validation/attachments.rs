//! What is wrong with the smaller kinds: events, revisions, templates; what drivers say of nodes, volumes and addresses.
//!
//! Knows: their checks in the real server, where they have any.
//! Does not know: the drivers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::faults::{At, Faults};
use super::selectors::label_selector;
use super::{names, pod};
use crate::value::Value;

/// An Event: it is in the namespace of what it is about.
pub(super) fn event(root: &At<'_>, faults: &mut Faults) {
    let about = root.down(&["involvedObject", "namespace"]);
    let (own, its) = (root.value.namespace(), about.text());
    let is_new = !root.field("eventTime").is_absent();
    let agree = if its.is_empty() { own == "default" || (is_new && own == "kube-system") } else { own == its };
    if !agree && (!is_new || its.is_empty()) {
        faults.invalid_as(&about, &super::faults::quote(its), "does not match event.namespace");
    }
    if is_new {
        let controller = root.field("reportingComponent");
        if faults.some_text(&controller) {
            faults.all(&controller, names::qualified(controller.text()));
        }
        for field in ["reportingInstance", "action", "reason"] {
            let field = root.field(field);
            if faults.some_text(&field) && field.text().len() > 128 {
                faults.invalid_as(&field, "\"\"", "can have at most 128 characters");
            }
        }
        let message = root.field("message");
        if message.text().len() > 1024 {
            faults.invalid_as(&message, "\"\"", "can have at most 1024 characters");
        }
    }
}

/// A ControllerRevision.
pub(super) fn revision(root: &At<'_>, faults: &mut Faults) {
    let data = root.field("data");
    if data.is_absent() {
        faults.required(&data, "data is mandatory");
    }
    faults.not_negative(&root.field("revision"));
}

/// A PodTemplate.
pub(super) fn template(root: &At<'_>, faults: &mut Faults) {
    pod::template(&root.field("template"), &BTreeSet::new(), faults);
}

/// The name of a driver.
fn driver_name(at: &At<'_>, faults: &mut Faults) {
    if faults.some_text(at) {
        if at.text().len() > 63 {
            faults.too_long(at, 63);
        }
        faults.all(at, names::subdomain(&at.text().to_lowercase()));
    }
}

/// A CSINode: the drivers of a node.
pub(super) fn csi_node(root: &At<'_>, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for driver in root.down(&["spec", "drivers"]).items() {
        driver_name(&driver.field("name"), faults);
        let node = driver.field("nodeID");
        if faults.some_text(&node) && node.text().len() > 192 {
            faults.invalid(&node, "must be 192 characters or less");
        }
        faults.not_negative(&driver.down(&["allocatable", "count"]));
        let keys = driver.field("topologyKeys");
        let mut seen = BTreeSet::new();
        for key in keys.items() {
            if !seen.insert(key.text()) {
                faults.duplicate_as(&keys, &super::faults::quote(key.text()));
            }
            for why in names::qualified(key.text()) {
                faults.invalid_as(&keys, &super::faults::quote(key.text()), &why);
            }
        }
        let name = driver.field("name");
        if !taken.insert(name.text()) {
            faults.duplicate(&name);
        }
    }
}

/// A CSIStorageCapacity.
pub(super) fn capacity(root: &At<'_>, faults: &mut Faults) {
    let class = root.field("storageClassName");
    for why in names::subdomain(class.text()) {
        faults.invalid_as(&class, &super::faults::quote(class.text()), &why);
    }
    label_selector(&root.field("nodeTopology"), faults);
    for field in ["capacity", "maximumVolumeSize"] {
        super::resources::amount(&root.field(field), "", faults);
    }
}

/// A VolumeAttachment.
pub(super) fn attachment(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    driver_name(&spec.field("attacher"), faults);
    let source = spec.field("source");
    let (inline, named) = (source.field("inlineVolumeSpec"), source.field("persistentVolumeName"));
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (inline.is_absent(), named.is_absent()) {
        (true, true) => faults.required(&source, ONE),
        (false, false) => faults.forbidden(&source, ONE),
        (true, false) if named.text().is_empty() => {
            faults.required(&named, "must specify non empty persistentVolumeName");
        }
        _ => {}
    }
    let node = spec.field("nodeName");
    for why in names::subdomain(node.text()) {
        faults.invalid_as(&node, &super::faults::quote(node.text()), &why);
    }
}

/// A VolumeAttributesClass.
pub(super) fn attributes(root: &At<'_>, faults: &mut Faults) {
    let driver = root.field("driverName");
    if driver.text().is_empty() {
        faults.required(&driver, "");
    } else {
        faults.all(&driver, names::qualified(&driver.text().to_lowercase()));
    }
    let parameters = root.field("parameters");
    if parameters.value.is_empty() {
        faults.required(&parameters, "must contain at least one key/value pair");
    }
}

/// What may not change in a VolumeAttributesClass.
pub(super) fn attributes_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    for field in ["driverName", "parameters"] {
        let new = root.field(field);
        if new.value != old.at(&[field]) {
            faults.forbidden(&new, &format!("updates to {field} are forbidden."));
        }
    }
}

/// An IPAddress, which is named after itself.
pub(super) fn ip_address(root: &At<'_>, faults: &mut Faults) {
    let name = root.down(&["metadata", "name"]);
    match name.text().parse::<IpAddr>() {
        Ok(address) if address.to_string() == name.text() => {}
        Ok(address) => faults.invalid(&name, &format!("must be in canonical form ({:?})", address.to_string())),
        Err(_) => faults.all(&name, names::address(name.text())),
    }
    let parent = root.down(&["spec", "parentRef"]);
    if parent.is_absent() {
        faults.required(&parent, "");
        return;
    }
    for field in ["resource", "name"] {
        faults.some_text(&parent.field(field));
    }
}

/// A ServiceCIDR.
pub(super) fn service_range(root: &At<'_>, faults: &mut Faults) {
    let ranges = root.down(&["spec", "cidrs"]);
    let listed = ranges.value.items();
    if listed.is_empty() {
        faults.required(&ranges, "at least one CIDR required");
        return;
    }
    if listed.len() > 2 {
        faults.invalid(&ranges, "may only hold up to 2 values");
    }
    let families: BTreeSet<bool> = listed.iter().map(|range| range.str_or_empty().contains(':')).collect();
    if listed.len() == 2 && families.len() == 1 {
        let why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        faults.invalid(&ranges, why);
    }
    for range in ranges.items() {
        faults.all(&range, names::cidr(range.text()));
    }
}
