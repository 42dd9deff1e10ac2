//! Tables that lie in a data folder or in a backup, and what can be made of them.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::lineage::{Lineage, Reached};
use super::log_file::LogFile;
use crate::journal::entry::Position;
use crate::journal::error::{JournalError, Trouble};
use crate::journal::log::LogId;
use crate::journal::views::{Mark, OtherTime};
use crate::journal::wal::{self, Wal};
use crate::journal::{schema, verify};

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

/// What is made of a file with tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Form {
    /// It is used as it is.
    AsItIs,
    /// A copy of it has its indices made anew.
    Mended,
    /// The same, and something speaks of rows that are missing from it: whoever wants it says so.
    Doubtful,
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
    /// What speaks of rows that are missing from them.
    pub doubt: Option<String>,
    /// They are of an earlier version, which a start brings to this one: nothing is made of them before that.
    pub is_older: bool,
}

impl Base {
    /// None, where a log has all there ever was.
    pub fn before_all_of(log: &LogFile, data: &Path) -> Option<Self> {
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
            doubt: None,
            is_older: false,
        })
    }

    /// The same in another form.
    pub fn made(&self, form: Form) -> Self {
        Self { form, ..self.clone() }
    }

    /// Recovery has left them like this, and nobody has gone on with them since.
    pub fn was_left_by_recovery(&self) -> bool {
        self.log.is_none() && !self.lineage.is_empty()
    }

    pub fn reached(&self) -> Reached {
        Reached { lineage: self.lineage.clone(), at: self.applied }
    }
}

/// Tables in a file, with what lies beside it and without.
pub fn looks_at(file: &Path, kind: Kind) -> Result<Vec<Base>, JournalError> {
    let beside = wal::beside(file);
    let of = |connection: &Connection, is_alone: bool| {
        verify::is_a_journal(connection, file)?;
        let mark = match verify::has_a_log(connection)? {
            true => Mark::of(connection)?,
            // There was none when it was written.
            false => {
                let applied = schema::BEFORE_LOG;
                Mark { log: None, was_stopped: true, applied, kept: applied, differs: None }
            }
        };
        let lineage = Lineage::of(connection, &mark)?;
        let (file, log) = (file.to_owned(), mark.log);
        let Mark { applied, was_stopped, .. } = mark;
        let is_torn = beside == Wal::Broken && !is_alone;
        let (form, doubt) = (Form::AsItIs, mark.says_of_a_lost_write());
        let base = Base {
            file,
            kind,
            form,
            is_alone,
            is_torn,
            applied,
            log,
            lineage,
            was_stopped,
            doubt,
            is_older: verify::is_older(connection)?,
        };
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
