//! What is wrong with the volumes of a pod.
//!
//! Knows: which types there are, and who has to look at what each of them says.
//! Does not know: what a type has to say, which `source` does.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::{At, Faults};
use super::{metadata, names, projected, source, storage};
use crate::quantity::Quantity;
use crate::value::Value;

/// The types of a pod's volumes, in the order in which they are looked at.
const TYPES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// The volumes of a pod by their names.
pub(super) type Volumes<'v> = BTreeMap<&'v str, &'v Value>;

/// The volumes of a pod, whose name is known unless it stands in a template. Gives those with which nothing is wrong.
pub(super) fn of_pod<'v>(at: &At<'v>, pod: Option<&str>, faults: &mut Faults) -> Volumes<'v> {
    let own_claim = |name: &str| pod.map(|pod| format!("{pod}-{name}"));
    let made: BTreeSet<String> = (at.value.items().iter())
        .filter(|volume| !volume.at(&["ephemeral"]).is_null())
        .filter_map(|volume| own_claim(volume.at(&["name"]).str_or_empty()))
        .collect();
    let mut sound = Volumes::new();
    for volume in at.items() {
        let before = faults.len();
        let name = volume.field("name");
        let claim = own_claim(name.text());
        if source::one(&volume, TYPES, faults, |kind, it, faults| of_type(kind, it, &volume, claim.as_deref(), faults))
            == 0
        {
            faults.required(&volume, "must specify a volume type");
        }
        faults.text_of(&name, names::label);
        if sound.contains_key(name.text()) {
            faults.duplicate(&name);
        }
        if faults.len() == before {
            sound.insert(name.text(), volume.value);
        }
        let claimed = volume.down(&["persistentVolumeClaim", "claimName"]);
        if made.contains(claimed.text()) {
            faults.invalid(&claimed, "must not reference a PVC that gets created for an ephemeral volume");
        }
    }
    sound
}

/// The types that only pods have; the others are the same wherever they stand.
fn of_type(kind: &str, at: &At<'_>, volume: &At<'_>, claim: Option<&str>, faults: &mut Faults) {
    match kind {
        "emptyDir" => {
            let limit = at.field("sizeLimit");
            if Quantity::or_zero(limit.value) < Quantity::ZERO {
                faults.forbidden(&limit, "SizeLimit field must be a valid resource quantity");
            }
        }
        "secret" | "configMap" => source::files(at, faults),
        "downwardAPI" => {
            source::mode(&at.field("defaultMode"), faults);
            // The real path names the volume, not the item.
            for item in at.field("items").value.items() {
                projected::told(&at.sibling(item), faults);
            }
        }
        "projected" => projected::check(at, faults),
        "csi" => {
            source::driver_name(&at.field("driver"), faults);
            let secret = at.down(&["nodePublishSecretRef", "name"]);
            if !at.field("nodePublishSecretRef").is_absent() && faults.some_text(&secret) {
                // And here it leaves out which reference it is.
                faults.all(&at.named("name", secret.value), names::subdomain(secret.text()));
            }
        }
        "ephemeral" => ephemeral(at, volume, claim, faults),
        "image" => {
            if claim.is_some() {
                faults.some_text(&at.field("reference"));
            }
            faults.some_of(&at.field("pullPolicy"), &["Always", "IfNotPresent", "Never"]);
        }
        _ => source::check(kind, at, false, faults),
    }
}

/// A claim that is made for the pod, and called after it.
fn ephemeral(at: &At<'_>, volume: &At<'_>, claim: Option<&str>, faults: &mut Faults) {
    let template = at.field("volumeClaimTemplate");
    if template.is_absent() {
        faults.required(&template, "");
    } else {
        let about = template.field("metadata");
        metadata::annotations(&about.field("annotations"), faults);
        metadata::labels(&about.field("labels"), faults);
        for (field, _) in about.value.entries() {
            if !matches!(field.as_str(), "annotations" | "labels" | "creationTimestamp") {
                faults.forbidden(&about.field(field), "cannot be set");
            }
        }
        storage::claim_spec(&template.field("spec"), faults);
    }
    let name = volume.field("name");
    if let Some(claim) = claim.filter(|_| !name.text().is_empty()) {
        for why in names::subdomain(claim) {
            faults.invalid(&name, &format!("PVC name {claim:?}: {why}"));
        }
    }
}
