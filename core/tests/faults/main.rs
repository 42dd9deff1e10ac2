//! A hundred thousand worlds with faults. In each, a few conversations, queues and agents live through
//! everything that can happen: messages between machines delayed, overtaken and doubled, offers
//! answered twice, timers lost, agents vanishing, the configuration changed, the host stopped
//! between any two effects, queues and agents made anew beside conversations that live on. The invariants at the top of the crate hold after every step; when a
//! world has come to rest, the views equal the truth, every deadline has its alarm and none is
//! overdue, no customer waits for somebody who isn't there, and (once everybody has signed in)
//! nothing waits beside an agent who could have it. A restart goes by what is on disk, in the host's
//! own order, and may take its time.
//!
//! A world is made from its seed alone. A failing one is named, and `CORDBOARD_SEED=17 cargo test
//! -p cordboard-core --test faults` lives through it again, exactly.

mod checks;
mod made_up;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cordboard_core::capacity::ChannelKind;
use cordboard_core::classification::Attributes;
use cordboard_core::conversation::{CustomerMessage, Event, Input, Opening, Reply, State, Target};
use cordboard_core::ids::{AgentId, ConversationId, MessageNo, OfferId, QueueId};
use cordboard_core::message::Delivery;
use cordboard_core::notice::Notice;
use cordboard_core::offer::ByHand;
use cordboard_core::presence::{Attendance, BaseStatus};
use cordboard_core::time::Timestamp;
use cordboard_core::workstream::{Mode, OnOffline, Workstream};
use cordboard_core::world::{Happening, Letter, Machine, Mail};
use cordboard_core::{Agent, Conversation, Queue, World, agent, queue};
use fastrand::Rng;
use uuid::Uuid;

use made_up::{QUEUES, pick, some_agent, some_policy, some_queue, some_queue_settings};

const WORLDS: u64 = 100_000;
const STEPS: usize = 140;
const AGENTS: usize = 4;
const CONVERSATIONS: usize = 7;

struct Life {
    rng: Rng,
    world: World,
    policy: Arc<Workstream>,
    agents: BTreeMap<AgentId, Arc<agent::Settings>>,
    queues: BTreeMap<QueueId, Arc<queue::Settings>>,
    past_offers: Vec<(AgentId, OfferId, ConversationId)>,
    /// Customer messages given to each conversation, and replies accepted from agents.
    written: HashMap<ConversationId, usize>,
    replied: HashMap<ConversationId, usize>,
    journal: HashMap<ConversationId, Vec<Event>>,
    /// When somebody last saw it before they took it up: they know what its customer had written.
    seen_at: HashMap<(AgentId, ConversationId), Timestamp>,
    /// Held beyond the limit by hand and with the permission to, or from before a limit was lowered.
    beyond: HashSet<AgentId>,
    refused: HashSet<(AgentId, ConversationId)>,
}

/// With `CORDBOARD_TRACE` set, every message shows on the way to the failure.
fn trace(what: &impl std::fmt::Debug) {
    if std::env::var_os("CORDBOARD_TRACE").is_some() {
        eprintln!("{what:?}");
    }
}

fn id(n: usize) -> ConversationId {
    ConversationId(Uuid::from_u128(n as u128 + 1))
}

fn agent_id(n: usize) -> AgentId {
    AgentId::new(format!("agent-{n}"))
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let policy = Arc::new(some_policy(&mut rng));
        let agents: BTreeMap<_, _> =
            (0..AGENTS).map(|n| (agent_id(n), Arc::new(some_agent(&mut rng)))).collect();
        let queues: BTreeMap<_, _> = QUEUES
            .iter()
            .map(|queue| (QueueId::from(*queue), Arc::new(some_queue_settings(&mut rng))))
            .collect();
        let mut life = Self {
            rng,
            world: World::new(Timestamp(1_000_000)),
            policy,
            agents,
            queues,
            past_offers: Vec::new(),
            written: HashMap::new(),
            replied: HashMap::new(),
            journal: HashMap::new(),
            seen_at: HashMap::new(),
            beyond: HashSet::new(),
            refused: HashSet::new(),
        };
        life.restart();
        life
    }

    fn some_agent(&mut self) -> AgentId {
        agent_id(self.rng.usize(..AGENTS))
    }

    /// One that can be reached under its name, if there is one.
    fn some_conversation(&mut self) -> ConversationId {
        id(self.rng.usize(..CONVERSATIONS))
    }

    fn restart(&mut self) {
        // Whose settings were on their way has them now.
        self.beyond.extend(self.agents.keys().cloned());
        let alive_until = self.world.now();
        let down_for = pick(&mut self.rng, &[0, 5_000, 100_000, 149_000, 151_000, 900_000]);
        self.world.set_now(Timestamp(alive_until.0 + down_for));
        let (agents, queues) = self.fresh_views();
        let policy = self.policy.clone();
        self.world.set_policies(|_| policy.clone());
        self.world.restart(agents, queues, alive_until);
        trace(&"restarted");
    }

    /// Machines that know nothing yet; offers' numbers are greater than any before.
    fn fresh_views(&self) -> (Vec<Agent>, Vec<Queue>) {
        let first_offer = self.world.now().0 as u64 * 1000 + self.past_offers.len() as u64 + 1;
        let agent = |(id, settings): (&AgentId, &Arc<agent::Settings>)| {
            Agent::new(id.clone(), settings.clone())
        };
        let queue = |(id, settings): (&QueueId, &Arc<queue::Settings>)| {
            Queue::new(id.clone(), settings.clone(), first_offer)
        };
        (self.agents.iter().map(agent).collect(), self.queues.iter().map(queue).collect())
    }

    /// OPS-09: a machine of routing has come to grief, and routing is made anew while the rest goes on.
    fn rebuild(&mut self) {
        // Whose settings were on their way has them now.
        self.beyond.extend(self.agents.keys().cloned());
        let (agents, queues) = self.fresh_views();
        self.world.rebuild_views(agents, queues);
        trace(&"rebuilt");
    }

    /// A message under way arrives: any, but the first between its two machines.
    fn deliver(&mut self) {
        let mut first = BTreeSet::new();
        let ready: Vec<usize> = self
            .world
            .mail()
            .iter()
            .enumerate()
            .filter(|(_, letter)| first.insert((letter.from.clone(), letter.to.clone())))
            .map(|(index, _)| index)
            .collect();
        if ready.is_empty() {
            return;
        }
        let index = pick(&mut self.rng, &ready);
        let letter = self.world.deliver(index).expect("it was there");
        let twice = self.rng.u8(..12) == 0;
        trace(&letter);
        self.note_lower_limits(&letter);
        if self.rng.u8(..60) == 0 {
            // The host dies between two effects.
            let effects = self.rng.usize(..4);
            let _ = self.world.give_partly(letter.to, letter.mail, effects);
            self.look();
            self.restart();
            return;
        }
        let _ = self.world.give(letter.to.clone(), letter.mail.clone());
        if twice {
            let _ = self.world.give(letter.to, letter.mail);
        }
    }

    /// What somebody holds from before a limit was lowered is no mistake.
    fn note_lower_limits(&mut self, letter: &Letter) {
        let changes = matches!(&letter.mail, Mail::Agent(agent::Input::Configure(_)));
        if let (true, Machine::Agent(agent)) = (changes, &letter.to) {
            self.beyond.insert(agent.clone());
        }
    }

    /// Whoever is within the limits again stays within them.
    fn note_who_is_within(&mut self) {
        let is_told = |agent: &AgentId| {
            self.world.mail().iter().any(|letter| letter.to == Machine::Agent(agent.clone()))
        };
        self.beyond.retain(|id| {
            let agent = self.world.agent(id).expect("nobody goes");
            let used = agent.ledger().used().of(ChannelKind::Messaging);
            is_told(id) || used > agent.limits().counts.of(ChannelKind::Messaging)
        });
    }

    fn tell_agent(&mut self, agent: AgentId, input: agent::Input) -> bool {
        self.world.give(Machine::Agent(agent), Mail::Agent(input)).is_ok()
    }

    /// A command to a conversation. One that is refused has changed nothing.
    fn command(&mut self, id: ConversationId, input: Input) -> bool {
        let before = self.world.conversation(id).map(|c| (c.state(), c.version()));
        let result = self.world.give(Machine::Conversation(id), Mail::Conversation(input));
        if result.is_err() {
            let after = self.world.conversation(id).map(|c| (c.state(), c.version()));
            assert_eq!(before, after, "a refused command changes nothing");
        }
        result.is_ok()
    }

    /// Who is likely to command it: its primary, mostly.
    fn hand(&mut self, id: ConversationId) -> AgentId {
        let primary = self.world.conversation(id).and_then(|c| c.primary().cloned());
        match primary {
            Some(agent) if self.rng.u8(..8) > 0 => agent,
            _ => self.some_agent(),
        }
    }

    fn customer_writes(&mut self) {
        let id = self.some_conversation();
        let now = self.world.now();
        if self.world.conversation(id).is_some_and(|c| !c.takes_message(now)) {
            return;
        }
        if self.world.conversation(id).is_none() {
            let opening = Opening {
                channel: "sms".into(),
                customer: "+14255550100".into(),
                own: "+14255550199".into(),
                opted_out: false,
                country: None,
                last_agent: (self.rng.u8(..4) == 0).then(|| agent_id(0)),
            };
            self.world.open(id, opening, self.policy.clone());
            self.look();
        }
        let count = self.written.entry(id).or_default();
        *count += 1;
        let message = CustomerMessage {
            provider_id: format!("m{count}"),
            text: "hello".into(),
            media: vec![],
            consent: None,
        };
        assert!(self.command(id, Input::Customer(message)));
    }

    fn nth_offer(&mut self, agent: &AgentId) -> Option<(OfferId, ConversationId)> {
        let offers = self.world.agent(agent)?.open_offers();
        let view = (!offers.is_empty()).then(|| pick(&mut self.rng, &offers))?;
        Some((view.offer, view.conversation))
    }

    fn agent_acts(&mut self) {
        let agent = self.some_agent();
        match self.rng.u8(..14) {
            0..=2 => drop(self.tell_agent(agent, agent::Input::Connected)),
            3 => drop(
                self.tell_agent(agent, agent::Input::Disconnected { heard_at: self.world.now() }),
            ),
            4 => {
                let is_there = |agent: &Agent| agent.presence().status != BaseStatus::Offline;
                if self.world.agent(&agent).is_some_and(is_there) {
                    self.refused.retain(|(who, _)| *who != agent);
                }
                self.tell_agent(agent, agent::Input::SignOut);
            }
            5 => {
                let away = self.rng.bool().then(|| (BaseStatus::Away, "Lunch".to_owned()));
                self.tell_agent(agent, agent::Input::SetPresence(away));
            }
            6 => drop(self.tell_agent(agent, agent::Input::Activity)),
            7..=10 => {
                if let Some((offer, conversation)) = self.nth_offer(&agent) {
                    self.seen_at.insert((agent.clone(), conversation), self.world.now());
                    self.tell_agent(agent, agent::Input::Accept { offer });
                }
            }
            11 => {
                if let Some((offer, conversation)) = self.nth_offer(&agent) {
                    self.refused.insert((agent.clone(), conversation));
                    self.tell_agent(agent, agent::Input::Refuse { offer });
                }
            }
            12 => {
                // An offer of long ago is answered once more.
                if !self.past_offers.is_empty() {
                    let (agent, offer, conversation) = pick(&mut self.rng, &self.past_offers);
                    self.seen_at.insert((agent.clone(), conversation), self.world.now());
                    self.tell_agent(agent, agent::Input::Accept { offer });
                }
            }
            _ => {
                let conversation = self.some_conversation();
                let known = self.world.conversation(conversation);
                let Some(standing) = known.map(Conversation::standing) else { return };
                let load = standing.ticket.load(&self.policy);
                let beyond = self.rng.bool();
                let ways = [ByHand::Take, ByHand::TakeOver, ByHand::ComeBack];
                let by_hand = pick(&mut self.rng, &ways);
                let agent =
                    if by_hand == ByHand::ComeBack { self.hand(conversation) } else { agent };
                let pick = agent::Input::Pick { conversation, load, beyond, by_hand };
                if self.tell_agent(agent.clone(), pick) {
                    self.seen_at.insert((agent.clone(), conversation), self.world.now());
                    if beyond {
                        self.beyond.insert(agent);
                    }
                }
            }
        }
    }

    fn conversation_is_told(&mut self) {
        let id = self.some_conversation();
        let agent = self.hand(id);
        let other = self.some_agent();
        let input = match self.rng.u8(..14) {
            0 | 1 => {
                let reply = Reply { agent, text: "hi".into(), media: vec![] };
                let is_sent = self.command(id, Input::Reply(reply));
                *self.replied.entry(id).or_default() += usize::from(is_sent);
                return;
            }
            2 => Input::Note { agent, text: "psst".into(), as_supervisor: true },
            3 => Input::Leave { agent },
            4 => Input::Confirm { agent, or_advises: true },
            5 => Input::End { agent: Some(agent), supervises: self.rng.u8(..4) == 0 },
            6 => Input::FinishWrapUp { agent, disposition: None, summary: None },
            7 => Input::Transfer { agent, to: Target::Agent(other) },
            8 => Input::Transfer { agent, to: Target::Queue(some_queue(&mut self.rng)) },
            9 => Input::Consult { agent, with: self.rng.bool().then_some(other) },
            10 => Input::EndConsult { agent },
            11 => Input::Leave { agent },
            12 => {
                let mut attributes = Attributes::default();
                attributes.context.insert("vip".into(), self.rng.u8(..3).to_string());
                Input::Attributes(Box::new(attributes))
            }
            _ => {
                Input::Delivery { message: MessageNo(self.rng.u32(1..6)), delivery: Delivery::Sent }
            }
        };
        if self.world.conversation(id).is_some() {
            self.command(id, input);
        }
    }

    /// ROUTE-17: each part is told by itself, and learns it in its own time.
    fn configuration_changes(&mut self) {
        match self.rng.u8(..3) {
            0 => {
                let agent = self.some_agent();
                let settings = Arc::new(some_agent(&mut self.rng));
                self.agents.insert(agent.clone(), settings.clone());
                let input = agent::Input::Configure(settings);
                self.world.send(Machine::Agent(agent), Mail::Agent(input));
            }
            1 => {
                let queue = some_queue(&mut self.rng);
                let settings = Arc::new(some_queue_settings(&mut self.rng));
                self.queues.insert(queue.clone(), settings.clone());
                let change = queue::Input::Configure(settings);
                for input in [queue::Input::Hold, change, queue::Input::GoOn] {
                    self.world.send(Machine::Queue(queue.clone()), Mail::Queue(input));
                }
            }
            _ => {
                let revision = self.policy.revision + 1;
                self.policy = Arc::new(Workstream { revision, ..some_policy(&mut self.rng) });
                let policy = self.policy.clone();
                self.world.set_policies(|_| policy.clone());
                for n in 0..CONVERSATIONS {
                    let to = Machine::Conversation(id(n));
                    self.world.send(to, Mail::Conversation(Input::Reroute));
                }
            }
        }
    }

    fn pass(&mut self, ms: i64) {
        self.world.set_now(Timestamp(self.world.now().0 + ms));
        self.world.wake_due();
    }

    fn step(&mut self) {
        match self.rng.u8(..42) {
            41 => self.rebuild(),
            40 => self.world.wake_due(),
            0..=15 => self.deliver(),
            16..=19 => self.customer_writes(),
            20..=28 => self.agent_acts(),
            29..=34 => self.conversation_is_told(),
            35 => self.configuration_changes(),
            36..=38 => {
                let ms = pick(&mut self.rng, &[1_000, 31_000, 61_000, 200_000, 700_000]);
                self.pass(ms);
            }
            _ => self.restart(),
        }
        self.look();
        self.check();
    }

    /// Takes note of what happened; strategy plugins answer, some day.
    fn look(&mut self) {
        for happening in self.world.take_happenings() {
            match happening {
                Happening::Event(id, event) => self.journal.entry(id).or_default().push(event),
                Happening::Screen(agent, Notice::Offer(view)) => {
                    self.seen_at.insert((agent.clone(), view.conversation), view.at);
                    self.past_offers.push((agent, view.offer, view.conversation));
                }
                Happening::Judge(judgement) => {
                    let mut order: Vec<AgentId> =
                        judgement.candidates.into_iter().map(|(agent, ..)| agent).collect();
                    self.rng.shuffle(&mut order);
                    order.truncate(self.rng.usize(..3));
                    let (conversation, question) = (judgement.conversation, judgement.question);
                    let judged = queue::Input::Judged { conversation, question, order };
                    self.world.send(Machine::Queue(judgement.queue), Mail::Queue(judged));
                }
                Happening::Screen(..) | Happening::Decided(_) | Happening::Alert(_) => {}
            }
        }
        self.note_who_is_within();
    }

    /// Everything under way arrives; then the views equal the truth, whoever is there. Then everybody
    /// signs in and answers what they are offered.
    fn come_to_rest(&mut self) {
        self.world.wake_due();
        self.look();
        while let Some(letter) = self.world.deliver(0) {
            trace(&letter);
            self.note_lower_limits(&letter);
            let _ = self.world.give(letter.to, letter.mail);
            self.world.wake_due();
            self.look();
        }
        self.check();
        self.no_deadline_is_lost();
        self.nobody_waits_for_the_absent();
        for n in 0..AGENTS {
            self.tell_agent(agent_id(n), agent::Input::Connected);
        }
        for round in 0.. {
            assert!(round < 2_000, "the world doesn't come to rest");
            self.world.wake_due();
            self.look();
            if !self.world.mail().is_empty() {
                while let Some(letter) = self.world.deliver(0) {
                    trace(&letter);
                    self.note_lower_limits(&letter);
                    let _ = self.world.give(letter.to, letter.mail);
                    self.look();
                }
                continue;
            }
            let offer = (0..AGENTS).find_map(|n| {
                let offers = self.world.agent(&agent_id(n))?.open_offers();
                let first = offers.first()?;
                Some((agent_id(n), first.offer.clone(), first.conversation))
            });
            let Some((agent, offer, conversation)) = offer else { break };
            self.seen_at.insert((agent.clone(), conversation), self.world.now());
            assert!(self.tell_agent(agent, agent::Input::Accept { offer }));
        }
        self.check();
        self.no_deadline_is_lost();
        self.nobody_waits_for_the_absent();
        self.ledgers_equal_the_conversations();
        self.backlogs_equal_the_conversations();
        self.nothing_waits_beside_a_free_agent();
    }
}

fn live(seed: u64) {
    let mut life = Life::new(seed);
    for _ in 0..STEPS {
        life.step();
    }
    life.come_to_rest();
}

// OPS-09 CAP-01 CAP-02 CAP-04 CONV-02 CONV-03 CONV-04 PRES-04 PRES-06 PRES-07 PRES-08 ROUTE-03 ROUTE-04
// ROUTE-05 ROUTE-07 ROUTE-09 ROUTE-10 ROUTE-11 ROUTE-12 ROUTE-13 ROUTE-14 ROUTE-17 ROUTE-18
// ROUTE-19 ROUTE-20
#[test]
fn invariants_hold_whatever_goes_wrong() {
    if let Ok(seed) = std::env::var("CORDBOARD_SEED") {
        live(seed.parse().expect("CORDBOARD_SEED is a number"));
        return;
    }
    // More of them for a long night.
    let worlds = std::env::var("CORDBOARD_WORLDS")
        .map_or(WORLDS, |worlds| worlds.parse().expect("CORDBOARD_WORLDS is a number"));
    let cores = std::thread::available_parallelism().map_or(2, |n| n.get() as u64);
    std::thread::scope(|scope| {
        for core in 0..cores {
            scope.spawn(move || {
                for seed in (core..worlds).step_by(cores as usize) {
                    if std::panic::catch_unwind(|| live(seed)).is_err() {
                        panic!("seed {seed}: CORDBOARD_SEED={seed} lives through it again");
                    }
                }
            });
        }
    });
}
