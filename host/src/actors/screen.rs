//! The way to a screen: what waits for it is bounded in bytes (OPS-11). A screen that doesn't keep up
//! is given up, and comes back by a snapshot: that is what everything it missed amounts to.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use cordboard_core::notice::Notice;
use tokio::sync::{Notify, mpsc};

/// What screens are sent: written out once, for all of them.
#[derive(Clone, Debug)]
pub struct Frame(Arc<Written>);

#[derive(Debug)]
struct Written {
    text: OnceLock<Box<str>>,
    /// What it says, if it isn't written out yet.
    notice: Option<Notice>,
}

impl Frame {
    /// Bytes as which one counts that isn't written out: what routing has to say is no longer.
    const NOT_WRITTEN: usize = 1024;

    /// Written out where it comes from.
    pub fn now(notice: &Notice) -> Self {
        let text = OnceLock::from(as_text(notice));
        Self(Arc::new(Written { text, notice: None }))
    }

    /// Written out by the first connection that sends it: routing has other things to do.
    pub fn later(notice: Notice) -> Self {
        Self(Arc::new(Written { text: OnceLock::new(), notice: Some(notice) }))
    }

    /// As screens get it.
    pub fn text(&self) -> &str {
        let Written { text, notice } = &*self.0;
        text.get_or_init(|| notice.as_ref().map(as_text).unwrap_or_default())
    }

    fn length(&self) -> usize {
        match self.0.notice {
            Some(_) => Self::NOT_WRITTEN,
            None => self.text().len(),
        }
    }
}

fn as_text(notice: &Notice) -> Box<str> {
    serde_json::to_string(notice).expect("notices become JSON").into()
}

struct Shared {
    waiting: AtomicUsize,
    most: usize,
    is_given_up: AtomicBool,
    given_up: Notify,
}

/// Where frames for a screen go. Cheap to clone.
#[derive(Clone)]
pub struct ScreenSender {
    frames: mpsc::UnboundedSender<Frame>,
    shared: Arc<Shared>,
}

/// Where they come out.
pub struct ScreenReceiver {
    frames: mpsc::UnboundedReceiver<Frame>,
    shared: Arc<Shared>,
}

/// What a screen's connection has to do next.
#[derive(Debug)]
pub enum ForScreen {
    /// Send this.
    Frame(Frame),
    /// More waited than may; what is left isn't worth sending.
    GivenUp,
    /// Nothing will come any more.
    End,
}

/// Both ends; at most so many bytes wait between them.
pub fn screen(most: usize) -> (ScreenSender, ScreenReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        waiting: AtomicUsize::new(0),
        most,
        is_given_up: AtomicBool::new(false),
        given_up: Notify::new(),
    });
    let sender = ScreenSender { frames: sender, shared: shared.clone() };
    (sender, ScreenReceiver { frames: receiver, shared })
}

impl ScreenSender {
    /// Whether nobody takes anything any more.
    pub fn is_closed(&self) -> bool {
        self.frames.is_closed()
    }

    /// Sends a frame; false if the screen is gone or has been given up, now or before.
    pub fn send(&self, frame: Frame) -> bool {
        let shared = &self.shared;
        if shared.is_given_up.load(Ordering::Acquire) {
            return false;
        }
        let length = frame.length();
        let waiting = shared.waiting.fetch_add(length, Ordering::AcqRel);
        // One frame alone always fits: it was made in one piece, and there is no smaller one.
        if waiting > 0 && waiting + length > shared.most {
            shared.is_given_up.store(true, Ordering::Release);
            shared.given_up.notify_one();
            return false;
        }
        self.frames.send(frame).is_ok()
    }
}

impl ScreenReceiver {
    /// What comes next. Safe to be dropped and called anew.
    pub async fn next(&mut self) -> ForScreen {
        if self.shared.is_given_up.load(Ordering::Acquire) {
            return ForScreen::GivenUp;
        }
        tokio::select! {
            biased;
            () = self.shared.given_up.notified() => ForScreen::GivenUp,
            frame = self.frames.recv() => match frame {
                Some(frame) => {
                    self.shared.waiting.fetch_sub(frame.length(), Ordering::AcqRel);
                    ForScreen::Frame(frame)
                }
                None => ForScreen::End,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use cordboard_core::ids::ConversationId;

    use super::*;

    fn of_length(bytes: usize) -> Frame {
        let text = OnceLock::from(Box::from("x".repeat(bytes)));
        Frame(Arc::new(Written { text, notice: None }))
    }

    // OPS-11
    #[tokio::test]
    async fn what_is_written_out_later_counts_before_and_is_the_same() {
        let why = "nobody was there".to_owned();
        let conversation = ConversationId(uuid::Uuid::nil());
        let notice = Notice::NotTaken { conversation, why };
        let (now, later) = (Frame::now(&notice), Frame::later(notice));
        assert!(now.text().contains("nobody was there"));
        assert_eq!(now.text(), later.text());
        let (sender, mut receiver) = screen(2 * Frame::NOT_WRITTEN);
        assert!(sender.send(later.clone()) && sender.send(later.clone()));
        assert!(
            matches!(receiver.next().await, ForScreen::Frame(_)),
            "it makes as much room as it took"
        );
        assert!(sender.send(later.clone()) && !sender.send(later));
    }

    // OPS-11
    #[tokio::test]
    async fn what_waits_for_a_screen_is_bounded_in_bytes() {
        let frame = of_length(40);
        let (sender, mut receiver) = screen(100);
        assert!(sender.send(frame.clone()) && sender.send(frame.clone()));
        assert!(matches!(receiver.next().await, ForScreen::Frame(_)));
        assert!(sender.send(frame.clone()), "what was taken makes room");
        assert!(!sender.send(frame.clone()), "a third one doesn't fit");
        assert!(!sender.send(of_length(1)), "given up is given up");
        assert!(matches!(receiver.next().await, ForScreen::GivenUp));
        assert!(matches!(receiver.next().await, ForScreen::GivenUp));
    }

    // OPS-11
    #[tokio::test]
    async fn one_frame_may_be_larger_and_an_ended_host_ends_the_screen() {
        let (sender, mut receiver) = screen(10);
        assert!(sender.send(of_length(40)));
        drop(sender);
        assert!(matches!(receiver.next().await, ForScreen::Frame(_)));
        assert!(matches!(receiver.next().await, ForScreen::End));
    }
}
