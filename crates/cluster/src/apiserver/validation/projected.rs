//! What is wrong with a volume that several sources are projected into.
//!
//! Knows: the sources, and that no two may make the same file.
//! Does not know: the pod.

use std::collections::BTreeSet;

use super::container::{field_ref, resource_ref};
use super::faults::{At, Faults, quote};
use super::selectors::label_selector;
use super::source::{file_path, key_to_path, mode};
use super::{internal, names};

/// What a file may tell of its pod.
const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Certificates that a pod can be given keys for.
const KEY_TYPES: &[&str] = &["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];

/// The volume. Files of one source that are in the way of another's are told of the volume as a whole.
pub(super) fn check(at: &At<'_>, faults: &mut Faults) {
    mode(&at.field("defaultMode"), faults);
    let mut paths = Paths { volume: at, taken: BTreeSet::new() };
    for source in at.field("sources").items() {
        let given =
            ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"]
                .into_iter()
                .map(|kind| (kind, source.field(kind)))
                .filter(|(_, it)| !it.is_absent());
        let mut count = 0;
        for (kind, it) in given {
            count += 1;
            of_kind(kind, &it, &mut paths, faults);
        }
        if count > 1 {
            faults.forbidden(&source, "may not specify more than 1 volume type per source");
        }
    }
}

/// The files that there are.
struct Paths<'a, 'v> {
    volume: &'a At<'v>,
    taken: BTreeSet<&'v str>,
}

impl<'v> Paths<'_, 'v> {
    fn take(&mut self, path: &'v str, shown: &str, faults: &mut Faults) {
        if !self.taken.insert(path) {
            faults.invalid_as(self.volume, &quote(shown), "conflicting duplicate paths");
        }
    }
}

fn of_kind<'v>(kind: &str, at: &At<'v>, paths: &mut Paths<'_, 'v>, faults: &mut Faults) {
    match kind {
        "secret" | "configMap" => {
            let name = at.field("name");
            faults.some_text(&name);
            for item in at.field("items").items() {
                key_to_path(&item, faults);
                let path = item.field("path").text();
                if !path.is_empty() {
                    paths.take(path, name.text(), faults);
                }
            }
        }
        "downwardAPI" => {
            for item in at.field("items").value.items() {
                let item = at.sibling(item);
                told(&item, faults);
                let path = item.field("path").text();
                if !path.is_empty() {
                    paths.take(path, path, faults);
                }
            }
        }
        "serviceAccountToken" => {
            let seconds = at.field("expirationSeconds");
            if seconds.number().is_some_and(|seconds| seconds < 600) {
                faults.invalid(&seconds, "may not specify a duration less than 10 minutes");
            }
            if seconds.number().is_some_and(|seconds| seconds > 1 << 32) {
                faults.invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
            }
            // The real path is that of the volume.
            let path = paths.volume.named("path", at.value.at(&["path"]));
            if faults.some_text(&path) {
                file_path(&path, faults);
            }
        }
        "clusterTrustBundle" => bundle(at, paths, faults),
        _ => certificate(at, paths, faults),
    }
}

/// A fact about the pod that becomes a file.
pub(super) fn told(item: &At<'_>, faults: &mut Faults) {
    let path = item.field("path");
    faults.some_text(&path);
    file_path(&path, faults);
    let (field, resource) = (item.field("fieldRef"), item.field("resourceFieldRef"));
    if !field.is_absent() {
        field_ref(&field, FILE_FIELDS, faults);
        if !resource.is_absent() {
            let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
            faults.invalid_as(item, "\"resource\"", why);
        }
    } else if resource.is_absent() {
        faults.required(item, "one of fieldRef and resourceFieldRef is required");
    } else {
        resource_ref(&resource, true, faults);
    }
    mode(&item.field("mode"), faults);
}

fn bundle<'v>(at: &At<'v>, paths: &mut Paths<'_, 'v>, faults: &mut Faults) {
    let (name, signer, selector) = (at.field("name"), at.field("signerName"), at.field("labelSelector"));
    match (name.is_absent(), signer.is_absent()) {
        (false, false) => {
            let shown = internal::of("ClusterTrustBundleProjection", at.value);
            faults.invalid_as(at, &shown, "only one of name and signerName may be used");
        }
        (false, true) => {
            if name.text().is_empty() {
                faults.required(&name, "must be a valid object name");
            }
            for why in names::trust_bundle(name.text()) {
                faults.invalid(&name, &format!("not a valid clustertrustbundlename: {why}"));
            }
            if !selector.is_absent() {
                faults.invalid(&selector, "labelSelector must be unset if name is specified");
            }
        }
        (true, false) => {
            if signer.text().is_empty() {
                faults.required(&signer, "must be a valid signer name");
            }
            names::signer(&signer, faults);
            label_selector(&selector, faults);
        }
        (true, true) => faults.required(at, "either name or signerName must be specified"),
    }
    let path = at.field("path");
    faults.some_text(&path);
    file_path(&path, faults);
    paths.take(path.text(), path.text(), faults);
}

fn certificate<'v>(at: &At<'v>, paths: &mut Paths<'_, 'v>, faults: &mut Faults) {
    let signer = at.field("signerName");
    names::signer(&signer, faults);
    let kind = at.field("keyType");
    if !KEY_TYPES.contains(&kind.text()) {
        faults.unsupported_as(&kind, &quote(kind.text()), KEY_TYPES);
    }
    let longest = at.field("maxExpirationSeconds");
    // Kubernetes' own signers sign for a day, others for a quarter of a year.
    let most = if signer.text().starts_with("kubernetes.io/") { 86_400 } else { 91 * 86_400 };
    if longest.number().is_some_and(|seconds| seconds < 3600) {
        faults.invalid(&longest, "if provided, maxExpirationSeconds must be >= 3600");
    }
    if longest.number().is_some_and(|seconds| seconds > most) {
        faults.invalid(&longest, &format!("if provided, maxExpirationSeconds must be <= {most}"));
    }
    let mut count = 0;
    for field in ["credentialBundlePath", "keyPath", "certificateChainPath"] {
        let path = at.field(field);
        if !path.text().is_empty() {
            count += 1;
            file_path(&path, faults);
            paths.take(path.text(), path.text(), faults);
        }
    }
    if count == 0 {
        faults.required(at, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath");
    }
}
