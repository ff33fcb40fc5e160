//! Bodies in Kubernetes protobuf (`application/vnd.kubernetes.protobuf`).
//!
//! Knows: the envelope, which messages there are, and how a message's fields become a document's.
//! Does not know: what a document is for.
//!
//! | file | does |
//! |---|---|
//! | `known` | which messages there are |
//! | `shape` | reads what `Debug` tells of one |
//! | `learn` | finds out what fields a type of message has |
//! | `encode` | writes documents as messages |
//!
//! Field numbers stand in no OpenAPI document, only in the `.proto` files of each release. The crate `k8s-pb` has them, as
//! types without reflection; what those types have is `Debug`, derived from the same fields. So a message is decoded by its
//! type, told by `Debug`, and read back by the schema: `shape` reads the tale, this file makes a document of it. A message with
//! a field that the type does not know would lose it on the way, and is refused.

mod encode;
mod known;
mod learn;
mod shape;

#[cfg(test)]
mod tests;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
pub(in crate::apiserver) use encode::{encode, frame, is_known};
use k8s_pb::apimachinery::pkg::runtime::Unknown;
use prost::Message;
use twin::Time;

use crate::schema::{Scalar, Schema, Type, split_api_version};
use crate::time;
use crate::value::{Text, Value};
use shape::Shape;

/// What stands before every message.
const MAGIC: &[u8] = b"k8s\0";

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReadable {
    /// It is no protobuf, or not Kubernetes'.
    #[error("the body is no Kubernetes protobuf: {0}")]
    Broken(String),
    /// It is, of a kind that is not known here.
    #[error("a {kind} of {api_version} cannot be read from protobuf here, send JSON")]
    Unknown {
        /// Its group and version.
        api_version: String,
        /// Its kind.
        kind: String,
    },
    /// It says more than is understood here.
    #[error("the {0} has fields that are not known here, send JSON")]
    More(String),
}

/// Reads a body.
///
/// # Errors
/// [`NotReadable`] says why it cannot be read, or not be read whole.
pub fn decode(schema: &Schema, body: &[u8]) -> Result<Value, NotReadable> {
    let broken = |why: &dyn std::fmt::Display| NotReadable::Broken(why.to_string());
    let rest = body.strip_prefix(MAGIC).ok_or_else(|| broken(&"it does not begin as one"))?;
    let envelope = Unknown::decode(rest).map_err(|error| broken(&error))?;
    if envelope.encoded_len() != rest.len() {
        return Err(NotReadable::More("envelope".to_owned()));
    }
    if envelope.content_encoding.as_deref().is_some_and(|encoding| !encoding.is_empty()) {
        return Err(broken(&"its content is encoded once more"));
    }
    let of = envelope.type_meta.unwrap_or_default();
    let (api_version, kind) = (of.api_version.unwrap_or_default(), of.kind.unwrap_or_default());
    let unknown = || NotReadable::Unknown { api_version: api_version.clone(), kind: kind.clone() };
    let known = known::message(&api_version, &kind).ok_or_else(unknown)?;
    let raw = envelope.raw.unwrap_or_default();
    let told = (known.tell)(&raw).map_err(|error| broken(&error))?;
    if learn::knows_all(known, &api_version, &kind, &mut Vec::new(), &raw) != Some(true) {
        return Err(NotReadable::More(kind));
    }
    let shape = shape::read(&told).ok_or_else(|| broken(&"its message cannot be told"))?;
    let (group, version) = split_api_version(&api_version);
    let ty = schema
        .type_of(group, version, &kind)
        .or_else(|| {
            schema.named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions").filter(|_| kind == "DeleteOptions")
        })
        .ok_or_else(unknown)?;
    let mut document =
        document(ty, "", shape).ok_or(NotReadable::More(kind.clone()))?.unwrap_or_else(|| crate::doc!({}));
    document.set(&["apiVersion"], api_version.as_str());
    document.set(&["kind"], kind.as_str());
    Ok(document)
}

/// Fields that are pointers in Go, so that nothing and zero are two things. Go writes all others even when they are zero, and
/// JSON leaves them out then.
const POINTERS: &[&str] = &[
    "activeDeadlineSeconds",
    "allowPrivilegeEscalation",
    "allocateLoadBalancerNodePorts",
    "allowVolumeExpansion",
    "attachRequired",
    "automountServiceAccountToken",
    "backoffLimit",
    "backoffLimitPerIndex",
    "blockOwnerDeletion",
    "completions",
    "controller",
    "defaultMode",
    "enableServiceLinks",
    "expirationSeconds",
    "failedJobsHistoryLimit",
    "fsGroup",
    "gracePeriodSeconds",
    "hostUsers",
    "immutable",
    "leaseDurationSeconds",
    "leaseTransitions",
    "manualSelector",
    "maxFailedIndexes",
    "maxUnavailable",
    "minReplicas",
    "mode",
    "optional",
    "orphanDependents",
    "parallelism",
    "partition",
    "priority",
    "privileged",
    "progressDeadlineSeconds",
    "publishNotReadyAddresses",
    "readOnlyRootFilesystem",
    "ready",
    "replicas",
    "revisionHistoryLimit",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "serving",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "startingDeadlineSeconds",
    "storageClassName",
    "successfulJobsHistoryLimit",
    "suspend",
    "terminating",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
    "ttlSecondsAfterFinished",
    "volumeAttributesClassName",
];

/// What a shape says as a value of a type; `None` within if it says nothing. `None` if it says what the type does not know.
fn document(ty: Type<'_>, name: &str, shape: Shape) -> Option<Option<Value>> {
    let kept = POINTERS.contains(&name);
    Some(match shape {
        Shape::Absent => None,
        Shape::Text(text) => (kept || !text.is_empty()).then(|| Value::from(text)),
        Shape::Truth(truth) => (kept || truth).then_some(Value::Bool(truth)),
        Shape::Whole(number) => (kept || number != 0).then_some(Value::Int(number)),
        Shape::Double(number) => (kept || number != 0.0).then_some(Value::Float(number)),
        Shape::List(items) if ty.scalar() == Some(Scalar::Bytes) => {
            let bytes = bytes(&items)?;
            (!bytes.is_empty()).then(|| Value::from(STANDARD.encode(bytes)))
        }
        Shape::List(items) => {
            let of = ty.list().map(|list| list.items)?;
            let mut list = Vec::with_capacity(items.len());
            for item in items {
                // An element says what it says, even if it is nothing.
                list.push(match item {
                    Shape::Text(text) => Value::from(text),
                    Shape::Whole(number) => Value::Int(number),
                    other => document(of, "", other)?.unwrap_or_else(|| crate::doc!({})),
                });
            }
            (!list.is_empty()).then(|| Value::from(list))
        }
        Shape::Map(entries) => {
            let of = ty.values()?;
            let mut map = crate::doc!({});
            for (key, value) in entries {
                let value = match value {
                    Shape::Text(text) => Value::from(text),
                    other => document(of, "", other)?.unwrap_or_else(|| Value::from("")),
                };
                map.object().insert(Text::from(key), value);
            }
            (!map.is_empty()).then_some(map)
        }
        // A list of lists, or a map of them: protobuf wants a message between.
        Shape::Struct(_, mut fields) if ty.list().is_some() && fields.len() == 1 => {
            return document(ty, name, fields.pop()?.1);
        }
        Shape::Struct(kind, fields) => return special(&kind, &fields).unwrap_or_else(|| structure(ty, fields)),
    })
}

/// Messages that are one scalar in a document. `None` for all others.
fn special(kind: &str, fields: &[(String, Shape)]) -> Option<Option<Option<Value>>> {
    let field =
        |name: &str| fields.iter().find(|(have, _)| have.trim_start_matches("r#") == name).map(|(_, shape)| shape);
    let whole = |name: &str| if let Some(Shape::Whole(number)) = field(name) { *number } else { 0 };
    let text = |name: &str| if let Some(Shape::Text(text)) = field(name) { text.as_str() } else { "" };
    let instant =
        || Time::from_millis(whole("seconds").saturating_mul(1000).saturating_add(whole("nanos") / 1_000_000));
    let is_set = || whole("seconds") != 0 || whole("nanos") != 0;
    Some(Some(match kind {
        "Time" => is_set().then(|| Value::from(time::format(instant()))),
        "MicroTime" => is_set().then(|| Value::from(time::format_micro(instant()))),
        "Duration" => {
            let duration = Duration::from_nanos(u64::try_from(whole("duration")).unwrap_or(0));
            (!duration.is_zero()).then(|| Value::from(format!("{}s", duration.as_secs_f64())))
        }
        "Quantity" => Some(Value::from(text("string"))),
        "IntOrString" if whole("type") == 0 => Some(Value::Int(whole("int_val"))),
        "IntOrString" => Some(Value::from(text("str_val"))),
        "FieldsV1" | "RawExtension" => match field("raw") {
            Some(Shape::List(items)) => Some(Value::from_json(&bytes(items)?).ok()?),
            _ => None,
        },
        _ => return None,
    }))
}

fn structure(ty: Type<'_>, fields: Vec<(String, Shape)>) -> Option<Option<Value>> {
    let mut map = crate::doc!({});
    for (name, shape) in fields {
        if matches!(shape, Shape::Absent) {
            continue;
        }
        match ty.fields().find(|field| plain(field.name()) == plain(&name)) {
            Some(field) => {
                if let Some(value) = document(field.ty(), field.name(), shape)? {
                    map.object().insert(field.text().clone(), value);
                }
            }
            // What Go embeds is a message of its own here and part of its holder in JSON.
            None => match shape {
                Shape::Struct(_, inner) => {
                    for (key, value) in structure(ty, inner)?.unwrap_or_default().entries() {
                        map.object().insert(key.clone(), value.clone());
                    }
                }
                Shape::List(items) if items.is_empty() => {}
                Shape::Map(entries) if entries.is_empty() => {}
                Shape::Text(text) if text.is_empty() => {}
                Shape::Whole(0) | Shape::Truth(false) => {}
                _ => return None,
            },
        }
    }
    Some(Some(map))
}

/// A name without what Rust's and JSON's spelling add: `pod_ip` and `podIP` are one, as are `x_list_type` and
/// `x-kubernetes-list-type`.
fn plain(name: &str) -> String {
    let (prefix, rest) = name.strip_prefix("x-kubernetes-").map_or(("", name), |rest| ("x", rest));
    let letters = prefix.chars().chain(rest.trim_start_matches("r#").chars());
    letters.filter(|letter| !matches!(letter, '_' | '-' | '$')).map(|letter| letter.to_ascii_lowercase()).collect()
}

fn bytes(items: &[Shape]) -> Option<Vec<u8>> {
    let byte = |item: &Shape| if let Shape::Whole(number) = item { u8::try_from(*number).ok() } else { None };
    items.iter().map(byte).collect()
}
