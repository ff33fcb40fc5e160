//! What is wrong with the volumes of a pod, and with those of the cluster.
//!
//! Knows: what each type of volume has to say.
//! Does not know: which volumes there are.

use std::collections::BTreeSet;

use super::container::{field_ref, inner_path, no_backsteps, resource_ref};
use super::faults::{At, Faults, quote};
use super::names;

/// The types of volumes, in the order in which they are looked at.
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
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "downwardAPI",
    "fc",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "persistentVolumeClaim",
    "rbd",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
    "projected",
    "csi",
    "local",
    "ephemeral",
    "image",
];

/// What each type has to name.
const NEEDED: &[(&str, &[&str])] = &[
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("secret", &["secretName"]),
    ("nfs", &["server", "path"]),
    ("glusterfs", &["endpoints", "path"]),
    ("flexVolume", &["driver"]),
    ("cinder", &["volumeID"]),
    ("configMap", &["name"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("quobyte", &["registry", "volume"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["image"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("local", &["path"]),
];

/// What a file may tell of its pod.
const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// The volumes of a pod. Gives the names of those with which nothing is wrong.
pub(super) fn of_pod<'v>(at: &At<'v>, faults: &mut Faults) -> BTreeSet<&'v str> {
    let (mut all, mut sound) = (BTreeSet::new(), BTreeSet::new());
    for volume in at.items() {
        let before = faults.len();
        source(&volume, faults);
        let name = volume.field("name");
        faults.text_of(&name, names::label);
        if !all.insert(name.text()) && !name.text().is_empty() {
            faults.duplicate(&name);
        }
        if faults.len() == before {
            sound.insert(name.text());
        }
    }
    sound
}

/// The one source that a volume has. Says how many it has.
pub(super) fn source(volume: &At<'_>, faults: &mut Faults) -> usize {
    let mut given = 0;
    for kind in TYPES {
        let it = volume.field(kind);
        if it.is_absent() {
            continue;
        }
        given += 1;
        if given > 1 {
            faults.forbidden(&it, "may not specify more than 1 volume type");
            continue;
        }
        of_type(kind, &it, faults);
    }
    given
}

fn of_type(kind: &str, at: &At<'_>, faults: &mut Faults) {
    let needed = NEEDED.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, fields)| *fields);
    for field in needed {
        faults.some_text(&at.field(field));
    }
    match kind {
        "emptyDir" => {
            let limit = at.field("sizeLimit");
            if crate::quantity::Quantity::or_zero(limit.value) < crate::quantity::Quantity::ZERO {
                faults.forbidden(&limit, "SizeLimit field must be a valid resource quantity");
            }
        }
        "hostPath" => {
            let path = at.field("path");
            if faults.some_text(&path) {
                no_backsteps(&path, faults);
            }
            let types =
                ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
            faults.one_of(&at.field("type"), &types);
        }
        "nfs" => {
            let path = at.field("path");
            if !path.text().is_empty() && !path.text().starts_with('/') {
                faults.invalid(&path, "must be an absolute path");
            }
        }
        "iscsi" => iscsi(at, faults),
        "secret" | "configMap" => files(at, faults),
        "downwardAPI" => {
            mode(&at.field("defaultMode"), faults);
            told(&at.field("items"), faults);
        }
        "projected" => projected(at, faults),
        "local" => no_backsteps(&at.field("path"), faults),
        "csi" => csi(at, faults),
        "ephemeral" => {
            let template = at.field("volumeClaimTemplate");
            if template.is_absent() {
                faults.required(&template, "");
            } else {
                super::storage::claim_spec(&template.field("spec"), faults);
            }
        }
        "image" => {
            faults.some_text(&at.field("reference"));
            faults.one_of(&at.field("pullPolicy"), &["Always", "IfNotPresent", "Never"]);
        }
        _ => {}
    }
}

fn csi(at: &At<'_>, faults: &mut Faults) {
    let driver = at.field("driver");
    if faults.some_text(&driver) {
        faults.all(&driver, names::subdomain(&driver.text().to_lowercase()));
        if driver.text().len() > 63 {
            faults.too_long(&driver, 63);
        }
    }
}

fn iscsi(at: &At<'_>, faults: &mut Faults) {
    faults.some_text(&at.field("targetPortal"));
    let name = at.field("iqn");
    if faults.some_text(&name) {
        // `iqn.` year and month, a domain backwards, a colon, anything; or a number in hexadecimal.
        let text = name.text();
        let dated = text.strip_prefix("iqn.").and_then(|rest| rest.split_once(':')).is_some_and(|(domain, target)| {
            let date = domain.as_bytes();
            let digits =
                |range: std::ops::Range<usize>| date.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
            digits(0..4)
                && date.get(4) == Some(&b'-')
                && digits(5..7)
                && date.get(7) == Some(&b'.')
                && !target.is_empty()
        });
        let numbered = ["eui.", "naa."].iter().any(|prefix| {
            text.strip_prefix(prefix)
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit()))
        });
        if !dated && !numbered {
            faults.invalid(&name, "must be valid format");
        }
    }
    let lun = at.field("lun");
    if lun.number().is_some_and(|lun| !(0..=255).contains(&lun)) {
        faults.invalid(&lun, "must be between 0 and 255, inclusive");
    }
}

fn mode(at: &At<'_>, faults: &mut Faults) {
    if at.number().is_some_and(|mode| !(0..=0o777).contains(&mode)) {
        faults.invalid(at, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

/// Keys that become files.
fn files(at: &At<'_>, faults: &mut Faults) {
    mode(&at.field("defaultMode"), faults);
    for item in at.field("items").items() {
        faults.some_text(&item.field("key"));
        let path = item.field("path");
        if faults.some_text(&path) {
            inner_path(&path, faults);
        }
        mode(&item.field("mode"), faults);
    }
}

/// Facts about the pod that become files.
fn told(items: &At<'_>, faults: &mut Faults) {
    for item in items.items() {
        let path = item.field("path");
        if faults.some_text(&path) {
            inner_path(&path, faults);
        }
        let (field, resource) = (item.field("fieldRef"), item.field("resourceFieldRef"));
        match (field.is_absent(), resource.is_absent()) {
            (false, true) => field_ref(&field, FILE_FIELDS, faults),
            (true, false) => resource_ref(&resource, true, faults),
            (true, true) => faults.required(&field, "one of fieldRef and resourceFieldRef is required"),
            (false, false) => {
                faults.invalid_as(
                    &item,
                    &quote("resource"),
                    "fieldRef and resourceFieldRef can not be specified simultaneously",
                );
            }
        }
        mode(&item.field("mode"), faults);
    }
}

fn projected(at: &At<'_>, faults: &mut Faults) {
    mode(&at.field("defaultMode"), faults);
    for source in at.field("sources").items() {
        for kind in ["secret", "configMap"] {
            let it = source.field(kind);
            if !it.is_absent() {
                faults.some_text(&it.field("name"));
                files(&it, faults);
            }
        }
        told(&source.down(&["downwardAPI", "items"]), faults);
        let token = source.field("serviceAccountToken");
        if !token.is_absent() {
            let seconds = token.field("expirationSeconds");
            if seconds.number().is_some_and(|seconds| seconds < 600) {
                faults.invalid(&seconds, "may not specify a duration less than 10 minutes");
            }
            let path = token.field("path");
            if faults.some_text(&path) {
                inner_path(&path, faults);
            }
        }
    }
}
