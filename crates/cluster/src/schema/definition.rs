//! From a CustomResourceDefinition to resources and types.
//!
//! Knows: `apiextensions.k8s.io/v1`, and what its server adds to the schema that an author wrote.
//! Does not know: whether a definition is valid; it makes the best of what is there.

use std::sync::Arc;

use super::parse::{self, Definitions, array, text, texts};
use super::resource::{Column, GroupVersionKind, Resource, ScalePaths, Storage, Subresource, storage_version_hash};
use super::source::handle;
use super::types::Arena;
use super::{Schema, SchemaError};
use crate::doc;
use crate::value::{Map, Text, Value};

/// What may be done to a custom resource, in the order in which discovery says it.
const VERBS: &[&str] = &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/// What may be done to its `status` and `scale`.
const VERBS_BELOW: &[&str] = &["get", "patch", "update"];

/// Adds the resources of a definition, in each version that is served.
pub(super) fn add(schema: &Schema, definition: &Value) -> Result<Schema, SchemaError> {
    let need = |path: &[&str], missing: &'static str| -> Result<Text, SchemaError> {
        let found = definition.at(path).as_text().filter(|text| !text.is_empty());
        found.cloned().ok_or_else(|| SchemaError::Definition { name: definition.name().to_owned(), missing })
    };
    let group = need(&["spec", "group"], "spec.group")?;
    let plural = need(&["spec", "names", "plural"], "spec.names.plural")?;
    let kind = need(&["spec", "names", "kind"], "spec.names.kind")?;
    let versions = definition.at(&["spec", "versions"]).items();
    let Some(stored) = versions.iter().find(|version| version.at(&["storage"]).is_true()).or_else(|| versions.first())
    else {
        return Err(SchemaError::Definition { name: definition.name().to_owned(), missing: "spec.versions" });
    };
    let stored = GroupVersionKind::new(&group, text(stored, "name"), &kind);

    let mut inner = (*schema.0).clone();
    inner.drop(&group, &plural);
    for version in versions.iter().filter(|version| version.at(&["served"]).is_true()) {
        let gvk = GroupVersionKind::new(&group, text(version, "name"), &kind);
        let names = definition.at(&["spec", "names"]);
        let list_kind = names.at(&["listKind"]).as_text().cloned().unwrap_or_else(|| arcstr::format!("{kind}List"));
        let definitions = Arc::new(definitions(&gvk, &list_kind, version, &inner.common));
        let arena = Arc::new(parse::arena(&definitions));
        inner.put(Resource {
            group: group.clone(),
            version: gvk.version.clone(),
            plural: plural.clone(),
            singular: names.at(&["singular"]).as_text().cloned().unwrap_or_else(|| kind.to_lowercase().into()),
            kind: kind.clone(),
            list_kind,
            namespaced: definition.at(&["spec", "scope"]) == "Namespaced",
            verbs: VERBS.iter().map(|&verb| verb.into()).collect(),
            short_names: texts(names, "shortNames").collect(),
            categories: texts(names, "categories").collect(),
            subresources: subresources(version, &gvk, &arena, &inner.arena),
            storage: Storage { resource: crate::apiserver::status::join(&plural, &group), kind: stored.clone() },
            storage_version_hash: storage_version_hash(&stored),
            custom: true,
            columns: array(version, "additionalPrinterColumns").iter().map(column).collect(),
            selectable: array(version, "selectableFields")
                .iter()
                .map(|field| text(field, "jsonPath").trim_start_matches('.').into())
                .collect(),
            deprecation: version.at(&["deprecated"]).is_true().then(|| match text(version, "deprecationWarning") {
                "" => arcstr::format!("{} {kind} is deprecated", gvk.api_version()),
                said => said.into(),
            }),
            published: Some(definitions),
            ty: handle(&arena, &gvk),
        });
    }
    Ok(Schema(Arc::new(inner)))
}

fn subresources(
    version: &Value,
    gvk: &GroupVersionKind,
    arena: &Arc<Arena>,
    built_in: &Arc<Arena>,
) -> Box<[Subresource]> {
    let verbs = || VERBS_BELOW.iter().map(|&verb| Text::from(verb)).collect();
    let declared = version.at(&["subresources"]);
    // In the order in which discovery says them.
    let status = declared.get("status").map(|_| Subresource {
        name: "status".into(),
        kind: gvk.clone(),
        verbs: verbs(),
        scale: None,
        ty: handle(arena, gvk),
    });
    let scale_kind = GroupVersionKind::new("autoscaling", "v1", "Scale");
    let scale = declared.get("scale").map(|scale| Subresource {
        name: "scale".into(),
        verbs: verbs(),
        scale: Some(ScalePaths {
            spec: text(scale, "specReplicasPath").into(),
            status: text(scale, "statusReplicasPath").into(),
            selector: scale.at(&["labelSelectorPath"]).as_text().filter(|path| !path.is_empty()).cloned(),
        }),
        ty: handle(built_in, &scale_kind),
        kind: scale_kind,
    });
    status.into_iter().chain(scale).collect()
}

fn column(column: &Value) -> Column {
    Column {
        name: text(column, "name").into(),
        kind: text(column, "type").into(),
        format: text(column, "format").into(),
        description: text(column, "description").into(),
        priority: column.at(&["priority"]).as_int().unwrap_or_default(),
        path: text(column, "jsonPath").into(),
    }
}

/// The definitions of one version, as the server publishes them in OpenAPI: the author's schema with `apiVersion`, `kind`
/// and `metadata` put in, and the list of it. What they refer to is there too.
fn definitions(gvk: &GroupVersionKind, list_kind: &str, version: &Value, common: &Definitions) -> Definitions {
    let mut of_object = version.at(&["schema", "openAPIV3Schema"]).clone();
    if of_object.is_null() {
        of_object = doc!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    }
    embed(&mut of_object);
    root(&mut of_object, "ObjectMeta", common);
    of_object.set(&["x-kubernetes-group-version-kind"], vec![kinds(gvk, &gvk.kind)]);

    let name = definition_name(gvk, &gvk.kind);
    let mut of_list = doc!({
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": {"$ref": (format!("#/components/schemas/{name}"))}}},
    });
    root(&mut of_list, "ListMeta", common);
    of_list.set(&["x-kubernetes-group-version-kind"], vec![kinds(gvk, list_kind)]);

    let mut definitions = common.clone();
    definitions.insert(definition_name(gvk, list_kind), of_list);
    definitions.insert(name, of_object);
    definitions
}

/// What every object has, whatever its author wrote.
fn root(schema: &mut Value, metadata: &str, common: &Definitions) {
    let end = format!(".meta.v1.{metadata}");
    let name = common.keys().find(|name| name.ends_with(&end)).map_or("", Text::as_str);
    let properties = schema.make(&["properties"]);
    properties.set(&["apiVersion"], doc!({"type": "string"}));
    properties.set(&["kind"], doc!({"type": "string"}));
    properties.set(&["metadata"], doc!({"$ref": (format!("#/components/schemas/{name}"))}));
}

/// An object within an object (`x-kubernetes-embedded-resource`) has `apiVersion`, `kind` and `metadata` too.
fn embed(schema: &mut Value) {
    if schema.at(&["x-kubernetes-embedded-resource"]).is_true() {
        let has_metadata = schema.find(&["properties", "metadata"]).is_some();
        let properties = schema.make(&["properties"]);
        properties.set(&["apiVersion"], doc!({"type": "string"}));
        properties.set(&["kind"], doc!({"type": "string"}));
        if !has_metadata {
            properties.set(&["metadata"], doc!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
        }
    }
    let below = |schema: &mut Map, key: &str| {
        if let Some(below) = schema.get_mut(key) {
            embed(below);
        }
    };
    if let Some(schema) = schema.as_object_mut() {
        below(schema, "items");
        below(schema, "additionalProperties");
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.values_mut().for_each(embed);
        }
    }
}

fn kinds(gvk: &GroupVersionKind, kind: &str) -> Value {
    doc!({"group": (&gvk.group), "version": (&gvk.version), "kind": (kind)})
}

/// `stable.example.com`, `v1`, `CronTab` as `com.example.stable.v1.CronTab`.
pub(super) fn definition_name(gvk: &GroupVersionKind, kind: &str) -> Text {
    let reversed: Vec<&str> = gvk.group.rsplit('.').collect();
    arcstr::format!("{}.{}.{kind}", reversed.join("."), gvk.version)
}
