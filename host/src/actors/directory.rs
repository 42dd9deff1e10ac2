//! Who is where: actors by key; and the way there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::Addr;
use cordboard_core::Conversation;
use cordboard_core::agent;
use cordboard_core::ids::{AgentId, ChannelId, ConversationId, QueueId};
use cordboard_core::queue;
use cordboard_core::workstream::Workstream;
use dashmap::DashMap;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use crate::actors::agent::{AgentActor, AgentAnswer, TellAgent};
use crate::actors::alarms::Alarms;
use crate::actors::board::Board;
use crate::actors::deliver::{Answer, Deliver, To};
use crate::actors::erased::Erased;
use crate::actors::in_force::InForce;
use crate::actors::names::{hash_of_id, hash_of_thread};
use crate::actors::queue::{QueueActor, TellQueue};
use crate::actors::rebuild::Anew;
use crate::actors::recorder::{Entry, Recorder};
use crate::actors::shard::{Forget, Shard, ShowTo};
use crate::actors::waiting::Waiting;
use crate::config::Config;
use crate::grief::{self, Grief, Part, contained_future};
use crate::http::{Credentials, Looks};
use crate::journal::{Journal, OutboxRow, Repeater, Target};
use crate::metrics::Metrics;
use crate::outbox::{Complaints, OptOuts, Sending, ToSend};
use crate::plugin::Plugins;

/// Whether it is alive.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct Ping;

pub(super) struct AgentEntry {
    pub actor: Addr<AgentActor>,
    /// How many screens are connected: without any, notices aren't even sent.
    pub screens: Arc<AtomicUsize>,
}

/// The directory.
pub struct Directory {
    /// What everybody goes by.
    pub in_force: InForce,
    /// Channels and strategies.
    pub plugins: Plugins,
    /// The journal.
    pub journal: Journal,
    /// Counters.
    pub metrics: Metrics,
    /// Conversations' deadlines.
    pub alarms: Alarms,
    /// What routing was told and what it chose.
    pub recorder: Recorder,
    /// Sends whose outcome isn't on disk yet.
    pub sending: Sending,
    /// Who has opted out since a reply was written.
    pub opt_outs: OptOuts,
    /// What goes wrong with sends.
    pub complaints: Complaints,
    /// What lies in mailboxes.
    pub waiting: Waiting,
    /// What desks need to know of others.
    pub board: Board,
    /// Who is signed in.
    pub credentials: Credentials,
    /// Who has looked at what.
    pub looks: Looks,
    /// What customers wrote who were erased.
    pub erased: Erased,
    /// What can't be contained ends here.
    pub grief: Grief,
    /// One change of the machines at a time: of the configuration, or of all of them.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Calls for routing to be made anew.
    routing_anew: mpsc::UnboundedSender<Anew>,
    /// Open conversations whose settings weren't configured when routing was made: nobody counts them.
    pub has_orphans: AtomicBool,
    /// Changes whenever somebody may do less than before: whoever holds a connection open looks again
    /// (SEC-06).
    pub authority: watch::Sender<()>,
    pub(super) agents: DashMap<AgentId, AgentEntry>,
    pub(super) queues: DashMap<QueueId, Addr<QueueActor>>,
    shards: DashMap<usize, Addr<Shard>>,
    shard_count: usize,
    /// What came for a shard that isn't there yet, or is being started anew; it gets it as it takes
    /// its place. Nothing that a conversation has to hear is dropped: an alarm that rings before the
    /// doors are open is the only one of its deadline.
    early: Mutex<Vec<(usize, Deliver)>>,
    stopping: AtomicBool,
    outbox: mpsc::UnboundedSender<ToSend>,
}

impl Directory {
    /// An empty directory; actors enter themselves as they start.
    pub fn new(
        config: Arc<Config>,
        journal: Journal,
        alarms: Alarms,
        outbox: mpsc::UnboundedSender<ToSend>,
        recorder: Recorder,
        routing_anew: mpsc::UnboundedSender<Anew>,
        shard_count: usize,
    ) -> Self {
        Self {
            sending: Sending::default(),
            opt_outs: OptOuts::default(),
            complaints: Complaints::default(),
            waiting: Waiting::default(),
            board: Board::default(),
            credentials: Credentials::default(),
            looks: Looks::default(),
            erased: Erased::default(),
            grief: Grief::default(),
            changing: tokio::sync::Mutex::new(()),
            routing_anew,
            has_orphans: AtomicBool::new(false),
            in_force: InForce::new(config),
            plugins: Plugins::default(),
            recorder,
            authority: watch::Sender::new(()),
            journal,
            metrics: Metrics::default(),
            alarms,
            agents: DashMap::new(),
            queues: DashMap::new(),
            shards: DashMap::new(),
            shard_count,
            early: Mutex::default(),
            stopping: AtomicBool::new(false),
            outbox,
        }
    }

    /// Nothing changes in the configuration, or in what goes by it, as long as this is held.
    pub async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// The configuration that is in force.
    pub fn config(&self) -> Arc<Config> {
        self.in_force.config()
    }

    /// A stored conversation with its settings. One of which neither channel nor workstream is configured any
    /// more isn't routed, and can still be looked at, ended and erased.
    pub fn with_settings(&self, machine: Conversation) -> Conversation {
        let known = self.in_force.settings_of(machine.channel(), machine.workstream());
        machine.with_known_settings(known)
    }

    /// What a channel's conversations go by from now on. It is recorded before anything can.
    pub fn set_settings(&self, channel: &ChannelId, settings: Arc<Workstream>) {
        self.recorder.note(&Entry::Workstreams(vec![settings.clone()]));
        self.in_force.set_settings(channel.clone(), settings);
    }

    /// All that conversations go by: it stands in the record of each run.
    pub(super) fn settings_in_force(&self) -> Vec<Arc<Workstream>> {
        let mut all: Vec<_> = self.config().workstreams.values().cloned().collect();
        all.extend(self.in_force.of_channels());
        all
    }

    /// The record of this run has become long: another one begins, and the old can go as a whole (OPS-03).
    pub fn begin_record_anew(&self) {
        self.make_routing_anew(Anew::Recorded);
    }

    /// The agent's actor.
    pub fn agent(&self, id: &AgentId) -> Option<Addr<AgentActor>> {
        self.agents.get(id).map(|entry| entry.actor.clone())
    }

    /// The queue's actor.
    pub fn queue(&self, id: &QueueId) -> Option<Addr<QueueActor>> {
        self.queues.get(id).map(|actor| actor.clone())
    }

    pub(super) fn put_agent(
        &self,
        id: AgentId,
        actor: Addr<AgentActor>,
        screens: Arc<AtomicUsize>,
    ) {
        self.agents.insert(id, AgentEntry { actor, screens });
    }

    pub(super) fn put_queue(&self, id: QueueId, actor: Addr<QueueActor>) {
        self.queues.insert(id, actor);
    }

    /// Gives a shard the first place that nobody lives at, and what has come for it.
    pub(super) fn place_shard(&self, actor: Addr<Shard>) -> Option<usize> {
        // One at a time, and nothing is put aside meanwhile.
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free =
            |number: &usize| self.shards.get(number).is_none_or(|known| !known.connected());
        let number = (0..self.shard_count).find(is_free)?;
        for (home, deliver) in std::mem::take(&mut *early) {
            if home == number {
                actor.do_send(deliver);
            } else {
                early.push((home, deliver));
            }
        }
        self.shards.insert(number, actor);
        Some(number)
    }

    /// From now on what nobody is there for is dropped: the journal has it, and the next start.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.early.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether every shard has its place.
    pub fn has_all_shards(&self) -> bool {
        self.shards.len() == self.shard_count
    }

    /// The host stops: queues give nothing out any more (OPS-06).
    pub fn hold_queues(&self) {
        for queue in &self.queues {
            queue.value().do_send(self.for_queue(queue::Input::Hold));
        }
    }

    /// The clock was set forward: whoever has a deadline looks at it.
    pub fn wake_everybody(&self) {
        for queue in &self.queues {
            self.pass(queue.value(), self.for_queue(queue::Input::Wake));
        }
        for agent in &self.agents {
            self.pass(&agent.actor, self.for_agent(agent::Input::Wake, None));
        }
    }

    /// Everybody, for stopping.
    pub fn all_agents(&self) -> Vec<Addr<AgentActor>> {
        self.agents.iter().map(|entry| entry.value().actor.clone()).collect()
    }

    /// Whether the host stops.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn agent_actors(&self) -> HashMap<AgentId, Addr<AgentActor>> {
        self.agents.iter().map(|entry| (entry.key().clone(), entry.value().actor.clone())).collect()
    }

    pub(super) fn queue_actors(&self) -> HashMap<QueueId, Addr<QueueActor>> {
        self.queues.iter().map(|entry| (entry.key().clone(), entry.value().clone())).collect()
    }

    pub(super) fn shard_actors(&self) -> Vec<Addr<Shard>> {
        self.shards.iter().map(|entry| entry.value().clone()).collect()
    }

    /// Nothing is left of these conversations in the journal (SEC-04).
    pub fn forget(&self, conversations: impl Iterator<Item = ConversationId>) {
        let forget = Forget(Arc::new(conversations.collect()));
        for shard in &self.shards {
            self.pass(shard.value(), forget.clone());
        }
        self.board.changed();
    }

    /// A part has panicked, on this input.
    pub fn came_to_grief(&self, part: Part, who: &str, input: &dyn std::fmt::Debug, why: &str) {
        self.metrics.panics.with_label_values(&[part.as_str()]).inc();
        // What was wrong shows at the beginning.
        let mut input = grief::without_words(&format!("{input:?}"));
        if let Some((end, _)) = input.char_indices().nth(2000) {
            input.truncate(end);
        }
        tracing::error!(part = part.as_str(), who, input, why, "a panic was contained");
    }

    /// Runs as long as the host: its end, before the host's, is the host's.
    pub async fn supervised(
        directory: std::sync::Weak<Self>,
        name: &'static str,
        task: impl Future<Output = ()>,
    ) {
        let ended = contained_future(Part::Task, task).await;
        let Some(directory) = directory.upgrade() else { return };
        if !directory.is_stopping() {
            if let Err(why) = &ended {
                directory.came_to_grief(Part::Task, name, &(), why);
            }
            let why = ended.err().unwrap_or_else(|| "it has ended".to_owned());
            directory
                .grief
                .stop(format!("{name}: {why}; what was acknowledged is on disk, start it again"));
        }
    }

    /// A machine of routing can't be trusted any more.
    pub(super) fn routing_is_lost(&self, why: String) {
        self.make_routing_anew(Anew::Lost(why));
    }

    pub(super) fn make_routing_anew(&self, call: Anew) {
        if self.routing_anew.send(call).is_err() && !self.is_stopping() {
            self.grief.stop("routing was lost, and so was whoever makes it anew".to_owned());
        }
    }

    /// Passes a message on; to an actor that has ended it says so.
    pub(super) fn pass<A, M>(&self, actor: &Addr<A>, message: M)
    where
        A: actix::Actor<Context = actix::Context<A>> + actix::Handler<M>,
        M: actix::Message + Send + 'static,
        M::Result: Send,
    {
        if !actor.connected() && !self.is_stopping() {
            self.metrics.undeliverable.inc();
            let message = std::any::type_name::<M>();
            tracing::error!(message, "a message to an actor that has ended");
            self.routing_is_lost(format!("an actor had ended when it was sent {message}"));
        }
        actor.do_send(message);
    }

    /// Parts that don't answer within a time (OPS-09).
    pub async fn silent_parts(&self, within: Duration) -> Vec<String> {
        type Asked<'a> = (String, LocalBoxFuture<'a, bool>);
        let mut asked: Vec<Asked<'_>> = Vec::new();
        for shard in &self.shards {
            let ping = shard.value().send(Ping).map(|answer| answer.is_ok());
            asked.push((format!("shard {}", shard.key()), ping.boxed_local()));
        }
        for queue in &self.queues {
            let ping = queue.value().send(Ping).map(|answer| answer.is_ok());
            asked.push((format!("queue {}", queue.key()), ping.boxed_local()));
        }
        let (answer, answered) = oneshot::channel();
        self.tell_outbox(ToSend::Ping(answer));
        let answered = answered.map(|answer| answer.is_ok());
        asked.push(("the outbox".to_owned(), answered.boxed_local()));
        let alarms = self.alarms.ping().map(|()| true);
        asked.push(("the alarm clock".to_owned(), alarms.boxed_local()));
        let asked = asked.into_iter().map(async |(name, ping)| {
            let answered = tokio::time::timeout(within, ping).await == Ok(true);
            (!answered).then_some(name)
        });
        let silent = futures_util::future::join_all(asked).await;
        let mut silent: Vec<String> = silent.into_iter().flatten().collect();
        let agents = self.agents.iter().filter(|entry| !entry.actor.connected());
        silent.extend(agents.map(|entry| format!("agent {}", entry.key())));
        let missing = self.shard_count - self.shards.len();
        if missing > 0 {
            silent.push(format!("{missing} shards"));
        }
        silent
    }

    /// An input, as a queue's actor takes it.
    pub fn for_queue(&self, input: queue::Input) -> TellQueue {
        TellQueue { input, waits: self.waiting.queues.count_one() }
    }

    /// An input, as an agent's actor takes it, and who waits to hear whether it was refused.
    pub fn for_agent(&self, input: agent::Input, answer: Option<AgentAnswer>) -> TellAgent {
        TellAgent { input, answer, waits: self.waiting.agents.count_one() }
    }

    /// Sends an input on its way.
    pub fn deliver(&self, mut deliver: Deliver) {
        if deliver.waits.is_none() {
            deliver.waits = Some(self.waiting.conversations.count_one());
        }
        let hash = match &deliver.to {
            To::Id(id) => hash_of_id(*id),
            To::Thread { key, .. } => hash_of_thread(key),
        };
        let number = self.home_of(hash);
        let shard = || self.shards.get(&number).map(|shard| shard.clone());
        if let Some(shard) = shard().filter(Addr::connected) {
            shard.do_send(deliver);
            return;
        }
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have taken its place between the two looks.
        match shard().filter(Addr::connected) {
            Some(shard) => shard.do_send(deliver),
            // Whoever waits learns it from the dropped sender.
            None if self.stopping.load(Ordering::Acquire) => drop(deliver),
            None => early.push((number, deliver)),
        }
    }

    fn home_of(&self, hash: u16) -> usize {
        usize::from(hash) % self.shard_count
    }

    /// An agent sees a conversation as it is, if it is theirs still.
    pub(super) fn show_once_more(&self, conversation: ConversationId, agent: AgentId) {
        if let Some(shard) = self.shards.get(&self.home(conversation)) {
            shard.do_send(ShowTo { conversation, agent });
        }
    }

    /// The shard that a conversation lives on.
    pub(super) fn home(&self, id: ConversationId) -> usize {
        self.home_of(hash_of_id(id))
    }

    /// The same, waited for.
    pub async fn ask(&self, mut deliver: Deliver) -> Answer {
        let (sender, receiver) = oneshot::channel();
        deliver.answer = Some(sender);
        self.deliver(deliver);
        receiver.await.unwrap_or_else(|_| Answer::Unavailable(self.why_nobody_answers()))
    }

    /// Somebody was asked, and is there no more.
    pub fn why_nobody_answers(&self) -> String {
        match self.is_stopping() {
            true => "the host is stopping".to_owned(),
            false => "it came to grief, and is made anew: try again".to_owned(),
        }
    }

    /// Whether a reply in this conversation, which has none that waits, would go out at once; if so, who may be asked to
    /// repeat it.
    pub(super) fn sends_at_once(&self, machine: &Conversation) -> Option<Repeater> {
        let repeats = self.plugins.repeats(machine.channel())?;
        self.sending.has_room(&Target::channel(machine.channel())).then_some(repeats)
    }

    /// Hands a committed reply to whoever sends it.
    pub fn send(&self, row: OutboxRow) {
        self.tell_outbox(ToSend::Row(Box::new(row)));
    }

    /// Whoever sends looks at what is on disk: it may not have heard of all.
    pub fn look_at_outbox_again(&self) {
        self.tell_outbox(ToSend::LookAgain);
    }

    fn tell_outbox(&self, what: ToSend) {
        // What is on disk goes out with the next host.
        if self.outbox.send(what).is_err() && !self.is_stopping() {
            self.grief.stop("nobody sends replies any more".to_owned());
        }
    }
}
