//! The `cordboard` binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cordboard_host::cli::main(cordboard_host::cli::Cli::parse())
}
