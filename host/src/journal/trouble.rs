//! What an operator is told of a journal that can't be used, and what to do.

use std::path::Path;

use super::error::{JournalError, Trouble};
use super::schema::FILE;

/// What is wrong with the journal of a data folder, and what helps.
pub fn in_words(error: &JournalError, data: &Path) -> String {
    let file = data.join(FILE);
    let file = file.display();
    let advice = match error.trouble {
        Trouble::Damaged => {
            "it is damaged, and nothing in it was changed: cordboard journal recover goes on with what leads furthest (name your backups: --backup FILE); without any, `sqlite3 FILE .recover` may read what is left"
        }
        Trouble::NotWritable => {
            "the host can't write there: look at owner and rights of the file and its folder, and whether the disk is mounted for reading only"
        }
        Trouble::Full => FULL,
        // SQLite tells some of what a full disk does as a failure of it.
        Trouble::Disk if is_full(data) => FULL,
        Trouble::Held => "another program holds it: end that",
        Trouble::Disk => "the disk fails: look at the system's log",
        Trouble::Newer | Trouble::Missing | Trouble::Grief | Trouble::Other => "",
    };
    match advice {
        "" => format!("the journal {file} can't be used: {error}"),
        advice => format!("the journal {file} can't be used ({error}): {advice}"),
    }
}

const FULL: &str = "the disk is full: make room";

/// Less than a journal's first pages need.
fn is_full(data: &Path) -> bool {
    const LEAST: u64 = 256 * 1024;
    rustix::fs::statvfs(data).is_ok_and(|disk| disk.f_bavail * disk.f_frsize < LEAST)
}

/// So many of them at most, and how many more there are.
pub fn first_few(mut all: impl Iterator<Item = String>, most: usize) -> String {
    let mut named: Vec<String> = all.by_ref().take(most).collect();
    let more = all.count();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}
