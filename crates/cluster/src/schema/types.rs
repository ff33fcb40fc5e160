//! Types: what a field may hold, and how two writers of it are merged.
//!
//! Knows: structs, maps, lists, scalars, and the `x-kubernetes-*` facts that patches, apply, pruning and defaulting
//! ask for. References are resolved: a type that is used in many places is one node, and a type may contain itself.
//! Does not know: resources, or where the description came from (`parse` does).
//!
//! All nodes of one source live in one arena. A [`Type`] is a node together with its arena: two pointers, copied freely,
//! so a walk over a document carries its type along without counting references.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::GroupVersionKind;
use crate::value::{Text, Value};

/// Where a node is in its arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(pub(super) u32);

/// All types of one source.
#[derive(Debug, Default)]
pub(super) struct Arena {
    pub(super) nodes: Vec<Node>,
    pub(super) by_name: BTreeMap<Text, NodeId>,
    pub(super) by_kind: BTreeMap<GroupVersionKind, NodeId>,
    pub(super) number: ArenaNumber,
}

/// Tells an arena from all others there ever were.
#[derive(Debug)]
pub(super) struct ArenaNumber(u64);

impl Default for ArenaNumber {
    fn default() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(1);
        Self(MADE.fetch_add(1, Ordering::Relaxed))
    }
}

/// Tells a type from all others: its arena, its node, and how its owners share it.
pub(crate) type TypeIdentity = (u64, usize, u8);

#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) name: Option<Text>,
    pub(super) shape: NodeShape,
    pub(super) atomic: bool,
    pub(super) nullable: bool,
    pub(super) preserves_unknown: bool,
    pub(super) embedded: bool,
    pub(super) format: Option<Text>,
    pub(super) default: Option<Value>,
    pub(super) enumeration: Vec<Value>,
    pub(super) rules: Option<Box<Value>>,
    pub(super) unions: Vec<Union>,
    /// Whether it is a Go type of Kubernetes' own.
    pub(super) go: bool,
    /// What its fields are when nobody set them.
    pub(super) zeros: Vec<(Text, Value)>,
}

#[derive(Debug, Default)]
pub(super) enum NodeShape {
    /// Sorted by name.
    Struct(Box<[FieldNode]>),
    Map(NodeId),
    List {
        items: NodeId,
        kind: ListKind,
        keys: Box<[Text]>,
    },
    Scalar(Scalar),
    #[default]
    Any,
}

#[derive(Debug)]
pub(super) struct FieldNode {
    pub(super) name: Text,
    pub(super) node: NodeId,
    pub(super) required: bool,
    /// Overrides what the node says, where the field says something itself.
    pub(super) atomic: Option<bool>,
    pub(super) nullable: bool,
    pub(super) default: Option<Value>,
    pub(super) patch: Patch,
    /// Whether Go leaves it out when it is zero, though its zero is its default.
    pub(super) omitted: bool,
    /// Whether an empty text is something else than none.
    pub(super) pointer: bool,
}

/// A leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// Text; a type's [`format`](Type::format) may say more.
    String,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// A floating-point number.
    Double,
    /// `true` or `false`.
    Boolean,
    /// Bytes, written as base64.
    Bytes,
    /// An instant, written to the second (`metav1.Time`).
    Time,
    /// An instant, written to the microsecond (`metav1.MicroTime`).
    MicroTime,
    /// A length of time as Go writes it (`metav1.Duration`).
    Duration,
    /// A whole number of 32 bits, or text: a port or a percentage.
    IntOrString,
    /// An amount with a unit: text, though a number is taken too.
    Quantity,
}

/// How two writers of one list are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListKind {
    /// The list is one value: who writes it owns all of it.
    #[default]
    Atomic,
    /// Each scalar is there once, and is owned by itself.
    Set,
    /// Each element is known by its keys, and is owned by itself.
    Map,
}

/// What a strategic merge patch does to a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// `merge`: a list is merged by element, not replaced.
    pub merge: bool,
    /// `replace`: a struct is replaced, not merged.
    pub replace: bool,
    /// `retainKeys`: keys that the patch does not name are cleared.
    pub retain_keys: bool,
    /// Which field of an element says which one it is; none for a list of scalars.
    pub merge_key: Option<Text>,
}

/// Fields of which one is chosen by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Union {
    /// The field that says which one is meant, if there is one.
    pub discriminator: Option<Text>,
    /// Each field, and what the discriminator says when it is meant.
    pub fields: Vec<(Text, Text)>,
}

/// What a field may hold.
#[derive(Clone, Copy)]
pub struct Type<'a> {
    arena: &'a Arena,
    node: &'a Node,
    atomic: bool,
    nullable: bool,
}

/// The four kinds of type, and the absence of one.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'a> {
    /// Named fields: [`Type::field`].
    Struct,
    /// Any keys, one type of value.
    Map(Type<'a>),
    /// Elements of one type.
    List(List<'a>),
    /// A leaf.
    Scalar(Scalar),
    /// Anything at all: kept as it is, nothing is known of it.
    Any,
}

/// A list's elements and how they are told apart.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    /// What each element is.
    pub items: Type<'a>,
    /// How two writers of it are merged.
    pub kind: ListKind,
    /// The fields that tell elements of a [`ListKind::Map`] apart.
    pub keys: &'a [Text],
}

/// A field of a struct.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    arena: &'a Arena,
    field: &'a FieldNode,
}

/// A type, kept together with what it refers to.
#[derive(Debug, Clone)]
pub(super) struct TypeHandle {
    pub(super) arena: Arc<Arena>,
    pub(super) node: NodeId,
}

/// A type of which nothing is known.
static UNKNOWN: Node = Node {
    name: None,
    shape: NodeShape::Any,
    atomic: false,
    nullable: true,
    preserves_unknown: true,
    embedded: false,
    format: None,
    default: None,
    enumeration: Vec::new(),
    rules: None,
    unions: Vec::new(),
    go: false,
    zeros: Vec::new(),
};

/// What nothing is known of has nothing below it.
static EMPTY: Arena =
    Arena { nodes: Vec::new(), by_name: BTreeMap::new(), by_kind: BTreeMap::new(), number: ArenaNumber(0) };

impl Arena {
    pub(super) fn ty(&self, id: NodeId) -> Type<'_> {
        let node = self.nodes.get(id.0 as usize).unwrap_or(&UNKNOWN);
        Type { arena: self, node, atomic: node.atomic, nullable: node.nullable }
    }
}

impl TypeHandle {
    pub(super) fn ty(&self) -> Type<'_> {
        self.arena.ty(self.node)
    }
}

impl Type<'static> {
    /// A type of which nothing is known: everything is kept.
    #[must_use]
    pub fn unknown() -> Self {
        Type { arena: &EMPTY, node: &UNKNOWN, atomic: false, nullable: true }
    }
}

impl<'a> Type<'a> {
    /// Which type it is.
    pub(crate) fn identity(self) -> TypeIdentity {
        let sharing = u8::from(self.atomic) | u8::from(self.nullable) << 1;
        (self.arena.number.0, std::ptr::from_ref(self.node).addr(), sharing)
    }

    /// The name of its definition, such as `io.k8s.api.core.v1.PodSpec`; none if it is written in place.
    #[must_use]
    pub fn name(self) -> Option<&'a str> {
        self.node.name.as_deref()
    }

    /// Which kind of type it is, with what is below it.
    #[must_use]
    pub fn shape(self) -> Shape<'a> {
        match &self.node.shape {
            NodeShape::Struct(_) => Shape::Struct,
            NodeShape::Map(values) => Shape::Map(self.arena.ty(*values)),
            NodeShape::List { items, kind, keys } => {
                Shape::List(List { items: self.arena.ty(*items), kind: *kind, keys })
            }
            NodeShape::Scalar(scalar) => Shape::Scalar(*scalar),
            NodeShape::Any => Shape::Any,
        }
    }

    /// The field of that name, if this is a struct that has it.
    #[must_use]
    pub fn field(self, name: &str) -> Option<Field<'a>> {
        let NodeShape::Struct(fields) = &self.node.shape else { return None };
        let at = fields.binary_search_by(|field| field.name.as_str().cmp(name)).ok()?;
        fields.get(at).map(|field| Field { arena: self.arena, field })
    }

    /// All fields by name, if this is a struct.
    pub fn fields(self) -> impl Iterator<Item = Field<'a>> {
        let fields: &'a [FieldNode] = match &self.node.shape {
            NodeShape::Struct(fields) => fields,
            _ => &[],
        };
        fields.iter().map(move |field| Field { arena: self.arena, field })
    }

    /// What stands under a key: the field's type in a struct, the values' type in a map. None if the key is unknown.
    #[must_use]
    pub fn child(self, key: &str) -> Option<Self> {
        match self.shape() {
            Shape::Struct => self.field(key).map(Field::ty),
            Shape::Map(values) => Some(values),
            _ => None,
        }
    }

    /// The type at the end of a path of keys; elements of lists are passed through.
    #[must_use]
    pub fn at(self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self, |ty, key| ty.through_lists().child(key))
    }

    fn through_lists(mut self) -> Self {
        while let Some(list) = self.list() {
            self = list.items;
        }
        self
    }

    /// The list, if this is one.
    #[must_use]
    pub fn list(self) -> Option<List<'a>> {
        if let Shape::List(list) = self.shape() { Some(list) } else { None }
    }

    /// The values' type, if this is a map.
    #[must_use]
    pub fn values(self) -> Option<Self> {
        if let Shape::Map(values) = self.shape() { Some(values) } else { None }
    }

    /// The leaf, if this is one.
    #[must_use]
    pub fn scalar(self) -> Option<Scalar> {
        if let Shape::Scalar(scalar) = self.shape() { Some(scalar) } else { None }
    }

    /// Whether who writes any of it owns all of it: scalars, atomic maps, structs and lists, and a `RawExtension`. In
    /// whatever else nothing is known of, maps are owned key by key and lists as a whole.
    #[must_use]
    pub fn is_atomic(self) -> bool {
        match self.shape() {
            Shape::List(list) => list.kind == ListKind::Atomic,
            Shape::Struct | Shape::Map(_) | Shape::Any => self.atomic,
            Shape::Scalar(_) => true,
        }
    }

    /// Whether nothing is known of what it holds.
    #[must_use]
    pub fn is_any(self) -> bool {
        matches!(self.node.shape, NodeShape::Any)
    }

    /// Whether `null` is a value here, and not the absence of one.
    #[must_use]
    pub fn is_nullable(self) -> bool {
        self.nullable
    }

    /// Whether fields that the type does not name are kept.
    #[must_use]
    pub fn preserves_unknown(self) -> bool {
        self.node.preserves_unknown
    }

    /// Whether it holds a whole object, with `apiVersion`, `kind` and `metadata`.
    #[must_use]
    pub fn is_embedded_resource(self) -> bool {
        self.node.embedded
    }

    /// What the text or number looks like: `int32`, `date-time`, `ipv4`…
    #[must_use]
    pub fn format(self) -> Option<&'a str> {
        self.node.format.as_deref()
    }

    /// The values that are taken; empty if all are.
    #[must_use]
    pub fn enumeration(self) -> &'a [Value] {
        &self.node.enumeration
    }

    /// What stands there if nothing was given. A field's own default comes first: [`Field::default_value`].
    #[must_use]
    pub fn default_value(self) -> Option<&'a Value> {
        self.node.default.as_ref()
    }

    /// The keywords that only validation asks for (`pattern`, `maxItems`, `x-kubernetes-validations`…), as OpenAPI writes
    /// them.
    #[must_use]
    pub fn rules(self) -> Option<&'a Value> {
        self.node.rules.as_deref()
    }

    /// Whether it is a Go type of Kubernetes' own, and not described by a CustomResourceDefinition.
    #[must_use]
    pub fn is_go(self) -> bool {
        self.node.go
    }

    pub(super) fn zeros(self) -> &'a [(Text, Value)] {
        &self.node.zeros
    }

    /// Groups of fields of which one is chosen.
    #[must_use]
    pub fn unions(self) -> &'a [Union] {
        &self.node.unions
    }
}

impl std::fmt::Debug for Type<'_> {
    /// One level only: a type may contain itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(name) = self.name() {
            return f.write_str(name);
        }
        match self.shape() {
            Shape::Struct => f.write_str("struct"),
            Shape::Map(values) => write!(f, "map of {values:?}"),
            Shape::List(list) => write!(f, "list of {:?}", list.items),
            Shape::Scalar(scalar) => write!(f, "{scalar:?}"),
            Shape::Any => f.write_str("anything"),
        }
    }
}

impl<'a> Field<'a> {
    /// Its name in a document.
    #[must_use]
    pub fn name(self) -> &'a str {
        &self.field.name
    }

    /// Its name, shared.
    #[must_use]
    pub fn text(self) -> &'a Text {
        &self.field.name
    }

    /// What it holds.
    #[must_use]
    pub fn ty(self) -> Type<'a> {
        let mut ty = self.arena.ty(self.field.node);
        ty.atomic = self.field.atomic.unwrap_or(ty.atomic);
        ty.nullable |= self.field.nullable;
        ty
    }

    /// Whether it must be there.
    #[must_use]
    pub fn is_required(self) -> bool {
        self.field.required
    }

    /// What stands there if nothing was given.
    ///
    /// For a custom resource that is what the server fills in. For a built-in kind it is what *typed* code would read:
    /// the server's own defaulting is code and not in OpenAPI, though list map keys (`protocol: TCP`) are told apart by
    /// it. There `{}`, `""` and `0` only say that Go has no absence for that field.
    #[must_use]
    pub fn default_value(self) -> Option<&'a Value> {
        self.field.default.as_ref().or_else(|| self.ty().default_value())
    }

    pub(super) fn is_omitted_when_zero(self) -> bool {
        self.field.omitted
    }

    pub(super) fn is_pointer(self) -> bool {
        self.field.pointer
    }

    /// What a strategic merge patch does to it.
    #[must_use]
    pub fn patch(self) -> &'a Patch {
        &self.field.patch
    }
}

impl std::fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}", self.name(), self.ty())
    }
}
