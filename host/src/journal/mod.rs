//! The journal: what is on disk is what happened.
//!
//! A log, which is committed to batch by batch with one sync each and keeps its newest part only, and views,
//! the tables that are fed from it and read from. One thread writes, one applies what was written; readers
//! have connections of their own. Whoever must see what was just written waits until it was applied.

mod append;
mod copies;
mod entry;
mod error;
mod first_look;
mod folder;
mod forget;
mod guard;
mod handle;
mod health;
mod log;
mod looks;
mod outbox;
mod progress;
mod reader;
mod rebuild;
mod record;
mod recovery;
mod reference;
mod schema;
mod sessions;
mod slack;
mod start;
mod texts;
mod tidy;
mod transcript;
mod trouble;
mod upkeep;
mod verify;
mod versions;
mod views;
mod wal;
mod words;
mod writer;

pub use append::{Append, AppendError, Row, StoredEvent};
pub use copies::{NotCopied, backup};
pub use entry::Position;
pub use error::{Failed, JournalError, Trouble};
pub use folder::{
    Holds, copies, look, put_aside, put_note_aside, restore_ends, stamps_of_restores,
};
pub use forget::Rows;
pub use guard::{Files, Harm, Sight};
pub use handle::Journal;
pub use health::JournalHealth;
pub use outbox::{Begins, OutboxOp, OutboxRow, Repeater, Reply, Settles, Target};
pub use reader::{
    Account, AuditEntry, AuditFilter, Customer, Filter, Looked, OpenRow, Reader, SessionFilter,
    SignInView, SignedIn, Stored, TokenOwner, TokenView, dedup_key, unique_key,
};
pub use rebuild::{Rebuilt, views as rebuild};
pub use record::{Access, Outcome, PluginStore, Record, Records, RoutingEntries, With};
pub use recovery::{
    BehindGaps, Form, GivenUp, Kind, NotDone, Outlook, RECOVER, Recovered, Recovery, Terms, Way,
    outlook, recover, restore,
};
pub use reference::Reference;
pub use schema::FILE;
pub use sessions::{Part, Session, SessionOp, fold_sessions};
pub use texts::Indexed;
pub use transcript::Fits;
pub use trouble::{first_few, in_words};
pub use upkeep::{note_alive, trim_routing_log};
pub use verify::{Found, folder as verify};
pub use views::Written;
pub use words::Phrase;
pub use writer::Answers;
