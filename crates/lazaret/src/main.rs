//! The `lazaret` command: configuration and wiring.
fn main() {}
