//! The frames of a WAL, in the order in which they were written, whatever of them is damaged.

/// Of a WAL.
pub(in crate::journal) const HEAD: usize = 32;
/// Of each frame.
pub(in crate::journal) const ABOUT: usize = 24;
/// The last bit says in which order of bytes its checksums are computed.
const MAGIC: u32 = 0x377f_0682;

/// A page, as a transaction has left it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Which one, counted from 1; 0, where what says that can't be read.
    pub page: u32,
    /// Where it begins in the WAL.
    pub at: usize,
    /// It ends a transaction, and leaves the file with so many pages.
    pub ends: Option<u32>,
    /// It is what was written.
    pub is_whole: bool,
}

/// All of a WAL's since it was begun anew last: behind them stand some of earlier times.
pub(super) struct Frames {
    all: Vec<Frame>,
    /// Bytes of each one's page.
    pub page: usize,
    /// Where it begins is known: before what can be read stand none of a later time.
    has_beginning: bool,
}

impl Frames {
    /// Nothing, if there is none.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (head, frames) = bytes.split_at_checked(HEAD)?;
        let Common { page, salts, is_big_endian, mut sum } =
            Common::of_head(head).or_else(|| Common::of_frames(frames))?;
        let has_beginning = sum.is_some() || frames.get(8..16) == Some(&salts);
        let mut all = Vec::new();
        for (number, frame) in frames.chunks_exact(ABOUT + page).enumerate() {
            let at = HEAD + number * (ABOUT + page) + ABOUT;
            if frame[8..16] != salts {
                all.push(Frame { page: 0, at, ends: None, is_whole: false });
                continue;
            }
            let written = written(frame);
            let is_whole = sum.is_some_and(|sum| sum_of(frame, sum, is_big_endian) == written);
            let ends = Some(word(frame, 1)).filter(|pages| *pages != 0);
            all.push(Frame { page: word(frame, 0), at, ends, is_whole });
            // What follows is told by what should have stood here.
            sum = Some(written);
        }
        let newest = all.iter().rposition(|frame| frame.page != 0);
        all.truncate(newest.map_or(0, |newest| newest + 1));
        Some(Self { all, page, has_beginning })
    }

    /// Those that SQLite takes: up to the first that isn't whole.
    pub fn taken(&self) -> &[Frame] {
        up_to_an_end(&self.all[..self.count_before_damage()])
    }

    /// Whether one that isn't whole was on disk: each transaction is synced before the next one begins, so only one can
    /// have been under way.
    pub fn are_damaged(&self) -> bool {
        ends(&self.all[self.count_before_damage()..]) > 1
    }

    fn count_before_damage(&self) -> usize {
        self.all.iter().take_while(|frame| frame.is_whole).count()
    }

    /// What was on disk, damaged ones included, and whether that is all of it: where the last transactions are damaged, or
    /// the head and the first frame, nobody can say.
    pub fn on_disk(&self) -> (&[Frame], bool) {
        let mut last_whole = None;
        let mut is_whole = true;
        for (number, frame) in self.all.iter().enumerate() {
            is_whole &= frame.is_whole;
            if frame.ends.is_some() {
                last_whole = if is_whole { Some(number) } else { last_whole };
                is_whole = true;
            }
        }
        let (whole, behind) = self.all.split_at(last_whole.map_or(0, |last| last + 1));
        match ends(behind) {
            0 | 1 if !whole.is_empty() => (whole, self.has_beginning),
            _ => (up_to_an_end(&self.all), false),
        }
    }
}

/// What all frames of a time have in common.
struct Common {
    page: usize,
    salts: [u8; 8],
    is_big_endian: bool,
    /// What the first one's checksum goes on from.
    sum: Option<Sum>,
}

type Sum = (u32, u32);

impl Common {
    fn of_head(head: &[u8]) -> Option<Self> {
        let magic = word(head, 0);
        let (is_big_endian, page) = (magic & 1 == 1, word(head, 2) as usize);
        let sum = checksum((0, 0), &head[..24], is_big_endian);
        let is_one = magic & !1 == MAGIC && page != 0 && sum == (word(head, 6), word(head, 7));
        let salts = head[16..24].try_into().ok()?;
        is_one.then_some(Self { page, salts, is_big_endian, sum: Some(sum) })
    }

    /// Where the head isn't what was written: two that follow on each other say it as well. The first such pair is of the
    /// newest time, but where that has one frame only.
    fn of_frames(frames: &[u8]) -> Option<Self> {
        let page = super::Pages::SIZE;
        let mut before: Option<&[u8]> = None;
        for frame in frames.chunks_exact(ABOUT + page) {
            let pair =
                before.filter(|before| word(before, 0) != 0 && before[8..16] == frame[8..16]);
            let follows = |is_big_endian: &bool| {
                let sum = pair.map(|before| sum_of(frame, written(before), *is_big_endian));
                sum == Some(written(frame))
            };
            if let Some(is_big_endian) = [false, true].into_iter().find(follows) {
                let salts = frame[8..16].try_into().ok()?;
                return Some(Self { page, salts, is_big_endian, sum: None });
            }
            before = Some(frame);
        }
        None
    }
}

fn written(frame: &[u8]) -> Sum {
    (word(frame, 4), word(frame, 5))
}

fn sum_of(frame: &[u8], before: Sum, is_big_endian: bool) -> Sum {
    let about = checksum(before, &frame[..8], is_big_endian);
    checksum(about, &frame[ABOUT..], is_big_endian)
}

fn ends(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.ends.is_some()).count()
}

fn up_to_an_end(frames: &[Frame]) -> &[Frame] {
    let end = frames.iter().rposition(|frame| frame.ends.is_some());
    &frames[..end.map_or(0, |end| end + 1)]
}

/// Of SQLite's, which are big-endian.
pub(super) fn word(bytes: &[u8], index: usize) -> u32 {
    let at = index * 4;
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn checksum(before: Sum, bytes: &[u8], is_big_endian: bool) -> Sum {
    let read = |part: &[u8]| {
        let bytes = [part[0], part[1], part[2], part[3]];
        if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    bytes.chunks_exact(8).fold(before, |(first, second), pair| {
        let first = first.wrapping_add(read(&pair[..4])).wrapping_add(second);
        (first, second.wrapping_add(read(&pair[4..])).wrapping_add(first))
    })
}
