//! A shard: the conversations whose names hash to it, all on one arbiter. It alone sends to them,
//! so it knows when one is idle, and nothing is lost between passivation and return.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use cordboard_core::Conversation;
use cordboard_core::conversation::Opening;
use cordboard_core::ids::{Address, ConversationId};
use cordboard_core::notice::ThreadKey;
use cordboard_core::switchboard::{self, Before, Dialogue};

use crate::actors::conversation::{
    ConversationActor, Loaded, Passivate, Replace, Step, Tally, deal_with,
};
use crate::actors::deliver::{Answer, Deliver, To};
use crate::actors::directory::{Directory, Ping};
use crate::actors::names::new_id;
use crate::grief::{self, Part, contained};
use crate::journal::{JournalError, Position, Reader, Settled, Stored, Trouble};

/// A conversation that isn't passivated.
struct Live {
    actor: Addr<ConversationActor>,
    tally: Arc<Tally>,
    sent: u32,
    last_used: Instant,
    thread: ThreadKey,
    /// How it begins, if it wasn't on disk when it came here.
    opening: Option<Opening>,
}

pub struct Shard {
    directory: Arc<Directory>,
    reader: Reader,
    /// What was committed before it was there must be visible before it looks: one that went before it
    /// may have left something on its way.
    from: Position,
    /// Inputs that wait until the views show what they need.
    held: VecDeque<Deliver>,
    /// Inputs that are tried again in a moment, held ones among them.
    put_off: Arc<AtomicUsize>,
    live: HashMap<ConversationId, Live>,
    /// Which of the live ones a thread's next message goes to.
    threads: HashMap<ThreadKey, ConversationId>,
    idle_after: Duration,
}

impl Shard {
    /// How long a conversation stays in memory after its last input.
    pub const IDLE_AFTER: Duration = Duration::from_secs(30);
    const LOOK_EVERY: Duration = Duration::from_secs(5);
    /// What is committed can be seen after about so long.
    const VISIBLE_SOON: Duration = Duration::from_millis(1);
    /// Where something keeps it from that, it is looked at again after so long.
    const STUCK: Duration = Duration::from_millis(200);

    pub fn new(directory: Arc<Directory>, reader: Reader, idle_after: Duration) -> Self {
        Self {
            from: directory.journal.committed(),
            held: VecDeque::new(),
            put_off: Arc::default(),
            directory,
            reader,
            live: HashMap::new(),
            threads: HashMap::new(),
            idle_after,
        }
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
            To::Thread { .. } if self.is_of_erased(deliver.dedup)? => {
                if let Some(deliver) = input.take() {
                    answer(deliver, Answer::Duplicate);
                }
                return Ok(());
            }
            To::Thread { key, own, not } => self.of_thread(key, own, *not, shard)?,
        };
        let Some(deliver) = input.take() else { return Ok(()) };
        match id.and_then(|id| self.live.get_mut(&id)) {
            Some(live) => live.send(Step(deliver)),
            None => answer(deliver, Answer::NotFound),
        }
        Ok(())
    }

    /// Whether somebody who was erased has written it: it is a repetition of nothing that is left.
    fn is_of_erased(&self, key: Option<i64>) -> Result<bool, JournalError> {
        match key {
            Some(_) if self.directory.has_erased.load(Ordering::Acquire) => {
                self.reader()?.is_spent(key)
            }
            _ => Ok(false),
        }
    }

    /// The conversation that takes the thread's next message: live, passivated or new. Messages that one
    /// of them has sent back find the new one, and so do those behind them.
    fn of_thread(
        &mut self,
        key: &ThreadKey,
        own: &Address,
        not: Option<ConversationId>,
        shard: &Addr<Self>,
    ) -> Result<Option<ConversationId>, JournalError> {
        let newest = match self.threads.get(key) {
            Some(id) => Some(*id),
            None => self.reader()?.thread(key)?.newest,
        };
        if let Some(id) = switchboard::taker(newest, not)
            && self.wake(id, shard)?
        {
            self.threads.insert(key.clone(), id);
            return Ok(Some(id));
        }
        let id = new_id(key, newest);
        let before = self.before(key, id, newest)?;
        let Some(loaded) = self.unopened(id, key, own, before) else { return Ok(None) };
        self.start(loaded, shard);
        self.threads.insert(key.clone(), id);
        Ok(Some(id))
    }

    /// What a conversation of this name takes along from those before it; `last` is the one just before.
    fn before(
        &self,
        key: &ThreadKey,
        id: ConversationId,
        last: Option<ConversationId>,
    ) -> Result<Before, JournalError> {
        let opted_out = self.reader()?.thread(key)?.opted_out;
        let Some(last) = last else { return Ok(Before { opted_out, ..Before::default() }) };
        let keys = self.reader()?.recent_keys(key, id)?;
        let before = match self.reader()?.conversation(last)? {
            Some(last) => Before::after(&last, keys),
            None => Before { keys, ..Before::default() },
        };
        // Also what they said in a conversation that is forgotten.
        Ok(Before { opted_out, ..before })
    }

    /// Brings a passivated conversation back; false if there is none.
    fn wake(&mut self, id: ConversationId, shard: &Addr<Self>) -> Result<bool, JournalError> {
        if self.live.contains_key(&id) {
            return Ok(true);
        }
        let Some((machine, stored)) = self.read(id)? else { return Ok(false) };
        let loaded = self.loaded(machine, stored)?;
        self.start(loaded, shard);
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

    fn loaded(&self, machine: Box<Conversation>, stored: Stored) -> Result<Loaded, JournalError> {
        let id = machine.id();
        let keys = self.reader()?.recent_keys(&machine.thread(), id)?;
        let open_replies = self.reader()?.open_replies(id)?;
        let dialogue = Dialogue::of(machine, keys);
        Ok(Loaded { dialogue, stored: Some(stored), open_replies })
    }

    /// Nothing if there is no such channel.
    fn unopened(
        &self,
        id: ConversationId,
        key: &ThreadKey,
        own: &Address,
        before: Before,
    ) -> Option<Loaded> {
        let Some(settings) = self.directory.in_force.of_channel(&key.channel) else {
            tracing::error!(channel = %key.channel, "a message of a channel that isn't configured");
            return None;
        };
        let opening = before.opening(key, own, country_of(&key.customer));
        let dialogue = Dialogue::new(id, opening, settings, before.keys);
        Some(Loaded { dialogue, stored: None, open_replies: 0 })
    }

    fn start(&mut self, loaded: Loaded, shard: &Addr<Self>) {
        let dialogue = &loaded.dialogue;
        let (id, thread, opening) = (dialogue.id(), dialogue.thread(), dialogue.opening().cloned());
        let tally = Arc::new(Tally::default());
        let (directory, shard) = (self.directory.clone(), shard.clone());
        let actor = ConversationActor::new(loaded, directory, shard, tally.clone()).start();
        let last_used = Instant::now();
        self.live.insert(id, Live { actor, tally, sent: 0, last_used, thread, opening });
        self.directory.metrics.live_conversations.inc();
    }

    /// Whether the views don't show yet what has to be looked at for it. What is live needs no looking.
    fn must_wait(&self, deliver: &Deliver) -> bool {
        if self.held.iter().any(|held| held.to.is_as(&deliver.to)) {
            return true;
        }
        let journal = &self.directory.journal;
        let is_new_here = || !journal.shows(self.from);
        match &deliver.to {
            To::Id(id) => !self.live.contains_key(id) && (is_new_here() || journal.is_behind(*id)),
            To::Thread { key, not, .. } => match self.threads.get(key) {
                // The next one begins where it ended.
                Some(known) if Some(*known) == *not => journal.is_behind(*known),
                Some(_) => false,
                None => is_new_here() || not.is_some_and(|not| journal.is_behind(not)),
            },
        }
    }

    /// Keeps it for a moment; what waits is gone on with in order. Where the views are stuck, nobody is
    /// kept waiting for them.
    fn hold(&mut self, deliver: Deliver, context: &mut Context<Self>) {
        if deliver.answer.is_some()
            && let Some(problem) = self.directory.journal.health().problem()
        {
            answer(deliver, Answer::Unavailable(problem));
            return;
        }
        self.directory.journal.hurry();
        self.held.push_back(deliver);
        self.put_off.fetch_add(1, Ordering::AcqRel);
        if self.held.len() > 1 {
            return;
        }
        let is_stuck = self.directory.journal.health().problem().is_some();
        let wait = if is_stuck { Self::STUCK } else { Self::VISIBLE_SOON };
        context.run_later(wait, |shard, context| {
            let held = std::mem::take(&mut shard.held);
            shard.put_off.fetch_sub(held.len(), Ordering::AcqRel);
            for deliver in held {
                Handler::handle(shard, deliver, context);
            }
        });
    }

    /// Lets go of conversations that nothing is on its way to or from.
    fn passivate_idle(&mut self) {
        let (idle_after, threads) = (self.idle_after, &mut self.threads);
        let (metrics, journal) = (&self.directory.metrics, &self.directory.journal);
        self.live.retain(|id, live| {
            // One that isn't live can be seen as it is.
            let is_busy = || !live.is_quiet() || journal.is_behind(*id);
            if live.last_used.elapsed() < idle_after || is_busy() {
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

/// The country of a number in E.164 form, two letters, also of one at another network
/// (`whatsapp:+43…`); numbers of no single country (and addresses that aren't numbers) have none.
fn country_of(address: &Address) -> Option<String> {
    let address = address.as_str();
    let number = address.split_once(':').map_or(address, |(_, number)| number);
    let number = phonenumber::parse(None, number).ok()?;
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
        if self.must_wait(&message) {
            self.hold(message, context);
            return;
        }
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
/// written for it was given to the journal; also what had been put off, if the journal takes it.
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
        let put_off = self.put_off.clone();
        Box::pin(async move {
            /// A journal that takes nothing has nothing to be waited for.
            const LONGEST: Duration = Duration::from_secs(10);
            let until = Instant::now() + LONGEST;
            while put_off.load(Ordering::Acquire) > 0 && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
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

/// Nothing is left of these conversations in the journal (SEC-04): nothing is to be left in memory either.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub(super) struct Forget(pub Arc<HashSet<ConversationId>>);

impl Handler<Forget> for Shard {
    type Result = ();

    fn handle(&mut self, message: Forget, _: &mut Self::Context) {
        self.threads.retain(|_, id| !message.0.contains(id));
        for id in message.0.iter() {
            // One that something is on its way to finds that it is gone, and begins anew.
            let Some(live) = self.live.remove(id) else { continue };
            if live.is_quiet() {
                live.actor.do_send(Passivate);
                self.directory.metrics.live_conversations.dec();
            } else {
                self.threads.insert(live.thread.clone(), *id);
                self.live.insert(*id, live);
            }
        }
    }
}

/// An input that couldn't be dealt with just now.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct TryAgain(pub Deliver);

impl Handler<TryAgain> for Shard {
    type Result = ();

    fn handle(&mut self, message: TryAgain, context: &mut Self::Context) {
        self.try_again(message.0, context);
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
        if self.directory.journal.is_behind(id) {
            self.directory.journal.hurry();
            self.reload_later(Reload { id, retry, attempts }, Self::VISIBLE_SOON, context);
            return;
        }
        if let Err(error) = self.reload(id) {
            // It keeps its machine, which the journal refuses to follow, until it can be read.
            tracing::error!(%error, %id, "the journal can't be read");
            let attempts = attempts.saturating_add(1);
            self.reload_later(Reload { id, retry, attempts }, backoff(attempts), context);
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
        let loaded = match (self.read(id)?, self.live.get(&id)) {
            (Some((machine, stored)), Some(_)) => Some(self.loaded(machine, stored)?),
            // Its first event never came to the journal.
            (None, Some(Live { thread, opening: Some(opening), .. })) => {
                let keys = self.reader()?.recent_keys(thread, id)?;
                let opted_out = self.reader()?.thread(thread)?.opted_out;
                let last_agent = opening.last_agent.clone();
                self.unopened(id, thread, &opening.own, Before { keys, last_agent, opted_out })
            }
            _ => None,
        };
        if let (Some(loaded), Some(live)) = (loaded, self.live.get_mut(&id)) {
            live.send(Replace(loaded));
        }
        Ok(())
    }

    fn reload_later(&self, reload: Reload, wait: Duration, context: &mut Context<Self>) {
        self.put_off.fetch_add(1, Ordering::AcqRel);
        context.run_later(wait, |shard, context| {
            shard.put_off.fetch_sub(1, Ordering::AcqRel);
            Handler::handle(shard, reload, context);
        });
    }

    /// At once, the first time; then it waits, longer each time. Never dropped, never spun.
    fn try_again(&self, mut deliver: Deliver, context: &mut Context<Self>) {
        let wait = backoff(deliver.attempts);
        deliver.attempts = deliver.attempts.saturating_add(1);
        self.put_off.fetch_add(1, Ordering::AcqRel);
        context.run_later(wait, |shard, context| {
            shard.put_off.fetch_sub(1, Ordering::AcqRel);
            Handler::handle(shard, deliver, context);
        });
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

    // ROUTE-01
    #[test]
    fn a_number_has_its_country_at_every_network() {
        for (address, country) in [
            ("+436641234567", Some("AT")),
            ("whatsapp:+436641234567", Some("AT")),
            ("whatsapp:US.13491208655302741918", None),
            ("25392", None),
        ] {
            assert_eq!(country_of(&Address::new(address)).as_deref(), country, "{address}");
        }
    }
}
