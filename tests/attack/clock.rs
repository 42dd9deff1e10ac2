//! A machine whose clock is set while the host runs.

use std::time::{Duration, Instant};

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;

use crate::tools::held;

// OPS-06 ROUTE-07
#[actix_web::test]
async fn a_clock_that_is_set_forward_or_back_is_said_and_keeps_no_offer_standing() {
    let mut setup = Setup::new();
    setup.workstream = "offer_timeout: \"3s\",".to_owned();
    let emulators = setup.with_emulators();
    let clock = setup.with_clock();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &token).await;
    for (what, seconds) in [("back", -3600), ("forward", 7200)] {
        emulators.world.text(Provider::Twilio, "+14255550100", what).await;
        kim.wait("offer").await;
        let began = Instant::now();
        clock.set(seconds);
        kim.wait("offer_ended").await;
        let stood = began.elapsed();
        assert!(stood < Duration::from_secs(8), "{what}: an offer of 3 s stood for {stood:?}");
        host.prints(&format!("clock was set {what}")).await;
        // Whoever missed it is offered it again: it is there, and so are they.
        kim.must(json!({ "type": "activity" })).await;
    }
    kim.accept_next().await;
    held("a clock that is set back and forward by an hour", "said; offers end in their time");
}
