//! What agents do, the same over REST and WebSocket.

use cordboard_core::agent;
use cordboard_core::conversation::{Input, Refused, Reply, State, Target};
use cordboard_core::ids::{AgentId, ConversationId, OfferId};
use cordboard_core::message::Media;
use cordboard_core::presence::BaseStatus;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::actors::{Deliver, Directory, TellAgent, To};
use crate::config::{Config, Permission, Role};
use crate::http::api::stored;
use crate::http::caller::Caller;
use crate::http::error::{ApiError, success};
use crate::journal::{Reader, dedup_key};

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
    /// Choose a status or a label, or go back to the computed status with neither.
    Presence {
        /// The base status; the label's own if only a label is given.
        #[serde(default)]
        status: Option<BaseStatus>,
        /// One of the configured labels, by its name there (PRES-01).
        #[serde(default)]
        label: Option<String>,
    },
    /// Take waiting work by hand (ROUTE-10, ROUTE-14).
    Take {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// Hand over (CONV-03).
    Transfer {
        /// Which conversation.
        conversation: ConversationId,
        /// To whom.
        to: Target,
    },
    /// Ask a colleague for advice (CONV-03).
    Consult {
        /// About which conversation.
        conversation: ConversationId,
        /// Whom; anybody of its queue if nobody is named.
        #[serde(default)]
        agent: Option<AgentId>,
    },
    /// Take back what was asked of colleagues, and thank those who advise.
    EndConsult {
        /// Of which conversation.
        conversation: ConversationId,
    },
    /// Take a conversation over from whoever has it.
    TakeOver {
        /// Which conversation.
        conversation: ConversationId,
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
        /// The wrap-up code (CONV-08).
        #[serde(default)]
        disposition: Option<String>,
        /// What it was about (CONV-08).
        #[serde(default)]
        summary: Option<String>,
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
            let choice = chosen_presence(&directory.config(), status, label)?;
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
        Command::Take { conversation } => take(directory, caller, conversation).await,
        Command::Transfer { conversation, to } => {
            must_exist(directory, &to)?;
            ask(directory, conversation, Input::Transfer { agent, to }).await
        }
        Command::Consult { conversation, agent: with } => {
            if let Some(with) = &with {
                must_exist(directory, &Target::Agent(with.clone()))?;
            }
            ask(directory, conversation, Input::Consult { agent, with }).await
        }
        Command::EndConsult { conversation } => {
            ask(directory, conversation, Input::EndConsult { agent }).await
        }
        Command::TakeOver { conversation } => {
            caller.must(directory, Permission::TakeOver)?;
            ask(directory, conversation, Input::TakeOver { agent }).await
        }
        Command::End { conversation } => {
            // Who may ends anybody's (CONV-07); everybody their own.
            let may = directory.config().permits(caller.role, Permission::EndConversation);
            let by = (!may).then_some(agent);
            ask(directory, conversation, Input::End { agent: by }).await
        }
        Command::FinishWrapUp { conversation, disposition, summary } => {
            let count = summary.as_ref().map_or(0, |summary| summary.chars().count());
            if count > MOST_SUMMARY {
                let why = format!("the summary has {count} characters; at most {MOST_SUMMARY}");
                return Err(ApiError::Malformed(why));
            }
            let input = Input::FinishWrapUp { agent, disposition, summary };
            ask(directory, conversation, input).await
        }
    }
}

/// Characters of a conversation's summary.
const MOST_SUMMARY: usize = 4000;

/// The agent's machine sets a place aside and asks the conversation; what comes of it is seen on the
/// agent's screens.
async fn take(
    directory: &Directory,
    caller: &Caller,
    conversation: ConversationId,
) -> Result<(), ApiError> {
    let reader = Reader::open(&directory.config().host.data)?;
    let machine = stored(&reader, directory, conversation)?;
    if machine.state() != State::Open {
        let refused = Refused::WrongState { action: "take", state: machine.state() };
        return Err(refused.into());
    }
    let config = directory.config();
    let mine = config.agent(&caller.agent).map(|agent| &agent.settings.queues);
    if !mine.is_some_and(|queues| queues.contains(machine.queue())) {
        caller.needs(Role::Supervisor)?;
    }
    let policy = machine.settings().expect("it has just been given them").clone();
    let load = machine.standing().ticket.load(&policy);
    let beyond = config.permits(caller.role, Permission::SelfAssign);
    tell(directory, caller, agent::Input::Pick { conversation, load, beyond }).await
}

/// Whoever or whatever work is handed to must be there.
fn must_exist(directory: &Directory, to: &Target) -> Result<(), ApiError> {
    let config = directory.config();
    let missing = match to {
        Target::Agent(agent) if config.agent(agent).is_none() => format!("agent `{agent}`"),
        Target::Queue(queue) if !config.queues.iter().any(|known| known.id == *queue) => {
            format!("queue `{queue}`")
        }
        Target::Agent(_) | Target::Queue(_) => return Ok(()),
    };
    Err(ApiError::NotFound(missing))
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
    config: &Config,
    status: Option<BaseStatus>,
    label: Option<String>,
) -> Result<Option<(BaseStatus, String)>, ApiError> {
    let label = label.filter(|label| !label.trim().is_empty());
    if status == Some(BaseStatus::Offline) {
        let why = "`offline` isn't chosen: sign out, or choose `away`";
        return Err(ApiError::Malformed(why.to_owned()));
    }
    let Some(label) = label else {
        return Ok(status.map(|status| (status, status.as_str().to_owned())));
    };
    let Some(known) = config.labels.iter().find(|known| known.id == label) else {
        let known: Vec<&str> = config.labels.iter().map(|label| label.id.as_str()).collect();
        let why = format!("there is no label \"{label}\"; known: {}", known.join(", "));
        return Err(ApiError::Malformed(why));
    };
    if status.is_some_and(|status| status != known.status) {
        let why = format!("the label \"{label}\" stands for {}", known.status.as_str());
        return Err(ApiError::Malformed(why));
    }
    Ok(Some((known.status, known.name.clone())))
}
