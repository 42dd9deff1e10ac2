//! Bytes from a screen, counted before anything collects them: a frame is only looked at once it is
//! whole, and its length is what the sender says.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;

/// What a header of a frame takes, and what may come in one go behind the end of the last frame.
const SLACK: usize = 128 * 1024;

/// Says that a frame has been taken out, so that counting begins anew.
#[derive(Clone, Default)]
pub struct Taken(Rc<Cell<usize>>);

impl Taken {
    /// A whole frame was there.
    pub fn frame(&self) {
        self.0.set(0);
    }
}

/// A socket's bytes, as long as frames come out of them.
pub struct Flow {
    inner: Payload,
    since_frame: Taken,
    most: usize,
}

/// Lets at most `most` bytes of a frame through.
pub fn bounded(inner: Payload, most: usize) -> (Payload, Taken) {
    let since_frame = Taken::default();
    let flow = Flow { inner, since_frame: since_frame.clone(), most: most + SLACK };
    (Payload::Stream { payload: Box::pin(flow) }, since_frame)
}

impl Stream for Flow {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.inner).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            let since = self.since_frame.0.get() + bytes.len();
            self.since_frame.0.set(since);
            if since > self.most {
                let error = io::Error::new(io::ErrorKind::InvalidData, "the frame is too long");
                return Poll::Ready(Some(Err(PayloadError::Io(error))));
            }
        }
        next
    }
}
