//! Names that say where they lead: of conversations, and of their replies at providers.

use std::fmt;
use std::str::FromStr;

use cordboard_core::ids::{ConversationId, MessageNo};
use cordboard_core::notice::ThreadKey;
use cordboard_core::time::Timestamp;
use uuid::Uuid;

/// A reply, as providers are told of it: conversation, number, and when it was said. A journal that is put back
/// from a copy gives a number again, to another reply; a provider that takes both for one would drop the second, and
/// a report on the first would be the second's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reference {
    /// Whose.
    pub conversation: ConversationId,
    /// Which entry.
    pub message: MessageNo,
    /// None in names that were given before they had it.
    pub said_at: Option<Timestamp>,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.conversation.0.simple(), self.message.0)?;
        self.said_at.map_or(Ok(()), |at| write!(f, ".{}", at.0))
    }
}

impl FromStr for Reference {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let mut parts = name.split('.');
        let id = parts.next().and_then(|id| Uuid::try_parse(id).ok()).ok_or(())?;
        let no = parts.next().and_then(|no| no.parse().ok()).ok_or(())?;
        let said_at = parts.next().map(|at| at.parse().map(Timestamp)).transpose();
        let said_at = said_at.map_err(|_| ())?;
        match parts.next() {
            Some(_) => Err(()),
            None => Ok(Self { conversation: ConversationId(id), message: MessageNo(no), said_at }),
        }
    }
}

/// A new name for a conversation of a thread. It grows with time (version 7), and its last two
/// bytes are the thread's hash, so that name and thread lead to the same shard. It is greater than that of the
/// one before it, whatever the clock showed when that began: the greatest of a thread is its newest.
pub(super) fn new_id(key: &ThreadKey, before: Option<ConversationId>) -> ConversationId {
    let mut bytes = *Uuid::now_v7().as_bytes();
    if let Some(before) = before.map(|before| *before.0.as_bytes())
        && before[..TIME] >= bytes[..TIME]
    {
        let ms = before[..TIME].iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte));
        let next = ms.saturating_add(1).to_be_bytes();
        bytes[..TIME].copy_from_slice(&next[next.len() - TIME..]);
    }
    bytes[14..].copy_from_slice(&hash_of_thread(key).to_be_bytes());
    ConversationId(Uuid::from_bytes(bytes))
}

/// Bytes of a name that are its time, in milliseconds.
const TIME: usize = 6;

pub(super) fn hash_of_id(id: ConversationId) -> u16 {
    let bytes = id.0.as_bytes();
    u16::from_be_bytes([bytes[14], bytes[15]])
}

/// FNV-1a, folded: it stands in names on disk, so it must never change.
pub(super) fn hash_of_thread(key: &ThreadKey) -> u16 {
    let bytes = key.channel.as_str().bytes().chain([0]).chain(key.customer.as_str().bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 16) ^ (hash >> 32) ^ (hash >> 48)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_thread_lead_to_the_same_shard() {
        let key = ThreadKey { channel: "sms".into(), customer: "+14255550100".into() };
        assert_eq!(hash_of_id(new_id(&key, None)), hash_of_thread(&key));
        assert_ne!(new_id(&key, None), new_id(&key, None));
    }

    // CONV-01
    #[test]
    fn names_of_a_thread_grow_though_the_clock_stood_ahead() {
        let key = ThreadKey { channel: "sms".into(), customer: "+14255550100".into() };
        let mut last = new_id(&key, None);
        let mut ahead = *last.0.as_bytes();
        ahead[0] += 1;
        last = last.max(ConversationId(Uuid::from_bytes(ahead)));
        for _ in 0..3 {
            let next = new_id(&key, Some(last));
            assert!(next > last, "{next} after {last}");
            assert_eq!(hash_of_id(next), hash_of_thread(&key));
            assert_eq!(next.0.get_version_num(), 7);
            last = next;
        }
    }

    #[test]
    fn references_read_back() {
        let key = ThreadKey { channel: "sms".into(), customer: "+14255550100".into() };
        for said_at in [None, Some(Timestamp(1_764_000_000_123))] {
            let reply = Reference {
                conversation: new_id(&key, None),
                message: MessageNo(u32::MAX),
                said_at,
            };
            let name = reply.to_string();
            assert!(name.len() <= 64);
            assert_eq!(name.parse(), Ok(reply));
            assert_eq!(format!("{name}.1.1").parse::<Reference>(), Err(()));
        }
        assert_eq!("verify.x".parse::<Reference>(), Err(()));
    }
}
