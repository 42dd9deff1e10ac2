//! All machines of a deployment in one thread and in virtual time: what the simulator runs, what
//! faults are injected into, what a journal is replayed in.
//!
//! Messages between two machines keep their order, as the host's mailboxes do. [`World::settle`]
//! delivers them as they were sent; [`World::deliver`] lets the caller choose, and so try every
//! order that the host could have.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::conversation::{self, Opening, Written};
use crate::decision::Decision;
use crate::effect::{Effect, Effects, Judgement};
use crate::ids::{AgentId, ConversationId, QueueId};
use crate::notice::{Alert, Notice};
use crate::time::Timestamp;
use crate::workstream::Workstream;
use crate::{Agent, Conversation, Queue, agent, queue};

/// A machine's address.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Machine {
    /// A conversation.
    Conversation(ConversationId),
    /// A queue.
    Queue(QueueId),
    /// An agent.
    Agent(AgentId),
}

/// A message under way.
#[derive(Clone, PartialEq, Debug)]
pub enum Mail {
    /// To a conversation.
    Conversation(conversation::Input),
    /// To a queue.
    Queue(queue::Input),
    /// To an agent.
    Agent(agent::Input),
}

/// A message with its way.
#[derive(Clone, PartialEq, Debug)]
pub struct Letter {
    /// Who sent it; `None`: from outside.
    pub from: Option<Machine>,
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
    /// A screen shows this.
    Screen(AgentId, Notice),
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
    conversations: FxHashMap<ConversationId, Conversation>,
    /// What is on disk of each beside its events: all that a restart goes by.
    written: FxHashMap<ConversationId, Written>,
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
        self.conversations.get(&id)
    }

    /// Every conversation, in no order.
    pub fn conversations(&self) -> impl Iterator<Item = &Conversation> {
        self.conversations.values()
    }

    /// Opens a conversation; its first message is given to it like any other.
    pub fn open(&mut self, id: ConversationId, opening: Opening, policy: Arc<Workstream>) {
        let mut fx = Effects::new();
        let conversation = Conversation::open(id, opening, policy, self.now, &mut fx);
        self.conversations.insert(id, conversation);
        self.carry_out(Machine::Conversation(id), fx, usize::MAX);
    }

    /// Gives every conversation other settings.
    pub fn set_policies(&mut self, policy_of: impl Fn(&Conversation) -> Arc<Workstream>) {
        for conversation in self.conversations.values_mut() {
            let policy = policy_of(conversation);
            conversation.set_policy(policy);
        }
    }

    /// Takes a conversation out of the world: it is over, and nobody will ask for it.
    pub fn forget(&mut self, id: ConversationId) {
        self.conversations.remove(&id);
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
        self.mail.push_back(Letter { from: None, to, mail });
    }

    /// Delivers everything under way, and what comes of it, in the order it was sent.
    pub fn settle(&mut self) {
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
            (Machine::Conversation(id), Mail::Conversation(input)) => {
                let Some(machine) = self.conversations.get_mut(id) else {
                    return Err(format!("there is no conversation {id}"));
                };
                machine.handle(input, now, &mut fx).map_err(|refused| refused.to_string())?;
            }
            (Machine::Queue(id), Mail::Queue(input)) => {
                if let Some(machine) = self.queues.get_mut(id) {
                    machine.handle(input, now, &mut fx);
                    self.timers.extend(machine.wake_at().map(|at| Reverse((at, to.clone()))));
                }
            }
            (Machine::Agent(id), Mail::Agent(input)) => {
                if let Some(machine) = self.agents.get_mut(id) {
                    machine.handle(input, now, &mut fx).map_err(|refused| refused.to_string())?;
                    self.timers.extend(machine.wake_at().map(|at| Reverse((at, to.clone()))));
                }
            }
            (to, mail) => unreachable!("{mail:?} was addressed to {to:?}"),
        }
        self.carry_out(to, fx, effects);
        Ok(())
    }

    fn carry_out(&mut self, from: Machine, fx: Effects, most: usize) {
        if let Machine::Conversation(id) = &from {
            self.write(*id);
            let events = fx.events.into_iter().map(|event| Happening::Event(*id, event));
            self.happenings.extend(events);
        }
        for effect in fx.then.into_iter().take(most) {
            let (to, mail) = match effect {
                Effect::Conversation(to, input) => {
                    (Machine::Conversation(to), Mail::Conversation(input))
                }
                Effect::Queue(to, input) => (Machine::Queue(to), Mail::Queue(input)),
                Effect::Agent(to, input) => (Machine::Agent(to), Mail::Agent(input)),
                Effect::WakeAt(at) => {
                    self.timers.push(Reverse((at, from.clone())));
                    continue;
                }
                Effect::Screen(agent, notice) => {
                    let is_offer = matches!(notice, Notice::Offer(_) | Notice::OfferEnded { .. });
                    if !self.blind || is_offer {
                        self.happenings.push(Happening::Screen(agent, notice));
                    }
                    continue;
                }
                Effect::Decided(decision) => {
                    self.happenings.push(Happening::Decided(decision));
                    continue;
                }
                Effect::Judge(judgement) => {
                    self.happenings.push(Happening::Judge(judgement));
                    continue;
                }
                Effect::Alert(alert) => {
                    self.happenings.push(Happening::Alert(alert));
                    continue;
                }
            };
            self.mail.push_back(Letter { from: Some(from.clone()), to, mail });
        }
    }

    /// What has happened since this was last asked.
    pub fn take_happenings(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happenings)
    }

    /// The row follows its conversation as it does in the host's journal.
    fn write(&mut self, id: ConversationId) {
        let Some(conversation) = self.conversations.get(&id) else { return };
        if self.written.get(&id).is_none_or(|written| written.is_outdated(conversation)) {
            self.written.insert(id, Written::of(conversation));
        }
    }

    /// The host dies and starts again, in the host's own order: queues and agents are rebuilt from
    /// what is on disk of the conversations, whole before anybody is there; then agents are what they
    /// were when the last run was last known to live; then the questions that nobody answered are
    /// asked again, and what went by other settings looks at those in force. Messages and timers under way are lost; deadlines come back from disk.
    pub fn restart(
        &mut self,
        agents: impl IntoIterator<Item = Agent>,
        queues: impl IntoIterator<Item = Queue>,
        alive_until: Timestamp,
    ) {
        self.mail.clear();
        self.timers.clear();
        self.conversations.values_mut().for_each(Conversation::forget_alarms);
        let rows = self.recover_views(agents, queues, alive_until);
        for (row, policy) in &rows {
            let own = Machine::Conversation(row.standing.id);
            self.timers.extend(row.wake_at.map(|at| Reverse((at, own.clone()))));
            if row.standing.ticket.revision != policy.revision {
                self.send(own, Mail::Conversation(conversation::Input::Reroute));
            }
        }
    }

    /// A queue or an agent has come to grief (OPS-09), and all of them are made anew from what is on disk,
    /// in the host's own order, while conversations go on: what queues and agents had said before
    /// arrives, and what follows from it is on disk; what was on its way to them is in what they are made
    /// from; then they are told what they were, and each screen that is still there.
    pub fn rebuild_views(
        &mut self,
        agents: impl IntoIterator<Item = Agent>,
        queues: impl IntoIterator<Item = Queue>,
    ) {
        // And so does what a start has told them.
        let is_said = |letter: &Letter| match &letter.mail {
            Mail::Conversation(_) => {
                matches!(letter.from, Some(Machine::Agent(_) | Machine::Queue(_)))
            }
            Mail::Agent(input) => matches!(input, agent::Input::Recall { .. }),
            Mail::Queue(_) => false,
        };
        while let Some(index) = self.mail.iter().position(is_said) {
            let letter = self.mail.remove(index).expect("it was found there");
            // A refusal is an answer as well.
            let _ = self.give(letter.to, letter.mail);
        }
        let is_kept = |letter: &Letter| {
            matches!(letter.to, Machine::Conversation(_)) || letter.from.is_none()
        };
        self.mail.retain(is_kept);
        self.timers.retain(|Reverse((_, machine))| matches!(machine, Machine::Conversation(_)));
        let screens: Vec<(AgentId, u32)> =
            self.agents.values().map(|agent| (agent.id().clone(), agent.screens())).collect();
        // What waits to be heard, say a setting, is heard after that.
        let later = std::mem::take(&mut self.mail);
        self.recover_views(agents, queues, self.now);
        for (agent, count) in screens {
            for _ in 0..count {
                self.send(Machine::Agent(agent.clone()), Mail::Agent(agent::Input::Connected));
            }
        }
        self.mail.extend(later);
    }

    /// The rows that they were made from, with the settings of their conversations.
    fn recover_views(
        &mut self,
        agents: impl IntoIterator<Item = Agent>,
        queues: impl IntoIterator<Item = Queue>,
        alive_until: Timestamp,
    ) -> Vec<(Written, Arc<Workstream>)> {
        let kept: FxHashMap<AgentId, agent::Standing> =
            self.agents.drain().map(|(id, agent)| (id, agent.standing())).collect();
        self.agents = agents.into_iter().map(|agent| (agent.id().clone(), agent)).collect();
        self.queues = queues.into_iter().map(|queue| (queue.id().clone(), queue)).collect();
        let mut rows: Vec<(Written, Arc<Workstream>)> = self
            .written
            .values()
            .filter_map(|row| {
                let conversation = self.conversations.get(&row.standing.id)?;
                Some((row.clone(), conversation.settings()?.clone()))
            })
            .collect();
        rows.sort_unstable_by_key(|(row, _)| row.standing.id);
        for (row, policy) in &rows {
            for effect in row.standing.recover(policy) {
                self.recover(effect);
            }
        }
        let mut names: Vec<AgentId> = self.agents.keys().cloned().collect();
        names.sort_unstable();
        for name in names {
            let standing = kept.get(&name).cloned();
            let recall = agent::Input::Recall { standing, alive_until };
            self.send(Machine::Agent(name), Mail::Agent(recall));
        }
        for (row, policy) in &rows {
            if let Some(Effect::Agent(agent, ask)) = row.standing.ask_again(policy) {
                self.send(Machine::Agent(agent), Mail::Agent(ask));
            }
        }
        rows
    }

    /// Whether an alarm is set for every deadline of every conversation: at it, or before.
    pub fn has_all_alarms(&self) -> Result<(), ConversationId> {
        for conversation in self.conversations.values() {
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

    /// Only what a machine has to say to conversations is under way afterwards.
    fn recover(&mut self, effect: Effect) {
        let before = self.mail.len();
        let given = match effect {
            Effect::Queue(id, input) => self.give(Machine::Queue(id), Mail::Queue(input)),
            Effect::Agent(id, input) => self.give(Machine::Agent(id), Mail::Agent(input)),
            other => unreachable!("{other:?} isn't how anybody recovers"),
        };
        given.expect("nothing that recovery says can be refused");
        let said: Vec<Letter> = self.mail.drain(before..).collect();
        let to_conversations =
            said.into_iter().filter(|letter| matches!(letter.to, Machine::Conversation(_)));
        self.mail.extend(to_conversations);
    }
}
