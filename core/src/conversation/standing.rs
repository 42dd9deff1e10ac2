//! The few facts about a conversation from which queues and ledgers are rebuilt (CAP-04).

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::agent;
use crate::capacity::{Load, Units};
use crate::conversation::Conversation;
use crate::conversation::State;
use crate::effect::Effect;
use crate::ids::{AgentId, ConversationId, QueueId};
use crate::presence::Attendance;
use crate::queue::{self, Declined, Preference};
use crate::skills::SkillNeed;
use crate::time::Timestamp;
use crate::workstream::Workstream;

/// What the journal keeps in columns, so that a start with a million open conversations reads no
/// snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Which conversation.
    pub id: ConversationId,
    /// Its state.
    pub state: State,
    /// Its primary agent.
    pub agent: Option<AgentId>,
    /// Whether the agent's capacity is taken.
    pub occupies: bool,
    /// Whether the agent has been asked to take it up again.
    pub returning: bool,
    /// The age that counts in the queue.
    pub queued_at: Timestamp,
    /// How it was classified, and who else holds it.
    pub ticket: Arc<Ticket>,
}

/// The part of it that is the same for many conversations; one column.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ticket {
    /// Where it waits; `None`: the workstream's queue.
    pub queue: Option<QueueId>,
    /// Higher goes first.
    pub priority: i32,
    /// Its weight; 0: the workstream's.
    pub units: Units,
    /// What the agent must know.
    pub skills: Vec<SkillNeed>,
    /// The customer's; `None`: the channel's.
    pub language: Option<String>,
    /// Whom it would rather have.
    pub prefer: Option<Preference>,
    /// Queues that it has left by an overflow rule.
    pub visited: Vec<QueueId>,
    /// Colleagues who advise.
    pub consultants: Vec<AgentId>,
    /// The number of the last question to an agent's machine.
    pub question: u32,
    /// Where it believes its agent to be.
    pub attendance: Attendance,
    /// Who has refused it during this wait, and in which of their sign-ins (ROUTE-04).
    pub declined: Vec<Declined>,
    /// The revision of the settings that its deadlines and its classification are by. Where a start
    /// finds others in force, it has to look again.
    pub revision: u64,
}

impl Ticket {
    /// What it takes of an agent.
    pub fn load(&self, settings: &Workstream) -> Load {
        let units = if self.units.0 == 0 { settings.units } else { self.units };
        Load { kind: settings.kind, units }
    }

    /// What it asks of a queue.
    pub fn demand(&self, settings: &Workstream) -> queue::Demand {
        queue::Demand {
            load: self.load(settings),
            allowed: settings.allowed,
            skills: self.skills.clone(),
            mode: settings.mode,
            offer_timeout: settings.offer_timeout,
            reassign: settings.reassign,
            language: self.language.clone().unwrap_or_else(|| settings.language.clone()),
            hours: settings.hours.clone(),
        }
    }
}

impl Standing {
    /// The queue where it waits.
    pub fn queue<'a>(&'a self, settings: &'a Workstream) -> &'a QueueId {
        self.ticket.queue.as_ref().unwrap_or(&settings.queue)
    }

    /// The item that waits there.
    pub fn item(&self, settings: &Workstream) -> queue::Item {
        queue::Item {
            conversation: self.id,
            since: self.queued_at,
            priority: self.ticket.priority,
            demand: self.ticket.demand(settings).into(),
            prefer: self.ticket.prefer.clone(),
            refused: self.ticket.declined.clone(),
            visited: self.ticket.visited.clone(),
            purpose: crate::offer::Purpose::Work,
        }
    }

    /// What has to be said to queue and agents so that they know of it.
    pub fn recover(&self, settings: &Workstream) -> impl Iterator<Item = Effect> {
        let conversation = self.id;
        let load = self.ticket.load(settings);
        let restore = move |agent: &AgentId, load, attendance| {
            let restore = agent::Input::Restore { conversation, load, attendance };
            Effect::Agent(agent.clone(), restore)
        };
        // What follows from an absence may be another thing by today's settings.
        let is_by_todays = self.ticket.revision == settings.revision;
        let attendance = is_by_todays.then_some(self.ticket.attendance);
        let first = match (self.state, &self.agent) {
            (State::Open, _) => {
                let item = queue::Input::Recover(Box::new(self.item(settings)));
                Some(Effect::Queue(self.queue(settings).clone(), item))
            }
            (_, Some(agent)) if self.occupies => Some(restore(agent, Some(load), attendance)),
            (_, Some(agent)) if settings.follows_agent(self.state) => {
                Some(restore(agent, None, attendance))
            }
            _ => None,
        };
        let advice = self.ticket.consultants.iter();
        let advice = advice.map(move |agent| restore(agent, Some(load), Some(Attendance::Here)));
        first.into_iter().chain(advice)
    }

    /// A question to its agent that nobody has answered; to be asked again once everybody is there.
    pub fn ask_again(&self, settings: &Workstream) -> Option<Effect> {
        let agent = self.agent.clone().filter(|_| self.returning)?;
        let ask = agent::Input::Reoccupy {
            conversation: self.id,
            load: self.ticket.load(settings),
            allowed: settings.allowed,
            question: self.ticket.question,
        };
        Some(Effect::Agent(agent, ask))
    }
}

impl Conversation {
    /// The columns that a restart and the lists need.
    pub fn standing(&self) -> Standing {
        Standing {
            id: self.id,
            state: self.state,
            agent: self.primary.clone(),
            occupies: self.occupies,
            returning: self.returning,
            queued_at: self.queued_at,
            ticket: Arc::new(Ticket {
                queue: self.queue.clone(),
                priority: self.class.priority,
                units: self.class.units,
                skills: self.class.skills.clone(),
                language: self.attributes.as_ref().and_then(|known| known.language.clone()),
                prefer: self.prefer.clone(),
                visited: self.visited.clone(),
                consultants: self.consultants.clone(),
                question: self.questions,
                attendance: self.attendance(),
                declined: self.declined.clone(),
                revision: self.goes_by().revision,
            }),
        }
    }

    /// Whether [`Conversation::standing`] would be this: without making it.
    pub fn stands_as(&self, known: &Standing) -> bool {
        let ticket = &known.ticket;
        let language = self.attributes.as_ref().and_then(|known| known.language.as_deref());
        let is_same = self.id == known.id
            && self.state == known.state
            && self.primary == known.agent
            && self.occupies == known.occupies
            && self.returning == known.returning
            && self.queued_at == known.queued_at
            && self.queue == ticket.queue
            && self.class.priority == ticket.priority
            && self.class.units == ticket.units
            && self.class.skills == ticket.skills
            && language == ticket.language.as_deref()
            && self.prefer == ticket.prefer
            && self.visited == ticket.visited
            && self.consultants == ticket.consultants
            && self.questions == ticket.question
            && self.attendance() == ticket.attendance
            && self.declined == ticket.declined
            && self.goes_by().revision == ticket.revision;
        debug_assert_eq!(is_same, self.standing() == *known, "a part of it isn't compared");
        is_same
    }
}

/// What stands on disk of a conversation beside its events. It may lie behind them; the parts that a
/// restart goes by never do.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its columns.
    pub standing: Standing,
    /// Its next deadline, or an earlier one: whoever is woken too early looks and sleeps on.
    pub wake_at: Option<Timestamp>,
    /// Events that its snapshot holds.
    pub version: u64,
}

/// Tickets of conversations that were written lately: most have one that others have, too, and hold it together.
#[derive(Default)]
pub struct Tickets(VecDeque<Arc<Ticket>>);

impl Tickets {
    /// As many as there are queues with much to do, or about.
    const MOST: usize = 8;

    /// Its ticket is the one that another has, if they are alike.
    pub fn share(&mut self, standing: &mut Standing) {
        match self.0.iter().find(|known| **known == standing.ticket) {
            Some(known) => standing.ticket = known.clone(),
            None => {
                self.0.truncate(Self::MOST - 1);
                self.0.push_front(standing.ticket.clone());
            }
        }
    }
}

impl Written {
    /// The snapshot on disk lies at most this many events behind.
    pub const MOST_BEHIND: u64 = 32;

    /// A conversation as it is now.
    pub fn of(conversation: &Conversation) -> Self {
        Self {
            standing: conversation.standing(),
            wake_at: conversation.wake_at(),
            version: conversation.version(),
        }
    }

    /// Whether what is on disk has to follow.
    pub fn is_outdated(&self, conversation: &Conversation) -> bool {
        let is_sooner = match (conversation.wake_at(), self.wake_at) {
            (Some(at), Some(known)) => at < known,
            (Some(_), None) => true,
            (None, _) => false,
        };
        is_sooner
            || conversation.version() >= self.version + Self::MOST_BEHIND
            || !conversation.stands_as(&self.standing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-11
    #[test]
    fn those_that_are_alike_hold_one_ticket() {
        let standing = |id: u128, priority| Standing {
            id: ConversationId(uuid::Uuid::from_u128(id)),
            state: State::Open,
            agent: None,
            occupies: false,
            returning: false,
            queued_at: Timestamp(5),
            ticket: Arc::new(Ticket { priority, ..Ticket::default() }),
        };
        let mut tickets = Tickets::default();
        let mut shared = [standing(1, 0), standing(2, 0), standing(3, 1)];
        shared.iter_mut().for_each(|standing| tickets.share(standing));
        assert!(Arc::ptr_eq(&shared[0].ticket, &shared[1].ticket));
        assert_eq!(shared, [standing(1, 0), standing(2, 0), standing(3, 1)]);
        (0..20).for_each(|priority| tickets.share(&mut standing(4, priority)));
        assert_eq!(tickets.0.len(), Tickets::MOST);
    }
}
