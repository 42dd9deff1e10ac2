//! The journal: what is on disk is what happened.
//!
//! Events by conversation, and the tables that the same transaction keeps up. One writer thread
//! collects what arrives and commits it as one transaction (group commit); readers have connections
//! of their own.

mod append;
mod error;
mod place;
mod reader;
mod record;
mod schema;
mod sessions;
mod transcript;
mod trouble;
mod upkeep;
mod writer;

pub use append::{Append, AppendError, OutboxBody, OutboxOp, OutboxRow, Row};
pub use error::{JournalError, Trouble};
pub use place::{Holds, look, rescued};
pub use reader::{
    Account, AuditEntry, AuditFilter, Filter, OpenRow, Reader, SessionFilter, SignInView, SignedIn,
    Stored, TokenOwner, TokenView, dedup_key, unique_key,
};
pub use record::{Access, Outcome, Record, RoutingEntries};
pub use schema::FILE;
pub use sessions::{Part, Session, SessionOp, fold_sessions};
pub use transcript::Fits;
pub use trouble::{identity, in_words};
pub use upkeep::{note_alive, trim_routing_log};
pub use writer::{Journal, JournalHealth, Settled, Written};
