//! The line: by priority, highest first, then oldest first (ROUTE-03).
//!
//! Items that ask for the same stand in one class, each class with a line of its own: an agent who
//! becomes free looks at the heads of the classes they can serve, however long the lines are.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Bound;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::decision::OverflowReason;
use crate::ids::{AgentId, ConversationId, QueueId};
use crate::offer::Purpose;
use crate::queue::{Declined, Demand, Item, Order, Preference};
use crate::skills::Level;
use crate::time::Timestamp;

/// An item and what it has been through here. Small: a hundred thousand may wait.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub since: Timestamp,
    pub priority: i32,
    pub class: u32,
    /// The number of the offer that is asked for or out.
    pub offer: Option<u64>,
    /// What most items never have.
    pub story: Option<Box<Story>>,
}

/// What an item has been through.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Story {
    /// Agents that refused it, with the sign-in during which they did: a new one is a new chance.
    pub refused: Vec<Declined>,
    /// Agents whose offer expired in this round; when all have, a new round begins (ROUTE-07).
    pub tried: Vec<AgentId>,
    /// With reassignment off: the agent who is offered it again.
    pub again: Option<AgentId>,
    pub prefer: Option<Preference>,
    pub visited: Vec<QueueId>,
    /// Messages that it has been sent while it waits: by when, and which of those. So a change of the
    /// settings that moves rules about, or mends a text, sends none of them once more.
    pub told: Vec<(OverflowReason, usize)>,
    /// The question to a strategy plugin that is under way.
    pub judging: Option<u64>,
    /// Advice, not work.
    pub consult: Option<AgentId>,
    /// Read from the journal at the start of the host.
    pub recovered: bool,
}

impl Entry {
    pub fn story_mut(&mut self) -> &mut Story {
        self.story.get_or_insert_default()
    }

    pub fn is_waiting(&self) -> bool {
        self.offer.is_none() && self.story.as_ref().is_none_or(|story| story.judging.is_none())
    }

    pub fn purpose(&self) -> Purpose {
        match self.story.as_ref().and_then(|story| story.consult.clone()) {
            Some(by) => Purpose::Consult(by),
            None => Purpose::Work,
        }
    }
}

type Place = (Reverse<i32>, Timestamp, ConversationId);

/// Items that ask for the same, after the same number of relaxation steps.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Class {
    pub demand: Arc<Demand>,
    pub stage: u8,
    /// The skills still asked for, by the queue's numbers.
    pub needs: Vec<(u16, Level)>,
    /// Whether the hours that count for it are on.
    pub is_open: bool,
    line: BTreeSet<Place>,
    /// Entries of this class, offered ones included.
    entries: u32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Backlog {
    order: Order,
    entries: FxHashMap<ConversationId, Entry>,
    classes: Vec<Class>,
    class_of: FxHashMap<(Arc<Demand>, u8), u32>,
    /// Classes with somebody in line: there are many sorts of items, and few wait.
    lined: BTreeSet<u32>,
    waiting: usize,
}

impl Backlog {
    /// Classes without items are kept for the next item up to this number.
    const MOST_EMPTY_CLASSES: usize = 2048;

    pub fn new(order: Order) -> Self {
        Self {
            order,
            entries: FxHashMap::default(),
            classes: Vec::new(),
            class_of: FxHashMap::default(),
            lined: BTreeSet::new(),
            waiting: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Items without an offer.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    pub fn oldest(&self) -> Option<Timestamp> {
        self.entries.values().map(|entry| entry.since).min()
    }

    /// Everything in line, best first.
    pub fn line(&self) -> Vec<ConversationId> {
        let mut places: Vec<Place> =
            self.classes.iter().flat_map(|class| class.line.iter().copied()).collect();
        places.sort_unstable();
        places.into_iter().map(|(_, _, conversation)| conversation).collect()
    }

    /// The first of the line: the heads of the classes are looked at, and what stands behind those taken.
    pub fn first(&self, most: usize) -> Vec<ConversationId> {
        let head = |number| self.next_in(number, None).map(|place| Reverse((place, number)));
        let mut heads: BinaryHeap<_> =
            self.lined.iter().filter_map(|number| head(*number)).collect();
        let mut first = Vec::new();
        while first.len() < most
            && let Some(Reverse((place, number))) = heads.pop()
        {
            first.push(place.2);
            let next = self.next_in(number, Some(place));
            heads.extend(next.map(|place| Reverse((place, number))));
        }
        first
    }

    /// The item's position in line, from 1; offered items have none.
    pub fn position(&self, conversation: ConversationId) -> Option<usize> {
        let entry = self.entries.get(&conversation).filter(|entry| entry.is_waiting())?;
        let place = self.place(conversation, entry);
        let before: usize = self.lined().map(|(_, class)| class.line.range(..place).count()).sum();
        Some(before + 1)
    }

    pub fn entry(&self, conversation: ConversationId) -> Option<&Entry> {
        self.entries.get(&conversation)
    }

    pub fn entry_mut(&mut self, conversation: ConversationId) -> Option<&mut Entry> {
        self.entries.get_mut(&conversation)
    }

    pub fn waiting_entry(&self, conversation: ConversationId) -> Option<&Entry> {
        self.entry(conversation).filter(|entry| entry.is_waiting())
    }

    pub fn class(&self, number: u32) -> &Class {
        &self.classes[number as usize]
    }

    pub fn classes(&self) -> impl Iterator<Item = (u32, &Class)> {
        (0..).zip(&self.classes)
    }

    /// Those with somebody in line.
    pub fn lined(&self) -> impl Iterator<Item = (u32, &Class)> {
        self.lined.iter().map(|number| (*number, self.class(*number)))
    }

    pub fn set_open(&mut self, number: u32, is_open: bool) {
        self.classes[number as usize].is_open = is_open;
    }

    /// The class of this sort, if there was an item of it already.
    pub fn find_class(&self, demand: &Arc<Demand>, stage: u8) -> Option<u32> {
        // The pair is built for the look-up only; cloning the `Arc` copies no demand.
        self.class_of.get(&(demand.clone(), stage)).copied()
    }

    pub fn add_class(
        &mut self,
        demand: Arc<Demand>,
        stage: u8,
        needs: Vec<(u16, Level)>,
        is_open: bool,
    ) -> u32 {
        let key = (demand.clone(), stage);
        let class = Class { demand, stage, needs, is_open, line: BTreeSet::new(), entries: 0 };
        let free = (self.classes.len() >= Self::MOST_EMPTY_CLASSES)
            .then(|| self.classes.iter().position(|class| class.entries == 0))
            .flatten();
        let number = match free {
            Some(index) => {
                let old = std::mem::replace(&mut self.classes[index], class);
                self.class_of.remove(&(old.demand, old.stage));
                index
            }
            None => {
                self.classes.push(class);
                self.classes.len() - 1
            }
        };
        let number = u32::try_from(number).expect("fewer classes than items");
        self.class_of.insert(key, number);
        number
    }

    /// Takes an item in. There must be no entry of it. It stands in no line yet: most items never
    /// need one, as an agent is free.
    pub fn add(&mut self, item: &Item, class: u32, recovered: bool) {
        let is_plain = item.prefer.is_none()
            && item.visited.is_empty()
            && item.refused.is_empty()
            && item.purpose == Purpose::Work
            && !recovered;
        let story = (!is_plain).then(|| {
            Box::new(Story {
                prefer: item.prefer.clone(),
                visited: item.visited.clone(),
                consult: match &item.purpose {
                    Purpose::Consult(by) => Some(by.clone()),
                    Purpose::Work | Purpose::Transfer(_) => None,
                },
                recovered,
                ..Story::default()
            })
        });
        let entry = Entry { since: item.since, priority: item.priority, class, offer: None, story };
        self.classes[class as usize].entries += 1;
        self.entries.insert(item.conversation, entry);
    }

    /// Puts an item that was taken in into its class's line.
    pub fn line_up(&mut self, conversation: ConversationId) {
        if self.entry(conversation).is_some_and(Entry::is_waiting) {
            self.put_back(conversation);
        }
    }

    pub fn remove(&mut self, conversation: ConversationId) -> Option<Entry> {
        let entry = self.entries.remove(&conversation)?;
        self.classes[entry.class as usize].entries -= 1;
        self.leave_line(entry.class, self.place(conversation, &entry));
        Some(entry)
    }

    /// Moves an entry to another class or priority; its story goes along.
    pub fn move_to(&mut self, conversation: ConversationId, class: u32, priority: i32) {
        let Some(mut entry) = self.remove(conversation) else { return };
        entry.priority = priority;
        self.restore(conversation, entry, class);
    }

    /// Out of the line while it is being offered, or while a plugin judges.
    pub fn take(&mut self, conversation: ConversationId, offer: Option<u64>) {
        let Some(entry) = self.entries.get_mut(&conversation) else { return };
        entry.offer = offer;
        let (class, place) = (entry.class, place(self.order, conversation, entry));
        self.leave_line(class, place);
    }

    /// Back to its old place in the line, age kept.
    pub fn put_back(&mut self, conversation: ConversationId) {
        let Some(entry) = self.entries.get_mut(&conversation) else { return };
        entry.offer = None;
        if let Some(story) = &mut entry.story {
            story.judging = None;
        }
        let (class, place) = (entry.class, place(self.order, conversation, entry));
        self.join_line(class, place);
    }

    /// The first in a class's line behind a place.
    pub fn next_in(&self, class: u32, after: Option<Place>) -> Option<Place> {
        let line = &self.classes[class as usize].line;
        match after {
            None => line.first().copied(),
            Some(place) => line.range((Bound::Excluded(place), Bound::Unbounded)).next().copied(),
        }
    }

    /// Everything, to be added again under other settings; empty afterwards.
    pub fn drain(&mut self, order: Order) -> Vec<(ConversationId, Entry, Arc<Demand>)> {
        let demands: Vec<Arc<Demand>> =
            self.classes.iter().map(|class| class.demand.clone()).collect();
        let mut all: Vec<_> = self
            .entries
            .drain()
            .map(|(id, entry)| {
                let demand = demands[entry.class as usize].clone();
                (id, entry, demand)
            })
            .collect();
        *self = Self::new(order);
        all.sort_unstable_by_key(|(id, ..)| *id);
        all
    }

    /// Puts an entry into a class, and into its line unless it is being offered.
    pub fn restore(&mut self, conversation: ConversationId, mut entry: Entry, class: u32) {
        entry.class = class;
        self.classes[class as usize].entries += 1;
        if entry.is_waiting() {
            self.join_line(class, self.place(conversation, &entry));
        }
        self.entries.insert(conversation, entry);
    }

    fn join_line(&mut self, class: u32, place: Place) {
        let line = &mut self.classes[class as usize].line;
        if line.is_empty() {
            self.lined.insert(class);
        }
        self.waiting += usize::from(line.insert(place));
    }

    fn leave_line(&mut self, class: u32, place: Place) {
        let line = &mut self.classes[class as usize].line;
        if line.remove(&place) {
            self.waiting -= 1;
            if line.is_empty() {
                self.lined.remove(&class);
            }
        }
    }

    fn place(&self, conversation: ConversationId, entry: &Entry) -> Place {
        place(self.order, conversation, entry)
    }
}

fn place(order: Order, conversation: ConversationId, entry: &Entry) -> Place {
    let priority = match order {
        Order::Priority => entry.priority,
        Order::OldestFirst => 0,
    };
    (Reverse(priority), entry.since, conversation)
}
