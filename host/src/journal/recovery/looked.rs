//! Looks at all of some tables, each made once; and what had to be made for that.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::base::{Base, Form, Kind};
use super::mend::mended;
use super::salvage::{Elsewhere, Salvaged};
use crate::journal::error::{JournalError, Trouble};
use crate::journal::verify;
use crate::journal::wal::{self, Wal};

/// What was written down of routing.
const RECORD: [&str; 2] = ["decisions", "routing_log"];

/// Whose form was looked at, and what was found.
#[derive(Default)]
pub struct Looked {
    /// The journal's.
    pub folder: PathBuf,
    found: Vec<(PathBuf, Form, bool, Option<String>)>,
    /// What was made for it.
    copies: Vec<(Base, Copy, Option<String>)>,
    /// How many were, those that were given out included.
    made: usize,
    /// What was made of logs whose newest part stands behind damage.
    salvaged: Vec<Copy>,
    /// Something couldn't be looked at: for want of room, say.
    kept_from: Option<JournalError>,
}

/// What was made to be looked at goes with that.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        wal::remove(&self.0);
    }
}

impl Looked {
    /// Whether all of some tables can be read, and agrees.
    pub fn is_sound(&mut self, base: &Base) -> bool {
        let (file, is_alone) = (&base.file, base.is_alone);
        let is_it = |(known, form, alone, _): &&(PathBuf, Form, bool, Option<String>)| {
            known == file && *form == base.form && *alone == is_alone
        };
        if let Some((.., wrong)) = self.found.iter().find(is_it) {
            return wrong.is_none();
        }
        let connection = match base.form {
            Form::Empty => return true,
            // What it would be is made once to see.
            Form::Mended | Form::Doubtful => self.mended(base, &[]),
            Form::WithoutRecord => self.mended(base, &RECORD),
            Form::AsItIs if is_alone || base.kind == Kind::Backup => {
                wal::without_wal(file).map_err(JournalError::from)
            }
            Form::AsItIs => verify::look_only(file),
        };
        let wrong = connection.and_then(|connection| verify::form(&connection)).err();
        let doubt = self.doubt_of(base).filter(|_| base.form == Form::Mended);
        let wrong = wrong.or_else(|| doubt.map(|why| JournalError::new(Trouble::Damaged, why)));
        if let Some(error) = &wrong {
            self.note(error);
        }
        let is_sound = wrong.is_none();
        self.found.push((file.clone(), base.form, is_alone, wrong.map(|wrong| wrong.to_string())));
        is_sound
    }

    fn mended(&mut self, base: &Base, leaves_out: &[&str]) -> Result<Connection, JournalError> {
        if self.made_of(base).is_none() {
            let copy = self.room();
            let doubt = mended(&base.file, base.is_alone, leaves_out, &copy.0)?;
            self.copies.push((base.clone(), copy, doubt));
        }
        let (copy, _) = self.made_of(base).expect("it was made");
        verify::look_only(copy)
    }

    fn room(&mut self) -> Copy {
        let copy = Copy(self.folder.join(format!("restored.mended-{}.partial", self.made)));
        self.made += 1;
        wal::remove(&copy.0);
        copy
    }

    /// A log as far as it can be read, if its newest part stands behind damage in what lies beside it, which SQLite
    /// doesn't read. `known`: elsewhere.
    ///
    /// # Errors
    /// [`JournalError`]: whose it is can't be read, or there is no room for what is made of it.
    pub fn behind_damage(
        &mut self,
        file: &Path,
        known: &Elsewhere<'_>,
    ) -> Result<Option<Salvaged>, JournalError> {
        if wal::beside(file) != Wal::Broken {
            return Ok(None);
        }
        let parts = [self.room(), self.room()];
        let made = self.room();
        let salvaged =
            Salvaged::of(file, known, parts.each_ref().map(|part| part.0.as_path()), &made.0)?;
        self.salvaged.push(made);
        Ok(Some(salvaged))
    }

    /// What was made of tables to be looked at, and why rows may be missing from it.
    fn made_of(&self, base: &Base) -> Option<(&Path, Option<&str>)> {
        let (_, copy, doubt) = &self.copies[self.number_of(base)?];
        Some((copy.0.as_path(), doubt.as_deref()))
    }

    fn number_of(&self, base: &Base) -> Option<usize> {
        let made = made_for(&base.file, base.form, base.is_alone)?;
        let is_it = |base: &Base| made_for(&base.file, base.form, base.is_alone) == Some(made);
        self.copies.iter().position(|(base, ..)| is_it(base))
    }

    /// Where it is.
    pub fn copy_of(&self, base: &Base) -> Option<&Path> {
        self.made_of(base).map(|(copy, _)| copy)
    }

    /// Why rows may be missing from it.
    pub fn doubt_of<'a>(&'a self, base: &'a Base) -> Option<&'a str> {
        let made = self.made_of(base).and_then(|(_, doubt)| doubt);
        made.or(base.doubt.as_deref())
    }

    /// Gives out what was made of tables to be looked at. Whoever needs it once more makes it anew.
    ///
    /// # Errors
    /// [`JournalError`]: it can't be moved there, or wasn't found to be sound.
    pub fn gives_mended(&mut self, base: &Base, to: &Path) -> Result<(), JournalError> {
        let Some(number) = self.number_of(base) else {
            let text = format!("{} wasn't mended", base.file.display());
            return Err(JournalError::new(Trouble::Other, text));
        };
        let (_, copy, _) = self.copies.swap_remove(number);
        let made = made_for(&base.file, base.form, base.is_alone);
        self.found.retain(|(file, form, is_alone, _)| made_for(file, *form, *is_alone) != made);
        std::fs::rename(&copy.0, to).map_err(|error| {
            let text = format!("{}: {error}", to.display());
            JournalError::new(Trouble::NotWritable, text)
        })
    }

    /// Something was wrong; if that is because it couldn't be looked at, it may lead further.
    pub fn note(&mut self, error: &JournalError) {
        if error.keeps_from_looking() {
            self.kept_from.get_or_insert_with(|| error.clone());
        }
    }

    /// Why something couldn't be looked at, which may lead further.
    pub fn kept_from(&self) -> Option<&JournalError> {
        self.kept_from.as_ref()
    }

    /// Those that aren't, and why.
    pub fn damaged(&self) -> impl Iterator<Item = (&PathBuf, &String)> {
        let as_they_are = self.found.iter().filter(|(_, form, ..)| *form == Form::AsItIs);
        as_they_are.filter_map(|(file, .., why)| Some((file, why.as_ref()?)))
    }
}

/// What is made of a file to be looked at, the same for more than one form; nothing, if it is used as it is.
fn made_for(file: &Path, form: Form, is_alone: bool) -> Option<(&Path, bool, bool)> {
    let is_made = !matches!(form, Form::AsItIs | Form::Empty);
    is_made.then_some((file, is_alone, form == Form::WithoutRecord))
}
