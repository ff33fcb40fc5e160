//! Secret values never leave: what stands in a Secret is replaced by a mark, and a mark is never written back.
//!
//! Knows: every place of an API answer in which a Secret's values stand.
//! Does not know: who may see them; whoever decides that does not call this.
//!
//! A mark is made of the value by a keyed hash. Equal values have equal marks, so that one can still see whether two
//! Secrets agree or a value changed; without the key, which lives as long as the process, a mark tells nothing else.

mod passing;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cluster::apiserver::Call;
use cluster::value::{Text, Value};
use sha2::{Digest, Sha256};

pub use passing::{NotPassed, Passing};

/// What every mark starts with. Its length is a multiple of three, so that it is recognised in base64 as well.
const SIGN: &str = "lazaret:masked:";

/// The same in base64.
const SIGN_BASE64: &str = "bGF6YXJldDptYXNrZWQ6";

/// Where `kubectl apply` keeps a copy of all it was given.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Replaces secret values by marks.
#[derive(Clone)]
pub struct Mask {
    key: [u8; 32],
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mask")
    }
}

impl Mask {
    /// A mask with a key of its own.
    ///
    /// # Errors
    /// If the operating system gives no randomness.
    pub fn new() -> std::io::Result<Self> {
        let mut key = [0_u8; 32];
        getrandom::fill(&mut key).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Self { key })
    }

    /// Whether what a call is answered may hold secret values. All else can go out as it comes in.
    #[must_use]
    pub fn concerns(call: &Call) -> bool {
        (call.on.group.is_empty() && call.on.resource == "secrets") || call.on.subresource == "token"
    }

    /// Masks the answer to a call that [`concerns`](Self::concerns) secrets: an object, a list, a Table, metadata, a
    /// watch event with any of them.
    pub fn answer(&self, call: &Call, document: &mut Value) {
        if call.on.subresource == "token" {
            // A token for a service account is a way to production that leads past the gate.
            self.strings(document.find_mut(&["status", "token"]), false);
            return;
        }
        self.document(document);
    }

    fn document(&self, document: &mut Value) {
        let kind = document.kind().to_owned();
        if kind == "Status" {
            return; // It repeats names and paths, never values: data has no validation that quotes it.
        }
        if kind.is_empty() && document.get("type").is_some() && document.get("object").is_some() {
            self.within(document, "object"); // a watch event
        } else if kind == "Table" {
            self.each(document, "rows", |row| self.within(row, "object"));
        } else if kind.ends_with("List") {
            self.each(document, "items", |item| self.document(item));
        } else {
            self.secret(document);
        }
    }

    fn within(&self, document: &mut Value, key: &str) {
        if let Some(inner) = document.find_mut(&[key]).filter(|inner| !inner.is_null()) {
            self.document(inner);
        }
    }

    fn each(&self, document: &mut Value, key: &str, mask: impl Fn(&mut Value)) {
        if let Some(list) = document.find_mut(&[key]).and_then(Value::as_array_mut) {
            list.edit().iter_mut().for_each(mask);
        }
    }

    /// Masks one Secret, whole or only its metadata.
    pub fn secret(&self, secret: &mut Value) {
        for (part, encoded) in [("data", true), ("stringData", false)] {
            self.strings(secret.find_mut(&[part]), encoded);
        }
        let Some(copy) = secret.find_mut(&["metadata", "annotations", LAST_APPLIED]) else { return };
        let inner = Value::from_json(copy.str_or_empty().as_bytes());
        *copy = match inner {
            Ok(mut inner) if inner.as_object().is_some() => {
                // A copy can hold a copy, but every level is shorter than the one around it.
                self.secret(&mut inner);
                Value::from(inner.to_json())
            }
            _ => Value::from(self.mark(copy.str_or_empty(), false)),
        };
    }

    /// Every string below a place, whatever the shape: a Secret's data is a map of strings, but what is not as it
    /// should be must not get through for that.
    fn strings(&self, place: Option<&mut Value>, encoded: bool) {
        match place {
            Some(Value::Object(map)) => map.values_mut().for_each(|value| self.strings(Some(value), encoded)),
            Some(Value::Array(list)) => list.edit().iter_mut().for_each(|value| self.strings(Some(value), encoded)),
            Some(Value::Null) | None => {}
            Some(other) => {
                let plain = other.as_str().map_or_else(|| other.to_json(), str::to_owned);
                *other = Value::from(self.mark(&plain, encoded));
            }
        }
    }

    /// The mark for a value. A value and its base64 have marks that belong together.
    fn mark(&self, value: &str, encoded: bool) -> Text {
        let plain = if encoded { BASE64_STANDARD.decode(value).ok() } else { None };
        let plain = plain.as_deref().unwrap_or(value.as_bytes());
        let inner = Sha256::new().chain_update(self.key).chain_update(plain).finalize();
        let outer = Sha256::new().chain_update(self.key).chain_update(inner).finalize();
        let hash: String = outer.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let mark = format!("{SIGN}{hash}");
        if encoded { BASE64_STANDARD.encode(mark).into() } else { mark.into() }
    }
}

/// Where in a body a mark stands, if anywhere: the path of the first.
#[must_use]
pub fn find_mark(body: &Value) -> Option<String> {
    match body {
        Value::String(text) if text.contains(SIGN) || text.contains(SIGN_BASE64) => Some(String::new()),
        Value::Object(map) => map.iter().find_map(|(key, value)| Some(join(key, &find_mark(value)?))),
        Value::Array(list) => {
            list.iter().enumerate().find_map(|(at, item)| Some(join(&format!("[{at}]"), &find_mark(item)?)))
        }
        _ => None,
    }
}

fn join(head: &str, tail: &str) -> String {
    if tail.is_empty() || tail.starts_with('[') { format!("{head}{tail}") } else { format!("{head}.{tail}") }
}

#[cfg(test)]
mod tests {
    use cluster::doc;

    use super::*;

    fn secret() -> Value {
        let applied = r#"{"kind":"Secret","data":{"password":"aHVudGVyMg=="},"stringData":{"user":"root"}}"#;
        doc!({
            "apiVersion": "v1", "kind": "Secret", "data": {"password": "aHVudGVyMg=="},
            "metadata": {"name": "db", "annotations": {(LAST_APPLIED): (applied), "team": "a"}},
            "type": "Opaque",
        })
    }

    fn metadata() -> Value {
        let mut document = secret();
        document.remove(&["data"]);
        document.set(&["kind"], "PartialObjectMetadata");
        document
    }

    #[test]
    fn no_secret_value_gets_through_in_any_form_of_an_answer() {
        let mask = Mask::new().unwrap();
        let forms = [
            secret(),
            metadata(),
            doc!({"kind": "SecretList", "items": [(secret()), (secret())]}),
            doc!({"kind": "PartialObjectMetadataList", "items": [(metadata())]}),
            doc!({"kind": "Table", "rows": [{"cells": ["db", "Opaque", 1], "object": (metadata())}]}),
            doc!({"type": "MODIFIED", "object": (secret())}),
            doc!({"type": "ADDED", "object": {"kind": "Table", "rows": [{"object": (secret())}]}}),
            doc!({"kind": "Secret", "data": "aHVudGVyMg==", "stringData": {"a": ["hunter2", {"b": "root"}]}}),
            doc!({"kind": "Secret", "metadata": {"annotations": {(LAST_APPLIED): "no JSON: hunter2 root"}}}),
        ];
        for mut form in forms {
            mask.document(&mut form);
            let text = form.to_json();
            assert!(!["aHVudGVyMg==", "hunter2", "root"].iter().any(|value| text.contains(value)), "{text}");
            assert!(find_mark(&form).is_some(), "{text}");
        }
    }

    #[test]
    fn all_but_the_values_stays_as_it_is() {
        let mut masked = secret();
        Mask::new().unwrap().document(&mut masked);
        for path in [&["metadata", "name"][..], &["metadata", "annotations", "team"], &["type"]] {
            assert_eq!(masked.at(path), secret().at(path));
        }
        let data = BASE64_STANDARD.decode(masked.at(&["data", "password"]).str_or_empty()).unwrap();
        assert!(data.starts_with(SIGN.as_bytes()));
    }

    #[test]
    fn equal_values_have_equal_marks_and_only_under_one_key() {
        let (one, two) = (Mask::new().unwrap(), Mask::new().unwrap());
        assert_eq!(one.mark("hunter2", false), one.mark("hunter2", false));
        assert_ne!(one.mark("hunter2", false), one.mark("hunter3", false));
        assert_ne!(one.mark("hunter2", false), two.mark("hunter2", false));
        let decoded = BASE64_STANDARD.decode(one.mark("aHVudGVyMg==", true).as_bytes()).unwrap();
        assert_eq!(decoded, one.mark("hunter2", false).as_bytes());
    }

    #[test]
    fn a_mark_is_found_wherever_it_is_written() {
        let mask = Mask::new().unwrap();
        let mut masked = secret();
        mask.document(&mut masked);
        let mark = masked.at(&["data", "password"]).clone();
        for (body, path) in [
            (doc!({"data": {"x": (mark.clone())}}), "data.x"),
            (doc!([{"op": "add", "path": "/data/x", "value": (mark.clone())}]), "[0].value"),
            (doc!({"spec": {"env": [{"value": "lazaret:masked:0011"}]}}), "spec.env[0].value"),
            (masked, "data.password"),
        ] {
            assert_eq!(find_mark(&body).as_deref(), Some(path));
        }
        assert_eq!(find_mark(&secret()), None);
        assert_eq!(BASE64_STANDARD.encode(SIGN), SIGN_BASE64);
    }
}
