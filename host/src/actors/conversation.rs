//! A conversation's actor: machine, journal, and only then the effects.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix::{Actor, ActorContext, Addr, Context, Handler, Message};
use cordboard_core::conversation::{Event, Input, Opening};
use cordboard_core::effect::Effect;
use cordboard_core::ids::ConversationId;
use cordboard_core::workstream::Workstream;
use cordboard_core::{Conversation, Effects};

use crate::actors::directory::{Answer, Deliver, Directory, To};
use crate::actors::shard::{Reload, Shard};
use crate::clock;
use crate::journal::{Append, AppendError, OutboxBody, OutboxOp, OutboxRow, Row, RowChange};

/// Counted on both sides, so that the shard knows when nothing is on its way any more.
#[derive(Default)]
pub(super) struct Tally {
    /// Messages that the actor has taken.
    pub handled: AtomicU32,
    /// Appends that the journal hasn't answered yet.
    pub pending: AtomicU32,
}

/// What a conversation is before its first event is on disk.
pub(super) struct Unopened {
    pub opening: Opening,
    pub policy: Arc<Workstream>,
}

pub(super) struct ConversationActor {
    id: ConversationId,
    machine: Result<Box<Conversation>, Box<Unopened>>,
    directory: Arc<Directory>,
    shard: Addr<Shard>,
    tally: Arc<Tally>,
}

impl ConversationActor {
    pub fn new(
        id: ConversationId,
        machine: Result<Box<Conversation>, Box<Unopened>>,
        directory: Arc<Directory>,
        shard: Addr<Shard>,
        tally: Arc<Tally>,
    ) -> Self {
        Self { id, machine, directory, shard, tally }
    }

    fn step(&mut self, mut deliver: Deliver) {
        let now = clock::now();
        let mut fx = Effects::new();
        let is_new = self.machine.is_err();
        if let Err(unopened) = &self.machine {
            let Unopened { opening, policy } = unopened.as_ref();
            let opened = Conversation::open(self.id, opening.clone(), policy.clone(), now, &mut fx);
            self.machine = Ok(Box::new(opened));
        }
        let Ok(machine) = &mut self.machine else { return };
        let is_message = matches!(deliver.input, Input::Customer(_));
        if is_message && !is_new && !machine.takes_message(now) {
            if let To::Thread { not, .. } = &mut deliver.to {
                *not = Some(self.id);
            }
            self.shard.do_send(deliver);
            return;
        }

        let base_version = if is_new { 0 } else { machine.version() };
        let before = Columns::of(machine);
        if let Err(refused) = machine.handle(deliver.input.clone(), now, &mut fx) {
            if let Some(answer) = deliver.answer.take() {
                let _ = answer.send(Answer::Refused(refused));
            }
            return;
        }
        let row = if fx.events.is_empty() {
            None
        } else if is_new {
            Some(RowChange::Insert(Box::new(Row::of(machine))))
        } else if before != Columns::of(machine) {
            Some(RowChange::Update(Box::new(Row::of(machine))))
        } else {
            Some(RowChange::Snapshot { wake_at: machine.wake_at() })
        };
        let snapshot = match row {
            Some(_) => rmp_serde::to_vec_named(machine).expect("a machine can be encoded"),
            None => Vec::new(),
        };
        let append = Append {
            conversation: self.id,
            base_version,
            dedup: deliver.dedup,
            at: now,
            events: fx.events.iter().map(encoded).collect(),
            row,
            snapshot,
            version: machine.version(),
            outbox: outbox(machine, &fx.events, deliver.settles.clone()),
            consent: consent(machine, &fx.events),
        };
        self.commit(append, deliver, fx.then);
    }

    fn commit(&self, append: Append, mut deliver: Deliver, effects: Vec<Effect>) {
        let (id, directory, shard) = (self.id, self.directory.clone(), self.shard.clone());
        let tally = self.tally.clone();
        tally.pending.fetch_add(1, Ordering::AcqRel);
        self.directory.journal.append(append, move |result| {
            match result {
                Ok(added) => {
                    directory.carry_out(Some(id), effects);
                    added.into_iter().for_each(|row| directory.send(row));
                    settle(&mut deliver, Answer::Done(id));
                }
                // The machine has gone further than the journal: it is read again in every case.
                Err(AppendError::Duplicate) => {
                    settle(&mut deliver, Answer::Duplicate);
                    shard.do_send(Reload { id, retry: None });
                }
                Err(error) => {
                    let is_hopeless = deliver.attempts >= Deliver::MOST_ATTEMPTS
                        || matches!(error, AppendError::Unavailable(_));
                    if is_hopeless && deliver.answer.is_some() {
                        settle(&mut deliver, Answer::Unavailable(error.to_string()));
                        shard.do_send(Reload { id, retry: None });
                    } else {
                        shard.do_send(Reload { id, retry: Some((deliver, error)) });
                    }
                }
            }
            tally.pending.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

impl Deliver {
    /// Meeting a stale machine this often in a row means something is wrong with the journal.
    pub(super) const MOST_ATTEMPTS: u8 = 8;
}

/// The columns whose change needs more than the cheap update.
#[derive(PartialEq)]
struct Columns(cordboard_core::conversation::Standing);

impl Columns {
    fn of(machine: &Conversation) -> Self {
        Self(machine.standing())
    }
}

fn settle(deliver: &mut Deliver, result: Answer) {
    if let Some(answer) = deliver.answer.take() {
        // The webhook's connection may be gone; the provider will ask again.
        let _ = answer.send(result);
    }
}

fn encoded(event: &Event) -> (&'static str, Vec<u8>) {
    (event.kind(), rmp_serde::to_vec_named(event).expect("events can be encoded"))
}

/// Replies to be sent, and the one that this step settles.
fn outbox(
    machine: &Conversation,
    events: &[Event],
    settles: Option<(i64, Option<String>)>,
) -> Vec<OutboxOp> {
    let replies = events.iter().filter_map(|event| match event {
        Event::ReplyQueued { message } => Some(OutboxOp::Add(Box::new(OutboxRow {
            id: 0,
            conversation: machine.id(),
            message: message.no,
            channel: machine.channel().to_string(),
            sender: machine.own().to_string(),
            recipient: machine.customer().to_string(),
            body: OutboxBody { text: message.text.clone(), media: message.media.clone() },
            first_attempt_at: None,
            attempting: false,
            attempts: 0,
        }))),
        _ => None,
    });
    let settled = settles.map(|(id, provider_id)| OutboxOp::Done { id, provider_id });
    replies.chain(settled).collect()
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
pub(super) struct Replace(pub Result<Box<Conversation>, Box<Unopened>>);

impl Handler<Replace> for ConversationActor {
    type Result = ();

    fn handle(&mut self, message: Replace, _: &mut Self::Context) {
        self.machine = message.0;
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
