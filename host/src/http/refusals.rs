//! What is refused is said, but not by the thousand: anybody may send what isn't authentic.

use std::time::{Duration, Instant};

use cordboard_core::ids::ChannelId;
use dashmap::DashMap;

/// Sentences of a channel within a while.
#[derive(Default)]
pub struct Refusals(DashMap<ChannelId, While>);

struct While {
    began: Instant,
    count: u64,
}

impl Refusals {
    const WHILE: Duration = Duration::from_secs(60);
    const MOST: u64 = 20;

    /// Says it, if not too much was said of this channel lately. How much wasn't is said once that is over, by whatever
    /// comes next; the metric counts everything.
    pub fn say(&self, channel: &ChannelId, say: impl FnOnce()) {
        let now = Instant::now();
        let new = || While { began: now, count: 0 };
        let mut lately = self.0.entry(channel.clone()).or_insert_with(new);
        if now.duration_since(lately.began) > Self::WHILE {
            let unsaid = lately.count.saturating_sub(Self::MOST);
            if unsaid > 0 {
                tracing::warn!(%channel, unsaid, "more webhooks were refused than were said");
            }
            *lately = new();
        }
        lately.count += 1;
        if lately.count <= Self::MOST {
            say();
        }
    }
}
