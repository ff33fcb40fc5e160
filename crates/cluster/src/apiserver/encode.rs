//! An [`Answer`] to bytes, and a [`Call`] back to a request.
//!
//! Knows: encodings, headers, and how a call is sent to another API server.
//! Does not know: sockets.

use bytes::Bytes;

use super::call::{Answer, Call, Content, Encoding, FieldValidation, Form, Output, PatchType, Verb, Watch};
use super::fields::METADATA;
use super::status::{self, Status};
use super::{decode, protobuf};
use crate::doc;
use crate::schema::{Schema, split_api_version};
use crate::value::{List, Value};

/// An answer as it goes out.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The HTTP status.
    pub code: u16,
    /// Headers, the content type first.
    pub headers: Vec<(&'static str, String)>,
    /// What follows them.
    pub body: Body,
}

/// What follows the headers.
#[derive(Clone, Debug)]
pub enum Body {
    /// All of it.
    Bytes(Bytes),
    /// Events, as they come: [`Watch::poll`], each through [`event`].
    Watch(Watch),
}

/// Writes what came of a call in the form that the client asked for.
#[must_use]
pub fn encode(result: &Result<Answer, Status>, output: &Output) -> Encoded {
    match result {
        Ok(answer) => {
            let mut headers = Vec::new();
            let body = match &answer.content {
                Content::Document(document) => {
                    let (content_type, bytes) = match output.beta {
                        true => write(&in_beta(document), output.encoding),
                        false => write(document, output.encoding),
                    };
                    headers.push(("Content-Type", content_type.to_owned()));
                    Body::Bytes(bytes)
                }
                Content::Raw { content_type, bytes } => {
                    headers.push(("Content-Type", (*content_type).to_owned()));
                    Body::Bytes(bytes.clone())
                }
                Content::Watch(watch) => {
                    let watch = speakable(watch);
                    headers.push(("Content-Type", watch_type(watch.output.encoding).to_owned()));
                    Body::Watch(watch)
                }
            };
            headers.extend(answer.warnings.iter().map(|text| ("Warning", warning(text))));
            headers.extend(answer.headers.iter().cloned());
            Encoded { code: answer.code, headers, body }
        }
        Err(status) => {
            // A refusal is no object: whoever wants objects in some form gets it in what they would take otherwise.
            let encoding = match output.encoding {
                Encoding::Json => Encoding::Json,
                _ => decode::plain_output(&output.accept).encoding,
            };
            let (content_type, bytes) = write(&status.to_value(), encoding);
            let mut headers = vec![("Content-Type", content_type.to_owned())];
            if let Some(seconds) = status.retry_after_seconds {
                headers.push(("Retry-After", seconds.to_string()));
            }
            headers.extend(status.warnings.iter().map(|text| ("Warning", warning(text))));
            Encoded { code: status.code, headers, body: Body::Bytes(bytes) }
        }
    }
}

/// A table or metadata in the words of `meta.k8s.io/v1beta1`.
fn in_beta(document: &Value) -> Value {
    let mut document = document.clone();
    if document.api_version() == "meta.k8s.io/v1" {
        document.set(&["apiVersion"], "meta.k8s.io/v1beta1");
        for (list, below) in [("items", &[][..]), ("rows", &["object"])] {
            for item in document.find_mut(&[list]).and_then(Value::as_array_mut).map(List::edit).into_iter().flatten() {
                if item.at(below).api_version() == "meta.k8s.io/v1" {
                    let inner = in_beta(item.at(below));
                    item.set(below, inner);
                }
            }
        }
    }
    document
}

/// One watch event as it goes over the wire.
#[must_use]
pub fn event(event: &Value, output: &Output) -> Bytes {
    if output.beta {
        let mut event = event.clone();
        event.set(&["object"], in_beta(event.at(&["object"])));
        return self::event(&event, &Output { beta: false, ..output.clone() });
    }
    if output.encoding == Encoding::Protobuf {
        // What has no message has no way into such a stream; `speakable` has seen to it that there is nothing of the kind.
        return protobuf::frame(event).map(Bytes::from).unwrap_or_default();
    }
    json(event)
}

/// A watch in an encoding in which its events can be written.
fn speakable(watch: &Watch) -> Watch {
    let mut watch = watch.clone();
    let (plural, group) = status::split(&watch.resource);
    let known = Schema::default()
        .resource(group, &watch.version, plural)
        .is_some_and(|resource| protobuf::is_known(&resource.api_version(), &resource.kind));
    if watch.output.encoding == Encoding::Protobuf && watch.output.form == Form::Object && !known {
        watch.output.encoding = Encoding::Json;
    }
    watch
}

fn watch_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json",
    }
}

/// A document in an encoding, or in JSON if that has no room for it: every client takes JSON too.
fn write(document: &Value, encoding: Encoding) -> (&'static str, Bytes) {
    let written = match encoding {
        Encoding::Json => None,
        Encoding::Yaml => serde_saphyr::to_string(document).ok().map(Bytes::from),
        Encoding::Protobuf => protobuf::encode(document).map(Bytes::from),
    };
    match written {
        Some(bytes) => (encoding.content_type(), bytes),
        None => (Encoding::Json.content_type(), json(document)),
    }
}

/// JSON ends in a newline, as Go's encoder ends it.
fn json(document: &Value) -> Bytes {
    let subject = document.get("object").filter(|_| document.get("type").is_some()).unwrap_or(document);
    let group = split_api_version(subject.api_version()).0;
    let mut bytes = if group == "meta.k8s.io" || Schema::default().group(group).is_some() {
        let mut bytes = Vec::new();
        go(document, false, &mut bytes);
        bytes
    } else {
        // A custom object is a map to Go, sorted throughout.
        document.to_json_bytes()
    };
    bytes.push(b'\n');
    Bytes::from(bytes)
}

/// What Go writes first of an object.
const OBJECT: &[&str] = &["kind", "apiVersion", "metadata"];

/// Writes a document as far as it matters in the order of Go's structs: what an object is, and then what it says. Whoever
/// numbers things as they come, uids say, numbers them so.
fn go(value: &Value, metadata: bool, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let first = match metadata {
                true => METADATA,
                false if map.contains_key("metadata") => OBJECT,
                false => &[],
            };
            let ranked = first.iter().filter_map(|key| map.get(key).map(|below| (*key, below)));
            let others = map.iter().map(|(key, below)| (key.as_str(), below)).filter(|(key, _)| !first.contains(key));
            out.push(b'{');
            for (at, (key, below)) in ranked.chain(others).enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                let _ = serde_json::to_writer(&mut *out, key);
                out.push(b':');
                go(below, key == "metadata", out);
            }
            out.push(b'}');
        }
        Value::Array(list) => {
            out.push(b'[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                go(item, false, out);
            }
            out.push(b']');
        }
        leaf => drop(serde_json::to_writer(out, leaf)),
    }
}

/// A `Warning` header's value, as RFC 7234 has it and kubectl prints it.
fn warning(text: &str) -> String {
    format!("299 - \"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A call as a request to another API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// `GET`, `PATCH`…
    pub method: &'static str,
    /// Path and query, percent-encoded.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Writes a call as the request that decodes to it. Nothing of the client's own bytes is in it.
#[must_use]
pub fn encode_call(call: &Call) -> Outgoing {
    let mut headers = Vec::new();
    if !call.output.accept.is_empty() {
        headers.push(("accept".to_owned(), call.output.accept.clone()));
    }
    if !call.user_agent.is_empty() {
        headers.push(("user-agent".to_owned(), call.user_agent.clone()));
    }
    if let Some(user) = &call.impersonate {
        headers.push(("impersonate-user".to_owned(), user.name.clone()));
        if !user.uid.is_empty() {
            headers.push(("impersonate-uid".to_owned(), user.uid.clone()));
        }
        headers.extend(user.groups.iter().map(|group| ("impersonate-group".to_owned(), group.clone())));
        for (key, values) in &user.extra {
            // What a header's name cannot hold is escaped, and names are in lower case.
            let name = format!("impersonate-extra-{}", escape(key).to_ascii_lowercase());
            headers.extend(values.iter().map(|value| (name.clone(), value.clone())));
        }
    }
    let body = match call.verb {
        Verb::Delete | Verb::DeleteCollection => delete_options(call),
        _ => call.body.clone(),
    };
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_json_bytes()) };
    if !body.is_empty() {
        let kind = match call.verb {
            Verb::Patch(kind) => kind.content_type(),
            _ => "application/json",
        };
        headers.push(("content-type".to_owned(), kind.to_owned()));
    }
    let query = query(call);
    let target = if query.is_empty() { path(call) } else { format!("{}?{query}", path(call)) };
    Outgoing { method: method(call), target, headers, body }
}

fn method(call: &Call) -> &'static str {
    match call.verb {
        Verb::Get | Verb::List | Verb::Watch => "GET",
        Verb::Create => "POST",
        Verb::Connect => {
            let said = call.options.connect_method.as_deref().unwrap_or_default();
            ["GET", "PUT", "PATCH", "DELETE"].into_iter().find(|method| *method == said).unwrap_or("POST")
        }
        Verb::Update => "PUT",
        Verb::Patch(_) => "PATCH",
        Verb::Delete | Verb::DeleteCollection => "DELETE",
    }
}

fn path(call: &Call) -> String {
    let on = &call.on;
    if on.resource.is_empty() {
        return escape_path(&on.path);
    }
    let mut path = if on.group.is_empty() {
        format!("/api/{}", escape(&on.version))
    } else {
        format!("/apis/{}/{}", escape(&on.group), escape(&on.version))
    };
    if !on.namespace.is_empty() {
        path = format!("{path}/namespaces/{}", escape(&on.namespace));
    }
    for part in [&on.resource, &on.name, &on.subresource] {
        if !part.is_empty() {
            path = format!("{path}/{}", escape(part));
        }
    }
    path + &escape_path(&on.path)
}

fn query(call: &Call) -> String {
    let options = &call.options;
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            pairs.push((name.to_owned(), value));
        }
    };
    let deletes = matches!(call.verb, Verb::Delete | Verb::DeleteCollection);
    let truth = |holds: bool| holds.then(|| "true".to_owned());
    say("watch", truth(call.verb == Verb::Watch));
    say("dryRun", (options.dry_run && !deletes).then(|| "All".to_owned()));
    say("fieldManager", options.field_manager.clone());
    say(
        "fieldValidation",
        match options.field_validation {
            FieldValidation::Strict => Some("Strict".to_owned()),
            FieldValidation::Ignore => Some("Ignore".to_owned()),
            FieldValidation::Warn => None,
        },
    );
    say("force", truth(options.force && call.verb == Verb::Patch(PatchType::Apply)));
    say("labelSelector", options.label_selector.clone());
    say("fieldSelector", options.field_selector.clone());
    say("resourceVersion", options.resource_version.clone());
    say("resourceVersionMatch", options.resource_version_match.clone());
    say("limit", options.limit.map(|limit| limit.to_string()));
    say("continue", options.continue_token.clone());
    say("timeoutSeconds", options.timeout_seconds.map(|seconds| seconds.to_string()));
    say("allowWatchBookmarks", truth(options.bookmarks));
    say("sendInitialEvents", options.initial_events.map(|wanted| wanted.to_string()));
    say("includeObject", options.include_object.clone());
    pairs.extend(options.others.iter().cloned());
    pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

fn delete_options(call: &Call) -> Value {
    let options = &call.options;
    let mut body = doc!({"kind": "DeleteOptions", "apiVersion": "v1"});
    let bare = body.clone();
    if options.dry_run {
        body.set(&["dryRun"], doc!(["All"]));
    }
    if let Some(policy) = &options.propagation {
        body.set(&["propagationPolicy"], policy);
    }
    if let Some(seconds) = options.grace_period_seconds {
        body.set(&["gracePeriodSeconds"], seconds);
    }
    if let Some(orphan) = options.orphan_dependents {
        body.set(&["orphanDependents"], orphan);
    }
    if let Some(uid) = &options.uid {
        body.set(&["preconditions", "uid"], uid);
    }
    if options.ignore_read_error {
        body.set(&["ignoreStoreReadErrorWithClusterBreakingPotential"], true);
    }
    if let Some(version) = &options.if_resource_version {
        body.set(&["preconditions", "resourceVersion"], version);
    }
    if body == bare { Value::Null } else { body }
}

/// Percent-encodes each part of a path.
fn escape_path(path: &str) -> String {
    path.split('/').map(escape).collect::<Vec<_>>().join("/")
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(document: &Value, output: &Output) -> String {
        let encoded = encode(&Ok(Answer::document(200, document.clone())), output);
        let Body::Bytes(bytes) = encoded.body else { panic!("a document is no watch") };
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn an_object_is_told_in_the_order_of_go_and_a_custom_one_in_that_of_its_names() {
        let object = |version: &str| {
            doc!({
                "apiVersion": (version), "kind": "Event", "involvedObject": {"uid": "2"},
                "metadata": {"ownerReferences": [], "uid": "1", "name": "a"},
            })
        };
        assert_eq!(
            written(&object("v1"), &Output::default()),
            "{\"kind\":\"Event\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"uid\":\"1\",\"ownerReferences\":[]},\"involvedObject\":{\"uid\":\"2\"}}\n"
        );
        let custom = object("example.com/v1");
        assert_eq!(written(&custom, &Output::default()), format!("{}\n", custom.to_json()));
    }

    #[test]
    fn tables_and_metadata_are_told_in_the_version_that_was_asked_for() {
        let table = doc!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1",
            "rows": [{"object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}}, {"object": null}],
        });
        let beta = Output { form: Form::Table, beta: true, ..Output::default() };
        assert_eq!(written(&table, &beta).matches("meta.k8s.io/v1beta1").count(), 2);
        assert!(!written(&table, &Output::default()).contains("beta"));
    }
}
