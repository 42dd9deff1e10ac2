//! Journals of earlier hosts go along: one of e2e83f1 (version 2 of the tables, before there was a log),
//! `tests/fixtures/journal-of-e2e83f1.sqlite`, by its sample configuration; and one of c23eb36 (version 10), killed while its
//! tables lay behind its log, `tests/fixtures/journal-of-c23eb36`.

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup, copy_files};
use serde_json::{Value, json};

const KIMS: &str = "cb_FI6jrTcYDGThrPoziaDCJL_jD6S8K5in2sIu04O_d2g";
const SAMS: &str = "cb_pTMjMV-ZHQhjsnZ0urnFOMC6MDbvb7rFXWE_DZnAAWM";
/// Answered, with a note, ended and wrapped up.
const ENDED: &str = "01a2153e-0509-7578-af2c-f6cd90ee94dc";
/// Answered; forty more texts; kim has left it until its customer writes.
const WAITING: &str = "01a2153e-0b69-76fc-919f-9fccfd0c92e5";

// OPS-10 OPS-03
#[actix_web::test]
async fn the_journal_of_an_early_host_goes_along() {
    let mut setup = Setup::new();
    setup.workstream = "dispositions: [\"solved\"],".to_owned();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    std::fs::create_dir(setup.data()).unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/journal-of-e2e83f1.sqlite");
    std::fs::copy(fixture, setup.data().join("journal.sqlite")).unwrap();
    let host = setup.start(&["--strict"]).await;

    let texts = async |id: &str| -> Vec<String> {
        let messages = host.transcript(SAMS, id).await;
        messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    };
    let ended = ["Hello, where is my parcel? äöü", "It is on its way.", "a friendly person"];
    assert_eq!(texts(ENDED).await, ended);
    let delivered = &host.transcript(SAMS, ENDED).await[1]["delivery"]["status"];
    assert_eq!(delivered, "delivered");
    assert_eq!(host.conversation(SAMS, ENDED).await["state"], "closed");
    host.when(SAMS, ENDED, "it was wrapped up as \"solved\": the parcel came").await;
    let lines = (0..40).map(|n| format!("line {n}"));
    let waiting: Vec<String> =
        ["I need help", "With what?"].map(str::to_owned).into_iter().chain(lines).collect();
    assert_eq!(texts(WAITING).await, waiting);
    // What it wrote is found by its words, its customers by their numbers, its agents by their names.
    assert_eq!(host.found(SAMS, "text=my+PARCEL").await, [ENDED]);
    assert_eq!(host.found(SAMS, "text=line+39&agent=kim").await, [WAITING]);
    assert_eq!(host.found(SAMS, "customer=%2B14255550101").await, [ENDED]);
    let sessions = host.get(SAMS, "/api/v1/sessions/search?agent=kim").await.1;
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 2, "{sessions}");
    let customers = |items: Vec<Value>| -> Vec<String> {
        let customer = |item: &Value| item["conversation"]["customer"].as_str().unwrap().to_owned();
        items.iter().map(customer).collect()
    };
    let line = customers(host.waiting(SAMS, "support").await);
    assert_eq!(line, ["+14255550104", "+14255550105"]);

    // A provider that repeats itself isn't heard twice.
    let hello = format!("{:032x}", 1);
    assert_eq!(world.deliver(Provider::Twilio, &hello, "+14255550101", "Hello").await, 200);
    assert_eq!(host.conversations_of(SAMS, "+14255550101").await.len(), 1);
    // Work goes on: what waited is offered, who was answered comes back, who wanted no messages gets none.
    let mut kim = Screen::connect(&host.url, KIMS).await;
    kim.must(json!({ "type": "presence", "status": "online" })).await;
    for customer in ["+14255550104", "+14255550105"] {
        let id = kim.accept_next().await;
        assert_eq!(host.conversation(SAMS, &id).await["customer"], customer);
    }
    assert_eq!(world.text(Provider::Twilio, "+14255550102", "it's me again").await, 200);
    host.until_state(SAMS, WAITING, "active").await;
    kim.must(json!({ "type": "reply", "conversation": WAITING, "text": "welcome back" })).await;
    world.wait_for_sent("the reply", |sent| sent.text == "welcome back").await;
    assert_eq!(world.text(Provider::Twilio, "+14255550103", "hello").await, 200);
    let id = kim.accept_next().await;
    let reply = json!({ "type": "reply", "conversation": id, "text": "no" });
    let refused = kim.command(reply).await;
    assert!(refused["error"].as_str().unwrap().contains("opted out"), "{refused}");
    setup.stop_and_replay(host);
    for command in ["verify", "rebuild", "verify"] {
        let (code, text) = setup.run(&["journal", command, setup.config()]);
        assert_eq!(code, 0, "{command}: {text}");
    }
    // That host kept the summary in the event only.
    let host = setup.start(&["--strict"]).await;
    assert_eq!(host.conversation(SAMS, ENDED).await["summary"], "the parcel came");
    assert_eq!(host.found(SAMS, "text=the+parcel+came").await, [ENDED]);
    assert_eq!(host.stop(), Some(0));
}

/// What the outbox held when it held replies only: some that Twilio hasn't reported on, in the tables; and one that it
/// wouldn't take, in the log only.
// OPS-10 OPS-03
#[actix_web::test]
async fn replies_of_an_outbox_that_held_nothing_else_go_along() {
    const SAMS: &str = "cb_gRS8CJUzaRiPJtBJvOX2_qm8n6dWNGky2EskAJY93d0";
    const SENT: &str = "01a21928-b79e-76e5-bdc2-3c65480394dc";
    const UNSENT: &str = "01a21928-b7b0-7389-aedf-7243989d92e5";
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    std::fs::create_dir(setup.data()).unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/journal-of-c23eb36");
    copy_files(fixture.as_ref(), &setup.data());
    let host = setup.start(&["--strict"]).await;
    let is = async |id: &str, status: &str| {
        for _ in 0..100 {
            let last = host.transcript(SAMS, id).await.pop().unwrap();
            if last["delivery"]["status"] == status {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{id} isn't {status}: {:?}\n{}", host.transcript(SAMS, id).await, host.log());
    };
    is(SENT, "sent").await;
    // Twilio calls it so; nothing else says which reply that is.
    let sid = "SM00000000000000044919e74589886782";
    assert_eq!(world.report_by_sid(sid, "+14255550101", "delivered").await, 200);
    is(SENT, "delivered").await;
    // An attempt was under way when that host was killed, and Twilio can't be asked twice; or it wasn't, and is made now.
    is(UNSENT, "delivered").await;
    let sent: Vec<String> = world.sent().into_iter().map(|sent| sent.text).collect();
    assert_eq!(sent, ["still to be sent"]);
    setup.stop_and_replay(host);
    let (code, text) = setup.run(&["journal", "verify", setup.config()]);
    assert_eq!(code, 0, "{text}");
}
