//! Plugins that keep more than is theirs.

use cordboard_tests::harness::Setup;

use crate::tools::held;

// PLUG-05 OPS-11
#[actix_web::test]
async fn a_plugin_fills_no_disk_with_its_own_store() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    setup.with_panicky();
    let host = setup.start(&["--strict"]).await;
    let hook = format!("{}/hooks/odd", host.url);
    let client = reqwest::Client::new();
    let asks = async |what: String| {
        let request = client.post(&hook).body(what).send();
        request.await.unwrap().status().as_u16()
    };
    // By bytes: 64 of the largest values are all of it.
    for n in 0..64 {
        assert_eq!(asks(format!("keep large{n} 65536")).await, 200, "{n}");
    }
    assert_eq!(asks("keep more 1".to_owned()).await, 400);
    host.prints("the channel's store is full: at most 1000 values of 4194304 bytes together").await;
    assert_eq!(asks("keep large7 65536".to_owned()).await, 200, "the same once more is no more");
    assert_eq!(asks("keep large7 65537".to_owned()).await, 400, "one value has a limit, too");
    for n in 0..64 {
        assert_eq!(asks(format!("drop large{n}")).await, 200);
    }
    // By number.
    for n in 0..1000 {
        assert_eq!(asks(format!("keep k{n} 1")).await, 200, "{n}");
    }
    assert_eq!(asks("keep more 1".to_owned()).await, 400);
    assert_eq!(asks("drop k1".to_owned()).await, 200);
    assert_eq!(asks("keep more 1".to_owned()).await, 200);
    held("plugins that keep more than 1,000 values or 4 MB", "refused, with what to do");
}
