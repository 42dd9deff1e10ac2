//! What plugins see of the host: their own store, and where a customer stands in line.

use std::sync::{Arc, Weak};

use cordboard_core::ids::Address;
use cordboard_core::notice::ThreadKey;
use cordboard_sdk::QueuePlace;

use super::services::{Answer, HostAccess};
use crate::actors::{self, Directory};
use crate::journal::{PluginStore, Record};

/// They live in the host's directory, so they can't keep it alive.
pub(super) struct Access {
    pub directory: Weak<Directory>,
}

impl Access {
    fn directory(&self) -> Result<Arc<Directory>, String> {
        self.directory.upgrade().ok_or_else(|| "the host is stopping".to_owned())
    }
}

impl HostAccess for Access {
    fn get(&self, channel: &str, key: String) -> Answer<Option<Vec<u8>>> {
        let journal = self.directory().map(|directory| directory.journal.clone());
        let channel = channel.to_owned();
        Box::pin(async move {
            let journal = journal?;
            let read = journal.read(move |reader| reader.plugin_value(&channel, &key));
            read.await.map_err(|error| error.to_string())
        })
    }

    fn place(&self, channel: &str, customer: String) -> Answer<Option<QueuePlace>> {
        let key = ThreadKey { channel: channel.into(), customer: Address::new(customer) };
        let directory = self.directory();
        Box::pin(async move {
            let directory = directory?;
            let place = actors::place_of_thread(&directory, &key).await;
            let place = place.map_err(|error| error.to_string())?;
            Ok(place.map(|standing| QueuePlace {
                position: standing.position.and_then(|position| u32::try_from(position).ok()),
                waiting: u32::try_from(standing.waiting).unwrap_or(u32::MAX),
                estimated_wait_ms: standing.estimate.map(|wait| wait.0),
            }))
        })
    }

    fn put(&self, channel: &str, key: String, value: Vec<u8>) -> Answer<()> {
        let journal = self.directory().map(|directory| directory.journal.clone());
        let channel = channel.to_owned();
        Box::pin(async move {
            let journal = journal?;
            let value = Record::PluginValue { channel, key, value };
            let written = journal.write_now(value).await.map_err(|error| error.to_string())?;
            if written.is_too_many {
                let (values, bytes) = (PluginStore::MOST_VALUES, PluginStore::MOST_BYTES);
                return Err(format!(
                    "the channel's store is full: at most {values} values of {bytes} bytes together; remove some (store_remove)"
                ));
            }
            Ok(())
        })
    }

    fn remove(&self, channel: &str, key: String) -> Answer<()> {
        let journal = self.directory().map(|directory| directory.journal.clone());
        let channel = channel.to_owned();
        Box::pin(async move {
            let gone = Record::PluginValueRemoved { channel, key };
            journal?.write_now(gone).await.map(drop).map_err(|error| error.to_string())
        })
    }
}
