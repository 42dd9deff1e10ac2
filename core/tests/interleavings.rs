//! Random interleavings of everything that can happen to a small world of conversations, one queue
//! and a few agents: inputs late, repeated, answered twice, timers lost, the host restarted. The
//! invariants at the top of the crate hold after every step, and when the world has come to rest
//! no waiting item is left beside an agent who could have it.
//!
//! Messages between two machines keep their order, as the host's mailboxes do; between different
//! pairs any order can happen.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use cordboard_core::agent::{self, Settings};
use cordboard_core::capacity::{ChannelKind, Counts, Limits, Units};
use cordboard_core::conversation::{self, CustomerMessage, Event, Opening, Reply, State};
use cordboard_core::effect::Effect;
use cordboard_core::ids::{AgentId, ConversationId, MessageNo, OfferId, QueueId};
use cordboard_core::message::{Consent, Delivery};
use cordboard_core::notice::Notice;
use cordboard_core::presence::BaseStatus;
use cordboard_core::queue::{self, Order};
use cordboard_core::time::Timestamp;
use cordboard_core::workstream::{Workstream, WrapUpHold};
use cordboard_core::{Agent, Conversation, Effects, Queue};
use proptest::prelude::*;
use uuid::Uuid;

const AGENTS: usize = 3;
const CONVERSATIONS: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    /// Deliver the first message of the n-th non-empty mailbox.
    Deliver(usize),
    CustomerWrites(usize, bool),
    Connect(usize),
    Disconnect(usize),
    SignOut(usize),
    Choose(usize, bool),
    Accept(usize, usize),
    Refuse(usize, usize),
    /// Accept an offer of long ago once more.
    AcceptStale(usize, usize),
    Reply(usize),
    Note(usize),
    Leave(usize),
    Rejoin(usize),
    End(usize),
    FinishWrapUp(usize),
    Report(usize, u32),
    Pass(i64),
    /// The n-th timer is lost.
    LoseTimer(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let conversation = 0..CONVERSATIONS;
    let agent = 0..AGENTS;
    prop_oneof![
        20 => (0..20usize).prop_map(Step::Deliver),
        4 => (conversation.clone(), any::<bool>()).prop_map(|(c, stop)| Step::CustomerWrites(c, stop)),
        2 => agent.clone().prop_map(Step::Connect),
        1 => agent.clone().prop_map(Step::Disconnect),
        1 => agent.clone().prop_map(Step::SignOut),
        1 => (agent.clone(), any::<bool>()).prop_map(|(a, away)| Step::Choose(a, away)),
        4 => (agent.clone(), 0..3usize).prop_map(|(a, o)| Step::Accept(a, o)),
        1 => (agent.clone(), 0..3usize).prop_map(|(a, o)| Step::Refuse(a, o)),
        1 => (agent, 0..9usize).prop_map(|(a, o)| Step::AcceptStale(a, o)),
        2 => conversation.clone().prop_map(Step::Reply),
        1 => conversation.clone().prop_map(Step::Note),
        1 => conversation.clone().prop_map(Step::Leave),
        1 => conversation.clone().prop_map(Step::Rejoin),
        2 => conversation.clone().prop_map(Step::End),
        2 => conversation.clone().prop_map(Step::FinishWrapUp),
        1 => (conversation, 1..6u32).prop_map(|(c, m)| Step::Report(c, m)),
        3 => prop_oneof![Just(1_000i64), Just(31_000), Just(200_000), Just(700_000)].prop_map(Step::Pass),
        1 => (0..5usize).prop_map(Step::LoseTimer),
        1 => Just(Step::Restart),
    ]
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Machine {
    Conversation(usize),
    Queue,
    Agent(usize),
}

#[derive(Clone, Debug)]
enum Mail {
    Conversation(conversation::Input),
    Queue(queue::Input),
    Agent(agent::Input),
}

struct World {
    now: Timestamp,
    policy: Arc<Workstream>,
    settings: Arc<Settings>,
    conversations: Vec<Option<Conversation>>,
    agents: Vec<Agent>,
    queue: Queue,
    mail: BTreeMap<(Machine, Machine), VecDeque<Mail>>,
    timers: Vec<(Timestamp, Machine)>,
    journal: Vec<Vec<Event>>,
    past_offers: Vec<OfferId>,
    /// Customer messages given to each conversation.
    written: Vec<usize>,
    replied: Vec<usize>,
    /// Held beyond the limit by hand.
    by_hand: HashMap<usize, HashSet<ConversationId>>,
    refused: HashSet<(usize, usize)>,
}

fn id(n: usize) -> ConversationId {
    ConversationId(Uuid::from_u128(n as u128 + 1))
}

fn number(id: ConversationId) -> usize {
    id.0.as_u128() as usize - 1
}

fn agent_id(n: usize) -> AgentId {
    AgentId::new(format!("agent-{n}"))
}

fn agent_number(id: &AgentId) -> usize {
    id.as_str().trim_start_matches("agent-").parse().unwrap()
}

impl World {
    fn new(wrap_up: WrapUpHold, reassign: bool) -> Self {
        let queue = QueueId::from("support");
        let mut policy =
            Workstream::with_defaults("sms".into(), ChannelKind::Messaging, queue.clone());
        policy.wrap_up = wrap_up;
        policy.reassign = reassign;
        policy.units = Units(10);
        let mut settings = Settings::with_defaults(vec![queue.clone()]);
        settings.limits = Limits { counts: Counts([1, 3, 2, 10]), units: Units(25) };
        let settings = Arc::new(settings);
        Self {
            now: Timestamp(1_000_000),
            policy: Arc::new(policy),
            agents: (0..AGENTS).map(|n| Agent::new(agent_id(n), settings.clone())).collect(),
            settings,
            conversations: (0..CONVERSATIONS).map(|_| None).collect(),
            queue: Queue::new(queue, Order::Priority, 1),
            mail: BTreeMap::new(),
            timers: Vec::new(),
            journal: vec![Vec::new(); CONVERSATIONS],
            past_offers: Vec::new(),
            written: vec![0; CONVERSATIONS],
            replied: vec![0; CONVERSATIONS],
            by_hand: HashMap::new(),
            refused: HashSet::new(),
        }
    }

    fn carry_out(&mut self, from: Machine, fx: Effects) {
        if let Machine::Conversation(n) = from {
            self.journal[n].extend(fx.events);
        }
        for effect in fx.then {
            let (to, mail) = match effect {
                Effect::Conversation(to, input) => {
                    (Machine::Conversation(number(to)), Mail::Conversation(input))
                }
                Effect::Queue(_, input) => (Machine::Queue, Mail::Queue(input)),
                Effect::Agent(to, input) => (Machine::Agent(agent_number(&to)), Mail::Agent(input)),
                Effect::WakeAt(at) => {
                    self.timers.push((at, from.clone()));
                    continue;
                }
                Effect::Screen(_, Notice::Offer(offer)) => {
                    self.past_offers.push(offer.offer);
                    continue;
                }
                Effect::Screen(..) | Effect::Decided(_) => continue,
            };
            self.mail.entry((from.clone(), to)).or_default().push_back(mail);
        }
    }

    fn give(&mut self, to: Machine, mail: Mail) {
        let mut fx = Effects::new();
        match (&to, mail) {
            (Machine::Conversation(n), Mail::Conversation(input)) => {
                let Some(conversation) = &mut self.conversations[*n] else { return };
                let _ = conversation.handle(input, self.now, &mut fx);
            }
            (Machine::Queue, Mail::Queue(input)) => self.queue.handle(input, self.now, &mut fx),
            (Machine::Agent(n), Mail::Agent(input)) => {
                if let agent::Input::HoldByHand { conversation, .. } = &input {
                    self.by_hand.entry(*n).or_default().insert(*conversation);
                }
                let _ = self.agents[*n].handle(input, self.now, &mut fx);
            }
            (to, mail) => unreachable!("{mail:?} for {to:?}"),
        }
        self.carry_out(to, fx);
    }

    fn deliver(&mut self, nth: usize) -> bool {
        let busy: Vec<_> = self
            .mail
            .iter()
            .filter(|(_, mail)| !mail.is_empty())
            .map(|(key, _)| key.clone())
            .collect();
        if busy.is_empty() {
            return false;
        }
        let key = busy[nth % busy.len()].clone();
        let mail = self.mail.get_mut(&key).unwrap().pop_front().unwrap();
        self.give(key.1, mail);
        true
    }

    fn command(&mut self, n: usize, make: impl Fn(AgentId) -> conversation::Input) -> bool {
        let Some(conversation) = &mut self.conversations[n] else { return false };
        let agent = conversation.primary().cloned().unwrap_or_else(|| agent_id(0));
        let mut fx = Effects::new();
        let before = (conversation.state(), conversation.version());
        let result = conversation.handle(make(agent), self.now, &mut fx);
        if result.is_err() {
            assert!(fx.is_empty(), "a refused command has effects");
            assert_eq!(before, (conversation.state(), conversation.version()));
        }
        self.carry_out(Machine::Conversation(n), fx);
        result.is_ok()
    }

    fn customer_writes(&mut self, n: usize, consent: Option<Consent>) {
        let mut fx = Effects::new();
        let is_over = self.conversations[n].as_ref().is_some_and(|c| !c.takes_message(self.now));
        if is_over {
            return;
        }
        let policy = self.policy.clone();
        let now = self.now;
        let conversation = self.conversations[n].get_or_insert_with(|| {
            let opening = Opening {
                channel: "sms".into(),
                customer: "+14255550100".into(),
                own: "+14255550199".into(),
                opted_out: false,
            };
            Conversation::open(id(n), opening, policy, now, &mut fx)
        });
        self.written[n] += 1;
        let message = CustomerMessage {
            provider_id: format!("m{}", self.written[n]),
            text: "hello".into(),
            media: vec![],
            consent,
        };
        conversation.handle(conversation::Input::Customer(message), now, &mut fx).unwrap();
        self.carry_out(Machine::Conversation(n), fx);
    }

    fn nth_offer(&self, agent: usize, nth: usize) -> Option<OfferId> {
        let offers = self.agents[agent].open_offers();
        (!offers.is_empty()).then(|| offers[nth % offers.len()].offer.clone())
    }

    fn restart(&mut self) {
        self.mail.clear();
        self.timers.clear();
        self.refused.clear();
        let first_offer = self.past_offers.iter().map(|o| o.number).max().unwrap_or(0) + 1000;
        self.queue = Queue::new(QueueId::from("support"), Order::Priority, first_offer);
        self.agents = (0..AGENTS).map(|n| Agent::new(agent_id(n), self.settings.clone())).collect();
        // As the host does it: queues and ledgers are whole before anybody can sign in, and only what
        // they answer to conversations is under way afterwards.
        for n in 0..CONVERSATIONS {
            let Some(conversation) = &self.conversations[n] else { continue };
            let at = conversation.wake_at();
            let recovered = conversation.standing().recover(&self.policy);
            self.timers.extend(at.map(|at| (at, Machine::Conversation(n))));
            let mut fx = Effects::new();
            let from = match recovered {
                Some(Effect::Queue(_, input)) => {
                    self.queue.handle(input, self.now, &mut fx);
                    Machine::Queue
                }
                Some(Effect::Agent(agent, input)) => {
                    let agent = agent_number(&agent);
                    self.agents[agent].handle(input, self.now, &mut fx).unwrap();
                    Machine::Agent(agent)
                }
                Some(other) => unreachable!("{other:?}"),
                None => continue,
            };
            fx.then.retain(|effect| matches!(effect, Effect::Conversation(..)));
            self.carry_out(from, fx);
        }
    }

    fn pass(&mut self, ms: i64) {
        self.now = Timestamp(self.now.0 + ms);
        let now = self.now;
        let (due, later) =
            std::mem::take(&mut self.timers).into_iter().partition(|(at, _)| *at <= now);
        self.timers = later;
        for (_, machine) in due {
            self.wake(machine);
        }
    }

    fn wake(&mut self, machine: Machine) {
        let mail = match machine {
            Machine::Conversation(_) => Mail::Conversation(conversation::Input::Wake),
            Machine::Agent(_) => Mail::Agent(agent::Input::Wake),
            Machine::Queue => return,
        };
        self.give(machine, mail);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Deliver(nth) => {
                self.deliver(nth);
            }
            Step::CustomerWrites(n, stop) => {
                self.customer_writes(n, stop.then_some(Consent::OptOut).filter(|_| n == 0));
            }
            Step::Connect(n) => self.give(Machine::Agent(n), Mail::Agent(agent::Input::Connected)),
            Step::Disconnect(n) => {
                self.give(Machine::Agent(n), Mail::Agent(agent::Input::Disconnected));
            }
            Step::SignOut(n) => self.give(Machine::Agent(n), Mail::Agent(agent::Input::SignOut)),
            Step::Choose(n, away) => {
                let choice = away.then(|| (BaseStatus::Away, "Lunch".to_owned()));
                self.give(Machine::Agent(n), Mail::Agent(agent::Input::SetPresence(choice)));
            }
            Step::Accept(n, nth) => {
                if let Some(offer) = self.nth_offer(n, nth) {
                    self.give(Machine::Agent(n), Mail::Agent(agent::Input::Accept { offer }));
                }
            }
            Step::Refuse(n, nth) => {
                let open = self.agents[n].open_offers();
                if let Some(offer) = self.nth_offer(n, nth) {
                    let view = open.iter().find(|view| view.offer == offer).unwrap();
                    self.refused.insert((n, number(view.conversation)));
                    self.give(Machine::Agent(n), Mail::Agent(agent::Input::Refuse { offer }));
                }
            }
            Step::AcceptStale(n, nth) => {
                if let Some(offer) = self.past_offers.get(nth).cloned() {
                    self.give(Machine::Agent(n), Mail::Agent(agent::Input::Accept { offer }));
                }
            }
            Step::Reply(n) => {
                let sent = self.command(n, |agent| {
                    conversation::Input::Reply(Reply { agent, text: "hi".into(), media: vec![] })
                });
                self.replied[n] += usize::from(sent);
            }
            Step::Note(n) => {
                self.command(n, |agent| conversation::Input::Note {
                    agent,
                    text: "psst".into(),
                    as_supervisor: true,
                });
            }
            Step::Leave(n) => {
                self.command(n, |agent| conversation::Input::Leave { agent });
            }
            Step::Rejoin(n) => {
                self.command(n, |agent| conversation::Input::Rejoin { agent });
            }
            Step::End(n) => {
                self.command(n, |agent| conversation::Input::End { agent: Some(agent) });
            }
            Step::FinishWrapUp(n) => {
                self.command(n, |agent| conversation::Input::FinishWrapUp { agent });
            }
            Step::Report(n, no) => {
                self.command(n, |_| conversation::Input::Delivery {
                    message: MessageNo(no),
                    delivery: Delivery::Sent,
                });
            }
            Step::Pass(ms) => self.pass(ms),
            Step::LoseTimer(nth) => {
                if !self.timers.is_empty() {
                    let index = nth % self.timers.len();
                    self.timers.remove(index);
                }
            }
            Step::Restart => self.restart(),
        }
        self.check();
    }

    /// Invariants 3, 4 and 5; 1 and 2 are asserted inside the machines and at rest.
    fn check(&self) {
        for (n, agent) in self.agents.iter().enumerate() {
            let by_hand = self.by_hand.get(&n).map_or(0, HashSet::len) as u16;
            let used = agent.ledger().used().of(ChannelKind::Messaging);
            assert!(used <= 2 + by_hand, "agent {n} holds {used} of 2, {by_hand} by hand");
        }
        for n in 0..CONVERSATIONS {
            let received = |event: &&Event| matches!(event, Event::MessageReceived { .. });
            assert_eq!(self.journal[n].iter().filter(received).count(), self.written[n]);
            let queued = |event: &&Event| matches!(event, Event::ReplyQueued { .. });
            assert_eq!(self.journal[n].iter().filter(queued).count(), self.replied[n]);
            for event in &self.journal[n] {
                if let Event::NoteAdded { message } = event {
                    assert!(message.internal && message.delivery.is_none());
                }
                if let Event::ReplyQueued { message } = event {
                    assert!(!message.internal);
                }
            }
        }
    }

    /// Everything under way arrives, lost timers included; then the views equal the truth.
    fn come_to_rest(&mut self) {
        for round in 0.. {
            assert!(round < 100, "the world doesn't come to rest");
            while self.deliver(round) {}
            let offers_are_out = self.agents.iter().any(|agent| !agent.open_offers().is_empty());
            if !offers_are_out {
                break;
            }
            // Answer all offers, as agents would.
            for n in 0..AGENTS {
                while let Some(offer) = self.nth_offer(n, 0) {
                    self.give(Machine::Agent(n), Mail::Agent(agent::Input::Accept { offer }));
                }
            }
        }
        for n in 0..AGENTS {
            let held: HashSet<_> = self.agents[n].ledger().held().collect();
            let due: HashSet<_> = self
                .conversations
                .iter()
                .flatten()
                .filter(|c| c.occupies() && c.primary() == Some(&agent_id(n)))
                .map(Conversation::id)
                .collect();
            assert_eq!(held, due, "ledger of agent {n} (CAP-04)");
            assert_eq!(self.agents[n].ledger().used().0.iter().sum::<u16>() as usize, held.len());
        }
        let waiting: Vec<_> = self.queue.waiting().collect();
        let open: HashSet<_> = self
            .conversations
            .iter()
            .flatten()
            .filter(|c| c.state() == State::Open)
            .map(Conversation::id)
            .collect();
        assert_eq!(waiting.iter().copied().collect::<HashSet<_>>(), open, "backlog");
        assert_eq!(waiting.len(), self.queue.len(), "nothing is out");
        for conversation in waiting {
            for n in 0..AGENTS {
                let is_online = self.agents[n].presence().status == BaseStatus::Online;
                let load = cordboard_core::capacity::Load {
                    kind: self.policy.kind,
                    units: self.policy.units,
                };
                let fits = self.agents[n].ledger().fits(load, self.agents[n].limits());
                let has_refused = self.refused.contains(&(n, number(conversation)));
                assert!(
                    !(is_online && fits) || has_refused,
                    "{conversation} waits although agent {n} could have it (ROUTE-20)"
                );
            }
        }
    }
}

fn wrap_up() -> impl Strategy<Value = WrapUpHold> {
    prop_oneof![
        Just(WrapUpHold::Never),
        Just(WrapUpHold::Always),
        Just(WrapUpHold::For(cordboard_core::time::Span(60_000))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

    // CAP-01 CAP-04 CONV-04 ROUTE-04 ROUTE-07 ROUTE-09 ROUTE-20
    #[test]
    fn invariants_hold_in_every_order(
        steps in prop::collection::vec(step(), 1..120),
        wrap_up in wrap_up(),
        reassign in any::<bool>(),
    ) {
        let mut world = World::new(wrap_up, reassign);
        for step in steps {
            world.take(step);
        }
        world.come_to_rest();
    }
}
