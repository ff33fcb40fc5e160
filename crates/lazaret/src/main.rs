//! The `lazaret` command: configuration and wiring.
//!
//! Knows: how a person or a script says what is to be done.
//! Does not know: how any of it is done.

#![deny(clippy::print_stdout, reason = "cli::say knows what to do when nobody listens")]

mod admin;
mod agents;
mod check;
mod cli;
mod config;
mod files;
mod offline;
mod probe;
mod rules;
mod serving;

fn main() -> std::process::ExitCode {
    cli::main()
}
