//! The recipe: hash, copy, read the manifest, probe in a child, load, check health.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cordboard_sdk::abi::ChannelObject;
use cordboard_sdk::{ManifestInfo, OpenError, PluginFailure, decode};

use crate::config::{ChannelConfig, StrategyConfig};
use crate::plugin::channel::ChannelHandle;
use crate::plugin::manifest::{self, ManifestError};
use crate::plugin::probe;
use crate::plugin::services::{HostAccess, Secrets, Services};
use crate::plugin::{cache, library};

/// Why a channel isn't there. Each message names file and cause.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read.
    #[error("{}: {cause}; build the plugins first, or correct `plugin`", .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// The file system's complaint.
        cause: std::io::Error,
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
    bytes: Vec<u8>,
}

/// Reads a library and its manifest. Nothing of it runs.
///
/// # Errors
/// [`LoadError::Unreadable`] or [`LoadError::NotAPlugin`].
pub fn inspect(file: &Path) -> Result<Inspected, LoadError> {
    let bytes = read_library(file)
        .map_err(|cause| LoadError::Unreadable { file: file.to_owned(), cause })?;
    let manifest = manifest::read(&bytes)
        .map_err(|cause| LoadError::NotAPlugin { file: file.to_owned(), cause })?;
    Ok(Inspected { manifest, sha256: cache::hash(&bytes), bytes })
}

/// A regular file of a sensible size: a pipe would never begin, and a device never end.
fn read_library(file: &Path) -> std::io::Result<Vec<u8>> {
    const MOST_BYTES: u64 = 512 * 1024 * 1024;
    let refused = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
    let about = std::fs::metadata(file)?;
    if !about.is_file() {
        return Err(refused("it isn't a regular file".to_owned()));
    }
    if about.len() > MOST_BYTES {
        return Err(refused(format!("it has {} bytes; at most {MOST_BYTES}", about.len())));
    }
    std::fs::read(file)
}

/// Loads channels.
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
    /// The whole recipe for one channel.
    ///
    /// # Errors
    /// [`LoadError`] names file and cause.
    pub async fn load(&self, config: &ChannelConfig) -> Result<ChannelHandle, LoadError> {
        let inspected = self.check(config).await?;
        self.open_checked(config, inspected).await
    }

    /// The same for a strategy.
    ///
    /// # Errors
    /// [`LoadError`] names file and cause.
    pub async fn load_strategy(&self, config: &StrategyConfig) -> Result<ChannelHandle, LoadError> {
        let inspected = self.check_strategy(config).await?;
        self.open_checked(&config.as_plugin(), inspected).await
    }

    async fn open_checked(
        &self,
        config: &ChannelConfig,
        inspected: Inspected,
    ) -> Result<ChannelHandle, LoadError> {
        let copy = self.copy(config, &inspected)?;
        let handle = self.open_here(config, &inspected.manifest, &copy).await?;
        let health = handle.health().await.map_err(|failed| LoadError::WontOpen {
            file: config.library.clone(),
            cause: failed.to_string(),
        })?;
        if !health.ok {
            let cause = format!("it isn't healthy: {}", health.message);
            return Err(LoadError::WontOpen { file: config.library.clone(), cause });
        }
        Ok(handle)
    }

    /// Everything up to the probe: what can be said about a channel without loading it here.
    ///
    /// # Errors
    /// [`LoadError`] names file and cause.
    pub async fn check(&self, config: &ChannelConfig) -> Result<Inspected, LoadError> {
        self.check_kind(config, "channel").await
    }

    /// The same for a strategy.
    ///
    /// # Errors
    /// [`LoadError`] names file and cause.
    pub async fn check_strategy(&self, config: &StrategyConfig) -> Result<Inspected, LoadError> {
        self.check_kind(&config.as_plugin(), "strategy").await
    }

    async fn check_kind(
        &self,
        config: &ChannelConfig,
        wanted: &'static str,
    ) -> Result<Inspected, LoadError> {
        let inspected = inspect(&config.library)?;
        let found = &inspected.manifest.plugin_kind;
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
        let longest = inspected.manifest.max_text;
        if let Some(own) = config.max_text.filter(|own| *own > longest) {
            let plugin = inspected.manifest.name;
            return Err(LoadError::TextTooLong { own, plugin, longest });
        }
        let copy = self.copy(config, &inspected)?;
        probe::run(&copy, config, &inspected.manifest, &self.root).await?;
        Ok(inspected)
    }

    fn copy(&self, config: &ChannelConfig, inspected: &Inspected) -> Result<PathBuf, LoadError> {
        cache::store(&self.cache, &inspected.manifest.name, &inspected.bytes).map_err(|error| {
            let folder = self.cache.display();
            let cause = format!("can't be copied to {folder}: {error}");
            LoadError::Broken { file: config.library.clone(), cause }
        })
    }

    /// Opens a copy in this process: the host's own, or the probe's.
    pub(super) async fn open_here(
        &self,
        config: &ChannelConfig,
        manifest: &ManifestInfo,
        copy: &Path,
    ) -> Result<ChannelHandle, LoadError> {
        let file = config.library.clone();
        let module =
            library::open(copy).map_err(|cause| LoadError::Broken { file: file.clone(), cause })?;
        let secrets = Secrets::read(&config.secrets, &self.root);
        let services =
            Services::new(config, manifest, secrets, self.client.clone(), self.access.clone());
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
        Ok(ChannelHandle::new(config.id.clone(), manifest.clone(), object))
    }
}
