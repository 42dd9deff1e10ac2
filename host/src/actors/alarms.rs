//! Conversations' deadlines: one alarm for each, the earliest it has asked for, whether it is live or
//! passivated. Whoever is woken too early looks, and asks for the next.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use cordboard_core::conversation::Input;
use cordboard_core::ids::ConversationId;
use cordboard_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::actors::deliver::{Deliver, To};
use crate::actors::directory::Directory;
use crate::clock;

/// The clock is looked at this often at least.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The way to the set. Cheap to clone.
#[derive(Clone)]
pub struct Alarms {
    sender: mpsc::UnboundedSender<Told>,
    count: Arc<AtomicUsize>,
}

/// What the clock is told.
enum Told {
    Set(Timestamp, ConversationId),
    /// Whether it is there (OPS-09).
    Ping(oneshot::Sender<()>),
}

/// The set's other end.
pub struct AlarmClock {
    receiver: mpsc::UnboundedReceiver<Told>,
    count: Arc<AtomicUsize>,
    due: BTreeSet<(Timestamp, ConversationId)>,
    /// The same by conversation.
    set: HashMap<ConversationId, Timestamp>,
}

impl Alarms {
    /// Both ends; the clock begins with these deadlines.
    pub fn new(
        deadlines: impl IntoIterator<Item = (Timestamp, ConversationId)>,
    ) -> (Self, AlarmClock) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let count = Arc::<AtomicUsize>::default();
        let (due, set) = (BTreeSet::new(), HashMap::new());
        let mut clock = AlarmClock { receiver, count: count.clone(), due, set };
        deadlines.into_iter().for_each(|(at, conversation)| clock.set(at, conversation));
        (Self { sender, count }, clock)
    }

    /// Wakes the conversation at that time. Being woken too often is harmless.
    pub fn set(&self, at: Timestamp, conversation: ConversationId) {
        // The clock ends with the host; deadlines are in the journal as well.
        let _ = self.sender.send(Told::Set(at, conversation));
    }

    /// How many conversations have one.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns once the clock has answered; never, if it can't.
    pub async fn ping(&self) {
        let (answer, answered) = oneshot::channel();
        let asked = self.sender.send(Told::Ping(answer)).is_ok();
        if !asked || answered.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl AlarmClock {
    /// What it would ring for.
    pub fn into_deadlines(self) -> BTreeSet<(Timestamp, ConversationId)> {
        self.due
    }

    /// Runs until the host stops.
    pub async fn run(mut self, directory: Weak<Directory>) {
        loop {
            let next = self.due.first().map(|(at, _)| *at);
            // Never for long: a clock that is set forward makes alarms due that seemed far away.
            let wait = next.map(|at| {
                let ms = at.0 - clock::now().0;
                Duration::from_millis(u64::try_from(ms).unwrap_or(0)).min(LOOK_EVERY)
            });
            tokio::select! {
                set = self.receiver.recv() => match set {
                    Some(Told::Set(at, conversation)) => self.set(at, conversation),
                    // Whoever asked may have given up.
                    Some(Told::Ping(answer)) => drop(answer.send(())),
                    None => return,
                },
                () = tokio::time::sleep(wait.unwrap_or(Duration::MAX)), if wait.is_some() => {
                    let Some(directory) = directory.upgrade() else { return };
                    self.ring(&directory);
                }
            }
        }
    }

    /// Unless one that isn't later is set.
    fn set(&mut self, at: Timestamp, conversation: ConversationId) {
        let known = self.set.get(&conversation).copied();
        if known.is_some_and(|known| known <= at) {
            return;
        }
        if let Some(known) = known {
            self.due.remove(&(known, conversation));
        }
        self.set.insert(conversation, at);
        self.due.insert((at, conversation));
        self.count.store(self.set.len(), Ordering::Relaxed);
    }

    fn ring(&mut self, directory: &Arc<Directory>) {
        let now = clock::now();
        while let Some((at, conversation)) = self.due.first().copied() {
            if at > now {
                return;
            }
            self.due.pop_first();
            self.set.remove(&conversation);
            self.count.store(self.set.len(), Ordering::Relaxed);
            directory.deliver(Deliver::new(To::Id(conversation), Input::Wake));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // ROUTE-09
    #[test]
    fn a_conversation_has_one_alarm_the_earliest() {
        let id = ConversationId(uuid::Uuid::from_u128(7));
        let (_, mut clock) = Alarms::new([(Timestamp(50), id)]);
        for at in [60, 70, 50, 40, 80] {
            clock.set(Timestamp(at), id);
        }
        assert_eq!(clock.into_deadlines().into_iter().collect::<Vec<_>>(), [(Timestamp(40), id)]);
    }
}
