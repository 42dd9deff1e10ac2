//! A change of configuration while work flows (ROUTE-17): the parts that differ are sent to the
//! actors they concern; everything else goes on undisturbed.

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Addr, ArbiterHandle};
use cordboard_core::conversation::Input;
use cordboard_core::ids::{AgentId, QueueId};
use cordboard_core::workstream::Workstream;
use cordboard_core::{Agent, Queue, agent, queue};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::actors::agent::{AgentActor, TellAgent};
use crate::actors::directory::{ChannelSlot, Deliver, Directory, To};
use crate::actors::recorder::Entry;
use crate::actors::recovery::{start_agent, start_queue};
use crate::clock;
use crate::config::{ChannelConfig, Config, QueueConfig, revision};
use crate::journal::Reader;

/// What a change did.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Change {
    /// Queues that are new, differ, or are gone.
    pub queues: Vec<String>,
    /// Agents that are new, differ, or are gone.
    pub agents: Vec<String>,
    /// Workstreams whose settings or rules differ.
    pub workstreams: Vec<String>,
    /// What differs but takes a restart, in a sentence each.
    pub after_restart: Vec<String>,
}

impl Change {
    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
            && self.agents.is_empty()
            && self.workstreams.is_empty()
            && self.after_restart.is_empty()
    }
}

/// Puts a configuration that was checked in force. Queues come first, so that agents find those they
/// join; conversations last, so that they find the queues that rules now name.
///
/// # Errors
/// SQLite's own, if the waiting conversations can't be read; then they follow their new rules only
/// when something happens to them.
pub fn reconfigure(
    directory: &Arc<Directory>,
    routing: &ArbiterHandle,
    reader: &Reader,
    new: Config,
) -> rusqlite::Result<Change> {
    let old = directory.config();
    let new = Arc::new(new);
    let mut change = Change { after_restart: needs_restart(&old, &new), ..Change::default() };
    let workstreams = changed_workstreams(&old, &new);
    change.workstreams = workstreams.iter().map(ToString::to_string).collect();
    // Recorded before anything can go by them, as a channel's are.
    if !workstreams.is_empty() {
        let all = new.workstreams.values().cloned().collect();
        directory.recorder.note(&Entry::Workstreams(all));
    }
    directory.set_config(new.clone());
    for channel in &new.channels {
        update_slot(directory, channel, &new);
    }
    directory.next_edition();
    let held = Held::all_that_change(directory, &old, &new);
    change_queues(directory, routing, &old, &new, &mut change);
    for told in change_agents(directory, routing, &old, &new, &mut change) {
        // An agent who is gone doesn't answer, and has no part in it.
        let _ = told.blocking_recv();
    }
    drop(held);
    // What waits is classified anew; its age is kept.
    let is_concerned = |name: &str| workstreams.contains(&name);
    if !workstreams.is_empty() {
        for id in reader.waiting(is_concerned)? {
            directory.deliver(Deliver::new(To::Id(id), Input::Reroute));
        }
    }
    Ok(change)
}

/// Queues that give nothing out until everybody has heard of the change: their new settings and their
/// old members together are what nobody has configured.
struct Held<'a> {
    directory: &'a Directory,
    queues: Vec<QueueId>,
}

impl<'a> Held<'a> {
    fn all_that_change(directory: &'a Directory, old: &Config, new: &Config) -> Self {
        let differs = |queue: &&QueueConfig| {
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
    let known: HashMap<&QueueId, _> = old.queues.iter().map(|q| (&q.id, &q.settings)).collect();
    for queue in &new.queues {
        if known.get(&queue.id).is_some_and(|settings| **settings == queue.settings) {
            continue;
        }
        change.queues.push(queue.id.to_string());
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

fn change_agents(
    directory: &Arc<Directory>,
    routing: &ArbiterHandle,
    old: &Config,
    new: &Config,
    change: &mut Change,
) -> Vec<oneshot::Receiver<Result<(), agent::Refused>>> {
    let mut answers = Vec::new();
    let mut tell = |actor: Addr<AgentActor>, input| {
        let (answer, receiver) = oneshot::channel();
        actor.do_send(TellAgent { input, answer: Some(answer) });
        answers.push(receiver);
    };
    let known: HashMap<&AgentId, _> = old.agents.iter().map(|a| (&a.id, &a.settings)).collect();
    // A queue that is there again knows nobody. Its members differ as well, and tell it: nobody could
    // name it while it was gone.
    for agent in &new.agents {
        if known.get(&agent.id).is_some_and(|settings| **settings == agent.settings) {
            continue;
        }
        change.agents.push(agent.id.to_string());
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

/// A channel's conversations follow the new settings; the channel itself stays as it was loaded.
fn update_slot(directory: &Directory, channel: &ChannelConfig, config: &Config) {
    let Some(slot) = directory.channel(&channel.id) else { return };
    let Some(workstream) = config.workstreams.get(&channel.workstream) else { return };
    let policy = channel_policy(workstream, channel, slot.policy.max_text);
    if policy == slot.policy {
        return;
    }
    directory.put_channel(channel.id.clone(), ChannelSlot { policy, ..(*slot).clone() });
}

/// A workstream's settings as they are on one of its channels.
pub fn channel_policy(
    workstream: &Arc<Workstream>,
    channel: &ChannelConfig,
    max_text: u32,
) -> Arc<Workstream> {
    let mut policy = workstream.as_ref().clone();
    policy.max_text = max_text;
    policy.language.clone_from(&channel.language);
    policy.hours.clone_from(&channel.hours);
    policy.revision = revision(&policy);
    Arc::new(policy)
}

/// Channels and addresses are read when the host starts.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let mut sentences = Vec::new();
    if old.host != new.host {
        sentences.push("`host` differs: addresses and folders are read at the start".to_owned());
    }
    let plugin_part = |channel: &ChannelConfig| {
        let mut part = channel.clone();
        part.place.path.clear();
        part.workstream = "".into();
        part.language.clear();
        part.hours = None;
        part
    };
    for channel in &new.channels {
        match old.channels.iter().find(|known| known.id == channel.id) {
            None => sentences.push(format!("channel {} is new", channel.id)),
            Some(known) if plugin_part(known) != plugin_part(channel) => {
                sentences.push(format!("channel {} differs", channel.id));
            }
            Some(_) => {}
        }
    }
    for gone in old.channels.iter().filter(|c| !new.channels.iter().any(|n| n.id == c.id)) {
        sentences.push(format!("channel {} is gone; it goes on until then", gone.id));
    }
    if old.strategies != new.strategies {
        sentences.push("`strategies` differs: plugins are loaded at the start".to_owned());
    }
    sentences
}
