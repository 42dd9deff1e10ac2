//! Host, channels, agents: everything that isn't routing itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cordboard_core::agent::{IdleRule, MissedRule, Settings};
use cordboard_core::capacity::{Limits, Load, Reach, Units};
use cordboard_core::ids::{AgentId, ChannelId, HoursId, QueueId, SkillId, WorkstreamId};
use cordboard_core::presence::BaseStatus;
use cordboard_core::queue::OverflowAction;
use cordboard_core::workstream::Workstream;

use super::host::HostConfig;
use super::load::{Placed, Reader, is_name};
use super::model::{
    AgentConfig, ChannelConfig, Config, Fields, LabelConfig, Location, PluginConfig, PluginKind,
    QueueConfig, StrategyConfig,
};
use super::permissions::{Permission, Role};
use super::ranges::{COUNT, GRACE, IDLE_AFTER, MAX_TEXT, MISSED_OFFERS, MOST_LABELS, TOTAL_UNITS};
use super::routing::{Known, names};
use super::tree::{CapacityTree, PresenceTree};
use crate::letters::{hidden_in, is_invisible};

/// So many labels there may be if nothing else is said (PRES-01).
const LABELS: u32 = 100;

impl Reader {
    pub(super) fn resolve(&mut self, root: &Path) -> Config {
        let known = self.known();
        let host = self.resolve_host(root, &known);
        let queues = self.resolve_queues(&known);
        let (workstreams, retention) = self.resolve_workstreams(&known);
        let channels = self.resolve_channels(root, &host, &workstreams, &known);
        let strategies = self.resolve_strategies(root, &host);
        let reaches = reach_of_queues(&workstreams, &queues);
        let presence = self.presence.take();
        self.check_presence(presence.as_ref());
        let labels = self.resolve_labels(presence.as_ref());
        let rules = presence.map(|placed| placed.value).unwrap_or_default();
        let permissions = self.resolve_permissions();
        let agents = self.resolve_agents(&known, &reaches, &rules, &permissions);
        Config {
            root: root.to_owned(),
            host,
            channels,
            workstreams,
            retention,
            queues,
            agents,
            labels,
            permissions,
            strategies,
            skills: known.skills.iter().map(|skill| SkillId::from(skill.as_str())).collect(),
            fields: Fields {
                contact: known.contact.iter().cloned().collect(),
                account: known.account.iter().cloned().collect(),
                context: known.context.iter().cloned().collect(),
            },
        }
    }

    fn resolve_channels(
        &mut self,
        root: &Path,
        host: &HostConfig,
        workstreams: &HashMap<WorkstreamId, Arc<Workstream>>,
        known: &Known,
    ) -> Vec<ChannelConfig> {
        let mut channels = Vec::new();
        let mut seen = HashSet::new();
        for Placed { value, source, path } in std::mem::take(&mut self.channels) {
            self.check_id(source, &path, &value.id, &mut seen);
            let workstream = WorkstreamId::new(value.workstream);
            let is_lost = self.lost("workstreams").any(|lost| lost == workstream.as_str());
            if !workstreams.contains_key(&workstream) && !is_lost {
                let known = names(&workstreams.keys().map(ToString::to_string).collect());
                let message = format!("there is no workstream \"{workstream}\"; {known}");
                self.problem(source, &format!("{path}.workstream"), message);
            }
            let sha256 = self.sha256(source, &path, value.sha256);
            let hours =
                self.hours_id(source, &format!("{path}.hours"), value.hours.as_ref(), known);
            if let Some(characters) = value.max_text {
                self.check_number(source, &format!("{path}.max_text"), characters, MAX_TEXT);
            }
            let file = self.sources[source].file.clone();
            let opens = PluginConfig {
                kind: PluginKind::Channel,
                id: value.id.clone(),
                plugin: (!value.plugin.contains('/')).then(|| value.plugin.clone()),
                library: library(root, host, &value.plugin),
                sha256,
                config: settings_or_none(value.config),
                secrets: value.secrets,
                allow_hosts: value.allow_hosts,
                max_text: value.max_text,
                place: Location { file, path },
            };
            channels.push(ChannelConfig {
                id: ChannelId::new(value.id),
                opens,
                workstream,
                language: value.language.unwrap_or_else(|| "en".to_owned()),
                hours: hours.or_else(|| host.hours.as_deref().map(HoursId::from)),
                max_text: value.max_text,
            });
        }
        channels
    }

    fn sha256(&mut self, source: usize, path: &str, hash: Option<String>) -> Option<String> {
        let hash = hash?;
        if hash.len() != 64 || hex::decode(&hash).is_err() {
            let message = "not a SHA-256: 64 hexadecimal digits";
            self.problem(source, &format!("{path}.sha256"), message);
        }
        Some(hash.to_ascii_lowercase())
    }

    fn resolve_strategies(&mut self, root: &Path, host: &HostConfig) -> Vec<StrategyConfig> {
        let mut strategies = Vec::new();
        let mut seen = HashSet::new();
        for Placed { value, source, path } in std::mem::take(&mut self.strategies) {
            self.check_id(source, &path, &value.id, &mut seen);
            let sha256 = self.sha256(source, &path, value.sha256);
            let opens = PluginConfig {
                kind: PluginKind::Strategy,
                id: value.id.clone(),
                plugin: (!value.plugin.contains('/')).then(|| value.plugin.clone()),
                library: library(root, host, &value.plugin),
                sha256,
                config: settings_or_none(value.config),
                secrets: BTreeMap::new(),
                allow_hosts: Vec::new(),
                max_text: None,
                place: Location { file: self.sources[source].file.clone(), path },
            };
            strategies.push(StrategyConfig { id: value.id, opens });
        }
        strategies
    }

    fn resolve_labels(&mut self, presence: Option<&Placed<PresenceTree>>) -> Vec<LabelConfig> {
        let Some(Placed { value, source, path }) = presence else { return Vec::new() };
        let mut seen = HashSet::new();
        let most = value.most_labels.unwrap_or(LABELS);
        self.check_number(*source, &format!("{path}.most_labels"), most, MOST_LABELS);
        if value.labels.len() > most as usize {
            let count = value.labels.len();
            let message = format!("{count} labels; at most {most}, or set `most_labels`");
            self.problem(*source, &format!("{path}.labels"), message);
        }
        let mut labels = Vec::new();
        for (index, label) in value.labels.iter().enumerate() {
            let place = format!("{path}.labels[{index}]");
            self.check_id(*source, &place, &label.id, &mut seen);
            self.check_shown(*source, &place, label.name.as_deref());
            if label.status == BaseStatus::Offline {
                let message = "`offline` isn't chosen: who signs out is offline";
                self.problem(*source, &format!("{place}.status"), message);
            }
            labels.push(LabelConfig {
                id: label.id.clone(),
                name: label.name.clone().unwrap_or_else(|| label.id.clone()),
                status: label.status,
            });
        }
        labels
    }

    fn check_presence(&mut self, presence: Option<&Placed<PresenceTree>>) {
        let Some(Placed { value, source, path }) = presence else { return };
        self.check_time(*source, &format!("{path}.grace"), value.grace, GRACE);
        self.check_default(*source, &format!("{path}.default"), value.default);
        if let Some(idle) = &value.idle {
            self.check_rule(*source, &format!("{path}.idle.status"), idle.status);
            let place = format!("{path}.idle.after");
            self.check_time(*source, &place, Some(idle.after), IDLE_AFTER);
        }
        if let Some(missed) = &value.missed_offers {
            self.check_rule(*source, &format!("{path}.missed_offers.status"), missed.status);
            let place = format!("{path}.missed_offers.limit");
            self.check_number(*source, &place, missed.limit, MISSED_OFFERS);
        }
    }

    /// What a rule or a default sets is one at which nothing is given (PRES-05..07): the others are
    /// computed, or chosen.
    fn check_gone(&mut self, source: usize, path: &str, status: BaseStatus, complaint: &str) {
        if !matches!(status, BaseStatus::Away | BaseStatus::Offline) {
            self.problem(source, path, format!("`{}` {complaint}", status.as_str()));
        }
    }

    /// PRES-05.
    fn check_default(&mut self, source: usize, path: &str, status: Option<BaseStatus>) {
        if let Some(status) = status {
            let complaint = "isn't a default: `away` or `offline`, or none, and it is computed";
            self.check_gone(source, path, status, complaint);
        }
    }

    /// PRES-06, PRES-07.
    fn check_rule(&mut self, source: usize, path: &str, status: BaseStatus) {
        let complaint = "isn't what somebody is set to who isn't there; `away` or `offline`";
        self.check_gone(source, path, status, complaint);
    }

    fn check_capacity(&mut self, source: usize, path: &str, given: &CapacityTree) {
        let counts = [
            ("voice", given.voice),
            ("chat", given.chat),
            ("messaging", given.messaging),
            ("email", given.email),
        ];
        for (kind, count) in counts {
            if let Some(count) = count {
                self.check_number(source, &format!("{path}.{kind}"), count, COUNT);
            }
        }
        if let Some(units) = given.units {
            self.check_number(source, &format!("{path}.units"), units, TOTAL_UNITS);
        }
    }

    fn resolve_agents(
        &mut self,
        known: &Known,
        reaches: &HashMap<QueueId, Reach>,
        rules: &PresenceTree,
        permissions: &BTreeMap<Role, BTreeSet<Permission>>,
    ) -> Vec<AgentConfig> {
        let everybody = match self.capacity.take() {
            None => Limits::default(),
            Some(Placed { value, source, path }) => {
                self.check_capacity(source, &path, &value);
                limits(&value, Limits::default())
            }
        };
        let mut agents = Vec::new();
        let mut seen = HashSet::new();
        for Placed { value, source, path } in std::mem::take(&mut self.agents) {
            self.check_id(source, &path, &value.id, &mut seen);
            self.check_shown(source, &path, value.name.as_deref());
            if !permissions.contains_key(&value.role) {
                let known: Vec<&str> = permissions.keys().map(Role::as_str).collect();
                let (role, known) = (value.role.as_str(), known.join(", "));
                let message = format!(
                    "there is no role \"{role}\"; there are {known}, and those that `permissions` names"
                );
                self.problem(source, &format!("{path}.role"), message);
            }
            for (index, queue) in value.queues.iter().enumerate() {
                let place = format!("{path}.queues[{index}]");
                self.check_name(source, &place, "queue", queue, &known.queues);
            }
            for (skill, level) in &value.skills {
                let place = format!("{path}.skills");
                self.check_name(source, &place, "skill", skill, &known.skills);
                self.check_level(source, &place, skill, *level);
            }
            if value.light && !value.queues.is_empty() {
                let message = "a light agent takes no work, so it can't be a member of a queue: leave out `queues` or `light`";
                self.problem(source, &format!("{path}.queues"), message);
            }
            let member_of: Vec<QueueId> = value.queues.into_iter().map(QueueId::new).collect();
            let mut reach = Reach::NOTHING;
            for queue in &member_of {
                reach = reach.union(reaches.get(queue).copied().unwrap_or(Reach::NOTHING));
            }
            if AUDITED.contains(&value.id.as_str()) {
                let text = format!(
                    "\"{}\" is how the audit log calls what no agent did: choose another name",
                    value.id
                );
                self.problem(source, &format!("{path}.id"), text);
            }
            self.check_capacity(source, &format!("{path}.capacity"), &value.capacity);
            self.check_time(source, &format!("{path}.grace"), value.grace, GRACE);
            let place = format!("{path}.default_presence");
            self.check_default(source, &place, value.default_presence);
            let mut settings = Settings::with_defaults(member_of);
            settings.reach = reach;
            settings.limits = limits(&value.capacity, everybody);
            let skills = value.skills.iter();
            settings.skills =
                Arc::new(skills.map(|(id, level)| (SkillId::from(id.as_str()), *level)).collect());
            settings.light = value.light;
            settings.default_presence = value.default_presence.or(rules.default);
            if let Some(grace) = value.grace.or(rules.grace) {
                settings.grace = grace.0;
            }
            settings.idle = rules
                .idle
                .as_ref()
                .map(|rule| IdleRule { after: rule.after.0, status: rule.status });
            settings.missed = rules
                .missed_offers
                .as_ref()
                .map(|rule| MissedRule { limit: rule.limit, status: rule.status });
            agents.push(AgentConfig {
                name: value.name.unwrap_or_else(|| value.id.clone()),
                id: AgentId::new(value.id),
                role: value.role,
                settings: Arc::new(settings),
            });
        }
        agents
    }

    /// What people are shown for an id: something that can be seen, on one line.
    pub(super) fn check_shown(&mut self, source: usize, path: &str, name: Option<&str>) {
        self.check_visible(source, &format!("{path}.name"), name);
    }

    /// Of anything that people choose from, or are shown.
    pub(super) fn check_visible(&mut self, source: usize, path: &str, name: Option<&str>) {
        const MOST: usize = 100;
        let Some(name) = name else { return };
        let count = name.chars().count();
        let wrong = if name.chars().all(is_invisible) {
            "a name has at least one letter that can be seen; leave it out, and the id is shown"
                .to_owned()
        } else if let Some(hidden) = hidden_in(name) {
            let code = u32::from(hidden);
            format!("a name stands on one line, without letters that nobody can see: U+{code:04X}")
        } else if count > MOST {
            format!("a name of {count} characters; at most {MOST}")
        } else {
            return;
        };
        self.problem(source, path, wrong);
    }

    pub(super) fn check_id(
        &mut self,
        source: usize,
        path: &str,
        id: &str,
        seen: &mut HashSet<String>,
    ) {
        let path = format!("{path}.id");
        if !is_name(id) {
            let message = format!(
                "\"{id}\" isn't a name: 1 to 64 lower-case letters, digits, `-` and `_`, such as \"sms-telesign\""
            );
            self.problem(source, &path, message);
        }
        if !seen.insert(id.to_owned()) {
            self.problem(source, &path, format!("\"{id}\" stands twice; names are used once"));
        }
    }
}

/// Who the audit log says did what no agent did: signed in with a wrong name, left the configuration.
const AUDITED: [&str; 2] = ["nobody", "configuration"];

fn library(root: &Path, host: &HostConfig, plugin: &str) -> PathBuf {
    if plugin.contains('/') {
        root.join(plugin)
    } else {
        host.plugins.join(format!("libcordboard_{}.so", plugin.replace('-', "_")))
    }
}

/// `config: ()` and no `config` mean the same: a plugin without settings.
fn settings_or_none(config: serde_json::Value) -> serde_json::Value {
    match config {
        serde_json::Value::Null => serde_json::Value::Object(Default::default()),
        settings => settings,
    }
}

fn limits(given: &CapacityTree, defaults: Limits) -> Limits {
    let counts = [given.voice, given.chat, given.messaging, given.email];
    let mut limits = defaults;
    for (limit, given) in limits.counts.0.iter_mut().zip(counts) {
        *limit = given.map_or(*limit, u32::from);
    }
    limits.units = given.units.map_or(limits.units, Units);
    if let Some(blocking) = &given.blocking {
        limits.blocks = Default::default();
        for (kind, blocked) in blocking {
            limits.blocks[kind.index()] = blocked.iter().copied().collect();
        }
    }
    limits
}

/// What can come to a queue, at its lightest: from its workstreams, their rules, and by overflow.
fn reach_of_queues(
    workstreams: &HashMap<WorkstreamId, Arc<Workstream>>,
    queues: &[QueueConfig],
) -> HashMap<QueueId, Reach> {
    let mut reaches: HashMap<QueueId, Reach> = HashMap::new();
    for workstream in workstreams.values() {
        let by_rules = workstream.rules.iter().filter_map(|rule| rule.then.queue.as_ref());
        // With several rules at once, any of their weights can meet any of their queues.
        let weights = workstream.rules.iter().filter_map(|rule| rule.then.units);
        let weights: Vec<Units> = weights.chain([workstream.units]).collect();
        for queue in by_rules.chain([&workstream.queue]) {
            let reach = reaches.entry(queue.clone()).or_insert(Reach::NOTHING);
            weights
                .iter()
                .for_each(|units| reach.add(Load { kind: workstream.kind, units: *units }));
        }
    }
    // A chain of overflows is no longer than there are queues.
    for _ in queues {
        for queue in queues {
            let from = reaches.get(&queue.id).copied().unwrap_or(Reach::NOTHING);
            for rule in &queue.settings.overflow {
                if let OverflowAction::Queue(to) = &rule.then {
                    let known = reaches.entry(to.clone()).or_insert(Reach::NOTHING);
                    *known = known.union(from);
                }
            }
        }
    }
    reaches
}
