//! `make bench`: figures beside references measured in the same run.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cordboard_tests::bench::{
    CONNECTIONS, Floor, Load, Point, Report, Webhooks, actor_bytes, address, bare_server, fill,
    helpdesk, ledger_entry_bytes, loaded, read_raw, replies, resident, searches, setup, swaps,
    twilio_requests,
};
use cordboard_tests::harness::{Screen, target_folder};
use serde_json::{Value, json};

/// The host's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Providers that send much over many connections.
const MANY_CONNECTIONS: usize = 256;
/// So many seconds webhooks are sent without a pause; another number as the second argument.
const SUSTAINED: f64 = 60.0;
/// Enough that caches which fill meanwhile are little beside them.
const LIVE: usize = 150_000;
const OPEN: usize = 1_000_000;
/// Messages that are searched; another number as the second argument.
const MESSAGES: usize = 10_000_000;

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("bare") {
        let port = std::env::args().nth(2).context("a port")?.parse()?;
        return Ok(bare_server(port).await?);
    }
    if std::env::args().nth(1).as_deref() == Some("memory") {
        let bytes = match std::env::args().nth(2).as_deref() {
            Some("actor") => actor_bytes().await,
            Some("entry") => ledger_entry_bytes(),
            Some("waiting") => waiting_item_bytes(),
            other => anyhow::bail!("memory of what? {other:?}"),
        };
        println!("{bytes}");
        return Ok(());
    }
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.starts_with(only));
    let mut report = Report::default();
    Report::head();
    if wanted("decisions") {
        decisions(&mut report)?;
    }
    if wanted("burst") {
        burst(&mut report)?;
    }
    if wanted("bytes_per_waiting") {
        let beside = (in_fresh_process("entry")?, "a plain map entry");
        report.add("bytes_per_waiting_item", in_fresh_process("waiting")?, "bytes", beside, "");
    }
    if wanted("simulated") {
        theory(&mut report);
    }
    let sustained = std::env::args().nth(2).map_or(Ok(SUSTAINED), |seconds| seconds.parse())?;
    webhooks(&mut report, &wanted, sustained).await?;
    if wanted("replies") || wanted("reply_commits") {
        replies(&mut report).await?;
    }
    if wanted("swap") {
        swaps(&mut report).await?;
    }
    if wanted("view") {
        views(&mut report).await?;
    }
    // It takes gigabytes and minutes: only if it is asked for (`make bench-large`).
    if only.as_deref() == Some("search") {
        let messages = std::env::args().nth(2).map_or(Ok(MESSAGES), |count| count.parse())?;
        searches(&mut report, messages).await?;
    }
    if wanted("bytes_live") {
        live_bytes(&mut report).await?;
    }
    if wanted("start") {
        let open = if only.as_deref() == Some("start") { std::env::args().nth(2) } else { None };
        start(&mut report, open.map_or(Ok(OPEN), |open| open.parse())?).await?;
    }
    let path = target_folder().parent().context("a target folder")?.join("bench.json");
    if only.is_none() {
        report.write(&path)?;
        println!("written to {}", path.display());
    }
    Ok(())
}

/// Choosing an agent for an item that asks for three skills: queue and agent machines, one thread.
fn decisions(report: &mut Report) -> anyhow::Result<()> {
    const COUNT: usize = 400_000;
    const CAPACITY: u32 = 10;
    let measure = |agents: usize, queues: usize| {
        let mut floor = Floor::new(agents, queues, CAPACITY, false);
        floor.sign_in();
        floor.run(agents * 20);
        let times = floor.run(COUNT);
        (COUNT as f64 / times.choosing.as_secs_f64(), times)
    };
    let (per_second, times) = measure(1_000, 50);
    let sql = helpdesk(1_000, 50, CAPACITY, 3_000)?;
    let beside = "a helpdesk's SQL query per assignment, SQLite in memory";
    report.add("decisions_per_second", per_second, "1/s", (sql, beside), ">= 500,000");
    let whole = COUNT as f64 / (times.choosing + times.rest).as_secs_f64();
    let beside = "the same floor, choosing alone";
    report.add(
        "assignments_per_second",
        whole,
        "1/s",
        (per_second, beside),
        "accepted and done too",
    );
    let (per_second_10k, _) = measure(10_000, 500);
    let beside = "the same with 1,000 agents and 50 queues";
    let aim = "ratio >= 0.75: logarithmic growth";
    report.add("decisions_per_second_10k", per_second_10k, "1/s", (per_second, beside), aim);
    let sql = helpdesk(10_000, 500, CAPACITY, 3_000)?;
    let beside = "the helpdesk's query at that size";
    report.add("decisions_10k_beside_sql", per_second_10k, "1/s", (sql, beside), "");
    Ok(())
}

/// A hundred thousand items wait when a thousand agents with a hundred places each sign in.
fn burst(report: &mut Report) -> anyhow::Result<()> {
    const ITEMS: usize = 100_000;
    let mut floor = Floor::new(1_000, 50, 100, true);
    for _ in 0..ITEMS {
        floor.enqueue();
    }
    let began = Instant::now();
    floor.sign_in();
    let given = floor.accept_all();
    let seconds = began.elapsed().as_secs_f64();
    println!("  burst: {given} of {ITEMS} items found a place, {} wait on", floor.waiting());
    let per_second = helpdesk(1_000, 50, 100, 3_000)?;
    let beside = "a helpdesk's queries for as many";
    report.add("burst_seconds", seconds, "s", (given as f64 / per_second, beside), "");
    Ok(())
}

/// Long runs of the simulator beside what the formulas say.
fn theory(report: &mut Report) {
    const CUSTOMERS: f64 = 12_000_000.0;
    let point = |per_minute, handling, agents| Point { per_minute, handling, agents };
    let points = [
        ("simulated_wait_light", point(2.0, 5.0, 14)),
        ("simulated_wait_usual", point(8.0, 5.0, 45)),
        ("simulated_wait_heavy", point(1.8, 5.0, 10)),
    ];
    for (name, point) in points {
        let (_, mean) = point.play(CUSTOMERS, 0.0);
        report.add(name, mean, "s", (point.mean_wait(), "Erlang C"), "within 2 %");
    }
    let point = point(1.6, 5.0, 10);
    let (urgent, others) = point.play(CUSTOMERS, 0.3);
    let (theory_urgent, theory_others) = point.mean_waits_by_priority(0.3);
    let aim = "within 3 %";
    report.add("simulated_wait_urgent", urgent, "s", (theory_urgent, "Cobham"), aim);
    report.add("simulated_wait_others", others, "s", (theory_others, "Cobham"), aim);
}

/// Resident bytes of an item that waits in a queue.
fn waiting_item_bytes() -> f64 {
    const ITEMS: usize = 500_000;
    let mut floor = Floor::new(10, 50, 1, true);
    let before = resident(std::process::id());
    for _ in 0..ITEMS {
        floor.enqueue();
    }
    (resident(std::process::id()) - before) as f64 / floor.waiting() as f64
}

/// Measures memory where nothing has been allocated and freed before.
fn in_fresh_process(what: &str) -> anyhow::Result<f64> {
    let output = Command::new(std::env::current_exe()?).args(["memory", what]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// All three on one host, one after the other; it is filled by then as a busy one is.
async fn webhooks(
    report: &mut Report,
    wanted: &dyn Fn(&str) -> bool,
    seconds: f64,
) -> anyhow::Result<()> {
    let names = ["webhook_throughput", "webhook_throughput_256", "webhook_to_offer_p99_ms"];
    if !names.iter().any(|name| wanted(name)) {
        return Ok(());
    }
    let mut webhooks = Webhooks::start().await?;
    if wanted(names[0]) {
        webhooks.throughput(report, names[0], CONNECTIONS, seconds).await?;
    }
    if wanted(names[1]) {
        webhooks.throughput(report, names[1], MANY_CONNECTIONS, seconds).await?;
    }
    if wanted(names[2]) {
        webhooks.to_offer(report).await?;
    }
    Ok(())
}

/// What a change costs the host while desks look on: somebody's presence, and a new customer in line.
async fn views(report: &mut Report) -> anyhow::Result<()> {
    let small = change_on_desks(10, 100).await?;
    let large = change_on_desks(1_000, 100_000).await?;
    let beside = "the same with 10 agents and 100 waiting";
    let aim = "ratio about 1: it costs what changed";
    report.add("view_change_cpu_us", large, "us", (small, beside), aim);
    Ok(())
}

/// Processor time of the host per change, in microseconds: so many agents, so many items in line, ten
/// desks that are told.
async fn change_on_desks(agents: usize, waiting: usize) -> anyhow::Result<f64> {
    const CHANGES: usize = 3_000;
    const DESKS: usize = 10;
    let (mut setup, accounts, _) = setup();
    setup.agents.clear();
    let label = |id: &str| format!("(id: \"{id}\", name: \"{id}\", status: away)");
    setup.sections = format!("presence: (labels: [{}, {}]),", label("lunch"), label("break"));
    for n in 0..agents {
        setup.agents += &format!("(id: \"agent-{n}\", queues: [\"support\"]),");
    }
    setup.write_main();
    let host = setup.start(&["--strict"]).await;
    host.stop();
    fill(&loaded(&setup)?, waiting, &[])?;
    let tokens: Vec<String> = (0..DESKS).map(|n| setup.token(&format!("agent-{n}"))).collect();
    let host = setup.start(&["--strict"]).await;
    // They look on, and take nothing.
    for token in &tokens {
        let away = json!({ "status": "away" });
        ensure!(host.put(token, "/api/v1/me/presence", away).await.0 == 204, "away");
        let mut screen = Screen::connect(&host.url, token).await;
        actix_web::rt::spawn(async move { while screen.try_next().await.is_some() {} });
    }
    // What a start leaves to be done is done, and the files have found their length.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let texts = twilio_requests(&accounts, 5_000_000, CHANGES, 9_000_000);
    let before = processor_time(host.pid())?;
    for (n, text) in texts.into_iter().enumerate() {
        let sent = Load::run(&address(&host), vec![text], 1, None).await;
        ensure!(sent.failed == 0, "a text failed: {:?}", sent.first_failure);
        let label = ["lunch", "break"][n % 2];
        let presence = json!({ "label": label });
        let put = host.put(&tokens[0], "/api/v1/me/presence", presence).await;
        ensure!(put.0 == 204, "{put:?}");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let spent = processor_time(host.pid())? - before;
    Ok(spent.as_secs_f64() * 1e6 / CHANGES as f64)
}

/// What a process has had of the processors.
fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may hold anything: user and system time are the 12th and 13th field.
    let fields = stat.rsplit_once(')').context("stat's form")?.1;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    // A tick is a hundredth of a second on every Linux that Rust runs on.
    Ok(Duration::from_millis(ticks * 10))
}

async fn live_bytes(report: &mut Report) -> anyhow::Result<()> {
    let (setup, accounts, _) = setup();
    let host = setup.start(&["--strict", "--idle-after", "3600"]).await;
    // The caches are full before it is measured.
    let warm = twilio_requests(&accounts, 1, 20_000, 2_000);
    Load::run(&address(&host), warm, CONNECTIONS, None).await;
    // What is on its way to the tables is no conversation's.
    let settled = || tokio::time::sleep(Duration::from_secs(3));
    settled().await;
    let before = resident(host.pid());
    let requests = twilio_requests(&accounts, 1_000_000, LIVE, 9_000_000);
    Load::run(&address(&host), requests, CONNECTIONS, None).await;
    settled().await;
    let after = resident(host.pid());
    report.add(
        "bytes_per_live_conversation",
        (after - before) as f64 / LIVE as f64,
        "bytes",
        (in_fresh_process("actor")?, "a bare actix actor"),
        "< 4096",
    );
    Ok(())
}

/// With so many open conversations; the figures are named by their millions.
async fn start(report: &mut Report, open: usize) -> anyhow::Result<()> {
    let (mut setup, _, agents) = setup();
    // A run of the record of routing ends soon, so that what that costs can be seen.
    setup.host = "keep_routing_log: \"30s\",".to_owned();
    setup.write_main();
    let host = setup.start(&["--strict"]).await;
    let empty = resident(host.pid());
    host.stop();
    fill(&loaded(&setup)?, open, &agents)?;
    let raw = read_raw(&setup.data())?;
    let began = Instant::now();
    let host = setup.start(&["--strict"]).await;
    let started = began.elapsed();
    let full = resident(host.pid());
    let millions = open / 1_000_000;
    let peak = peak_of(host.pid())?;
    let sam = setup.token("sam");
    let (_, rows) = host.get(&sam, "/api/v1/agents").await;
    let used = |row: &Value| row["capacity"][2]["used"].as_u64().unwrap_or(0);
    let held: u64 = rows.as_array().map_or(0, |rows| rows.iter().map(used).sum());
    ensure!(held == open as u64, "{held} of {open} are held");
    report.add(
        &format!("start_seconds_{millions}m_open"),
        started.as_secs_f64(),
        "s",
        (raw.as_secs_f64(), "reading the same columns from SQLite"),
        "< 10",
    );
    let each = peak as f64 / open as f64;
    report.add("start_peak_bytes_per_open", each, "bytes", (1024.0, "the aim"), "< 1024");
    report.add(
        "bytes_per_idle_conversation",
        (full - empty) as f64 / open as f64,
        "bytes",
        (in_fresh_process("entry")?, "an entry of a map from id to load"),
        "< 100",
    );
    let until = Instant::now() + Duration::from_secs(90);
    let pause = loop {
        let log = host.log();
        let line = log.lines().find(|line| line.contains("record of routing has begun"));
        if let Some(line) = line {
            let ms = line.rsplit_once("ms=").context("how long it took")?.1;
            break ms.trim().parse::<f64>()?;
        }
        ensure!(Instant::now() < until, "no other run of the record has begun");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    report.note(&format!("routing_pause_ms_{millions}m_open"), pause, "ms");
    Ok(())
}

/// The most memory that a process ever had, in bytes.
fn peak_of(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.context("the most memory")?.trim().trim_end_matches(" kB").trim();
    Ok(kilobytes.parse::<u64>()? * 1024)
}
