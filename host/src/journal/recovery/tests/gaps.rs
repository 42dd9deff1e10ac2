//! Batches that are gone for good, and whole ones behind them.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::pages::{PAGE, root_of, spoil};
use super::*;
use crate::journal::log::Log;
use crate::journal::wal::{ABOUT, HEAD};

const ACCEPTS: Terms = Terms { accepts_loss: true, without_log: false };

fn newest(data: &Path) -> u64 {
    SqliteLog::open_to_read(data).unwrap().ends().unwrap().unwrap().1.0
}

/// One whose tables are of before, and of whose log some batches behind these are gone; with a backup that has them.
async fn with_a_gap() -> (Life, u64) {
    let mut life = Life::at_rest(20).await;
    let data = life.data();
    let before = tempfile::tempdir().unwrap();
    copy(&data, before.path());
    life.open();
    life.says(10).await;
    life.backs_up();
    life.says(10).await;
    life.stop();
    std::fs::copy(before.path().join(FILES[0]), data.join(FILES[0])).unwrap();
    let last = newest(&data);
    let log = Connection::open(data.join(log::FILE)).unwrap();
    let gone = "DELETE FROM batches WHERE position BETWEEN ?1 AND ?2";
    assert_eq!(log.execute(gone, [last - 17, last - 12].map(u64::cast_signed)).unwrap(), 6);
    (life, last)
}

// OPS-03 OPS-10
#[tokio::test]
async fn what_a_backup_has_of_a_gap_takes_its_place_until_the_next_start() {
    let (mut life, last) = with_a_gap().await;
    let (data, (backup, _)) = (life.data(), life.backups[0].clone());
    let asks = recover(&data, &[], Terms::default(), 1).unwrap_err().to_string();
    let gap = format!("(without batches {} to {})", last - 17, last - 12);
    assert!(asks.contains(&gap) && asks.contains("6 batches that were acknowledged"), "{asks}");
    let recovered = recover(&data, &[], ACCEPTS, 2).unwrap().unwrap();
    assert_eq!(recovered.lost, 6, "{recovered:?}");
    assert!(recovered.way.contains(&gap), "{recovered:?}");
    let given_up = GivenUp { batches: 6, may_be_more: false };
    let needless = super::super::recover(&data, &[], Terms::default(), 3).unwrap();
    assert!(matches!(needless, Recovery::Needless(said) if said == given_up), "{needless:?}");
    // Found later: nothing is missing from it, and that is said.
    let kept = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().path()) {
        if file.is_file() {
            std::fs::copy(&file, kept.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    let put_back = recover(kept.path(), std::slice::from_ref(&backup), Terms::default(), 4);
    let put_back = put_back.unwrap().unwrap();
    assert!(put_back.lost == 0 && !put_back.may_lack, "{put_back:?}");
    assert_eq!(there(kept.path()).unwrap(), life.said);
    // Once a host has gone on, that has what nothing else has: however little, and however much was lost.
    assert_eq!(there(&data).unwrap().len(), life.said.len() - 6);
    life.open();
    life.says(1).await;
    life.stop();
    let all = std::slice::from_ref(&backup);
    assert!(matches!(recover(&data, all, Terms::default(), 5), Ok(None)));
    let refused = restore(&data, &backup, Terms::default(), 6).unwrap_err().to_string();
    assert!(refused.contains("it leads less far"), "{refused}");
    let back = restore(&data, &backup, ACCEPTS, 7).unwrap();
    assert!((1..6).contains(&back.lost), "what has come since, and no more: {back:?}");
}

// OPS-03 OPS-10
#[tokio::test]
async fn what_a_backup_has_of_a_gap_doesnt_make_up_for_what_it_lacks() {
    let (mut life, _) = with_a_gap().await;
    let (data, (backup, _)) = (life.data(), life.backups[0].clone());
    recover(&data, &[], ACCEPTS, 1).unwrap().unwrap();
    let has = there(&data).unwrap();
    for file in std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().path()) {
        if file.file_name().unwrap().to_string_lossy().starts_with("left-") {
            std::fs::remove_file(file).unwrap();
        }
    }
    // The backup has the six that are lost, and not the ten behind it.
    let named = std::slice::from_ref(&backup);
    assert!(matches!(recover(&data, named, Terms::default(), 2), Ok(None)));
    assert!(restore(&data, &backup, Terms::default(), 3).is_err());
    assert_eq!(there(&data).unwrap(), has);
    // Another gap, and what lies there is of three histories.
    life.said = has;
    life.open();
    life.says(8).await;
    life.backs_up();
    life.says(8).await;
    life.stop();
    let log = Connection::open(data.join(log::FILE)).unwrap();
    let middle = newest(&data) as i64 - 10;
    log.execute("DELETE FROM batches WHERE position BETWEEN ?1 AND ?1 + 4", [middle]).unwrap();
    drop(log);
    let all: Vec<PathBuf> = life.backups.iter().map(|(file, _)| file.clone()).collect();
    for named in [&all[..], &all[..1], &all[1..], &[]] {
        let folder = tempfile::tempdir().unwrap();
        copy(&data, folder.path());
        let recovered = recover(folder.path(), named, Terms::default(), 4);
        let there = there(folder.path()).unwrap();
        assert_eq!(there, life.said, "{named:?}: {recovered:?}");
    }
}

// OPS-03 OPS-10
#[tokio::test]
async fn a_gap_is_gone_over_from_wherever_it_was_broken_off() {
    for steps in 0..25 {
        let (life, _) = with_a_gap().await;
        let data = life.data();
        BREAKS_OFF.set(Some(steps));
        let broken = recover(&data, &[], ACCEPTS, 1);
        BREAKS_OFF.set(None);
        let again = recover(&data, &[], ACCEPTS, 2);
        let context = format!("after {steps} steps: {broken:?}, then {again:?}");
        assert!(again.is_ok(), "{context}");
        assert_eq!(there(&data).unwrap().len(), life.said.len() - 6, "{context}");
    }
}

/// A host was killed, with tables of a moment of its run: all that it has said since lies in its log, and beside it.
async fn killed_in_its_run() -> (Life, PathBuf) {
    let mut life = Life::at_rest(20).await;
    life.open();
    life.says(10).await;
    // The tables have all of it.
    life.journal.as_ref().unwrap().write_now(Record::Barrier).await.unwrap();
    let moment = tempfile::tempdir().unwrap();
    copy(&life.data(), moment.path());
    life.says(40).await;
    life.is_killed(false);
    let (data, sound) = (life.data(), life.folder.path().join("sound"));
    for name in &FILES[..2] {
        std::fs::copy(moment.path().join(name), data.join(name)).unwrap();
    }
    copy(&data, &sound);
    (life, sound)
}

fn zero_frame(wal: &Path, frame: usize) {
    let mut bytes = std::fs::read(wal).unwrap();
    bytes[HEAD + frame * (ABOUT + PAGE)..][..ABOUT + PAGE].fill(0);
    std::fs::write(wal, bytes).unwrap();
}

/// Nothing is missing but what stood in a page.
fn costs_a_page(life: &Life, case: &str) {
    let data = life.data();
    let recovered = recover(&data, &[], Terms::default(), 1).or_else(|asks| {
        assert!(matches!(asks, NotDone::Refused(_)), "{case}: {asks}");
        recover(&data, &[], ACCEPTS, 2)
    });
    let recovered = recovered.unwrap().unwrap();
    let missing = life.said.difference(&there(&data).unwrap()).count();
    assert!(missing <= 6, "{case}: {missing} are missing, {recovered:?}");
    assert!(recovered.lost >= missing as u64 || recovered.may_lack, "{case}: {recovered:?}");
}

// OPS-03 OPS-10
#[tokio::test]
async fn the_frames_with_which_a_run_begins_cost_no_more_than_others() {
    let (life, sound) = killed_in_its_run().await;
    for frame in 0..8 {
        std::fs::remove_dir_all(life.data()).unwrap();
        copy(&sound, &life.data());
        zero_frame(&life.data().join(FILES[3]), frame);
        costs_a_page(&life, &format!("frame {frame}"));
    }
}

// OPS-03 OPS-10
#[tokio::test]
async fn a_log_that_has_forgotten_its_newest_run_or_its_name_is_known_by_its_tables() {
    let (life, sound) = killed_in_its_run().await;
    let data = life.data();
    // Whoever opens a log takes away what lies beside it.
    let opened = tempfile::tempdir().unwrap();
    copy(&sound, opened.path());
    let about = root_of(&opened.path().join(FILES[2]), "about");
    for (forgets, has_note) in [("run", true), ("run", false), ("name", true), ("name", false)] {
        std::fs::remove_dir_all(&data).unwrap();
        copy(&sound, &data);
        if forgets == "run" {
            let log = Connection::open(data.join(FILES[2])).unwrap();
            log.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
            let newest = "DELETE FROM runs WHERE number = (SELECT max(number) FROM runs)";
            assert_eq!(log.execute(newest, []).unwrap(), 1);
        } else {
            spoil(&data.join(FILES[2]), about);
        }
        if !has_note {
            std::fs::remove_file(data.join(REACHED)).unwrap();
        }
        zero_frame(&data.join(FILES[3]), 3);
        costs_a_page(&life, &format!("it forgets its {forgets}, with a note: {has_note}"));
    }
}

fn a_reply_waits(data: &Path) {
    let waits = "INSERT INTO outbox (target, kind, ordering_key, idempotency_key, conversation, reference, payload)
                 VALUES ('channel/sms', 'reply', 'a', zeroblob(16), zeroblob(16), 'a', x'00')";
    Connection::open(data.join(FILES[0])).unwrap().execute(waits, []).unwrap();
}

/// Replies of which nobody knows whether they have gone out.
fn in_doubt(data: &Path) -> Vec<bool> {
    let tables = Connection::open(data.join(FILES[0])).unwrap();
    let mut open = tables.prepare("SELECT attempting FROM outbox WHERE done = 0").unwrap();
    let open = open.query_map([], |row| row.get(0)).unwrap();
    open.collect::<rusqlite::Result<_>>().unwrap()
}

// OPS-03 OPS-10
#[tokio::test]
async fn a_loss_that_was_accepted_is_one_for_whoever_recovers_once_more() {
    let mut life = Life::at_rest(10).await;
    a_reply_waits(&life.data());
    for _ in 0..2 {
        life.open();
        life.says(10).await;
        life.backs_up();
        life.says(10).await;
        life.stop();
    }
    let backups: Vec<PathBuf> = life.backups.iter().map(|(file, _)| file.clone()).collect();
    type Again = fn(&Path, &Path) -> Recovered;
    let restores: Again = |data, from| {
        restore(data, from, Terms::default(), 2)
            .or_else(|_| restore(data, from, ACCEPTS, 2))
            .unwrap()
    };
    let recovers: Again =
        |data, from| recover(data, &[from.to_owned()], Terms::default(), 2).unwrap().unwrap();
    // The disk is lost; one backup is there, and then a newer one, or the same. To open a journal is not to go on with it.
    let all = [
        (0, 0, 1, restores),
        (0, 0, 1, recovers),
        (1, 0, 1, restores),
        (0, 2, 1, restores),
        (1, 2, 1, restores),
    ];
    for (first, opened, second, again) in all {
        let folder = tempfile::tempdir().unwrap();
        let lost = restore(folder.path(), &backups[first], ACCEPTS, 1).unwrap();
        assert!(lost.may_lack && in_doubt(folder.path()) == [true], "{lost:?}");
        (0..opened).for_each(|_| drop(there(folder.path()).unwrap()));
        let still = again(folder.path(), &backups[second]);
        assert!(still.may_lack && in_doubt(folder.path()) == [true], "{still:?}");
    }
    // Not once somebody has gone on: what has come since is all there, and the reply, too.
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    restore(data, &backups[0], ACCEPTS, 1).unwrap();
    let journal = Journal::open(data).unwrap();
    journal.goes_on();
    journal.write_now(Record::SendEnds { row: 1 }).await.unwrap();
    journal.stop();
    let newest = tempfile::tempdir().unwrap();
    let newest = newest.path().join("newest.sqlite");
    backup(data, &newest).unwrap();
    let all = restore(data, &newest, Terms::default(), 3).unwrap();
    assert!(all.lost == 0 && !all.may_lack && in_doubt(data) == [false], "{all:?}");
}

// OPS-03 OPS-10
#[tokio::test]
async fn replies_in_doubt_stay_so_whatever_is_put_below_the_log_that_goes_on() {
    let mut life = Life::at_rest(10).await;
    a_reply_waits(&life.data());
    life.open();
    life.says(10).await;
    life.backs_up();
    life.says(10).await;
    life.stop();
    let (from, _) = life.backups[0].clone();
    // The disk is lost; then somebody goes on, a command or a host, and the same backup is put in place once more.
    for is_a_host in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        restore(data, &from, ACCEPTS, 1).unwrap();
        let journal = Journal::open(data).unwrap();
        if is_a_host {
            journal.goes_on();
        }
        journal.write_now(said(999)).await.unwrap();
        journal.stop();
        let again = restore(data, &from, Terms::default(), 2).unwrap();
        let context = format!("a host: {is_a_host}; {again:?}");
        assert_eq!(in_doubt(data), [true], "{context}");
        assert_eq!(again.may_lack, !is_a_host, "{context}");
    }
}

// OPS-03 OPS-10
#[tokio::test]
async fn a_loss_that_was_accepted_is_one_when_the_command_was_killed_in_its_midst() {
    let mut life = Life::at_rest(10).await;
    a_reply_waits(&life.data());
    for _ in 0..2 {
        life.open();
        life.says(10).await;
        life.backs_up();
    }
    life.says(10).await;
    life.is_killed(false);
    let backups: Vec<PathBuf> = life.backups.iter().map(|(file, _)| file.clone()).collect();
    let (mut steps, mut goes_on) = (0, true);
    while goes_on {
        let folder = tempfile::tempdir().unwrap();
        copy(&life.data(), folder.path());
        for name in [FILES[0], FILES[2]] {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
        BREAKS_OFF.set(Some(steps));
        let broken = restore(folder.path(), &backups[0], ACCEPTS, 1);
        BREAKS_OFF.set(None);
        goes_on = broken.is_err();
        // Another one is found; it has more, and not all.
        let other = restore(folder.path(), &backups[1], Terms::default(), 2)
            .or_else(|_| restore(folder.path(), &backups[1], ACCEPTS, 3))
            .unwrap();
        let is_in_doubt = in_doubt(folder.path()) == [true];
        assert!(is_in_doubt && (other.lost > 0 || other.may_lack), "{steps}: {broken:?} {other:?}");
        steps += 1;
    }
    assert!(steps > 5, "{steps}");
}
