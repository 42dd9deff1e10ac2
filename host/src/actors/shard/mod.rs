//! A shard: the conversations whose names hash to it, all on one arbiter. It alone sends to them,
//! so it knows when one is idle, and nothing is lost between passivation and return.

mod again;
mod looks;
mod reading;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use cordboard_core::ids::{Address, AgentId, ConversationId};
use cordboard_core::notice::ThreadKey;

pub(super) use again::{Reload, Setback, TryAgain};

use crate::actors::conversation::{
    ConversationActor, LookedAtBy, Passivate, Step, Tally, tell_all,
};
use crate::actors::deliver::{Answer, Deliver, To};
use crate::actors::directory::{Directory, Ping};
use crate::grief::{Part, contained};
use crate::journal::{Answers, JournalError, Position};

use looks::Looks;
use reading::Found;

/// A conversation that isn't passivated.
struct Live {
    actor: Addr<ConversationActor>,
    tally: Arc<Tally>,
    sent: u32,
    last_used: Instant,
    thread: ThreadKey,
    own: Address,
    /// Whom the customer had in the one before it (ROUTE-19), until it is on disk.
    last_agent: Option<AgentId>,
    /// It is being read again: what comes for it waits, so that it doesn't change meanwhile.
    is_read_anew: bool,
    /// How often in a row that has failed.
    unread: u8,
    /// What has to be handled once more, once it was read.
    once_more: Vec<(Deliver, Setback)>,
}

pub struct Shard {
    directory: Arc<Directory>,
    /// What was committed before it was there must be visible before it looks: one that went before it
    /// may have left something on its way.
    from: Position,
    /// Inputs that wait until the views show what they need.
    held: VecDeque<Deliver>,
    /// And those for which something is read just now.
    looks: Looks,
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
    /// Where a conversation can't be read so often in a row, nobody is kept waiting for it.
    const MOST_UNREAD: u8 = 4;
    /// What is committed can be seen after about so long.
    const VISIBLE_SOON: Duration = Duration::from_millis(1);
    /// Where something keeps it from that, it is looked at again after so long.
    const STUCK: Duration = Duration::from_millis(200);

    pub fn new(directory: Arc<Directory>, idle_after: Duration) -> Self {
        Self {
            from: directory.journal.committed(),
            held: VecDeque::new(),
            looks: Looks::default(),
            put_off: Arc::default(),
            directory,
            live: HashMap::new(),
            threads: HashMap::new(),
            idle_after,
        }
    }

    /// Deals with an input of which all that has to be read is known. What is left in `input` hasn't been passed on.
    fn on_deliver(
        &mut self,
        input: &mut Option<Deliver>,
        found: Option<Found>,
        shard: &Addr<Self>,
    ) {
        let Some(deliver) = input else { return };
        let is_spent = matches!(found, Some(Found::Spent));
        let id = self.place_of(&deliver.to, found, shard);
        let Some(mut deliver) = input.take() else { return };
        match id.and_then(|id| self.live.get_mut(&id)) {
            Some(live) => live.send(Step(deliver)),
            None if is_spent => deliver.give(Answer::Duplicate),
            None => deliver.give(Answer::NotFound),
        }
    }

    /// The same with its mistakes contained.
    fn deal_with(&mut self, deliver: Deliver, found: Option<Found>, context: &mut Context<Self>) {
        let shard = context.address();
        let mut deliver = Some(deliver);
        let dealt_with = contained(Part::Shard, || self.on_deliver(&mut deliver, found, &shard));
        let Err(why) = dealt_with else { return };
        let input = deliver.as_ref().map(|deliver| &deliver.input);
        self.directory.came_to_grief(Part::Shard, "a shard", &input, &why);
        let why = "the host made a mistake with this; its log says more".to_owned();
        if let Some(deliver) = deliver.and_then(|deliver| deliver.unavailable(why)) {
            self.try_again(deliver, context);
        }
    }

    /// Lets those look into the journal that may now.
    fn look(&mut self, context: &Context<Self>) {
        while let Some(deliver) = self.looks.next() {
            let Some(question) = self.question_of(&deliver) else {
                // It came back to memory by another way.
                context.address().do_send(HasLooked { deliver, found: Ok(None) });
                continue;
            };
            let (journal, shard) = (self.directory.journal.clone(), context.address());
            // Not a future of the shard's own: with each of those it looks at all of them.
            actix::spawn(async move {
                let found = journal.look(|reader| question.ask(reader)).await.map(Some);
                shard.do_send(HasLooked { deliver, found });
            });
        }
    }

    /// Whether the views don't show yet what has to be looked at for it. What is live needs no looking.
    fn must_wait(&self, deliver: &Deliver) -> bool {
        if self.held.iter().any(|held| held.to.is_as(&deliver.to)) {
            return true;
        }
        if let Some(live) = self.live_of(&deliver.to) {
            return live.is_read_anew;
        }
        let journal = &self.directory.journal;
        let is_new_here = || !journal.shows(self.from);
        match &deliver.to {
            To::Id(id) => is_new_here() || journal.is_behind(*id),
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
    fn hold(&mut self, mut deliver: Deliver, context: &mut Context<Self>) {
        let health = self.directory.journal.health();
        let read_anew = self.live_of(&deliver.to).filter(|live| live.is_read_anew);
        let cant_be_read = read_anew.is_some_and(|live| live.unread >= Self::MOST_UNREAD);
        let cant_be_read = cant_be_read.then(|| "its conversation can't be read".to_owned());
        let (problem, unread) = (health.problem(), health.unreadable());
        let is_stuck = problem.is_some() || unread.is_some() || cant_be_read.is_some();
        let unread = unread.filter(|_| read_anew.is_some()).or(cant_be_read);
        if deliver.answer.is_some()
            && let Some(problem) = problem.or(unread)
        {
            deliver.give(Answer::Unavailable(problem));
            return;
        }
        self.directory.journal.hurry();
        self.held.push_back(deliver);
        self.put_off.fetch_add(1, Ordering::AcqRel);
        if self.held.len() > 1 {
            return;
        }
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
            self.looks.shrink();
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

    /// Nothing is on its way to it or from it.
    fn is_quiet(&self) -> bool {
        !self.is_read_anew && self.is_settled()
    }

    /// It has dealt with all that came, and all that it has written is answered.
    fn is_settled(&self) -> bool {
        self.tally.handled.load(Ordering::Acquire) == self.sent
            && self.tally.pending.load(Ordering::Acquire) == 0
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

/// What is told here of one commit.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Commit(pub Answers);

impl Handler<Commit> for Shard {
    type Result = ();

    fn handle(&mut self, message: Commit, _: &mut Self::Context) {
        tell_all(message.0, &self.directory);
    }
}

impl Message for Deliver {
    type Result = ();
}

impl Handler<Deliver> for Shard {
    type Result = ();

    fn handle(&mut self, message: Deliver, context: &mut Self::Context) {
        let Some(deliver) = self.looks.behind(message) else {
            self.put_off.fetch_add(1, Ordering::AcqRel);
            return;
        };
        if self.must_wait(&deliver) {
            self.hold(deliver, context);
        } else if self.has_to_look(&deliver) {
            self.put_off.fetch_add(1, Ordering::AcqRel);
            self.looks.add(deliver);
            self.look(context);
        } else {
            self.deal_with(deliver, None, context);
        }
    }
}

/// What the journal has said about an input's conversation.
#[derive(Message)]
#[rtype(result = "()")]
struct HasLooked {
    deliver: Deliver,
    found: Result<Option<Found>, JournalError>,
}

impl Handler<HasLooked> for Shard {
    type Result = ();

    fn handle(&mut self, message: HasLooked, context: &mut Self::Context) {
        let HasLooked { deliver, found } = message;
        let behind = self.looks.done(&deliver.to);
        self.put_off.fetch_sub(1 + behind.len(), Ordering::AcqRel);
        match found {
            // Where it goes has left memory while something else was looked up, or is being read again.
            Ok(None | Some(Found::IsntSpent))
                if self.live_of(&deliver.to).is_none_or(|live| live.is_read_anew) =>
            {
                Handler::handle(self, deliver, context);
            }
            Ok(found) => self.deal_with(deliver, found, context),
            Err(error) => {
                let why = format!("the journal can't be read: {error}");
                if let Some(deliver) = deliver.unavailable(why) {
                    self.try_again(deliver, context);
                }
            }
        }
        for deliver in behind {
            Handler::handle(self, deliver, context);
        }
        self.look(context);
    }
}

/// An agent has come to look at a conversation, which has changed just then.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ShowTo {
    /// Which.
    pub conversation: ConversationId,
    /// Who.
    pub agent: AgentId,
}

impl Handler<ShowTo> for Shard {
    type Result = ();

    fn handle(&mut self, message: ShowTo, _: &mut Self::Context) {
        // One that isn't in memory any more was on disk before they looked.
        if let Some(live) = self.live.get_mut(&message.conversation) {
            live.send(LookedAtBy(message.agent));
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
            let (mut least, mut until) = (usize::MAX, Instant::now() + LONGEST);
            loop {
                let left = put_off.load(Ordering::Acquire);
                if left == 0 || Instant::now() > until {
                    break;
                }
                if left < least {
                    (least, until) = (left, Instant::now() + LONGEST);
                }
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
