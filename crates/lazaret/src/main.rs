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

/// A simulation makes and drops very many small parts of documents, and forks are dropped on other threads than they were made
/// on: the system's allocator takes about a third of the time of a rollout, this one a tenth.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
