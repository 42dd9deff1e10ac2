//! What a command wants of a host that runs: something written (`cordboard agent token`), for a journal has one writer, or
//! its configuration read again. They meet at a socket in the data folder, so whoever may use the folder may use it.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::actors::Directory;
use crate::clock;
use crate::journal::{JournalError, Record, Records, Trouble, Written};
use crate::keeping;
use crate::reload::Reloader;

const NAME: &str = "host.sock";
/// The most bytes of a record or of an answer.
const MOST_BYTES: u32 = 64 * 1024;
/// Whoever says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(10);
/// A record is there by then: it is sent in one piece.
const FRAME_WITHIN: Duration = Duration::from_secs(1);
/// Connections at a time.
const AT_ONCE: usize = 16;

/// What a command may want.
#[derive(serde::Serialize, serde::Deserialize)]
enum Wanted<R> {
    /// This is to be written. The answer is what became of it.
    Write(R),
    /// The configuration is to be read again. The answer says what has changed, or why not, in words.
    Reload,
}

/// A folder's socket, by a path that is short enough for one.
struct Place {
    /// Held as long as the path is used.
    _folder: File,
    path: PathBuf,
}

impl Place {
    fn of(data: &Path) -> io::Result<Self> {
        /// What a socket's address holds on every system.
        const LONGEST: usize = 100;
        let folder = File::open(data)?;
        let mut path = data.join(NAME);
        if path.as_os_str().len() > LONGEST {
            path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
        }
        Ok(Self { _folder: folder, path })
    }
}

/// Opens the socket of a folder that is ours.
///
/// # Errors
/// The system's own.
pub fn listen(data: &Path) -> io::Result<UnixListener> {
    let place = Place::of(data)?;
    // Of a host of before.
    match std::fs::remove_file(&place.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let why = format!(
                "{NAME} of an earlier host can't be removed ({error}): the host must be able to write to its data folder"
            );
            return Err(io::Error::new(error.kind(), why));
        }
        _ => {}
    }
    let listener = UnixListener::bind(&place.path)?;
    std::fs::set_permissions(&place.path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Does what commands want, as long as the host runs.
pub async fn serve(mut listener: UnixListener, directory: Arc<Directory>, reloader: Arc<Reloader>) {
    /// A socket that somebody has deleted is made anew.
    const LOOK_EVERY: Duration = Duration::from_secs(2);
    let data = directory.config().host.data.clone();
    let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match tokio::time::timeout(LOOK_EVERY, listener.accept()).await {
            Err(_) if data.join(NAME).exists() => {}
            Err(_) => match listen(&data) {
                Ok(anew) => listener = anew,
                Err(error) => tracing::warn!(%error, "commands can't reach the host"),
            },
            Ok(Ok((stream, _))) => {
                let (directory, reloader) = (directory.clone(), reloader.clone());
                actix::spawn(async move {
                    let _place = place;
                    if let Err(error) = answer(stream, &directory, reloader).await {
                        tracing::warn!(%error, "a command that wanted something couldn't be answered");
                    }
                });
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "commands can't reach the host");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer(
    mut stream: UnixStream,
    directory: &Directory,
    reloader: Arc<Reloader>,
) -> io::Result<()> {
    let received = tokio::time::timeout(FRAME_WITHIN, receive(&mut stream)).await;
    let (until, wanted): (i64, Wanted<Record>) = received??;
    if clock::now().0 > until {
        // Whoever wanted it has been told that nothing came of it.
        return Err(io::Error::other("it came too late"));
    }
    let record = match wanted {
        Wanted::Write(record) => record,
        Wanted::Reload => {
            let reloading = move || match reloader.reload("command") {
                // Whoever goes on by this has to know.
                Ok(change) if !change.refused.is_empty() => Err(change.to_string()),
                Ok(change) => Ok(change.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let said = tokio::task::spawn_blocking(reloading).await.map_err(io::Error::other)?;
            return send(&mut stream, &short(said)).await;
        }
    };
    let written = match record {
        // Whoever waits for this sees all that was taken before.
        Record::Access(_) | Record::Audit { .. } | Record::Barrier => {
            let written = directory.journal.write_now(record);
            tokio::time::timeout(PATIENCE, written).await.map_err(io::Error::other)?
        }
        // To its end: half erased isn't erased.
        Record::CustomerErased { .. } => erased(record, directory).await,
        _ => Err(JournalError::new(Trouble::Other, "that is nothing that a command writes")),
    };
    // Whoever holds a connection open looks again.
    directory.authority.send_replace(());
    send(&mut stream, &written).await
}

/// As much of it as fits.
fn short(said: Result<String, String>) -> Result<String, String> {
    const MOST: usize = 10_000;
    let cut = |text: String| text.chars().take(MOST).collect();
    said.map(cut).map_err(cut)
}

/// Of a customer nothing is to be left, wherever the host has it (SEC-04).
async fn erased(record: Record, directory: &Directory) -> Written {
    let conversations = record.removes().to_vec();
    let is_last = matches!(record, Record::CustomerErased { is_last: true, .. });
    let writes = directory.journal.write_now(record);
    let written = directory.erased.while_some_are(&directory.journal, writes).await?;
    directory.forget(conversations.into_iter());
    if is_last {
        // What can't be done yet is noted, and done later; whoever asked looks what is noted.
        keeping::scrub(&directory.journal, &directory.config().host.data).await;
    }
    Ok(written)
}

/// The host that has the journal of a folder.
pub struct OfHost {
    data: PathBuf,
}

impl OfHost {
    /// Of the host that holds this folder.
    pub fn new(data: &Path) -> Self {
        Self { data: data.to_owned() }
    }

    /// Has it read its configuration again: what has changed, in words, or why not.
    ///
    /// # Errors
    /// No host answers.
    pub async fn reload(&self) -> io::Result<Result<String, String>> {
        // Each plugin that differs may take this long to be tried out, and to open.
        const PATIENCE: Duration = Duration::from_secs(300);
        self.ask(&Wanted::<&Record>::Reload, PATIENCE).await
    }

    async fn hand_in(&self, record: &Record) -> io::Result<Written> {
        let patience = match record {
            // It may have much to remove.
            Record::CustomerErased { .. } => 30 * PATIENCE,
            _ => PATIENCE,
        };
        self.ask(&Wanted::Write(record), patience).await
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        wanted: &Wanted<&Record>,
        patience: Duration,
    ) -> io::Result<T> {
        /// A host that starts opens its socket last.
        const STARTING: Duration = Duration::from_secs(5);
        const PAUSE: Duration = Duration::from_millis(50);
        let place = Place::of(&self.data)?;
        let connected = async {
            loop {
                match UnixStream::connect(&place.path).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        let mut stream = tokio::time::timeout(STARTING, connected).await?;
        let until = clock::now().0 + i64::try_from((PATIENCE / 2).as_millis()).unwrap_or(i64::MAX);
        send(&mut stream, &(until, wanted)).await?;
        let answer = tokio::time::timeout(patience, receive(&mut stream)).await;
        answer.map_err(|_| io::Error::other("timed out; it may be done yet"))?
    }
}

impl Records for OfHost {
    async fn write_now(&self, record: Record) -> Written {
        self.hand_in(&record).await.unwrap_or_else(|error| {
            let folder = self.data.display();
            let text = format!("the host that holds {folder} doesn't answer: {error}");
            Err(JournalError::new(Trouble::Held, text))
        })
    }
}

async fn send(stream: &mut UnixStream, what: &impl serde::Serialize) -> io::Result<()> {
    let bytes = rmp_serde::to_vec_named(what).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= MOST_BYTES);
    let length = length.ok_or_else(|| io::Error::other("it is too long"))?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn receive<T: serde::de::DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let length = stream.read_u32().await?;
    if length > MOST_BYTES {
        return Err(io::Error::other("it is too long"));
    }
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).await?;
    rmp_serde::from_slice(&bytes).map_err(io::Error::other)
}
