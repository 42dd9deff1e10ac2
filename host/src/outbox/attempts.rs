//! Trying until it is known what has become of a row, and that is on disk.

use std::time::Duration;

use cordboard_sdk::{SendError, SendErrorKind};
use rand::Rng;
use tokio::sync::Semaphore;

use super::errand::{Errand, Fate, Taker, Unwanted};
use super::{Behind, FIRST_WAIT};
use crate::actors::{Answer, Directory};
use crate::clock;
use crate::journal::{JournalError, OutboxRow, Record, Repeater};

/// Attempts before it counts as failed: with the waits between them, about 23 minutes.
const MOST_ATTEMPTS: u32 = 13;
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Whoever asks us to wait for longer is asked again then.
const LONGEST_ASKED: Duration = Duration::from_secs(15 * 60);
/// While its taker doesn't work, it is looked at again so often.
const TAKER_MAY_COME_BACK: Duration = Duration::from_secs(5);
/// What goes to somebody who isn't configured waits for so long from the start on, or since they were taken out: an
/// operator may have made a mistake.
const TAKER_MAY_BE_NAMED: Duration = Duration::from_secs(3600);

/// What an attempt means.
enum Verdict {
    Settled {
        fate: Fate,
        /// The customer wants nothing any more, whoever took it says.
        opted_out: bool,
    },
    Again {
        after: Duration,
    },
}

impl From<Fate> for Verdict {
    fn from(fate: Fate) -> Self {
        Self::Settled { fate, opted_out: false }
    }
}

/// Tries until its fate is known and on disk.
pub(super) async fn settle<E: Errand>(
    errand: &E,
    row: &mut OutboxRow,
    behind: &Behind<'_>,
    directory: &Directory,
    limit: &Semaphore,
) {
    loop {
        let at_once = limit.try_acquire();
        let permit = match at_once {
            Ok(permit) => Ok(permit),
            Err(_) => {
                // It doesn't begin yet, whatever was expected: a host that ends meanwhile hasn't tried it.
                unmark_early(row, directory).await;
                limit.acquire().await
            }
        };
        let under_way = directory.sending.begin(&row.target);
        let verdict = attempt(errand, row, directory).await;
        drop(permit);
        match verdict {
            Verdict::Again { after } => {
                drop(under_way);
                tokio::time::sleep(after).await;
            }
            Verdict::Settled { fate, opted_out } => {
                write_down(errand, row, &fate, behind, directory).await;
                drop(under_way);
                if opted_out {
                    errand.opted_out(directory).await;
                }
                return;
            }
        }
    }
}

async fn attempt<E: Errand>(errand: &E, row: &mut OutboxRow, directory: &Directory) -> Verdict {
    let (with, repeats) = match errand.taker(directory) {
        Taker::There { with, repeats } => (with, repeats),
        Taker::Unknown { since, unwanted } if since > TAKER_MAY_BE_NAMED => {
            return ended(row, unwanted);
        }
        taker @ (Taker::Unknown { .. } | Taker::Away) => {
            if let Taker::Unknown { unwanted: Unwanted { code, why }, .. } = taker {
                let waits = "it waits for an hour from then, or from the start, on";
                directory.complaints.say(row, code, waits, Some(&why));
            }
            unmark_early(row, directory).await;
            return Verdict::Again { after: TAKER_MAY_COME_BACK };
        }
    };
    // Who is there now can't know what somebody else has taken.
    let had_it = row.repeatable_by.is_none_or(|by| by == repeats);
    let repeatable = repeats != Repeater::NOBODY && (!row.attempting || had_it);
    if row.attempting && !repeatable {
        return unconfirmed("the host stopped in the midst of it, or it went elsewhere before");
    }
    // One mark is enough for all repetitions of what may be repeated.
    let is_marked = row.is_marked || row.attempting;
    let is_marked = is_marked && row.repeatable_by == Some(repeats);
    if !is_marked && let Err(error) = mark(row, repeats, directory).await {
        tracing::warn!(%error, "the outbox waits for the journal");
        return Verdict::Again { after: FIRST_WAIT };
    }
    match errand.is_unwanted(row, directory).await {
        Ok(None) => {}
        Ok(Some(unwanted)) => return ended(row, unwanted),
        Err(error) => {
            tracing::warn!(%error, "the outbox waits for the journal");
            return Verdict::Again { after: FIRST_WAIT };
        }
    }
    row.attempts += 1;
    (row.is_marked, row.may_be_out) = (false, true);
    let result = errand.attempt(row, &with).await;
    // What a provider says may name the customer; what is ours to mend is said as it is.
    let problem = result.as_ref().err().map(|error| {
        let ours = (error.code == "not_allowed").then(|| error.message.clone());
        (error.code.clone(), ours)
    });
    let verdict = match result {
        Ok(provider_id) => Fate::Done { provider_id }.into(),
        Err(error) => {
            // It may have arrived already, whatever becomes of its repetition.
            row.attempting |= repeatable && error.kind == SendErrorKind::Uncertain;
            judge(&error, row, repeatable)
        }
    };
    let outcome = match &verdict {
        Verdict::Again { .. } => "retried",
        Verdict::Settled { fate: Fate::Failed { .. }, .. } => "undelivered",
        Verdict::Settled { fate: Fate::Unconfirmed, .. } => "unconfirmed",
        Verdict::Settled { fate: Fate::Done { .. }, .. } => "sent",
    };
    errand.count(outcome, directory);
    if let Some((code, ours)) = problem {
        let becomes = match verdict {
            Verdict::Again { .. } => "it is tried again",
            Verdict::Settled { .. } => outcome,
        };
        directory.complaints.say(row, &code, becomes, ours.as_deref());
    }
    if matches!(verdict, Verdict::Again { .. }) && !row.attempting {
        row.may_be_out = false;
        unmark(row, directory).await;
    }
    verdict
}

fn judge(error: &SendError, row: &OutboxRow, repeatable: bool) -> Verdict {
    let failed = || failed(row, error.code.clone(), error.message.clone());
    match error.kind {
        SendErrorKind::Uncertain if !repeatable => unconfirmed(&error.message),
        SendErrorKind::Uncertain | SendErrorKind::Retryable { .. } => {
            if row.attempts >= MOST_ATTEMPTS {
                return failed().into();
            }
            let asked = match error.kind {
                SendErrorKind::Retryable { after_ms } => after_ms.map(Duration::from_millis),
                _ => None,
            };
            // Whoever says "at once" may be wrong, and whoever says "tomorrow".
            let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
            Verdict::Again { after: wait(row.attempts).max(asked) }
        }
        SendErrorKind::Permanent => failed().into(),
        SendErrorKind::OptedOut => Verdict::Settled { fate: failed(), opted_out: true },
    }
}

/// It isn't tried again. An earlier attempt of which nobody knows how it ended may have arrived all the same.
fn failed(row: &OutboxRow, code: String, reason: String) -> Fate {
    match row.attempting {
        true => {
            say_unconfirmed(&reason);
            Fate::Unconfirmed
        }
        false => Fate::Failed { code, reason },
    }
}

/// It isn't wanted any more.
fn ended(row: &OutboxRow, Unwanted { code, why }: Unwanted) -> Verdict {
    failed(row, code.to_owned(), why).into()
}

fn unconfirmed(why: &str) -> Verdict {
    say_unconfirmed(why);
    Fate::Unconfirmed.into()
}

fn say_unconfirmed(why: &str) {
    tracing::warn!(
        why,
        "something may or may not have been sent, and whoever took it can't be asked twice"
    );
}

/// Doubles from one second, with a fifth of jitter either way.
pub(super) fn wait(attempts: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    doubled.min(LONGEST_WAIT).mul_f64(rand::rng().random_range(0.8..1.2))
}

/// Puts on disk that an attempt begins, so that a crash in the middle is known afterwards, and whether it may be repeated.
async fn mark(
    row: &mut OutboxRow,
    repeats: Repeater,
    directory: &Directory,
) -> Result<(), JournalError> {
    let first_attempt_at = row.first_attempt_at.unwrap_or_else(clock::now);
    let repeatable_by = Some(repeats);
    let begins = Record::SendBegins { row: row.id, first_attempt_at, repeatable_by };
    directory.journal.write_now(begins).await?;
    (row.first_attempt_at, row.repeatable_by) = (Some(first_attempt_at), repeatable_by);
    row.is_marked = true;
    Ok(())
}

/// What came marked, or has been marked just now, isn't tried yet.
pub(super) async fn unmark_early(row: &mut OutboxRow, directory: &Directory) {
    // An earlier attempt of which nobody knows the end keeps its mark.
    if std::mem::take(&mut row.is_marked) && !row.attempting {
        unmark(row, directory).await;
    }
}

/// The attempt ended and certainly sent nothing.
async fn unmark(row: &mut OutboxRow, directory: &Directory) {
    match directory.journal.write_now(Record::SendEnds { row: row.id }).await {
        Ok(_) => row.repeatable_by = None,
        Err(error) => tracing::warn!(%error, "the end of an attempt couldn't be written"),
    }
}

/// Tells the conversation, and settles the row in the same transaction.
async fn write_down<E: Errand>(
    errand: &E,
    row: &OutboxRow,
    fate: &Fate,
    behind: &Behind<'_>,
    directory: &Directory,
) {
    loop {
        let next = behind.begins(directory);
        let error = match errand.tell(row, fate, next, directory).await {
            Answer::Unavailable(error) => error,
            // Its workstream isn't configured any more, or it was erased: nobody is there who could hear it, and
            // what is left of it mustn't keep its customer from being erased.
            Answer::NotFound => {
                let given_up = Record::SendGivenUp { row: row.id };
                match directory.journal.write_now(given_up).await {
                    Ok(_) => return,
                    Err(error) => error.to_string(),
                }
            }
            Answer::Done(_) => {
                if let Some(begins) = next {
                    behind.begun(begins);
                }
                return;
            }
            Answer::Duplicate | Answer::Refused(_) => return,
        };
        tracing::warn!(error, "what has become of something waits for the journal");
        tokio::time::sleep(FIRST_WAIT).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_bounds() {
        assert!(wait(1) < Duration::from_millis(1300));
        assert!(wait(4) > Duration::from_secs(6));
        assert!(wait(60) <= LONGEST_WAIT.mul_f64(1.2));
    }
}
