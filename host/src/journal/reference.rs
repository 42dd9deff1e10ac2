//! What replies are called outside.

use std::fmt;
use std::str::FromStr;

use cordboard_core::ids::{ConversationId, MessageNo};
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_back() {
        let conversation = ConversationId(Uuid::now_v7());
        for said_at in [None, Some(Timestamp(1_764_000_000_123))] {
            let reply = Reference { conversation, message: MessageNo(u32::MAX), said_at };
            let name = reply.to_string();
            assert!(name.len() <= 64);
            assert_eq!(name.parse(), Ok(reply));
            assert_eq!(format!("{name}.1.1").parse::<Reference>(), Err(()));
        }
        assert_eq!("verify.x".parse::<Reference>(), Err(()));
    }
}
