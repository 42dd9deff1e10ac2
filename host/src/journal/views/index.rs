//! Keeps the index of texts behind the tables, while there is nothing else to apply, and never far.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::grief::{Part, contained};
use crate::journal::error::{JournalError, Trouble};
use crate::journal::progress::Progress;
use crate::journal::texts::Indexed;

use super::Views;
use super::applier::Batch;

/// What the applier knows of the index.
pub(super) struct Index {
    indexed: Indexed,
    /// The machine has more to do than it can: customers' texts come first.
    is_busy: bool,
    /// It couldn't go on, and isn't tried before then.
    stuck_until: Option<Instant>,
    /// When it last went on.
    went_on: Instant,
}

impl Index {
    /// So many events are taken up at once: some milliseconds, for which the tables wait.
    const AT_ONCE: u32 = 4000;
    /// So much comes first, even if somebody waits for the tables, or the machine has more to do than it can.
    const FAR: u64 = 400_000;
    /// As often in a row where somebody searches.
    const SEARCHED: usize = 5;
    /// Where nothing comes for so long, whatever there is is taken up,
    const QUIET: Duration = Duration::from_millis(5);
    /// but no oftener than this, unless somebody searches: a few texts cost hardly more than one.
    const LEAST_PAUSE: Duration = Duration::from_millis(250);
    /// So long it isn't seen that somebody does.
    const LOOK: Duration = Duration::from_millis(20);
    /// After it failed.
    const PAUSE: Duration = Duration::from_secs(5);

    pub fn of(views: &mut dyn Views, progress: &Progress) -> Self {
        let went_on = Instant::now();
        let indexed = Indexed::default();
        let mut index = Self { indexed, is_busy: false, stuck_until: None, went_on };
        index.look(views, progress);
        index
    }

    /// The next batch; meanwhile the index goes on. Nothing, if there will be none.
    pub fn until_next(
        &mut self,
        inbox: &mpsc::Receiver<Batch>,
        views: &mut dyn Views,
        progress: &Progress,
    ) -> Option<Batch> {
        loop {
            views.is_kept(progress.kept());
            let behind = self.indexed.behind();
            if behind == 0 {
                return inbox.recv().ok();
            }
            let is_going = self.indexed.is_going;
            let has_much = behind >= u64::from(Self::AT_ONCE) || is_going;
            let wait = match self.stuck_until {
                Some(until) => until.saturating_duration_since(Instant::now()).max(Self::QUIET),
                None if has_much => Duration::ZERO,
                None if self.went_on.elapsed() >= Self::LEAST_PAUSE => Self::QUIET,
                None => Self::LOOK,
            };
            match inbox.recv_timeout(wait) {
                Ok(batch) => {
                    let comes_first = batch.is_waited_for() || progress.is_wanted();
                    let is_searched = progress.is_searched();
                    let may_wait = comes_first || (self.is_busy && !is_searched && !is_going);
                    if (has_much || is_searched) && (!may_wait || behind >= Self::FAR) {
                        let slices = if is_searched && !is_going { Self::SEARCHED } else { 1 };
                        for _ in 0..slices {
                            self.go_on(views, progress);
                        }
                    }
                    return Some(batch);
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    let is_due = self.went_on.elapsed() >= Self::LEAST_PAUSE;
                    if is_due || has_much || progress.is_searched() || progress.is_stopping() {
                        self.go_on(views, progress);
                    }
                }
            }
        }
    }

    /// Something was applied; others had more to do than there are processors, as far as a look shows.
    pub fn has_more(&mut self, views: &mut dyn Views, progress: &Progress, is_busy: bool) {
        self.is_busy = is_busy;
        if self.stuck_until.is_none() {
            self.look(views, progress);
        }
    }

    fn look(&mut self, views: &mut dyn Views, progress: &Progress) {
        let looked = views.indexed();
        self.note(looked, progress);
    }

    fn go_on(&mut self, views: &mut dyn Views, progress: &Progress) {
        let is_stuck = self.stuck_until.is_some_and(|until| Instant::now() < until);
        if is_stuck || self.indexed.behind() == 0 {
            return;
        }
        // A panic undoes the transaction as it is dropped.
        let indexed = contained(Part::Views, || views.index(Self::AT_ONCE))
            .unwrap_or_else(|why| Err(JournalError::new(Trouble::Grief, why)));
        self.went_on = Instant::now();
        self.note(indexed, progress);
    }

    fn note(&mut self, indexed: Result<Indexed, JournalError>, progress: &Progress) {
        match indexed {
            Ok(indexed) => {
                self.stuck_until = None;
                self.indexed = indexed;
                progress.index(indexed);
            }
            Err(error) => {
                tracing::error!(%error, "texts can't be indexed, so the newest can't be searched for");
                self.stuck_until = Some(Instant::now() + Self::PAUSE);
            }
        }
    }
}
