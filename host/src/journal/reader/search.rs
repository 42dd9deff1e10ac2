//! Lists of conversations.

use cordboard_core::Conversation;
use cordboard_core::conversation::{Event, State};
use cordboard_core::ids::{AgentId, ConversationId};
use cordboard_core::time::Timestamp;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, params};

use super::{Reader, Result, all, id_at, machine};
use crate::journal::sessions::{Part, Session, part_number, part_of};
use crate::journal::views::state_number;

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

/// `tells(body, text)`: whether the text, given in lower case, stands in what an encoded event tells: a message,
/// a note or the summary. People don't search by upper and lower case.
pub(super) fn add_functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("tells", 2, flags, |context| {
        let (body, text) = (context.get_raw(0).as_blob()?, context.get_raw(1).as_str()?);
        // Texts stand there as they are: few need be understood.
        if !String::from_utf8_lossy(body).to_lowercase().contains(text) {
            return Ok(false);
        }
        let event = rmp_serde::from_slice::<Event>(body);
        Ok(event.is_ok_and(|event| told_by(&event).is_some_and(|told| told.contains(text))))
    })
}

/// In lower case.
fn told_by(event: &Event) -> Option<String> {
    let told = match event {
        Event::MessageReceived { message, .. }
        | Event::ReplyQueued { message }
        | Event::NoteAdded { message } => Some(&message.text),
        Event::Disposed { summary, .. } => summary.as_ref(),
        _ => None,
    };
    told.map(|text| text.to_lowercase())
}

/// Which sessions are wanted (CONV-09); everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Whose.
    pub agent: Option<String>,
    /// What they were there.
    pub part: Option<Part>,
    /// In this conversation.
    pub conversation: Option<ConversationId>,
    /// In conversations on this channel.
    pub channel: Option<String>,
    /// In conversations that are in this queue, or were last.
    pub queue: Option<String>,
    /// In conversations with this customer.
    pub customer: Option<String>,
    /// Begun at this time (milliseconds) or later.
    pub from: Option<i64>,
    /// Begun before.
    pub to: Option<i64>,
    /// Whether it still goes on.
    pub open: Option<bool>,
}

impl Reader {
    /// Sessions that match, the newest first, behind the cursor; each with its own cursor.
    pub fn sessions(
        &self,
        filter: &SessionFilter,
        cursor: Option<i64>,
        limit: u32,
    ) -> Result<Vec<(i64, Session)>> {
        let mut wanted = Wanted::default();
        let texts = [
            ("e.agent = ?", &filter.agent),
            ("c.channel = ?", &filter.channel),
            ("c.queue = ?", &filter.queue),
            ("c.customer = ?", &filter.customer),
        ];
        for (condition, text) in texts {
            wanted.add_if(condition, text.clone());
        }
        wanted.add_if("e.part = ?", filter.part.map(part_number));
        let conversation = filter.conversation.map(|id| id.0.as_bytes().to_vec());
        wanted.add_if("e.conversation = ?", conversation);
        wanted.add_if("e.began_at >= ?", filter.from);
        wanted.add_if("e.began_at < ?", filter.to);
        wanted.add_if("(e.ended_at IS NULL) = ?", filter.open);
        wanted.add_if("e.id < ?", cursor);
        let conditions = wanted.conditions();
        // Some conversations aren't kept any more (SEC-04): that somebody was engaged in them is.
        let query = format!(
            "SELECT e.id, e.conversation, e.agent, e.part, e.began_at, e.ended_at
             FROM engagements e LEFT JOIN conversations c ON c.id = e.conversation
             WHERE {conditions} ORDER BY e.id DESC LIMIT {limit}"
        );
        let mut statement = self.connection.prepare(&query)?;
        let rows = statement.query_map(rusqlite::params_from_iter(&wanted.values), |row| {
            let agent: String = row.get(2)?;
            let session = Session {
                conversation: id_at(row, 1)?,
                agent: AgentId::new(agent),
                part: part_of(row.get(3)?),
                began_at: Timestamp(row.get(4)?),
                ended_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
            };
            Ok((row.get(0)?, session))
        })?;
        all(rows)
    }

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
        let machines: Vec<Conversation> =
            all(statement.query_map(params![value, limit], machine)?)?;
        machines.into_iter().map(|machine| self.caught_up(machine)).collect()
    }

    /// Conversations that match, open and closed, the newest first, behind the cursor.
    pub fn search(
        &self,
        filter: &Filter,
        cursor: Option<ConversationId>,
        limit: u32,
    ) -> Result<Vec<Conversation>> {
        let mut wanted = Wanted::default();
        let texts = [
            ("channel = ?", &filter.channel),
            ("queue = ?", &filter.queue),
            ("agent = ?", &filter.agent),
            ("customer = ?", &filter.customer),
        ];
        for (condition, text) in texts {
            wanted.add_if(condition, text.clone());
        }
        wanted.add_if("state = ?", filter.state.map(state_number));
        // A name begins with the time at which it was given.
        wanted.add_if("id >= ?", filter.from.map(first_id_at));
        wanted.add_if("id < ?", filter.to.map(first_id_at));
        wanted.add_if("id < ?", cursor.map(|cursor| cursor.0.as_bytes().to_vec()));
        // What was written, and what was said about it at the end (CONV-08).
        let contains = "EXISTS (SELECT 1 FROM events WHERE conversation = conversations.id
            AND kind IN ('message_received', 'reply_queued', 'note_added', 'disposed')
            AND tells(events.body, ?))";
        wanted.add_if(contains, filter.text.as_ref().map(|text| text.to_lowercase()));
        let conditions = wanted.conditions();
        let query = format!(
            "SELECT snapshot FROM conversations WHERE {conditions} ORDER BY id DESC LIMIT {limit}"
        );
        let mut statement = self.connection.prepare(&query)?;
        let values = rusqlite::params_from_iter(&wanted.values);
        let machines: Vec<Conversation> = all(statement.query_map(values, machine)?)?;
        machines.into_iter().map(|machine| self.caught_up(machine)).collect()
    }
}

/// Conditions of a query with their values, all of which must hold.
#[derive(Default)]
struct Wanted {
    conditions: Vec<String>,
    values: Vec<Box<dyn rusqlite::ToSql>>,
}

impl Wanted {
    /// `condition` names the value as `?`.
    fn add_if(&mut self, condition: &str, value: Option<impl rusqlite::ToSql + 'static>) {
        let Some(value) = value else { return };
        self.values.push(Box::new(value));
        self.conditions.push(condition.replace('?', &format!("?{}", self.values.len())));
    }

    fn conditions(&self) -> String {
        match self.conditions.is_empty() {
            true => "1 = 1".to_owned(),
            false => self.conditions.join(" AND "),
        }
    }
}

/// The smallest name that a conversation of this time can have (UUID version 7).
fn first_id_at(ms: i64) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    bytes[..6].copy_from_slice(&ms.max(0).to_be_bytes()[2..]);
    bytes
}
