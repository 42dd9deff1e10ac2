//! What stands in the log: one entry per write, in a form in which it can be applied again.

use serde::{Deserialize, Serialize};

use super::append::Append;
use super::error::{JournalError, Trouble};
use super::record::Record;
use super::trouble::first_few;

/// Where something stands in the log: positions only grow, one per batch.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Position(pub u64);

impl Position {
    /// A million batches a second for nine years: what says more is damaged.
    const FURTHEST: i64 = 1 << 48;

    /// As a file has it; nothing, if it can't be one.
    pub fn read(number: i64) -> Option<Self> {
        (0..=Self::FURTHEST).contains(&number).then(|| Self(number.cast_unsigned()))
    }

    /// The one behind it.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A write. What applying it does depends on nothing but what was applied before it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Entry {
    /// A conversation's step.
    Append(Box<Append>),
    /// Whatever else is written.
    Record(Record),
}

/// Which they are, without what people wrote: the first few.
pub fn in_short<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> String {
    const MOST: usize = 8;
    let named = |entry: &Entry| match entry {
        Entry::Append(append) => {
            let kinds = append.events.iter().map(|event| event.kind.as_ref());
            format!("{} of {}", kinds.collect::<Vec<_>>().join("+"), append.conversation)
        }
        Entry::Record(record) => {
            let name = format!("{record:?}");
            name.split([' ', '(']).next().unwrap_or_default().to_owned()
        }
    };
    first_few(entries.into_iter().map(named), MOST)
}

/// Raised when an older host couldn't read what is written. Fields that are added stand last and have a
/// default: entries are encoded without names, by position.
const FORMAT: u8 = 1;

/// A batch as it stands in the log.
pub fn encoded(entries: &[Entry]) -> Result<Vec<u8>, JournalError> {
    const USUAL: usize = 1024;
    let mut bytes = Vec::with_capacity(USUAL * entries.len());
    bytes.push(FORMAT);
    rmp_serde::encode::write(&mut bytes, entries).map_err(|error| {
        JournalError::new(Trouble::Other, format!("a batch can't be encoded: {error}"))
    })?;
    Ok(bytes)
}

/// The batch at a position of the log.
pub fn decoded(position: Position, bytes: &[u8]) -> Result<Vec<Entry>, JournalError> {
    let damaged = |what: String| {
        let text = format!("the log's batch {} can't be read: {what}", position.0);
        JournalError::new(Trouble::Damaged, text)
    };
    match bytes.split_first() {
        Some((&FORMAT, batch)) => {
            rmp_serde::from_slice(batch).map_err(|error| damaged(error.to_string()))
        }
        Some((format, _)) => {
            let text = format!(
                "the log's batch {} is of format {format}, this host knows {FORMAT}: start the host that wrote it once more, and stop it in order",
                position.0
            );
            Err(JournalError::new(Trouble::Newer, text))
        }
        None => Err(damaged("it is empty".to_owned())),
    }
}
