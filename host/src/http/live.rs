//! The live WebSocket of an agent's screen: everything at once on connecting, then every change.
//!
//! A screen that comes back after a break simply connects again: the snapshot holds all open work
//! with its history (CONV-06), so there is nothing to resume and nothing to miss.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{Message as Frame, MessageStream, Session};
use cordboard_core::conversation::Summary;
use cordboard_core::ids::ConversationId;
use cordboard_core::message::Message;
use cordboard_core::notice::Notice;
use cordboard_core::time::Timestamp;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::actors::{Attach, Detach, Directory, LookAtAgent, Show};
use crate::clock;
use crate::http::caller::Caller;
use crate::http::commands::{self, Command};
use crate::http::error::ApiError;
use crate::http::server::Web;
use crate::journal::Reader;

/// A screen that hasn't been heard of for this long is gone.
const SILENCE: Duration = Duration::from_secs(45);
const PING_EVERY: Duration = Duration::from_secs(15);
/// The most bytes of one frame from a screen.
const MOST_BYTES: usize = 64 * 1024;

/// One conversation with its history.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Transcript {
    /// Where it stands.
    pub conversation: Summary,
    /// All of it, oldest first.
    pub messages: Vec<Message>,
}

/// The first frame: all open work of the agent.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FirstFrame {
    /// Everything there is.
    Snapshot {
        /// Open conversations, oldest first.
        conversations: Vec<Transcript>,
    },
}

/// A frame from a screen: a command, and a number that the answer repeats.
#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Option<u64>,
    #[serde(flatten)]
    what: What,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum What {
    Sign(Sign),
    Command(Command),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Sign {
    /// The agent is typing.
    Typing { conversation: ConversationId },
    /// The agent is there (PRES-06).
    Activity,
}

#[derive(Serialize)]
struct AnswerFrame {
    r#type: &'static str,
    id: Option<u64>,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Opens the socket.
///
/// # Errors
/// [`ApiError`] if nobody is signed in, or the page is another site's.
pub async fn open(
    request: HttpRequest,
    body: Payload,
    web: Data<Web>,
    caller: Caller,
) -> Result<HttpResponse, actix_web::Error> {
    check_origin(&request, &caller, &web)?;
    let actor = web.directory.agent(&caller.agent).ok_or(ApiError::NotSignedIn)?;
    let reader = request.app_data::<Rc<Reader>>().expect("every worker has one").clone();
    let (response, session, stream) = actix_ws::handle(&request, body)?;
    let directory = web.directory.clone();
    actix_web::rt::spawn(async move {
        let (sender, events) = mpsc::unbounded_channel();
        let Ok(screen) = actor.send(Attach { screen: sender }).await else { return };
        // Attached first, read second: what happens in between is in both, and that is harmless.
        let held = actor.send(LookAtAgent).await.map(|view| view.held).unwrap_or_default();
        let first = snapshot(&reader, &directory, &caller, &held);
        let mut heard_at = clock::now();
        let outcome = match first {
            Ok(first) => {
                let heard = &mut heard_at;
                attend(session, stream, events, first, &directory, &caller, heard).await
            }
            Err(error) => session.close(Some(closing(&error.to_string()))).await,
        };
        if outcome.is_err() {
            tracing::debug!(agent = %caller.agent, "a screen's connection broke");
        }
        actor.do_send(Detach { screen, heard_at });
    });
    Ok(response)
}

/// Browsers send cookies along from any page, so the page must be ours.
fn check_origin(request: &HttpRequest, caller: &Caller, web: &Web) -> Result<(), ApiError> {
    let Some(origin) = request.headers().get("origin").and_then(|value| value.to_str().ok()) else {
        return Ok(());
    };
    let same_host = origin.split_once("://").is_some_and(|(_, authority)| {
        let host = request.headers().get("host").and_then(|host| host.to_str().ok());
        host == Some(authority)
    });
    let is_ours = same_host || origin == web.directory.config().host.public_url;
    if caller.csrf.is_none() || is_ours {
        return Ok(());
    }
    Err(ApiError::Forbidden(format!("a page of {origin} may not open this socket")))
}

/// Open work of the agent's own, that in which they advise (the agent holds a place for it), and what
/// they still have a wrap-up to finish for.
fn snapshot(
    reader: &Reader,
    directory: &Directory,
    caller: &Caller,
    held: &[ConversationId],
) -> Result<Arc<str>, ApiError> {
    let mut conversations = Vec::new();
    let mut machines = reader.open_conversations(Some(&caller.agent), 1000)?;
    for id in held {
        if !machines.iter().any(|machine| machine.id() == *id) {
            let advised = reader.conversation(*id)?;
            machines.extend(advised.filter(|machine| machine.takes_part(&caller.agent)));
        }
    }
    for id in reader.wrap_ups_of(&caller.agent)? {
        if !machines.iter().any(|machine| machine.id() == id) {
            machines.extend(reader.conversation(id)?);
        }
    }
    for machine in machines {
        let Some(machine) = directory.with_settings(machine) else { continue };
        let messages = reader.transcript(machine.id())?;
        conversations.push(Transcript { conversation: machine.summary(), messages });
    }
    let frame = FirstFrame::Snapshot { conversations };
    Ok(serde_json::to_string(&frame).expect("frames become JSON").into())
}

async fn attend(
    mut session: Session,
    stream: MessageStream,
    mut events: mpsc::UnboundedReceiver<Arc<str>>,
    first: Arc<str>,
    directory: &Directory,
    caller: &Caller,
    heard_at: &mut Timestamp,
) -> Result<(), actix_ws::Closed> {
    session.text(first.to_string()).await?;
    let mut stream = stream.max_frame_size(MOST_BYTES);
    let mut ping = tokio::time::interval(PING_EVERY);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(text) => session.text(text.to_string()).await?,
                None => return session.close(Some(closing("the host is stopping"))).await,
            },
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE {
                    return session.close(Some(closing("nothing was heard for 45 s"))).await;
                }
                session.ping(b"").await?;
            }
            frame = stream.next() => {
                heard = Instant::now();
                // A connection that breaks was heard of before; one that is closed, just now.
                if frame.as_ref().is_some_and(Result::is_ok) {
                    *heard_at = clock::now();
                }
                match frame {
                    Some(Ok(Frame::Text(text))) => {
                        let answer = answer(&text, directory, caller).await;
                        let answer = serde_json::to_string(&answer).expect("frames become JSON");
                        session.text(answer).await?;
                    }
                    Some(Ok(Frame::Ping(bytes))) => session.pong(&bytes).await?,
                    Some(Ok(Frame::Pong(_))) => {}
                    Some(Ok(Frame::Close(reason))) => return session.close(reason).await,
                    Some(Ok(_)) => {
                        return session.close(Some(closing("frames are JSON text"))).await;
                    }
                    Some(Err(_)) | None => return Ok(()),
                }
            }
        }
    }
}

async fn answer(text: &str, directory: &Directory, caller: &Caller) -> AnswerFrame {
    let frame = |id, result: Result<(), String>| AnswerFrame {
        r#type: "answer",
        id,
        ok: result.is_ok(),
        error: result.err(),
    };
    let request: Request = match serde_json::from_str(text) {
        Ok(request) => request,
        Err(error) => return frame(None, Err(format!("the frame isn't a command: {error}"))),
    };
    let result = match request.what {
        What::Command(command) => {
            commands::run(directory, caller, command).await.map_err(|error| error.to_string())
        }
        What::Sign(Sign::Activity) => {
            commands::note_activity(directory, caller);
            Ok(())
        }
        What::Sign(Sign::Typing { conversation }) => {
            commands::note_activity(directory, caller);
            if let Some(actor) = directory.agent(&caller.agent) {
                let agent = Some(caller.agent.clone());
                actor.do_send(Show(vec![Notice::Typing { conversation, agent }]));
            }
            Ok(())
        }
    };
    frame(request.id, result)
}

fn closing(why: &str) -> actix_ws::CloseReason {
    // A control frame holds 125 bytes, two of them the code.
    let mut end = why.len().min(120);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    actix_ws::CloseReason {
        code: actix_ws::CloseCode::Away,
        description: Some(why[..end].to_owned()),
    }
}
