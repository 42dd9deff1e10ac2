//! An agent's actor: the machine, and the screens that show what happens.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message};
use cordboard_core::Effects;
use cordboard_core::agent::{Agent, Input, KeptPresence, Refused};
use cordboard_core::ids::{AgentId, ConversationId};
use cordboard_core::notice::{Notice, OfferView, Usage};
use cordboard_core::offer;
use cordboard_core::presence::Presence;
use cordboard_core::time::Timestamp;
use serde_bytes::ByteBuf;
use tokio::sync::oneshot;

use crate::actors::board::Seen;
use crate::actors::directory::Directory;
use crate::actors::rebuild::{Become, GoOn, NoteWhatYouAre, Pause, PutAsideIsWritten};
use crate::actors::screen::{Frame, ScreenSender};
use crate::actors::timer::Timer;
use crate::actors::waiting::Counted;
use crate::actors::work::Work;
use crate::clock;
use crate::grief::{Part, contained};
use crate::journal::{JournalError, Outcome, Record, Written};

/// An agent, their screens, and one timer.
pub struct AgentActor {
    machine: Agent,
    directory: Arc<Directory>,
    screens: HashMap<u64, ScreenSender>,
    /// The same number, for those who have something to show.
    screen_count: Arc<AtomicUsize>,
    next_screen: u64,
    looks_after_screens: bool,
    timer: Timer,
    /// What is on disk of their presence, or on its way there.
    written: Option<KeptPresence>,
    /// Who waits for the newest write of it; nothing once the journal has answered that.
    on_its_way: Arc<Mutex<Option<Vec<Tell>>>>,
    /// What the journal couldn't take of their history, in order; the oldest goes if there is too much.
    history: VecDeque<Record>,
    work: Work<TellAgent>,
}

/// How whoever waits hears what came of an input. Of an offer that is being accepted: the conversation, which
/// has the last word.
pub type AgentAnswer = oneshot::Sender<Result<Option<ConversationId>, NotDone>>;

/// Tells somebody what came of a write.
type Tell = Box<dyn FnOnce(Written) + Send>;

/// Why an input came to nothing.
#[derive(Clone, Debug)]
pub enum NotDone {
    /// The machine's own sentence.
    Refused(Refused),
    /// The journal couldn't take it; it is written as soon as it can.
    Unwritten(String),
}

impl AgentActor {
    /// More screens than a person has: a program that connects again and again without end.
    pub const MOST_SCREENS: usize = 32;

    /// Around a machine that recovery has filled.
    pub fn new(machine: Agent, directory: Arc<Directory>, screen_count: Arc<AtomicUsize>) -> Self {
        Self {
            machine,
            directory,
            screens: HashMap::new(),
            screen_count,
            next_screen: 1,
            looks_after_screens: false,
            timer: Timer::default(),
            written: None,
            on_its_way: Arc::default(),
            history: VecDeque::new(),
            work: Work::default(),
        }
    }

    fn step(&mut self, message: TellAgent, context: &mut Context<Self>) {
        // Whoever waits while the machine is lost learns it from the dropped sender.
        let Some(message) = self.work.take(message) else { return };
        let TellAgent { input, answer, waits: _waits } = message;
        let now = clock::now();
        let mut fx = Effects::new();
        let accepted = match &input {
            Input::Accept { offer } => self.machine.conversation_of(offer),
            _ => None,
        };
        let (machine, told) = (&mut self.machine, input.clone());
        let result = match contained(Part::Agent, || machine.handle(told, now, &mut fx)) {
            Ok(result) => result,
            Err(why) => {
                let id = self.machine.id().to_string();
                self.directory.came_to_grief(Part::Agent, &id, &input, &why);
                self.work.lose();
                self.directory.routing_is_lost(format!("agent {id}: {why}"));
                return;
            }
        };
        // One that came to grief isn't part of the record: its machine isn't either. What was refused has
        // changed nothing, and could be said without end.
        if result.is_ok() {
            self.directory.recorder.agent(self.machine.id(), now, &input);
        }
        self.keep_history(&mut fx, context);
        self.directory.carry_out(None, fx.then);
        self.set_timer(context);
        self.show_on_board();
        let result = result.map(|()| accepted).map_err(NotDone::Refused);
        self.keep_presence(answer, result, context);
    }

    /// Something that it tells itself.
    fn own_step(&mut self, input: Input, context: &mut Context<Self>) {
        let message = self.directory.for_agent(input, None);
        self.step(message, context);
    }

    /// Presence is written down whenever it changes, so that a restart finds it (PRES-04); whoever
    /// waits for an answer gets it once that is on disk.
    fn keep_presence(
        &mut self,
        answer: Option<AgentAnswer>,
        result: Result<Option<ConversationId>, NotDone>,
        context: &mut Context<Self>,
    ) {
        let tell: Option<Tell> = answer.map(|answer| -> Tell {
            Box::new(move |written: Written| {
                let unwritten = |error: JournalError| NotDone::Unwritten(error.to_string());
                // Whoever asked may have closed the page.
                let _ = answer.send(written.map_err(unwritten).and(result));
            })
        });
        let standing = self.machine.kept_presence();
        if self.written.as_ref() == Some(&standing) {
            let Some(tell) = tell else { return };
            // It may be on its way only, and may yet fail: whoever waits hears what came of it.
            let mut waiting = self.on_its_way.lock().unwrap_or_else(PoisonError::into_inner);
            match waiting.as_mut() {
                Some(waiting) => waiting.push(tell),
                None => {
                    drop(waiting);
                    tell(Ok(Outcome::default()));
                }
            }
            return;
        }
        let body = rmp_serde::to_vec_named(&standing).expect("presence can be encoded");
        self.written = Some(standing);
        let presence =
            Record::Presence { agent: self.machine.id().clone(), at: clock::now(), body };
        let waiting = Arc::new(Mutex::new(Some(Vec::from_iter(tell))));
        self.on_its_way = waiting.clone();
        let own = context.address();
        self.directory.journal.write(presence, move |written| {
            if let Err(error) = &written {
                tracing::warn!(%error, "an agent's presence couldn't be written down; it is tried again");
                own.do_send(Unwritten::Presence);
            }
            let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
            for tell in waiting.into_iter().flatten() {
                tell(written.clone());
            }
        });
    }

    fn show_on_board(&self) {
        let (presence, light) = (self.machine.presence(), self.machine.settings().light);
        self.directory.board.see(self.machine.id(), Seen { presence, light });
    }

    /// Presence spans and offers: written, never waited for.
    fn keep_history(&self, fx: &mut Effects, context: &Context<Self>) {
        let events = std::mem::take(&mut fx.agent_events);
        if events.is_empty() {
            return;
        }
        for event in &events {
            self.directory.metrics.count_agent_event(event);
        }
        let encoded =
            |event| ByteBuf::from(rmp_serde::to_vec_named(event).expect("events can be encoded"));
        let history = Record::AgentHistory {
            agent: self.machine.id().clone(),
            at: clock::now(),
            events: events.iter().map(encoded).collect(),
        };
        self.write_history(history, context);
    }

    fn write_history(&self, history: Record, context: &Context<Self>) {
        let (own, again) = (context.address(), history.clone());
        self.directory.journal.write(history, move |result| {
            if let Err(error) = result {
                tracing::warn!(%error, "an agent's history couldn't be written; it is tried again");
                own.do_send(Unwritten::History(again));
            }
        });
    }

    fn set_timer(&mut self, context: &mut Context<Self>) {
        let wanted = self.machine.wake_at();
        self.timer.set(wanted, context, |actor, context| {
            actor.timer.clear();
            actor.own_step(Input::Wake, context);
        });
    }

    fn show(&self, frame: &Frame) {
        // A screen whose connection has ended, or that doesn't keep up, detaches itself.
        self.screens.values().for_each(|screen| {
            screen.send(frame.clone());
        });
    }
}

impl Actor for AgentActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(1024);
        self.show_on_board();
        self.set_timer(context);
    }
}

/// An input for the machine.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TellAgent {
    /// What.
    pub input: Input,
    /// Who waits to hear whether it was refused.
    pub answer: Option<AgentAnswer>,
    /// It is on its way.
    pub waits: Counted,
}

impl Handler<TellAgent> for AgentActor {
    type Result = ();

    fn handle(&mut self, message: TellAgent, context: &mut Self::Context) {
        self.step(message, context);
    }
}

/// Something that the journal couldn't take.
#[derive(Message)]
#[rtype(result = "()")]
enum Unwritten {
    Presence,
    History(Record),
}

impl AgentActor {
    const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(1);
    /// Pieces of history that are kept for better times.
    const MOST_HISTORY: usize = 1000;
}

impl Handler<Unwritten> for AgentActor {
    type Result = ();

    fn handle(&mut self, message: Unwritten, context: &mut Self::Context) {
        match message {
            Unwritten::Presence => {
                // Whatever it is by then.
                self.written = None;
                context.run_later(Self::TRIED_AGAIN_AFTER, |actor, context| {
                    actor.keep_presence(None, Ok(None), context);
                });
            }
            Unwritten::History(record) => {
                self.history.push_back(record);
                if self.history.len() > Self::MOST_HISTORY {
                    self.history.pop_front();
                }
                if self.history.len() > 1 {
                    return;
                }
                context.run_later(Self::TRIED_AGAIN_AFTER, |actor, context| {
                    for record in std::mem::take(&mut actor.history) {
                        actor.write_history(record, context);
                    }
                });
            }
        }
    }
}

impl Handler<Pause> for AgentActor {
    type Result = ();

    fn handle(&mut self, _: Pause, context: &mut Self::Context) {
        self.work.pause();
        self.timer.set(None, context, |_, _| ());
    }
}

impl Handler<PutAsideIsWritten> for AgentActor {
    type Result = ();

    fn handle(&mut self, _: PutAsideIsWritten, _: &mut Self::Context) {
        self.work.keep(|message| is_from_outside(&message.input));
    }
}

/// Whether the journal doesn't have it. Screens that come and go meanwhile are counted.
fn is_from_outside(input: &Input) -> bool {
    match input {
        Input::SignOut
        | Input::Activity
        | Input::SetPresence(_)
        | Input::Accept { .. }
        | Input::Refuse { .. }
        | Input::Pick { .. }
        | Input::Relabel { .. }
        | Input::Configure(_)
        | Input::Retire
        | Input::Stop => true,
        Input::Connected
        | Input::Disconnected { .. }
        | Input::Reserve(_)
        | Input::Withdraw { .. }
        | Input::Confirmed { .. }
        | Input::Rejected { .. }
        | Input::Reoccupy { .. }
        | Input::Restore { .. }
        | Input::Recall { .. }
        | Input::Release { .. }
        | Input::Entrusted { .. }
        | Input::Follow { .. }
        | Input::Wake => false,
    }
}

impl Handler<Become<Agent>> for AgentActor {
    type Result = ();

    fn handle(&mut self, message: Become<Agent>, _: &mut Self::Context) {
        let before = std::mem::replace(&mut self.machine, message.0);
        self.work.find();
        // Nobody knows of them any more: what isn't taken is offered again.
        for OfferView { offer, .. } in before.open_offers() {
            let outcome = offer::Outcome::Withdrawn;
            self.show(&Frame::later(Notice::OfferEnded { offer, outcome }));
        }
    }
}

/// Be told, before anything else, what was (PRES-04), and of each screen that is connected.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Recalled(pub Input);

impl Handler<Recalled> for AgentActor {
    type Result = ();

    fn handle(&mut self, message: Recalled, context: &mut Self::Context) {
        if !self.work.is_put_aside() {
            // Somebody new, or whose actor was started anew: nothing was put aside for them.
            self.own_step(message.0, context);
            return;
        }
        self.work.keep(|told| !matches!(told.input, Input::Connected | Input::Disconnected { .. }));
        let screens = self.screens.iter().map(|_| Input::Connected);
        let all = std::iter::once(message.0).chain(screens);
        let all: Vec<_> = all.map(|input| self.directory.for_agent(input, None)).collect();
        self.work.first(all);
    }
}

impl Handler<NoteWhatYouAre> for AgentActor {
    type Result = ();

    fn handle(&mut self, _: NoteWhatYouAre, _: &mut Self::Context) {
        // As with queues.
        if !self.work.is_lost() {
            self.directory.recorder.agent_is(&self.machine);
        }
    }
}

impl Handler<GoOn> for AgentActor {
    type Result = ();

    fn handle(&mut self, _: GoOn, context: &mut Self::Context) {
        for message in self.work.go_on() {
            self.step(message, context);
        }
        self.set_timer(context);
    }
}

/// Something for all screens of this agent.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Show(pub Vec<Frame>);

impl Handler<Show> for AgentActor {
    type Result = ();

    fn handle(&mut self, message: Show, _: &mut Self::Context) {
        for notice in &message.0 {
            self.show(notice);
        }
    }
}

/// A screen connects; nothing if there are as many as there may be. It gets presence and open offers at once, then whatever happens.
#[derive(Message)]
#[rtype(result = "Option<u64>")]
pub struct Attach {
    /// Where its frames go.
    pub screen: ScreenSender,
}

impl Handler<Attach> for AgentActor {
    type Result = Option<u64>;

    fn handle(&mut self, message: Attach, context: &mut Self::Context) -> Option<u64> {
        self.let_go_of_closed_screens(context);
        if self.screens.len() >= Self::MOST_SCREENS {
            return None;
        }
        let id = self.next_screen;
        self.next_screen += 1;
        self.screens.insert(id, message.screen.clone());
        self.screen_count.store(self.screens.len(), Ordering::SeqCst);
        self.look_after_screens(context);
        self.own_step(Input::Connected, context);
        let presence =
            Notice::Presence { presence: self.machine.presence(), capacity: self.machine.usage() };
        let offers = self.machine.open_offers().into_iter().map(Notice::Offer);
        for notice in std::iter::once(presence).chain(offers) {
            message.screen.send(Frame::later(notice));
        }
        Some(id)
    }
}

/// A screen's connection has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Detach {
    /// Which.
    pub screen: u64,
    /// When it was last heard of.
    pub heard_at: Timestamp,
}

impl Handler<Detach> for AgentActor {
    type Result = ();

    fn handle(&mut self, message: Detach, context: &mut Self::Context) {
        self.detach(message.screen, message.heard_at, context);
    }
}

impl AgentActor {
    fn detach(&mut self, screen: u64, heard_at: Timestamp, context: &mut Context<Self>) {
        if self.screens.remove(&screen).is_some() {
            self.screen_count.store(self.screens.len(), Ordering::SeqCst);
            self.own_step(Input::Disconnected { heard_at }, context);
        }
    }

    /// A request that is torn down before it has heard which screen it is says nothing when it goes. So
    /// screens that nobody takes anything of are let go of, now and then as long as there are any.
    fn look_after_screens(&mut self, context: &mut Context<Self>) {
        const EVERY: Duration = Duration::from_secs(5);
        if std::mem::replace(&mut self.looks_after_screens, true) {
            return;
        }
        context.run_later(EVERY, |actor, context| {
            actor.looks_after_screens = false;
            actor.let_go_of_closed_screens(context);
            if !actor.screens.is_empty() {
                actor.look_after_screens(context);
            }
        });
    }

    fn let_go_of_closed_screens(&mut self, context: &mut Context<Self>) {
        let closed = self.screens.iter().filter(|(_, screen)| screen.is_closed());
        let closed: Vec<u64> = closed.map(|(id, _)| *id).collect();
        for id in closed {
            self.detach(id, clock::now(), context);
        }
    }
}

/// The host stops: offers are withdrawn, presence is kept for the next start, every screen is told.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseScreens;

impl Handler<CloseScreens> for AgentActor {
    type Result = ();

    fn handle(&mut self, _: CloseScreens, context: &mut Self::Context) {
        self.own_step(Input::Stop, context);
        // What that has to show is in the mailbox already; the end comes behind it.
        context.address().do_send(DropScreens);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct DropScreens;

impl Handler<DropScreens> for AgentActor {
    type Result = ();

    fn handle(&mut self, _: DropScreens, _: &mut Self::Context) {
        self.screens.clear();
    }
}

/// Asks what an agent looks like.
#[derive(Message)]
#[rtype(result = "AgentView")]
pub struct LookAtAgent;

/// An agent as lists show it.
#[derive(Clone, Debug, actix::MessageResponse)]
pub struct AgentView {
    /// Who.
    pub id: AgentId,
    /// Status.
    pub presence: Presence,
    /// Load.
    pub capacity: [Usage; 4],
    /// Offers that are out.
    pub offers: Vec<OfferView>,
    /// Has no licence to take work (PRES-08).
    pub light: bool,
    /// What a place is taken for.
    pub held: Vec<ConversationId>,
}

impl Handler<LookAtAgent> for AgentActor {
    type Result = AgentView;

    fn handle(&mut self, _: LookAtAgent, _: &mut Self::Context) -> AgentView {
        AgentView {
            id: self.machine.id().clone(),
            presence: self.machine.presence(),
            capacity: self.machine.usage(),
            offers: self.machine.open_offers(),
            light: self.machine.settings().light,
            held: self.machine.ledger().held(),
        }
    }
}
