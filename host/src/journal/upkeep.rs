//! What the journal needn't keep for ever.

use std::time::Duration;

use cordboard_core::time::Timestamp;

use super::{Journal, JournalError, Record};

/// Removes the routing logs of runs that ended before a time. The log of a run is whole or gone:
/// without its beginning it can't be played. Bit by bit, so that no message waits behind it.
///
/// # Errors
/// [`JournalError`]: it stands as it did, or some rows of the oldest run are gone.
pub async fn trim_routing_log(journal: &Journal, before: Timestamp) -> Result<usize, JournalError> {
    const AT_ONCE: i64 = 16;
    const PAUSE: Duration = Duration::from_millis(20);
    let runs = journal.read(move |reader| reader.runs_that_ended(before)).await?;
    for run in &runs {
        let forgotten = || journal.write_now(Record::RoutingForgotten { run: *run, rows: AT_ONCE });
        while forgotten().await?.count > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(runs.len())
}

/// Notes that the host runs, until this time at least: after a crash, screens that were connected then
/// were so until about then (PRES-04). Nothing waits for it.
pub fn note_alive(journal: &Journal, until: Timestamp) {
    // Readiness says why the journal can't commit.
    journal.write(Record::Alive { until }, |_| ());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::journal::{Reader, RoutingEntries};

    // OPS-08
    #[tokio::test]
    async fn whole_runs_go_and_the_others_stay_whole() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        // The second run began before the time in question, and ended after it.
        for (run, from, to) in [(1, 0, 40), (40, 40, 90), (90, 90, 120)] {
            for at in from..to {
                let entries = RoutingEntries { log: vec![0], decisions: Vec::new() };
                let (at, entries) = (Timestamp(at), Arc::new(entries));
                journal.write_now(Record::Routing { run, at, entries }).await.unwrap();
            }
        }
        let gone = trim_routing_log(&journal, Timestamp(60)).await.unwrap();
        assert_eq!(gone, 1);
        journal.all_written().await;
        let reader = Reader::open(folder.path()).unwrap();
        let left = [1, 40, 90].map(|run| reader.rows_of_run(run).unwrap());
        assert_eq!(left, [0, 50, 30]);
        journal.stop();
    }
}
