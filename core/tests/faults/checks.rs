//! What must hold whatever has gone wrong: always, and once a world has come to rest.

use super::*;

impl Life {
    /// Invariants 3, 4 and 5; 1 and 2 are asserted inside the machines and at rest.
    pub(super) fn check(&self) {
        for agent in self.world.agents() {
            let used = agent.ledger().used().of(ChannelKind::Messaging);
            let limit = agent.limits().counts.of(ChannelKind::Messaging);
            let is_beyond = self.beyond.contains(agent.id());
            assert!(used <= limit || is_beyond, "{} holds {used} of {limit}", agent.id());
        }
        for key in &self.taken {
            let is_there = self.received.contains_key(&format!("m{key}"));
            assert!(is_there, "m{key} was taken and isn't there");
        }
        for (id, events) in &self.journal {
            let replies = events.iter().filter(|event| match event {
                Event::ReplyQueued { message } => {
                    assert!(!message.internal, "{id}: a note goes out");
                    message.author != cordboard_core::message::Author::System
                }
                _ => false,
            });
            let replied = self.replied.get(id).copied().unwrap_or(0);
            assert_eq!(replies.count(), replied, "{id}: replies");
            for event in events {
                if let Event::NoteAdded { message } = event {
                    assert!(message.internal && message.delivery.is_none());
                }
            }
        }
    }

    /// CONV-01: each message is in one conversation of its thread, once, and of a thread's
    /// conversations only the newest can be anything but over.
    pub(super) fn every_message_is_there_once(&self) {
        for (key, (thread, _)) in &self.written {
            let id = self.received.get(&format!("m{key}"));
            let id = id.unwrap_or_else(|| panic!("m{key} is nowhere"));
            let conversation = self.world.conversation(*id).expect("it is on disk");
            assert_eq!(*conversation.customer(), thread.customer, "m{key} is somebody else's");
        }
        for conversation in self.world.conversations() {
            let customer = conversation.customer().clone();
            let newest = self.world.newest_of(&ThreadKey { channel: "sms".into(), customer });
            let is_over = conversation.state() == State::Closed;
            assert!(is_over || newest == Some(conversation.id()), "{} goes on", conversation.id());
        }
    }

    /// CONV-06: screens show what is theirs as it is, and nothing else.
    pub(super) fn screens_show_what_is(&self) {
        for conversation in self.world.conversations() {
            let (id, now) = (conversation.id(), shown(conversation));
            // What is theirs when a screen connects: open work, and wrap-ups.
            let (state, primary, consultants, wrap_ups) = now.clone();
            let goes_on = state != State::Closed;
            let take_part = primary.into_iter().chain(consultants).filter(|_| goes_on);
            let who: BTreeSet<AgentId> = take_part.chain(wrap_ups).collect();
            for agent in &who {
                let shows = self.screens.get(&(agent.clone(), id));
                assert_eq!(shows, Some(&now), "{agent}'s screen, {id}");
            }
            for (agent, _) in self.screens.keys().filter(|(_, of)| *of == id) {
                assert!(who.contains(agent), "{agent}'s screen still shows {id}");
            }
        }
    }

    /// Every deadline that was due has been seen, and the others have their alarms.
    pub(super) fn no_deadline_is_lost(&self) {
        for conversation in self.world.conversations() {
            let overdue = conversation.wake_at().filter(|at| *at <= self.world.now());
            assert_eq!(overdue, None, "{}: its time has come", conversation.id());
        }
        assert_eq!(self.world.has_all_alarms(), Ok(()), "an alarm is missing");
    }

    /// ROUTE-18 ROUTE-19: what is somebody's knows where they are, and no customer has written to a
    /// desk that nobody sat at.
    pub(super) fn nobody_waits_for_the_absent(&self) {
        for conversation in self.world.conversations() {
            let Some(agent) = conversation.primary().and_then(|id| self.world.agent(id)) else {
                continue;
            };
            let (id, state) = (conversation.id(), conversation.state());
            let (attendance, since) = agent.attendance();
            let presence = agent.presence();
            let is_so = Attendance::of(presence.status, presence.source);
            assert_eq!(attendance, is_so, "{}", agent.id());
            let follows = conversation.follows_agent();
            assert_eq!(agent.followed().contains(&id), follows, "{id} follows {}", agent.id());
            if state == State::Closed || !(conversation.occupies() || follows) {
                continue;
            }
            assert_eq!(conversation.attendance(), attendance, "{id} about {}", agent.id());
            let seen_at = self.seen_at.get(&(agent.id().clone(), id)).copied();
            let is_asking = conversation.is_asking_since(since.max(seen_at.unwrap_or(since)));
            // With a clock that was set back nobody can say which came first.
            let is_left_alone = conversation.is_agent_absent() && is_asking && !self.was_set_back;
            assert!(state != State::Active || !is_left_alone, "{id} wrote to {}", agent.id());
            let returns = self.workstream.on_offline == OnOffline::Return && state != State::WrapUp;
            let is_offline = attendance == Attendance::Offline;
            assert!(!(returns && is_offline), "{id} is still with {}", agent.id());
        }
    }

    /// CAP-04
    pub(super) fn ledgers_equal_the_conversations(&self) {
        for agent in self.world.agents() {
            let held: BTreeSet<_> = agent.ledger().held().into_iter().collect();
            let due: BTreeSet<_> = self
                .world
                .conversations()
                .filter(|c| {
                    (c.occupies() && c.primary() == Some(agent.id()))
                        || c.consultants().contains(agent.id())
                })
                .map(Conversation::id)
                .collect();
            assert_eq!(held, due, "ledger of {} (CAP-04)", agent.id());
            let used: u32 = agent.ledger().used().0.iter().sum();
            assert_eq!(used as usize, held.len(), "{} has reserved something", agent.id());
        }
    }

    pub(super) fn backlogs_equal_the_conversations(&self) {
        for conversation in self.world.conversations().filter(|c| c.state() == State::Open) {
            let queue = conversation.queue();
            assert!(self.queues.contains_key(queue), "{} waits in {queue}", conversation.id());
        }
        for queue in self.world.queues() {
            let waiting: BTreeSet<_> = queue.waiting().into_iter().collect();
            let open: BTreeSet<_> = self
                .world
                .conversations()
                .filter(|c| c.state() == State::Open && c.queue() == queue.id())
                .map(Conversation::id)
                .collect();
            let searches: BTreeSet<_> = self
                .world
                .conversations()
                .filter(|c| c.summary().handed_to.is_some_and(|h| h.agent.is_none()))
                .map(Conversation::id)
                .collect();
            let work: BTreeSet<_> = waiting.difference(&searches).copied().collect();
            assert_eq!(work, open, "backlog of {}", queue.id());
            assert_eq!(waiting.len(), queue.len(), "nothing is out");
        }
    }

    /// ROUTE-04 ROUTE-20
    pub(super) fn nothing_waits_beside_a_free_agent(&self) {
        if self.workstream.mode == Mode::Pull {
            return;
        }
        for queue in self.world.queues() {
            for conversation in queue.waiting() {
                for agent in self.world.agents() {
                    let Some(settings) = self.agents.get(agent.id()) else { continue };
                    let is_member = settings.queues.contains(queue.id()) && !settings.light;
                    let has_refused = self.refused.contains(&(agent.id().clone(), conversation));
                    if !is_member || has_refused || self.is_kept(conversation) {
                        continue;
                    }
                    let why_not = queue.why_not(agent.id(), conversation, self.world.now());
                    assert!(
                        why_not.is_some(),
                        "{conversation} waits in {} although {} could have it",
                        queue.id(),
                        agent.id()
                    );
                    self.must_be_true(agent, conversation, &why_not.unwrap());
                }
            }
        }
    }

    /// What a queue believes of an agent is so.
    fn must_be_true(
        &self,
        agent: &Agent,
        conversation: ConversationId,
        why_not: &cordboard_core::decision::PassedOver,
    ) {
        use cordboard_core::decision::PassedOver;
        let standing = self.world.conversation(conversation).expect("it waits").standing();
        let load = standing.ticket.load(&self.workstream);
        let is_so = match why_not {
            PassedOver::Presence { status, .. } => *status == agent.presence().status,
            PassedOver::Capacity(_) => !agent.ledger().fits(load, agent.limits()),
            PassedOver::Skill { skill, needs, .. } => {
                self.agents[agent.id()].skills.get(skill).copied().unwrap_or(0) < *needs
            }
            // The search for a consultant is closed to those who take part.
            PassedOver::Refused => {
                self.refused.contains(&(agent.id().clone(), conversation))
                    || self
                        .world
                        .conversation(conversation)
                        .is_some_and(|c| c.state() != State::Open || c.last_agent().is_some())
            }
            // A member that had no place when asked must have said so since.
            PassedOver::NotReserved | PassedOver::NotMember => false,
            PassedOver::Missed | PassedOver::KeptFor(_) => true,
        };
        assert!(is_so, "{} about {conversation}: {why_not:?}", agent.id());
    }

    fn is_kept(&self, conversation: ConversationId) -> bool {
        let standing = self.world.conversation(conversation).expect("it waits").standing();
        standing.ticket.prefer.as_ref().is_some_and(|prefer| self.world.now() < prefer.until)
    }
}
