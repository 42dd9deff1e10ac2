//! Whether somebody may have opted out since a reply was written, without a look at the disk.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::journal::OutboxRow;

/// Customers who have opted out in this run of the host. They are few: a reply that was written before the newest of them
/// asks the tables whether it was its own.
#[derive(Default)]
pub struct OptOuts(AtomicU64);

impl OptOuts {
    /// One is on disk. It is counted before whoever sent it is answered.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether nobody has since a row was written: whoever wanted it then wants it still.
    pub(super) fn none_since(&self, row: &OutboxRow) -> bool {
        row.opt_outs == Some(self.so_far())
    }

    /// So far.
    pub fn so_far(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}
