//! Copies of what was removed in the space that pages don't use (SEC-04). SQLite overwrites what it removes
//! (`secure_delete`), but not what it has moved: a page that was split keeps the entries that went to another one in the gap
//! between its list of entries and those that it has.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::{OptionalExtension, TransactionBehavior, params};

use super::error::{JournalError, Trouble};
use super::schema;
use super::wal::Pages;

const PAGE: usize = Pages::SIZE;
/// Pages that are read at once.
const READ_AT_ONCE: usize = 256;
/// Pages that are written in one transaction: whoever writes waits for that.
const WRITTEN_AT_ONCE: usize = 64;
/// With so many a page of something else could look like one with entries: 128 GB.
const MOST_PAGES: u64 = 1 << 25;

/// Overwrites it in the file of tables. What lies beside it has been moved into it just before, and is to be once more if
/// this says that there was anything.
///
/// # Errors
/// [`JournalError`]: the file can't be read, or somebody writes to it all the time.
pub(super) fn overwrite(file: &Path) -> Result<bool, JournalError> {
    let dirty = dirty(file)?;
    if dirty.is_empty() {
        return Ok(false);
    }
    let mut tables = schema::open(file)?;
    for pages in dirty.chunks(WRITTEN_AT_ONCE) {
        let write = tables.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for number in pages {
            // As it is by now.
            let read = "SELECT data FROM sqlite_dbpage WHERE pgno = ?1";
            let page = write.prepare_cached(read)?.query_row([number], |row| row.get(0));
            let page: Option<Vec<u8>> = page.optional()?;
            let Some(mut page) = page else { continue };
            let Some(gap) = gap(*number, &page) else { continue };
            page[gap].fill(0);
            let replace = "UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1";
            write.prepare_cached(replace)?.execute(params![number, page])?;
        }
        write.commit()?;
    }
    Ok(true)
}

/// Pages whose gap holds anything.
fn dirty(path: &Path) -> Result<Vec<i64>, JournalError> {
    let unreadable = |error: std::io::Error| {
        JournalError::new(Trouble::Disk, format!("{}: {error}", path.display()))
    };
    let file = File::open(path).map_err(unreadable)?;
    let pages = file.metadata().map_err(unreadable)?.len() / PAGE as u64;
    if pages >= MOST_PAGES {
        let text = "copies of what was removed can't be told from what is there in a journal of more than 128 GB";
        return Err(JournalError::new(Trouble::Other, text));
    }
    let mut dirty = Vec::new();
    let mut bytes = vec![0; READ_AT_ONCE * PAGE];
    for first in (0..pages).step_by(READ_AT_ONCE) {
        let count = (pages - first).min(READ_AT_ONCE as u64) as usize;
        let read = &mut bytes[..count * PAGE];
        file.read_exact_at(read, first * PAGE as u64).map_err(unreadable)?;
        let numbered = (first.cast_signed() + 1..).zip(read.chunks(PAGE));
        dirty.extend(numbered.filter_map(|(number, page)| {
            gap(number, page)
                .is_some_and(|gap| page[gap].iter().any(|byte| *byte != 0))
                .then_some(number)
        }));
    }
    Ok(dirty)
}

/// Where a page of a B-tree has nothing, by its head (the file format of SQLite, 1.6); nothing, if it is another page, or
/// isn't as it should be: that is left as it is.
fn gap(number: i64, page: &[u8]) -> Option<Range<usize>> {
    /// The file's own head stands on the first page.
    const HEAD_OF_FILE: usize = 100;
    let at = if number == 1 { HEAD_OF_FILE } else { 0 };
    let head = match page.get(at)? {
        2 | 5 => 12,
        10 | 13 => 8,
        _ => return None,
    };
    let word = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let (entries, begins) = (word(at + 3), word(at + 5));
    let from = at + head + 2 * entries;
    (from < begins && begins <= page.len()).then_some(from..begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written and removed again, in a table whose pages are split at random places.
    fn left(file: &Path) -> usize {
        let bytes = std::fs::read(file).unwrap();
        bytes.windows(6).filter(|window| window == b"MARKED").count()
    }

    // SEC-04
    #[test]
    fn nothing_of_what_was_removed_is_left_in_the_gaps_of_pages() {
        let mut found = 0;
        for seed in 0..40 {
            let mut random = fastrand::Rng::with_seed(seed);
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("a.sqlite");
            let tables = schema::open(&file).unwrap();
            tables
                .execute_batch("CREATE TABLE a (k BLOB PRIMARY KEY, v TEXT) WITHOUT ROWID")
                .unwrap();
            let write_back = || {
                tables.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            };
            for _ in 0..600 {
                let key: [u8; 16] = std::array::from_fn(|_| random.u8(..));
                let word = if random.u8(0..10) == 0 { "MARKED" } else { "kept" };
                let value = format!("{word}{}", "x".repeat(random.usize(..150)));
                tables.execute("INSERT INTO a VALUES (?1, ?2)", params![key, value]).unwrap();
            }
            tables.execute("DELETE FROM a WHERE v LIKE 'MARKED%'", []).unwrap();
            write_back();
            let before: Vec<String> = all(&tables);
            found += left(&file);
            overwrite(&file).unwrap();
            write_back();
            assert_eq!(left(&file), 0, "seed {seed}");
            assert!(!overwrite(&file).unwrap(), "once is enough");
            assert_eq!(all(&tables), before);
            let whole: String =
                tables.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(whole, "ok");
        }
        assert!(found > 0, "SQLite leaves some");
    }

    fn all(tables: &rusqlite::Connection) -> Vec<String> {
        let mut all = tables.prepare("SELECT v FROM a ORDER BY k").unwrap();
        let all = all.query_map([], |row| row.get(0)).unwrap();
        all.collect::<rusqlite::Result<_>>().unwrap()
    }
}
