//! `cordboard simulate` as an operator uses it.

use std::path::Path;

use cordboard_tests::harness::Setup;

// OPS-07
#[test]
fn a_day_is_simulated_compared_and_written_down() {
    let traffic = Path::new(env!("CARGO_MANIFEST_DIR")).join("traffic.ron");
    let traffic = traffic.to_str().unwrap();
    let setup = || {
        let mut setup = Setup::new();
        setup.queues = "), (id: \"billing\"),".to_owned();
        setup.write_main();
        let channel = "(channels: [(id: \"line\", plugin: \"none\", workstream: \"sms\")])";
        setup.write("channels.ron", channel);
        setup
    };
    let (today, tomorrow) = (setup(), setup());
    // Tomorrow Lee is on holiday.
    tomorrow.change("main.ron", "(id: \"lee\", name: \"Lee\", queues: [\"support\"]),", "");
    let csv = today.folder.path().join("figures.csv");
    let html = today.folder.path().join("report.html");
    let arguments = |seed: &'static str| {
        [
            "simulate",
            today.config(),
            "--traffic",
            traffic,
            "--compare",
            tomorrow.config(),
            "--seed",
            seed,
            "--csv",
            csv.to_str().unwrap(),
            "--html",
            html.to_str().unwrap(),
        ]
    };
    let (code, first) = today.run(&arguments("3"));
    assert_eq!(code, 0, "{first}");
    for part in ["mean wait", "p95", "gave up", "difference", "kim", "lee", "occupancy"] {
        assert!(first.contains(part), "{part} in\n{first}");
    }
    assert_eq!(today.run(&arguments("3")).1, first, "the same seed, the same day");
    assert_ne!(today.run(&arguments("4")).1, first);
    let figures = std::fs::read_to_string(&csv).unwrap();
    let value = |run: &str, figure: &str| -> f64 {
        let start = format!("{run},queue,support,{figure},");
        let line = figures.lines().find(|line| line.starts_with(&start));
        line.unwrap_or_else(|| panic!("{start} in {figures}"))[start.len()..].parse().unwrap()
    };
    let (two, one) = (today.config(), tomorrow.config());
    let (with_two, with_one) = (value(two, "mean wait"), value(one, "mean wait"));
    assert!(
        0.0 < with_two && with_two < with_one,
        "two serve faster than one: {with_two}, {with_one}"
    );
    assert_eq!(value(two, "came"), value(one, "came"), "the very same customers");
    assert!(std::fs::read_to_string(&html).unwrap().contains("<svg"));

    let wrong = today.folder.path().join("wrong.txt");
    std::fs::write(&wrong, "(streams: [\n(per_minut: 3)])").unwrap();
    let (code, text) =
        today.run(&["simulate", today.config(), "--traffic", wrong.to_str().unwrap()]);
    assert!(code != 0 && text.contains("wrong.txt:2:"), "{text}");
}
