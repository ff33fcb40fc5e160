//! OpenAPI, served.
//!
//! Knows: the v3 index and documents with their caching; v2, which is written from them, as JSON only.
//! Does not know: what is in the documents.

mod v2;

use super::discovery::{MediaType, PLAIN, not_found, raw};
use super::{Answer, Call};
use crate::cluster::Cluster;
use crate::doc;
use crate::schema::{self, Schema};
use crate::value::{Map, Value};

/// Answers a GET below `/openapi/`; none if the path is another.
#[must_use]
pub(super) fn answer(cluster: &Cluster, call: &Call) -> Option<Answer> {
    let path = call.on.path.strip_prefix("/openapi/")?;
    let takes_json = takes_json(&call.output.accept);
    Some(match path.trim_end_matches('/').split_once('/') {
        // clients that want protobuf only go on without, which they are made for: old servers have none either
        _ if !takes_json => raw(406, PLAIN, ""),
        None if path.trim_end_matches('/') == "v3" => raw(200, PLAIN, index(&cluster.schema).to_json_bytes()),
        None if path == "v2" => {
            let bytes = v2::document(&cluster.schema).to_json_bytes();
            let tag = format!("\"{}\"", schema::hash(&bytes));
            let mut answer = raw(200, "application/json", bytes);
            answer.headers.push(("ETag", tag));
            answer.headers.push(("Vary", "Accept".to_owned()));
            answer
        }
        Some(("v3", path)) => document(&cluster.schema, path, call),
        _ => not_found(),
    })
}

fn takes_json(accept: &str) -> bool {
    let takes = |media: MediaType| matches!(media.name.as_str(), "" | "*/*" | "application/*" | "application/json");
    accept.split(',').map(MediaType::parse).any(takes)
}

/// `/openapi/v3`
fn index(schema: &Schema) -> Value {
    let url = |path: &str, hash: &str| doc!({"serverRelativeURL": (format!("/openapi/v3/{path}?hash={hash}"))});
    let paths: Map = schema.documents().map(|(path, document)| (path.clone(), url(path, document.hash()))).collect();
    doc!({"paths": (paths)})
}

/// `/openapi/v3/PATH`. Asked with its hash it never changes; asked with another, the client is told the new one.
fn document(schema: &Schema, path: &str, call: &Call) -> Answer {
    let Some(document) = schema.document(path) else { return not_found() };
    let hash = document.hash();
    let asked = call.options.others.iter().find(|(key, _)| key == "hash").map(|(_, value)| value.as_str());
    match asked {
        Some(asked) if asked != hash.as_str() => {
            let mut answer = raw(301, PLAIN, "");
            answer.headers.push(("Location", format!("/openapi/v3/{path}?hash={hash}")));
            answer
        }
        _ => {
            let mut answer = raw(200, "application/json", document.bytes().clone());
            answer.headers.push(("ETag", format!("\"{hash}\"")));
            answer.headers.push(("Vary", "Accept".to_owned()));
            if asked.is_some() {
                answer.headers.push(("Cache-Control", "public, immutable".to_owned()));
            }
            answer
        }
    }
}
