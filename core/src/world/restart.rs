//! The host starts anew, or makes its queues and agents anew, in its own order.

use std::cmp::Reverse;

use crate::agent;
use crate::conversation::{Input, Written};
use crate::effect::Effect;
use crate::ids::{AgentId, ConversationId, QueueId};
use crate::switchboard::{Dialogue, Recovered, Recovery};
use crate::time::Timestamp;
use crate::world::{Letter, Machine, Mail, Sender, World};
use crate::{Agent, Conversation, Queue};

impl World {
    /// The host dies and starts again: queues and agents are made anew from what is on disk of the
    /// conversations. Messages and timers under way are lost, and conversations that hadn't begun on disk;
    /// deadlines come back from there.
    pub fn restart(
        &mut self,
        agents: impl IntoIterator<Item = Agent>,
        queues: impl IntoIterator<Item = Queue>,
        alive_until: Timestamp,
    ) {
        self.mail.clear();
        self.timers.clear();
        self.dialogues.retain(|_, dialogue| dialogue.machine().is_some());
        let machines = self.dialogues.values_mut().filter_map(Dialogue::machine_mut);
        machines.for_each(Conversation::forget_alarms);
        self.threads.clear();
        for (id, dialogue) in &self.dialogues {
            let newest = self.threads.entry(dialogue.thread()).or_insert(*id);
            *newest = (*newest).max(*id);
        }
        let (set_back, outdated) = self.recover_views(agents, queues, alive_until);
        for row in self.written.values() {
            let own = Machine::Conversation(row.standing.id);
            self.timers.extend(row.wake_at.map(|at| Reverse((at, own))));
        }
        for id in set_back {
            self.say(Machine::Conversation(id), Mail::Conversation(Input::Wake));
        }
        for id in outdated {
            self.say(Machine::Conversation(id), Mail::Conversation(Input::Reroute));
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
            Mail::Conversation(_) => matches!(
                letter.from,
                Sender::Start | Sender::Machine(Machine::Agent(_) | Machine::Queue(_))
            ),
            Mail::Agent(input) => matches!(input, agent::Input::Recall { .. }),
            Mail::Message(_) | Mail::Queue(_) => false,
        };
        while let Some(index) = self.mail.iter().position(is_said) {
            let letter = self.mail.remove(index).expect("it was found there");
            // A refusal is an answer as well.
            let _ = self.give(letter.to, letter.mail);
        }
        let is_kept = |letter: &Letter| {
            matches!(letter.to, Machine::Conversation(_) | Machine::Thread(_))
                || letter.from == Sender::Outside
        };
        self.mail.retain(is_kept);
        self.timers.retain(|Reverse((_, machine))| matches!(machine, Machine::Conversation(_)));
        let screens: Vec<(AgentId, u32)> =
            self.agents.values().map(|agent| (agent.id().clone(), agent.screens())).collect();
        // What waits to be heard, say a setting, is heard after that.
        let later = std::mem::take(&mut self.mail);
        let gone: Vec<QueueId> = self.queues.keys().cloned().collect();
        // Conversations go by today's settings already, or are about to be told.
        self.recover_views(agents, queues, self.now);
        for id in gone {
            self.queues.entry(id.clone()).or_insert_with(|| Queue::closed(id));
        }
        for (agent, count) in screens {
            if !self.agents.contains_key(&agent) {
                self.agents.insert(agent.clone(), Agent::retired(agent, self.now));
                continue;
            }
            for _ in 0..count {
                self.say(Machine::Agent(agent.clone()), Mail::Agent(agent::Input::Connected));
            }
        }
        self.mail.extend(later);
    }

    fn say(&mut self, to: Machine, mail: Mail) {
        self.mail.push_back(Letter { from: Sender::Start, to, mail });
    }

    /// Conversations that have to be woken, and those that went by other settings than today's.
    fn recover_views(
        &mut self,
        agents: impl IntoIterator<Item = Agent>,
        queues: impl IntoIterator<Item = Queue>,
        alive_until: Timestamp,
    ) -> (Vec<ConversationId>, Vec<ConversationId>) {
        let mut recovery = Recovery::new(agents, queues, self.now, alive_until);
        let mut rows: Vec<&Written> = self.written.values().collect();
        rows.sort_unstable_by_key(|row| row.standing.id);
        for row in rows {
            let dialogue = &self.dialogues[&row.standing.id];
            let settings = self.settings.get(dialogue.channel());
            let settings = settings.unwrap_or_else(|| dialogue.settings());
            recovery.add(&row.standing, settings, &mut ());
        }
        let made = recovery.finish(|id| self.presence.get(id).cloned());
        let Recovered { agents, queues, answers, recalls, questions, outdated, set_back, .. } =
            made;
        (self.agents, self.queues) = (agents, queues);
        for (id, agent) in &self.agents {
            let own = Machine::Agent(id.clone());
            self.timers.extend(agent.wake_at().map(|at| Reverse((at, own))));
        }
        for (id, queue) in &self.queues {
            let own = Machine::Queue(id.clone());
            self.timers.extend(queue.wake_at().map(|at| Reverse((at, own))));
        }
        for effect in answers.into_iter().chain(recalls).chain(questions) {
            match effect {
                Effect::Conversation(id, input) => {
                    self.say(Machine::Conversation(id), Mail::Conversation(input));
                }
                Effect::Agent(id, input) => self.say(Machine::Agent(id), Mail::Agent(input)),
                other => unreachable!("{other:?} isn't how anybody recovers"),
            }
        }
        (set_back, outdated)
    }
}
