//! A conversation as the switchboard holds it: from before its first message, and with the keys of all
//! that was said.

use std::collections::HashSet;
use std::sync::Arc;

use crate::conversation::{Conversation, Input, Opening, Refused};
use crate::effect::Effects;
use crate::ids::{Address, AgentId, ChannelId, ConversationId, WorkstreamId};
use crate::notice::ThreadKey;
use crate::switchboard::Key;
use crate::time::Timestamp;
use crate::workstream::Workstream;

/// A conversation that may not have begun yet.
#[derive(Clone, Debug)]
pub struct Dialogue {
    id: ConversationId,
    machine: Result<Box<Conversation>, Box<Unopened>>,
    keys: HashSet<Key>,
    /// It has sent a message on, so there is a next one: whatever other settings say by then, it takes
    /// none any more, or the same message could be in both.
    has_sent_on: bool,
}

/// What a conversation is before its first event.
#[derive(Clone, Debug)]
struct Unopened {
    opening: Opening,
    settings: Arc<Workstream>,
}

/// What came of an input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// It was dealt with; its events follow on this version.
    Done {
        /// Events before.
        after: u64,
    },
    /// It had been said before: nothing changes. Whoever answers waits until the first one is on disk.
    Repeated,
    /// The conversation is over for good: the message is the thread's next one's (CONV-01).
    ForTheNext,
    /// The machine's own word; nothing has changed.
    Refused(Refused),
}

impl Dialogue {
    /// One that its first input begins. `keys`: what was said in the thread before.
    pub fn new(
        id: ConversationId,
        opening: Opening,
        settings: Arc<Workstream>,
        keys: HashSet<Key>,
    ) -> Self {
        let machine = Err(Box::new(Unopened { opening, settings }));
        Self { id, machine, keys, has_sent_on: false }
    }

    /// One that is on disk. Its machine has its settings; `keys` are its own and those before.
    pub fn of(machine: Box<Conversation>, keys: HashSet<Key>) -> Self {
        Self { id: machine.id(), machine: Ok(machine), keys, has_sent_on: false }
    }

    /// Goes on from what was read anew: its machine had gone further than what is on disk, or can't be
    /// trusted.
    pub fn go_on_from(&mut self, read: Self) {
        debug_assert_eq!(self.id, read.id, "another conversation");
        *self = Self { has_sent_on: self.has_sent_on, ..read };
    }

    /// Its name.
    pub fn id(&self) -> ConversationId {
        self.id
    }

    /// The machine, once it has begun.
    pub fn machine(&self) -> Option<&Conversation> {
        self.machine.as_deref().ok()
    }

    /// The same, to be changed by whoever keeps it: alarms that a restart has lost, say.
    pub fn machine_mut(&mut self) -> Option<&mut Conversation> {
        self.machine.as_deref_mut().ok()
    }

    /// Our own address.
    pub fn own(&self) -> &Address {
        match &self.machine {
            Ok(machine) => machine.own(),
            Err(unopened) => &unopened.opening.own,
        }
    }

    /// Whom the customer had or has; before it begins, in the conversation before it.
    pub fn last_agent(&self) -> Option<&AgentId> {
        match &self.machine {
            Ok(machine) => machine.last_agent(),
            Err(unopened) => unopened.opening.last_agent.as_ref(),
        }
    }

    /// Keys of all that was said in it and before.
    pub fn keys(&self) -> &HashSet<Key> {
        &self.keys
    }

    /// Events so far.
    pub fn version(&self) -> u64 {
        self.machine().map_or(0, Conversation::version)
    }

    /// The channel.
    pub fn channel(&self) -> &ChannelId {
        match &self.machine {
            Ok(machine) => machine.channel(),
            Err(unopened) => &unopened.opening.channel,
        }
    }

    /// Channel and customer.
    pub fn thread(&self) -> ThreadKey {
        match &self.machine {
            Ok(machine) => machine.thread(),
            Err(unopened) => {
                let Opening { channel, customer, .. } = &unopened.opening;
                ThreadKey { channel: channel.clone(), customer: customer.clone() }
            }
        }
    }

    /// The settings that it goes by.
    pub fn settings(&self) -> &Arc<Workstream> {
        match &self.machine {
            Ok(machine) => machine.settings().expect("whoever loads one gives it its settings"),
            Err(unopened) => &unopened.settings,
        }
    }

    /// The workstream.
    pub fn workstream(&self) -> &WorkstreamId {
        match &self.machine {
            Ok(machine) => machine.workstream(),
            Err(unopened) => &unopened.settings.id,
        }
    }

    /// The settings that its next input is dealt with by (ROUTE-17).
    pub fn set_settings(&mut self, settings: Arc<Workstream>) {
        match &mut self.machine {
            Ok(machine) => machine.set_settings(settings),
            Err(unopened) => unopened.settings = settings,
        }
    }

    /// Tells it something; `key`: it must not have been said before. The effects hold what is to be
    /// journaled, its beginning included, and what is to be done then.
    pub fn tell(
        &mut self,
        input: Input,
        key: Option<Key>,
        now: Timestamp,
        fx: &mut Effects,
    ) -> Told {
        if key.is_some_and(|key| self.keys.contains(&key)) {
            return Told::Repeated;
        }
        let is_message = matches!(input, Input::Customer(_));
        let (machine, after) = match &mut self.machine {
            Ok(machine) if is_message && (self.has_sent_on || !machine.takes_message(now)) => {
                self.has_sent_on = true;
                return Told::ForTheNext;
            }
            Ok(machine) => {
                let after = machine.version();
                (machine, after)
            }
            unopened => {
                let Err(begins) = unopened else { unreachable!("the other arms are of those") };
                let (opening, settings) = (begins.opening.clone(), begins.settings.clone());
                let opened = Conversation::open(self.id, opening, settings, now, fx);
                *unopened = Ok(Box::new(opened));
                let Ok(machine) = unopened else { unreachable!("it has begun just now") };
                (machine, 0)
            }
        };
        if let Err(refused) = machine.handle(input, now, fx) {
            return Told::Refused(refused);
        }
        if !fx.events.is_empty() {
            self.keys.extend(key);
        }
        Told::Done { after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::ChannelKind;
    use crate::conversation::CustomerMessage;
    use crate::time::Span;

    fn settings() -> Arc<Workstream> {
        let named = Workstream::with_defaults("sms".into(), ChannelKind::Messaging, "help".into());
        Arc::new(Workstream { reopen_within: Span::seconds(60), ..named })
    }

    fn dialogue() -> Dialogue {
        let opening = Opening {
            channel: "sms".into(),
            customer: "+14255550100".into(),
            own: "+14255550199".into(),
            opted_out: false,
            country: None,
            last_agent: None,
        };
        Dialogue::new(ConversationId(uuid::Uuid::from_u128(1)), opening, settings(), HashSet::new())
    }

    fn says(text: &str) -> Input {
        Input::Customer(CustomerMessage {
            provider_id: text.into(),
            text: text.into(),
            media: Vec::new(),
            consent: None,
        })
    }

    // CONV-01
    #[test]
    fn the_first_message_begins_it_and_its_repetition_changes_nothing() {
        let mut dialogue = dialogue();
        let mut fx = Effects::new();
        assert_eq!(
            dialogue.tell(says("a"), Some(7), Timestamp(1), &mut fx),
            Told::Done { after: 0 }
        );
        assert_eq!(fx.events.len() as u64, dialogue.version());
        let version = dialogue.version();
        let mut fx = Effects::new();
        assert_eq!(dialogue.tell(says("a"), Some(7), Timestamp(2), &mut fx), Told::Repeated);
        assert!(fx.is_empty() && dialogue.version() == version);
        let done = Told::Done { after: version };
        assert_eq!(dialogue.tell(says("b"), Some(8), Timestamp(3), &mut fx), done);
    }

    // CONV-01
    #[test]
    fn what_is_over_for_good_sends_its_next_message_on_and_its_repetition_back() {
        let mut dialogue = dialogue();
        let mut fx = Effects::new();
        dialogue.tell(says("a"), Some(7), Timestamp(1), &mut fx);
        let end = Input::End { agent: None, supervises: true };
        dialogue.tell(end, None, Timestamp(2), &mut fx);
        let later = Timestamp(2 + 60_001);
        assert_eq!(dialogue.tell(says("b"), Some(8), later, &mut fx), Told::ForTheNext);
        // Nor after a change of settings, or once it was read anew: the next one has it by now.
        let forever = Workstream { reopen_within: Span::seconds(1 << 30), ..(*settings()).clone() };
        dialogue.set_settings(Arc::new(forever));
        let read = Dialogue::of(
            Box::new(dialogue.machine().expect("it has begun").clone()),
            dialogue.keys().clone(),
        );
        dialogue.go_on_from(read);
        assert_eq!(dialogue.tell(says("b"), Some(8), later, &mut fx), Told::ForTheNext);
        assert_eq!(dialogue.tell(says("a"), Some(7), later, &mut fx), Told::Repeated);
    }

    #[test]
    fn a_refused_input_may_be_said_again() {
        let mut dialogue = dialogue();
        let mut fx = Effects::new();
        dialogue.tell(says("a"), Some(7), Timestamp(1), &mut fx);
        let note = || Input::Note {
            agent: AgentId::from("sam"),
            text: "psst".into(),
            as_supervisor: false,
        };
        for _ in 0..2 {
            let told = dialogue.tell(note(), Some(9), Timestamp(2), &mut Effects::new());
            assert!(matches!(told, Told::Refused(_)), "{told:?}");
        }
    }
}
