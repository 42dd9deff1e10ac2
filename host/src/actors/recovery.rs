//! Start: queues and ledgers are rebuilt from the open conversations, then the actors start.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use actix::{Actor, Arbiter, ArbiterHandle};
use cordboard_core::conversation::Input;
use cordboard_core::effect::Effect;
use cordboard_core::ids::{AgentId, ChannelId, ConversationId, QueueId};
use cordboard_core::presence::PresenceSource;
use cordboard_core::time::Timestamp;
use cordboard_core::workstream::Workstream;
use cordboard_core::{Agent, Effects, Queue, agent};
use tokio::sync::mpsc;

use crate::actors::agent::AgentActor;
use crate::actors::alarms::{AlarmClock, Alarms};
use crate::actors::deliver::{Deliver, To};
use crate::actors::directory::Directory;
use crate::actors::queue::QueueActor;
use crate::actors::rebuild;
use crate::actors::reconfigure::channel_policy;
use crate::actors::recorder::{Entry, Recorder, Restoring};
use crate::actors::shard::{Commit, Shard};
use crate::clock;
use crate::config::{ChannelConfig, Config};
use crate::journal::{JournalError, Reader};

/// What recovery has read, before there is an actor.
pub struct Actors {
    agents: HashMap<AgentId, Agent>,
    queues: HashMap<QueueId, Queue>,
    clock: AlarmClock,
    /// Open conversations found.
    pub open: u64,
    later: Later,
}

/// What a start has to say once its actors are there, in this order.
#[derive(Default)]
struct Later {
    /// To conversations, what the machines said while they were filled.
    answers: Vec<Effect>,
    /// To agents, what they were (PRES-04).
    recalls: Vec<(AgentId, agent::Input)>,
    /// And the questions that they haven't answered.
    questions: Vec<Effect>,
    /// Conversations that went by other settings than those in force: the configuration was changed
    /// while the host was down, or in its last moment (ROUTE-17).
    outdated: Vec<ConversationId>,
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
        let mut agents: HashMap<AgentId, Agent> = config
            .agents
            .iter()
            .map(|agent| (agent.id.clone(), Agent::new(agent.id.clone(), agent.settings.clone())))
            .collect();
        let mut queues: HashMap<QueueId, Queue> = config
            .queues
            .iter()
            .map(|queue| {
                let machine = Queue::new(queue.id.clone(), queue.settings.clone(), first_offer);
                (queue.id.clone(), machine)
            })
            .collect();
        recorder.note(&Entry::Start {
            first_offer,
            queues: config.queues.iter().map(|q| (q.id.clone(), q.settings.clone())).collect(),
            agents: config.agents.iter().map(|a| (a.id.clone(), a.settings.clone())).collect(),
        });
        recorder.note(&Entry::Workstreams(config.workstreams.values().cloned().collect()));
        let mut restoring = Restoring::new(recorder, now);
        let policies = channel_policies(config);
        let mut deadlines = reader.deadlines_of_closed()?;
        let mut open = 0;
        let mut fx = Effects::new();
        let mut later = Later::default();
        let mut orphans = 0u64;
        reader.each_open(|row| {
            open += 1;
            // The channel's settings, with its hours and language; its workstream's if the channel is
            // configured no longer.
            let by_channel = policies.get(&row.channel);
            let Some(policy) = by_channel.or_else(|| config.workstreams.get(&row.workstream))
            else {
                orphans += 1;
                return;
            };
            if let Some(at) = row.wake_at {
                deadlines.push((at, row.standing.id));
            }
            if row.standing.ticket.revision != policy.revision {
                later.outdated.push(row.standing.id);
            }
            later.questions.extend(row.standing.ask_again(policy));
            for effect in row.standing.recover(policy) {
                match effect {
                    Effect::Queue(id, input) => match queues.get_mut(&id) {
                        Some(queue) => {
                            recorder.queue(&id, now, &input);
                            queue.handle(input, now, &mut fx);
                        }
                        // Its queue is configured no longer: it finds another one.
                        None => {
                            let bounced = Input::Bounced { queue: id };
                            fx.then.push(Effect::Conversation(row.standing.id, bounced));
                        }
                    },
                    Effect::Agent(id, input) => {
                        // Whoever is configured no longer gives back what they held.
                        let agent = agents.entry(id.clone()).or_insert_with(|| {
                            let nobody = Arc::new(agent::Settings::with_defaults(Vec::new()));
                            recorder.note(&Entry::NewAgent(id.clone(), nobody.clone()));
                            let mut agent = Agent::new(id.clone(), nobody);
                            restoring.agent(&id, &agent::Input::Retire);
                            // Nothing that recovery says can be refused.
                            drop(agent.handle(agent::Input::Retire, now, &mut fx));
                            agent
                        });
                        restoring.agent(&id, &input);
                        drop(agent.handle(input, now, &mut fx));
                    }
                    _ => {}
                }
            }
            // Nobody is there yet, so nobody is offered anything and no screen is open: what is left
            // are answers to conversations, and what queues chose.
            fx.agent_events.clear();
            fx.then.retain(|effect| match effect {
                Effect::Decided(decision) => {
                    recorder.decided(decision);
                    false
                }
                effect => matches!(effect, Effect::Conversation(..)),
            });
        })?;
        restoring.finish();
        if orphans > 0 {
            tracing::error!(
                orphans,
                "open conversations belong to workstreams that are configured no longer; they stay in the journal untouched"
            );
        }
        later.answers = fx.then;
        // The first start of a journal has nobody to recall.
        let alive_until = reader.alive_at()?.unwrap_or(now);
        let mut presence = reader.presence()?;
        later.recalls.extend(agents.keys().map(|id| {
            let standing = presence.remove(id).map(|kept| with_todays_label(kept, config));
            (id.clone(), agent::Input::Recall { standing, alive_until })
        }));
        let (alarms, clock) = Alarms::new(deadlines);
        Ok((Self { agents, queues, clock, open, later }, alarms))
    }
}

/// What is made anew while the host runs.
pub(super) struct Remade {
    pub agents: HashMap<AgentId, Agent>,
    pub queues: HashMap<QueueId, Queue>,
    pub answers: Vec<Effect>,
    pub recalls: Vec<(AgentId, agent::Input)>,
    pub questions: Vec<Effect>,
    pub deadlines: BTreeSet<(Timestamp, ConversationId)>,
}

impl Actors {
    /// For a host that runs, in which conversations go by today's settings.
    pub(super) fn take_apart(self) -> Remade {
        let Self { agents, queues, later, clock, .. } = self;
        let Later { answers, recalls, questions, .. } = later;
        Remade { agents, queues, answers, recalls, questions, deadlines: clock.into_deadlines() }
    }
}

/// The label that somebody has chosen may stand for another status by now, or be gone (PRES-01).
fn with_todays_label(mut standing: agent::Standing, config: &Config) -> agent::Standing {
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
fn channel_policies(config: &Config) -> HashMap<ChannelId, Arc<Workstream>> {
    let of = |channel: &ChannelConfig| {
        let workstream = config.workstreams.get(&channel.workstream)?;
        Some((channel.id.clone(), channel_policy(workstream, channel, None)))
    };
    config.channels.iter().filter_map(of).collect()
}

/// Starts queues, agents and the clock, on one arbiter as they talk much. Everybody hears what recovery
/// has to say before a door is open; conversations as soon as there are shards.
pub fn start(
    actors: Actors,
    directory: &Arc<Directory>,
    routing_lost: mpsc::UnboundedReceiver<String>,
) -> Arbiter {
    let routing = Arbiter::new();
    let weak = || Arc::downgrade(directory);
    let watch = rebuild::watch(weak(), routing.handle(), routing_lost);
    routing.spawn(Directory::supervised(weak(), "who makes routing anew", watch));
    for (_, machine) in actors.queues {
        start_queue(machine, directory, &routing.handle());
    }
    for (_, machine) in actors.agents {
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
    let Later { answers, recalls, questions, outdated } = actors.later;
    directory.carry_out(None, answers);
    let recalls = recalls.into_iter().map(|(id, recall)| Effect::Agent(id, recall));
    directory.carry_out(None, recalls.collect());
    directory.carry_out(None, questions);
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
pub fn start_shard(directory: &Arc<Directory>, reader: Reader, idle_after: Option<Duration>) {
    let idle_after = idle_after.unwrap_or(Shard::IDLE_AFTER);
    let shard = Shard::new(directory.clone(), reader, idle_after).start();
    if let Some(number) = directory.place_shard(shard.clone()) {
        directory.journal.set_home(number, move |settled| shard.do_send(Commit(settled)));
    }
}
