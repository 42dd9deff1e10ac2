//! A queue's actor.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message};
use cordboard_core::Effects;
use cordboard_core::conversation::State;
use cordboard_core::decision::PassedOver;
use cordboard_core::ids::{AgentId, ConversationId, QueueId};
use cordboard_core::notice::ThreadKey;
use cordboard_core::queue::{Input, PlaceInLine, Queue};
use cordboard_core::time::{Span, Timestamp};

use crate::actors::directory::{Directory, Ping};
use crate::actors::rebuild::{Become, GoOn, NoteWhatYouAre, Pause, PutAsideIsWritten};
use crate::actors::timer::Timer;
use crate::actors::waiting::Counted;
use crate::actors::work::Work;
use crate::clock;
use crate::grief::{Part, contained};
use crate::journal::JournalError;

/// A queue and where its effects go.
pub struct QueueActor {
    machine: Queue,
    directory: Arc<Directory>,
    timer: Timer,
    work: Work<TellQueue>,
    /// Whether the board will be told in a moment.
    is_board_due: bool,
}

impl QueueActor {
    /// Around a machine that recovery has filled.
    pub fn new(machine: Queue, directory: Arc<Directory>) -> Self {
        Self {
            machine,
            directory,
            timer: Timer::default(),
            work: Work::default(),
            is_board_due: false,
        }
    }

    fn step(&mut self, message: TellQueue, context: &mut Context<Self>) {
        let Some(TellQueue { input, waits: _waits }) = self.work.take(message) else { return };
        let now = clock::now();
        let mut fx = Effects::new();
        let (machine, told) = (&mut self.machine, input.clone());
        if let Err(why) = contained(Part::Queue, || machine.handle(told, now, &mut fx)) {
            let id = self.machine.id().to_string();
            self.directory.came_to_grief(Part::Queue, &id, &input, &why);
            self.work.lose();
            self.directory.routing_is_lost(format!("queue {id}: {why}"));
            return;
        }
        // One that came to grief isn't part of the record: its machine isn't either.
        self.directory.recorder.queue(self.machine.id(), now, &input);
        self.directory.carry_out(None, fx.then);
        self.set_timer(context);
        self.tell_board(context);
    }

    /// Once in a moment, however much comes and goes in it.
    fn tell_board(&mut self, context: &mut Context<Self>) {
        const MOMENT: Duration = Duration::from_millis(300);
        let is_shown = self.directory.board.line(self.machine.id()) == self.machine.count_waiting();
        if is_shown || self.is_board_due {
            return;
        }
        self.is_board_due = true;
        context.run_later(MOMENT, |actor, _| {
            actor.is_board_due = false;
            let (id, waiting) = (actor.machine.id(), actor.machine.count_waiting());
            actor.directory.board.set_line(id, waiting);
        });
    }

    fn set_timer(&mut self, context: &mut Context<Self>) {
        let wanted = self.machine.wake_at();
        self.timer.set(wanted, context, |actor, context| {
            actor.timer.clear();
            actor.step(actor.directory.for_queue(Input::Wake), context);
        });
    }
}

impl Actor for QueueActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(1024);
        self.directory.board.set_line(self.machine.id(), self.machine.count_waiting());
        self.set_timer(context);
    }
}

impl Handler<Ping> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

/// An input for the machine.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TellQueue {
    /// What.
    pub input: Input,
    /// It is on its way.
    pub waits: Counted,
}

impl Handler<TellQueue> for QueueActor {
    type Result = ();

    fn handle(&mut self, message: TellQueue, context: &mut Self::Context) {
        self.step(message, context);
    }
}

/// Questions of outside are about a machine; while it is lost there is nothing to be said.
impl Handler<Pause> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Pause, context: &mut Self::Context) {
        self.work.pause();
        self.timer.set(None, context, |_, _| ());
    }
}

impl Handler<PutAsideIsWritten> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: PutAsideIsWritten, _: &mut Self::Context) {
        self.work.keep(|message| is_from_outside(&message.input));
    }
}

/// Whether the journal doesn't have it.
fn is_from_outside(input: &Input) -> bool {
    match input {
        Input::Judged { .. } | Input::Hold | Input::Configure(_) | Input::GoOn | Input::Close => {
            true
        }
        Input::Enqueue(_)
        | Input::Recover(_)
        | Input::Remove { .. }
        | Input::Taken { .. }
        | Input::Member { .. }
        | Input::Leave { .. }
        | Input::Reserved { .. }
        | Input::NotReserved { .. }
        | Input::OfferEnded { .. }
        | Input::Wake => false,
    }
}

impl Handler<Become<Queue>> for QueueActor {
    type Result = ();

    fn handle(&mut self, message: Become<Queue>, _: &mut Self::Context) {
        self.machine = message.0;
        self.work.find();
    }
}

impl Handler<NoteWhatYouAre> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: NoteWhatYouAre, _: &mut Self::Context) {
        // One that is lost is replaced in a moment, and that is noted.
        if !self.work.is_lost() {
            self.directory.recorder.queue_is(&self.machine);
        }
    }
}

impl Handler<GoOn> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: GoOn, context: &mut Self::Context) {
        for message in self.work.go_on() {
            self.step(message, context);
        }
        self.set_timer(context);
    }
}

/// Asks what a queue looks like.
#[derive(Message)]
#[rtype(result = "QueueView")]
pub struct LookAtQueue;

/// A queue as dashboards show it.
#[derive(Clone, Debug, actix::MessageResponse)]
pub struct QueueView {
    /// Which.
    pub id: QueueId,
    /// Items in it, offered ones included.
    pub items: usize,
    /// Since when the oldest waits.
    pub oldest: Option<Timestamp>,
    /// Members that are signed in.
    pub signed_in: usize,
    /// How long an item that came now would probably wait.
    pub estimate: Option<Span>,
}

impl Handler<LookAtQueue> for QueueActor {
    type Result = QueueView;

    fn handle(&mut self, _: LookAtQueue, _: &mut Self::Context) -> QueueView {
        QueueView {
            id: self.machine.id().clone(),
            items: self.machine.len(),
            oldest: self.machine.oldest(),
            signed_in: self.machine.signed_in(),
            estimate: self.machine.estimate(),
        }
    }
}

/// Asks for the items that wait, best first; at most so many.
#[derive(Message)]
#[rtype(result = "Vec<ConversationId>")]
pub struct LookAtLine(pub usize);

impl Handler<LookAtLine> for QueueActor {
    type Result = Vec<ConversationId>;

    fn handle(&mut self, message: LookAtLine, _: &mut Self::Context) -> Vec<ConversationId> {
        self.machine.first_waiting(message.0)
    }
}

/// Asks where an item stands (ROUTE-16).
#[derive(Message)]
#[rtype(result = "Option<PlaceInLine>")]
struct LookAtItem(pub ConversationId);

impl Handler<LookAtItem> for QueueActor {
    type Result = Option<PlaceInLine>;

    fn handle(&mut self, message: LookAtItem, _: &mut Self::Context) -> Option<PlaceInLine> {
        self.machine.place_in_line(message.0)
    }
}

/// Asks why an agent doesn't have a waiting item (ROUTE-15); nothing: they could have it.
#[derive(Message)]
#[rtype(result = "Option<PassedOver>")]
pub struct WhyNot {
    /// Who.
    pub agent: AgentId,
    /// Which item.
    pub conversation: ConversationId,
}

impl Handler<WhyNot> for QueueActor {
    type Result = Option<PassedOver>;

    fn handle(&mut self, message: WhyNot, _: &mut Self::Context) -> Option<PassedOver> {
        self.machine.why_not(&message.agent, message.conversation, clock::now())
    }
}

/// Where an item stands in a queue; `None`: it isn't there.
pub async fn place_in_line(
    directory: &Directory,
    queue: &QueueId,
    id: ConversationId,
) -> Option<PlaceInLine> {
    directory.queue(queue)?.send(LookAtItem(id)).await.ok()?
}

/// Where the customer of a thread stands in line; `None`: they don't wait for an agent (ROUTE-16).
///
/// # Errors
/// SQLite's own.
pub async fn place_of_thread(
    directory: &Directory,
    key: &ThreadKey,
) -> Result<Option<PlaceInLine>, JournalError> {
    let key = key.clone();
    let newest = directory.journal.read(move |reader| {
        let newest = reader.thread(&key)?.newest;
        Ok::<_, JournalError>(newest.map(|id| reader.conversation(id)).transpose()?.flatten())
    });
    let waiting = newest.await?.map(|machine| directory.with_settings(machine));
    let Some(machine) = waiting.filter(|machine| machine.state() == State::Open) else {
        return Ok(None);
    };
    Ok(place_in_line(directory, machine.queue(), machine.id()).await)
}
