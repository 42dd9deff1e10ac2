//! Whether a data folder has its journal: one that is gone is no reason to begin with an empty one, in
//! which what customers write from then on could never be joined with what was.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{JournalError, Trouble};
use super::recovery::{REACHED, RECOVER};
use super::schema::FILE;
use super::{log, wal};

/// Stands in a folder once there is a journal in it.
const MARK: &str = "journal.made";
/// Beginning of what is written when a journal is deleted under its host.
const RESCUED: &str = "journal.rescued-";
/// Beginning of what is put aside.
const ASIDE: &str = "left-";
/// Stands in the name of what isn't whole yet.
const PARTIAL: &str = ".partial";
/// A database and what lies beside it.
const ENDS: [&str; 3] = ["", "-wal", "-shm"];
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Stands in a folder while a copy is put in its journal's place.
const RESTORING: &str = "restore.under-way";

/// What a folder holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    /// A journal.
    Used,
    /// None, and there was none before.
    Fresh,
}

/// From now on the folder holds parts of two journals; of more, if an earlier restore was broken off.
pub(super) fn restore_begins(data: &Path, ms: i64) -> std::io::Result<()> {
    let path = data.join(RESTORING);
    let mut mark = std::fs::File::options().create(true).append(true).open(&path)?;
    let written = mark.write_all(format!("\n{ms}\n").as_bytes()).and_then(|()| mark.sync_all());
    if written.is_err() && mark.metadata().is_ok_and(|about| about.len() == 0) {
        // Nothing was begun.
        let _ = std::fs::remove_file(&path);
    }
    written?;
    std::fs::File::open(data)?.sync_all()
}

/// It holds one.
pub fn restore_ends(data: &Path) {
    // One that stays is said at the next start, with what helps.
    let _ = std::fs::remove_file(data.join(RESTORING));
}

/// That a folder's files can be read and written, and are where they seem to be. Nobody may have them open.
///
/// # Errors
/// [`Trouble::NotWritable`]: the first that can't; [`Trouble::Other`]: one that is a symbolic link.
pub fn must_be_usable(data: &Path) -> Result<(), JournalError> {
    arent_links(data)?;
    for file in own_files(data) {
        match std::fs::File::options().read(true).write(true).open(&file) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let text = format!("{}: {error}: look at its owner and rights", file.display());
                return Err(JournalError::new(Trouble::NotWritable, text));
            }
        }
    }
    Ok(())
}

/// What lies beside a file lies beside what a link leads to, where nobody looks.
///
/// # Errors
/// [`Trouble::Other`]: the first that is one.
pub fn arent_links(data: &Path) -> Result<(), JournalError> {
    let is_link = |file: &PathBuf| {
        std::fs::symlink_metadata(file).is_ok_and(|about| about.file_type().is_symlink())
    };
    match own_files(data).find(is_link) {
        None => Ok(()),
        Some(file) => {
            let text = format!(
                "{} is a symbolic link, and what belongs beside it would lie elsewhere: put the file itself there, or let host.data name another folder",
                file.display()
            );
            Err(JournalError::new(Trouble::Other, text))
        }
    }
}

/// Whether a restore was broken off in its midst: what is left in its place is neither the old journal nor the
/// new one, and going on with it would leave out what lies aside.
///
/// # Errors
/// [`Trouble::Other`]: so it was; what helps.
pub fn must_be_whole(data: &Path) -> Result<(), JournalError> {
    let Ok(marks) = std::fs::read_to_string(data.join(RESTORING)) else { return Ok(()) };
    // What lay there before the first of them: each file as the earliest has put it aside.
    let mut before: Vec<(String, String)> = Vec::new();
    for ms in marks.split_whitespace() {
        let own = format!("{ASIDE}{ms}.");
        for name in named(data, &[&own]) {
            let file = name[own.len()..].to_owned();
            if before.iter().all(|(known, _)| *known != file) {
                before.push((file, name));
            }
        }
    }
    let back: Vec<String> =
        before.iter().map(|(file, name)| format!("rename {name} to {file}")).collect();
    let back = match back.is_empty() {
        true => format!("or, as nothing was put aside yet, remove {RESTORING}"),
        false => {
            format!("or, to go on with what was there, {}, and remove {RESTORING}", back.join(", "))
        }
    };
    let text = format!(
        "a restore was broken off here: run cordboard journal restore again, as before, or cordboard journal recover, which goes on with what leads furthest; {back}"
    );
    Err(JournalError::new(Trouble::Other, text))
}

/// The earliest files that restores here have put aside, and haven't ended: what is kept.
pub fn stamps_of_restores(data: &Path) -> Vec<String> {
    let marks = std::fs::read_to_string(data.join(RESTORING)).unwrap_or_default();
    marks.split_whitespace().map(str::to_owned).collect()
}

/// Where a journal that was deleted under its host is written to.
pub(super) fn rescued(data: &Path, ms: i64) -> PathBuf {
    data.join(format!("{RESCUED}{ms}.sqlite"))
}

/// What a data folder holds.
///
/// # Errors
/// [`Trouble::Missing`]: there was a journal, and it is gone or empty; what helps.
pub fn look(data: &Path) -> Result<Holds, JournalError> {
    must_be_whole(data)?;
    let file = data.join(FILE);
    let length = match std::fs::metadata(&file) {
        Ok(about) => Some(about.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        // What may not be looked at isn't as if there were nothing.
        Err(error) => return Err(JournalError::new(Trouble::NotWritable, error.to_string())),
    };
    if length.is_some_and(|length| length > 0) && !is_unused(data) {
        return Ok(Holds::Used);
    }
    let what = if length.is_some() { "is empty" } else { "is gone" };
    let helps = match newest_rescued(data) {
        Some(saved) => format!(
            "{} was written when it was lost, with all there was then: cordboard journal recover looks at that, too, and goes on with what leads furthest (name your backups: --backup FILE)",
            saved.display()
        ),
        // Nobody has made a log without one.
        None if data.join(MARK).exists() || data.join(log::FILE).exists() => RECOVER.to_owned(),
        None => return Ok(Holds::Fresh),
    };
    Err(JournalError::new(
        Trouble::Missing,
        format!(
            "it {what}, though there was one; {helps} (or begin with an empty one: cordboard run CONFIG --new-journal)"
        ),
    ))
}

/// What was rescued last.
pub(super) fn newest_rescued(data: &Path) -> Option<PathBuf> {
    named(data, &[RESCUED]).pop().map(|name| data.join(name))
}

/// Names of copies that lie in a folder: rescued, put aside, backups, and what a backup or restore that was killed
/// has left.
pub fn copies(data: &Path) -> Vec<String> {
    let of_ours = |name: &str| {
        [FILE, log::FILE]
            .iter()
            .any(|file| name.strip_prefix(file).is_some_and(|end| ENDS.contains(&end)))
    };
    let is_database = |name: &str| {
        let mut head = [0; MAGIC.len()];
        let read =
            std::fs::File::open(data.join(name)).and_then(|mut file| file.read_exact(&mut head));
        read.is_ok() && head == *MAGIC
    };
    let mut names = named(data, &[""]);
    names.retain(|name| {
        let is_copy = [ASIDE, RESCUED].iter().any(|begins| name.starts_with(begins));
        let is_file = || data.join(name).metadata().is_ok_and(|about| about.is_file());
        is_copy || (!of_ours(name) && is_file() && (name.contains(PARTIAL) || is_database(name)))
    });
    names
}

/// What was being written into a folder that nobody uses now.
pub(super) fn remove_partial(data: &Path) {
    let names = named(data, &["rescue-", "restored"]);
    for name in names.iter().filter(|name| name.contains(PARTIAL)) {
        // Whoever looks for copies finds it still.
        let _ = std::fs::remove_file(data.join(name));
    }
}

/// Names that begin so, in order.
fn named(data: &Path, beginnings: &[&str]) -> Vec<String> {
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| beginnings.iter().any(|begins| name.starts_with(begins))).collect();
    names.sort_unstable();
    names
}

/// A database into which nobody has written anything: its version is that of none of ours, and nothing waits
/// to be written back to it.
fn is_unused(data: &Path) -> bool {
    const VERSION: std::ops::Range<usize> = 60..64;
    let waits = std::fs::metadata(wal::path(&data.join(FILE))).is_ok_and(|wal| wal.len() > 0);
    let mut head = [0; 100];
    let read = std::fs::File::open(data.join(FILE)).and_then(|mut file| file.read_exact(&mut head));
    let has_tables = std::fs::metadata(data.join(FILE)).is_ok_and(|file| file.len() > 4096);
    !waits && !has_tables && read.is_ok() && head.starts_with(MAGIC) && head[VERSION] == [0; 4]
}

/// What is left of a journal's files is put aside, and kept: SQLite would play what lies beside the journal
/// into whatever is put in its place.
///
/// # Errors
/// [`JournalError`]: one of them can't be renamed.
pub fn put_aside(data: &Path, ms: i64) -> Result<(), JournalError> {
    put_one_aside(data, FILE, "", ms)?;
    put_beside_aside(data, ms)?;
    put_log_aside(data, ms)
}

/// How far it went isn't how far another will have gone.
///
/// # Errors
/// [`JournalError`]: it can't be renamed.
pub fn put_note_aside(data: &Path, ms: i64) -> Result<(), JournalError> {
    put_one_aside(data, REACHED, "", ms)
}

/// The same of what lies beside the journal's own file.
pub(super) fn put_beside_aside(data: &Path, ms: i64) -> Result<(), JournalError> {
    ["-wal", "-shm"].into_iter().try_for_each(|end| put_one_aside(data, FILE, end, ms))
}

/// The same of its log, as a whole: all of it has its second name before any of it loses its first.
pub(super) fn put_log_aside(data: &Path, ms: i64) -> Result<(), JournalError> {
    // The file itself last: without it what lies beside it is nobody's log.
    for end in ENDS.into_iter().rev() {
        gets_second_name(data, &format!("{}{end}", log::FILE), ms)?;
    }
    ENDS.into_iter().try_for_each(|end| put_one_aside(data, log::FILE, end, ms))
}

/// The journal's own file has its second name before another one takes its first: there is one at any time, but where
/// the file system knows no second names.
pub(super) fn keep_aside(data: &Path, ms: i64) -> Result<(), JournalError> {
    match gets_second_name(data, FILE, ms)? {
        true => Ok(()),
        false => put_one_aside(data, FILE, "", ms),
    }
}

/// A file that is put aside has that name beside its own, if there is one and the file system knows such a thing.
fn gets_second_name(data: &Path, name: &str, ms: i64) -> Result<bool, JournalError> {
    let file = data.join(name);
    match link(&file, &aside(data, name, ms)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        linked => linked.map_err(|error| not_aside(&file, &error)),
    }
}

/// A file has a second name; not, where the file system knows no such thing (a USB disk, a share).
pub(super) fn link(file: &Path, second: &Path) -> std::io::Result<bool> {
    use std::io::ErrorKind::{PermissionDenied, Unsupported};
    match std::fs::hard_link(file, second) {
        Err(error) if matches!(error.kind(), PermissionDenied | Unsupported) => Ok(false),
        linked => linked.map(|()| true),
    }
}

/// A journal's own files, as they are there while a host runs.
pub(super) fn own_files(data: &Path) -> impl Iterator<Item = PathBuf> {
    let names =
        [FILE, log::FILE].into_iter().flat_map(|file| ENDS.map(|end| format!("{file}{end}")));
    names.map(|name| data.join(name))
}

fn not_aside(file: &Path, error: &std::io::Error) -> JournalError {
    let text = format!("can't put {} aside: {error}", file.display());
    JournalError::new(Trouble::NotWritable, text)
}

/// Where something is put aside.
pub(super) fn aside(data: &Path, file: &str, ms: i64) -> PathBuf {
    data.join(format!("{ASIDE}{ms}.{file}"))
}

fn put_one_aside(data: &Path, file: &str, end: &str, ms: i64) -> Result<(), JournalError> {
    let name = format!("{file}{end}");
    let (old, new) = (data.join(&name), aside(data, &name, ms));
    let number = |file: &Path| std::fs::metadata(file).ok().map(|about| about.ino());
    // A rename leaves a file that has both names with both.
    let moved = match number(&old).is_some_and(|old| number(&new) == Some(old)) {
        true => std::fs::remove_file(&old),
        false => std::fs::rename(&old, new),
    };
    match moved {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(not_aside(&old, &error)),
        _ => Ok(()),
    }
}

/// Files of a name that were put aside in a folder, and copies that a host has written as its own were destroyed: the
/// newest first.
pub(super) fn put_aside_before(data: &Path, file: &str) -> Vec<PathBuf> {
    let end = format!(".{file}");
    let mut names = named(data, &[ASIDE, RESCUED]);
    names.retain(|name| {
        let is_copy = file == FILE && name.starts_with(RESCUED) && name.ends_with(".sqlite");
        is_copy || (name.starts_with(ASIDE) && name.ends_with(&end))
    });
    names.into_iter().rev().map(|name| data.join(name)).collect()
}

/// From now on the folder has one.
pub(super) fn mark(data: &Path) {
    let mark = data.join(MARK);
    if mark.exists() {
        return;
    }
    let text = format!("{FILE} was made here: a start without it is refused\n");
    if let Err(error) = std::fs::write(&mark, text) {
        tracing::warn!(%error, "can't write {}", mark.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-03
    #[test]
    fn a_journal_that_is_gone_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        assert_eq!(look(data).unwrap(), Holds::Fresh);
        std::fs::write(data.join(FILE), "").unwrap();
        assert_eq!(look(data).unwrap(), Holds::Fresh, "a first start that was cut off");
        mark(data);
        assert!(look(data).unwrap_err().to_string().contains("it is empty, though"));
        std::fs::remove_file(data.join(FILE)).unwrap();
        assert!(look(data).unwrap_err().to_string().contains("journal recover"));
        std::fs::remove_file(data.join(MARK)).unwrap();
        std::fs::write(data.join(log::FILE), "x").unwrap();
        assert!(
            look(data).unwrap_err().to_string().contains("journal recover"),
            "its log is there"
        );
        std::fs::write(rescued(data, 7), "x").unwrap();
        let error = look(data).unwrap_err();
        assert!(
            error.to_string().contains("journal.rescued-7.sqlite was written when it was lost"),
            "{error}"
        );
        std::fs::write(data.join(FILE), "x").unwrap();
        assert_eq!(look(data).unwrap(), Holds::Used);
    }

    // OPS-03
    #[test]
    fn a_folder_that_cant_be_looked_at_isnt_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        // As root everybody may look anywhere; through a file nobody can.
        let file = folder.path().join("data");
        std::fs::write(&file, "").unwrap();
        assert_eq!(look(&file).unwrap_err().trouble, Trouble::NotWritable);
        assert_eq!(look(&folder.path().join("none")).unwrap(), Holds::Fresh);
    }
}
