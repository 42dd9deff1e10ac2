//! Tables of which only an index is damaged, or the list of free pages: a copy, row by row, in which indices are made anew.
//!
//! What speaks of lost rows, or of rows that are of before, is looked for: pages that nothing leads to, indices that have
//! others than their table, numbers that are missing, what was indexed and isn't there. Where nothing does, the copy is all there was; otherwise whoever
//! wants it is asked.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::journal::error::{JournalError, Trouble};
use crate::journal::schema::{self, SCHEMA_VERSION};
use crate::journal::views::Mark;
use crate::journal::wal::{self, Pages};

type Result<T> = std::result::Result<T, JournalError>;

/// Tables whose rows are never changed, and removed only with what is forgotten: where one has lost some, its indices have
/// more, and where one of these has less, that is its own loss.
const ROWS_STAY: [&str; 1] = ["events"];

/// Tables of which each row counts, numbered one after another.
const NUMBERED: [&str; 3] = ["events", "outbox", "audit"];

/// What goes with a conversation that is forgotten (`forget.rs`).
const FORGOTTEN: [(&str, &str); 4] = [
    ("events", "conversation"),
    ("outbox", "conversation"),
    ("wrap_ups", "conversation"),
    ("conversations", "id"),
];

/// The index of texts, in which nothing stands that doesn't stand elsewhere.
const TEXTS: &str = "texts";

/// How far the tables have come, and the page that repeats it: either can be made of the other.
const POSITION: &str = "position";
const AGAIN: &str = "position_again";

/// Copies what stands in the tables of a file, read without any index; with what lies beside it, or without. Texts are
/// indexed anew by whoever opens the copy. `leaves_out`: tables of which nothing is copied.
///
/// Why rows may be missing from the copy; nothing: all are there.
///
/// # Errors
/// [`JournalError`]: a table itself can't be read, or the copy can't be written.
pub fn mended(
    from: &Path,
    is_alone: bool,
    leaves_out: &[&str],
    to: &Path,
) -> Result<Option<String>> {
    // Before SQLite has it open: its locks end with any descriptor of the file that is closed.
    let pages = Pages::of(from, is_alone);
    let how = if is_alone { "immutable=1" } else { "mode=ro" };
    let connection = schema::open(to)?;
    connection.execute("ATTACH ?1 AS old", [wal::uri(from, how)])?;
    let version: i64 = connection.query_row("PRAGMA old.user_version", [], |row| row.get(0))?;
    if version != SCHEMA_VERSION {
        let text = "only journals of this version are mended";
        return Err(JournalError::new(Trouble::Other, text));
    }
    let again = Mark::again_in(&connection, &format!("old.{AGAIN}"));
    let again = again.map(|at| at.0.cast_signed());
    let (lines, error) = said(&connection, &format!("PRAGMA old.quick_check('{POSITION}')"));
    let position = format!("old.{POSITION}");
    let is_sound = Mark::is_in(&connection, &position) && error.is_none() && lines == ["ok"];
    let is_known = is_sound || again.is_none();
    let leaves_out = [leaves_out, &[AGAIN], if is_known { &[] } else { &[POSITION][..] }].concat();
    let tables = tables(&connection, &leaves_out)?;
    let trees = Tree::all(&connection)?;
    let mut signs = Signs::of(&connection, &trees, &tables, &leaves_out)?;
    if signs.speaks_of_tables || !signs.speaks {
        let text = "more than an index is damaged, or nothing";
        return Err(JournalError::new(Trouble::Damaged, text));
    }
    let mut doubts = Vec::new();
    doubts.extend(is_unreached(&connection, &pages)?);
    connection.execute_batch("BEGIN")?;
    for table in &tables {
        let Columns { all, order } = columns(&connection, table)?;
        // In the table's own order: from another one SQLite would read an index that has all of it, and without any
        // copy indices as they are.
        let copy = format!(
            "INSERT INTO main.\"{table}\" ({all}) SELECT {all} FROM old.\"{table}\" NOT INDEXED ORDER BY {order}"
        );
        connection.execute(&copy, [])?;
    }
    // A page that is of before has them still.
    for (table, column) in FORGOTTEN {
        let forget = format!(
            "DELETE FROM main.{table} WHERE {column} IN (SELECT conversation FROM main.forgotten)"
        );
        connection.execute(&forget, [])?;
    }
    if !is_known {
        let position = "INSERT INTO position (one, applied, was_stopped) VALUES (1, ?1, 0)";
        connection.execute(position, [again])?;
    }
    connection.execute("UPDATE position SET indexed = 0", [])?;
    // The further one holds.
    let further = "UPDATE position SET applied = max(applied, coalesce(?1, 0))";
    connection.execute(further, [again])?;
    connection.execute_batch("COMMIT")?;
    // What can't be read mustn't take the copy with it.
    if is_known {
        doubts.extend(lacks_what_was_indexed(&connection)?);
    }
    for tree in &trees {
        if signs.may_tell(tree, &tables) {
            match tree.says_of_the_copy(&connection)? {
                Said::Nothing => {}
                Said::Doubt(doubt) => doubts.push(doubt),
                Said::Unreadable => drop(signs.broken.insert(tree.name.clone())),
            }
        }
    }
    for table in NUMBERED.into_iter().filter(|table| signs.has_no_index(&trees, table)) {
        doubts.extend(has_gaps(&connection, table)?);
    }
    drop(connection);
    schema::open(to)?.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(doubts.into_iter().next())
}

/// What SQLite says of a file (<https://www.sqlite.org/pragma.html#pragma_integrity_check>).
#[derive(Default)]
struct Signs {
    /// It says something.
    speaks: bool,
    /// Of a table, or of what isn't known.
    speaks_of_tables: bool,
    /// Indices that can't be read as such.
    broken: HashSet<String>,
}

impl Signs {
    fn of(
        connection: &Connection,
        trees: &[Tree],
        tables: &[String],
        leaves_out: &[&str],
    ) -> rusqlite::Result<Self> {
        let mut signs = Self::default();
        let mut hear = |lines: Vec<String>| {
            for line in lines.iter().filter(|line| *line != "ok") {
                signs.speaks = true;
                let is_fine = signs.hear(connection, trees, leaves_out, line);
                signs.speaks_of_tables |= !is_fine;
            }
        };
        /// What the index of texts says where it can't even say that.
        const MALFORMED: &str = "database disk image is malformed";
        let (mut lines, error) = said(connection, "PRAGMA old.quick_check(100000)");
        for line in lines.iter_mut().filter(|line| *line == MALFORMED) {
            TEXTS.clone_into(line);
        }
        hear(lines);
        // The index of texts is a program of its own, which may not be able to answer: the tables are asked below.
        hear(error.map(|_| TEXTS.to_owned()).into_iter().collect());
        for table in tables {
            // First without a look at what indices have of it, which may end the check.
            let (lines, error) = said(connection, &format!("PRAGMA old.quick_check('{table}')"));
            hear(lines);
            if let Some(error) = error {
                return Err(error);
            }
            // What it didn't come to is asked below.
            hear(said(connection, &format!("PRAGMA old.integrity_check('{table}')")).0);
        }
        Ok(signs)
    }

    /// Whether a line speaks of no table.
    fn hear(
        &mut self,
        connection: &Connection,
        trees: &[Tree],
        leaves_out: &[&str],
        line: &str,
    ) -> bool {
        let is_left_out = |tree: &Tree| leaves_out.contains(&tree.table.as_str());
        // Of the index of texts by itself, and of the tables that it keeps.
        if line.to_ascii_lowercase().contains("fts5") || line.contains(" in texts_") {
            return true;
        }
        // What stands in a row: `NULL value in decisions.run`.
        let of_a_row = line.split_once(" value in ").and_then(|(_, place)| place.split_once('.'));
        if of_a_row.is_some_and(|(table, _)| leaves_out.contains(&table)) {
            return true;
        }
        if let Some((tree, page)) = line.split_once(": 2nd reference to page ")
            && tree.starts_with("Tree ")
        {
            return self.hear_of_two(connection, trees, leaves_out, page);
        }
        if let Some(about) = line.strip_prefix("Tree ") {
            let root = about.split(' ').next().and_then(|root| root.parse::<i64>().ok());
            let Some(tree) = trees.iter().find(|tree| Some(tree.root) == root) else {
                return false;
            };
            self.broken.insert(tree.name.clone());
            return tree.is_index || tree.name.starts_with(TEXTS) || is_left_out(tree);
        }
        let is_of_a_page =
            line.starts_with("Fragmentation of ") || line.starts_with("Multiple uses for byte ");
        let differing = match is_of_a_page {
            // It can be read, and doesn't hold what it should.
            true => {
                let page = line.rsplit_once(" page ").and_then(|(_, page)| page.parse().ok());
                page.and_then(|page| tree_of(connection, page))
            }
            false => line.rsplit_once(" index ").map(|(_, index)| index.to_owned()),
        };
        if let Some(name) = differing {
            let Some(tree) = trees.iter().find(|tree| tree.name == name) else { return false };
            return tree.is_index || tree.name.starts_with(TEXTS) || is_left_out(tree);
        }
        line == TEXTS
            || line.starts_with("*** in ")
            // What stands in pages that nothing leads to is looked at by itself.
            || line.starts_with("Freelist: ")
            || line.ends_with(": never used")
    }

    /// Of a page that more than one lead to SQLite accuses whoever comes last: a table, say, of what the list of free pages
    /// or an index leads to by mistake. Whether at most one table does.
    fn hear_of_two(
        &mut self,
        connection: &Connection,
        trees: &[Tree],
        leaves_out: &[&str],
        page: &str,
    ) -> bool {
        let Ok(page) = page.parse() else { return false };
        let Ok(names) = trees_of(connection, page) else { return false };
        let mut tables = 0;
        for name in names {
            let Some(tree) = trees.iter().find(|tree| tree.name == name) else { return false };
            if tree.is_index || name.starts_with(TEXTS) || leaves_out.contains(&&*tree.table) {
                self.broken.insert(name);
            } else {
                tables += 1;
            }
        }
        tables <= 1
    }

    /// An index of a table that is copied, which can be read.
    fn may_tell(&self, tree: &Tree, tables: &[String]) -> bool {
        tree.is_index && tables.contains(&tree.table) && !self.broken.contains(&tree.name)
    }

    /// Whether none of a table's indices can be read.
    fn has_no_index(&self, trees: &[Tree], table: &str) -> bool {
        let mut own = trees.iter().filter(|tree| tree.is_index && tree.table == table);
        let is_lost = |tree: &Tree| {
            // One of a part of the rows tells nothing of the others.
            self.broken.contains(&tree.name) || tree.condition() != "1"
        };
        own.all(is_lost)
    }
}

/// A table or an index, as the schema names it.
struct Tree {
    name: String,
    is_index: bool,
    table: String,
    root: i64,
    /// None of those that a table's key makes.
    sql: Option<String>,
}

impl Tree {
    fn all(connection: &Connection) -> rusqlite::Result<Vec<Self>> {
        let query = "SELECT name, type = 'index', tbl_name, rootpage, sql FROM old.sqlite_schema
                     WHERE rootpage > 0";
        let mut all = connection.prepare(query)?;
        let all = all.query_map([], |row| {
            let (name, is_index, table) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Self { name, is_index, table, root: row.get(3)?, sql: row.get(4)? })
        })?;
        all.collect()
    }

    /// Of which rows it is.
    fn condition(&self) -> &str {
        self.sql.as_deref().and_then(|sql| Some(sql.split_once(" WHERE ")?.1)).unwrap_or("1")
    }

    /// What speaks of rows that the copy lacks, or has as they were before.
    fn says_of_the_copy(&self, connection: &Connection) -> rusqlite::Result<Said> {
        let (table, name, condition) = (&self.table, &self.name, self.condition());
        let old = format!("old.\"{table}\" INDEXED BY \"{name}\"");
        let main = format!("main.\"{table}\"");
        let count = |what: &str| {
            let query = format!("SELECT count(*) FROM {what}");
            connection.query_row(&query, [], |row| row.get::<_, i64>(0))
        };
        if ROWS_STAY.contains(&table.as_str()) {
            let has = count(&format!("{main} WHERE {condition}"))?;
            let Ok(had) = count(&format!("{old} WHERE {condition}")) else {
                return Ok(Said::Unreadable);
            };
            let lacks =
                |more| format!("the index {name} has {more} rows of {table} that aren't there");
            return Ok(if had > has { Said::Doubt(lacks(had - has)) } else { Said::Nothing });
        }
        let columns = self.columns(connection)?;
        let of = |from: &str| format!("SELECT {columns} FROM {from} WHERE {condition}");
        let (old, main) = (of(&old), of(&main));
        let differs = [(&old, &main), (&main, &old)]
            .map(|(one, other)| count(&format!("({one} EXCEPT {other})")));
        Ok(match differs {
            [Ok(0), Ok(0)] => Said::Nothing,
            [Ok(_), Ok(_)] => Said::Doubt(format!("the index {name} has other rows than {table}")),
            _ => Said::Unreadable,
        })
    }

    /// Those that stand in it: its own, and what leads to the row.
    fn columns(&self, connection: &Connection) -> rusqlite::Result<String> {
        let query = format!("PRAGMA old.index_xinfo(\"{}\")", self.name);
        let mut columns = connection.prepare(&query)?;
        let columns = columns.query_map([], |row| row.get::<_, Option<String>>(2))?;
        let columns = columns.collect::<rusqlite::Result<Vec<_>>>()?;
        let name = |column: Option<String>| {
            column.map_or_else(|| "rowid".to_owned(), |column| format!("\"{column}\""))
        };
        Ok(columns.into_iter().map(name).collect::<Vec<_>>().join(", "))
    }
}

/// What an index says of a copy of its table.
enum Said {
    /// That it is all there was.
    Nothing,
    /// Something else.
    Doubt(String),
    /// It can't be read to its end after all.
    Unreadable,
}

/// Pages that nothing leads to, and on which something stands: rows, or parts of an index. What is removed is overwritten.
fn is_unreached(connection: &Connection, pages: &Pages) -> rusqlite::Result<Option<String>> {
    let all: u32 = connection.query_row("PRAGMA old.page_count", [], |row| row.get(0))?;
    let reached = || {
        let mut reached = connection.prepare("SELECT pageno FROM dbstat WHERE schema = 'old'")?;
        let reached = reached.query_map([], |row| row.get::<_, u32>(0))?;
        reached.collect::<rusqlite::Result<HashSet<u32>>>()
    };
    let Ok(reached) = reached() else {
        return Ok(Some(
            "what is damaged leads nowhere, so pages with rows may be lost".to_owned(),
        ));
    };
    let free = pages.free(all);
    let is_lost =
        |page: &u32| !reached.contains(page) && !free.contains(page) && !pages.is_blank(*page);
    Ok(match (1..=all).filter(is_lost).count() {
        0 => None,
        count => Some(format!("nothing leads to {count} pages, in which rows may stand")),
    })
}

/// What was indexed was there.
fn lacks_what_was_indexed(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let query = "SELECT indexed - (SELECT coalesce(max(rowid), 0) FROM main.events)
                 FROM old.position";
    let lacks: Option<i64> = connection.query_row(query, [], |row| row.get(0)).optional()?;
    let lacks = lacks.filter(|lacks| *lacks > 0);
    Ok(lacks.map(|lacks| format!("{lacks} events were indexed that aren't there")))
}

/// Numbers of rows that are missing: what was removed has left some, too.
fn has_gaps(connection: &Connection, table: &str) -> rusqlite::Result<Option<String>> {
    let query = format!("SELECT coalesce(max(rowid), 0) - count(*) FROM main.\"{table}\"");
    let gaps: i64 = connection.query_row(&query, [], |row| row.get(0))?;
    Ok((gaps > 0).then(|| {
        format!("{gaps} rows of {table} aren't there, and no index tells which were removed")
    }))
}

/// Who leads to a page.
const LEADS_TO: &str = "SELECT name FROM dbstat WHERE schema = 'old' AND pageno = ?1";

/// The first that leads to it; what comes behind it perhaps can't be read.
fn tree_of(connection: &Connection, page: u32) -> Option<String> {
    connection.query_row(LEADS_TO, [page], |row| row.get(0)).ok()
}

/// All that do; a table twice, if it does so in two places.
fn trees_of(connection: &Connection, page: u32) -> rusqlite::Result<Vec<String>> {
    let mut names = connection.prepare(LEADS_TO)?;
    let names = names.query_map([page], |row| row.get(0))?;
    names.collect()
}

/// What it says, and what has ended it.
fn said(connection: &Connection, check: &str) -> (Vec<String>, Option<rusqlite::Error>) {
    let mut lines = Vec::new();
    let mut ask = || {
        let mut check = connection.prepare(check)?;
        let mut said = check.query([])?;
        while let Some(row) = said.next()? {
            let said: String = row.get(0)?;
            lines.extend(said.lines().map(str::to_owned));
        }
        Ok(())
    };
    let error = ask().err();
    (lines, error)
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
