//! Conversations come from the journal, or begin: which of a thread's takes a message.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use actix::{Actor, Addr};
use cordboard_core::Conversation;
use cordboard_core::ids::{Address, ConversationId};
use cordboard_core::notice::ThreadKey;
use cordboard_core::switchboard::{self, Before, Dialogue, Key};

use super::{Live, Shard};
use crate::actors::conversation::{ConversationActor, Loaded, Tally};
use crate::actors::deliver::{Deliver, To};
use crate::actors::names::new_id;
use crate::grief;
use crate::journal::{JournalError, Reader, Stored, Trouble};

/// What has to be known from the journal before an input can be dealt with.
pub(super) enum Question {
    /// A conversation that isn't in memory.
    Conversation(ConversationId),
    /// The one that takes a thread's next message.
    Taker {
        /// Channel and customer.
        key: ThreadKey,
        /// The newest, if it is in memory.
        live: Option<ConversationId>,
        /// It takes no message any more.
        not: Option<ConversationId>,
        /// The message's key.
        dedup: Option<Key>,
        /// Who was erased may have written the same, as far as was known when it was asked.
        may_be_spent: bool,
    },
    /// Only that, as it is known who takes it.
    IsSpent(Key),
}

/// What the journal says.
pub(super) enum Found {
    /// This one, which takes it.
    Conversation(Box<OnDisk>),
    /// No such conversation.
    Nothing,
    /// A new one takes it.
    Begins(ConversationId, Before),
    /// Somebody who was erased has written it: it is a repetition of nothing that is left.
    Spent,
    /// Nobody who was erased has.
    IsntSpent,
}

/// A conversation as it was read.
pub(super) struct OnDisk {
    machine: Box<Conversation>,
    stored: Stored,
    keys: HashSet<Key>,
    open_replies: u32,
}

impl Question {
    /// Asks; on a thread that may wait for the disk.
    pub fn ask(self, reader: &Reader) -> Result<Found, JournalError> {
        may_be_read()?;
        match self {
            Self::Conversation(id) => {
                let found = OnDisk::read(reader, id)?;
                Ok(found.map_or(Found::Nothing, |found| Found::Conversation(Box::new(found))))
            }
            Self::Taker { dedup: Some(key), may_be_spent: true, .. } | Self::IsSpent(key)
                if reader.is_spent(key)? =>
            {
                Ok(Found::Spent)
            }
            Self::IsSpent(_) => Ok(Found::IsntSpent),
            Self::Taker { key, live, not, dedup, .. } => {
                let found = taker(reader, &key, live, not)?;
                // In this order: where its conversation was there no more, that it is spent was there before.
                Ok(match (&found, dedup) {
                    (Found::Begins(..), Some(key)) if reader.is_spent(key)? => Found::Spent,
                    _ => found,
                })
            }
        }
    }
}

fn taker(
    reader: &Reader,
    key: &ThreadKey,
    live: Option<ConversationId>,
    not: Option<ConversationId>,
) -> Result<Found, JournalError> {
    let thread = reader.thread(key)?;
    let newest = live.or(thread.newest);
    if let Some(id) = switchboard::taker(newest, not)
        && let Some(found) = OnDisk::read(reader, id)?
    {
        return Ok(Found::Conversation(Box::new(found)));
    }
    let id = new_id(key, newest);
    let before = Before { opted_out: thread.opted_out, ..before(reader, key, id, newest)? };
    Ok(Found::Begins(id, before))
}

/// What a conversation of this name takes along from those before it; `last` is the one just before.
/// But not whether they opted out: that holds also if they said it in one that is forgotten.
fn before(
    reader: &Reader,
    key: &ThreadKey,
    id: ConversationId,
    last: Option<ConversationId>,
) -> Result<Before, JournalError> {
    let Some(last) = last else { return Ok(Before::default()) };
    let keys = reader.recent_keys(key, id)?;
    Ok(match reader.conversation(last)? {
        Some(last) => Before::after(&last, keys),
        None => Before { keys, ..Before::default() },
    })
}

impl OnDisk {
    pub fn read(reader: &Reader, id: ConversationId) -> Result<Option<Self>, JournalError> {
        let Some((machine, stored)) = reader.conversation_and_row(id)? else { return Ok(None) };
        let keys = reader.recent_keys(&machine.thread(), id)?;
        let open_replies = reader.open_replies(id)?;
        Ok(Some(Self { machine: Box::new(machine), stored, keys, open_replies }))
    }
}

/// What shards read fails now and then, on disks that do; and in tests.
pub(super) fn may_be_read() -> Result<(), JournalError> {
    match grief::provoked_error("read") {
        false => Ok(()),
        true => Err(JournalError::new(Trouble::Disk, "provoked by CORDBOARD_PANIC")),
    }
}

impl Shard {
    /// Whether something has to be read before it can be dealt with.
    pub(super) fn has_to_look(&self, deliver: &Deliver) -> bool {
        self.live_of(&deliver.to).is_none() || self.dedup_of(deliver).is_some()
    }

    /// What has to be read before it can be dealt with; nothing if all is in memory.
    pub(super) fn question_of(&self, deliver: &Deliver) -> Option<Question> {
        let spent = self.dedup_of(deliver);
        if self.live_of(&deliver.to).is_some() {
            return spent.map(Question::IsSpent);
        }
        Some(match &deliver.to {
            To::Id(id) => Question::Conversation(*id),
            To::Thread { key, not, .. } => {
                let live = self.threads.get(key).copied();
                let (dedup, may_be_spent) = (deliver.dedup, spent.is_some());
                Question::Taker { key: key.clone(), live, not: *not, dedup, may_be_spent }
            }
        })
    }

    /// The key of a customer's message, where somebody who was erased may have written it.
    fn dedup_of(&self, deliver: &Deliver) -> Option<Key> {
        let is_a_text = matches!(deliver.to, To::Thread { .. });
        deliver.dedup.filter(|key| is_a_text && self.directory.erased.may_have(*key))
    }

    /// The conversation that it goes to, if that is in memory.
    pub(super) fn live_of(&self, to: &To) -> Option<&Live> {
        let id = match to {
            To::Id(id) => Some(*id),
            To::Thread { key, not, .. } => switchboard::taker(self.threads.get(key).copied(), *not),
        };
        id.and_then(|id| self.live.get(&id))
    }

    /// Which conversation an input goes to, all of which it needs to know being known; none if there is none.
    pub(super) fn place_of(
        &mut self,
        to: &To,
        found: Option<Found>,
        shard: &Addr<Self>,
    ) -> Option<ConversationId> {
        let read = match found {
            Some(Found::Conversation(found)) => {
                let id = found.machine.id();
                // It may have come back by another way meanwhile, and gone on.
                if !self.live.contains_key(&id) {
                    let loaded = self.loaded(*found);
                    self.start(loaded, shard);
                }
                Some(id)
            }
            Some(Found::Begins(id, before)) => {
                let To::Thread { key, own, .. } = to else { return None };
                let loaded = self.unopened(id, key, own, before)?;
                self.start(loaded, shard);
                Some(id)
            }
            Some(Found::Nothing | Found::Spent) => return None,
            Some(Found::IsntSpent) | None => None,
        };
        match to {
            To::Id(id) => Some(*id),
            To::Thread { key, not, .. } => {
                let id =
                    read.or_else(|| switchboard::taker(self.threads.get(key).copied(), *not))?;
                if read.is_some() {
                    self.threads.insert(key.clone(), id);
                }
                Some(id)
            }
        }
    }

    pub(super) fn loaded(&self, found: OnDisk) -> Loaded {
        let OnDisk { machine, stored, keys, open_replies } = found;
        let machine = Box::new(self.directory.with_settings(*machine));
        Loaded { dialogue: Dialogue::of(machine, keys), stored: Some(stored), open_replies }
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
        let live = Live {
            actor,
            tally,
            sent: 0,
            last_used,
            thread,
            own,
            last_agent,
            is_read_anew: false,
            unread: 0,
            once_more: Vec::new(),
        };
        self.live.insert(id, live);
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
