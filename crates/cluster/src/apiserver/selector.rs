//! Field selectors: `metadata.name=a,status.phase!=Running`.
//!
//! Knows: their grammar and the sentences of its errors, as `k8s.io/apimachinery/pkg/fields` has them; which fields of
//! which kind can be selected by.
//! Does not know: labels; those have a file of their own.

use crate::apiserver::status::Status;
use crate::schema::Resource;
use crate::value::Value;

/// A field selector: `metadata.name=a,status.phase!=Running`. The empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Reads a selector as it stands in a query.
    ///
    /// # Errors
    /// 400, as the API server says it.
    pub fn parse(text: &str) -> Result<Self, Status> {
        let mut terms = Vec::new();
        for term in split_terms(text).into_iter().filter(|term| !term.is_empty()) {
            let misread = || Status::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'"));
            let (field, value, equal) = split_term(term).ok_or_else(misread)?;
            let value = unescape(value).map_err(Status::bad_request)?;
            terms.push(Term { field: field.to_owned(), value, equal });
        }
        Ok(Self(terms))
    }

    /// Refuses fields that a resource cannot be selected by.
    ///
    /// # Errors
    /// 400, as the API server says it.
    pub fn check(&self, resource: &Resource) -> Result<(), Status> {
        for term in &self.0 {
            // A built-in kind takes a namespace even where it has none; a custom one does not.
            let namespace = term.field == "metadata.namespace" && (resource.namespaced || !resource.custom);
            let common = term.field == "metadata.name" || namespace;
            let declared = resource.selectable.iter().any(|known| *known == term.field);
            if common || declared || fields_of(resource).iter().any(|known| known.name == term.field) {
                continue;
            }
            return Err(unknown_field(resource, &term.field));
        }
        Ok(())
    }

    /// Whether an object, in the form in which it is kept, is selected.
    #[must_use]
    pub fn matches(&self, resource: &Resource, object: &Value) -> bool {
        self.0.iter().all(|term| (value_of(resource, object, &term.field) == term.value) == term.equal)
    }

    /// The name that every selected object has, if the selector says so.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.demands("metadata.name")
    }

    /// What a field is in every selected object, if the selector says so.
    pub(super) fn demands(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Terms are separated by commas that no backslash stands before.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(text.get(start..).unwrap_or_default());
    terms
}

fn split_term(term: &str) -> Option<(&str, &str, bool)> {
    for (at, _) in term.char_indices() {
        let (field, rest) = term.split_at(at);
        for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
            if let Some(value) = rest.strip_prefix(operator) {
                return Some((field, value, equal));
            }
        }
    }
    None
}

fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                Some(other) => {
                    return Err(format!("invalid field selector: invalid escape sequence: \\{other}"));
                }
                None => return Err("invalid field selector: invalid escape sequence: \\".to_owned()),
            },
            ',' | '=' => {
                return Err(format!("invalid field selector: unescaped character in value: {}", u32::from(character)));
            }
            other => plain.push(other),
        }
    }
    Ok(plain)
}

/// A field that objects of a kind can be selected by.
struct Field {
    name: &'static str,
    /// Where it stands if its name does not say so, and what it is where nothing stands.
    at: &'static str,
    otherwise: &'static str,
}

const fn field(name: &'static str) -> Field {
    Field { name, at: name, otherwise: "" }
}

const POD: &[Field] = &[
    field("spec.nodeName"),
    field("spec.restartPolicy"),
    field("spec.schedulerName"),
    field("spec.serviceAccountName"),
    Field { name: "spec.hostNetwork", at: "spec.hostNetwork", otherwise: "false" },
    field("status.phase"),
    field("status.podIP"),
    Field { name: "status.podIPs", at: "status.podIP", otherwise: "" },
    field("status.nominatedNodeName"),
];

const EVENT: &[Field] = &[
    field("involvedObject.kind"),
    field("involvedObject.namespace"),
    field("involvedObject.name"),
    field("involvedObject.uid"),
    field("involvedObject.apiVersion"),
    field("involvedObject.resourceVersion"),
    field("involvedObject.fieldPath"),
    field("reason"),
    field("reportingComponent"),
    Field { name: "source", at: "source.component", otherwise: "" },
    field("type"),
];

const EVENTS_GROUP: &[Field] = &[
    Field { name: "regarding.kind", at: "involvedObject.kind", otherwise: "" },
    Field { name: "regarding.namespace", at: "involvedObject.namespace", otherwise: "" },
    Field { name: "regarding.name", at: "involvedObject.name", otherwise: "" },
    Field { name: "regarding.uid", at: "involvedObject.uid", otherwise: "" },
    Field { name: "regarding.apiVersion", at: "involvedObject.apiVersion", otherwise: "" },
    Field { name: "regarding.resourceVersion", at: "involvedObject.resourceVersion", otherwise: "" },
    Field { name: "regarding.fieldPath", at: "involvedObject.fieldPath", otherwise: "" },
    field("reason"),
    Field { name: "reportingController", at: "reportingComponent", otherwise: "" },
    field("type"),
];

/// What objects of a built-in kind can be selected by, besides name and namespace.
fn fields_of(resource: &Resource) -> &'static [Field] {
    const NAMESPACE: &[Field] = &[field("status.phase")];
    const NODE: &[Field] = &[Field { name: "spec.unschedulable", at: "spec.unschedulable", otherwise: "false" }];
    const SECRET: &[Field] = &[field("type")];
    const SERVICE: &[Field] = &[field("spec.clusterIP"), field("spec.type")];
    const SCALED: &[Field] = &[Field { name: "status.replicas", at: "status.replicas", otherwise: "0" }];
    const JOB: &[Field] = &[Field { name: "status.successful", at: "status.succeeded", otherwise: "0" }];
    const CSR: &[Field] = &[field("spec.signerName")];
    const SLICE: &[Field] = &[field("spec.nodeName"), field("spec.driver")];
    match resource.storage.resource.as_str() {
        "pods" => POD,
        "events" if resource.group.is_empty() => EVENT,
        "events" => EVENTS_GROUP,
        "namespaces" => NAMESPACE,
        "nodes" => NODE,
        "secrets" => SECRET,
        "services" => SERVICE,
        "replicationcontrollers" => SCALED,
        "jobs.batch" => JOB,
        "certificatesigningrequests.certificates.k8s.io" | "clustertrustbundles.certificates.k8s.io" => CSR,
        "resourceslices.resource.k8s.io" => SLICE,
        _ => &[],
    }
}

/// How a kind says that it has no such field. Kinds with fields of their own have sentences of their own.
fn unknown_field(resource: &Resource, field: &str) -> Status {
    Status::bad_request(if resource.storage.resource == "jobs.batch" {
        format!("field label {field:?} not supported for Job")
    } else if resource.custom || !fields_of(resource).is_empty() {
        format!("field label not supported: {field}")
    } else {
        format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    })
}

/// What an object has in a field, as text.
fn value_of(resource: &Resource, object: &Value, name: &str) -> String {
    let known = fields_of(resource).iter().find(|known| known.name == name);
    let (at, otherwise) = known.map_or((name, ""), |known| (known.at, known.otherwise));
    let path: Vec<&str> = at.split('.').collect();
    match object.at(&path) {
        Value::Null => otherwise.to_owned(),
        Value::String(text) => text.to_string(),
        other => other.to_json(),
    }
}

/// A value as it stands in a selector: what would end it, or the selector's next term begin, is escaped.
pub(crate) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_escaped_is_read_as_it_was() {
        for value in ["a", r"a,status.phase=x", r"\", r"a\,b\=c", "==", ","] {
            let parsed = FieldSelector::parse(&format!("metadata.name={}", escape(value))).unwrap();
            assert_eq!((parsed.name(), parsed.0.len()), (Some(value), 1));
        }
    }

    #[test]
    fn field_selectors_are_split_at_bare_commas_only() {
        let parsed = FieldSelector::parse(r"metadata.name=a\,b,status.phase!=x").unwrap();
        assert_eq!(parsed.name(), Some("a,b"));
        assert_eq!(parsed.0.len(), 2);
        let refused = FieldSelector::parse("garbage").unwrap_err().message;
        assert_eq!(refused, "invalid selector: 'garbage'; can't understand 'garbage'");
    }
}
