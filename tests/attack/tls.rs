//! TLS in the host itself.

use std::time::Duration;

use cordboard_tests::harness::Setup;

use crate::tools::{connect_from, held, sent, until_closed};

/// A new key and a certificate for 127.0.0.1, signed by itself.
fn certificate(setup: &Setup) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let write =
        |name: &str, pem: String| std::fs::write(setup.folder.path().join(name), pem).unwrap();
    write("key.pem", made.signing_key.serialize_pem());
    write("certificate.pem", made.cert.pem());
}

fn client(setup: &Setup) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let pem = std::fs::read(setup.folder.path().join("certificate.pem")).unwrap();
    let trusted = reqwest::Certificate::from_pem(&pem).unwrap();
    let builder = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]);
    builder.build().unwrap()
}

// SEC-06
#[actix_web::test]
async fn tls_by_two_settings_and_a_renewed_certificate_without_a_restart() {
    let mut setup = Setup::new();
    setup.host = "tls: (certificate: \"certificate.pem\", key: \"key.pem\"),".to_owned();
    let _emulators = setup.with_emulators();
    let (code, text) = setup.run(&["check", setup.config()]);
    assert!(code == 1 && text.contains("certificate.pem"), "{text}");
    let (code, text) = setup.run(&["run", setup.config()]);
    assert!(code == 1 && text.contains("certificate.pem"), "{text}");
    certificate(&setup);
    assert_eq!(setup.run(&["check", setup.config()]).0, 0);
    setup.starts_when = Some(String::new());
    let host = setup.start(&["--strict"]).await;
    host.prints("is running").await;
    let url = host.url.replace("http://", "https://");
    let first = client(&setup);
    let answer = first.get(format!("{url}/health/live")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("strict-transport-security"), "{:?}", answer.headers());
    // Without TLS there is nothing to hear, and a handshake that doesn't go on ends.
    let mut plain = sent(&host.url, b"GET /health/live HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let heard = until_closed(&mut plain, Duration::from_secs(5)).await.unwrap();
    assert!(!heard.contains("HTTP/1.1 200"), "{heard}");
    let mut silent = sent(&host.url, b"").await;
    assert!(until_closed(&mut silent, Duration::from_secs(15)).await.is_some());
    certificate(&setup);
    host.prints("the certificate was read anew").await;
    let second = client(&setup);
    assert_eq!(second.get(format!("{url}/health/live")).send().await.unwrap().status(), 200);
    // A certificate that can't be read leaves the one before in force.
    std::fs::write(setup.folder.path().join("certificate.pem"), "nonsense").unwrap();
    host.prints("the one before stays").await;
    assert_eq!(second.get(format!("{url}/health/live")).send().await.unwrap().status(), 200);
    held("TLS", "renewed while it runs; plain and silent connections end");
    assert_eq!(host.stop(), Some(0));
}

// OPS-11
#[actix_web::test]
async fn whoever_says_nothing_keeps_nobody_out_that_speaks_tls() {
    let mut setup = Setup::new();
    setup.host = "tls: (certificate: \"certificate.pem\", key: \"key.pem\"),
                  limits: (connections: 128, connections_per_address: 8),"
        .to_owned();
    let _emulators = setup.with_emulators();
    certificate(&setup);
    setup.starts_when = Some(String::new());
    let host = setup.start(&["--strict"]).await;
    host.prints("is running").await;
    let mut silent = Vec::new();
    for last in 1..=30 {
        for _ in 0..8 {
            silent.extend(connect_from(last, &host.url).await);
        }
    }
    // They are gone soon, and nobody has to wait for longer than that.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let client = client(&setup);
    let url = host.url.replace("http://", "https://");
    for path in ["/health/live", "/"] {
        let answer = client.get(format!("{url}{path}")).send().await;
        assert_eq!(answer.map(|answer| answer.status().as_u16()).ok(), Some(200), "{path}");
    }
    let count = silent.len();
    held(
        "silent connections to a TLS port, from thirty addresses",
        &format!("{count} of them, gone after two seconds"),
    );
    assert_eq!(host.stop(), Some(0));
}
