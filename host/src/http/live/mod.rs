//! The live WebSocket of an agent's screen: everything at once on connecting, then every change.
//!
//! A screen that comes back after a break simply connects again: the snapshot holds all open work
//! with its history (CONV-06), so there is nothing to resume and nothing to miss. So a connection may
//! end whenever that is the simplest thing: its authority has changed, or it doesn't keep up.

mod flow;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::{Data, Payload};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use actix_ws::{Message as Frame, MessageStream, ProtocolError, Session};
use cordboard_core::conversation::Summary;
use cordboard_core::ids::{AgentId, ConversationId};
use cordboard_core::message::Message;
use cordboard_core::notice::Notice;
use cordboard_core::time::Timestamp;
use futures_util::StreamExt;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::broadcast::error::RecvError;

use crate::actors::{
    self, AgentActor, Attach, Audience, BoardFrame, Detach, Directory, ForScreen, LookAtAgent,
    Posted, ScreenReceiver, Watching,
};
use crate::clock;
use crate::http::caller::Caller;
use crate::http::commands::{self, Command};
use crate::http::error::{ApiError, ErrorBody};
use crate::http::origin;
use crate::http::reads::Reach;
use crate::http::server::Web;
use crate::journal::{Fits, Reader};

use flow::Taken;

/// A screen that hasn't been heard of for this long is gone.
const SILENCE: Duration = Duration::from_secs(45);
const PING_EVERY: Duration = Duration::from_secs(15);
/// Sign-outs and revocations of another process (`cordboard agent`) show in the journal only.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The most bytes of one frame from a screen.
const MOST_BYTES: usize = 64 * 1024;

/// Bytes of messages of one conversation in a snapshot; pages ask for what is before.
const MOST_OF_ONE: usize = 256 * 1024;
/// And of all of them.
const MOST_OF_SNAPSHOT: usize = 2 * 1024 * 1024;

/// One conversation with its history.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Transcript {
    /// Where it stands.
    pub conversation: Summary,
    /// The newest part of it, oldest first. If the first one's number is above 1, there are earlier ones
    /// (`GET /api/v1/conversations/{id}?before=`).
    pub messages: Vec<Message>,
}

/// What comes from the connection itself: first all open work of the agent, then now and then that it
/// is alive.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FirstFrame {
    /// Everything there is.
    Snapshot {
        /// Whose: a page that was left open may belong to somebody else.
        #[schema(value_type = String)]
        agent: AgentId,
        /// Open conversations, oldest first.
        conversations: Vec<Transcript>,
    },
    /// Every 15 s: whoever hears nothing for longer has lost the line, and connects again. (Pages don't
    /// see the pings of the protocol.)
    Alive,
}

/// An object each of whose fields stands once.
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if fields.insert(name.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("`{name}` stands twice")));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

/// A frame from a screen.
enum What {
    Sign(Sign),
    Command(Command),
}

impl What {
    /// A command or sign with its `id`, which the answer repeats. What isn't known is refused: a field that was
    /// misspelt would be as good as left out.
    fn of(text: &str) -> (Option<u64>, Result<Self, serde_json::Error>) {
        let mut frame = match serde_json::from_str(text) {
            Ok(Fields(fields)) => fields,
            Err(error) => return (None, Err(error)),
        };
        let id = match Option::<u64>::deserialize(frame.remove("id").unwrap_or_default()) {
            Ok(id) => id,
            Err(error) => return (None, Err(error)),
        };
        let is_sign = matches!(
            frame.get("type").and_then(Value::as_str),
            Some("typing" | "activity" | "watch")
        );
        let frame = Value::Object(frame);
        let what = match is_sign {
            true => Sign::deserialize(frame).map(Self::Sign),
            false => Command::deserialize(frame).map(Self::Command),
        };
        (id, what)
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Sign {
    /// The agent is typing.
    Typing { conversation: ConversationId },
    /// The agent is there (PRES-06).
    Activity {},
    /// All open work is on this screen, or isn't any more: it is told what changes (`work` frames).
    Watch { on: bool },
}

/// What became of a command.
#[derive(Serialize, utoipa::ToSchema)]
pub struct AnswerFrame {
    r#type: &'static str,
    id: Option<u64>,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The live WebSocket of an agent's screen. The host sends JSON texts: first `FirstFrame`'s snapshot, then
/// `Notice`s, now and then `alive`, and for each command an answer (`AnswerFrame`) that repeats its `id`.
/// The screen sends `Command`s with an `id`, and the signs `{"type": "activity"}`,
/// `{"type": "typing", "conversation": …}` and `{"type": "watch", "on": true}`: from then on it is told by `work` frames
/// which conversations have changed, if its agent may see them all. The socket ends with its session, token or role.
///
/// # Errors
/// [`ApiError`] if nobody is signed in, the page is another site's, or the agent has as many screens
/// as one person can look at.
#[utoipa::path(get, path = "/api/v1/live", responses(
    (status = 101, description = "the socket is open"),
    (status = 400, description = "the request isn't a WebSocket's handshake"),
    (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub async fn open(
    request: HttpRequest,
    body: Payload,
    web: Data<Web>,
    caller: Caller,
) -> Result<HttpResponse, actix_web::Error> {
    caller.must_work()?;
    origin::check(&request, &caller, &web.directory.config().host.public_url)?;
    let actor = web.directory.agent(&caller.agent).ok_or(ApiError::NotSignedIn)?;
    let backlog = web.directory.config().host.limits.screen_backlog;
    let (sender, events) = actors::screen(backlog);
    let attached = actor.send(Attach { screen: sender }).await;
    let screen = attached.map_err(|_| ApiError::NotSignedIn)?.ok_or_else(|| {
        let most = AgentActor::MOST_SCREENS;
        ApiError::Busy(format!("{} has {most} screens connected; close one", caller.agent))
    })?;
    let (mut body, taken) = flow::bounded(body.into_inner(), MOST_BYTES);
    let opened = match Payload::from_request(&request, &mut body).await {
        Ok(body) => actix_ws::handle(&request, body),
        Err(error) => Err(error),
    };
    let (response, session, stream) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            actor.do_send(Detach { screen, heard_at: clock::now() });
            return Err(error);
        }
    };
    let directory = web.directory.clone();
    actix_web::rt::spawn(async move {
        // Attached first, read second: what happens in between is in both, and that is harmless.
        let held = actor.send(LookAtAgent).await.map(|view| view.held).unwrap_or_default();
        let (own, who) = (directory.clone(), caller.clone());
        let read = move |reader: &Reader| snapshot(reader, &own, &who, &held);
        let first = web.reads.run(&caller.agent, Reach::Screen, read).await;
        let agent = caller.agent.clone();
        let mut line = Line {
            session,
            patience: directory.config().host.limits.screen_patience,
            directory,
            caller,
            heard_at: clock::now(),
            watching: None,
        };
        let end = match first {
            Ok(first) => line.attend(stream, taken, events, first).await,
            Err(error) => End::Say(error.to_string()),
        };
        tracing::debug!(%agent, ?end, "a screen's connection ends");
        let heard_at = line.heard_at;
        line.hang_up(end).await;
        actor.do_send(Detach { screen, heard_at });
    });
    Ok(response)
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// It is told.
    Say(String),
    /// The same in the agent's own words.
    Answer(Option<actix_ws::CloseReason>),
    /// There is nobody to tell.
    Broken,
}

/// A screen's connection while it lasts.
struct Line {
    session: Session,
    patience: Duration,
    directory: Arc<Directory>,
    caller: Caller,
    heard_at: Timestamp,
    watching: Option<Watching>,
}

impl Line {
    async fn attend(
        &mut self,
        stream: MessageStream,
        taken: Taken,
        mut events: ScreenReceiver,
        first: Arc<str>,
    ) -> End {
        if let Err(end) = self.send(&first).await {
            return end;
        }
        drop(first);
        let mut stream = stream.max_frame_size(MOST_BYTES);
        let mut ping = tokio::time::interval(PING_EVERY);
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut revoked = self.directory.authority.subscribe();
        let mut board = self.directory.board.subscribe();
        let mut heard = Instant::now();
        loop {
            let next = tokio::select! {
                event = events.next() => match event {
                    ForScreen::Frame(frame) => self.send(frame.text()).await,
                    ForScreen::GivenUp => {
                        self.directory.metrics.cut_off("screen_backlog");
                        Err(End::Say("more waits for this screen than may; connect again".to_owned()))
                    }
                    ForScreen::End => Err(End::Say("the host is stopping".to_owned())),
                },
                _ = ping.tick() => match heard.elapsed() > SILENCE {
                    true => Err(End::Say("nothing was heard for 45 s".to_owned())),
                    false => match self.in_time(|session| session.ping(b"")).await {
                        Ok(()) => self.send_own(&FirstFrame::Alive).await,
                        ended => ended,
                    },
                },
                posted = board.recv() => match posted {
                    Ok(posted) if self.concerns(&posted) => self.send(&posted.frame).await,
                    Ok(_) => Ok(()),
                    // It has missed some: all of it is asked for.
                    Err(RecvError::Lagged(_)) => self.send_own(&BoardFrame::Desk).await,
                    Err(RecvError::Closed) => Err(End::Say("the host is stopping".to_owned())),
                },
                // Somebody's authority has changed here, or perhaps in another process.
                _ = revoked.changed() => self.renew().await,
                _ = look.tick() => self.renew().await,
                frame = stream.next() => {
                    taken.frame();
                    heard = Instant::now();
                    // A connection that breaks was heard of before; one that is closed, just now.
                    if frame.as_ref().is_some_and(Result::is_ok) {
                        self.heard_at = clock::now();
                    }
                    self.hear(frame).await
                }
            };
            if let Err(end) = next {
                return end;
            }
        }
    }

    async fn hear(&mut self, frame: Option<Result<Frame, ProtocolError>>) -> Result<(), End> {
        match frame {
            Some(Ok(Frame::Text(text))) => {
                // Whoever was signed out a moment ago gives no more commands.
                self.renew().await?;
                self.caller.note_use(&self.directory);
                let answer = self.answer(&text).await;
                let answer = serde_json::to_string(&answer).expect("frames become JSON");
                self.send(&answer).await
            }
            Some(Ok(Frame::Ping(bytes))) => self.in_time(|session| session.pong(&bytes)).await,
            Some(Ok(Frame::Pong(_))) => Ok(()),
            Some(Ok(Frame::Close(reason))) => Err(End::Answer(reason)),
            Some(Ok(_)) => Err(End::Say("frames are JSON text in one piece".to_owned())),
            Some(Err(error)) => {
                self.directory.metrics.cut_off("frame");
                Err(End::Say(format!(
                    "a frame can't be read, or has more than {MOST_BYTES} bytes: {error}"
                )))
            }
            None => Err(End::Broken),
        }
    }

    /// Looks up what the caller may do now. Another role sees other things: the screen comes back and
    /// gets those.
    async fn renew(&mut self) -> Result<(), End> {
        let renewed = self.caller.renewed(&self.directory).await;
        let renewed = renewed.map_err(|error| End::Say(error.to_string()))?;
        if renewed.has_lost(&self.caller) {
            return Err(End::Say(format!(
                "the role is {} now; connect again",
                renewed.role.as_str()
            )));
        }
        self.caller = renewed;
        Ok(())
    }

    fn concerns(&self, posted: &Posted) -> bool {
        let config = self.directory.config();
        match &posted.audience {
            Audience::Everybody => true,
            Audience::Members(queue) => config
                .agent(&self.caller.agent)
                .is_some_and(|agent| agent.settings.queues.contains(queue)),
            Audience::Watchers => {
                self.watching.is_some() && self.caller.sees_everything(&self.directory)
            }
        }
    }

    async fn answer(&mut self, text: &str) -> AnswerFrame {
        let frame = |id, result: Result<(), String>| AnswerFrame {
            r#type: "answer",
            id,
            ok: result.is_ok(),
            error: result.err(),
        };
        let (id, what) = What::of(text);
        let result = match what {
            Err(error) => return frame(id, Err(format!("the frame isn't a command: {error}"))),
            Ok(What::Command(command)) => {
                commands::run(&self.directory, &self.caller, command).await
            }
            Ok(What::Sign(sign)) => self.take_sign(sign),
        };
        frame(id, result.map_err(|error| error.to_string()))
    }

    fn take_sign(&mut self, sign: Sign) -> Result<(), ApiError> {
        match sign {
            Sign::Activity {} => commands::note_activity(&self.directory, &self.caller),
            Sign::Typing { conversation } => {
                commands::note_activity(&self.directory, &self.caller);
                let agent = Some(self.caller.agent.clone());
                let typing = Notice::Typing { conversation, agent };
                self.directory.show_notice(&self.caller.agent, typing);
            }
            Sign::Watch { on: false } => self.watching = None,
            Sign::Watch { on: true } => {
                self.caller.must_see_everything(&self.directory)?;
                self.watching.get_or_insert_with(|| self.directory.board.watch());
            }
        }
        Ok(())
    }

    async fn send_own(&mut self, frame: &impl Serialize) -> Result<(), End> {
        let text = serde_json::to_string(frame).expect("frames become JSON");
        self.send(&text).await
    }

    async fn send(&mut self, text: &str) -> Result<(), End> {
        let text = text.to_owned();
        self.in_time(|session| session.text(text)).await
    }

    /// A screen that takes nothing for so long isn't read by anybody.
    async fn in_time<'a, F>(
        &'a mut self,
        send: impl FnOnce(&'a mut Session) -> F,
    ) -> Result<(), End>
    where
        F: Future<Output = Result<(), actix_ws::Closed>> + 'a,
    {
        match tokio::time::timeout(self.patience, send(&mut self.session)).await {
            Ok(sent) => sent.map_err(|_| End::Broken),
            Err(_) => {
                self.directory.metrics.cut_off("not_reading");
                Err(End::Broken)
            }
        }
    }

    async fn hang_up(self, end: End) {
        let reason = match end {
            End::Say(why) => Some(closing(&why)),
            End::Answer(reason) => reason,
            End::Broken => return,
        };
        // It may not read that either.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.session.close(reason)).await;
    }
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
    let mut left = MOST_OF_SNAPSHOT;
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
        let machine = directory.with_settings(machine);
        let fits = Fits { messages: 100, bytes: left.min(MOST_OF_ONE) };
        let messages = match left {
            0 => Vec::new(),
            _ => reader.transcript(machine.id(), None, fits)?,
        };
        left = left.saturating_sub(messages.iter().map(|message| message.text.len()).sum());
        conversations.push(Transcript { conversation: machine.summary(), messages });
    }
    let frame = FirstFrame::Snapshot { agent: caller.agent.clone(), conversations };
    Ok(serde_json::to_string(&frame).expect("frames become JSON").into())
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
