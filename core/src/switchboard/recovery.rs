//! Queues and agents are made anew: at a start, and whenever one of them has come to grief (OPS-09).
//!
//! From the rows of open conversations, and by the settings in force. They are whole before anybody is
//! there; then agents are what they were when the last run was last known to live; then the questions
//! that nobody answered are asked again, and conversations that went by other settings look at
//! today's. In any other order a place that was taken before and is restored late could find its agent full, and
//! somebody who isn't back yet would say no to a customer.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::agent::{self, Agent};
use crate::conversation::Standing;
use crate::decision::Decision;
use crate::effect::{Effect, Effects};
use crate::ids::{AgentId, ConversationId, QueueId};
use crate::queue::{self, Queue};
use crate::switchboard::nobody;
use crate::time::{Span, Timestamp};
use crate::workstream::Workstream;

/// Is told what machines are given as they are made, for the record; nobody has to listen.
pub trait Witness {
    /// A queue is given this.
    fn queue(&mut self, _: &QueueId, _: &queue::Input) {}
    /// Somebody holds something who is configured no longer.
    fn new_agent(&mut self, _: &AgentId, _: &Arc<agent::Settings>) {}
    /// An agent is given this.
    fn agent(&mut self, _: &AgentId, _: &agent::Input) {}
    /// A queue chose.
    fn decided(&mut self, _: &Decision) {}
}

impl Witness for () {}

/// Queues and agents while they are made.
#[derive(Debug)]
pub struct Recovery {
    now: Timestamp,
    alive_until: Timestamp,
    made: Recovered,
}

/// Queues and agents that are whole, and what has to be said once they can be told things, in this order.
#[derive(Debug, Default)]
pub struct Recovered {
    /// All that are configured, and, retired, those who held something.
    pub agents: FxHashMap<AgentId, Agent>,
    /// All that are configured.
    pub queues: FxHashMap<QueueId, Queue>,
    /// To conversations: what the machines said while they were made.
    pub answers: Vec<Effect>,
    /// To agents: what they were (PRES-04).
    pub recalls: Vec<Effect>,
    /// And the questions that they haven't answered.
    pub questions: Vec<Effect>,
    /// Conversations that went by other settings than those in force: they were changed while nobody ran,
    /// or in the last moment (ROUTE-17).
    pub outdated: Vec<ConversationId>,
    /// All open ones, if the clock was set back while nobody ran (and those of which a row says so): they
    /// have to be woken, or what they wait for comes as much later.
    pub set_back: Vec<ConversationId>,
    /// By so much.
    pub clock_back_by: Option<Span>,
}

impl Recovery {
    /// A sign of life holds until the next one is due: that is at most so far ahead.
    pub const ALIVE_AHEAD: Span = Span::seconds(5);

    /// With the machines that are configured; they know nothing yet. The last run was last known to live
    /// at `alive_until`.
    pub fn new(
        agents: impl IntoIterator<Item = Agent>,
        queues: impl IntoIterator<Item = Queue>,
        now: Timestamp,
        alive_until: Timestamp,
    ) -> Self {
        let agents = agents.into_iter().map(|agent| (agent.id().clone(), agent)).collect();
        let queues = queues.into_iter().map(|queue| (queue.id().clone(), queue)).collect();
        // By more than how clocks are kept right and than a sign of life is given ahead of its time.
        let is_clock_back = alive_until > now + Self::ALIVE_AHEAD + Span::seconds(2);
        let back_by = Span(alive_until.0.saturating_sub(now.0));
        let clock_back_by = is_clock_back.then_some(back_by);
        let made = Recovered { agents, queues, clock_back_by, ..Recovered::default() };
        Self { now, alive_until, made }
    }

    /// An open conversation, as its row on disk has it, and the settings in force for it.
    pub fn add(&mut self, row: &Standing, settings: &Workstream, witness: &mut impl Witness) {
        if row.ticket.revision != settings.revision {
            self.made.outdated.push(row.id);
        }
        self.made.questions.extend(row.ask_again(settings));
        let mut fx = Effects::new();
        let mut of_before = None;
        if self.made.clock_back_by.is_some() || row.queued_at > self.now {
            self.made.set_back.push(row.id);
            // Or it would stand behind all who come from now on.
            let queued_at = row.queued_at.min(self.now);
            of_before = Some(Standing { queued_at, ..row.clone() });
        }
        for effect in of_before.as_ref().unwrap_or(row).recover(settings) {
            match effect {
                Effect::Queue(id, input) => self.tell_queue(&id, input, witness, &mut fx),
                Effect::Agent(id, input) => self.tell_agent(id, input, witness, &mut fx),
                other => unreachable!("{other:?} isn't how anybody recovers"),
            }
        }
        // Nobody is there yet, so nobody is offered anything and no screen is open: what is left are
        // answers to conversations, and what queues chose.
        for effect in fx.then {
            match effect {
                Effect::Decided(decision) => witness.decided(&decision),
                effect @ Effect::Conversation(..) => self.made.answers.push(effect),
                _ => {}
            }
        }
    }

    fn tell_queue(
        &mut self,
        id: &QueueId,
        input: queue::Input,
        witness: &mut impl Witness,
        fx: &mut Effects,
    ) {
        match self.made.queues.get_mut(id) {
            Some(queue) => {
                witness.queue(id, &input);
                queue.handle(input, self.now, fx);
            }
            None => {
                let answer = nobody::for_queue(id, &input);
                fx.then.extend(answer.map(|(to, input)| Effect::Conversation(to, input)));
            }
        }
    }

    /// Whoever is configured no longer gives back what they held.
    fn tell_agent(
        &mut self,
        id: AgentId,
        input: agent::Input,
        witness: &mut impl Witness,
        fx: &mut Effects,
    ) {
        let now = self.now;
        let agent = self.made.agents.entry(id.clone()).or_insert_with(|| {
            witness.new_agent(&id, &Arc::new(Agent::nobody()));
            witness.agent(&id, &agent::Input::Retire);
            Agent::retired(id.clone(), now)
        });
        witness.agent(&id, &input);
        agent.handle(input, now, fx).expect("nothing that recovery says can be refused");
    }

    /// All rows have been added. `kept`: an agent's presence as it was when the last run was last known
    /// to live.
    pub fn finish(
        self,
        mut kept: impl FnMut(&AgentId) -> Option<agent::KeptPresence>,
    ) -> Recovered {
        let Self { mut made, alive_until, .. } = self;
        let mut names: Vec<&AgentId> = made.agents.keys().collect();
        names.sort_unstable();
        made.recalls = names
            .into_iter()
            .map(|id| {
                let recall = agent::Input::Recall { standing: kept(id), alive_until };
                Effect::Agent(id.clone(), recall)
            })
            .collect();
        made
    }
}
