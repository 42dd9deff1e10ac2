//! `cordboard replay`: the journal's routing log in fresh machines (OPS-08).

use std::path::Path;
use std::process::ExitCode;

use crate::cli::{WRONG, print};
use crate::journal::{self, Reader};
use crate::replay::{self, ReplayError, Verdict};

/// Plays every run that the log has, and compares its decisions byte for byte.
pub fn run(data: &Path) -> anyhow::Result<ExitCode> {
    let unusable = |error| anyhow::Error::msg(journal::in_words(&error, data));
    journal::look(data).map_err(unusable)?;
    let reader = Reader::open(data).map_err(unusable)?;
    let runs = reader.runs()?;
    if runs.is_empty() {
        print::failure(
            "the journal has no routing log; `host.keep_routing_log` says how long one is kept",
        );
        return Ok(ExitCode::from(WRONG));
    }
    let mut differs = false;
    for (run, began) in runs {
        let when = jiff::Timestamp::from_millisecond(began.0).unwrap_or_default();
        let verdict = match replay::run(&reader, run) {
            // What another version wrote says nothing about this one, nor about the other runs.
            Err(error @ ReplayError::NotUnderstood { .. }) => {
                println!("  run of {when:.0}: left out, it is of another version: {error}");
                continue;
            }
            verdict => verdict?,
        };
        let Verdict { entries, decisions, routed, difference } = verdict;
        match difference {
            None => print::success(&format!(
                "run of {when:.0}: {routed} classifications and items of conversations, {decisions} decisions of queues, from {entries} entries: the same byte for byte"
            )),
            Some(difference) => {
                differs = true;
                print::failure(&format!("run of {when:.0}: {difference}"));
            }
        }
    }
    Ok(if differs { ExitCode::from(WRONG) } else { ExitCode::SUCCESS })
}
