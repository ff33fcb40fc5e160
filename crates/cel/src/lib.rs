//! The Common Expression Language, as Kubernetes speaks it.
//!
//! Knows: the language with its macros, its type checker and that one's messages, Kubernetes' functions and cost limit.
//! Does not know: documents, requests, what an expression is for.
//!
//! ```text
//! text ─parse▶ expression ─check▶ Program ─eval▶ Value
//! ```
//!
//! | file | does |
//! |---|---|
//! | `env` | the names an expression may use; what compiles and evaluates |
//! | `lexer`, `parse`, `macros`, `ast` | text to an expression |
//! | `types`, `check` | what type it has |
//! | `value`, `eval`, `meter` | what it comes to, and what that costs |
//! | `estimate` | what it may cost, before it is evaluated |
//! | `library/` | the functions, one file a library |
//! | `pattern` | regular expressions as Go reads them |
//! | `error` | what goes wrong, and how it is shown |
//!
//! Expressions are hostile: whoever may write a CustomResourceDefinition may write one. So text, depth, cost, work and
//! memory are bounded, and nothing here panics.

mod ast;
mod check;
mod env;
mod error;
mod estimate;
mod eval;
mod lexer;
pub mod library;
mod macros;
mod meter;
mod parse;
pub mod pattern;
#[cfg(test)]
mod tests;
mod types;
mod value;

pub use env::{Env, Program, Variables};
pub use error::{CompileError, Error, Issue};
pub use estimate::{Sizes, Step};
pub use library::authorizer::Authorizer;
pub use library::doubt::{Bounds, Partial};
pub use meter::{Meter, PER_CALL};
pub use types::{Struct, Type};
pub use value::{Key, Value};
