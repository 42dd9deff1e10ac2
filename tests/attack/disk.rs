//! Disks that lie, lose, or are full. (A full one under way: `tests/tests/disk.rs`.)

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup, eventually};

use crate::tools::held;

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

// OPS-06
#[actix_web::test]
async fn a_journal_that_is_deleted_under_the_host_stops_it() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let token = setup.token("kim");
    for lost in ["journal.sqlite", "journal.sqlite-wal"] {
        let host = setup.start(&["--strict"]).await;
        assert_eq!(emulators.world.text(Provider::Twilio, "+14255550100", lost).await, 200);
        let log = host.log().len();
        std::fs::remove_file(setup.data().join(lost)).unwrap();
        let said = |part: &str| host.log()[log..].contains(part).then_some(());
        eventually("the host says so", || said("was deleted or replaced while the host ran")).await;
        eventually("it stops", || said("the host couldn't go on")).await;
        assert!(host.log().contains("put that in its place"), "{}", host.log());
        drop(host);
        let files = std::fs::read_dir(setup.data()).unwrap().map(|file| file.unwrap().path());
        let rescued =
            files.filter(|path| path.to_string_lossy().contains("rescued")).max().unwrap();
        for end in ["", "-wal", "-shm"] {
            // Some may be gone already.
            let _ = std::fs::remove_file(setup.data().join(format!("journal.sqlite{end}")));
        }
        std::fs::rename(rescued, setup.data().join("journal.sqlite")).unwrap();
    }
    let host = setup.start(&["--strict"]).await;
    let (_, open) = host.get(&token, "/api/v1/me").await;
    assert_eq!(open["agent"], "kim");
    let mut kim = Screen::connect(&host.url, &token).await;
    let id = kim.accept_next().await;
    let (_, seen) = host.get(&token, &format!("/api/v1/conversations/{id}")).await;
    assert_eq!(seen["messages"].as_array().unwrap().len(), 2, "all of it: {seen}");
    held(
        "a journal, or its -wal, deleted under a running host",
        "the host stops; all of it is rescued",
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
    for end in ["-wal", "-shm"] {
        // They may be gone already.
        let _ = std::fs::remove_file(setup.data().join(format!("journal.sqlite{end}")));
    }
    refused("rescued", "move that there");
    let files = std::fs::read_dir(setup.data()).unwrap().map(|file| file.unwrap().path());
    let rescued = files.into_iter().find(|path| path.to_string_lossy().contains("rescued"));
    let rescued = rescued.unwrap();
    let aside = setup.folder.path().join("aside");
    std::fs::rename(&rescued, &aside).unwrap();
    refused("gone", "put a backup in its place");
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
