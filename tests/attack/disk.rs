//! Disks that lie, lose, or are full. (A full one under way: `tests/tests/disk.rs`.)

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cordboard_tests::emulator::{Provider, World};
use cordboard_tests::harness::{Screen, Setup, eventually};

use crate::tools::{held, says};

type Damage = fn(&mut Vec<u8>);

// OPS-03 OPS-06
#[actix_web::test]
async fn a_damaged_journal_is_said_and_left_as_it_is() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    for n in 0..50 {
        let from = format!("+142555501{n:02}");
        assert_eq!(emulators.world.text(Provider::Twilio, &from, &"x".repeat(500)).await, 200);
    }
    assert_eq!(host.stop(), Some(0));
    let journal = setup.data().join("journal.sqlite");
    let whole = std::fs::read(&journal).unwrap();
    // Its head, its middle, its end.
    let damage: [(&str, Damage); 3] = [
        ("head", |bytes| bytes[..100].fill(0xff)),
        ("pages", |bytes| bytes[4096..].fill(0xa5)),
        ("half", |bytes| bytes.truncate(bytes.len() / 2)),
    ];
    for (what, change) in damage {
        let mut bytes = whole.clone();
        change(&mut bytes);
        std::fs::write(&journal, &bytes).unwrap();
        let (code, text) = setup.run(&["run", setup.config()]);
        assert_eq!(code, 3, "{what}: {text}");
        assert!(
            text.contains("journal.sqlite can't be used") && text.contains("it is damaged"),
            "{what}: {text}"
        );
        assert_eq!(
            std::fs::read(&journal).unwrap().len(),
            bytes.len(),
            "{what}: it is left as it is"
        );
    }
    std::fs::write(&journal, &whole).unwrap();
    // What isn't a file at all.
    let (aside, folder) = (setup.data().join("aside"), setup.folder.path().to_owned());
    std::fs::rename(&journal, &aside).unwrap();
    std::fs::create_dir(&journal).unwrap();
    let (code, text) = setup.run(&["run", setup.config()]);
    assert!(code == 3 && text.contains("can't write there"), "{text}");
    std::fs::remove_dir(&journal).unwrap();
    std::fs::rename(&aside, &journal).unwrap();
    setup.change("main.ron", "data: \"data\"", "data: \"main.ron\"");
    let (code, text) = setup.run(&["run", setup.config()]);
    assert!(code == 3 && text.contains("can't make the data folder"), "{text} {folder:?}");
    setup.change("main.ron", "data: \"main.ron\"", "data: \"data\"");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::connect(&host.url, &token).await;
    kim.accept_next().await;
    held("journals that are damaged, or no file", "refused with advice, left as they are");
}

/// Twenty bits of a page that a start doesn't read: the host runs, and isn't taken for whole; nor is a copy of it.
// OPS-03 OPS-10
#[actix_web::test]
async fn damage_that_a_start_doesnt_meet_is_found_and_no_backup_is_made_of_it() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let host = setup.start(&["--strict"]).await;
    for n in 0..120 {
        let from = format!("+142555502{:02}", n % 100);
        assert_eq!(emulators.world.text(Provider::Twilio, &from, &"x".repeat(900)).await, 200);
    }
    // What grows has a metric.
    let metrics = host.text(&token, "/metrics").await;
    for (name, least) in [
        ("bytes{file=\"journal.sqlite\"}", 100_000.0),
        ("bytes{file=\"log.sqlite-wal\"}", 0.0),
        ("rows{table=\"events\"}", 120.0),
        ("rows{table=\"decisions\"}", 0.0),
        ("rows{table=\"audit\"}", 0.0),
    ] {
        let name = format!("cordboard_journal_{name} ");
        let said = metrics.lines().find_map(|line| line.strip_prefix(&name));
        let said: f64 = said.unwrap_or_else(|| panic!("{name}: {metrics}")).parse().unwrap();
        assert!(said >= least, "{name}{said}");
    }
    let whole = setup.folder.path().join("whole.sqlite");
    let backup = |file: &std::path::Path| {
        setup.run(&["journal", "backup", &file.display().to_string(), setup.config()])
    };
    let (code, said) = backup(&whole);
    assert_eq!(code, 0, "{said}");
    assert_eq!(host.stop(), Some(0));
    let journal = setup.data().join("journal.sqlite");
    let leaves = || {
        let connection = rusqlite::Connection::open(&journal)?;
        let leaves =
            "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' ORDER BY pageno";
        let mut leaves = connection.prepare(leaves)?;
        let leaves = leaves.query_map([], |row| row.get::<_, u32>(0))?;
        leaves.collect::<rusqlite::Result<Vec<u32>>>()
    };
    let leaves = leaves().unwrap();
    let page = leaves[leaves.len() / 2] as usize - 1;
    let mut bytes = std::fs::read(&journal).unwrap();
    // Where its rows stand, one bit in each of twenty bytes.
    bytes[page * 4096 + 8..page * 4096 + 28].iter_mut().for_each(|byte| *byte ^= 0x10);
    std::fs::write(&journal, bytes).unwrap();
    let host = setup.start(&["--strict"]).await;
    let ready = reqwest::get(format!("{}/health/ready", host.url)).await.unwrap();
    assert_eq!(ready.status(), 503);
    let said = ready.text().await.unwrap();
    assert!(said.contains("the journal is damaged ("), "{said}");
    assert!(host.log().contains("cordboard journal recover"), "{}", host.log());
    let copy = setup.folder.path().join("copy.sqlite");
    let (code, said) = backup(&copy);
    assert!(code == 3 && said.contains("it is damaged") && !copy.exists(), "{code}: {said}");
    assert_eq!(host.stop(), Some(0));
    // The one of before helps, with what the log has since.
    let whole = whole.display().to_string();
    let (code, said) = setup.run(&["journal", "recover", setup.config(), "--backup", &whole]);
    assert_eq!(code, 0, "{said}");
    let host = setup.start(&["--strict"]).await;
    assert_eq!(host.get(&token, "/health/ready").await.0, 200);
    held("damage in the midst of the tables", "said by readiness; no backup is made of it");
}

/// Texts come as long as somebody takes them; those that were acknowledged, and how many there are so far.
fn texts_come(
    world: &World,
    life: usize,
) -> (tokio::task::JoinHandle<Vec<String>>, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (world, enough) = (world.clone(), Arc::new(AtomicBool::new(false)));
    let count = Arc::new(AtomicUsize::new(0));
    let (until, counted) = (enough.clone(), count.clone());
    let texts = actix_web::rt::spawn(async move {
        let mut taken = Vec::new();
        for n in 0.. {
            if until.load(Ordering::Relaxed) {
                break;
            }
            let text = format!("SM{life:02}{n:030}");
            if world.deliver(Provider::Twilio, &text, "+14255550100", &text).await == 200 {
                taken.push(text);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
        taken
    });
    (texts, enough, count)
}

fn rescued(setup: &Setup) -> Option<PathBuf> {
    let files = std::fs::read_dir(setup.data()).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.to_string_lossy().contains("rescued")).max()
}

// OPS-03 OPS-06
#[actix_web::test]
async fn a_file_that_is_deleted_under_the_host_stops_it_and_nothing_acknowledged_is_lost() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let mut all = Vec::new();
    let files = [
        "journal.sqlite",
        "journal.sqlite-wal",
        "journal.sqlite-shm",
        "log.sqlite",
        "log.sqlite-wal",
    ];
    for (life, lost) in files.into_iter().enumerate() {
        let host = setup.start(&["--strict"]).await;
        assert_eq!(emulators.world.text(Provider::Twilio, "+14255550101", lost).await, 200);
        let log = host.log().len();
        let (texts, enough, _) = texts_come(&emulators.world, life);
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::fs::remove_file(setup.data().join(lost)).unwrap();
        let said = |part: &str| host.log()[log..].contains(part).then_some(());
        eventually("the host says so", || said("while the host ran: nothing is taken any more"))
            .await;
        // As a service manager does that has no patience.
        eventually("it is rescued", || said("the host can't go on")).await;
        host.kill();
        enough.store(true, Ordering::Relaxed);
        all.extend(texts.await.unwrap().into_iter().map(|text| (lost, text)));
        let Some(rescued) = rescued(&setup) else {
            // Somebody had begun another one beside the tables just then, and the log has what stood there.
            let log = host_log(&setup);
            assert!(log.contains("the next start takes it from there"), "{lost}: {log}");
            continue;
        };
        let refused = setup.run(&["run", setup.config()]);
        assert!(
            refused.0 == 3 && refused.1.contains(&rescued.display().to_string()),
            "{lost}: {refused:?}"
        );
        std::fs::rename(rescued, setup.data().join("journal.sqlite")).unwrap();
    }
    let host = setup.start(&["--strict"]).await;
    let kept = host.transcripts(&token).await;
    for (lost, text) in &all {
        assert!(kept.iter().any(|kept| kept == text), "{lost}: {text} is gone");
    }
    held(
        "files of the journal deleted under a host that takes texts",
        &format!("it stops; all {} acknowledged are rescued", all.len()),
    );
}

fn host_log(setup: &Setup) -> String {
    std::fs::read_to_string(setup.folder.path().join("host.log")).unwrap()
}

// OPS-03 OPS-06
#[actix_web::test]
async fn a_file_that_is_cut_under_the_host_stops_it_and_isnt_taken_for_whole() {
    for cut in ["journal.sqlite", "journal.sqlite-wal", "log.sqlite", "log.sqlite-wal"] {
        let mut setup = Setup::new();
        let emulators = setup.with_emulators();
        let token = setup.token("sam");
        let host = setup.start(&["--strict"]).await;
        let (texts, enough, _) = texts_come(&emulators.world, 0);
        tokio::time::sleep(Duration::from_millis(600)).await;
        let backup = setup.folder.path().join("backup.sqlite");
        let (code, text) =
            setup.run(&["journal", "backup", backup.to_str().unwrap(), setup.config()]);
        assert_eq!(code, 0, "{text}");
        tokio::time::sleep(Duration::from_millis(600)).await;
        let file = std::fs::File::options().write(true).open(setup.data().join(cut)).unwrap();
        file.set_len(0).unwrap();
        host.prints("while the host ran: nothing is taken any more").await;
        host.prints("the host couldn't go on").await;
        enough.store(true, Ordering::Relaxed);
        let taken = texts.await.unwrap();
        drop(host);
        // What could be rescued is whole; if nothing could, a backup and the log have all of it together.
        match rescued(&setup) {
            Some(rescued) => {
                std::fs::rename(rescued, setup.data().join("journal.sqlite")).unwrap();
            }
            None => {
                let (code, text) =
                    setup.run(&["journal", "restore", backup.to_str().unwrap(), setup.config()]);
                assert!(code == 0 && text.contains("and log.sqlite"), "{cut}: {code} {text}");
            }
        }
        let host = setup.start(&["--strict"]).await;
        let kept = host.transcripts(&token).await;
        let lost = taken.iter().filter(|text| !kept.contains(text)).count();
        assert_eq!(lost, 0, "{cut}: {lost} of {} are gone", taken.len());
        let (code, text) = setup.run(&["journal", "verify", setup.config()]);
        assert_eq!(code, 0, "{cut}: {text}");
    }
    held(
        "files of the journal cut to nothing under a host",
        "it stops; all that was acknowledged is found again",
    );
}

// OPS-03 OPS-06
#[actix_web::test]
async fn a_journal_that_is_gone_is_missed() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let fresh = setup.run(&["agent", "tokens", setup.config(), "--id", "kim"]);
    assert!(fresh.0 == 0 && !setup.data().join("journal.sqlite").exists(), "a look makes nothing");
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    std::fs::remove_file(setup.data().join("journal.sqlite")).unwrap();
    host.prints("the host couldn't go on").await;
    drop(host);
    // What starts it again by itself doesn't begin anew.
    let refused = |what: &str, helps: &str| {
        for command in ["run", "agent"] {
            let link = ["agent", "link", setup.config(), "--id", "kim"];
            let run = ["run", setup.config()];
            let (code, text) = setup.run(if command == "run" { &run } else { &link });
            assert!(code == 3 && text.contains(helps), "{what}, {command}: {code} {text}");
        }
    };
    refused("rescued", "was written when it was lost");
    let files = std::fs::read_dir(setup.data()).unwrap().map(|file| file.unwrap().path());
    let rescued = files.into_iter().find(|path| path.to_string_lossy().contains("rescued"));
    let rescued = rescued.unwrap();
    let aside = setup.folder.path().join("aside");
    std::fs::rename(&rescued, &aside).unwrap();
    refused("gone", "journal recover goes on with what leads furthest");
    let journal = setup.data().join("journal.sqlite");
    std::fs::write(&journal, "").unwrap();
    refused("empty", "it is empty, though there was one");
    let other = rusqlite::Connection::open(&journal).unwrap();
    other.execute_batch("CREATE TABLE recipes (name TEXT)").unwrap();
    drop(other);
    refused("of another program", "a database of another program");
    std::fs::rename(&aside, &journal).unwrap();
    let host = setup.start(&["--strict"]).await;
    assert_eq!(host.get(&token, "/api/v1/me").await.0, 200);
    assert_eq!(host.stop(), Some(0));
    std::fs::remove_file(&journal).unwrap();
    let host = setup.start(&["--strict", "--new-journal"]).await;
    assert_eq!(host.get(&token, "/api/v1/me").await.0, 401);
    assert_eq!(host.stop(), Some(0));
    held("a journal that is gone, empty, or somebody else's", "the start is refused with advice");
}

/// What a host leaves that was killed while texts came; those that were acknowledged.
async fn killed_under_load(setup: &Setup, world: &World, life: usize) -> Vec<String> {
    let host = setup.start(&["--strict"]).await;
    let (texts, enough, count) = texts_come(world, life);
    while count.load(Ordering::Relaxed) <= 50 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    enough.store(true, Ordering::Relaxed);
    let taken = texts.await.unwrap();
    // All of it can be seen by now.
    tokio::time::sleep(Duration::from_millis(200)).await;
    host.kill();
    taken
}

/// A host starts, has all that was taken, and stops.
async fn starts_with_all(setup: &Setup, token: &str, taken: &[String]) {
    let host = setup.start(&["--strict"]).await;
    let found = host.transcripts(token).await;
    assert!(taken.iter().all(|text| found.contains(text)), "{} of {}", found.len(), taken.len());
    setup.stop_and_replay(host);
}

/// The first frame of a `-wal` whose page is written once more, a fifth of the way behind it at the earliest: what stands
/// in it alone is nothing (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
fn spoil_a_frame(wal: &mut [u8]) {
    const FRAME: usize = 24 + 4096;
    let frames: Vec<&[u8]> = wal[32..].chunks_exact(FRAME).collect();
    let salts = &frames[0][8..16];
    let pages: Vec<&[u8]> =
        frames.iter().take_while(|frame| &frame[8..16] == salts).map(|frame| &frame[..4]).collect();
    let is_written_again = |at: &usize| pages[at + 1..].contains(&pages[*at]);
    let at = (pages.len() / 5..pages.len()).find(is_written_again).expect("one is");
    assert!(at + 20 < pages.len(), "frame {at} of {}", pages.len());
    wal[32 + at * FRAME..][..FRAME].fill(0);
}

// OPS-03 OPS-06 OPS-10
#[actix_web::test]
async fn what_a_killed_host_left_beside_its_files_is_missed_if_it_is_gone() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let taken = killed_under_load(&setup, &emulators.world, 1).await;
    let data = setup.data();
    let names =
        ["journal.sqlite", "log.sqlite", "journal.sqlite-wal", "log.sqlite-wal", "journal.reached"];
    let kept = setup.folder.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    for name in names {
        std::fs::copy(data.join(name), kept.join(name)).unwrap();
    }
    let as_it_was = || {
        for entry in std::fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.to_string_lossy().contains(".sqlite") {
                std::fs::remove_file(path).unwrap();
            }
        }
        for name in names {
            std::fs::copy(kept.join(name), data.join(name)).unwrap();
        }
    };
    let gone = |names: &[&str]| {
        as_it_was();
        for name in names {
            std::fs::remove_file(data.join(name)).unwrap();
        }
    };
    let refused = |what: &str, says: &str| {
        let (code, text) = setup.run(&["journal", "verify", setup.config()]);
        assert!(code == 1 && text.contains(says), "{what}: {code} {text}");
        for command in ["verify", "backup", "rebuild"] {
            let mut arguments = vec!["journal", command];
            if command == "backup" {
                arguments.push("/nowhere/at/all");
            }
            arguments.push(setup.config());
            assert_ne!(setup.run(&arguments).0, 0, "{what}: {command}");
        }
        let (code, text) = setup.run(&["run", setup.config()]);
        assert!(code == 3 && text.contains(says), "{what}: {code} {text}");
        assert!(text.contains("journal recover"), "{what}: {text}");
    };
    gone(&["log.sqlite-wal", "journal.sqlite-wal"]);
    refused("both", "log.sqlite-wal is gone or empty");
    gone(&["log.sqlite-wal"]);
    std::fs::write(data.join("log.sqlite-wal"), "").unwrap();
    refused("emptied", "log.sqlite-wal is gone or empty");
    for at in [1, 2, 3] {
        gone(&["journal.sqlite-wal"]);
        let mut bytes = std::fs::read(data.join("log.sqlite-wal")).unwrap();
        let middle = bytes.len() / 4 / 4096 * at * 4096;
        bytes[middle..middle + 4096].fill(0);
        std::fs::write(data.join("log.sqlite-wal"), bytes).unwrap();
        refused("a page in the midst", "log.sqlite-wal is damaged in the midst");
    }
    // A copy without what lay beside it isn't taken for a backup.
    as_it_was();
    let journal = data.join("journal.sqlite").display().to_string();
    let (code, text) = setup.run(&["journal", "restore", &journal, setup.config()]);
    assert!(code == 3 && text.contains("journal.sqlite-wal lies beside"), "{code} {text}");

    // The tables have it all: that is gone on with.
    gone(&["log.sqlite-wal"]);
    refused("the log's", "log.sqlite-wal is gone or empty");
    let (code, text) = setup.run(&["journal", "recover", setup.config()]);
    assert!(code == 3 && text.contains("more may have been acknowledged"), "{code} {text}");
    let (code, text) = setup.run(&["journal", "recover", "--accept-loss", setup.config()]);
    assert!(code == 0 && text.contains("goes on with journal.sqlite: up to"), "{code} {text}");
    starts_with_all(&setup, &token, &taken).await;
    // Whatever the log has beyond them comes along, as far as it can be read.
    gone(&["journal.sqlite-wal"]);
    let (code, text) = setup.run(&["journal", "recover", setup.config()]);
    assert!(code == 0 && text.contains("nothing is wrong"), "{code} {text}");
    starts_with_all(&setup, &token, &taken).await;
    // Behind damage in the midst of it, too.
    gone(&["journal.sqlite-wal"]);
    let mut bytes = std::fs::read(data.join("log.sqlite-wal")).unwrap();
    spoil_a_frame(&mut bytes);
    std::fs::write(data.join("log.sqlite-wal"), bytes).unwrap();
    refused("a frame in the midst", "log.sqlite-wal is damaged in the midst");
    let (code, text) = setup.run(&["journal", "recover", setup.config()]);
    assert!(code == 0 && text.contains("that is all that was acknowledged"), "{code} {text}");
    starts_with_all(&setup, &token, &taken).await;
    // As it is, nothing is missed.
    as_it_was();
    let (code, text) = setup.run(&["journal", "verify", setup.config()]);
    assert_eq!(code, 0, "{text}");
    starts_with_all(&setup, &token, &taken).await;
    held("files beside the journal's that a crash left, gone or damaged", "refused; nothing lost");
}

// OPS-03 OPS-10
#[actix_web::test]
async fn a_cut_wal_of_the_tables_destroys_nothing_beside_it() {
    // It is cut to nothing, or to a half; the host ends by itself, or is killed a moment later.
    for (life, (to, waits)) in
        [(0, true), (0, false), (2, true), (2, false)].into_iter().enumerate()
    {
        let mut setup = Setup::new();
        let emulators = setup.with_emulators();
        let token = setup.token("sam");
        let host = setup.start(&["--strict"]).await;
        let (texts, enough, _) = texts_come(&emulators.world, life);
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let wal = setup.data().join("journal.sqlite-wal");
        let length = std::fs::metadata(&wal).unwrap().len();
        let cut = std::fs::File::options().write(true).open(&wal).unwrap();
        cut.set_len(length.checked_div(to).unwrap_or(0)).unwrap();
        if waits {
            host.prints("the next start takes it from there").await;
            host.prints("the host couldn't go on").await;
            drop(host);
        } else {
            tokio::time::sleep(Duration::from_millis(30)).await;
            host.kill();
        }
        enough.store(true, Ordering::Relaxed);
        let taken = texts.await.unwrap();
        let host = setup.start(&["--strict"]).await;
        let kept = host.transcripts(&token).await;
        let lost = taken.iter().filter(|text| !kept.contains(text)).count();
        assert_eq!(lost, 0, "life {life}: {lost} of {} are gone", taken.len());
        assert_eq!(host.stop(), Some(0));
        let (code, text) = setup.run(&["journal", "verify", setup.config()]);
        assert_eq!(code, 0, "life {life}: {text}");
    }
    held("the tables' -wal cut under a host", "the next start takes what it had from the log");
}

// OPS-11 OPS-10
#[actix_web::test]
async fn a_look_at_a_file_that_cant_be_opened_just_now_isnt_taken_for_damage() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("sam");
    let host = setup.start(&["--strict"]).await;
    let text = async |n: u32| says(&emulators.world, n).await;
    assert_eq!(text(100).await, 200);
    let descriptors = |soft: &str| {
        let pid = host.pid().to_string();
        let limit = format!("--nofile={soft}:");
        let done = std::process::Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(done.unwrap().success());
    };
    // As where somebody has taken all there are: nothing can be opened. The files are looked at twenty times a second.
    descriptors("8");
    tokio::time::sleep(Duration::from_millis(600)).await;
    descriptors("4096");
    while text(101).await != 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let found = host.transcripts(&token).await;
    assert!((100..102).all(|n| found.contains(&format!("text {n}"))), "{found:?}");
    assert_eq!(host.stop(), Some(0));
    let aside = std::fs::read_dir(setup.data()).unwrap();
    let is_aside = |name: std::ffi::OsString| name.to_string_lossy().starts_with("left-");
    assert!(!aside.into_iter().any(|file| is_aside(file.unwrap().file_name())));
    held("a host that has no descriptor left", "it goes on once there are some");
}
