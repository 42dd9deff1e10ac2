//! A change of configuration while work flows (ROUTE-17): the parts that differ are sent to the
//! actors they concern; everything else goes on undisturbed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::{Addr, ArbiterHandle};
use cordboard_core::conversation::Input;
use cordboard_core::ids::{AgentId, ChannelId, ConversationId, QueueId, WorkstreamId};
use cordboard_core::workstream::Workstream;
use cordboard_core::{Agent, Queue, agent, queue};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::actors::agent::AgentActor;
use crate::actors::agent::NotDone;
use crate::actors::deliver::{Answer, Deliver, To};
use crate::actors::directory::Directory;
use crate::actors::rebuild::Anew;
use crate::actors::recorder::Entry;
use crate::actors::recovery::{start_agent, start_queue};
use crate::clock;
use crate::config::{
    ChannelConfig, Config, Permission, QueueConfig, Role, retention_changes, revision,
    those_that_differ,
};
use crate::grief::provoked_error;
use crate::journal::{JournalError, Reader, Trouble};
use crate::plugin::Prepared;

/// What a change did.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Change {
    /// Queues that are new, differ, or are gone.
    pub queues: Vec<String>,
    /// Agents that are new, differ, or are gone.
    pub agents: Vec<String>,
    /// Workstreams whose settings or rules differ.
    pub workstreams: Vec<String>,
    /// Channels whose conversations go by other settings now: the workstream's, hours, language. Those that are new or
    /// gone, too.
    pub channels: Vec<String>,
    /// Plugins of channels and strategies that are others now, new, or gone, in a sentence each.
    pub plugins: Vec<String>,
    /// Libraries and secrets that can't be used: what was there before goes on, in a sentence each.
    pub refused: Vec<String>,
    /// What differs but takes a restart, in a sentence each.
    pub after_restart: Vec<String>,
    /// Who may other things than before: agents' roles, roles' permissions, in a sentence each.
    pub access: Vec<String>,
    /// What is kept for another time than before, in a sentence each.
    pub retention: Vec<String>,
    /// What else differs, by its name in the configuration, such as `host.limits`.
    pub settings: Vec<String>,
}

/// What was changed, though not all that had to follow could be told.
#[derive(Debug)]
pub struct HalfWay {
    /// What is in force.
    pub change: Box<Change>,
    /// Why.
    pub error: JournalError,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            ("queues", &self.queues),
            ("agents", &self.agents),
            ("workstreams", &self.workstreams),
            ("channels", &self.channels),
            ("plugins", &self.plugins),
            ("access", &self.access),
            ("retention", &self.retention),
            ("settings", &self.settings),
            ("not taken", &self.refused),
            ("after a restart", &self.after_restart),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(_, changed)| !changed.is_empty())
            .map(|(what, changed)| format!("{what}: {}", changed.join(", ")))
            .collect();
        match parts.is_empty() {
            true => f.write_str("nothing has changed"),
            false => f.write_str(&parts.join("; ")),
        }
    }
}

impl Change {
    /// Nothing differs, but what waits for a restart.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
            && self.agents.is_empty()
            && self.workstreams.is_empty()
            && self.channels.is_empty()
            && self.plugins.is_empty()
            && self.refused.is_empty()
            && self.access.is_empty()
            && self.retention.is_empty()
            && self.settings.is_empty()
    }
}

/// Puts a configuration that was checked in force. Queues come first, so that agents find those they
/// join; conversations last, so that they find the queues that rules now name. Until what waits has
/// been classified anew, nothing is given out: or a newer item would go by the new settings before an
/// older one that still goes by the old.
///
/// `started`: what the host was started with, and goes by in what takes a restart; with the plugins that were opened for
/// the new one. `unfinished`: the last change couldn't tell the open conversations, so all of them are told now.
///
/// # Errors
/// [`HalfWay`]: the open conversations can't be read; they follow their new settings only when something
/// happens to them, or with the next change.
pub fn reconfigure(
    directory: &Arc<Directory>,
    routing: &ArbiterHandle,
    reader: &Reader,
    (started, new, plugins): (&Config, Config, Prepared),
    unfinished: bool,
) -> Result<Change, HalfWay> {
    let _alone = directory.changing.blocking_lock();
    let old = directory.config();
    let new = Arc::new(new);
    let mut change = Change { after_restart: needs_restart(started, &new), ..Change::default() };
    let workstreams = changed_workstreams(&old, &new);
    change.workstreams = workstreams.iter().map(ToString::to_string).collect();
    // Recorded before anything can go by them, as a channel's are.
    if !workstreams.is_empty() {
        let all = new.workstreams.values().cloned().collect();
        directory.recorder.note(&Entry::Workstreams(all));
    }
    directory.in_force.set_config(new.clone());
    change.access = changed_access(&old, &new);
    change.retention = retention_changes(
        (&old.retention, old.host.retention),
        (&new.retention, new.host.retention),
    );
    change.settings = other_settings(&old, &new);
    directory.authority.send_replace(());
    change.refused = plugins.refused();
    change.plugins = directory.plugins.publish(plugins, &new);
    let mut channels: HashSet<&ChannelId> = HashSet::new();
    for gone in old.channels.iter().filter(|c| !new.channels.iter().any(|n| n.id == c.id)) {
        directory.in_force.remove_channel(&gone.id);
        channels.insert(&gone.id);
    }
    let others = new.channels.iter().filter(|channel| update_settings(directory, channel, &new));
    channels.extend(others.map(|channel| &channel.id));
    change.channels = channels.iter().map(ToString::to_string).collect();
    change.channels.sort_unstable();
    let moves_items = unfinished || !channels.is_empty() || !workstreams.is_empty();
    let held = Held::all_that_change(directory, &old, &new, moves_items);
    directory.in_force.next_edition();
    change_queues(directory, routing, &old, &new, &mut change);
    change_labels(directory, &old, &new);
    for told in change_agents(directory, routing, &old, &new, &mut change) {
        // An agent who is gone doesn't answer, and has no part in it.
        let _ = told.blocking_recv();
    }
    // What waits is classified anew; its age is kept. What is somebody's has other deadlines.
    let is_concerned = |channel: &str, workstream: &str| {
        let channel = ChannelId::from(channel);
        let goes_by_workstream = directory.in_force.of_channel(&channel).is_none();
        if goes_by_workstream && !new.workstreams.contains_key(&WorkstreamId::from(workstream)) {
            return false;
        }
        unfinished
            || channels.contains(&channel)
            || (goes_by_workstream && workstreams.contains(&workstream))
    };
    if moves_items {
        let read = match provoked_error("open_of") {
            false => reader.open_of(is_concerned),
            true => Err(JournalError::new(Trouble::Disk, "provoked by CORDBOARD_PANIC")),
        };
        let (waiting, others) = match read {
            Ok(open) => open,
            Err(error) => return Err(HalfWay { change: Box::new(change), error }),
        };
        reroute(directory, waiting);
        for id in others {
            directory.deliver(Deliver::new(To::Id(id), Input::Reroute));
        }
    }
    drop(held);
    directory.board.changed();
    // Once this is over: routing is told of all that is open, also of what it didn't know whose it is.
    let is_back = |id: &WorkstreamId| !old.workstreams.contains_key(id);
    if directory.has_orphans.load(Ordering::Acquire) && new.workstreams.keys().any(is_back) {
        directory.make_routing_anew(Anew::Known);
    }
    Ok(change)
}

/// Returns once everything has been classified anew, or after a moment that customers don't notice: a
/// million items take longer.
fn reroute(directory: &Directory, waiting: Vec<ConversationId>) {
    const MOMENT: Duration = Duration::from_millis(500);
    let until = Instant::now() + MOMENT;
    let mut asked: Vec<_> = waiting
        .into_iter()
        .map(|id| {
            let (answer, receiver) = oneshot::channel();
            let deliver = Deliver::new(To::Id(id), Input::Reroute);
            directory.deliver(Deliver { answer: Some(answer), ..deliver });
            (id, receiver)
        })
        .collect();
    while !asked.is_empty() && Instant::now() < until {
        let mut failed = Vec::new();
        asked.retain_mut(|(id, receiver)| match receiver.try_recv() {
            Ok(Answer::Done(_) | Answer::NotFound) => false,
            Err(oneshot::error::TryRecvError::Empty) => true,
            Ok(_) | Err(oneshot::error::TryRecvError::Closed) => {
                failed.push(*id);
                false
            }
        });
        // Without an answer to give it is tried until the journal commits.
        for id in failed {
            directory.deliver(Deliver::new(To::Id(id), Input::Reroute));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    for (id, _) in asked {
        directory.deliver(Deliver::new(To::Id(id), Input::Reroute));
    }
}

/// Queues that give nothing out until everybody has heard of the change: their new settings and their
/// old members together are what nobody has configured.
struct Held<'a> {
    directory: &'a Directory,
    queues: Vec<QueueId>,
}

impl<'a> Held<'a> {
    fn all_that_change(
        directory: &'a Directory,
        old: &Config,
        new: &Config,
        moves_items: bool,
    ) -> Self {
        let differs = |queue: &&QueueConfig| {
            if moves_items {
                return true;
            }
            let known = old.queues.iter().find(|known| known.id == queue.id);
            known.is_some_and(|known| known.settings != queue.settings)
        };
        let queues: Vec<QueueId> =
            new.queues.iter().filter(differs).map(|q| q.id.clone()).collect();
        for queue in &queues {
            directory.tell_queue(queue, queue::Input::Hold);
        }
        Self { directory, queues }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for queue in &self.queues {
            self.directory.tell_queue(queue, queue::Input::GoOn);
        }
    }
}

fn change_queues(
    directory: &Arc<Directory>,
    routing: &ArbiterHandle,
    old: &Config,
    new: &Config,
    change: &mut Change,
) {
    let known: HashMap<&QueueId, _> = old.queues.iter().map(|q| (&q.id, q)).collect();
    for queue in &new.queues {
        let known = known.get(&queue.id);
        if known.is_some_and(|known| *known == queue) {
            continue;
        }
        change.queues.push(queue.id.to_string());
        // What people see isn't its machine's.
        if known.is_some_and(|known| known.settings == queue.settings) {
            continue;
        }
        let settings = queue.settings.clone();
        if directory.queue(&queue.id).is_some() {
            directory.tell_queue(&queue.id, queue::Input::Configure(settings));
            continue;
        }
        let first_offer = u64::try_from(clock::now().0).unwrap_or(0) * 1000;
        let entry = Entry::NewQueue(queue.id.clone(), settings.clone(), first_offer);
        directory.recorder.note(&entry);
        start_queue(Queue::new(queue.id.clone(), settings, first_offer), directory, routing);
    }
    for gone in old.queues.iter().filter(|q| !new.queues.iter().any(|n| n.id == q.id)) {
        change.queues.push(gone.id.to_string());
        directory.tell_queue(&gone.id, queue::Input::Close);
    }
}

/// Whoever has chosen a label follows it (PRES-01).
fn change_labels(directory: &Directory, old: &Config, new: &Config) {
    for label in &old.labels {
        let now = new.labels.iter().find(|known| known.id == label.id);
        if now == Some(label) {
            continue;
        }
        for actor in directory.all_agents() {
            let to = now.map(|now| (now.status, now.name.clone()));
            let input = agent::Input::Relabel { label: label.name.clone(), to };
            actor.do_send(directory.for_agent(input, None));
        }
    }
}

fn change_agents(
    directory: &Arc<Directory>,
    routing: &ArbiterHandle,
    old: &Config,
    new: &Config,
    change: &mut Change,
) -> Vec<oneshot::Receiver<Result<Option<ConversationId>, NotDone>>> {
    let mut answers = Vec::new();
    let mut tell = |actor: Addr<AgentActor>, input| {
        let (answer, receiver) = oneshot::channel();
        actor.do_send(directory.for_agent(input, Some(answer)));
        answers.push(receiver);
    };
    let known: HashMap<&AgentId, _> = old.agents.iter().map(|a| (&a.id, a)).collect();
    // A queue that is there again knows nobody. Its members differ as well, and tell it: nobody could
    // name it while it was gone.
    for agent in &new.agents {
        let known = known.get(&agent.id);
        let is_named_so = known.is_some_and(|known| known.name == agent.name);
        let is_set_so = known.is_some_and(|known| known.settings == agent.settings);
        if !(is_named_so && is_set_so) {
            change.agents.push(agent.id.to_string());
        }
        // What people see isn't their machine's; their role is told by itself.
        if is_set_so {
            continue;
        }
        match directory.agent(&agent.id) {
            Some(actor) => {
                tell(actor, agent::Input::Configure(agent.settings.clone()));
            }
            None => {
                let entry = Entry::NewAgent(agent.id.clone(), agent.settings.clone());
                directory.recorder.note(&entry);
                let machine = Agent::new(agent.id.clone(), agent.settings.clone());
                start_agent(machine, directory, routing);
            }
        }
    }
    for gone in old.agents.iter().filter(|a| !new.agents.iter().any(|n| n.id == a.id)) {
        change.agents.push(gone.id.to_string());
        if let Some(actor) = directory.agent(&gone.id) {
            tell(actor, agent::Input::Retire);
        }
    }
    answers
}

/// Who may what, where that has changed: an auditor's first question (SEC-03).
fn changed_access(old: &Config, new: &Config) -> Vec<String> {
    let mut sentences = Vec::new();
    for agent in &new.agents {
        let before = old.agent(&agent.id).map(|known| &known.role);
        if before != Some(&agent.role) {
            let before = before.map_or("not there", Role::as_str);
            sentences.push(format!("{} is {}; was {before}", agent.id, agent.role.as_str()));
        }
    }
    let gone = old.agents.iter().filter(|agent| new.agent(&agent.id).is_none());
    sentences
        .extend(gone.map(|agent| format!("{} is gone; was {}", agent.id, agent.role.as_str())));
    let names = |list: Option<&BTreeSet<Permission>>| match list {
        Some(list) => list.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(", "),
        None => "nothing".to_owned(),
    };
    let roles: BTreeSet<_> = old.permissions.keys().chain(new.permissions.keys()).collect();
    for role in roles {
        let (before, now) = (old.permissions.get(role), new.permissions.get(role));
        if before != now {
            let (role, now, before) = (role.as_str(), names(now), names(before));
            sentences.push(format!("role {role} may: {now}; might: {before}"));
        }
    }
    sentences
}

fn changed_workstreams<'a>(old: &Config, new: &'a Config) -> Vec<&'a str> {
    let mut changed: Vec<&str> = new
        .workstreams
        .iter()
        .filter(|(id, settings)| old.workstreams.get(*id).is_none_or(|known| known != *settings))
        .map(|(id, _)| id.as_str())
        .collect();
    changed.sort_unstable();
    changed
}

/// A channel's conversations follow the new settings, and its plugin's limits. Whether they are other ones.
pub fn update_settings(directory: &Directory, channel: &ChannelConfig, config: &Config) -> bool {
    let known = directory.in_force.of_channel(&channel.id);
    let Some(workstream) = config.workstreams.get(&channel.workstream) else { return false };
    let longest = directory.plugins.longest_text(&channel.id);
    let settings = channel_settings(workstream, channel, longest);
    if known.is_some_and(|known| known == settings) {
        return false;
    }
    directory.set_settings(&channel.id, settings);
    true
}

/// A workstream's settings as they are on one of its channels. `longest` is the longest text that its
/// plugin takes, where that is known; a channel may allow less (CH-11).
pub fn channel_settings(
    workstream: &Arc<Workstream>,
    channel: &ChannelConfig,
    longest: Option<u32>,
) -> Arc<Workstream> {
    let mut settings = workstream.as_ref().clone();
    let longest = longest.unwrap_or(settings.max_text);
    settings.max_text = channel.max_text.map_or(longest, |own| own.min(longest));
    settings.language.clone_from(&channel.language);
    settings.hours.clone_from(&channel.hours);
    settings.revision = revision(&settings);
    Arc::new(settings)
}

/// What is looked up whenever it is needed, and isn't named otherwise.
fn other_settings(old: &Config, new: &Config) -> Vec<String> {
    let (was, is) = (&old.host, &new.host);
    let differ = those_that_differ([
        ("host.proxies", was.proxies != is.proxies),
        ("host.limits", was.limits != is.limits),
        ("host.swaps", was.swaps != is.swaps),
        ("host.public_url", was.public_url != is.public_url),
        ("host.sign_ins", was.sign_ins != is.sign_ins),
        ("host.keep_routing_log", was.keep_routing_log != is.keep_routing_log),
        ("presence.labels", old.labels != new.labels),
        ("fields", old.fields != new.fields),
    ]);
    differ.into_iter().map(str::to_owned).collect()
}

/// Addresses and folders are read when the host starts: they can't be exchanged under those who use them.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let (was, is) = (&old.host, &new.host);
    let differ = those_that_differ([
        ("listen", was.listen != is.listen),
        ("operations", was.operations != is.operations),
        ("tls", was.tls != is.tls),
        ("data", was.data != is.data),
    ]);
    let sentence = |name: &str| format!("host.{name} differs: it is read at the start");
    differ.into_iter().map(sentence).collect()
}
