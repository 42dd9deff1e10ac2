//! Two hosts on one folder or one port.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use cordboard_tests::harness::Setup;

use crate::tools::held;

// OPS-06
#[actix_web::test]
async fn a_second_host_on_the_same_folder_or_port_doesnt_start() {
    let mut setup = Setup::new();
    let _emulators = setup.with_emulators();
    let token = setup.token("kim");
    let host = setup.start(&["--strict"]).await;
    // Its owner's alone.
    let mode = std::fs::metadata(setup.data()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{mode:o}");
    let (code, text) = setup.run(&["run", setup.config()]);
    assert_eq!(code, 3, "{text}");
    let holder = format!("process {} (cordboard run, listening on", host.pid());
    assert!(text.contains(&holder) && text.contains("holds the data folder"), "{text}");
    // A folder of its own, but the same port: nothing of the folder is touched.
    setup.change("main.ron", "data: \"data\"", "data: \"other\"");
    let (code, text) = setup.run(&["run", setup.config()]);
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("can't listen on") && text.contains("is another host running there?"),
        "{text}"
    );
    assert!(!setup.folder.path().join("other/journal.sqlite").exists());
    setup.change("main.ron", "data: \"other\"", "data: \"data\"");
    // The command line works beside a running host, and a killed one leaves nothing locked.
    assert_eq!(host.get(&setup.token("lee"), "/api/v1/me").await.0, 200);
    host.kill();
    std::fs::set_permissions(setup.data(), Permissions::from_mode(0o755)).unwrap();
    let host = setup.start(&["--strict"]).await;
    host.prints("every user of this machine may look into").await;
    assert_eq!(host.get(&token, "/api/v1/me").await.0, 200);
    held("a second host on one folder, on one port", "refused, and says who is there");
    assert_eq!(host.stop(), Some(0));
}

// OPS-05
#[actix_web::test]
async fn health_and_metrics_have_an_address_of_their_own_if_it_is_set() {
    let mut setup = Setup::new();
    let operations = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    setup.host = format!("operations: \"{operations}\",");
    let _emulators = setup.with_emulators();
    setup.starts_when = Some(format!("http://{operations}/health/live"));
    let host = setup.start(&["--strict"]).await;
    let within = std::time::Duration::from_secs(5);
    for path in ["/metrics", "/health/ready", "/health/live"] {
        let own = format!("http://{operations}");
        assert_eq!(crate::tools::status(&own, path, within).await, Some(200), "{path}");
        let everybodys = crate::tools::status(&host.url, path, within).await;
        assert_ne!(everybodys, Some(500), "{path}");
        let text = host.text("", path).await;
        assert!(!text.contains("cordboard_") && !text.contains("ready\n"), "{path}: {text}");
    }
    assert_eq!(
        crate::tools::status(&format!("http://{operations}"), "/api/v1/me", within).await,
        Some(404)
    );
    assert_eq!(host.stop(), Some(0));
}
