//! Forms that names have in Kubernetes.
//!
//! Knows: the named formats and Kubernetes' sentences about what does not have them.
//! Does not know: what is named.

use super::time::read_timestamp;
use super::{Entry, mismatch, tenth};
use crate::value::Value;

/// A named format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format(&'static str);

const NAMES: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

pub(super) const FUNCTIONS: &[Entry] = &[
    ("format.dns1123Label", "() -> format", |_, _| Ok(Value::Format(Format("dns1123Label")))),
    ("format.dns1123Subdomain", "() -> format", |_, _| Ok(Value::Format(Format("dns1123Subdomain")))),
    ("format.dns1035Label", "() -> format", |_, _| Ok(Value::Format(Format("dns1035Label")))),
    ("format.qualifiedName", "() -> format", |_, _| Ok(Value::Format(Format("qualifiedName")))),
    ("format.dns1123LabelPrefix", "() -> format", |_, _| Ok(Value::Format(Format("dns1123LabelPrefix")))),
    ("format.dns1123SubdomainPrefix", "() -> format", |_, _| Ok(Value::Format(Format("dns1123SubdomainPrefix")))),
    ("format.dns1035LabelPrefix", "() -> format", |_, _| Ok(Value::Format(Format("dns1035LabelPrefix")))),
    ("format.labelValue", "() -> format", |_, _| Ok(Value::Format(Format("labelValue")))),
    ("format.uri", "() -> format", |_, _| Ok(Value::Format(Format("uri")))),
    ("format.uuid", "() -> format", |_, _| Ok(Value::Format(Format("uuid")))),
    ("format.byte", "() -> format", |_, _| Ok(Value::Format(Format("byte")))),
    ("format.date", "() -> format", |_, _| Ok(Value::Format(Format("date")))),
    ("format.datetime", "() -> format", |_, _| Ok(Value::Format(Format("datetime")))),
    ("format.named", "(string) -> optional(format)", |_, args| match args {
        [Value::String(name)] => {
            let found = NAMES.iter().find(|have| **have == name.as_str());
            Ok(found.map_or(Value::Optional(None), |name| Value::some(Value::Format(Format(name)))))
        }
        _ => mismatch(),
    }),
    ("validate", "format.(string) -> optional(list(string))", |context, args| match args {
        [Value::Format(format), Value::String(text)] => {
            context.meter.spend(tenth(text.len()) * 5)?;
            context.meter.work(text.len() as u64)?;
            let why = format.faults(text);
            if why.is_empty() {
                return Ok(Value::Optional(None));
            }
            Ok(Value::some(Value::list(why.into_iter().map(Value::from))))
        }
        _ => mismatch(),
    }),
];

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
     and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
     character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
     '[a-z]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
     must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
     character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
     start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation \
     is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

impl Format {
    fn faults(self, text: &str) -> Vec<String> {
        // A prefix may end in a dash: what is generated is put behind it.
        let masked = |text: &str| text.strip_suffix('-').map_or_else(|| text.to_owned(), |text| format!("{text}a"));
        match self.0 {
            "dns1123Label" => sentences(text, 63, LABEL, is_label),
            "dns1123LabelPrefix" => sentences(&masked(text), 63, LABEL, is_label),
            "dns1123Subdomain" => sentences(text, 253, SUBDOMAIN, |text| text.split('.').all(is_label)),
            "dns1123SubdomainPrefix" => sentences(&masked(text), 253, SUBDOMAIN, |text| text.split('.').all(is_label)),
            "dns1035Label" => sentences(text, 63, LABEL_1035, is_label_1035),
            "dns1035LabelPrefix" => sentences(&masked(text), 63, LABEL_1035, is_label_1035),
            "labelValue" => sentences(text, 63, VALUE, |text| text.is_empty() || is_name(text)),
            "qualifiedName" => qualified(text),
            "uri" if text.starts_with(':') => vec![format!("parse {text:?}: missing protocol scheme")],
            "uri" => one(super::url::Url::is(text), "invalid URI"),
            "uuid" => one(is_uuid(text), "does not match the UUID format"),
            "byte" => one(is_base64(text), "invalid base64"),
            "date" => one(text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10, "invalid date"),
            _ => one(read_timestamp(text).is_some(), "invalid datetime"),
        }
    }
}

fn one(fine: bool, why: &str) -> Vec<String> {
    if fine { Vec::new() } else { vec![why.to_owned()] }
}

fn sentences(text: &str, most: usize, why: &str, is: fn(&str) -> bool) -> Vec<String> {
    let mut all = Vec::new();
    if text.len() > most {
        all.push(format!("must be no more than {most} bytes"));
    }
    if !is(text) {
        all.push(why.to_owned());
    }
    all
}

fn is_label(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    ends(text, fine, fine) && text.bytes().all(|byte| fine(byte) || byte == b'-')
}

fn is_label_1035(text: &str) -> bool {
    is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

fn is_name(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric();
    ends(text, fine, fine) && text.bytes().all(|byte| fine(byte) || b"-_.".contains(&byte))
}

fn ends(text: &str, first: impl Fn(u8) -> bool, last: impl Fn(u8) -> bool) -> bool {
    text.bytes().next().is_some_and(first) && text.bytes().last().is_some_and(last)
}

fn qualified(text: &str) -> Vec<String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (prefix, name) = match parts.as_slice() {
        [name] => (None, *name),
        [prefix, name] => (Some(*prefix), *name),
        _ => {
            return vec![format!(
                "a valid label key {NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    let mut all = Vec::new();
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            all.push("prefix part must be non-empty".to_owned());
        } else {
            let faults = sentences(prefix, 253, SUBDOMAIN, |text| text.split('.').all(is_label));
            all.extend(faults.into_iter().map(|why| format!("prefix part {why}")));
        }
    }
    if name.is_empty() {
        all.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        all.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_name(name) {
        all.push(format!("name part {NAME}"));
    }
    all
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}
