//! The bytes that cross the boundary: MessagePack with field names, so that either side may know
//! fields that the other doesn't.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The operations of an open plugin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// [`crate::Channel::receive`].
    Receive,
    /// [`crate::Channel::send`].
    Send,
    /// [`crate::Channel::verify`].
    Verify,
    /// [`crate::Channel::health`].
    Health,
    /// [`crate::Strategy::rank`].
    Rank,
    /// [`crate::Channel::close`], [`crate::Strategy::close`].
    Close,
}

impl Operation {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Send => "send",
            Self::Verify => "verify",
            Self::Health => "health",
            Self::Rank => "rank",
            Self::Close => "close",
        }
    }

    /// The operation of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Receive, Self::Send, Self::Verify, Self::Health, Self::Rank, Self::Close]
            .into_iter()
            .find(|operation| operation.as_str() == name)
    }
}

/// What went wrong inside a plugin, beside what its own types can say.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginFailure {
    /// It panicked; the instance goes on.
    #[error("panicked at {place}: {message}")]
    Panicked {
        /// What it said.
        message: String,
        /// File, line and column.
        place: String,
    },
    /// It doesn't know the operation, or not these bytes.
    #[error("doesn't understand the host: {0}")]
    NotUnderstood(String),
}

/// Encodes a value for the other side.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("the SDK's own types can be encoded")
}

/// Decodes what the other side has sent.
///
/// # Errors
/// A sentence with the decoder's complaint.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    rmp_serde::from_slice(bytes).map_err(|e| format!("malformed bytes from the other side: {e}"))
}
