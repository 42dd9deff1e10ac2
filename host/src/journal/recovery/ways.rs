//! What lies in a data folder and in backups, and how far each way of going on with it leads: tables, and behind them
//! what of their log can be read.

use std::cmp::Reverse;
use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};

use super::accepted::Accepted;
use super::base::{Base, Form, Kind, looks_at};
use super::held::Held;
use super::lineage::{Lineage, REACHED, Reached};
use super::log_file::{LogFile, name_of, ranges};
use super::looked::Looked;
use super::salvage::{Elsewhere, Salvaged};
use crate::journal::entry::Position;
use crate::journal::error::{JournalError, Trouble};
use crate::journal::log::{self, SqliteLog};
use crate::journal::{folder, schema};

/// Tables, perhaps with what logs have behind them.
#[derive(Clone, Debug)]
pub struct Way {
    /// Which.
    pub base: Base,
    /// With these, one after the other.
    pub logs: Vec<Part>,
    /// So far.
    pub leads_to: Position,
    /// So far it is what was acknowledged, without a gap that wasn't accepted.
    pub agrees: Position,
    /// Batches that were acknowledged and that it hasn't got, but for those whose loss was accepted.
    pub lacks: u64,
    /// And with those.
    pub lacks_ever: u64,
    /// What it has.
    pub held: Held,
}

impl Way {
    /// Batches that can't be read and are gone over, the first and the last of each gap.
    pub fn gaps(&self) -> impl Iterator<Item = &(Position, Position)> {
        self.logs.iter().flat_map(|part| &part.gaps)
    }

    /// Whether there are any.
    pub fn has_gaps(&self) -> bool {
        self.gaps().next().is_some()
    }
}

/// What a way takes of a log.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which.
    pub log: LogFile,
    /// Up to there: another goes on from where this one was left.
    pub up_to: Position,
    /// Batches that can't be read in it before that, the first and the last of each gap.
    pub gaps: Vec<(Position, Position)>,
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
    /// How far it went before an earlier command gave something up, if nobody has gone on since.
    pub accepted: Option<Accepted>,
    /// Something may be missing that nobody has noted the extent of.
    may_lack: Option<JournalError>,
}

impl Outlook {
    /// Of a folder that nobody uses, and these backups. Nothing is changed.
    pub fn of(data: &Path, backups: &[PathBuf], looked: &mut Looked) -> Self {
        let mut outlook = Self::default();
        looked.folder = data.to_owned();
        let mut bases = Vec::new();
        let aside = folder::put_aside_before(data, schema::FILE);
        let named = backups.iter().map(|file| (file.clone(), Kind::Backup));
        let files = iter::once((data.join(schema::FILE), Kind::Own))
            .chain(aside.into_iter().map(|file| (file, Kind::Aside)))
            .chain(named);
        for (file, kind) in files.filter(|(file, kind)| file.exists() || *kind == Kind::Backup) {
            match looks_at(&file, kind) {
                Ok(found) => {
                    for form in [Form::Mended, Form::Doubtful, Form::WithoutRecord] {
                        let of_today = found.iter().filter(|base| !base.is_older);
                        bases.extend(of_today.map(|base| base.made(form)));
                    }
                    bases.extend(found);
                }
                Err(error) => {
                    looked.note(&error);
                    outlook.unusable.push((file, error.to_string()));
                }
            }
        }
        let in_place = SqliteLog::path(data);
        // It may be the disk that has no room to look: that isn't as if it had nothing.
        let mut unread = SqliteLog::check(data).err();
        if in_place.exists() {
            let noted = Reached::of(data);
            let own = bases.iter().filter(|base| base.kind == Kind::Own);
            let own = own.filter_map(|base| Some((base.applied, base.log?, &base.lineage)));
            let tables = own.max_by_key(|(applied, ..)| *applied);
            let tables = tables.map(|(_, log, lineage)| (log, lineage));
            let known = Elsewhere { noted: noted.as_ref().map(|noted| &noted.lineage), tables };
            match looked.behind_damage(&in_place, &known) {
                Ok(Some(Salvaged { log, is_all })) => {
                    unread = unread.filter(|_| !is_all);
                    outlook.logs.push(LogFile { is_in_place: true, ..log });
                }
                not_so => {
                    not_so.err().iter().for_each(|error| looked.note(error));
                    match LogFile::of(&in_place, noted.as_ref()) {
                        Ok(log) => outlook.logs.push(log),
                        Err(error) => drop(unread.get_or_insert(error)),
                    }
                }
            }
        }
        let of_log = outlook.logs.iter().filter_map(|log| log.why.as_ref());
        of_log.chain(&unread).for_each(|error| looked.note(error));
        let aside = folder::put_aside_before(data, log::FILE);
        for file in aside {
            let salvaged = looked
                .behind_damage(&file, &Elsewhere::default())
                .ok()
                .flatten()
                .map(|salvaged| salvaged.log);
            outlook.logs.extend(salvaged.or_else(|| LogFile::aside(&file).ok()));
        }
        let begun = outlook.logs.iter().filter_map(|log| Base::before_all_of(log, data));
        bases.extend(begun.collect::<Vec<_>>());
        let ways = outlook.joined(&bases);
        let (known, may_lack) = outlook.know(data, &bases, &ways, unread, looked);
        let accepted = Accepted::of(data);
        let accepted = accepted.or(were_left_by_recovery(&bases).then(Accepted::unknown));
        let compared =
            ways.into_iter().map(|way| way.compared_with(known.as_ref(), accepted.as_ref()));
        outlook.ways = compared.collect();
        outlook.accepted = accepted;
        (outlook.known, outlook.may_lack) = (known, may_lack);
        // Of those that have as much of what was acknowledged: what needs no gap to be gone over, and nothing to be put in
        // its place. What they have beyond that is of another history.
        outlook.ways.sort_by_key(|way| {
            // What is whole as it is goes before what has to be mended.
            let mended = match way.base.form {
                Form::AsItIs | Form::Empty => 0,
                Form::Mended => 1,
                Form::Doubtful => 2,
                Form::WithoutRecord => 3,
            };
            let place = (mended, way.base.kind, way.base.form, way.base.is_alone);
            let whole = (way.held.missing(), Reverse(way.agrees), way.gaps().count());
            (way.lacks, whole, place, Reverse(way.leads_to), way.logs.len())
        });
        outlook
    }

    /// The tables in these files.
    pub fn bases_of(&self, files: &[PathBuf]) -> impl Iterator<Item = &Base> {
        let alone = self.ways.iter().filter(|way| way.logs.is_empty());
        alone.map(|way| &way.base).filter(|base| {
            base.form == Form::AsItIs && base.kind == Kind::Backup && files.contains(&base.file)
        })
    }

    /// The log in its place, if it can be looked at.
    pub fn log_in_place(&self) -> Option<&LogFile> {
        self.logs.iter().find(|log| log.is_in_place)
    }

    /// Tables alone, and with each line of logs that go on behind them, one behind the other.
    fn joined<'a>(&'a self, bases: &'a [Base]) -> Vec<Joined<'a>> {
        let alone = |base: &'a Base| {
            let (logs, lineage, at) = (Vec::new(), base.lineage.clone(), base.applied);
            Joined { base, logs, whole_to: at, leads_to: at, lineage }
        };
        let mut ways: Vec<Joined<'a>> = bases.iter().map(alone).collect();
        let mut looked_at = 0;
        while let Some(way) = ways.get(looked_at).cloned() {
            looked_at += 1;
            // What has a gap is no log's past.
            if way.whole_to < way.leads_to {
                continue;
            }
            // Each leads further than the one before it, so this ends.
            for log in &self.logs {
                ways.extend(way.over_gaps(log));
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
                    ways.push(way.with(log, leads_to, leads_to, Vec::new()));
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
        let seen: Vec<Reached> = match were_left_by_recovery(bases) {
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
            let (at, lineage) = (base.applied, &base.lineage);
            let agrees = lineage.agrees_but_for_gaps(at, &known.lineage, known.at);
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

    /// How many batches a file has that were given up, so that nothing that is known goes on from them.
    pub fn has_beyond(&self, base: &Base) -> u64 {
        self.known.as_ref().map_or(0, |known| {
            let at = (base.applied, known.at);
            let shared = base.lineage.agrees_but_for_gaps(at.0, &known.lineage, at.1);
            Held::up_to(shared, &base.lineage).beyond(&known.held())
        })
    }
}

/// Tables, the logs behind them, how far they lead, and in which runs.
#[derive(Clone)]
struct Joined<'a> {
    base: &'a Base,
    logs: Vec<Used<'a>>,
    /// So far without a gap.
    whole_to: Position,
    leads_to: Position,
    /// Up to the first gap.
    lineage: Lineage,
}

/// How much of a log.
#[derive(Clone)]
struct Used<'a> {
    log: &'a LogFile,
    up_to: Position,
    gaps: Vec<(Position, Position)>,
}

impl<'a> Joined<'a> {
    fn reached(&self) -> Reached {
        Reached { lineage: self.lineage.clone(), at: self.whole_to }
    }

    fn with(
        &self,
        log: &'a LogFile,
        whole_to: Position,
        leads_to: Position,
        gaps: Vec<(Position, Position)>,
    ) -> Self {
        let used = Used { log, up_to: leads_to, gaps };
        let logs = self.logs.iter().cloned().chain([used]).collect();
        let lineage = match whole_to > self.leads_to {
            true => self.lineage.clone().joined_by(&log.lineage).up_to(whole_to),
            false => self.lineage.clone(),
        };
        Self { base: self.base, logs, whole_to, leads_to, lineage }
    }

    /// With all that a log has further on, over what can't be read of it; nothing, if there is no gap, or it isn't theirs.
    fn over_gaps(&self, log: &'a LogFile) -> Option<Self> {
        let (at, is_theirs) = (self.leads_to, log.lineage.extends(&self.lineage, self.leads_to));
        // It was there before with all of it, if it was used up to here.
        let is_used = self.logs.last().is_some_and(|last| last.log.file == log.file);
        let gaps = log.gaps_behind(at);
        let (before, _) = gaps.first().filter(|_| is_theirs && !is_used)?;
        let whole_to = Position(before.0 - 1);
        Some(self.with(log, whole_to, log.end(), gaps))
    }

    /// How far it is what was acknowledged, and which batches of that it has.
    fn held_of(&self, known: Option<&Reached>) -> (Position, Held) {
        let agrees = |lineage: &Lineage, at| {
            let agrees =
                |known: &Reached| lineage.agrees_but_for_gaps(at, &known.lineage, known.at);
            known.map_or(at, agrees)
        };
        let agreed = agrees(&self.lineage, self.whole_to);
        let mut held = Held::up_to(agreed, &self.lineage);
        // Behind a gap nothing else is joined: there is one log that has any.
        for Used { log, up_to, gaps } in self.logs.iter().filter(|used| !used.gaps.is_empty()) {
            let end = agrees(&log.lineage, *up_to);
            let starts = gaps.iter().map(|(_, last)| last.0 + 1);
            let ends = gaps.iter().skip(1).map(|(first, _)| first.0 - 1).chain([up_to.0]);
            held =
                starts.zip(ends).fold(held, |held, (first, last)| held.and(first, last.min(end.0)));
        }
        (agreed, held)
    }

    /// Beside what was acknowledged, and beside what was known before anything of that was given up.
    fn compared_with(self, known: Option<&Reached>, accepted: Option<&Accepted>) -> Way {
        let (agrees, held) = self.held_of(known);
        let lacks = known.map_or(0, |known| known.held().beyond(&held));
        let lacks_ever = accepted
            .map_or(0, |Accepted { known, .. }| known.held().beyond(&self.held_of(Some(known)).1));
        let lacks_ever = lacks_ever.max(lacks);
        let Self { base, logs, leads_to, .. } = self;
        let part = |Used { log, up_to, gaps }: Used<'_>| Part { log: log.clone(), up_to, gaps };
        let logs = logs.into_iter().map(part).collect();
        Way { base: base.clone(), logs, leads_to, agrees, lacks, lacks_ever, held }
    }
}

/// Whether nobody has gone on with the tables in their place since a recovery.
fn were_left_by_recovery(bases: &[Base]) -> bool {
    bases.iter().any(|base| base.kind == Kind::Own && base.was_left_by_recovery())
}

/// More than any folder holds.
const MOST_WAYS: usize = 10_000;

/// Of what is known and what was seen: of a later time, where somebody went another way, before an earlier one; and
/// of that the furthest.
fn latest(known: Option<Reached>, seen: &[Reached], doubts: &mut Doubts) -> Option<Reached> {
    let left_by_others =
        |one: &&Reached| seen.iter().any(|other| other.lineage.has_left(&one.lineage));
    let most = |one: &&Reached| (one.at, Reverse(one.held().missing()));
    let newest = || seen.iter().filter(|one| !left_by_others(one)).max_by_key(most);
    let mut known = known.or_else(|| newest().cloned())?;
    let later = seen.iter().filter(|seen| seen.lineage.has_left(&known.lineage));
    if let Some(later) = later.filter(|one| !left_by_others(one)).max_by_key(most) {
        if !later.goes_on_from(&known) {
            doubts.add(
                "what lies in place, or its note, is of before what lies elsewhere".to_owned(),
            );
        }
        known = later.clone();
    }
    let further = seen.iter().filter(|seen| seen.goes_on_from(&known)).max_by_key(most);
    Some(further.cloned().unwrap_or(known))
}

/// Why it has to be asked: the first reason is the one that counts.
struct Doubts(Option<JournalError>);

impl Doubts {
    fn add(&mut self, why: String) {
        self.0.get_or_insert_with(|| JournalError::new(Trouble::Missing, why));
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |file: &Path| match self.base.kind {
            Kind::Backup => file.display().to_string(),
            Kind::Own | Kind::Aside => name_of(file),
        };
        f.write_str(&name(&self.base.file))?;
        match self.base.form {
            Form::AsItIs => {}
            Form::Mended | Form::Doubtful => f.write_str(" (with its indices made anew)")?,
            Form::WithoutRecord => {
                f.write_str(" (with its indices made anew, without the record of routing)")?;
            }
            Form::Empty => f.write_str(" (begun anew)")?,
        }
        if self.base.is_alone {
            f.write_str(" (without its -wal)")?;
        }
        for Part { log, gaps, .. } in &self.logs {
            write!(f, " and {}", log.name)?;
            if !gaps.is_empty() {
                write!(f, " (without batches {})", ranges(gaps.iter()))?;
            }
        }
        write!(f, ": up to batch {}", self.leads_to.0)?;
        match self.agrees < self.leads_to && !self.has_gaps() {
            true => write!(f, ", of which {} are what was acknowledged last", self.agrees.0),
            false => Ok(()),
        }
    }
}
