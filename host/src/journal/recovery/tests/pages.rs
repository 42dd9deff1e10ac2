//! Pages that are damaged, each in its turn: what stands elsewhere, or can be made anew, isn't lost by that.

use std::sync::Arc;

use cordboard_core::ids::ConversationId;
use serde_bytes::ByteBuf;

use super::*;
use crate::journal::RoutingEntries;
use crate::journal::entry::Position;
use crate::journal::log::{Log, SqliteLog};
use crate::journal::views::Mark;

pub(super) const PAGE: usize = 4096;

/// Spoils a page, counted from 0, as SQLite's head of it has it.
pub(super) fn spoil(file: &Path, page: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[page * PAGE..][..40].fill(0xff);
    std::fs::write(file, bytes).unwrap();
}

pub(super) fn root_of(file: &Path, name: &str) -> usize {
    let connection = rusqlite::Connection::open(file).unwrap();
    let query = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let root: u32 = connection.query_row(query, [name], |row| row.get(0)).unwrap();
    root as usize - 1
}

// OPS-03 OPS-10
#[tokio::test]
async fn a_damaged_page_of_the_log_costs_only_what_stood_there() {
    let mut life = Life::at_rest(60).await;
    let (data, tables) = (life.data(), tempfile::tempdir().unwrap());
    copy(&data, tables.path());
    life.open();
    life.says(20).await;
    life.stop();
    // The tables lie behind.
    std::fs::copy(tables.path().join(FILES[0]), data.join(FILES[0])).unwrap();
    let sound = tempfile::tempdir().unwrap();
    copy(&data, sound.path());
    let log = data.join(log::FILE);
    let applied = Mark::of(&verify::look_only(&data.join(FILES[0])).unwrap()).unwrap().applied;
    let newest = SqliteLog::open_to_read(&data).unwrap().ends().unwrap().unwrap().1;
    assert_eq!(newest.0 - applied.0, 20);
    let about = ["about", "runs"].map(|name| root_of(&log, name));
    let leaves: Vec<usize> = std::fs::read(&log)
        .unwrap()
        .chunks(PAGE)
        .enumerate()
        .filter(|(page, bytes)| *page > 0 && bytes[0] == 0x0d && !about.contains(page))
        .map(|(page, _)| page)
        .collect();
    let mut costs = 0;
    for page in leaves.iter().chain(&about) {
        std::fs::remove_dir_all(&data).unwrap();
        copy(sound.path(), &data);
        spoil(&log, *page);
        assert!(
            Journal::open(&data).is_err() || about.contains(page),
            "page {page}: a start says it"
        );
        std::fs::remove_dir_all(&data).unwrap();
        copy(sound.path(), &data);
        spoil(&log, *page);
        let looked = SqliteLog::open_to_read(&data).unwrap();
        let is_needed = (applied.0 + 1..=newest.0).any(|at| looked.batch(Position(at)).is_err());
        drop(looked);
        let recovered = recover(&data, &[], Terms::default(), 7);
        if is_needed {
            costs += 1;
            assert!(recovered.is_err(), "page {page}: {recovered:?}");
            continue;
        }
        // Which log it is, and of which runs, is noted elsewhere; whoever takes that for it is asked.
        let recovered = match about.contains(page) {
            false => recovered,
            true => {
                let terms = Terms { accepts_loss: true, ..Terms::default() };
                recovered.or_else(|_| recover(&data, &[], terms, 7))
            }
        };
        let recovered = recovered.unwrap_or_else(|error| panic!("page {page}: {error}"));
        assert_eq!(recovered.map(|recovered| recovered.lost).unwrap_or_default(), 0, "page {page}");
        assert_eq!(there(&data).unwrap(), life.said, "page {page}");
    }
    assert!(costs > 0 && costs < leaves.len() / 2, "{costs} of {}", leaves.len());
}

/// Of conversations nothing is lost with what was written down of routing.
// OPS-03 OPS-10
#[tokio::test]
async fn a_damaged_record_of_routing_costs_nothing_else() {
    let mut life = Life::new(1);
    life.open();
    life.says(30).await;
    life.backs_up();
    let journal = life.journal.as_ref().unwrap();
    for at in 0..20 {
        let of = ConversationId(uuid::Uuid::from_u128(7));
        let decision = (of, Timestamp(at), ByteBuf::from(vec![1; 300]));
        let entries = RoutingEntries { log: vec![0; 300], decisions: vec![decision] };
        let (at, entries) = (Timestamp(at), Arc::new(entries));
        journal.write_now(Record::Routing { run: 1, at, entries }).await.unwrap();
    }
    life.says(30).await;
    life.stop();
    life.trims();
    let (data, sound) = (life.data(), tempfile::tempdir().unwrap());
    copy(&data, sound.path());
    for table in ["decisions", "routing_log"] {
        std::fs::remove_dir_all(&data).unwrap();
        copy(sound.path(), &data);
        let file = data.join(FILES[0]);
        spoil(&file, root_of(&file, table));
        let backups = [life.backups[0].0.clone()];
        let refused = recover(&data, &backups, Terms::default(), 7).unwrap_err().to_string();
        assert!(refused.contains("why routing chose"), "{table}: {refused}");
        let terms = Terms { accepts_loss: true, ..Terms::default() };
        let recovered = recover(&data, &backups, terms, 7).unwrap().unwrap();
        assert!(recovered.way.contains("without the record of routing"), "{table}: {recovered:?}");
        assert_eq!(recovered.lost, 0, "{table}: {recovered:?}");
        assert_eq!(there(&data).unwrap(), life.said, "{table}");
    }
}

// OPS-03 OPS-10
#[tokio::test]
async fn a_damaged_index_of_a_backup_costs_nothing() {
    let mut life = Life::new(1);
    life.open();
    life.says(30).await;
    life.backs_up();
    life.says(30).await;
    life.stop();
    for name in [FILES[0], FILES[1]] {
        let _ = std::fs::remove_file(life.data().join(name));
    }
    let log = rusqlite::Connection::open(life.data().join(log::FILE)).unwrap();
    log.execute_batch("DELETE FROM batches WHERE position < 20").unwrap();
    drop(log);
    let backup = life.backups[0].0.clone();
    spoil(&backup, root_of(&backup, "audit_actor"));
    let recovered = recover(&life.data(), &[backup], Terms::default(), 7).unwrap().unwrap();
    assert!(recovered.way.contains("indices made anew"), "{recovered:?}");
    assert_eq!((recovered.lost, recovered.may_lack), (0, false), "{recovered:?}");
    assert_eq!(there(&life.data()).unwrap(), life.said);
}

/// Of a journal that is older than its log, this hasn't got all there ever was, though it begins with its first batch.
// OPS-03 OPS-10
#[tokio::test]
async fn what_stood_there_before_there_was_a_log_isnt_forgotten() {
    let mut life = Life::at_rest(30).await;
    let file = life.data().join(FILES[0]);
    let tables = rusqlite::Connection::open(&file).unwrap();
    let before =
        "DROP TABLE position; DROP TABLE lineage; DROP TABLE texts; DROP TABLE texts_going;
                  DROP TABLE outbox; PRAGMA user_version = 5";
    tables.execute_batch(before).unwrap();
    tables.execute_batch(crate::journal::schema::REPLIES).unwrap();
    tables.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(tables);
    for name in [log::FILE, REACHED] {
        std::fs::remove_file(life.data().join(name)).unwrap();
    }
    // Of such there are backups, too, and nothing is missing from any.
    let old = tempfile::tempdir().unwrap();
    copy(&life.data(), old.path());
    let nothing = recover(&life.data(), &[], Terms::default(), 7).unwrap();
    assert!(nothing.is_none(), "{nothing:?}");
    let (folder, backup) = (life.folder.path().join("new"), old.path().join(FILES[0]));
    std::fs::create_dir_all(&folder).unwrap();
    // Nothing in that folder says how far it went.
    let accepts = Terms { accepts_loss: true, ..Terms::default() };
    let restored = restore(&folder, &backup, accepts, 7).unwrap();
    assert_eq!(restored.lost, 0, "{restored:?}");
    assert_eq!(there(&folder).unwrap(), life.said, "a start goes on with it");
    std::fs::remove_file(life.data().join(FILES[0])).unwrap();
    recover(&life.data(), &[backup], accepts, 7).unwrap().unwrap();
    assert_eq!(there(&life.data()).unwrap(), life.said, "and a start goes on with it");
    std::fs::remove_dir_all(life.data()).unwrap();
    copy(old.path(), &life.data());
    life.open();
    life.says(10).await;
    life.stop();
    spoil(&file, root_of(&file, "audit_actor"));
    let recovered = recover(&life.data(), &[], Terms::default(), 7).unwrap().unwrap();
    assert!(recovered.way.contains("indices made anew"), "{recovered:?}");
    assert_eq!(there(&life.data()).unwrap(), life.said);
}

/// What was made of tables to be looked at is there once more for the way that is tried next.
// OPS-03 OPS-10
#[tokio::test]
async fn a_way_that_leads_nowhere_leaves_the_next_one_what_it_needs() {
    let life = Life::at_rest(60).await;
    spoil(&life.data().join(FILES[0]), root_of(&life.data().join(FILES[0]), "audit_actor"));
    let mut looked = Looked::default();
    let outlook = Outlook::of(&life.data(), &[], &mut looked);
    let way = outlook.ways.iter().find(|way| way.base.form == Form::Mended).unwrap();
    for round in 0..2 {
        assert!(looked.is_sound(&way.base), "{round}");
        let to = life.data().join("restored.partial");
        looked.gives_mended(&way.base, &to).unwrap();
        assert!(subjects(&to).unwrap() == life.said, "{round}");
    }
}

// OPS-03 OPS-10
#[tokio::test]
async fn a_damaged_index_costs_nothing() {
    let mut life = Life::new(1);
    life.open();
    life.says(30).await;
    life.backs_up();
    life.says(60).await;
    life.stop();
    life.trims();
    let (data, sound) = (life.data(), tempfile::tempdir().unwrap());
    copy(&data, sound.path());
    let tables = rusqlite::Connection::open(data.join(FILES[0])).unwrap();
    let query = "SELECT name, rootpage FROM sqlite_schema
                 WHERE (type = 'index' AND rootpage > 0) OR name LIKE 'texts/_%' ESCAPE '/'";
    let indices: Vec<(String, u32)> = tables
        .prepare(query)
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(std::result::Result::unwrap)
        .collect();
    drop(tables);
    for looked_for in ["autoindex_events", "texts_data", "texts_idx"] {
        assert!(indices.iter().any(|(name, _)| name.contains(looked_for)), "{indices:?}");
    }
    let torn = indices.iter().filter(|(name, _)| name.starts_with("audit_"));
    let torn: Vec<_> = torn.map(|index| (index.clone(), true)).collect();
    assert_eq!(torn.len(), 2);
    for ((name, page), is_torn) in indices.into_iter().map(|index| (index, false)).chain(torn) {
        std::fs::remove_dir_all(&data).unwrap();
        copy(sound.path(), &data);
        let page = page as usize - 1;
        match is_torn {
            // What stands at its end was never written.
            true => {
                let mut bytes = std::fs::read(data.join(FILES[0])).unwrap();
                bytes[page * PAGE + PAGE / 2..][..PAGE / 2].fill(0);
                std::fs::write(data.join(FILES[0]), bytes).unwrap();
            }
            false => spoil(&data.join(FILES[0]), page),
        }
        let backup = life.backups[0].0.clone();
        let recovered = recover(&data, &[backup], Terms::default(), 7);
        let recovered = recovered.unwrap_or_else(|error| panic!("{name}: {error}")).unwrap();
        assert!(recovered.way.contains("indices made anew"), "{name}: {recovered:?}");
        assert_eq!((recovered.lost, recovered.may_lack), (0, false), "{name}");
        assert_eq!(there(&data).unwrap(), life.said, "{name}");
        let found = verify::folder(&data, true).unwrap();
        assert!(found.wrong.is_empty() && found.wrong_with_log.is_empty(), "{name}: {found:?}");
        assert!(
            std::fs::read_dir(&data)
                .unwrap()
                .all(|file| { !file.unwrap().file_name().to_string_lossy().contains("partial") })
        );
    }
}

// OPS-03 OPS-10
#[tokio::test]
async fn a_log_that_has_all_there_ever_was_needs_no_tables() {
    let mut life = Life::new(1);
    life.open();
    life.says(30).await;
    life.is_killed(false);
    for name in [FILES[0], FILES[1]] {
        std::fs::remove_file(life.data().join(name)).unwrap();
    }
    let recovered = recover(&life.data(), &[], Terms::default(), 7).unwrap().unwrap();
    assert_eq!((recovered.lost, recovered.may_lack), (0, false), "{recovered:?}");
    assert_eq!(there(&life.data()).unwrap(), life.said);
}

// OPS-03 OPS-10
#[tokio::test]
async fn tables_that_have_lost_rows_arent_taken_for_a_damaged_index() {
    let mut life = Life::new(1);
    life.open();
    life.says(90).await;
    life.backs_up();
    life.says(60).await;
    life.stop();
    let data = life.data();
    let tables = rusqlite::Connection::open(data.join(FILES[0])).unwrap();
    let page = "SELECT pageno FROM dbstat WHERE name = 'audit' AND pagetype = 'leaf' LIMIT 1";
    let page = tables.query_row(page, [], |row| row.get::<_, u32>(0));
    // Where SQLite can't tell: the last page of the file that begins as a table's leaf.
    let bytes = std::fs::read(data.join(FILES[0])).unwrap();
    let last = || bytes.chunks(4096).rposition(|page| page[0] == 0x0d && page[4] > 2).unwrap();
    let page = page.map_or_else(|_| last(), |page| page as usize - 1);
    drop(tables);
    let mut bytes = bytes;
    let cells = page * 4096 + 4;
    bytes[cells] = 1;
    std::fs::write(data.join(FILES[0]), bytes).unwrap();
    assert!(!verify::folder(&data, true).unwrap().wrong.is_empty(), "its index has more");
    let backup = life.backups[0].0.clone();
    let recovered = recover(&data, &[backup], Terms::default(), 7).unwrap().unwrap();
    assert!(!recovered.way.contains("indices"), "{recovered:?}");
    assert_eq!((recovered.lost, recovered.may_lack), (0, false), "{recovered:?}");
    assert_eq!(there(&data).unwrap(), life.said);
}

/// A disk that lost some of what was written to it at the end: pages that lead to others are as they were, and nothing leads
/// to those that came after.
// OPS-03 OPS-10
#[tokio::test]
async fn rows_that_nothing_leads_to_are_missed() {
    let mut life = Life::new(1);
    life.open();
    life.says(60).await;
    life.backs_up();
    life.stop();
    let (data, before) = (life.data(), std::fs::read(life.data().join(FILES[0])).unwrap());
    life.open();
    life.says(60).await;
    life.stop();
    life.trims();
    let file = data.join(FILES[0]);
    let mut bytes = std::fs::read(&file).unwrap();
    let pages = ["audit", "audit_actor", "audit_subject"].map(|name| root_of(&file, name));
    for page in pages {
        let page = page * PAGE..(page + 1) * PAGE;
        bytes[page.clone()].copy_from_slice(&before[page]);
    }
    std::fs::write(&file, bytes).unwrap();
    let backup = life.backups[0].0.clone();
    let recovered = recover(&data, &[backup], Terms::default(), 7);
    // Where the log goes on behind the backup, all of it is there; otherwise it is missed, and nobody is told that it isn't.
    match recovered {
        Ok(recovered) => assert_eq!(there(&data).unwrap(), life.said, "{recovered:?}"),
        Err(error) => assert!(error.to_string().contains("missing"), "{error}"),
    }
}

/// What can't be opened may hold what is missed: nobody is asked to do without it.
// OPS-03 OPS-10
#[tokio::test]
async fn what_cant_be_opened_isnt_taken_for_lost() {
    let mut life = Life::new(1);
    life.open();
    life.says(30).await;
    life.is_killed(false);
    let data = life.data();
    let (wal, kept) = (data.join(FILES[3]), life.folder.path().join("kept"));
    std::fs::rename(&wal, &kept).unwrap();
    // Root may open everything, but for what can't be opened.
    std::fs::create_dir(&wal).unwrap();
    let accepts = Terms { accepts_loss: true, ..Terms::default() };
    for terms in [Terms::default(), accepts] {
        let refused = recover(&data, &[], terms, 7).unwrap_err().to_string();
        assert!(refused.contains("look at its owner and rights"), "{refused}");
    }
    std::fs::remove_dir(&wal).unwrap();
    std::fs::rename(&kept, &wal).unwrap();
    assert_eq!(there(&data).unwrap(), life.said);
}

/// SQLite writes beside what a link leads to, and we would look beside the link.
// OPS-03
#[tokio::test]
async fn a_journal_behind_a_link_isnt_begun_with() {
    let life = Life::at_rest(3).await;
    let elsewhere = life.folder.path().join("elsewhere");
    for name in [FILES[0], FILES[2]] {
        let file = life.data().join(name);
        std::fs::rename(&file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        let refused = Journal::open(&life.data()).map(drop).unwrap_err().to_string();
        assert!(refused.contains("is a symbolic link"), "{refused}");
        std::fs::rename(&elsewhere, &file).unwrap();
    }
    assert_eq!(there(&life.data()).unwrap(), life.said);
}

/// One page is of before, and the indices that would tell are damaged: nobody is told that all is there.
// OPS-03 OPS-10
#[tokio::test]
async fn rows_that_no_index_tells_of_are_asked_for() {
    let mut life = Life::at_rest(61).await;
    let (data, before) = (life.data(), std::fs::read(life.data().join(FILES[0])).unwrap());
    life.open();
    life.says(60).await;
    life.stop();
    life.trims();
    let file = data.join(FILES[0]);
    let bytes = std::fs::read(&file).unwrap();
    let cells = |page: &[u8]| u16::from_be_bytes([page[3], page[4]]);
    let both = before.chunks(PAGE).zip(bytes.chunks(PAGE));
    let (page, was) = both
        .enumerate()
        .filter(|(_, (was, is))| (was[0], is[0]) == (0x0d, 0x0d) && cells(was) < cells(is))
        .max_by_key(|(_, (was, _))| cells(was))
        .map(|(page, (was, _))| (page, was.to_vec()))
        .expect("a page that was filled later");
    let mut bytes = bytes;
    bytes[page * PAGE..][..PAGE].copy_from_slice(&was);
    std::fs::write(&file, bytes).unwrap();
    for index in ["audit_actor", "audit_subject"] {
        spoil(&file, root_of(&file, index));
    }
    let refused = recover(&data, &[], Terms::default(), 7).unwrap_err().to_string();
    assert!(refused.contains("rows of audit aren't there"), "{refused}");
    let accepts = Terms { accepts_loss: true, ..Terms::default() };
    let recovered = recover(&data, &[], accepts, 7).unwrap().unwrap();
    assert!(recovered.may_lack, "{recovered:?}");
    let there = there(&data).unwrap();
    assert!(there.len() < life.said.len() && there.is_subset(&life.said), "{}", there.len());
}

/// A page of before holds what was erased since: the copy doesn't.
// SEC-04 OPS-10
#[tokio::test]
async fn what_was_forgotten_doesnt_come_back() {
    let life = Life::at_rest(10).await;
    life.trims();
    let file = life.data().join(FILES[0]);
    let tables = rusqlite::Connection::open(&file).unwrap();
    let back = "INSERT INTO forgotten (conversation) VALUES (x'0707');
        INSERT INTO events (conversation, version, at, kind, body) VALUES (x'0707', 1, 0, '', x'00');
        PRAGMA wal_checkpoint(TRUNCATE)";
    tables.execute_batch(back).unwrap();
    drop(tables);
    let found = verify::folder(&life.data(), true).unwrap();
    assert!(found.wrong.iter().any(|wrong| wrong.contains("which isn't there")), "{found:?}");
    spoil(&file, root_of(&file, "audit_actor"));
    let accepts = Terms { accepts_loss: true, ..Terms::default() };
    let recovered = recover(&life.data(), &[], accepts, 7).unwrap().unwrap();
    assert!(recovered.way.contains("indices made anew"), "{recovered:?}");
    let tables = rusqlite::Connection::open(&file).unwrap();
    let left: u32 = tables.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    assert_eq!(there(&life.data()).unwrap(), life.said);
}

/// As many rows as there were, and others: a page of before, from which some were removed and to which some were added.
// OPS-03 OPS-10
#[tokio::test]
async fn rows_that_are_of_before_are_asked_for() {
    let mut life = Life::at_rest(3).await;
    let (data, before) = (life.data(), std::fs::read(life.data().join(FILES[0])).unwrap());
    life.open();
    life.says(1).await;
    life.stop();
    life.trims();
    let file = data.join(FILES[0]);
    let tables = rusqlite::Connection::open(&file).unwrap();
    let remove = "INSERT INTO forgetting (one) VALUES (1); DELETE FROM audit WHERE id < 2;
        DELETE FROM forgetting; PRAGMA wal_checkpoint(TRUNCATE)";
    tables.execute_batch(remove).unwrap();
    drop(tables);
    let page = root_of(&file, "audit");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[page * PAGE..][..PAGE].copy_from_slice(&before[page * PAGE..][..PAGE]);
    std::fs::write(&file, bytes).unwrap();
    let refused = recover(&data, &[], Terms::default(), 7).unwrap_err().to_string();
    assert!(refused.contains("has other rows than audit"), "{refused}");
}

/// Where what is damaged leads nowhere, not all pages can be told: that is asked, and isn't the end.
// OPS-03 OPS-10
#[tokio::test]
async fn an_index_that_leads_nowhere_is_made_anew() {
    let life = Life::at_rest(600).await;
    life.trims();
    let file = life.data().join(FILES[0]);
    let root = root_of(&file, "audit_subject");
    let mut bytes = std::fs::read(&file).unwrap();
    assert_eq!(bytes[root * PAGE], 2, "it has several pages");
    // What leads to those stands at its end.
    bytes[root * PAGE + PAGE / 2..][..PAGE / 2].fill(0);
    std::fs::write(&file, bytes).unwrap();
    let refused = recover(&life.data(), &[], Terms::default(), 7).unwrap_err().to_string();
    assert!(refused.contains("more may be missing from that"), "{refused}");
    let accepts = Terms { accepts_loss: true, ..Terms::default() };
    let recovered = recover(&life.data(), &[], accepts, 7).unwrap().unwrap();
    assert!(recovered.way.contains("indices made anew"), "{recovered:?}");
    assert_eq!(there(&life.data()).unwrap(), life.said);
}
