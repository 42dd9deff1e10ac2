//! `kill -9` under load, twenty times: nothing that was acknowledged is lost, nothing goes out
//! twice beyond what an idempotency key absorbs, and the ledger equals the conversations.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use cordboard_tests::emulator::{Provider, World};
use cordboard_tests::harness::{Screen, Setup, eventually};
use rand::Rng;
use serde_json::{Value, json};

const KILLS: usize = 20;
const CUSTOMERS: usize = 8;
const PROVIDERS: [Provider; 2] = [Provider::Twilio, Provider::Acs];

/// What the outside knows.
#[derive(Default)]
struct Books {
    /// Texts that a provider has to deliver, until they are answered 200.
    owed: BTreeMap<String, (Provider, String)>,
    /// Texts that were answered 200.
    acknowledged: BTreeSet<String>,
    /// Replies by text: conversation, and whether the screen has its answer.
    replies: BTreeMap<String, (String, bool)>,
    conversations: BTreeSet<String>,
    next: usize,
}

type Shared = Rc<RefCell<Books>>;

/// A provider's queue: new texts, and again those that weren't acknowledged.
async fn provide(world: World, books: Shared, stop: Rc<Cell<bool>>) {
    while !stop.get() {
        let (id, provider, from) = {
            let mut books = books.borrow_mut();
            let waiting = books.owed.len();
            if waiting > 30 || (waiting > 0 && rand::rng().random_bool(0.3)) {
                let nth = rand::rng().random_range(0..waiting);
                let (id, (provider, from)) = books.owed.iter().nth(nth).expect("counted");
                (id.clone(), *provider, from.clone())
            } else {
                books.next += 1;
                let provider = PROVIDERS[books.next % 2];
                let from = format!("+1425555{:04}", books.next % CUSTOMERS);
                let id = format!("{:032X}", books.next);
                books.owed.insert(id.clone(), (provider, from.clone()));
                (id, provider, from)
            }
        };
        let status = world.deliver(provider, &id, &from, &format!("in {id}")).await;
        if status == 200 {
            let mut books = books.borrow_mut();
            books.owed.remove(&id);
            books.acknowledged.insert(id);
        } else {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// An agent who takes everything and answers each text, again after a break until it is told that
/// the answer stands.
async fn answer(mut screen: Screen, books: Shared, stop: Rc<Cell<bool>>) {
    let unanswered: Vec<(String, String)> = {
        let books = books.borrow();
        let open = books.replies.iter().filter(|(_, (_, done))| !done);
        open.map(|(text, (conversation, _))| (text.clone(), conversation.clone())).collect()
    };
    for (text, conversation) in unanswered {
        if !reply(&mut screen, &text, &conversation).await {
            return;
        }
    }
    while !stop.get() {
        let frame = tokio::time::timeout(Duration::from_millis(20), screen.try_next()).await;
        let Ok(frame) = frame else { continue };
        let Some(frame) = frame else { return };
        let sent = match frame["type"].as_str() {
            Some("offer") => {
                screen.try_send(&json!({ "type": "accept", "offer": frame["offer"] })).await
            }
            Some("conversation") => {
                let id = frame["id"].as_str().unwrap().to_owned();
                books.borrow_mut().conversations.insert(id);
                true
            }
            Some("message") if frame["message"]["role"] == "customer" => {
                let text = frame["message"]["text"].as_str().unwrap().replacen("in", "out", 1);
                let conversation = frame["conversation"].as_str().unwrap().to_owned();
                let known = (conversation.clone(), false);
                books.borrow_mut().replies.entry(text.clone()).or_insert(known);
                reply(&mut screen, &text, &conversation).await
            }
            Some("answer") if frame["ok"] == true && frame["id"].is_u64() => {
                let text = format!("out {:032X}", frame["id"].as_u64().unwrap());
                if let Some((_, done)) = books.borrow_mut().replies.get_mut(&text) {
                    *done = true;
                }
                true
            }
            _ => true,
        };
        if !sent {
            return;
        }
    }
}

async fn reply(screen: &mut Screen, text: &str, conversation: &str) -> bool {
    let number = u64::from_str_radix(text.trim_start_matches("out "), 16).unwrap();
    let command = json!({ "type": "reply", "id": number, "conversation": conversation,
                          "text": text, "client_key": text });
    screen.try_send(&command).await
}

// OPS-03 CAP-04 CH-03 CH-04
#[actix_web::test]
async fn nothing_is_lost_or_doubled_by_twenty_kills() {
    let mut setup = Setup::new();
    setup.agents =
        r#"(id: "bulk", queues: ["support"], capacity: (messaging: 500, units: 500)),"#.into();
    let emulators = setup.with_emulators();
    let world = emulators.world.clone();
    let (bulk, sam) = (setup.token("bulk"), setup.token("sam"));
    let books = Shared::default();
    let stop = Rc::new(Cell::new(false));
    let mut providers = Vec::new();
    for _ in 0..6 {
        providers.push(actix_web::rt::spawn(provide(world.clone(), books.clone(), stop.clone())));
    }
    for _ in 0..KILLS {
        let host = setup.start(&["--strict", "--idle-after", "1"]).await;
        let screen = Screen::connect(&host.url, &bulk).await;
        let agent = actix_web::rt::spawn(answer(screen, books.clone(), stop.clone()));
        let moment = rand::rng().random_range(30..600);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        host.kill();
        agent.await.unwrap();
    }

    // One more start, and everything comes to rest.
    let host = setup.start(&["--strict"]).await;
    let screen = Screen::connect(&host.url, &bulk).await;
    let agent = actix_web::rt::spawn(answer(screen, books.clone(), stop.clone()));
    eventually("every text is acknowledged", || books.borrow().owed.len().lt(&3).then_some(()))
        .await;
    stop.set(true);
    for provider in providers {
        provider.await.unwrap();
    }
    agent.await.unwrap();
    let stop = Rc::new(Cell::new(false));
    let screen = Screen::connect(&host.url, &bulk).await;
    let agent = actix_web::rt::spawn(answer(screen, books.clone(), stop.clone()));
    eventually("every reply is answered", || {
        books.borrow().replies.values().all(|(_, done)| *done).then_some(())
    })
    .await;
    let metrics = format!("{}/metrics", host.url);
    for _ in 0..200 {
        let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        if text.contains("cordboard_outbox_backlog 0\n") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.set(true);
    agent.await.unwrap();

    let books = books.take();
    let mut received: BTreeMap<String, usize> = BTreeMap::new();
    let mut queued: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let (_, all) = host.get(&sam, "/api/v1/conversations?all=true&limit=1000").await;
    let mut active = 0;
    for conversation in all.as_array().unwrap() {
        active += usize::from(conversation["state"] == "active");
        let id = conversation["id"].as_str().unwrap();
        for message in host.transcript(&sam, id).await {
            let text = message["text"].as_str().unwrap().to_owned();
            if message["role"] == "customer" {
                *received.entry(text).or_default() += 1;
            } else {
                let status = message["delivery"]["status"].as_str().unwrap().to_owned();
                queued.entry(text).or_insert((0, status)).0 += 1;
            }
        }
    }
    assert!(books.acknowledged.len() > 100, "only {} texts", books.acknowledged.len());
    for id in &books.acknowledged {
        assert_eq!(received.get(&format!("in {id}")), Some(&1), "the text {id}");
    }
    assert!(received.values().all(|count| *count == 1), "a text stands twice");
    assert!(queued.values().all(|(count, _)| *count == 1), "a reply stands twice");

    let mut sent: BTreeMap<String, u32> = BTreeMap::new();
    for message in world.sent() {
        *sent.entry(message.text).or_default() += message.times;
    }
    let mut admitted = 0;
    for (text, (_, done)) in &books.replies {
        assert!(done, "{text}");
        let (_, status) = &queued[text];
        match sent.get(text) {
            Some(times) => assert_eq!(*times, 1, "{text} went out {times} times"),
            // The host died between deciding to send and hearing of it: it says so.
            None => {
                assert_eq!(status, "unconfirmed", "{text} was lost");
                admitted += 1;
            }
        }
    }
    assert!(sent.values().all(|times| *times == 1));

    let (_, agents) = host.get(&sam, "/api/v1/agents").await;
    let find = |agent: &&Value| agent["id"] == "bulk";
    let used = &agents.as_array().unwrap().iter().find(find).unwrap()["capacity"][2]["used"];
    assert_eq!(used.as_u64().unwrap() as usize, active, "ledger and conversations");
    println!(
        "{KILLS} kills: {} texts and {} replies, {admitted} replies admitted as unconfirmed",
        books.acknowledged.len(),
        books.replies.len()
    );
    assert_eq!(host.stop(), Some(0));
}
