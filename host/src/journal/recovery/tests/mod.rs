//! Made-up nights: a journal that lives for a while, is backed up, stopped, killed and restored, and then loses or
//! damages files in every combination. Whoever follows the advice has all that was acknowledged, or was told that
//! something is missing; and never less than by any other way.

mod beside;
mod first_pages;
mod gaps;
mod pages;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cordboard_core::time::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::journal::{Journal, Record, backup, log};

/// What was acknowledged, by number.
type Said = BTreeSet<u32>;

const FILES: [&str; 4] = ["journal.sqlite", "journal.sqlite-wal", "log.sqlite", "log.sqlite-wal"];

thread_local! {
    /// Steps until something keeps a recovery from going on.
    static BREAKS_OFF: Cell<Option<u32>> = const { Cell::new(None) };
}

/// What was put in its place, if anything had to be.
fn recover(
    data: &Path,
    backups: &[PathBuf],
    terms: Terms,
    now_ms: i64,
) -> std::result::Result<Option<Recovered>, NotDone> {
    super::recover(data, backups, terms, now_ms).map(|recovery| match recovery {
        Recovery::Done(recovered) => Some(recovered),
        Recovery::Needless(_) => None,
    })
}

/// A full disk, say, or the power.
pub(super) fn may_break_off() -> Result<()> {
    let left = BREAKS_OFF.get();
    BREAKS_OFF.set(left.map(|left| left.saturating_sub(1)));
    match left {
        Some(0) => Err(JournalError::new(Trouble::NotWritable, "it breaks off")),
        _ => Ok(()),
    }
}

#[derive(PartialEq, Eq)]
enum End {
    /// How far it had come is noted.
    Noted,
    /// Not to the last moment.
    AtOnce,
}

/// A journal's life so far.
struct Life {
    folder: TempDir,
    rng: fastrand::Rng,
    journal: Option<Journal>,
    said: Said,
    next: u32,
    backups: Vec<(PathBuf, Said)>,
    /// Files as they were at some time, and what was said by then.
    early: Vec<(TempDir, Said)>,
}

impl Life {
    fn new(seed: u64) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            rng: fastrand::Rng::with_seed(seed),
            journal: None,
            said: Said::new(),
            next: 1,
            backups: Vec::new(),
            early: Vec::new(),
        }
    }

    /// One whose host has written so much, and has stopped in order.
    async fn at_rest(count: u32) -> Self {
        let mut life = Self::new(1);
        life.open();
        life.says(count).await;
        life.stop();
        life
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn open(&mut self) {
        std::fs::create_dir_all(self.data()).unwrap();
        let journal = Journal::open(&self.data()).unwrap();
        journal.goes_on();
        self.journal = Some(journal);
    }

    async fn says(&mut self, count: u32) {
        let journal = self.journal.as_ref().unwrap();
        for number in self.next..self.next + count {
            journal.write_now(said(number)).await.unwrap();
            self.said.insert(number);
        }
        self.next += count;
    }

    fn backs_up(&mut self) {
        let file = self.folder.path().join(format!("backup{}", self.backups.len()));
        backup(&self.data(), &file).unwrap();
        self.backups.push((file, self.said.clone()));
    }

    fn stop(&mut self) {
        self.journal.take().unwrap().stop();
    }

    /// As `kill -9` leaves it; `at_once`: what was acknowledged last isn't noted then.
    fn is_killed(&mut self, at_once: bool) {
        let left = self.folder.path().join("left");
        if !at_once {
            std::thread::sleep(std::time::Duration::from_millis(120));
        }
        copy(&self.data(), &left);
        self.stop();
        std::fs::remove_dir_all(self.data()).unwrap();
        std::fs::rename(left, self.data()).unwrap();
    }

    /// As days of tidying leave it: the log begins where the tables have it for good.
    fn trims(&self) {
        let log = rusqlite::Connection::open(self.data().join(log::FILE)).unwrap();
        let newest: Option<i64> =
            log.query_row("SELECT max(position) FROM batches", [], |row| row.get(0)).unwrap();
        let part = newest.unwrap_or(0) * 2 / 3;
        log.execute("DELETE FROM batches WHERE position < ?1", [part]).unwrap();
        log.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    }

    /// How it ended.
    async fn lives(&mut self) -> End {
        self.open();
        for _ in 0..self.rng.usize(2..6) {
            let count = self.rng.u32(1..25);
            self.says(count).await;
            match self.rng.u8(0..12) {
                0 | 1 => self.backs_up(),
                2 => {
                    self.stop();
                    self.keeps_early();
                    self.open();
                }
                3 => {
                    self.stop();
                    self.trims();
                    self.open();
                }
                4 => {
                    self.is_killed(false);
                    self.keeps_early();
                    self.open();
                }
                6 => {
                    // What is left after a loss goes a way of its own.
                    self.stop();
                    std::fs::remove_file(self.data().join(log::FILE)).unwrap();
                    std::fs::write(self.data().join(log::FILE), b"no log").unwrap();
                    let terms = Terms { accepts_loss: true, ..Terms::default() };
                    recover(&self.data(), &[], terms, i64::from(self.next)).unwrap();
                    self.open();
                }
                // The machine is set back to a snapshot, and goes on from there.
                8 if !self.early.is_empty() => {
                    self.stop();
                    let (early, said) = self.rng.choice(&self.early).unwrap();
                    self.said = said.clone();
                    std::fs::remove_dir_all(self.data()).unwrap();
                    copy(early.path(), &self.data());
                    self.open();
                }
                // Tables of before are put back, and their note; the log has the rest.
                9 if !self.early.is_empty() => {
                    self.stop();
                    let kept = tempfile::tempdir().unwrap();
                    copy(&self.data(), kept.path());
                    let (early, _) = self.rng.choice(&self.early).unwrap();
                    for name in [FILES[0], FILES[1], REACHED] {
                        let _ = std::fs::remove_file(self.data().join(name));
                        let _ = std::fs::copy(early.path().join(name), self.data().join(name));
                    }
                    let there = there(&self.data());
                    if there.is_err() || there.is_ok_and(|there| there != self.said) {
                        std::fs::remove_dir_all(self.data()).unwrap();
                        copy(kept.path(), &self.data());
                    }
                    self.open();
                }
                // As an erasure does: what lies beside the files is put into them.
                7 => self.journal.as_ref().unwrap().scrub().await.unwrap(),
                5 if !self.backups.is_empty() => {
                    // Somebody goes back on purpose.
                    self.stop();
                    let (file, said) = self.rng.choice(&self.backups).unwrap().clone();
                    let terms = Terms { without_log: true, ..Terms::default() };
                    restore(&self.data(), &file, terms, i64::from(self.next)).unwrap();
                    self.said = said;
                    self.open();
                }
                _ => {}
            }
        }
        match self.rng.u8(0..4) {
            0 => {
                self.is_killed(true);
                End::AtOnce
            }
            1 => {
                self.is_killed(false);
                End::Noted
            }
            _ => {
                self.stop();
                End::Noted
            }
        }
    }

    fn keeps_early(&mut self) {
        let early = tempfile::tempdir().unwrap();
        copy(&self.data(), early.path());
        self.early.push((early, self.said.clone()));
    }

    /// Somebody puts back what an earlier command has put aside.
    fn puts_back(&mut self) -> Option<String> {
        let aside = folder::put_aside_before(&self.data(), FILES[0]);
        let tables = self.rng.choice(&aside)?.clone();
        let stamp = tables.file_name()?.to_str()?.strip_suffix(FILES[0])?.to_owned();
        for name in FILES {
            let _ = std::fs::remove_file(self.data().join(name));
            let _ =
                std::fs::rename(self.data().join(format!("{stamp}{name}")), self.data().join(name));
        }
        Some(format!("{stamp}* is put back"))
    }

    /// What becomes of a file; in words.
    fn harms(&mut self) -> String {
        if self.rng.u8(0..8) == 0
            && let Some(what) = self.puts_back()
        {
            return what;
        }
        let name = match self.rng.u8(0..6) {
            0 => REACHED,
            _ => FILES[self.rng.usize(0..FILES.len())],
        };
        if name == REACHED && self.rng.u8(0..3) == 0 {
            let strangers = Reached { lineage: Lineage::only([9; 16]), at: Position(11) };
            strangers.note(&self.data()).unwrap();
            return format!("{REACHED} is another's");
        }
        let file = self.data().join(name);
        let bytes = std::fs::read(&file).unwrap_or_default();
        let what = match self.rng.u8(0..6) {
            0 => {
                let _ = std::fs::remove_file(&file);
                "is gone"
            }
            1 => {
                std::fs::write(&file, b"").unwrap();
                "is empty"
            }
            2 => {
                let length = self.rng.usize(0..=bytes.len());
                std::fs::write(&file, &bytes[..length]).unwrap();
                "is cut"
            }
            3 if !bytes.is_empty() => {
                let mut bytes = bytes;
                for _ in 0..self.rng.usize(1..4) {
                    let at = self.rng.usize(0..bytes.len());
                    bytes[at] ^= 1 << self.rng.u8(0..8);
                }
                std::fs::write(&file, &bytes).unwrap();
                "has other bits"
            }
            4 if !bytes.is_empty() => {
                let mut bytes = bytes;
                let from = self.rng.usize(0..bytes.len());
                let to = (from + self.rng.usize(1..20_000)).min(bytes.len());
                bytes[from..to].fill(0);
                std::fs::write(&file, &bytes).unwrap();
                "has zeros"
            }
            5 if !self.early.is_empty() => {
                let (early, _) = &self.early[self.rng.usize(0..self.early.len())];
                let _ = std::fs::remove_file(&file);
                let _ = std::fs::copy(early.path().join(name), &file);
                "is of an earlier time"
            }
            _ => return format!("{name} is as it was"),
        };
        format!("{name} {what}")
    }
}

fn said(number: u32) -> Record {
    Record::Audit {
        at: Timestamp(i64::from(number)),
        actor: "kim".to_owned(),
        action: "said".into(),
        subject: number.to_string(),
        address: None,
        // Some pages of it.
        details: Some("x".repeat(700)),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in FILES.into_iter().chain([REACHED, accepted::ACCEPTED, "journal.made"]) {
        let _ = std::fs::copy(from.join(name), to.join(name));
    }
}

/// What is there, if a host goes on with it.
fn there(data: &Path) -> Result<Said> {
    let journal = Journal::open(data)?;
    let found = subjects(&data.join(FILES[0])).map_err(JournalError::from);
    journal.stop();
    found
}

/// Words that somebody has changed in their place are nobody's (and found by nobody, if the form holds).
fn subjects(file: &Path) -> rusqlite::Result<Said> {
    let connection = rusqlite::Connection::open(file)?;
    let mut all = connection.prepare("SELECT CAST(subject AS BLOB) FROM audit")?;
    let all = all.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    let all = all.collect::<rusqlite::Result<Vec<_>>>()?;
    let number = |bytes: Vec<u8>| String::from_utf8(bytes).ok()?.parse().ok();
    Ok(all.into_iter().filter_map(number).collect())
}

/// What each way gives that somebody could go by hand: tables that are there, with a log that is there.
fn by_hand(life: &Life) -> usize {
    let (data, mut most) = (life.data(), 0);
    let backups = life.backups.iter().map(|(file, _)| file.clone());
    let tables: Vec<PathBuf> = std::iter::once(data.join(FILES[0])).chain(backups).collect();
    for file in tables {
        for has_wal in [true, false] {
            for has_log in [true, false] {
                let folder = tempfile::tempdir().unwrap();
                let put = |from: PathBuf, name: &str| {
                    let _ = std::fs::copy(from, folder.path().join(name));
                };
                put(file.clone(), FILES[0]);
                if has_wal {
                    put(wal::path(&file), FILES[1]);
                }
                if has_log {
                    put(data.join(FILES[2]), FILES[2]);
                    put(data.join(FILES[3]), FILES[3]);
                }
                let form = verify::look_only(&folder.path().join(FILES[0]));
                if form.and_then(|connection| verify::form(&connection)).is_err() {
                    continue;
                }
                if let Ok(said) = there(folder.path()) {
                    most = most.max(said.intersection(&life.said).count());
                }
            }
        }
    }
    most
}

/// A recovery that is broken off: a start is refused, or goes on with as much as there is.
/// In words, and whether it came to its end.
fn breaks_off(life: &mut Life, files: &[PathBuf], best: usize) -> (String, bool) {
    let data = life.data();
    BREAKS_OFF.set(Some(life.rng.u32(0..8)));
    let accepts = Terms { accepts_loss: true, ..Terms::default() };
    let broken = recover(&data, files, accepts, 6_000_000);
    BREAKS_OFF.set(None);
    let context = format!("broken off: {broken:?}");
    if matches!(broken, Err(NotDone::BrokenOff(_))) && folder::must_be_whole(&data).is_ok() {
        let started = tempfile::tempdir().unwrap();
        copy(&data, started.path());
        if let Ok(said) = there(started.path()) {
            let kept = said.intersection(&life.said).count();
            assert!(kept >= best, "{context}: starts with {kept}, {best} by hand");
        }
    }
    (context, broken.is_ok())
}

async fn night(seed: u64) {
    let mut life = Life::new(seed);
    let end = life.lives().await;
    let mut harm = Vec::new();
    for _ in 0..life.rng.usize(1..4) {
        harm.push(life.harms());
    }
    let notes_are_gone = harm.iter().any(|what| what.starts_with(REACHED));
    let mut context = format!("seed {seed}: {}", harm.join(", "));
    let data = life.data();
    let best = by_hand(&life);
    let files: Vec<PathBuf> = life.backups.iter().map(|(file, _)| file.clone()).collect();
    // The operator looks, and does what they are told.
    let looked = verify::folder(&data, true);
    let is_well = looked
        .as_ref()
        .is_ok_and(|found| found.wrong.is_empty() && found.wrong_with_log.is_empty());
    let mut was_told = false;
    let accepts = Terms { accepts_loss: true, ..Terms::default() };
    if !is_well {
        if life.rng.u8(0..3) == 0 {
            let (how, is_done) = breaks_off(&mut life, &files, best);
            (context, was_told) = (format!("{context}; {how}"), is_done);
        }
        // Some are found later.
        let at_first = match life.rng.u8(0..3) {
            0 => &files[..life.rng.usize(0..=files.len())],
            _ => &files[..],
        };
        let mut recovered = recover(&data, at_first, Terms::default(), 7_000_000);
        context = format!("{context}; {looked:?}; {at_first:?}: {recovered:?}");
        if recovered.is_err() {
            was_told = true;
            recovered = recover(&data, at_first, accepts, 7_000_001);
            context = format!("{context}; {recovered:?}");
        }
        if at_first.len() < files.len() {
            recovered = recover(&data, &files, accepts, 7_000_003);
            context = format!("{context}; all: {recovered:?}");
        }
        if recovered.is_err() {
            assert_eq!(best, 0, "{context}");
            return;
        }
    } else if notes_are_gone && harm.iter().any(|what| what.ends_with("put back")) {
        // Nothing says that there was more.
        return;
    }
    let found = there(&data).unwrap_or_else(|error| panic!("{context}: {error}"));
    let kept = found.intersection(&life.said).count();
    assert!(kept >= best, "{context}: {kept} of {}, {best} by hand", life.said.len());
    // What stands in the tables is taken on its form.
    let changed = ["journal.sqlite has", "journal.sqlite-wal has"];
    let may_be_changed = changed.iter().any(|what| context.contains(what));
    if !was_told && !notes_are_gone && !may_be_changed && end == End::Noted {
        assert_eq!(
            kept,
            life.said.len(),
            "{context}: less than was acknowledged, and nobody said so"
        );
    }
    // And nothing is to be done any more.
    let again = recover(&data, &files, Terms::default(), 7_000_002);
    assert!(matches!(again, Ok(None)), "{context}: {again:?}");
}

// OPS-03 OPS-10
#[tokio::test]
async fn whoever_follows_the_advice_loses_nothing_that_another_way_has() {
    let only = std::env::var("CORDBOARD_SEED").ok().and_then(|seed| seed.parse().ok());
    let nights = std::env::var("CORDBOARD_NIGHTS").ok().and_then(|count| count.parse().ok());
    match only {
        Some(seed) => night(seed).await,
        None => {
            for seed in 0..nights.unwrap_or(60) {
                night(seed).await;
            }
        }
    }
}
