//! What is looked at as long as the host runs: the clock, the journal's files, what needn't be kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cordboard_core::switchboard::Recovery;
use cordboard_core::time::{Span, Timestamp};

use crate::actors::Directory;
use crate::clock::{self, Jump};
use crate::journal::{self, Files, Harm, Reader, Sight};

/// A clock that jumps is said. Where it jumps forward, what has become due meanwhile is done now.
pub async fn clock(directory: Arc<Directory>) {
    const LOOK_EVERY: Duration = Duration::from_secs(1);
    let mut watch = clock::Watch::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match watch.look() {
            None => {}
            Some(Jump::Forward(ms)) => {
                tracing::warn!(
                    ms,
                    "the machine's clock was set forward; what is due by it is done now"
                );
                directory.wake_everybody();
            }
            Some(Jump::Back(ms)) => tracing::warn!(
                ms,
                "the machine's clock was set back; until the next start the host goes on by its own, which is ahead by that"
            ),
        }
    }
}

/// A journal whose thread has ended takes nothing any more; one whose file was deleted or replaced takes
/// what nobody will ever read again.
pub async fn journal(directory: Arc<Directory>, spare: Reader, mut files: Files) {
    /// One that was cut has its length back soon, and its head with the next checkpoint.
    const LOOK_EVERY: Duration = Duration::from_millis(50);
    /// Descriptors run short for a moment; what lasts longer somebody has to know of.
    const BLINK: Duration = Duration::from_secs(1);
    let mut seen_at = Instant::now();
    let data = directory.config().host.data.clone();
    loop {
        if directory.journal.health().has_ended() {
            if !directory.is_stopping() {
                directory.grief.stop("the journal's writer has ended".to_owned());
            }
            break;
        }
        let looked = files.look();
        match &looked {
            Ok(Sight::Blind(why)) if seen_at.elapsed() > BLINK => {
                directory.journal.health().set_blind(Some(why));
            }
            Ok(Sight::Blind(_)) => {}
            Ok(Sight::Clear) | Err(_) => {
                seen_at = Instant::now();
                directory.journal.health().set_blind(None);
            }
        }
        if looked.is_ok()
            && let Some(why) = directory.journal.is_hopeless()
            && !directory.is_stopping()
        {
            directory.grief.stop(why);
            break;
        }
        if let Err(harm) = looked
            && !directory.is_stopping()
        {
            let Harm { what, log_has_it } = harm;
            let what = format!("the journal's {what} while the host ran");
            tracing::error!("{what}: nothing is taken any more");
            // Whoever has it open may still have all of it.
            let helps = match directory.journal.rescue(spare, &what, log_has_it).await {
                Ok(None) => {
                    "what stood there is in the log, too: the next start takes it from there"
                        .to_owned()
                }
                Ok(Some(rescued)) => format!(
                    "all that was acknowledged was written to {}: put that in the place of {} before the next start",
                    rescued.display(),
                    data.join(journal::FILE).display()
                ),
                Err(error) => format!(
                    "it couldn't be written anew ({error}): before the next start, {}",
                    journal::RECOVER
                ),
            };
            directory.grief.stop(format!("{what}; {helps}"));
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    // The host is told to stop; this has nothing left to do.
    std::future::pending().await
}

/// The record of routing goes by whole runs: old ones are removed, and one that has become long is ended.
pub async fn routing_log(directory: Arc<Directory>) {
    /// A run is at most so long, or as long as one is kept if that is less.
    const A_DAY: Span = Span::seconds(24 * 3600);
    const LEAST: Span = Span::seconds(1);
    const LOOK_EVERY: Span = Span::seconds(3600);
    loop {
        let host = directory.config().host.clone();
        let keep = host.keep_routing_log;
        let before = Timestamp(clock::cautious().0 - keep.0);
        match journal::trim_routing_log(&directory.journal, before).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "the routing logs of old runs were removed"),
            Err(error) => tracing::warn!(%error, "old routing logs couldn't be removed"),
        }
        let pause = keep.clamp(LEAST, LOOK_EVERY);
        tokio::time::sleep(Duration::from_millis(pause.0.unsigned_abs())).await;
        let is_long = |since: Timestamp| clock::now() >= since + keep.clamp(LEAST, A_DAY);
        if directory.recorder.run_since().is_some_and(is_long) {
            directory.begin_record_anew();
        }
    }
}

/// A sign of life for the next start (PRES-04): until when it was due again, so that nobody's grace is
/// shortened by a crash in between. A short grace is known more exactly than a long one.
///
/// `last` is the last run's. Where that lies ahead, the clock was set back, and conversations are being woken to
/// that: a host that dies meanwhile has to find it still.
pub async fn keep_alive(directory: Arc<Directory>, last: Option<Timestamp>) {
    const LEAST: i64 = 200;
    const MOST: i64 = Recovery::ALIVE_AHEAD.0;
    const WAKING: Duration = Duration::from_secs(30);
    if last.is_some_and(|last| last.0 > clock::now().0 + MOST) {
        tokio::time::sleep(WAKING).await;
    }
    loop {
        let graces = directory.config().agents.iter().map(|agent| agent.settings.grace.0).min();
        let every = (graces.unwrap_or(MOST) / 10).clamp(LEAST, MOST);
        journal::note_alive(&directory.journal, Timestamp(clock::now().0 + every));
        tokio::time::sleep(Duration::from_millis(every.unsigned_abs())).await;
    }
}
