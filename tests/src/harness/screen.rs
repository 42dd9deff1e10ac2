//! An agent's screen: the live WebSocket, as the console uses it.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::harness::LIMIT;

/// A connected screen. Frames that nobody has asked for yet are kept.
pub struct Screen {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    kept: Vec<Value>,
    next_id: u64,
}

impl Screen {
    /// Connects with an API token.
    ///
    /// # Panics
    /// If the host refuses.
    pub async fn connect(url: &str, token: &str) -> Self {
        Self::with_header(url, "authorization", &format!("Bearer {token}")).await
    }

    /// Connects with a session's cookie, as `name=value`.
    ///
    /// # Panics
    /// If the host refuses.
    pub async fn with_cookie(url: &str, cookie: &str) -> Self {
        Self::with_header(url, "cookie", cookie).await
    }

    async fn with_header(url: &str, name: &'static str, value: &str) -> Self {
        let url = format!("{}/api/v1/live", url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("a URL");
        request.headers_mut().insert(name, value.parse().expect("a header"));
        let (socket, _) =
            tokio_tungstenite::connect_async(request).await.expect("the host answers");
        Self { socket, kept: Vec::new(), next_id: 1 }
    }

    /// The same, once the host has said that they are there.
    ///
    /// # Panics
    /// If the host refuses.
    pub async fn at_desk(url: &str, token: &str) -> Self {
        let mut screen = Self::connect(url, token).await;
        screen.wait("presence").await;
        screen
    }

    /// The next frame of a type; those before it are kept.
    ///
    /// # Panics
    /// If there is none in time.
    pub async fn wait(&mut self, kind: &str) -> Value {
        self.wait_for(kind, |frame| frame["type"] == kind).await
    }

    /// The next frame that satisfies the predicate.
    ///
    /// # Panics
    /// If there is none in time.
    pub async fn wait_for(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.kept.iter().position(&is_it) {
            return self.kept.remove(index);
        }
        let found = tokio::time::timeout(LIMIT, async {
            loop {
                let frame = self.next().await;
                if is_it(&frame) {
                    return frame;
                }
                self.kept.push(frame);
            }
        });
        found.await.unwrap_or_else(|_| panic!("no frame {what}; kept: {:#?}", self.kept))
    }

    /// Whether a frame arrives within a short time that satisfies the predicate.
    pub async fn sees(&mut self, within: Duration, is_it: impl Fn(&Value) -> bool) -> bool {
        if self.kept.iter().any(&is_it) {
            return true;
        }
        let found = tokio::time::timeout(within, async {
            loop {
                let frame = self.next().await;
                let is_found = is_it(&frame);
                self.kept.push(frame);
                if is_found {
                    return;
                }
            }
        });
        found.await.is_ok()
    }

    async fn next(&mut self) -> Value {
        self.try_next().await.expect("the socket stays open")
    }

    /// The next frame; `None` once the connection is gone.
    pub async fn try_next(&mut self) -> Option<Value> {
        loop {
            match self.socket.next().await? {
                Ok(Message::Text(text)) => {
                    return Some(serde_json::from_str(&text).expect("frames are JSON"));
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Sends a frame as it is; false if the connection is gone.
    pub async fn try_send(&mut self, frame: &Value) -> bool {
        self.socket.send(Message::text(frame.to_string())).await.is_ok()
    }

    /// Sends a command and returns its answer.
    pub async fn command(&mut self, mut command: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        command["id"] = json!(id);
        let text = Message::text(command.to_string());
        self.socket.send(text).await.expect("the socket stays open");
        self.wait_for("answer", |frame| frame["type"] == "answer" && frame["id"] == id).await
    }

    /// Sends a command that must succeed.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn must(&mut self, command: Value) {
        let answer = self.command(command.clone()).await;
        assert_eq!(answer["ok"], true, "{command}: {answer}");
    }

    /// Waits for an offer, accepts it, and returns the conversation's id.
    pub async fn accept_next(&mut self) -> String {
        let offer = self.wait("offer").await;
        self.must(json!({ "type": "accept", "offer": offer["offer"] })).await;
        let conversation = offer["conversation"].as_str().expect("an id").to_owned();
        self.wait_for("the conversation", |frame| {
            frame["type"] == "conversation" && frame["id"] == conversation.as_str()
        })
        .await;
        conversation
    }

    /// Closes the connection.
    pub async fn close(mut self) {
        // The host may have closed first.
        let _ = self.socket.close(None).await;
    }
}
