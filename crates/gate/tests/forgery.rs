//! What the compiler refuses: a target, or anyone outside of the gate, cannot make, copy or skip a permit.
//!
//! Each file in `forgery/` is an attempt, and the `.stderr` beside it is the compiler's answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test may")]

#[test]
fn permits_intents_and_credentials_cannot_be_forged() {
    let attempts = trybuild::TestCases::new();
    attempts.compile_fail("tests/forgery/*.rs");
}
