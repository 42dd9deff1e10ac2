//! What lies in a data folder and in backups, and how far each way of going on with it leads: tables, and behind them
//! what of their log can be read.

use std::cmp::Reverse;
use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::lineage::{Lineage, REACHED, Reached};
use crate::journal::entry::{self, Position};
use crate::journal::error::{JournalError, Trouble};
use crate::journal::log::{self, Log, LogId, SqliteLog};
use crate::journal::views::Mark;
use crate::journal::wal::{self, Wal};
use crate::journal::{place, schema, verify};

/// Where tables lie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// In their place.
    Own,
    /// In the folder, put aside by an earlier command or by the host.
    Aside,
    /// Named by the operator.
    Backup,
}

/// Tables that one can go on with.
#[derive(Clone, Debug)]
pub struct Base {
    /// Where they are.
    pub file: PathBuf,
    /// Whose.
    pub kind: Kind,
    /// Without what lies beside the file, which isn't whole, or of an earlier time.
    pub is_alone: bool,
    /// How far they have come.
    pub applied: Position,
    /// Which log they follow.
    pub log: Option<LogId>,
    /// Along which logs.
    pub lineage: Lineage,
    /// Whoever used them last has stopped in order.
    pub was_stopped: bool,
}

/// A log, and what of it can be read.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// Where it is.
    pub file: PathBuf,
    /// Which one.
    pub id: LogId,
    /// Its batches without a gap, the oldest first: from, and up to.
    pub readable: Vec<(Position, Position)>,
    /// Why there isn't more.
    pub why: Option<JournalError>,
}

/// Tables, perhaps with what a log has behind them.
#[derive(Clone, Debug)]
pub struct Way {
    /// Which.
    pub base: Base,
    /// With this one.
    pub log: Option<LogFile>,
    /// So far.
    pub leads_to: Position,
    /// So far it is what was acknowledged.
    pub agrees: Position,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Outlook {
    /// Ways to go on, the one that leads furthest first.
    pub ways: Vec<Way>,
    /// What of the tables can't be used, and why.
    pub unusable: Vec<(PathBuf, String)>,
    /// Logs that can be read, at least in part.
    pub logs: Vec<LogFile>,
    /// How far what was acknowledged goes, as far as is known.
    pub known: Option<Reached>,
    /// A host has noted that; otherwise it follows from what can be read.
    pub is_noted: bool,
    /// Something may be missing that nobody has noted the extent of.
    may_lack: Option<JournalError>,
    /// The log in its place can't even be looked at.
    unread_log: Option<JournalError>,
}

impl Outlook {
    /// Of a folder that nobody uses, and these backups. Nothing is changed.
    pub fn of(data: &Path, backups: &[PathBuf]) -> Self {
        let mut outlook = Self::default();
        let mut bases = Vec::new();
        let own = data.join(schema::FILE);
        let aside = place::put_aside_before(data, schema::FILE);
        let named = backups.iter().map(|file| (file.clone(), Kind::Backup));
        let files = std::iter::once((own.clone(), Kind::Own))
            .chain(aside.into_iter().map(|file| (file, Kind::Aside)))
            .chain(named);
        for (file, kind) in files.filter(|(file, kind)| file.exists() || *kind == Kind::Backup) {
            match looks_at(&file, kind) {
                Ok(found) => bases.extend(found),
                Err(error) => outlook.unusable.push((file, error.to_string())),
            }
        }
        let logs = std::iter::once(SqliteLog::path(data));
        let logs = logs.chain(place::put_aside_before(data, log::FILE));
        for file in logs.filter(|file| file.exists()) {
            match LogFile::of(&file) {
                Ok(log) => outlook.logs.push(log),
                // It may be the disk that has no room to look: that isn't as if it had nothing.
                Err(error) if file == SqliteLog::path(data) => {
                    outlook.unread_log = Some(error);
                }
                Err(_) => {}
            }
        }
        outlook.know(data, &bases);
        for base in bases {
            let mut ways = vec![(None, base.applied)];
            for log in &outlook.logs {
                if let Some(leads_to) = log.leads(&base) {
                    ways.push((Some(log.clone()), leads_to));
                }
            }
            let known = outlook.known.as_ref();
            outlook.ways.extend(ways.into_iter().map(|(log, leads_to)| {
                let agrees = known.map_or(leads_to, |known| {
                    base.lineage.agrees(leads_to, &known.lineage, known.at)
                });
                Way { base: base.clone(), log, leads_to, agrees }
            }));
        }
        // Of those that have as much of what was acknowledged: what needs nothing to be put in its place. What they have
        // beyond that is of another history.
        outlook.ways.sort_by_key(|way| {
            let place = (way.base.kind, way.base.is_alone);
            (Reverse(way.agrees), place, Reverse(way.leads_to), way.log.is_some())
        });
        outlook
    }

    /// What was acknowledged, by the note of the last host and by all that lies here: tables and logs that go on from what
    /// was noted know of more than that; a note that none of them knows of is another journal's.
    fn know(&mut self, data: &Path, bases: &[Base]) {
        let log = self.logs.iter().find(|log| log.file == SqliteLog::path(data));
        let seen = seen(bases, &self.logs, log);
        let note = Reached::of(data);
        let is_theirs =
            |note: &Reached| seen.iter().any(|seen| seen.lineage.shares_a_log_with(&note.lineage));
        let unread = match &note {
            Some(note) if is_theirs(note) || seen.is_empty() => None,
            Some(_) => Some(format!("{REACHED} is of another journal")),
            None if data.join(REACHED).exists() => Some(format!("{REACHED} can't be read")),
            None => Some("nobody has noted how far it went".to_owned()),
        };
        let note = note.filter(|_| unread.is_none());
        self.is_noted = note.is_some();
        let from = note.or_else(|| seen.first().cloned());
        // The log in its place is what the last host wrote; without it, what goes on furthest.
        let goes_on = |seen: &&Reached| from.as_ref().is_some_and(|from| seen.goes_on_from(from));
        let is_last = log.is_some_and(|log| !log.readable.is_empty());
        let newest = seen.first().filter(|_| is_last).filter(goes_on);
        let furthest = || seen.iter().rev().filter(goes_on).max_by_key(|seen| seen.at);
        self.known = newest.or_else(furthest).cloned().or(from);
        self.may_lack = SqliteLog::check(data).err().or(self.unread_log.take());
        // Without a note, a log that can be read to its end says as much.
        let is_whole = log.is_some_and(|log| log.why.is_none() && !log.readable.is_empty());
        if let (None, Some(why), false) = (&self.may_lack, unread, is_whole) {
            self.may_lack = Some(JournalError::new(Trouble::Missing, why));
        }
    }

    /// Why more may have been acknowledged than a way leads to, though nobody has noted that.
    pub fn may_lack(&self, way: &Way) -> Option<&JournalError> {
        // As it stopped in order, nothing was left to be noted.
        let is_own = way.base.kind == Kind::Own && !way.base.is_alone && way.base.was_stopped;
        let is_known_of = self.is_noted || self.logs.iter().all(|log| Some(log.id) != way.base.log);
        self.may_lack.as_ref().filter(|_| !(is_own && is_known_of))
    }

    /// Batches that were acknowledged, and to which a way doesn't lead.
    pub fn lacks(&self, way: &Way) -> u64 {
        self.known.as_ref().map_or(0, |known| known.at.0.saturating_sub(way.agrees.0))
    }
}

/// What tables and logs say of how far it went, each along its own logs: first what the log in its place says, then the
/// tables in theirs, then what lies aside, then backups.
fn seen(bases: &[Base], logs: &[LogFile], own_log: Option<&LogFile>) -> Vec<Reached> {
    let of_log = |log: &LogFile| {
        let (_, at) = log.readable.last().copied()?;
        let base = bases.iter().find(|base| base.log == Some(log.id));
        let lineage = base.map_or_else(|| Lineage::only(log.id), |base| base.lineage.clone());
        let tables = bases.iter().filter(|base| base.log == Some(log.id));
        let at = tables.map(|base| base.applied).chain([at]).max()?;
        Some(Reached { lineage, at })
    };
    let of_base = |base: &Base| Reached { lineage: base.lineage.clone(), at: base.applied };
    let of = |kind: Kind| {
        let mut of_kind: Vec<&Base> = bases.iter().filter(|base| base.kind == kind).collect();
        of_kind.sort_by_key(|base| Reverse(base.applied));
        of_kind.into_iter().map(of_base).collect::<Vec<_>>()
    };
    let mut seen: Vec<Reached> = own_log.and_then(of_log).into_iter().collect();
    seen.extend(of(Kind::Own));
    seen.extend(logs.iter().filter_map(of_log));
    seen.extend(of(Kind::Aside));
    seen.extend(of(Kind::Backup));
    seen
}

/// Tables in a file, with what lies beside it and without.
fn looks_at(file: &Path, kind: Kind) -> Result<Vec<Base>, JournalError> {
    let beside = wal::beside(file);
    let of = |connection: &Connection, is_alone| {
        verify::is_a_journal(connection, file)?;
        let mark = match verify::has_a_log(connection)? {
            true => Mark::of(connection)?,
            // There was none when it was written.
            false => Mark { log: None, was_stopped: true, applied: Position(0), kept: Position(0) },
        };
        let lineage = Lineage::of(connection, &mark)?;
        let (file, log) = (file.to_owned(), mark.log);
        let Mark { applied, was_stopped, kept, .. } = mark;
        let base = Base { file, kind, is_alone, applied, log, lineage, was_stopped };
        Ok::<_, JournalError>((base, kept))
    };
    let alone = wal::without_wal(file).map_err(JournalError::from);
    let alone = alone.and_then(|connection| of(&connection, beside != Wal::Missing));
    let alone = alone.map(|(alone, _)| alone);
    if beside != Wal::Whole {
        return Ok(vec![alone?]);
    }
    let both = verify::look_only(file).and_then(|connection| of(&connection, false));
    // Of two times, they are neither.
    let both = both.and_then(|(both, kept)| {
        let wrong = match &alone {
            Ok(alone) if alone.applied > both.applied => {
                "what lies beside it is of an earlier time"
            }
            Ok(alone) if alone.applied < kept => "what lies beside it is of a later time",
            _ => return Ok(both),
        };
        Err(JournalError::new(Trouble::Damaged, wrong))
    });
    match (both, alone) {
        (Ok(both), Ok(alone)) => Ok(vec![both, alone]),
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(vec![one]),
        (Err(error), Err(_)) => Err(error),
    }
}

impl LogFile {
    /// A log's, as far as it can be read.
    fn of(file: &Path) -> Result<Self, JournalError> {
        let log = SqliteLog::file_to_read(file.to_owned())?;
        let id = log.id()?;
        let (readable, why) = match log.ends() {
            Ok(None) => (Vec::new(), None),
            Ok(Some((first, last))) => readable(&log, first, last),
            Err(error) => (Vec::new(), Some(error)),
        };
        let why = why.or_else(|| log.check_pages().err());
        Ok(Self { file: file.to_owned(), id, readable, why })
    }

    /// How far it leads from tables; nothing, if it isn't theirs or doesn't go on where they end.
    fn leads(&self, base: &Base) -> Option<Position> {
        if base.log != Some(self.id) {
            return None;
        }
        let next = base.applied.next();
        let part = self.readable.iter().find(|(first, last)| (*first..=*last).contains(&next));
        part.map(|(_, last)| *last)
    }
}

/// More batches than a log ever keeps.
const MOST_LOOKED_FOR: usize = 1_000_000;

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
        // The one behind can't be read; what is behind that, perhaps.
        let behind = (reached.0 + 2..=last.0).take(MOST_LOOKED_FOR).map(Position);
        let next = behind.into_iter().find(|at| {
            let batch = log.batch(*at).ok().flatten();
            batch.is_some_and(|bytes| entry::decoded(*at, &bytes).is_ok())
        });
        let Some(next) = next else { break };
        from = Position(next.0 - 1);
    }
    (parts, why)
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |file: &Path| match self.base.kind {
            Kind::Backup => file.display().to_string(),
            Kind::Own | Kind::Aside => {
                file.file_name().unwrap_or_default().to_string_lossy().into_owned()
            }
        };
        f.write_str(&name(&self.base.file))?;
        if self.base.is_alone {
            f.write_str(" (without its -wal)")?;
        }
        if let Some(log) = &self.log {
            let log = log.file.file_name().unwrap_or_default().to_string_lossy();
            write!(f, " and {log}")?;
        }
        write!(f, ": up to batch {}", self.leads_to.0)?;
        match self.agrees < self.leads_to {
            true => write!(f, ", of which {} are what was acknowledged last", self.agrees.0),
            false => Ok(()),
        }
    }
}
