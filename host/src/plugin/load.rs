//! The recipe: hash, copy, read the manifest, probe in a child, load, check health.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cordboard_sdk::abi::ChannelObject;
use cordboard_sdk::{ManifestInfo, OpenError, PluginFailure, decode};
use tokio::sync::oneshot;

use super::instance::{Instance, Recipe};
use super::manifest::{self, ManifestError};
use super::origin::{Origin, Stamp};
use super::services::{HostAccess, Secrets, Services};
use super::tally::Counters;
use super::threads::Threads;
use super::{cache, library, probe};
use crate::config::PluginConfig;

/// What the probe has been through is done within this here, too.
const OPENS_WITHIN: Duration = Duration::from_secs(20);

/// Why a channel isn't there. Each message names file and cause.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read.
    #[error("{}: {cause}; build the plugins first, or correct `plugin`", .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// The file system's complaint.
        cause: Arc<std::io::Error>,
    },
    /// It isn't a plugin for this host.
    #[error("{}: {cause}", .file.display())]
    NotAPlugin {
        /// Which file.
        file: PathBuf,
        /// What it is instead.
        cause: ManifestError,
    },
    /// It isn't the content that was pinned.
    #[error("{}: its SHA-256 is {found}, but the configuration pins {pinned}", .file.display())]
    OtherContent {
        /// Which file.
        file: PathBuf,
        /// Its hash.
        found: String,
        /// The hash it should have.
        pinned: String,
    },
    /// A plugin, but of another kind.
    #[error("{}: it is a {found} plugin, and a {wanted} is needed here", .file.display())]
    OtherKind {
        /// Which file.
        file: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A plugin of another name lies under this file name.
    #[error("{}: it is the plugin \"{found}\", and the configuration says \"{wanted}\"", .file.display())]
    OtherName {
        /// Which file.
        file: PathBuf,
        /// What its manifest says.
        found: String,
        /// What the configuration says.
        wanted: String,
    },
    /// It can't be loaded, or died when it was tried out.
    #[error("{}: {cause}", .file.display())]
    Broken {
        /// Which file.
        file: PathBuf,
        /// How.
        cause: String,
    },
    /// A setting of the channel is wrong.
    #[error("{message}")]
    Config {
        /// The setting within the channel's `config`.
        path: String,
        /// What was found and what would be right.
        message: String,
    },
    /// The channel allows texts that the plugin doesn't take (CH-11).
    #[error(
        "{own} characters, but the plugin {plugin} takes {longest} at most: lower `max_text`, or leave it out"
    )]
    TextTooLong {
        /// The channel's `max_text`.
        own: u32,
        /// The plugin's name.
        plugin: String,
        /// What it takes.
        longest: u32,
    },
    /// It won't open for another reason, or isn't healthy.
    #[error("{}: {cause}", .file.display())]
    WontOpen {
        /// Which file.
        file: PathBuf,
        /// What it said.
        cause: String,
    },
}

/// A library that has been looked at but not run.
pub struct Inspected {
    /// Its manifest.
    pub manifest: ManifestInfo,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// Tells whether the file was written anew since.
    pub(super) stamp: Option<Stamp>,
    bytes: Vec<u8>,
}

/// Reads a library and its manifest. Nothing of it runs.
///
/// # Errors
/// [`LoadError::Unreadable`] or [`LoadError::NotAPlugin`].
pub fn inspect(file: &Path) -> Result<Inspected, LoadError> {
    let (bytes, stamp) = read_library(file)
        .map_err(|cause| LoadError::Unreadable { file: file.to_owned(), cause: Arc::new(cause) })?;
    let manifest = manifest::read(&bytes)
        .map_err(|cause| LoadError::NotAPlugin { file: file.to_owned(), cause })?;
    Ok(Inspected { manifest, sha256: cache::hash(&bytes), stamp: Some(stamp), bytes })
}

/// A regular file of a sensible size: a pipe would never begin, and a device never end.
fn read_library(file: &Path) -> std::io::Result<(Vec<u8>, Stamp)> {
    const MOST_BYTES: u64 = 512 * 1024 * 1024;
    let refused = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
    let about = std::fs::metadata(file)?;
    if !about.is_file() {
        return Err(refused("it isn't a regular file".to_owned()));
    }
    if about.len() > MOST_BYTES {
        return Err(refused(format!("it has {} bytes; at most {MOST_BYTES}", about.len())));
    }
    // Of before it is read: what is written meanwhile shows later.
    Ok((std::fs::read(file)?, Stamp::from(&about)))
}

/// Loads plugins.
#[derive(Clone)]
pub struct Loader {
    /// Where copies are kept.
    pub cache: PathBuf,
    /// The configuration's folder: secrets' files are relative to it.
    pub root: PathBuf,
    /// Shared by all channels.
    pub client: reqwest::Client,
    /// What plugins get to see of the host's own.
    pub access: Option<Arc<dyn HostAccess>>,
}

impl Loader {
    /// The whole recipe.
    ///
    /// # Errors
    /// [`LoadError`] names file and cause.
    pub async fn load(
        &self,
        config: &PluginConfig,
        counters: Arc<Counters>,
    ) -> Result<Instance, LoadError> {
        let (inspected, copy) = self.check(config).await?;
        let secrets = Secrets::read(&config.secrets, &self.root);
        let origin = Origin::of(config, &secrets, &inspected);
        let (manifest, tally) = (inspected.manifest, Arc::default());
        self.open_apart(Recipe { origin, manifest, copy, secrets, counters, tally }).await
    }

    /// Opens it, and asks whether it is healthy. What was opened once, as it was then, can be once more.
    ///
    /// # Errors
    /// [`LoadError`] names file and cause.
    pub async fn open_apart(&self, recipe: Recipe) -> Result<Instance, LoadError> {
        let library = recipe.origin.config.library.clone();
        let instance = self.opens_apart(recipe).await?;
        let wont = |cause: String| LoadError::WontOpen { file: library.clone(), cause };
        let asked = tokio::time::timeout(OPENS_WITHIN, instance.health()).await;
        let asked = asked.map_err(|_| wont(takes_too_long("to say whether it is healthy")))?;
        let health = asked.map_err(|failed| wont(failed.to_string()))?;
        match health.ok {
            true => Ok(instance),
            false => Err(wont(format!("it isn't healthy: {}", health.message))),
        }
    }

    /// Everything up to the probe: what can be said about a plugin without loading it here. With its copy.
    ///
    /// # Errors
    /// [`LoadError`] names file and cause.
    pub async fn check(&self, config: &PluginConfig) -> Result<(Inspected, PathBuf), LoadError> {
        let library = config.library.clone();
        // It may be large, and on a slow disk.
        let inspected = tokio::task::spawn_blocking(move || inspect(&library)).await;
        let broken = |cause: String| LoadError::Broken { file: config.library.clone(), cause };
        let inspected = inspected.map_err(|error| broken(error.to_string()))??;
        let (found, wanted) = (&inspected.manifest.plugin_kind, config.kind.as_str());
        if found != wanted {
            let (file, found) = (config.library.clone(), found.clone());
            return Err(LoadError::OtherKind { file, found, wanted });
        }
        if let Some(wanted) =
            config.plugin.as_ref().filter(|name| **name != inspected.manifest.name)
        {
            return Err(LoadError::OtherName {
                file: config.library.clone(),
                found: inspected.manifest.name,
                wanted: wanted.clone(),
            });
        }
        if let Some(pinned) = config.sha256.as_ref().filter(|pinned| **pinned != inspected.sha256) {
            return Err(LoadError::OtherContent {
                file: config.library.clone(),
                found: inspected.sha256,
                pinned: pinned.clone(),
            });
        }
        takes_such_texts(config, &inspected.manifest)?;
        let copy = self.copy(config, &inspected)?;
        probe::run(&copy, config, &inspected.manifest, &self.root).await?;
        Ok((inspected, copy))
    }

    fn copy(&self, config: &PluginConfig, inspected: &Inspected) -> Result<PathBuf, LoadError> {
        cache::store(&self.cache, &inspected.manifest.name, &inspected.bytes).map_err(|error| {
            let folder = self.cache.display();
            let cause = format!("can't be copied to {folder}: {error}");
            LoadError::Broken { file: config.library.clone(), cause }
        })
    }

    /// Opens it on a thread of its own, whatever it does there: one that never comes back costs that thread.
    async fn opens_apart(&self, recipe: Recipe) -> Result<Instance, LoadError> {
        let config = recipe.origin.config.clone();
        let broken = |cause: String| LoadError::Broken { file: config.library.clone(), cause };
        let (loader, runtime) = (self.clone(), tokio::runtime::Handle::current());
        let (opened, opens) = oneshot::channel();
        let opening = move || {
            let instance = runtime.block_on(loader.open_here(recipe));
            // Nobody waits for it any more where it has taken too long.
            let _ = opened.send(instance);
        };
        let thread = std::thread::Builder::new().name(format!("opens {}", config.id));
        thread.spawn(opening).map_err(|error| broken(format!("no thread for it: {error}")))?;
        match tokio::time::timeout(OPENS_WITHIN, opens).await {
            Ok(Ok(instance)) => instance,
            Ok(Err(_)) => Err(broken("it panicked when it was opened".to_owned())),
            Err(_) => Err(broken(takes_too_long("to open"))),
        }
    }

    /// Opens a copy in this process: the host's own, or the probe's.
    pub(super) async fn open_here(&self, recipe: Recipe) -> Result<Instance, LoadError> {
        let config = &recipe.origin.config;
        let file = config.library.clone();
        let module = library::open(&recipe.copy)
            .map_err(|cause| LoadError::Broken { file: file.clone(), cause })?;
        let services = Services::new(&recipe, self.client.clone(), self.access.clone());
        let settings = serde_json::to_vec(&config.config).expect("RON values become JSON");
        let opening = module.open()(settings.into(), services.into_object());
        let opened: Result<ChannelObject, _> = opening.await.into_result();
        let object = opened.map_err(|bytes| {
            let error: Result<OpenError, PluginFailure> =
                decode(&bytes).unwrap_or_else(|message| Err(PluginFailure::NotUnderstood(message)));
            match error {
                Ok(OpenError::Config { path, message }) => LoadError::Config { path, message },
                Ok(OpenError::Failed(cause)) => LoadError::WontOpen { file, cause },
                Err(failure) => LoadError::WontOpen { file, cause: failure.to_string() },
            }
        })?;
        let threads = Threads::start(&config.id).map_err(|error| LoadError::WontOpen {
            file: config.library.clone(),
            cause: error.to_string(),
        })?;
        Ok(Instance::new(recipe, object, threads))
    }
}

/// Nobody relies on longer texts than the plugin takes (CH-11).
///
/// # Errors
/// [`LoadError::TextTooLong`].
pub(super) fn takes_such_texts(
    config: &PluginConfig,
    manifest: &ManifestInfo,
) -> Result<(), LoadError> {
    let longest = manifest.max_text;
    match config.max_text.filter(|own| *own > longest) {
        None => Ok(()),
        Some(own) => Err(LoadError::TextTooLong { own, plugin: manifest.name.clone(), longest }),
    }
}

fn takes_too_long(to: &str) -> String {
    let seconds = OPENS_WITHIN.as_secs();
    format!("it takes more than {seconds} s {to}, though it didn't when it was tried out")
}
