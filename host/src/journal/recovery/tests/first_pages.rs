//! What a start goes by before it reads anything else: how far the tables have come, and which pages are free.

use super::pages::{PAGE, root_of, spoil};
use super::*;

/// Frees pages as the host does, so many; the file then, and the page (counted from 0) that lists them.
fn frees(file: &Path, count: u32) -> (Vec<u8>, usize) {
    let tables = rusqlite::Connection::open(file).unwrap();
    let free = format!(
        "PRAGMA secure_delete = ON; CREATE TABLE gone (body BLOB);
         INSERT INTO gone SELECT randomblob(4000) FROM audit LIMIT {count}; DROP TABLE gone;
         PRAGMA wal_checkpoint(TRUNCATE)"
    );
    tables.execute_batch(&free).unwrap();
    drop(tables);
    let bytes = std::fs::read(file).unwrap();
    let trunk = u32::from_be_bytes(bytes[32..36].try_into().unwrap());
    (bytes, trunk as usize - 1)
}

fn root_of_bytes(bytes: &[u8], name: &str) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.sqlite");
    std::fs::write(&file, bytes).unwrap();
    root_of(&file, name)
}

/// Pages in which nothing stands.
// OPS-03 OPS-10
#[tokio::test]
async fn a_damaged_list_of_free_pages_costs_nothing() {
    let mut life = Life::new(1);
    life.open();
    life.says(30).await;
    life.backs_up();
    life.says(30).await;
    life.stop();
    life.trims();
    let file = life.data().join(FILES[0]);
    let (_, trunk) = frees(&file, 60);
    spoil(&file, trunk);
    assert!(!verify::folder(&life.data(), true).unwrap().wrong.is_empty());
    let backup = life.backups[0].0.clone();
    let recovered = recover(&life.data(), &[backup], Terms::default(), 7).unwrap().unwrap();
    assert!(recovered.way.contains("indices made anew"), "{recovered:?}");
    assert_eq!((recovered.lost, recovered.may_lack), (0, false), "{recovered:?}");
    assert_eq!(there(&life.data()).unwrap(), life.said);
}

/// How far the tables have come stands on one page, and again on another.
// OPS-03 OPS-10
#[tokio::test]
async fn a_write_that_the_disk_loses_of_how_far_it_went_is_missed() {
    let mut life = Life::at_rest(30).await;
    let file = life.data().join(FILES[0]);
    let before = std::fs::read(&file).unwrap();
    life.open();
    life.says(30).await;
    life.stop();
    let (data, sound) = (life.data(), tempfile::tempdir().unwrap());
    copy(&data, sound.path());
    for name in ["position", "position_again"] {
        std::fs::remove_dir_all(&data).unwrap();
        copy(sound.path(), &data);
        let (page, mut bytes) = (root_of(&file, name) * PAGE, std::fs::read(&file).unwrap());
        bytes[page..page + PAGE].copy_from_slice(&before[page..page + PAGE]);
        std::fs::write(&file, bytes).unwrap();
        let start = Journal::open(&data).map(drop).unwrap_err().to_string();
        assert!(start.contains("the disk has lost a write"), "{name}: {start}");
        let found = verify::folder(&data, true).unwrap();
        assert!(!found.wrong_with_log.is_empty(), "{name}: {found:?}");
        let refused = recover(&data, &[], Terms::default(), 7).unwrap_err().to_string();
        assert!(refused.contains("the disk has lost a write"), "{name}: {refused}");
        let accepts = Terms { accepts_loss: true, ..Terms::default() };
        let recovered = recover(&data, &[], accepts, 7).unwrap().unwrap();
        assert_eq!((recovered.lost, recovered.may_lack), (0, true), "{name}: {recovered:?}");
        let connection = rusqlite::Connection::open(&file).unwrap();
        let count = "SELECT count(*) FROM audit";
        let count: u32 = connection.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(count as usize, life.said.len(), "{name}: each once");
        assert_eq!(there(&data).unwrap(), life.said, "{name}");
    }
}

/// Of the two pages that say how far the tables have come either will do.
// OPS-03 OPS-10
#[tokio::test]
async fn a_lost_page_of_what_is_said_twice_costs_nothing() {
    let life = Life::at_rest(30).await;
    life.trims();
    let (data, sound) = (life.data(), tempfile::tempdir().unwrap());
    copy(&data, sound.path());
    let file = data.join(FILES[0]);
    let whole = 0..PAGE;
    // Where its row stands: it reads as one of which nothing is known.
    let end = PAGE - 512..PAGE;
    for (name, is_asked, part) in [
        ("position_again", false, whole.clone()),
        ("position", true, whole),
        ("position", true, end),
    ] {
        std::fs::remove_dir_all(&data).unwrap();
        copy(sound.path(), &data);
        let (page, mut bytes) = (root_of(&file, name) * PAGE, std::fs::read(&file).unwrap());
        bytes[page..page + PAGE][part].fill(0);
        std::fs::write(&file, bytes).unwrap();
        assert!(Journal::open(&data).is_err(), "{name}");
        let recovered = recover(&data, &[], Terms::default(), 7);
        assert_eq!(recovered.is_err(), is_asked, "{name}: {recovered:?}");
        let accepts = Terms { accepts_loss: true, ..Terms::default() };
        let recovered = recovered.or_else(|_| recover(&data, &[], accepts, 7)).unwrap().unwrap();
        assert!(recovered.way.contains("indices made anew"), "{name}: {recovered:?}");
        assert_eq!((recovered.lost, recovered.may_lack), (0, is_asked), "{name}: {recovered:?}");
        assert_eq!(there(&data).unwrap(), life.said, "{name}");
    }
}

/// Where one page of how far it went is of before a start, the log of since is theirs all the same.
// OPS-03 OPS-10
#[tokio::test]
async fn a_position_of_before_a_start_doesnt_disown_the_log() {
    let mut life = Life::new(1);
    life.open();
    life.says(30).await;
    life.is_killed(false);
    let file = life.data().join(FILES[0]);
    life.open();
    life.stop();
    let before = std::fs::read(&file).unwrap();
    life.open();
    life.says(10).await;
    life.stop();
    life.open();
    life.says(10).await;
    // The tables lie behind the log, and one page of theirs behind them.
    let tables = std::fs::read(&file).unwrap();
    life.is_killed(false);
    wal::remove_beside(&file);
    let (page, mut bytes) = (root_of_bytes(&tables, "position") * PAGE, tables);
    bytes[page..page + PAGE].copy_from_slice(&before[page..page + PAGE]);
    std::fs::write(&file, bytes).unwrap();
    let accepts = Terms { accepts_loss: true, ..Terms::default() };
    let recovered = recover(&life.data(), &[], accepts, 7).unwrap().unwrap();
    assert!(recovered.way.contains("log.sqlite"), "{recovered:?}");
    assert_eq!((recovered.lost, recovered.may_lack), (0, true), "{recovered:?}");
    assert_eq!(there(&life.data()).unwrap(), life.said);
}

/// A list of free pages that is of before, and as long.
// OPS-03 OPS-10
#[tokio::test]
async fn a_list_that_names_a_page_which_is_used_keeps_a_start() {
    let life = Life::at_rest(60).await;
    life.trims();
    let file = life.data().join(FILES[0]);
    let (mut bytes, trunk) = frees(&file, 5);
    let tables = rusqlite::Connection::open(&file).unwrap();
    let leaf = "SELECT pageno FROM dbstat WHERE name = 'audit' AND pagetype = 'leaf'";
    let leaf: u32 = tables.query_row(leaf, [], |row| row.get(0)).unwrap();
    drop(tables);
    bytes[trunk * PAGE + 8..][..4].copy_from_slice(&leaf.to_be_bytes());
    std::fs::write(&file, bytes).unwrap();
    let start = Journal::open(&life.data()).map(drop).unwrap_err().to_string();
    assert!(start.contains("list of free pages"), "{start}");
    let recovered = recover(&life.data(), &[], Terms::default(), 7).unwrap().unwrap();
    assert!(recovered.way.contains("indices made anew"), "{recovered:?}");
    assert_eq!((recovered.lost, recovered.may_lack), (0, false), "{recovered:?}");
    assert_eq!(there(&life.data()).unwrap(), life.said);
}

/// A torn page of the list of free ones leads to pages of tables, which SQLite then takes for what is wrong.
// OPS-03 OPS-10
#[tokio::test]
async fn a_list_of_free_pages_that_is_of_before_costs_nothing() {
    let mut life = Life::at_rest(30).await;
    let file = life.data().join(FILES[0]);
    let (before, trunk) = frees(&file, 60);
    life.open();
    life.says(60).await;
    life.stop();
    life.trims();
    let mut bytes = std::fs::read(&file).unwrap();
    assert_eq!(bytes[32..36], before[32..36], "it is the list still");
    assert_ne!(bytes[trunk * PAGE..][..512], before[trunk * PAGE..][..512], "and shorter");
    bytes[trunk * PAGE..][..512].copy_from_slice(&before[trunk * PAGE..][..512]);
    std::fs::write(&file, bytes).unwrap();
    let start = Journal::open(&life.data()).map(drop).unwrap_err().to_string();
    assert!(start.contains("list of free pages"), "it would write over what is there: {start}");
    let recovered = recover(&life.data(), &[], Terms::default(), 7);
    let recovered = recovered.unwrap().unwrap();
    assert!(recovered.way.contains("indices made anew"), "{recovered:?}");
    assert_eq!(there(&life.data()).unwrap(), life.said);
}

/// A bit that flips in one of the two rows that say how far the tables have come: there is a way on, and nothing is missing.
/// (A bit of the log's name makes the log another's, which is said.)
// OPS-03 OPS-10
#[tokio::test]
async fn a_flipped_bit_of_how_far_it_went_costs_nothing() {
    let life = Life::at_rest(30).await;
    life.trims();
    let (data, sound) = (life.data(), tempfile::tempdir().unwrap());
    copy(&data, sound.path());
    let file = data.join(FILES[0]);
    let log = SqliteViews::open(&data).unwrap().marked().unwrap().log.unwrap();
    let mut tried = 0;
    for name in ["position", "position_again"] {
        let page = root_of(&file, name) * PAGE;
        let whole = std::fs::read(sound.path().join(FILES[0])).unwrap();
        let cell = u16::from_be_bytes(whole[page + 8..page + 10].try_into().unwrap());
        let row = page + usize::from(cell)..page + PAGE;
        let name_of_log = |at: &usize| {
            whole[row.clone()]
                .windows(16)
                .position(|it| it == log)
                .is_some_and(|begin| (row.start + begin..row.start + begin + 16).contains(at))
        };
        let bits = row
            .clone()
            .filter(|at| !name_of_log(at))
            .flat_map(|at| (0..8).map(move |bit| (at, bit)));
        for (at, bit) in bits {
            std::fs::remove_dir_all(&data).unwrap();
            copy(sound.path(), &data);
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            std::fs::write(&file, bytes).unwrap();
            let what = format!("{name}, byte {}, bit {bit}", at - row.start);
            if Journal::open(&data).map(|journal| journal.stop()).is_err() {
                let accepts = Terms { accepts_loss: true, ..Terms::default() };
                let recovered = recover(&data, &[], Terms::default(), 7);
                recovered.or_else(|_| recover(&data, &[], accepts, 7)).expect(&what);
            }
            assert_eq!(there(&data).expect(&what), life.said, "{what}");
            let mark = SqliteViews::open(&data).unwrap().marked().unwrap();
            assert!(mark.applied.0 < 1 << 40, "{what}: {:?}", mark.applied);
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}
