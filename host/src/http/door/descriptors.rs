//! How many connections the process' descriptors allow.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors that aren't for connections: journal and its readers, plugins' own connections to
/// providers, child processes, logs.
const KEPT_BACK: u64 = 256;

/// Raises the process' limit of descriptors as far as it may, and says how many connections that
/// leaves room for.
pub fn make_room() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    match limit.current {
        // At least a few, or nobody could be told what is wrong.
        Some(most) => {
            usize::try_from(most.saturating_sub(KEPT_BACK).max(most / 4)).unwrap_or(usize::MAX)
        }
        None => usize::MAX,
    }
}
