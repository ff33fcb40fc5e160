//! An OpenAPI v3 document as it is served.
//!
//! Knows: its bytes, and the hash by which clients keep it.
//! Does not know: who asks for it.

use std::sync::OnceLock;

use bytes::Bytes;
use sha2::{Digest, Sha512};

use crate::value::Text;

/// One document: that of a group version, or of a few paths that are no resources.
#[derive(Debug)]
pub struct Document {
    bytes: Bytes,
    hash: OnceLock<Text>,
}

impl Document {
    /// A document as a server gave it.
    pub(super) fn read(bytes: Bytes) -> Self {
        Self { bytes, hash: OnceLock::new() }
    }

    /// It as JSON.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What changes when it changes, and only then: 128 hexadecimal digits, as Kubernetes writes it.
    pub fn hash(&self) -> &Text {
        self.hash.get_or_init(|| hash(&self.bytes))
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
