//! Backups, and what is done with them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::{JournalError, Trouble};
use super::log::{Log, SqliteLog};
use super::{Reader, place, schema, verify};

/// Writes a copy of the journal, of a host that runs or not: everything that was acknowledged before is in it.
/// The file appears once it is whole.
///
/// # Errors
/// [`JournalError`]: there is no copy, and why.
pub fn backup(data: &Path, to: &Path) -> Result<(), JournalError> {
    if to.exists() {
        let text = format!("{} is there already", to.display());
        return Err(JournalError::new(Trouble::Other, text));
    }
    wait_for_the_views(data)?;
    let partial = PathBuf::from(format!("{}.partial", to.display()));
    // Of an attempt that was cut off.
    let _ = std::fs::remove_file(&partial);
    Reader::open(data)?.copy_to(&partial)?;
    let wrong = |error: std::io::Error| {
        JournalError::new(Trouble::Disk, format!("{}: {error}", to.display()))
    };
    File::open(&partial).and_then(|copy| copy.sync_all()).map_err(wrong)?;
    std::fs::rename(&partial, to).map_err(wrong)
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
            let text =
                "what is in its log isn't in its tables: no host runs that could put it there";
            return Err(JournalError::new(Trouble::Held, text));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Puts a backup in the place of a folder's journal, which nobody may use meanwhile; what was there is put
/// aside, and kept.
///
/// # Errors
/// [`JournalError`]: it isn't a whole journal, or can't be copied; what was there is there still.
pub fn restore(data: &Path, from: &Path, now_ms: i64) -> Result<(), JournalError> {
    let wrong = |error: std::io::Error| {
        JournalError::new(Trouble::NotWritable, format!("{}: {error}", from.display()))
    };
    let partial = data.join("restored.partial");
    std::fs::copy(from, &partial).map_err(wrong)?;
    let found = verify::file(&partial)
        .and_then(|()| File::open(&partial).and_then(|copy| copy.sync_all()).map_err(wrong));
    if let Err(error) = found {
        let _ = std::fs::remove_file(&partial);
        return Err(error);
    }
    for end in ["-wal", "-shm"] {
        // Made by the look at it.
        let _ = std::fs::remove_file(data.join(format!("restored.partial{end}")));
    }
    place::put_aside(data, now_ms)?;
    std::fs::rename(&partial, data.join(schema::FILE)).map_err(wrong)?;
    place::mark(data);
    File::open(data).and_then(|folder| folder.sync_all()).map_err(wrong)
}
