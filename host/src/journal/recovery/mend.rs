//! Tables of which only an index is damaged: a copy, row by row, in which indices are made anew.
//!
//! An index that doesn't agree with its table is the witness of a table that has lost rows. So that is done only where an
//! index can't be read as one, and everything else agrees.

use std::collections::HashSet;
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
    let damaged = || JournalError::new(Trouble::Damaged, "more than an index is damaged");
    let witnesses = only_indices_are_damaged(&connection)?.ok_or_else(damaged)?;
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
    for witness in witnesses {
        if !witness.agrees(&connection)? {
            return Err(damaged());
        }
    }
    connection.execute("UPDATE position SET indexed = 0", [])?;
    connection.execute_batch("COMMIT")?;
    Ok(connection.execute_batch("DETACH old; PRAGMA wal_checkpoint(TRUNCATE)")?)
}

/// By what SQLite says of it (<https://www.sqlite.org/pragma.html#pragma_integrity_check>): pages of trees that are
/// indices, or the index of texts, and nothing that would speak of another tree. Also the indices that SQLite couldn't
/// compare with their table, as another one of it can't be read.
fn only_indices_are_damaged(connection: &Connection) -> rusqlite::Result<Option<Vec<Witness>>> {
    let query = "SELECT name, type, tbl_name, rootpage, sql FROM old.sqlite_schema";
    let mut all = connection.prepare(query)?;
    let all = all.query_map([], |row| {
        let (name, kind, table) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Tree { name, kind, table, root: row.get(3)?, sql: row.get(4)? })
    })?;
    let all: Vec<Tree> = all.collect::<rusqlite::Result<_>>()?;
    let mut broken = HashSet::new();
    if !speaks_of_indices(&all, &said(connection, "PRAGMA old.quick_check(100000)")?, &mut broken) {
        return Ok(None);
    }
    let mut witnesses = Vec::new();
    for table in tables(connection)? {
        let check = format!("PRAGMA old.integrity_check('{table}')");
        match said(connection, &check) {
            Ok(lines) if speaks_of_indices(&all, &lines, &mut broken) => {}
            Ok(_) => return Ok(None),
            Err(_) => {
                let own = all.iter().filter(|tree| tree.table == table && tree.kind == "index");
                let whole = own.filter(|tree| !broken.contains(tree.name.as_str()));
                witnesses.extend(whole.map(Tree::witness));
            }
        }
    }
    Ok((!broken.is_empty()).then_some(witnesses))
}

/// An index that tells how many rows of a table there were.
struct Witness {
    table: String,
    index: String,
    /// Of which rows.
    condition: String,
}

impl Witness {
    /// Whether the copy has as many.
    fn agrees(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let Self { table, index, condition } = self;
        let count = |from: String| {
            let query = format!("SELECT count(*) FROM {from} WHERE {condition}");
            connection.query_row(&query, [], |row| row.get::<_, i64>(0))
        };
        let (had, has) = (
            count(format!("old.\"{table}\" INDEXED BY \"{index}\""))?,
            count(format!("main.\"{table}\""))?,
        );
        Ok(had == has)
    }
}

/// A table or an index, as the schema names it.
struct Tree {
    name: String,
    kind: String,
    table: String,
    root: i64,
    /// None of those that a table's key makes.
    sql: Option<String>,
}

impl Tree {
    fn witness(&self) -> Witness {
        let condition = self.sql.as_deref().and_then(|sql| Some(sql.split_once(" WHERE ")?.1));
        Witness {
            table: self.table.clone(),
            index: self.name.clone(),
            condition: condition.unwrap_or("1").to_owned(),
        }
    }
}

/// Whether what is said is of indices alone, and of none that can be read: those that can't are noted.
fn speaks_of_indices<'a>(all: &'a [Tree], lines: &[String], broken: &mut HashSet<&'a str>) -> bool {
    let mut named = Vec::new();
    for line in lines {
        if let Some(about) = line.strip_prefix("Tree ") {
            let root = about.split(' ').next().and_then(|root| root.parse::<i64>().ok());
            let tree = all.iter().find(|tree| Some(tree.root) == root);
            let is_made_anew =
                |tree: &&Tree| tree.kind == "index" || tree.name.starts_with("texts");
            let Some(tree) = tree.filter(is_made_anew) else { return false };
            broken.insert(&tree.name);
        } else if let Some((_, index)) = line.rsplit_once(" index ") {
            named.push(index);
        } else if !(line == "ok" || line.starts_with("*** in ") || line.ends_with(": never used")) {
            return false;
        }
    }
    named.iter().all(|index| broken.contains(index))
}

fn said(connection: &Connection, check: &str) -> rusqlite::Result<Vec<String>> {
    let mut check = connection.prepare(check)?;
    let said = check.query_map([], |row| row.get::<_, String>(0))?;
    let said = said.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(said.iter().flat_map(|lines| lines.lines().map(str::to_owned)).collect())
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
