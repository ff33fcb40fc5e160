//! What every twin is made of: a store that forks in O(1), virtual time, and randomness from a seed.
//!
//! Knows: versions, instants, what is due when.
//! Does not know: what is simulated, or why.

pub mod queue;
pub mod seed;
pub mod store;
pub mod time;

pub use queue::Queue;
pub use seed::Random;
pub use store::{Change, Compacted, Store};
pub use time::Time;
