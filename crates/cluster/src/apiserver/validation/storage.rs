//! What is wrong with volumes of the cluster, claims to them, and their classes.
//!
//! Knows: `ValidatePersistentVolume`, `ValidatePersistentVolumeClaim`, `pkg/apis/storage/validation`.
//! Does not know: what is bound to what.

use std::collections::BTreeSet;

use super::faults::{At, Faults, diff, quote};
use super::selectors::{label_selector, node_selector};
use super::{names, source};
use crate::quantity::Quantity;
use crate::value::Value;

const MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn access_modes(at: &At<'_>, faults: &mut Faults) {
    for mode in at.value.items() {
        if !MODES.contains(&mode.str_or_empty()) {
            faults.unsupported_as(at, &quote(mode.str_or_empty()), MODES);
        }
    }
    let others = |mode: &Value| MODES.contains(&mode.str_or_empty()) && *mode != "ReadWriteOncePod";
    let modes = at.value.items();
    if modes.iter().any(|mode| mode == "ReadWriteOncePod") && modes.iter().any(others) {
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
    faults.optional(&spec.field("storageClassName"), names::subdomain);
    faults.one_of(&spec.field("volumeMode"), &["Block", "Filesystem"]);
    let (source, reference) = (spec.field("dataSource"), spec.field("dataSourceRef"));
    for source in [&source, &reference] {
        if !source.is_absent() {
            data_source(source, faults);
        }
    }
    // The value that the real sentence shows is a path, as Go shows one.
    let place = "{}";
    if !reference.field("namespace").text().is_empty() {
        if !source.is_absent() {
            let why = "may not be specified when dataSourceRef.namespace is specified";
            faults.invalid_as(spec, place, why);
        }
    } else if !source.is_absent() && !reference.is_absent() {
        let same = ["apiGroup", "kind", "name"].iter().all(|field| {
            let (one, other) = (source.field(field), reference.field(field));
            one.value == other.value
        });
        if !same {
            faults.invalid_as(spec, place, "must match dataSourceRef");
        }
    }
    faults.optional(&spec.field("volumeAttributesClassName"), names::subdomain);
}

/// What a volume is filled from.
fn data_source(at: &At<'_>, faults: &mut Faults) {
    let (group, kind) = (at.field("apiGroup"), at.field("kind"));
    faults.some_text(&at.field("name"));
    faults.some_text(&kind);
    if group.text().is_empty() && kind.text() != "PersistentVolumeClaim" {
        let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        faults.invalid_as(at, &quote(kind.text()), why);
    }
    faults.optional(&group, names::subdomain);
    faults.optional(&at.field("namespace"), names::label);
}

/// A PersistentVolumeClaim.
pub(super) fn claim(root: &At<'_>, faults: &mut Faults) {
    claim_spec(&root.field("spec"), faults);
}

/// What may not change in a claim: all but how much it asks for once it is bound, and to whom it is bound until then.
pub(super) fn claim_update(root: &At<'_>, old: &Value, faults: &mut Faults) {
    let spec = root.field("spec");
    let had = old.at(&["spec"]);
    let bound = root.down(&["status", "phase"]).text() == "Bound";
    let mut fixed = spec.value.clone();
    if had.at(&["volumeName"]).is_empty() {
        fixed.object().remove("volumeName");
    }
    if had.at(&["storageClassName"]).is_null() && !fixed.at(&["storageClassName"]).is_null() {
        fixed.object().remove("storageClassName");
    }
    let keep = |fixed: &mut Value, path: &[&str]| match had.find(path) {
        Some(value) => fixed.set(path, value.clone()),
        None => {
            fixed.remove(path);
        }
    };
    if bound {
        if fixed.find(&["resources", "requests"]).is_some() {
            keep(&mut fixed, &["resources", "requests", "storage"]);
        }
        keep(&mut fixed, &["volumeAttributesClassName"]);
    }
    let mut was = had.clone();
    if had.at(&["volumeName"]).is_empty() {
        was.object().remove("volumeName");
    }
    if was != fixed {
        let why =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        faults.forbidden(&spec, &format!("{why}{}", diff(&was, &fixed)));
    }
    let size = |amounts: &Value| Quantity::or_zero(amounts.at(&["storage"]));
    let asked = size(spec.down(&["resources", "requests"]).value);
    let has = size(old.at(&["status", "capacity"]));
    if asked < size(had.at(&["resources", "requests"])) && asked <= has {
        let requests = spec.down(&["resources", "requests"]).field("storage");
        faults.forbidden(&requests, "field can not be less than status.capacity");
    }
    faults.unchanged(&root.named("volumeMode", spec.value.at(&["volumeMode"])), had.at(&["volumeMode"]));
    let class = spec.field("volumeAttributesClassName");
    if class.value != had.at(&["volumeAttributesClassName"])
        && !old.at(&["status", "currentVolumeAttributesClassName"]).is_null()
    {
        let what = match class.value {
            Value::Null => "nil",
            _ if class.text().is_empty() => "empty string",
            _ => return,
        };
        let why = format!("update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil");
        faults.forbidden(&class, &why);
    }
}

/// The types of the cluster's volumes, in the order in which they are looked at.
const TYPES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

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
        if read.as_whole() < 0 {
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
    let nowhere = affinity.field("required").is_absent();
    let count = source::one(&spec, TYPES, faults, |kind, it, faults| {
        of_type(kind, it, root.value.name(), faults);
        if kind == "local" && nowhere {
            faults.required(&affinity, "Local volume requires node affinity");
        }
    });
    if count == 0 {
        faults.required(&spec, "must specify a volume type");
    }
    if spec.down(&["hostPath", "path"]).text().trim_end_matches('/').is_empty()
        && spec.down(&["hostPath", "path"]).text().starts_with('/')
        && policy.text() == "Recycle"
    {
        faults.forbidden(&policy, "may not be 'recycle' for a hostPath mount of '/'");
    }
    faults.optional(&spec.field("storageClassName"), names::subdomain);
    faults.one_of(&spec.field("volumeMode"), &["Block", "Filesystem"]);
    let class = spec.field("volumeAttributesClassName");
    if !class.is_absent() {
        if class.text().is_empty() {
            faults.required(&class, "an empty string is disallowed");
        }
        faults.text_in(&class, names::subdomain);
        if spec.field("csi").is_absent() {
            faults.required(&spec.field("csi"), "has to be specified when using volumeAttributesClassName");
        }
    }
}

/// The types that say more when they are the cluster's.
fn of_type(kind: &str, at: &At<'_>, volume: &str, faults: &mut Faults) {
    match kind {
        "csi" => {
            source::driver_name(&at.field("driver"), faults);
            faults.some_text(&at.field("volumeHandle"));
            for secret in [
                "controllerPublishSecretRef",
                "controllerExpandSecretRef",
                "nodePublishSecretRef",
                "nodeExpandSecretRef",
            ] {
                let secret = at.field(secret);
                if !secret.is_absent() {
                    faults.text_of(&secret.field("name"), names::subdomain);
                    faults.text_of(&secret.field("namespace"), names::label);
                }
            }
        }
        "iscsi" => {
            source::check(kind, at, true, faults);
            let portal = at.field("targetPortal");
            if !at.field("initiatorName").is_absent() && volume.len() + 1 + portal.text().len() > 64 {
                let why = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                           iscsi.initiatorName is specified.";
                faults.invalid(&at.named("targetportal", portal.value), why);
            }
        }
        "glusterfs" => {
            source::check(kind, at, true, faults);
            let namespace = at.field("endpointsNamespace");
            if !namespace.is_absent() {
                if namespace.text().is_empty() {
                    let why = "if the endpointnamespace is set, it must be a valid namespace name";
                    faults.invalid(&namespace, why);
                } else {
                    faults.all(&namespace, names::label(namespace.text()));
                }
            }
        }
        "azureFile" => {
            source::check(kind, at, true, faults);
            let namespace = at.field("secretNamespace");
            if !namespace.is_absent() {
                faults.some_text(&namespace);
            }
        }
        _ => source::check(kind, at, true, faults),
    }
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
    // The real paths leave out the spec.
    let place = |field: &str| root.named(field, spec.value.at(&[field]));
    faults.unchanged(&place("volumeMode"), old.at(&["spec", "volumeMode"]));
    let affinity = old.at(&["spec", "nodeAffinity"]);
    if !affinity.is_null() && affinity != place("nodeAffinity").value {
        let why = "field is immutable, except for updating from beta label to GA";
        let shown = match place("nodeAffinity").value {
            Value::Null => "null".to_owned(),
            affinity => super::internal::of("VolumeNodeAffinity", affinity),
        };
        faults.invalid_as(&place("nodeAffinity"), &shown, why);
    }
    let (class, had) = (spec.field("volumeAttributesClassName"), old.at(&["spec", "volumeAttributesClassName"]));
    if class.is_absent() && !had.is_null() {
        faults.forbidden(&class, "update from non-nil value to nil is forbidden");
    }
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
