//! The configuration in force, and what conversations of each channel go by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use cordboard_core::ids::{ChannelId, WorkstreamId};
use cordboard_core::workstream::Workstream;
use dashmap::DashMap;

use crate::config::Config;

/// What everybody goes by, from one change to the next.
pub struct InForce {
    config: ArcSwap<Config>,
    /// Counts changes of the configuration, from 1.
    edition: AtomicU64,
    /// Its workstream's settings with the channel's own and its plugin's limits.
    channels: DashMap<ChannelId, Arc<Workstream>>,
}

impl InForce {
    /// Channels go by their workstream until more is known of them.
    pub fn new(config: Arc<Config>) -> Self {
        let edition = AtomicU64::new(1);
        Self { config: ArcSwap::new(config), edition, channels: DashMap::new() }
    }

    /// The configuration.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    pub(super) fn set_config(&self, config: Arc<Config>) {
        self.config.store(config);
    }

    /// Its number.
    pub(super) fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// From now on conversations look their settings up anew.
    pub(super) fn next_edition(&self) {
        self.edition.fetch_add(1, Ordering::Release);
    }

    pub(super) fn set_settings(&self, channel: ChannelId, settings: Arc<Workstream>) {
        self.channels.insert(channel, settings);
    }

    /// Its conversations go by their workstream from now on.
    pub(super) fn remove_channel(&self, channel: &ChannelId) {
        self.channels.remove(channel);
    }

    /// What new conversations of a channel go by; `None`: there is no such channel.
    pub(super) fn of_channel(&self, channel: &ChannelId) -> Option<Arc<Workstream>> {
        self.channels.get(channel).map(|settings| settings.clone())
    }

    /// What the conversations of each channel go by.
    pub(super) fn of_channels(&self) -> Vec<Arc<Workstream>> {
        self.channels.iter().map(|settings| settings.value().clone()).collect()
    }

    /// What conversations of a channel, of this workstream when they began, go by: the channel's
    /// settings, or the workstream's if the channel is configured no longer; `None` if that isn't either.
    pub fn settings_of(
        &self,
        channel: &ChannelId,
        workstream: &WorkstreamId,
    ) -> Option<Arc<Workstream>> {
        let of_workstream = || self.config.load().workstreams.get(workstream).cloned();
        self.of_channel(channel).or_else(of_workstream)
    }
}
