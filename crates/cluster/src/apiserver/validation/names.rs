//! The forms that names, labels, ports and addresses have (`k8s.io/apimachinery/pkg/util/validation`).
//!
//! Knows: each form, and the sentences with which a text that has it not is refused. No sentence: it has it.
//! Does not know: where the text stands.

use std::net::IpAddr;

use super::faults::{At, Faults, quote};

const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
     alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
     validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const WILDCARD: &str = r"a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_NAME: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";
const LOOSE_SUBDOMAIN: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
const IDENTIFIER: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

/// A port's number.
pub(super) const PORT_RANGE: &str = "must be between 1 and 65535, inclusive";

fn one(why: impl Into<String>) -> Vec<String> {
    vec![why.into()]
}

fn longest(text: &str, most: usize) -> Vec<String> {
    if text.len() > most { one(format!("must be no more than {most} characters")) } else { Vec::new() }
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// `my-name`
pub(super) fn label(text: &str) -> Vec<String> {
    let mut why = longest(text, 63);
    if !is_label(text) {
        // What would be a subdomain is told what it has too much of.
        why.push(if is_subdomain(text) { "must not contain dots".to_owned() } else { LABEL.to_owned() });
    }
    why
}

/// `my-name`, and no digit at its beginning.
pub(super) fn label_1035(text: &str) -> Vec<String> {
    let mut why = longest(text, 63);
    if !is_label(text) || text.starts_with(|first: char| first.is_ascii_digit()) {
        why.push(LABEL_1035.to_owned());
    }
    why
}

/// `example.com`
pub(super) fn subdomain(text: &str) -> Vec<String> {
    let mut why = longest(text, 253);
    if !is_subdomain(text) {
        why.push(SUBDOMAIN.to_owned());
    }
    why
}

/// `*.example.com`
pub(super) fn wildcard(text: &str) -> Vec<String> {
    let mut why = longest(text, 253);
    if !text.strip_prefix("*.").is_some_and(is_subdomain) {
        why.push(WILDCARD.to_owned());
    }
    why
}

/// What may stand in a path: `a:b`, but neither `.` nor `a/b`.
pub(super) fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return one(format!("may not be '{text}'"));
    }
    let bad = ["/", "%"].into_iter().filter(|bad| text.contains(bad));
    bad.map(|bad| format!("may not contain '{bad}'")).collect()
}

/// `example.com/MyName`, `MyName`: keys of labels and annotations, names of resources.
pub(super) fn qualified(text: &str) -> Vec<String> {
    let mut why = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                why.push("prefix part must be non-empty".to_owned());
            } else {
                why.extend(subdomain(prefix).into_iter().map(|why| format!("prefix part {why}")));
            }
            *name
        }
        _ => {
            return one(format!(
                "a valid label key {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
        }
    };
    if name.is_empty() {
        why.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        why.push("name part must be no more than 63 bytes".to_owned());
    }
    if name.is_empty() || !is_value(name) {
        why.push(format!("name part {NAME_PART}"));
    }
    why
}

fn is_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let outer = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    text.bytes().all(inner) && outer(text.bytes().next()) && outer(text.bytes().last())
}

/// The value of a label.
pub(super) fn label_value(text: &str) -> Vec<String> {
    let mut why = Vec::new();
    if text.len() > 63 {
        why.push("must be no more than 63 bytes".to_owned());
    }
    if !is_value(text) {
        why.push(LABEL_VALUE.to_owned());
    }
    why
}

/// The key of a ConfigMap or Secret, which becomes a file's name.
pub(super) fn config_key(text: &str) -> Vec<String> {
    let mut why = longest(text, 253);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || !text.bytes().all(inner) {
        why.push(CONFIG_KEY.to_owned());
    } else if matches!(text, "." | "..") {
        why.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        why.push("must not start with '..'".to_owned());
    }
    why
}

/// The name of a variable of the environment.
pub(super) fn env_name(text: &str) -> Vec<String> {
    let inner = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    if text.is_empty() || !text.bytes().all(inner) { one(ENV_NAME) } else { Vec::new() }
}

/// The name of a port.
pub(super) fn port_name(text: &str) -> Vec<String> {
    let mut why = longest(text, 15);
    if !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        why.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
        return why;
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        why.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        why.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        why.push("must not begin or end with a hyphen".to_owned());
    }
    why
}

/// Whether a number is a port's.
pub(super) fn is_port(number: i64) -> bool {
    (1..=65_535).contains(&number)
}

/// `25%`
pub(super) fn percent(text: &str) -> Vec<String> {
    let digits =
        text.strip_suffix('%').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    if digits { Vec::new() } else { one(PERCENT) }
}

/// An address of either family.
pub(super) fn address(text: &str) -> Vec<String> {
    if text.parse::<IpAddr>().is_ok() || sloppy_address(text).is_some() {
        Vec::new()
    } else {
        one("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
    }
}

/// An address of either family, written in the one way in which it is written best.
pub(super) fn strict_address(text: &str) -> Vec<String> {
    match text.parse::<IpAddr>() {
        Ok(address) if address.to_string() == text => Vec::new(),
        Ok(address) => one(format!("must be in canonical form ({:?})", address.to_string())),
        Err(_) => address(text),
    }
}

/// A range of addresses as its first one and the length of the prefix that all share.
pub(super) fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = length.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (length <= most).then_some((address, length))
}

/// `10.0.0.0/8`
pub(super) fn cidr(text: &str) -> Vec<String> {
    if parse_cidr(text).is_some() {
        Vec::new()
    } else {
        one("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
    }
}

/// The first address of a range.
pub(super) fn first_of(address: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match address {
        IpAddr::V4(address) => {
            IpAddr::from((u32::from(address) & u32::MAX.checked_shl(32 - length).unwrap_or(0)).to_be_bytes())
        }
        IpAddr::V6(address) => {
            IpAddr::from((u128::from(address) & u128::MAX.checked_shl(128 - length).unwrap_or(0)).to_be_bytes())
        }
    }
}

/// An address that Go once read though its numbers begin with zeros.
pub(super) fn sloppy_address(text: &str) -> Option<IpAddr> {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &str| -> Option<u8> {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.trim_start_matches('0')).map(|part| if part.is_empty() { "0" } else { part })?.parse().ok()
    };
    match parts.as_slice() {
        [a, b, c, d] => Some(IpAddr::from([number(a)?, number(b)?, number(c)?, number(d)?])),
        _ => None,
    }
}

/// Whether one range lies within another and is smaller.
pub(super) fn is_within(inner: (IpAddr, u8), outer: (IpAddr, u8)) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    };
    let same_family = inner.0.is_ipv4() == outer.0.is_ipv4();
    let apart = bits(inner.0) ^ bits(outer.0);
    same_family && inner.1 > outer.1 && apart.leading_zeros() >= u32::from(outer.1)
}

/// Addresses that cannot be an endpoint's.
pub(super) fn not_special(text: &str) -> Vec<String> {
    let Ok(address) = text.parse::<IpAddr>() else {
        return one("must be a valid IP address");
    };
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => (address.segments().first().copied().unwrap_or(0) & 0xffc0) == 0xfe80,
    };
    let mut why = Vec::new();
    if address.is_unspecified() {
        why.push(format!("may not be unspecified ({text})"));
    }
    if address.is_loopback() {
        why.push("may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned());
    }
    if link_local {
        why.push("may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned());
    }
    if address.is_multicast() {
        why.push("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned());
    }
    why
}

/// `acme.io/foo`
pub(super) fn domain_path(text: &str) -> Vec<String> {
    let Some((domain, path)) = text.split_once('/') else {
        return one(r#"must be a domain-prefixed path (such as "acme.io/foo")"#);
    };
    let mut why = subdomain(domain);
    if path.is_empty() || domain.is_empty() {
        why.push(r#"must be a domain-prefixed path (such as "acme.io/foo")"#.to_owned());
    }
    why
}

/// Whether a text is a host and a port.
pub(super) fn is_host_and_port(text: &str) -> bool {
    let Some((host, _)) = text.rsplit_once(':') else { return false };
    match host.strip_prefix('[') {
        Some(inner) => inner.ends_with(']'),
        None => !host.contains([':', '[', ']']),
    }
}

/// The name of a header.
pub(super) fn header(text: &str) -> Vec<String> {
    let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if sound { Vec::new() } else { one(HEADER) }
}

/// A subdomain that may have underscores.
pub(super) fn loose_subdomain(text: &str) -> Vec<String> {
    let outer = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let inner = |byte: u8| outer(Some(byte)) || matches!(byte, b'-' | b'_');
    let part = |part: &str| {
        let part = part.strip_prefix('_').unwrap_or(part);
        part.bytes().all(inner) && outer(part.bytes().next()) && outer(part.bytes().last())
    };
    let mut why = longest(text, 253);
    if !text.split('.').all(part) {
        why.push(LOOSE_SUBDOMAIN.to_owned());
    }
    why
}

/// The name of a bundle of certificates, which begins with the name of the signer whose it is, if it is one's.
pub(super) fn trust_bundle(text: &str) -> Vec<String> {
    match text.rsplit_once(':') {
        Some(("", _)) => one("ClusterTrustBundle without signer name must not have \":\" in its name"),
        Some((_, rest)) => subdomain(rest),
        None => subdomain(text),
    }
}

/// `example.com/signer`
pub(super) fn signer(at: &At<'_>, faults: &mut Faults) {
    const MOST: usize = 253;
    if !faults.some_text(at) {
        return;
    }
    let [domain, path] = at.text().split('/').collect::<Vec<_>>()[..] else {
        faults.invalid(at, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
        return;
    };
    if domain.len() > MOST {
        faults.too_long(at, MOST);
    }
    in_parts(at, domain, label, faults);
    if !domain.contains('.') {
        faults.invalid_as(at, &quote(domain), "should be a domain with at least two segments separated by dots");
    }
    in_parts(at, path, subdomain, faults);
    let most = 2 * MOST + 63 + 2;
    if at.text().len() > most {
        faults.too_long(at, most);
    }
}

/// Each part of a text between dots has a form; one that has not is enough to say.
fn in_parts(at: &At<'_>, text: &str, form: fn(&str) -> Vec<String>, faults: &mut Faults) {
    let Some(part) = text.split('.').find(|part| !form(part).is_empty()) else { return };
    for why in form(part) {
        faults.invalid_as(at, &quote(text), &format!("validating label {part:?}: {why}"));
    }
}

/// `my_name`, as in C.
pub(super) fn identifier(text: &str) -> Vec<String> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let sound = !text.is_empty() && text.bytes().all(inner) && !text.starts_with(|first: char| first.is_ascii_digit());
    if sound { Vec::new() } else { one(IDENTIFIER) }
}

/// A domain of at least two parts, which may end in a dot.
pub(super) fn full_domain(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let whole = text.strip_suffix('.').unwrap_or(text);
    let why = subdomain(whole);
    if !why.is_empty() {
        return why;
    }
    if whole.split('.').count() < 2 {
        return one("should be a domain with at least two segments separated by dots");
    }
    whole.split('.').flat_map(label).collect()
}
