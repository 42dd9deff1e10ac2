//! What agents do, the same over REST and WebSocket.

use cordboard_core::agent;
use cordboard_core::conversation::{Input, Reply};
use cordboard_core::ids::{ConversationId, OfferId};
use cordboard_core::message::Media;
use cordboard_core::presence::BaseStatus;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::actors::{Deliver, Directory, TellAgent, To};
use crate::config::Role;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, success};
use crate::journal::dedup_key;

/// A command, as the WebSocket carries it.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Take an offer.
    Accept {
        /// Which.
        #[schema(value_type = String)]
        offer: OfferId,
    },
    /// Say no to an offer.
    Refuse {
        /// Which.
        #[schema(value_type = String)]
        offer: OfferId,
    },
    /// Choose a status, or go back to the computed one with `null`.
    Presence {
        /// The base status.
        status: Option<BaseStatus>,
        /// What is shown instead of its name; at most 64 characters.
        #[serde(default)]
        label: Option<String>,
    },
    /// Reply to the customer.
    Reply {
        /// In which conversation.
        conversation: ConversationId,
        /// The text.
        #[serde(default)]
        text: String,
        /// Files, by URL.
        #[serde(default)]
        media: Vec<Media>,
        /// The screen's own name for it: a repeated reply with the same key is sent once.
        #[serde(default)]
        client_key: Option<String>,
    },
    /// Write an internal note.
    Note {
        /// In which conversation.
        conversation: ConversationId,
        /// The text.
        text: String,
    },
    /// Leave for now.
    Leave {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// Come back.
    Rejoin {
        /// To which conversation.
        conversation: ConversationId,
    },
    /// End for the customer; wrap-up begins.
    End {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// Wrap-up is done.
    FinishWrapUp {
        /// Of which conversation.
        conversation: ConversationId,
    },
}

/// Does it.
///
/// # Errors
/// [`ApiError`] with the machine's own sentence.
pub async fn run(directory: &Directory, caller: &Caller, command: Command) -> Result<(), ApiError> {
    let agent = caller.agent.clone();
    match command {
        Command::Accept { offer } => tell(directory, caller, agent::Input::Accept { offer }).await,
        Command::Refuse { offer } => tell(directory, caller, agent::Input::Refuse { offer }).await,
        Command::Presence { status, label } => {
            let choice = chosen_presence(status, label)?;
            tell(directory, caller, agent::Input::SetPresence(choice)).await
        }
        Command::Reply { conversation, text, media, client_key } => {
            let scope = format!("reply/{conversation}/{agent}");
            let input = Input::Reply(Reply { agent, text, media });
            let mut deliver = Deliver::new(To::Id(conversation), input);
            deliver.dedup = client_key.map(|key| dedup_key(&scope, &key));
            success(directory.ask(deliver).await)
        }
        Command::Note { conversation, text } => {
            let as_supervisor = caller.role >= Role::Supervisor;
            ask(directory, conversation, Input::Note { agent, text, as_supervisor }).await
        }
        Command::Leave { conversation } => {
            ask(directory, conversation, Input::Leave { agent }).await
        }
        Command::Rejoin { conversation } => {
            ask(directory, conversation, Input::Rejoin { agent }).await
        }
        Command::End { conversation } => {
            // Supervisors end anybody's (CONV-07); agents their own.
            let by = (caller.role < Role::Supervisor).then_some(agent);
            ask(directory, conversation, Input::End { agent: by }).await
        }
        Command::FinishWrapUp { conversation } => {
            ask(directory, conversation, Input::FinishWrapUp { agent }).await
        }
    }
}

async fn ask(
    directory: &Directory,
    conversation: ConversationId,
    input: Input,
) -> Result<(), ApiError> {
    success(directory.ask(Deliver::new(To::Id(conversation), input)).await)
}

async fn tell(directory: &Directory, caller: &Caller, input: agent::Input) -> Result<(), ApiError> {
    let actor = directory.agent(&caller.agent).ok_or(ApiError::NotSignedIn)?;
    let (sender, receiver) = oneshot::channel();
    actor.do_send(TellAgent { input, answer: Some(sender) });
    let stopping = |_| ApiError::Unavailable("the host is stopping".to_owned());
    receiver.await.map_err(stopping)?.map_err(ApiError::from)
}

fn chosen_presence(
    status: Option<BaseStatus>,
    label: Option<String>,
) -> Result<Option<(BaseStatus, String)>, ApiError> {
    let Some(status) = status else { return Ok(None) };
    if status == BaseStatus::Offline {
        let why = "`offline` isn't chosen: sign out, or choose `away`";
        return Err(ApiError::Malformed(why.to_owned()));
    }
    let label = label.filter(|label| !label.trim().is_empty());
    let label = label.unwrap_or_else(|| status.as_str().to_owned());
    let count = label.chars().count();
    if count > 64 {
        let why = format!("the label has {count} characters; at most 64");
        return Err(ApiError::Malformed(why));
    }
    Ok(Some((status, label)))
}
