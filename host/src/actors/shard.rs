//! A shard: the conversations whose names hash to it, all on one arbiter. It alone sends to them,
//! so it knows when one is idle, and nothing is lost between passivation and return.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use cordboard_core::Conversation;
use cordboard_core::conversation::Opening;
use cordboard_core::ids::{Address, AgentId, ConversationId};
use cordboard_core::notice::ThreadKey;

use crate::actors::conversation::{
    ConversationActor, Loaded, Passivate, Replace, Step, Tally, Unopened, deal_with,
};
use crate::actors::directory::{Answer, Deliver, Directory, To, new_id};
use crate::journal::{AppendError, Reader, Settled, Stored};

/// A conversation that isn't passivated.
struct Live {
    actor: Addr<ConversationActor>,
    tally: Arc<Tally>,
    sent: u32,
    last_used: Instant,
    thread: ThreadKey,
    own: Address,
}

pub struct Shard {
    directory: Arc<Directory>,
    reader: Reader,
    live: HashMap<ConversationId, Live>,
    /// Which of the live ones a thread's next message goes to.
    threads: HashMap<ThreadKey, ConversationId>,
    idle_after: Duration,
}

impl Shard {
    /// How long a conversation stays in memory after its last input.
    pub const IDLE_AFTER: Duration = Duration::from_secs(30);
    const LOOK_EVERY: Duration = Duration::from_secs(5);
    const RETRY_AFTER: Duration = Duration::from_secs(1);

    pub fn new(directory: Arc<Directory>, reader: Reader, idle_after: Duration) -> Self {
        Self { directory, reader, live: HashMap::new(), threads: HashMap::new(), idle_after }
    }

    fn on_deliver(&mut self, deliver: Deliver, shard: &Addr<Self>) -> rusqlite::Result<()> {
        let id = match &deliver.to {
            To::Id(id) => self.wake(*id, shard)?.then_some(*id),
            To::Thread { key, own, not } => Some(self.of_thread(key, own, *not, shard)?),
        };
        match id.and_then(|id| self.live.get_mut(&id)) {
            Some(live) => live.send(Step(deliver)),
            None => answer(deliver, Answer::NotFound),
        }
        Ok(())
    }

    /// The conversation that the thread's next message goes to: live, passivated or new. `not` has
    /// sent the message back because its time is over; those behind it come back the same way and
    /// find the new one.
    fn of_thread(
        &mut self,
        key: &ThreadKey,
        own: &Address,
        not: Option<ConversationId>,
        shard: &Addr<Self>,
    ) -> rusqlite::Result<ConversationId> {
        let known = match self.threads.get(key) {
            Some(id) => Some(*id),
            None => self.reader.newest_of_thread(key)?,
        };
        if let Some(id) = known.filter(|id| Some(*id) != not)
            && self.wake(id, shard)?
        {
            self.threads.insert(key.clone(), id);
            return Ok(id);
        }
        let id = new_id(key);
        let keys = match known {
            Some(_) => self.reader.recent_keys(key, id)?,
            None => HashSet::new(),
        };
        let before = known.map(|known| self.reader.conversation(known)).transpose()?.flatten();
        let last_agent = before.and_then(|before| before.last_agent().cloned());
        let loaded = self.unopened(key, own, keys, last_agent)?;
        self.start(id, loaded, key.clone(), own.clone(), shard);
        self.threads.insert(key.clone(), id);
        Ok(id)
    }

    /// Brings a passivated conversation back; false if there is none.
    fn wake(&mut self, id: ConversationId, shard: &Addr<Self>) -> rusqlite::Result<bool> {
        if self.live.contains_key(&id) {
            return Ok(true);
        }
        let Some((machine, stored)) = self.read(id)? else { return Ok(false) };
        let thread =
            ThreadKey { channel: machine.channel().clone(), customer: machine.customer().clone() };
        let own = machine.own().clone();
        let keys = self.reader.recent_keys(&thread, id)?;
        let loaded = Loaded { machine: Ok(machine), stored: Some(stored), keys };
        self.start(id, loaded, thread, own, shard);
        Ok(true)
    }

    fn read(&self, id: ConversationId) -> rusqlite::Result<Option<(Box<Conversation>, Stored)>> {
        let stored = self.reader.conversation_and_row(id)?;
        let Some((machine, stored)) = stored else { return Ok(None) };
        let Some(machine) = self.directory.with_settings(machine) else {
            tracing::error!(%id, "neither channel nor workstream of this conversation is configured any more");
            return Ok(None);
        };
        Ok(Some((Box::new(machine), stored)))
    }

    fn unopened(
        &self,
        key: &ThreadKey,
        own: &Address,
        keys: HashSet<i64>,
        last_agent: Option<AgentId>,
    ) -> rusqlite::Result<Loaded> {
        let slot = self.directory.channel(&key.channel);
        let policy = slot.expect("only configured channels have webhooks").policy.clone();
        let opening = Opening {
            channel: key.channel.clone(),
            customer: key.customer.clone(),
            own: own.clone(),
            opted_out: self.reader.opted_out(key)?,
            country: country_of(&key.customer),
            last_agent,
        };
        let machine = Err(Box::new(Unopened { opening, policy }));
        Ok(Loaded { machine, stored: None, keys })
    }

    fn start(
        &mut self,
        id: ConversationId,
        loaded: Loaded,
        thread: ThreadKey,
        own: Address,
        shard: &Addr<Self>,
    ) {
        let tally = Arc::new(Tally::default());
        let actor = ConversationActor::new(
            id,
            loaded,
            self.directory.clone(),
            shard.clone(),
            tally.clone(),
        )
        .start();
        let last_used = Instant::now();
        self.live.insert(id, Live { actor, tally, sent: 0, last_used, thread, own });
        self.directory.metrics.live_conversations.inc();
    }

    /// Lets go of conversations that nothing is on its way to or from.
    fn passivate_idle(&mut self) {
        let (idle_after, threads, metrics) =
            (self.idle_after, &mut self.threads, &self.directory.metrics);
        self.live.retain(|id, live| {
            if live.last_used.elapsed() < idle_after || !live.is_quiet() {
                return true;
            }
            live.actor.do_send(Passivate);
            if threads.get(&live.thread) == Some(id) {
                threads.remove(&live.thread);
            }
            metrics.live_conversations.dec();
            false
        });
        if self.live.capacity() > 4 * self.live.len().max(64) {
            self.live.shrink_to_fit();
            self.threads.shrink_to_fit();
        }
    }
}

impl Live {
    fn send<M>(&mut self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        ConversationActor: Handler<M>,
    {
        self.sent = self.sent.wrapping_add(1);
        self.last_used = Instant::now();
        self.actor.do_send(message);
    }

    fn is_quiet(&self) -> bool {
        self.tally.handled.load(Ordering::Acquire) == self.sent
            && self.tally.pending.load(Ordering::Acquire) == 0
    }
}

/// The country of a number in E.164 form, two letters; numbers of no single country (and addresses
/// that aren't numbers) have none.
fn country_of(address: &Address) -> Option<String> {
    let number = phonenumber::parse(None, address.as_str()).ok()?;
    number.country().id().map(|country| country.as_ref().to_owned())
}

fn answer(deliver: Deliver, answer: Answer) {
    if let Some(sender) = deliver.answer {
        // Whoever asked may be gone.
        let _ = sender.send(answer);
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(4096);
        context.run_interval(Self::LOOK_EVERY.min(self.idle_after), |shard, _| {
            shard.passivate_idle();
        });
    }
}

/// What one commit has settled here.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Commit(pub Settled);

impl Handler<Commit> for Shard {
    type Result = ();

    fn handle(&mut self, message: Commit, _: &mut Self::Context) {
        deal_with(message.0, &self.directory);
    }
}

impl Message for Deliver {
    type Result = ();
}

impl Handler<Deliver> for Shard {
    type Result = ();

    fn handle(&mut self, message: Deliver, context: &mut Self::Context) {
        let shard = context.address();
        if let Err(error) = self.on_deliver(message, &shard) {
            // Whoever waits learns it from the dropped sender; providers ask again.
            tracing::error!(%error, "the journal can't be read");
        }
    }
}

/// A conversation's machine has gone further than the journal: read it again.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Reload {
    pub id: ConversationId,
    /// The input that has to be handled once more, and why.
    pub retry: Option<(Deliver, AppendError)>,
}

impl Handler<Reload> for Shard {
    type Result = ();

    fn handle(&mut self, message: Reload, context: &mut Self::Context) {
        let Reload { id, retry } = message;
        let machine = match self.read(id) {
            Ok(machine) => machine,
            Err(error) => {
                tracing::error!(%error, "the journal can't be read");
                None
            }
        };
        if let Some(live) = self.live.get(&id) {
            let keys = self.reader.recent_keys(&live.thread, id);
            let loaded = keys.and_then(|keys| match machine {
                Some((machine, stored)) => {
                    Ok(Loaded { machine: Ok(machine), stored: Some(stored), keys })
                }
                None => self.unopened(&live.thread, &live.own, keys, None),
            });
            if let (Ok(loaded), Some(live)) = (loaded, self.live.get_mut(&id)) {
                live.send(Replace(loaded));
            }
        }
        let Some((mut deliver, error)) = retry else { return };
        deliver.attempts = deliver.attempts.saturating_add(1);
        if matches!(error, AppendError::Conflict) {
            context.notify(deliver);
        } else {
            context.notify_later(deliver, Self::RETRY_AFTER);
        }
    }
}
