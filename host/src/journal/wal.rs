//! What lies beside a file of SQLite's in WAL mode, as it is on disk: SQLite takes a WAL up to the first part
//! that isn't whole for all there is, and says nothing of what stands behind it.
//!
//! The form is that of <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

const HEAD: usize = 32;
const FRAME: usize = 24;
/// The last bit says in which order of bytes its checksums are computed.
const MAGIC: u32 = 0x377f_0682;

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
    let (frames, page) = (frames.unsigned_abs(), page.unsigned_abs());
    let Ok(wal) = std::fs::File::open(path(file)) else { return false };
    let length = wal.metadata().map_or(0, |about| about.len());
    if length < HEAD as u64 + frames * (FRAME as u64 + page) {
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
    let Some((head, frames)) = bytes.split_at_checked(HEAD) else { return Wal::Missing };
    let magic = word(head, 0);
    if magic & !1 != MAGIC {
        return Wal::Missing;
    }
    let is_big_endian = magic & 1 == 1;
    let page = word(head, 2) as usize;
    let salts = &head[16..24];
    let mut sum = checksum((0, 0), &head[..24], is_big_endian);
    if page == 0 || sum != (word(head, 6), word(head, 7)) {
        return Wal::Missing;
    }
    let mut is_whole = true;
    let mut commits_behind = 0;
    for frame in frames.chunks_exact(FRAME + page) {
        let (about, content) = frame.split_at(FRAME);
        if &about[8..16] != salts {
            // Of an earlier time; or what isn't whole, if its like follows.
            is_whole = false;
            continue;
        }
        sum = checksum(checksum(sum, &about[..8], is_big_endian), content, is_big_endian);
        let written = (word(about, 4), word(about, 5));
        let ends_transaction = word(about, 1) != 0;
        if !is_whole && ends_transaction {
            commits_behind += 1;
        }
        if sum != written {
            is_whole = false;
            // What follows is told by what should have stood here.
            sum = written;
        }
    }
    // Each is synced before the next one begins, so only one can have been under way.
    if commits_behind > 1 { Wal::Broken } else { Wal::Whole }
}

fn word(bytes: &[u8], index: usize) -> u32 {
    let at = index * 4;
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn checksum(before: (u32, u32), bytes: &[u8], is_big_endian: bool) -> (u32, u32) {
    let read = |part: &[u8]| {
        let bytes = [part[0], part[1], part[2], part[3]];
        if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    bytes.chunks_exact(8).fold(before, |(first, second), pair| {
        let first = first.wrapping_add(read(&pair[..4])).wrapping_add(second);
        (first, second.wrapping_add(read(&pair[4..])).wrapping_add(first))
    })
}

/// The pages of a file, with what lies beside it or without, as they were written last, whether anything leads to them or
/// not.
pub(super) struct Pages {
    file: Option<std::fs::File>,
    beside: Vec<u8>,
    /// Where the newest of each that lies beside begins.
    newest: HashMap<u32, usize>,
}

impl Pages {
    /// Of every journal and log.
    const SIZE: usize = 4096;

    /// Nobody may have the file open, and nobody may open it before this is dropped who needs SQLite's locks.
    pub fn of(file: &Path, is_alone: bool) -> Self {
        let beside = match is_alone {
            true => Vec::new(),
            false => std::fs::read(path(file)).unwrap_or_default(),
        };
        Self { file: std::fs::File::open(file).ok(), newest: Self::committed(&beside), beside }
    }

    /// Where the newest of each begins, of those that are committed: behind them stand some of earlier times.
    fn committed(beside: &[u8]) -> HashMap<u32, usize> {
        let (mut newest, mut under_way) = (HashMap::new(), Vec::new());
        let Some((head, _)) = beside.split_at_checked(HEAD) else { return newest };
        let is_big_endian = word(head, 0) & 1 == 1;
        let mut sum = checksum((0, 0), &head[..24], is_big_endian);
        let mut at = HEAD;
        while let Some(frame) = beside.get(at..at + FRAME + Self::SIZE) {
            let (about, content) = frame.split_at(FRAME);
            sum = checksum(checksum(sum, &about[..8], is_big_endian), content, is_big_endian);
            if about[8..16] != head[16..24] || sum != (word(about, 4), word(about, 5)) {
                break;
            }
            under_way.push((word(about, 0), at + FRAME));
            if word(about, 1) != 0 {
                newest.extend(under_way.drain(..));
            }
            at += FRAME + Self::SIZE;
        }
        newest
    }

    /// One of them, counted from 1; nothing, if it can't be read.
    fn page(&self, page: u32) -> Option<Vec<u8>> {
        if let Some(at) = self.newest.get(&page) {
            return Some(self.beside[*at..at + Self::SIZE].to_vec());
        }
        let mut bytes = vec![0; Self::SIZE];
        let at = u64::from(page.checked_sub(1)?) * Self::SIZE as u64;
        self.file.as_ref()?.read_at(&mut bytes, at).ok()?;
        Some(bytes)
    }

    /// Whether nothing stands on one.
    pub fn is_blank(&self, page: u32) -> bool {
        self.page(page).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    }

    /// Those that are listed as free, of so many in all, as far as the list can be read
    /// (<https://www.sqlite.org/fileformat2.html#the_freelist>).
    pub fn free(&self, all: u32) -> HashSet<u32> {
        let List { mut trunks, leaves, .. } = self.listed(all);
        trunks.extend(leaves);
        trunks
    }

    fn listed(&self, all: u32) -> List {
        let mut list = List::default();
        let mut trunk = self.page(1).map_or(0, |head| word(&head[32..], 0));
        while (1..=all).contains(&trunk) && list.trunks.insert(trunk) {
            list.count += 1;
            let Some(page) = self.page(trunk) else { break };
            let most = Self::SIZE / 4 - 2;
            let leaves = usize::try_from(word(&page, 1)).unwrap_or(0).min(most);
            list.leaves.extend((0..leaves).map(|n| word(&page, 2 + n)));
            list.count += leaves;
            trunk = word(&page, 0);
        }
        list
    }

    /// Whether as many pages are listed as free as the file's head says, each of them once and none that isn't there; and
    /// those of them on which something stands. SQLite doesn't look, and writes what is new over whatever is listed. What
    /// has no such head is another matter.
    pub fn lists_what_is_free(&self) -> (bool, Vec<u32>) {
        const NAME: &[u8] = b"SQLite format 3\0\x10\x00";
        let Some(head) = self.page(1).filter(|head| head.starts_with(NAME)) else {
            return (true, Vec::new());
        };
        let (all, said) = (word(&head[28..], 0), word(&head[36..], 0) as usize);
        let List { trunks, leaves, count } = self.listed(all);
        let listed = trunks.len() + leaves.len();
        let is_there = |page: &u32| (2..=all).contains(page);
        let fits = listed == said && count == said && leaves.iter().all(is_there);
        let written = leaves.into_iter().filter(|page| !self.is_blank(*page));
        (fits, written.collect())
    }
}

/// A list of free pages: those that hold it, and those that it names.
#[derive(Default)]
struct List {
    trunks: HashSet<u32>,
    leaves: HashSet<u32>,
    /// How many it names, itself included: more, where one is named twice.
    count: usize,
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
        let frame = FRAME + 4096;
        let damaged = |at: usize| {
            let mut bytes = whole.clone();
            bytes[HEAD + at * frame + FRAME + 100] ^= 1;
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
            (std::fs::metadata(path(&copy)).unwrap().len() as usize - HEAD) / (FRAME + 4096);
        let pages = Pages::of(&copy, false);
        assert!(pages.newest.len() < frames, "{} of {frames}", pages.newest.len());
        assert_eq!(pages.free(all).len(), free as usize);
        assert!(!pages.is_blank(1));
    }
}
