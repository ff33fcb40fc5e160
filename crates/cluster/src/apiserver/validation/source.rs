//! What is wrong with where a volume's bytes come from, be it a pod's volume or the cluster's.
//!
//! Knows: what each type has to say, as data where it is only that something has to be said.
//! Does not know: which of them may stand where.

use super::faults::{At, Faults};
use super::names;

/// What each type has to name.
const NEEDED: &[(&str, &[&str])] = &[
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("nfs", &["server", "path"]),
    ("glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("local", &["path"]),
];

const PARTITION: &str = "must be between 0 and 255, inclusive";

/// The one type of several that a volume is of. Gives how many it says it is of; the first is looked at.
pub(super) fn one(
    volume: &At<'_>,
    types: &[&str],
    faults: &mut Faults,
    mut check: impl FnMut(&str, &At<'_>, &mut Faults),
) -> usize {
    let mut given = 0;
    for kind in types {
        let it = volume.field(kind);
        if it.is_absent() {
            continue;
        }
        given += 1;
        if given > 1 {
            // Some of the real paths are spelled otherwise here.
            let place = match *kind {
                "cephfs" => "cephFS",
                "downwardAPI" => "downwarAPI",
                kind => kind,
            };
            faults.forbidden(&volume.named(place, it.value), "may not specify more than 1 volume type");
        } else if *kind == "gcePersistentDisk" {
            check(kind, &volume.named("persistentDisk", it.value), faults);
        } else {
            check(kind, &it, faults);
        }
    }
    given
}

/// A type that a pod's volume and the cluster's have in common. `whole` says that it is the cluster's, which names
/// namespaces, as a pod's does not.
pub(super) fn check(kind: &str, at: &At<'_>, whole: bool, faults: &mut Faults) {
    let needed = NEEDED.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, fields)| *fields);
    for field in needed {
        faults.something(&at.field(field));
    }
    match kind {
        "hostPath" => host_path(at, faults),
        "gitRepo" => inner_path(&at.field("directory"), faults),
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            faults.between(&at.field("partition"), 0, 255, PARTITION);
        }
        "nfs" => {
            let path = at.field("path");
            if !path.text().starts_with('/') {
                faults.invalid_as(&path, &super::faults::quote(path.text()), "must be an absolute path");
            }
        }
        "iscsi" => iscsi(at, whole, faults),
        "flocker" => flocker(at, faults),
        "cinder" => secret(at, whole, faults),
        "quobyte" => quobyte(at, faults),
        "fc" => fibre_channel(at, faults),
        "flexVolume" => {
            for (key, option) in at.field("options").entries() {
                let domain = format!(".{}", key.split('/').next().unwrap_or_default().to_lowercase());
                if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
                    let why = "kubernetes.io and k8s.io namespaces are reserved";
                    faults.invalid_as(&option, &super::faults::quote(key), why);
                }
            }
        }
        "azureDisk" => azure_disk(at, faults),
        "storageos" => {
            faults.text_of(&at.field("volumeName"), names::label);
            faults.optional(&at.field("volumeNamespace"), names::label);
            secret(at, whole, faults);
        }
        "local" => no_backsteps(&at.field("path"), faults),
        _ => {}
    }
}

fn host_path(at: &At<'_>, faults: &mut Faults) {
    const TYPES: &[&str] =
        &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let path = at.field("path");
    if faults.some_text(&path) {
        no_backsteps(&path, faults);
        faults.one_of(&at.field("type"), TYPES);
    }
}

fn secret(at: &At<'_>, whole: bool, faults: &mut Faults) {
    let secret = at.field("secretRef");
    if !secret.is_absent() {
        faults.some_text(&secret.field("name"));
        if whole {
            faults.some_text(&secret.field("namespace"));
        }
    }
}

fn flocker(at: &At<'_>, faults: &mut Faults) {
    let (name, id) = (at.field("datasetName"), at.field("datasetUUID"));
    match (name.text().is_empty(), id.text().is_empty()) {
        (true, true) => faults.required(at, "one of datasetName and datasetUUID is required"),
        (false, false) => {
            faults.invalid_as(at, "\"resource\"", "datasetName and datasetUUID can not be specified simultaneously");
        }
        _ => {}
    }
    if name.text().contains('/') {
        faults.invalid(&name, "must not contain '/'");
    }
}

fn quobyte(at: &At<'_>, faults: &mut Faults) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let (registry, tenant) = (at.field("registry"), at.field("tenant"));
    if registry.text().is_empty() {
        faults.required(&registry, PAIRS);
    } else if tenant.text().len() >= 65 {
        faults.required(&tenant, "must be a UUID and may not exceed a length of 64 characters");
    } else {
        for _ in registry.text().split(',').filter(|pair| !names::is_host_and_port(pair)) {
            faults.invalid(&registry, PAIRS);
        }
    }
    faults.some_text(&at.field("volume"));
}

fn fibre_channel(at: &At<'_>, faults: &mut Faults) {
    let (names, ids, lun) = (at.field("targetWWNs"), at.field("wwids"), at.field("lun"));
    match (names.value.is_empty(), ids.value.is_empty()) {
        (true, true) => faults.required(&names, "must specify either targetWWNs or wwids, but not both"),
        (false, false) => faults.invalid(&names, "targetWWNs and wwids can not be specified simultaneously"),
        _ => {}
    }
    if !names.value.is_empty() {
        if lun.is_absent() {
            faults.required(&lun, "lun is required if targetWWNs is specified");
        } else {
            faults.between(&lun, 0, 255, "must be between 0 and 255, inclusive");
        }
    }
}

fn azure_disk(at: &At<'_>, faults: &mut Faults) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    let (kind, place) = (at.field("kind"), at.field("diskURI"));
    faults.one_of(&at.field("cachingMode"), &["None", "ReadOnly", "ReadWrite"]);
    faults.one_of(&kind, &["Dedicated", "Managed", "Shared"]);
    if kind.is_absent() {
        return;
    }
    let (begins, form) = if kind.text() == "Managed" { ("/subscriptions/", MANAGED) } else { ("https://", BLOB) };
    if !place.text().starts_with(begins) {
        faults.unsupported_as(&place, &super::faults::quote(place.text()), &[form]);
    }
}

/// The name of a target or of who asks for it: `iqn.`, a year and month, a domain backwards, a colon, anything; or a number
/// in hexadecimal.
fn iscsi_name(at: &At<'_>, begins: &str, faults: &mut Faults) {
    let text = at.text();
    let numbered = |rest: &str, digits: usize| {
        rest.len() == digits + 1 && rest.bytes().skip(1).all(|byte| byte.is_ascii_alphanumeric())
    };
    let sound = if let Some(rest) = text.strip_prefix("iqn") {
        is_dated(rest)
    } else if let Some(rest) = text.strip_prefix("eui") {
        numbered(rest, 16)
    } else if let Some(rest) = text.strip_prefix("naa") {
        numbered(rest, 32)
    } else {
        return faults.invalid(at, begins);
    };
    if !sound {
        faults.invalid(at, "must be valid format");
    }
}

fn is_dated(rest: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let Some((year, rest)) = rest.strip_prefix('.').and_then(|rest| rest.split_once('-')) else { return false };
    let Some((month, rest)) = rest.split_once('.') else { return false };
    let Some((domain, target)) = rest.split_once(':') else { return false };
    digits(year, 4)
        && digits(month, 2)
        && !domain.is_empty()
        && domain.bytes().all(part)
        && !target.is_empty()
        && !target.contains([',', ';', '*', '&', '$', '|'])
        && !target.contains(char::is_whitespace)
}

fn iscsi(at: &At<'_>, whole: bool, faults: &mut Faults) {
    let begins = if whole { "must be valid format" } else { "must be valid format starting with iqn, eui, or naa" };
    faults.some_text(&at.field("targetPortal"));
    let name = at.field("iqn");
    if faults.some_text(&name) {
        iscsi_name(&name, begins, faults);
    }
    faults.between(&at.field("lun"), 0, 255, "must be between 0 and 255, inclusive");
    let secret = at.field("secretRef");
    let secured = ["chapAuthDiscovery", "chapAuthSession"].iter().any(|field| at.field(field).value.is_true());
    if secured && secret.is_absent() {
        faults.required(&secret, "");
    }
    if whole && !secret.is_absent() {
        faults.some_text(&secret.field("name"));
    }
    let asks = at.field("initiatorName");
    if !asks.is_absent() {
        iscsi_name(&at.named("initiatorname", asks.value), begins, faults);
    }
}

/// The name of a driver.
pub(super) fn driver_name(at: &At<'_>, faults: &mut Faults) {
    if at.text().is_empty() {
        faults.required(at, "");
    }
    if at.text().len() > 63 {
        faults.too_long(at, 63);
    }
    for why in names::subdomain(&at.text().to_lowercase()) {
        faults.invalid_as(at, &super::faults::quote(at.text()), &why);
    }
}

/// The permissions of a file.
pub(super) fn mode(at: &At<'_>, faults: &mut Faults) {
    faults.between(at, 0, 0o777, "must be a number between 0 and 0777 (octal), both inclusive");
}

/// A ConfigMap or Secret whose keys become files.
pub(super) fn files(at: &At<'_>, faults: &mut Faults) {
    // Of a Secret the name stands elsewhere: only a pod's own volume calls it so.
    let name = at.field(if at.path().ends_with(".secret") { "secretName" } else { "name" });
    faults.some_text(&name);
    mode(&at.field("defaultMode"), faults);
    for item in at.field("items").items() {
        key_to_path(&item, faults);
    }
}

/// One key, and the file that it becomes.
pub(super) fn key_to_path(item: &At<'_>, faults: &mut Faults) {
    faults.some_text(&item.field("key"));
    let path = item.field("path");
    faults.some_text(&path);
    file_path(&path, faults);
    mode(&item.field("mode"), faults);
}

/// The path of a file that is put among others of which the kubelet has its own.
pub(super) fn file_path(at: &At<'_>, faults: &mut Faults) {
    inner_path(at, faults);
    if at.text().starts_with("..") && !at.text().starts_with("../") {
        faults.invalid(at, "must not start with '..'");
    }
}

/// A path below another.
pub(super) fn inner_path(at: &At<'_>, faults: &mut Faults) {
    if at.text().starts_with('/') {
        faults.invalid(at, "must be a relative path");
    }
    no_backsteps(at, faults);
}

/// A path that leads down only.
pub(super) fn no_backsteps(at: &At<'_>, faults: &mut Faults) {
    if at.text().split('/').any(|part| part == "..") {
        faults.invalid(at, "must not contain '..'");
    }
}
