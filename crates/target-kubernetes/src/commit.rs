//! A call, done in production on condition that production is what the twin was.
//!
//! Knows: how each verb can be made conditional, and what production's answers say about what happened.
//! Does not know: whether the call should be done.

use cluster::Value;
use cluster::apiserver::{Call, PatchType, Verb};
use cluster::value::{List, Map, Text};
use gate::CommitError;
use http::{Response, StatusCode};
use model::ObjectRef;
use serde::{Deserialize, Serialize};

use crate::front::status;
use crate::mask::Mask;
use crate::message::{self, Body};
use crate::read::{answer, beyond, masked, readable};
use crate::sync::Snapshot;
use crate::upstream::{PATIENCE, Upstream, request};

/// The largest answer to a write: a deleted collection comes back whole.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What production answered, as far as it tells whether a snapshot shows the change already. Holds no payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The resource, as in object keys.
    pub resource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name; empty for a collection.
    pub name: String,
    /// The object's uid, if production said.
    pub uid: String,
    /// The version that the change made, if production said.
    pub version: u64,
    /// Whether it was a delete: the object need not be gone yet.
    pub deleted: bool,
    /// Whether nothing was stored.
    pub dry_run: bool,
}

impl Receipt {
    /// What it says of the object that was named, for a person.
    pub(crate) fn told(&self, named: Option<&ObjectRef>) -> String {
        let object = named.map_or_else(String::new, |named| {
            let name = if self.name.is_empty() { &named.name } else { &self.name };
            ObjectRef { name: name.clone(), ..named.clone() }.to_string()
        });
        match self {
            Self { dry_run: true, .. } => "nothing was stored, as asked".to_owned(),
            Self { deleted: true, .. } => format!("{object} is gone, or going"),
            Self { version: 0, .. } => format!("{object} is as asked"),
            Self { version, .. } => format!("{object} is at version {version}"),
        }
    }

    /// Whether a snapshot shows the change.
    #[must_use]
    pub fn shown(&self, snapshot: &Snapshot) -> bool {
        if self.dry_run {
            return true;
        }
        let Some(part) = snapshot.parts.get(self.resource.as_str()) else {
            return true; // not followed: no snapshot will ever show it
        };
        if self.deleted && !self.name.is_empty() {
            let key = cluster::ObjectKey::new(self.resource.as_str(), self.namespace.as_str(), self.name.as_str());
            return snapshot.cluster.get(&key).is_none_or(|object| {
                object.uid() != self.uid || !object.at(&["metadata", "deletionTimestamp"]).is_empty()
            });
        }
        part.version >= self.version
    }
}

/// Does a call, once. `object` is what it changes, and `pin` the version of it that its effect was computed on.
///
/// # Errors
/// [`CommitError`] says what is known of what happened instead.
pub async fn commit(
    upstream: &Upstream,
    call: &Call,
    object: &ObjectRef,
    pin: Option<&str>,
    mask: &Mask,
) -> Result<(Response<Body>, Receipt), CommitError<Response<Body>>> {
    if let Some(refusal) = beyond(call) {
        return Err(CommitError::Refused { said: status(&refusal), summary: "403 Forbidden".to_owned() });
    }
    let sent = pin.map_or_else(|| call.clone(), |version| pinned(call, version));
    let sent = if Mask::concerns(call) { readable(&sent) } else { sent };
    let (head, body) = upstream.fetch(request(&sent)?, PATIENCE, ANSWER_BYTES_MAX).await?.into_parts();
    let document = Value::from_json(&body).unwrap_or_default();
    let (reason, message) = (document.at(&["reason"]).str_or_empty(), document.at(&["message"]).str_or_empty());
    let said = if Mask::concerns(call) {
        masked(head.status, &head.headers, body, &sent, mask)
    } else {
        answer(head.status, &head.headers, message::whole(body))
    };
    match (verdict(head.status, reason, message, pin.is_some()), pin) {
        (Verdict::Done, _) => Ok((said, receipt(call, &document))),
        (Verdict::Moved, Some(pin)) => {
            let found = if head.status == StatusCode::NOT_FOUND { "gone" } else { "another" };
            Err(CommitError::Moved { object: object.clone(), simulated: pin.to_owned(), found: found.to_owned() })
        }
        (Verdict::Refused | Verdict::Moved, _) => {
            let summary = format!("{} {reason}", head.status.as_u16());
            Err(CommitError::Refused { said, summary: summary.trim_end().to_owned() })
        }
        (Verdict::InDoubt, _) => {
            Err(CommitError::InDoubt { cause: format!("production answered {}: {message}", head.status.as_u16()) })
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Moved,
    Refused,
    InDoubt,
}

/// What an answer says about what happened.
fn verdict(code: StatusCode, reason: &str, message: &str, pinned: bool) -> Verdict {
    match code.as_u16() {
        200..=299 => Verdict::Done,
        409 if reason == "Conflict" && pinned => Verdict::Moved,
        // It was there when the effect was computed.
        404 if reason == "NotFound" && pinned => Verdict::Moved,
        300..=499 => Verdict::Refused,
        // An admission webhook is asked before anything is stored.
        500 if message.starts_with("Internal error occurred: failed calling webhook") => Verdict::Refused,
        501 | 505 => Verdict::Refused,
        // A time-out between production's API server and its etcd leaves open what happened, and so may any proxy.
        _ => Verdict::InDoubt,
    }
}

fn receipt(call: &Call, document: &Value) -> Receipt {
    let deleted = matches!(call.verb, Verb::Delete | Verb::DeleteCollection) || call.on.subresource == "eviction";
    // A delete answers with the object, or with a Status that names it.
    let uid =
        if document.kind() == "Status" { document.at(&["details", "uid"]) } else { document.at(&["metadata", "uid"]) };
    let name = if call.on.name.is_empty() && !deleted { document.name() } else { call.on.name.as_str() };
    Receipt {
        resource: call.resource().to_string(),
        namespace: call.on.namespace.to_string(),
        name: name.to_owned(),
        uid: uid.str_or_empty().to_owned(),
        version: document.resource_version().parse().unwrap_or(0),
        deleted,
        dry_run: call.options.dry_run,
    }
}

/// The same call, on condition that its object is at this version. Calls on collections, and creations, cannot be made
/// conditional: a creation is by itself, on there being nothing of that name.
#[must_use]
pub fn pinned(call: &Call, version: &str) -> Call {
    let mut call = call.clone();
    match (call.verb, call.on.subresource.as_str()) {
        // One that the client has set itself is its own condition, and the twin has held it to that.
        (Verb::Update | Verb::Patch(PatchType::Merge | PatchType::Strategic | PatchType::Apply), _)
            if call.body.resource_version().is_empty() =>
        {
            call.body.set(&["metadata", "resourceVersion"], version);
        }
        (Verb::Patch(PatchType::Json), _) => {
            let condition: Map = [
                (Text::from("op"), Value::from("add")),
                (Text::from("path"), Value::from("/metadata/resourceVersion")),
                (Text::from("value"), Value::from(version)),
            ]
            .into_iter()
            .collect();
            // Last, so that nothing in the patch can take it back.
            let operations = call.body.items().iter().cloned().chain([Value::Object(condition)]);
            call.body = Value::Array(operations.collect::<List>());
        }
        (Verb::Delete, _) => {
            call.options.if_resource_version.get_or_insert_with(|| version.to_owned());
        }
        (Verb::Create, "eviction") => {
            let path = ["deleteOptions", "preconditions", "resourceVersion"];
            if call.body.at(&path).is_empty() {
                call.body.set(&path, version);
            }
        }
        _ => {}
    }
    call
}

#[cfg(test)]
mod tests {
    use cluster::apiserver::call::Subject;
    use cluster::doc;

    use super::*;

    fn call(verb: Verb, subresource: &str, body: Value) -> Call {
        Call {
            verb,
            on: Subject {
                resource: "pods".into(),
                name: "a".into(),
                subresource: subresource.into(),
                ..Subject::default()
            },
            options: Default::default(),
            body,
            faults: Vec::new(),
            output: Default::default(),
            user_agent: String::new(),
            impersonate: None,
        }
    }

    #[test]
    fn every_write_to_an_object_is_made_conditional_on_its_version() {
        let patch = |kind, body| pinned(&call(Verb::Patch(kind), "", body), "7").body.to_json();
        let merged = r#"{"metadata":{"resourceVersion":"7"},"spec":{"x":1}}"#;
        for kind in [PatchType::Merge, PatchType::Strategic, PatchType::Apply] {
            assert_eq!(patch(kind, doc!({"spec": {"x": 1}})), merged);
        }
        assert_eq!(
            patch(PatchType::Json, doc!([{"op": "remove", "path": "/x"}])),
            r#"[{"op":"remove","path":"/x"},{"op":"add","path":"/metadata/resourceVersion","value":"7"}]"#,
        );
        assert_eq!(pinned(&call(Verb::Update, "status", doc!({"spec": {"x": 1}})), "7").body.to_json(), merged);
        let deleted = pinned(&call(Verb::Delete, "", Value::Null), "7");
        assert_eq!(deleted.options.if_resource_version.as_deref(), Some("7"));
        let evicted = pinned(&call(Verb::Create, "eviction", doc!({})), "7");
        assert_eq!(evicted.body.to_json(), r#"{"deleteOptions":{"preconditions":{"resourceVersion":"7"}}}"#);
    }

    #[test]
    fn a_condition_that_the_client_has_set_itself_stays() {
        let own = doc!({"metadata": {"resourceVersion": "3"}});
        assert_eq!(pinned(&call(Verb::Update, "", own.clone()), "7").body, own);
    }

    #[test]
    fn an_answer_counts_as_a_refusal_only_if_nothing_can_have_happened() {
        let webhook = "Internal error occurred: failed calling webhook \"x\": timeout";
        for (code, reason, message, pinned, expected) in [
            (200, "", "", true, Verdict::Done),
            (201, "", "", false, Verdict::Done),
            (202, "", "", true, Verdict::Done),
            (409, "Conflict", "", true, Verdict::Moved),
            (409, "Conflict", "", false, Verdict::Refused),
            (409, "AlreadyExists", "", true, Verdict::Refused),
            (404, "NotFound", "", true, Verdict::Moved),
            (404, "NotFound", "", false, Verdict::Refused),
            (403, "Forbidden", "", true, Verdict::Refused),
            (422, "Invalid", "", true, Verdict::Refused),
            (429, "TooManyRequests", "", true, Verdict::Refused),
            (500, "InternalError", webhook, true, Verdict::Refused),
            (500, "InternalError", "etcdserver: request timed out", true, Verdict::InDoubt),
            (502, "", "", true, Verdict::InDoubt),
            (503, "ServiceUnavailable", "", true, Verdict::InDoubt),
            (504, "Timeout", "", true, Verdict::InDoubt),
        ] {
            let code = StatusCode::from_u16(code).unwrap();
            assert_eq!(verdict(code, reason, message, pinned), expected, "{code} {reason}");
        }
    }
}
