//! Customers come, agents work, time jumps from one event to the next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use cordboard_core::agent::{self, Agent};
use cordboard_core::conversation::{CustomerMessage, Event, Input};
use cordboard_core::ids::{Address, AgentId, ChannelId, ConversationId, OfferId, QueueId};
use cordboard_core::notice::{Notice, ThreadKey};
use cordboard_core::offer::Outcome;
use cordboard_core::queue::{self, Queue};
use cordboard_core::time::{Span, Timestamp};
use cordboard_core::world::{Happening, Incoming, Machine, Mail, World};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::actors::channel_settings;
use crate::config::Config;
use crate::simulate::figures::Figures;
use crate::simulate::traffic::{Spread, Traffic, exponential};

/// Something that people do at a time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Act {
    /// The next customer of a stream comes.
    Arrive(usize),
    /// A recorded customer comes.
    Recorded(usize),
    /// An hour begins in which a stream may have customers again.
    LookAgain(usize),
    /// A customer gives up, if they still wait.
    GiveUp(ConversationId),
    /// An agent accepts.
    Accept(AgentId, OfferId),
    /// An agent refuses.
    Refuse(AgentId, OfferId),
    /// An agent is done with the customer; the number tells one engagement from the next.
    End(ConversationId, AgentId, u32),
    /// And with finishing up.
    FinishWrapUp(ConversationId, AgentId),
    /// A shift begins, or a connection is back.
    Connect(AgentId),
    /// A shift ends.
    SignOut(AgentId),
    /// A connection breaks.
    Disconnect(AgentId),
    /// A minute has passed: how long are the lines?
    Minute,
}

/// A customer on the way.
struct Customer {
    came: Timestamp,
    handling: Span,
    queue: Option<QueueId>,
    engagements: u32,
    /// What they would have been told, and since when that counts.
    estimate: Option<(Span, Timestamp)>,
    counts: bool,
}

#[derive(Default)]
struct Desk {
    signed_in_since: Option<Timestamp>,
    in_hand: u32,
    busy_since: Option<Timestamp>,
    works: bool,
}

/// A run.
pub struct Simulation<'a> {
    traffic: &'a Traffic,
    world: World,
    channels: Vec<ChannelId>,
    /// Draws what agents do.
    rng: StdRng,
    /// Draws customers: apart, so that two configurations get the very same ones.
    customers_rng: StdRng,
    acts: BinaryHeap<Reverse<(Timestamp, u64, Act)>>,
    sequence: u64,
    customers: HashMap<ConversationId, Customer>,
    desks: BTreeMap<AgentId, Desk>,
    figures: Figures,
    /// The members of each queue.
    members: BTreeMap<String, Vec<String>>,
    customers_so_far: u64,
    counts_from: Timestamp,
    ends_at: Timestamp,
}

/// Runs the traffic against the configuration. `progress` is told, now and then, which part of the
/// simulated time has passed.
pub fn run(config: &Config, traffic: &Traffic, mut progress: impl FnMut(f64)) -> Figures {
    let mut simulation = Simulation::new(config, traffic);
    let whole = (simulation.ends_at.0 - traffic.begins_at) as f64;
    let mut told = 0;
    while simulation.step() {
        let part = (simulation.world.now().0 - traffic.begins_at) as f64 / whole;
        if (part * 200.0) as u32 != told {
            told = (part * 200.0) as u32;
            progress(part.min(1.0));
        }
    }
    simulation.finish()
}

impl<'a> Simulation<'a> {
    /// Everything is set up; nobody has come.
    pub fn new(config: &Config, traffic: &'a Traffic) -> Self {
        let now = traffic.begins();
        let mut world = World::new(now).without_screens();
        for queue in &config.queues {
            world.add_queue(Queue::new(queue.id.clone(), queue.settings.clone(), 1));
        }
        for agent in &config.agents {
            world.add_agent(Agent::new(agent.id.clone(), agent.settings.clone()));
        }
        for channel in &config.channels {
            let workstream = &config.workstreams[&channel.workstream];
            world.set_settings(channel.id.clone(), channel_settings(workstream, channel, None));
        }
        let mut simulation = Self {
            traffic,
            world,
            channels: config.channels.iter().map(|channel| channel.id.clone()).collect(),
            rng: StdRng::seed_from_u64(traffic.seed),
            customers_rng: StdRng::seed_from_u64(traffic.seed ^ 0x9E37_79B9_7F4A_7C15),
            acts: BinaryHeap::new(),
            sequence: 0,
            customers: HashMap::new(),
            desks: BTreeMap::new(),
            figures: Figures::default(),
            members: BTreeMap::new(),
            customers_so_far: 0,
            counts_from: now + traffic.warm_up.0,
            ends_at: now + traffic.length.0,
        };
        for queue in &config.queues {
            simulation.figures.queues.insert(queue.id.to_string(), Default::default());
        }
        for agent in config.agents.iter().filter(|agent| !agent.settings.queues.is_empty()) {
            simulation.figures.agents.insert(agent.id.to_string(), Default::default());
            for queue in &agent.settings.queues {
                let members = simulation.members.entry(queue.to_string()).or_default();
                members.push(agent.id.to_string());
            }
            simulation.plan_shifts(&agent.id);
        }
        for stream in 0..traffic.streams.len() {
            simulation.plan_arrival(stream);
        }
        for index in 0..traffic.recorded.len() {
            simulation.at(traffic.recorded[index].at, Act::Recorded(index));
        }
        simulation.at(now, Act::Minute);
        simulation
    }

    /// The machines, for tests.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// One event. False once the time is over.
    pub fn step(&mut self) -> bool {
        let act_at = self.acts.peek().map(|Reverse((at, ..))| *at);
        let next = [act_at, self.world.next_timer()].into_iter().flatten().min();
        let Some(next) = next.filter(|at| *at <= self.ends_at) else { return false };
        self.world.set_now(next.max(self.world.now()));
        if self.world.next_timer().is_some_and(|at| at <= next) {
            self.world.wake_due();
        } else if let Some(Reverse((_, _, act))) = self.acts.pop() {
            self.act(act);
        }
        self.deliver_all();
        true
    }

    /// The figures, with what is still under way counted up to the end.
    pub fn finish(mut self) -> Figures {
        self.world.set_now(self.ends_at);
        let agents: Vec<AgentId> = self.desks.keys().cloned().collect();
        for agent in agents {
            self.count_desk(&agent);
        }
        for (queue, members) in &self.members {
            let signed_in: f64 = members
                .iter()
                .filter_map(|id| self.figures.agents.get(id))
                .map(|a| a.signed_in)
                .sum();
            let figures = self.figures.queues.entry(queue.clone()).or_default();
            figures.occupancy = if signed_in > 0.0 { figures.handled / signed_in } else { 0.0 };
        }
        self.figures.simulated = (self.ends_at.0 - self.counts_from.0) as f64 / 1000.0;
        self.figures
    }

    fn plan_shifts(&mut self, agent: &AgentId) {
        self.desks.insert(agent.clone(), Desk::default());
        let begins = self.traffic.begins();
        let is_theirs = |shift: &&crate::simulate::traffic::Shift| {
            shift.agents.iter().any(|name| name == agent.as_str())
        };
        let shifts: Vec<_> = self.traffic.shifts.iter().filter(is_theirs).collect();
        if shifts.is_empty() {
            self.at(begins, Act::Connect(agent.clone()));
        }
        for shift in shifts {
            self.at(begins + shift.from.0, Act::Connect(agent.clone()));
            self.at(begins + shift.to.0, Act::SignOut(agent.clone()));
        }
    }

    fn plan_arrival(&mut self, stream: usize) {
        let now = self.world.now();
        match self.traffic.gap(&self.traffic.streams[stream], now) {
            Some(gap) => {
                let gap = exponential(&mut self.customers_rng, gap).round() as i64;
                self.at(now + Span(gap), Act::Arrive(stream));
            }
            None => {
                let into = (now.0 - self.traffic.begins_at) % 3_600_000;
                self.at(now + Span(3_600_000 - into), Act::LookAgain(stream));
            }
        }
    }

    fn at(&mut self, at: Timestamp, act: Act) {
        self.sequence += 1;
        self.acts.push(Reverse((at, self.sequence, act)));
    }

    fn after(&mut self, spread: Spread, act: Act) {
        let wait = spread.draw(&mut self.rng);
        self.at(self.world.now() + wait, act);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Arrive(stream) => {
                self.arrive(stream);
                self.plan_arrival(stream);
            }
            Act::LookAgain(stream) => self.plan_arrival(stream),
            Act::Recorded(index) => self.arrive_recorded(index),
            Act::GiveUp(id) => self.give_up(id),
            Act::Accept(agent, offer) => self.tell(agent, agent::Input::Accept { offer }),
            Act::Refuse(agent, offer) => {
                if self.counts() {
                    self.agent_figures(&agent).refused += 1;
                }
                self.tell(agent, agent::Input::Refuse { offer });
            }
            Act::End(id, agent, engagement) => {
                let is_current =
                    self.customers.get(&id).is_some_and(|c| c.engagements == engagement);
                if is_current {
                    let end = Input::End { agent: Some(agent.clone()), supervises: false };
                    self.command(id, end);
                    self.after(self.traffic.wrap_up, Act::FinishWrapUp(id, agent));
                }
            }
            Act::FinishWrapUp(id, agent) => {
                let finish = Input::FinishWrapUp { agent, disposition: None, summary: None };
                self.command(id, finish);
            }
            Act::Connect(agent) => self.connect(agent),
            Act::Disconnect(agent) => self.disconnect(agent),
            Act::SignOut(agent) => {
                self.count_desk(&agent);
                if let Some(desk) = self.desks.get_mut(&agent) {
                    desk.works = false;
                    desk.signed_in_since = None;
                }
                self.tell(agent, agent::Input::SignOut);
            }
            Act::Minute => {
                let counts = self.counts();
                for queue in self.world.queues() {
                    let figures = self.figures.queues.entry(queue.id().to_string()).or_default();
                    if counts {
                        figures.lengths.push(u32::try_from(queue.len()).unwrap_or(u32::MAX));
                    }
                }
                self.at(self.world.now() + Span::seconds(60), Act::Minute);
            }
        }
    }

    fn connect(&mut self, agent: AgentId) {
        let now = self.world.now();
        let Some(desk) = self.desks.get_mut(&agent) else { return };
        desk.works = true;
        desk.signed_in_since.get_or_insert(now);
        self.tell(agent.clone(), agent::Input::Connected);
        if self.traffic.breaks_per_hour > 0.0 {
            let mean = 3_600_000.0 / self.traffic.breaks_per_hour;
            let wait = Span(exponential(&mut self.rng, mean) as i64);
            self.at(now + wait, Act::Disconnect(agent));
        }
    }

    fn disconnect(&mut self, agent: AgentId) {
        if !self.desks.get(&agent).is_some_and(|desk| desk.works) {
            return;
        }
        let heard_at = self.world.now();
        self.tell(agent.clone(), agent::Input::Disconnected { heard_at });
        self.after(self.traffic.break_length, Act::Connect(agent));
    }

    fn arrive(&mut self, stream: usize) {
        let stream = &self.traffic.streams[stream];
        let channel = stream.channel.as_deref();
        let index = match channel {
            Some(channel) => self.channels.iter().position(|id| id.as_str() == channel),
            None => Some(0),
        };
        let Some(index) = index else { return };
        let handling =
            stream.handling.unwrap_or(self.traffic.handling).draw(&mut self.customers_rng);
        let attributes =
            (stream.attributes != Default::default()).then(|| stream.attributes.clone());
        let (country, text) = (stream.country.clone(), stream.text.clone());
        self.open(index, country, text, attributes, handling);
    }

    fn arrive_recorded(&mut self, index: usize) {
        let recorded = self.traffic.recorded[index].clone();
        let channel = self.channels.iter().position(|id| id.as_str() == recorded.channel);
        let drawn = self.traffic.handling.draw(&mut self.customers_rng);
        let handling = recorded.handling.unwrap_or(drawn);
        self.open(channel.unwrap_or(0), recorded.country, recorded.text, None, handling);
    }

    fn open(
        &mut self,
        channel: usize,
        country: Option<String>,
        text: String,
        attributes: Option<cordboard_core::classification::Attributes>,
        handling: Span,
    ) {
        let Some(channel) = self.channels.get(channel).cloned() else { return };
        self.customers_so_far += 1;
        // Everybody is somebody else.
        let customer = Address::new(format!("customer {}", self.customers_so_far));
        let thread = ThreadKey { channel, customer };
        let message =
            CustomerMessage { provider_id: String::new(), text, media: Vec::new(), consent: None };
        let own = Address::new("us");
        let incoming = Incoming { own, country, message, key: None, not: None };
        let id =
            self.world.place(&thread, &incoming).expect("only configured channels have streams");
        let counts = self.counts();
        self.figures.came += u64::from(counts);
        let customer = Customer {
            came: self.world.now(),
            handling,
            queue: None,
            engagements: 0,
            estimate: None,
            counts,
        };
        self.customers.insert(id, customer);
        if let Some(attributes) = attributes {
            self.command(id, Input::Attributes(Box::new(attributes)));
        }
        let _ = self.world.give(Machine::Conversation(id), Mail::Message(Box::new(incoming)));
        if let Some(patience) = self.traffic.patience {
            let patience = patience.draw(&mut self.customers_rng);
            self.at(self.world.now() + patience, Act::GiveUp(id));
        }
    }

    fn give_up(&mut self, id: ConversationId) {
        let waits = self.world.conversation(id).is_some_and(|c| c.primary().is_none());
        let Some(customer) = self.customers.get(&id).filter(|_| waits) else { return };
        let (queue, counts) = (customer.queue.clone(), customer.counts);
        if let Some(queue) = queue.filter(|_| counts) {
            self.queue_figures(&queue).abandoned += 1;
        }
        self.command(id, Input::End { agent: None, supervises: true });
    }

    fn tell(&mut self, agent: AgentId, input: agent::Input) {
        // An offer may have ended in the meantime.
        let _ = self.world.give(Machine::Agent(agent), Mail::Agent(input));
    }

    fn command(&mut self, id: ConversationId, input: Input) {
        // It may have gone elsewhere in the meantime.
        let _ = self.world.give(Machine::Conversation(id), Mail::Conversation(input));
    }

    /// Messages are delivered, and people see what comes of it, until nothing moves.
    fn deliver_all(&mut self) {
        loop {
            self.world.deliver_all();
            let happenings = self.world.take_happenings();
            if happenings.is_empty() {
                return;
            }
            for happening in happenings {
                self.see(happening);
            }
        }
    }

    fn see(&mut self, happening: Happening) {
        match happening {
            Happening::Screen(agent, Notice::Offer(view)) => self.answer(agent, view.offer),
            Happening::Screen(agent, Notice::OfferEnded { outcome: Outcome::Expired, .. }) => {
                if self.counts() {
                    self.agent_figures(&agent).missed += 1;
                }
            }
            Happening::Event(id, event) => self.on_event(id, event),
            // Plugins aren't simulated: their queues go by the default order.
            Happening::Judge(judgement) => {
                let input = queue::Input::Judged {
                    conversation: judgement.conversation,
                    question: judgement.question,
                    order: Vec::new(),
                };
                self.world.send(Machine::Queue(judgement.queue), Mail::Queue(input));
            }
            Happening::Screen(..)
            | Happening::Changed(..)
            | Happening::Taken(..)
            | Happening::Decided(_)
            | Happening::Alert(_) => {}
        }
    }

    fn answer(&mut self, agent: AgentId, offer: OfferId) {
        let percent = self.rng.random_range(0.0..100.0);
        if percent < self.traffic.missed_percent {
            return;
        }
        let refuses = percent < self.traffic.missed_percent + self.traffic.refused_percent;
        let act = if refuses { Act::Refuse(agent, offer) } else { Act::Accept(agent, offer) };
        self.after(self.traffic.answer, act);
    }

    fn on_event(&mut self, id: ConversationId, event: Event) {
        match event {
            Event::Queued { queue, .. } => self.on_queued(id, queue),
            Event::Overflowed { queue, .. } => {
                let counts = self.customers.get(&id).is_some_and(|customer| customer.counts);
                self.queue_figures(&queue).overflowed += u64::from(counts);
            }
            Event::Assigned { agent, .. } => self.on_assigned(id, agent),
            Event::Unassigned { agent } => self.lets_go(&agent),
            Event::Closed => {
                if let Some(customer) = self.customers.remove(&id)
                    && customer.engagements > 0
                    && let Some(agent) =
                        self.world.conversation(id).and_then(|c| c.primary().cloned())
                {
                    self.lets_go(&agent);
                }
                self.world.forget(id);
            }
            _ => {}
        }
    }

    fn on_queued(&mut self, id: ConversationId, queue: QueueId) {
        let now = self.world.now();
        // It stands in line by now, or was offered to somebody at once.
        let estimate = self.world.queue(&queue).and_then(|line| line.place_in_line(id)?.estimate);
        let Some(customer) = self.customers.get_mut(&id) else { return };
        let is_first = customer.queue.is_none();
        customer.queue = Some(queue.clone());
        customer.estimate = estimate.map(|estimate| (estimate, now));
        if is_first && customer.counts {
            self.queue_figures(&queue).came += 1;
        }
    }

    fn on_assigned(&mut self, id: ConversationId, agent: AgentId) {
        let now = self.world.now();
        let within = self.traffic.service_level.0.0;
        let class = self.world.conversation(id).map(|c| c.classification().priority);
        let priority = class.unwrap_or_default();
        let Some(customer) = self.customers.get_mut(&id) else { return };
        customer.engagements += 1;
        let (engagement, handling) = (customer.engagements, customer.handling);
        let wait = now.0 - customer.came.0;
        let told = customer.estimate.map(|(estimate, at)| (estimate.0, now.0 - at.0));
        let counted = customer.queue.clone().filter(|_| customer.counts && engagement == 1);
        if let Some(queue) = counted {
            let figures = self.queue_figures(&queue);
            figures.served += 1;
            figures.handled += handling.0 as f64 / 1000.0;
            figures.in_time += u64::from(wait <= within);
            let wait = u32::try_from(wait).unwrap_or(u32::MAX);
            figures.waits.push(wait);
            figures.waits_by_priority.entry(priority).or_default().add(wait);
            let ms = |ms: i64| u32::try_from(ms).unwrap_or(u32::MAX);
            figures.estimates.extend(told.map(|(told, real)| (ms(told), ms(real))));
            self.agent_figures(&agent).taken += 1;
        }
        let desk = self.desks.entry(agent.clone()).or_default();
        desk.in_hand += 1;
        desk.busy_since.get_or_insert(now);
        self.at(now + handling, Act::End(id, agent, engagement));
    }

    fn lets_go(&mut self, agent: &AgentId) {
        self.count_desk(agent);
        let Some(desk) = self.desks.get_mut(agent) else { return };
        desk.in_hand = desk.in_hand.saturating_sub(1);
        if desk.in_hand == 0 {
            desk.busy_since = None;
        }
    }

    /// Adds up the times of a desk so far.
    fn count_desk(&mut self, agent: &AgentId) {
        let (now, from) = (self.world.now(), self.counts_from);
        let Some(desk) = self.desks.get_mut(agent) else { return };
        let passed = |since: &mut Option<Timestamp>| -> f64 {
            let Some(began) = since else { return 0.0 };
            let ms = now.0 - began.0.max(from.0);
            *began = now;
            ms.max(0) as f64 / 1000.0
        };
        let (signed_in, busy) = (passed(&mut desk.signed_in_since), passed(&mut desk.busy_since));
        let figures = self.figures.agents.entry(agent.to_string()).or_default();
        figures.signed_in += signed_in;
        figures.busy += busy;
    }

    fn counts(&self) -> bool {
        self.world.now() >= self.counts_from
    }

    fn queue_figures(&mut self, queue: &QueueId) -> &mut super::QueueFigures {
        self.figures.queues.entry(queue.to_string()).or_default()
    }

    fn agent_figures(&mut self, agent: &AgentId) -> &mut super::AgentFigures {
        self.figures.agents.entry(agent.to_string()).or_default()
    }
}
