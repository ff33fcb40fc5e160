//! Values: what an expression is evaluated to.
//!
//! Knows: CEL's values, which of them are equal, which are smaller, how they are converted.
//! Does not know: expressions. What costs time or memory is charged to a [`Meter`] given along.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr as Text;
use jiff::Timestamp;

use crate::error::Error;
use crate::library::authorizer::Permission;
use crate::library::cidr::Cidr;
use crate::library::doubt::{Bounds, Partial};
use crate::library::format::Format;
use crate::library::quantity::Quantity;
use crate::library::semver::Semver;
use crate::library::url::Url;
use crate::meter::Meter;
use crate::types::Type;

/// A value. Copies share what is large.
#[derive(Debug, Clone)]
pub enum Value {
    /// `null`
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number without a sign.
    Uint(u64),
    /// A number.
    Double(f64),
    /// Text.
    String(Text),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Arc<[Value]>),
    /// A map, or something with named fields.
    Map(Arc<BTreeMap<Key, Value>>),
    /// An instant.
    Timestamp(Timestamp),
    /// A length of time, in nanoseconds.
    Duration(i64),
    /// A type.
    Type(Text),
    /// A value that may be absent.
    Optional(Option<Arc<Value>>),
    /// `quantity('1Gi')`
    Quantity(Quantity),
    /// `url('https://example.com')`
    Url(Arc<Url>),
    /// `ip('::1')`
    Ip(IpAddr),
    /// `cidr('10.0.0.0/8')`
    Cidr(Cidr),
    /// `semver('1.2.3')`
    Semver(Arc<Semver>),
    /// `format.dns1123Label()`
    Format(Format),
    /// `authorizer`, and what is made of it step by step.
    Permission(Arc<Permission>),
    /// A number that is not known for sure.
    Range(Bounds),
    /// A list of which not all is known.
    Partial(Arc<Partial>),
}

/// What a map's entries are found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A truth value.
    Bool(bool),
    /// A whole number; those without a sign are here too, for `1u` finds what `1` does.
    Int(i64),
    /// A whole number that is too large for a sign.
    Uint(u64),
    /// Text: the fields of a struct, too.
    String(Text),
}

impl Value {
    /// A list of values.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// A map, or something with named fields.
    pub fn map(entries: impl IntoIterator<Item = (Key, Self)>) -> Self {
        Self::Map(Arc::new(entries.into_iter().collect()))
    }

    /// Something with named fields.
    pub fn fields<'a>(entries: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        Self::map(entries.into_iter().map(|(name, value)| (Key::String(name.into()), value)))
    }

    /// The instant that text says, as RFC 3339 writes it.
    #[must_use]
    pub fn timestamp(text: &str) -> Option<Self> {
        crate::library::read_timestamp(text).map(Self::Timestamp)
    }

    /// The length of time that text says, as Go writes it.
    #[must_use]
    pub fn duration(text: &str) -> Option<Self> {
        crate::library::read_duration(text).map(Self::Duration)
    }

    /// Something.
    #[must_use]
    pub fn some(value: Self) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// The text, if this is some.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The truth, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// What `type(x)` says.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Url(_) => "kubernetes.URL",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Permission(permission) => permission.type_name(),
            Self::Range(_) => "range",
            Self::Partial(_) => "list",
        }
    }

    /// Whether a function that takes this type may be given this value; of lists, maps and optionals only that they are.
    pub(crate) fn fits(&self, ty: &Type) -> bool {
        match (ty, self) {
            (Type::Dyn | Type::Param(_), _)
            | (Type::Null, Self::Null)
            | (Type::Bool, Self::Bool(_))
            | (Type::Int, Self::Int(_))
            | (Type::Uint, Self::Uint(_))
            | (Type::Double, Self::Double(_))
            | (Type::String, Self::String(_))
            | (Type::Bytes, Self::Bytes(_))
            | (Type::List(_), Self::List(_))
            | (Type::Map(..), Self::Map(_))
            | (Type::Timestamp, Self::Timestamp(_))
            | (Type::Duration, Self::Duration(_))
            | (Type::Optional(_), Self::Optional(_))
            | (Type::Type(_), Self::Type(_)) => true,
            (Type::Opaque(name), value) => value.type_name() == *name,
            _ => false,
        }
    }

    /// How many elements, entries, letters or bytes; one if it is none of these.
    pub(crate) fn size(&self) -> u64 {
        let size = match self {
            Self::String(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(items) => items.len(),
            Self::Map(entries) => entries.len(),
            _ => 1,
        };
        size as u64
    }

    /// The key that this is, if maps may have it as one.
    pub(crate) fn to_key(&self) -> Option<Key> {
        Some(match self {
            Self::Bool(truth) => Key::Bool(*truth),
            Self::Int(number) => Key::Int(*number),
            Self::Uint(number) => i64::try_from(*number).map_or(Key::Uint(*number), Key::Int),
            Self::Double(number) => Key::Int(exact(*number)?),
            Self::String(text) => Key::String(text.clone()),
            _ => return None,
        })
    }

    /// Whether two values are equal. Numbers are, whatever their types.
    ///
    /// # Errors
    /// If finding out takes longer than is allowed: values may share parts so often that looking at each takes for ever.
    pub(crate) fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, Error> {
        meter.work(1)?;
        Ok(match (self, other) {
            (Self::List(one), Self::List(two)) => {
                if Arc::ptr_eq(one, two) {
                    return Ok(true);
                }
                if one.len() != two.len() {
                    return Ok(false);
                }
                for (one, two) in one.iter().zip(two.iter()) {
                    if !one.equals(two, meter)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Map(one), Self::Map(two)) => {
                if one.len() != two.len() {
                    return Ok(false);
                }
                for ((key, one), (other_key, two)) in one.iter().zip(two.iter()) {
                    if key != other_key || !one.equals(two, meter)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Optional(one), Self::Optional(two)) => match (one, two) {
                (Some(one), Some(two)) => one.equals(two, meter)?,
                (one, two) => one.is_none() && two.is_none(),
            },
            (Self::String(one), Self::String(two)) => {
                meter.work(one.len().min(two.len()) as u64 / 16)?;
                one == two
            }
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(two)) => one == two,
            (Self::Bytes(one), Self::Bytes(two)) => one == two,
            (Self::Timestamp(one), Self::Timestamp(two)) => one == two,
            (Self::Duration(one), Self::Duration(two)) => one == two,
            (Self::Type(one), Self::Type(two)) => one == two,
            (Self::Quantity(one), Self::Quantity(two)) => one == two,
            (Self::Url(one), Self::Url(two)) => one == two,
            (Self::Ip(one), Self::Ip(two)) => one == two,
            (Self::Cidr(one), Self::Cidr(two)) => one == two,
            (Self::Semver(one), Self::Semver(two)) => one.compare(two).is_eq(),
            (Self::Format(one), Self::Format(two)) => one == two,
            (Self::Range(_) | Self::Partial(_), _) | (_, Self::Range(_) | Self::Partial(_)) => {
                return Err(Error::Unknown("what is not known for sure is compared as a part of something".to_owned()));
            }
            _ => self.compare(other) == Some(Ordering::Equal),
        })
    }

    /// Which of two values comes first, if they can be compared at all.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(one), Self::Bool(two)) => Some(one.cmp(two)),
            (Self::String(one), Self::String(two)) => Some(one.as_str().cmp(two.as_str())),
            (Self::Bytes(one), Self::Bytes(two)) => Some(one.cmp(two)),
            (Self::Timestamp(one), Self::Timestamp(two)) => Some(one.cmp(two)),
            (Self::Duration(one), Self::Duration(two)) => Some(one.cmp(two)),
            (Self::Int(one), Self::Int(two)) => Some(one.cmp(two)),
            (Self::Uint(one), Self::Uint(two)) => Some(one.cmp(two)),
            (Self::Int(one), Self::Uint(two)) => Some(i128::from(*one).cmp(&i128::from(*two))),
            (Self::Uint(one), Self::Int(two)) => Some(i128::from(*one).cmp(&i128::from(*two))),
            (Self::Double(one), Self::Double(two)) => one.partial_cmp(two),
            (Self::Double(one), Self::Int(two)) => number(*one, i128::from(*two)),
            (Self::Double(one), Self::Uint(two)) => number(*one, i128::from(*two)),
            (Self::Int(one), Self::Double(two)) => number(*two, i128::from(*one)).map(Ordering::reverse),
            (Self::Uint(one), Self::Double(two)) => number(*two, i128::from(*one)).map(Ordering::reverse),
            _ => None,
        }
    }

    /// As error messages show it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(truth) => truth.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Uint(number) => number.to_string(),
            Self::Double(number) => shortest(*number),
            Self::String(text) => text.to_string(),
            other => other.type_name().to_owned(),
        }
    }
}

/// A number as Go's `%g` writes it with as few digits as tell it apart.
pub(crate) fn shortest(number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "NaN".to_owned()
        } else if number > 0.0 {
            "+Inf".to_owned()
        } else {
            "-Inf".to_owned()
        };
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

impl Key {
    /// As a value again.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Int(number) => Value::Int(*number),
            Self::Uint(number) => Value::Uint(*number),
            Self::String(text) => Value::String(text.clone()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

/// The whole number that a floating-point one is exactly.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "both ways are compared")]
fn exact(number: f64) -> Option<i64> {
    let whole = number as i64;
    (whole as f64 == number && number.abs() < 9.2e18).then_some(whole)
}

/// Compares without rounding: a double that is not whole lies between two that are.
#[expect(clippy::cast_possible_truncation, reason = "a whole double below 2^100 is an i128")]
fn number(one: f64, two: i128) -> Option<Ordering> {
    if one.is_nan() {
        return None;
    }
    if one.abs() >= 1e30 {
        return Some(if one > 0.0 { Ordering::Greater } else { Ordering::Less });
    }
    let floor = one.floor();
    Some((floor as i128).cmp(&two).then(if one > floor { Ordering::Greater } else { Ordering::Equal }))
}
