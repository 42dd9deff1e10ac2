//! The one place of the host where foreign code is let in.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use abi_stable::library::AbiHeaderRef;
use cordboard_sdk::abi::{MODULE_SYMBOL, PluginModuleRef};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::standstill;

/// What has been loaded, with its bytes: it stays until the process ends.
static LOADED: Mutex<BTreeMap<PathBuf, u64>> = Mutex::new(BTreeMap::new());

/// Different libraries that a process loads at most: none is ever let go, so each costs memory for good.
pub const MOST_LOADED: usize = 256;

/// How many different libraries this process has loaded, and their bytes.
pub fn loaded() -> (usize, u64) {
    let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    (loaded.len(), loaded.values().sum())
}

/// Which they are.
pub fn loaded_paths() -> Vec<PathBuf> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
}

/// Opens a library and checks that its module has the layout that this host was built with.
///
/// The library is never unloaded: its code may still be on some stack, and its statics are referred
/// to from here on.
///
/// # Errors
/// A sentence with the linker's or the layout checker's complaint.
pub fn open(path: &Path) -> Result<PluginModuleRef, String> {
    let _watched = standstill::watch(path);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if loaded.len() >= MOST_LOADED && !loaded.contains_key(path) {
        return Err(format!(
            "this process has loaded {MOST_LOADED} different libraries, and lets none of them go: it takes a restart"
        ));
    }
    loaded.insert(path.to_owned(), std::fs::metadata(path).map_or(0, |about| about.len()));
    drop(loaded);
    // SAFETY: loading runs the library's constructors. The file is a content-addressed copy whose
    // bounds were checked, and a child process has been through this very call with it.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|error| format!("the linker refuses it: {error}"))?;
    // SAFETY: the symbol is a static of type `LibHeader`, which begins with an `AbiHeader`;
    // `AbiHeaderRef` is a reference to that. `upgrade` checks magic and version before it reads on.
    let header = unsafe { library.get::<AbiHeaderRef>(MODULE_SYMBOL) }
        .map(|symbol| *symbol)
        .map_err(|_| "it exports no plugin module".to_owned())?;
    std::mem::forget(library);
    let header = header.upgrade().map_err(|error| one_paragraph(&error.to_string()))?;
    header.init_root_module::<PluginModuleRef>().map_err(|error| one_paragraph(&error.to_string()))
}

/// The layout checker explains itself over pages; the first lines say what differs.
fn one_paragraph(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.take(6).collect::<Vec<_>>().join(" ")
}
