//! The types that an API server knows.

/// Placeholder until the tables are in.
#[derive(Clone, Debug, Default)]
pub struct Schema;
