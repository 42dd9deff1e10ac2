//! The outbox: what is on disk and has to be done outside, whoever takes it.
//!
//! One lane per ordering key keeps the order; lanes run side by side, limited per target. An attempt
//! of which nobody knows how it ended is repeated only if whoever takes it recognises repetitions: so that an
//! attempt begins is on disk before it does, and with it whether it may be repeated. For a reply that can go out at once
//! that stands in the same commit as the reply itself, and for one that waits behind another in that with which the other
//! is settled: two commits a reply. Only one that finds no room at its target gets a mark of its own (three). What a kind
//! of row means is an `Errand` (`errand.rs`); there are replies so far.

mod attempts;
mod complaints;
mod errand;
mod opt_outs;
mod reply;
mod sending;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cordboard_core::time::Timestamp;
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::reply::ReplyErrand;
use self::sending::SIDE_BY_SIDE;
use crate::actors::Directory;
use crate::clock;
use crate::grief::{Part, contained_future};
use crate::journal::{Begins, Journal, OutboxRow, Position, Reader, Reply, Target};

pub use self::complaints::Complaints;
pub use self::opt_outs::OptOuts;
pub use self::sending::Sending;

/// Between two attempts, at first.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What isn't settled yet.
#[derive(Clone, Default)]
pub struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// How much.
    pub fn len(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the outbox is told.
pub enum ToSend {
    /// Something that is on disk.
    Row(Box<OutboxRow>),
    /// Some may never have been told of: look at what is on disk.
    LookAgain,
    /// Whether anybody is there (OPS-09).
    Ping(oneshot::Sender<()>),
}

#[derive(Default)]
struct Lanes {
    rows: HashMap<String, VecDeque<OutboxRow>>,
    /// In a lane, or being sent, or settled and not yet `forgotten`: nothing is sent by two at a time.
    known: HashSet<i64>,
    /// What is settled, and up to where the tables have to be read so as not to find it.
    settled: VecDeque<(Position, i64)>,
    limits: HashMap<Target, Rc<Semaphore>>,
}

impl Lanes {
    /// The next of a lane; one that is empty goes.
    fn next_of(&mut self, ordering_key: &str) -> Option<OutboxRow> {
        let next = self.rows.get_mut(ordering_key).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.rows.remove(ordering_key);
        }
        next
    }

    /// Whoever looks at what is open on disk must not find it there once nobody knows of it. Nobody is hurried for that.
    fn settle(&mut self, id: i64, journal: &Journal) {
        self.settled.push_back((journal.committed(), id));
    }

    /// Not while somebody looks: what they have read may be of before.
    fn forget_settled(&mut self, journal: &Journal) {
        while self.settled.front().is_some_and(|(at, _)| journal.shows(*at)) {
            let gone = self.settled.pop_front().map(|(_, id)| self.known.remove(&id));
            debug_assert_eq!(gone, Some(true), "it was known");
        }
    }

    fn limit_of(&mut self, target: &Target) -> Rc<Semaphore> {
        if let Some(limit) = self.limits.get(target) {
            return limit.clone();
        }
        let limit = Rc::new(Semaphore::new(SIDE_BY_SIDE));
        self.limits.insert(target.clone(), limit.clone());
        limit
    }
}

/// Runs until the host stops. Must run on an arbiter.
pub async fn run(
    mut inbox: mpsc::UnboundedReceiver<ToSend>,
    directory: Arc<Directory>,
    backlog: Backlog,
) {
    let outbox = Outbox { lanes: Rc::default(), directory, backlog, since: clock::now() };
    while let Some(message) = inbox.recv().await {
        match message {
            ToSend::Row(row) => {
                outbox.lanes.borrow_mut().forget_settled(&outbox.directory.journal);
                outbox.take(*row);
            }
            ToSend::LookAgain => outbox.look_again().await,
            // Whoever asked may have given up.
            ToSend::Ping(answer) => drop(answer.send(())),
        }
    }
}

struct Outbox {
    lanes: Rc<RefCell<Lanes>>,
    directory: Arc<Directory>,
    backlog: Backlog,
    /// Since when it runs.
    since: Timestamp,
}

impl Outbox {
    /// Whatever is open on disk and in no lane. A row leaves its lane only once it is settled there.
    async fn look_again(&self) {
        let is_all = match self.directory.journal.read(Reader::outbox).await {
            Ok(rows) => {
                let come = rows.iter().filter(|row| self.may_be_on_its_way(row));
                let come: HashSet<String> = come.map(|row| row.ordering_key.clone()).collect();
                // What stands behind one that comes waits for it.
                let others = rows.into_iter().filter(|row| !come.contains(&row.ordering_key));
                others.for_each(|row| self.take(row));
                come.is_empty()
            }
            Err(error) => {
                tracing::error!(%error, "the outbox can't be read; it is looked at again in a moment");
                false
            }
        };
        if !is_all {
            let directory = self.directory.clone();
            actix::spawn(async move {
                tokio::time::sleep(FIRST_WAIT).await;
                directory.look_at_outbox_again();
            });
        }
    }

    /// That the attempt of a reply begins is on disk before whoever makes it has heard of it: what has begun in this run, and
    /// just now, is heard of within a moment, and isn't what nobody knows the end of.
    fn may_be_on_its_way(&self, row: &OutboxRow) -> bool {
        let is_known = self.lanes.borrow().known.contains(&row.id);
        let at = row.first_attempt_at.unwrap_or_default();
        let is_new = at >= self.since && (0..1000).contains(&(clock::now().0 - at.0));
        row.attempting && !is_known && is_new
    }

    fn take(&self, row: OutboxRow) {
        let mut lanes = self.lanes.borrow_mut();
        if !lanes.known.insert(row.id) {
            return;
        }
        self.backlog.0.fetch_add(1, Ordering::Relaxed);
        let key = row.ordering_key.clone();
        if let Some(lane) = lanes.rows.get_mut(&key) {
            lane.push_back(row);
            return;
        }
        lanes.rows.insert(key.clone(), VecDeque::from([row]));
        drop(lanes);
        let (lanes, directory) = (self.lanes.clone(), self.directory.clone());
        let backlog = self.backlog.clone();
        actix::spawn(async move {
            loop {
                let next = lanes.borrow_mut().next_of(&key);
                let Some(row) = next else { return };
                let id = row.id;
                let limit = lanes.borrow_mut().limit_of(&row.target);
                let behind = Behind { lanes: &lanes, ordering_key: &key };
                settle_whatever_happens(row, &behind, &directory, &limit).await;
                backlog.0.fetch_sub(1, Ordering::Relaxed);
                lanes.borrow_mut().settle(id, &directory.journal);
            }
        });
    }
}

/// What waits in a lane behind the row that is being done.
struct Behind<'a> {
    lanes: &'a RefCell<Lanes>,
    ordering_key: &'a str,
}

impl Behind<'_> {
    /// That the next one begins, if it can as soon as the one before it is settled.
    fn begins(&self, directory: &Directory) -> Option<Begins> {
        let lanes = self.lanes.borrow();
        let row = lanes.rows.get(self.ordering_key)?.front()?;
        let is_new = row.attempts == 0 && !row.attempting;
        let is_wanted = directory.opt_outs.none_since(row);
        let has_room = directory.sending.has_room_for_next(&row.target);
        let repeatable_by = directory.plugins.repeats(&row.target.as_channel()?)?;
        let begins = Begins { row: row.id, first_attempt_at: clock::now(), repeatable_by };
        (is_new && is_wanted && has_room).then_some(begins)
    }

    /// That is on disk.
    fn begun(&self, begins: Begins) {
        let mut lanes = self.lanes.borrow_mut();
        let next = lanes.rows.get_mut(self.ordering_key).and_then(VecDeque::front_mut);
        // Nobody else takes from this lane.
        if let Some(row) = next.filter(|row| row.id == begins.row) {
            row.mark(begins);
        }
    }
}

/// A panic in the midst of an attempt is like a host that stopped in it: how it ended isn't known, and the next attempt
/// goes by that. What comes to grief again and again keeps its place, and what stands behind it in its lane waits, as it
/// does for a provider that can't be reached (OPS-09).
async fn settle_whatever_happens(
    mut row: OutboxRow,
    behind: &Behind<'_>,
    directory: &Directory,
    limit: &Semaphore,
) {
    for times in 1.. {
        let Err(why) =
            contained_future(Part::Outbox, settle(&mut row, behind, directory, limit)).await
        else {
            return;
        };
        let input = format_args!("a {}, tried {} times before", row.kind, row.attempts);
        directory.came_to_grief(Part::Outbox, &row.reference, &input, &why);
        match row.may_be_out {
            true => row.attempting = true,
            // Nobody was asked: a host that ends now hasn't tried it.
            false => attempts::unmark_early(&mut row, directory).await,
        }
        tokio::time::sleep(attempts::wait(times)).await;
    }
}

async fn settle(
    row: &mut OutboxRow,
    behind: &Behind<'_>,
    directory: &Directory,
    limit: &Semaphore,
) {
    let errand = match row.kind.as_str() {
        Reply::KIND => ReplyErrand::of(row),
        _ => Err("this host doesn't know what that is".to_owned()),
    };
    match errand {
        Ok(errand) => attempts::settle(&errand, row, behind, directory, limit).await,
        // It stays on disk for a host that can.
        Err(why) => {
            let (reference, kind) = (&row.reference, &row.kind);
            tracing::error!(reference, kind, why, "a row of the outbox can't be read");
        }
    }
}
