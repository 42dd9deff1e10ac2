//! What lies beside a file of SQLite's in WAL mode, as it is on disk: SQLite takes a WAL up to the first part
//! that isn't whole for all there is, and says nothing of what stands behind it.
//!
//! The form is that of <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

mod frames;
mod pages;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use frames::Frames;
#[cfg(test)]
pub(super) use frames::{ABOUT, HEAD};
pub(super) use pages::{Damaged, Pages};

/// How a WAL is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wal {
    /// It isn't there, or nothing is in it.
    Missing,
    /// It can be read to its end. A transaction that was being written when the machine stopped may be torn: it
    /// was acknowledged to nobody.
    Whole,
    /// Behind a part that isn't what was written stand transactions that were on disk.
    Broken,
}

/// Where a file's lies.
pub(super) fn path(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", file.display()))
}

/// A database that nobody needs, and what lies beside it.
pub(super) fn remove(file: &Path) {
    // One that isn't there is what is wanted; one that stays is no harm where it is made anew.
    let _ = std::fs::remove_file(file);
    remove_beside(file);
}

/// What lies beside a database that is whole without it.
pub(super) fn remove_beside(file: &Path) {
    for end in ["-wal", "-shm", "-journal"] {
        let _ = std::fs::remove_file(format!("{}{end}", file.display()));
    }
}

/// Of the file at a path. Nobody may be writing to it.
pub(super) fn beside(file: &Path) -> Wal {
    match std::fs::read(path(file)) {
        Ok(bytes) => look_at(&bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Wal::Missing,
        // Whatever it holds can't be read.
        Err(_) => Wal::Broken,
    }
}

/// Whether the WAL beside an open database has as many pages as its index says, and no hole. One that somebody cuts
/// under a host grows again behind the cut, and what lies between reads as zeros: moved to the file, they would
/// destroy that as well.
pub(super) fn is_sound(connection: &Connection, file: &Path) -> bool {
    // Its frames, as the index has them; none: it isn't used yet.
    let look = |row: &rusqlite::Row<'_>| row.get::<_, i64>(1);
    let frames = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], look);
    let page = connection.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0));
    let (Ok(frames @ 1..), Ok(page)) = (frames, page) else { return true };
    let (count, page) = (frames.unsigned_abs(), page.unsigned_abs());
    let Ok(wal) = std::fs::File::open(path(file)) else { return false };
    let length = wal.metadata().map_or(0, |about| about.len());
    if length < frames::HEAD as u64 + count * (frames::ABOUT as u64 + page) {
        return false;
    }
    !has_hole(&wal)
}

/// Whether something in it was never written.
pub(super) fn has_hole(file: &std::fs::File) -> bool {
    // In this order: it grows. Where a file system knows no holes, there is none.
    let length = file.metadata().map_or(0, |about| about.len());
    rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(0)).is_ok_and(|hole| hole < length)
}

/// Of a database whose WAL somebody looks away from: how it is without it.
///
/// # Errors
/// SQLite's own.
pub(super) fn without_wal(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(uri(file, "immutable=1"), flags)
}

/// A file as SQLite is told of it with how it is to be opened.
pub(super) fn uri(file: &Path, how: &str) -> String {
    let escaped: String = file
        .to_string_lossy()
        .chars()
        .map(|c| match c {
            '?' | '#' | '%' => format!("%{:02x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("file:{escaped}?{how}")
}

fn look_at(bytes: &[u8]) -> Wal {
    match Frames::of(bytes) {
        None => Wal::Missing,
        Some(frames) if frames.are_damaged() => Wal::Broken,
        Some(_) => Wal::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::config::DbConfig;

    // OPS-03 OPS-10
    #[test]
    fn a_wal_that_isnt_whole_is_told_from_one_that_was_being_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.sqlite");
        assert_eq!(beside(&file), Wal::Missing);
        let connection = Connection::open(&file).unwrap();
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection.execute_batch("CREATE TABLE a (b BLOB)").unwrap();
        let add = || connection.execute("INSERT INTO a VALUES (randomblob(3000))", []).unwrap();
        for _ in 0..40 {
            add();
        }
        connection.execute_batch("PRAGMA wal_checkpoint(RESTART)").unwrap();
        // It begins anew over what is there.
        for _ in 0..20 {
            add();
        }
        assert_eq!(beside(&file), Wal::Whole);
        drop(connection);
        let wal = folder.path().join("a.sqlite-wal");
        let whole = std::fs::read(&wal).unwrap();
        let frame = ABOUT + 4096;
        let damaged = |at: usize| {
            let mut bytes = whole.clone();
            bytes[HEAD + at * frame + ABOUT + 100] ^= 1;
            look_at(&bytes)
        };
        let count = {
            let salts = &whole[16..24];
            let frames = whole[HEAD..].chunks_exact(frame);
            frames.take_while(|frame| &frame[8..16] == salts).count()
        };
        assert!(count >= 20 && whole.len() > HEAD + (count + 5) * frame, "{count}");
        assert_eq!(damaged(0), Wal::Broken);
        assert_eq!(damaged(count / 2), Wal::Broken);
        assert_eq!(damaged(count - 1), Wal::Whole, "the last one was being written");
        assert_eq!(damaged(count + 2), Wal::Whole, "that is of before");
        // One frame of a later time, and behind it those of before: with its head that looks as if it were of before.
        let mut one = whole.clone();
        one[HEAD + 8..HEAD + 16].fill(7);
        assert!(Frames::of(&one).is_some_and(|frames| frames.are_damaged() && frames.on_disk().1));
        one[16] ^= 1;
        assert!(Frames::of(&one).is_some_and(|frames| frames.are_damaged() && !frames.on_disk().1));
        let mut zeroed = whole.clone();
        zeroed[HEAD + 3 * frame..HEAD + 4 * frame].fill(0);
        assert_eq!(look_at(&zeroed), Wal::Broken);
        assert_eq!(look_at(&whole[..HEAD + count / 2 * frame + 99]), Wal::Whole);
        assert_eq!(look_at(&[]), Wal::Missing);
        assert_eq!(look_at(&[0; 9999]), Wal::Missing);
    }

    // OPS-03
    #[test]
    fn a_wal_that_was_cut_is_told_also_once_it_has_grown_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a #1?.sqlite");
        let connection = Connection::open(&file).unwrap();
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        connection.execute_batch("CREATE TABLE a (b BLOB)").unwrap();
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        assert!(is_sound(&connection, &file));
        let add = || connection.execute("INSERT INTO a VALUES (randomblob(90000))", []).unwrap();
        add();
        connection.execute_batch("PRAGMA wal_checkpoint(RESTART)").unwrap();
        add();
        assert!(is_sound(&connection, &file));
        let count = |connection: &Connection| {
            connection.query_row("SELECT count(*) FROM a", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!((count(&connection), count(&without_wal(&file).unwrap())), (2, 1));
        let path = format!("{}-wal", file.display());
        let wal = std::fs::File::options().write(true).open(path).unwrap();
        wal.set_len(0).unwrap();
        assert!(!is_sound(&connection, &file), "it is shorter");
        // It needn't succeed, but may write.
        let _ = connection.execute("INSERT INTO a VALUES (randomblob(90000))", []);
        assert!(!is_sound(&connection, &file), "it has a hole");
    }

    // OPS-10
    #[test]
    fn what_stands_behind_what_is_committed_is_of_earlier_times() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("some.sqlite");
        let writer = Connection::open(&file).unwrap();
        let write = |sql: &str| writer.execute_batch(sql).unwrap();
        write(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA secure_delete = ON",
        );
        write("CREATE TABLE gone (body BLOB); CREATE TABLE kept (body BLOB)");
        write(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
               INSERT INTO gone SELECT randomblob(4000) FROM n; DROP TABLE gone",
        );
        write("PRAGMA wal_checkpoint(RESTART)");
        // It takes free pages, and stands in the file and at the beginning of what lies beside it.
        write(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
               INSERT INTO kept SELECT randomblob(4000) FROM n; PRAGMA wal_checkpoint(RESTART)",
        );
        write("INSERT INTO kept VALUES (x'00')");
        let one = |sql: &str| writer.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
        let (all, free) = (one("PRAGMA page_count"), one("PRAGMA freelist_count"));
        let copy = folder.path().join("copy.sqlite");
        std::fs::copy(&file, &copy).unwrap();
        std::fs::copy(path(&file), path(&copy)).unwrap();
        let frames =
            (std::fs::metadata(path(&copy)).unwrap().len() as usize - HEAD) / (ABOUT + 4096);
        let pages = Pages::of(&copy, false);
        assert!(pages.newest.len() < frames, "{} of {frames}", pages.newest.len());
        assert_eq!(pages.free(all).len(), free as usize);
        assert!(!pages.is_blank(1));
    }
}
