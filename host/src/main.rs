//! The `cordboard` binary.

use std::process::ExitCode;

use clap::Parser;

/// Messages are made on one thread and dropped on another. Its effect hasn't been measured apart from
/// other changes; see `ARCHITECTURE.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cordboard_host::cli::main(cordboard_host::cli::Cli::parse())
}
