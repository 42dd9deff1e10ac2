//! What a running host says of agents, conversations and lines, asked until it is so.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{HostProcess, LIMIT};

const PAUSE: Duration = Duration::from_millis(10);

impl HostProcess {
    /// An agent as supervisors see them.
    ///
    /// # Panics
    /// If there is no such agent.
    pub async fn agent(&self, token: &str, id: &str) -> Value {
        let (_, agents) = self.get(token, "/api/v1/agents").await;
        let all = agents.as_array().unwrap_or_else(|| panic!("{agents}"));
        all.iter().find(|agent| agent["id"] == id).unwrap_or_else(|| panic!("no {id}")).clone()
    }

    /// Asks until the agent looks like this.
    ///
    /// # Panics
    /// If they don't in time.
    pub async fn until_agent(
        &self,
        token: &str,
        id: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        until(async || self.agent(token, id).await, is_it).await
    }

    /// A conversation's summary.
    pub async fn conversation(&self, token: &str, id: &str) -> Value {
        let path = format!("/api/v1/conversations/{id}");
        self.get(token, &path).await.1["conversation"].clone()
    }

    /// Names of a customer's conversations, the newest first.
    ///
    /// # Panics
    /// If the host doesn't say.
    pub async fn conversations_of(&self, token: &str, customer: &str) -> Vec<String> {
        self.found(token, &format!("customer={}", customer.replace('+', "%2B"))).await
    }

    /// Names of conversations that a search finds, the newest first: its first page.
    ///
    /// # Panics
    /// If the host doesn't say.
    pub async fn found(&self, token: &str, query: &str) -> Vec<String> {
        let path = format!("/api/v1/conversations/search?{query}");
        let (_, page) = self.get(token, &path).await;
        let found = page["conversations"].as_array().unwrap_or_else(|| panic!("{page}"));
        let name = |summary: &Value| summary["id"].as_str().expect("a name").to_owned();
        found.iter().map(name).collect()
    }

    /// Asks until the conversation looks like this.
    ///
    /// # Panics
    /// If it doesn't in time.
    pub async fn until_conversation(
        &self,
        token: &str,
        id: &str,
        is_it: impl Fn(&Value) -> bool,
    ) -> Value {
        until(async || self.conversation(token, id).await, is_it).await
    }

    /// Asks until the conversation is in this state.
    pub async fn until_state(&self, token: &str, id: &str, state: &str) -> Value {
        self.until_conversation(token, id, |conversation| conversation["state"] == state).await
    }

    /// Names of what waits in a queue and isn't being offered, best first.
    ///
    /// # Panics
    /// If the host doesn't say.
    pub async fn line(&self, token: &str, queue: &str) -> Vec<String> {
        let items = self.waiting(token, queue).await;
        let name = |item: &Value| item["conversation"]["id"].as_str().expect("a name").to_owned();
        items.iter().map(name).collect()
    }

    /// What waits in a queue and isn't being offered, best first.
    ///
    /// # Panics
    /// If the host doesn't say.
    pub async fn waiting(&self, token: &str, queue: &str) -> Vec<Value> {
        let (_, items) = self.get(token, &format!("/api/v1/waiting?queue={queue}")).await;
        items.as_array().unwrap_or_else(|| panic!("{items}")).clone()
    }

    /// Asks until so many wait in the queue.
    ///
    /// # Panics
    /// If they don't in time.
    pub async fn until_waiting(&self, token: &str, queue: &str, count: usize) -> Vec<Value> {
        until(async || self.waiting(token, queue).await, |items| items.len() == count).await
    }

    /// Why a conversation is where it is.
    ///
    /// # Panics
    /// If the host doesn't say.
    pub async fn why(&self, token: &str, id: &str) -> Value {
        let (status, why) = self.get(token, &format!("/api/v1/conversations/{id}/why")).await;
        assert_eq!(status, 200, "{why}");
        why
    }

    /// When something stands in the conversation's record whose sentence has this in it; the newest.
    ///
    /// # Panics
    /// If there is nothing like it.
    pub async fn when(&self, token: &str, id: &str, part: &str) -> i64 {
        let why = self.why(token, id).await;
        let steps = why["steps"].as_array().expect("steps").iter().rev();
        let mut found =
            steps.filter(|step| step["sentence"].as_str().expect("text").contains(part));
        let step = found.next().unwrap_or_else(|| panic!("no {part:?} in {why:#}"));
        step["at"].as_i64().expect("a time")
    }
}

async fn until<T: Debug>(ask: impl AsyncFn() -> T, is_it: impl Fn(&T) -> bool) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        let found = ask().await;
        if is_it(&found) {
            return found;
        }
        assert!(Instant::now() < until, "this never became it: {found:#?}");
        tokio::time::sleep(PAUSE).await;
    }
}
