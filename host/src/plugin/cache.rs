//! Copies under their hash: what is loaded can't be changed or cut under the running host, and the
//! same content is one library however often it is loaded.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// SHA-256 in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Puts the bytes into the cache, whole or not at all, and returns where they are.
///
/// # Errors
/// The file system's.
pub fn store(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{name}-{}.so", &hash(bytes)[..32]));
    // Looked at byte by byte: one that was cut, or written over, would kill whoever opens it, or be somebody
    // else's code under a pinned name. A new file takes its place; whoever has the old one open keeps it.
    if std::fs::read(&path).is_ok_and(|known| known == bytes) {
        return Ok(path);
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

/// Removes copies that a host which starts hasn't loaded: of versions of before. Whoever has them open keeps them.
pub fn remove_others(folder: &Path, loaded: &[PathBuf]) {
    let Ok(files) = std::fs::read_dir(folder) else { return };
    for file in files.flatten().map(|file| file.path()) {
        if file.extension().is_some_and(|end| end == "so") && !loaded.contains(&file) {
            // One that can't be removed takes room, and nothing else.
            let _ = std::fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PLUG-07
    #[test]
    fn a_copy_that_was_changed_or_cut_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = store(folder.path(), "x", b"the library").unwrap();
        for rotten in [&b"the libarry"[..], b"the", b""] {
            std::fs::write(&path, rotten).unwrap();
            assert_eq!(store(folder.path(), "x", b"the library").unwrap(), path);
            assert_eq!(std::fs::read(&path).unwrap(), b"the library");
        }
    }
}
