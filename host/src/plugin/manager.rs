//! Channels and strategies by name: loading them all, and asking them about settings that aren't in force yet.

use std::path::Path;
use std::sync::Arc;

use cordboard_core::ids::ChannelId;
use dashmap::DashMap;

use super::access::Access;
use super::channel::ChannelHandle;
use super::load::{LoadError, Loader};
use super::services::{Secrets, Services};
use super::strategy::Strategies;
use crate::actors::{Directory, channel_settings};
use crate::config::{ChannelConfig, Location, Problem, StrategyConfig, place_in_file};
use crate::journal::Repeater;

/// A channel and whether it works.
#[derive(Clone)]
pub struct ChannelSlot {
    /// The channel, or why it isn't there.
    pub state: Result<Arc<ChannelHandle>, String>,
    /// What providers and operators know it by (CH-15).
    pub callback_url: String,
    /// Who is asked if something is to be sent once more: nobody, if it doesn't recognise that.
    pub repeats: Repeater,
    /// Tells the secrets that it was opened with from others.
    secrets: [u8; 32],
}

/// All that are loaded, or should be.
#[derive(Default)]
pub struct Plugins {
    channels: DashMap<ChannelId, Arc<ChannelSlot>>,
    /// Strategies (ROUTE-05).
    pub strategies: Strategies,
}

impl Plugins {
    /// The channel's slot.
    pub fn channel(&self, id: &ChannelId) -> Option<Arc<ChannelSlot>> {
        self.channels.get(id).map(|slot| slot.clone())
    }

    /// Whether the secrets of a channel are others by now than those it was opened with.
    pub fn has_other_secrets(&self, channel: &ChannelConfig, root: &Path) -> bool {
        let now = Secrets::read(&channel.secrets, root).mark();
        self.channels.get(&channel.id).is_some_and(|slot| slot.secrets != now)
    }

    /// Who is asked on a channel if something is to be sent once more; nothing if it isn't there, or doesn't work.
    pub fn repeats(&self, id: &ChannelId) -> Option<Repeater> {
        let slot = self.channels.get(id)?;
        slot.state.is_ok().then_some(slot.repeats)
    }

    /// The longest text that a channel's plugin takes, where that is known.
    pub fn longest_text(&self, id: &ChannelId) -> Option<u32> {
        self.channels.get(id)?.state.as_ref().ok().map(|handle| handle.manifest().max_text)
    }
}

/// Loads every channel and strategy; a channel that can't be loaded leaves its slot empty, with the
/// reason, a strategy leaves its queues to the default.
///
/// # Errors
/// The TLS of the system can't be had.
pub async fn load_all(directory: &Arc<Directory>, data: &Path) -> anyhow::Result<Vec<Problem>> {
    let config = directory.config();
    let access = Access { directory: Arc::downgrade(directory) };
    let loader = Loader {
        cache: data.join("plugins"),
        root: config.root.clone(),
        client: Services::client().map_err(anyhow::Error::msg)?,
        access: Some(Arc::new(access)),
    };
    let plugins = &directory.plugins;
    let mut problems = Vec::new();
    for channel in &config.channels {
        let state = match loader.load(channel).await {
            Ok(handle) => Ok(Arc::new(handle)),
            Err(error) => {
                let problem = as_problem(&channel.place, &error);
                tracing::error!(channel = %channel.id, problem = %problem, "channel not loaded");
                let why = problem.to_string();
                problems.push(problem);
                Err(why)
            }
        };
        let callback_url = format!("{}/hooks/{}", config.host.public_url, channel.id);
        let secrets = Secrets::read(&channel.secrets, &config.root).mark();
        let repeats = match &state {
            Ok(handle) if handle.manifest().idempotent_sends => {
                Repeater::of(&handle.manifest().name, &channel.config)
            }
            _ => Repeater::NOBODY,
        };
        let slot = ChannelSlot { state, callback_url, repeats, secrets };
        plugins.channels.insert(channel.id.clone(), Arc::new(slot));
        let workstream = &config.workstreams[&channel.workstream];
        let longest = plugins.longest_text(&channel.id);
        directory.set_settings(&channel.id, channel_settings(workstream, channel, longest));
    }
    for strategy in &config.strategies {
        match loader.load_strategy(strategy).await {
            Ok(handle) => plugins.strategies.put(strategy.id.clone(), handle),
            Err(error) => {
                let problem = as_problem(&strategy.place, &error);
                tracing::error!(strategy = strategy.id, problem = %problem, "strategy not loaded");
                problems.push(problem);
            }
        }
    }
    Ok(problems)
}

/// Asks the plugins of these what is wrong with their settings ([`Loader::check`]), and tells each problem as it is
/// found. Nothing is put in force.
pub async fn ask<'a>(
    loader: &Loader,
    channels: impl IntoIterator<Item = &'a ChannelConfig>,
    strategies: impl IntoIterator<Item = &'a StrategyConfig>,
    mut found: impl FnMut(Problem),
) {
    for channel in channels {
        if let Err(error) = loader.check(channel).await {
            found(as_problem(&channel.place, &error));
        }
    }
    for strategy in strategies {
        if let Err(error) = loader.check_strategy(strategy).await {
            found(as_problem(&strategy.place, &error));
        }
    }
}

/// A plugin's load error at the setting that it is about.
fn as_problem(place: &Location, error: &LoadError) -> Problem {
    let path = match error {
        LoadError::Config { path, .. } if path.is_empty() => "config".to_owned(),
        LoadError::Config { path, .. } => format!("config.{path}"),
        LoadError::OtherContent { .. } => "sha256".to_owned(),
        LoadError::TextTooLong { .. } => "max_text".to_owned(),
        LoadError::WontOpen { .. } => String::new(),
        _ => "plugin".to_owned(),
    };
    place_in_file(place, &path, error.to_string())
}
