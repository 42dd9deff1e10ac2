//! What an instance was opened with: whoever is opened with the same is the same.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::load::{Inspected, LoadError};
use super::services::Secrets;
use crate::config::PluginConfig;

/// Configuration, secrets, and the content of the library.
#[derive(Clone, Debug)]
pub struct Origin {
    /// As it stood in the files.
    pub config: PluginConfig,
    /// Tells the secrets from others, and says nothing of them.
    secrets: [u8; 32],
    /// SHA-256 of the library, in hexadecimal; none, if it couldn't be read.
    pub sha256: Option<String>,
    stamp: Option<Stamp>,
}

impl Origin {
    /// Of what lies there now. A file that was looked at before isn't read again.
    pub fn now(config: &PluginConfig, root: &Path, known: Option<&Self>) -> Self {
        let stamp = Stamp::of(&config.library);
        let is_known = |known: &&Self| {
            stamp.is_some() && known.stamp == stamp && known.config.library == config.library
        };
        let sha256 = match known.filter(is_known) {
            Some(known) => known.sha256.clone(),
            None => super::load::inspect(&config.library).ok().map(|found| found.sha256),
        };
        let secrets = Secrets::read(&config.secrets, root).mark();
        Self { config: config.clone(), secrets, sha256, stamp }
    }

    /// Of a copy that somebody else has looked at.
    pub fn of_copy(config: PluginConfig, secrets: &Secrets) -> Self {
        Self { config, secrets: secrets.mark(), sha256: None, stamp: None }
    }

    /// Of what was looked at just now.
    pub fn of(config: &PluginConfig, secrets: &Secrets, inspected: &Inspected) -> Self {
        let (secrets, stamp) = (secrets.mark(), inspected.stamp);
        Self { config: config.clone(), secrets, sha256: Some(inspected.sha256.clone()), stamp }
    }

    /// What has to change for one to become the other, in a few words each; none: they are the same.
    pub fn differs_from(&self, other: &Self) -> Vec<String> {
        let mut differ: Vec<String> = self
            .config
            .differs_from(&other.config)
            .into_iter()
            .map(|setting| format!("{}.{setting}", self.config.place.path))
            .collect();
        let is_the_same_file = self.config.library == other.config.library;
        if is_the_same_file && self.sha256 != other.sha256 {
            differ.push(format!("the file {}", self.config.library.display()));
        }
        if self.secrets != other.secrets && self.config.secrets == other.config.secrets {
            differ.push("the content of its secrets".to_owned());
        }
        differ
    }

    /// Whether it is the same.
    pub fn is(&self, other: &Self) -> bool {
        self.differs_from(other).is_empty()
    }
}

/// Tells a file that was written anew without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed_at: (i64, i64),
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        std::fs::metadata(file).ok().map(|about| Self::from(&about))
    }
}

impl From<&Metadata> for Stamp {
    fn from(about: &Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            bytes: about.len(),
            changed_at: (about.ctime(), about.ctime_nsec()),
        }
    }
}

/// Why something isn't put in another's place, and what it was.
#[derive(Clone, Debug)]
pub struct Refused {
    /// What isn't tried again by itself.
    pub origin: Origin,
    /// In a sentence.
    pub why: String,
}

impl Refused {
    /// It can't be opened.
    pub fn to_open(origin: Origin, error: &LoadError) -> Self {
        Self { origin, why: format!("it isn't taken, and the one of before goes on: {error}") }
    }
}
