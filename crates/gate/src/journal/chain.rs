//! The chain: what makes it show when the journal was changed after the fact.
//!
//! Knows: rows, their hashes, and where a chain of them breaks.
//! Does not know: what the rows say, or where they are kept.
//!
//! The hash of a row is the SHA-256 of its canonical JSON without the hash itself, so an auditor needs no more than
//! `sed 's/"hash":"[0-9a-f]*",//' | tr -d '\n' | sha256sum` on a line of `journal export`.

use std::fmt;

use model::{Digest, Moment};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Seq;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: Seq,
    pub(crate) at: Moment,
    /// The case it belongs to, or nothing.
    pub(crate) case: String,
    pub(crate) kind: String,
    /// The entry, as canonical JSON.
    pub(crate) body: String,
    /// The hash of the row before.
    pub(crate) prev: Digest,
    pub(crate) hash: Digest,
}

impl Row {
    /// The row that continues a chain.
    pub(crate) fn after(last: &Head, at: Moment, case: String, kind: &str, body: String) -> Self {
        let seq = Seq(last.seq.0 + 1);
        let mut row = Self { seq, at, case, kind: kind.to_owned(), body, prev: last.hash, hash: Digest::default() };
        row.hash = row.computed();
        row
    }

    /// The hash that it ought to have. Keys stand in byte order, as canonical JSON wants them.
    fn computed(&self) -> Digest {
        let quoted = |text: &str| serde_json::Value::String(text.to_owned()).to_string();
        let text = format!(
            r#"{{"at":{},"body":{},"case":{},"kind":{},"prev":"{}","seq":{}}}"#,
            self.at.0,
            self.body,
            quoted(&self.case),
            quoted(&self.kind),
            self.prev,
            self.seq.0,
        );
        Digest::of_bytes(text.as_bytes())
    }

    /// The line that `journal export` prints.
    pub(crate) fn line(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            at: u64,
            body: &'a RawValue,
            case: &'a str,
            hash: Digest,
            kind: &'a str,
            prev: Digest,
            seq: u64,
        }
        let body = serde_json::from_str(&self.body)?;
        let (case, kind) = (self.case.as_str(), self.kind.as_str());
        serde_json::to_string(&Line {
            at: self.at.0,
            body,
            case,
            hash: self.hash,
            kind,
            prev: self.prev,
            seq: self.seq.0,
        })
    }
}

/// The end of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    pub(crate) seq: Seq,
    pub(crate) hash: Digest,
}

impl Head {
    /// The same chain, one row longer; or why that row does not belong there.
    pub(crate) fn extended(&self, row: &Row) -> Result<Self, Break> {
        let expected = self.seq.0 + 1;
        let at = |what: &str| Break { seq: Seq(expected), what: what.to_owned() };
        if row.seq.0 != expected {
            return Err(at(&format!("entry {expected} is missing, the next one is {}", row.seq.0)));
        }
        if row.prev != self.hash {
            return Err(at("it does not continue the entry before it"));
        }
        if row.computed() != row.hash {
            return Err(at("it is not what was written"));
        }
        Ok(Self { seq: row.seq, hash: row.hash })
    }
}

/// Where, and how, a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Break {
    /// The first entry that is not as it was written.
    pub seq: Seq,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the chain breaks at entry {}: {}", self.seq.0, self.what)
    }
}
