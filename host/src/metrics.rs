//! Counters, as Prometheus reads them (OPS-05).

use cordboard_core::agent::Event;
use cordboard_core::offer::Outcome;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// The host's own counters.
pub struct Metrics {
    registry: Registry,
    /// By channel and what became of it.
    pub webhooks: IntCounterVec,
    /// By channel and what became of it.
    pub sends: IntCounterVec,
    /// By outcome.
    pub offers: IntCounterVec,
    /// Routing choices.
    pub decisions: IntCounter,
    /// Conversations in memory.
    pub live_conversations: IntGauge,
    /// Panics that were contained, by part.
    pub panics: IntCounterVec,
    /// Times that routing was made anew from the journal.
    pub rebuilt: IntCounter,
    /// Messages to actors that had ended.
    pub undeliverable: IntCounter,
    /// Connections that were refused or cut off, by why.
    cut_off: IntCounterVec,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let vec = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels);
            let counter = counter.expect("names and labels are constants that are valid");
            registry.register(Box::new(counter.clone())).expect("each name is used once");
            counter
        };
        let webhooks = vec(
            "cordboard_webhooks_total",
            "Webhooks by channel and outcome (taken, rejected, malformed, unavailable, overloaded, failed).",
            &["channel", "outcome"],
        );
        let sends = vec(
            "cordboard_sends_total",
            "Attempts to send by channel and outcome (sent, retried, undelivered, unconfirmed).",
            &["channel", "outcome"],
        );
        let offers = vec("cordboard_offers_total", "Offers by what became of them.", &["outcome"]);
        let cut_off = vec(
            "cordboard_connections_cut_off_total",
            "Connections refused or cut off (full, full_address, slow_head, slow_body, bodies, not_reading, screen_backlog, frame).",
            &["why"],
        );
        let panics = vec(
            "cordboard_panics_total",
            "Panics that were contained, by part (queue, agent, conversation, shard, outbox, journal, task).",
            &["part"],
        );
        let plain = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help).expect("a constant that is valid");
            registry.register(Box::new(counter.clone())).expect("each name is used once");
            counter
        };
        let rebuilt = plain(
            "cordboard_routing_rebuilt_total",
            "Times that routing was made anew from the journal.",
        );
        let undeliverable =
            plain("cordboard_undeliverable_total", "Messages to parts that had ended.");
        let decisions = IntCounter::new("cordboard_decisions_total", "Routing choices.")
            .expect("a constant that is valid");
        let live_conversations =
            IntGauge::new("cordboard_live_conversations", "Conversations in memory.")
                .expect("a constant that is valid");
        for collector in [
            Box::new(decisions.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(live_conversations.clone()),
        ] {
            registry.register(collector).expect("each name is used once");
        }
        Self {
            registry,
            webhooks,
            sends,
            offers,
            decisions,
            live_conversations,
            panics,
            rebuilt,
            undeliverable,
            cut_off,
        }
    }
}

impl Metrics {
    /// Counts a connection that was refused or cut off.
    pub fn cut_off(&self, why: &str) {
        self.cut_off.with_label_values(&[why]).inc();
    }

    /// Counts what an agent's history tells.
    pub fn count_agent_event(&self, event: &Event) {
        let outcome = match event {
            Event::PresenceChanged { .. } => return,
            Event::Offered { .. } => "made",
            Event::OfferEnded { outcome, .. } => match outcome {
                Outcome::Accepted => "accepted",
                Outcome::Refused => "refused",
                Outcome::Expired => "expired",
                Outcome::Withdrawn => "withdrawn",
                Outcome::Gone => "gone",
            },
        };
        self.offers.with_label_values(&[outcome]).inc();
    }

    /// All of it in the text format, with further gauges of the moment.
    pub fn render(&self, further: &[(String, f64)]) -> String {
        let mut text = Vec::new();
        // Writing to a Vec can't fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        let mut text = String::from_utf8_lossy(&text).into_owned();
        for (name, value) in further {
            text.push_str(&format!("{name} {value}\n"));
        }
        text
    }
}
