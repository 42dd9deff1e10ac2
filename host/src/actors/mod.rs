//! Actors: one per agent, queue and conversation. They decide nothing.
//!
//! A handler takes the message, calls the machine, gives its events to the journal and, after the
//! commit, has the other effects carried out in order. Only conversations wait for the commit: they
//! own the truth. Queues and agents are views; what they journal is history that nothing waits for.

mod agent;
mod alarms;
mod board;
mod conversation;
mod deliver;
mod directory;
mod effects;
mod erased;
mod in_force;
mod names;
mod queue;
mod rebuild;
mod reconfigure;
mod recorder;
mod recovery;
mod screen;
mod shard;
mod timer;
mod waiting;
mod work;

pub use agent::{
    AgentActor, AgentAnswer, AgentView, Attach, CloseScreens, Detach, LookAtAgent, NotDone,
    TellAgent,
};
pub use alarms::Alarms;
pub use board::{Audience, Board, BoardFrame, Posted, Seen, Watching};
pub use deliver::{Answer, Deliver, To};
pub use directory::Directory;
pub use queue::{
    LookAtLine, LookAtQueue, QueueActor, QueueView, TellQueue, WhyNot, place_in_line,
    place_of_thread,
};
pub use reconfigure::{Change, HalfWay, channel_settings, reconfigure, update_settings};
pub use recorder::{Entry, Recorder, Routed};
pub use recovery::{Actors, start, start_shard};
pub use screen::{ForScreen, ScreenReceiver, ScreenSender, screen};
pub use waiting::{Counted, Counter, Waiting};
