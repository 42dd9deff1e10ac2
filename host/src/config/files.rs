//! Which files are read: regular ones of a sensible size, in the folder and all in it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The most bytes of one file: a thousand agents take 100 KB.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// A regular file of a sensible size; a pipe would never end.
///
/// # Errors
/// A sentence: what is wrong with it.
pub fn read_whole(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("can't be read: {error}");
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err("isn't a regular file".to_owned());
    }
    if about.len() > MOST_BYTES {
        let (size, most) = (about.len(), MOST_BYTES);
        return Err(format!("has {size} bytes; at most {most}: spread it over several files"));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    // Some editors begin a file with a mark of its encoding.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The folder and all in it: each may have files of the configuration. What begins with a dot isn't
/// looked at: editors keep their own files so, and Kubernetes the versions behind a mounted folder. A
/// folder that is reached by several links is looked at once.
///
/// # Errors
/// The file system's own.
pub fn folders(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut folders = vec![root.to_owned()];
    let mut known = HashSet::from([root.canonicalize()?]);
    let mut looked_at = 0;
    while let Some(folder) = folders.get(looked_at).cloned() {
        for path in visible(&folder)?.into_iter().filter(|path| path.is_dir()) {
            if path.canonicalize().is_ok_and(|real| known.insert(real)) {
                folders.push(path);
            }
        }
        looked_at += 1;
    }
    Ok(folders)
}

/// Those that hold configuration, in order.
///
/// # Errors
/// The file system's own.
pub(super) fn files(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in folders(root)? {
        let is_ron = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "ron");
        files.extend(visible(&folder)?.into_iter().filter(|path| is_ron(path) && !path.is_dir()));
    }
    files.sort();
    Ok(files)
}

fn visible(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}
