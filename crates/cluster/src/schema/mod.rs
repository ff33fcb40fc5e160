//! What an API server knows of its resources and types.
//!
//! Knows: every resource with its names, verbs and subresources; every type with what merging, pruning and defaulting
//! ask for; how to read both from any server's own discovery and OpenAPI documents, or from a
//! CustomResourceDefinition.
//! Does not know: any kind by name, or what a server does with what it knows.
//!
//! | file | does |
//! |---|---|
//! | `types` | structs, maps, lists, scalars: what a field may hold and how it is merged |
//! | `convert` | an object of one storage in another version's words |
//! | `zeros` | what a document is after Go has read and written it |
//! | `resource` | names, verbs, subresources; which resources show the same objects |
//! | `parse` | OpenAPI definitions to types |
//! | `document`, `publish` | an OpenAPI v3 document as it is served, with its hash; that of custom resources |
//! | `source` | a server's answers to a schema; the answers of a real 1.36 are built in |
//! | `definition` | a CustomResourceDefinition to resources and types |

mod convert;
mod definition;
mod document;
mod parse;
mod publish;
mod resource;
pub(crate) mod source;
mod types;
mod zeros;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;

pub use document::{Document, hash};
pub use resource::{
    Column, GroupVersionKind, Resource, ScalePaths, Storage, Subresource, api_version, split_api_version,
    storage_version_hash,
};
pub(crate) use types::TypeIdentity;
pub use types::{Field, List, ListKind, Patch, Scalar, Shape, Type, Union};

use crate::value::{Text, Value};
use parse::Definitions;
use types::Arena;

/// What an API server knows. Cheap to clone; a change gives a new one and leaves the old as it was.
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    /// Sorted by group, version, plural.
    resources: Vec<Arc<Resource>>,
    /// Sorted by group, version, kind.
    kinds: Vec<Arc<Resource>>,
    /// In the order in which discovery lists them; the core group first.
    groups: Vec<Group>,
    /// The types of everything that is built in.
    arena: Arc<Arena>,
    /// What the definition of any custom resource refers to.
    common: Arc<Definitions>,
    /// OpenAPI v3 documents by path (`api/v1`).
    documents: BTreeMap<Text, Arc<Document>>,
    version: Value,
    paths: Vec<Text>,
}

/// An API group and its versions, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Empty for the core group.
    pub name: Text,
    /// The preferred one first.
    pub versions: Vec<Text>,
}

/// Why documents make no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// One of a server's answers is not what it should be.
    #[error("the server's answer to {path} cannot be read: {why}")]
    Answer {
        /// Which one.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The answers say nothing of any resource.
    #[error("the server's answers list no resources: discovery is missing")]
    NoDiscovery,
    /// A CustomResourceDefinition lacks what it must have.
    #[error("custom resource definition {name:?} has no {missing}")]
    Definition {
        /// Its name.
        name: String,
        /// The path of what is missing.
        missing: &'static str,
    },
}

static BUILT_IN: LazyLock<Schema> = LazyLock::new(source::built_in);

impl Default for Schema {
    /// What a Kubernetes 1.36 knows.
    fn default() -> Self {
        BUILT_IN.clone()
    }
}

impl Schema {
    /// From what a server answered to GETs of these paths: `/version`, `/`, discovery and OpenAPI v3.
    ///
    /// Discovery may be plain (`/api`, `/apis`, `/api/v1`, `/apis/G/V`…) or aggregated (`/api` and `/apis` as
    /// `APIGroupDiscoveryList`); plain says which resources share their storage, so prefer it. OpenAPI is each document that
    /// the index under `/openapi/v3` names. Whatever else there is, a query included, is ignored; a group whose OpenAPI is
    /// missing has resources of unknown type.
    ///
    /// # Errors
    /// An answer that is no JSON, or no discovery at all.
    pub fn from_answers(answers: impl IntoIterator<Item = (String, Bytes)>) -> Result<Self, SchemaError> {
        source::read(answers)
    }

    /// The resource of that group, version and plural name.
    #[must_use]
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let order = |have: &Arc<Resource>| by_plural(have, group, version, plural);
        find(&self.0.resources, order)
    }

    /// The resource whose documents say `apiVersion: group/version` and this kind.
    #[must_use]
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        find(&self.0.kinds, |have| by_kind(have, group, version, kind))
    }

    /// The resource of a document, by its `apiVersion` and `kind`.
    #[must_use]
    pub fn of(&self, document: &Value) -> Option<&Arc<Resource>> {
        let (group, version) = split_api_version(document.api_version());
        self.by_kind(group, version, document.kind())
    }

    /// The resource of that group and plural name, in the group's preferred version of those that have it.
    #[must_use]
    pub fn preferred(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.group(group)?.versions.iter().find_map(|version| self.resource(group, version, plural))
    }

    /// The resource of that group and kind, in the group's preferred version of those that have it.
    #[must_use]
    pub fn preferred_by_kind(&self, group: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.group(group)?.versions.iter().find_map(|version| self.by_kind(group, version, kind))
    }

    /// The resource whose objects are kept under `resource` in object keys (`deployments.apps`), in the form in which they
    /// are kept.
    #[must_use]
    pub fn stored(&self, resource: &str) -> Option<&Arc<Resource>> {
        let (plural, group) = crate::apiserver::status::split(resource);
        let any = self.preferred(group, plural)?;
        let kept = &any.storage.kind;
        self.by_kind(&kept.group, &kept.version, &kept.kind).or(Some(any))
    }

    /// Every resource in every version, sorted by group, version and plural name.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.0.resources.iter()
    }

    /// The resources of one group and version, sorted by plural name.
    pub fn resources_of(&self, group: &str, version: &str) -> impl Iterator<Item = &Arc<Resource>> {
        let start = self.0.resources.partition_point(|have| by_plural(have, group, version, "").is_lt());
        self.0
            .resources
            .get(start..)
            .unwrap_or_default()
            .iter()
            .take_while(move |have| have.group == *group && have.version == *version)
    }

    /// Every group, in the order of discovery; the core group, whose name is empty, first.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.0.groups
    }

    /// The group of that name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.0.groups.iter().find(|group| group.name == name)
    }

    /// The type of anything that has an `apiVersion` and a `kind`, resource or not: `Scale`, `Eviction`, `DeleteOptions`,
    /// `PodList`…
    #[must_use]
    pub fn type_of(&self, group: &str, version: &str, kind: &str) -> Option<Type<'_>> {
        if let Some(resource) = self.by_kind(group, version, kind) {
            return Some(resource.ty());
        }
        let gvk = GroupVersionKind::new(group, version, kind);
        let in_arena = |arena: &'_ Arc<Arena>| arena.by_kind.get(&gvk).copied();
        if let Some(node) = in_arena(&self.0.arena) {
            return Some(self.0.arena.ty(node));
        }
        self.resources_of(group, version).find_map(|resource| {
            let arena = &resource.ty.arena;
            in_arena(arena).map(|node| arena.ty(node))
        })
    }

    /// A built-in type by the name of its definition, such as `io.k8s.api.core.v1.PodSpec`.
    #[must_use]
    pub fn named(&self, definition: &str) -> Option<Type<'_>> {
        self.0.arena.by_name.get(definition).map(|&node| self.0.arena.ty(node))
    }

    /// The OpenAPI v3 documents, by their path below `/openapi/v3/` (`api/v1`, `apis/apps/v1`, `version`).
    pub fn documents(&self) -> impl Iterator<Item = (&Text, &Document)> {
        self.0.documents.iter().map(|(path, document)| (path, document.as_ref()))
    }

    /// The OpenAPI v3 document at a path below `/openapi/v3/`.
    #[must_use]
    pub fn document(&self, path: &str) -> Option<&Document> {
        self.0.documents.get(path).map(Arc::as_ref)
    }

    /// The paths that `/` lists: those that the server named, and those of groups added since.
    #[must_use]
    pub fn paths(&self) -> Vec<Text> {
        let mut paths = self.0.paths.clone();
        for group in self.groups() {
            let parent: Text =
                if group.name.is_empty() { "/api".into() } else { arcstr::format!("/apis/{}", group.name) };
            paths.extend(group.versions.iter().map(|version| arcstr::format!("{parent}/{version}")));
            paths.push(parent);
        }
        paths.sort_by(|one, two| one.as_str().cmp(two.as_str()));
        paths.dedup();
        paths
    }

    /// What `/version` says.
    #[must_use]
    pub fn version(&self) -> &Value {
        &self.0.version
    }

    /// The same with the resources of a CustomResourceDefinition, in each version that is served. Those of an earlier state
    /// of the definition go.
    ///
    /// # Errors
    /// [`SchemaError::Definition`] if the definition has no group, names or versions.
    pub fn with_definition(&self, definition: &Value) -> Result<Self, SchemaError> {
        definition::add(self, definition)
    }

    /// The same with one resource more, or another in its place.
    #[must_use]
    pub fn with_resource(&self, resource: Resource) -> Self {
        let mut inner = (*self.0).clone();
        inner.put(resource);
        Self(Arc::new(inner))
    }

    /// The same without any version of a resource: its definition was deleted.
    #[must_use]
    pub fn without(&self, group: &str, plural: &str) -> Self {
        let mut inner = (*self.0).clone();
        inner.drop(group, plural);
        Self(Arc::new(inner))
    }
}

impl Inner {
    fn put(&mut self, resource: Resource) {
        let custom = resource.custom;
        let (group_name, version) = (resource.group.clone(), resource.version.clone());
        let resource = Arc::new(resource);
        let (g, v, p, k) = (&resource.group, &resource.version, &resource.plural, &resource.kind);
        place(&mut self.resources, resource.clone(), |have| by_plural(have, g, v, p));
        place(&mut self.kinds, resource.clone(), |have| by_kind(have, g, v, k));
        let at = match self.groups.iter().position(|have| have.name == group_name) {
            Some(at) => at,
            None => {
                // Groups that are added have the lowest priority, and among themselves go by name.
                let at = self.groups.iter().rposition(|have| self.is_built_in(have) || have.name < group_name);
                let at = at.map_or(0, |at| at + 1);
                self.groups.insert(at, Group { name: group_name.clone(), versions: Vec::new() });
                at
            }
        };
        if let Some(group) = self.groups.get_mut(at)
            && !group.versions.contains(&version)
        {
            group.versions.push(version.clone());
            group.versions.sort_by(|one, two| priority(two).cmp(&priority(one)).then_with(|| one.cmp(two)));
        }
        if custom {
            self.publish(&group_name, &version);
        }
    }

    /// Has a group version's document say what its resources are now, if all of them are custom.
    fn publish(&mut self, group: &str, version: &str) {
        let start = self.resources.partition_point(|have| by_plural(have, group, version, "").is_lt());
        let here = self.resources.iter().skip(start);
        let here = here.take_while(|have| have.group == *group && have.version == *version);
        let published = here.map(|have| Some((have.clone(), have.published.clone()?)));
        let path = document_path(group, version);
        match published.collect::<Option<Vec<_>>>() {
            // Some of them are known from the server's own document only: it stays.
            None => {}
            Some(none) if none.is_empty() => {
                self.documents.remove(&path);
            }
            Some(resources) => {
                let major_minor = |key: &str| self.version.at(&[key]).str_or_empty();
                let version = arcstr::format!("{}.{}", major_minor("major"), major_minor("minor"));
                self.documents.insert(path, Arc::new(Document::of(resources, version)));
            }
        }
    }

    fn drop(&mut self, group: &str, plural: &str) {
        let before: Vec<Text> = self
            .resources
            .iter()
            .filter(|have| have.group == group && have.plural == plural)
            .map(|have| have.version.clone())
            .collect();
        self.resources.retain(|have| !(have.group == group && have.plural == plural));
        self.kinds.retain(|have| !(have.group == group && have.plural == plural));
        let resources = &self.resources;
        for have in &mut self.groups {
            let name = &have.name;
            have.versions.retain(|version| resources.iter().any(|one| one.group == *name && one.version == *version));
        }
        self.groups.retain(|group| !group.versions.is_empty());
        for version in before {
            self.publish(group, &version);
        }
    }

    fn is_built_in(&self, group: &Group) -> bool {
        self.resources.iter().any(|have| have.group == group.name && !have.custom)
    }
}

/// The path of a group version's OpenAPI v3 document below `/openapi/v3/`.
fn document_path(group: &str, version: &str) -> Text {
    if group.is_empty() { arcstr::format!("api/{version}") } else { arcstr::format!("apis/{group}/{version}") }
}

/// Orders versions as Kubernetes prefers them: stable over beta over alpha, higher over lower, others last.
fn priority(version: &str) -> (u8, u32, u32) {
    let parse = || {
        let rest = version.strip_prefix('v')?;
        for (stage, name) in [(2, "beta"), (1, "alpha")] {
            if let Some((major, minor)) = rest.split_once(name) {
                return Some((stage, major.parse().ok()?, minor.parse().ok()?));
            }
        }
        Some((3, rest.parse().ok()?, 0))
    };
    parse().unwrap_or((0, 0, 0))
}

fn by_plural(have: &Resource, group: &str, version: &str, plural: &str) -> Ordering {
    (have.group.as_str(), have.version.as_str(), have.plural.as_str()).cmp(&(group, version, plural))
}

fn by_kind(have: &Resource, group: &str, version: &str, kind: &str) -> Ordering {
    (have.group.as_str(), have.version.as_str(), have.kind.as_str()).cmp(&(group, version, kind))
}

fn find(sorted: &[Arc<Resource>], order: impl Fn(&Arc<Resource>) -> Ordering) -> Option<&Arc<Resource>> {
    sorted.binary_search_by(order).ok().and_then(|at| sorted.get(at))
}

fn place(sorted: &mut Vec<Arc<Resource>>, resource: Arc<Resource>, order: impl Fn(&Arc<Resource>) -> Ordering) {
    match sorted.binary_search_by(order) {
        Ok(at) => {
            if let Some(place) = sorted.get_mut(at) {
                *place = resource;
            }
        }
        Err(at) => sorted.insert(at, resource),
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({} resources, {} types)", self.0.resources.len(), self.0.arena.nodes.len())
    }
}
