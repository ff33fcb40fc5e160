//! What is wrong with volumes of the cluster, claims to them, and their classes.
//!
//! Knows: `ValidatePersistentVolume`, `ValidatePersistentVolumeClaim`, `pkg/apis/storage/validation`.
//! Does not know: what is bound to what.

use std::collections::BTreeSet;

use super::faults::{At, Faults, diff, quote};
use super::selectors::{label_selector, node_selector};
use super::{names, volume};
use crate::quantity::Quantity;
use crate::value::Value;

const MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn access_modes(at: &At<'_>, faults: &mut Faults) {
    for mode in at.value.items() {
        if !MODES.contains(&mode.str_or_empty()) {
            faults.unsupported_as(at, &mode.to_json(), MODES);
        }
    }
    let modes = at.value.items();
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        faults.forbidden(at, "may not use ReadWriteOncePod with other access modes");
    }
}

/// What a claim wants, wherever it stands.
pub(super) fn claim_spec(spec: &At<'_>, faults: &mut Faults) {
    let modes = spec.field("accessModes");
    if modes.value.is_empty() {
        faults.required(&modes, "at least 1 access mode is required");
    }
    label_selector(&spec.field("selector"), faults);
    access_modes(&modes, faults);
    let storage = spec.down(&["resources", "requests"]).field("storage");
    let place = spec.named("resources[storage]", storage.value);
    match Quantity::of(storage.value) {
        None => faults.required(&place, ""),
        Some(amount) if amount <= Quantity::ZERO => {
            faults.invalid_as(&place, &quote(&amount.to_string()), "must be greater than zero");
        }
        Some(_) => {}
    }
    let class = spec.field("storageClassName");
    if !class.text().is_empty() {
        faults.all(&class, names::subdomain(class.text()));
    }
    faults.one_of(&spec.field("volumeMode"), &["Block", "Filesystem"]);
}

/// A PersistentVolumeClaim.
pub(super) fn claim(root: &At<'_>, faults: &mut Faults) {
    claim_spec(&root.field("spec"), faults);
}

/// What may not change in a claim: all but how much it asks for once it is bound, and to whom it is bound until then.
pub(super) fn claim_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let spec = root.field("spec");
    let bound = old.at(&["status", "phase"]) == "Bound";
    let unbound_before = old.at(&["spec", "volumeName"]).is_empty();
    let fixed = |spec: &Value| {
        let mut fixed = spec.clone();
        if bound {
            fixed.remove(&["resources", "requests"]);
            fixed.object().remove("volumeAttributesClassName");
        }
        if unbound_before {
            fixed.object().remove("volumeName");
        }
        if spec.at(&["storageClassName"]).is_null() || old.at(&["spec", "storageClassName"]).is_null() {
            fixed.object().remove("storageClassName");
        }
        fixed
    };
    let (was, is) = (fixed(old.at(&["spec"])), fixed(spec.value));
    if was != is {
        let why =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        faults.forbidden(&spec, &format!("{why}{}", diff(&was, &is)));
        return;
    }
    let size = |spec: &Value| Quantity::or_zero(spec.at(&["resources", "requests", "storage"]));
    if size(spec.value) < size(old.at(&["spec"])) && bound {
        let requests = spec.down(&["resources", "requests"]).field("storage");
        faults.forbidden(&requests, "field can not be less than status.capacity");
    }
}

/// A PersistentVolume.
pub(super) fn persistent(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    let modes = spec.field("accessModes");
    if modes.value.is_empty() {
        faults.required(&modes, "");
    }
    access_modes(&modes, faults);
    let capacity = spec.field("capacity");
    if capacity.value.is_empty() {
        faults.required(&capacity, "");
    }
    if capacity.value.entries().len() != 1 || capacity.field("storage").is_absent() {
        faults.unsupported(&capacity, &["storage"]);
    }
    for (_, amount) in capacity.entries() {
        let read = Quantity::or_zero(amount.value);
        if read < Quantity::ZERO {
            faults.invalid_as(&amount, &read.as_whole().to_string(), "must be a valid resource quantity");
        }
        if read <= Quantity::ZERO {
            faults.invalid_as(&amount, &quote(&read.to_string()), "must be greater than zero");
        }
    }
    let policy = spec.field("persistentVolumeReclaimPolicy");
    if !policy.text().is_empty() {
        faults.one_of(&policy, &["Delete", "Recycle", "Retain"]);
    }
    let affinity = spec.field("nodeAffinity");
    if !affinity.is_absent() {
        let required = affinity.field("required");
        if required.is_absent() {
            faults.required(&required, "must specify required node constraints");
        } else {
            node_selector(&required, faults);
        }
    }
    if volume::source(&spec, faults) == 0 {
        faults.required(&spec, "must specify a volume type");
    }
    let handle = spec.down(&["csi", "volumeHandle"]);
    if !spec.field("csi").is_absent() {
        faults.some_text(&handle);
    }
    if !spec.field("local").is_absent() && affinity.is_absent() {
        faults.required(&affinity, "Local volume requires node affinity");
    }
    if spec.down(&["hostPath", "path"]).text() == "/" && policy.text() == "Recycle" {
        faults.forbidden(&policy, "may not be 'recycle' for a hostPath mount of '/'");
    }
    let class = spec.field("storageClassName");
    if !class.text().is_empty() {
        faults.all(&class, names::subdomain(class.text()));
    }
    faults.one_of(&spec.field("volumeMode"), &["Block", "Filesystem"]);
}

/// What may not change in a volume: what it is made of.
pub(super) fn persistent_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    const MAY_CHANGE: &[&str] = &[
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    ];
    let spec = root.field("spec");
    let source = |spec: &Value| {
        let mut source = spec.clone();
        source.object().retain(|key, _| !MAY_CHANGE.contains(&key));
        source
    };
    let (was, is) = (source(old.at(&["spec"])), source(spec.value));
    if was != is {
        let place = spec.named("persistentvolumesource", spec.value);
        faults
            .forbidden(&place, &format!("spec.persistentvolumesource is immutable after creation{}", diff(&was, &is)));
    }
    faults.unchanged(&spec.field("volumeMode"), old.at(&["spec", "volumeMode"]));
}

/// A StorageClass.
pub(super) fn class(root: &At<'_>, faults: &mut Faults) {
    let provisioner = root.field("provisioner");
    if faults.some_text(&provisioner) {
        faults.all(&provisioner, names::qualified(&provisioner.text().to_lowercase()));
    }
    let parameters = root.field("parameters");
    if parameters.value.entries().iter().any(|(key, _)| key.is_empty()) {
        faults.invalid_as(&parameters, "\"\"", "field can not be empty.");
    }
    faults.one_of(&root.field("reclaimPolicy"), &["Delete", "Retain"]);
    let mode = root.field("volumeBindingMode");
    if mode.is_absent() {
        faults.required(&mode, "");
    }
    faults.one_of(&mode, &["Immediate", "WaitForFirstConsumer"]);
    for term in root.field("allowedTopologies").items() {
        for requirement in term.field("matchLabelExpressions").items() {
            let values = requirement.field("values");
            if values.value.is_empty() {
                faults.required(&values, "");
            }
            faults.all(&requirement.field("key"), names::qualified(requirement.field("key").text()));
        }
    }
}

/// A CSIDriver.
pub(super) fn driver(root: &At<'_>, faults: &mut Faults) {
    let spec = root.field("spec");
    faults.one_of(&spec.field("fsGroupPolicy"), &["File", "None", "ReadWriteOnceWithFSType"]);
    let mut taken = BTreeSet::new();
    for request in spec.field("tokenRequests").items() {
        let audience = request.field("audience");
        if !taken.insert(audience.text()) {
            faults.duplicate(&audience);
        }
        let seconds = request.field("expirationSeconds");
        if seconds.number().is_some_and(|seconds| seconds < 600) {
            faults.invalid(&seconds, "may not specify a duration less than 10 minutes");
        }
    }
    let modes = spec.field("volumeLifecycleModes");
    for mode in modes.value.items() {
        if !matches!(mode.str_or_empty(), "Persistent" | "Ephemeral") {
            faults.unsupported_as(&modes, &mode.to_json(), &["Persistent", "Ephemeral"]);
        }
    }
}

/// What may not change in a CSIDriver.
pub(super) fn driver_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let (spec, was) = (root.field("spec"), old.at(&["spec"]));
    // The path says `attached`, as the real one does.
    let attach = spec.named("attachedRequired", spec.value.at(&["attachRequired"]));
    faults.unchanged(&attach, was.at(&["attachRequired"]));
    faults.unchanged(&spec.field("volumeLifecycleModes"), was.at(&["volumeLifecycleModes"]));
}
