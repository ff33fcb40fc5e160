//! From what a server says of itself to a schema.
//!
//! Knows: the forms of discovery and of OpenAPI v3. The answers of a real Kubernetes 1.36.2 are built in (without
//! their descriptions; `tools/derive-schema.py` derives them), and are read no differently than any production's.
//! Does not know: how to fetch anything.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::document::Document;
use super::parse::{self, Definitions, array, text, texts};
use super::resource::{self, Resource, Storage, Subresource};
use super::types::{Arena, NodeId, TypeHandle};
use super::{Group, GroupVersionKind, Inner, Schema, SchemaError, split_api_version};
use crate::value::{Text, Value};

/// Lines of `PATH JSON`, compressed.
static ANSWERS: &[u8] = include_bytes!("../../data/kubernetes.gz");

/// What the definition of any custom resource, and the paths below which it is served, refer to.
const COMMON: &[&str] = &[
    ".autoscaling.v1.Scale",
    ".meta.v1.DeleteOptions",
    ".meta.v1.ListMeta",
    ".meta.v1.ObjectMeta",
    ".meta.v1.Patch",
    ".meta.v1.Status",
];

/// What a real Kubernetes 1.36.2 knows.
pub(super) fn built_in() -> Schema {
    // A test reads them, so this cannot fail in a build that was tested; an empty schema knows nothing, and says so.
    self::read(answers(ANSWERS)).unwrap_or_else(|_| Schema(Arc::new(Inner::empty())))
}

/// The answers that are built in, by path.
#[cfg(test)]
pub(crate) fn built_in_answers() -> impl Iterator<Item = (String, Bytes)> {
    answers(ANSWERS)
}

/// Compressed lines of `PATH JSON`.
pub(crate) fn answers(compressed: &[u8]) -> impl Iterator<Item = (String, Bytes)> + use<> {
    let mut text = Vec::new();
    let read = flate2::read::GzDecoder::new(compressed).read_to_end(&mut text);
    debug_assert!(read.is_ok(), "a gzip of text");
    let mut rest = Bytes::from(text);
    std::iter::from_fn(move || {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = rest.split_to(end);
        rest.advance(1);
        let space = line.iter().position(|&byte| byte == b' ')?;
        Some((String::from_utf8_lossy(line.get(..space)?).into_owned(), line.slice(space + 1..)))
    })
}

impl Inner {
    fn empty() -> Self {
        Self {
            resources: Vec::new(),
            kinds: Vec::new(),
            groups: Vec::new(),
            arena: Arc::default(),
            common: Arc::default(),
            documents: BTreeMap::new(),
            version: Value::Null,
            paths: Vec::new(),
        }
    }
}

/// What discovery says of one group version.
#[derive(Debug, Default)]
struct Listed {
    group: Text,
    version: Text,
    resources: Vec<ListedResource>,
}

/// What discovery says of one resource or subresource (whose name has a slash).
#[derive(Debug)]
struct ListedResource {
    name: Text,
    singular: Text,
    namespaced: bool,
    kind: GroupVersionKind,
    verbs: Box<[Text]>,
    short_names: Box<[Text]>,
    categories: Box<[Text]>,
    storage_version_hash: Text,
}

/// Reads a server's answers.
pub(super) fn read(answers: impl IntoIterator<Item = (String, Bytes)>) -> Result<Schema, SchemaError> {
    let mut inner = Inner::empty();
    let mut definitions = Definitions::new();
    let mut lists: Vec<Listed> = Vec::new();
    let mut groups: Vec<Group> = Vec::new();
    for (path, bytes) in answers {
        let path = path.split('?').next().unwrap_or_default();
        let answer = Value::from_json(&bytes)
            .map_err(|error| SchemaError::Answer { path: path.to_owned(), why: error.to_string() })?;
        if let Some(document) = path.strip_prefix("/openapi/v3/") {
            for (name, schema) in answer.at(&["components", "schemas"]).entries() {
                merge(&mut definitions, name, schema);
            }
            inner.documents.insert(document.into(), Arc::new(Document::read(bytes)));
            continue;
        }
        match (path, answer.kind()) {
            ("/version", _) => inner.version = answer,
            ("/", _) => inner.paths = texts(&answer, "paths").collect(),
            (_, "APIVersions") => {
                groups.push(Group { name: Text::new(), versions: texts(&answer, "versions").collect() });
            }
            (_, "APIGroupList") => groups.extend(array(&answer, "groups").iter().map(group)),
            (_, "APIResourceList") => lists.push(plain(&answer)),
            (_, "APIGroupDiscoveryList") => {
                for item in array(&answer, "items") {
                    let versions = array(item, "versions");
                    groups.push(Group {
                        name: item.name().into(),
                        versions: versions.iter().map(|version| text(version, "version").into()).collect(),
                    });
                    lists.extend(versions.iter().map(|version| aggregated(item.name(), version)));
                }
            }
            _ => {}
        }
    }
    if lists.is_empty() {
        return Err(SchemaError::NoDiscovery);
    }
    // `/api` is asked before `/apis` and so are their answers, but a caller may have kept them in any order.
    groups.sort_by_key(|group| !group.name.is_empty());
    groups.dedup_by(|one, two| one.name == two.name);
    inner.groups = groups;
    inner.common = Arc::new(closure(&definitions));
    inner.arena = Arc::new(parse::arena(&definitions));

    let mut resources: Vec<Resource> = Vec::new();
    for list in &lists {
        resources.extend(list.resources(&inner.arena));
    }
    resource::settle_storage(&mut resources);
    for resource in resources {
        inner.put(resource);
    }
    Ok(Schema(Arc::new(inner)))
}

/// Takes a definition in. The same one stands in many documents; they differ only in which kinds they claim to be
/// (`DeleteOptions` is one of every group, and each document knows its own).
fn merge(definitions: &mut Definitions, name: &Text, schema: &Value) {
    const KINDS: &str = "x-kubernetes-group-version-kind";
    let Some(have) = definitions.get_mut(name) else {
        definitions.insert(name.clone(), schema.clone());
        return;
    };
    for gvk in array(schema, KINDS) {
        if !array(have, KINDS).contains(gvk) {
            have.make(&[KINDS]).array().push(gvk.clone());
        }
    }
}

fn group(group: &Value) -> Group {
    let preferred = group.at(&["preferredVersion", "version"]).str_or_empty();
    let mut versions: Vec<Text> =
        array(group, "versions").iter().map(|version| text(version, "version").into()).collect();
    versions.sort_by_key(|version| version != preferred);
    Group { name: text(group, "name").into(), versions }
}

/// `/apis/G/V`
fn plain(list: &Value) -> Listed {
    let (group, version) = split_api_version(text(list, "groupVersion"));
    let or = |given: &str, else_: &str| -> Text { if given.is_empty() { else_ } else { given }.into() };
    let resources = array(list, "resources").iter().map(|resource| {
        // A kind that says its version says its group, be it the core group.
        let own = text(resource, "version").is_empty();
        ListedResource {
            name: text(resource, "name").into(),
            singular: text(resource, "singularName").into(),
            namespaced: resource.at(&["namespaced"]).is_true(),
            kind: GroupVersionKind {
                group: if own { group.into() } else { text(resource, "group").into() },
                version: or(text(resource, "version"), version),
                kind: text(resource, "kind").into(),
            },
            verbs: texts(resource, "verbs").collect(),
            short_names: texts(resource, "shortNames").collect(),
            categories: texts(resource, "categories").collect(),
            storage_version_hash: text(resource, "storageVersionHash").into(),
        }
    });
    Listed { group: group.into(), version: version.into(), resources: resources.collect() }
}

/// One version of one group in aggregated discovery.
fn aggregated(group: &str, list: &Value) -> Listed {
    let version = text(list, "version");
    let kind = |resource: &Value| {
        let kind = resource.at(&["responseKind"]);
        let own = text(kind, "version").is_empty();
        GroupVersionKind {
            group: if own { group } else { text(kind, "group") }.into(),
            version: if own { version } else { text(kind, "version") }.into(),
            kind: text(kind, "kind").into(),
        }
    };
    let mut resources = Vec::new();
    for resource in array(list, "resources") {
        let name = text(resource, "resource");
        let namespaced = text(resource, "scope") == "Namespaced";
        resources.push(ListedResource {
            name: name.into(),
            singular: text(resource, "singularResource").into(),
            namespaced,
            kind: kind(resource),
            verbs: texts(resource, "verbs").collect(),
            short_names: texts(resource, "shortNames").collect(),
            categories: texts(resource, "categories").collect(),
            storage_version_hash: Text::new(),
        });
        resources.extend(array(resource, "subresources").iter().map(|below| ListedResource {
            name: arcstr::format!("{name}/{}", text(below, "subresource")),
            singular: Text::new(),
            namespaced,
            kind: kind(below),
            verbs: texts(below, "verbs").collect(),
            short_names: Box::default(),
            categories: Box::default(),
            storage_version_hash: Text::new(),
        }));
    }
    Listed { group: group.into(), version: version.into(), resources }
}

impl Listed {
    fn resources<'a>(&'a self, arena: &'a Arc<Arena>) -> impl Iterator<Item = Resource> + 'a {
        self.resources.iter().filter(|listed| !listed.name.contains('/')).map(move |listed| {
            let below = self.resources.iter().filter_map(|below| {
                let name = below.name.strip_prefix(listed.name.as_str())?.strip_prefix('/')?;
                Some(Subresource {
                    name: name.into(),
                    kind: below.kind.clone(),
                    verbs: below.verbs.clone(),
                    scale: None,
                    ty: handle(arena, &below.kind),
                })
            });
            Resource {
                group: self.group.clone(),
                version: self.version.clone(),
                plural: listed.name.clone(),
                singular: listed.singular.clone(),
                kind: listed.kind.kind.clone(),
                list_kind: arcstr::format!("{}List", listed.kind.kind),
                namespaced: listed.namespaced,
                verbs: listed.verbs.clone(),
                short_names: listed.short_names.clone(),
                categories: listed.categories.clone(),
                subresources: below.collect(),
                storage: Storage::default(),
                storage_version_hash: listed.storage_version_hash.clone(),
                custom: false,
                columns: Box::default(),
                selectable: Box::default(),
                deprecation: deprecation(&listed.kind),
                published: None,
                ty: handle(arena, &listed.kind),
            }
        })
    }
}

/// The type of a kind; the unknown one if OpenAPI has none, as for the options of `exec` and `proxy`.
pub(super) fn handle(arena: &Arc<Arena>, kind: &GroupVersionKind) -> TypeHandle {
    TypeHandle { arena: arena.clone(), node: arena.by_kind.get(kind).copied().unwrap_or(NodeId(u32::MAX)) }
}

/// The common definitions and all that they refer to.
fn closure(definitions: &Definitions) -> Definitions {
    let mut wanted: Vec<Text> = definitions
        .keys()
        .filter(|name| name.starts_with("io.k8s.") && COMMON.iter().any(|end| name.ends_with(end)))
        .cloned()
        .collect();
    let mut found = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if let Some(schema) = definitions.get(&name)
            && found.insert(name)
        {
            references(schema, &mut wanted);
        }
    }
    definitions
        .iter()
        .filter(|(name, _)| found.contains(*name))
        .map(|(name, schema)| (name.clone(), schema.clone()))
        .collect()
}

/// Every definition that a schema refers to, at any depth.
fn references(schema: &Value, into: &mut Vec<Text>) {
    if let Some(reference) = schema.at(&["$ref"]).as_str() {
        into.extend(reference.rsplit('/').next().map(Text::from));
    }
    for value in schema.items().iter().chain(schema.entries().iter().map(|(_, value)| value)) {
        references(value, into);
    }
}

/// What the server says whenever one of its own kinds is used that has had its day.
fn deprecation(kind: &GroupVersionKind) -> Option<Text> {
    match (kind.group.as_str(), kind.version.as_str(), kind.kind.as_str()) {
        ("", "v1", "ComponentStatus") => Some("v1 ComponentStatus is deprecated in v1.19+".into()),
        ("", "v1", "Endpoints") => {
            Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".into())
        }
        _ => None,
    }
}
