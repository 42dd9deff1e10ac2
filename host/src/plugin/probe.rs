//! A child process that goes first: it loads the copy and opens the channel with the real
//! configuration, so that a library that dies takes nobody with it.
//!
//! The child is this very binary with a hidden subcommand. It gets its orders on standard input and
//! the environment as it is, so secrets are read there as they are here and never written anywhere.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cordboard_sdk::ManifestInfo;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;

use super::instance::Recipe;
use super::load::{LoadError, Loader};
use super::origin::Origin;
use super::services::{Secrets, Services};
use crate::config::{Location, PluginConfig, PluginKind, SecretSource};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "plugin-probe";

const TIME_LIMIT: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize)]
struct Orders {
    kind: PluginKind,
    id: String,
    copy: PathBuf,
    library: PathBuf,
    root: PathBuf,
    config: serde_json::Value,
    secrets: std::collections::BTreeMap<String, SecretSource>,
    allow_hosts: Vec<String>,
    manifest: ManifestInfo,
}

#[derive(Serialize, Deserialize)]
enum Verdict {
    Good,
    Config { path: String, message: String },
    WontOpen(String),
    Bad(String),
}

/// Tries a copy out.
///
/// # Errors
/// What the child found, or how it died.
pub async fn run(
    copy: &Path,
    config: &PluginConfig,
    manifest: &ManifestInfo,
    root: &Path,
) -> Result<(), LoadError> {
    let broken = |cause: String| LoadError::Broken { file: config.library.clone(), cause };
    let orders = Orders {
        kind: config.kind,
        id: config.id.clone(),
        copy: copy.to_owned(),
        library: config.library.clone(),
        root: root.to_owned(),
        config: config.config.clone(),
        secrets: config.secrets.clone(),
        allow_hosts: config.allow_hosts.clone(),
        manifest: manifest.clone(),
    };
    let orders = serde_json::to_vec(&orders).expect("plain data becomes JSON");
    let cannot_start = |error: std::io::Error| broken(format!("the probe can't be run: {error}"));
    let mut child = tokio::process::Command::new(host_binary().map_err(cannot_start)?)
        .arg(SUBCOMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot_start)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that died on the way is reported below, by how it died.
        let _ = stdin.write_all(&orders).await;
    }
    let output = tokio::time::timeout(TIME_LIMIT, child.wait_with_output())
        .await
        .map_err(|_| {
            let seconds = TIME_LIMIT.as_secs();
            broken(format!("it didn't finish loading within {seconds} s when tried out"))
        })?
        .map_err(cannot_start)?;
    let verdict = serde_json::from_slice::<Verdict>(&output.stdout);
    match (output.status.success(), verdict) {
        (true, Ok(Verdict::Good)) => Ok(()),
        (true, Ok(Verdict::Config { path, message })) => Err(LoadError::Config { path, message }),
        (true, Ok(Verdict::WontOpen(cause))) => {
            Err(LoadError::WontOpen { file: config.library.clone(), cause })
        }
        (true, Ok(Verdict::Bad(cause))) => Err(broken(cause)),
        _ => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let status = output.status;
            let mut cause = format!("it killed the process that tried it out ({status})");
            if !last.is_empty() {
                cause = format!("{cause}: {last}");
            }
            Err(broken(cause))
        }
    }
}

/// The host's binary: this process, or in tests of the library the one beside it.
fn host_binary() -> std::io::Result<PathBuf> {
    match std::env::var_os("CORDBOARD_BINARY") {
        Some(path) => Ok(path.into()),
        None => std::env::current_exe(),
    }
}

/// What the child does; returns when it has written its verdict.
///
/// # Errors
/// If standard input or output can't be used.
pub async fn child() -> anyhow::Result<()> {
    let orders: Orders = serde_json::from_reader(std::io::stdin().lock())?;
    let place = Location { file: PathBuf::new(), path: String::new() };
    let config = PluginConfig {
        kind: orders.kind,
        id: orders.id,
        plugin: None,
        library: orders.library,
        sha256: None,
        config: orders.config,
        secrets: orders.secrets,
        allow_hosts: orders.allow_hosts,
        max_text: None,
        place,
    };
    let client = Services::client().map_err(anyhow::Error::msg)?;
    let loader = Loader { cache: PathBuf::new(), root: orders.root, client, access: None };
    let secrets = Secrets::read(&config.secrets, &loader.root);
    let recipe = Recipe {
        origin: Origin::of_copy(config, &secrets),
        manifest: orders.manifest,
        copy: orders.copy,
        secrets,
        counters: Arc::default(),
        tally: Arc::default(),
    };
    let verdict = match loader.open_here(recipe).await {
        Ok(_) => Verdict::Good,
        Err(LoadError::Config { path, message }) => Verdict::Config { path, message },
        Err(LoadError::WontOpen { cause, .. }) => Verdict::WontOpen(cause),
        Err(LoadError::Broken { cause, .. }) => Verdict::Bad(cause),
        Err(other) => Verdict::Bad(other.to_string()),
    };
    println!("{}", serde_json::to_string(&verdict)?);
    Ok(())
}
