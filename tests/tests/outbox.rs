//! What goes out goes out once, and in order, whoever takes it.

use cordboard_tests::emulator::{Emulators, Failure, Provider};
use cordboard_tests::harness::{HostProcess, Screen, Setup};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A conversation that Kim has taken.
struct Talk {
    setup: Setup,
    emulators: Emulators,
    host: HostProcess,
    kim: Screen,
    sams: String,
    id: String,
}

/// With a customer of this provider's.
async fn talk(provider: Provider) -> Talk {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let [kims, sams] = ["kim", "sam"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(emulators.world.text(provider, "+14255550100", "hello").await, 200);
    let id = kim.accept_next().await;
    Talk { setup, emulators, host, kim, sams, id }
}

/// A provider that can't tell repetitions may have taken a reply when the host was killed. Then an operator lets the channel
/// go through one that can: it can't know what the other took.
// OPS-03
#[actix_web::test]
async fn another_provider_in_its_place_repeats_nothing() {
    let Talk { setup, emulators, host, mut kim, sams, id } = talk(Provider::Twilio).await;
    let world = &emulators.world;
    world.fail_next([Failure::Late(5000)]);
    for text in ["first", "second"] {
        kim.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
    }
    world.wait_for_sent("the first", |sent| sent.text == "first").await;
    host.kill();
    let acs = through_acs("sms-twilio", Provider::Twilio, &emulators.urls[&Provider::Acs]);
    setup.write("channels.ron", &acs);
    let host = setup.start(&["--strict"]).await;
    // The second had to wait for the first, and nobody has seen it yet.
    let second = world.wait_for_sent("the second", |sent| sent.text == "second").await;
    assert_eq!(second.provider, Provider::Acs);
    let messages = host.transcript(&sams, &id).await;
    assert_eq!(messages[1]["delivery"]["status"], "unconfirmed", "{messages:?}");
    let sent: Vec<String> = world.sent().into_iter().map(|sent| sent.text).collect();
    assert_eq!(sent, ["first", "second"]);
    setup.stop_and_replay(host);
}

/// A channel that goes through ACS at this address.
fn through_acs(id: &str, number_of: Provider, url: &str) -> String {
    format!(
        "(channels: [(id: \"{id}\", plugin: \"acs\", workstream: \"sms\",
         config: (endpoint: \"{url}\", numbers: [(number: \"{}\", type: \"toll_free\")]),
         secrets: {{\"access_key\": Env(\"ACS_ACCESS_KEY\"), \"webhook_secret\": Env(\"ACS_WEBHOOK_SECRET\")}},
         allow_hosts: [\"{}\"])])",
        number_of.our_number(),
        url.trim_start_matches("http://"),
    )
}

/// The last reply's delivery, once it is this.
async fn becomes(host: &HostProcess, token: &str, id: &str, status: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let messages = host.transcript(token, id).await;
        let is_reply = |it: &&Value| !it["delivery"].is_null();
        let last = messages.iter().rfind(is_reply).expect("a reply");
        if last["delivery"]["status"] == status {
            return;
        }
        assert!(Instant::now() < until, "isn't {status}: {last}\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// ACS knows a repetition by its key; another resource of the same kind doesn't, though its plugin is the same.
// OPS-03
#[actix_web::test]
async fn another_account_of_the_same_provider_repeats_nothing() {
    let Talk { setup, emulators, host, mut kim, sams, id } = talk(Provider::Acs).await;
    let world = &emulators.world;
    let other = Emulators::start((*world.accounts).clone(), [0; 4]).unwrap();
    world.set_reports(false);
    world.fail_next([Failure::Late(8000)]);
    kim.must(json!({ "type": "reply", "conversation": id, "text": "once" })).await;
    world.wait_for_sent("it", |sent| sent.text == "once").await;
    host.kill();
    let acs = through_acs("sms-acs", Provider::Acs, &other.urls[&Provider::Acs]);
    setup.write("channels.ron", &acs);
    let host = setup.start(&["--strict"]).await;
    becomes(&host, &sams, &id, "unconfirmed").await;
    assert!(other.world.sent().is_empty(), "{:?}", other.world.sent());
    setup.stop_and_replay(host);
}

/// Taken, but the answer was cut off; then the provider doesn't know us any more. A report still settles it.
// OPS-03 CONV-04
#[actix_web::test]
async fn what_may_have_arrived_isnt_called_undelivered() {
    let Talk { setup: _setup, emulators, host, mut kim, sams, id } = talk(Provider::Acs).await;
    let world = &emulators.world;
    world.set_reports(false);
    world.fail_next([Failure::Cut, Failure::Status(400, None)]);
    kim.must(json!({ "type": "reply", "conversation": id, "text": "perhaps" })).await;
    becomes(&host, &sams, &id, "unconfirmed").await;
    assert_eq!(host.stop(), Some(0));
}

/// Whoever doesn't know our credentials hasn't taken it: it waits until an operator has mended them, whatever the provider.
// OPS-03
#[actix_web::test]
async fn a_reply_waits_until_credentials_are_mended() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let [kims, sams] = ["kim", "sam"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    for (n, provider) in [Provider::Acs, Provider::Twilio, Provider::Telesign].iter().enumerate() {
        let from = format!("+1425555010{n}");
        assert_eq!(world.text(*provider, &from, "hello").await, 200);
        let id = kim.accept_next().await;
        // "At once" is soon enough for a provider that is wrong about that: it is asked in a second, not thirteen times in one.
        world.fail_next([Failure::Status(401, Some(0)), Failure::Status(429, Some(0))]);
        let began = Instant::now();
        kim.must(json!({ "type": "reply", "conversation": id, "text": "mended" })).await;
        becomes(&host, &sams, &id, "delivered").await;
        assert!(began.elapsed() > Duration::from_millis(2200), "{:?}", began.elapsed());
    }
    assert_eq!(world.sent().iter().filter(|sent| sent.text == "mended").count(), 3);
    assert_eq!(host.stop(), Some(0));
}

/// More at once than go out side by side: those that wait for a place haven't been tried, and a host that is killed knows that.
// OPS-03
#[actix_web::test]
async fn what_waits_for_its_turn_goes_out_after_a_kill() {
    const ALL: usize = 100;
    let mut setup = Setup::new();
    setup.agents = (0..ALL)
        .map(|n| format!("(id: \"a{n}\", name: \"A{n}\", queues: [\"support\"]),"))
        .collect();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let sams = setup.token("sam");
    let tokens: Vec<String> = (0..ALL).map(|n| setup.token(&format!("a{n}"))).collect();
    let host = setup.start(&["--strict"]).await;
    let mut desks = Vec::new();
    for (n, token) in tokens.iter().enumerate() {
        let mut screen = Screen::at_desk(&host.url, token).await;
        let from = format!("+14255551{n:03}");
        assert_eq!(world.text(Provider::Twilio, &from, "hello").await, 200);
        desks.push((screen.accept_next().await, screen));
    }
    world.set_reports(false);
    world.fail_next((0..ALL).map(|_| Failure::Late(20_000)));
    let replies = desks.iter_mut().enumerate().map(|(n, (id, screen))| async move {
        let text = format!("reply {n}");
        screen.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
    });
    futures_util::future::join_all(replies).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let taken: Vec<String> = world.sent().into_iter().map(|sent| sent.text).collect();
    assert!(taken.len() < ALL, "all of them at once");
    host.kill();
    world.fail_no_more();
    let host = setup.start(&["--strict"]).await;
    for (n, (id, _)) in desks.iter().enumerate() {
        let status = if taken.contains(&format!("reply {n}")) { "unconfirmed" } else { "sent" };
        becomes(&host, &sams, id, status).await;
    }
    let sent = world.sent();
    for n in 0..ALL {
        let text = format!("reply {n}");
        assert_eq!(sent.iter().filter(|sent| sent.text == text).count(), 1, "{text}");
    }
    assert_eq!(host.stop(), Some(0));
}

/// Replies that wait behind one another cost two commits as well: that the next one begins stands in the step in which the
/// one before it is settled. A host that is killed in its attempt doesn't repeat it.
// OPS-03
#[actix_web::test]
async fn replies_behind_one_another_cost_two_commits_and_go_out_once() {
    const BEHIND: u32 = 20;
    let Talk { setup, emulators, host, mut kim, sams, id } = talk(Provider::Twilio).await;
    let world = &emulators.world;
    world.set_reports(false);
    world.fail_next([Failure::Late(1500)]);
    let before = host.commits(&sams).await;
    for n in 0..=BEHIND {
        let text = format!("reply {n}");
        kim.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
    }
    becomes(&host, &sams, &id, "sent").await;
    let commits = host.commits(&sams).await - before;
    // A note of the host's own may come between.
    assert!(commits <= 2 * (BEHIND + 1) + 6, "{commits} commits for {} replies", BEHIND + 1);

    world.fail_next([Failure::Late(1000), Failure::Late(20_000)]);
    for text in ["before", "in doubt", "behind"] {
        kim.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
    }
    world.wait_for_sent("the second", |sent| sent.text == "in doubt").await;
    host.kill();
    world.fail_no_more();
    let host = setup.start(&["--strict"]).await;
    becomes(&host, &sams, &id, "sent").await;
    let messages = host.transcript(&sams, &id).await;
    let states: Vec<&Value> =
        messages.iter().rev().take(3).map(|it| &it["delivery"]["status"]).collect();
    assert_eq!(states, ["sent", "unconfirmed", "sent"], "{messages:?}");
    let sent: Vec<String> = world.sent().into_iter().map(|sent| sent.text).collect();
    for text in ["before", "in doubt", "behind"] {
        assert_eq!(sent.iter().filter(|it| *it == text).count(), 1, "{text}: {sent:?}");
    }
    assert_eq!(host.stop(), Some(0));
}

/// What waits behind another isn't sent once its customer has opted out, whatever was on its way by then.
// CH-12
#[actix_web::test]
async fn what_waits_behind_another_isnt_sent_after_an_opt_out() {
    let Talk { setup: _setup, emulators, host, mut kim, sams, id } = talk(Provider::Twilio).await;
    let world = &emulators.world;
    world.set_reports(false);
    world.fail_next([Failure::Late(2000)]);
    for text in ["first", "second", "third"] {
        kim.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
    }
    world.wait_for_sent("the first", |sent| sent.text == "first").await;
    assert_eq!(world.text(Provider::Twilio, "+14255550100", "STOP").await, 200);
    becomes(&host, &sams, &id, "undelivered").await;
    let sent: Vec<String> = world.sent().into_iter().map(|sent| sent.text).collect();
    assert_eq!(sent, ["first"]);
    assert_eq!(host.stop(), Some(0));
}
