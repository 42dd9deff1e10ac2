//! What couldn't be dealt with just now is tried again, with growing pauses, never dropped and never spun.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use cordboard_core::ids::ConversationId;
use cordboard_core::notice::ThreadKey;
use cordboard_core::switchboard::Before;

use super::reading::{OnDisk, may_be_read};
use super::{Live, Shard};
use crate::actors::conversation::Replace;
use crate::actors::deliver::Deliver;
use crate::journal::{JournalError, Reader};

/// An input that couldn't be dealt with just now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TryAgain(pub Deliver);

impl Handler<TryAgain> for Shard {
    type Result = ();

    fn handle(&mut self, message: TryAgain, context: &mut Self::Context) {
        self.try_again(message.0, context);
    }
}

/// A conversation's machine has gone further than the journal: read it again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reload {
    pub id: ConversationId,
    /// The input that has to be handled once more, and why.
    pub retry: Option<(Deliver, Setback)>,
    /// How often it couldn't be read.
    pub attempts: u8,
}

/// Why an input has to be handled once more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setback {
    /// The journal didn't take it, or couldn't be read: it is tried until it does.
    Journal,
    /// The machine panicked on it. What does so again and again is given up.
    Grief,
}

impl Handler<Reload> for Shard {
    type Result = ();

    fn handle(&mut self, message: Reload, context: &mut Self::Context) {
        let Reload { id, retry, attempts } = message;
        let Some(live) = self.live.get_mut(&id) else {
            self.handle_again(id, retry, context);
            return;
        };
        let is_under_way = std::mem::replace(&mut live.is_read_anew, true);
        live.once_more.extend(retry);
        if !is_under_way {
            self.read_anew(id, attempts, context);
        }
    }
}

impl Shard {
    /// Reads it once nothing is on its way to or from it, and all that it has written can be seen: what is read then is
    /// what it is, as what comes for it waits.
    fn read_anew(&mut self, id: ConversationId, attempts: u8, context: &mut Context<Self>) {
        let Some(live) = self.live.get(&id) else { return };
        let is_behind = self.directory.journal.is_behind(id);
        if is_behind || !live.is_settled() {
            self.directory.journal.hurry();
            self.read_anew_later(id, attempts, Self::VISIBLE_SOON, context);
            return;
        }
        let question = Again { id, thread: live.thread.clone() };
        self.put_off.fetch_add(1, Ordering::AcqRel);
        let (journal, shard) = (self.directory.journal.clone(), context.address());
        actix::spawn(async move {
            let read = journal.look(move |reader| question.ask(reader)).await;
            shard.do_send(HasRead { id, attempts, read });
        });
    }

    fn read_anew_later(
        &self,
        id: ConversationId,
        attempts: u8,
        wait: Duration,
        context: &mut Context<Self>,
    ) {
        self.put_off.fetch_add(1, Ordering::AcqRel);
        context.run_later(wait, move |shard, context| {
            shard.put_off.fetch_sub(1, Ordering::AcqRel);
            shard.read_anew(id, attempts, context);
        });
    }
}

/// What has to be read of a conversation that is read again.
struct Again {
    id: ConversationId,
    thread: ThreadKey,
}

/// What it is then.
enum Read {
    OnDisk(Box<OnDisk>),
    /// Its first event never came to the journal, or nothing is left of it there: it begins anew.
    Begins(Before),
}

impl Again {
    fn ask(&self, reader: &Reader) -> Result<Read, JournalError> {
        may_be_read()?;
        if let Some(found) = OnDisk::read(reader, self.id)? {
            return Ok(Read::OnDisk(Box::new(found)));
        }
        let keys = reader.recent_keys(&self.thread, self.id)?;
        let opted_out = reader.thread(&self.thread)?.opted_out;
        Ok(Read::Begins(Before { keys, opted_out, last_agent: None }))
    }
}

/// A conversation was read again.
#[derive(Message)]
#[rtype(result = "()")]
struct HasRead {
    id: ConversationId,
    attempts: u8,
    read: Result<Read, JournalError>,
}

impl Handler<HasRead> for Shard {
    type Result = ();

    fn handle(&mut self, message: HasRead, context: &mut Self::Context) {
        self.put_off.fetch_sub(1, Ordering::AcqRel);
        let HasRead { id, attempts, read } = message;
        match read {
            Ok(read) => {
                self.replace(id, read);
                let Some(live) = self.live.get_mut(&id) else { return };
                (live.is_read_anew, live.unread) = (false, 0);
                for retry in std::mem::take(&mut live.once_more) {
                    self.handle_again(id, Some(retry), context);
                }
            }
            // It keeps its machine, which the journal refuses to follow, until it can be read.
            Err(_) => {
                let attempts = attempts.saturating_add(1);
                if let Some(live) = self.live.get_mut(&id) {
                    live.unread = attempts;
                }
                self.read_anew_later(id, attempts, backoff(attempts), context);
            }
        }
    }
}

impl Shard {
    /// Gives a live conversation what the journal has of it.
    fn replace(&mut self, id: ConversationId, read: Read) {
        let Some(Live { thread, own, last_agent, .. }) = self.live.get(&id) else { return };
        let loaded = match read {
            Read::OnDisk(found) => Some(self.loaded(*found)),
            Read::Begins(before) => {
                let last_agent = last_agent.clone();
                self.unopened(id, thread, own, Before { last_agent, ..before })
            }
        };
        if let (Some(loaded), Some(live)) = (loaded, self.live.get_mut(&id)) {
            live.send(Replace(loaded));
        }
    }

    fn handle_again(
        &self,
        id: ConversationId,
        retry: Option<(Deliver, Setback)>,
        context: &mut Context<Self>,
    ) {
        let Some((deliver, setback)) = retry else { return };
        if setback == Setback::Grief && deliver.attempts >= Deliver::MOST_ATTEMPTS {
            tracing::error!(%id, input = ?deliver.input, "given up: it came to grief each time");
            return;
        }
        self.try_again(deliver, context);
    }

    /// At once, the first time; then it waits, longer each time. Never dropped, never spun.
    pub(super) fn try_again(&self, mut deliver: Deliver, context: &mut Context<Self>) {
        let wait = backoff(deliver.attempts);
        deliver.attempts = deliver.attempts.saturating_add(1);
        self.put_off.fetch_add(1, Ordering::AcqRel);
        context.run_later(wait, |shard, context| {
            shard.put_off.fetch_sub(1, Ordering::AcqRel);
            Handler::handle(shard, deliver, context);
        });
    }
}

/// Nothing, then 10 ms, doubled each time up to five seconds.
fn backoff(attempts: u8) -> Duration {
    const LONGEST: Duration = Duration::from_secs(5);
    match attempts {
        0 => Duration::ZERO,
        n => Duration::from_millis(5 << n.min(12)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // OPS-09
    #[test]
    fn what_is_tried_again_waits_longer_each_time() {
        let waits: Vec<u128> = (0..14).map(|n| backoff(n).as_millis()).collect();
        assert_eq!(waits[..4], [0, 10, 20, 40]);
        assert!(waits.is_sorted());
        assert_eq!((waits[13], backoff(u8::MAX).as_millis()), (5000, 5000));
    }
}
