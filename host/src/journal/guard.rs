//! The journal's files under a running host: they grow, and nobody else deletes, replaces or cuts them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::progress::Progress;
use super::{folder, schema, wal};

/// What the files were when they were looked at last.
pub struct Files {
    known: Vec<Known>,
    own_cuts: Arc<OwnCuts>,
    progress: Arc<Progress>,
    /// Beginnings and ends of moving pages to the tables' file by then.
    written_back: u64,
}

/// What is removed for good is cut off by ourselves (SEC-04): nobody looks meanwhile.
#[derive(Debug, Default)]
pub(super) struct OwnCuts(Mutex<u64>);

impl OwnCuts {
    /// Until what this gives is dropped, files may become shorter.
    pub fn begin(&self) -> MutexGuard<'_, u64> {
        let mut cuts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *cuts += 1;
        cuts
    }

    /// How often that was so; nothing, while it is.
    fn count(&self) -> Option<u64> {
        match self.0.try_lock() {
            Ok(cuts) => Some(*cuts),
            Err(TryLockError::Poisoned(cuts)) => Some(*cuts.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// What has become of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Harm {
    /// In words that follow on "the journal's".
    pub what: String,
    /// What stood there stands in the log, too, and the file that it lies beside is whole without it: a copy
    /// made by those who have it open would be none.
    pub log_has_it: bool,
}

struct Known {
    path: PathBuf,
    /// Nothing while it isn't there.
    was: Option<Look>,
    /// How often files had been cut by ourselves when it was looked at last.
    cuts: u64,
}

/// What a look at a file shows.
#[derive(Clone, Copy)]
struct Look {
    /// Device and number.
    identity: (u64, u64),
    bytes: u64,
    /// Whether a `-wal` begins as one, and is written without a hole: one that was cut and written to since has its
    /// length back, and no head, or zeros where it had been longer. Nothing, where it couldn't be opened just now.
    is_sound: Option<bool>,
}

impl Files {
    /// Of a folder whose journal is open, and was read.
    pub(super) fn of(data: &Path, own_cuts: Arc<OwnCuts>, progress: Arc<Progress>) -> Self {
        let cuts = own_cuts.count().unwrap_or_default();
        let known = folder::own_files(data).map(|path| Known {
            was: look_at(&path).map(|(look, _)| look).unwrap_or_default(),
            path,
            cuts,
        });
        let known = known.collect();
        let written_back = progress.written_back();
        Self { known, own_cuts, progress, written_back }
    }

    /// Looks again. What can't be looked at says nothing of the others.
    ///
    /// # Errors
    /// What has become of one of them.
    pub fn look(&mut self) -> Result<Sight, Harm> {
        let Some(cuts) = self.own_cuts.count() else { return Ok(Sight::Clear) };
        // One that was cut while it was moved to the file has left that torn.
        let written_back = self.progress.written_back();
        let before = std::mem::replace(&mut self.written_back, written_back);
        let was_moved = written_back % 2 == 1 || before != written_back;
        let mut sight = Sight::Clear;
        for file in &mut self.known {
            let (is, unopened) = match look_at(&file.path) {
                Ok(looked) => looked,
                Err(error) => (file.was, Some(error)),
            };
            if let Some(error) = unopened {
                sight = Sight::Blind(format!("{}: {error}", file.path.display()));
            }
            let is_our_cut = file.cuts != cuts;
            let what = match (file.was, is) {
                (Some(_), None) => "was deleted".to_owned(),
                (Some(was), Some(is)) if was.identity != is.identity => "was replaced".to_owned(),
                (Some(was), Some(is)) if is.bytes < was.bytes && !is_our_cut => {
                    format!("was cut from {} to {} bytes", was.bytes, is.bytes)
                }
                (Some(was), Some(is))
                    if (was.is_sound, is.is_sound) == (Some(true), Some(false)) && !is_our_cut =>
                {
                    "was cut or overwritten".to_owned()
                }
                (was, Some(mut is)) => {
                    // As long as that isn't known, a cut of ours may be why it looks otherwise later.
                    match is.is_sound {
                        Some(_) => file.cuts = cuts,
                        None => is.is_sound = was.and_then(|was| was.is_sound),
                    }
                    file.was = Some(is);
                    continue;
                }
                (None, None) => continue,
            };
            return Err(Harm {
                what: format!("{} {what}", file.path.display()),
                log_has_it: is.is_some()
                    && !was_moved
                    && file.path.ends_with(format!("{}-wal", schema::FILE)),
            });
        }
        Ok(sight)
    }
}

/// Whether all could be looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sight {
    /// It could.
    Clear,
    /// Something couldn't, and why: for want of descriptors, say, or of rights.
    Blind(String),
}

/// What a look shows: nothing, if the file isn't there; and why it couldn't be opened, if that is so. Only a `-wal` is
/// opened: on the other two SQLite holds locks, which are the process' and end with any descriptor of the file that it
/// closes.
///
/// # Errors
/// It can't even be found out whether it is there.
fn look_at(path: &Path) -> io::Result<(Option<Look>, Option<io::Error>)> {
    let Some(about) = if_there(std::fs::metadata(path))? else { return Ok((None, None)) };
    let look =
        |is_sound| Look { identity: (about.dev(), about.ino()), bytes: about.len(), is_sound };
    if !path.to_string_lossy().ends_with("-wal") {
        return Ok((Some(look(Some(false))), None));
    }
    match if_there(File::open(path)).and_then(|wal| wal.map(is_sound).transpose()) {
        Ok(None) => Ok((None, None)),
        Ok(is_sound) => Ok((Some(look(is_sound)), None)),
        Err(error) => Ok((Some(look(None)), Some(error))),
    }
}

fn is_sound(mut wal: File) -> io::Result<bool> {
    /// The last byte says how its checksums are to be read.
    const WAL: &[u8] = &[0x37, 0x7f, 0x06];
    let mut head = [0; 3];
    let begins = match wal.read_exact(&mut head) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        read => read.is_ok() && head == WAL,
    };
    Ok(begins && !wal::has_hole(&wal))
}

fn if_there<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    match looked {
        // A file may stand where the folder was.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        looked => looked.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Position, log};

    // OPS-03
    #[test]
    fn what_happens_to_a_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let of =
            |cuts| Files::of(folder.path(), cuts, Arc::new(Progress::new(Position::default())));
        let said = |files: &mut Files| files.look().unwrap_err().what;
        for name in [schema::FILE, log::FILE] {
            std::fs::write(path(name), "0123456789").unwrap();
        }
        let mut files = of(Arc::default());
        assert_eq!(files.look(), Ok(Sight::Clear));
        std::fs::write(path(&format!("{}-wal", log::FILE)), "new").unwrap();
        std::fs::write(path(log::FILE), "0123456789 and more").unwrap();
        assert_eq!(files.look(), Ok(Sight::Clear), "they come, and grow");
        File::options().write(true).open(path(log::FILE)).unwrap().set_len(5).unwrap();
        assert!(said(&mut files).ends_with("log.sqlite was cut from 19 to 5 bytes"));
        let own_cuts = Arc::new(OwnCuts::default());
        let mut files = of(own_cuts.clone());
        let shorter = |bytes: u64| {
            File::options().write(true).open(path(log::FILE)).unwrap().set_len(bytes).unwrap();
        };
        let cutting = own_cuts.begin();
        shorter(4);
        assert_eq!(files.look(), Ok(Sight::Clear), "it is being cut");
        drop(cutting);
        assert_eq!(files.look(), Ok(Sight::Clear), "and was, by ourselves");
        shorter(3);
        assert!(files.look().is_err(), "not by ourselves");
        let mut wal = b"\x37\x7f\x06\x82 and so on, and so on".to_vec();
        let wal_path = path(&format!("{}-wal", log::FILE));
        std::fs::write(&wal_path, &wal).unwrap();
        let mut files = of(Arc::default());
        assert_eq!(files.look(), Ok(Sight::Clear));
        wal[..20].fill(0);
        std::fs::write(&wal_path, &wal).unwrap();
        assert!(said(&mut files).ends_with("log.sqlite-wal was cut or overwritten"));
        let mut files = of(Arc::default());
        std::fs::rename(path(log::FILE), path(schema::FILE)).unwrap();
        assert!(said(&mut files).ends_with("journal.sqlite was replaced"));
        let mut files = of(Arc::default());
        std::fs::remove_file(path(schema::FILE)).unwrap();
        assert!(said(&mut files).ends_with("journal.sqlite was deleted"));
    }

    // OPS-03
    #[test]
    fn what_cant_be_looked_at_hides_nothing_of_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        for name in [schema::FILE, log::FILE] {
            std::fs::write(data.join(name), "0123456789").unwrap();
        }
        let of = || Files::of(&data, Arc::default(), Arc::new(Progress::new(Position::default())));
        let mut files = of();
        // Root may open everything, but for what can't be opened.
        let wal = data.join(format!("{}-wal", log::FILE));
        let _socket = std::os::unix::net::UnixListener::bind(&wal).unwrap();
        match files.look() {
            Ok(Sight::Blind(why)) => assert!(why.contains("log.sqlite-wal"), "{why}"),
            other => panic!("{other:?}"),
        }
        std::fs::remove_file(data.join(schema::FILE)).unwrap();
        assert!(files.look().unwrap_err().what.ends_with("journal.sqlite was deleted"));
        let mut files = of();
        std::fs::remove_file(&wal).unwrap();
        std::fs::write(&wal, "another").unwrap();
        assert!(files.look().unwrap_err().what.ends_with("log.sqlite-wal was replaced"));
        std::fs::remove_file(&wal).unwrap();
        let mut files = of();
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::write(&data, "").unwrap();
        assert!(files.look().unwrap_err().what.ends_with("log.sqlite was deleted"));
    }
}
