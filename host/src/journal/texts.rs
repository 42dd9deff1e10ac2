//! The index of what was written: in which events which words stand (CONV-09).
//!
//! It is made behind the tables, from the events, by whoever feeds them, and lies in the same file: so it can't be
//! ahead of them, and what is removed is removed from both at once. It only says where to look; whoever finds
//! something there looks whether it is so (`reader/search.rs`). Entries stand in the order in which conversations began, to the second, so that the newest
//! are found first without looking through all of them.

use cordboard_core::conversation::Event;
use cordboard_core::ids::ConversationId;
use rusqlite::{OptionalExtension, Transaction, params};

use super::words;

/// How far the index has come, as numbers of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Indexed {
    /// The newest event that is in it.
    pub up_to: i64,
    /// The newest event there is.
    pub newest: i64,
    /// Something is to be taken out of it.
    pub is_going: bool,
}

impl Indexed {
    /// How much is left to do: events that may be missing in it, and what is to be taken out, as one.
    pub fn behind(self) -> u64 {
        let missing = self.newest.saturating_sub(self.up_to).max(0).cast_unsigned();
        missing + u64::from(self.is_going)
    }
}

/// Kinds of events in which something was written, for a condition of SQL's.
pub(super) const KINDS: &str = "('message_received', 'reply_queued', 'note_added', 'disposed')";

/// What was written: a message, a note or the summary.
pub(super) fn written(event: &Event) -> Option<&str> {
    match event {
        Event::MessageReceived { message, .. }
        | Event::ReplyQueued { message }
        | Event::NoteAdded { message } => Some(&message.text),
        Event::Disposed { summary, .. } => summary.as_deref(),
        _ => None,
    }
}

/// The words of an encoded event in which something was written.
pub(super) fn words_of(body: &[u8]) -> Option<String> {
    // One that can't be read is found by `cordboard journal verify`.
    let event: Event = rmp_serde::from_slice(body).ok()?;
    written(&event).map(words::spaced).filter(|words| !words.is_empty())
}

/// Where an entry stands: by the second in which its conversation began, then by its event's number. The low
/// bits tell apart two thousand million events.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rowid(pub i64);

impl Rowid {
    const BITS: u32 = 31;
    const EVENTS: i64 = 1 << Self::BITS;
    /// Before that there were no conversations: the year 2020.
    const FIRST_SECOND: i64 = 1_577_836_800;

    /// Of an event.
    pub fn of(conversation: &[u8], event: i64) -> Self {
        Self(Self::first_at(begun_at(conversation)).0 | (event & (Self::EVENTS - 1)))
    }

    /// The first that a conversation of this time (milliseconds) may have.
    pub fn first_at(ms: i64) -> Self {
        let second = ms / 1000 - Self::FIRST_SECOND;
        Self(second.clamp(0, i64::from(u32::MAX)) << Self::BITS)
    }

    /// The first that one of the next second may have.
    pub fn next_second(self) -> Self {
        Self(((self.0 >> Self::BITS) + 1).saturating_mul(Self::EVENTS))
    }

    /// The second, in milliseconds since the epoch.
    pub fn second(self) -> i64 {
        ((self.0 >> Self::BITS) + Self::FIRST_SECOND) * 1000
    }

    /// Numbers that its event may have, if there are none behind `newest`: one, but for very large journals.
    pub fn events(self, newest: i64) -> impl Iterator<Item = i64> {
        let low = self.0 & (Self::EVENTS - 1);
        let highest = (newest & !(Self::EVENTS - 1)) | low;
        (0..).map(move |n| highest - n * Self::EVENTS).take_while(|event| *event > 0)
    }
}

/// When a conversation began (milliseconds): its name says so.
pub(super) fn begun_at(conversation: &[u8]) -> i64 {
    let head = conversation.iter().take(6);
    head.fold(0, |ms, byte| (ms << 8) | i64::from(*byte))
}

/// How far it has come.
pub(super) fn indexed(to: &Transaction<'_>) -> rusqlite::Result<Indexed> {
    let query = "SELECT indexed, (SELECT coalesce(max(rowid), 0) FROM events),
        EXISTS (SELECT 1 FROM texts_going) FROM position";
    let found = to.prepare_cached(query)?.query_row([], |row| {
        Ok(Indexed { up_to: row.get(0)?, newest: row.get(1)?, is_going: row.get(2)? })
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// Takes out what was removed, and takes up events that are missing in it: so much in all.
pub(super) fn go_on(to: &Transaction<'_>, most: u32) -> rusqlite::Result<Indexed> {
    // In this order: numbers of events that were removed are given again.
    take_out(to)?;
    // What comes waits only if it might have the number of what goes.
    let query = "SELECT EXISTS (SELECT 1 FROM texts_going, position
        WHERE entry & ?1 > position.indexed & ?1)";
    let must_wait: bool =
        to.prepare_cached(query)?.query_row([Rowid::EVENTS - 1], |row| row.get(0))?;
    if must_wait { indexed(to) } else { take_up(to, most) }
}

fn take_up(to: &Transaction<'_>, most: u32) -> rusqlite::Result<Indexed> {
    let before = indexed(to)?;
    let (mut up_to, mut count) = (before.up_to, 0);
    let mut entries = Vec::new();
    {
        let mut events = to.prepare_cached(&format!(
            "SELECT rowid, conversation, CASE WHEN kind IN {KINDS} THEN body END FROM events
             WHERE rowid > ?1 ORDER BY rowid LIMIT {most}"
        ))?;
        let mut rows = events.query([before.up_to])?;
        while let Some(row) = rows.next()? {
            up_to = row.get(0)?;
            count += 1;
            let words = row.get_ref(2)?.as_blob_or_null()?.and_then(words_of);
            if let Some(words) = words {
                let rowid = Rowid::of(row.get_ref(1)?.as_blob()?, up_to);
                entries.push((rowid, words::hashed(&words)));
            }
        }
    }
    // It is made for entries in order.
    entries.sort_unstable();
    let mut insert = to.prepare_cached("INSERT INTO texts (rowid, words) VALUES (?1, ?2)")?;
    for (rowid, words) in entries {
        insert.execute(params![rowid.0, words])?;
    }
    let up_to = if count < most { before.newest } else { up_to };
    to.prepare_cached("UPDATE position SET indexed = ?1")?.execute([up_to])?;
    Ok(Indexed { up_to, ..before })
}

/// What was written in a conversation, whose events are still there, is to be taken out: each word costs a look at the
/// index, so that is done bit by bit.
pub(super) fn leave_out(to: &Transaction<'_>, id: ConversationId) -> rusqlite::Result<()> {
    let id = id.0.as_bytes().as_slice();
    let up_to = indexed(to)?.up_to;
    let mut events = to.prepare_cached(&format!(
        "SELECT rowid, body FROM events WHERE conversation = ?1 AND kind IN {KINDS} AND rowid <= ?2"
    ))?;
    let mut rows = events.query(params![id, up_to])?;
    let mut going = to.prepare_cached("INSERT INTO texts_going (entry, words) VALUES (?1, ?2)")?;
    while let Some(row) = rows.next()? {
        if let Some(words) = words_of(row.get_ref(1)?.as_blob()?) {
            going.execute(params![Rowid::of(id, row.get(0)?).0, words::hashed(&words)])?;
        }
    }
    Ok(())
}

/// Takes out some of what is to be: as much as takes a moment.
fn take_out(to: &Transaction<'_>) -> rusqlite::Result<()> {
    const MOMENT: std::time::Duration = std::time::Duration::from_millis(20);
    let began = std::time::Instant::now();
    let mut next = to.prepare_cached("SELECT entry, words FROM texts_going LIMIT 1")?;
    let mut gone = to.prepare_cached("DELETE FROM texts_going WHERE entry = ?1")?;
    let mut remove =
        to.prepare_cached("INSERT INTO texts (texts, rowid, words) VALUES ('delete', ?1, ?2)")?;
    while began.elapsed() < MOMENT {
        let entry = next.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
        let Some((entry, words)) = entry.optional()? else { return Ok(()) };
        remove.execute(params![entry, words])?;
        gone.execute([entry])?;
    }
    Ok(())
}

/// Events were removed: numbers that are given once more belong to events that aren't in it yet.
pub(super) fn step_back(to: &Transaction<'_>) -> rusqlite::Result<()> {
    let newest = "(SELECT coalesce(max(rowid), 0) FROM events)";
    let change = format!("UPDATE position SET indexed = min(indexed, {newest})");
    to.prepare_cached(&change)?.execute([])?;
    Ok(())
}

/// Nothing is in it; it is made anew behind whatever is there.
pub(super) const BEGIN_ANEW: &str = "INSERT INTO texts (texts) VALUES ('delete-all'); DELETE FROM texts_going; UPDATE position SET indexed = 0;";

#[cfg(test)]
mod tests {
    use super::*;

    // CONV-09
    #[test]
    fn entries_stand_in_the_order_in_which_conversations_began() {
        let id = |ms: i64| {
            let mut id = [9; 16];
            id[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
            id
        };
        let now = 1_795_000_000_123;
        let rowid = Rowid::of(&id(now), 7);
        assert!(Rowid::of(&id(now + 1000), 1) > rowid && Rowid::of(&id(now), 8) > rowid);
        assert!(Rowid::first_at(now) <= rowid && rowid < rowid.next_second());
        assert_eq!(rowid.next_second(), Rowid::first_at(now + 1000));
        assert_eq!(rowid.second(), 1_795_000_000_000);
        assert_eq!(rowid.events(100).collect::<Vec<_>>(), [7]);
        let many = 5 * Rowid::EVENTS + 3;
        assert_eq!(Rowid::of(&id(now), many - 1), Rowid::of(&id(now), 2));
        let mut numbers = Rowid::of(&id(now), 2).events(many);
        assert_eq!(numbers.next(), Some(many - 1));
        assert_eq!(numbers.last(), Some(2));
        for odd in [[0; 16], [0xff; 16]] {
            assert!(Rowid::of(&odd, i64::MAX).0 >= 0 && Rowid::of(&odd, 1).next_second().0 > 0);
        }
    }
}
