//! Which of two states of a journal has more: positions count only along the same logs.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::accepted::Accepted;
use super::held::Held;
use crate::journal::entry::Position;
use crate::journal::error::JournalError;
use crate::journal::schema;
use crate::journal::views::Mark;

type Result<T> = std::result::Result<T, JournalError>;

/// The name of a run: from one start to the next. It is random.
pub type RunId = [u8; 16];

/// The runs in which a journal came to be what it is, the oldest first, each with the position behind which it begins. Two
/// that share one have the same past up to where it begins, and whatever was brought back from an earlier time (a backup,
/// a snapshot of the machine) and goes on from there has another one from there on. Journals of before had one for each
/// log.
///
/// Where batches were lost and what came behind them was gone on with, a gap stands among them like a run: what others
/// have from there on doesn't join what was made without these batches. Which of two has more goes by the runs alone.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Lineage(Vec<(RunId, u64)>);

impl Lineage {
    /// Runs that are remembered; beyond, the shortest ones of before are forgotten: those of a host that couldn't start,
    /// say.
    const MOST: i64 = 512;
    /// The newest stay.
    const NEWEST: i64 = 64;
    /// And in the note, which is written often.
    const MOST_NOTED: usize = 64;

    /// Of tables, by their own word; those of before had one log. They may know of runs that lie before them: they take
    /// over those of a log before they take its batches.
    ///
    /// # Errors
    /// [`JournalError`]: they can't be read.
    pub fn of(connection: &Connection, mark: &Mark) -> Result<Self> {
        let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'lineage')";
        if !connection.query_row(exists, [], |row| row.get(0))? {
            return Ok(Self(mark.log.map(|log| (log, 0)).into_iter().collect()));
        }
        // By the further one, where they say in two places how far they have come.
        let applied = mark.applied.0.cast_signed();
        let passed =
            format!("SELECT log, after FROM lineage WHERE after <= {applied} ORDER BY number");
        Ok(Self::read(connection, &passed)?)
    }

    /// Of rows with a name and a position.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn read(connection: &Connection, query: &str) -> rusqlite::Result<Self> {
        let mut runs = connection.prepare(query)?;
        let runs = runs.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
        let runs = runs.map(|row| row.map(|(run, after)| (run, after.cast_unsigned())));
        Ok(Self(runs.collect::<rusqlite::Result<_>>()?))
    }

    /// A run, or a log of before, of which nothing else is known.
    pub fn only(run: RunId) -> Self {
        Self(vec![(run, 0)])
    }

    /// With another run behind a position.
    pub fn with(mut self, run: RunId, after: Position) -> Self {
        self.0.push((run, after.0));
        self
    }

    /// With those of a log that goes on from there (see [`Lineage::extends`]).
    pub fn joined_by(mut self, log: &Self) -> Self {
        if self.is_empty() {
            return log.clone();
        }
        let newest = self.newest();
        let behind = log.0.iter().skip_while(|(run, _)| Some(*run) != newest).skip(1);
        self.0.extend(behind.copied());
        self
    }

    fn newest_of(mut self, most: usize) -> Self {
        let old = self.0.len().saturating_sub(most);
        let mut number = 0;
        // What is lost is known for as long as there is room for it.
        self.0.retain(|(run, _)| {
            number += 1;
            number > old || lost_in(run).is_some()
        });
        self
    }

    /// The oldest run alone.
    pub fn oldest(&self) -> Self {
        Self(self.0.first().copied().into_iter().collect())
    }

    /// The runs, with the positions behind which they begin.
    pub fn runs(&self) -> impl Iterator<Item = &(RunId, u64)> {
        self.0.iter()
    }

    /// As it was at a position: without runs that begin there, or later.
    pub fn up_to(mut self, at: Position) -> Self {
        let count = self.0.iter().take_while(|(_, after)| *after < at.0).count();
        self.0.truncate(count.max(1));
        self
    }

    fn newest(&self) -> Option<RunId> {
        self.0.last().map(|(run, _)| *run)
    }

    /// Whether one of them has this name; of before they had names: whether none has one.
    fn has(&self, run: Option<RunId>) -> bool {
        match run {
            Some(run) => self.0.iter().any(|(known, _)| *known == run),
            None => self.is_empty(),
        }
    }

    /// Whether it went on another way from the run that another ends with: it is of a later time.
    pub fn has_left(&self, other: &Self) -> bool {
        let (own, other) = (self.but_for_gaps(), other.but_for_gaps());
        own.newest() != other.newest() && own.has(other.newest())
    }

    /// The runs alone.
    pub fn but_for_gaps(&self) -> Self {
        Self(self.0.iter().filter(|(run, _)| lost_in(run).is_none()).copied().collect())
    }

    /// What is lost in them: the first and the last batch of each gap.
    pub fn gaps(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().filter_map(|(run, after)| Some((after + 1, after + lost_in(run)?)))
    }

    /// Whether whatever is of these runs has all that another had at a position, and goes on the same way from there.
    pub fn extends(&self, other: &Self, at: Position) -> bool {
        let end = Position(u64::MAX);
        self.has(other.newest()) && self.agrees(end, other, at) == at
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How far a state agrees with another, whatever is lost of either.
    pub fn agrees_but_for_gaps(&self, at: Position, other: &Self, other_at: Position) -> Position {
        self.but_for_gaps().agrees(at, &other.but_for_gaps(), other_at)
    }

    /// Whether they have any past in common.
    pub fn shares_a_run_with(&self, other: &Self) -> bool {
        self.0.iter().any(|(run, _)| other.has(Some(*run)))
    }

    /// How far a state, by its position, agrees with another. Two of before runs had names are taken for the same
    /// journal's.
    pub fn agrees(&self, at: Position, other: &Self, other_at: Position) -> Position {
        if self.is_empty() && other.is_empty() {
            return at.min(other_at);
        }
        let shared = (0..self.0.len()).rev().find_map(|own| {
            let theirs = other.0.iter().rposition(|(run, _)| *run == self.0[own].0)?;
            Some((own, theirs))
        });
        let Some((own, theirs)) = shared else { return Position(0) };
        self.end_of(own, at).min(other.end_of(theirs, other_at))
    }

    /// Where a run's part ends: at the beginning of the next one's.
    fn end_of(&self, index: usize, at: Position) -> Position {
        self.0.get(index + 1).map_or(at, |(_, after)| Position(*after).min(at))
    }
}

/// From where they are, tables go through another run, and none that lies before them.
///
/// # Errors
/// SQLite's own.
pub fn begins(connection: &Connection, run: RunId) -> rusqlite::Result<()> {
    forgets_ahead(connection)?;
    let begin = "INSERT INTO lineage (log, after) SELECT ?1, applied FROM position";
    connection.execute(begin, [run])?;
    let forget = "DELETE FROM lineage WHERE (SELECT count(*) FROM lineage) > ?1 AND number = (
        SELECT number FROM
            (SELECT number, lead(after) OVER (ORDER BY number) - after AS length FROM lineage)
        WHERE number <= (SELECT max(number) FROM lineage) - ?2 ORDER BY length, number LIMIT 1)";
    connection.execute(forget, [Lineage::MOST, Lineage::NEWEST]).map(drop)
}

/// Runs that tables haven't come to are none of theirs: they go on in another way, and would take them for theirs later.
///
/// # Errors
/// SQLite's own.
pub fn forgets_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let ahead = "DELETE FROM lineage WHERE after > (SELECT applied FROM position)";
    connection.execute(ahead, []).map(drop)
}

/// Tables take over the runs of a log that goes on from where they are, before they take its batches: at any moment they
/// know of those that they have come to.
///
/// # Errors
/// SQLite's own.
pub fn takes_over(connection: &Connection, lineage: &Lineage) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM lineage", [])?;
    let mut add = connection.prepare("INSERT INTO lineage (log, after) VALUES (?1, ?2)")?;
    for (run, after) in lineage.runs() {
        add.execute(params![run, after.cast_signed()])?;
    }
    Ok(())
}

/// A name for a run that nothing else has.
pub fn new_run() -> RunId {
    rand::random()
}

/// How the name of a gap begins; behind that stands how many batches are lost in it, and what makes it another than any other.
const GAP: &[u8; 6] = b"\0gap\0\0";

/// A name for a gap of so many batches.
pub fn new_gap(lost: u64) -> RunId {
    let mut gap: RunId = rand::random();
    gap[..6].copy_from_slice(GAP);
    gap[6..12].copy_from_slice(&lost.to_be_bytes()[2..]);
    gap
}

fn lost_in(run: &RunId) -> Option<u64> {
    let counted = run.strip_prefix(GAP)?;
    let mut lost = [0; 8];
    lost[2..].copy_from_slice(&counted[..6]);
    Some(u64::from_be_bytes(lost))
}

/// The name of the file in a data folder that says how far what was acknowledged goes.
pub const REACHED: &str = "journal.reached";

/// How far what was acknowledged went, as a host has last noted it beside its journal: less than that is a loss. It
/// isn't synced: what it says was on disk before, and after a power failure it says less, or nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Reached {
    /// Of which journal.
    pub lineage: Lineage,
    /// Up to where.
    pub at: Position,
}

impl Reached {
    /// What a folder says; nothing, if nobody has said it or it can't be read.
    pub fn of(data: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(data.join(REACHED)).ok()?;
        let (said, sum) = text.trim_end().rsplit_once(' ')?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(said.as_bytes()) {
            return None;
        }
        let (at, lineage) = said.split_once(' ')?;
        let (at, lineage) = (at.parse().ok()?, serde_json::from_str::<Lineage>(lineage).ok()?);
        // Of what has no name it can't be told whether it is of this journal.
        (!lineage.is_empty()).then_some(Self { lineage, at: Position(at) })
    }

    /// Whether it has all of what another says, and goes the same way from there.
    pub fn goes_on_from(&self, noted: &Self) -> bool {
        let (own, other) = (self.lineage.but_for_gaps(), noted.lineage.but_for_gaps());
        own.has(other.newest()) && own.agrees(self.at, &other, noted.at) == noted.at
    }

    /// Which batches these are.
    pub fn held(&self) -> Held {
        Held::up_to(self.at, &self.lineage)
    }

    /// Says it.
    ///
    /// # Errors
    /// The disk's own.
    pub fn note(&self, data: &Path) -> std::io::Result<()> {
        let lineage = self.lineage.clone().newest_of(Lineage::MOST_NOTED);
        let lineage = serde_json::to_string(&lineage).map_err(std::io::Error::other)?;
        let said = format!("{:020} {lineage}", self.at.0);
        let text = format!("{said} {:08x}\n", crc32fast::hash(said.as_bytes()));
        let path = data.join(REACHED);
        let open = || File::options().create(true).write(true).truncate(false).open(&path);
        // One that is somebody else's can be replaced by whoever may write to the folder; an old one would say too little.
        let file = open().or_else(|_| {
            std::fs::remove_file(&path)?;
            open()
        })?;
        // Over what stands there, at once: it has the same length while the run is the same.
        file.write_all_at(text.as_bytes(), 0)?;
        file.set_len(text.len() as u64)
    }
}

/// An administrator's command makes no files that the host can't write to.
pub fn belongs_to_the_folders_owner(data: &Path, file: &Path) {
    // One that is there already says who runs the host: the folder may be somebody else's who lets them write to it.
    let journal = std::fs::metadata(data.join(schema::FILE)).ok().filter(|about| about.uid() != 0);
    let Some(folder) = journal.or_else(|| std::fs::metadata(data).ok()) else { return };
    // Whoever isn't an administrator owns it already, or can't do anything about it.
    let _ = std::os::unix::fs::chown(file, Some(folder.uid()), Some(folder.gid()));
}

/// Notes it as it grows.
#[derive(Debug)]
pub struct Noting {
    data: PathBuf,
    reached: Reached,
    /// A host goes on from here: what was accepted counts until it has written something.
    is_gone_on_with: bool,
}

impl Noting {
    /// For tables that follow their log, in their newest run.
    pub fn new(data: &Path, lineage: Lineage, at: Position) -> Self {
        let reached = Reached { lineage, at };
        let noting = Self { data: data.to_owned(), reached, is_gone_on_with: false };
        if let Err(error) = noting.reached.note(data) {
            tracing::warn!(
                %error,
                "{REACHED} can't be written: what is lost of the journal's end isn't missed then; remove it, or let the host write it"
            );
        }
        belongs_to_the_folders_owner(data, &data.join(REACHED));
        noting
    }

    /// A host goes on from here. A command that opens a journal doesn't, whatever it writes: what it was told to do next may
    /// be to put another backup in its place.
    pub fn goes_on(&mut self) {
        self.is_gone_on_with = true;
    }

    /// It has come so far.
    pub fn reached(&mut self, at: Position) {
        if at > self.reached.at {
            self.reached.at = at;
            // A disk that takes nothing shows in what is written to the log.
            let _ = self.reached.note(&self.data);
            if std::mem::take(&mut self.is_gone_on_with) {
                Accepted::forget(&self.data);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(runs: &[(u8, u64)]) -> Lineage {
        Lineage(runs.iter().map(|(run, after)| ([*run; 16], *after)).collect())
    }

    // OPS-10
    #[test]
    fn positions_count_along_the_same_runs_only() {
        let at = Position;
        let first = lineage(&[(1, 0)]);
        let after_salvage = lineage(&[(1, 0), (2, 57)]);
        let after_restore = lineage(&[(1, 0), (3, 40)]);
        let agrees = |one: &Lineage, p, other: &Lineage, q| {
            let agreed = one.agrees(at(p), other, at(q));
            assert_eq!(
                agreed,
                other.agrees(at(q), one, at(p)),
                "it is the same the other way round"
            );
            agreed.0
        };
        assert_eq!(agrees(&first, 40, &first, 80), 40);
        assert_eq!(agrees(&first, 40, &after_salvage, 80), 40);
        assert_eq!(agrees(&first, 100, &after_salvage, 80), 57, "they part there");
        assert_eq!(agrees(&after_restore, 60, &after_salvage, 80), 40);
        assert_eq!(agrees(&lineage(&[(9, 0)]), 60, &after_salvage, 80), 0, "a stranger");
        assert_eq!(agrees(&lineage(&[(2, 0)]), 60, &after_salvage, 80), 60, "its past isn't known");
        assert_eq!(agrees(&Lineage::default(), 60, &first, 80), 0);
        assert_eq!(agrees(&Lineage::default(), 60, &Lineage::default(), 80), 60, "of before");
    }

    // OPS-10
    #[test]
    fn a_later_time_is_told_by_runs_that_others_end_with() {
        let first = lineage(&[(1, 0)]);
        let later = lineage(&[(1, 0), (2, 57)]);
        assert!(later.has_left(&first) && !first.has_left(&later));
        assert!(!later.has_left(&later), "it is the same time");
        let elsewhere = lineage(&[(1, 0), (3, 40)]);
        assert!(!later.has_left(&elsewhere) && !elsewhere.has_left(&later), "neither is later");
    }

    // OPS-10
    #[test]
    fn a_gap_keeps_others_from_joining_and_counts_what_is_lost() {
        let run = |run: u8| [run; 16];
        let whole = lineage(&[(1, 0)]);
        let with_gap = whole.clone().with(new_gap(3), Position(50));
        let later = with_gap.clone().with(run(2), Position(90));
        assert_eq!(with_gap.but_for_gaps(), whole);
        assert_eq!(with_gap.gaps().collect::<Vec<_>>(), [(51, 53)]);
        assert!(!whole.extends(&with_gap, Position(90)), "what stands there is made without them");
        assert!(whole.extends(&with_gap.clone().up_to(Position(50)), Position(50)));
        assert!(!later.extends(&whole, Position(90)), "nor does it join what has them");
        assert!(!with_gap.has_left(&whole) && !whole.has_left(&with_gap), "it is of the same time");
        assert!(later.has_left(&whole) && later.has_left(&with_gap));
        let [gap, all] = [with_gap, whole].map(|lineage| Reached { lineage, at: Position(90) });
        assert!(all.goes_on_from(&gap) && gap.goes_on_from(&all));
        assert_eq!((gap.held().beyond(&all.held()), all.held().beyond(&gap.held())), (0, 3));
        assert_eq!(lost_in(&new_gap(1 << 47)), Some(1 << 47));
        assert_eq!(lost_in(&run(7)), None);
    }

    // OPS-10
    #[test]
    fn what_goes_on_from_a_snapshot_joins_nothing_of_what_came_after_it() {
        let backup = lineage(&[(1, 0), (2, 20)]);
        let log = lineage(&[(1, 0), (3, 20)]);
        assert!(
            !log.extends(&backup, Position(40)) && log.extends(&lineage(&[(1, 0)]), Position(20))
        );
        // Of a host that ran on in the run of the snapshot.
        assert!(!log.extends(&lineage(&[(1, 0)]), Position(40)));
        assert_eq!(log.clone().up_to(Position(20)), lineage(&[(1, 0)]));
        assert_eq!(log.clone().up_to(Position(21)), log);
        assert!(!log.extends(&Lineage::default(), Position(0)));
        let joined = lineage(&[(1, 0), (4, 7)]).joined_by(&lineage(&[(4, 0), (5, 9)]));
        assert_eq!(joined, lineage(&[(1, 0), (4, 7), (5, 9)]));
    }

    // OPS-10
    #[test]
    fn of_runs_the_short_ones_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let connection = crate::journal::schema::open(&folder.path().join("a.sqlite")).unwrap();
        let at = |position: i64| {
            let at = "INSERT OR REPLACE INTO position (one, applied) VALUES (1, ?1)";
            connection.execute(at, [position]).unwrap();
        };
        at(0);
        begins(&connection, [1; 16]).unwrap();
        at(100);
        begins(&connection, [2; 16]).unwrap();
        for n in 0..2000 {
            at(1000 + n);
            begins(&connection, new_run()).unwrap();
        }
        let known = Lineage::of(&connection, &Mark::of(&connection).unwrap()).unwrap();
        assert_eq!(known.runs().count(), 512);
        assert!(known.has(Some([1; 16])) && known.has(Some([2; 16])));
        // What lies before tables hasn't been, and is no past once they go another way.
        at(50);
        let known = Lineage::of(&connection, &Mark::of(&connection).unwrap()).unwrap();
        assert_eq!(known, Lineage::only([1; 16]));
        begins(&connection, [3; 16]).unwrap();
        at(5000);
        let known = Lineage::of(&connection, &Mark::of(&connection).unwrap()).unwrap();
        assert_eq!(known, lineage(&[(1, 0), (3, 50)]));
    }

    // OPS-10
    #[test]
    fn how_far_it_went_is_read_as_it_was_noted_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Reached::of(folder.path()), None);
        let reached = Reached { lineage: lineage(&[(1, 0), (2, 57)]), at: Position(80) };
        reached.note(folder.path()).unwrap();
        assert_eq!(Reached::of(folder.path()), Some(reached));
        let file = folder.path().join(REACHED);
        let text = std::fs::read_to_string(&file).unwrap();
        for wrong in [text.replace("80 ", "90 "), text[..20].to_owned(), String::new()] {
            std::fs::write(&file, &wrong).unwrap();
            assert_eq!(Reached::of(folder.path()), None, "{wrong}");
        }
    }
}
