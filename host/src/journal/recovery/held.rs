//! Which batches there are of a journal: all up to some position, but for gaps.

use super::lineage::Lineage;
use crate::journal::entry::Position;

/// Stretches of positions, the first and the last of each, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Held(Vec<(u64, u64)>);

impl Held {
    /// All up to a position, but for what is lost in these runs.
    pub fn up_to(at: Position, lineage: &Lineage) -> Self {
        let all = Self(vec![(1, at.0)]);
        lineage.gaps().fold(all, |held, (first, last)| held.without(first, last))
    }

    /// And another stretch, behind all others.
    pub fn and(mut self, first: u64, last: u64) -> Self {
        self.0.push((first, last));
        self.0.retain(|(first, last)| first <= last);
        self
    }

    fn without(self, from: u64, to: u64) -> Self {
        let parts = self.0.into_iter().flat_map(|(first, last)| {
            let before = (first, last.min(from.saturating_sub(1)));
            let behind = (first.max(to + 1), last);
            // Where it isn't touched, one of the two is all of it.
            match from > last || to < first {
                true => [(first, last), (1, 0)],
                false => [before, behind],
            }
        });
        Self(parts.filter(|(first, last)| first <= last).collect())
    }

    /// How many there aren't before the last of them.
    pub fn missing(&self) -> u64 {
        let last = self.0.last().map_or(0, |(_, last)| *last);
        Self(vec![(1, last)]).beyond(self)
    }

    /// How many there are that another hasn't got.
    pub fn beyond(&self, other: &Self) -> u64 {
        let rest =
            other.0.iter().fold(self.clone(), |rest, (first, last)| rest.without(*first, *last));
        rest.0.iter().map(|(first, last)| last + 1 - first).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lineage::new_gap;
    use super::*;

    // OPS-10
    #[test]
    fn stretches_are_compared_by_what_they_hold_and_not_by_how_much() {
        let run = Lineage::only([1; 16]);
        let all = Held::up_to(Position(90), &run);
        let gaps = run.clone().with(new_gap(3), Position(50)).with(new_gap(10), Position(70));
        let with_gaps = Held::up_to(Position(95), &gaps);
        assert_eq!(with_gaps, Held(vec![(1, 50), (54, 70), (81, 95)]));
        assert_eq!((all.beyond(&with_gaps), with_gaps.beyond(&all)), (13, 5));
        assert_eq!((all.beyond(&all), all.missing(), with_gaps.missing()), (0, 0, 13));
        let short = Held::up_to(Position(50), &run);
        assert_eq!(short.clone().and(54, 70).and(81, 95), with_gaps);
        assert_eq!(short.clone().and(91, 90), short);
        assert_eq!(Held::up_to(Position(0), &run).beyond(&all), 0);
        assert_eq!(all.beyond(&Held::default()), 90);
        // One that begins, or ends, in a gap.
        assert_eq!(Held::up_to(Position(52), &gaps), short);
    }
}
