//! Resources: what is served under one path, and where it is kept.
//!
//! Knows: names, verbs, subresources, which resources show the same objects.
//! Does not know: any resource by name, but for one pair (see `ALIASES`).

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::parse::Definitions;
use super::types::{Type, TypeHandle};
use crate::apiserver::status;
use crate::value::Text;

/// Group, version and kind: what a document says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// Empty for the core group.
    pub group: Text,
    /// Such as `v1`.
    pub version: Text,
    /// Such as `Pod`.
    pub kind: Text,
}

impl GroupVersionKind {
    /// From its three parts.
    #[must_use]
    pub fn new(group: &str, version: &str, kind: &str) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// As a document says it in `apiVersion`: `apps/v1`, or `v1`.
    #[must_use]
    pub fn api_version(&self) -> Text {
        api_version(&self.group, &self.version)
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, Kind={}", self.api_version(), self.kind)
    }
}

/// Group and version as in `apiVersion`.
#[must_use]
pub fn api_version(group: &str, version: &str) -> Text {
    if group.is_empty() { version.into() } else { arcstr::format!("{group}/{version}") }
}

/// An `apiVersion` as group and version.
#[must_use]
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// One resource in one version: what `/apis/GROUP/VERSION/…/PLURAL` serves.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Empty for the core group.
    pub group: Text,
    /// Such as `v1`.
    pub version: Text,
    /// As in the path: `deployments`.
    pub plural: Text,
    /// As kubectl says it of one: `deployment`.
    pub singular: Text,
    /// Such as `Deployment`.
    pub kind: Text,
    /// Such as `DeploymentList`.
    pub list_kind: Text,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What may be done, as discovery says it: `get`, `deletecollection`…
    pub verbs: Box<[Text]>,
    /// Such as `deploy`.
    pub short_names: Box<[Text]>,
    /// Such as `all`.
    pub categories: Box<[Text]>,
    /// What lies below one object, by name.
    pub subresources: Box<[Subresource]>,
    /// Where its objects are kept.
    pub storage: Storage,
    /// What discovery says of the storage version; empty where nothing is stored.
    pub storage_version_hash: Text,
    /// Whether a CustomResourceDefinition made it. A production's is taken for built in until its definition is added.
    pub custom: bool,
    /// Of a custom resource: what kubectl shows of it.
    pub columns: Box<[Column]>,
    /// Of a custom resource: the fields that it can be selected by, as `spec.color`.
    pub selectable: Box<[Text]>,
    /// Of a custom resource: what clients of this version are warned of, if they should not use it any more.
    pub deprecation: Option<Text>,
    /// Of a custom resource: what OpenAPI says of it.
    pub(super) published: Option<Arc<Definitions>>,
    pub(super) ty: TypeHandle,
}

/// Where the objects of a resource are kept. Resources of the same storage show the same objects: the versions of one
/// resource, but also `events` of the core group and of `events.k8s.io`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Storage {
    /// As in object keys: `deployments.apps`, `pods`.
    pub resource: Text,
    /// What the documents say they are while they are kept.
    pub kind: GroupVersionKind,
}

/// What lies below one object: `status`, `scale`, `eviction`…
#[derive(Debug, Clone)]
pub struct Subresource {
    /// Such as `status`.
    pub name: Text,
    /// What is sent and answered: the object's own kind for `status`, `autoscaling/v1 Scale` for `scale`.
    pub kind: GroupVersionKind,
    /// What may be done.
    pub verbs: Box<[Text]>,
    /// Of a custom resource's `scale`: where it reads and writes.
    pub scale: Option<ScalePaths>,
    pub(super) ty: TypeHandle,
}

/// Where a custom resource keeps what its `scale` shows, as `.spec.replicas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// How many are wanted.
    pub spec: Text,
    /// How many there are.
    pub status: Text,
    /// The selector as text, if it is kept.
    pub selector: Option<Text>,
}

/// One of a custom resource's printer columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: Text,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: Text,
    /// An OpenAPI format; may be empty.
    pub format: Text,
    /// What it shows, in words; may be empty.
    pub description: Text,
    /// 0 if it is always shown, more if only on `-o wide`.
    pub priority: i64,
    /// Which field it shows, as `.spec.replicas`.
    pub path: Text,
}

impl Resource {
    /// Plural and group, as errors and RBAC name it: `deployments.apps`, `pods`.
    #[must_use]
    pub fn id(&self) -> Text {
        status::join(&self.plural, &self.group)
    }

    /// `apps/v1`, or `v1`.
    #[must_use]
    pub fn api_version(&self) -> Text {
        api_version(&self.group, &self.version)
    }

    /// What its documents say they are in this version.
    #[must_use]
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind { group: self.group.clone(), version: self.version.clone(), kind: self.kind.clone() }
    }

    /// What its documents hold in this version.
    #[must_use]
    pub fn ty(&self) -> Type<'_> {
        self.ty.ty()
    }

    /// Whether discovery lists this verb (`get`, `deletecollection`…).
    #[must_use]
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|have| have == verb)
    }

    /// The subresource of that name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Whether its documents are kept in this version's form.
    #[must_use]
    pub fn is_storage_version(&self) -> bool {
        self.storage.kind.group == self.group && self.storage.kind.version == self.version
    }
}

impl Subresource {
    /// What is sent and answered.
    #[must_use]
    pub fn ty(&self) -> Type<'_> {
        self.ty.ty()
    }

    /// Whether discovery lists this verb.
    #[must_use]
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|have| have == verb)
    }
}

/// Resources of one group that show another's objects, where a server's discovery has no hashes to tell (aggregated
/// discovery leaves them out): Kubernetes has this one.
const ALIASES: &[(&str, &str)] = &[("events.events.k8s.io", "events")];

/// What discovery says of the form in which objects are kept: equal hashes, equal storage.
#[must_use]
pub fn storage_version_hash(kind: &GroupVersionKind) -> Text {
    use base64::Engine as _;
    let hash = Sha256::digest(format!("{}/{}/{}", kind.group, kind.version, kind.kind));
    base64::engine::general_purpose::STANDARD.encode(hash.get(..8).unwrap_or_default()).into()
}

/// Finds out which resources show the same objects, and in which form they are kept.
///
/// The hash in discovery is one of (group, version, kind) of that form, so among resources with equal hashes the one
/// whose own name hashes to it is at home. A form that is kept but no longer served has no home; the first one is taken.
pub(super) fn settle_storage(resources: &mut [Resource]) {
    let ids: Vec<Text> = resources.iter().map(Resource::id).collect();
    let at_home = |resource: &Resource| storage_version_hash(&resource.gvk()) == resource.storage_version_hash;
    let homes: Vec<Storage> = resources
        .iter()
        .zip(&ids)
        .map(|(resource, id)| {
            let home = ALIASES.iter().find(|(alias, _)| id == alias).map_or(id.as_str(), |(_, home)| home);
            let same: Vec<&Resource> = resources
                .iter()
                .zip(&ids)
                .filter(|(other, _)| resource.plural == other.plural)
                .filter(|(other, id)| {
                    if resource.storage_version_hash.is_empty() {
                        *id == home
                    } else {
                        resource.storage_version_hash == other.storage_version_hash
                    }
                })
                .map(|(other, _)| other)
                .collect();
            let home = same.iter().find(|other| at_home(other)).or_else(|| same.first()).copied().unwrap_or(resource);
            Storage { resource: home.id(), kind: home.gvk() }
        })
        .collect();
    for (resource, home) in resources.iter_mut().zip(homes) {
        resource.storage = home;
    }
}
