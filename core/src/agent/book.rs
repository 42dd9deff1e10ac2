//! The offers of an agent that are out, and when the first of them ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::agent::Offered;
use crate::ids::OfferId;
use crate::time::Timestamp;

/// Offers by name. Those whose deadline counts are counted by it, as the first one is asked for after every
/// input, however many there are.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Book {
    offers: BTreeMap<OfferId, Offered>,
    deadlines: BTreeMap<Timestamp, u32>,
}

impl Book {
    pub fn get(&self, offer: &OfferId) -> Option<&Offered> {
        self.offers.get(offer)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&OfferId, &Offered)> {
        self.offers.iter()
    }

    /// The first deadline that counts.
    pub fn first_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first_key_value().map(|(at, _)| *at)
    }

    pub fn insert(&mut self, offer: OfferId, offered: Offered) {
        if offered.is_open() {
            *self.deadlines.entry(offered.deadline).or_default() += 1;
        }
        if let Some(before) = self.offers.insert(offer, offered) {
            self.discount(&before);
        }
    }

    /// From here on its deadline doesn't count; nothing, if there is no such offer.
    pub fn accept(&mut self, offer: &OfferId, now: Timestamp) -> Option<&Offered> {
        let offered = self.offers.get(offer)?.clone();
        self.discount(&offered);
        let known = self.offers.get_mut(offer)?;
        known.accepted_at.get_or_insert(now);
        Some(known)
    }

    pub fn remove(&mut self, offer: &OfferId) -> Option<Offered> {
        let offered = self.offers.remove(offer)?;
        self.discount(&offered);
        Some(offered)
    }

    fn discount(&mut self, offered: &Offered) {
        if offered.is_open()
            && let Some(count) = self.deadlines.get_mut(&offered.deadline)
        {
            *count -= 1;
            if *count == 0 {
                self.deadlines.remove(&offered.deadline);
            }
        }
    }
}
