//! Types: what an expression may turn out to be.
//!
//! Knows: CEL's own types, Kubernetes' opaque ones, structs described by a schema, and how types are written.
//! Does not know: values, or how types are found out (`check` does).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arcstr::ArcStr as Text;

/// What an expression may turn out to be.
#[derive(Clone, Debug)]
pub enum Type {
    /// Anything: only the evaluation will tell.
    Dyn,
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// 64 bits with a sign.
    Int,
    /// 64 bits without one.
    Uint,
    /// 64 bits of floating point.
    Double,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// An instant.
    Timestamp,
    /// A length of time.
    Duration,
    /// A list of one type.
    List(Arc<Type>),
    /// A map from one type to another.
    Map(Arc<Type>, Arc<Type>),
    /// A value that may be absent.
    Optional(Arc<Type>),
    /// A type itself, as `type(x)` gives it.
    Type(Arc<Type>),
    /// A type of a library, such as `kubernetes.Quantity`, of which only functions know more.
    Opaque(&'static str),
    /// Named fields.
    Struct(Arc<Struct>),
    /// A type that is still to be found out.
    Param(u32),
}

/// A type with named fields.
#[derive(Debug)]
pub struct Struct {
    /// As messages call it, such as `kubernetes.AdmissionRequest`.
    pub name: Text,
    /// The fields.
    pub fields: BTreeMap<Text, Type>,
    /// Whether it may have any other field too, of any type.
    pub open: bool,
}

impl Struct {
    /// The type of a field, if there may be such a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Type> {
        self.fields.get(name).cloned().or_else(|| self.open.then_some(Type::Dyn))
    }
}

impl Type {
    /// A list of this.
    #[must_use]
    pub fn list(of: Self) -> Self {
        Self::List(Arc::new(of))
    }

    /// A map from strings to this.
    #[must_use]
    pub fn map(values: Self) -> Self {
        Self::Map(Arc::new(Self::String), Arc::new(values))
    }

    /// This, or nothing.
    #[must_use]
    pub fn optional(of: Self) -> Self {
        Self::Optional(Arc::new(of))
    }

    /// A type with these fields.
    #[must_use]
    pub fn structure(name: impl Into<Text>, fields: impl IntoIterator<Item = (Text, Self)>) -> Self {
        Self::Struct(Arc::new(Struct { name: name.into(), fields: fields.into_iter().collect(), open: false }))
    }

    /// A type of any fields.
    #[must_use]
    pub fn open(name: impl Into<Text>) -> Self {
        Self::Struct(Arc::new(Struct { name: name.into(), fields: BTreeMap::new(), open: true }))
    }

    /// Whether nothing is known of it before it is evaluated.
    #[must_use]
    pub fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn)
    }

    /// Whether both are exactly the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(one), Self::List(two))
            | (Self::Optional(one), Self::Optional(two))
            | (Self::Type(one), Self::Type(two)) => one.is(two),
            (Self::Map(keys, values), Self::Map(other_keys, others)) => keys.is(other_keys) && values.is(others),
            (Self::Opaque(one), Self::Opaque(two)) => one == two,
            (Self::Struct(one), Self::Struct(two)) => one.name == two.name,
            (Self::Param(one), Self::Param(two)) => one == two,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// As the messages of the type checker write it: short where [`Display`](fmt::Display) writes the full name.
    #[must_use]
    pub fn short(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Timestamp => "timestamp".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::List(of) => format!("list({})", of.short()),
            Self::Map(keys, values) => format!("map({}, {})", keys.short(), values.short()),
            Self::Optional(of) => format!("optional_type({})", of.short()),
            Self::Type(of) => format!("type({})", of.short()),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null_type"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("google.protobuf.Timestamp"),
            Self::Duration => f.write_str("google.protobuf.Duration"),
            Self::List(of) => write!(f, "list({of})"),
            Self::Map(keys, values) => write!(f, "map({keys}, {values})"),
            Self::Optional(of) => write!(f, "optional_type({of})"),
            Self::Type(of) => write!(f, "type({of})"),
            Self::Opaque(name) => f.write_str(name),
            Self::Struct(of) => f.write_str(&of.name),
            Self::Param(number) => write!(f, "_var{number}"),
        }
    }
}
