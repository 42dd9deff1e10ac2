//! Replies: they go out through a channel's plugin, unless their customer wants none any more, and their conversation
//! hears what has become of them.

use std::sync::Arc;

use cordboard_core::conversation::Input;
use cordboard_core::ids::{Address, ConversationId};
use cordboard_core::message::Delivery;
use cordboard_core::notice::ThreadKey;
use cordboard_sdk::{Media, Outbound, SendError};

use super::errand::{Errand, Fate, Taker, Unwanted};
use crate::actors::{Answer, Deliver, Directory, To};
use crate::clock;
use crate::journal::{Begins, JournalError, OutboxRow, Reply, Settles};
use crate::plugin::{Instance, Slot};

/// A reply that is on disk.
pub(super) struct ReplyErrand {
    conversation: ConversationId,
    thread: ThreadKey,
    reply: Reply,
}

impl ReplyErrand {
    pub fn of(row: &OutboxRow) -> Result<Self, String> {
        let reply = Reply::of(row)?;
        let channel = row.target.as_channel();
        let channel = channel.ok_or_else(|| format!("{} is no channel", row.target))?;
        let thread = ThreadKey { channel, customer: Address::new(reply.to.as_str()) };
        Ok(Self { conversation: row.conversation, thread, reply })
    }
}

/// A channel's plugin, and how it is configured.
pub(super) struct Channel {
    slot: Arc<Slot>,
    instance: Arc<Instance>,
}

impl Errand for ReplyErrand {
    type With = Channel;

    fn taker(&self, directory: &Directory) -> Taker<Channel> {
        let Some(slot) = directory.plugins.channel(&self.thread.channel) else {
            // Whoever wrote it hears that, and nothing of it is kept for good.
            let why = format!("the channel {} isn't configured any more", self.thread.channel);
            let since = directory.plugins.gone_since(&self.thread.channel);
            let since = since.map_or_else(clock::since_start, |since| since.elapsed());
            return Taker::Unknown { since, unwanted: Unwanted { code: "no_channel", why } };
        };
        match slot.state.clone() {
            Ok(instance) => {
                let repeats = instance.repeats();
                Taker::There { with: Channel { slot, instance }, repeats }
            }
            Err(_) => Taker::Away,
        }
    }

    /// Perhaps they don't want it any more (CH-12). Where nobody has opted out since it was written, they do.
    async fn is_unwanted(
        &self,
        row: &OutboxRow,
        directory: &Directory,
    ) -> Result<Option<Unwanted>, JournalError> {
        if directory.opt_outs.none_since(row) {
            return Ok(None);
        }
        let thread = self.thread.clone();
        let known = directory.journal.read(move |reader| reader.thread(&thread)).await?;
        let why =
            || Unwanted { code: "opted_out", why: "the customer has opted out since".to_owned() };
        Ok(known.opted_out.then(why))
    }

    async fn attempt(
        &self,
        row: &OutboxRow,
        Channel { slot, instance }: &Channel,
    ) -> Result<Option<String>, SendError> {
        let media = self.reply.media.iter();
        let media = media.map(|media| Media {
            url: media.url.clone(),
            content_type: media.content_type.clone(),
        });
        let message = Outbound {
            idempotency_key: row.idempotency_key.to_string(),
            reference: row.reference.clone(),
            first_attempt_ms: row.first_attempt_at.unwrap_or_else(clock::now).0,
            from: self.reply.from.clone(),
            to: self.reply.to.clone(),
            text: self.reply.text.clone(),
            media: media.collect(),
            callback_url: slot.callback_url.clone(),
        };
        Ok(Some(instance.send(&message).await?.provider_id))
    }

    fn count(&self, outcome: &str, directory: &Directory) {
        let channel: &str = self.thread.channel.as_str();
        directory.metrics.sends.with_label_values(&[channel, outcome]).inc();
    }

    async fn tell(
        &self,
        row: &OutboxRow,
        fate: &Fate,
        next: Option<Begins>,
        directory: &Directory,
    ) -> Answer {
        let (delivery, provider_id) = match fate.clone() {
            Fate::Done { provider_id } => (Delivery::Sent, provider_id),
            Fate::Failed { code, reason } => (Delivery::Undelivered { code, reason }, None),
            Fate::Unconfirmed => (Delivery::Unconfirmed, None),
        };
        let Reply { message, said_at, .. } = self.reply;
        let input = Input::Delivery { message, said_at, delivery };
        let mut deliver = Deliver::new(To::Id(self.conversation), input);
        deliver.settles = Some(Settles { row: row.id, provider_id, next });
        directory.ask(deliver).await
    }

    /// What a provider says of somebody's wish is true of their whole thread: the conversation that goes on hears it as
    /// well as the one that the reply is of.
    async fn opted_out(&self, directory: &Directory) {
        let thread = self.thread.clone();
        let newest = directory.journal.read(move |reader| reader.thread(&thread)).await;
        let newest = newest.ok().and_then(|known| known.newest);
        let others = newest.filter(|id| *id != self.conversation);
        for id in std::iter::once(self.conversation).chain(others) {
            directory.deliver(Deliver::new(To::Id(id), Input::OptedOut { opted_out: true }));
        }
    }
}
