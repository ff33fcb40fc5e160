//! What an expression is made of, once it is parsed.
//!
//! Knows: the forms of expressions; macros are forms of their own, so that evaluation needs no tricks for them.
//! Does not know: names, types, values of variables.

use arcstr::ArcStr as Text;

use crate::value::Value;

/// An expression, with the place at which messages about it point.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    /// In characters from the beginning.
    pub(crate) at: usize,
    /// How many expressions stand in one another at most; bounded by the parser, so that recursion over it is safe.
    pub(crate) depth: usize,
    pub(crate) kind: Kind,
}

impl Expr {
    /// Whether this or any expression in it is one that is looked for.
    pub(crate) fn any(&self, is: &mut dyn FnMut(&Self) -> bool) -> bool {
        is(self) || self.parts().into_iter().any(|part| part.any(is))
    }

    /// What stands directly in it.
    pub(crate) fn parts(&self) -> Vec<&Self> {
        self.kind.parts()
    }
}

impl Kind {
    /// What stands directly in an expression of this form.
    pub(crate) fn parts(&self) -> Vec<&Expr> {
        match self {
            Self::Literal(_) | Self::Ident(_) => Vec::new(),
            Self::Select { operand, .. } => vec![operand],
            Self::Index { operand, index, .. } => vec![operand, index],
            Self::Call { target, args, .. } => target.as_deref().into_iter().chain(args).collect(),
            Self::And(parts) | Self::Or(parts) => parts.iter().collect(),
            Self::Conditional(parts) => parts.iter().collect(),
            Self::List(items) => items.iter().map(|(item, _)| item).collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value, _)| [key, value]).collect(),
            Self::Struct { fields, .. } => fields.iter().map(|(_, value, _, _)| value).collect(),
            Self::Fold(fold) => [&fold.range, &fold.body].into_iter().chain(&fold.filter).collect(),
            Self::Bind(bind) => vec![&bind.value, &bind.body],
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Literal(Value),
    Ident(Text),
    /// `operand.field`, `operand.?field`, `has(operand.field)`
    Select {
        operand: Box<Expr>,
        field: Text,
        access: Access,
    },
    /// `operand[index]`, `operand[?index]`
    Index {
        operand: Box<Expr>,
        index: Box<Expr>,
        optional: bool,
    },
    /// A function, operators included; a method has a target.
    Call {
        function: Text,
        target: Option<Box<Expr>>,
        args: Vec<Expr>,
    },
    /// `a && b && c`: one node however many, so that long chains are not deep.
    And(Vec<Expr>),
    /// `a || b || c`
    Or(Vec<Expr>),
    /// `condition ? yes : no`
    Conditional(Box<[Expr; 3]>),
    /// `[a, ?b]`: each with whether it may be absent.
    List(Vec<(Expr, bool)>),
    /// `{a: b, ?c: d}`
    Map(Vec<(Expr, Expr, bool)>),
    /// `Name{field: value, ?field: value}`
    Struct {
        name: Text,
        /// Each with whether it may be absent, and where its colon stands.
        fields: Vec<(Text, Expr, bool, usize)>,
    },
    /// A macro over the elements of a list or the keys of a map.
    Fold(Box<Fold>),
    /// `cel.bind(name, value, body)`; also `optMap` and `optFlatMap` bind.
    Bind(Box<Bind>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It must be there.
    Plain,
    /// It may be absent: the result is an optional.
    Optional,
    /// Is it there?
    Has,
}

#[derive(Debug, Clone)]
pub(crate) struct Fold {
    pub(crate) kind: FoldKind,
    pub(crate) range: Expr,
    /// The element; of a map, or with two names, the key or index.
    pub(crate) first: Text,
    /// With two names: the value.
    pub(crate) second: Option<Text>,
    /// Which elements are looked at, if not all.
    pub(crate) filter: Option<Expr>,
    pub(crate) body: Expr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoldKind {
    All,
    Exists,
    ExistsOne,
    /// `map`, `transformList`
    Map,
    Filter,
    /// `transformMap`: the same keys, other values.
    TransformMap,
    /// `transformMapEntry`: other entries.
    TransformMapEntry,
}

#[derive(Debug, Clone)]
pub(crate) struct Bind {
    pub(crate) kind: BindKind,
    pub(crate) name: Text,
    pub(crate) value: Expr,
    pub(crate) body: Expr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BindKind {
    /// `cel.bind`
    Plain,
    /// `optMap`: nothing stays nothing, anything becomes the body, as an optional.
    Optional,
    /// `optFlatMap`: the same, and the body is an optional already.
    OptionalFlat,
}
