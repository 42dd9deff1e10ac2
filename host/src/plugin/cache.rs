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
    let is_there = std::fs::metadata(&path).is_ok_and(|meta| meta.len() == bytes.len() as u64);
    if is_there {
        return Ok(path);
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}
