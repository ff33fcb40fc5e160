//! The name of a thing in production.
//!
//! Knows: how one is written: `Kind/namespace/name`, or `Kind/name` where there are no namespaces.
//! Does not know: which kinds there are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// One object of a target: a Deployment, a bucket, a table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// What it is, in the target's own word.
    pub kind: String,
    /// The part of the target it lives in: a namespace, an account, a schema.
    pub namespace: Option<String>,
    /// Its name there. `*` is all of them, where a whole collection is meant.
    pub name: String,
}

impl ObjectRef {
    /// An object in a namespace.
    pub fn namespaced(kind: impl Into<String>, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), namespace: Some(namespace.into()), name: name.into() }
    }

    /// An object that no namespace holds.
    pub fn global(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), namespace: None, name: name.into() }
    }

    /// An object in the namespace, if there is one.
    pub fn new(kind: impl Into<String>, namespace: Option<&str>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), namespace: namespace.map(str::to_owned), name: name.into() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of cloud objects may hold a slash; the written form has to be read back.
        let part = |text: &str| text.replace('%', "%25").replace('/', "%2F");
        f.write_str(&part(&self.kind))?;
        if let Some(namespace) = &self.namespace {
            write!(f, "/{}", part(namespace))?;
        }
        write!(f, "/{}", part(&self.name))
    }
}

impl fmt::Debug for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not `Kind/namespace/name` and not `Kind/name`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not Kind/name or Kind/namespace/name")]
pub struct NotAnObject(String);

impl FromStr for ObjectRef {
    type Err = NotAnObject;

    fn from_str(text: &str) -> Result<Self, NotAnObject> {
        let part = |text: &str| text.replace("%2F", "/").replace("%25", "%");
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(kind), Some(name), None, None) => Ok(Self::global(part(kind), part(name))),
            (Some(kind), Some(namespace), Some(name), None) => {
                Ok(Self::namespaced(part(kind), part(namespace), part(name)))
            }
            _ => Err(NotAnObject(text.to_owned())),
        }
    }
}

impl Serialize for ObjectRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
