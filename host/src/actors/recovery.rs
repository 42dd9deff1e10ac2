//! Start: queues and ledgers are rebuilt from the open conversations, then the actors start.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use actix::{Actor, Arbiter, ArbiterHandle};
use cordboard_core::conversation::Input;
use cordboard_core::effect::Effect;
use cordboard_core::ids::{AgentId, QueueId};
use cordboard_core::{Agent, Effects, Queue, agent};

use crate::actors::agent::AgentActor;
use crate::actors::alarms::{AlarmClock, Alarms};
use crate::actors::directory::Directory;
use crate::actors::queue::QueueActor;
use crate::actors::recorder::{Entry, Recorder, Restoring};
use crate::actors::shard::{Commit, Shard};
use crate::clock;
use crate::config::Config;
use crate::journal::Reader;

/// What recovery has read, before there is an actor.
pub struct Actors {
    agents: HashMap<AgentId, Agent>,
    queues: HashMap<QueueId, Queue>,
    clock: AlarmClock,
    /// Open conversations found.
    pub open: u64,
    /// What the machines said while they were filled.
    effects: Vec<Effect>,
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
    ) -> rusqlite::Result<(Self, Alarms)> {
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
        let mut deadlines = Vec::new();
        let mut open = 0;
        let mut fx = Effects::new();
        let mut orphans = 0u64;
        reader.each_open(|row| {
            open += 1;
            let Some(policy) = config.workstreams.get(&row.workstream) else {
                orphans += 1;
                return;
            };
            if let Some(at) = row.wake_at {
                deadlines.push((at, row.standing.id));
            }
            for effect in row.standing.recover(policy) {
                match effect {
                    Effect::Queue(id, input) => match queues.get_mut(&id) {
                        Some(queue) => {
                            recorder.queue(&id, now, &input);
                            queue.handle(input, now, &mut fx);
                        }
                        // Its queue is configured no longer: it finds another one.
                        None => fx.then.push(Effect::Conversation(row.standing.id, Input::Reroute)),
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
            // Nobody is signed in, so nobody is offered anything and no screen is open: what is
            // left are answers to conversations, and what queues chose.
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
        let (alarms, clock) = Alarms::new(deadlines);
        Ok((Self { agents, queues, clock, open, effects: fx.then }, alarms))
    }
}

/// Starts queues, agents and the clock, on one arbiter as they talk much. What recovery has to say to
/// conversations comes back: it is to be carried out once there are shards.
pub fn start(actors: Actors, directory: &Arc<Directory>) -> (Arbiter, Vec<Effect>) {
    let routing = Arbiter::new();
    for (_, machine) in actors.queues {
        start_queue(machine, directory, &routing.handle());
    }
    for (_, machine) in actors.agents {
        start_agent(machine, directory, &routing.handle());
    }
    routing.spawn(actors.clock.run(Arc::downgrade(directory)));
    let own = Arc::downgrade(directory);
    routing.spawn(async move {
        while let Some(directory) = own.upgrade() {
            directory.recorder.flush();
            drop(directory);
            tokio::time::sleep(FLUSH_EVERY).await;
        }
    });
    (routing, actors.effects)
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
    if let Some(number) = directory.settle_shard(shard.clone()) {
        directory.journal.set_home(number, move |settled| shard.do_send(Commit(settled)));
    }
}
