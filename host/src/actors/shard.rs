//! A shard: the conversations whose names hash to it, all on one arbiter. It alone sends to them,
//! so it knows when one is idle, and nothing is lost between passivation and return.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use cordboard_core::Conversation;
use cordboard_core::conversation::Opening;
use cordboard_core::ids::{Address, AgentId, ConversationId};
use cordboard_core::notice::ThreadKey;

use crate::actors::conversation::{
    ConversationActor, Loaded, Passivate, Replace, Step, Tally, Unopened, deal_with,
};
use crate::actors::directory::{Answer, Deliver, Directory, Ping, To, new_id};
use crate::grief::{self, Part, contained};
use crate::journal::{JournalError, Reader, Settled, Stored, Trouble};

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

    pub fn new(directory: Arc<Directory>, reader: Reader, idle_after: Duration) -> Self {
        Self { directory, reader, live: HashMap::new(), threads: HashMap::new(), idle_after }
    }

    /// What is left in `input` hasn't been passed on.
    fn on_deliver(
        &mut self,
        input: &mut Option<Deliver>,
        shard: &Addr<Self>,
    ) -> Result<(), JournalError> {
        let Some(deliver) = input else { return Ok(()) };
        let id = match &deliver.to {
            To::Id(id) => self.wake(*id, shard)?.then_some(*id),
            To::Thread { key, own, not } => self.of_thread(key, own, *not, shard)?,
        };
        let Some(deliver) = input.take() else { return Ok(()) };
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
    ) -> Result<Option<ConversationId>, JournalError> {
        let known = match self.threads.get(key) {
            Some(id) => Some(*id),
            None => self.reader()?.newest_of_thread(key)?,
        };
        if let Some(id) = known.filter(|id| Some(*id) != not)
            && self.wake(id, shard)?
        {
            self.threads.insert(key.clone(), id);
            return Ok(Some(id));
        }
        let id = new_id(key);
        let keys = match known {
            Some(_) => self.reader()?.recent_keys(key, id)?,
            None => HashSet::new(),
        };
        let before = known.map(|known| self.reader()?.conversation(known)).transpose()?.flatten();
        let last_agent = before.and_then(|before| before.last_agent().cloned());
        let Some(loaded) = self.unopened(key, own, keys, last_agent)? else { return Ok(None) };
        self.start(id, loaded, key.clone(), own.clone(), shard);
        self.threads.insert(key.clone(), id);
        Ok(Some(id))
    }

    /// Brings a passivated conversation back; false if there is none.
    fn wake(&mut self, id: ConversationId, shard: &Addr<Self>) -> Result<bool, JournalError> {
        if self.live.contains_key(&id) {
            return Ok(true);
        }
        let Some((machine, stored)) = self.read(id)? else { return Ok(false) };
        let thread =
            ThreadKey { channel: machine.channel().clone(), customer: machine.customer().clone() };
        let own = machine.own().clone();
        let keys = self.reader()?.recent_keys(&thread, id)?;
        let loaded = Loaded { machine: Ok(machine), stored: Some(stored), keys };
        self.start(id, loaded, thread, own, shard);
        Ok(true)
    }

    /// What is read here fails now and then, on disks that do; and in tests.
    fn reader(&self) -> Result<&Reader, JournalError> {
        match grief::provoked_error("read") {
            false => Ok(&self.reader),
            true => Err(JournalError::new(Trouble::Disk, "provoked by CORDBOARD_PANIC")),
        }
    }

    fn read(
        &self,
        id: ConversationId,
    ) -> Result<Option<(Box<Conversation>, Stored)>, JournalError> {
        let stored = self.reader()?.conversation_and_row(id)?;
        let Some((machine, stored)) = stored else { return Ok(None) };
        let Some(machine) = self.directory.with_settings(machine) else {
            tracing::error!(%id, "neither channel nor workstream of this conversation is configured any more");
            return Ok(None);
        };
        Ok(Some((Box::new(machine), stored)))
    }

    /// Nothing if there is no such channel.
    fn unopened(
        &self,
        key: &ThreadKey,
        own: &Address,
        keys: HashSet<i64>,
        last_agent: Option<AgentId>,
    ) -> Result<Option<Loaded>, JournalError> {
        let Some(slot) = self.directory.channel(&key.channel) else {
            tracing::error!(channel = %key.channel, "a message of a channel that isn't configured");
            return Ok(None);
        };
        let policy = slot.policy.clone();
        let opening = Opening {
            channel: key.channel.clone(),
            customer: key.customer.clone(),
            own: own.clone(),
            opted_out: self.reader()?.opted_out(key)?,
            country: country_of(&key.customer),
            last_agent,
        };
        let machine = Err(Box::new(Unopened { opening, policy }));
        Ok(Some(Loaded { machine, stored: None, keys }))
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
        let mut deliver = Some(message);
        let dealt_with = contained(Part::Shard, || self.on_deliver(&mut deliver, &shard));
        let why = match dealt_with {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                self.directory.journal.health().read_failed(&error);
                tracing::error!(%error, "the journal can't be read");
                format!("the journal can't be read: {error}")
            }
            Err(why) => {
                let input = deliver.as_ref().map(|deliver| &deliver.input);
                self.directory.came_to_grief(Part::Shard, "a shard", &input, &why);
                "the host made a mistake with this; its log says more".to_owned()
            }
        };
        match deliver {
            Some(deliver) if deliver.answer.is_some() => {
                answer(deliver, Answer::Unavailable(why));
            }
            Some(deliver) => self.try_again(deliver, context),
            None => {}
        }
    }
}

impl Handler<Ping> for Shard {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

/// Answered once everything that has come here before has been dealt with, and whatever had to be
/// written for it was given to the journal.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Drain;

impl Handler<Drain> for Shard {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        let under_way: Vec<(Arc<Tally>, u32)> = self
            .live
            .values()
            .filter(|live| live.tally.handled.load(Ordering::Acquire) != live.sent)
            .map(|live| (live.tally.clone(), live.sent))
            .collect();
        Box::pin(async move {
            for (tally, sent) in under_way {
                // It wraps, and is never half of all numbers behind.
                let is_behind =
                    || sent.wrapping_sub(tally.handled.load(Ordering::Acquire)).cast_signed() > 0;
                while is_behind() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        })
    }
}

/// A conversation's machine has gone further than the journal: read it again.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Reload {
    pub id: ConversationId,
    /// The input that has to be handled once more, and why.
    pub retry: Option<(Deliver, Setback)>,
    /// How often it couldn't be read.
    pub attempts: u8,
}

/// Why an input has to be handled once more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Setback {
    /// The journal didn't take it, or couldn't be read: it is tried until it does.
    Journal,
    /// The machine panicked on it. What does so again and again is given up.
    Grief,
}

impl Handler<Reload> for Shard {
    type Result = ();

    fn handle(&mut self, message: Reload, context: &mut Self::Context) {
        let Reload { id, retry, attempts } = message;
        if let Err(error) = self.reload(id) {
            // It keeps its machine, which the journal refuses to follow, until it can be read.
            tracing::error!(%error, %id, "the journal can't be read");
            let attempts = attempts.saturating_add(1);
            context.notify_later(Reload { id, retry, attempts }, backoff(attempts));
            return;
        }
        let Some((deliver, setback)) = retry else { return };
        if setback == Setback::Grief && deliver.attempts >= Deliver::MOST_ATTEMPTS {
            tracing::error!(%id, input = ?deliver.input, "given up: it came to grief each time");
            return;
        }
        self.try_again(deliver, context);
    }
}

impl Shard {
    /// Gives a live conversation what the journal has of it.
    fn reload(&mut self, id: ConversationId) -> Result<(), JournalError> {
        let Some(live) = self.live.get(&id) else { return Ok(()) };
        let keys = self.reader()?.recent_keys(&live.thread, id)?;
        let loaded = match self.read(id)? {
            Some((machine, stored)) => {
                Some(Loaded { machine: Ok(machine), stored: Some(stored), keys })
            }
            // Its first event never came to the journal.
            None => self.unopened(&live.thread, &live.own, keys, None)?,
        };
        if let (Some(loaded), Some(live)) = (loaded, self.live.get_mut(&id)) {
            live.send(Replace(loaded));
        }
        Ok(())
    }

    /// At once, the first time; then it waits, longer each time. Never dropped, never spun.
    fn try_again(&self, mut deliver: Deliver, context: &mut Context<Self>) {
        let wait = backoff(deliver.attempts);
        deliver.attempts = deliver.attempts.saturating_add(1);
        if wait.is_zero() {
            context.notify(deliver);
        } else {
            context.notify_later(deliver, wait);
        }
    }
}

/// Nothing, then 10 ms, doubled each time up to five seconds.
fn backoff(attempts: u8) -> Duration {
    const LONGEST: Duration = Duration::from_secs(5);
    match attempts {
        0 => Duration::ZERO,
        n => Duration::from_millis(5 << n.min(12)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-09
    #[test]
    fn what_is_tried_again_waits_longer_each_time() {
        let waits: Vec<u128> = (0..14).map(|n| backoff(n).as_millis()).collect();
        assert_eq!(waits[..4], [0, 10, 20, 40]);
        assert!(waits.is_sorted());
        assert_eq!((waits[13], backoff(u8::MAX).as_millis()), (5000, 5000));
    }
}
