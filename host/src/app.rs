//! A host from start to stop: journal, recovery, channels, actors, HTTP; and back in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Arbiter;
use actix_server::ServerHandle;
use anyhow::Context;
use cordboard_core::time::Timestamp;
use tokio::sync::mpsc;

use crate::actors::{self, Actors, CloseScreens, Directory, Recorder};
use crate::clock;
use crate::config::{Config, Problem};
use crate::errands;
use crate::http::{self, Door, Listeners, Passwords, Throttle, Web};
use crate::journal::{self, Holds, Journal, JournalError, Reader};
use crate::keeping;
use crate::leavers;
use crate::lock::{self, FolderLock};
use crate::outbox::{self, Backlog};
use crate::plugin::Swaps;
use crate::reload::{self, Reloader};
use crate::watch;

/// How a host is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Refuse to start if a channel can't be loaded.
    pub strict: bool,
    /// Begin with an empty journal where one is gone.
    pub new_journal: bool,
    /// HTTP workers and conversation shards; the number of cores if it isn't given.
    pub workers: Option<usize>,
    /// How long an idle conversation stays in memory.
    pub idle_after: Option<Duration>,
}

/// `--strict`: a plugin can't be loaded, so nothing was started.
#[derive(Debug, thiserror::Error)]
#[error("--strict: not every plugin can be loaded\n{0}")]
pub struct NotLoaded(String);

/// A running host.
pub struct Host {
    /// Everybody.
    pub directory: Arc<Directory>,
    /// Channels that aren't there, and why.
    pub problems: Vec<Problem>,
    /// Open conversations that were found.
    pub open_conversations: u64,
    /// How long recovery took.
    pub recovery: Duration,
    server: ServerHandle,
    finished: tokio::task::JoinHandle<std::io::Result<()>>,
    backlog: Backlog,
    arbiters: Vec<Arbiter>,
    _lock: FolderLock,
}

impl Host {
    /// Starts everything. Must run on an actix system.
    ///
    /// # Errors
    /// What can't be had: the data folder, the address, with `strict` a channel.
    pub async fn start(config: Config, options: Options) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let data = config.host.data.clone();
        let room = http::make_room()?;
        lock::make_folder(&data)
            .with_context(|| format!("can't make the data folder {}", data.display()))?;
        lock::warn_of_others(&data);
        let lock = lock::lock(&data, &config.host.listen)?;
        // Before the journal is read: whoever comes meanwhile waits, and a port that is taken shows at
        // once.
        let listeners = Listeners::bind(&config.host)?;
        let errands = errands::listen(&data)
            .with_context(|| format!("can't open a socket for commands in {}", data.display()))?;
        let unusable = |error: JournalError| anyhow::Error::msg(journal::in_words(&error, &data));
        match journal::look(&data) {
            Ok(Holds::Used) => {}
            Ok(Holds::Fresh) => {
                tracing::info!("there was no journal in {}: it is made", data.display())
            }
            Err(error) if options.new_journal => {
                let now = clock::now().0;
                journal::put_aside(&data, now)
                    .and_then(|()| journal::put_note_aside(&data, now))
                    .map_err(unusable)?;
                // All of it lies aside: nothing is left to be gone on with.
                journal::restore_ends(&data);
                tracing::warn!(%error, "begun with an empty journal, as was asked for");
            }
            Err(error) => return Err(unusable(error)),
        }
        let journal = Journal::open(&data).map_err(unusable)?;

        let began = Instant::now();
        let reader = Reader::open(&data).map_err(unusable)?;
        // All of them are there once somebody has read.
        let files = journal.files();
        let alive_at = reader.alive_at().map_err(unusable)?;
        let keeps_log = config.host.keep_routing_log.0 > 0;
        let recorder = Recorder::new(journal.clone(), clock::now().0, keeps_log);
        let (recovered, alarms) = Actors::recover(&config, &reader, &recorder).map_err(unusable)?;
        leavers::warn(&config, &reader).map_err(unusable)?;
        let recovery = began.elapsed();
        let open_conversations = recovered.open;

        let workers = options.workers.unwrap_or_else(cores);
        let (outbox, inbox) = mpsc::unbounded_channel();
        let (routing_anew, calls) = mpsc::unbounded_channel();
        let directory = Arc::new(Directory::new(
            config.clone(),
            journal.clone(),
            alarms,
            outbox,
            recorder,
            routing_anew,
            workers,
        ));
        directory.erased.read(&directory.journal).await.map_err(unusable)?;
        let swaps = Arc::new(Swaps::new(&directory, &data)?);
        let problems = swaps.start().await;
        if options.strict && !problems.is_empty() {
            let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return Err(NotLoaded(list.join("\n")).into());
        }

        let mut arbiters = vec![actors::start(recovered, &directory, calls)];
        let backlog = Backlog::default();
        let sending = Arbiter::new();
        let run = (inbox, directory.clone(), backlog.clone());
        sending.spawn_fn(move || {
            let (inbox, directory, backlog) = run;
            let weak = Arc::downgrade(&directory);
            let run = outbox::run(inbox, directory, backlog);
            actix::spawn(Directory::supervised(weak, "the outbox", run));
        });
        arbiters.push(sending);
        let routing = arbiters[0].handle();
        let reloader =
            Arc::new(Reloader::new(directory.clone(), routing, swaps.clone(), data.clone()));
        let wanted = directory.config().host.limits.connections;
        if room < wanted as usize {
            tracing::warn!(
                room,
                wanted,
                "this process may have too few descriptors for as many connections as limits.connections says: raise its limit (ulimit -n, LimitNOFILE)"
            );
        }
        let web = Web {
            directory: directory.clone(),
            data: data.clone(),
            backlog: backlog.clone(),
            reloader: reloader.clone(),
            door: Arc::new(Door::new(directory.clone(), room)),
            throttle: Throttle::default(),
            passwords: Passwords::start(),
            reads: Arc::new(http::Reads::new(journal.clone())),
            refusals: http::Refusals::default(),
        };
        let signed_in = reader.sign_ins(None, clock::now(), Timestamp(0), None)?;
        for session in signed_in {
            if let Some(Ok(address)) = session.address.map(|address| address.parse()) {
                web.throttle.remember(session.agent.as_str(), address);
            }
        }
        let (own, idle_after) = (directory.clone(), options.idle_after);
        let on_worker = move || {
            actors::start_shard(&own, idle_after);
        };
        let server = http::serve(web, listeners, workers, on_worker)?;
        let handle = server.handle();
        let finished = tokio::task::spawn_local(server);
        while !directory.has_all_shards() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // What a start has written, shards see from now on.
        if let Err(error) = directory.journal.caught_up().await {
            if let Some(why) = directory.journal.is_hopeless() {
                anyhow::bail!(why);
            }
            tracing::warn!(%error, "what the start has written can't be seen yet");
        }
        let log = watch::routing_log(directory.clone());
        let weak = Arc::downgrade(&directory);
        actix::spawn(Directory::supervised(weak, "who removes old routing logs", log));
        let keeping = keeping::by_rule(directory.clone(), alive_at);
        actix::spawn(Directory::supervised(
            Arc::downgrade(&directory),
            "what removes what was kept for long enough",
            keeping,
        ));
        let weak = Arc::downgrade(&directory);
        let alive = watch::keep_alive(directory.clone(), alive_at);
        actix::spawn(Directory::supervised(weak.clone(), "the sign of life", alive));
        let leaving = leavers::watch(directory.clone());
        actix::spawn(Directory::supervised(weak.clone(), "the watch for those who leave", leaving));
        let swapping = swaps.watch();
        actix::spawn(Directory::supervised(weak.clone(), "the watch over plugins", swapping));
        let errands = errands::serve(errands, directory.clone(), reloader.clone());
        actix::spawn(Directory::supervised(weak.clone(), "the door for commands", errands));
        let own = directory.clone();
        let watchers = async move { own.board.tell_watchers().await };
        actix::spawn(Directory::supervised(weak.clone(), "news of open work", watchers));
        let clock = watch::clock(directory.clone());
        actix::spawn(Directory::supervised(weak.clone(), "the clock's watch", clock));
        let spare = Reader::open(&config.host.data)?;
        let journal = watch::journal(directory.clone(), spare, files);
        actix::spawn(Directory::supervised(weak, "the journal's watch", journal));
        reload::watch(reloader);
        directory.look_at_outbox_again();
        directory.journal.goes_on();
        Ok(Self {
            directory,
            problems,
            open_conversations,
            recovery,
            server: handle,
            finished,
            backlog,
            arbiters,
            _lock: lock,
        })
    }

    /// Why the host can't go on, as soon as it can't (OPS-09).
    pub async fn fatal(&self) -> String {
        self.directory.grief.fatal().await
    }

    /// Stops in order (OPS-06): no new requests, offers withdrawn, the outbox flushed for a moment
    /// (what is left is on disk), the journal committed.
    pub async fn stop(self) {
        const OUTBOX_TIME: Duration = Duration::from_secs(5);
        const JOURNAL_TIME: Duration = Duration::from_secs(5);
        // First nothing new is given out, or what one agent gives back goes to the next.
        self.directory.hold_queues();
        for agent in self.directory.all_agents() {
            agent.do_send(CloseScreens);
        }
        // While conversations are still there to hear what became of their replies.
        self.server.pause().await;
        let until = Instant::now() + OUTBOX_TIME;
        while !self.backlog.is_empty() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.directory.stop();
        self.server.stop(true).await;
        // The server's own result was seen by whoever waited for it.
        let _ = self.finished.await;
        journal::note_alive(&self.directory.journal, clock::now());
        // A journal that takes nothing keeps no host: what it has is in its log.
        let flushed = self.directory.recorder.flushed();
        if tokio::time::timeout(JOURNAL_TIME, flushed).await.is_err() {
            tracing::warn!("the record of routing couldn't be written to its end");
        }
        let journal = self.directory.journal.clone();
        // Ends the writer's thread after its last commit.
        let _ = tokio::task::spawn_blocking(move || journal.stop()).await;
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}
