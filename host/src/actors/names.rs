//! Names that say where they lead: of conversations, and of their replies at providers.

use cordboard_core::ids::{ConversationId, MessageNo};
use cordboard_core::notice::ThreadKey;
use uuid::Uuid;

/// Replies' names at providers: conversation and number.
pub fn reference(conversation: ConversationId, message: MessageNo) -> String {
    format!("{}.{}", conversation.0.simple(), message.0)
}

/// The reply of a name.
pub fn parse_reference(reference: &str) -> Option<(ConversationId, MessageNo)> {
    let (id, no) = reference.rsplit_once('.')?;
    Some((ConversationId(Uuid::try_parse(id).ok()?), MessageNo(no.parse().ok()?)))
}

/// A new name for a conversation of a thread. It grows with time (version 7), and its last two
/// bytes are the thread's hash, so that name and thread lead to the same shard.
pub(super) fn new_id(key: &ThreadKey) -> ConversationId {
    let mut bytes = *Uuid::now_v7().as_bytes();
    bytes[14..].copy_from_slice(&hash_of_thread(key).to_be_bytes());
    ConversationId(Uuid::from_bytes(bytes))
}

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
        assert_eq!(hash_of_id(new_id(&key)), hash_of_thread(&key));
        assert_ne!(new_id(&key), new_id(&key));
    }

    #[test]
    fn references_read_back() {
        let key = ThreadKey { channel: "sms".into(), customer: "+14255550100".into() };
        let id = new_id(&key);
        let reference = reference(id, MessageNo(7));
        assert!(reference.len() <= 64);
        assert_eq!(parse_reference(&reference), Some((id, MessageNo(7))));
        assert_eq!(parse_reference("verify.x"), None);
    }
}
