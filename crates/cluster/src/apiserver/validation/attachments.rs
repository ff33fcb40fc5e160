//! What is wrong with the smaller kinds: events, revisions, templates; what drivers say of nodes, volumes and addresses.
//!
//! Knows: their checks in the real server, where they have any.
//! Does not know: the drivers.

use std::collections::BTreeSet;

use super::faults::{At, Faults, quote, shown};
use super::selectors::label_selector;
use super::{internal, names, pod, source};
use crate::value::Value;

/// An Event, in words of `core/v1` or of `events.k8s.io/v1`: what the newer version says has to say all.
pub(super) fn event(root: &At<'_>, newer: bool, faults: &mut Faults) {
    let about = root.down(&["involvedObject", "namespace"]);
    let (own, its) = (root.value.namespace(), about.text());
    let is_new = !root.field("eventTime").is_absent();
    let agree = match (its.is_empty(), is_new) {
        (true, true) => matches!(own, "default" | "kube-system"),
        (true, false) => own == "default",
        (false, true) => true,
        (false, false) => own == its,
    };
    if !agree {
        faults.invalid_as(&about, &quote(its), "does not match event.namespace");
    }
    if is_new {
        let controller = root.field("reportingComponent");
        let controller = if newer { root.named("reportingController", controller.value) } else { controller };
        faults.some_text(&controller);
        faults.text_in(&controller, names::qualified);
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

/// What a new Event in words of `events.k8s.io/v1` has to be besides.
pub(super) fn new_event(root: &At<'_>, faults: &mut Faults) {
    event_series(root, faults);
    let time = root.field("eventTime");
    if time.is_absent() {
        faults.required(&time, "");
    }
    let kind = root.field("type");
    if !matches!(kind.text(), "Normal" | "Warning") {
        faults.invalid_as(&kind, "\"\"", &format!("has invalid value: {}", kind.text()));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count"] {
        let old = root.field(field);
        if !old.is_absent() && old.number() != Some(0) {
            faults.invalid_as(&old, "\"\"", "needs to be unset");
        }
    }
    let source = root.field("source");
    if ["component", "host"].iter().any(|field| !source.field(field).text().is_empty()) {
        faults.invalid_as(&source, "\"\"", "needs to be unset");
    }
}

fn event_series(root: &At<'_>, faults: &mut Faults) {
    let series = root.field("series");
    if series.is_absent() {
        return;
    }
    if series.field("count").number().unwrap_or(0) < 2 {
        faults.invalid_as(&series.field("count"), "\"\"", "should be at least 2");
    }
    let last = series.field("lastObservedTime");
    if last.is_absent() {
        faults.required(&last, "");
    }
}

/// What happened does not change; how often may.
pub(super) fn event_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    if root.field("series").value != old.at(&["series"]) {
        event_series(root, faults);
    }
    for (field, named, shape) in [
        ("involvedObject", "involvedObject", "*ObjectReference"),
        ("reason", "reason", ""),
        ("message", "message", ""),
        ("source", "source", "*EventSource"),
        ("firstTimestamp", "firstTimestamp", "time"),
        ("lastTimestamp", "lastTimestamp", "time"),
        ("count", "count", "0"),
        ("reason", "reason", ""),
        ("type", "type", ""),
        ("eventTime", "eventTime", "time"),
        ("action", "action", ""),
        ("related", "related", "ObjectReference"),
        ("reportingComponent", "reportingController", ""),
        ("reportingInstance", "reportingInstance", ""),
    ] {
        let (new, had) = (root.named(named, root.value.at(&[field])), old.at(&[field]));
        if new.value == had || (new.value.is_empty() && had.is_empty() && shape != "ObjectReference") {
            continue;
        }
        let shown = match (shape, new.value) {
            ("", _) => quote(new.text()),
            ("0", _) => new.number().unwrap_or(0).to_string(),
            ("ObjectReference" | "time", Value::Null) => "null".to_owned(),
            ("time", _) => shown(new.value),
            (shape, value) => internal::of(shape.trim_start_matches('*'), value),
        };
        faults.invalid_as(&new, &shown, "field is immutable");
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

/// A CSINode: the drivers of a node.
pub(super) fn csi_node(root: &At<'_>, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for driver in root.down(&["spec", "drivers"]).items() {
        source::driver_name(&driver.field("name"), faults);
        let node = driver.field("nodeID");
        if faults.some_text(&node) && node.text().len() > 192 {
            faults.invalid(&node, "must be 192 characters or less");
        }
        faults.not_negative(&driver.down(&["allocatable", "count"]));
        let name = driver.field("name");
        if !taken.insert(name.text()) {
            faults.duplicate_as(&name, &quote(name.text()));
        }
        // The real paths are those of the driver.
        let mut seen = BTreeSet::new();
        for key in driver.field("topologyKeys").value.items() {
            let key = driver.sibling(key);
            if key.text().is_empty() {
                faults.required(&key, "");
            }
            if !seen.insert(key.text()) {
                faults.duplicate_as(&key, &quote(key.text()));
            }
            faults.text_in(&key, names::qualified);
        }
    }
}

/// What may not change in a driver of a node: all but how many volumes it takes.
pub(super) fn csi_node_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let drivers = root.down(&["spec", "drivers"]);
    let fixed = |driver: &Value| {
        let mut fixed = driver.clone();
        fixed.object().remove("allocatable");
        fixed
    };
    for had in old.at(&["spec", "drivers"]).items() {
        for new in drivers.value.items().iter().filter(|new| new.at(&["name"]) == had.at(&["name"])) {
            if fixed(new) != fixed(had) {
                faults.invalid_as(&drivers, &internal::of("CSINodeDriver", &fixed(new)), "field is immutable");
            }
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
    super::resources::amount(&root.field("capacity"), "", faults);
}

/// A VolumeAttachment.
pub(super) fn attachment(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    source::driver_name(&spec.field("attacher"), faults);
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
    faults.text_in(&spec.field("nodeName"), names::subdomain);
    if !named.is_absent() {
        faults.text_in(&named, names::subdomain);
    }
}

/// What is attached where does not change.
pub(super) fn attachment_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let spec = root.field("spec");
    if spec.value != old.at(&["spec"]) {
        faults.invalid_as(&spec, &internal::of("VolumeAttachmentSpec", spec.value), "field is immutable");
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
    let parent = root.down(&["spec", "parentRef"]);
    if parent.is_absent() {
        faults.required(&parent, "");
        return;
    }
    let group = parent.field("group");
    faults.optional(&group, names::subdomain);
    for field in ["resource", "name"] {
        faults.text_of(&parent.field(field), names::path_segment);
    }
    let namespace = parent.field("namespace");
    faults.optional(&namespace, names::path_segment);
}

/// Whose an address is does not change.
pub(super) fn ip_address_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let parent = root.down(&["spec", "parentRef"]);
    if parent.value != old.at(&["spec", "parentRef"]) {
        let shown = if parent.is_absent() { "null".to_owned() } else { internal::of("ParentReference", parent.value) };
        faults.invalid_as(&parent, &shown, "field is immutable");
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
