//! Routing by itself: queues and agents in one thread, without sockets and journal; and beside it
//! what a helpdesk does, a SQL query per assignment.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cordboard_core::Effects;
use cordboard_core::agent::{self, Agent};
use cordboard_core::capacity::{ChannelKind, Counts, Limits, Load, Units};
use cordboard_core::effect::Effect;
use cordboard_core::ids::{AgentId, ConversationId, OfferId, QueueId};
use cordboard_core::notice::Notice;
use cordboard_core::offer::Purpose;
use cordboard_core::presence::BaseStatus;
use cordboard_core::queue::{self, Demand, Item, Queue};
use cordboard_core::skills::{SkillNeed, Skills};
use cordboard_core::time::{Span, Timestamp};
use cordboard_core::workstream::Mode;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;
use rustc_hash::FxHashMap;
use uuid::Uuid;

const SKILLS: usize = 20;
const SKILLS_PER_ITEM: usize = 3;
const QUEUES_PER_AGENT: usize = 3;
/// What the items of one queue ask for: as many sorts as its workstreams' rules make.
const DEMANDS_PER_QUEUE: usize = 40;

/// A floor of agents and queues.
pub struct Floor {
    rng: StdRng,
    agents: Vec<Agent>,
    queues: Vec<Queue>,
    agent_numbers: FxHashMap<AgentId, usize>,
    queue_numbers: FxHashMap<QueueId, usize>,
    demands: Vec<Arc<Demand>>,
    capacity: u32,
    next: u128,
    now: Timestamp,
    /// Offers that are out, and who has them.
    offered: Vec<(usize, OfferId, ConversationId)>,
    held: VecDeque<(usize, ConversationId)>,
    mail: VecDeque<Effect>,
    fx: Effects,
}

/// How long each part of the work took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Choosing an agent, reserving the place, telling every queue of the agent.
    pub choosing: Duration,
    /// The rest of an item's life: accepted, confirmed, taken, let go.
    pub rest: Duration,
    /// Items that found an agent.
    pub given: usize,
}

impl Floor {
    /// Nobody is signed in. Each agent is a member of three queues.
    ///
    /// # Panics
    /// Never, for numbers above zero.
    pub fn new(
        agents: usize,
        queues: usize,
        capacity: u32,
        everybody_knows_everything: bool,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let queue_ids: Vec<QueueId> =
            (0..queues).map(|n| QueueId::new(format!("queue-{n}"))).collect();
        let machines = (0..agents).map(|n| {
            let member_of: Vec<QueueId> =
                queue_ids.choose_multiple(&mut rng, QUEUES_PER_AGENT).cloned().collect();
            let mut settings = agent::Settings::with_defaults(member_of);
            let counts = Counts([1, capacity, capacity, capacity]);
            settings.limits = Limits { counts, units: Units(10_000), ..Limits::default() };
            let mut skills = Skills::new();
            for skill in 0..SKILLS {
                if everybody_knows_everything || rng.random_bool(0.7) {
                    let level = rng.random_range(5..=10);
                    skills.insert(format!("skill-{skill}").as_str().into(), level);
                }
            }
            settings.skills = Arc::new(skills);
            Agent::new(AgentId::new(format!("agent-{n}")), Arc::new(settings))
        });
        let machines: Vec<Agent> = machines.collect();
        let settings = Arc::new(queue::Settings::default());
        let queues: Vec<Queue> =
            queue_ids.iter().map(|id| Queue::new(id.clone(), settings.clone(), 1)).collect();
        // About a third of a queue's members know enough for an item, or everybody does.
        let demands = (0..1000).map(|_| demand(&mut rng)).collect();
        Self {
            agent_numbers: (0..).zip(&machines).map(|(n, m)| (m.id().clone(), n)).collect(),
            queue_numbers: (0..).zip(&queues).map(|(n, m)| (m.id().clone(), n)).collect(),
            agents: machines,
            queues,
            demands,
            rng,
            capacity,
            next: 1,
            now: Timestamp(1_000_000),
            offered: Vec::new(),
            held: VecDeque::new(),
            mail: VecDeque::new(),
            fx: Effects::new(),
        }
    }

    /// Everybody signs in.
    pub fn sign_in(&mut self) {
        for n in 0..self.agents.len() {
            self.tell_agent(n, agent::Input::Connected);
        }
        self.deliver_all();
        // What came all at once was much; in a host each has a mailbox of its own, and there is little in it.
        self.mail.shrink_to_fit();
    }

    /// An item that asks for three skills waits in a queue.
    pub fn enqueue(&mut self) {
        let queue = self.rng.random_range(0..self.queues.len());
        let kind = (queue * 7 + self.rng.random_range(0..DEMANDS_PER_QUEUE)) % self.demands.len();
        let demand = self.demands[kind].clone();
        let item = Item {
            conversation: ConversationId(Uuid::from_u128(self.next)),
            since: self.now,
            priority: self.rng.random_range(0..3),
            demand,
            prefer: None,
            refused: Vec::new(),
            visited: Vec::new(),
            purpose: Purpose::Work,
        };
        self.next += 1;
        self.now.0 += 1;
        let input = queue::Input::Enqueue(Box::new(item));
        self.tell_queue(queue, input);
        self.deliver_all();
    }

    /// `count` items come, are given out, taken and, once agents hold half of what they can, done.
    pub fn run(&mut self, count: usize) -> Times {
        const BATCH: usize = 500;
        let mut times = Times::default();
        let most_held = self.agents.len() * self.capacity as usize / 2;
        for _ in 0..count / BATCH {
            let began = Instant::now();
            for _ in 0..BATCH {
                self.enqueue();
            }
            times.choosing += began.elapsed();
            let began = Instant::now();
            times.given += self.accept_all();
            while self.held.len() > most_held {
                let (agent, conversation) = self.held.pop_front().expect("it holds something");
                self.tell_agent(agent, agent::Input::Release { conversation, followed: false });
                self.deliver_all();
            }
            times.rest += began.elapsed();
        }
        times
    }

    /// Every offer that is out is accepted; how many.
    pub fn accept_all(&mut self) -> usize {
        let mut count = 0;
        while let Some((agent, offer, conversation)) = self.offered.pop() {
            self.tell_agent(agent, agent::Input::Accept { offer: offer.clone() });
            self.tell_agent(agent, agent::Input::Confirmed { offer: offer.clone() });
            let queue = self.queue_numbers[&offer.queue];
            self.tell_queue(queue, queue::Input::Taken { conversation, offer });
            self.deliver_all();
            self.held.push_back((agent, conversation));
            count += 1;
        }
        count
    }

    /// Items that wait.
    pub fn waiting(&self) -> usize {
        self.queues.iter().map(Queue::len).sum()
    }

    fn tell_agent(&mut self, agent: usize, input: agent::Input) {
        // Nothing that is said here can be refused.
        let _ = self.agents[agent].handle(input, self.now, &mut self.fx);
        self.collect();
    }

    fn tell_queue(&mut self, queue: usize, input: queue::Input) {
        self.queues[queue].handle(input, self.now, &mut self.fx);
        self.collect();
    }

    fn collect(&mut self) {
        self.fx.agent_events.clear();
        self.mail.extend(self.fx.then.drain(..));
    }

    fn deliver_all(&mut self) {
        while let Some(effect) = self.mail.pop_front() {
            match effect {
                Effect::Agent(id, input) => {
                    let agent = self.agent_numbers[&id];
                    self.tell_agent(agent, input);
                }
                Effect::Queue(id, input) => {
                    let queue = self.queue_numbers[&id];
                    self.tell_queue(queue, input);
                }
                Effect::Screen(id, Notice::Offer(view)) => {
                    let agent = self.agent_numbers[&id];
                    self.offered.push((agent, view.offer, view.conversation));
                }
                _ => {}
            }
        }
    }
}

fn demand(rng: &mut StdRng) -> Arc<Demand> {
    let mut skills: Vec<SkillNeed> = rand::seq::index::sample(rng, SKILLS, SKILLS_PER_ITEM)
        .into_iter()
        .map(|n| SkillNeed {
            skill: format!("skill-{n}").as_str().into(),
            level: rng.random_range(1..=5),
        })
        .collect();
    skills.sort_unstable();
    Arc::new(Demand {
        load: Load { kind: ChannelKind::Messaging, units: Units(1) },
        allowed: [BaseStatus::Online].into_iter().collect(),
        skills,
        mode: Mode::Push,
        offer_timeout: Span::seconds(30),
        reassign: true,
        language: "en".into(),
        hours: None,
    })
}

/// What a helpdesk does: for each assignment, one query over agents and open conversations, and one
/// insert, on the same SQLite. Assignments a second.
///
/// # Errors
/// SQLite's own.
pub fn helpdesk(
    agents: usize,
    queues: usize,
    capacity: u32,
    count: usize,
) -> rusqlite::Result<f64> {
    let mut rng = StdRng::seed_from_u64(7);
    let mut connection = Connection::open_in_memory()?;
    connection.execute_batch(
        "CREATE TABLE agents (id INTEGER PRIMARY KEY, online INTEGER, capacity INTEGER, last INTEGER);
         CREATE TABLE members (queue INTEGER, agent INTEGER, PRIMARY KEY (queue, agent)) WITHOUT ROWID;
         CREATE TABLE skills (agent INTEGER, skill INTEGER, level INTEGER,
             PRIMARY KEY (agent, skill)) WITHOUT ROWID;
         CREATE TABLE conversations (id INTEGER PRIMARY KEY, agent INTEGER, open INTEGER);
         CREATE INDEX open_by_agent ON conversations (agent) WHERE open = 1;",
    )?;
    let filling = connection.transaction()?;
    for agent in 0..agents {
        filling.execute("INSERT INTO agents VALUES (?1, 1, ?2, 0)", (agent as i64, capacity))?;
        for queue in rand::seq::index::sample(&mut rng, queues, QUEUES_PER_AGENT) {
            filling.execute("INSERT INTO members VALUES (?1, ?2)", (queue as i64, agent as i64))?;
        }
        for skill in (0..SKILLS).filter(|_| rng.random_bool(0.7)).collect::<Vec<_>>() {
            let level: u8 = rng.random_range(5..=10);
            let row = (agent as i64, skill as i64, level);
            filling.execute("INSERT INTO skills VALUES (?1, ?2, ?3)", row)?;
        }
        for _ in 0..capacity / 2 {
            let sql = "INSERT INTO conversations (agent, open) VALUES (?1, 1)";
            filling.execute(sql, [agent as i64])?;
        }
    }
    filling.commit()?;
    let began = Instant::now();
    for now in 0..count {
        let needs = rand::seq::index::sample(&mut rng, SKILLS, SKILLS_PER_ITEM).into_vec();
        let levels: [u8; SKILLS_PER_ITEM] = std::array::from_fn(|_| rng.random_range(1..=5));
        let found: Option<i64> = connection
            .prepare_cached(
                "SELECT a.id FROM members m JOIN agents a ON a.id = m.agent
                 JOIN skills s1 ON s1.agent = a.id AND s1.skill = ?2 AND s1.level >= ?3
                 JOIN skills s2 ON s2.agent = a.id AND s2.skill = ?4 AND s2.level >= ?5
                 JOIN skills s3 ON s3.agent = a.id AND s3.skill = ?6 AND s3.level >= ?7
                 JOIN (SELECT agent, COUNT(*) AS load FROM conversations WHERE open = 1
                     AND agent IN (SELECT agent FROM members WHERE queue = ?1) GROUP BY agent) c
                     ON c.agent = a.id
                 WHERE m.queue = ?1 AND a.online = 1 AND c.load < a.capacity
                 ORDER BY a.capacity - c.load DESC, a.last LIMIT 1",
            )?
            .query_row(
                (
                    rng.random_range(0..queues) as i64,
                    needs[0] as i64,
                    levels[0],
                    needs[1] as i64,
                    levels[1],
                    needs[2] as i64,
                    levels[2],
                ),
                |row| row.get(0),
            )
            .ok();
        if let Some(agent) = found {
            let insert = "INSERT INTO conversations (agent, open) VALUES (?1, 1)";
            connection.prepare_cached(insert)?.execute([agent])?;
            let close = "UPDATE conversations SET open = 0 WHERE id =
                (SELECT id FROM conversations WHERE agent = ?1 AND open = 1 LIMIT 1)";
            connection.prepare_cached(close)?.execute([agent])?;
            let last = "UPDATE agents SET last = ?2 WHERE id = ?1";
            connection.prepare_cached(last)?.execute((agent, now as i64))?;
        }
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}
