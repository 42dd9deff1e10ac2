//! A plugin that panics costs one answer, never the host.

use cordboard_tests::harness::{Screen, Setup, library, plugin_folder};
use serde_json::json;

// ROUTE-16
#[actix_web::test]
async fn a_channel_can_say_where_its_customer_stands_in_line() {
    let setup = Setup::new();
    setup.write_main();
    let file = library(&plugin_folder(), "panicky");
    let channel =
        format!("(channels: [(id: \"odd\", plugin: {file:?}, workstream: \"sms\", config: ())])");
    setup.write("channels.ron", &channel);
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |body: &'static str| {
        let request = client.post(format!("{}/hooks/odd", host.url)).body(body);
        request.send().await.unwrap().text().await.unwrap()
    };
    assert_eq!(post("place").await, "Ok(None)", "they haven't written yet");
    post("hello").await;
    let place = post("place").await;
    assert!(place.contains("position: Some(1), waiting: 1"), "{place}");
    let mut kim = Screen::connect(&host.url, &token).await;
    kim.accept_next().await;
    assert_eq!(post("place").await, "Ok(None)", "somebody has them");
    assert_eq!(host.stop(), Some(0));
}

// PLUG-02 PLUG-04
#[actix_web::test]
async fn panics_are_caught_counted_and_shown() {
    let setup = Setup::new();
    setup.write_main();
    let file = library(&plugin_folder(), "panicky");
    setup.write(
        "channels.ron",
        &format!("(channels: [(id: \"odd\", plugin: {file:?}, workstream: \"sms\", config: ())])"),
    );
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::connect(&host.url, &token).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |body: &'static str| {
        let request = client.post(format!("{}/hooks/odd", host.url)).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("now").await, 500);
    assert_eq!(post("later").await, 500);
    assert_eq!(post("fine").await, 200);
    let conversation = kim.accept_next().await;
    kim.must(json!({ "type": "reply", "conversation": conversation, "text": "hm" })).await;
    // Nobody can know what it had done before it panicked.
    let frame = kim.wait("delivery").await;
    assert_eq!(frame["delivery"]["status"], "unconfirmed");
    let (_, channels) = host.get(&token, "/api/v1/channels").await;
    assert_eq!(channels[0]["panics"], 3);
    assert_eq!(channels[0]["ok"], true);
    host.prints("as you wish: later").await;
    host.prints("panicky/src/lib.rs").await;
    assert_eq!(host.stop(), Some(0));
}
