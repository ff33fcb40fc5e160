//! What every Kubernetes object has: a key, and metadata.
//!
//! Knows: where names, owners, labels and times stand in a document.
//! Does not know: any kind's own fields.

use std::cmp::Ordering;
use std::fmt;

use twin::Time;

use crate::time;
use crate::value::{Text, Value};

/// Where an object is kept: its resource (`deployments.apps`, `pods`), namespace (empty for cluster-scoped) and name.
///
/// The order is resource, namespace, name, so that a namespace's objects of one resource stand side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    /// Plural name and group, as in `deployments.apps`; the core group adds nothing, as in `pods`.
    pub resource: Text,
    /// Empty for cluster-scoped objects.
    pub namespace: Text,
    /// The object's name.
    pub name: Text,
}

impl ObjectKey {
    /// A key from its three parts.
    #[must_use]
    pub fn new(resource: impl Into<Text>, namespace: impl Into<Text>, name: impl Into<Text>) -> Self {
        Self { resource: resource.into(), namespace: namespace.into(), name: name.into() }
    }

    /// The key of another resource's object in the same namespace.
    #[must_use]
    pub fn beside(&self, resource: impl Into<Text>, name: impl Into<Text>) -> Self {
        Self { resource: resource.into(), namespace: self.namespace.clone(), name: name.into() }
    }

    /// Whether this is an object of `resource`.
    #[must_use]
    pub fn is(&self, resource: &str) -> bool {
        self.resource == resource
    }
}

/// Keys are compared more often than anything else, and mostly with keys of the same resource and namespace, which are told to
/// be equal by where they stand.
impl Ord for ObjectKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let by = |one: &Text, two: &Text| if Text::ptr_eq(one, two) { Ordering::Equal } else { one.cmp(two) };
        by(&self.resource, &other.resource)
            .then_with(|| by(&self.namespace, &other.namespace))
            .then_with(|| by(&self.name, &other.name))
    }
}

impl PartialOrd for ObjectKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.resource, self.name)
        } else {
            write!(f, "{}/{}/{}", self.resource, self.namespace, self.name)
        }
    }
}

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a>(&'a Value);

impl<'a> Owner<'a> {
    /// Group and version, as in `apps/v1`.
    #[must_use]
    pub fn api_version(self) -> &'a str {
        self.0.at(&["apiVersion"]).str_or_empty()
    }

    /// Such as `ReplicaSet`.
    #[must_use]
    pub fn kind(self) -> &'a str {
        self.0.at(&["kind"]).str_or_empty()
    }

    /// The owner's name.
    #[must_use]
    pub fn name(self) -> &'a str {
        self.0.at(&["name"]).str_or_empty()
    }

    /// The owner's uid; only an object with this uid is the owner.
    #[must_use]
    pub fn uid(self) -> &'a str {
        self.0.at(&["uid"]).str_or_empty()
    }

    /// Whether this owner manages the object.
    #[must_use]
    pub fn is_controller(self) -> bool {
        self.0.at(&["controller"]).is_true()
    }

    /// Whether the owner's foreground deletion waits for the object.
    #[must_use]
    pub fn blocks_deletion(self) -> bool {
        self.0.at(&["blockOwnerDeletion"]).is_true()
    }
}

/// Metadata, read from any object.
impl Value {
    /// `metadata.name`
    #[must_use]
    pub fn name(&self) -> &str {
        self.at(&["metadata", "name"]).str_or_empty()
    }

    /// `metadata.namespace`, empty for cluster-scoped objects.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.at(&["metadata", "namespace"]).str_or_empty()
    }

    /// `metadata.uid`
    #[must_use]
    pub fn uid(&self) -> &str {
        self.at(&["metadata", "uid"]).str_or_empty()
    }

    /// `kind`
    #[must_use]
    pub fn kind(&self) -> &str {
        self.at(&["kind"]).str_or_empty()
    }

    /// `apiVersion`
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.at(&["apiVersion"]).str_or_empty()
    }

    /// `metadata.resourceVersion`
    #[must_use]
    pub fn resource_version(&self) -> &str {
        self.at(&["metadata", "resourceVersion"]).str_or_empty()
    }

    /// `metadata.generation`, 0 if there is none.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.at(&["metadata", "generation"]).as_int().unwrap_or(0)
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.at(&["metadata", "labels"]).get(key)?.as_str()
    }

    /// The value of an annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.at(&["metadata", "annotations"]).get(key)?.as_str()
    }

    /// `metadata.labels`, `null` if there are none.
    #[must_use]
    pub fn labels(&self) -> &Self {
        self.at(&["metadata", "labels"])
    }

    /// `metadata.ownerReferences`
    pub fn owners(&self) -> impl Iterator<Item = Owner<'_>> {
        self.at(&["metadata", "ownerReferences"]).items().iter().map(Owner)
    }

    /// The owner that manages this object.
    #[must_use]
    pub fn controller(&self) -> Option<Owner<'_>> {
        self.owners().find(|owner| owner.is_controller())
    }

    /// `metadata.finalizers`
    pub fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.at(&["metadata", "finalizers"]).items().iter().filter_map(Self::as_str)
    }

    /// Whether it has been told to go: `metadata.deletionTimestamp` is set.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        !self.at(&["metadata", "deletionTimestamp"]).is_null()
    }

    /// `metadata.creationTimestamp`
    #[must_use]
    pub fn created(&self) -> Option<Time> {
        self.time(&["metadata", "creationTimestamp"])
    }

    /// An RFC 3339 time at the end of a path.
    #[must_use]
    pub fn time(&self, path: &[&str]) -> Option<Time> {
        time::parse(self.at(path).as_str()?)
    }

    /// The entry of `status.conditions` of this type.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Self> {
        self.at(&["status", "conditions"]).items().iter().find(|condition| condition.at(&["type"]) == kind)
    }

    /// Whether the condition of this type has the status `True`.
    #[must_use]
    pub fn condition_is_true(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition.at(&["status"]) == "True")
    }
}
