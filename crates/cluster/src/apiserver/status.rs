//! How the API server says no.
//!
//! Knows: the reasons, codes and sentences of `k8s.io/apimachinery/pkg/api/errors`.
//! Does not know: who asks.

use crate::doc;
use crate::value::{Text, Value};

/// A refusal. As a document it is `v1.Status`, which every client prints well.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The HTTP status.
    pub code: u16,
    /// Such as `NotFound`; empty where Kubernetes gives none.
    pub reason: &'static str,
    /// The sentence that kubectl prints after `Error from server`.
    pub message: String,
    /// `details`, `null` if there are none.
    pub details: Value,
    /// Seconds after which to try again, for `Retry-After`.
    pub retry_after_seconds: Option<u32>,
    /// Of a list that cannot go on as it was: the token with which it can go on otherwise; else empty.
    pub continue_token: String,
    /// Sentences for `Warning: 299` headers.
    pub warnings: Vec<String>,
}

/// What is wrong with one field, as one entry of `details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Such as `FieldValueInvalid`.
    pub reason: &'static str,
    /// The sentence without the field's path.
    pub message: String,
    /// Such as `spec.replicas`.
    pub field: String,
}

/// The sentences of `k8s.io/apimachinery/pkg/util/validation/field`.
impl Cause {
    /// The value is not one that is taken.
    #[must_use]
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, why: &str) -> Self {
        let message = format!("Invalid value: {}: {why}", value.into().to_json());
        Self { reason: "FieldValueInvalid", message, field: field.into() }
    }

    /// There must be a value.
    #[must_use]
    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Self { reason: "FieldValueRequired", message, field: field.into() }
    }

    /// There must not be this value.
    #[must_use]
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self { reason: "FieldValueForbidden", message: format!("Forbidden: {why}"), field: field.into() }
    }

    /// The value is none of a few.
    #[must_use]
    pub fn not_supported(field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        let message =
            format!("Unsupported value: {}: supported values: {}", value.into().to_json(), supported.join(", "));
        Self { reason: "FieldValueNotSupported", message, field: field.into() }
    }

    /// The text is too long.
    #[must_use]
    pub fn too_long(field: impl Into<String>, bytes_max: usize) -> Self {
        let message = format!("Too long: may not be more than {bytes_max} bytes");
        Self { reason: "FieldValueTooLong", message, field: field.into() }
    }

    /// As it stands in the message of the whole: path, colon, sentence.
    fn sentence(&self) -> String {
        if self.field.is_empty() { self.message.clone() } else { format!("{}: {}", self.field, self.message) }
    }
}

impl Status {
    /// A refusal without details.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
            retry_after_seconds: None,
            continue_token: String::new(),
            warnings: Vec::new(),
        }
    }

    /// The same with `details.name`, `.group` and `.kind`, each left out if empty. For most reasons `kind` is the
    /// resource's plural name.
    #[must_use]
    pub fn about(mut self, name: &str, group: &str, kind: &str) -> Self {
        for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                self.details.set(&[key], value);
            }
        }
        self
    }

    /// The object is not there. `resource` is `deployments.apps` or `pods`.
    #[must_use]
    pub fn not_found(resource: &str, name: &str) -> Self {
        let (plural, group) = split(resource);
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found")).about(name, group, plural)
    }

    /// The object is there already.
    #[must_use]
    pub fn already_exists(resource: &str, name: &str) -> Self {
        let (plural, group) = split(resource);
        Self::new(409, "AlreadyExists", format!("{resource} \"{name}\" already exists")).about(name, group, plural)
    }

    /// What is there is not what the writer saw.
    #[must_use]
    pub fn conflict(resource: &str, name: &str, why: &str) -> Self {
        let (plural, group) = split(resource);
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(name, group, plural)
    }

    /// The writer's resourceVersion is not the newest.
    #[must_use]
    pub fn modified(resource: &str, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// The user may not, or an admission rule forbids it.
    #[must_use]
    pub fn forbidden(resource: &str, name: &str, why: &str) -> Self {
        let (plural, group) = split(resource);
        let message = match (resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{resource} is forbidden: {why}"),
            _ => format!("{resource} \"{name}\" is forbidden: {why}"),
        };
        Self::new(403, "Forbidden", message).about(name, group, plural)
    }

    /// The request makes no sense.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// Some fields of an object are wrong. `kind` is `Deployment`, with `group` `apps`.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let shown = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut sentences: Vec<String> = Vec::new();
        for sentence in causes.iter().map(Cause::sentence) {
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        let message = match sentences.as_slice() {
            [] => format!("{shown} \"{name}\" is invalid"),
            [one] => format!("{shown} \"{name}\" is invalid: {one}"),
            many => format!("{shown} \"{name}\" is invalid: [{}]", many.join(", ")),
        };
        let mut status = Self::new(422, "Invalid", message).about(name, group, kind);
        let listed: Vec<Value> = causes
            .iter()
            .map(|cause| doc!({"reason": (cause.reason), "message": (&cause.message), "field": (&cause.field)}))
            .collect();
        if !listed.is_empty() {
            status.details.set(&["causes"], listed);
        }
        status
    }

    /// Nothing is served under the path.
    #[must_use]
    pub fn no_such_path() -> Self {
        Self::generic(404, "NotFound", "the server could not find the requested resource")
    }

    /// Something is served under the path, but not to this method.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::generic(405, "MethodNotAllowed", message)
    }

    /// As the router says it, before any handler is asked: with `details` that say nothing.
    pub(crate) fn generic(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { details: doc!({}), ..Self::new(code, reason, message) }
    }

    /// The request is understood and cannot be done; why, the client is not told.
    pub(crate) fn unprocessable() -> Self {
        Self::generic(422, "Invalid", "the server rejected our request due to an error in our request")
    }

    /// Something failed that is nobody's mistake.
    #[must_use]
    pub fn internal(message: impl std::fmt::Display) -> Self {
        let mut status = Self::new(500, "InternalError", format!("Internal error occurred: {message}"));
        status.details = doc!({"causes": [{"message": (message.to_string())}]});
        status
    }

    /// The same with its causes listed.
    #[must_use]
    pub fn because(mut self, causes: Vec<Value>) -> Self {
        self.details.set(&["causes"], causes);
        self
    }

    /// Try again after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        if seconds > 0 {
            self.details.set(&["retryAfterSeconds"], seconds);
        }
        self
    }

    /// The same with a token with which the list can go on.
    #[must_use]
    pub fn to_continue(mut self, token: &str) -> Self {
        token.clone_into(&mut self.continue_token);
        self
    }

    /// As the document that a client gets.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut status = doc!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": (&self.message),
            "code": (i64::from(self.code)),
        });
        if !self.continue_token.is_empty() {
            status.set(&["metadata", "continue"], &self.continue_token);
        }
        if !self.reason.is_empty() {
            status.set(&["reason"], self.reason);
        }
        if !self.details.is_null() {
            status.set(&["details"], self.details.clone());
        }
        status
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

/// `deployments.apps` as plural and group.
#[must_use]
pub fn split(resource: &str) -> (&str, &str) {
    resource.split_once('.').unwrap_or((resource, ""))
}

/// Plural and group as `deployments.apps`.
#[must_use]
pub fn join(plural: &str, group: &str) -> Text {
    if group.is_empty() { Text::from(plural) } else { arcstr::format!("{plural}.{group}") }
}
