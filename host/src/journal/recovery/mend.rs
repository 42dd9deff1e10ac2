//! Tables of which only an index is damaged, or the list of free pages: a copy, row by row, in which indices are made anew.
//!
//! An index that doesn't agree with its table is the witness of a table that has lost rows. So that is done only where an
//! index can't be read as one, or has less than a table whose rows never change; and everything else agrees.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use crate::journal::error::{JournalError, Trouble};
use crate::journal::schema::{self, SCHEMA_VERSION};
use crate::journal::wal;

type Result<T> = std::result::Result<T, JournalError>;

/// Tables whose rows are never changed: where one has lost some, its indices have more.
const ROWS_STAY: [&str; 6] =
    ["events", "audit", "agent_events", "decisions", "routing_log", "spent"];

/// The index of texts, in which nothing stands that doesn't stand elsewhere.
const TEXTS: &str = "texts";

/// Copies what stands in the tables of a file, read without any index; with what lies beside it, or without. Texts are
/// indexed anew by whoever opens the copy. `leaves_out`: tables of which nothing is copied.
///
/// # Errors
/// [`JournalError`]: a table itself can't be read, or the copy can't be written.
pub fn mended(from: &Path, is_alone: bool, leaves_out: &[&str], to: &Path) -> Result<()> {
    let how = if is_alone { "immutable=1" } else { "mode=ro" };
    let connection = schema::open(to)?;
    connection.execute("ATTACH ?1 AS old", [wal::uri(from, how)])?;
    let version: i64 = connection.query_row("PRAGMA old.user_version", [], |row| row.get(0))?;
    if version != SCHEMA_VERSION {
        let text = "only journals of this version are mended";
        return Err(JournalError::new(Trouble::Other, text));
    }
    let damaged = || JournalError::new(Trouble::Damaged, "more than an index is damaged");
    if lacks_what_was_indexed(&connection)? {
        return Err(damaged());
    }
    let holds_nothing = |page: u32| wal::holds_nothing(from, is_alone, page);
    let witnesses =
        only_indices_are_damaged(&connection, leaves_out, &holds_nothing)?.ok_or_else(damaged)?;
    connection.execute_batch("BEGIN")?;
    for table in tables(&connection, leaves_out)? {
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

/// What was indexed was there.
fn lacks_what_was_indexed(connection: &Connection) -> rusqlite::Result<bool> {
    let query = "SELECT EXISTS (SELECT 1 FROM old.position WHERE indexed >
                 (SELECT coalesce(max(rowid), 0) FROM old.events NOT INDEXED))";
    connection.query_row(query, [], |row| row.get(0))
}

/// By what SQLite says of it (<https://www.sqlite.org/pragma.html#pragma_integrity_check>): pages of trees that are
/// indices, or the index of texts, or of none, and nothing that would speak of another tree. Also the indices that SQLite
/// couldn't compare with their table, as another one of it can't be read.
fn only_indices_are_damaged(
    connection: &Connection,
    leaves_out: &[&str],
    holds_nothing: &dyn Fn(u32) -> bool,
) -> rusqlite::Result<Option<Vec<Witness>>> {
    let query = "SELECT name, type, tbl_name, rootpage, sql FROM old.sqlite_schema";
    let mut all = connection.prepare(query)?;
    let all = all.query_map([], |row| {
        let (name, kind, table) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Tree { name, kind, table, root: row.get(3)?, sql: row.get(4)?, is_left_out: false })
    })?;
    let mut all: Vec<Tree> = all.collect::<rusqlite::Result<_>>()?;
    for tree in &mut all {
        tree.is_left_out = leaves_out.contains(&tree.table.as_str());
    }
    let (mut broken, mut lacking, mut is_damaged) = (HashSet::new(), HashSet::new(), false);
    let mut is_fine = |lines: &[String], broken: &mut HashSet<_>| {
        is_damaged |= lines.iter().any(|line| line != "ok");
        speaks_of_indices(&all, connection, holds_nothing, lines, broken, &mut lacking)
    };
    let mut of_all = match said(connection, "PRAGMA old.quick_check(100000)") {
        Ok(lines) => is_fine(&lines, &mut broken),
        // The index of texts is a program of its own, and where that can't be asked, nothing is: the tables are, below.
        Err(_) => is_fine(&[TEXTS.to_owned()], &mut broken),
    };
    let tables = tables(connection, leaves_out)?;
    let mut doubtful = HashSet::new();
    for table in &tables {
        // First without a look at what indices have of it, which may end the check.
        let pages = said(connection, &format!("PRAGMA old.quick_check('{table}')"))?;
        of_all &= is_fine(&pages, &mut broken);
        match said(connection, &format!("PRAGMA old.integrity_check('{table}')")) {
            Ok(lines) => of_all &= is_fine(&lines, &mut broken),
            Err(_) => drop(doubtful.insert(table.as_str())),
        }
    }
    // SQLite says a hundred things at most, and may have ended before: all that can be asked is asked how many rows there were.
    let of_tables =
        || all.iter().filter(|tree| tree.kind == "index" && tables.contains(&tree.table));
    let is_broken = |tree: &Tree| broken.contains(tree.name.as_str());
    let is_lacking = |tree: &Tree| lacking.contains(tree.name.as_str());
    doubtful
        .extend(of_tables().filter(|tree| is_broken(tree) || is_lacking(tree)).map(Tree::table));
    let asked = of_tables().filter(|tree| doubtful.contains(tree.table()) && !is_broken(tree));
    let witnesses = asked.map(|tree| tree.witness(is_lacking(tree))).collect();
    Ok((of_all && is_damaged).then_some(witnesses))
}

/// An index that tells how many rows of a table there were.
struct Witness {
    table: String,
    index: String,
    /// Of which rows.
    condition: String,
    /// It doesn't agree with the table, and may have less.
    may_lack: bool,
}

impl Witness {
    /// Whether the copy has as many.
    fn agrees(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let Self { table, index, condition, may_lack } = self;
        let count = |from: String| {
            let query = format!("SELECT count(*) FROM {from} WHERE {condition}");
            connection.query_row(&query, [], |row| row.get::<_, i64>(0))
        };
        let has = count(format!("main.\"{table}\""))?;
        match count(format!("old.\"{table}\" INDEXED BY \"{index}\"")) {
            Ok(had) => Ok(had == has || (*may_lack && had < has)),
            // So it can't be read as an index after all.
            Err(_) if *may_lack => Ok(true),
            Err(error) => Err(error),
        }
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
    /// Nothing of its table is wanted.
    is_left_out: bool,
}

impl Tree {
    fn table(&self) -> &str {
        &self.table
    }

    fn witness(&self, may_lack: bool) -> Witness {
        let condition = self.sql.as_deref().and_then(|sql| Some(sql.split_once(" WHERE ")?.1));
        Witness {
            table: self.table.clone(),
            index: self.name.clone(),
            condition: condition.unwrap_or("1").to_owned(),
            may_lack,
        }
    }
}

/// Whether what is said is of indices alone, and of none that can be read, or of one that may have less than its table:
/// these are noted.
fn speaks_of_indices<'a>(
    all: &'a [Tree],
    connection: &Connection,
    holds_nothing: &dyn Fn(u32) -> bool,
    lines: &[String],
    broken: &mut HashSet<&'a str>,
    lacking: &mut HashSet<&'a str>,
) -> bool {
    let mut named: Vec<&str> = Vec::new();
    for line in lines {
        if let Some(about) = line.strip_prefix("Tree ") {
            let root = about.split(' ').next().and_then(|root| root.parse::<i64>().ok());
            let tree = all.iter().find(|tree| Some(tree.root) == root);
            let is_made_anew = |tree: &&Tree| {
                tree.kind == "index" || tree.name.starts_with(TEXTS) || tree.is_left_out
            };
            let Some(tree) = tree.filter(is_made_anew) else { return false };
            broken.insert(&tree.name);
        } else if let Some(about) = line.strip_prefix("Fragmentation of ") {
            // It can be read, and doesn't hold what it should.
            let page = about.rsplit_once(" on page ").and_then(|(_, page)| page.parse().ok());
            let name = page.and_then(|page| tree_of(connection, page));
            let is_index = |tree: &&Tree| tree.kind == "index" && Some(&tree.name) == name.as_ref();
            let Some(tree) = all.iter().find(is_index) else { return false };
            named.push(tree.name.as_str());
        } else if let Some((_, index)) = line.rsplit_once(" index ") {
            named.push(index);
        } else if let Some(page) = line.strip_suffix(": never used") {
            // Where something stands, something led there: what is removed is overwritten.
            let page = page.strip_prefix("Page ").and_then(|page| page.parse().ok());
            if !page.is_some_and(holds_nothing) {
                return false;
            }
        } else if !(line == "ok"
            || line == TEXTS
            || line.starts_with("*** in ")
            // Nothing stands in free pages, and a copy has none.
            || line.starts_with("Freelist: "))
        {
            return false;
        }
    }
    named.into_iter().all(|index| {
        let Some(tree) = all.iter().find(|tree| tree.name == index) else { return false };
        if ROWS_STAY.contains(&tree.table.as_str()) {
            lacking.insert(&tree.name);
        }
        broken.contains(index) || lacking.contains(index) || tree.is_left_out
    })
}

/// Whose page that is.
fn tree_of(connection: &Connection, page: u32) -> Option<String> {
    let query = "SELECT name FROM dbstat WHERE schema = 'old' AND pageno = ?1";
    connection.query_row(query, [page], |row| row.get(0)).ok()
}

fn said(connection: &Connection, check: &str) -> rusqlite::Result<Vec<String>> {
    let mut check = connection.prepare(check)?;
    let said = check.query_map([], |row| row.get::<_, String>(0))?;
    let said = said.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(said.iter().flat_map(|lines| lines.lines().map(str::to_owned)).collect())
}

/// Ours, but for the index of texts and what is to be taken out of that, and for those that are left out.
fn tables(connection: &Connection, leaves_out: &[&str]) -> rusqlite::Result<Vec<String>> {
    let query =
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'texts%'
                 AND name NOT LIKE 'sqlite%' ORDER BY name";
    let mut tables = connection.prepare(query)?;
    let tables = tables.query_map([], |row| row.get(0))?;
    let mut tables = tables.collect::<rusqlite::Result<Vec<String>>>()?;
    tables.retain(|table| !leaves_out.contains(&table.as_str()));
    Ok(tables)
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
