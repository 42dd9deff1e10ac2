//! What waits for a look into the journal, and in which order it goes on.

use std::collections::{HashMap, VecDeque};

use cordboard_core::ids::ConversationId;
use cordboard_core::notice::ThreadKey;

use crate::actors::deliver::{Deliver, To};

/// Looks of one shard at a time. More would stand in line for the disk; so whoever waits for an answer stands before
/// what nobody waits for: a change of settings wakes a million conversations, and webhooks don't wait behind them.
const MOST_AT_ONCE: usize = 16;

/// Inputs of conversations that aren't in memory, each behind those for the same place that came before.
#[derive(Default)]
pub(super) struct Looks {
    of_ids: HashMap<ConversationId, VecDeque<Deliver>>,
    of_threads: HashMap<ThreadKey, VecDeque<Deliver>>,
    under_way: usize,
    /// They may look as soon as there is room; those that somebody waits for first.
    awaited: VecDeque<Deliver>,
    others: VecDeque<Deliver>,
}

impl Looks {
    /// Puts it behind those for the same place, if there are any; or gives it back.
    pub fn behind(&mut self, deliver: Deliver) -> Option<Deliver> {
        let line = match &deliver.to {
            To::Id(_) if self.of_ids.is_empty() => None,
            To::Thread { .. } if self.of_threads.is_empty() => None,
            To::Id(id) => self.of_ids.get_mut(id),
            To::Thread { key, .. } => self.of_threads.get_mut(key),
        };
        match line {
            Some(line) => {
                line.push_back(deliver);
                None
            }
            None => Some(deliver),
        }
    }

    /// It has to look: from now on others of its place wait behind it.
    pub fn add(&mut self, deliver: Deliver) {
        match &deliver.to {
            To::Id(id) => self.of_ids.insert(*id, VecDeque::new()),
            To::Thread { key, .. } => self.of_threads.insert(key.clone(), VecDeque::new()),
        };
        match deliver.answer {
            Some(_) => self.awaited.push_back(deliver),
            None => self.others.push_back(deliver),
        }
    }

    /// The next one that looks now, if there is room.
    pub fn next(&mut self) -> Option<Deliver> {
        if self.under_way >= MOST_AT_ONCE {
            return None;
        }
        let next = self.awaited.pop_front().or_else(|| self.others.pop_front())?;
        self.under_way += 1;
        Some(next)
    }

    /// Lets go of room that nothing needs now.
    pub fn shrink(&mut self) {
        self.of_ids.shrink_to_fit();
        self.of_threads.shrink_to_fit();
        self.awaited.shrink_to_fit();
        self.others.shrink_to_fit();
    }

    /// It has looked; what is behind it may go on.
    pub fn done(&mut self, to: &To) -> VecDeque<Deliver> {
        self.under_way -= 1;
        let line = match to {
            To::Id(id) => self.of_ids.remove(id),
            To::Thread { key, .. } => self.of_threads.remove(key),
        };
        line.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cordboard_core::conversation::Input;
    use uuid::Uuid;

    fn to(id: u128) -> Deliver {
        Deliver::new(To::Id(ConversationId(Uuid::from_u128(id))), Input::Wake)
    }

    // OPS-11
    #[test]
    fn whoever_waits_for_an_answer_looks_first_and_nobody_overtakes_in_their_own_line() {
        let mut looks = Looks::default();
        for id in 0..40 {
            assert!(looks.behind(to(id)).is_some(), "nothing is before it");
            looks.add(to(id));
        }
        let mut looking: Vec<Deliver> = std::iter::from_fn(|| looks.next()).collect();
        assert_eq!(looking.len(), MOST_AT_ONCE);
        let (answer, _waiting) = tokio::sync::oneshot::channel();
        looks.add(Deliver { answer: Some(answer), ..to(99) });
        assert!(looks.behind(to(0)).is_none() && looks.behind(to(39)).is_none());
        assert_eq!(looks.done(&looking.remove(0).to).len(), 1, "it waited behind the first");
        let next = looks.next().expect("there is room for one more");
        assert!(next.to.is_as(&to(99).to), "somebody waits for it");
        assert!(looks.next().is_none(), "and no room any more");
        assert!(looks.behind(to(0)).is_some(), "nothing is before it any more");
    }
}
