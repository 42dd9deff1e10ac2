//! Start: queues and ledgers are rebuilt from the open conversations, then the actors start.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Actor, Arbiter, ArbiterHandle};
use cordboard_core::conversation::Input;
use cordboard_core::decision::Decision;
use cordboard_core::ids::{AgentId, ChannelId, ConversationId, QueueId};
use cordboard_core::presence::PresenceSource;
use cordboard_core::switchboard::{Recovered, Recovery, Witness};
use cordboard_core::time::Timestamp;
use cordboard_core::workstream::Workstream;
use cordboard_core::{Agent, Queue, agent, queue};
use tokio::sync::mpsc;

use crate::actors::agent::AgentActor;
use crate::actors::alarms::{AlarmClock, Alarms};
use crate::actors::deliver::{Deliver, To};
use crate::actors::directory::Directory;
use crate::actors::queue::QueueActor;
use crate::actors::rebuild::{self, Anew};
use crate::actors::reconfigure::channel_settings;
use crate::actors::recorder::{Entry, Recorder, Restoring};
use crate::actors::shard::{Commit, Shard};
use crate::clock;
use crate::config::{ChannelConfig, Config};
use crate::journal::{JournalError, Reader};

/// What recovery has read, before there is an actor.
pub struct Actors {
    pub(super) made: Recovered,
    clock: AlarmClock,
    /// Open conversations found.
    pub open: u64,
    /// Of which so many have no settings.
    pub orphans: u64,
}

/// The record hears what machines are given as they are made.
struct Noted<'a> {
    recorder: &'a Recorder,
    restoring: Restoring<'a>,
    now: Timestamp,
}

impl Witness for Noted<'_> {
    fn queue(&mut self, id: &QueueId, input: &queue::Input) {
        self.recorder.queue(id, self.now, input);
    }

    fn new_agent(&mut self, id: &AgentId, settings: &Arc<agent::Settings>) {
        self.recorder.note(&Entry::NewAgent(id.clone(), settings.clone()));
    }

    fn agent(&mut self, id: &AgentId, input: &agent::Input) {
        self.restoring.agent(id, input);
    }

    fn decided(&mut self, decision: &Decision) {
        self.recorder.decided(decision);
    }
}

impl Actors {
    /// Reads the open conversations.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn recover(
        config: &Config,
        reader: &Reader,
        recorder: &Recorder,
    ) -> Result<(Self, Alarms), JournalError> {
        let now = clock::now();
        // Larger than any number of an earlier run, unless that made a thousand offers a second.
        let first_offer = u64::try_from(now.0).unwrap_or(0) * 1000;
        let agents =
            config.agents.iter().map(|agent| Agent::new(agent.id.clone(), agent.settings.clone()));
        let queues = config
            .queues
            .iter()
            .map(|queue| Queue::new(queue.id.clone(), queue.settings.clone(), first_offer));
        recorder.note(&Entry::Start {
            first_offer,
            queues: config.queues.iter().map(|q| (q.id.clone(), q.settings.clone())).collect(),
            agents: config.agents.iter().map(|a| (a.id.clone(), a.settings.clone())).collect(),
        });
        recorder.note(&Entry::Workstreams(config.workstreams.values().cloned().collect()));
        let mut noted = Noted { recorder, restoring: Restoring::new(recorder, now), now };
        let of_channels = settings_by_channel(config);
        let mut deadlines = reader.deadlines_of_closed()?;
        let mut open = 0;
        let mut orphans = 0u64;
        // The first start of a journal has nobody to recall.
        let alive_until = reader.alive_at()?.unwrap_or(now);
        let mut recovery = Recovery::new(agents, queues, now, alive_until);
        Reader::each_open_of(&config.host.data, |row| {
            open += 1;
            // The channel's settings, with its hours and language; its workstream's if the channel is
            // configured no longer.
            let by_channel = of_channels.get(&row.channel);
            let Some(settings) = by_channel.or_else(|| config.workstreams.get(&row.workstream))
            else {
                orphans += 1;
                return;
            };
            if let Some(at) = row.wake_at {
                deadlines.push((at, row.standing.id));
            }
            recovery.add(&row.standing, settings, &mut noted);
        })?;
        noted.restoring.finish();
        if orphans > 0 {
            tracing::error!(
                orphans,
                "open conversations belong to workstreams that are configured no longer: they aren't routed, and wait until those are, or until somebody ends them (permission `conversation.end`)"
            );
        }
        let mut presence = reader.presence()?;
        let kept = |id: &AgentId| presence.remove(id).map(|kept| with_todays_label(kept, config));
        let made = recovery.finish(kept);
        if let Some(by) = made.clock_back_by {
            let seconds = by.0 / 1000;
            tracing::warn!(
                seconds,
                "the clock stands behind where it stood when the last run ended: what counted from then counts from now"
            );
        }
        let (alarms, clock) = Alarms::new(deadlines);
        Ok((Self { made, clock, open, orphans }, alarms))
    }

    /// For a host that runs, in which conversations go by today's settings already.
    pub(super) fn take_apart(self) -> (Recovered, BTreeSet<(Timestamp, ConversationId)>) {
        (self.made, self.clock.into_deadlines())
    }
}

/// The label that somebody has chosen may stand for another status by now, or be gone (PRES-01).
fn with_todays_label(mut standing: agent::KeptPresence, config: &Config) -> agent::KeptPresence {
    let chosen = standing.chosen.as_mut().filter(|chosen| chosen.source == PresenceSource::Manual);
    if let Some(chosen) = chosen {
        let label = config.labels.iter().find(|label| *label.name == chosen.label);
        let is_plain = chosen.label == chosen.status.as_str();
        match label {
            Some(label) => chosen.status = label.status,
            None if is_plain => {}
            None => standing.chosen = None,
        }
    }
    standing
}

/// What conversations of each channel go by. (How much text a plugin takes isn't known before it is
/// loaded, and routing doesn't ask.)
fn settings_by_channel(config: &Config) -> HashMap<ChannelId, Arc<Workstream>> {
    let of = |channel: &ChannelConfig| {
        let workstream = config.workstreams.get(&channel.workstream)?;
        Some((channel.id.clone(), channel_settings(workstream, channel, None)))
    };
    config.channels.iter().filter_map(of).collect()
}

/// Starts queues, agents and the clock, on one arbiter as they talk much. Everybody hears what recovery
/// has to say before a door is open; conversations as soon as there are shards.
pub fn start(
    actors: Actors,
    directory: &Arc<Directory>,
    calls: mpsc::UnboundedReceiver<Anew>,
) -> Arbiter {
    let routing = Arbiter::new();
    let weak = || Arc::downgrade(directory);
    let watch = rebuild::watch(weak(), routing.handle(), calls);
    routing.spawn(Directory::supervised(weak(), "who makes routing anew", watch));
    directory.has_orphans.store(actors.orphans > 0, Ordering::Release);
    let Recovered { agents, queues, answers, recalls, questions, outdated, set_back, .. } =
        actors.made;
    for (_, machine) in queues {
        start_queue(machine, directory, &routing.handle());
    }
    for (_, machine) in agents {
        start_agent(machine, directory, &routing.handle());
    }
    let clock = actors.clock.run(weak());
    routing.spawn(Directory::supervised(weak(), "the alarm clock", clock));
    let own = weak();
    let recorder = async move {
        while let Some(directory) = own.upgrade() {
            directory.recorder.flush();
            drop(directory);
            tokio::time::sleep(FLUSH_EVERY).await;
        }
    };
    routing.spawn(Directory::supervised(weak(), "the routing record", recorder));
    for effects in [answers, recalls, questions] {
        directory.carry_out(None, effects);
    }
    for id in set_back {
        directory.deliver(Deliver::new(To::Id(id), Input::Wake));
    }
    for id in outdated {
        directory.deliver(Deliver::new(To::Id(id), Input::Reroute));
    }
    routing
}

/// The record of routing lags behind by this much.
const FLUSH_EVERY: Duration = Duration::from_millis(50);

pub(super) fn start_queue(machine: Queue, directory: &Arc<Directory>, routing: &ArbiterHandle) {
    let (id, own) = (machine.id().clone(), directory.clone());
    let actor = QueueActor::start_in_arbiter(routing, move |_| QueueActor::new(machine, own));
    directory.put_queue(id, actor);
}

pub(super) fn start_agent(machine: Agent, directory: &Arc<Directory>, routing: &ArbiterHandle) {
    let (id, own) = (machine.id().clone(), directory.clone());
    let screens = Arc::new(AtomicUsize::new(0));
    let counted = screens.clone();
    let actor =
        AgentActor::start_in_arbiter(routing, move |_| AgentActor::new(machine, own, counted));
    directory.put_agent(id, actor, screens);
}

/// Starts a shard on the thread that calls: an HTTP worker's, so that most of a webhook's way needs
/// no other thread to wake. It takes the first place that nobody lives at: a worker that was started
/// anew after a panic takes that of the one before.
pub fn start_shard(directory: &Arc<Directory>, idle_after: Option<Duration>) {
    let idle_after = idle_after.unwrap_or(Shard::IDLE_AFTER);
    let shard = Shard::new(directory.clone(), idle_after).start();
    if let Some(number) = directory.place_shard(shard.clone()) {
        directory.journal.set_home(number, move |answers| shard.do_send(Commit(answers)));
    }
}
