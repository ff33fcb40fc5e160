//! From OpenAPI v3 definitions to types.
//!
//! Knows: OpenAPI's keywords and Kubernetes' extensions of them, the same for built-in kinds and custom resources.
//! Does not know: which server the definitions came from.

use std::collections::BTreeMap;

use super::types::{Arena, FieldNode, ListKind, Node, NodeId, NodeShape, Patch, Scalar, Union};
use super::{GroupVersionKind, zeros};
use crate::value::{Map, Text, Value};

/// Definitions by name: `components.schemas` of one or many documents.
pub(super) type Definitions = BTreeMap<Text, Value>;

/// What a definition is that OpenAPI describes too weakly, by the end of its name.
const KNOWN: &[(&str, Known)] = &[
    (".pkg.api.resource.Quantity", Known::Scalar(Scalar::Quantity)),
    (".pkg.apis.meta.v1.Duration", Known::Scalar(Scalar::Duration)),
    (".pkg.apis.meta.v1.MicroTime", Known::Scalar(Scalar::MicroTime)),
    (".pkg.apis.meta.v1.FieldsV1", Known::Any),
    (".pkg.apis.meta.v1.Patch", Known::Any),
    (".pkg.runtime.RawExtension", Known::Whole),
];

#[derive(Clone, Copy)]
enum Known {
    Scalar(Scalar),
    /// Anything, in which each writer owns what it wrote.
    Any,
    /// Anything, owned as a whole.
    Whole,
}

/// Keywords that only validation asks for.
const RULES: &[&str] = &[
    "allOf",
    "anyOf",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "uniqueItems",
    "x-kubernetes-validations",
];

/// Reads all definitions into one arena.
pub(super) fn arena(definitions: &Definitions) -> Arena {
    let mut arena = Arena::default();
    // Names first, so that a reference finds its node whatever the order, itself included.
    for (at, name) in (0_u32..).zip(definitions.keys()) {
        arena.nodes.push(Node::default());
        arena.by_name.insert(name.clone(), NodeId(at));
    }
    for (at, (name, schema)) in definitions.iter().enumerate() {
        let mut node = arena.node(schema);
        node.name = Some(name.clone());
        match KNOWN.iter().find(|(end, _)| name.ends_with(end)) {
            Some((_, Known::Scalar(scalar))) => node.shape = NodeShape::Scalar(*scalar),
            Some((_, Known::Any)) => node.shape = NodeShape::Any,
            Some((_, Known::Whole)) => (node.shape, node.atomic) = (NodeShape::Any, true),
            None => {}
        }
        if zeros::is_go(name) {
            node.go = true;
            if let NodeShape::Struct(fields) = &mut node.shape {
                for field in fields.iter_mut() {
                    field.pointer = zeros::is_pointer(name, field);
                    field.omitted = zeros::is_omitted(name, field, arena.ty(field.node).scalar());
                }
            }
            node.zeros = zeros::of(name, &node, |field| arena.ty(field.node).list().is_some());
        }
        if let Some(place) = arena.nodes.get_mut(at) {
            *place = node;
        }
        for gvk in array(schema, "x-kubernetes-group-version-kind") {
            let gvk = GroupVersionKind::new(text(gvk, "group"), text(gvk, "version"), text(gvk, "kind"));
            arena.by_kind.insert(gvk, NodeId(u32::try_from(at).unwrap_or(u32::MAX)));
        }
    }
    arena
}

impl Arena {
    /// The node for a schema: the definition's if it only refers to one, else a new one.
    fn place(&mut self, schema: &Value) -> NodeId {
        if let Some(name) = reference(schema) {
            // A reference into nowhere says nothing; `ty` gives the unknown type for it.
            return self.by_name.get(name).copied().unwrap_or(NodeId(u32::MAX));
        }
        let node = self.node(schema);
        self.nodes.push(node);
        NodeId(u32::try_from(self.nodes.len().saturating_sub(1)).unwrap_or(u32::MAX))
    }

    fn node(&mut self, schema: &Value) -> Node {
        let shape = self.shape(schema);
        Node {
            name: None,
            atomic: text(schema, "x-kubernetes-map-type") == "atomic",
            nullable: flag(schema, "nullable"),
            preserves_unknown: flag(schema, "x-kubernetes-preserve-unknown-fields") || matches!(shape, NodeShape::Any),
            embedded: flag(schema, "x-kubernetes-embedded-resource"),
            format: schema.at(&["format"]).as_text().cloned(),
            default: schema.get("default").cloned(),
            enumeration: array(schema, "enum").to_vec(),
            rules: rules(schema),
            unions: array(schema, "x-kubernetes-unions").iter().map(union).collect(),
            go: false,
            zeros: Vec::new(),
            shape,
        }
    }

    fn shape(&mut self, schema: &Value) -> NodeShape {
        if flag(schema, "x-kubernetes-int-or-string") || text(schema, "format") == "int-or-string" {
            return NodeShape::Scalar(Scalar::IntOrString);
        }
        let format = text(schema, "format");
        match text(schema, "type") {
            "string" => NodeShape::Scalar(match format {
                "byte" => Scalar::Bytes,
                "date-time" => Scalar::Time,
                _ => Scalar::String,
            }),
            "integer" => NodeShape::Scalar(if format == "int32" { Scalar::Int32 } else { Scalar::Int64 }),
            "number" => NodeShape::Scalar(Scalar::Double),
            "boolean" => NodeShape::Scalar(Scalar::Boolean),
            "array" => NodeShape::List {
                items: schema.get("items").map_or(NodeId(u32::MAX), |items| self.place(items)),
                kind: match text(schema, "x-kubernetes-list-type") {
                    "set" => ListKind::Set,
                    "map" => ListKind::Map,
                    _ => ListKind::Atomic,
                },
                keys: texts(schema, "x-kubernetes-list-map-keys").collect(),
            },
            "object" => match schema.get("additionalProperties") {
                Some(Value::Bool(true)) => NodeShape::Map(NodeId(u32::MAX)),
                Some(values @ Value::Object(_)) if schema.get("properties").is_none() => {
                    NodeShape::Map(self.place(values))
                }
                _ => self.fields(schema),
            },
            _ if schema.get("properties").is_some() => self.fields(schema),
            _ => NodeShape::Any,
        }
    }

    fn fields(&mut self, schema: &Value) -> NodeShape {
        let required: Vec<Text> = texts(schema, "required").collect();
        let mut fields: Vec<FieldNode> = members(schema, "properties")
            .map(|(name, schema)| FieldNode {
                name: name.clone(),
                node: self.place(schema),
                required: required.iter().any(|required| required == name),
                atomic: match text(schema, "x-kubernetes-map-type") {
                    "atomic" => Some(true),
                    "granular" => Some(false),
                    _ => None,
                },
                nullable: flag(schema, "nullable"),
                default: schema.get("default").cloned(),
                patch: patch(schema),
                omitted: false,
                pointer: false,
            })
            .collect();
        fields.sort_by(|one, two| one.name.cmp(&two.name));
        NodeShape::Struct(fields.into())
    }
}

/// The definition a schema refers to: `$ref` alone, or in an `allOf` of one, which is how OpenAPI v3 hangs a default or
/// a merge strategy on a reference.
fn reference(schema: &Value) -> Option<&str> {
    let direct = |schema: &Value| -> bool { schema.get("$ref").is_some() };
    let schema = match array(schema, "allOf") {
        [only] if direct(only) => only,
        _ => schema,
    };
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

fn patch(schema: &Value) -> Patch {
    let mut patch =
        Patch { merge_key: schema.at(&["x-kubernetes-patch-merge-key"]).as_text().cloned(), ..Patch::default() };
    for strategy in text(schema, "x-kubernetes-patch-strategy").split(',') {
        match strategy {
            "merge" => patch.merge = true,
            "replace" => patch.replace = true,
            "retainKeys" => patch.retain_keys = true,
            _ => {}
        }
    }
    patch
}

fn rules(schema: &Value) -> Option<Box<Value>> {
    if reference(schema).is_some() {
        return None;
    }
    let rules: Map = RULES.iter().filter_map(|&keyword| Some((keyword, schema.get(keyword)?.clone()))).collect();
    (!rules.is_empty()).then(|| Box::new(Value::Object(rules)))
}

fn union(schema: &Value) -> Union {
    Union {
        discriminator: schema.at(&["discriminator"]).as_text().cloned(),
        fields: members(schema, "fields-to-discriminateBy")
            .map(|(field, value)| (field.clone(), value.str_or_empty().into()))
            .collect(),
    }
}

// What is missing reads as empty: the definitions come from servers, and one odd keyword must not cost the rest.

/// The text under a key, or an empty one.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.at(&[key]).str_or_empty()
}

/// Whether `true` stands under a key.
pub(super) fn flag(value: &Value, key: &str) -> bool {
    value.at(&[key]).is_true()
}

/// The list under a key, or an empty one.
pub(super) fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.at(&[key]).items()
}

/// The texts of a list under a key.
pub(super) fn texts<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = Text> + 'a {
    array(value, key).iter().filter_map(Value::as_text).cloned()
}

/// The entries of a map under a key.
pub(super) fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a (Text, Value)> {
    value.at(&[key]).entries().iter()
}
