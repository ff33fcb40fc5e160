//! An OpenAPI v3 document as it is served.
//!
//! Knows: its bytes, and the hash by which clients keep it.
//! Does not know: who asks for it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sha2::{Digest, Sha512};

use super::parse::Definitions;
use super::publish;
use super::resource::Resource;
use crate::value::Text;

/// One document: that of a group version, or of a few paths that are no resources.
#[derive(Debug)]
pub struct Document {
    /// What it is written from, for custom resources. Nobody may ever ask, so it is written when somebody does.
    resources: Vec<(Arc<Resource>, Arc<Definitions>)>,
    version: Text,
    bytes: OnceLock<Bytes>,
    hash: OnceLock<Text>,
}

impl Document {
    /// A document as a server gave it.
    pub(super) fn read(bytes: Bytes) -> Self {
        Self { resources: Vec::new(), version: Text::new(), bytes: OnceLock::from(bytes), hash: OnceLock::new() }
    }

    /// The document of custom resources of one group version.
    pub(super) fn of(resources: Vec<(Arc<Resource>, Arc<Definitions>)>, version: Text) -> Self {
        Self { resources, version, bytes: OnceLock::new(), hash: OnceLock::new() }
    }

    /// It as JSON.
    pub fn bytes(&self) -> &Bytes {
        self.bytes.get_or_init(|| {
            let resources: Vec<(&Resource, &Definitions)> = self
                .resources
                .iter()
                .map(|(resource, definitions)| (resource.as_ref(), definitions.as_ref()))
                .collect();
            publish::document(&resources, &self.version).to_json_bytes().into()
        })
    }

    /// What changes when it changes, and only then: 128 hexadecimal digits, as Kubernetes writes it.
    pub fn hash(&self) -> &Text {
        self.hash.get_or_init(|| hash(self.bytes()))
    }
}

/// The hash of any bytes, as Kubernetes writes it in entity tags.
#[must_use]
pub fn hash(bytes: &[u8]) -> Text {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(128);
    for byte in Sha512::digest(bytes) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02X}");
    }
    text.into()
}
