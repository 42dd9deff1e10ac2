//! Routing made anew (OPS-09): a queue's or an agent's machine that has panicked can't be trusted, and
//! what it knows of the others, and they of it, can't either. All of it is a view of the conversations,
//! so all of it is made from the journal, as at a start, while conversations go on:
//!
//! 1. Queues and agents pause: what they are told is put aside.
//! 2. What they had said to conversations arrives, and what follows from it is on disk.
//! 3. So what was put aside until then is in the journal, unless it came from outside.
//! 4. Machines are made from it; each agent is told what they were, and of the screens they have.
//! 5. They go on, with what was put aside since.
//!
//! Where only the record is to begin anew (OPS-03), they pause as well, but stay what they are: a run that begins with
//! what they are is as good as one that begins with a start.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use actix::{Addr, ArbiterHandle, Handler, Message};
use cordboard_core::effect::Effect;
use cordboard_core::ids::{AgentId, QueueId};
use cordboard_core::{Agent, Queue, agent, queue};
use tokio::sync::mpsc;

use crate::actors::agent::{AgentActor, Recalled};
use crate::actors::directory::Directory;
use crate::actors::queue::QueueActor;
use crate::actors::recorder::Entry;
use crate::actors::recovery::{Actors, start_agent, start_queue};
use crate::actors::shard::{Drain, Shard};
use crate::clock;
use crate::grief::provoked_error;
use crate::journal::{Reader, Record};

/// Why routing is to be made anew.
pub enum Anew {
    /// A part has come to grief.
    Lost(String),
    /// Conversations of which it doesn't know have settings again.
    Known,
    /// The record of this run has become so long that another one is to begin: a run's can go only as a whole.
    Recorded,
}

/// Stop and put aside what comes.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Pause;

/// What was put aside is in the journal, but for what came from outside.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct PutAsideIsWritten;

/// Be this from now on, but go on pausing.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Become<M>(pub M);

/// A run of the record begins with what you are.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct NoteWhatYouAre;

/// Go on, with what was put aside.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct GoOn;

/// Makes routing anew whenever somebody says that it has come to grief; until the host stops.
pub(super) async fn watch(
    directory: Weak<Directory>,
    routing: ArbiterHandle,
    mut calls: mpsc::UnboundedReceiver<Anew>,
) {
    while let Some(call) = calls.recv().await {
        let Some(directory) = directory.upgrade() else { return };
        // Those who came to grief meanwhile are made anew together.
        let calls = std::iter::once(call).chain(std::iter::from_fn(|| calls.try_recv().ok()));
        let lost = |call| match call {
            Anew::Lost(why) => Some(why),
            Anew::Known | Anew::Recorded => None,
        };
        let calls: Vec<Anew> = calls.collect();
        let began = Instant::now();
        if calls.iter().all(|call| matches!(call, Anew::Recorded)) {
            record_anew(&directory).await;
            let ms = began.elapsed().as_millis() as u64;
            tracing::info!(ms, "another run of the record of routing has begun");
            continue;
        }
        if let Some(why) = calls.into_iter().filter_map(lost).next_back() {
            directory.grief.happened(&why);
        }
        match rebuild(&directory, &routing).await {
            Ok(open) => {
                directory.metrics.rebuilt.inc();
                let ms = began.elapsed().as_millis() as u64;
                tracing::warn!(open, ms, "routing was made anew from the journal");
            }
            Err(error) => {
                directory.grief.stop(format!("routing can't be made anew: {error}"));
                return;
            }
        }
    }
}

/// Notes what the machines are as another run begins.
async fn record_anew(directory: &Directory) {
    // No change of the configuration in between: what it tells the machines belongs to one run.
    let _no_change = directory.changing.lock().await;
    let agents = directory.agent_actors();
    let queues = directory.queue_actors();
    everybody(&queues, &agents, || Pause).await;
    directory.recorder.begin_run(clock::now(), directory.settings_in_force());
    everybody(&queues, &agents, || NoteWhatYouAre).await;
    everybody(&queues, &agents, || GoOn).await;
}

/// What the machines are by the journal. A read that fails is perhaps the moment's: it is tried again before the host
/// ends.
async fn made_of_the_journal(directory: &Arc<Directory>) -> Result<Actors, String> {
    const TRIES: u32 = 3;
    const PAUSE: Duration = Duration::from_millis(200);
    let mut tried = 0;
    loop {
        tried += 1;
        let own = directory.clone();
        let made = actix_web::rt::task::spawn_blocking(move || {
            if provoked_error("rebuild") {
                return Err("provoked by CORDBOARD_PANIC".to_owned());
            }
            let config = own.config();
            let reader = Reader::open(&config.host.data).map_err(|error| error.to_string())?;
            let made = Actors::recover(&config, &reader, &own.recorder);
            made.map(|(actors, _)| actors).map_err(|error| error.to_string())
        });
        match made.await.map_err(|error| error.to_string())? {
            Err(why) if tried < TRIES => {
                tracing::warn!(why, "routing couldn't be made anew; it is tried again");
                tokio::time::sleep(PAUSE * tried).await;
            }
            made => return made,
        }
    }
}

async fn rebuild(directory: &Arc<Directory>, routing: &ArbiterHandle) -> Result<u64, String> {
    // No change of the configuration in between: it would meet half of the machines.
    let _no_change = directory.changing.lock().await;
    let agents = directory.agent_actors();
    let queues = directory.queue_actors();
    everybody(&queues, &agents, || Pause).await;
    wait_for_conversations(directory).await;
    everybody(&queues, &agents, || PutAsideIsWritten).await;
    let made = made_of_the_journal(directory).await?;
    let open = made.open;
    replace(directory, routing, made, &agents, &queues).await;
    Ok(open)
}

/// What queues and agents had said arrives, what follows is on disk, and everybody was told of it.
async fn wait_for_conversations(directory: &Arc<Directory>) {
    let shards: Vec<Addr<Shard>> = directory.shard_actors();
    // What had been put off is on its way after the first time.
    for shard in shards.iter().chain(&shards) {
        told(shard.send(Drain).await);
    }
    // An empty write comes behind those under way. With a journal that can't commit there is nothing to
    // be made anew from yet.
    while directory.journal.write_now(Record::Barrier).await.is_err() && !directory.is_stopping() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // What is told of the commits lies in the shards' mailboxes now, before this.
    for shard in &shards {
        told(shard.send(Drain).await);
    }
}

async fn replace(
    directory: &Arc<Directory>,
    routing: &ArbiterHandle,
    made: Actors,
    agents: &HashMap<AgentId, Addr<AgentActor>>,
    queues: &HashMap<QueueId, Addr<QueueActor>>,
) {
    directory.has_orphans.store(made.orphans > 0, Ordering::Release);
    let (mut made, deadlines) = made.take_apart();
    // Who is configured no longer stays until the next start, as something may be on its way to them; what
    // machine they had can't be trusted either.
    let (now, recorder) = (clock::now(), &directory.recorder);
    for id in queues.keys() {
        made.queues.entry(id.clone()).or_insert_with(|| {
            recorder.note(&Entry::NewQueue(id.clone(), Arc::default(), 0));
            recorder.queue(id, now, &queue::Input::Close);
            Queue::closed(id.clone())
        });
    }
    for id in agents.keys() {
        made.agents.entry(id.clone()).or_insert_with(|| {
            recorder.note(&Entry::NewAgent(id.clone(), Arc::new(Agent::nobody())));
            recorder.agent(id, now, &agent::Input::Retire);
            Agent::retired(id.clone(), now)
        });
    }
    for (id, machine) in made.queues {
        match queues.get(&id).filter(|actor| actor.connected()) {
            Some(actor) => told(actor.send(Become::<Queue>(machine)).await),
            None => start_queue(machine, directory, routing),
        }
    }
    for (id, machine) in made.agents {
        match agents.get(&id).filter(|actor| actor.connected()) {
            Some(actor) => told(actor.send(Become::<Agent>(machine)).await),
            None => start_agent(machine, directory, routing),
        }
    }
    // Whatever was lost may have been an alarm, or a reply to be sent.
    for (at, conversation) in deadlines {
        directory.alarms.set(at, conversation);
    }
    directory.look_at_outbox_again();
    directory.carry_out(None, made.answers);
    for recall in made.recalls {
        let Effect::Agent(id, recall) = recall else { unreachable!("agents are recalled") };
        match directory.agent(&id) {
            Some(actor) => told(actor.send(Recalled(recall)).await),
            None => tracing::error!(agent = %id, "an agent's actor isn't there"),
        }
    }
    directory.carry_out(None, made.questions);
    everybody(queues, agents, || GoOn).await;
}

/// Tells all queues, then all agents.
async fn everybody<M>(
    queues: &HashMap<QueueId, Addr<QueueActor>>,
    agents: &HashMap<AgentId, Addr<AgentActor>>,
    message: impl Fn() -> M,
) where
    M: Message<Result = ()> + Send + 'static,
    QueueActor: Handler<M>,
    AgentActor: Handler<M>,
{
    for actor in queues.values() {
        told(actor.send(message()).await);
    }
    for actor in agents.values() {
        told(actor.send(message()).await);
    }
}

/// An actor that has ended has done so with the host.
fn told(result: Result<(), actix::MailboxError>) {
    if let Err(error) = result {
        tracing::debug!(%error, "an actor has ended while routing was made anew");
    }
}
