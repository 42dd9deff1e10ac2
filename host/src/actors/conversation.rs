//! A conversation's actor: machine, journal, and only then the effects.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix::{Actor, ActorContext, Addr, Context, Handler, Message};
use cordboard_core::conversation::{Event, Tickets, Written};
use cordboard_core::effect::Effect;
use cordboard_core::ids::{AgentId, ConversationId};
use cordboard_core::notice::Notice;
use cordboard_core::switchboard::{Dialogue, Told};
use cordboard_core::time::Timestamp;
use cordboard_core::{Conversation, Effects};

use crate::actors::deliver::{Answer, Deliver, To};
use crate::actors::directory::Directory;
use crate::actors::effects::{Notices, Origin};
use crate::actors::recorder::Routed;
use crate::actors::screen::Frame;
use crate::actors::shard::{Reload, Setback, Shard, TryAgain};
use crate::clock;
use crate::grief::{Part, contained};
use crate::journal::{
    Answers, Append, AppendError, OutboxOp, OutboxRow, Repeater, Reply, Row, SessionOp, Settles,
    Stored, StoredEvent,
};

/// Counted on both sides, so that the shard knows when nothing is on its way any more.
#[derive(Default)]
pub(super) struct Tally {
    /// Messages that the actor has taken.
    pub handled: AtomicU32,
    /// Appends that the journal hasn't answered yet.
    pub pending: AtomicU32,
}

/// An append that the journal hasn't answered, until this is dropped: by whoever it may be.
struct Pending(Arc<Tally>);

impl Pending {
    fn begin(tally: Arc<Tally>) -> Self {
        tally.pending.fetch_add(1, Ordering::AcqRel);
        Self(tally)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A conversation as the journal has it.
pub(super) struct Loaded {
    /// The machine, or what it takes to begin one, and what was said.
    pub dialogue: Dialogue,
    /// What its row on disk says that the machine doesn't.
    pub stored: Option<Stored>,
    /// Replies that are still to be sent.
    pub open_replies: u32,
}

pub(super) struct ConversationActor {
    id: ConversationId,
    dialogue: Dialogue,
    /// Replies that are still to be sent.
    open_replies: u32,
    /// Columns and version of the row on disk, as far as this actor has sent it.
    written: Option<Written>,
    directory: Arc<Directory>,
    shard: Addr<Shard>,
    tally: Arc<Tally>,
    /// The edition of the configuration that its settings are of.
    edition: u64,
    /// A panic has left its machine in the midst of something: it waits to be given another.
    is_lost: bool,
}

/// To whoever waits; what was lost is in the log.
const CAME_TO_GRIEF: &str =
    "the host made a mistake with this; nothing was changed, and its log says more";

impl ConversationActor {
    pub fn new(
        loaded: Loaded,
        directory: Arc<Directory>,
        shard: Addr<Shard>,
        tally: Arc<Tally>,
    ) -> Self {
        let written = written(&loaded);
        let Loaded { dialogue, open_replies, .. } = loaded;
        let id = dialogue.id();
        // It was given its settings just now, perhaps in the moment of a change: it looks once more.
        let edition = 0;
        Self {
            id,
            dialogue,
            open_replies,
            written,
            directory,
            shard,
            tally,
            edition,
            is_lost: false,
        }
    }

    /// A panic costs this conversation its memory, and it is read again; what came to grief is tried once
    /// more, or whoever waits is told to (OPS-09).
    fn step(&mut self, deliver: Deliver) {
        if self.is_lost {
            // Behind what it is given.
            self.shard.do_send(TryAgain(deliver));
            return;
        }
        let mut deliver = Some(deliver);
        let done = contained(Part::Conversation, || self.deal_with(&mut deliver));
        let Err(why) = done else { return };
        self.is_lost = true;
        let (id, who) = (self.id, self.id.to_string());
        let input = deliver.as_ref().map(|deliver| &deliver.input);
        self.directory.came_to_grief(Part::Conversation, &who, &input, &why);
        let retry = deliver.and_then(|deliver| deliver.unavailable(CAME_TO_GRIEF.to_owned()));
        let retry = retry.map(|deliver| (deliver, Setback::Grief));
        self.shard.do_send(Reload { id, retry, attempts: 0 });
    }

    /// What is left in `input` hasn't been passed on.
    fn deal_with(&mut self, input: &mut Option<Deliver>) {
        let Some(deliver) = input else { return };
        if deliver.only_of.as_ref().is_some_and(|channel| channel != self.dialogue.channel()) {
            return deliver.give(Answer::NotFound);
        }
        let now = clock::now();
        // ROUTE-17: whatever it is told, it deals with under today's settings.
        let edition = self.directory.in_force.edition();
        let (channel, workstream) = (self.dialogue.channel(), self.dialogue.workstream());
        if edition != self.edition
            && let Some(settings) = self.directory.in_force.settings_of(channel, workstream)
        {
            self.dialogue.set_settings(settings);
            self.edition = edition;
        }
        // Without an allocation where there are none, as nearly always.
        let wrap_ups = self.dialogue.machine().map(Conversation::owners_of_wrap_ups);
        let mut fx = Effects::new();
        match self.dialogue.tell(deliver.input.clone(), deliver.dedup, now, &mut fx) {
            Told::Done { after } => {
                let append =
                    self.append(after, now, deliver, &fx.events, &wrap_ups.unwrap_or_default());
                let deliver = input.take().expect("it was looked at just now");
                let routed = fx.events.iter().any(Event::routes).then(|| self.routed(after));
                let done = Answer::Done(self.id);
                self.commit(append, deliver, routed.flatten(), self.seen(fx.then), done);
            }
            Told::Repeated => {
                let deliver = input.take().expect("it was looked at just now");
                self.repeat(now, deliver);
            }
            Told::ForTheNext => {
                if let To::Thread { not, .. } = &mut deliver.to {
                    *not = Some(self.id);
                }
                let deliver = input.take().expect("it was looked at just now");
                self.shard.do_send(deliver);
            }
            Told::Refused(refused) => deliver.give(Answer::Refused(refused)),
        }
    }

    /// It has happened before. Answered once the first one is on disk: by an append of nothing that
    /// follows on it. Where nothing was opened yet, the first one is in an earlier conversation.
    fn repeat(&self, now: Timestamp, deliver: Deliver) {
        self.commit(self.nothing(now), deliver, None, (None, Vec::new()), Answer::Duplicate);
    }

    fn nothing(&self, now: Timestamp) -> Append {
        let version = self.dialogue.version();
        let home = self.directory.home(self.id);
        Append { home, base_version: version, version, ..Append::nothing(self.id, now) }
    }

    /// Effects, with what it looks like if one of them is for somebody who looks.
    fn seen(&self, effects: Vec<Effect>) -> (Option<Frame>, Vec<Effect>) {
        let is_seen = effects.iter().any(|effect| match effect {
            Effect::Changed(to) => to.iter().any(|agent| self.directory.looks(agent)),
            _ => false,
        });
        let view = is_seen.then(|| self.view()).flatten();
        (view, effects)
    }

    fn view(&self) -> Option<Frame> {
        let machine = self.dialogue.machine()?;
        Some(Frame::now(&Notice::Conversation(Box::new(machine.summary()))))
    }

    fn routed(&self, after: u64) -> Option<Routed> {
        let machine = self.dialogue.machine()?;
        let revision = machine.settings()?.revision;
        Some(Routed { conversation: self.id, after, version: machine.version(), revision })
    }

    /// What goes to the journal: the events, and the row if it can't stay as it is.
    fn append(
        &mut self,
        base_version: u64,
        now: Timestamp,
        deliver: &Deliver,
        events: &[Event],
        wrap_ups_before: &[AgentId],
    ) -> Append {
        let machine = self.dialogue.machine().expect("it has begun with its first step");
        // Without an event, too: other settings bring other deadlines.
        let is_outdated = match &self.written {
            Some(written) => written.is_outdated(machine),
            None => !events.is_empty(),
        };
        let row = is_outdated.then(|| {
            let mut written = Written::of(machine);
            share_ticket(&mut written);
            let row = Box::new(Row::of(machine, &written.standing));
            self.written = Some(written);
            row
        });
        let wrap_ups = Some(machine.owners_of_wrap_ups()).filter(|now| now != wrap_ups_before);
        let snapshot = match row {
            Some(_) => rmp_serde::to_vec_named(machine).expect("a machine can be encoded"),
            None => Vec::new(),
        };
        let replies =
            events.iter().filter(|event| matches!(event, Event::ReplyQueued { .. })).count();
        let open = self.open_replies;
        let is_first = replies > 0 && open == 0;
        let at_once = is_first.then(|| self.directory.sends_at_once(machine)).flatten();
        let at_once = at_once.map(|repeatable_by| AtOnce { at: now, repeatable_by });
        let gone = u32::from(deliver.settles.is_some());
        let added = u32::try_from(replies).unwrap_or(u32::MAX);
        let append = Append {
            conversation: self.id,
            home: self.directory.home(self.id),
            base_version,
            dedup: deliver.dedup.filter(|_| !events.is_empty()),
            at: now,
            events: events.iter().map(encoded).collect(),
            row,
            snapshot,
            version: machine.version(),
            outbox: outbox(machine, events, deliver.settles.clone(), at_once),
            consent: consent(machine, events),
            sessions: events.iter().flat_map(SessionOp::of).collect(),
            wrap_ups,
        };
        self.open_replies = open.saturating_add(added).saturating_sub(gone);
        append
    }

    fn commit(
        &self,
        append: Append,
        mut deliver: Deliver,
        routed: Option<Routed>,
        (view, effects): (Option<Frame>, Vec<Effect>),
        success: Answer,
    ) {
        let (id, directory, shard) = (self.id, self.directory.clone(), self.shard.clone());
        let pending = Pending::begin(self.tally.clone());
        let opts_out = append.consent.as_ref().is_some_and(|(.., opted_out)| *opted_out);
        let opt_outs = Some(self.directory.opt_outs.so_far());
        self.directory.journal.append(append, move |result| {
            match result {
                Ok(added) => {
                    if opts_out {
                        directory.opt_outs.count();
                    }
                    if let Some(routed) = routed {
                        directory.recorder.routed(routed);
                    }
                    let from = Origin { conversation: id, view };
                    BATCH.with(|batch| match batch.borrow_mut().as_mut() {
                        Some(notices) => directory.carry_out_with(Some(&from), effects, notices),
                        None => directory.carry_out(Some(from), effects),
                    });
                    for row in added {
                        directory.send(OutboxRow { opt_outs, ..row });
                    }
                    directory.board.work_changed(id);
                    deliver.give(success);
                }
                // The machine has gone further than the journal: it is read again.
                Err(error) => {
                    let is_hopeless = deliver.attempts >= Deliver::MOST_ATTEMPTS
                        || matches!(error, AppendError::Unavailable(_));
                    let retry = match is_hopeless {
                        true => deliver.unavailable(error.to_string()),
                        false => Some(deliver),
                    };
                    let retry = retry.map(|deliver| (deliver, Setback::Journal));
                    shard.do_send(Reload { id, retry, attempts: 0 });
                }
            }
            drop(pending);
        });
    }
}

thread_local! {
    /// Notices of the commit that is being dealt with on this thread.
    static BATCH: RefCell<Option<Notices>> = const { RefCell::new(None) };
}

/// Tells all who wait on this shard for one commit; each agent's screens get one message.
pub(super) fn tell_all(answers: Answers, directory: &Directory) {
    BATCH.with(|batch| *batch.borrow_mut() = Some(Notices::default()));
    for tell in answers {
        // One that comes to grief must not cost those behind it their answers.
        if let Err(why) = contained(Part::Shard, tell) {
            directory.came_to_grief(Part::Shard, "a shard", &"what was told of a commit", &why);
            // What queues, agents, the alarm clock and the outbox should have heard is on disk.
            directory.routing_is_lost(format!("what a commit had brought wasn't told: {why}"));
        }
    }
    let notices = BATCH.with(|batch| batch.borrow_mut().take());
    directory.show(notices.unwrap_or_default());
}

/// The row as it is on disk. It may be by other settings than those that the machine goes by now; its
/// columns never lie behind the events otherwise.
fn written(loaded: &Loaded) -> Option<Written> {
    let (machine, stored) = (loaded.dialogue.machine()?, loaded.stored.as_ref()?);
    let mut standing = machine.standing();
    Arc::make_mut(&mut standing.ticket).revision = stored.revision;
    let mut written = Written { standing, wake_at: stored.wake_at, version: stored.snapshot };
    share_ticket(&mut written);
    Some(written)
}

thread_local! {
    /// Those of conversations that live on this thread.
    static TICKETS: RefCell<Tickets> = RefCell::default();
}

/// A tenth of what a conversation takes in memory.
fn share_ticket(written: &mut Written) {
    TICKETS.with_borrow_mut(|tickets| tickets.share(&mut written.standing));
}

impl Deliver {
    /// Meeting a stale machine this often in a row means something is wrong with the journal.
    pub(super) const MOST_ATTEMPTS: u8 = 8;
}

fn encoded(event: &Event) -> StoredEvent {
    let body = rmp_serde::to_vec_named(event).expect("events can be encoded");
    StoredEvent { kind: event.kind().into(), body }
}

/// Replies to be sent, the one that this step settles, and that the one behind that begins. The first goes out at once, if
/// whoever takes it has room: then that its attempt begins stands in the same step.
fn outbox(
    machine: &Conversation,
    events: &[Event],
    settles: Option<Settles>,
    mut at_once: Option<AtOnce>,
) -> Vec<OutboxOp> {
    let replies = events.iter().filter_map(|event| {
        let Event::ReplyQueued { message } = event else { return None };
        let reply = Reply {
            message: message.no,
            said_at: Some(message.at),
            from: machine.own().to_string(),
            to: machine.customer().to_string(),
            text: message.text.clone(),
            media: message.media.clone(),
        };
        let mut row = reply.queued(machine.channel(), machine.id());
        if let Some(AtOnce { at, repeatable_by }) = at_once.take() {
            row.first_attempt_at = Some(at);
            row.attempting = true;
            row.attempts = 1;
            row.repeatable_by = Some(repeatable_by);
        }
        Some(OutboxOp::Queue(Box::new(row)))
    });
    let settled = settles.map(|Settles { row, provider_id, next }| {
        (OutboxOp::Done { id: row, provider_id }, next.map(OutboxOp::Begin))
    });
    let settled = settled.into_iter().flat_map(|(done, next)| std::iter::once(done).chain(next));
    replies.chain(settled).collect()
}

/// A reply's first attempt begins with it.
struct AtOnce {
    at: Timestamp,
    repeatable_by: Repeater,
}

fn consent(machine: &Conversation, events: &[Event]) -> Option<(String, String, bool)> {
    events.iter().rev().find_map(|event| match event {
        Event::ConsentChanged { opted_out } => {
            Some((machine.channel().to_string(), machine.customer().to_string(), *opted_out))
        }
        _ => None,
    })
}

impl Actor for ConversationActor {
    type Context = Context<Self>;
}

/// An input that the shard passes on.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Step(pub Deliver);

impl Handler<Step> for ConversationActor {
    type Result = ();

    fn handle(&mut self, message: Step, _: &mut Self::Context) {
        self.step(message.0);
        self.tally.handled.fetch_add(1, Ordering::AcqRel);
    }
}

/// The conversation as the journal has it.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Replace(pub Loaded);

impl Handler<Replace> for ConversationActor {
    type Result = ();

    fn handle(&mut self, message: Replace, _: &mut Self::Context) {
        self.written = written(&message.0);
        self.dialogue.go_on_from(message.0.dialogue);
        self.open_replies = message.0.open_replies;
        self.edition = 0;
        self.is_lost = false;
        self.tally.handled.fetch_add(1, Ordering::AcqRel);
    }
}

/// An agent who takes part has come to look: they see it as it is.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct LookedAtBy(pub AgentId);

impl Handler<LookedAtBy> for ConversationActor {
    type Result = ();

    fn handle(&mut self, message: LookedAtBy, _: &mut Self::Context) {
        let LookedAtBy(agent) = message;
        let is_theirs =
            |machine: &Conversation| machine.takes_part(&agent) || machine.has_wrap_up_of(&agent);
        if !self.is_lost
            && self.dialogue.machine().is_some_and(is_theirs)
            && let Some(view) = self.view()
        {
            // What it is may be on its way to the disk still: an append of nothing follows on it.
            let (directory, pending) = (self.directory.clone(), Pending::begin(self.tally.clone()));
            self.directory.journal.append(self.nothing(clock::now()), move |result| {
                if result.is_ok() {
                    directory.show_frame(&agent, view);
                }
                drop(pending);
            });
        }
        self.tally.handled.fetch_add(1, Ordering::AcqRel);
    }
}

/// Nothing is on its way: the journal keeps the conversation until the next message.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Passivate;

impl Handler<Passivate> for ConversationActor {
    type Result = ();

    fn handle(&mut self, _: Passivate, context: &mut Self::Context) {
        context.stop();
    }
}
