//! How far conversations have come in the log, as far as the writer remembers.

use std::collections::HashMap;

use cordboard_core::ids::ConversationId;

/// Those that were written to lately. What is forgotten is looked up.
#[derive(Default)]
pub(super) struct Versions {
    young: HashMap<ConversationId, u64>,
    old: HashMap<ConversationId, u64>,
}

impl Versions {
    /// Twice as many are remembered at most: some 10 MB.
    const MOST: usize = 100_000;

    pub fn get(&self, id: ConversationId) -> Option<u64> {
        self.young.get(&id).or_else(|| self.old.get(&id)).copied()
    }

    pub fn set(&mut self, id: ConversationId, version: u64) {
        self.young.insert(id, version);
        if self.young.len() >= Self::MOST {
            self.old = std::mem::take(&mut self.young);
        }
    }

    pub fn forget(&mut self, id: ConversationId) {
        self.young.remove(&id);
        self.old.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    // OPS-11
    #[test]
    fn the_newest_are_remembered_and_their_number_is_bounded() {
        let id = |n: usize| ConversationId(Uuid::from_u128(n as u128));
        let mut versions = Versions::default();
        for n in 0..5 * Versions::MOST {
            versions.set(id(n), n as u64);
        }
        let kept = versions.young.len() + versions.old.len();
        assert!(kept <= 2 * Versions::MOST, "{kept}");
        let last = 5 * Versions::MOST - 1;
        assert_eq!(versions.get(id(last)), Some(last as u64));
        assert_eq!(versions.get(id(0)), None);
        versions.set(id(last), 7);
        assert_eq!(versions.get(id(last)), Some(7), "the newer word counts");
        versions.forget(id(last));
        assert_eq!(versions.get(id(last)), None);
    }
}
