//! What it costs to put a plugin in another's place while webhooks flow: time, memory, and what customers feel of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use super::webhooks::{CONNECTIONS, address, p99};
use super::{Load, Report, resident, setup, twilio_requests};
use crate::emulator::Accounts;
use crate::harness::{HostProcess, Setup, library, plugin_folder};

/// Webhooks a second meanwhile.
const RATE: f64 = 5_000.0;
const CUSTOMERS: usize = 2_000;
const SWAPS: usize = 200;
/// Between two swaps under load.
const EVERY: Duration = Duration::from_millis(200);

/// A host whose only channel changes.
struct Changing {
    host: HostProcess,
    accounts: Accounts,
    setup: Setup,
    /// Of the administrator.
    token: String,
    library: PathBuf,
    content: Vec<u8>,
    swaps: usize,
    /// Messages so far: no two are alike.
    sent: usize,
}

impl Changing {
    async fn start() -> anyhow::Result<Self> {
        let (mut setup, accounts, _) = setup();
        setup.host = "swaps: (watch: \"0s\")".to_owned();
        setup.write_main();
        let (library_at, content) = (
            setup.folder.path().join("libtwilio.so"),
            std::fs::read(library(&plugin_folder(), "twilio"))?,
        );
        std::fs::write(&library_at, &content)?;
        let named = format!("plugin: \"{}\"", library_at.display());
        setup.change("channels.ron", "plugin: \"twilio\"", &named);
        let token = setup.token("root");
        let host = setup.start(&["--strict"]).await;
        let mut started =
            Self { host, accounts, setup, token, library: library_at, content, swaps: 0, sent: 0 };
        started.load(CUSTOMERS, None).await?;
        Ok(started)
    }

    async fn load(&mut self, count: usize, rate: Option<f64>) -> anyhow::Result<()> {
        let requests = twilio_requests(&self.accounts, self.sent + 1, count, CUSTOMERS);
        self.sent += count;
        let load = Load::run(&address(&self.host), requests, CONNECTIONS, rate).await;
        ensure!(load.failed == 0, "{} failed: {:?}", load.failed, load.first_failure);
        Ok(())
    }

    /// Another setting, or another version; how long it took until it was in force.
    async fn swap(&mut self, is_new_version: bool) -> anyhow::Result<Duration> {
        self.swaps += 1;
        if is_new_version {
            let version = [&self.content[..], self.swaps.to_string().as_bytes()].concat();
            // What lies beside it isn't looked at.
            let partial = self.library.with_extension("partial");
            std::fs::write(&partial, version)?;
            std::fs::rename(partial, &self.library)?;
        } else {
            let text = std::fs::read_to_string(self.setup.folder.path().join("channels.ron"))?;
            let kind = text.split("type: \"local\"").nth(1).unwrap_or_default();
            let known = kind.split(')').next().unwrap_or_default();
            let other = format!(", description: \"{}\"", self.swaps);
            let (from, to) = (format!("type: \"local\"{known}"), format!("type: \"local\"{other}"));
            self.setup.change("channels.ron", &from, &to);
        }
        let began = Instant::now();
        let name =
            "cordboard_plugin_swaps_total{channel=\"sms-twilio\",outcome=\"swapped\"} ".to_owned();
        let want = format!("{name}{}", self.swaps);
        let (status, said) = self.host.post(&self.token, "/api/v1/config/reload", json!({})).await;
        ensure!(status == 200, "{said}");
        let took = began.elapsed();
        let metrics = self.host.text(&self.token, "/metrics").await;
        ensure!(metrics.lines().any(|line| line == want), "{want} isn't there");
        Ok(took)
    }

    /// How long webhooks take under load, as one connection among many sees it, while plugins are swapped or aren't.
    async fn times(&mut self, swaps: bool) -> anyhow::Result<Vec<Duration>> {
        const LASTS: f64 = 8.0;
        let count = (RATE * LASTS) as usize;
        let requests = twilio_requests(&self.accounts, self.sent + 1, count, CUSTOMERS);
        self.sent += count;
        let target = address(&self.host);
        let background = actix_web::rt::spawn({
            let target = target.clone();
            async move { Load::run(&target, requests, CONNECTIONS, Some(RATE)).await }
        });
        let mut probes = twilio_requests(&self.accounts, self.sent + 1, 10_000, CUSTOMERS);
        self.sent += probes.len();
        let probing = actix_web::rt::spawn(async move {
            let (mut times, began) = (Vec::new(), Instant::now());
            while began.elapsed().as_secs_f64() < LASTS - 1.0 {
                let Some(probe) = probes.pop() else { break };
                let sent = Instant::now();
                let load = Load::run(&target, vec![probe], 1, None).await;
                ensure!(load.failed == 0, "{:?}", load.first_failure);
                times.push(sent.elapsed());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok(times)
        });
        while swaps && !probing.is_finished() {
            self.swap(false).await?;
            tokio::time::sleep(EVERY).await;
        }
        let times = probing.await??;
        let load = background.await?;
        ensure!(load.failed == 0, "{} failed: {:?}", load.failed, load.first_failure);
        Ok(times)
    }
}

/// All of it.
///
/// # Errors
/// What the host says.
pub async fn swaps(report: &mut Report) -> anyhow::Result<()> {
    let mut changing = Changing::start().await?;
    let (mut quiet, mut swapping) = (Vec::new(), Vec::new());
    // In turns, so that a slow moment of the machine meets both.
    for _ in 0..3 {
        quiet.extend(changing.times(false).await?);
        swapping.extend(changing.times(true).await?);
    }
    println!(
        "  {} webhooks while {} swaps, {} without",
        swapping.len(),
        changing.swaps,
        quiet.len()
    );
    let (quiet, swapping) = (p99(&mut quiet), p99(&mut swapping));
    let beside = (quiet, "p99 of the same webhooks without swaps, at 5,000 a second");
    report.add("swap_webhook_p99_ms", swapping, "ms", beside, "");
    report.note("swap_p99_ms", swapping - quiet, "ms");
    let mut took = Vec::new();
    for (name, is_new_version) in [("swap_kib", false), ("swap_version_kib", true)] {
        // What is allocated once is allocated by then.
        for _ in 0..20 {
            changing.swap(is_new_version).await?;
        }
        let before = resident(changing.host.pid());
        for _ in 0..SWAPS {
            took.push(changing.swap(is_new_version).await?);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let grown = resident(changing.host.pid()) as f64 - before as f64;
        report.note(name, grown / 1024.0 / SWAPS as f64, "KiB");
    }
    took.sort_unstable();
    report.note("swap_ms", took[took.len() / 2].as_secs_f64() * 1e3, "ms");
    Ok(())
}
