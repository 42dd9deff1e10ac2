//! The `cordboard` binary.

use std::process::ExitCode;

use clap::Parser;

/// Messages are made on one thread and dropped on another all the time; glibc's allocator takes locks
/// for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cordboard_host::cli::main(cordboard_host::cli::Cli::parse())
}
