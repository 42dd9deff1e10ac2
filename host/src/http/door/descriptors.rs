//! How many connections the process' descriptors allow.

use anyhow::bail;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Descriptors that aren't for connections: journal and its readers, plugins' own connections to
/// providers, child processes, logs.
const KEPT_BACK: u64 = 256;

/// A host that rests has some sixty open; with a quarter of these for connections none is left to be told what is wrong.
const FEWEST: u64 = 128;

/// Raises the process' limit of descriptors as far as it may, and says how many connections that
/// leaves room for.
///
/// # Errors
/// It is so low that nobody could be let in.
pub fn make_room() -> anyhow::Result<usize> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    let Some(most) = limit.current else { return Ok(usize::MAX) };
    if most < FEWEST {
        bail!(
            "this process may have {most} descriptors, and a host needs {FEWEST} at least: raise its limit (ulimit -n, LimitNOFILE)"
        );
    }
    let room = most.saturating_sub(KEPT_BACK).max(most / 4);
    Ok(usize::try_from(room).unwrap_or(usize::MAX))
}
