//! Texts through the whole host: how many a second are taken for good, and how soon they are offered.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cordboard_core::ids::AgentId;
use serde_json::json;
use tokio::sync::mpsc;

use crate::bench::{
    Load, Prepared, Report, processor_time, setup_with_full_agents, twilio_requests,
};
use crate::emulator::Accounts;
use crate::harness::{HostProcess, Screen, Setup};

/// Connections of a provider's usual traffic.
pub const CONNECTIONS: usize = 32;
const CUSTOMERS: usize = 10_000;
const SCREENS: usize = 8;
const PROBES: usize = 400;
/// Customers that there can be.
const NUMBERS: usize = 9_000_000;

/// A host with conversations that agents have accepted, and a bare server beside it.
pub struct Webhooks {
    host: HostProcess,
    accounts: Accounts,
    /// Who has the customers of all the time, and who is there for new ones.
    tokens: [Vec<String>; 2],
    bare: Bare,
    /// Messages so far: no two are alike.
    sent: usize,
    seen: mpsc::UnboundedSender<Instant>,
    offers: mpsc::UnboundedReceiver<Instant>,
    /// Webhooks a second, as measured last.
    rate: f64,
    /// Its data.
    _setup: Setup,
}

impl Webhooks {
    /// Every customer has a conversation that an agent has accepted.
    ///
    /// # Errors
    /// What the host or the generator says.
    pub async fn start() -> anyhow::Result<Self> {
        let (setup, accounts, agents) = setup_with_full_agents(CUSTOMERS);
        let of_agent = |agent: &AgentId| setup.token(agent.as_str());
        let of = |agents: &[AgentId]| agents.iter().map(of_agent).collect::<Vec<String>>();
        let tokens = [of(&agents[..SCREENS]), of(&agents[SCREENS..2 * SCREENS])];
        let host = setup.start(&["--strict"]).await;
        let (seen, offers) = mpsc::unbounded_channel();
        let bare = Bare::start().await?;
        let (sent, rate) = (CUSTOMERS, 10_000.0);
        let mut started =
            Self { host, accounts, tokens, bare, sent, seen, offers, rate, _setup: setup };
        let screens = started.screens(0).await;
        let warm = twilio_requests(&started.accounts, 1, CUSTOMERS, CUSTOMERS);
        Load::run(&address(&started.host), warm, CONNECTIONS, None).await;
        for _ in 0..CUSTOMERS {
            started.offers.recv().await.context("the screens are gone")?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        // While it is measured no screen is open, as the generator would spend its time on reading their
        // frames; the agents are present and new customers are offered to them.
        screens.into_iter().for_each(|screen| screen.abort());
        Ok(started)
    }

    async fn screens(&self, whose: usize) -> Vec<actix_web::rt::task::JoinHandle<()>> {
        let mut screens = Vec::new();
        for token in &self.tokens[whose] {
            let screen = Screen::connect(&self.host.url, token).await;
            screens.push(actix_web::rt::spawn(accept_all(screen, self.seen.clone())));
        }
        screens
    }

    /// The next so many messages, one in twenty of a new customer.
    fn mixed(&mut self, count: usize) -> Vec<Prepared> {
        let mut requests = twilio_requests(&self.accounts, self.sent + 1, count, CUSTOMERS);
        let first = 500_000_000 + self.sent + 1;
        let new = twilio_requests(&self.accounts, first, count / 20, NUMBERS);
        for (n, request) in new.into_iter().enumerate() {
            requests[n * 20] = request;
        }
        self.sent += count;
        requests
    }

    /// As fast as they are answered, for about so many seconds without a pause, with the bare server
    /// before and after, so that a slow moment of the machine meets both.
    ///
    /// # Errors
    /// A webhook that isn't taken.
    pub async fn throughput(
        &mut self,
        report: &mut Report,
        name: &str,
        connections: usize,
        seconds: f64,
    ) -> anyhow::Result<()> {
        let taste = self.mixed(20_000);
        let taste = Load::run(&address(&self.host), taste, connections, None).await;
        let requests = self.mixed((taste.rate * seconds) as usize);
        let few = requests[..requests.len().min(200_000)].to_vec();
        let bare = self.bare.address();
        let before = Load::run(&bare, few.clone(), connections, None).await;
        println!("  {name}: begins");
        let lag = Lag::watch(&self.host.url);
        let (count, used) = (requests.len(), processor_time(self.host.pid()));
        let measured = Load::run(&address(&self.host), requests, connections, None).await;
        let used = processor_time(self.host.pid()).saturating_sub(used);
        let lag = lag.greatest().await;
        println!("  {name}: ends; the views lay at most {:.0} ms behind", lag.as_secs_f64() * 1e3);
        let after = Load::run(&bare, few, connections, None).await;
        for load in [&before, &measured, &after] {
            let first = load.first_failure.as_deref().unwrap_or_default();
            let log = || tail(&self.host.log());
            ensure!(load.failed == 0, "{} webhooks failed: {first}\n{}", load.failed, log());
        }
        let reference = f64::midpoint(before.rate, after.rate);
        self.rate = measured.rate;
        let beside = (reference, "bare actix-web handler, same form, before and after");
        let aim = if connections > CONNECTIONS { "ratio >= 0.55" } else { "ratio >= 0.45" };
        report.add(name, measured.rate, "1/s", beside, aim);
        report.note(&format!("{name}_lag_ms"), lag.as_secs_f64() * 1e3, "ms");
        // All that the host does, the tables included.
        let each = used.as_secs_f64() * 1e6 / count as f64;
        report.note(&format!("{name}_processor_us"), each, "us");
        Ok(())
    }

    /// From a new customer's text to its offer on a screen, at half the rate.
    ///
    /// # Errors
    /// What the host or the generator says.
    pub async fn to_offer(&mut self, report: &mut Report) -> anyhow::Result<()> {
        self.screens(1).await;
        // What is left waiting from before is accepted first.
        while tokio::time::timeout(Duration::from_secs(2), self.offers.recv()).await.is_ok() {}
        while self.offers.try_recv().is_ok() {}
        let rate = self.rate / 2.0;
        let count = (rate * 6.0) as usize;
        let known = twilio_requests(&self.accounts, self.sent + 1, count, CUSTOMERS);
        self.sent += count;
        let target = address(&self.host);
        let background = actix_web::rt::spawn({
            let target = target.clone();
            async move { Load::run(&target, known, CONNECTIONS, Some(rate)).await }
        });
        let mut times = Vec::with_capacity(PROBES);
        const PATIENCE: Duration = Duration::from_secs(10);
        for n in 0..PROBES {
            // Somebody of whom nobody has heard: the numbers below are those of all others.
            let first = 100 * NUMBERS + 8_500_000 + n;
            let probe = twilio_requests(&self.accounts, first, 1, NUMBERS);
            let began = Instant::now();
            let sent = Load::run(&target, probe, 1, None);
            let offered = tokio::time::timeout(PATIENCE, self.offers.recv());
            let (_, offered) = tokio::join!(sent, offered);
            let offered = offered.with_context(|| format!("text {n} was offered to nobody"))?;
            times.push(offered.context("the screens are gone")?.duration_since(began));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        background.await?;
        let mut echo = self.echo_times(rate).await?;
        let beside = (p99(&mut echo), "WebSocket echo on the bare server under the same rate");
        report.add("webhook_to_offer_p99_ms", p99(&mut times), "ms", beside, "< 5");
        Ok(())
    }

    async fn echo_times(&self, rate: f64) -> anyhow::Result<Vec<Duration>> {
        use futures_util::{SinkExt, StreamExt};
        use tokio_tungstenite::tungstenite::Message;
        let requests = twilio_requests(&self.accounts, 1, (rate * 4.0) as usize, CUSTOMERS);
        let address = self.bare.address();
        let background = actix_web::rt::spawn(async move {
            Load::run(&address, requests, CONNECTIONS, Some(rate)).await
        });
        let url = format!("ws://{}/echo", self.bare.address());
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
        let mut times = Vec::with_capacity(PROBES);
        for _ in 0..PROBES {
            let began = Instant::now();
            socket.send(Message::text("x".repeat(200))).await?;
            socket.next().await.context("the echo")??;
            times.push(began.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        background.await?;
        Ok(times)
    }
}

/// A host's address without the scheme.
pub fn address(host: &HostProcess) -> String {
    host.url.trim_start_matches("http://").to_owned()
}

/// A screen that accepts every offer; the times at which offers came.
async fn accept_all(mut screen: Screen, seen: mpsc::UnboundedSender<Instant>) {
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

/// The last lines of a log.
fn tail(log: &str) -> String {
    let mut lines: Vec<&str> = log.lines().rev().take(20).collect();
    lines.reverse();
    lines.join("\n")
}

/// In milliseconds.
pub(super) fn p99(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() * 99 / 100].as_secs_f64() * 1000.0
}

/// How far the views lie behind what is committed, as an operator's program sees it.
struct Lag {
    is_over: Arc<AtomicBool>,
    watching: std::thread::JoinHandle<Duration>,
}

impl Lag {
    fn watch(host: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, url) = (is_over.clone(), format!("{host}/metrics"));
        // On a thread of its own: the generator's is full.
        let watching = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut greatest = Duration::ZERO;
                while !over.load(Ordering::Acquire) {
                    if let Ok(answer) = reqwest::get(&url).await
                        && let Ok(text) = answer.text().await
                    {
                        let lag = text
                            .lines()
                            .find_map(|line| line.strip_prefix("cordboard_journal_lag_seconds "))
                            .and_then(|seconds| seconds.parse().ok());
                        greatest = greatest.max(Duration::from_secs_f64(lag.unwrap_or(0.0)));
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                greatest
            })
        });
        Self { is_over, watching }
    }

    async fn greatest(self) -> Duration {
        self.is_over.store(true, Ordering::Release);
        let greatest = tokio::task::spawn_blocking(move || self.watching.join()).await;
        greatest.expect("it isn't cancelled").expect("the watcher ends in order")
    }
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

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // A child of ours; it may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
