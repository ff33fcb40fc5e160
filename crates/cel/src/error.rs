//! What can go wrong: an expression that is none, and one that comes to nothing.
//!
//! Knows: how messages are laid out.
//! Does not know: which messages there are.

use std::fmt;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It went wrong, as this says.
    Failed(String),
    /// It is not known what it comes to, for something in it is not. As errors are, this is hidden by what decides anyway.
    Unknown(String),
    /// It cost more than it was allowed to.
    TooCostly,
}

impl Error {
    /// With a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    pub(crate) fn no_overload() -> Self {
        Self::new("no such overload")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) | Self::Unknown(message) => f.write_str(message),
            Self::TooCostly => f.write_str("operation cancelled: actual cost limit exceeded"),
        }
    }
}

impl std::error::Error for Error {}

/// Something that is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// In characters from the beginning; none if it is about the whole.
    pub at: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// Why text is no expression, or one that cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    pub(crate) source: String,
    /// What is wrong, in the order in which it stands in the text.
    pub issues: Vec<Issue>,
}

impl CompileError {
    /// What is wrong if it is not the text, but what its constants come to.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match self.issues.as_slice() {
            [Issue { at: None, message }] if message.starts_with("program instantiation failed") => Some(message),
            _ => None,
        }
    }
}

impl fmt::Display for CompileError {
    /// As cel-go does: each with the line it is in, and an arrow under the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, issue) in self.issues.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            let Some(at) = issue.at else {
                write!(f, "ERROR: <input>:-1:0: {}", issue.message)?;
                continue;
            };
            let (mut row, mut column, mut line) = (1, 0, self.source.split('\n'));
            for letter in self.source.chars().take(at) {
                column += 1;
                if letter == '\n' {
                    (row, column) = (row + 1, 0);
                    line.next();
                }
            }
            let line = line.next().unwrap_or_default().replace('\t', " ");
            write!(f, "ERROR: <input>:{row}:{}: {}", column + 1, issue.message)?;
            write!(f, "\n | {line}\n | {}^", ".".repeat(column))?;
        }
        Ok(())
    }
}

impl std::error::Error for CompileError {}
