//! A connection whose other end has to take what is sent to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use super::listen::{HEAD, KEPT_ALIVE};
use super::{Arrival, Place, Stage};

/// A connection that is kept back is for those who know what they want, and so is every one where it is crowded.
pub(super) const HURRY: Duration = Duration::from_secs(2);
/// Time to read what came.
const SOON: Duration = Duration::from_secs(1);
/// For what is still on its way when the last answer was given.
const GOODBYE: Duration = Duration::from_secs(1);
/// Somebody who takes less than this within their patience isn't reading.
const LEAST: usize = 16 * 1024;

/// An accepted connection and its place inside.
pub struct Connection {
    io: Io,
    place: Place,
    patience: Duration,
    stalled: Option<Stalled>,
    is_over: Arc<AtomicBool>,
    stage: Arc<AtomicU8>,
    head: Head,
    /// Until then it has to have asked for something, or, where its last answer was given, gone.
    hurry: Option<Pin<Box<Sleep>>>,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The next request's head, whose first bytes may have come with the request before. (The library times the
/// first one of a connection only.)
struct Head {
    /// Until then it has to be there; or, where it is crowded, until soon after this.
    until: Option<(Instant, Instant)>,
    has_begun: bool,
    /// Rings now and again, to look whether it is late: most are there long before.
    look: Option<Pin<Box<Sleep>>>,
    /// It was set for a head before this one.
    is_stale: bool,
}

impl Head {
    /// An answer is being given: the connection may be kept for a while.
    fn may_come(&mut self) {
        let now = Instant::now();
        self.until = Some((now + KEPT_ALIVE + HEAD, now + HURRY));
        self.has_begun = false;
    }

    /// Bytes of it came.
    fn comes(&mut self) {
        if !self.has_begun {
            self.has_begun = true;
            let now = Instant::now();
            self.until = Some((now + HEAD, now + HURRY));
        }
    }

    /// It is there.
    fn is_there(&mut self) {
        (self.until, self.has_begun) = (None, false);
        // It would ring for what is over.
        self.is_stale = true;
    }

    fn is_late(&mut self, is_crowded: impl Fn() -> bool, context: &mut Context<'_>) -> bool {
        let Some((until, hurried)) = self.until else { return false };
        let next = || until.min(Instant::now() + HURRY);
        let look = self.look.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next())));
        if std::mem::take(&mut self.is_stale) {
            look.as_mut().reset(next());
        }
        while look.as_mut().poll(context).is_ready() {
            if let Some(stood) = super::stood_still(look.deadline()) {
                // It may have come while this thread stood still.
                self.until = Some((until + stood, hurried + stood));
                look.as_mut().reset(Instant::now() + SOON);
                return look.as_mut().poll(context).is_ready() && until + stood <= Instant::now();
            }
            let now = Instant::now();
            if until <= now || (hurried <= now && is_crowded()) {
                return true;
            }
            look.as_mut().reset(next());
        }
        false
    }
}

/// Something is left to be written since some time.
struct Stalled {
    until: Pin<Box<Sleep>>,
    taken: usize,
}

impl Connection {
    pub(super) fn plain(io: TcpStream, place: Place) -> Self {
        Self::new(Io::Plain(io), place)
    }

    pub(super) fn tls(io: TlsStream<TcpStream>, place: Place) -> Self {
        Self::new(Io::Tls(Box::new(io)), place)
    }

    fn new(io: Io, place: Place) -> Self {
        let patience = place.door.directory.config().host.limits.screen_patience;
        let hurry = place.is_kept_back.then(|| Box::pin(tokio::time::sleep(HURRY)));
        let (is_over, stage) = (Arc::default(), Arc::default());
        let now = Instant::now();
        let until = Some((now + HEAD, now + HURRY));
        let head = Head { until, has_begun: true, look: None, is_stale: false };
        Self { io, place, patience, stalled: None, is_over, stage, head, hurry }
    }

    pub(super) fn arrival(&self) -> Arrival {
        Arrival {
            is_kept_back: self.place.is_kept_back,
            is_over: self.is_over.clone(),
            stage: self.stage.clone(),
        }
    }

    /// Whether it has to end now, though the other end would go on.
    fn must_end(&mut self, context: &mut Context<'_>) -> bool {
        if self.hurry.is_none() && self.is_over.load(Ordering::Acquire) {
            self.hurry = Some(Box::pin(tokio::time::sleep(GOODBYE)));
        }
        self.hurry.as_mut().is_some_and(|hurry| hurry.as_mut().poll(context).is_ready())
    }

    /// Watches a write: one that has to wait must get on.
    fn watch(
        &mut self,
        written: Poll<io::Result<usize>>,
        offered: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) if count >= offered => self.stalled = None,
            Poll::Ready(Ok(count)) => {
                if let Some(stalled) = &mut self.stalled {
                    stalled.taken += count;
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let patience = self.patience;
                let stalled = self.stalled.get_or_insert_with(|| Stalled {
                    until: Box::pin(tokio::time::sleep(patience)),
                    taken: 0,
                });
                ready!(stalled.until.as_mut().poll(context));
                if stalled.taken < LEAST {
                    self.place.door.directory.metrics.cut_off("not_reading");
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                stalled.taken = 0;
                stalled.until.as_mut().reset(Instant::now() + patience);
                // A timer that was set anew has to be asked once to ring.
                if stalled.until.as_mut().poll(context).is_ready() {
                    context.waker().wake_by_ref();
                }
            }
        }
        written
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.must_end(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let read = match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Io::Tls(io) => Pin::new(io).poll_read(context, buffer),
        };
        if self.stage.load(Ordering::Acquire) != Stage::Asking as u8 {
            self.head.is_there();
            return read;
        }
        let Self { head, place, .. } = &mut *self;
        if buffer.filled().len() > before {
            head.comes();
        } else if head.is_late(|| place.door.is_crowded(), context) {
            place.door.directory.metrics.cut_off("slow_head");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        // What comes behind an answer is the next head.
        if self.stage.load(Ordering::Acquire) == Stage::Served as u8 {
            self.stage.store(Stage::Asking as u8, Ordering::Release);
        }
        self.head.may_come();
        // It has asked for something that it may have.
        if !self.is_over.load(Ordering::Acquire) {
            self.hurry = None;
        }
        let written = match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write(context, buffer),
            Io::Tls(io) => Pin::new(io).poll_write(context, buffer),
        };
        self.watch(written, buffer.len(), context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_flush(context),
            Io::Tls(io) => Pin::new(io).poll_flush(context),
        };
        match flushed {
            // Nothing of ours is left here: that says nothing about what the other end takes.
            Poll::Ready(flushed) => Poll::Ready(flushed),
            Poll::Pending => self.watch(Poll::Pending, 0, context).map_ok(|_| ()),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(context),
            Io::Tls(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}
