//! The certificates that hosts are served with: whether they are there, for which names, and until when.
//!
//! Knows: where Ingresses and Gateways name their certificates, and as much of X.509 as says names and dates.
//! Does not know: who is trusted to sign.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster::{Cluster, ObjectKey, Value};
use model::{Forecast, HazardKind};
use twin::Time;

use super::ledger::{Ledger, reference};
use super::warn;

const INGRESSES: &str = "ingresses.networking.k8s.io";
const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";

/// Whoever renews certificates does so with so much of their life left; one that ends sooner is none that was renewed.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// Somebody who serves a host with a certificate.
struct Served<'a> {
    by: &'a ObjectKey,
    object: &'a Value,
    secret: ObjectKey,
    hosts: Vec<&'a str>,
}

/// Fills in the hosts that would be served with no certificate, or with one that is not theirs.
pub(super) fn read(ledger: &Ledger<'_>, forecast: &mut Forecast) {
    let touched: BTreeSet<&str> = ledger.net().map(|(key, _)| key.resource.as_str()).collect();
    if !["secrets", INGRESSES, GATEWAYS].iter().any(|resource| touched.contains(resource)) {
        return;
    }
    let before: BTreeSet<(&ObjectKey, ObjectKey)> =
        served(ledger.before).into_iter().map(|one| (one.by, one.secret)).collect();
    for one in served(ledger.after) {
        let (was, is) = (ledger.before.get(&one.secret), ledger.after.get(&one.secret));
        let shown = reference(one.by, one.object);
        let name = format!("Secret/{}/{}", one.secret.namespace, one.secret.name);
        let Some(is) = is.filter(|secret| !secret.is_terminating()) else {
            let known = before.contains(&(one.by, one.secret.clone()));
            // Whoever makes certificates makes them for what is new.
            if was.is_some() || (!known && ledger.before.get(one.by).is_some()) {
                let because = format!("it serves {} with {name}, which would not be there", one.hosts.join(", "));
                warn(forecast, HazardKind::Dangling, shown, because);
            }
            continue;
        };
        if was.map(|was| was.at(&["data"])) == Some(is.at(&["data"])) && before.contains(&(one.by, one.secret.clone()))
        {
            continue;
        }
        let Some(certificate) = certificate(is) else { continue };
        let uncovered: Vec<&str> = one.hosts.iter().copied().filter(|host| !certificate.covers(host)).collect();
        if !certificate.names.is_empty() && !uncovered.is_empty() {
            let because =
                format!("{name} would be for {}, not for {}", listed(&certificate.names), uncovered.join(", "));
            warn(forecast, HazardKind::Hollow, shown, because);
        } else if certificate.ends.is_some_and(|ends| ends < ledger.after.now() + SOON) {
            let because = format!("{name} would be for {} and end within days", one.hosts.join(", "));
            warn(forecast, HazardKind::Hollow, shown, because);
        }
    }
}

fn listed(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Every host that is served with a certificate, by whom and with which.
fn served(cluster: &Cluster) -> Vec<Served<'_>> {
    let mut found = Vec::new();
    for (by, object) in cluster.list(INGRESSES, None).filter(|(_, object)| !object.is_terminating()) {
        for entry in object.at(&["spec", "tls"]).items() {
            let name = entry.at(&["secretName"]).str_or_empty();
            if !name.is_empty() {
                let hosts = entry.at(&["hosts"]).items().iter().map(Value::str_or_empty).collect();
                found.push(Served { by, object, secret: by.beside("secrets", name), hosts });
            }
        }
    }
    for (by, object) in cluster.list(GATEWAYS, None).filter(|(_, object)| !object.is_terminating()) {
        for listener in object.at(&["spec", "listeners"]).items() {
            for wanted in listener.at(&["tls", "certificateRefs"]).items() {
                let space = wanted.at(&["namespace"]).as_str().unwrap_or(&by.namespace);
                let secret = ObjectKey::new("secrets", space, wanted.at(&["name"]).str_or_empty());
                let hosts = listener.at(&["hostname"]).as_str().into_iter().collect();
                found.push(Served { by, object, secret, hosts });
            }
        }
    }
    found
}

/// What a certificate says that matters to whoever is served with it.
struct Certificate {
    names: BTreeSet<String>,
    ends: Option<Time>,
}

impl Certificate {
    fn covers(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.names.iter().any(|name| {
            *name == host
                || name
                    .strip_prefix("*.")
                    .is_some_and(|rest| host.split_once('.').is_some_and(|(_, tail)| tail == rest))
        })
    }
}

/// The first certificate of a Secret's chain. What is masked, or no certificate, says nothing.
fn certificate(secret: &Value) -> Option<Certificate> {
    let pem = STANDARD.decode(secret.at(&["data", "tls.crt"]).as_str()?).ok()?;
    let text = String::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let der = STANDARD.decode(body.split_whitespace().collect::<String>()).ok()?;
    parse(&der)
}

/// One element of DER: its tag, what is in it, and what comes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(digits, _)| digits.len() <= 4)?;
        (digits.iter().fold(0_usize, |sum, digit| (sum << 8) | usize::from(*digit)), rest)
    };
    let (inner, rest) = rest.split_at_checked(length)?;
    Some((tag, inner, rest))
}

/// The elements of a sequence, one after another.
fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, inner, rest) = element(bytes)?;
        bytes = rest;
        Some((tag, inner))
    })
}

/// `subjectAltName` (2.5.29.17).
const ALTERNATIVES: &[u8] = &[0x55, 0x1d, 0x11];

/// Names and end of a certificate (RFC 5280): `Certificate ::= SEQUENCE { tbs SEQUENCE { …, validity, …, [3] extensions } … }`.
fn parse(der: &[u8]) -> Option<Certificate> {
    let (_, whole, _) = element(der)?;
    let (_, signed, _) = element(whole)?;
    let mut ends = None;
    let mut names = BTreeSet::new();
    for (tag, inner) in elements(signed) {
        match tag {
            // Of all sequences here only the validity begins with a time.
            0x30 if matches!(inner.first(), Some(0x17 | 0x18)) => ends = elements(inner).nth(1).and_then(time),
            0xa3 => {
                let (_, extensions, _) = element(inner)?;
                for (_, extension) in elements(extensions) {
                    let mut parts = elements(extension);
                    if parts.next().is_some_and(|(_, id)| id == ALTERNATIVES)
                        && let Some((_, value)) = parts.last()
                        && let Some((_, list, _)) = element(value)
                    {
                        // [2] is a DNS name.
                        let dns = elements(list).filter(|(tag, _)| *tag == 0x82);
                        names.extend(dns.map(|(_, name)| String::from_utf8_lossy(name).to_ascii_lowercase()));
                    }
                }
            }
            _ => {}
        }
    }
    Some(Certificate { names, ends })
}

/// `UTCTime` (two digits of the year, from 1950 on) or `GeneralizedTime`.
fn time((tag, text): (u8, &[u8])) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let (year, rest) = if tag == 0x17 {
        let (year, rest) = text.split_at_checked(2)?;
        (if year < "50" { format!("20{year}") } else { format!("19{year}") }, rest)
    } else {
        let (year, rest) = text.split_at_checked(4)?;
        (year.to_owned(), rest)
    };
    let part = |at: usize| rest.get(at..at + 2);
    let shown = format!("{year}-{}-{}T{}:{}:{}Z", part(0)?, part(2)?, part(4)?, part(6)?, part(8)?);
    cluster::time::parse(&shown)
}
