//! Who may take work up by hand (ROUTE-10, ROUTE-14): take from a line, take over, come back.

use crate::agent;
use crate::conversation::{Conversation, Refused, State};
use crate::ids::{AgentId, QueueId};
use crate::offer::ByHand;

/// Whoever takes it up, and what they may.
#[derive(Clone, Copy, Debug)]
pub struct Taker<'a> {
    /// Who.
    pub agent: &'a AgentId,
    /// The queues that they are a member of.
    pub queues: &'a [QueueId],
    /// Also what waits in others' queues, or is somebody else's (`take_over`).
    pub takes_over: bool,
    /// Also beyond their capacity (`self_assign`).
    pub beyond: bool,
}

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
pub enum TakeUp {
    /// They have it, and sit at it.
    HasIt,
    /// Their machine is to be told this; the conversation has the last word.
    Tell {
        /// What.
        input: agent::Input,
        /// It isn't of their own queues or conversations: to be noted before it is done (SEC-03).
        is_of_others: bool,
    },
}

/// Why not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// The conversation's own word.
    Refused(Refused),
    /// They lack `take_over`.
    NeedsTakeOver,
}

/// What becomes of somebody's wish to take a conversation up.
///
/// # Errors
/// [`Denied`].
pub fn take_up(
    conversation: &Conversation,
    by_hand: ByHand,
    taker: Taker<'_>,
) -> Result<TakeUp, Denied> {
    let Taker { agent, queues, takes_over, beyond } = taker;
    let is_at_it = conversation.state() == State::Active && conversation.primary() == Some(agent);
    let is_of_others = match by_hand {
        ByHand::ComeBack if is_at_it => return Ok(TakeUp::HasIt),
        ByHand::ComeBack => false,
        ByHand::TakeOver => true,
        ByHand::Take => {
            conversation.state() == State::Open && !queues.contains(conversation.queue())
        }
    };
    if is_of_others && !takes_over {
        return Err(Denied::NeedsTakeOver);
    }
    let load = conversation.may_be_taken_up(agent, by_hand).map_err(Denied::Refused)?;
    let input = agent::Input::Pick { conversation: conversation.id(), load, beyond, by_hand };
    Ok(TakeUp::Tell { input, is_of_others })
}
