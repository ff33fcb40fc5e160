//! Field validation: whether a document fits its type, and what the API server says where it does not.
//!
//! Knows: how Go reads JSON into its types, and what it says of values of the wrong kind, of fields that the type does
//! not have, and of fields that stand twice.
//! Does not know: whether what a field says makes sense (`validation` does), or what is done about a fault.
//!
//! | file | does |
//! |---|---|
//! | `sent` | a document as it was sent: its order, its digits |
//! | `decode` | how Go reads it: the first mismatch, every stranger, every repetition |
//! | `restore` | how a strategic merge patch's result is read, which is not the same |
//! | `scalars` | text that is no time, no amount, no base64 |
//! | `names`, `order` | what Go calls its types, and in which order it writes their fields |
//!
//! A mismatch refuses a document. Strangers and repetitions are a matter of `fieldValidation`: refused, told of, or
//! passed over; in any case they are not kept.

mod decode;
mod names;
mod order;
mod restore;
mod scalars;
mod sent;

#[cfg(test)]
mod tests;

use super::call::FieldValidation;
use crate::schema::Type;
use crate::value::Value;
pub(super) use order::{METADATA, as_go_writes};
pub(super) use restore::restore;
pub(super) use sent::Sent;

/// A document that was read into its type.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Read {
    /// What it says, of the fields that the type has.
    pub(super) value: Value,
    /// What a strict reader would have against it, in the order in which it stands there.
    pub(super) faults: Vec<String>,
}

/// The most faults that are told of one document.
const FAULTS_MAX: usize = 100;

/// Reads a document into a type as Go reads JSON. `again` gives the document as it was sent; it is asked for only if
/// something is wrong.
///
/// # Errors
/// The first value that is of the wrong kind, in Go's words.
pub(super) fn read(ty: Type<'_>, value: &Value, twice: bool, again: impl FnOnce() -> Sent) -> Result<Read, String> {
    if !twice && decode::fits(ty, value) {
        return Ok(Read { value: value.clone(), faults: Vec::new() });
    }
    decode::decode(ty, &again())
}

/// Several faults in one sentence.
pub(super) fn strictly(faults: &[String]) -> String {
    format!("strict decoding error: {}", faults.join(", "))
}

/// What is to be done about faults: a refusal, or warnings.
///
/// # Errors
/// The sentence that refuses them all.
pub(super) fn judge(validation: FieldValidation, faults: Vec<String>) -> Result<Vec<String>, String> {
    match validation {
        _ if faults.is_empty() => Ok(faults),
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(faults),
        FieldValidation::Strict => Err(strictly(&faults)),
    }
}
