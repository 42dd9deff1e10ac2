//! Tables of which only an index is damaged: a copy, row by row, in which indices are made anew.

use std::path::Path;

use rusqlite::Connection;

use crate::journal::error::{JournalError, Trouble};
use crate::journal::schema::{self, SCHEMA_VERSION};
use crate::journal::wal;

type Result<T> = std::result::Result<T, JournalError>;

/// Copies what stands in the tables of a file, read without any index; with what lies beside it, or without. Texts are
/// indexed anew by whoever opens the copy.
///
/// # Errors
/// [`JournalError`]: a table itself can't be read, or the copy can't be written.
pub fn mended(from: &Path, is_alone: bool, to: &Path) -> Result<()> {
    let how = if is_alone { "immutable=1" } else { "mode=ro" };
    let connection = schema::open(to)?;
    connection.execute("ATTACH ?1 AS old", [wal::uri(from, how)])?;
    let version: i64 = connection.query_row("PRAGMA old.user_version", [], |row| row.get(0))?;
    if version != SCHEMA_VERSION {
        let text = "only journals of this version are mended";
        return Err(JournalError::new(Trouble::Other, text));
    }
    connection.execute_batch("BEGIN")?;
    for table in tables(&connection)? {
        let Columns { all, order } = columns(&connection, &table)?;
        // In the table's own order: from another one SQLite would read an index that has all of it, and without any
        // copy indices as they are.
        let copy = format!(
            "INSERT INTO main.\"{table}\" ({all}) SELECT {all} FROM old.\"{table}\" NOT INDEXED ORDER BY {order}"
        );
        connection.execute(&copy, [])?;
    }
    connection.execute("UPDATE position SET indexed = 0", [])?;
    connection.execute_batch("COMMIT")?;
    Ok(connection.execute_batch("DETACH old; PRAGMA wal_checkpoint(TRUNCATE)")?)
}

/// Ours, but for the index of texts and what is to be taken out of that.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let query =
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'texts%'
                 AND name NOT LIKE 'sqlite%' ORDER BY name";
    let mut tables = connection.prepare(query)?;
    tables.query_map([], |row| row.get(0))?.collect()
}

struct Columns {
    /// All of a table's, and the number of each row where it has no column of its own: events are known by it.
    all: String,
    /// Those that its rows are in order by.
    order: String,
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Columns> {
    let mut about =
        connection.prepare("SELECT name, type, pk FROM pragma_table_info(?1, 'main')")?;
    let about = about.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let about: Vec<(String, String, i64)> = about.collect::<rusqlite::Result<_>>()?;
    let has_numbers = connection.prepare(&format!("SELECT rowid FROM main.\"{table}\"")).is_ok();
    let is_number = about.iter().any(|(_, kind, pk)| *pk == 1 && kind == "INTEGER");
    let number = (has_numbers && !is_number).then_some("rowid");
    let names = about.iter().map(|(name, ..)| name.as_str());
    let all = number.into_iter().chain(names).collect::<Vec<_>>().join(", ");
    let mut keys: Vec<(i64, &str)> =
        about.iter().map(|(name, _, pk)| (*pk, name.as_str())).collect();
    keys.retain(|(pk, _)| *pk > 0);
    keys.sort_unstable();
    let order = match has_numbers {
        true => "rowid".to_owned(),
        false => keys.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(", "),
    };
    Ok(Columns { all, order })
}
