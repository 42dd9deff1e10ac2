//! What lies in a data folder and in backups, and how far each way of going on with it leads: tables, and behind them
//! what of their log can be read.

use std::cmp::Reverse;
use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::lineage::{Lineage, REACHED, Reached};
use super::mend::mended;
use crate::journal::entry::{self, Position};
use crate::journal::error::{JournalError, Trouble};
use crate::journal::log::{self, Log, LogId, SqliteLog};
use crate::journal::views::{Mark, OtherTime};
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

/// What was written down of routing.
const RECORD: [&str; 2] = ["decisions", "routing_log"];

/// What is made of a file with tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Form {
    /// It is used as it is.
    AsItIs,
    /// A copy of it has its indices made anew.
    Mended,
    /// The same, and nothing of why routing chose what it chose: that is damaged, and nothing else follows from it.
    WithoutRecord,
    /// Nothing: there are none, and a log has all there ever was.
    Empty,
}

/// Tables that one can go on with.
#[derive(Clone, Debug)]
pub struct Base {
    /// Where they are.
    pub file: PathBuf,
    /// Whose.
    pub kind: Kind,
    /// What is made of them.
    pub form: Form,
    /// Without what lies beside the file, which isn't whole, or of an earlier time.
    pub is_alone: bool,
    /// What lies beside the file has a hole, and they end there.
    pub is_torn: bool,
    /// How far they have come.
    pub applied: Position,
    /// Which log they follow.
    pub log: Option<LogId>,
    /// In which runs.
    pub lineage: Lineage,
    /// Whoever used them last has stopped in order.
    pub was_stopped: bool,
}

/// A log, and what of it can be read.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// Where it is.
    pub file: PathBuf,
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

/// Tables, perhaps with what logs have behind them.
#[derive(Clone, Debug)]
pub struct Way {
    /// Which.
    pub base: Base,
    /// With these, one after the other.
    pub logs: Vec<Part>,
    /// So far.
    pub leads_to: Position,
    /// So far it is what was acknowledged.
    pub agrees: Position,
}

/// What a way takes of a log.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which.
    pub log: LogFile,
    /// Up to there: another goes on from where this one was left.
    pub up_to: Position,
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
    /// Something may be missing that nobody has noted the extent of.
    may_lack: Option<JournalError>,
}

impl Outlook {
    /// Of a folder that nobody uses, and these backups. Nothing is changed.
    pub fn of(data: &Path, backups: &[PathBuf], looked: &mut Looked) -> Self {
        let mut outlook = Self::default();
        looked.folder = data.to_owned();
        let mut bases = Vec::new();
        let aside = place::put_aside_before(data, schema::FILE);
        let named = backups.iter().map(|file| (file.clone(), Kind::Backup));
        let files = iter::once((data.join(schema::FILE), Kind::Own))
            .chain(aside.into_iter().map(|file| (file, Kind::Aside)))
            .chain(named);
        for (file, kind) in files.filter(|(file, kind)| file.exists() || *kind == Kind::Backup) {
            match looks_at(&file, kind) {
                Ok(found) => {
                    for form in [Form::Mended, Form::WithoutRecord] {
                        bases.extend(found.iter().map(|base| base.made(form)));
                    }
                    bases.extend(found);
                }
                Err(error) => outlook.unusable.push((file, error.to_string())),
            }
        }
        let in_place = SqliteLog::path(data);
        // It may be the disk that has no room to look: that isn't as if it had nothing.
        let mut unread = SqliteLog::check(data).err();
        if in_place.exists() {
            match LogFile::of(&in_place, Reached::of(data).as_ref()) {
                Ok(log) => outlook.logs.push(log),
                Err(error) => drop(unread.get_or_insert(error)),
            }
        }
        let aside = place::put_aside_before(data, log::FILE);
        outlook.logs.extend(aside.iter().filter_map(|file| LogFile::aside(file).ok()));
        let begun = outlook.logs.iter().filter_map(|log| Base::before_all_of(log, data));
        bases.extend(begun.collect::<Vec<_>>());
        let ways = outlook.joined(&bases);
        let (known, may_lack) = outlook.know(data, &bases, &ways, unread, looked);
        let ways = ways.into_iter().map(|way| {
            let agrees = known.as_ref().map_or(way.leads_to, |known| {
                way.lineage.agrees(way.leads_to, &known.lineage, known.at)
            });
            let Joined { base, logs, leads_to, .. } = way;
            let part = |(log, up_to): (&LogFile, Position)| Part { log: log.clone(), up_to };
            let logs = logs.into_iter().map(part).collect();
            Way { base: base.clone(), logs, leads_to, agrees }
        });
        outlook.ways = ways.collect();
        (outlook.known, outlook.may_lack) = (known, may_lack);
        // Of those that have as much of what was acknowledged: what needs nothing to be put in its place. What they have
        // beyond that is of another history.
        outlook.ways.sort_by_key(|way| {
            // What is whole as it is goes before what has to be mended.
            let mended = match way.base.form {
                Form::AsItIs | Form::Empty => 0,
                Form::Mended => 1,
                Form::WithoutRecord => 2,
            };
            let place = (mended, way.base.kind, way.base.form, way.base.is_alone);
            (Reverse(way.agrees), place, Reverse(way.leads_to), way.logs.len())
        });
        outlook
    }

    /// The log in its place, if it can be looked at.
    pub fn log_in_place(&self) -> Option<&LogFile> {
        self.logs.iter().find(|log| log.is_in_place)
    }

    /// Tables alone, and with each line of logs that go on behind them, one behind the other.
    fn joined<'a>(&'a self, bases: &'a [Base]) -> Vec<Joined<'a>> {
        let alone = |base: &'a Base| {
            let (logs, lineage) = (Vec::new(), base.lineage.clone());
            Joined { base, logs, leads_to: base.applied, lineage }
        };
        let mut ways: Vec<Joined<'a>> = bases.iter().map(alone).collect();
        let mut looked_at = 0;
        while let Some(way) = ways.get(looked_at).cloned() {
            looked_at += 1;
            // Each leads further than the one before it, so this ends.
            for log in &self.logs {
                let Some(end) = log.leads(&way.lineage, way.leads_to) else { continue };
                // It may read beyond where it was left for another.
                let left = self.logs.iter().map(|other| {
                    let most = Position(u64::MAX);
                    log.lineage.agrees(most, &other.lineage, most)
                });
                let mut ends: Vec<Position> =
                    left.filter(|at| (way.leads_to.next()..end).contains(at)).collect();
                ends.push(end);
                ends.sort_unstable();
                ends.dedup();
                for leads_to in ends {
                    let logs = way.logs.iter().copied().chain([(log, leads_to)]).collect();
                    let lineage = way.lineage.clone().joined_by(&log.lineage).up_to(leads_to);
                    ways.push(Joined { base: way.base, logs, leads_to, lineage });
                }
            }
            if ways.len() > MOST_WAYS {
                break;
            }
        }
        ways
    }

    /// What was acknowledged. Tables and log in their place say where the last host was; the note may say how much further
    /// it went, or be of before; and whatever goes on from there, or went another way later, has more. Where these don't
    /// fit together, or something is missing that would say more, that is a reason to ask.
    fn know(
        &self,
        data: &Path,
        bases: &[Base],
        ways: &[Joined<'_>],
        unread: Option<JournalError>,
        looked: &mut Looked,
    ) -> (Option<Reached>, Option<JournalError>) {
        let mut doubts = Doubts(unread);
        let (here, fit) = self.here(data, bases, &mut doubts);
        let note = Reached::of(data);
        let is_noted = note.is_some();
        let known = match (note, here) {
            (None, here) => {
                if !fit && (data.join(REACHED).exists() || here.is_none()) {
                    doubts.add(format!("how far it went isn't noted, or {REACHED} can't be read"));
                }
                here
            }
            (Some(note), None) => Some(note),
            (Some(note), Some(here)) if note.goes_on_from(&here) => Some(note),
            (Some(note), Some(here)) if note.lineage.has_left(&here.lineage) => {
                doubts.add(format!("by {REACHED}, what lies in place is of before"));
                Some(note)
            }
            (Some(note), Some(here)) => {
                let is_of_before =
                    here.goes_on_from(&note) || (fit && here.lineage.has_left(&note.lineage));
                if !is_of_before {
                    doubts.add(format!("{REACHED} is of another history, or another journal"));
                }
                Some(here)
            }
        };
        // What recovery has left was accepted: only what one can go on with counts there, and no trace of more.
        let is_settled = bases.iter().any(|base| base.kind == Kind::Own && base.is_settled());
        let seen: Vec<Reached> = match is_settled {
            true => {
                let sound = ways.iter().filter(|way| looked.is_sound(way.base));
                sound.map(Joined::reached).collect()
            }
            false => self.claims(bases),
        };
        let known = latest(known, &seen, &mut doubts);
        // Those that were put aside went another way once; what somebody puts here or names shouldn't have.
        for base in bases.iter().filter(|base| base.kind != Kind::Aside) {
            let Some(known) = &known else { break };
            let agrees = base.lineage.agrees(base.applied, &known.lineage, known.at);
            let is_stranger = is_noted && !base.lineage.shares_a_run_with(&known.lineage);
            if agrees < base.applied && !is_stranger {
                doubts.add(format!("{} has batches of another history", base.file.display()));
            }
        }
        (known, doubts.0)
    }

    /// All that tables and logs say of how far it went, whether one can go on with it or not.
    fn claims(&self, bases: &[Base]) -> Vec<Reached> {
        let tables = bases.iter().map(Base::reached);
        // A stranger's says nothing of these.
        let is_known =
            |log: &&LogFile| bases.iter().any(|base| base.lineage.shares_a_run_with(&log.lineage));
        let logs = self.logs.iter().filter(|log| log.end() > Position(0)).filter(is_known);
        tables.chain(logs.map(LogFile::reached)).collect()
    }

    /// What tables and log in their place say, and whether they fit together.
    fn here(&self, data: &Path, bases: &[Base], doubts: &mut Doubts) -> (Option<Reached>, bool) {
        let own = bases.iter().filter(|base| base.kind == Kind::Own);
        let own = own.max_by_key(|base| base.applied);
        let is_there = SqliteLog::path(data).exists();
        // A command that was broken off may have put it aside.
        let goes_on =
            |log: &LogFile| own.is_some_and(|own| log.lineage.extends(&own.lineage, own.applied));
        let is_own = |log: &LogFile| own.is_some_and(|own| log.id.is_some() && own.log == log.id);
        let log = self
            .logs
            .iter()
            .filter(|log| log.last.is_some())
            .find(|log| log.is_in_place || (!is_there && is_own(log)));
        let (tables, name) = (schema::FILE, log::FILE);
        if own.is_some_and(|own| own.is_torn && log.is_none_or(|log| log.end() < own.applied)) {
            doubts.add(format!("{tables}-wal is damaged in its midst"));
        }
        match (own, log) {
            (Some(own), Some(log)) if goes_on(log) => match log.end() > own.applied {
                true => {
                    let fit = log.leads(&own.lineage, own.applied).is_some();
                    (Some(log.reached()), fit)
                }
                false => (Some(own.reached()), true),
            },
            (Some(own), Some(log)) if own.lineage.shares_a_run_with(&log.lineage) => {
                match own.reached().goes_on_from(&log.reached()) {
                    true => doubts.add(format!("{name} is older than {tables}")),
                    false => doubts.add(format!("{name} is of another history than {tables}")),
                }
                let is_later = log.lineage.has_left(&own.lineage);
                (Some(if is_later { log.reached() } else { own.reached() }), false)
            }
            (_, Some(log)) => {
                let goes_on = |base: &Base| log.lineage.extends(&base.lineage, base.applied);
                if !bases.iter().any(goes_on) {
                    doubts.add(format!("{name} belongs to tables that aren't here"));
                }
                (Some(log.reached()), false)
            }
            (Some(own), None) => {
                // One that begins just now says nothing, nor does one that isn't there if all is in the tables.
                let in_place = self.log_in_place();
                let begins = in_place.is_some_and(is_own);
                let is_needless = !is_there || in_place.is_some();
                let fit = begins || (own.was_stopped && is_needless);
                if !fit {
                    doubts.add(format!("{name}, which belongs to {tables}, isn't here"));
                }
                (Some(own.reached()), fit)
            }
            (None, None) => (None, false),
        }
    }

    /// Why more may have been acknowledged than a way leads to, though nobody has noted that.
    pub fn may_lack<'a>(&'a self, way: &'a Way) -> Option<&'a JournalError> {
        let unread = self.log_in_place().and_then(|log| {
            log.why.as_ref().filter(|_| log.last.is_none_or(|last| way.leads_to < last))
        });
        let doubtful = way.logs.iter().find_map(|part| part.log.doubtful.as_ref());
        self.may_lack.as_ref().or(unread).or(doubtful)
    }

    /// Batches that were acknowledged, and to which a way doesn't lead.
    pub fn lacks(&self, way: &Way) -> u64 {
        self.known.as_ref().map_or(0, |known| known.at.0.saturating_sub(way.agrees.0))
    }
}

/// Tables, the logs behind them, how far they lead, and in which runs.
#[derive(Clone)]
struct Joined<'a> {
    base: &'a Base,
    /// And how much of each.
    logs: Vec<(&'a LogFile, Position)>,
    leads_to: Position,
    lineage: Lineage,
}

impl Joined<'_> {
    fn reached(&self) -> Reached {
        Reached { lineage: self.lineage.clone(), at: self.leads_to }
    }
}

/// More than any folder holds.
const MOST_WAYS: usize = 10_000;

/// Of what is known and what was seen: of a later time, where somebody went another way, before an earlier one; and
/// of that the furthest.
fn latest(known: Option<Reached>, seen: &[Reached], doubts: &mut Doubts) -> Option<Reached> {
    let left_by_others =
        |one: &&Reached| seen.iter().any(|other| other.lineage.has_left(&one.lineage));
    let newest = || seen.iter().filter(|one| !left_by_others(one)).max_by_key(|one| one.at);
    let mut known = known.or_else(|| newest().cloned())?;
    let later = seen.iter().filter(|seen| seen.lineage.has_left(&known.lineage));
    if let Some(later) = later.filter(|one| !left_by_others(one)).max_by_key(|one| one.at) {
        if !later.goes_on_from(&known) {
            doubts.add(
                "what lies in place, or its note, is of before what lies elsewhere".to_owned(),
            );
        }
        known = later.clone();
    }
    let further = seen.iter().filter(|seen| seen.goes_on_from(&known)).max_by_key(|seen| seen.at);
    Some(further.cloned().unwrap_or(known))
}

/// Whose form was looked at, and what was found.
#[derive(Default)]
pub struct Looked {
    /// The journal's.
    folder: PathBuf,
    found: Vec<(PathBuf, Form, bool, Option<String>)>,
    /// What was made for it.
    copies: Vec<(Base, Copy)>,
    /// Something couldn't be looked at: for want of room, say.
    kept_from: Option<JournalError>,
}

/// What was made to be looked at goes with that.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        wal::remove(&self.0);
    }
}

impl Looked {
    /// Whether all of some tables can be read, and agrees.
    pub fn is_sound(&mut self, base: &Base) -> bool {
        let (file, is_alone) = (&base.file, base.is_alone);
        let is_it = |(known, form, alone, _): &&(PathBuf, Form, bool, Option<String>)| {
            known == file && *form == base.form && *alone == is_alone
        };
        if let Some((.., wrong)) = self.found.iter().find(is_it) {
            return wrong.is_none();
        }
        let connection = match base.form {
            Form::Empty => return true,
            // What it would be is made once to see.
            Form::Mended => self.mended(base, &[]),
            Form::WithoutRecord => self.mended(base, &RECORD),
            Form::AsItIs if is_alone || base.kind == Kind::Backup => {
                wal::without_wal(file).map_err(JournalError::from)
            }
            Form::AsItIs => verify::look_only(file),
        };
        let wrong = connection.and_then(|connection| verify::form(&connection)).err();
        if let Some(error) = wrong.as_ref().filter(|error| error.keeps_from_looking()) {
            self.kept_from.get_or_insert_with(|| error.clone());
        }
        let is_sound = wrong.is_none();
        self.found.push((file.clone(), base.form, is_alone, wrong.map(|wrong| wrong.to_string())));
        is_sound
    }

    fn mended(&mut self, base: &Base, leaves_out: &[&str]) -> Result<Connection, JournalError> {
        let name = format!("restored.mended-{}.partial", self.copies.len());
        let copy = Copy(self.folder.join(name));
        wal::remove(&copy.0);
        mended(&base.file, base.is_alone, leaves_out, &copy.0)?;
        let connection = verify::look_only(&copy.0)?;
        self.copies.push((base.clone(), copy));
        Ok(connection)
    }

    /// Gives out what was made of tables to be looked at: it isn't made twice.
    ///
    /// # Errors
    /// [`JournalError`]: it can't be moved there, or wasn't found to be sound.
    pub fn gives_mended(&self, base: &Base, to: &Path) -> Result<(), JournalError> {
        let of = |base: &Base| (base.file.clone(), base.form, base.is_alone);
        let made = self.copies.iter().find(|(made, _)| of(made) == of(base));
        let Some((_, copy)) = made else {
            let text = format!("{} wasn't mended", base.file.display());
            return Err(JournalError::new(Trouble::Other, text));
        };
        std::fs::rename(&copy.0, to).map_err(|error| {
            let text = format!("{}: {error}", to.display());
            JournalError::new(Trouble::NotWritable, text)
        })
    }

    /// Why something couldn't be looked at, which may lead further.
    pub fn kept_from(&self) -> Option<&JournalError> {
        self.kept_from.as_ref()
    }

    /// Those that aren't, and why.
    pub fn damaged(&self) -> impl Iterator<Item = (&PathBuf, &String)> {
        let as_they_are = self.found.iter().filter(|(_, form, ..)| *form == Form::AsItIs);
        as_they_are.filter_map(|(file, .., why)| Some((file, why.as_ref()?)))
    }
}

/// Why it has to be asked: the first reason is the one that counts.
struct Doubts(Option<JournalError>);

impl Doubts {
    fn add(&mut self, why: String) {
        self.0.get_or_insert_with(|| JournalError::new(Trouble::Missing, why));
    }
}

impl Base {
    /// None, where a log has all there ever was.
    fn before_all_of(log: &LogFile, data: &Path) -> Option<Self> {
        let begins = log.readable.first().is_some_and(|(first, _)| *first == Position(1));
        begins.then(|| Self {
            file: data.join(schema::FILE),
            kind: Kind::Aside,
            form: Form::Empty,
            is_alone: false,
            is_torn: false,
            applied: Position(0),
            log: None,
            lineage: log.lineage.oldest(),
            was_stopped: true,
        })
    }

    /// The same in another form.
    fn made(&self, form: Form) -> Self {
        Self { form, ..self.clone() }
    }

    /// Recovery has left them like this, and nobody has gone on with them since.
    fn is_settled(&self) -> bool {
        self.log.is_none() && !self.lineage.is_empty()
    }

    fn reached(&self) -> Reached {
        Reached { lineage: self.lineage.clone(), at: self.applied }
    }
}

/// Batches of logs, as people are told of them.
pub fn ranges<'a>(parts: impl Iterator<Item = &'a (Position, Position)>) -> String {
    let parts: Vec<String> =
        parts.map(|(first, last)| format!("{} to {}", first.0, last.0)).collect();
    parts.join(", ")
}

/// Tables in a file, with what lies beside it and without.
fn looks_at(file: &Path, kind: Kind) -> Result<Vec<Base>, JournalError> {
    let beside = wal::beside(file);
    let of = |connection: &Connection, is_alone: bool| {
        verify::is_a_journal(connection, file)?;
        let mark = match verify::has_a_log(connection)? {
            true => Mark::of(connection)?,
            // There was none when it was written.
            false => {
                let applied = schema::BEFORE_LOG;
                Mark { log: None, was_stopped: true, applied, kept: applied }
            }
        };
        let lineage = Lineage::of(connection, &mark)?;
        let (file, log) = (file.to_owned(), mark.log);
        let Mark { applied, was_stopped, .. } = mark;
        let is_torn = beside == Wal::Broken && !is_alone;
        let form = Form::AsItIs;
        let base = Base { file, kind, form, is_alone, is_torn, applied, log, lineage, was_stopped };
        Ok::<_, JournalError>((base, mark))
    };
    let alone = wal::without_wal(file).map_err(JournalError::from);
    let alone = alone.and_then(|connection| of(&connection, beside != Wal::Missing));
    if beside == Wal::Missing {
        return Ok(vec![alone?.0]);
    }
    // What has a hole is read up to that.
    let both = verify::look_only(file).and_then(|connection| of(&connection, false));
    // Of two times, they are neither.
    let both = both.and_then(|(both, mark)| {
        let time = alone.as_ref().ok().and_then(|(_, alone)| mark.is_of_another_time(alone));
        let wrong = match time {
            None => return Ok(both),
            Some(OtherTime::Earlier) => "what lies beside it is of an earlier time",
            Some(OtherTime::Later) => "what lies beside it is of a later time",
        };
        Err(JournalError::new(Trouble::Damaged, wrong))
    });
    let alone = alone.map(|(alone, _)| alone);
    match (both, alone) {
        (Ok(both), Ok(alone)) => Ok(vec![both, alone]),
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(vec![one]),
        (Err(error), Err(_)) => Err(error),
    }
}

impl LogFile {
    /// The log in its place, as far as it can be read. `noted`: what a host has noted beside it.
    fn of(file: &Path, noted: Option<&Reached>) -> Result<Self, JournalError> {
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

    /// One that was put aside.
    fn aside(file: &Path) -> Result<Self, JournalError> {
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
        Ok(Self { file, is_in_place, id, lineage, readable, last, why, doubtful: None })
    }

    /// The last of its batches that can be read.
    fn end(&self) -> Position {
        self.readable.last().map_or(Position(0), |(_, last)| *last)
    }

    fn reached(&self) -> Reached {
        let at = self.end();
        Reached { lineage: self.lineage.clone().up_to(at), at }
    }

    /// How far it leads from where tables are; nothing, if it is of another history or doesn't go on there.
    fn leads(&self, lineage: &Lineage, at: Position) -> Option<Position> {
        let end = self.end_behind(at);
        (end > at && self.lineage.extends(lineage, at)).then_some(end)
    }

    /// Up to where it can be read behind a position.
    fn end_behind(&self, at: Position) -> Position {
        let next = at.next();
        let part = self.readable.iter().find(|(first, last)| (*first..=*last).contains(&next));
        part.map_or(at, |(_, last)| *last)
    }
}

/// More batches than a log ever keeps.
const MOST_LOOKED_FOR: u64 = 1_000_000;

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

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |file: &Path| match self.base.kind {
            Kind::Backup => file.display().to_string(),
            Kind::Own | Kind::Aside => {
                file.file_name().unwrap_or_default().to_string_lossy().into_owned()
            }
        };
        f.write_str(&name(&self.base.file))?;
        match self.base.form {
            Form::AsItIs => {}
            Form::Mended => f.write_str(" (with its indices made anew)")?,
            Form::WithoutRecord => {
                f.write_str(" (with its indices made anew, without the record of routing)")?;
            }
            Form::Empty => f.write_str(" (begun anew)")?,
        }
        if self.base.is_alone {
            f.write_str(" (without its -wal)")?;
        }
        for Part { log, .. } in &self.logs {
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
