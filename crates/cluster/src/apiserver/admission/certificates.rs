//! `CertificateApproval`, `CertificateSigning`, `CertificateSubjectRestriction`, `ClusterTrustBundleAttest`: who may speak
//! for a signer, and which certificates nobody may ask for.
//!
//! Knows: how rights on signers are named, and where a request's subject says its organizations.
//! Does not know: keys, signatures, or what a certificate is good for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cel::library::authorizer::Question;

use super::Write;
use crate::apiserver::{Status, auth};
use crate::cluster::Cluster;
use crate::value::Value;

const REQUESTS: &str = "certificatesigningrequests.certificates.k8s.io";
const BUNDLES: &str = "clustertrustbundles.certificates.k8s.io";
/// Its certificates are believed by the API server.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// Refuses to approve, sign or attest for a signer on whose behalf the writer may not.
pub(super) fn check(cluster: &Cluster, write: Write<'_>, object: &Value) -> Result<(), Status> {
    let signer = |object: &Value| object.at(&["spec", "signerName"]).str_or_empty().to_owned();
    if write.key.is(BUNDLES) {
        let wanted = signer(object);
        // What does not change is not asked again, and who names no signer speaks for none.
        let same = write.old.is_some_and(|old| {
            signer(old) == wanted && old.at(&["spec", "trustBundle"]) == object.at(&["spec", "trustBundle"])
        });
        if same || wanted.is_empty() || may(cluster, write, "attest", &wanted) {
            return Ok(());
        }
        return Err(write.forbidden(&format!("user not permitted to attest for signerName {wanted:?}")));
    }
    if !write.key.is(REQUESTS) {
        return Ok(());
    }
    let Some(old) = write.old else { return check_subject(write, object) };
    // Whoever changes the signer's name with it gains nothing.
    let wanted = signer(old);
    let changed = |field: &str| old.at(&["status", field]) != object.at(&["status", field]);
    let (verb, doing) = match write.writer.subresource.as_str() {
        "approval" => ("approve", "approve"),
        "status" if changed("certificate") || changed("conditions") => ("sign", "sign"),
        _ => return Ok(()),
    };
    if may(cluster, write, verb, &wanted) {
        return Ok(());
    }
    Err(write.forbidden(&format!("user not permitted to {doing} requests with signerName {wanted:?}")))
}

/// Whether the writer may do something for a signer, or for all of its domain.
fn may(cluster: &Cluster, write: Write<'_>, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or("");
    [signer.to_owned(), format!("{domain}/*")].into_iter().any(|name| {
        let question = Question {
            verb: verb.to_owned(),
            group: "certificates.k8s.io".to_owned(),
            resource: "signers".to_owned(),
            name,
            ..Question::default()
        };
        auth::ask(cluster, &write.writer.user, &question).0
    })
}

/// Nobody becomes a master by certificate.
fn check_subject(write: Write<'_>, request: &Value) -> Result<(), Status> {
    if request.at(&["spec", "signerName"]) != CLIENT_SIGNER {
        return Ok(());
    }
    let masters = organizations(request.at(&["spec", "request"]).str_or_empty())
        .is_some_and(|organizations| organizations.iter().any(|organization| organization == b"system:masters"));
    if masters {
        let why = format!("use of {CLIENT_SIGNER} signer with system:masters group is not allowed");
        return Err(write.forbidden(&why));
    }
    Ok(())
}

/// The organizations in the subject of a request in PEM, itself in base64; none if it is no such thing.
fn organizations(request: &str) -> Option<Vec<Vec<u8>>> {
    let pem = String::from_utf8(STANDARD.decode(request).ok()?).ok()?;
    let lines = pem.lines().map(str::trim).skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
    let body: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
    let der = STANDARD.decode(body).ok()?;
    // CertificationRequest { CertificationRequestInfo { version, subject, … }, … }
    let (_, whole, _) = element(&der)?;
    let (_, info, _) = element(whole)?;
    let (_, _, after_version) = element(info)?;
    let (_, mut names, _) = element(after_version)?;
    let mut found = Vec::new();
    // A sequence of sets of sequences of a type and a value.
    while !names.is_empty() {
        let (_, mut set, rest) = element(names)?;
        while !set.is_empty() {
            let (_, pair, rest) = element(set)?;
            let (_, kind, value) = element(pair)?;
            if kind == ORGANIZATION {
                found.push(element(value)?.1.to_vec());
            }
            set = rest;
        }
        names = rest;
    }
    Some(found)
}

/// `id-at-organizationName`, 2.5.4.10.
const ORGANIZATION: &[u8] = &[0x55, 4, 10];

/// The first element of some DER: its tag, what is in it, and what comes after.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..=127 => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long - 128)?;
            let length =
                bytes.iter().try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)));
            (length?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl req -new -newkey ec -subj /O=system:masters/O=others/CN=bob`, of which only the subject counts.
    #[test]
    fn the_organizations_of_a_request_are_read_from_its_subject() {
        let rdn = |kind: u8, text: &str| {
            let value = [&[0x0c, u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
            wrapped(0x31, &wrapped(0x30, &[&[0x06, 3, 0x55, 4, kind][..], &value].concat()))
        };
        let subject = wrapped(0x30, &[rdn(10, "system:masters"), rdn(10, "others"), rdn(3, "bob")].concat());
        let info = wrapped(0x30, &[&[0x02, 1, 0][..], &subject].concat());
        let pem = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            STANDARD.encode(wrapped(0x30, &info))
        );
        let found = organizations(&STANDARD.encode(pem)).expect("it is a request");
        assert_eq!(found, [b"system:masters".to_vec(), b"others".to_vec()]);
        assert_eq!(organizations("eA=="), None);
    }

    fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).expect("short")], content].concat()
    }
}
