//! The way to the journal, and its threads.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cordboard_core::ids::ConversationId;
use tokio::sync::Semaphore;

use crate::clock;
use crate::grief::{Part, contained};

use super::append::{Append, AppendError};
use super::entry::Position;
use super::error::{Failed, JournalError, Trouble};
use super::first_look::FirstLook;
use super::guard::{Files, OwnCuts};
use super::health::JournalHealth;
use super::log::Log;
use super::looks::Looks;
use super::outbox::OutboxRow;
use super::progress::Progress;
use super::reader::Reader;
use super::record::{Record, Records};
use super::recovery::{self, Noting};
use super::start::{must_list_what_is_free, open_log, put_torn_wal_aside};
use super::texts::Indexed;
use super::tidy::{Tidier, Tidying};
use super::versions::Versions;
use super::views::{self, SqliteViews, Views, Written};
use super::writer::{Answers, Homes, Write, Writer};
use super::{folder, schema, slack, tidy, verify};

/// The way to the journal. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    data: Arc<PathBuf>,
    queue: mpsc::Sender<Write>,
    health: Arc<JournalHealth>,
    progress: Arc<Progress>,
    homes: Homes,
    threads: Arc<Mutex<Option<Threads>>>,
    /// Places for reads, and readers that nobody uses just now.
    reads: Arc<Semaphore>,
    looks: Looks,
    idle: Arc<Mutex<Vec<Reader>>>,
    own_cuts: Arc<OwnCuts>,
    noting: Arc<Mutex<Noting>>,
}

/// Reads at a time: each has a connection with a cache of its own.
const MOST_READS: usize = 32;

struct Threads {
    writer: JoinHandle<()>,
    applier: JoinHandle<()>,
    tidier: Tidying,
    look: FirstLook,
}

/// Whoever has to see what was committed waits for so long; it takes milliseconds.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

impl Journal {
    /// Opens the journal of a data folder, applies what the views haven't got yet, and starts its threads.
    ///
    /// # Errors
    /// [`JournalError`] says what is wrong with the files.
    pub fn open(data: &Path) -> Result<Self, JournalError> {
        folder::arent_links(data)?;
        folder::remove_partial(data);
        put_torn_wal_aside(data)?;
        must_list_what_is_free(data)?;
        // An older one that can't be gone on with stays one that the older host can.
        if schema::is_older(data)? {
            verify::would_start(data)?;
        }
        let mut views = SqliteViews::open(data)?;
        let log = open_log(data, &mut views)?;
        folder::mark(data);
        // An administrator's command makes no files that the host can't write to.
        folder::own_files(data)
            .for_each(|file| recovery::belongs_to_the_folders_owner(data, &file));
        let at = views.position()?;
        let noting = Arc::new(Mutex::new(Noting::new(data, views.lineage()?, at)));
        let tidier = Tidier::open(data, noting.clone())?;
        Self::start(data, Box::new(views), Box::new(log), at, tidier, noting)
    }

    /// A host goes on from here.
    pub fn goes_on(&self) {
        self.noting.lock().unwrap_or_else(PoisonError::into_inner).goes_on();
    }

    fn start(
        data: &Path,
        views: Box<dyn Views>,
        log: Box<dyn Log>,
        at: Position,
        tidier: Tidier,
        noting: Arc<Mutex<Noting>>,
    ) -> Result<Self, JournalError> {
        let (queue, inbox) = mpsc::channel();
        let (applier, batches) = mpsc::sync_channel(Writer::MOST_BEHIND);
        let health = Arc::new(JournalHealth::default());
        let progress = Arc::new(Progress::new(at));
        let homes = Homes::default();
        let writer = Writer {
            log,
            inbox,
            applier,
            progress: progress.clone(),
            health: health.clone(),
            homes: homes.clone(),
            versions: Versions::default(),
            reader: Reader::open_small(data)?,
            newest_row: views.newest_outbox_row()?,
        };
        let writer = thread("journal", health.clone(), move || writer.run());
        let (shared, seen) = (progress.clone(), health.clone());
        let applier = thread("views", health.clone(), move || {
            views::run(views, &batches, &shared, &seen);
        });
        let tidier = tidier.start(progress.clone(), queue.clone());
        let look = FirstLook::start(data, health.clone())?;
        let threads = Threads { writer, applier, tidier, look };
        Ok(Self {
            data: Arc::new(data.to_owned()),
            queue,
            health,
            progress,
            homes,
            threads: Arc::new(Mutex::new(Some(threads))),
            reads: Arc::new(Semaphore::new(MOST_READS)),
            looks: Looks::start(data)?,
            idle: Arc::default(),
            own_cuts: Arc::default(),
            noting,
        })
    }

    /// Says how the appends of a home learn what became of them. Without it they do on the
    /// writer's own thread.
    pub fn set_home(&self, home: usize, take: impl Fn(Answers) + Send + Sync + 'static) {
        let mut homes = self.homes.write().unwrap_or_else(PoisonError::into_inner);
        homes.insert(home, Box::new(take));
    }

    /// Writes a step. `committed` is called at the append's home once it is on disk, or once it is
    /// clear that it won't be. It gets the outbox rows that were added.
    pub fn append(
        &self,
        append: Append,
        committed: impl FnOnce(Result<Vec<OutboxRow>, AppendError>) + Send + 'static,
    ) {
        let write = Write::Append(Box::new(append), Box::new(committed));
        self.health.given();
        if let Err(mpsc::SendError(Write::Append(_, committed))) = self.queue.send(write) {
            self.health.taken(1);
            committed(Err(AppendError::Unavailable("the host is stopping".to_owned())));
        }
    }

    /// Writes a record with what is written next. `done` is called once it is on disk; where it says what
    /// it has found, or changes what the next request looks at, once it can be seen.
    pub fn write(&self, record: Record, done: impl FnOnce(Written) + Send + 'static) {
        let write = Write::Record(record, Box::new(done));
        self.health.given();
        if let Err(mpsc::SendError(Write::Record(_, done))) = self.queue.send(write) {
            self.health.taken(1);
            done(Err(JournalError::new(Trouble::Other, "the host is stopping")));
        }
    }

    /// The same, waited for.
    ///
    /// # Errors
    /// [`JournalError`]: nothing was written.
    pub async fn write_now(&self, record: Record) -> Written {
        let (done, result) = tokio::sync::oneshot::channel();
        self.write(record, move |outcome| {
            // Whoever asked may have gone away; the write stands.
            let _ = done.send(outcome);
        });
        result.await.unwrap_or_else(|_| Err(JournalError::ended()))
    }

    /// Returns once everything that was given before is written, and can be seen.
    pub async fn all_written(&self) {
        // Whatever came of it, it has been dealt with.
        let _ = self.write_now(Record::Barrier).await;
    }

    /// Returns once everything that is committed now can be seen.
    ///
    /// # Errors
    /// [`JournalError`] says why it can't.
    pub async fn caught_up(&self) -> Result<(), JournalError> {
        let committed = self.progress.committed();
        if self.shows(committed) {
            return Ok(());
        }
        // In time or not: what counts is whether it is.
        let _ = tokio::time::timeout(SEEN_WITHIN, self.progress.reached(committed)).await;
        if self.shows(committed) { Ok(()) } else { Err(self.not_seen()) }
    }

    /// The same, for threads that may wait.
    ///
    /// # Errors
    /// [`JournalError`] says why it can't.
    pub fn wait_until_caught_up(&self) -> Result<(), JournalError> {
        const PAUSE: Duration = Duration::from_millis(1);
        let (committed, until) = (self.progress.committed(), Instant::now() + SEEN_WITHIN);
        self.progress.want(committed);
        while !self.shows(committed) {
            if Instant::now() > until || self.progress.is_hopeless() {
                return Err(self.not_seen());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Returns once everything that was written by now can be found by its words.
    ///
    /// # Errors
    /// [`JournalError`] says how far the index is, if that takes long: it is made anew behind a restored backup.
    pub async fn texts_indexed(&self) -> Result<(), JournalError> {
        self.caught_up().await?;
        let indexed = tokio::time::timeout(SEEN_WITHIN, self.progress.all_indexed()).await;
        indexed.map_err(|_| {
            let Indexed { up_to, newest, .. } = self.progress.indexed();
            let text = format!(
                "texts are being indexed, {up_to} of {newest} events so far: try again, or look for something else than text"
            );
            JournalError::new(Trouble::Held, text)
        })
    }

    /// How many events the index of texts lacks.
    pub fn unindexed(&self) -> u64 {
        self.progress.indexed().behind()
    }

    fn not_seen(&self) -> JournalError {
        let much = || "what is committed can't be seen yet: there is too much of it".to_owned();
        if let Some(why) = self.is_hopeless() {
            return JournalError::new(Trouble::Other, why);
        }
        JournalError::new(Trouble::Held, self.health.problem().unwrap_or_else(much))
    }

    /// Why nothing is committed any more, as what is can't be made visible and never will be.
    pub fn is_hopeless(&self) -> Option<String> {
        let why = self.progress.halted().filter(|_| self.progress.is_hopeless());
        why.map(str::to_owned)
    }

    /// How far it is committed.
    pub fn committed(&self) -> Position {
        self.progress.committed()
    }

    /// Whether everything up to a position can be seen.
    pub fn shows(&self, position: Position) -> bool {
        self.progress.applied() >= position
    }

    /// Whether something of a conversation can't be seen yet.
    pub fn is_behind(&self, id: ConversationId) -> bool {
        self.progress.behind(id).is_some()
    }

    /// Changes whenever sessions, tokens, links or accounts do, before whoever changes them is answered: what was read of
    /// them while it was the same holds.
    pub fn access_edition(&self) -> u64 {
        self.progress.access_edition()
    }

    /// Somebody waits for all that is committed: it is made visible at once.
    pub fn hurry(&self) {
        self.progress.want(self.progress.committed());
    }

    /// Reads, on a thread that may wait for the disk: whatever was committed before can be seen.
    ///
    /// # Errors
    /// [`JournalError`], or whatever the read says.
    pub async fn read<T, E>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failed + Send + 'static,
    {
        self.caught_up().await?;
        let place = self.reads.clone().acquire_owned().await.map_err(|_| JournalError::ended())?;
        let (data, idle) = (self.data.clone(), self.idle.clone());
        let reading = tokio::task::spawn_blocking(move || {
            // Until it is done, whoever asked may have gone.
            let _place = place;
            let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let reader = match known {
                Some(reader) => reader,
                None => Reader::open_small(&data)?,
            };
            let found = read(&reader);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            found
        });
        let found = reading.await.unwrap_or_else(|_| {
            let text = "the read came to grief; the log says more";
            Err(JournalError::new(Trouble::Grief, text).into())
        });
        found.inspect_err(|error| self.note_failed(error))
    }

    fn note_failed(&self, error: &impl Failed) {
        // What was written meanwhile is another matter.
        if let Some(error) = error.of_the_journal().filter(|error| error.is_of_the_disk()) {
            self.health.read_failed(error);
        }
    }

    /// The same for little that is asked for often, as the tables are now: where what counts was seen in them before
    /// anybody was told that it is done (sessions and tokens), or whoever asks has made sure of it.
    ///
    /// # Errors
    /// [`JournalError`], or whatever the read says.
    pub async fn look<T, E>(
        &self,
        look: impl FnOnce(&Reader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failed + Send + 'static,
    {
        self.looks.look(look).await.inspect_err(|error| self.note_failed(error))
    }

    /// Takes nothing more, as its files aren't what they were, and writes all that was acknowledged to a new
    /// one, where it is told; what is left of the old ones, which would spoil it, is put aside. Where the log has
    /// all that is lost, only that is put aside, and there is no new file.
    ///
    /// # Errors
    /// [`JournalError`] says why it couldn't be written.
    pub async fn rescue(
        &self,
        spare: Reader,
        why: &str,
        log_has_it: bool,
    ) -> Result<Option<PathBuf>, JournalError> {
        self.progress.halt(why);
        if log_has_it {
            folder::put_beside_aside(&self.data, clock::now().0)?;
            return Ok(None);
        }
        // Behind what is being committed just now; it is refused itself.
        let _ = self.write_now(Record::Barrier).await;
        self.caught_up().await?;
        let (data, now) = (self.data.clone(), clock::now().0);
        let rescued = tokio::task::spawn_blocking(move || {
            let wrong = |error: std::io::Error| {
                JournalError::new(Trouble::NotWritable, format!("{}: {error}", data.display()))
            };
            // It may be gone with everything in it.
            std::fs::create_dir_all(data.as_path()).map_err(wrong)?;
            let rescued = folder::rescued(&data, now);
            let partial = data.join(format!("rescue-{now}.partial"));
            // It has its name once it is whole.
            let copied = spare
                .copy_to(&partial)
                .and_then(|()| std::fs::rename(&partial, &rescued).map_err(wrong));
            if let Err(error) = copied {
                let _ = std::fs::remove_file(&partial);
                return Err(error);
            }
            folder::put_aside(&data, now)?;
            Ok(Some(rescued))
        });
        rescued.await.unwrap_or_else(|_| Err(JournalError::ended()))
    }

    /// Of what was removed up to now, no copy is left where the journal lies: neither in its log nor beside its
    /// files (SEC-04). What was copied elsewhere before, a backup, is no business of the journal's.
    ///
    /// # Errors
    /// [`JournalError`]: it is removed, but somebody reads and holds an older state; try again.
    pub async fn scrub(&self) -> Result<(), JournalError> {
        const WITHIN: Duration = Duration::from_secs(3);
        const PAUSE: Duration = Duration::from_millis(50);
        self.caught_up().await?;
        let removed = self.progress.committed();
        // The newest batch stays: it is to be another.
        self.write_now(Record::Barrier).await?;
        let until = Instant::now() + WITHIN;
        loop {
            let scrubbed = self.scrub_once(removed).await;
            match scrubbed {
                Err(error) if error.trouble == Trouble::Held && Instant::now() < until => {
                    tokio::time::sleep(PAUSE).await;
                }
                found => return found,
            }
        }
    }

    async fn scrub_once(&self, removed: Position) -> Result<(), JournalError> {
        let own = self.clone();
        let scrubbed = tokio::task::spawn_blocking(move || {
            let _cutting = own.own_cuts.begin();
            let applied = own.progress.applied();
            // The views have it for good, or the log couldn't let it go.
            let tables = own.data.join(schema::FILE);
            tidy::write_back(&tables)?;
            own.progress.keep(applied);
            if slack::overwrite(&tables)? {
                tidy::write_back(&tables)?;
            }
            let (done, scrubbed) = mpsc::channel();
            own.queue.send(Write::Scrub(removed, done)).map_err(|_| JournalError::ended())?;
            scrubbed.recv().unwrap_or_else(|_| Err(JournalError::ended()))
        });
        scrubbed.await.unwrap_or_else(|_| Err(JournalError::ended()))
    }

    /// The files that it is in, as they are now.
    pub fn files(&self) -> Files {
        Files::of(&self.data, self.own_cuts.clone(), self.progress.clone())
    }

    /// What a start has written is in memory, and nobody reads it.
    pub fn forget_cache(&self) {
        // It is an advice, and a writer that has ended has forgotten everything.
        let _ = self.queue.send(Write::ForgetCache);
    }

    /// How it is.
    pub fn health(&self) -> &JournalHealth {
        &self.health
    }

    /// Commits what has been given so far, makes it visible, and ends the threads.
    pub fn stop(&self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(threads) = threads else { return };
        threads.look.stop();
        threads.tidier.stop();
        // A writer that has ended already has nothing left to commit.
        let _ = self.queue.send(Write::Stop);
        let _ = threads.writer.join();
        let mut noting = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        noting.reached(self.progress.committed());
        self.progress.stop();
        let _ = threads.applier.join();
    }
}

impl Records for Journal {
    async fn write_now(&self, record: Record) -> Written {
        Self::write_now(self, record).await
    }
}

/// Starts one of the journal's threads; its end, however it ends, can be seen.
fn thread(
    name: &str,
    health: Arc<JournalHealth>,
    run: impl FnOnce() + Send + 'static,
) -> JoinHandle<()> {
    let run = move || {
        if let Err(why) = contained(Part::Task, run) {
            tracing::error!(why, "a thread of the journal came to grief");
        }
        health.ended();
    };
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(run).expect("a host that can't start a thread can't start")
}
