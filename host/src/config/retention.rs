//! How long what is written is kept (SEC-04): by workstream, and of the host itself.

use std::collections::BTreeMap;
use std::fmt;

use cordboard_core::ids::WorkstreamId;
use cordboard_core::time::Span;
use serde::Deserialize;

use super::load::Reader;
use super::ranges::{
    AFTER_JUMP, KEEP_AGENT_HISTORY, KEEP_AUDIT, KEEP_DECISIONS, KEEP_MESSAGES, KEEP_REPLIES,
    in_words,
};
use super::tree::Duration;

const DAY: i64 = 24 * 3600;

/// Of a workstream's conversations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Everything of a conversation, from its last event, if it has ended; `None`: until it is erased.
    pub messages: Option<Span>,
    /// Why they went where they did (ROUTE-15).
    pub decisions: Span,
}

impl Default for Retention {
    fn default() -> Self {
        Self { messages: None, decisions: Span::seconds(90 * DAY) }
    }
}

/// Of what isn't of a workstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostRetention {
    /// Who did what; `None`: for good.
    pub audit: Option<Span>,
    /// What became of agents' presence and offers.
    pub agent_history: Span,
    /// What providers call a reply: reports that come later are of nothing known.
    pub replies: Span,
    /// So long the clock has to run evenly, once it was set, before anything is removed by it.
    pub after_jump: Span,
}

/// As it is written in a workstream.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename = "retention", deny_unknown_fields, default)]
pub(super) struct RetentionTree {
    messages: Option<Duration>,
    decisions: Option<Duration>,
}

/// As it is written in `host`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename = "retention", deny_unknown_fields, default)]
pub(super) struct HostRetentionTree {
    audit: Option<Duration>,
    agent_history: Option<Duration>,
    replies: Option<Duration>,
    after_jump: Option<Duration>,
}

impl Reader {
    pub(super) fn retention(
        &mut self,
        source: usize,
        path: &str,
        tree: RetentionTree,
    ) -> Retention {
        let at = |name: &str| format!("{path}.{name}");
        let messages = self.check_time(source, &at("messages"), tree.messages, KEEP_MESSAGES);
        let decisions = self.check_time(source, &at("decisions"), tree.decisions, KEEP_DECISIONS);
        Retention { messages, decisions: decisions.unwrap_or(Retention::default().decisions) }
    }

    pub(super) fn check_host_retention(&mut self, source: usize, tree: HostRetentionTree) {
        for (name, value, range) in [
            ("audit", tree.audit, KEEP_AUDIT),
            ("agent_history", tree.agent_history, KEEP_AGENT_HISTORY),
            ("replies", tree.replies, KEEP_REPLIES),
            ("after_jump", tree.after_jump, AFTER_JUMP),
        ] {
            self.check_time(source, &format!("host.retention.{name}"), value, range);
        }
    }
}

impl From<HostRetentionTree> for HostRetention {
    fn from(tree: HostRetentionTree) -> Self {
        let days = |given: Option<Duration>, days| {
            given.map_or(Span::seconds(days * DAY), |given| given.0)
        };
        Self {
            audit: tree.audit.map(|given| given.0),
            agent_history: days(tree.agent_history, 365),
            replies: days(tree.replies, 30),
            after_jump: tree.after_jump.map_or(Span::seconds(3600), |given| given.0),
        }
    }
}

/// What is kept for another time than before, in a sentence each.
pub fn changes(
    old: (&BTreeMap<WorkstreamId, Retention>, HostRetention),
    new: (&BTreeMap<WorkstreamId, Retention>, HostRetention),
) -> Vec<String> {
    let mut sentences = Vec::new();
    for (id, now) in new.0 {
        let Some(before) = old.0.get(id).filter(|before| *before != now) else { continue };
        let (kept, was) = (Kept(now.messages), Kept(before.messages));
        sentences.push(format!(
            "workstream {id}: conversations are kept {kept} (before: {was}), decisions {} (before: {})",
            Kept(Some(now.decisions)),
            Kept(Some(before.decisions))
        ));
    }
    if old.1 != new.1 {
        sentences.push(format!(
            "the audit log is kept {} (before: {})",
            Kept(new.1.audit),
            Kept(old.1.audit)
        ));
    }
    sentences
}

struct Kept(Option<Span>);

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(span) => write!(f, "for {}", in_words(span)),
            None => f.write_str("until they are erased"),
        }
    }
}
