//! What a machine wants done: what becomes of each thing, whoever runs the machines. An answer comes also from where
//! nobody is.

use crate::agent;
use crate::conversation;
use crate::decision::Decision;
use crate::effect::{Effect, Judgement};
use crate::ids::{AgentId, ConversationId, QueueId};
use crate::notice::{Alert, Notice};
use crate::queue;
use crate::switchboard::{for_agent, for_queue};
use crate::time::Timestamp;

/// How words travel where machines run: by mailboxes and sockets in a host, by a queue of letters in a world of the
/// simulator's.
pub trait Ways {
    /// To a conversation.
    fn to_conversation(&mut self, to: ConversationId, input: conversation::Input);

    /// To a queue.
    ///
    /// # Errors
    /// There is no such queue: the input comes back.
    fn to_queue(&mut self, to: &QueueId, input: queue::Input) -> Result<(), queue::Input>;

    /// To an agent.
    ///
    /// # Errors
    /// There is no such agent: the input comes back.
    fn to_agent(&mut self, to: &AgentId, input: agent::Input) -> Result<(), agent::Input>;

    /// On all screens of these.
    fn show(&mut self, to: &[AgentId], notice: Notice);

    /// Screens of these show a conversation as it is by then.
    fn show_changed(&mut self, conversation: ConversationId, to: Vec<AgentId>);

    /// Wakes a conversation at that time.
    fn wake_at(&mut self, conversation: ConversationId, at: Timestamp);

    /// Keeps the reasons of a choice.
    fn keep(&mut self, decision: Box<Decision>);

    /// Asks a strategy plugin.
    fn judge(&mut self, judgement: Box<Judgement>);

    /// Tells supervisors.
    fn alert(&mut self, alert: Alert);
}

/// Carries out one thing that a machine wants done. `of`: the conversation that wants it; none, if a queue or an agent
/// does.
pub fn carry_out(of: Option<ConversationId>, effect: Effect, ways: &mut impl Ways) {
    match effect {
        Effect::Conversation(to, input) => ways.to_conversation(to, input),
        Effect::Queue(to, input) => tell_queue(&to, input, ways),
        Effect::Agent(to, input) => tell_agent(&to, input, ways),
        Effect::Screen(to, notice) => ways.show(std::slice::from_ref(&to), notice),
        Effect::Screens(to, notice) => ways.show(&to, *notice),
        // Only conversations have summaries and alarms that others keep for them.
        Effect::Changed(to) => {
            if let Some(of) = of {
                ways.show_changed(of, to);
            }
        }
        Effect::WakeAt(at) => {
            if let Some(of) = of {
                ways.wake_at(of, at);
            }
        }
        Effect::Decided(decision) => ways.keep(decision),
        Effect::Judge(judgement) => ways.judge(judgement),
        Effect::Alert(alert) => ways.alert(alert),
    }
}

/// Tells a queue something; one that isn't there has its answer given for it.
pub fn tell_queue(to: &QueueId, input: queue::Input, ways: &mut impl Ways) {
    if let Err(input) = ways.to_queue(to, input)
        && let Some((conversation, answer)) = for_queue(to, &input)
    {
        ways.to_conversation(conversation, answer);
    }
}

/// Tells an agent something; somebody who isn't configured any more, and has held nothing since the start, has their
/// answer given for them.
pub fn tell_agent(to: &AgentId, input: agent::Input, ways: &mut impl Ways) {
    if let Err(input) = ways.to_agent(to, input)
        && let Some((conversation, answer)) = for_agent(to, &input)
    {
        ways.to_conversation(conversation, answer);
    }
}
