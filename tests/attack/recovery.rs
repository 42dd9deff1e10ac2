//! What an operator is told to do after damage, done: it leads to no less than there is.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Setup, copy_files};

use crate::tools::{held, says};

// OPS-03 OPS-10
#[actix_web::test]
async fn a_damaged_log_isnt_taken_for_damaged_tables() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let host = setup.start(&["--strict"]).await;
    let text = async |n: u32| assert_eq!(says(&emulators.world, n).await, 200);
    for n in 100..110 {
        text(n).await;
    }
    let backup = setup.folder.path().join("backup.sqlite").display().to_string();
    let (code, said) = setup.run(&["journal", "backup", &backup, setup.config()]);
    assert_eq!(code, 0, "{said}");
    for n in 110..150 {
        text(n).await;
    }
    assert_eq!(host.stop(), Some(0));
    let log = setup.data().join("log.sqlite");
    let length = std::fs::metadata(&log).unwrap().len() as usize;
    std::fs::write(&log, vec![0; length]).unwrap();
    let (code, said) = setup.run(&["run", setup.config()]);
    assert!(code == 3 && said.contains("its log, log.sqlite, is damaged"), "{code} {said}");
    assert!(said.contains("journal recover"), "{said}");
    // Nobody goes back to an older state without knowing.
    let (code, said) = setup.run(&["journal", "restore", &backup, setup.config()]);
    assert!(code == 3 && said.contains("it leads less far than what is there"), "{code} {said}");
    assert!(said.contains("--without-log"), "{said}");
    // What it can't say nobody knows: that is asked for.
    let recover = ["journal", "recover", setup.config(), "--backup", &backup];
    let (code, said) = setup.run(&recover);
    assert!(code == 3 && said.contains("more may have been acknowledged"), "{code} {said}");
    let (code, said) = setup.run(&[&recover[..], &["--accept-loss"]].concat());
    assert!(code == 0 && said.contains("goes on with journal.sqlite"), "{code} {said}");
    let host = setup.start(&["--strict"]).await;
    let kept = host.transcripts(&token).await;
    assert!((100..150).all(|n| kept.contains(&format!("text {n}"))), "{} are left", kept.len());
    setup.stop_and_replay(host);
    held("a log of zeros beside whole tables", "named, and all of the tables is kept");
}

// OPS-03 OPS-10
#[actix_web::test]
async fn a_backup_takes_the_place_of_nothing_that_has_more() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let text = async |n: u32| assert_eq!(says(&emulators.world, n).await, 200);
    let backup = setup.folder.path().join("backup.sqlite").display().to_string();
    let mut newest = 100;
    for was_killed in [true, false] {
        let host = setup.start(&["--strict"]).await;
        for _ in 0..10 {
            text(newest).await;
            newest += 1;
        }
        let _ = std::fs::remove_file(&backup);
        let (code, said) = setup.run(&["journal", "backup", &backup, setup.config()]);
        assert_eq!(code, 0, "{said}");
        for _ in 0..30 {
            text(newest).await;
            newest += 1;
        }
        let log = setup.data().join("log.sqlite");
        if was_killed {
            // The tables have got all of it.
            tokio::time::sleep(Duration::from_millis(1000)).await;
            host.kill();
            std::fs::remove_file(setup.data().join("log.sqlite-wal")).unwrap();
        } else {
            assert_eq!(host.stop(), Some(0));
            let log = rusqlite::Connection::open(&log).unwrap();
            let spoil = "UPDATE batches SET body = zeroblob(length(body)) \
                         WHERE position = (SELECT max(position) - 5 FROM batches)";
            assert_eq!(log.execute(spoil, []).unwrap(), 1);
        }
        let (code, said) = setup.run(&["journal", "verify", setup.config()]);
        assert!(code == 1 && said.contains("journal recover"), "{said}");
        let (code, said) = setup.run(&["journal", "restore", &backup, setup.config()]);
        assert!(
            code == 3 && said.contains("it leads less far than what is there"),
            "{code} {said}"
        );
        let mut command = vec!["journal", "recover", setup.config(), "--backup", &backup];
        if was_killed {
            // Nobody knows of the last moment: that is asked for.
            let (code, said) = setup.run(&command);
            assert!(code == 3 && said.contains("more may have been acknowledged"), "{said}");
            command.push("--accept-loss");
        }
        let (code, said) = setup.run(&command);
        assert_eq!(code, 0, "{said}");
        let host = setup.start(&["--strict"]).await;
        let kept = host.transcripts(&token).await;
        let lost = (100..newest).filter(|n| !kept.contains(&format!("text {n}"))).count();
        assert_eq!(lost, 0, "of {}, {} are left", newest - 100, kept.len());
        assert_eq!(host.stop(), Some(0));
    }
    held("a restore where the log is short of what the tables have", "refused; nothing lost");
}

fn remove_what_was_put_aside(data: &std::path::Path) {
    for entry in std::fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("left-") {
            std::fs::remove_file(path).unwrap();
        }
    }
}

// OPS-03 OPS-10
#[actix_web::test]
async fn no_advice_leads_to_less_than_there_is() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let data = setup.data();
    let text = async |n: u32| assert_eq!(says(&emulators.world, n).await, 200);
    let run = |arguments: &[&str]| setup.run(arguments);
    let config = setup.config().to_owned();
    let backup = setup.folder.path().join("backup.sqlite").display().to_string();
    let host = setup.start(&["--strict"]).await;
    for n in 100..110 {
        text(n).await;
    }
    assert_eq!(run(&["journal", "backup", &backup, &config]).0, 0);
    for n in 110..120 {
        text(n).await;
    }
    assert_eq!(host.stop(), Some(0));
    let kept = setup.folder.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    for name in ["journal.sqlite", "log.sqlite", "journal.reached"] {
        std::fs::copy(data.join(name), kept.join(name)).unwrap();
    }

    // After a recovery the tables follow another log: a backup of before still doesn't take their place unasked.
    std::fs::write(data.join("log.sqlite"), vec![0; 20_000]).unwrap();
    assert_eq!(run(&["journal", "recover", "--accept-loss", &config]).0, 0);
    let host = setup.start(&["--strict"]).await;
    text(120).await;
    assert_eq!(host.stop(), Some(0));
    let (code, said) = run(&["journal", "restore", &backup, &config]);
    assert!(code == 3 && said.contains("it leads less far than what is there"), "{code} {said}");

    // Tables of another folder beside a log that is whole: what it has isn't left out.
    for name in ["journal.sqlite", "log.sqlite", "journal.reached"] {
        std::fs::copy(kept.join(name), data.join(name)).unwrap();
    }
    let mut elsewhere = Setup::new();
    let others = elsewhere.with_emulators();
    let host = elsewhere.start(&["--strict"]).await;
    assert_eq!(others.world.text(Provider::Twilio, "+14255559999", "foreign").await, 200);
    assert_eq!(host.stop(), Some(0));
    std::fs::copy(elsewhere.data().join("journal.sqlite"), data.join("journal.sqlite")).unwrap();
    let (code, said) = run(&["journal", "verify", &config]);
    assert!(code == 1 && said.contains("belongs to another journal.sqlite"), "{code} {said}");
    // What earlier commands have put aside isn't thought of here.
    remove_what_was_put_aside(&data);
    let (code, said) = run(&["journal", "recover", &config]);
    // A log that begins with the first batch needs no tables.
    assert!(code == 0 && said.contains("all that was acknowledged"), "{code} {said}");
    let (code, said) = run(&["journal", "recover", &config, "--backup", &backup]);
    assert!(code == 0 && said.contains("nothing is wrong"), "{code} {said}");
    let host = setup.start(&["--strict"]).await;
    let found = host.transcripts(&token).await;
    assert!((100..120).all(|n| found.contains(&format!("text {n}"))), "{}", found.len());
    assert_eq!(host.stop(), Some(0));

    // Damaged tables that have more than a backup and the log lead to are said to have, before they go.
    let log = rusqlite::Connection::open(data.join("log.sqlite")).unwrap();
    log.execute("DELETE FROM batches WHERE position < (SELECT max(position) FROM batches)", [])
        .unwrap();
    drop(log);
    let journal = rusqlite::Connection::open(data.join("journal.sqlite")).unwrap();
    let lose = "DELETE FROM events WHERE rowid = (SELECT min(rowid) FROM events)";
    assert_eq!(journal.execute(lose, []).unwrap(), 1);
    drop(journal);
    assert_eq!(run(&["journal", "verify", &config]).0, 1);
    remove_what_was_put_aside(&data);
    for command in ["recover", "restore"] {
        let (code, said) = match command {
            "recover" => run(&["journal", command, &config, "--backup", &backup]),
            _ => run(&["journal", command, &backup, &config]),
        };
        let is_said = said.contains("batches that were acknowledged are missing from that");
        assert!(code == 3 && is_said, "{command}: {said}");
    }
    held("advice after damage, followed", "it leads to no less than there is");
}

// OPS-03 OPS-10
#[actix_web::test]
async fn a_recovery_that_finds_no_room_harms_nothing() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let data = setup.data();
    let text = async |n: u32| {
        let from = format!("+14255550{n:03}");
        let words = format!("text {n} {}", "x".repeat(1400));
        assert_eq!(emulators.world.text(Provider::Twilio, &from, &words).await, 200);
    };
    let backup = setup.folder.path().join("backup.sqlite").display().to_string();
    let host = setup.start(&["--strict"]).await;
    for n in 100..110 {
        text(n).await;
    }
    assert_eq!(setup.run(&["journal", "backup", &backup, setup.config()]).0, 0);
    for n in 110..180 {
        text(n).await;
    }
    assert_eq!(host.stop(), Some(0));
    let room = std::fs::metadata(&backup).unwrap().len() / 512;
    // No file may have more bytes than so: as on a disk that is full, it is an error in the midst of writing.
    let recover = |blocks: Option<u64>, more: &[&str]| {
        let command = setup.command(&["journal", "recover", setup.config(), "--backup", &backup]);
        let limit = blocks.map_or("unlimited".to_owned(), |blocks| blocks.to_string());
        let mut limited = std::process::Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        limited
            .arg("-c")
            .arg(script)
            .arg(command.get_program())
            .args(command.get_args())
            .args(more);
        let output = limited.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let mut refused = 0;
    for in_place in [false, true] {
        if in_place {
            // Tables of an earlier time, and a log that can't be read to its end.
            std::fs::copy(&backup, data.join("journal.sqlite")).unwrap();
            let log = rusqlite::Connection::open(data.join("log.sqlite")).unwrap();
            let spoil = "UPDATE batches SET body = zeroblob(length(body)) \
                         WHERE position = (SELECT max(position) - 1 FROM batches)";
            assert_eq!(log.execute(spoil, []).unwrap(), 1);
        } else {
            std::fs::remove_file(data.join("journal.sqlite")).unwrap();
        }
        let kept = setup.folder.path().join("kept");
        let as_it_was = |from: &std::path::Path, to: &std::path::Path| {
            let _ = std::fs::remove_dir_all(to);
            copy_files(from, to);
        };
        as_it_was(&data, &kept);
        for more in [0, 20, 80, 160, 320, 640] {
            let (code, said) = recover(Some(room + more), &["--accept-loss"]);
            refused += u32::from(code != Some(0));
            if code == Some(0) {
                as_it_was(&kept, &data);
                continue;
            }
            let is_said = said.contains("nothing was changed") || said.contains("nothing is lost");
            assert!(is_said, "{said}");
            // What it couldn't do it does once there is room.
        }
        let (code, said) = recover(None, &["--accept-loss"]);
        assert_eq!(code, Some(0), "{said}");
        let host = setup.start(&["--strict"]).await;
        let found = host.transcripts(&token).await;
        let lost =
            (100..180).filter(|n| !found.iter().any(|t| t.starts_with(&format!("text {n} "))));
        let lost = lost.count();
        assert!(lost == 0 || (in_place && lost <= 1), "{lost} of 80 are gone");
        assert_eq!(host.stop(), Some(0));
        as_it_was(&kept, &data);
        std::fs::copy(&backup, data.join("journal.sqlite")).unwrap();
    }
    held("a recovery on a disk that gets full", &format!("refused {refused} times; nothing lost"));
}

// OPS-03 OPS-10
#[actix_web::test]
async fn what_goes_on_from_a_snapshot_is_mixed_with_nothing_that_came_after_it() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let (data, snapshot) = (setup.data(), setup.folder.path().join("snapshot"));
    let backup = setup.folder.path().join("backup.sqlite").display().to_string();
    let text = async |n: u32| assert_eq!(says(&emulators.world, n).await, 200);
    let host = setup.start(&["--strict"]).await;
    for n in 100..110 {
        text(n).await;
    }
    assert_eq!(host.stop(), Some(0));
    copy_files(&data, &snapshot);
    let host = setup.start(&["--strict"]).await;
    for n in 110..140 {
        text(n).await;
    }
    assert_eq!(setup.run(&["journal", "backup", &backup, setup.config()]).0, 0);
    assert_eq!(host.stop(), Some(0));
    // The machine is set back, and goes on.
    std::fs::remove_dir_all(&data).unwrap();
    copy_files(&snapshot, &data);
    let host = setup.start(&["--strict"]).await;
    for n in 200..220 {
        text(n).await;
    }
    assert_eq!(host.stop(), Some(0));
    let recover = |more: &[&str]| {
        let all = [&["journal", "recover", setup.config(), "--backup", &backup], more].concat();
        setup.run(&all)
    };
    let (code, said) = recover(&[]);
    assert!(code == 0 && said.contains("nothing is wrong"), "{said}");
    let (code, said) = setup.run(&["journal", "restore", &backup, setup.config()]);
    assert!(code == 3 && said.contains("leads less far than what is there"), "{said}");
    // Nor is its log played onto the backup, which has as many batches of another history.
    let tables = data.join("journal.sqlite");
    let aside = setup.folder.path().join("aside.sqlite");
    std::fs::rename(&tables, &aside).unwrap();
    let (code, said) = recover(&[]);
    assert!(code == 3 && said.contains("has batches of another history"), "{said}");
    std::fs::rename(&aside, &tables).unwrap();
    let host = setup.start(&["--strict"]).await;
    let found = host.transcripts(&token).await;
    let has = |n: u32| found.iter().any(|t| t.starts_with(&format!("text {n}")));
    assert!((100..110).chain(200..220).all(has) && !(110..140).any(has), "{found:?}");
    assert_eq!(host.stop(), Some(0));
    held("a snapshot that went on, and a backup of what came after it", "never mixed");
}

/// Nothing stands in the pages that are damaged, but the next text belongs there.
// OPS-03 OPS-10
#[actix_web::test]
async fn damaged_tables_that_take_nothing_end_the_host_with_advice_that_helps() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let host = setup.start(&["--strict"]).await;
    for n in 0..20 {
        assert_eq!(says(&emulators.world, n).await, 200);
    }
    assert_eq!(host.stop(), Some(0));
    let file = setup.data().join("journal.sqlite");
    let tables = rusqlite::Connection::open(&file).unwrap();
    let free = "PRAGMA secure_delete = ON; CREATE TABLE gone (body BLOB); INSERT INTO gone VALUES (randomblob(60000));
                DROP TABLE gone; PRAGMA wal_checkpoint(TRUNCATE)";
    tables.execute_batch(free).unwrap();
    drop(tables);
    let whole = std::fs::read(&file).unwrap();
    let trunk = u32::from_be_bytes(whole[32..36].try_into().unwrap()) as usize;
    let mut bytes = whole.clone();
    bytes[(trunk - 1) * 4096..][..4096].fill(0);
    // A start looks at it.
    std::fs::write(&file, &bytes).unwrap();
    let (code, said) = setup.run(&["run", setup.config()]);
    assert!(code == 3 && said.contains("its list of free pages is damaged"), "{code} {said}");
    assert!(said.contains("journal recover"), "{said}");
    std::fs::write(&file, &whole).unwrap();
    // One that nothing reads, and what is new belongs there.
    let tables = rusqlite::Connection::open(&file).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'decisions_conversation'";
    let root: u64 = tables.query_row(root, [], |row| row.get::<_, u32>(0)).unwrap().into();
    drop(tables);
    let damaged = std::fs::File::options().write(true).open(&file).unwrap();
    damaged.write_all_at(&[0; 4096], (root - 1) * 4096).unwrap();
    let (code, said) = setup.run(&["run", setup.config()]);
    assert!(code == 3 && said.contains("all of that is in the log"), "{code} {said}");
    assert!(said.contains("journal recover") && !said.contains("another program"), "{said}");
    let (code, said) = setup.run(&["journal", "recover", setup.config()]);
    assert!(code == 0 && said.contains("that is all that was acknowledged"), "{code} {said}");
    let host = setup.start(&["--strict"]).await;
    let kept = host.transcripts(&token).await;
    assert!((0..20).all(|n| kept.contains(&format!("text {n}"))), "{} are left", kept.len());
    assert_eq!(says(&emulators.world, 20).await, 200);
    setup.stop_and_replay(host);
    held("damaged pages of tables", "the host ends and says what helps, which has everything");
}
