//! The patch types, from a document and a patch to the patched document.
//!
//! Knows: RFC 6902, RFC 7386, and Kubernetes' strategic merge, steered by the schema.
//! Does not know: who patches, or whether the result is valid. Server-side apply is a chapter of its own.
//!
//! What a patch does not touch stays shared with the original.

mod json;
mod merge;
mod order;
mod strategic;

#[cfg(test)]
mod tests;

use super::{PatchType, Status};
use crate::schema::Type;
use crate::value::Value;
pub(super) use json::opened;
pub(super) use strategic::go_map;

/// Applies a patch of any type but server-side apply.
///
/// # Errors
/// What the API server answers to a patch that makes no sense for this document.
pub fn apply(kind: PatchType, ty: Type<'_>, original: &Value, patch: &Value) -> Result<Value, Status> {
    match kind {
        PatchType::Json => json::apply(original, patch),
        PatchType::Merge | PatchType::Apply => {
            if patch.as_object().is_none() {
                return Err(Status::bad_request("a merge patch has to be an object"));
            }
            Ok(merge::apply(original, patch))
        }
        PatchType::Strategic => strategic::apply(ty, original, patch),
    }
}
