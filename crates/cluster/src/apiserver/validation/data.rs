//! What is wrong with ConfigMaps and Secrets.
//!
//! Knows: the forms of their keys, what each type of Secret has to hold, and that some may not change.
//! Does not know: what the data mean.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::faults::{At, Faults, quote};
use super::names;
use crate::value::Value;

/// All data of one object together, in bytes.
const SIZE_MAX: usize = 1024 * 1024;

fn keys(at: &At<'_>, faults: &mut Faults) {
    for (key, entry) in at.entries() {
        for why in names::config_key(key) {
            faults.invalid_as(&entry, &quote(key), &why);
        }
    }
}

/// A ConfigMap.
pub(super) fn config_map(root: &At<'_>, faults: &mut Faults) {
    let (data, binary) = (root.field("data"), root.field("binaryData"));
    let mut size = 0;
    for (key, entry) in data.entries() {
        for why in names::config_key(key) {
            faults.invalid_as(&entry, &quote(key), &why);
        }
        if binary.value.get(key).is_some() {
            faults.invalid_as(&entry, &quote(key), "duplicate of key present in binaryData");
        }
        size += entry.text().len();
    }
    keys(&binary, faults);
    size += binary.value.entries().iter().map(|(_, value)| decoded_size(value)).sum::<usize>();
    if size > SIZE_MAX {
        // The path is of one part, and that is empty: it is written like this.
        faults.too_long(&root.key(""), SIZE_MAX);
    }
}

fn decoded_size(value: &Value) -> usize {
    value.str_or_empty().len() / 4 * 3
}

/// What may not change once it was said that nothing may.
pub(super) fn immutable(root: &At<'_>, old: &Value, fields: &[&str], faults: &mut Faults) {
    if !old.at(&["immutable"]).is_true() {
        return;
    }
    const WHY: &str = "field is immutable when `immutable` is set";
    let kept = root.field("immutable");
    if !kept.value.is_true() {
        faults.forbidden(&kept, WHY);
    }
    for field in fields {
        let field_at = root.field(field);
        if field_at.value != old.at(&[field]) {
            faults.forbidden(&field_at, WHY);
        }
    }
}

/// A Secret.
pub(super) fn secret(root: &At<'_>, faults: &mut Faults) {
    let data = root.field("data");
    keys(&data, faults);
    if data.value.entries().iter().map(|(_, value)| decoded_size(value)).sum::<usize>() > SIZE_MAX {
        faults.too_long(&data, SIZE_MAX);
    }
    let needs = |keys: &[&str], may_be_empty: bool, faults: &mut Faults| {
        for key in keys {
            let entry = data.key(key);
            if entry.is_absent() || (!may_be_empty && entry.text().is_empty()) {
                faults.required(&entry, "");
            }
        }
    };
    match root.field("type").text() {
        "kubernetes.io/service-account-token" => {
            let name = root.down(&["metadata", "annotations"]).key("kubernetes.io/service-account.name");
            if name.text().is_empty() {
                faults.required(&name, "");
            }
        }
        "kubernetes.io/dockercfg" => docker(&data.key(".dockercfg"), faults),
        "kubernetes.io/dockerconfigjson" => docker(&data.key(".dockerconfigjson"), faults),
        "kubernetes.io/basic-auth" => {
            // Either will do.
            let keys = ["username", "password"];
            if keys.iter().all(|key| data.key(key).is_absent()) {
                needs(&keys, true, faults);
            }
        }
        "kubernetes.io/ssh-auth" => needs(&["ssh-privatekey"], false, faults),
        "kubernetes.io/tls" => needs(&["tls.crt", "tls.key"], true, faults),
        _ => {}
    }
}

fn docker(at: &At<'_>, faults: &mut Faults) {
    if at.is_absent() {
        faults.required(at, "");
        return;
    }
    let bytes = STANDARD.decode(at.text()).unwrap_or_default();
    if Value::from_json(&bytes).is_err() {
        faults.invalid_as(at, "\"<secret contents redacted>\"", &go_syntax_error(&bytes));
    }
}

/// What Go's JSON decoder says of text that is none, in the commonest cases.
fn go_syntax_error(bytes: &[u8]) -> String {
    let mut visible = bytes.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (visible.next(), visible.next()) {
        (Some(b'{'), Some(next)) if !matches!(next, b'"' | b'}') => {
            format!("invalid character '{}' looking for beginning of object key string", char::from(*next))
        }
        (Some(first), _) if !matches!(first, b'{' | b'[' | b'"') => {
            format!("invalid character '{}' looking for beginning of value", char::from(*first))
        }
        _ => "unexpected end of JSON input".to_owned(),
    }
}
