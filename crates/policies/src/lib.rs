//! The rules: what an effect may be.
//!
//! Knows: the vocabulary of effects.
//! Does not know: any target, any twin, the gate.
