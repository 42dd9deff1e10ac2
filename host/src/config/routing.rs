//! Queues, workstreams, skills and hours: names become what they stand for, or an error.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use cordboard_core::agent;
use cordboard_core::capacity::Units;
use cordboard_core::decision::OverflowReason;
use cordboard_core::hours::{Hours, HoursSpec, Stretch};
use cordboard_core::ids::{HoursId, QueueId, SkillId, WorkstreamId};
use cordboard_core::queue::{Overflow, OverflowAction, QueueHours, Settings, StrategyName};
use cordboard_core::skills::Relaxation;
use cordboard_core::time::Span;
use cordboard_core::workstream::{OnOffline, Workstream, WrapUpHold};

use super::load::{Placed, Reader};
use super::model::QueueConfig;
use super::ranges::{
    AFFINITY, CONSULT_SEARCH, END_AFTER, INACTIVITY, LONGER_THAN, OFFER_TIMEOUT, PRIORITY,
    RELAX_AFTER, RELAX_TO, REOPEN_WITHIN, RETURN_AFTER, UNITS, WAITED_FOR, WRAP_UP, WRAP_UP_LIMIT,
};
use super::retention::Retention;
use super::routing_tree::{
    OnOfflineTree, OverflowTree, QueueTree, ThenTree, WeekTree, WhenTree, WorkstreamTree,
    WrapUpTree,
};

/// Everything that settings refer to by name.
#[derive(Default)]
pub(super) struct Known {
    pub queues: BTreeSet<String>,
    pub skills: BTreeSet<String>,
    pub channels: BTreeSet<String>,
    pub strategies: BTreeSet<String>,
    pub hours: BTreeMap<HoursId, Arc<Hours>>,
    pub contact: BTreeSet<String>,
    pub account: BTreeSet<String>,
    pub context: BTreeSet<String>,
}

impl Reader {
    /// What is known by name, before anything is looked up.
    pub(super) fn known(&mut self) -> Known {
        let ids = |list: Vec<&String>| list.into_iter().cloned().collect::<BTreeSet<String>>();
        let mut known = Known {
            queues: ids(self.queues.iter().map(|queue| &queue.value.id).collect()),
            channels: ids(self.channels.iter().map(|channel| &channel.value.id).collect()),
            strategies: ids(self.strategies.iter().map(|strategy| &strategy.value.id).collect()),
            ..Known::default()
        };
        known.queues.extend(self.lost("queues"));
        known.channels.extend(self.lost("channels"));
        known.strategies.extend(self.lost("strategies"));
        known.skills.extend(self.lost("skills"));
        if let Some(fields) = self.fields.take() {
            known.contact = fields.value.contact.into_iter().collect();
            known.account = fields.value.account.into_iter().collect();
            known.context = fields.value.context.into_iter().collect();
        }
        let mut seen = HashSet::new();
        for Placed { value, source, path } in std::mem::take(&mut self.skills) {
            self.check_id(source, &path, &value.id, &mut seen);
            known.skills.insert(value.id);
        }
        known.hours = self.resolve_hours();
        known
    }

    fn resolve_hours(&mut self) -> BTreeMap<HoursId, Arc<Hours>> {
        let mut all = BTreeMap::new();
        let mut seen = HashSet::new();
        for Placed { value, source, path } in std::mem::take(&mut self.hours) {
            self.check_id(source, &path, &value.id, &mut seen);
            let WeekTree { mon, tue, wed, thu, fri, sat, sun } = value.week;
            let named = [
                ("mon", mon),
                ("tue", tue),
                ("wed", wed),
                ("thu", thu),
                ("fri", fri),
                ("sat", sat),
                ("sun", sun),
            ];
            let week = named.map(|(day, stretches)| {
                self.stretches(source, &format!("{path}.week.{day}"), &stretches)
            });
            let days = value
                .days
                .iter()
                .map(|(day, stretches)| {
                    let place = format!("{path}.days");
                    (day.clone(), self.stretches(source, &place, stretches))
                })
                .collect();
            if let Err(message) = cordboard_core::hours::zone(&value.zone) {
                self.problem(source, &format!("{path}.zone"), message);
                continue;
            }
            match Hours::try_from(HoursSpec { zone: value.zone, week, days }) {
                Ok(hours) => drop(all.insert(HoursId::new(value.id), Arc::new(hours))),
                Err(message) => self.problem(source, &format!("{path}.days"), message),
            }
        }
        all
    }

    fn stretches(&mut self, source: usize, path: &str, texts: &[String]) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        for text in texts {
            match Stretch::parse(text) {
                Ok(stretch) => stretches.push(stretch),
                Err(message) => self.problem(source, path, message),
            }
        }
        stretches.sort_unstable();
        stretches
    }

    pub(super) fn resolve_queues(&mut self, known: &Known) -> Vec<QueueConfig> {
        let mut queues = Vec::new();
        let mut seen = HashSet::new();
        for Placed { value, source, path } in std::mem::take(&mut self.queues) {
            self.check_id(source, &path, &value.id, &mut seen);
            self.check_shown(source, &path, value.name.as_deref());
            let settings = self.queue_settings(source, &path, &value, known);
            queues.push(QueueConfig {
                name: value.name.unwrap_or_else(|| value.id.clone()),
                id: QueueId::new(value.id),
                settings: Arc::new(settings),
            });
        }
        queues
    }

    fn queue_settings(
        &mut self,
        source: usize,
        path: &str,
        tree: &QueueTree,
        known: &Known,
    ) -> Settings {
        if let StrategyName::Plugin(name) = &tree.strategy {
            self.check_name(
                source,
                &format!("{path}.strategy"),
                "strategy",
                name,
                &known.strategies,
            );
        }
        let mut relax = Vec::new();
        for (index, step) in tree.relax.iter().enumerate() {
            let place = format!("{path}.relax[{index}]");
            if let Some(skill) = &step.skill {
                self.check_name(source, &format!("{place}.skill"), "skill", skill, &known.skills);
            }
            let skill = step.skill.as_deref().map(SkillId::from);
            self.check_time(source, &format!("{place}.after"), Some(step.after), RELAX_AFTER);
            self.check_number(source, &format!("{place}.to"), step.to, RELAX_TO);
            relax.push(Relaxation { after: step.after.0, skill, to: step.to });
        }
        relax.sort_by_key(|step| step.after);
        let overflow = tree.overflow.iter().enumerate().map(|(index, rule)| {
            self.overflow(source, &format!("{path}.overflow[{index}]"), rule, tree, known)
        });
        let overflow: Vec<Overflow> = overflow.collect();
        self.one_message_at_a_time(source, path, &overflow);
        let mut hours = QueueHours { tables: known.hours.clone(), ..QueueHours::default() };
        hours.own = self.hours_id(source, &format!("{path}.hours"), tree.hours.as_ref(), known);
        for (language, id) in &tree.hours_by_language {
            let place = format!("{path}.hours_by_language");
            if let Some(id) = self.hours_id(source, &place, Some(id), known) {
                hours.by_language.insert(language.clone(), id);
            }
        }
        Settings {
            order: tree.order,
            strategy: tree.strategy.clone(),
            relax,
            overflow,
            hours,
            // After a start agents have the grace to come back (PRES-04); until then nobody is missed.
            settling: self.grace(),
        }
    }

    /// A customer is told once that it takes longer than something: a second message of the same moment would be taken for
    /// a repetition of the first.
    fn one_message_at_a_time(&mut self, source: usize, path: &str, rules: &[Overflow]) {
        let is_message = |rule: &Overflow| matches!(rule.then, OverflowAction::Message(_));
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| is_message(rule)) {
            let mut before = rules[..index].iter();
            if let Some(same) =
                before.position(|other| is_message(other) && other.when == rule.when)
            {
                let message = format!(
                    "rule {same} sends a message at the same moment: put both texts into one, or let this one come later"
                );
                self.problem(source, &format!("{path}.overflow[{index}].when"), &message);
            }
        }
    }

    fn overflow(
        &mut self,
        source: usize,
        path: &str,
        rule: &OverflowTree,
        queue: &QueueTree,
        known: &Known,
    ) -> Overflow {
        let when = match rule.when {
            WhenTree::LongerThan(items) => {
                self.check_number(source, &format!("{path}.when"), items, LONGER_THAN);
                OverflowReason::Length(items)
            }
            WhenTree::WaitedFor(wait) => {
                self.check_time(source, &format!("{path}.when"), Some(wait), WAITED_FOR);
                OverflowReason::Wait(wait.0.0)
            }
            WhenTree::NobodySignedIn => OverflowReason::NobodySignedIn,
            WhenTree::OutOfHours => OverflowReason::OutOfHours,
        };
        let then = match &rule.then {
            ThenTree::Queue(to) => {
                self.check_name(source, &format!("{path}.then"), "queue", to, &known.queues);
                if *to == queue.id {
                    let message = "an item can't overflow into the queue that it leaves";
                    self.problem(source, &format!("{path}.then"), message);
                }
                OverflowAction::Queue(QueueId::from(to.as_str()))
            }
            ThenTree::Message(text) => OverflowAction::Message(text.clone()),
            ThenTree::End(text) => OverflowAction::End(text.clone()),
        };
        Overflow { when, then }
    }

    pub(super) fn hours_id(
        &mut self,
        source: usize,
        path: &str,
        name: Option<&String>,
        known: &Known,
    ) -> Option<HoursId> {
        let name = name?;
        let mut names: BTreeSet<String> = known.hours.keys().map(ToString::to_string).collect();
        names.extend(self.lost("hours"));
        self.check_name(source, path, "set of hours", name, &names);
        Some(HoursId::from(name.as_str()))
    }

    pub(super) fn resolve_workstreams(
        &mut self,
        known: &Known,
    ) -> (HashMap<WorkstreamId, Arc<Workstream>>, BTreeMap<WorkstreamId, Retention>) {
        let mut workstreams = HashMap::new();
        let mut retention = BTreeMap::new();
        let mut seen = HashSet::new();
        for Placed { value, source, path } in std::mem::take(&mut self.workstreams) {
            self.check_id(source, &path, &value.id, &mut seen);
            let place = format!("{path}.queue");
            self.check_name(source, &place, "queue", &value.queue, &known.queues);
            let queue = QueueId::from(value.queue.as_str());
            let id = WorkstreamId::new(value.id.clone());
            let mut workstream = Workstream::with_defaults(id.clone(), value.kind, queue);
            self.apply(source, &path, &mut workstream, &value);
            let kept = self.retention(source, &format!("{path}.retention"), value.retention);
            retention.insert(id.clone(), kept);
            if workstream.allowed == Default::default() {
                let message = "no presence is allowed, so nobody would ever get work; name at least one, such as [online]";
                self.problem(source, &format!("{path}.allowed"), message);
            }
            for (index, disposition) in workstream.dispositions.iter().enumerate() {
                let place = format!("{path}.dispositions[{index}]");
                self.check_visible(source, &place, Some(disposition));
            }
            if workstream.disposition_required && workstream.dispositions.is_empty() {
                let message = "a disposition is required, but there is none to choose: name them in `dispositions`";
                self.problem(source, &format!("{path}.disposition_required"), message);
            }
            for (index, rule) in value.rules.into_iter().enumerate() {
                let place = format!("{path}.rules[{index}]");
                workstream.rules.push(self.rule(source, &place, rule, known));
            }
            workstream.revision = revision(&workstream);
            workstreams.insert(id, Arc::new(workstream));
        }
        (workstreams, retention)
    }

    /// What is given goes before the defaults of features.md.
    fn apply(
        &mut self,
        source: usize,
        path: &str,
        workstream: &mut Workstream,
        tree: &WorkstreamTree,
    ) {
        let at = |setting: &str| format!("{path}.{setting}");
        self.check_number(source, &at("priority"), tree.priority, PRIORITY);
        workstream.priority = tree.priority;
        workstream.matching = tree.matching;
        workstream.mode = tree.mode;
        workstream.dispositions.clone_from(&tree.dispositions);
        workstream.disposition_required = tree.disposition_required;
        workstream.affinity = self.check_time(source, &at("affinity"), tree.affinity, AFFINITY);
        workstream.end_after = self.check_time(source, &at("end_after"), tree.end_after, END_AFTER);
        if let Some(units) = tree.units {
            self.check_number(source, &at("units"), units, UNITS);
            workstream.units = Units(units);
        }
        if let Some(allowed) = &tree.allowed {
            workstream.allowed = allowed.iter().copied().collect();
        }
        if let Some(reassign) = tree.reassign {
            workstream.reassign = reassign;
        }
        workstream.on_offline = match tree.on_offline {
            None => workstream.on_offline,
            Some(OnOfflineTree::Keep) => OnOffline::Keep,
            Some(OnOfflineTree::Return) => OnOffline::Return,
            Some(OnOfflineTree::ReturnAfter(delay)) => {
                self.check_time(source, &at("on_offline"), Some(delay), RETURN_AFTER);
                OnOffline::ReturnAfter(delay.0)
            }
        };
        workstream.wrap_up = match tree.wrap_up {
            None => workstream.wrap_up,
            Some(WrapUpTree::Never) => WrapUpHold::Never,
            Some(WrapUpTree::Always) => WrapUpHold::Always,
            Some(WrapUpTree::For(span)) => {
                self.check_time(source, &at("wrap_up"), Some(span), WRAP_UP);
                WrapUpHold::For(span.0)
            }
        };
        let spans = [
            (&mut workstream.offer_timeout, "offer_timeout", tree.offer_timeout, OFFER_TIMEOUT),
            (&mut workstream.inactivity, "inactivity", tree.inactivity, INACTIVITY),
            (&mut workstream.wrap_up_limit, "wrap_up_limit", tree.wrap_up_limit, WRAP_UP_LIMIT),
            (&mut workstream.reopen_within, "reopen_within", tree.reopen_within, REOPEN_WITHIN),
            (&mut workstream.consult_search, "consult_search", tree.consult_search, CONSULT_SEARCH),
        ];
        for (setting, name, given, range) in spans {
            if let Some(span) = self.check_time(source, &at(name), given, range) {
                *setting = span;
            }
        }
    }

    /// How long presence outlives the last screen, for everybody (PRES-04).
    pub(super) fn grace(&self) -> Span {
        let given = self.presence.as_ref().and_then(|presence| presence.value.grace);
        given.map_or(agent::Settings::GRACE, |grace| grace.0)
    }

    /// Something that is referred to must be there.
    pub(super) fn check_name(
        &mut self,
        source: usize,
        path: &str,
        what: &str,
        name: &str,
        known: &BTreeSet<String>,
    ) {
        if !known.contains(name) {
            let known = names(known);
            self.problem(source, path, format!("there is no {what} \"{name}\"; {known}"));
        }
    }
}

/// Differs where the settings do, with near certainty, and only there. How long a text may be counts
/// for nothing that a queue or an alarm goes by, and isn't known before a plugin is loaded.
pub fn revision(workstream: &Workstream) -> u64 {
    let plain = Workstream { revision: 0, max_text: 0, ..workstream.clone() };
    let encoded = rmp_serde::to_vec_named(&plain).expect("settings can be encoded");
    let mut hasher = DefaultHasher::new();
    hasher.write(&encoded);
    hasher.finish()
}

/// What there is, for error messages.
pub(super) fn names(known: &BTreeSet<String>) -> String {
    if known.is_empty() {
        return "none is configured".to_owned();
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    format!("known: {}", known.join(", "))
}
