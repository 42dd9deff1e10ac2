//! What the benchmarks are made of: a load generator, references, a journal with many rows.

mod journal;
mod load;
mod reference;
mod replies;
mod report;
mod routing;
mod search;
mod setup;
mod swaps;
mod theory;
mod webhooks;

use std::time::Duration;

pub use journal::{fill, read_raw};
pub use load::{Load, Prepared, twilio_requests};
pub use reference::{actor_bytes, bare_server, ledger_entry_bytes};
pub use replies::replies;
pub use report::{Figure, Report};
pub use routing::{Floor, Times, helpdesk};
pub use search::searches;
pub use setup::{loaded, setup, setup_with_full_agents};
pub use swaps::swaps;
pub use theory::Point;
pub use webhooks::{CONNECTIONS, Webhooks, address};

/// Resident memory of a process, in bytes.
///
/// # Panics
/// If there is no such process.
pub fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("a process of ours");
    let pages: u64 = text.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("statm's form");
    pages * 4096
}

/// Processor time that a process has used, of all its threads. On a machine that others use, too, it says more of the
/// process than how long something took.
///
/// # Panics
/// If there is no such process.
pub fn processor_time(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process of ours");
    // Behind the name, which may hold anything: state, …, utime and stime in hundredths of a second (proc(5)).
    let (_, behind) = text.rsplit_once(") ").expect("stat's form");
    let ticks = behind.split(' ').skip(11).take(2).map(|n| n.parse::<u64>().expect("stat's form"));
    Duration::from_millis(10 * ticks.sum::<u64>())
}
