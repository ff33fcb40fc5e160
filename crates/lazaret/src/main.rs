//! The `lazaret` command: configuration and wiring.
//!
//! Knows: how a person or a script says what is to be done.
//! Does not know: how any of it is done.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
