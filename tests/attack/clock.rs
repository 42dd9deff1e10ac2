//! A machine whose clock is set while the host runs.

use std::process::Command;
use std::time::{Duration, Instant};

use cordboard_tests::emulator::Provider;
use cordboard_tests::harness::{Screen, Setup};
use serde_json::json;

use crate::tools::held;

/// Stands before the C library's clock, and adds the seconds that a file says.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, at);
    if (id == CLOCK_REALTIME && result == 0) {
        char text[32] = {0};
        int file = open(getenv("CLOCK_FILE"), O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) at->tv_sec += atol(text);
            close(file);
        }
    }
    return result;
}
"#;

// OPS-06 ROUTE-07
#[actix_web::test]
async fn a_clock_that_is_set_forward_or_back_is_said_and_keeps_no_offer_standing() {
    let mut setup = Setup::new();
    setup.workstream = "offer_timeout: \"3s\",".to_owned();
    let emulators = setup.with_emulators();
    let folder = setup.folder.path().to_owned();
    let (source, shim, file) =
        (folder.join("shim.c"), folder.join("shim.so"), folder.join("clock"));
    std::fs::write(&source, SHIM).unwrap();
    std::fs::write(&file, "0").unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&shim)
        .arg(&source)
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success());
    let token = setup.token("kim");
    setup.environment.push(("CLOCK_FILE", file.display().to_string()));
    setup.environment.push(("LD_PRELOAD", shim.display().to_string()));
    let host = setup.start(&["--strict"]).await;
    let mut kim = Screen::at_desk(&host.url, &token).await;
    for (what, seconds) in [("back", "-3600"), ("forward", "7200")] {
        emulators.world.text(Provider::Twilio, "+14255550100", what).await;
        kim.wait("offer").await;
        let began = Instant::now();
        std::fs::write(&file, seconds).unwrap();
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
