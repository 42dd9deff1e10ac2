//! The range of every number in the configuration, stated once: checked when it is loaded, named in the
//! error, and listed in `config/README.md`.

use cordboard_core::time::Span;

use super::load::Reader;
use super::tree::Duration;

/// From and to, both inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    /// The setting, as the documentation lists it; a test keeps that true.
    #[cfg_attr(not(test), expect(dead_code))]
    name: &'static str,
    from: i64,
    to: i64,
    is_time: bool,
}

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

const fn time(name: &'static str, from: i64, to: i64) -> Range {
    Range { name, from, to, is_time: true }
}

const fn number(name: &'static str, from: i64, to: i64) -> Range {
    Range { name, from, to, is_time: false }
}

/// How long a routing log is kept, from the end of its run; 0s: not at all.
pub(super) const KEEP_ROUTING_LOG: Range = time("host.keep_routing_log", 0, 3650 * DAY);
/// SEC-04. A hundred years are for good.
pub(super) const KEEP_MESSAGES: Range = time("workstreams.retention.messages", HOUR, 36_500 * DAY);
/// SEC-04.
pub(super) const KEEP_DECISIONS: Range =
    time("workstreams.retention.decisions", HOUR, 36_500 * DAY);
/// SEC-04.
pub(super) const KEEP_AUDIT: Range = time("host.retention.audit", DAY, 36_500 * DAY);
/// SEC-04.
pub(super) const KEEP_AGENT_HISTORY: Range =
    time("host.retention.agent_history", HOUR, 36_500 * DAY);
/// SEC-04.
pub(super) const KEEP_REPLIES: Range = time("host.retention.replies", HOUR, 36_500 * DAY);
/// SEC-04.
pub(super) const AFTER_JUMP: Range = time("host.retention.after_jump", 0, 30 * DAY);
/// SEC-06.
pub(super) const SIGN_IN_LAST: Range = time("host.sign_ins.last", 60 * SECOND, 90 * DAY);
/// SEC-06.
pub(super) const SIGN_IN_IDLE: Range = time("host.sign_ins.idle", 60 * SECOND, 90 * DAY);
/// SEC-06.
pub(super) const SIGN_IN_REMOVED: Range = time("host.sign_ins.removed", 0, 90 * DAY);
/// OPS-11.
pub(super) const CONNECTIONS: Range = number("host.limits.connections", 64, 1_000_000);
/// OPS-11.
pub(super) const CONNECTIONS_PER_ADDRESS: Range =
    number("host.limits.connections_per_address", 8, 1_000_000);
/// OPS-11.
pub(super) const BODY: Range = time("host.limits.body", SECOND, 10 * 60 * SECOND);
/// OPS-11.
pub(super) const SCREEN_PATIENCE: Range =
    time("host.limits.screen_patience", SECOND, 10 * 60 * SECOND);
/// OPS-11.
pub(super) const SCREEN_BACKLOG: Range =
    number("host.limits.screen_backlog", 64 * 1024, 1024 * 1024 * 1024);
/// OPS-11.
pub(super) const JOURNAL_BACKLOG: Range = number("host.limits.journal_backlog", 16, 10_000_000);
/// PLUG-03.
pub(super) const SWAP_WATCH: Range = time("host.swaps.watch", 0, HOUR);
/// PLUG-03.
pub(super) const SWAP_LEAST_FAILURES: Range = number("host.swaps.least_failures", 1, 1_000_000);
/// PLUG-03.
pub(super) const SWAP_MOST_FAILING: Range = number("host.swaps.most_failing", 1, 100);
/// PRES-04.
pub(super) const GRACE: Range = time("presence.grace", SECOND, HOUR);
/// PRES-06.
pub(super) const IDLE_AFTER: Range = time("presence.idle.after", SECOND, DAY);
/// PRES-07.
pub(super) const MISSED_OFFERS: Range = number("presence.missed_offers.limit", 1, 1000);
/// PRES-01.
pub(super) const MOST_LABELS: Range = number("presence.most_labels", 1, 1000);
/// CAP-01.
pub(super) const COUNT: Range = number("capacity.voice, chat, messaging, email", 0, 10_000);
/// CAP-01.
pub(super) const TOTAL_UNITS: Range = number("capacity.units", 0, 1_000_000);
/// CH-11.
pub(super) const MAX_TEXT: Range = number("channels.max_text", 1, 100_000);
/// ROUTE-03.
pub(super) const PRIORITY: Range = number("workstreams.priority", -1000, 1000);
/// CAP-01.
pub(super) const UNITS: Range = number("workstreams.units", 1, 10_000);
/// ROUTE-07. A second is the least in which a person can answer.
pub(super) const OFFER_TIMEOUT: Range = time("workstreams.offer_timeout", SECOND, 7 * DAY);
/// ROUTE-13.
pub(super) const AFFINITY: Range = time("workstreams.affinity", 0, DAY);
/// ROUTE-18. At once is `return`.
pub(super) const RETURN_AFTER: Range =
    time("workstreams.on_offline return_after", SECOND, 30 * DAY);
/// ROUTE-09.
pub(super) const INACTIVITY: Range = time("workstreams.inactivity", SECOND, 365 * DAY);
/// CAP-02. Not at all is `never`.
pub(super) const WRAP_UP: Range = time("workstreams.wrap_up for", SECOND, 7 * DAY);
/// CAP-02.
pub(super) const WRAP_UP_LIMIT: Range = time("workstreams.wrap_up_limit", SECOND, 7 * DAY);
/// CONV-01; 0s: never.
pub(super) const REOPEN_WITHIN: Range = time("workstreams.reopen_within", 0, 3650 * DAY);
/// CONV-07.
pub(super) const END_AFTER: Range = time("workstreams.end_after", SECOND, 365 * DAY);
/// CONV-03.
pub(super) const CONSULT_SEARCH: Range = time("workstreams.consult_search", SECOND, HOUR);
/// ROUTE-12.
pub(super) const RELAX_AFTER: Range = time("queues.relax.after", 100, 30 * DAY);
/// ROUTE-12; 0: the skill isn't asked for any more.
pub(super) const RELAX_TO: Range = number("queues.relax.to", 0, 10);
/// ROUTE-11.
pub(super) const WAITED_FOR: Range = time("queues.overflow waited_for", 100, 30 * DAY);
/// ROUTE-11.
pub(super) const LONGER_THAN: Range = number("queues.overflow longer_than", 0, 1_000_000);
/// ROUTE-04.
pub(super) const LEVEL: Range = number("skills, levels", 1, 10);

#[cfg(test)]
const ALL: [Range; 41] = [
    KEEP_ROUTING_LOG,
    KEEP_MESSAGES,
    KEEP_DECISIONS,
    KEEP_AUDIT,
    KEEP_AGENT_HISTORY,
    KEEP_REPLIES,
    AFTER_JUMP,
    JOURNAL_BACKLOG,
    SIGN_IN_LAST,
    SIGN_IN_IDLE,
    CONNECTIONS,
    CONNECTIONS_PER_ADDRESS,
    BODY,
    SCREEN_PATIENCE,
    SCREEN_BACKLOG,
    SWAP_WATCH,
    SWAP_LEAST_FAILURES,
    SWAP_MOST_FAILING,
    GRACE,
    IDLE_AFTER,
    MISSED_OFFERS,
    MOST_LABELS,
    COUNT,
    TOTAL_UNITS,
    MAX_TEXT,
    PRIORITY,
    UNITS,
    OFFER_TIMEOUT,
    AFFINITY,
    RETURN_AFTER,
    INACTIVITY,
    WRAP_UP,
    WRAP_UP_LIMIT,
    REOPEN_WITHIN,
    END_AFTER,
    CONSULT_SEARCH,
    RELAX_AFTER,
    RELAX_TO,
    WAITED_FOR,
    LONGER_THAN,
    LEVEL,
];

/// A length of time, as it is written in the configuration.
pub(super) fn in_words(span: Span) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (60 * SECOND, "m"), (SECOND, "s"), (1, "ms")];
    let fits = |(unit, _): &&(i64, &str)| span.0 != 0 && span.0 % unit == 0;
    let (unit, name) = units.iter().find(fits).copied().unwrap_or((SECOND, "s"));
    format!("{}{name}", span.0 / unit)
}

impl Range {
    fn written(&self, value: i64) -> String {
        if !self.is_time {
            return value.to_string();
        }
        in_words(Span(value))
    }

    /// What is wrong with a value, and what would be right.
    fn complaint(&self, value: i64) -> Option<String> {
        let (from, to) = (self.written(self.from), self.written(self.to));
        let found = self.written(value);
        match value {
            value if value < self.from => {
                Some(format!("{found} is too small; from {from} to {to}"))
            }
            value if value > self.to => Some(format!("{found} is too large; from {from} to {to}")),
            _ => None,
        }
    }
}

impl Reader {
    /// A length of time must be inside its range.
    pub(super) fn check_time(
        &mut self,
        source: usize,
        path: &str,
        value: Option<Duration>,
        range: Range,
    ) -> Option<Span> {
        let span = value?.0;
        self.check_number(source, path, span.0, range);
        Some(span)
    }

    /// A number must be inside its range.
    pub(super) fn check_number(
        &mut self,
        source: usize,
        path: &str,
        value: impl Into<i64>,
        range: Range,
    ) {
        if let Some(complaint) = range.complaint(value.into()) {
            self.problem(source, path, complaint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-01
    #[test]
    fn the_documentation_lists_every_range() {
        let listed = include_str!("../../../config/README.md");
        for range in ALL {
            let (from, to) = (range.written(range.from), range.written(range.to));
            let line = format!("| `{}` | {from} | {to} |", range.name);
            assert!(listed.contains(&line), "{line} isn't in config/README.md");
        }
    }

    #[test]
    fn values_are_written_as_people_write_them() {
        let written: Vec<String> =
            [0, 100, 1500, 90_000, HOUR, 36 * HOUR, 2 * DAY].map(|ms| GRACE.written(ms)).to_vec();
        assert_eq!(written, ["0s", "100ms", "1500ms", "90s", "1h", "36h", "2d"]);
    }
}
