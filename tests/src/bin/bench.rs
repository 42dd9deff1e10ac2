//! `make bench`: figures beside references measured in the same run.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cordboard_tests::bench::{
    Floor, Load, Point, Report, actor_bytes, bare_server, fill, helpdesk, ledger_entry_bytes,
    loaded, read_raw, resident, setup, twilio_requests,
};
use cordboard_tests::emulator::Accounts;
use cordboard_tests::harness::{HostProcess, Screen, target_folder};
use serde_json::{Value, json};

/// The host's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: usize = 32;
const MESSAGES: usize = 120_000;
const CUSTOMERS: usize = 10_000;
const SCREENS: usize = 8;
const PROBES: usize = 400;
const LIVE: usize = 50_000;
const OPEN: usize = 1_000_000;

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
    if wanted("webhook") {
        webhooks(&mut report).await?;
    }
    if wanted("view") {
        views(&mut report).await?;
    }
    if wanted("bytes_live") {
        live_bytes(&mut report).await?;
    }
    if wanted("start") {
        start(&mut report).await?;
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
    const CAPACITY: u16 = 10;
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

struct Bare {
    child: Child,
    port: u16,
}

impl Bare {
    async fn start() -> anyhow::Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new(std::env::current_exe()?)
            .args(["bare", &port.to_string()])
            .stdin(Stdio::null())
            .spawn()?;
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Self { child, port })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // A child of ours; it may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(host: &HostProcess) -> String {
    host.url.trim_start_matches("http://").to_owned()
}

/// A screen that accepts every offer; the times at which offers came, by conversation.
async fn accept_all(mut screen: Screen, seen: tokio::sync::mpsc::UnboundedSender<Instant>) {
    while let Some(frame) = screen.try_next().await {
        if frame["type"] == "offer" {
            // The measurement may be over.
            let _ = seen.send(Instant::now());
            let accept = json!({ "type": "accept", "offer": frame["offer"] });
            if !screen.try_send(&accept).await {
                return;
            }
        }
    }
}

async fn webhooks(report: &mut Report) -> anyhow::Result<()> {
    let (setup, accounts, agents) = setup();
    let tokens: Vec<String> =
        agents.iter().take(SCREENS).map(|a| setup.token(a.as_str())).collect();
    let host = setup.start(&["--strict"]).await;
    let mut screens = Vec::new();
    let (sender, mut offers) = tokio::sync::mpsc::unbounded_channel();
    for token in &tokens {
        let screen = Screen::connect(&host.url, token).await;
        screens.push(actix_web::rt::spawn(accept_all(screen, sender.clone())));
    }
    let bare = Bare::start().await?;
    let bare_address = format!("127.0.0.1:{}", bare.port);

    // Every customer has a conversation that an agent has accepted. While it is measured no screen
    // is open, as the generator would spend its time on reading their frames; the agents are present
    // and new customers (one message in twenty) are offered to them.
    let warm = twilio_requests(&accounts, 1, CUSTOMERS, CUSTOMERS);
    Load::run(&address(&host), warm, CONNECTIONS, None).await;
    for _ in 0..CUSTOMERS {
        offers.recv().await.context("the screens are gone")?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    screens.into_iter().for_each(|screen| screen.abort());

    // In turns, so that a slow moment of the machine meets both.
    let mut best = (0.0f64, 0.0f64);
    let mut ratios = Vec::new();
    let mut first = CUSTOMERS + 1;
    for _ in 0..3 {
        let mut requests = twilio_requests(&accounts, first, MESSAGES / 3, CUSTOMERS);
        let new = twilio_requests(&accounts, 2_000_000 + first, MESSAGES / 60, 9_000_000);
        for (n, request) in new.into_iter().enumerate() {
            requests[n * 20] = request;
        }
        first += MESSAGES / 3;
        let reference = Load::run(&bare_address, requests.clone(), CONNECTIONS, None).await;
        let measured = Load::run(&address(&host), requests, CONNECTIONS, None).await;
        for load in [&reference, &measured] {
            let first = load.first_failure.as_deref().unwrap_or_default();
            ensure!(
                load.failed == 0,
                "{} webhooks failed: {first}\n{}",
                load.failed,
                tail(&host.log())
            );
        }
        ratios.push(measured.rate / reference.rate);
        best = (best.0.max(measured.rate), best.1.max(reference.rate));
    }
    ratios.sort_by(f64::total_cmp);
    report.add(
        "webhook_throughput",
        best.1 * ratios[1],
        "1/s",
        (best.1, "bare actix-web handler, same form; median ratio of 3 turns"),
        "ratio >= 0.4",
    );

    for token in &tokens {
        let screen = Screen::connect(&host.url, token).await;
        actix_web::rt::spawn(accept_all(screen, sender.clone()));
    }
    // What is left waiting from before is accepted first.
    while tokio::time::timeout(Duration::from_secs(2), offers.recv()).await.is_ok() {}

    // At half the rate: new customers among known ones, one probe at a time.
    while offers.try_recv().is_ok() {}
    let rate = best.0 / 2.0;
    let known = twilio_requests(&accounts, first, (rate * 6.0) as usize, CUSTOMERS);
    first += known.len();
    let background = actix_web::rt::spawn({
        let address = address(&host);
        async move { Load::run(&address, known, CONNECTIONS, Some(rate)).await }
    });
    let mut times = Vec::with_capacity(PROBES);
    for n in 0..PROBES {
        let probe = twilio_requests(&accounts, first + n, 1, 5_000_000 + first + n + 1);
        let began = Instant::now();
        let target = address(&host);
        let sent = Load::run(&target, probe, 1, None);
        let (_, offered) = tokio::join!(sent, offers.recv());
        times.push(offered.context("the screens are gone")?.duration_since(began));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    background.await?;

    let echo = echo_times(bare.port, PROBES, &bare_address, &accounts, rate).await?;
    report.add(
        "webhook_to_offer_p99_ms",
        p99(&mut times),
        "ms",
        (p99(&mut echo.clone()), "WebSocket echo on the bare server under the same rate"),
        "< 10",
    );
    Ok(())
}

/// The last lines of a log.
fn tail(log: &str) -> String {
    let mut lines: Vec<&str> = log.lines().rev().take(20).collect();
    lines.reverse();
    lines.join("\n")
}

fn p99(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() * 99 / 100].as_secs_f64() * 1000.0
}

async fn echo_times(
    port: u16,
    count: usize,
    address: &str,
    accounts: &Accounts,
    rate: f64,
) -> anyhow::Result<Vec<Duration>> {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    let requests = twilio_requests(accounts, 1, (rate * 4.0) as usize, CUSTOMERS);
    let address = address.to_owned();
    let background = actix_web::rt::spawn(async move {
        Load::run(&address, requests, CONNECTIONS, Some(rate)).await
    });
    let url = format!("ws://127.0.0.1:{port}/echo");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        socket.send(Message::text("x".repeat(200))).await?;
        socket.next().await.context("the echo")??;
        times.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    background.await?;
    Ok(times)
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
    const CHANGES: usize = 1_000;
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
    tokio::time::sleep(Duration::from_secs(2)).await;
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
    let before = resident(host.pid());
    let requests = twilio_requests(&accounts, 1_000_000, LIVE, 9_000_000);
    Load::run(&address(&host), requests, CONNECTIONS, None).await;
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

async fn start(report: &mut Report) -> anyhow::Result<()> {
    let (setup, _, agents) = setup();
    let host = setup.start(&["--strict"]).await;
    let empty = resident(host.pid());
    host.stop();
    fill(&loaded(&setup)?, OPEN, &agents)?;
    let raw = read_raw(&setup.data())?;
    let began = Instant::now();
    let host = setup.start(&["--strict"]).await;
    let started = began.elapsed();
    let full = resident(host.pid());
    let sam = setup.token("sam");
    let (_, rows) = host.get(&sam, "/api/v1/agents").await;
    let used = |row: &Value| row["capacity"][2]["used"].as_u64().unwrap_or(0);
    let held: u64 = rows.as_array().map_or(0, |rows| rows.iter().map(used).sum());
    ensure!(held == OPEN as u64, "{held} of {OPEN} are held");
    report.add(
        "start_seconds_1m_open",
        started.as_secs_f64(),
        "s",
        (raw.as_secs_f64(), "reading the same columns from SQLite"),
        "< 10",
    );
    report.add(
        "bytes_per_idle_conversation",
        (full - empty) as f64 / OPEN as f64,
        "bytes",
        (in_fresh_process("entry")?, "an entry of a map from id to load"),
        "< 100",
    );
    Ok(())
}
