//! Names of conversations, which say where they lead.

use cordboard_core::ids::ConversationId;
use cordboard_core::notice::ThreadKey;
use uuid::Uuid;

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
}
