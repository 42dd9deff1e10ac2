//! A log that lies in a data folder, and what of it can be read, whatever of it is damaged.

use std::path::{Path, PathBuf};

use super::lineage::{Lineage, Reached};
use crate::journal::entry::{self, Position};
use crate::journal::error::JournalError;
use crate::journal::log::{Log, LogId, SqliteLog};

/// A log, and what of it can be read.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// Where it is, or what was made of it to be read.
    pub file: PathBuf,
    /// What people know it by.
    pub name: String,
    /// There a host writes it.
    pub is_in_place: bool,
    /// Which one.
    pub id: Option<LogId>,
    /// In which runs its batches came to be.
    pub lineage: Lineage,
    /// Its batches without a gap, the oldest first: from, and up to.
    pub readable: Vec<(Position, Position)>,
    /// The newest that it claims to have.
    pub last: Option<Position>,
    /// Why there isn't more.
    pub why: Option<JournalError>,
    /// Why it can't say itself which one it is, and in which runs it came to be: that is taken from what a host has noted beside it.
    pub doubtful: Option<JournalError>,
}

impl LogFile {
    /// The log in its place, as far as it can be read. `noted`: what a host has noted beside it.
    pub fn of(file: &Path, noted: Option<&Reached>) -> Result<Self, JournalError> {
        let log = SqliteLog::file_to_read(file.to_owned())?;
        let id = log.id();
        match (log.lineage(), noted) {
            (Ok(lineage), _) => Self::read(file, &log, true, id.ok(), lineage),
            (Err(error), Some(noted)) => {
                let read = Self::read(file, &log, true, id.ok(), noted.lineage.clone())?;
                Ok(Self { doubtful: Some(error), ..read })
            }
            (Err(error), None) => Err(error),
        }
    }

    /// One that was put aside, or that was made of one.
    pub fn aside(file: &Path) -> Result<Self, JournalError> {
        let log = SqliteLog::file_to_read(file.to_owned())?;
        let (id, lineage) = (log.id()?, log.lineage()?);
        Self::read(file, &log, false, Some(id), lineage)
    }

    fn read(
        file: &Path,
        log: &SqliteLog,
        is_in_place: bool,
        id: Option<LogId>,
        lineage: Lineage,
    ) -> Result<Self, JournalError> {
        let (first, last) = (log.end_by("min"), log.end_by("max"));
        let why = first.as_ref().err().or(last.as_ref().err()).cloned();
        // Where its end can't be read, what lies before that, or behind, perhaps can.
        let ends = match (&first, &last) {
            (Ok(first), Ok(last)) => first.zip(*last),
            (Ok(first), Err(_)) => first.map(|first| (first, Position(first.0 + MOST_LOOKED_FOR))),
            (Err(_), Ok(last)) => last.map(|last| {
                let first = last.0.saturating_sub(MOST_LOOKED_FOR).max(1);
                (Position(first), last)
            }),
            (Err(_), Err(_)) => None,
        };
        let (readable, missed) = match ends {
            Some((first, last)) => readable(log, first, last),
            None => (Vec::new(), None),
        };
        let why = why.or(missed).or_else(|| log.check_pages().err());
        let (file, last) = (file.to_owned(), last.ok().flatten());
        let name = name_of(&file);
        Ok(Self { file, name, is_in_place, id, lineage, readable, last, why, doubtful: None })
    }

    /// The last of its batches that can be read.
    pub fn end(&self) -> Position {
        self.readable.last().map_or(Position(0), |(_, last)| *last)
    }

    pub fn reached(&self) -> Reached {
        let at = self.end();
        Reached { lineage: self.lineage.clone().up_to(at), at }
    }

    /// How far it leads from where tables are; nothing, if it is of another history or doesn't go on there.
    pub fn leads(&self, lineage: &Lineage, at: Position) -> Option<Position> {
        let end = self.end_behind(at);
        (end > at && self.lineage.extends(lineage, at)).then_some(end)
    }

    /// What can't be read between a position and the end: the first and the last batch of each gap.
    pub fn gaps_behind(&self, at: Position) -> Vec<(Position, Position)> {
        let (mut gaps, mut end) = (Vec::new(), at);
        for (first, last) in self.readable.iter().filter(|(_, last)| *last > at) {
            if *first > end.next() {
                gaps.push((end.next(), Position(first.0 - 1)));
            }
            end = *last;
        }
        gaps
    }

    /// Up to where it can be read behind a position.
    pub fn end_behind(&self, at: Position) -> Position {
        let next = at.next();
        let part = self.readable.iter().find(|(first, last)| (*first..=*last).contains(&next));
        part.map_or(at, |(_, last)| *last)
    }
}

/// What people know a file by, whose folder they know.
pub(super) fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// More batches than a log ever keeps.
pub(super) const MOST_LOOKED_FOR: u64 = 1_000_000;

/// The parts of a log that can be read, and why there isn't more.
fn readable(
    log: &SqliteLog,
    first: Position,
    last: Position,
) -> (Vec<(Position, Position)>, Option<JournalError>) {
    let (mut parts, mut why) = (Vec::<(Position, Position)>::new(), None);
    let mut from = Position(first.0.saturating_sub(1));
    let mut take = |at: Position| match parts.last_mut() {
        Some((_, end)) if end.next() == at => *end = at,
        _ => parts.push((at, at)),
    };
    while from < last {
        let mut reached = from;
        let read = log.each_after(from, &mut |at, bytes| {
            entry::decoded(at, bytes)?;
            take(at);
            reached = at;
            Ok(())
        });
        let Err(error) = read else { break };
        why.get_or_insert(error);
        // The next one can't be read, or not in a row; what is behind that, perhaps.
        let most = last.0.min(reached.0.saturating_add(MOST_LOOKED_FOR));
        let next = (reached.0 + 1..=most).map(Position).find(|at| {
            let batch = log.batch(*at).ok().flatten();
            batch.is_some_and(|bytes| entry::decoded(*at, &bytes).is_ok())
        });
        let Some(next) = next else { break };
        take(next);
        from = next;
    }
    (parts, why)
}

/// Batches of logs, as people are told of them.
pub fn ranges<'a>(parts: impl Iterator<Item = &'a (Position, Position)>) -> String {
    let range = |(first, last): &(Position, Position)| match first == last {
        true => first.0.to_string(),
        false => format!("{} to {}", first.0, last.0),
    };
    let parts: Vec<String> = parts.map(range).collect();
    parts.join(", ")
}
