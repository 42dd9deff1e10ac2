//! What couldn't be dealt with just now is tried again, with growing pauses, never dropped and never spun.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use cordboard_core::ids::ConversationId;
use cordboard_core::switchboard::Before;

use super::{Live, Shard};
use crate::actors::conversation::Replace;
use crate::actors::deliver::Deliver;
use crate::journal::JournalError;

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
        if self.directory.journal.is_behind(id) {
            self.directory.journal.hurry();
            self.reload_later(Reload { id, retry, attempts }, Self::VISIBLE_SOON, context);
            return;
        }
        if let Err(error) = self.reload(id) {
            // It keeps its machine, which the journal refuses to follow, until it can be read.
            tracing::error!(%error, %id, "the journal can't be read");
            let attempts = attempts.saturating_add(1);
            self.reload_later(Reload { id, retry, attempts }, backoff(attempts), context);
            return;
        }
        let Some((deliver, setback)) = retry else { return };
        if setback == Setback::Grief && deliver.attempts >= Deliver::MOST_ATTEMPTS {
            tracing::error!(%id, input = ?deliver.input, "given up: it came to grief each time");
            return;
        }
        self.try_again(deliver, context);
    }
}

impl Shard {
    /// Gives a live conversation what the journal has of it.
    fn reload(&mut self, id: ConversationId) -> Result<(), JournalError> {
        let loaded = match (self.read(id)?, self.live.get(&id)) {
            (Some((machine, stored)), Some(_)) => Some(self.loaded(machine, stored)?),
            // Its first event never came to the journal, or nothing is left of it there: it begins anew.
            (None, Some(Live { thread, own, last_agent, .. })) => {
                let keys = self.reader()?.recent_keys(thread, id)?;
                let opted_out = self.reader()?.thread(thread)?.opted_out;
                let last_agent = last_agent.clone();
                self.unopened(id, thread, own, Before { keys, last_agent, opted_out })
            }
            (_, None) => None,
        };
        if let (Some(loaded), Some(live)) = (loaded, self.live.get_mut(&id)) {
            live.send(Replace(loaded));
        }
        Ok(())
    }

    fn reload_later(&self, reload: Reload, wait: Duration, context: &mut Context<Self>) {
        self.put_off.fetch_add(1, Ordering::AcqRel);
        context.run_later(wait, |shard, context| {
            shard.put_off.fetch_sub(1, Ordering::AcqRel);
            Handler::handle(shard, reload, context);
        });
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
