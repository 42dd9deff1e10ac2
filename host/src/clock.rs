//! The one place where the host reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use cordboard_core::time::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
