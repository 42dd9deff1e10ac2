//! Conversations' deadlines: one sorted set for live and passivated ones, twenty-four bytes each.

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
    sender: mpsc::UnboundedSender<(Timestamp, ConversationId)>,
}

/// The set's other end.
pub struct AlarmClock {
    receiver: mpsc::UnboundedReceiver<(Timestamp, ConversationId)>,
    due: BTreeSet<(Timestamp, ConversationId)>,
}

impl Alarms {
    /// Both ends; the clock begins with these deadlines.
    pub fn new(
        deadlines: impl IntoIterator<Item = (Timestamp, ConversationId)>,
    ) -> (Self, AlarmClock) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let due = deadlines.into_iter().collect();
        (Self { sender }, AlarmClock { receiver, due })
    }

    /// Wakes the conversation at that time. Being woken too often is harmless.
    pub fn set(&self, at: Timestamp, conversation: ConversationId) {
        // The clock ends with the host; deadlines are in the journal as well.
        let _ = self.sender.send((at, conversation));
    }
}

impl AlarmClock {
    /// Runs until the host stops.
    pub async fn run(mut self, directory: Weak<Directory>) {
        loop {
            let next = self.due.first().map(|(at, _)| *at);
            let wait = next.map(|at| {
                let ms = at.0 - clock::now().0;
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
        let now = clock::now();
        while let Some((at, conversation)) = self.due.first().copied() {
            if at > now {
                return;
            }
            self.due.pop_first();
            directory.deliver(Deliver::new(To::Id(conversation), Input::Wake));
        }
    }
}
