//! Agents' sessions: who was engaged in which conversation (CONV-09).

use cordboard_core::ids::{AgentId, ConversationId};
use cordboard_core::time::Timestamp;

use super::search::Wanted;
use super::{Reader, Result, all, id_at};
use crate::journal::sessions::{Part, Session, part_number, part_of};

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
}
