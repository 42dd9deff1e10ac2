//! What is said of a conversation in a command: the body of a request whose path names the conversation, and in a
//! screen's frame beside the conversation's name.

use std::borrow::Cow;

use cordboard_core::ids::{AgentId, ConversationId};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::http::content::FileBody;

/// A reply.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplyBody {
    /// The text; at most what the channel takes (SMS: 1600 characters).
    #[serde(default)]
    pub text: String,
    /// Files, by URL.
    #[serde(default)]
    pub media: Vec<FileBody>,
    /// Your own name for it: a repeated reply with the same key is sent once.
    #[serde(default)]
    pub client_key: Option<String>,
}

/// A note.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteBody {
    /// The text.
    pub text: String,
}

/// How it ended (CONV-08).
#[derive(Clone, Default, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WrapUpBody {
    /// A wrap-up code of the workstream.
    pub disposition: Option<String>,
    /// What it was about; at most 4000 characters.
    pub summary: Option<String>,
}

/// Whom to ask.
#[derive(Clone, Default, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsultBody {
    /// Anybody of the conversation's queue if nobody is named.
    #[schema(value_type = Option<String>)]
    pub agent: Option<AgentId>,
}

/// The conversation, and what is said of it.
#[derive(Clone, Debug)]
pub struct About<T> {
    /// Which conversation.
    pub conversation: ConversationId,
    /// What.
    pub said: T,
}

/// By names of their own: the API's description derives nothing of types with parameters that are described by hand.
pub type AboutConsult = About<ConsultBody>;
pub type AboutNote = About<NoteBody>;
pub type AboutReply = About<ReplyBody>;
pub type AboutWrapUp = About<WrapUpBody>;

// Not derived: what is flattened can't refuse fields that it doesn't know.
impl<'de, T: DeserializeOwned> Deserialize<'de> for About<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const NAME: &str = "conversation";
        let mut fields = Map::deserialize(deserializer)?;
        let conversation = fields.remove(NAME).ok_or_else(|| D::Error::missing_field(NAME))?;
        let conversation = ConversationId::deserialize(conversation).map_err(D::Error::custom)?;
        let said = T::deserialize(Value::Object(fields)).map_err(D::Error::custom)?;
        Ok(Self { conversation, said })
    }
}

impl<T: ToSchema> PartialSchema for About<T> {
    fn schema() -> RefOr<Schema> {
        let conversation = Ref::from_schema_name(ConversationId::name());
        let which =
            ObjectBuilder::new().property("conversation", conversation).required("conversation");
        let said = Ref::from_schema_name(T::name());
        AllOfBuilder::new().item(said).item(which).into()
    }
}

impl<T: ToSchema> ToSchema for About<T> {
    fn name() -> Cow<'static, str> {
        format!("About{}", T::name().trim_end_matches("Body")).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into(), T::schema()));
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-07
    #[test]
    fn what_isnt_known_is_refused_beside_the_conversation_too() {
        let id = ConversationId(uuid::Uuid::from_u128(7));
        let read = |text: &str| serde_json::from_str::<About<ReplyBody>>(text);
        let reply = read(&format!(r#"{{"conversation":"{id}","text":"hello"}}"#)).unwrap();
        assert_eq!((reply.conversation, &*reply.said.text), (id, "hello"));
        let error = read(&format!(r#"{{"conversation":"{id}","txt":"hello"}}"#)).unwrap_err();
        assert!(error.to_string().contains("unknown field `txt`"), "{error}");
        let error = read(r#"{"text":"hello"}"#).unwrap_err();
        assert!(error.to_string().contains("missing field `conversation`"), "{error}");
    }
}
