//! One host per data folder: two would both send every open reply.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Says who holds the folder; the lock itself is on the folder, which can't be deleted by mistake while
/// something lies in it.
const NOTE: &str = "host.pid";
/// Longer than a command needs it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The folder is this process', until it is dropped or the process ends, however it ends.
pub struct FolderLock {
    _folder: File,
}

/// Takes the folder for the moment that a command needs it; `None`: somebody else has it, or may have it.
///
/// # Errors
/// It can't be opened.
pub fn try_lock(folder: &Path) -> anyhow::Result<Option<FolderLock>> {
    let shown = folder.display();
    let held = File::open(folder).with_context(|| format!("can't open the data folder {shown}"))?;
    Ok(held.try_lock().is_ok().then_some(FolderLock { _folder: held }))
}

/// Takes the folder. A command (`cordboard agent token`) that has it just now is waited for.
///
/// # Errors
/// Another process has it, and which; or it can't be opened.
pub fn lock(folder: &Path, listen: &str) -> anyhow::Result<FolderLock> {
    let shown = folder.display();
    let held = File::open(folder).with_context(|| format!("can't open the data folder {shown}"))?;
    let until = Instant::now() + PATIENCE;
    let mut locked = held.try_lock();
    while matches!(locked, Err(TryLockError::WouldBlock)) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
        locked = held.try_lock();
    }
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let who = std::fs::read_to_string(folder.join(NOTE)).unwrap_or_default();
            let runs = |who: &str| {
                let pid = who.strip_prefix("process ").and_then(|rest| rest.split(' ').next());
                pid.is_none_or(|pid| {
                    !Path::new("/proc/self").exists() || Path::new("/proc").join(pid).exists()
                })
            };
            // A note outlives its host; a command (`cordboard journal`) leaves none.
            let is_known = !who.trim().is_empty() && runs(&who);
            let who = if is_known { who.trim() } else { "another process" };
            bail!(
                "{who} holds the data folder {shown}; stop it, or give this host a folder of its own"
            );
        }
        // A file system that can't lock is the operator's choice, and said.
        Err(TryLockError::Error(error)) => tracing::warn!(
            %error,
            "the data folder {shown} can't be locked; nothing keeps a second host from using it"
        ),
    }
    let note = format!("process {} (cordboard run, listening on {listen})\n", std::process::id());
    // The lock holds without it.
    let written =
        File::create(folder.join(NOTE)).and_then(|mut file| file.write_all(note.as_bytes()));
    if let Err(error) = written {
        tracing::warn!(%error, "can't say in {shown} who holds it");
    }
    Ok(FolderLock { _folder: held })
}

/// Makes the data folder, for its owner alone: customers' texts are in it, and what people sign in with.
///
/// # Errors
/// The system's own.
pub fn make_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Says so, if others on this machine may look into a folder that was there before.
pub fn warn_of_others(folder: &Path) {
    const OTHERS: u32 = 0o007;
    if std::fs::metadata(folder).is_ok_and(|about| about.mode() & OTHERS != 0) {
        let shown = folder.display();
        tracing::warn!("every user of this machine may look into {shown}: chmod o-rwx {shown}");
    }
}
