//! End-to-end tests: provider emulators, a harness around the real host, benchmarks.

#![forbid(unsafe_code)]

pub mod bench;
pub mod emulator;
pub mod harness;
