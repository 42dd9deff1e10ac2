//! A library that never comes back from being loaded. It has the linker's lock then, without which no thread begins, none
//! ends, and none touches what is its own for the first time: sooner or later everything stands still, and nobody can say
//! so. So whoever watches was there before, and ends the process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

/// It took less when it was tried out.
const LIMIT: Duration = Duration::from_secs(20);

enum Told {
    Begins(u64, PathBuf),
    Ended(u64),
}

/// A library is being loaded until this is dropped.
pub(super) struct Watched(u64);

/// From now on.
pub(super) fn watch(library: &Path) -> Watched {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    tell(Told::Begins(number, library.to_owned()));
    Watched(number)
}

impl Drop for Watched {
    fn drop(&mut self) {
        tell(Told::Ended(self.0));
    }
}

fn tell(what: Told) {
    static WATCHER: OnceLock<mpsc::Sender<Told>> = OnceLock::new();
    let watcher = WATCHER.get_or_init(|| {
        let (sender, told) = mpsc::channel();
        let (looks, is_there) = mpsc::channel();
        let watches = move || {
            // Once round, so that all it needs is there.
            let _ = told.recv_timeout(Duration::from_millis(1));
            let _ = looks.send(());
            look(&told);
        };
        // Without one nobody watches, and all else is as it is.
        if std::thread::Builder::new().name("loading".to_owned()).spawn(watches).is_ok() {
            let _ = is_there.recv();
        }
        sender
    });
    let _ = watcher.send(what);
}

fn look(told: &mpsc::Receiver<Told>) {
    let mut loading: BTreeMap<u64, (PathBuf, Instant)> = BTreeMap::new();
    loop {
        match told.recv_timeout(Duration::from_millis(500)) {
            Ok(Told::Begins(number, library)) => {
                loading.insert(number, (library, Instant::now()));
            }
            Ok(Told::Ended(number)) => drop(loading.remove(&number)),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        // The first one has the lock for which the others wait.
        if let Some((library, since)) = loading.values().next()
            && since.elapsed() > LIMIT
        {
            end(library);
        }
    }
}

fn end(library: &Path) -> ! {
    let why = format!(
        "error: the host can't go on: {} stands still while it is loaded, though it didn't when it was tried out, and nothing works in this process any more. Nothing that was acknowledged is lost; take that library out of the configuration before the next start\n",
        library.display()
    );
    // The log's own way may stand still by now.
    let _ = rustix::io::write(rustix::stdio::stderr(), why.as_bytes());
    std::process::abort();
}
