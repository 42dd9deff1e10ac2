//! How much work an agent can hold: counts per channel kind and a total in units (CAP-01).

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::ids::ConversationId;

/// What sort of work a channel brings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ChannelKind {
    /// Calls.
    Voice,
    /// Live web chat.
    Chat,
    /// SMS and social messaging: asynchronous.
    Messaging,
    /// Email.
    Email,
}

impl ChannelKind {
    /// All kinds, in the order that [`Counts`] uses.
    pub const ALL: [ChannelKind; 4] = [Self::Voice, Self::Chat, Self::Messaging, Self::Email];

    /// As it is written in API and configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Chat => "chat",
            Self::Messaging => "messaging",
            Self::Email => "email",
        }
    }

    /// The kind's position in [`Counts`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KindSet(u8);

impl KindSet {
    /// Every kind.
    pub const ALL: Self = Self(0b1111);

    /// Whether the kind is in the set.
    pub fn contains(self, kind: ChannelKind) -> bool {
        self.0 & (1 << kind.index()) != 0
    }

    /// Puts the kind into the set.
    pub fn insert(&mut self, kind: ChannelKind) {
        self.0 |= 1 << kind.index();
    }
}

impl FromIterator<ChannelKind> for KindSet {
    fn from_iter<I: IntoIterator<Item = ChannelKind>>(kinds: I) -> Self {
        let mut set = Self::default();
        kinds.into_iter().for_each(|kind| set.insert(kind));
        set
    }
}

/// The weight of a work item on the agent's total.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Units(pub u32);

/// A number per channel kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts(pub [u32; 4]);

impl Counts {
    /// The number for one kind.
    pub fn of(&self, kind: ChannelKind) -> u32 {
        self.0[kind.index()]
    }
}

/// The most an agent may hold; both the count of the kind and the total hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Items per channel kind.
    pub counts: Counts,
    /// Units over all kinds.
    pub units: Units,
    /// Which kinds get nothing while one of this kind is held or offered (CAP-03).
    #[serde(default)]
    pub blocks: [KindSet; 4],
}

impl Default for Limits {
    /// Voice 1, chat 3, messaging 5, email 10; 100 units; nothing blocks anything.
    fn default() -> Self {
        Self { counts: Counts([1, 3, 5, 10]), units: Units(100), blocks: Default::default() }
    }
}

/// What one item takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Load {
    /// Counted under this kind.
    pub kind: ChannelKind,
    /// Weight on the total.
    pub units: Units,
}

/// The lightest item of each kind that can come to somebody; a kind that isn't there can't. Full means
/// that none of them fits any more (PRES-02).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reach([Option<Units>; 4]);

impl Default for Reach {
    /// Every kind, as light as an item can be.
    fn default() -> Self {
        Self([Some(Units(1)); 4])
    }
}

impl Reach {
    /// Nothing can come.
    pub const NOTHING: Self = Self([None; 4]);

    /// An item of this sort can come as well.
    pub fn add(&mut self, load: Load) {
        let lightest = &mut self.0[load.kind.index()];
        *lightest = Some(lightest.map_or(load.units, |known| known.min(load.units)));
    }

    /// Both together.
    pub fn union(mut self, other: Self) -> Self {
        other.loads().for_each(|load| self.add(load));
        self
    }

    /// The lightest item of each kind.
    pub fn loads(self) -> impl Iterator<Item = Load> {
        let of = move |kind: ChannelKind| Some(Load { kind, units: self.0[kind.index()]? });
        ChannelKind::ALL.into_iter().filter_map(of)
    }
}

impl FromIterator<Load> for Reach {
    fn from_iter<I: IntoIterator<Item = Load>>(loads: I) -> Self {
        let mut reach = Self::NOTHING;
        loads.into_iter().for_each(|load| reach.add(load));
        reach
    }
}

/// What an agent holds and has reserved. A view: it equals what the open conversations say, plus
/// the offers that are out (CAP-04).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    held: FxHashMap<ConversationId, Load>,
    reserved: FxHashMap<ConversationId, Load>,
    counts: Counts,
    units: u32,
}

impl Ledger {
    /// Whether the load fits under the limits beside all that is held and reserved.
    pub fn fits(&self, load: Load, limits: &Limits) -> bool {
        self.counts.of(load.kind) < limits.counts.of(load.kind)
            && self.units.saturating_add(load.units.0) <= limits.units.0
            && self.blocked_by(load.kind, limits).is_none()
    }

    /// The kind of work under way that keeps this kind away (CAP-03).
    pub fn blocked_by(&self, kind: ChannelKind, limits: &Limits) -> Option<ChannelKind> {
        ChannelKind::ALL.into_iter().find(|under_way| {
            limits.blocks[under_way.index()].contains(kind) && self.counts.of(*under_way) > 0
        })
    }

    /// Sets a place aside for an offer. False if the conversation has a place already.
    pub fn reserve(&mut self, conversation: ConversationId, load: Load) -> bool {
        if self.has(conversation) {
            return false;
        }
        self.reserved.insert(conversation, load);
        self.add(load);
        true
    }

    /// Gives back a reserved place; harmless if there is none.
    pub fn cancel(&mut self, conversation: ConversationId) -> bool {
        let Some(load) = self.reserved.remove(&conversation) else { return false };
        self.subtract(load);
        true
    }

    /// Holds the conversation; a reservation for it is turned into the hold. Idempotent: what is
    /// held already keeps its weight until it is let go.
    pub fn hold(&mut self, conversation: ConversationId, load: Load) {
        self.cancel(conversation);
        if let std::collections::hash_map::Entry::Vacant(place) = self.held.entry(conversation) {
            place.insert(load);
            self.add(load);
        }
    }

    /// Lets go of a held conversation, and says what it took; harmless if it isn't held.
    pub fn release(&mut self, conversation: ConversationId) -> Option<Load> {
        let load = self.held.remove(&conversation)?;
        self.subtract(load);
        Some(load)
    }

    /// Whether the conversation is held (not merely reserved).
    pub fn holds(&self, conversation: ConversationId) -> bool {
        self.held.contains_key(&conversation)
    }

    /// The conversations that are held, in the order of their names.
    pub fn held(&self) -> Vec<ConversationId> {
        let mut held: Vec<ConversationId> = self.held.keys().copied().collect();
        held.sort_unstable();
        held
    }

    /// How many are held.
    pub fn held_count(&self) -> usize {
        self.held.len()
    }

    /// Places left for a kind under the limits: the smaller of what its count and, taking one unit
    /// for an item, the total allow; none while the kind is blocked.
    pub fn spare(&self, kind: ChannelKind, limits: &Limits) -> u16 {
        if self.blocked_by(kind, limits).is_some() {
            return 0;
        }
        let by_count = limits.counts.of(kind).saturating_sub(self.counts.of(kind));
        let by_units = limits.units.0.saturating_sub(self.units);
        u16::try_from(by_count.min(by_units)).unwrap_or(u16::MAX)
    }

    /// Units left under the limits.
    pub fn spare_units(&self, limits: &Limits) -> u32 {
        limits.units.0.saturating_sub(self.units)
    }

    /// Held and reserved together, per kind.
    pub fn used(&self) -> Counts {
        self.counts
    }

    /// Held and reserved together, in units.
    pub fn used_units(&self) -> Units {
        Units(self.units)
    }

    fn has(&self, conversation: ConversationId) -> bool {
        self.held.contains_key(&conversation) || self.reserved.contains_key(&conversation)
    }

    fn add(&mut self, load: Load) {
        self.counts.0[load.kind.index()] += 1;
        self.units += load.units.0;
        debug_assert!(self.sums_up());
    }

    fn subtract(&mut self, load: Load) {
        self.counts.0[load.kind.index()] -= 1;
        self.units -= load.units.0;
        debug_assert!(self.sums_up());
    }

    /// The running totals equal the entries: a leak shows here first. Large ledgers are only
    /// sampled by their length, or debug builds would become quadratic.
    fn sums_up(&self) -> bool {
        let entries = self.held.len() + self.reserved.len();
        let counted: usize = self.counts.0.iter().map(|n| *n as usize).sum();
        if counted != entries || entries > 64 {
            return counted == entries;
        }
        let units: u32 = self.held.values().chain(self.reserved.values()).map(|l| l.units.0).sum();
        units == self.units
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> ConversationId {
        ConversationId(Uuid::from_u128(n))
    }

    const SMS: Load = Load { kind: ChannelKind::Messaging, units: Units(20) };

    // CAP-01
    #[test]
    fn the_count_and_the_units_both_limit() {
        let limits = Limits { units: Units(50), ..Limits::default() };
        let mut ledger = Ledger::default();
        assert!(ledger.fits(SMS, &limits));
        ledger.hold(id(1), SMS);
        ledger.hold(id(2), SMS);
        assert!(!ledger.fits(SMS, &limits), "60 of 50 units");
        let counts = Counts([1, 3, 2, 10]);
        let by_count = Limits { counts, units: Units(500), ..limits };
        assert!(!ledger.fits(SMS, &by_count), "third of two");
    }

    // CAP-03
    #[test]
    fn a_call_blocks_chats_and_chats_block_a_call_but_neither_blocks_email() {
        let mut limits = Limits::default();
        let live = [ChannelKind::Voice, ChannelKind::Chat];
        limits.blocks[ChannelKind::Voice.index()] = [ChannelKind::Chat].into_iter().collect();
        limits.blocks[ChannelKind::Chat.index()] = [ChannelKind::Voice].into_iter().collect();
        for (kind, other) in [(live[0], live[1]), (live[1], live[0])] {
            let mut ledger = Ledger::default();
            ledger.reserve(id(1), Load { kind, units: Units(1) });
            assert!(
                !ledger.fits(Load { kind: other, units: Units(1) }, &limits),
                "an offer counts"
            );
            assert_eq!(ledger.spare(other, &limits), 0);
            assert!(ledger.fits(Load { kind: ChannelKind::Email, units: Units(1) }, &limits));
            ledger.cancel(id(1));
            assert!(ledger.fits(Load { kind: other, units: Units(1) }, &limits));
        }
    }

    // CAP-04
    #[test]
    fn a_place_is_taken_once_and_given_back_once() {
        let limits = Limits::default();
        let mut ledger = Ledger::default();
        assert!(ledger.reserve(id(1), SMS));
        assert!(!ledger.reserve(id(1), SMS), "one place per conversation");
        ledger.hold(id(1), SMS);
        ledger.hold(id(1), SMS);
        assert_eq!(ledger.used().of(ChannelKind::Messaging), 1);
        assert!(!ledger.cancel(id(1)), "the reservation became the hold");
        assert_eq!(ledger.release(id(1)), Some(SMS));
        assert_eq!(ledger.release(id(1)), None);
        assert_eq!(ledger.spare(ChannelKind::Messaging, &limits), 5);
    }

    // CAP-01
    #[test]
    fn whoever_took_up_more_than_a_hundred_thousand_by_hand_is_still_full() {
        let mut ledger = Ledger::default();
        let light = Load { units: Units(1), ..SMS };
        (0..131_072).for_each(|n| ledger.hold(id(n), light));
        assert_eq!(ledger.used().of(ChannelKind::Messaging), 131_072);
        let limits = Limits { units: Units(u32::MAX), ..Limits::default() };
        assert!(!ledger.fits(light, &limits));
        assert_eq!(ledger.spare(ChannelKind::Messaging, &limits), 0);
    }
}
