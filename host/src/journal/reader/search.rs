//! Lists of conversations.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cordboard_core::Conversation;
use cordboard_core::conversation::State;
use cordboard_core::ids::{AgentId, ConversationId};
use rusqlite::{OptionalExtension, ToSql, params};
use uuid::Uuid;

use super::{Reader, Result, all, decoded, id_at, machine};
use crate::journal::texts::{self, Rowid};
use crate::journal::views::state_number;
use crate::journal::words::Phrase;

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
    /// With these words in a message, a note or the summary.
    pub text: Option<Phrase>,
}

/// What a search has found by the time it ended.
#[derive(Debug, Default)]
pub struct Looked {
    /// The newest first.
    pub found: Vec<Conversation>,
    /// It ended before everything was looked at: what is behind this one wasn't.
    pub next: Option<ConversationId>,
}

impl Reader {
    /// Open conversations of an agent, or of everybody, oldest first; at most `limit`.
    pub fn open_conversations(
        &self,
        agent: Option<&AgentId>,
        limit: u32,
    ) -> Result<Vec<Conversation>> {
        // By name: to SQLite the index of all that an agent ever had looks as good.
        let (index, filter, value) = match agent {
            Some(agent) => ("conversations_agent", "agent = ?1", agent.as_str()),
            None => ("conversations_open", "?1 = ''", ""),
        };
        let query = format!(
            "SELECT snapshot FROM conversations INDEXED BY {index} WHERE {filter} AND state < 4
             ORDER BY id LIMIT ?2"
        );
        let mut statement = self.connection.prepare_cached(&query)?;
        let machines: Vec<Conversation> =
            all(statement.query_map(params![value, limit], machine)?)?;
        machines.into_iter().map(|machine| self.caught_up(machine)).collect()
    }

    /// Conversations that match, open and closed, the newest first, behind the cursor: at most `limit`, and those
    /// that are found within a time. What is looked for in texts has to be indexed
    /// ([`Journal::texts_indexed`](crate::journal::Journal::texts_indexed)).
    ///
    /// # Errors
    /// [`JournalError`](crate::journal::JournalError): it can't be read.
    pub fn search(
        &self,
        filter: &Filter,
        cursor: Option<ConversationId>,
        limit: u32,
        within: Duration,
    ) -> Result<Looked> {
        let look = Look {
            reader: self,
            filter,
            cursor,
            limit: limit as usize,
            until: Instant::now() + within,
        };
        match &filter.text {
            Some(phrase)
                if filter.customer.is_none() && !self.has_few(filter.agent.as_deref())? =>
            {
                look.by_text(phrase)
            }
            _ => look.by_row(),
        }
    }

    /// Whether an agent's conversations are sooner looked through than an index of words.
    fn has_few(&self, agent: Option<&str>) -> Result<bool> {
        const FEW: u32 = 200;
        let Some(agent) = agent else { return Ok(false) };
        let query = format!(
            "SELECT count(*) FROM (SELECT 1 FROM conversations INDEXED BY conversations_of_agent
             WHERE agent = ?1 LIMIT {FEW})"
        );
        let count: u32 =
            self.connection.prepare_cached(&query)?.query_row([agent], |row| row.get(0))?;
        Ok(count < FEW)
    }

    /// Whether words stand in what was written in a conversation.
    fn tells(&self, id: ConversationId, phrase: &Phrase) -> Result<bool> {
        let mut written = self.connection.prepare_cached(&format!(
            "SELECT body FROM events WHERE conversation = ?1 AND kind IN {}",
            texts::KINDS
        ))?;
        let mut rows = written.query([id.0.as_bytes().as_slice()])?;
        while let Some(row) = rows.next()? {
            let words = texts::words_of(row.get_ref(0)?.as_blob()?);
            if words.is_some_and(|words| phrase.is_in(&words)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A search that goes on until it has enough, or its time is over.
struct Look<'a> {
    reader: &'a Reader,
    filter: &'a Filter,
    cursor: Option<ConversationId>,
    limit: usize,
    until: Instant,
}

impl Look<'_> {
    /// Conversations one after another, as far back as an index or their names lead.
    fn by_row(&self) -> Result<Looked> {
        let Self { reader, filter, limit, .. } = *self;
        let mut leading = Wanted::default();
        leading.add_if("customer = ?", filter.customer.clone());
        let index = match (&filter.customer, &filter.agent) {
            (Some(_), _) => {
                leading.add_if("channel = ?", filter.channel.clone());
                "INDEXED BY conversations_of_customer"
            }
            (None, Some(_)) => {
                leading.add_if("agent = ?", filter.agent.clone());
                "INDEXED BY conversations_of_agent"
            }
            (None, None) => "",
        };
        self.add_span(&mut leading);
        let span = leading.conditions();
        let mut wanted = leading;
        self.add_rest(&mut wanted);
        let conditions = wanted.conditions();
        let mut statement = reader.connection.prepare(&format!(
            "SELECT id, CASE WHEN {conditions} THEN snapshot END FROM conversations {index}
             WHERE {span} ORDER BY id DESC"
        ))?;
        let mut rows = statement.query(rusqlite::params_from_iter(&wanted.values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let id = id_at(row, 0)?;
            if row.get_ref(1)?.as_blob_or_null()?.is_some()
                && self.filter.text.as_ref().map_or(Ok(true), |text| reader.tells(id, text))?
            {
                found.push(reader.caught_up(decoded(row, 1)?)?);
            }
            if found.len() >= limit || Instant::now() >= self.until {
                return Ok(Looked { found, next: Some(id) });
            }
        }
        Ok(Looked { found, next: None })
    }

    /// What the index of words says, from the newest back: what began in one second at a time, for it doesn't
    /// know their order.
    fn by_text(&self, phrase: &Phrase) -> Result<Looked> {
        let connection = &self.reader.connection;
        let newest: i64 = connection
            .prepare_cached("SELECT coalesce(max(rowid), 0) FROM events")?
            .query_row([], |row| row.get(0))?;
        let last = [self.cursor.map(last_before), self.filter.to.map(|ms| ms.saturating_sub(1))];
        let last = last.into_iter().flatten().min();
        let end = last.map_or(i64::MAX, |ms| Rowid::first_at(ms).next_second().0);
        let start = Rowid::first_at(self.filter.from.unwrap_or(0)).0;
        let mut entries = connection.prepare_cached(
            "SELECT rowid FROM texts WHERE texts MATCH ?1 AND rowid >= ?2 AND rowid < ?3
             ORDER BY rowid DESC",
        )?;
        let mut rows = entries.query(params![phrase.all_words(), start, end])?;
        let mut looked = Looked::default();
        let mut second: Option<(Rowid, BTreeSet<ConversationId>)> = None;
        while let Some(row) = rows.next()? {
            let rowid = Rowid(row.get(0)?);
            if let Some((of, theirs)) = &mut second
                && rowid < *of
            {
                self.take(std::mem::take(theirs), &mut looked)?;
                if looked.next.is_some() {
                    return Ok(looked);
                }
                if Instant::now() >= self.until {
                    looked.next = Some(first_at(of.second()));
                    return Ok(looked);
                }
                second = None;
            }
            let (_, theirs) =
                second.get_or_insert_with(|| (Rowid::first_at(rowid.second()), BTreeSet::new()));
            let found = self.conversation_at(rowid, newest, phrase, theirs)?;
            theirs.extend(found);
        }
        if let Some((_, theirs)) = second {
            self.take(theirs, &mut looked)?;
        }
        Ok(looked)
    }

    /// Whose event it is, if the words stand there one after another.
    fn conversation_at(
        &self,
        rowid: Rowid,
        newest: i64,
        phrase: &Phrase,
        known: &BTreeSet<ConversationId>,
    ) -> Result<Option<ConversationId>> {
        let mut event = self.reader.connection.prepare_cached(&format!(
            "SELECT conversation, body FROM events WHERE rowid = ?1 AND kind IN {}",
            texts::KINDS
        ))?;
        for number in rowid.events(newest) {
            let mut rows = event.query([number])?;
            let Some(row) = rows.next()? else { continue };
            if Rowid::of(row.get_ref(0)?.as_blob()?, number) == rowid {
                let id = id_at(row, 0)?;
                if known.contains(&id) {
                    return Ok(None);
                }
                let words = texts::words_of(row.get_ref(1)?.as_blob()?);
                let is_there = words.is_some_and(|words| phrase.is_in(&words));
                return Ok(is_there.then_some(id));
            }
        }
        Ok(None)
    }

    /// Those of one second, the newest first, for which everything else holds as well.
    fn take(&self, ids: BTreeSet<ConversationId>, to: &mut Looked) -> Result<()> {
        let mut wanted = Wanted::default();
        self.add_span(&mut wanted);
        self.add_rest(&mut wanted);
        let this = wanted.values.len() + 1;
        let query = format!(
            "SELECT snapshot FROM conversations WHERE {} AND id = ?{this}",
            wanted.conditions()
        );
        let mut statement = self.reader.connection.prepare_cached(&query)?;
        for id in ids.into_iter().rev() {
            let own: Box<dyn ToSql> = Box::new(id.0.as_bytes().to_vec());
            let values = wanted.values.iter().chain(std::iter::once(&own));
            let machine =
                statement.query_row(rusqlite::params_from_iter(values), machine).optional()?;
            let Some(machine) = machine else { continue };
            to.found.push(self.reader.caught_up(machine)?);
            if to.found.len() >= self.limit {
                to.next = Some(id);
                break;
            }
        }
        Ok(())
    }

    /// From when to when.
    fn add_span(&self, wanted: &mut Wanted) {
        let bytes = |id: ConversationId| id.0.as_bytes().to_vec();
        // A name begins with the time at which it was given.
        wanted.add_if("id >= ?", self.filter.from.map(|ms| bytes(first_at(ms))));
        wanted.add_if("id < ?", self.filter.to.map(|ms| bytes(first_at(ms))));
        wanted.add_if("id < ?", self.cursor.map(bytes));
    }

    fn add_rest(&self, wanted: &mut Wanted) {
        let Filter { channel, queue, agent, .. } = self.filter;
        for (condition, text) in
            [("channel = ?", channel), ("queue = ?", queue), ("agent = ?", agent)]
        {
            wanted.add_if(condition, text.clone());
        }
        wanted.add_if("state = ?", self.filter.state.map(state_number));
    }
}

/// Conditions of a query with their values, all of which must hold.
#[derive(Default)]
pub(super) struct Wanted {
    conditions: Vec<String>,
    pub values: Vec<Box<dyn rusqlite::ToSql>>,
}

impl Wanted {
    /// `condition` names the value as `?`.
    pub fn add_if(&mut self, condition: &str, value: Option<impl rusqlite::ToSql + 'static>) {
        let Some(value) = value else { return };
        self.values.push(Box::new(value));
        self.conditions.push(condition.replace('?', &format!("?{}", self.values.len())));
    }

    pub fn conditions(&self) -> String {
        match self.conditions.is_empty() {
            true => "1 = 1".to_owned(),
            false => self.conditions.join(" AND "),
        }
    }
}

/// The smallest name that a conversation of this time can have (UUID version 7).
fn first_at(ms: i64) -> ConversationId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&ms.max(0).to_be_bytes()[2..]);
    ConversationId(Uuid::from_bytes(bytes))
}

/// When (milliseconds) the newest conversation may have begun that stands before this one.
fn last_before(id: ConversationId) -> i64 {
    let at = texts::begun_at(id.0.as_bytes());
    if id == first_at(at) { at - 1 } else { at }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;
    use std::sync::Arc;

    use cordboard_core::capacity::ChannelKind;
    use cordboard_core::conversation::Event;
    use cordboard_core::ids::MessageNo;
    use cordboard_core::message::{Author, Message};
    use cordboard_core::time::Timestamp;
    use cordboard_core::workstream::Workstream;

    use super::*;
    use crate::journal::views::{SqliteViews, Views};
    use crate::journal::{rebuild, schema};

    const BEGAN: i64 = 1_795_000_000_000;

    fn id(ms: i64, tail: u8) -> ConversationId {
        let mut bytes = *first_at(BEGAN + ms).0.as_bytes();
        bytes[15] = tail;
        ConversationId(Uuid::from_bytes(bytes))
    }

    /// Which conversation, whose customer, which agent, what was written.
    type Written<'a> = (ConversationId, &'a str, &'a str, &'a str);

    fn write(folder: &Path, written: &[Written<'_>]) {
        let connection = schema::open(&folder.join(schema::FILE)).unwrap();
        let position = "INSERT OR IGNORE INTO position (one, applied) VALUES (1, 0)";
        connection.execute(position, []).unwrap();
        for (id, customer, agent, text) in written {
            let message = Message {
                no: MessageNo(1),
                author: Author::Customer,
                text: (*text).to_owned(),
                media: Vec::new(),
                at: Timestamp(BEGAN),
                internal: false,
                over_length: false,
                consent: None,
                delivery: None,
            };
            let offer = cordboard_core::ids::OfferId { queue: "support".into(), number: 1 };
            let events = [
                Event::Opened {
                    channel: "sms".into(),
                    customer: (*customer).into(),
                    own: "+1".into(),
                    workstream: "sms".into(),
                    opted_out: false,
                    country: None,
                    last_agent: None,
                },
                Event::MessageReceived { message, provider_id: "m".to_owned() },
                Event::Queued { queue: "support".into(), since: Timestamp(BEGAN), prefer: None },
                Event::Assigned { agent: (*agent).into(), offer },
            ];
            for (version, event) in (1..).zip(&events) {
                let insert = "INSERT INTO events (conversation, version, at, kind, body)
                    VALUES (?1, ?2, 0, ?3, ?4)";
                let body = rmp_serde::to_vec_named(event).unwrap();
                let id = id.0.as_bytes().as_slice();
                connection.execute(insert, params![id, version, event.kind(), body]).unwrap();
            }
        }
    }

    fn index(folder: &Path) {
        let mut views = SqliteViews::open(folder).unwrap();
        while views.index(2).unwrap().behind() > 0 {}
    }

    fn all_pages(
        reader: &Reader,
        filter: &Filter,
        limit: u32,
        within: Duration,
    ) -> Vec<ConversationId> {
        let (mut cursor, mut all) = (None, Vec::new());
        for _ in 0..1000 {
            let page = reader.search(filter, cursor, limit, within).unwrap();
            assert!(page.found.len() <= limit as usize);
            all.extend(page.found.iter().map(Conversation::id));
            match page.next {
                None => return all,
                next => cursor = next,
            }
        }
        panic!("it never ends");
    }

    // CONV-09
    #[test]
    fn however_little_time_a_page_has_all_pages_have_everything_once_the_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut written = Vec::new();
        for (ms, tail) in [(0, 1), (0, 2), (999, 1), (1000, 1), (1500, 3), (1500, 7), (9000, 1)] {
            let customer = if tail == 1 { "+431" } else { "+432" };
            let agent = if ms < 1000 { "kim" } else { "lee" };
            let text = if ms == 1000 { "the number of it" } else { "a Parcel number, please" };
            written.push((id(ms, tail), customer, agent, text));
        }
        // As they don't come in the order of their names.
        written.reverse();
        write(folder.path(), &written);
        let sms = Workstream::with_defaults("sms".into(), ChannelKind::Messaging, "support".into());
        rebuild(folder.path(), &HashMap::from([("sms".into(), Arc::new(sms))])).unwrap();
        index(folder.path());
        let reader = Reader::open(folder.path()).unwrap();
        let text = |text: &str| Some(Phrase::of(text).unwrap());
        let parcels = Filter { text: text("parcel number"), ..Filter::default() };
        let of = |filter: Filter| {
            let mut found = Vec::new();
            for limit in [1, 2, 100] {
                for within in [Duration::ZERO, Duration::from_secs(10)] {
                    found.push(all_pages(&reader, &filter, limit, within));
                }
            }
            found.dedup();
            assert_eq!(found.len(), 1, "{filter:?}: {found:?}");
            found.remove(0)
        };
        let mut expected: Vec<_> =
            written.iter().filter(|w| w.3.contains("Parcel")).map(|w| w.0).collect();
        expected.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(of(parcels.clone()), expected);
        let kims = Filter { agent: Some("kim".to_owned()), ..parcels.clone() };
        assert_eq!(of(kims), [id(999, 1), id(0, 2), id(0, 1)]);
        let customers = Filter { customer: Some("+432".to_owned()), ..parcels.clone() };
        assert_eq!(of(customers), [id(1500, 7), id(1500, 3), id(0, 2)]);
        let spans = Filter { from: Some(BEGAN + 999), to: Some(BEGAN + 1500), ..parcels.clone() };
        assert_eq!(of(spans.clone()), [id(999, 1)]);
        assert_eq!(of(Filter { to: Some(BEGAN + 1501), ..spans.clone() }).len(), 3);
        assert_eq!(of(Filter { text: None, ..spans }), [id(1000, 1), id(999, 1)]);
        assert_eq!(of(Filter { text: text("of"), ..Filter::default() }), [id(1000, 1)]);
        for nobody in ["parce", "number parcel"] {
            assert!(of(Filter { text: text(nobody), ..Filter::default() }).is_empty());
        }
        assert_eq!(of(Filter { channel: Some("mail".to_owned()), ..parcels }), []);
        assert_eq!(of(Filter::default()).len(), 7);
    }

    // CONV-09 SEC-04
    #[test]
    fn numbers_of_events_that_were_removed_are_given_again_and_found() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (id(0, 1), id(5000, 2));
        write(folder.path(), &[(old, "+431", "kim", "an apple")]);
        index(folder.path());
        let mut connection = schema::open(&folder.path().join(schema::FILE)).unwrap();
        let transaction = connection.transaction().unwrap();
        texts::leave_out(&transaction, old).unwrap();
        transaction.execute("DELETE FROM events", []).unwrap();
        texts::step_back(&transaction).unwrap();
        transaction.commit().unwrap();
        write(folder.path(), &[(new, "+432", "kim", "a pear")]);
        index(folder.path());
        let found = |word: &str| {
            let mut look =
                connection.prepare("SELECT rowid FROM texts WHERE texts MATCH ?1").unwrap();
            let word = Phrase::of(word).unwrap().all_words();
            let places = look.query_map([word], |row| row.get(0).map(Rowid)).unwrap();
            places.collect::<rusqlite::Result<Vec<_>>>().unwrap()
        };
        assert_eq!(found("pear"), [Rowid::of(new.0.as_bytes(), 2)]);
        assert_eq!(found("apple"), []);
        connection.execute_batch("INSERT INTO texts (texts) VALUES ('integrity-check')").unwrap();
    }
}
