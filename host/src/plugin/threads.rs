//! An instance's own threads: whatever a call does there, nobody else's waits behind it. There is one, and another for each
//! that a call keeps to itself.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use abi_stable::std_types::RVec;
use async_executor::{Executor, Task};
use async_ffi::FfiFuture;
use cordboard_sdk::Operation;
use tokio::sync::watch;

/// They end when the instance is let go; one that is stuck in a call stays until that comes back.
pub(super) struct Threads {
    name: String,
    executor: Arc<Executor<'static>>,
    count: AtomicUsize,
    kept: Arc<Kept>,
    /// Ends with this.
    lives: watch::Sender<()>,
}

/// Calls that keep a thread to themselves just now, since when.
#[derive(Default)]
struct Kept {
    calls: Mutex<HashMap<u64, (Operation, Instant)>>,
    next: AtomicU64,
}

/// Whether a call has begun, or was given up before that: one of both, and for good.
#[derive(Default)]
pub(super) struct Beginning(AtomicU8);

impl Beginning {
    const HAS_BEGUN: u8 = 1;
    const GIVEN_UP: u8 = 2;

    fn becomes(&self, what: u8) -> bool {
        self.0.compare_exchange(0, what, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn begins(&self) -> bool {
        self.becomes(Self::HAS_BEGUN)
    }

    /// It doesn't begin any more; `false`: it has.
    pub fn gives_up(&self) -> bool {
        self.becomes(Self::GIVEN_UP)
    }
}

impl Threads {
    /// If so many are stuck, the instance is.
    pub const MOST: usize = 4;

    /// Starts the first.
    ///
    /// # Errors
    /// The system gives none.
    pub fn start(name: &str) -> io::Result<Self> {
        let threads = Self {
            name: name.to_owned(),
            executor: Arc::default(),
            count: AtomicUsize::new(0),
            kept: Arc::default(),
            lives: watch::Sender::new(()),
        };
        threads.add()?;
        Ok(threads)
    }

    fn add(&self) -> io::Result<()> {
        let (executor, mut lives) = (self.executor.clone(), self.lives.subscribe());
        let works = move || {
            futures_lite::future::block_on(executor.run(async {
                // Nothing is ever sent: it ends with the sender.
                while lives.changed().await.is_ok() {}
            }));
        };
        std::thread::Builder::new().name(format!("plugin {}", self.name)).spawn(works)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Has a call done there. With its answer comes for how long it kept a thread to itself.
    /// Whether it has begun is known all the time: one that hasn't did nothing.
    pub fn call(
        &self,
        operation: Operation,
        call: FfiFuture<RVec<u8>>,
    ) -> (Task<(RVec<u8>, Duration)>, Arc<Beginning>) {
        let beginning = Arc::<Beginning>::default();
        let watched = watched(self.kept.clone(), operation, call, beginning.clone());
        (self.executor.spawn(watched), beginning)
    }

    /// Calls that have kept a thread to themselves for so long, and what they are.
    pub fn stuck_for(&self, time: Duration) -> Vec<Operation> {
        let calls = self.kept.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = calls.values().filter(|(_, since)| since.elapsed() >= time);
        stuck.map(|(operation, _)| *operation).collect()
    }

    /// If each of them has been kept for so long, another one does the calls that wait. `false`: there are as many as there
    /// may be.
    pub fn grows_if_stuck_for(&self, time: Duration) -> bool {
        let count = self.count.load(Ordering::Relaxed);
        if self.stuck_for(time).len() < count {
            return true;
        }
        count < Self::MOST && self.add().is_ok()
    }
}

async fn watched(
    kept: Arc<Kept>,
    operation: Operation,
    call: FfiFuture<RVec<u8>>,
    beginning: Arc<Beginning>,
) -> (RVec<u8>, Duration) {
    if !beginning.begins() {
        return (RVec::new(), Duration::ZERO);
    }
    let number = kept.next.fetch_add(1, Ordering::Relaxed);
    let calls = || kept.calls.lock().unwrap_or_else(PoisonError::into_inner);
    let mut call = std::pin::pin!(call);
    let mut longest = Duration::ZERO;
    let answer = std::future::poll_fn(|context| {
        let began = Instant::now();
        calls().insert(number, (operation, began));
        let polled = call.as_mut().poll(context);
        calls().remove(&number);
        longest = longest.max(began.elapsed());
        polled
    });
    let answer = answer.await;
    (answer, longest)
}
