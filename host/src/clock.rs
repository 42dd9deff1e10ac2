//! The one place where the host reads the wall clock. It never goes back: deadlines are times of day, and a
//! clock that was set back by an hour would let every offer stand for an hour longer.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cordboard_core::time::Timestamp;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
/// The farthest that the wall clock has been ahead of the time since the start, in milliseconds.
static AHEAD: AtomicI64 = AtomicI64::new(i64::MIN);

/// Now: by the wall clock, or, where that was set back, as if it hadn't been.
pub fn now() -> Timestamp {
    let since_start = millis(START.elapsed());
    let ahead = wall().saturating_sub(since_start);
    let farthest = AHEAD.fetch_max(ahead, Ordering::Relaxed).max(ahead);
    Timestamp(since_start.saturating_add(farthest))
}

fn wall() -> i64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// By whichever is behind: what is removed for good isn't removed because the clock stood wrong for a moment.
pub fn cautious() -> Timestamp {
    Timestamp(now().0.min(wall()))
}

/// How far the wall clock was ahead of the time since the start, and since when it runs evenly.
static EVEN: LazyLock<Mutex<(i64, Instant)>> = LazyLock::new(|| Mutex::new((ahead(), *START)));

/// How long ago the wall clock was seen to have been set, since it was looked at last; nothing: it has run evenly since
/// the start.
pub fn set_ago() -> Option<Duration> {
    let mut even = EVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let ahead = ahead();
    if (ahead - even.0).abs() > Watch::JUMP {
        even.1 = Instant::now();
    }
    even.0 = ahead;
    (even.1 != *START).then(|| even.1.elapsed())
}

/// Since this program began.
pub fn since_start() -> Duration {
    START.elapsed()
}

fn ahead() -> i64 {
    wall().saturating_sub(millis(START.elapsed()))
}

/// What the clock did between two looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Jump {
    /// By so many milliseconds: time has passed that nobody lived through, or it was set.
    Forward(i64),
    /// It shows so many milliseconds less than it would.
    Back(i64),
}

/// Looks for jumps.
pub struct Watch {
    ahead: i64,
    is_back: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self { ahead: ahead(), is_back: false }
    }
}

impl Watch {
    /// Less than this is how clocks are kept right.
    const JUMP: i64 = 2000;

    /// What happened since the last look.
    pub fn look(&mut self) -> Option<Jump> {
        self.judge(ahead())
    }

    fn judge(&mut self, ahead: i64) -> Option<Jump> {
        let by = ahead.saturating_sub(self.ahead);
        if by > Self::JUMP {
            self.ahead = ahead;
            self.is_back = false;
            return Some(Jump::Forward(by));
        }
        let was_back = std::mem::replace(&mut self.is_back, by < -Self::JUMP);
        self.ahead = self.ahead.max(ahead);
        (self.is_back && !was_back).then_some(Jump::Back(-by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-06
    #[test]
    fn jumps_are_seen_once_and_drift_isnt_one() {
        let mut watch = Watch { ahead: 0, is_back: false };
        assert_eq!([100, 900, 1500, 1400].map(|ahead| watch.judge(ahead)), [None; 4]);
        assert_eq!(watch.judge(3_601_500), Some(Jump::Forward(3_600_000)));
        assert_eq!(watch.judge(3_601_500), None);
        assert_eq!(watch.judge(1500), Some(Jump::Back(3_600_000)));
        assert_eq!([1500, 1600].map(|ahead| watch.judge(ahead)), [None; 2], "said once");
    }

    // OPS-06
    #[test]
    fn it_never_goes_back() {
        let times: Vec<_> = (0..1000).map(|_| now()).collect();
        assert!(times.is_sorted());
    }
}
