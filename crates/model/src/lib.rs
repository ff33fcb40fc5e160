//! The nouns of an action, and how opinions become a verdict.
//!
//! Knows: what an action, an effect, a range and a verdict are.
//! Does not know: any target, any policy, time, files or sockets.
