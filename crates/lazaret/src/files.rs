//! What is said of a file that cannot be used.
//!
//! Knows: that the operating system's words name no file, and what a person can do about each.
//! Does not know: what is in the file.

use std::io::{self, ErrorKind};
use std::path::Path;

/// An error with the file that it is about, and what to do: `map_err(unusable(&path))`.
pub(crate) fn unusable(path: &Path) -> impl Fn(io::Error) -> io::Error + '_ {
    move |error| {
        let remedy = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there",
            ErrorKind::PermissionDenied => "let this user write there, or name another folder with --data",
            _ => "name another folder with --data",
        };
        io::Error::new(error.kind(), format!("{} cannot be used: {error}: {remedy}", path.display()))
    }
}
