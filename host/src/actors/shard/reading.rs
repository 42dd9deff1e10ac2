//! Conversations come from the journal, or begin: which of a thread's takes a message.

use std::sync::Arc;
use std::time::Instant;

use actix::{Actor, Addr};
use cordboard_core::Conversation;
use cordboard_core::ids::{Address, ConversationId};
use cordboard_core::notice::ThreadKey;
use cordboard_core::switchboard::{self, Before, Dialogue};

use super::{Live, Shard};
use crate::actors::conversation::{ConversationActor, Loaded, Tally};
use crate::actors::names::new_id;
use crate::grief;
use crate::journal::{JournalError, Reader, Stored, Trouble};

impl Shard {
    /// The conversation that takes the thread's next message: live, passivated or new. Messages that one
    /// of them has sent back find the new one, and so do those behind them.
    pub(super) fn of_thread(
        &mut self,
        key: &ThreadKey,
        own: &Address,
        not: Option<ConversationId>,
        shard: &Addr<Self>,
    ) -> Result<Option<ConversationId>, JournalError> {
        // What is on disk of it, if that was asked for.
        let (newest, stored) = match self.threads.get(key) {
            Some(id) => (Some(*id), None),
            None => {
                let stored = self.reader()?.thread(key)?;
                (stored.newest, Some(stored))
            }
        };
        if let Some(id) = switchboard::taker(newest, not)
            && self.wake(id, shard)?
        {
            self.threads.insert(key.clone(), id);
            return Ok(Some(id));
        }
        let id = new_id(key, newest);
        let opted_out = match stored {
            Some(stored) => stored.opted_out,
            None => self.reader()?.thread(key)?.opted_out,
        };
        let before = Before { opted_out, ..self.before(key, id, newest)? };
        let Some(loaded) = self.unopened(id, key, own, before) else { return Ok(None) };
        self.start(loaded, shard);
        self.threads.insert(key.clone(), id);
        Ok(Some(id))
    }

    /// What a conversation of this name takes along from those before it; `last` is the one just before.
    /// But not whether they opted out: that holds also if they said it in one that is forgotten.
    fn before(
        &self,
        key: &ThreadKey,
        id: ConversationId,
        last: Option<ConversationId>,
    ) -> Result<Before, JournalError> {
        let Some(last) = last else { return Ok(Before::default()) };
        let keys = self.reader()?.recent_keys(key, id)?;
        Ok(match self.reader()?.conversation(last)? {
            Some(last) => Before::after(&last, keys),
            None => Before { keys, ..Before::default() },
        })
    }

    /// Brings a passivated conversation back; false if there is none.
    pub(super) fn wake(
        &mut self,
        id: ConversationId,
        shard: &Addr<Self>,
    ) -> Result<bool, JournalError> {
        if self.live.contains_key(&id) {
            return Ok(true);
        }
        let Some((machine, stored)) = self.read(id)? else { return Ok(false) };
        let loaded = self.loaded(machine, stored)?;
        self.start(loaded, shard);
        Ok(true)
    }

    /// What is read here fails now and then, on disks that do; and in tests.
    pub(super) fn reader(&self) -> Result<&Reader, JournalError> {
        match grief::provoked_error("read") {
            false => Ok(&self.reader),
            true => Err(JournalError::new(Trouble::Disk, "provoked by CORDBOARD_PANIC")),
        }
    }

    pub(super) fn read(
        &self,
        id: ConversationId,
    ) -> Result<Option<(Box<Conversation>, Stored)>, JournalError> {
        let stored = self.reader()?.conversation_and_row(id)?;
        let with_settings = |machine| Box::new(self.directory.with_settings(machine));
        Ok(stored.map(|(machine, stored)| (with_settings(machine), stored)))
    }

    pub(super) fn loaded(
        &self,
        machine: Box<Conversation>,
        stored: Stored,
    ) -> Result<Loaded, JournalError> {
        let id = machine.id();
        let keys = self.reader()?.recent_keys(&machine.thread(), id)?;
        let open_replies = self.reader()?.open_replies(id)?;
        let dialogue = Dialogue::of(machine, keys);
        Ok(Loaded { dialogue, stored: Some(stored), open_replies })
    }

    /// Nothing if there is no such channel.
    pub(super) fn unopened(
        &self,
        id: ConversationId,
        key: &ThreadKey,
        own: &Address,
        before: Before,
    ) -> Option<Loaded> {
        let Some(settings) = self.directory.in_force.of_channel(&key.channel) else {
            tracing::error!(channel = %key.channel, "a message of a channel that isn't configured");
            return None;
        };
        let opening = before.opening(key, own, country_of(&key.customer));
        let dialogue = Dialogue::new(id, opening, settings, before.keys);
        Some(Loaded { dialogue, stored: None, open_replies: 0 })
    }

    fn start(&mut self, loaded: Loaded, shard: &Addr<Self>) {
        let dialogue = &loaded.dialogue;
        let (id, thread, own) = (dialogue.id(), dialogue.thread(), dialogue.own().clone());
        // Of one that is on disk its machine knows.
        let is_new = dialogue.machine().is_none();
        let last_agent = dialogue.last_agent().filter(|_| is_new).cloned();
        let tally = Arc::new(Tally::default());
        let (directory, shard) = (self.directory.clone(), shard.clone());
        let actor = ConversationActor::new(loaded, directory, shard, tally.clone()).start();
        let last_used = Instant::now();
        self.live.insert(id, Live { actor, tally, sent: 0, last_used, thread, own, last_agent });
        self.directory.metrics.live_conversations.inc();
    }
}

/// The country of a number in E.164 form, two letters, also of one at another network
/// (`whatsapp:+43…`); numbers of no single country (and addresses that aren't numbers) have none.
fn country_of(address: &Address) -> Option<String> {
    let address = address.as_str();
    let number = address.split_once(':').map_or(address, |(_, number)| number);
    let number = phonenumber::parse(None, number).ok()?;
    number.country().id().map(|country| country.as_ref().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    // ROUTE-01
    #[test]
    fn a_number_has_its_country_at_every_network() {
        for (address, country) in [
            ("+436641234567", Some("AT")),
            ("whatsapp:+436641234567", Some("AT")),
            ("whatsapp:US.13491208655302741918", None),
            ("25392", None),
        ] {
            assert_eq!(country_of(&Address::new(address)).as_deref(), country, "{address}");
        }
    }
}
