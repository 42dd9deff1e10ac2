//! The domain of Cordboard: conversations, queues and agents as pure state machines.
//!
//! Nothing in this crate reads a clock, draws a random number, opens a socket or starts a thread.
//! Each machine has one entry, `handle(input, now, effects)`; what it decides comes out as data in
//! [`Effects`]. The host carries the effects out, the simulator plays them in virtual time, and
//! tests look at them.
//!
//! # Invariants
//!
//! They hold after every `handle`, for every interleaving of late, repeated and lost inputs. The
//! machines assert them in debug builds and `tests/faults` hunts for a counterexample.
//!
//! 1. A conversation has one primary agent at most, and only the conversation says who it is.
//! 2. A work item stands in one queue at most.
//! 3. What an agent has reserved and holds never exceeds a limit, except by self-assignment.
//! 4. No message is dropped between input and effect: each customer message that is not a known
//!    duplicate becomes exactly one `MessageReceived` event, each accepted reply one `ReplyQueued`.
//! 5. An internal note never becomes something a channel could send.
//!
//! # Who owns what
//!
//! Truth lives in the conversation: its events are the only ones that a restart needs. A queue's
//! backlog and an agent's ledger are views, rebuilt at a start from the [`conversation::Standing`] of
//! every open conversation. Then agents are told what their own presence was
//! ([`agent::Input::Recall`]), and last the questions to agents are asked again that nobody has
//! answered. In this order: a place that was taken before the restart and is restored late could find
//! the agent full (invariant 3), and somebody who isn't back yet would say no to a customer.
//!
//! Where an agent is (at the desk, away, offline) the conversation is told by the agent's machine, for
//! each conversation that is theirs, however it became so; and an alarm is asked for after every
//! input, for the earliest deadline. Neither is left to the places that change state.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod agent;
pub mod capacity;
pub mod classification;
pub mod conversation;
pub mod decision;
pub mod effect;
pub mod hours;
pub mod ids;
pub mod message;
pub mod notice;
pub mod offer;
pub mod presence;
pub mod queue;
pub mod skills;
pub mod switchboard;
pub mod time;
pub mod workstream;
pub mod world;

pub use agent::Agent;
pub use conversation::Conversation;
pub use effect::Effects;
pub use queue::Queue;
pub use world::World;
