//! Backups.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Reader;
use super::error::{JournalError, Trouble};
use super::log::{Log, SqliteLog};
use super::{folder, verify, wal};

/// Writes a copy of the journal, of a host that runs or not: everything that was acknowledged before is in it.
/// The file appears once it is whole and was looked through, and takes nothing's place.
///
/// # Errors
/// [`NotCopied`]: there is no copy, and why.
pub fn backup(data: &Path, to: &Path) -> Result<(), NotCopied> {
    let wrong = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            NotCopied::Target(format!("{} is there already", to.display()))
        }
        _ => NotCopied::Target(format!("{} can't be written: {error}", to.display())),
    };
    if to.exists() {
        return Err(wrong(std::io::ErrorKind::AlreadyExists.into()));
    }
    wait_for_the_views(data)?;
    // Of this process alone: two may be asked for at a time.
    let partial = PathBuf::from(format!("{}.{}.partial", to.display(), std::process::id()));
    File::create_new(&partial).map_err(wrong)?;
    let copied = Reader::open(data)
        .and_then(|reader| reader.copy_to(&partial))
        .map_err(NotCopied::from)
        .and_then(|()| must_be_whole(&partial).map_err(NotCopied::from))
        .and_then(|()| File::open(&partial).and_then(|copy| copy.sync_all()).map_err(wrong))
        .and_then(|()| gets_its_name(&partial, to).map_err(wrong));
    let _ = std::fs::remove_file(&partial);
    copied?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(wrong)
}

/// A copy of what is damaged can't be put in anything's place, and whoever has it believes that they have one.
fn must_be_whole(partial: &Path) -> Result<(), JournalError> {
    let copy = wal::without_wal(partial)?;
    verify::form(&copy).map_err(|error| match error.trouble {
        Trouble::Damaged => JournalError::new(
            Trouble::Damaged,
            format!(
                "a copy of it would be no backup, as restore takes none that is damaged ({error})"
            ),
        ),
        _ => error,
    })
}

/// It takes nothing's place; where the file system knows no second names, as far as a look shows.
fn gets_its_name(partial: &Path, to: &Path) -> std::io::Result<()> {
    match folder::link(partial, to)? {
        true => Ok(()),
        false if to.exists() => Err(std::io::ErrorKind::AlreadyExists.into()),
        false => std::fs::rename(partial, to),
    }
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum NotCopied {
    /// What was to be copied.
    #[error("{0}")]
    Source(#[from] JournalError),
    /// Where to.
    #[error("{0}")]
    Target(String),
}

/// What is committed now is in the views soon, if a host runs.
fn wait_for_the_views(data: &Path) -> Result<(), JournalError> {
    const PATIENCE: Duration = Duration::from_secs(10);
    const PAUSE: Duration = Duration::from_millis(20);
    if !SqliteLog::path(data).exists() {
        return Ok(());
    }
    let ends = SqliteLog::open_to_read(data)?.ends()?;
    let committed = ends.map(|(_, last)| last).unwrap_or_default();
    let until = Instant::now() + PATIENCE;
    let views = Reader::open(data)?;
    while views.position()? < committed {
        if Instant::now() > until {
            let text = "what is in its log hasn't come to its tables: no host runs that could put it there, or one runs that can't (what does /health/ready say, and is there room on its disk?)";
            return Err(JournalError::new(Trouble::Other, text));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
