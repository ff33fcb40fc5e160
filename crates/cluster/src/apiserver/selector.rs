//! Field selectors: `metadata.name=a,status.phase!=Running`.
//!
//! Knows: the syntax, and which fields each resource can be selected by.
//! Does not know: labels; those have a file of their own.

use crate::apiserver::Status;
use crate::value::Value;

/// A field selector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    equal: bool,
}

/// What each resource can be selected by, besides name and namespace (`pkg/registry/*/strategy.go`).
const FIELDS: &[(&str, &[&str])] = &[
    (
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
    ),
    ("nodes", &["spec.unschedulable"]),
    ("namespaces", &["status.phase"]),
    ("secrets", &["type"]),
    ("services", &["spec.clusterIP", "spec.type"]),
    ("replicasets.apps", &["status.replicas"]),
    ("replicationcontrollers", &["status.replicas"]),
    ("jobs.batch", &["status.successful"]),
    ("certificatesigningrequests.certificates.k8s.io", &["spec.signerName"]),
    (
        "events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
];

impl FieldSelector {
    /// Reads a field selector for a resource (`deployments.apps`).
    ///
    /// # Errors
    /// What the API server says of syntax that is none, or of a field that cannot be selected by.
    pub fn parse(text: &str, resource: &str) -> Result<Self, Status> {
        let known = FIELDS.iter().find(|(name, _)| *name == resource).map_or(&[][..], |(_, fields)| fields);
        let mut terms = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (field, value, equal) = part
                .split_once("!=")
                .map(|(field, value)| (field, value, false))
                .or_else(|| part.split_once("==").map(|(field, value)| (field, value, true)))
                .or_else(|| part.split_once('=').map(|(field, value)| (field, value, true)))
                .ok_or_else(|| Status::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'")))?;
            if !matches!(field, "metadata.name" | "metadata.namespace") && !known.contains(&field) {
                let message = format!("field label not supported: {field}");
                return Err(Status::bad_request(message));
            }
            terms.push(Term { field: field.to_owned(), value: value.to_owned(), equal });
        }
        Ok(Self(terms))
    }

    /// The only name that can match, if there is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.iter().find(|term| term.equal && term.field == "metadata.name").map(|term| term.value.as_str())
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object matches.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|term| (field(object, &term.field) == term.value) == term.equal)
    }
}

/// A field as selectors compare it: absent is empty, `false` for truth values, `0` for numbers.
fn field(object: &Value, name: &str) -> String {
    let name = match name {
        "source" => "source.component",
        "status.successful" => "status.succeeded",
        name => name,
    };
    let path: Vec<&str> = name.split('.').collect();
    match object.at(&path) {
        Value::String(text) => text.to_string(),
        Value::Null => match name {
            "spec.unschedulable" | "spec.hostNetwork" => "false".to_owned(),
            "status.replicas" | "status.succeeded" => "0".to_owned(),
            _ => String::new(),
        },
        other => other.to_json(),
    }
}
