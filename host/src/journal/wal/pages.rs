//! The pages of a database, as they stand on disk.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::frames::{Frame, Frames, word};
use super::path;

/// What becomes of a page of a WAL that isn't what was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::journal) enum Damaged {
    /// It is taken as it is: most of it may be right.
    Taken,
    /// What stood there before it stays.
    Left,
}

/// The pages of a file, with what lies beside it or without, as they were written last, whether anything leads to them or
/// not.
pub(in crate::journal) struct Pages {
    file: Option<File>,
    beside: Vec<u8>,
    /// Where the newest of each that lies beside begins.
    pub(super) newest: HashMap<u32, usize>,
}

impl Pages {
    /// Of every journal and log.
    pub(in crate::journal) const SIZE: usize = 4096;

    /// Nobody may have the file open, and nobody may open it before this is dropped who needs SQLite's locks.
    pub fn of(file: &Path, is_alone: bool) -> Self {
        let beside = match is_alone {
            true => Vec::new(),
            false => std::fs::read(path(file)).unwrap_or_default(),
        };
        let frames = Self::frames(&beside);
        let newest = frames.iter().flat_map(Frames::taken).map(|frame| (frame.page, frame.at));
        Self { file: File::open(file).ok(), newest: newest.collect(), beside }
    }

    /// One of them, counted from 1; nothing, if it can't be read.
    fn page(&self, page: u32) -> Option<Vec<u8>> {
        if let Some(at) = self.newest.get(&page) {
            return Some(self.beside[*at..at + Self::SIZE].to_vec());
        }
        let mut bytes = vec![0; Self::SIZE];
        let at = u64::from(page.checked_sub(1)?) * Self::SIZE as u64;
        self.file.as_ref()?.read_at(&mut bytes, at).ok()?;
        Some(bytes)
    }

    fn frames(beside: &[u8]) -> Option<Frames> {
        Frames::of(beside).filter(|frames| frames.page == Self::SIZE)
    }

    /// Writes them to a file of their own as they were last, also where that stands behind damage in what lies beside them,
    /// which SQLite doesn't read; whether that is all that was on disk. Nothing says that they fit together: whoever
    /// reads that file goes by what says itself whether it is what was written. What can't be read at all is zeros there.
    ///
    /// # Errors
    /// It can't be read, or written.
    pub fn behind_damage(file: &Path, damaged: Damaged, to: &Path) -> io::Result<bool> {
        let mut beside = Vec::new();
        let unread = copy_what_can_be_read(&File::open(path(file))?, &mut beside)?;
        let mut copy =
            File::options().read(true).write(true).create(true).truncate(true).open(to)?;
        copy_what_can_be_read(&File::open(file)?, &mut copy)?;
        let Some(frames) = Self::frames(&beside) else { return Ok(false) };
        let (frames, is_all) = frames.on_disk();
        // What a damaged one says of that may be anything.
        let all = frames.iter().rev().filter(|frame| frame.is_whole).find_map(|frame| frame.ends);
        let Some(all) = all else { return Ok(false) };
        copy.set_len(u64::from(all) * Self::SIZE as u64)?;
        let is_wanted = |frame: &&Frame| frame.is_whole || damaged == Damaged::Taken;
        for frame in frames.iter().filter(is_wanted).filter(|it| (1..=all).contains(&it.page)) {
            let at = u64::from(frame.page - 1) * Self::SIZE as u64;
            copy.write_all_at(&beside[frame.at..frame.at + Self::SIZE], at)?;
        }
        // So many pages, whenever its first one was written; and nothing lies beside it.
        let mut changes = [0; 4];
        copy.read_exact_at(&mut changes, 24)?;
        copy.write_all_at(&all.to_be_bytes(), 28)?;
        copy.write_all_at(&changes, 92)?;
        copy.write_all_at(&[1, 1], 18)?;
        // What couldn't be read behind them wasn't under way: it had been written.
        let end = frames.last().map_or(0, |frame| frame.at + Self::SIZE);
        Ok(is_all && unread.is_none_or(|unread| unread < end as u64))
    }

    /// Whether nothing stands on one.
    pub fn is_blank(&self, page: u32) -> bool {
        self.page(page).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    }

    /// Those that are listed as free, of so many in all, as far as the list can be read
    /// (<https://www.sqlite.org/fileformat2.html#the_freelist>).
    pub fn free(&self, all: u32) -> HashSet<u32> {
        let List { mut trunks, leaves, .. } = self.listed(all);
        trunks.extend(leaves);
        trunks
    }

    fn listed(&self, all: u32) -> List {
        let mut list = List::default();
        let mut trunk = self.page(1).map_or(0, |head| word(&head[32..], 0));
        while (1..=all).contains(&trunk) && list.trunks.insert(trunk) {
            list.count += 1;
            let Some(page) = self.page(trunk) else { break };
            let most = Self::SIZE / 4 - 2;
            let leaves = usize::try_from(word(&page, 1)).unwrap_or(0).min(most);
            list.leaves.extend((0..leaves).map(|n| word(&page, 2 + n)));
            list.count += leaves;
            trunk = word(&page, 0);
        }
        list
    }

    /// Whether as many pages are listed as free as the file's head says, each of them once and none that isn't there; and
    /// those of them on which something stands. SQLite doesn't look, and writes what is new over whatever is listed. What
    /// has no such head is another matter.
    pub fn lists_what_is_free(&self) -> (bool, Vec<u32>) {
        const NAME: &[u8] = b"SQLite format 3\0\x10\x00";
        let Some(head) = self.page(1).filter(|head| head.starts_with(NAME)) else {
            return (true, Vec::new());
        };
        let (all, said) = (word(&head[28..], 0), word(&head[36..], 0) as usize);
        let List { trunks, leaves, count } = self.listed(all);
        let listed = trunks.len() + leaves.len();
        let is_there = |page: &u32| (2..=all).contains(page);
        let fits = listed == said && count == said && leaves.iter().all(is_there);
        let written = leaves.into_iter().filter(|page| !self.is_blank(*page));
        (fits, written.collect())
    }
}

/// A list of free pages: those that hold it, and those that it names.
#[derive(Default)]
struct List {
    trunks: HashSet<u32>,
    leaves: HashSet<u32>,
    /// How many it names, itself included: more, where one is named twice.
    count: usize,
}

/// Where a disk can't read something, the rest of it perhaps can be; where the last such block begins.
fn copy_what_can_be_read(from: &File, to: &mut impl Write) -> io::Result<Option<u64>> {
    let length = from.metadata()?.len();
    let (mut at, mut unread) = (0, None);
    while at < length {
        let mut block = [0; Pages::SIZE];
        let part =
            &mut block[..usize::try_from(length - at).unwrap_or(Pages::SIZE).min(Pages::SIZE)];
        if from.read_exact_at(part, at).is_err() {
            part.fill(0);
            unread = Some(at);
        }
        to.write_all(part)?;
        at += part.len() as u64;
    }
    Ok(unread)
}
