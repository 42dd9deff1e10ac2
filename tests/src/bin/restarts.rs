//! A host that is killed again and again in the midst of its work, as often as is asked for. After each
//! start: no deadline is lost, nobody waits with somebody who isn't there, presence, hours, limits and
//! ledgers are as they were, and in the end every text that was acknowledged stands there once.
//!
//! `make restarts COUNT=10000` takes about half an hour; it isn't part of `make test`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use clap::Parser;
use cordboard_tests::emulator::{Provider, World};
use cordboard_tests::harness::{HostProcess, Screen, Setup};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

/// Kills a host again and again, and looks at it after each start.
#[derive(Parser)]
struct Arguments {
    /// How often.
    #[arg(long, default_value_t = 10_000)]
    count: usize,
    /// What happens, and when, is drawn from this.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const AGENTS: [&str; 3] = ["ann", "bob", "cat"];
/// How long presence outlives a connection, or a host.
const GRACE: i64 = 20_000;
/// All of a conversation's life: it is ended, wrapped up, and over.
const END_AFTER: i64 = 3_000;
const WRAP_UP_LIMIT: i64 = 2_000;
/// What a busy machine may take beside.
const SLACK: i64 = 2_500;
const CAPACITY: u64 = 4;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    since.as_millis() as i64
}

fn setup() -> Setup {
    let mut setup = Setup::new();
    setup.workstream = format!(
        r#"inactivity: "1s", end_after: "{END_AFTER}ms", wrap_up_limit: "{WRAP_UP_LIMIT}ms", reopen_within: "0s",
        on_offline: return_after("1s"), affinity: "0s", offer_timeout: "1s","#
    );
    setup.sections = format!(
        r#"
        hours: [(id: "never", zone: "UTC", week: ())],
        presence: (grace: "{GRACE}ms", labels: [(id: "lunch", name: "Lunch", status: away)]),"#
    );
    setup.agents = AGENTS
        .iter()
        .map(|agent| {
            format!("(id: \"{agent}\", queues: [\"support\"], capacity: (messaging: {CAPACITY})),")
        })
        .collect();
    setup
}

/// What is known from outside.
#[derive(Default)]
struct Books {
    acknowledged: BTreeMap<String, String>,
    /// What an agent has chosen and was told that it stands.
    chosen: HashMap<&'static str, &'static str>,
    /// When they last heard that: it is on disk that they were there.
    there_at: HashMap<&'static str, i64>,
    texts: usize,
    starts: Vec<Duration>,
    checks: usize,
}

struct Driver {
    setup: Setup,
    world: World,
    tokens: HashMap<&'static str, String>,
    supervisor: String,
    client: reqwest::Client,
    rng: StdRng,
    books: Books,
}

impl Driver {
    async fn get(&self, host: &HostProcess, path: &str) -> anyhow::Result<Value> {
        let request = self.client.get(format!("{}{path}", host.url)).bearer_auth(&self.supervisor);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// A moment of a day: texts come, agents answer, leave, end, go to lunch and come back.
    async fn work(&mut self, host: &HostProcess) {
        let mut screens = Vec::new();
        for agent in AGENTS {
            // Not everybody is back each time; the grace is long enough for most.
            if self.rng.random_bool(0.6) {
                let screen = Screen::connect(&host.url, &self.tokens[agent]).await;
                screens.push((agent, screen));
            }
        }
        let until = Instant::now() + Duration::from_millis(self.rng.random_range(0..80));
        while Instant::now() < until {
            match self.rng.random_range(0..10) {
                0..=4 => self.text().await,
                5 => self.choose(&mut screens).await,
                _ => self.act(&mut screens).await,
            }
        }
    }

    /// Three at once, so that a kill finds some half way.
    async fn text(&mut self) {
        let texts = [0; 3].map(|_| {
            self.books.texts += 1;
            let n = self.books.texts;
            // Every tenth goes to a channel that is closed.
            let provider = if n.is_multiple_of(10) { Provider::Acs } else { Provider::Twilio };
            (provider, format!("{n:032X}"), format!("+1425{n:07}"))
        });
        let world = self.world.clone();
        let deliver = |(provider, id, customer): &(Provider, String, String)| {
            let (world, provider, id, customer) =
                (world.clone(), *provider, id.clone(), customer.clone());
            async move { world.deliver(provider, &id, &customer, &id).await }
        };
        let [one, two, three] = &texts;
        let answers = tokio::join!(deliver(one), deliver(two), deliver(three));
        let answers = [answers.0, answers.1, answers.2];
        for ((_, id, customer), status) in texts.into_iter().zip(answers) {
            if status == 200 {
                self.books.acknowledged.insert(id, customer);
            }
        }
    }

    async fn choose(&mut self, screens: &mut [(&'static str, Screen)]) {
        let Some(index) = (0..screens.len()).collect::<Vec<_>>().choose(&mut self.rng).copied()
        else {
            return;
        };
        let (agent, screen) = &mut screens[index];
        let choices = [
            ("Lunch", json!({ "type": "presence", "label": "lunch" })),
            ("do_not_disturb", json!({ "type": "presence", "status": "do_not_disturb" })),
            ("", json!({ "type": "presence" })),
            ("", json!({ "type": "presence" })),
            ("", json!({ "type": "presence" })),
        ];
        let (label, command) = choices.choose(&mut self.rng).expect("there are some").clone();
        if screen.command(command).await["ok"] == true {
            self.books.chosen.insert(agent, label);
            self.books.there_at.insert(agent, now());
        }
    }

    /// Somebody deals with the next thing that their screen shows.
    async fn act(&mut self, screens: &mut [(&'static str, Screen)]) {
        for (_, screen) in screens {
            let frame = tokio::time::timeout(Duration::from_millis(1), screen.try_next()).await;
            let Ok(Some(frame)) = frame else { continue };
            let id = &frame["id"];
            let command = match (frame["type"].as_str(), frame["state"].as_str()) {
                (Some("offer"), _) => json!({ "type": "accept", "offer": frame["offer"] }),
                (Some("conversation"), Some("active")) => {
                    let text = json!({ "type": "reply", "conversation": id, "text": "hi" });
                    let others = ["leave", "end", "consult"];
                    let others = others.map(|kind| json!({ "type": kind, "conversation": id }));
                    let all = [
                        text.clone(),
                        text,
                        others[0].clone(),
                        others[1].clone(),
                        others[2].clone(),
                    ];
                    all.choose(&mut self.rng).expect("there are some").clone()
                }
                (Some("conversation"), Some("waiting")) => {
                    json!({ "type": "rejoin", "conversation": id })
                }
                (Some("conversation"), Some("wrap_up")) if self.rng.random_bool(0.5) => {
                    json!({ "type": "finish_wrap_up", "conversation": id })
                }
                _ => continue,
            };
            screen.try_send(&command).await;
        }
    }

    /// Asks until everything is as it should be.
    async fn look(&mut self, host: &HostProcess) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_millis(SLACK as u64);
        loop {
            match self.look_once(host).await {
                Ok(()) => {
                    self.books.checks += 1;
                    return Ok(());
                }
                Err(why) if Instant::now() > until => return Err(why),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    async fn look_once(&self, host: &HostProcess) -> anyhow::Result<()> {
        let open = self.get(host, "/api/v1/conversations?all=true&limit=1000").await?;
        let agents = self.get(host, "/api/v1/agents").await?;
        let agents = agents.as_array().context("a list")?;
        let agent = |id: &str| agents.iter().find(|agent| agent["id"] == id);
        let mut held: HashMap<&str, HashSet<&str>> = HashMap::new();
        // What was ended while it waited for its customer takes no place.
        let mut wrapped_up: HashMap<&str, u64> = HashMap::new();
        for conversation in open.as_array().context("a list")? {
            let age = now() - conversation["opened_at"].as_i64().context("a time")?;
            ensure!(age < END_AFTER + WRAP_UP_LIMIT + SLACK, "a deadline is lost: {conversation}");
            let state = conversation["state"].as_str().context("a state")?;
            let id = conversation["id"].as_str().context("a name")?;
            if state == "active" && age > END_AFTER + SLACK {
                anyhow::bail!("it should have been ended: {conversation}");
            }
            if conversation["channel"] == Provider::Acs.channel() {
                ensure!(conversation["agent"].is_null(), "out of hours: {conversation}");
            }
            if let Some(primary) = conversation["agent"].as_str() {
                let presence = &agent(primary).context("an agent")?["presence"]["status"];
                let is_left_alone =
                    presence == "offline" && (state == "active" || state == "waiting");
                ensure!(!is_left_alone, "{primary} isn't there: {conversation}");
                if state == "active" {
                    held.entry(primary).or_default().insert(id);
                }
                if state == "wrap_up" {
                    *wrapped_up.entry(primary).or_default() += 1;
                }
            }
            for adviser in conversation["consultants"].as_array().context("a list")? {
                held.entry(adviser.as_str().context("a name")?).or_default().insert(id);
            }
        }
        for id in AGENTS {
            let agent = agent(id).context("an agent")?;
            let used = agent["capacity"][2]["used"].as_u64().context("a number")?;
            let offers = agent["offers"].as_array().context("a list")?.len() as u64;
            let held = held.get(id).map_or(0, HashSet::len) as u64;
            let least = held + offers;
            let most = least + wrapped_up.get(id).copied().unwrap_or(0);
            ensure!(
                (least..=most).contains(&used),
                "ledger of {id}: {used}, not {least} to {most}"
            );
            ensure!(used <= CAPACITY, "{id} has {used} of {CAPACITY}");
            let status = agent["presence"]["status"].as_str().context("a status")?;
            let label = agent["presence"]["label"].as_str().context("a label")?;
            // Whoever was away for longer than the grace has signed out; the others are as before.
            let wanted = self.books.chosen.get(id).copied().unwrap_or_default();
            if status != "offline" && !wanted.is_empty() {
                ensure!(label == wanted, "{id} chose {wanted} and is {label}");
            }
        }
        Ok(())
    }

    /// Presence that ended by its grace is nobody's choice any more. Within it nobody is gone.
    async fn note_who_is_gone(&mut self, host: &HostProcess) -> anyhow::Result<()> {
        let agents = self.get(host, "/api/v1/agents").await?;
        for agent in agents.as_array().context("a list")? {
            if agent["presence"]["status"] != "offline" {
                continue;
            }
            self.books.chosen.retain(|id, _| agent["id"] != *id);
            let mut there_at = self.books.there_at.iter().filter(|(id, _)| agent["id"] == **id);
            let is_gone = there_at.all(|(_, at)| now() >= at + GRACE);
            ensure!(is_gone, "its grace isn't over: {agent}");
        }
        Ok(())
    }

    async fn one_life(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let host = self.setup.start(&["--workers", "1"]).await;
        self.books.starts.push(began.elapsed());
        self.note_who_is_gone(&host).await?;
        if let Err(why) = self.look(&host).await {
            eprintln!("{}", host.log());
            return Err(why);
        }
        self.work(&host).await;
        if self.rng.random_bool(0.9) {
            host.kill();
        } else {
            ensure!(host.stop() == Some(0), "it didn't stop in order");
        }
        Ok(())
    }

    /// Each acknowledged text stands in the journal, once.
    fn count_texts(&self) -> anyhow::Result<usize> {
        let journal = rusqlite::Connection::open(self.setup.data().join("journal.sqlite"))?;
        let query = "SELECT body FROM events WHERE kind = 'message_received'";
        let mut statement = journal.prepare(query)?;
        let mut found: HashMap<String, usize> = HashMap::new();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let event: Value = rmp_serde::from_slice(row.get_ref(0)?.as_blob()?)?;
            let text = event["message_received"]["message"]["text"].as_str().context("a text")?;
            *found.entry(text.to_owned()).or_default() += 1;
        }
        for text in self.books.acknowledged.keys() {
            ensure!(found.get(text) == Some(&1), "{text} stands {:?} times", found.get(text));
        }
        Ok(found.len())
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut setup = setup();
    let emulators = setup.with_emulators();
    let closed = "plugin: \"acs\", hours: \"never\", workstream";
    setup.change("channels.ron", "plugin: \"acs\", workstream", closed);
    let tokens = AGENTS.map(|agent| (agent, setup.token(agent))).into();
    let supervisor = setup.token("sam");
    let mut driver = Driver {
        world: emulators.world.clone(),
        tokens,
        supervisor,
        client: reqwest::Client::builder().no_proxy().build()?,
        rng: StdRng::seed_from_u64(arguments.seed),
        books: Books::default(),
        setup,
    };
    let began = Instant::now();
    for n in 1..=arguments.count {
        driver.one_life().await.with_context(|| format!("after start {n}"))?;
        if n.is_multiple_of(500) {
            println!("{n} starts, {} texts, {:?}", driver.books.texts, began.elapsed());
        }
    }
    let kept = driver.count_texts()?;
    let Books { acknowledged, starts, checks, .. } = &driver.books;
    let mut starts = starts.clone();
    starts.sort_unstable();
    println!(
        "{} restarts, each looked at ({checks}): {} texts acknowledged, {kept} kept, none twice; a start took {:?} at the median, {:?} at most; {:?} in all",
        arguments.count,
        acknowledged.len(),
        starts[starts.len() / 2],
        starts[starts.len() - 1],
        began.elapsed()
    );
    Ok(())
}
