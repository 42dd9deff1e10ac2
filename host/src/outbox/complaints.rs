//! What goes wrong with what is to be done outside is said, but not by the thousand.

use std::time::{Duration, Instant};

use dashmap::DashMap;

use crate::journal::OutboxRow;

/// Once a minute by target and code.
#[derive(Default)]
pub struct Complaints(DashMap<(String, String), Complaint>);

struct Complaint {
    said_at: Instant,
    unsaid: u64,
}

impl Complaints {
    const ONCE_IN: Duration = Duration::from_secs(60);
    /// Codes are providers'.
    const MOST: usize = 1000;

    /// Says it, with how often that was the case since it was said last. `why`: nothing that names a customer.
    pub(super) fn say(&self, row: &OutboxRow, code: &str, becomes: &str, why: Option<&str>) {
        let key = (row.target.to_string(), code.to_owned());
        let mut unsaid = 0;
        if let Some(mut known) = self.0.get_mut(&key) {
            if known.said_at.elapsed() < Self::ONCE_IN {
                known.unsaid += 1;
                return;
            }
            unsaid = std::mem::take(&mut known.unsaid);
            known.said_at = Instant::now();
        } else {
            if self.0.len() >= Self::MOST {
                self.0.clear();
            }
            self.0.insert(key, Complaint { said_at: Instant::now(), unsaid: 0 });
        }
        let (target, reference, kind) = (row.target.as_str(), row.reference.as_str(), &row.kind);
        let why = why.unwrap_or_default();
        tracing::warn!(
            target,
            reference,
            code,
            unsaid,
            why,
            "a {kind} couldn't be sent: {becomes}"
        );
    }
}
