//! The simulator against formulas: Erlang C for one class of customers, Cobham's for two.

use cordboard_host::config;
use cordboard_host::simulate::{Stream, Traffic, run};

/// A point: customers per minute, minutes each takes, agents.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// λ per minute.
    pub per_minute: f64,
    /// Mean handling time in minutes.
    pub handling: f64,
    /// c.
    pub agents: usize,
}

impl Point {
    /// Offered load in Erlang.
    fn load(&self) -> f64 {
        self.per_minute * self.handling
    }

    /// The probability of having to wait.
    fn erlang_c(&self) -> f64 {
        let (load, agents) = (self.load(), self.agents as f64);
        let mut blocking = 1.0;
        for n in 1..=self.agents {
            blocking = load * blocking / (n as f64 + load * blocking);
        }
        blocking / (1.0 - load / agents * (1.0 - blocking))
    }

    /// The mean wait in seconds.
    pub fn mean_wait(&self) -> f64 {
        self.erlang_c() * self.handling / (self.agents as f64 - self.load()) * 60.0
    }

    /// Mean waits in seconds of the urgent and the others, if this part of them is urgent (Cobham,
    /// several servers, nobody is interrupted).
    pub fn mean_waits_by_priority(&self, urgent: f64) -> (f64, f64) {
        let agents = self.agents as f64;
        let first = self.erlang_c() * self.handling / agents * 60.0;
        let (some, all) = (self.load() * urgent / agents, self.load() / agents);
        (first / (1.0 - some), first / ((1.0 - some) * (1.0 - all)))
    }

    /// Plays so many customers through the real machines, all in one queue. The mean waits in
    /// seconds of the urgent and the others.
    ///
    /// # Panics
    /// If there is no temporary folder.
    pub fn play(&self, customers: f64, urgent: f64) -> (f64, f64) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let agents: String = (0..self.agents)
            .map(|n| format!("(id: \"a{n}\", queues: [\"hall\"], capacity: (messaging: 1)),"))
            .collect();
        let text = format!(
            r#"(channels: [(id: "line", plugin: "none", workstream: "work")],
            workstreams: [(id: "work", kind: messaging, queue: "hall", wrap_up: Never, offer_timeout: "1d",
                inactivity: "10d", rules: [(name: "urgent", when: [Text(Is("urgent"))], priority: 1)])],
            queues: [(id: "hall")], agents: [{agents}])"#
        );
        std::fs::write(folder.path().join("a.ron"), text).expect("a temporary file");
        let config = config::load(folder.path()).expect("the configuration is right");
        let minutes = customers / self.per_minute;
        let spec = format!(
            "{}/min,{}ms,{}s",
            self.per_minute,
            (self.handling * 60_000.0).round(),
            (minutes * 60.0).round()
        );
        let mut traffic = Traffic::read(&spec).expect("the traffic is right");
        traffic.warm_up = config::Duration::parse("8h").expect("a length of time");
        let stream = traffic.streams[0].clone();
        traffic.streams[0].per_minute = self.per_minute * (1.0 - urgent);
        if urgent > 0.0 {
            let per_minute = self.per_minute * urgent;
            let text = "urgent".to_owned();
            traffic.streams.push(Stream { per_minute, text, ..stream });
        }
        let figures = run(&config, &traffic, |_| {});
        let by_priority = &figures.queues["hall"].waits_by_priority;
        let mean = |priority: i32| by_priority.get(&priority).map_or(0.0, |sum| sum.mean_seconds());
        (mean(1), mean(0))
    }
}
