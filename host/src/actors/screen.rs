//! The way to a screen: what waits for it is bounded in bytes (OPS-11). A screen that doesn't keep up
//! is given up, and comes back by a snapshot: that is what everything it missed amounts to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};

struct Shared {
    waiting: AtomicUsize,
    most: usize,
    is_given_up: AtomicBool,
    given_up: Notify,
}

/// Where frames for a screen go. Cheap to clone.
#[derive(Clone)]
pub struct ScreenSender {
    frames: mpsc::UnboundedSender<Arc<str>>,
    shared: Arc<Shared>,
}

/// Where they come out.
pub struct ScreenReceiver {
    frames: mpsc::UnboundedReceiver<Arc<str>>,
    shared: Arc<Shared>,
}

/// What a screen's connection has to do next.
#[derive(Debug)]
pub enum ForScreen {
    /// Send this.
    Frame(Arc<str>),
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
    pub fn send(&self, frame: Arc<str>) -> bool {
        let shared = &self.shared;
        if shared.is_given_up.load(Ordering::Acquire) {
            return false;
        }
        let length = frame.len();
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
                    self.shared.waiting.fetch_sub(frame.len(), Ordering::AcqRel);
                    ForScreen::Frame(frame)
                }
                None => ForScreen::End,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-11
    #[tokio::test]
    async fn what_waits_for_a_screen_is_bounded_in_bytes() {
        let frame: Arc<str> = "x".repeat(40).into();
        let (sender, mut receiver) = screen(100);
        assert!(sender.send(frame.clone()) && sender.send(frame.clone()));
        assert!(matches!(receiver.next().await, ForScreen::Frame(_)));
        assert!(sender.send(frame.clone()), "what was taken makes room");
        assert!(!sender.send(frame.clone()), "a third one doesn't fit");
        assert!(!sender.send("y".into()), "given up is given up");
        assert!(matches!(receiver.next().await, ForScreen::GivenUp));
        assert!(matches!(receiver.next().await, ForScreen::GivenUp));
    }

    // OPS-11
    #[tokio::test]
    async fn one_frame_may_be_larger_and_an_ended_host_ends_the_screen() {
        let (sender, mut receiver) = screen(10);
        assert!(sender.send("x".repeat(40).into()));
        drop(sender);
        assert!(matches!(receiver.next().await, ForScreen::Frame(_)));
        assert!(matches!(receiver.next().await, ForScreen::End));
    }
}
