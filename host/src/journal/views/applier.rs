//! The one who feeds the views: takes what the writer has committed, and applies much at once.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use cordboard_core::ids::ConversationId;

use crate::grief::{Part, contained};
use crate::journal::entry::{self, Entry, Position};
use crate::journal::error::{JournalError, Trouble};
use crate::journal::health::{JournalHealth, Stage};
use crate::journal::progress::Progress;
use crate::journal::record::{Outcome, Record};
use crate::journal::recovery::RECOVER;
use crate::journal::schema;
use crate::journal::writer::Writer;

use super::Views;
use super::index::Index;

/// What has become of a record.
pub type Written = Result<Outcome, JournalError>;
/// Told of it.
pub type Done = Box<dyn FnOnce(Written) + Send>;

/// A batch that is in the log.
pub struct Batch {
    /// Where.
    pub position: Position,
    /// What.
    pub entries: Vec<Entry>,
    /// Who waits until it can be seen: for which entry, in order.
    pub told: Vec<(usize, Done)>,
    /// When it was committed.
    pub since: Instant,
    /// The host is full of what a start has written, and nobody reads it.
    pub forgets: bool,
}

impl Batch {
    pub fn is_waited_for(&self) -> bool {
        !self.told.is_empty() || self.forgets
    }

    fn changes_access(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| matches!(entry, Entry::Record(Record::Access(access)) if !access.is_use()))
    }

    /// The conversations that it takes further, and their versions behind it: none, where it removes them.
    pub fn steps(&self) -> impl Iterator<Item = (ConversationId, u64)> {
        let removed = self.entries.iter().flat_map(|entry| match entry {
            Entry::Record(record) => record.removes(),
            Entry::Append(_) => &[],
        });
        let steps = self.entries.iter().filter_map(|entry| match entry {
            Entry::Append(append) => Some((append.conversation, append.version_after())),
            Entry::Record(_) => None,
        });
        // What is in one batch with the removal was taken before it.
        steps.chain(removed.map(|id| (*id, 0)))
    }
}

/// So many entries are applied at once: enough to make them cheap, few enough to be seen soon.
const MOST_AT_ONCE: usize = 8192;
/// So many batches are: half of what may wait here before the writer does.
const MOST_BATCHES: usize = Writer::MOST_BEHIND / 2;

/// Applies what comes until nobody commits any more, and closes the views in order if they have it all.
pub fn run(
    mut views: Box<dyn Views>,
    inbox: &mpsc::Receiver<Batch>,
    progress: &Progress,
    health: &JournalHealth,
) {
    progress.applies_here();
    let mut index = Index::of(&mut *views, progress);
    while let Some(first) = index.until_next(inbox, &mut *views, progress) {
        let (batches, is_busy) = collected(first, inbox, progress);
        views.is_kept(progress.kept());
        let outcomes = until_applied(&mut *views, &batches, progress, health);
        let Some(outcomes) = outcomes else {
            tracing::error!(
                "stopped with something in the log that can't be seen yet; the next start goes on with it"
            );
            return;
        };
        health.visible(batches[0].since.elapsed());
        index.has_more(&mut *views, progress, is_busy);
        tell_all(batches, outcomes, &*views, progress);
    }
    // What somebody has destroyed isn't moved to where it would destroy more.
    if progress.halted().is_none() {
        views.close();
    }
}

/// What is applied together with a first batch. Much at once is cheaper, for pages are written once: as long
/// as nobody waits for it, a moment's worth. (Half as much processor time a message at 150 ms as at 20.)
///
/// Also whether the machine is busy: whoever sleeps meanwhile wakes late where others wait for a processor, too.
fn collected(
    first: Batch,
    inbox: &mpsc::Receiver<Batch>,
    progress: &Progress,
) -> (Vec<Batch>, bool) {
    const LATE: Duration = Duration::from_micros(400);
    const NAP: Duration = Duration::from_millis(20);
    const MOMENT: Duration = Duration::from_millis(150);
    let until = Instant::now() + MOMENT;
    let mut is_waited_for = first.is_waited_for();
    let mut count = first.entries.len();
    let mut batches = vec![first];
    let (mut late, mut naps) = (Duration::ZERO, 0);
    loop {
        while count < MOST_AT_ONCE
            && batches.len() < MOST_BATCHES
            && let Ok(next) = inbox.try_recv()
        {
            is_waited_for |= next.is_waited_for();
            count += next.entries.len();
            batches.push(next);
        }
        let rest = until.saturating_duration_since(Instant::now());
        let is_full = count >= MOST_AT_ONCE || batches.len() >= MOST_BATCHES;
        let is_over = is_full || rest.is_zero() || progress.is_stopping();
        if is_waited_for || is_over || progress.is_wanted() || progress.is_searched() {
            return (batches, naps > 0 && late / naps > LATE);
        }
        // Whoever waits wakes it.
        let (nap, began) = (rest.min(NAP), Instant::now());
        std::thread::park_timeout(nap);
        if let Some(over) = began.elapsed().checked_sub(nap) {
            late += over;
            naps += 1;
        }
    }
}

/// Tries until it succeeds; not, if the host stops meanwhile.
fn until_applied(
    views: &mut dyn Views,
    batches: &[Batch],
    progress: &Progress,
    health: &JournalHealth,
) -> Option<Vec<Written>> {
    const FIRST_WAIT: Duration = Duration::from_millis(10);
    const LONGEST_WAIT: Duration = Duration::from_secs(2);
    /// A `-wal` that somebody cut under the host looks like that, too, and what helps there is done before.
    const DAMAGED_FOR: Duration = Duration::from_secs(1);
    let (mut wait, began) = (FIRST_WAIT, Instant::now());
    loop {
        match views.apply(batches) {
            Ok(outcomes) => {
                health.set(Stage::Views, None);
                return Some(outcomes);
            }
            Err(error) => {
                if error.trouble == Trouble::Grief {
                    let entries = batches.iter().flat_map(|batch| &batch.entries);
                    let input = entry::in_short(entries);
                    health.panicked("the tables", &input, &error.to_string());
                }
                health.set(Stage::Views, Some(&error));
                if error.trouble == Trouble::Damaged && began.elapsed() > DAMAGED_FOR {
                    progress.give_up(&format!(
                        "{} is damaged where what was acknowledged belongs ({error}); all of that is in the log: {RECOVER}",
                        schema::FILE
                    ));
                    return None;
                }
            }
        }
        if progress.is_stopping() {
            return None;
        }
        std::thread::sleep(wait);
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

fn tell_all(batches: Vec<Batch>, outcomes: Vec<Written>, views: &dyn Views, progress: &Progress) {
    if batches.iter().any(Batch::changes_access) {
        progress.change_access();
    }
    let steps = batches.iter().flat_map(|batch| batch.steps().map(|(id, _)| (batch.position, id)));
    progress.apply(steps, batches.last().map(|batch| batch.position));
    if batches.iter().any(|batch| batch.forgets) {
        views.forget_cache();
    }
    let told = batches.into_iter().flat_map(|batch| batch.told);
    for ((_, done), outcome) in told.zip(outcomes) {
        tell(|| done(outcome));
    }
}

/// Tells whoever waits; what they do with it is no business of the journal's.
pub fn tell(told: impl FnOnce()) {
    if let Err(why) = contained(Part::Task, told) {
        tracing::error!(why, "a panic in what was told of a commit was contained");
    }
}
