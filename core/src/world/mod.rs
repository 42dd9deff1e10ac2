//! All machines of a deployment in one thread and in virtual time: what the simulator runs, what
//! faults are injected into, what a journal is replayed in.
//!
//! Messages between two machines keep their order, as the host's mailboxes do. [`World::deliver_all`]
//! delivers them as they were sent; [`World::deliver`] lets the caller choose, and so try every
//! order that the host could have.

mod restart;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::conversation::{self, CustomerMessage, Input, Written};
use crate::decision::Decision;
use crate::effect::{Effects, Judgement};
use crate::ids::{Address, AgentId, ChannelId, ConversationId, QueueId};
use crate::notice::{Alert, Notice, ThreadKey};
use crate::switchboard::{self, Before, Dialogue, Key, Told, Ways};
use crate::time::Timestamp;
use crate::workstream::Workstream;
use crate::{Agent, Conversation, Queue, agent, queue};

/// A machine's address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Machine {
    /// Whoever knows which conversation a thread's next message goes to.
    Thread(ThreadKey),
    /// A conversation.
    Conversation(ConversationId),
    /// A queue.
    Queue(QueueId),
    /// An agent.
    Agent(AgentId),
}

/// A customer's message on its way to whichever conversation takes it.
#[derive(Clone, PartialEq, Debug)]
pub struct Incoming {
    /// Our address.
    pub own: Address,
    /// Two letters, from the customer's number.
    pub country: Option<String>,
    /// What the customer wrote.
    pub message: CustomerMessage,
    /// It must not have been said before.
    pub key: Option<Key>,
    /// This one has sent it back: its time is over.
    pub not: Option<ConversationId>,
}

/// A message under way.
#[derive(Clone, PartialEq, Debug)]
pub enum Mail {
    /// To a thread, and from there to a conversation.
    Message(Box<Incoming>),
    /// To a conversation.
    Conversation(conversation::Input),
    /// To a queue.
    Queue(queue::Input),
    /// To an agent.
    Agent(agent::Input),
}

/// Who sends something.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Sender {
    /// A person, a provider, whoever changes the configuration.
    Outside,
    /// The host's start, or whoever makes routing anew.
    Start,
    /// One of the machines.
    Machine(Machine),
}

/// A message with its way.
#[derive(Clone, PartialEq, Debug)]
pub struct Letter {
    /// Who sent it.
    pub from: Sender,
    /// Who gets it.
    pub to: Machine,
    /// What it says.
    pub mail: Mail,
}

/// What can be seen from outside.
#[derive(Clone, PartialEq, Debug)]
pub enum Happening {
    /// A conversation journaled this.
    Event(ConversationId, conversation::Event),
    /// What has this key is on disk: whoever sent it hears so.
    Taken(ThreadKey, Key),
    /// A screen shows this.
    Screen(AgentId, Notice),
    /// Screens of these show a conversation as it is now.
    Changed(ConversationId, Vec<AgentId>),
    /// A queue chose.
    Decided(Box<Decision>),
    /// A strategy plugin is asked.
    Judge(Box<Judgement>),
    /// Supervisors are told.
    Alert(Alert),
}

/// The machines and everything under way between them.
#[derive(Default)]
pub struct World {
    now: Timestamp,
    agents: FxHashMap<AgentId, Agent>,
    queues: FxHashMap<QueueId, Queue>,
    dialogues: FxHashMap<ConversationId, Dialogue>,
    /// The newest conversation of each thread.
    threads: FxHashMap<ThreadKey, ConversationId>,
    /// What conversations of each channel go by from their next input on.
    settings: FxHashMap<ChannelId, Arc<Workstream>>,
    conversations_begun: u128,
    /// What is on disk of each beside its events: all that a restart goes by.
    written: FxHashMap<ConversationId, Written>,
    /// What is on disk of each agent's presence.
    presence: FxHashMap<AgentId, agent::KeptPresence>,
    mail: VecDeque<Letter>,
    timers: BinaryHeap<Reverse<(Timestamp, Machine)>>,
    happenings: Vec<Happening>,
    /// Notices for screens cost time that a simulation without agents' eyes can save.
    blind: bool,
}

impl World {
    /// An empty world.
    pub fn new(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }

    /// From now on only offers and ends of offers are seen on screens.
    pub fn without_screens(mut self) -> Self {
        self.blind = true;
        self
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// An agent that begins here.
    pub fn add_agent(&mut self, agent: Agent) {
        self.agents.insert(agent.id().clone(), agent);
    }

    /// A queue that begins here.
    pub fn add_queue(&mut self, queue: Queue) {
        self.queues.insert(queue.id().clone(), queue);
    }

    /// An agent.
    pub fn agent(&self, id: &AgentId) -> Option<&Agent> {
        self.agents.get(id)
    }

    /// Every agent, in no order.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.agents.values()
    }

    /// A queue.
    pub fn queue(&self, id: &QueueId) -> Option<&Queue> {
        self.queues.get(id)
    }

    /// Every queue, in no order.
    pub fn queues(&self) -> impl Iterator<Item = &Queue> {
        self.queues.values()
    }

    /// A conversation.
    pub fn conversation(&self, id: ConversationId) -> Option<&Conversation> {
        self.dialogues.get(&id)?.machine()
    }

    /// Every conversation, in no order.
    pub fn conversations(&self) -> impl Iterator<Item = &Conversation> {
        self.dialogues.values().filter_map(Dialogue::machine)
    }

    /// The newest conversation of a thread.
    pub fn newest_of(&self, thread: &ThreadKey) -> Option<ConversationId> {
        self.threads.get(thread).copied()
    }

    /// From their next input on, a channel's conversations go by this (ROUTE-17).
    pub fn set_settings(&mut self, channel: ChannelId, settings: Arc<Workstream>) {
        self.settings.insert(channel, settings);
    }

    /// Which conversation takes a message of this thread; a new one, if need be, that the message begins.
    ///
    /// # Errors
    /// There is no such channel.
    pub fn place(
        &mut self,
        thread: &ThreadKey,
        incoming: &Incoming,
    ) -> Result<ConversationId, String> {
        let newest = self.newest_of(thread);
        if let Some(id) = switchboard::taker(newest, incoming.not) {
            return Ok(id);
        }
        let settings = self.settings.get(&thread.channel).cloned();
        let settings = settings.ok_or_else(|| format!("there is no channel {}", thread.channel))?;
        let last = newest.and_then(|id| self.dialogues.get(&id));
        let after = |last: &Dialogue| Some(Before::after(last.machine()?, last.keys().clone()));
        let before = last.and_then(after).unwrap_or_default();
        let opening = before.opening(thread, &incoming.own, incoming.country.clone());
        self.conversations_begun += 1;
        let id = ConversationId(Uuid::from_u128(self.conversations_begun));
        self.dialogues.insert(id, Dialogue::new(id, opening, settings, before.keys));
        self.threads.insert(thread.clone(), id);
        Ok(id)
    }

    /// Takes a conversation out of the world: it is over, and nobody will ask for it.
    pub fn forget(&mut self, id: ConversationId) {
        if let Some(machine) = self.dialogues.remove(&id).as_ref().and_then(Dialogue::machine) {
            let thread = machine.thread();
            if self.newest_of(&thread) == Some(id) {
                self.threads.remove(&thread);
            }
        }
        self.written.remove(&id);
    }

    /// Lets time pass without waking anybody.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// The next moment at which a machine wants to be woken.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Wakes everybody whose time has come.
    pub fn wake_due(&mut self) {
        while self.next_timer().is_some_and(|at| at <= self.now) {
            let Some(Reverse((_, machine))) = self.timers.pop() else { return };
            self.wake(machine);
        }
    }

    fn wake(&mut self, machine: Machine) {
        let mail = match &machine {
            Machine::Thread(_) => unreachable!("a thread asks for no alarm"),
            Machine::Conversation(_) => Mail::Conversation(conversation::Input::Wake),
            Machine::Queue(_) => Mail::Queue(queue::Input::Wake),
            Machine::Agent(_) => Mail::Agent(agent::Input::Wake),
        };
        // Waking can't be refused.
        let _ = self.give(machine, mail);
    }

    /// Messages under way.
    pub fn mail(&self) -> &VecDeque<Letter> {
        &self.mail
    }

    /// Sends a message from outside; it queues up behind those under way.
    pub fn send(&mut self, to: Machine, mail: Mail) {
        self.mail.push_back(Letter { from: Sender::Outside, to, mail });
    }

    /// Delivers everything under way, and what comes of it, in the order it was sent.
    pub fn deliver_all(&mut self) {
        while let Some(letter) = self.mail.pop_front() {
            let _ = self.give(letter.to, letter.mail);
        }
    }

    /// Takes one message under way out, to be delivered by [`World::give`]; of those between the
    /// same two machines it must be the first.
    pub fn deliver(&mut self, index: usize) -> Option<Letter> {
        self.mail.remove(index)
    }

    /// Gives a machine an input now, and carries out what comes of it.
    ///
    /// # Errors
    /// The machine's own sentence; then nothing has changed.
    pub fn give(&mut self, to: Machine, mail: Mail) -> Result<(), String> {
        self.give_partly(to, mail, usize::MAX)
    }

    /// The same, but the host dies after so many effects: the events are on disk, the rest of the
    /// effects never happens.
    ///
    /// # Errors
    /// As [`World::give`].
    pub fn give_partly(&mut self, to: Machine, mail: Mail, effects: usize) -> Result<(), String> {
        let mut fx = Effects::new();
        let now = self.now;
        match (&to, mail) {
            (Machine::Thread(thread), Mail::Message(message)) => {
                let id = self.place(thread, &message)?;
                self.post(to, Machine::Conversation(id), Mail::Message(message));
                return Ok(());
            }
            (Machine::Conversation(id), mail @ (Mail::Message(_) | Mail::Conversation(_))) => {
                self.tell_conversation(*id, mail, &mut fx)?;
            }
            (Machine::Queue(id), Mail::Queue(input)) => {
                let Some(machine) = self.queues.get_mut(id) else {
                    let id = id.clone();
                    switchboard::tell_queue(&id, input, &mut Post { world: self, from: to });
                    return Ok(());
                };
                machine.handle(input, now, &mut fx);
                self.timers.extend(machine.wake_at().map(|at| Reverse((at, to.clone()))));
            }
            (Machine::Agent(id), Mail::Agent(input)) => {
                let Some(machine) = self.agents.get_mut(id) else {
                    let id = id.clone();
                    switchboard::tell_agent(&id, input, &mut Post { world: self, from: to });
                    return Ok(());
                };
                machine.handle(input, now, &mut fx).map_err(|refused| refused.to_string())?;
                // A simulation never restarts.
                if !self.blind {
                    self.presence.insert(id.clone(), machine.kept_presence());
                }
                self.timers.extend(machine.wake_at().map(|at| Reverse((at, to.clone()))));
            }
            (to, mail) => unreachable!("{mail:?} was addressed to {to:?}"),
        }
        self.carry_out(to, fx, effects);
        Ok(())
    }

    fn post(&mut self, from: Machine, to: Machine, mail: Mail) {
        self.mail.push_back(Letter { from: Sender::Machine(from), to, mail });
    }

    fn tell_conversation(
        &mut self,
        id: ConversationId,
        mail: Mail,
        fx: &mut Effects,
    ) -> Result<(), String> {
        let now = self.now;
        let known = self.dialogues.get_mut(&id);
        let dialogue = known.ok_or_else(|| format!("there is no conversation {id}"))?;
        // Whatever it is told, it deals with under today's settings.
        let todays = self.settings.get(dialogue.channel());
        if let Some(todays) = todays.filter(|todays| !Arc::ptr_eq(todays, dialogue.settings())) {
            dialogue.set_settings(todays.clone());
        }
        let (input, message) = match mail {
            Mail::Message(message) => (Input::Customer(message.message.clone()), Some(message)),
            Mail::Conversation(input) => (input, None),
            Mail::Queue(_) | Mail::Agent(_) => unreachable!("it was addressed to a conversation"),
        };
        let key = message.as_ref().and_then(|message| message.key);
        let told = dialogue.tell(input, key, now, fx);
        let thread = message.is_some().then(|| dialogue.thread());
        match told {
            Told::Done { .. } | Told::Repeated => {
                let taken = thread.zip(key).map(|(thread, key)| Happening::Taken(thread, key));
                self.happenings.extend(taken);
            }
            Told::ForTheNext => {
                let (Some(thread), Some(mut message)) = (thread, message) else {
                    unreachable!("only messages are sent on")
                };
                message.not = Some(id);
                let own = Machine::Conversation(id);
                self.post(own, Machine::Thread(thread), Mail::Message(message));
            }
            Told::Refused(refused) => return Err(refused.to_string()),
        }
        Ok(())
    }

    fn carry_out(&mut self, from: Machine, fx: Effects, most: usize) {
        let of = match &from {
            Machine::Conversation(id) => Some(*id),
            _ => None,
        };
        if let Some(id) = of {
            self.write(id);
            let events = fx.events.into_iter().map(|event| Happening::Event(id, event));
            self.happenings.extend(events);
        }
        let mut post = Post { world: self, from };
        for effect in fx.then.into_iter().take(most) {
            switchboard::carry_out(of, effect, &mut post);
        }
    }

    /// What has happened since this was last asked.
    pub fn take_happenings(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happenings)
    }

    /// The row follows its conversation as it does in the host's journal.
    fn write(&mut self, id: ConversationId) {
        let machine = self.dialogues.get(&id).and_then(Dialogue::machine);
        let Some(conversation) = machine else { return };
        if self.written.get(&id).is_none_or(|written| written.is_outdated(conversation)) {
            self.written.insert(id, Written::of(conversation));
        }
    }

    /// Whether an alarm is set for every deadline of every conversation: at it, or before.
    pub fn has_all_alarms(&self) -> Result<(), ConversationId> {
        for conversation in self.conversations() {
            let Some(deadline) = conversation.wake_at() else { continue };
            let own = Machine::Conversation(conversation.id());
            let is_set =
                self.timers.iter().any(|Reverse((at, machine))| *machine == own && *at <= deadline);
            if !is_set {
                return Err(conversation.id());
            }
        }
        Ok(())
    }
}

/// What a machine sends on its way.
struct Post<'a> {
    world: &'a mut World,
    from: Machine,
}

impl Post<'_> {
    fn send(&mut self, to: Machine, mail: Mail) {
        self.world.post(self.from.clone(), to, mail);
    }
}

impl Ways for Post<'_> {
    fn to_conversation(&mut self, to: ConversationId, input: Input) {
        self.send(Machine::Conversation(to), Mail::Conversation(input));
    }

    fn to_queue(&mut self, to: &QueueId, input: queue::Input) -> Result<(), queue::Input> {
        if !self.world.queues.contains_key(to) {
            return Err(input);
        }
        self.send(Machine::Queue(to.clone()), Mail::Queue(input));
        Ok(())
    }

    fn to_agent(&mut self, to: &AgentId, input: agent::Input) -> Result<(), agent::Input> {
        if !self.world.agents.contains_key(to) {
            return Err(input);
        }
        self.send(Machine::Agent(to.clone()), Mail::Agent(input));
        Ok(())
    }

    fn show(&mut self, to: &[AgentId], notice: Notice) {
        let is_offer = matches!(notice, Notice::Offer(_) | Notice::OfferEnded { .. });
        if !self.world.blind || is_offer {
            let each = to.iter().map(|to| Happening::Screen(to.clone(), notice.clone()));
            self.world.happenings.extend(each);
        }
    }

    fn show_changed(&mut self, conversation: ConversationId, to: Vec<AgentId>) {
        if !self.world.blind {
            self.world.happenings.push(Happening::Changed(conversation, to));
        }
    }

    fn wake_at(&mut self, conversation: ConversationId, at: Timestamp) {
        self.world.timers.push(Reverse((at, Machine::Conversation(conversation))));
    }

    fn keep(&mut self, decision: Box<Decision>) {
        self.world.happenings.push(Happening::Decided(decision));
    }

    fn judge(&mut self, judgement: Box<Judgement>) {
        self.world.happenings.push(Happening::Judge(judgement));
    }

    fn alert(&mut self, alert: Alert) {
        self.world.happenings.push(Happening::Alert(alert));
    }
}
