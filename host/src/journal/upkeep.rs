//! What the journal needn't keep for ever.

use std::path::Path;
use std::time::Duration;

use cordboard_core::time::Timestamp;

use super::{Journal, Reader};

/// Removes the routing logs of runs that ended before a time. The log of a run is whole or gone:
/// without its beginning it can't be played. Bit by bit, so that no message waits behind it.
///
/// # Errors
/// A sentence with SQLite's complaint.
pub async fn trim_routing_log(
    journal: &Journal,
    data: &Path,
    before: Timestamp,
) -> Result<usize, String> {
    const AT_ONCE: i64 = 16;
    const PAUSE: Duration = Duration::from_millis(20);
    let unreadable = |error: rusqlite::Error| error.to_string();
    let reader = Reader::open(data).map_err(unreadable)?;
    let runs = reader.runs_that_ended(before).map_err(unreadable)?;
    for run in &runs {
        let mut rows = reader.rows_of_run(*run).map_err(unreadable)?;
        while rows > 0 {
            let run = *run;
            let delete = move |transaction: &rusqlite::Transaction<'_>| {
                let statement = "DELETE FROM routing_log WHERE id IN
                    (SELECT id FROM routing_log WHERE run = ?1 ORDER BY id LIMIT ?2)";
                transaction.prepare_cached(statement)?.execute([run, AT_ONCE]).map(drop)
            };
            journal.write_now(delete).await?;
            rows -= AT_ONCE;
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(runs.len())
}

/// Notes that the host runs, until this time at least: after a crash, screens that were connected then
/// were so until about then (PRES-04). Nothing waits for it.
pub fn note_alive(journal: &Journal, until: Timestamp) {
    let note = move |transaction: &rusqlite::Transaction<'_>| {
        let statement = "INSERT OR REPLACE INTO life (one, alive_at) VALUES (1, ?1)";
        transaction.prepare_cached(statement)?.execute([until.0]).map(drop)
    };
    // Readiness says why the journal can't commit.
    journal.write(note, |_| ());
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-08
    #[tokio::test]
    async fn whole_runs_go_and_the_others_stay_whole() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let fill = |transaction: &rusqlite::Transaction<'_>| {
            let statement = "INSERT INTO routing_log (run, at, body) VALUES (?1, ?2, x'00')";
            let mut insert = transaction.prepare(statement)?;
            // The second run began before the time in question, and ended after it.
            for (run, from, to) in [(1, 0, 40), (40, 40, 90), (90, 90, 120)] {
                for at in from..to {
                    insert.execute([run, at])?;
                }
            }
            Ok(())
        };
        journal.write_now(fill).await.unwrap();
        let gone = trim_routing_log(&journal, folder.path(), Timestamp(60)).await.unwrap();
        assert_eq!(gone, 1);
        let reader = Reader::open(folder.path()).unwrap();
        let left = [1, 40, 90].map(|run| reader.rows_of_run(run).unwrap());
        assert_eq!(left, [0, 50, 30]);
        journal.stop();
    }
}
