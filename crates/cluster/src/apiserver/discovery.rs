//! What there is: groups, versions, resources, health, version.
//!
//! Knows: plain and aggregated discovery, and the few other paths that are no resources.
//! Does not know: any resource; the schema does. OpenAPI is served next door.
//!
//! Nothing here is written down twice: custom resources appear because the schema has them.

#[cfg(test)]
pub(crate) mod tests;

use bytes::Bytes;

use super::{Answer, Call, Content, Status, openapi};
use crate::cluster::Cluster;
use crate::doc;
use crate::object::ObjectKey;
use crate::schema::{self, GroupVersionKind, Resource, Schema};
use crate::value::{Map, Text, Value};

/// The content type of plain text, as Go writes it.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";

/// The content type of aggregated discovery.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The checks that come first in `?verbose`; the others follow by name.
const FIRST_CHECKS: &[&str] = &["ping", "log", "etcd"];

/// Answers a GET of a path that is no resource. A path that nothing stands behind is answered as Go does: 404, in plain
/// text.
#[must_use]
pub fn answer(cluster: &Cluster, call: &Call) -> Answer {
    let schema = &cluster.schema;
    let path = call.on.path.as_str();
    if let Some(answer) = openapi::answer(cluster, call) {
        return answer;
    }
    let path = if path == "/" { path } else { path.trim_end_matches('/') };
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let document = match parts.as_slice() {
        [""] => return json(&doc!({"paths": (schema.paths().into_iter().collect::<Value>())})),
        ["version"] => return json(schema.version()),
        ["api"] if wants_aggregated(&call.output.accept) => {
            return aggregated(schema.groups().iter().filter(|group| group.name.is_empty()), schema);
        }
        ["apis"] if wants_aggregated(&call.output.accept) => {
            return aggregated(schema.groups().iter().filter(|group| !group.name.is_empty()), schema);
        }
        ["api"] => Some(versions(cluster)),
        ["apis"] => Some(doc!({
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": (schema.groups().iter().filter(|group| !group.name.is_empty()).map(group).collect::<Value>()),
        })),
        ["apis", name] => schema.group(name).map(|found| {
            let mut group = group(found);
            group.set(&["kind"], "APIGroup");
            group.set(&["apiVersion"], "v1");
            group
        }),
        ["api", version] => resources(schema, "", version),
        ["apis", group, version] => resources(schema, group, version),
        ["healthz" | "livez" | "readyz", ..] => return health(schema, path, call),
        _ => None,
    };
    match (document, parts.as_slice()) {
        (Some(document), _) => Answer::document(200, document),
        // Whoever serves a group has words for a version that it has not.
        (None, ["api", _]) => Answer::document(404, Status::no_such_path().to_value()),
        (None, ["apis", name, _]) if schema.resources().any(|have| have.group == *name && !have.custom) => {
            Answer::document(404, Status::no_such_path().to_value())
        }
        (None, _) => not_found(),
    }
}

/// How Go's own server says that there is nothing.
pub(super) fn not_found() -> Answer {
    raw(404, PLAIN, Bytes::from_static(b"404 page not found\n"))
}

/// An answer in a content type of its own.
pub(super) fn raw(code: u16, content_type: &'static str, bytes: impl Into<Bytes>) -> Answer {
    let content = Content::Raw { content_type, bytes: bytes.into() };
    Answer { code, content, warnings: Vec::new(), headers: Vec::new() }
}

/// A document that comes in JSON, whatever is wanted.
fn json(document: &Value) -> Answer {
    let mut bytes = document.to_json_bytes();
    bytes.push(b'\n');
    raw(200, "application/json", bytes)
}

/// `/api`
fn versions(cluster: &Cluster) -> Value {
    let versions = cluster.schema.group("").map(|group| group.versions.clone()).unwrap_or_default();
    let mut answer = doc!({"kind": "APIVersions", "versions": (versions.into_iter().collect::<Value>())});
    // Where the server can be reached is what it wrote into its own Endpoints.
    let own = cluster.get(&ObjectKey::new("endpoints", "default", "kubernetes"));
    let subset = own.and_then(|own| own.at(&["subsets"]).items().first());
    if let Some(subset) = subset
        && let Some(address) = subset.at(&["addresses"]).items().first()
        && let Some(port) = subset.at(&["ports"]).items().first()
    {
        let address = format!("{}:{}", address.at(&["ip"]).str_or_empty(), port.at(&["port"]));
        answer.set(&["serverAddressByClientCIDRs"], doc!([{"clientCIDR": "0.0.0.0/0", "serverAddress": (address)}]));
    }
    answer
}

/// One group in `/apis`; with kind and version added, `/apis/GROUP`.
fn group(group: &schema::Group) -> Value {
    let version =
        |version: &Text| doc!({"groupVersion": (schema::api_version(&group.name, version)), "version": (version)});
    doc!({
        "name": (&group.name),
        "versions": (group.versions.iter().map(version).collect::<Value>()),
        "preferredVersion": (group.versions.first().map(version)),
    })
}

/// `/apis/GROUP/VERSION`
fn resources(schema: &Schema, group: &str, version: &str) -> Option<Value> {
    if !schema.group(group)?.versions.iter().any(|have| have == version) {
        return None;
    }
    let mut list = Vec::new();
    for resource in schema.resources_of(group, version) {
        let mut entry = doc!({
            "name": (&resource.plural), "singularName": (&resource.singular), "namespaced": (resource.namespaced),
            "kind": (&resource.kind), "verbs": (texts(&resource.verbs)),
        });
        set_unless_empty(&mut entry, "shortNames", &resource.short_names);
        set_unless_empty(&mut entry, "categories", &resource.categories);
        if !resource.storage_version_hash.is_empty() {
            entry.set(&["storageVersionHash"], &resource.storage_version_hash);
        }
        list.push(entry);
        for below in &resource.subresources {
            let mut entry = doc!({
                "name": (arcstr::format!("{}/{}", resource.plural, below.name)), "singularName": "",
                "namespaced": (resource.namespaced), "kind": (&below.kind.kind), "verbs": (texts(&below.verbs)),
            });
            if !is_own(&below.kind, resource) {
                entry.set(&["group"], &below.kind.group);
                entry.set(&["version"], &below.kind.version);
            }
            list.push(entry);
        }
    }
    let mut answer = doc!({
        "kind": "APIResourceList", "groupVersion": (schema::api_version(group, version)), "resources": (list),
    });
    // The core group's list is older than the rule that every document says its version.
    if !group.is_empty() {
        answer.set(&["apiVersion"], "v1");
    }
    Some(answer)
}

/// Whether a subresource speaks in its resource's own group and version.
fn is_own(kind: &GroupVersionKind, resource: &Resource) -> bool {
    kind.group == resource.group && kind.version == resource.version
}

/// `/api` and `/apis`, everything at once.
fn aggregated<'a>(groups: impl Iterator<Item = &'a schema::Group>, schema: &Schema) -> Answer {
    let items = groups.map(|group| {
        let versions = group.versions.iter().map(|version| {
            let resources = schema.resources_of(&group.name, version).map(|resource| aggregated_resource(resource));
            doc!({"version": (version), "resources": (resources.collect::<Value>()), "freshness": "Current"})
        });
        let metadata = if group.name.is_empty() { doc!({}) } else { doc!({"name": (&group.name)}) };
        doc!({"metadata": (metadata), "versions": (versions.collect::<Value>())})
    });
    let list = doc!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": (items.collect::<Value>()),
    });
    let bytes = list.to_json_bytes();
    let tag = format!("\"{}\"", schema::hash(&bytes));
    let mut answer = raw(200, AGGREGATED, bytes);
    answer.headers.push(("ETag", tag));
    answer.headers.push(("Vary", "Accept".to_owned()));
    answer
}

fn aggregated_resource(resource: &Resource) -> Value {
    // What speaks in the group and version it is listed under says neither, unless it is a custom resource.
    let kind = |kind: &GroupVersionKind| {
        let said = resource.custom || !is_own(kind, resource);
        let (group, version) = if said { (kind.group.as_str(), kind.version.as_str()) } else { ("", "") };
        doc!({"group": (group), "version": (version), "kind": (&kind.kind)})
    };
    let mut entry = doc!({
        "resource": (&resource.plural), "responseKind": (kind(&resource.gvk())),
        "scope": (if resource.namespaced { "Namespaced" } else { "Cluster" }),
        "singularResource": (&resource.singular), "verbs": (texts(&resource.verbs)),
    });
    set_unless_empty(&mut entry, "shortNames", &resource.short_names);
    set_unless_empty(&mut entry, "categories", &resource.categories);
    let below = resource.subresources.iter().map(|below| {
        doc!({"subresource": (&below.name), "responseKind": (kind(&below.kind)), "verbs": (texts(&below.verbs))})
    });
    let below: Value = below.collect();
    if !below.is_empty() {
        entry.set(&["subresources"], below);
    }
    entry
}

fn texts(texts: &[Text]) -> Value {
    texts.iter().collect()
}

fn set_unless_empty(entry: &mut Value, key: &str, list: &[Text]) {
    if !list.is_empty() {
        entry.set(&[key], texts(list));
    }
}

/// Whether aggregated discovery is the first form in an `Accept` header that is spoken here. `v2beta1` is not, since 1.36.
fn wants_aggregated(accept: &str) -> bool {
    accept.split(',').map(MediaType::parse).find_map(|media| match media.name.as_str() {
        "application/json" | "application/*" | "*/*" => match media.parameters.get("as").and_then(Value::as_str) {
            None => Some(false),
            Some("APIGroupDiscoveryList") if media.is("g", "apidiscovery.k8s.io") && media.is("v", "v2") => Some(true),
            Some(_) => None,
        },
        _ => None,
    }) == Some(true)
}

/// One entry of an `Accept` header.
pub(super) struct MediaType {
    /// Such as `application/json`, in lower case.
    pub(super) name: String,
    parameters: Map,
}

impl MediaType {
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters = parts.filter_map(|part| part.split_once('=')).map(|(key, value)| (key, value.into()));
        Self { name, parameters: parameters.collect() }
    }

    fn is(&self, parameter: &str, value: &str) -> bool {
        self.parameters.get(parameter).and_then(Value::as_str) == Some(value)
    }
}

/// `/healthz`, `/livez`, `/readyz`, and each of their checks. A cluster in memory is always well; what is listed are the
/// checks that the real server names.
fn health(schema: &Schema, path: &str, call: &Call) -> Answer {
    let asked = |option: &str| call.options.others.iter().any(|(key, _)| key == option);
    let (endpoint, check) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    let prefix = format!("/{endpoint}/");
    let mut checks: Vec<Text> =
        schema.paths().iter().filter_map(|path| path.strip_prefix(&prefix).map(Text::from)).collect();
    if checks.is_empty() {
        checks = FIRST_CHECKS.iter().map(|&check| check.into()).collect();
    }
    if !check.is_empty() {
        let known = checks.iter().any(|have| have == check);
        return if known { raw(200, PLAIN, Bytes::from_static(b"ok")) } else { not_found() };
    }
    if !asked("verbose") {
        return raw(200, PLAIN, Bytes::from_static(b"ok"));
    }
    checks.sort_by_key(|check| FIRST_CHECKS.iter().position(|first| check == first).unwrap_or(FIRST_CHECKS.len()));
    let excluded =
        |check: &Text| call.options.others.iter().any(|(key, value)| key == "exclude" && check == value.as_str());
    let mut text = String::new();
    for check in &checks {
        text.push_str(&if excluded(check) { format!("[+]{check} excluded: ok\n") } else { format!("[+]{check} ok\n") });
    }
    text.push_str(&format!("{endpoint} check passed\n"));
    raw(200, PLAIN, text)
}
