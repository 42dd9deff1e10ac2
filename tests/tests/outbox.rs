//! What goes out goes out once, and in order, whoever takes it.

use cordboard_tests::emulator::{Failure, Provider};
use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;

/// A provider that can't tell repetitions may have taken a reply when the host was killed. Then an operator lets the channel
/// go through one that can: it can't know what the other took.
// OPS-03
#[actix_web::test]
async fn another_provider_in_its_place_repeats_nothing() {
    let mut setup = Setup::new();
    let emulators = setup.with_emulators();
    let world = &emulators.world;
    let [kims, sams] = ["kim", "sam"].map(|agent| setup.token(agent));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &kims).await;
    assert_eq!(world.text(Provider::Twilio, "+14255550100", "hello").await, 200);
    let id = kim.accept_next().await;
    world.fail_next([Failure::Late(5000)]);
    for text in ["first", "second"] {
        kim.must(json!({ "type": "reply", "conversation": id, "text": text })).await;
    }
    world.wait_for_sent("the first", |sent| sent.text == "first").await;
    host.kill();
    let acs = &emulators.urls[&Provider::Acs];
    let channel = format!(
        "(channels: [(id: \"sms-twilio\", plugin: \"acs\", workstream: \"sms\",
         config: (endpoint: \"{acs}\", numbers: [(number: \"{}\", type: \"toll_free\")]),
         secrets: {{\"access_key\": Env(\"ACS_ACCESS_KEY\"), \"webhook_secret\": Env(\"ACS_WEBHOOK_SECRET\")}},
         allow_hosts: [\"{}\"])])",
        Provider::Twilio.our_number(),
        acs.trim_start_matches("http://"),
    );
    setup.write("channels.ron", &channel);
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
