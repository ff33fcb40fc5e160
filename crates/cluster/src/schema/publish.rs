//! The OpenAPI v3 document of custom resources.
//!
//! Knows: which paths a custom resource is served under, with which operations, parameters and bodies.
//! Does not know: who asks; what its types mean.

use super::definition::definition_name;
use super::parse::Definitions;
use super::resource::{Resource, Subresource, api_version};
use crate::doc;
use crate::value::{Map, Value};

const READABLE: &[&str] = &["application/json", "application/yaml"];
const WATCHABLE: &[&str] = &["application/json", "application/json;stream=watch", "application/yaml"];
/// No strategic merge patch: it goes by merge keys, which a definition cannot give.
const PATCHES: &[&str] =
    &["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];

/// Query parameters and their types.
type Parameters = &'static [(&'static str, &'static str)];
const READ: Parameters = &[("resourceVersion", "string")];
const WRITE: Parameters = &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
const FORCE: Parameters = &[("force", "boolean")];
const LIST: Parameters = &[
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("shardSelector", "string"),
    ("timeoutSeconds", "integer"),
];
const WATCH: Parameters = &[("allowWatchBookmarks", "boolean"), ("watch", "boolean")];
const DELETE: Parameters = &[
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];

/// The document of one group version, all of whose resources are custom. `version` is the server's own.
pub(super) fn document(resources: &[(&Resource, &Definitions)], version: &str) -> Value {
    let mut paths = Map::default();
    let mut schemas = Map::default();
    for (resource, definitions) in resources {
        Paths::new(resource).write(&mut paths);
        for (name, schema) in *definitions {
            schemas.insert(name.clone(), schema.clone());
        }
    }
    doc!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes CRD Swagger", "version": (version)},
        "paths": (paths), "components": {"schemas": (schemas)},
    })
}

/// What the operations of one resource refer to.
struct Paths<'a> {
    resource: &'a Resource,
    /// References to schemas.
    object: Value,
    list: Value,
    delete_options: Value,
    status: Value,
    patch: Value,
    /// `StableExampleComV1`
    id: String,
    /// `stableExampleCom_v1`
    tag: String,
}

impl<'a> Paths<'a> {
    fn new(resource: &'a Resource) -> Self {
        let reference = |name: &str| doc!({"$ref": (format!("#/components/schemas/{name}"))});
        let own = |kind: &str| reference(&definition_name(&resource.gvk(), kind));
        let meta = |kind: &str| reference(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}"));
        let group: String = resource.group.split(['.', '-']).map(capital).collect();
        let mut tag = group.clone();
        if let Some(first) = tag.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        Self {
            resource,
            object: own(&resource.kind),
            list: own(&resource.list_kind),
            delete_options: meta("DeleteOptions"),
            status: meta("Status"),
            patch: meta("Patch"),
            id: format!("{group}{}", capital(&resource.version)),
            tag: format!("{tag}_{}", resource.version),
        }
    }

    fn write(&self, paths: &mut Map) {
        let root = format!("/apis/{}", api_version(&self.resource.group, &self.resource.version));
        let (scope, scope_id, place) = if self.resource.namespaced {
            ("/namespaces/{namespace}", "Namespaced", &["namespace"][..])
        } else {
            ("", "", &[][..])
        };
        let kind = &self.resource.kind;
        let collection = format!("{root}{scope}/{}", self.resource.plural);
        let here = format!("{scope_id}{kind}");

        paths.insert(
            collection.clone(),
            self.path(
                place,
                [
                    ("get", self.operation("list", &here, &[LIST, WATCH]).answers(&[200], WATCHABLE, &self.list)),
                    (
                        "post",
                        self.operation("post", &here, &[WRITE]).takes(&["*/*"], &self.object, true).answers(
                            &[200, 201, 202],
                            READABLE,
                            &self.object,
                        ),
                    ),
                    (
                        "delete",
                        self.operation("deletecollection", &here, &[DELETE, LIST])
                            .takes(&["*/*"], &self.delete_options, false)
                            .answers(&[200], READABLE, &self.status),
                    ),
                ],
            ),
        );
        if self.resource.namespaced {
            let everywhere = format!("{kind}ForAllNamespaces");
            let list = self.operation("list", &everywhere, &[LIST, WATCH]).answers(&[200], WATCHABLE, &self.list);
            paths.insert(format!("{root}/{}", self.resource.plural), self.path(&[], [("get", list)]));
        }
        let named: Vec<&str> = std::iter::once("name").chain(place.iter().copied()).collect();
        let mut object = self.changes(&here, &self.object);
        object.push((
            "delete",
            self.operation("delete", &here, &[DELETE]).takes(&["*/*"], &self.delete_options, false).answers(
                &[200, 202],
                READABLE,
                &self.status,
            ),
        ));
        paths.insert(format!("{collection}/{{name}}"), self.path(&named, object));
        for Subresource { name, kind, .. } in &self.resource.subresources {
            let ty = if *kind == self.resource.gvk() {
                self.object.clone()
            } else {
                doc!({"$ref": (format!("#/components/schemas/io.k8s.api.{}.{}.{}", kind.group, kind.version, kind.kind))})
            };
            let path = format!("{collection}/{{name}}/{name}");
            paths.insert(path, self.path(&named, self.changes(&format!("{here}{}", capital(name)), &ty)));
        }
    }

    /// Get, put and patch of an object or what lies below it.
    fn changes(&self, id: &str, ty: &Value) -> Vec<(&'static str, Operation)> {
        vec![
            ("get", self.operation("get", id, &[READ]).answers(&[200], READABLE, ty)),
            ("put", self.operation("put", id, &[WRITE]).takes(&["*/*"], ty, true).answers(&[200, 201], READABLE, ty)),
            (
                "patch",
                self.operation("patch", id, &[WRITE, FORCE]).takes(PATCHES, &self.patch, true).answers(
                    &[200],
                    READABLE,
                    ty,
                ),
            ),
        ]
    }

    fn path(&self, place: &[&str], operations: impl IntoIterator<Item = (&'static str, Operation)>) -> Value {
        let mut path: Map = operations.into_iter().map(|(method, operation)| (method, operation.0)).collect();
        let given = place.iter().map(|name| {
            doc!({"name": (*name), "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}})
        });
        let pretty = query("pretty", "string");
        path.insert("parameters", given.chain([pretty]).collect::<Value>());
        Value::from(path)
    }

    fn operation(&self, action: &str, id: &str, parameters: &[Parameters]) -> Operation {
        let verb = match action {
            "get" => "read",
            "post" => "create",
            "put" => "replace",
            "deletecollection" => "delete",
            other => other,
        };
        let collection = if action == "deletecollection" { "Collection" } else { "" };
        let mut parameters: Vec<(&str, &str)> = parameters.iter().copied().flatten().copied().collect();
        parameters.sort_unstable();
        let gvk = self.resource.gvk();
        Operation(doc!({
            "tags": [(&self.tag)], "operationId": (format!("{verb}{}{collection}{id}", self.id)),
            "parameters": (parameters.into_iter().map(|(name, kind)| query(name, kind)).collect::<Value>()),
            "responses": {"401": {"description": "Unauthorized"}},
            "x-kubernetes-action": (action),
            "x-kubernetes-group-version-kind": {"group": (gvk.group), "version": (gvk.version), "kind": (gvk.kind)},
        }))
    }
}

struct Operation(Value);

impl Operation {
    fn takes(mut self, types: &[&str], schema: &Value, required: bool) -> Self {
        self.0.set(&["requestBody", "content"], content(types, schema));
        if required {
            self.0.set(&["requestBody", "required"], true);
        }
        self
    }

    fn answers(mut self, codes: &[u16], types: &[&str], schema: &Value) -> Self {
        for code in codes {
            let description = match code {
                201 => "Created",
                202 => "Accepted",
                _ => "OK",
            };
            let response = doc!({"description": (description), "content": (content(types, schema))});
            self.0.set(&["responses", &code.to_string()], response);
        }
        self
    }
}

fn content(types: &[&str], schema: &Value) -> Value {
    Value::from(types.iter().map(|kind| (*kind, doc!({"schema": (schema)}))).collect::<Map>())
}

fn query(name: &str, kind: &str) -> Value {
    doc!({"name": (name), "in": "query", "schema": {"type": (kind), "uniqueItems": true}})
}

fn capital(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
