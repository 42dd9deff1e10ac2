//! Faults that are contained (OPS-09): a panic costs the part in which it happens, and that part is made
//! anew from the journal. What can't be made anew stops the host, with a clear word.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::watch;

/// The kinds of parts that can come to grief.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// A queue's machine.
    Queue,
    /// An agent's machine.
    Agent,
    /// A conversation's machine.
    Conversation,
    /// A shard, which looks after conversations.
    Shard,
    /// Sending a reply.
    Outbox,
    /// A write of the journal.
    Journal,
    /// Making what was written visible.
    Views,
    /// A task that runs as long as the host.
    Task,
}

impl Part {
    /// As metrics and log name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Agent => "agent",
            Self::Conversation => "conversation",
            Self::Shard => "shard",
            Self::Outbox => "outbox",
            Self::Journal => "journal",
            Self::Views => "views",
            Self::Task => "task",
        }
    }
}

/// Carries something out that may panic; what it had begun is lost. The caller makes anew what it was
/// done to: that is what makes the assertion true.
///
/// # Errors
/// What the panic said.
pub fn contained<T>(part: Part, work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(|| {
        provoked(part);
        work()
    }))
    .map_err(words)
}

/// The same for a future.
///
/// # Errors
/// What the panic said.
pub async fn contained_future<T>(part: Part, work: impl Future<Output = T>) -> Result<T, String> {
    let work = async {
        provoked(part);
        work.await
    };
    AssertUnwindSafe(work).catch_unwind().await.map_err(words)
}

fn words(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

/// An input as a log may show it: what people wrote, and their addresses, aren't for logs. Names of our own are.
pub fn without_words(input: &str) -> String {
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let (mut shown, mut rest) = (String::new(), input);
    while let Some(start) = rest.find('"') {
        shown.push_str(&rest[..start]);
        let said = &rest[start + 1..];
        let mut is_escaped = false;
        let end = said.find(|c| {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        let (said, behind) = end.map_or((said, ""), |end| (&said[..end], &said[end + 1..]));
        let is_text =
            ["text: ", "summary: ", "summary: Some("].iter().any(|it| shown.ends_with(it));
        let is_name = said.chars().all(is_of_a_name) && said.contains(|c: char| c.is_alphabetic());
        match is_name && !is_text {
            true => shown.push_str(&format!("\"{said}\"")),
            false => shown.push_str(&format!("({} characters)", said.chars().count())),
        }
        rest = behind;
    }
    shown + rest
}

/// Who may stop the host, and why it had to be stopped.
pub struct Grief {
    fatal: watch::Sender<Option<String>>,
    recent: Mutex<VecDeque<Instant>>,
}

impl Default for Grief {
    fn default() -> Self {
        Self { fatal: watch::Sender::new(None), recent: Mutex::default() }
    }
}

impl Grief {
    /// A part that is made anew so often within [`Grief::WITHIN`] isn't mended by it.
    const MOST: usize = 20;
    const WITHIN: Duration = Duration::from_secs(60);

    /// The host can't go on.
    pub fn stop(&self, why: String) {
        self.fatal.send_if_modified(|fatal| {
            let is_first = fatal.is_none();
            if is_first {
                tracing::error!(why, "the host can't go on and stops");
                *fatal = Some(why);
            }
            is_first
        });
    }

    /// Routing is about to be made anew; too often is the end.
    pub fn happened(&self, why: &str) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        recent.push_back(now);
        while recent.front().is_some_and(|at| now.duration_since(*at) > Self::WITHIN) {
            recent.pop_front();
        }
        if recent.len() > Self::MOST {
            let seconds = Self::WITHIN.as_secs();
            self.stop(format!(
                "routing came to grief {} times within {seconds} s; what was acknowledged is on disk, start it again; the last time: {why}",
                recent.len()
            ));
        }
    }

    /// Why the host can't go on, as soon as it can't.
    pub async fn fatal(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        loop {
            if let Some(why) = fatal.borrow_and_update().clone() {
                return why;
            }
            if fatal.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Tests make parts come to grief: `CORDBOARD_PANIC=queue=300,agent=500` lets every so many-th input of such
/// a part panic, `read=20` every so many-th read of a shard fail. A release build knows nothing of it.
fn provoked(part: Part) {
    if provoked_error(part.as_str()) {
        panic!("provoked by CORDBOARD_PANIC");
    }
}

/// Whether a test wants this to fail now.
#[cfg(not(debug_assertions))]
pub fn provoked_error(_: &str) -> bool {
    false
}

/// Whether a test wants this to fail now.
#[cfg(debug_assertions)]
pub fn provoked_error(what: &str) -> bool {
    use std::collections::HashMap;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static EVERY: LazyLock<HashMap<String, (u64, AtomicU64)>> = LazyLock::new(|| {
        let wanted = std::env::var("CORDBOARD_PANIC").unwrap_or_default();
        let parts = wanted.split(',').filter_map(|part| part.split_once('='));
        let read = |(part, every): (&str, &str)| {
            Some((part.to_owned(), (every.parse().ok()?, AtomicU64::new(0))))
        };
        parts.filter_map(read).collect()
    });
    EVERY.get(what).is_some_and(|(every, count)| {
        (count.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(*every)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-09 SEC-04
    #[test]
    fn a_log_shows_an_input_without_what_people_wrote() {
        let input =
            r#"Customer { from: "+14255550100", text: "my \"pin\" is 1234", queue: "support" }"#;
        let shown =
            r#"Customer { from: (12 characters), text: (18 characters), queue: "support" }"#;
        assert_eq!(without_words(input), shown);
        assert_eq!(without_words(r#"text: "mango""#), "text: (5 characters)");
        assert_eq!(without_words("no words"), "no words");
        assert_eq!(without_words(r#"cut: "in the mid"#), "cut: (10 characters)");
        assert_eq!(without_words(r#"Address("42550100")"#), "Address((8 characters))");
    }

    // OPS-09
    #[tokio::test]
    async fn a_panic_is_an_error_with_its_words() {
        assert_eq!(contained(Part::Task, || 1), Ok(1));
        let lost: Result<(), String> = contained(Part::Task, || panic!("no {}", 7));
        assert_eq!(lost, Err("no 7".to_owned()));
        let lost = contained_future(Part::Task, async { panic!("later") }).await;
        assert_eq!(lost.unwrap_err(), "later");
    }

    // OPS-09
    #[tokio::test]
    async fn too_often_is_the_end() {
        let grief = Grief::default();
        for _ in 0..Grief::MOST {
            grief.happened("seldom enough");
        }
        let waiting = tokio::time::timeout(Duration::from_millis(10), grief.fatal());
        assert!(waiting.await.is_err());
        grief.happened("the last straw");
        assert!(grief.fatal().await.ends_with("the last straw"));
    }
}
