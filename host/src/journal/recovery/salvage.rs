//! A log whose newest part stands behind damage in what lies beside it: each batch says itself whether it is what was
//! written, so whatever SQLite can be brought to read of it is taken, however its pages came together.

use std::path::Path;

use super::lineage::Lineage;
use super::log_file::{LogFile, MOST_LOOKED_FOR, name_of};
use crate::journal::entry::{self, Position};
use crate::journal::error::{JournalError, Trouble};
use crate::journal::log::{LogId, SqliteLog};
use crate::journal::wal::{Damaged, Pages};

/// What is known of a log elsewhere.
#[derive(Clone, Copy, Default)]
pub struct Elsewhere<'a> {
    /// By the note of the host that has written it.
    pub noted: Option<&'a Lineage>,
    /// By the tables that follow it: which it is, and their runs.
    pub tables: Option<(LogId, &'a Lineage)>,
}

/// What was made of one.
pub struct Salvaged {
    /// Of its batches.
    pub log: LogFile,
    /// Its end is that of what was on disk.
    pub is_all: bool,
}

impl Salvaged {
    /// Of a log, by way of two files that are needed no longer then. `elsewhere`: what is known of it there.
    ///
    /// # Errors
    /// [`JournalError`]: nobody says whose it is, or nothing can be written.
    pub fn of(
        file: &Path,
        elsewhere: &Elsewhere<'_>,
        parts: [&Path; 2],
        to: &Path,
    ) -> Result<Self, JournalError> {
        let wrong = |error: std::io::Error| {
            // Whatever can't be read of it was left out.
            JournalError::new(Trouble::NotWritable, format!("{}: {error}", to.display()))
        };
        // A damaged page may be right but for some bytes; or, as it was before, lead to more.
        Pages::behind_damage(file, Damaged::Left, parts[0]).map_err(wrong)?;
        let is_all = Pages::behind_damage(file, Damaged::Taken, parts[1]).map_err(wrong)?;
        let logs = [file, parts[0], parts[1]].map(|file| SqliteLog::file_to_read(file.to_owned()));
        let logs: Vec<&SqliteLog> = logs.iter().flatten().collect();
        let cant_be_read = || {
            let text = format!("{} doesn't say whose it is", file.display());
            JournalError::new(Trouble::Damaged, text)
        };
        // That never changes; in which runs they came to be, does with each start.
        let id = logs.iter().find_map(|log| log.id().ok()).or(elsewhere.tables.map(|(id, _)| id));
        let id = id.ok_or_else(cant_be_read)?;
        let said: Vec<Lineage> = logs.iter().filter_map(|log| log.lineage().ok()).collect();
        let is_noted = |lineage: &&Lineage| Some(*lineage) == elsewhere.noted;
        let said = said.iter().find(is_noted).or(said.last());
        // Its own word may be of before the newest start, whose page is lost.
        let of_tables = elsewhere.tables.filter(|(of, _)| *of == id).map(|(_, lineage)| lineage);
        let known = [elsewhere.noted, of_tables].into_iter().flatten();
        let later = known.clone().find(|known| said.is_none_or(|said| known.has_left(said)));
        let lineage = later.or(said).ok_or_else(cant_be_read)?;
        let doubtful = later.map(|_| {
            let text = format!("{} doesn't say in which runs it came to be", name_of(file));
            JournalError::new(Trouble::Damaged, text)
        });
        let ends = |which: &'static str| {
            logs.iter().filter_map(move |log| log.end_by(which).ok().flatten())
        };
        let (first, last) = (ends("min").min(), ends("max").max());
        let (first, last) = first.zip(last).unwrap_or((Position(1), Position(0)));
        let most = last.0.min(first.0.saturating_add(MOST_LOOKED_FOR));
        let whole = |at: Position| {
            let mut read = logs.iter().filter_map(|log| log.batch(at).ok().flatten());
            Some((at, read.find(|batch| entry::decoded(at, batch).is_ok())?))
        };
        let batches = (first.0..=most).map(Position).filter_map(whole);
        SqliteLog::make(to, (id, lineage), batches)?;
        let log = LogFile { name: name_of(file), doubtful, ..LogFile::aside(to)? };
        Ok(Self { is_all: is_all && log.end() == last, log })
    }
}
