//! What is under way.

use std::sync::Arc;

use dashmap::DashMap;

use crate::journal::Target;

/// Under way at a time with one target.
pub(super) const SIDE_BY_SIDE: usize = 64;

/// Attempts whose outcome isn't on disk yet, by target: a provider may report one before that.
#[derive(Clone, Default)]
pub struct Sending(Arc<DashMap<Target, usize>>);

/// One of them, until it is dropped.
pub(super) struct UnderWay(Sending, Target);

impl Sending {
    pub(super) fn begin(&self, target: &Target) -> UnderWay {
        *self.0.entry(target.clone()).or_default() += 1;
        UnderWay(self.clone(), target.clone())
    }

    /// Whether one more would go out at once.
    pub fn has_room(&self, target: &Target) -> bool {
        self.0.get(target).is_none_or(|count| *count < SIDE_BY_SIDE / 2)
    }

    /// Whether the next one goes out at once that takes the place of one whose outcome is being written.
    pub(super) fn has_room_for_next(&self, target: &Target) -> bool {
        self.0.get(target).is_none_or(|count| *count <= SIDE_BY_SIDE)
    }

    /// Whether there is any with this target.
    pub fn is_under_way(&self, target: &Target) -> bool {
        self.0.get(target).is_some_and(|count| *count > 0)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(mut count) = self.0.0.get_mut(&self.1) {
            *count -= 1;
        }
    }
}
