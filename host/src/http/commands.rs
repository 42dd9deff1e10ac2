//! What agents do, the same over REST and WebSocket.

use std::sync::Arc;

use cordboard_core::Conversation;
use cordboard_core::agent;
use cordboard_core::conversation::{Event, Input, Refused, Reply, State, Target};
use cordboard_core::ids::{AgentId, ConversationId, OfferId};
use cordboard_core::message::Media;
use cordboard_core::offer::ByHand;
use cordboard_core::presence::BaseStatus;
use cordboard_core::switchboard::{Denied, TakeUp, Taker, take_up};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::actors::{Answer, Deliver, Directory, NotDone, To};
use crate::config::{Config, Permission};
use crate::http::about::{
    About, AboutConsult, AboutNote, AboutReply, AboutWrapUp, ConsultBody, NoteBody, ReplyBody,
    WrapUpBody,
};
use crate::http::api::stored;
use crate::http::caller::Caller;
use crate::http::content;
use crate::http::error::{ApiError, success};
use crate::journal::{SessionFilter, dedup_key};

/// A command, as the WebSocket carries it.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
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
    Consult(AboutConsult),
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
    Reply(AboutReply),
    /// Write an internal note.
    Note(AboutNote),
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
    FinishWrapUp(AboutWrapUp),
}

/// Does it.
///
/// # Errors
/// [`ApiError`] with the machine's own sentence.
pub async fn run(
    directory: &Arc<Directory>,
    caller: &Caller,
    command: Command,
) -> Result<(), ApiError> {
    let conversation = command.conversation();
    // To its end: whoever hangs up in the midst of it leaves nothing half done, and nothing out of the audit
    // log.
    let (own, who) = (directory.clone(), caller.clone());
    let run = actix_web::rt::spawn(async move { run_it(&own, &who, command).await });
    let grief =
        |_| ApiError::Unavailable("the command came to grief; the log says more".to_owned());
    let result = run.await.map_err(grief)?;
    match (&result, conversation) {
        // A refusal would say that there is such a conversation, and how it stands.
        (
            Err(ApiError::Refused(_) | ApiError::NotMember { .. } | ApiError::Forbidden(_)),
            Some(id),
        ) if !knows_of(directory, caller, id).await? => {
            Err(ApiError::NotFound("such conversation".to_owned()))
        }
        _ => result,
    }
}

/// Nothing is written down of what isn't there.
pub(super) async fn must_be_there(
    directory: &Arc<Directory>,
    conversation: ConversationId,
) -> Result<(), ApiError> {
    current(directory, conversation).await.map(drop)
}

/// A conversation as it is now.
async fn current(
    directory: &Arc<Directory>,
    conversation: ConversationId,
) -> Result<Conversation, ApiError> {
    let own = directory.clone();
    directory.journal.read(move |reader| stored(reader, &own, conversation)).await
}

/// Whether this very reply stands there under its key: what is said again under a name must be the same.
async fn has_said(
    directory: &Directory,
    conversation: ConversationId,
    key: Option<i64>,
    input: &Input,
) -> Result<bool, ApiError> {
    let (Input::Reply(reply), Some(key)) = (input, key) else { return Ok(true) };
    let read = directory.journal.read(move |reader| reader.event_by_key(conversation, key));
    Ok(match read.await? {
        Some(Event::ReplyQueued { message }) => {
            (message.text, message.media) == (reply.text.clone(), reply.media.clone())
        }
        _ => false,
    })
}

/// Whether somebody may know that there is such a conversation: it is theirs or was (whoever is just
/// writing a reply wants to hear who has taken it over), waits in a queue of theirs, or they see others'.
pub(super) async fn knows_of(
    directory: &Arc<Directory>,
    caller: &Caller,
    id: ConversationId,
) -> Result<bool, ApiError> {
    if caller.sees_everything(directory) || caller.may(Permission::TakeOver) {
        return Ok(true);
    }
    let config = directory.config();
    let machine = current(directory, id).await?;
    let agent = &caller.agent;
    let mine = config.agent(agent).map(|agent| &agent.settings.queues);
    let waits_for_me = machine.state() == State::Open
        && mine.is_some_and(|queues| queues.contains(machine.queue()));
    if waits_for_me || machine.takes_part(agent) || machine.has_wrap_up_of(agent) {
        return Ok(true);
    }
    let conversation = Some(id);
    let agent = Some(agent.to_string());
    let had_it = SessionFilter { agent, conversation, ..SessionFilter::default() };
    let sessions = directory.journal.read(move |reader| reader.sessions(&had_it, None, 1));
    Ok(!sessions.await?.is_empty())
}

impl Command {
    /// Which permission it needs whoever the conversation is with. Others depend on whose it is, and are asked for when that
    /// is known.
    fn permission(&self) -> Option<Permission> {
        matches!(self, Self::TakeOver { .. }).then_some(Permission::TakeOver)
    }

    /// Which conversation it is about.
    fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Accept { .. } | Self::Refuse { .. } | Self::Presence { .. } => None,
            Self::Take { conversation }
            | Self::Transfer { conversation, .. }
            | Self::Consult(About { conversation, .. })
            | Self::EndConsult { conversation }
            | Self::TakeOver { conversation }
            | Self::Reply(About { conversation, .. })
            | Self::Note(About { conversation, .. })
            | Self::Leave { conversation }
            | Self::Rejoin { conversation }
            | Self::End { conversation }
            | Self::FinishWrapUp(About { conversation, .. }) => Some(*conversation),
        }
    }
}

async fn run_it(
    directory: &Arc<Directory>,
    caller: &Caller,
    command: Command,
) -> Result<(), ApiError> {
    caller.must_work()?;
    command.permission().map_or(Ok(()), |permission| caller.must(permission))?;
    let agent = caller.agent.clone();
    note_activity(directory, caller);
    match command {
        Command::Accept { offer } => {
            check_offer(&offer)?;
            let input = agent::Input::Accept { offer: offer.clone() };
            // The conversation has the last word, behind what the agent's machine has just sent.
            let Some(conversation) = tell(directory, caller, input).await? else { return Ok(()) };
            let confirm = Input::Confirm { agent, or_advises: true };
            match ask(directory, conversation, confirm).await {
                Err(ApiError::Refused(_)) => Err(agent::Refused::OfferGone { offer }.into()),
                answer => answer,
            }
        }
        Command::Refuse { offer } => {
            check_offer(&offer)?;
            tell(directory, caller, agent::Input::Refuse { offer }).await.map(drop)
        }
        Command::Presence { status, label } => {
            let choice = chosen_presence(&directory.config(), status, label)?;
            tell(directory, caller, agent::Input::SetPresence(choice)).await.map(drop)
        }
        Command::Reply(About { conversation, said: ReplyBody { text, media, client_key } }) => {
            let media: Vec<Media> = media.into_iter().map(Media::from).collect();
            content::check_text("the reply", &text, None)?;
            content::check_media(&media, &directory.config().host.public_url)?;
            if let Some(key) = &client_key {
                content::check_text("`client_key`", key, Some(content::MOST_NAME))?;
            }
            let scope = format!("reply/{conversation}/{agent}");
            let dedup = client_key.map(|key| dedup_key(&scope, &key));
            let input = Input::Reply(Reply { agent, text, media });
            let reply = || {
                let deliver = Deliver::new(To::Id(conversation), input.clone());
                directory.ask(Deliver { dedup, ..deliver })
            };
            let answer = match reply().await {
                // Whoever replies comes back (CONV-02).
                Answer::Refused(Refused::Left) => {
                    by_hand(directory, caller, conversation, ByHand::ComeBack).await?;
                    reply().await
                }
                answer => answer,
            };
            if matches!(answer, Answer::Duplicate)
                && !has_said(directory, conversation, dedup, &input).await?
            {
                return Err(ApiError::KeyUsed);
            }
            success(answer)
        }
        Command::Note(About { conversation, said: NoteBody { text } }) => {
            content::check_text("the note", &text, Some(content::MOST_NOTE))?;
            let as_supervisor = caller.sees_everything(directory);
            if as_supervisor {
                must_be_there(directory, conversation).await?;
                let subject = conversation.to_string();
                caller.noted(directory, "conversation.note", &subject, None).await?;
            }
            ask(directory, conversation, Input::Note { agent, text, as_supervisor }).await
        }
        Command::Leave { conversation } => {
            ask(directory, conversation, Input::Leave { agent }).await
        }
        Command::Rejoin { conversation } => {
            by_hand(directory, caller, conversation, ByHand::ComeBack).await
        }
        Command::Take { conversation } => {
            by_hand(directory, caller, conversation, ByHand::Take).await
        }
        Command::Transfer { conversation, to } => {
            must_exist(directory, &to)?;
            ask(directory, conversation, Input::Transfer { agent, to }).await
        }
        Command::Consult(About { conversation, said: ConsultBody { agent: with } }) => {
            if let Some(with) = &with {
                must_exist(directory, &Target::Agent(with.clone()))?;
                must_be_member(directory, conversation, with).await?;
            }
            ask(directory, conversation, Input::Consult { agent, with }).await
        }
        Command::EndConsult { conversation } => {
            ask(directory, conversation, Input::EndConsult { agent }).await
        }
        Command::TakeOver { conversation } => {
            by_hand(directory, caller, conversation, ByHand::TakeOver).await
        }
        Command::End { conversation } => {
            // Everybody ends their own; who may, anybody's (CONV-07). Whose it is the conversation says
            // itself: it may change hands between a look at it and the end.
            let end = |supervises| Input::End { agent: Some(agent.clone()), supervises };
            match ask(directory, conversation, end(false)).await {
                Err(ApiError::Refused(Refused::NotPrimary { .. }))
                    if caller.may(Permission::EndConversation) =>
                {
                    let subject = conversation.to_string();
                    caller.noted(directory, "conversation.end", &subject, None).await?;
                    ask(directory, conversation, end(true)).await
                }
                answer => answer,
            }
        }
        Command::FinishWrapUp(About { conversation, said }) => {
            let WrapUpBody { disposition, summary } = said;
            if let Some(summary) = &summary {
                content::check_text("the summary", summary, Some(MOST_SUMMARY))?;
            }
            let input = Input::FinishWrapUp { agent, disposition, summary };
            ask(directory, conversation, input).await
        }
    }
}

/// An offer that nobody can have made, however long, isn't passed on.
fn check_offer(offer: &OfferId) -> Result<(), ApiError> {
    content::check_text("the offer's queue", offer.queue.as_str(), Some(content::MOST_NAME))
}

/// Whoever does something isn't idle (PRES-06).
pub fn note_activity(directory: &Directory, caller: &Caller) {
    if let Some(actor) = directory.agent(&caller.agent) {
        actor.do_send(directory.for_agent(agent::Input::Activity, None));
    }
}

/// Characters of a conversation's summary.
const MOST_SUMMARY: usize = 4000;

/// Self-assignment (ROUTE-10): the agent's machine sets a place aside, beyond capacity only with the
/// permission, and asks the conversation; the answer is the conversation's.
async fn by_hand(
    directory: &Arc<Directory>,
    caller: &Caller,
    conversation: ConversationId,
    by_hand: ByHand,
) -> Result<(), ApiError> {
    let agent = caller.agent.clone();
    let config = directory.config();
    let machine = current(directory, conversation).await?;
    let taker = Taker {
        agent: &agent,
        queues: config.agent(&agent).map_or(&[], |agent| &agent.settings.queues),
        takes_over: caller.may(Permission::TakeOver),
        beyond: caller.may(Permission::SelfAssign),
    };
    let (input, is_of_others) = match take_up(&machine, by_hand, taker) {
        Ok(TakeUp::HasIt) => return Ok(()),
        Ok(TakeUp::Tell { input, is_of_others }) => (input, is_of_others),
        Err(Denied::NeedsTakeOver) => return caller.must(Permission::TakeOver),
        Err(Denied::Refused(refused)) => return Err(refused.into()),
    };
    if is_of_others {
        // Before it is done: nothing that others' conversations suffer is without its entry.
        let action = match by_hand {
            ByHand::TakeOver => "conversation.take_over",
            ByHand::Take | ByHand::ComeBack => "conversation.take",
        };
        caller.noted(directory, action, &conversation.to_string(), None).await?;
    }
    tell(directory, caller, input).await?;
    // Behind what the agent's machine has just sent.
    ask(directory, conversation, Input::Confirm { agent, or_advises: false }).await
}

/// Only members of a conversation's queue advise (CONV-03). The machines see to it, too; this says so
/// at once.
async fn must_be_member(
    directory: &Arc<Directory>,
    conversation: ConversationId,
    agent: &AgentId,
) -> Result<(), ApiError> {
    let config = directory.config();
    let machine = current(directory, conversation).await?;
    let queue = machine.queue();
    let is_member = config.agent(agent).is_some_and(|agent| agent.settings.queues.contains(queue));
    if is_member {
        return Ok(());
    }
    Err(ApiError::NotMember { agent: agent.clone(), queue: queue.clone() })
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

/// Tells the caller's own machine something, and waits until that stands. Of an offer that is accepted: the
/// conversation, which has the last word.
pub(super) async fn tell(
    directory: &Directory,
    caller: &Caller,
    input: agent::Input,
) -> Result<Option<ConversationId>, ApiError> {
    let actor = directory.agent(&caller.agent).ok_or(ApiError::NotSignedIn)?;
    let (sender, receiver) = oneshot::channel();
    actor.do_send(directory.for_agent(input, Some(sender)));
    let ended = |_| ApiError::Unavailable(directory.why_nobody_answers());
    receiver.await.map_err(ended)?.map_err(|not_done| match not_done {
        NotDone::Refused(refused) => refused.into(),
        NotDone::Unwritten(why) => ApiError::Unavailable(why),
    })
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
