//! The configuration is read again when a file of it changes, on SIGHUP, and when an administrator
//! asks (ROUTE-17). One that is wrong changes nothing; what was in force stays in force.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::ArbiterHandle;
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::actors::{Change, Counter, Directory, HalfWay, reconfigure};
use crate::config::{self, Config, ConfigErrors, Problem};
use crate::http::audit::{self, Noted};
use crate::journal::{JournalError, Reader};
use crate::plugin::Swaps;

/// Editors write a file in several steps: so long nothing more may happen to it.
const SETTLED: Duration = Duration::from_millis(100);
/// But for no longer than this.
const MOST_UNSETTLED: Duration = Duration::from_secs(1);

/// Who has changed it, where nobody says so.
const FILES: &str = "files";

/// Why not, or not all, was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new configuration is wrong.
    #[error("the configuration is wrong; nothing was changed\n{0}")]
    Wrong(ConfigErrors),
    /// The journal can't be opened.
    #[error("the journal can't be read; nothing was changed: {0}")]
    Unreadable(JournalError),
    /// Several wait to do the same.
    #[error("it is being read again already, several times in a row: wait for that")]
    Busy,
    /// The conversations that wait can't be read.
    #[error(
        "the new configuration is in force, but what waits couldn't be read, and follows it with the next change, or when something happens to it: {0}"
    )]
    HalfWay(JournalError),
}

/// Reads the configuration again.
pub struct Reloader {
    directory: Arc<Directory>,
    routing: ArbiterHandle,
    swaps: Arc<Swaps>,
    root: PathBuf,
    data: PathBuf,
    /// What was wrong the last time.
    problems: Mutex<Vec<Problem>>,
    /// One change at a time.
    changing: Mutex<()>,
    /// The last one is in force, but what waits wasn't told.
    unfinished: AtomicBool,
    /// What the host was started with.
    started: Arc<Config>,
    /// What waited for a restart the last time.
    waits: Mutex<Vec<String>>,
    /// How many read it, or wait to.
    waiting: Counter,
}

impl Reloader {
    /// For a host that runs.
    pub fn new(
        directory: Arc<Directory>,
        routing: ArbiterHandle,
        swaps: Arc<Swaps>,
        data: PathBuf,
    ) -> Self {
        let started = directory.config();
        let (root, waits) = (started.root.clone(), Mutex::default());
        let (problems, changing) = (Mutex::default(), Mutex::default());
        let unfinished = AtomicBool::new(false);
        Self {
            directory,
            routing,
            swaps,
            root,
            data,
            problems,
            changing,
            unfinished,
            started,
            waits,
            waiting: Counter::default(),
        }
    }

    /// What was wrong with the configuration the last time it was read; empty: it is in force.
    pub fn problems(&self) -> Vec<Problem> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files and puts what they say in force; the audit log says by whom.
    ///
    /// # Errors
    /// [`ReloadError`] says whether anything was changed.
    pub fn reload(&self, by: &str) -> Result<Change, ReloadError> {
        /// Each waits on a thread for those before it, and reads what they read.
        const MOST_WAITING: usize = 4;
        let _waiting = self.waiting.count_below(MOST_WAITING).ok_or(ReloadError::Busy)?;
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = config::load(&self.root).and_then(|new| {
            // Somebody who asks may have put right what no file shows.
            let tries_again = by != FILES;
            let prepared = self.swaps.prepare(&new, tries_again)?;
            Ok((new, prepared))
        });
        let problems = loaded.as_ref().err().map(|errors| errors.0.clone()).unwrap_or_default();
        let mut known = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let were = std::mem::replace(&mut *known, problems);
        drop(known);
        self.directory.board.changed();
        let (new, prepared) = loaded.map_err(ReloadError::Wrong)?;
        if !were.is_empty() {
            tracing::info!("the configuration is right again");
        }
        let journal = &self.directory.journal;
        journal.wait_until_caught_up().map_err(ReloadError::Unreadable)?;
        let reader = Reader::open(&self.data).map_err(ReloadError::Unreadable)?;
        let unfinished = self.unfinished.swap(true, Ordering::AcqRel);
        let changed = reconfigure(
            &self.directory,
            &self.routing,
            &reader,
            (&self.started, new, prepared),
            unfinished,
        );
        let (change, error) = match changed {
            Ok(change) => (change, None),
            Err(HalfWay { change, error }) => (*change, Some(error)),
        };
        self.unfinished.store(error.is_some(), Ordering::Release);
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = std::mem::replace(&mut *waits, change.after_restart.clone());
        drop(waits);
        let waits_for_more = waited != change.after_restart;
        if waits_for_more && change.after_restart.is_empty() {
            tracing::info!("nothing waits for a restart any more");
        }
        if !change.is_empty() || waits_for_more {
            let details = serde_json::to_string(&change).ok();
            tracing::info!("the configuration has changed: {change}");
            let noted = Noted {
                actor: by,
                action: "config.change",
                subject: "configuration".to_owned(),
                address: None,
                details,
            };
            audit::note(&self.directory.journal, noted);
        }
        for sentence in change.after_restart.iter().filter(|_| waits_for_more) {
            tracing::warn!("takes effect after a restart: {sentence}");
        }
        match error {
            Some(error) => {
                let half_way = ReloadError::HalfWay(error);
                tracing::error!("{half_way}");
                Err(half_way)
            }
            None => Ok(change),
        }
    }

    fn reload_and_log(&self) {
        match self.reload(FILES) {
            // One that is half done has been said.
            Ok(_) | Err(ReloadError::HalfWay(_)) => {}
            Err(error) => tracing::error!("{error}"),
        }
    }
}

/// Watches the configuration's folders, its plugins' libraries and SIGHUP until the host stops. It looks once at the
/// beginning: what was saved while the host started was read before, or nobody has heard of it.
pub fn watch(reloader: Arc<Reloader>) {
    let (sender, mut changed) = mpsc::unbounded_channel();
    let hangups = sender.clone();
    let directory = Arc::downgrade(&reloader.directory);
    let is_library = move |path: &PathBuf| {
        let config = directory.upgrade().map(|directory| directory.config());
        config.is_some_and(|config| config.plugins().any(|plugin| plugin.library == *path))
    };
    let on_event = move |event: notify::Result<notify::Event>| {
        // Files of the configuration, and folders, which have no extension. Where Kubernetes mounts a
        // folder, a link by the name of `..data` changes, and with it all files at once.
        let matters = |path: &PathBuf| match path.extension() {
            _ if path.ends_with("..data") => true,
            Some(end) if end == "so" => is_library(path),
            Some(end) => end == "ron",
            None => !path.is_file(),
        };
        let is_change =
            event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(matters));
        if is_change {
            // The receiver ends with the host.
            let _ = sender.send(());
        }
    };
    let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
        watch_folders(&mut watcher, &reloader)?;
        Ok(watcher)
    });
    let _ = hangups.send(());
    if let Err(error) = &watcher {
        tracing::warn!(%error, "the configuration's folder can't be watched; send SIGHUP after a change");
    }
    actix::spawn(async move {
        let hangup = tokio::signal::unix::SignalKind::hangup();
        if let Ok(mut hangup) = tokio::signal::unix::signal(hangup) {
            while hangup.recv().await.is_some() {
                let _ = hangups.send(());
            }
        }
    });
    actix::spawn(async move {
        // Lives as long as the task: without it nothing is watched.
        let mut watcher = watcher;
        while changed.recv().await.is_some() {
            // Whoever saves without end doesn't keep the others' changes out.
            let until = tokio::time::Instant::now() + MOST_UNSETTLED;
            while tokio::time::Instant::now() < until
                && tokio::time::timeout(SETTLED, changed.recv()).await.is_ok_and(|m| m.is_some())
            {
            }
            if let Ok(watcher) = &mut watcher
                && let Err(error) = watch_folders(watcher, &reloader)
            {
                tracing::warn!(%error, "a new folder of the configuration can't be watched");
            }
            let reloader = reloader.clone();
            // Reading files and the journal isn't for this thread.
            let _ = tokio::task::spawn_blocking(move || reloader.reload_and_log()).await;
        }
    });
}

/// Each folder by itself, so that the journal may lie among them: it is written to all the time, and
/// each write would be told here. And those of libraries.
fn watch_folders(watcher: &mut impl Watcher, reloader: &Reloader) -> notify::Result<()> {
    let config = reloader.directory.config();
    let libraries = config.plugins().filter_map(|plugin| plugin.library.parent());
    let libraries: BTreeSet<&Path> = libraries.filter(|folder| folder.is_dir()).collect();
    let folders = config::folders(&reloader.root)?;
    for folder in folders.iter().map(PathBuf::as_path).chain(libraries) {
        if folder != reloader.data {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
    }
    Ok(())
}
