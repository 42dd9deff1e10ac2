//! Conversations' deadlines: one sorted set for live and passivated ones, twenty bytes each.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cordboard_core::conversation::Input;
use cordboard_core::ids::ConversationId;
use cordboard_core::time::Timestamp;
use tokio::sync::mpsc;

use crate::actors::directory::{Deliver, Directory, To};
use crate::clock;

/// The way to the set. Cheap to clone.
#[derive(Clone)]
pub struct Alarms {
    sender: mpsc::UnboundedSender<(u32, ConversationId)>,
}

/// The set's other end.
pub struct AlarmClock {
    receiver: mpsc::UnboundedReceiver<(u32, ConversationId)>,
    due: BTreeSet<(u32, ConversationId)>,
}

impl Alarms {
    /// Both ends; the clock begins with these deadlines.
    pub fn new(
        deadlines: impl IntoIterator<Item = (Timestamp, ConversationId)>,
    ) -> (Self, AlarmClock) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let due = deadlines.into_iter().map(|(at, id)| (seconds(at), id)).collect();
        (Self { sender }, AlarmClock { receiver, due })
    }

    /// Wakes the conversation at that time. Being woken too often is harmless.
    pub fn set(&self, at: Timestamp, conversation: ConversationId) {
        // The clock ends with the host; deadlines are in the journal as well.
        let _ = self.sender.send((seconds(at), conversation));
    }
}

/// Whole seconds since the epoch, rounded up so that nobody is woken before time.
fn seconds(at: Timestamp) -> u32 {
    u32::try_from((at.0 + 999) / 1000).unwrap_or(u32::MAX)
}

impl AlarmClock {
    /// Runs until the host stops.
    pub async fn run(mut self, directory: Weak<Directory>) {
        loop {
            let next = self.due.first().map(|(at, _)| *at);
            let wait = next.map(|at| {
                let ms = i64::from(at) * 1000 - clock::now().0;
                Duration::from_millis(u64::try_from(ms).unwrap_or(0))
            });
            tokio::select! {
                set = self.receiver.recv() => match set {
                    Some(deadline) => {
                        self.due.insert(deadline);
                    }
                    None => return,
                },
                () = tokio::time::sleep(wait.unwrap_or(Duration::MAX)), if wait.is_some() => {
                    let Some(directory) = directory.upgrade() else { return };
                    self.ring(&directory);
                }
            }
        }
    }

    fn ring(&mut self, directory: &Arc<Directory>) {
        let now = clock::now().0;
        while let Some((at, conversation)) = self.due.first().copied() {
            if i64::from(at) * 1000 > now {
                return;
            }
            self.due.pop_first();
            directory.deliver(Deliver::new(To::Id(conversation), Input::Wake));
        }
    }
}
