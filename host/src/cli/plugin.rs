//! `cordboard plugin`: what is configured, and what a file is.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::{WRONG, print};
use crate::config;
use crate::plugin::inspect;

/// Lists channels with plugins and callback URLs.
pub async fn list(folder: &Path) -> anyhow::Result<ExitCode> {
    let config = match config::load(folder) {
        Ok(config) => config,
        Err(errors) => {
            errors.0.iter().for_each(print::problem);
            return Ok(ExitCode::from(WRONG));
        }
    };
    let rows = config.channels.iter().map(|channel| {
        let plugin = match inspect(&channel.opens.library) {
            Ok(inspected) => {
                format!("{} {}", inspected.manifest.name, inspected.manifest.version)
            }
            Err(error) => format!("not loadable: {error}"),
        };
        let url = config.callback_url(channel.id.as_str());
        vec![channel.id.to_string(), url, plugin]
    });
    print::table(&["CHANNEL", "CALLBACK URL", "PLUGIN"], &rows.collect::<Vec<_>>());
    Ok(ExitCode::SUCCESS)
}

/// Shows a manifest.
pub fn show(file: &Path) -> anyhow::Result<ExitCode> {
    let inspected = match inspect(file) {
        Ok(inspected) => inspected,
        Err(error) => {
            print::failure(&error.to_string());
            return Ok(ExitCode::from(WRONG));
        }
    };
    let manifest = inspected.manifest;
    let or_none = |list: Vec<String>| match list.is_empty() {
        true => "none".to_owned(),
        false => list.join(", "),
    };
    print::pairs(&[
        ("name", manifest.name),
        ("version", manifest.version),
        ("description", manifest.description),
        ("kind", format!("{} ({})", manifest.plugin_kind, manifest.channel_kind)),
        ("offers", or_none(manifest.offers)),
        ("outbound hosts", or_none(manifest.hosts)),
        ("secrets", or_none(manifest.secrets)),
        ("headers it sees", manifest.headers.map_or_else(|| "all".to_owned(), or_none)),
        ("longest text", format!("{} characters", manifest.max_text)),
        ("repeatable sends", manifest.idempotent_sends.to_string()),
        ("plugin ABI", format!("{} (SDK {})", manifest.abi, manifest.sdk)),
        ("SHA-256", inspected.sha256),
    ]);
    Ok(ExitCode::SUCCESS)
}
