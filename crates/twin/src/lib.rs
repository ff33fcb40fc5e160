//! What every twin is made of: virtual time and seeds.
//!
//! Knows: instants, a queue of what is due, randomness from a seed.
//! Does not know: what is simulated.
