//! What a client asks of the API server, decoded; and what it is answered.
//!
//! Knows: verbs, options, users, the forms an answer can take.
//! Does not know: how a call came in or how an answer goes out.

use serde::{Deserialize, Serialize};

use crate::value::{Text, Value};

/// A decoded request. What an API server does follows from this and its state alone, and a request is encoded from
/// this again when it is forwarded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// What is to be done.
    pub verb: Verb,
    /// On what.
    pub on: Subject,
    /// With which options.
    pub options: Options,
    /// With which body; `null` if there is none.
    pub body: Value,
    /// What field validation has against the body as it was sent: fields that stand twice, or that nobody knows and that
    /// are in [`body`](Self::body) no more. In the server's words and the order of the body; of a patch, only what can
    /// be said before it is applied.
    pub faults: Vec<String>,
    /// How the answer is wanted.
    pub output: Output,
    /// What the client calls itself: the field manager where none is named.
    pub user_agent: String,
    /// As whom the client wants to act, if not as itself.
    pub impersonate: Option<User>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verb {
    /// One object.
    Get,
    /// A collection.
    List,
    /// Changes of a collection, or of one object of it, as they come.
    Watch,
    /// A new object (POST).
    Create,
    /// A whole object (PUT).
    Update,
    /// A part of one (PATCH).
    Patch(PatchType),
    /// Away with one object.
    Delete,
    /// Away with a collection.
    DeleteCollection,
    /// A stream into a pod, node or service: exec, attach, portforward, proxy.
    Connect,
}

impl Verb {
    /// As RBAC and audit call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch(_) => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Connect => "connect",
        }
    }

    /// Whether it only looks.
    #[must_use]
    pub fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// The four kinds of patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own, by the schema's merge keys.
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchType {
    /// Its content type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// What a call is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The API group, empty for the core group.
    pub group: Text,
    /// The version in which the client speaks of it.
    pub version: Text,
    /// The resource's plural name; empty for paths that are no resources.
    pub resource: Text,
    /// Empty for cluster-scoped resources, and for collections over all namespaces.
    pub namespace: Text,
    /// Empty for collections.
    pub name: Text,
    /// Such as `status`, `scale`, `eviction`; empty for the object itself.
    pub subresource: Text,
    /// For paths that are no resources (`/version`, `/openapi/v2`), and what follows a proxy subresource: the path.
    pub path: Text,
}

/// The options of a call: what stands in the query, and for deletes also in the body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// `dryRun=All`
    pub dry_run: bool,
    /// `fieldManager`
    pub field_manager: Option<String>,
    /// `fieldValidation`
    pub field_validation: FieldValidation,
    /// `force`, of an apply.
    pub force: bool,
    /// `labelSelector`, as sent.
    pub label_selector: Option<String>,
    /// `fieldSelector`, as sent.
    pub field_selector: Option<String>,
    /// `resourceVersion`, as sent.
    pub resource_version: Option<String>,
    /// `resourceVersionMatch`, as sent.
    pub resource_version_match: Option<String>,
    /// `limit`
    pub limit: Option<u64>,
    /// `continue`, as sent.
    pub continue_token: Option<String>,
    /// `timeoutSeconds`, of a list or watch.
    pub timeout_seconds: Option<u64>,
    /// `allowWatchBookmarks`
    pub bookmarks: bool,
    /// `sendInitialEvents`, of a watch.
    pub initial_events: Option<bool>,
    /// `includeObject`, of a Table: `None`, `Metadata` or `Object`.
    pub include_object: Option<String>,
    /// `propagationPolicy`: `Orphan`, `Background` or `Foreground`.
    pub propagation: Option<String>,
    /// `orphanDependents`, the old form of it.
    pub orphan_dependents: Option<bool>,
    /// `gracePeriodSeconds`
    pub grace_period_seconds: Option<i64>,
    /// `preconditions.uid`, of a delete.
    pub uid: Option<String>,
    /// `preconditions.resourceVersion`, of a delete.
    pub if_resource_version: Option<String>,
    /// `ignoreStoreReadErrorWithClusterBreakingPotential`
    pub ignore_read_error: bool,
    /// `pretty`
    pub pretty: bool,
    /// Of a connect: the HTTP method it came with, which nothing else tells.
    pub connect_method: Option<Text>,
    /// Parameters that are not known here, in the order they came; a connect's go on with it.
    pub others: Vec<(String, String)>,
}

/// What to do about fields that the schema does not know, or that stand twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and warn: the default.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

/// How an answer is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Whole objects, tables, or metadata only.
    pub form: Form,
    /// In which encoding.
    pub encoding: Encoding,
    /// Whether tables and metadata are wanted in the words of `meta.k8s.io/v1beta1`.
    #[serde(default)]
    pub beta: bool,
    /// The media types of the `Accept` header, as sent: discovery chooses among forms of its own.
    pub accept: String,
}

/// What of an object is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// All of it.
    #[default]
    Object,
    /// `meta.k8s.io/v1 Table`
    Table,
    /// `meta.k8s.io/v1 PartialObjectMetadata`, or its list.
    Metadata,
}

/// How documents are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// `application/json`
    #[default]
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

impl Encoding {
    /// Its media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Such as `system:serviceaccount:shop:default`.
    pub name: String,
    /// Of a service account: its uid.
    pub uid: String,
    /// Such as `system:authenticated`.
    pub groups: Vec<String>,
    /// What else the authenticator said.
    pub extra: Vec<(String, Vec<String>)>,
}

impl User {
    /// Someone of `system:masters`, whom authorization never stops.
    #[must_use]
    pub fn admin() -> Self {
        Self {
            name: "admin".into(),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
            ..Self::default()
        }
    }

    /// A part of the control plane, such as `deployment-controller`.
    #[must_use]
    pub fn component(name: &str) -> Self {
        Self { name: format!("system:{name}"), groups: vec!["system:masters".into()], ..Self::default() }
    }
}

/// What a call is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// What is sent back.
    pub content: Content,
    /// Sentences for `Warning: 299` headers.
    pub warnings: Vec<String>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A document.
    Document(Value),
    /// Bytes of a content type of their own, such as `text/plain` of `/healthz`.
    Raw {
        /// The content type.
        content_type: &'static str,
        /// The bytes.
        bytes: bytes::Bytes,
    },
    /// Changes, as they come: whoever serves the connection follows them from here.
    Watch(Watch),
}

/// What a watcher wants to hear of.
#[derive(Clone, Debug, PartialEq)]
pub struct Watch {
    /// The resource, as in object keys.
    pub resource: Text,
    /// The version in which the client speaks of it.
    pub version: Text,
    /// Only of this namespace, if not empty.
    pub namespace: Text,
    /// Only what this selects, as sent.
    pub label_selector: Option<String>,
    /// Only what this selects, as sent.
    pub field_selector: Option<String>,
    /// Documents to be sent first, each a whole watch event.
    pub first: Vec<Value>,
    /// Changes after this version follow.
    pub since: u64,
    /// Whether the watcher wants bookmarks.
    pub bookmarks: bool,
    /// How long to watch at most, if the client said.
    pub timeout_seconds: Option<u64>,
    /// How objects are wanted.
    pub output: Output,
    /// Of a Table: what of the object its rows carry.
    pub include_object: Option<String>,
    /// Whether a Table with column names was sent: they come once.
    pub headed: bool,
}

impl Call {
    /// The resource as in object keys: `deployments.apps`, `pods`.
    #[must_use]
    pub fn resource(&self) -> Text {
        super::status::join(&self.on.resource, &self.on.group)
    }

    /// Group and version as in an object's `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.on.group.is_empty() {
            self.on.version.to_string()
        } else {
            format!("{}/{}", self.on.group, self.on.version)
        }
    }
}

impl Answer {
    /// A document with a code.
    #[must_use]
    pub fn document(code: u16, document: Value) -> Self {
        Self { code, content: Content::Document(document), warnings: Vec::new(), headers: Vec::new() }
    }

    /// The document, if the answer is one.
    #[must_use]
    pub fn into_document(self) -> Option<Value> {
        if let Content::Document(document) = self.content { Some(document) } else { None }
    }
}
