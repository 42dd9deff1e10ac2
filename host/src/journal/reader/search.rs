//! Lists of conversations.

use cordboard_core::Conversation;
use cordboard_core::conversation::State;
use cordboard_core::ids::{AgentId, ConversationId};
use rusqlite::params;

use super::{Reader, Result, machine};
use crate::journal::writer::state_number;

/// Which conversations are wanted; everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// On this channel.
    pub channel: Option<String>,
    /// In this queue now, or last.
    pub queue: Option<String>,
    /// Of this agent.
    pub agent: Option<String>,
    /// With this customer.
    pub customer: Option<String>,
    /// Begun at this time (milliseconds) or later.
    pub from: Option<i64>,
    /// Begun before.
    pub to: Option<i64>,
    /// With this text in a message or note.
    pub text: Option<String>,
}

impl Reader {
    /// Open conversations of an agent, or of everybody, oldest first; at most `limit`.
    pub fn open_conversations(
        &self,
        agent: Option<&AgentId>,
        limit: u32,
    ) -> Result<Vec<Conversation>> {
        let (filter, value) = match agent {
            Some(agent) => ("agent = ?1 AND state < 4", agent.as_str()),
            None => ("?1 = '' AND state < 4", ""),
        };
        let query =
            format!("SELECT snapshot FROM conversations WHERE {filter} ORDER BY id LIMIT ?2");
        let mut statement = self.connection.prepare_cached(&query)?;
        let machines: Result<Vec<Conversation>> =
            statement.query_map(params![value, limit], machine)?.collect();
        machines?.into_iter().map(|machine| self.caught_up(machine)).collect()
    }

    /// Conversations that match, open and closed, the newest first, behind the cursor.
    pub fn search(
        &self,
        filter: &Filter,
        cursor: Option<ConversationId>,
        limit: u32,
    ) -> Result<Vec<Conversation>> {
        let mut conditions = vec!["1 = 1".to_owned()];
        let mut values: Vec<Box<dyn rusqlite::ToSql>> = Vec::new();
        let mut add = |condition: &str, value: Box<dyn rusqlite::ToSql>| {
            values.push(value);
            conditions.push(condition.replace('?', &format!("?{}", values.len())));
        };
        let texts = [
            ("channel = ?", &filter.channel),
            ("queue = ?", &filter.queue),
            ("agent = ?", &filter.agent),
            ("customer = ?", &filter.customer),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                add(condition, Box::new(text.clone()));
            }
        }
        if let Some(state) = filter.state {
            add("state = ?", Box::new(state_number(state)));
        }
        // A name begins with the time at which it was given.
        if let Some(from) = filter.from {
            add("id >= ?", Box::new(first_id_at(from)));
        }
        if let Some(to) = filter.to {
            add("id < ?", Box::new(first_id_at(to)));
        }
        if let Some(cursor) = cursor {
            add("id < ?", Box::new(cursor.0.as_bytes().to_vec()));
        }
        if let Some(text) = &filter.text {
            let contains = "EXISTS (SELECT 1 FROM events WHERE conversation = conversations.id
                AND kind IN ('message_received', 'reply_queued', 'note_added')
                AND instr(events.body, ?) > 0)";
            add(contains, Box::new(text.as_bytes().to_vec()));
        }
        let conditions = conditions.join(" AND ");
        let query = format!(
            "SELECT snapshot FROM conversations WHERE {conditions} ORDER BY id DESC LIMIT {limit}"
        );
        let mut statement = self.connection.prepare(&query)?;
        let values = rusqlite::params_from_iter(values.iter());
        let machines: Result<Vec<Conversation>> = statement.query_map(values, machine)?.collect();
        machines?.into_iter().map(|machine| self.caught_up(machine)).collect()
    }
}

/// The smallest name that a conversation of this time can have (UUID version 7).
fn first_id_at(ms: i64) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    bytes[..6].copy_from_slice(&ms.max(0).to_be_bytes()[2..]);
    bytes
}
