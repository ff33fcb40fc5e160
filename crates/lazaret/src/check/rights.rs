//! What we may do in the namespace.
//!
//! Knows: how an API server is asked what whoever asks may do.
//! Does not know: what is wanted of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, header};
use serde_json::{Value, json};
use target_kubernetes::upstream::{PATIENCE, Upstream};

use super::CheckError;

const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Asks, each thing once.
pub(crate) struct Rights {
    upstream: Upstream,
    namespace: String,
    known: BTreeMap<(String, String), bool>,
}

impl Rights {
    pub(crate) fn new(upstream: Upstream, namespace: &str) -> Self {
        Self { upstream, namespace: namespace.to_owned(), known: BTreeMap::new() }
    }

    /// Whether we may do this to a resource (`deployments.apps`, `pods/eviction`).
    pub(crate) async fn may(&mut self, verb: &str, resource: &str) -> Result<bool, CheckError> {
        let key = (verb.to_owned(), resource.to_owned());
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let (id, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let (plural, group) = id.split_once('.').unwrap_or((id, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "namespace": self.namespace, "verb": verb, "group": group, "resource": plural, "subresource": subresource,
            }},
        });
        let request = Request::post(PATH)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(Bytes::from(review.to_string()))
            .map_err(|error| CheckError::Unreachable(error.to_string()))?;
        let answer = self.upstream.fetch(request, PATIENCE, 1024 * 1024).await;
        let answer = answer.map_err(|error| CheckError::Unreachable(error.to_string()))?;
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        // A server that does not say is one that refuses when it comes to it.
        let allowed = body.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false);
        self.known.insert(key, allowed);
        Ok(allowed)
    }
}
