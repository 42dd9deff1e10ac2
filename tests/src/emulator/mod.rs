//! Emulators of the outside: TeleSign, Twilio, Azure Communication Services, and a phone.
//!
//! Each provider checks what it gets as the real one does, remembers it, reports on it, and can be
//! told to fail. The official SDKs are run against them, so that what our plugins talk to is what
//! the SDKs take for the real thing.

mod acs;
mod phone;
mod sign;
mod telesign;
mod twilio;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use serde::{Deserialize, Serialize};

pub use sign::{event_grid_event, telesign_callback, twilio_webhook};

/// The providers' side of the sample configuration.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// TeleSign's customer ID.
    pub telesign_customer: String,
    /// TeleSign's API key, base64.
    pub telesign_key: String,
    /// Twilio's account SID.
    pub twilio_sid: String,
    /// Twilio's auth token.
    pub twilio_token: String,
    /// ACS' access key, base64.
    pub acs_key: String,
    /// The secret in the Event Grid subscription's URL.
    pub acs_webhook_secret: String,
    /// Where the host is reached.
    pub host_url: String,
}

impl Accounts {
    /// Those of `config/emulated.env` and `config/channels.ron`.
    pub fn sample(host_url: &str) -> Self {
        Self {
            telesign_customer: "FFFFFFFF-EEEE-DDDD-1234-AB1234567890".to_owned(),
            telesign_key:
                "ABC12345yusumoN6BYsBVkh+yRJ5czgsnCehZaOYldPJdmFh6NeX8kunZ2zU1YWaUw/0wV6xfw=="
                    .to_owned(),
            twilio_sid: "ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb".to_owned(),
            twilio_token: "22222222222222222222222222222222".to_owned(),
            acs_key: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==".to_owned(),
            acs_webhook_secret: "event-grid-emulator-secret".to_owned(),
            host_url: host_url.to_owned(),
        }
    }

    /// As environment variables, the way the sample configuration reads them.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("TELESIGN_API_KEY", self.telesign_key.clone()),
            ("TWILIO_AUTH_TOKEN", self.twilio_token.clone()),
            ("ACS_ACCESS_KEY", self.acs_key.clone()),
            ("ACS_WEBHOOK_SECRET", self.acs_webhook_secret.clone()),
        ]
    }

    /// Everything that must never be printed.
    pub fn secrets(&self) -> Vec<String> {
        self.environment().into_iter().map(|(_, value)| value).collect()
    }
}

/// Which provider.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// TeleSign.
    Telesign,
    /// Twilio.
    Twilio,
    /// Azure Communication Services.
    Acs,
}

impl Provider {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Telesign, Self::Twilio, Self::Acs];

    /// Our number in the sample configuration, E.164.
    pub fn our_number(self) -> &'static str {
        match self {
            Self::Telesign => "+15550001001",
            Self::Twilio => "+15550002002",
            Self::Acs => "+15550003003",
        }
    }

    /// The channel in the sample configuration.
    pub fn channel(self) -> &'static str {
        match self {
            Self::Telesign => "sms-telesign",
            Self::Twilio => "sms-twilio",
            Self::Acs => "sms-acs",
        }
    }
}

/// What the next send meets instead of success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Taken, but the answer never arrives: the connection is cut.
    Cut,
    /// Taken, and answered after so many milliseconds.
    Late(u64),
    /// This HTTP status, with `Retry-After` in seconds if given.
    Status(u16, Option<u64>),
}

/// A message that the provider took.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    /// Through whom.
    pub provider: Provider,
    /// The provider's id.
    pub id: String,
    /// Our own reference, as the provider got it.
    pub reference: String,
    /// E.164.
    pub to: String,
    /// The text.
    pub text: String,
    /// As the phone shows it: `sent`, `delivered`, `undelivered`.
    pub status: &'static str,
    /// How often the same was taken: 1, unless it was sent twice.
    pub times: u32,
}

/// One line on a phone's screen.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// `me` or `them`.
    pub from: &'static str,
    /// The text.
    pub text: String,
    /// What is known of it.
    pub status: String,
}

#[derive(Default)]
struct Inside {
    sent: Vec<Sent>,
    failures: VecDeque<Failure>,
    refused_requests: Vec<String>,
    nonces: HashSet<String>,
    acs_requests: HashMap<String, String>,
    opted_out: HashSet<(Provider, String)>,
    undeliverable: HashSet<String>,
    reports: bool,
    screens: HashMap<(Provider, String), Vec<Line>>,
    requests: Vec<(Provider, String)>,
    counter: u64,
    /// Texts that came in through Twilio, by their SID: from whom, and what.
    came_in: HashMap<String, (String, String)>,
    /// Another channel and number than those of the sample configuration.
    moved: HashMap<Provider, (String, String)>,
    /// Further tokens of Twilio's: it signs with the newest.
    twilio_tokens: Vec<String>,
}

/// All emulators, and what they remember.
#[derive(Clone)]
pub struct World {
    /// Credentials and addresses.
    pub accounts: Arc<Accounts>,
    inside: Arc<Mutex<Inside>>,
    client: reqwest::Client,
}

impl World {
    /// Nothing has happened yet.
    pub fn new(accounts: Accounts) -> Self {
        // A second call finds the provider installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build();
        let inside = Inside { reports: true, ..Inside::default() };
        Self {
            accounts: Arc::new(accounts),
            inside: Arc::new(Mutex::new(inside)),
            client: client.expect("a client without special settings"),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was taken so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.inside().sent.clone()
    }

    /// Requests that were refused, with the reason.
    pub fn refused_requests(&self) -> Vec<String> {
        self.inside().refused_requests.clone()
    }

    /// Bodies of send requests, as they arrived.
    pub fn requests(&self) -> Vec<(Provider, String)> {
        self.inside().requests.clone()
    }

    /// The next sends meet these.
    pub fn fail_next(&self, failures: impl IntoIterator<Item = Failure>) {
        self.inside().failures.extend(failures);
    }

    /// Nothing more goes wrong.
    pub fn fail_no_more(&self) {
        self.inside().failures.clear();
    }

    /// Messages to this number come back undelivered.
    pub fn make_undeliverable(&self, number: &str) {
        self.inside().undeliverable.insert(number.to_owned());
    }

    /// From now on a provider calls this channel, and its number there is this one: as if we had moved our number to it.
    pub fn moves_to(&self, provider: Provider, channel: &str, number: &str) {
        self.inside().moved.insert(provider, (channel.to_owned(), number.to_owned()));
    }

    /// Twilio's second token becomes the first: it signs with that from now on, and takes those of before for a while.
    pub fn promote_twilio_token(&self, token: &str) {
        self.inside().twilio_tokens.push(token.to_owned());
    }

    /// The newest last.
    fn twilio_tokens(&self) -> Vec<String> {
        let first = [self.accounts.twilio_token.clone()];
        first.into_iter().chain(self.inside().twilio_tokens.iter().cloned()).collect()
    }

    fn number_of(&self, provider: Provider) -> String {
        let moved = self.inside().moved.get(&provider).map(|(_, number)| number.clone());
        moved.unwrap_or_else(|| provider.our_number().to_owned())
    }

    /// Where a provider calls us.
    fn hook_of(&self, provider: Provider) -> String {
        let moved = self.inside().moved.get(&provider).map(|(channel, _)| channel.clone());
        let channel = moved.unwrap_or_else(|| provider.channel().to_owned());
        format!("{}/hooks/{channel}", self.accounts.host_url)
    }

    /// Switches delivery reports on and off.
    pub fn set_reports(&self, on: bool) {
        self.inside().reports = on;
    }

    /// A phone's screen.
    pub fn screen(&self, provider: Provider, number: &str) -> Vec<Line> {
        let inside = self.inside();
        inside.screens.get(&(provider, number.to_owned())).cloned().unwrap_or_default()
    }

    /// The customer texts. Tries again as providers do, and returns the last HTTP status.
    pub async fn text(&self, provider: Provider, from: &str, text: &str) -> u16 {
        let id = self.next_id();
        self.inside().screens.entry((provider, from.to_owned())).or_default().push(Line {
            from: "me",
            text: text.to_owned(),
            status: "sending".to_owned(),
        });
        let mut status = 0;
        for pause in [0, 200, 500, 1000, 2000] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            status = self.deliver(provider, &id, from, text).await;
            if (200..300).contains(&status) {
                break;
            }
        }
        let shown = if (200..300).contains(&status) { "delivered" } else { "failed" };
        let mut inside = self.inside();
        let screen = inside.screens.entry((provider, from.to_owned())).or_default();
        if let Some(line) = screen.iter_mut().rev().find(|l| l.from == "me" && l.text == text) {
            line.status = shown.to_owned();
        }
        status
    }

    /// One delivery of one message to the host's webhook; 0 if there was no answer.
    pub async fn deliver(&self, provider: Provider, id: &str, from: &str, text: &str) -> u16 {
        let request = match provider {
            Provider::Telesign => telesign::inbound(self, id, from, text),
            Provider::Twilio => twilio::inbound(self, id, from, text),
            Provider::Acs => acs::inbound(self, id, from, text),
        };
        request.send().await.map_or(0, |response| response.status().as_u16())
    }

    /// Several texts (id, sender, text) through ACS in one request; the host's answer.
    pub async fn deliver_acs_batch(&self, messages: &[(String, String, String)]) -> u16 {
        let request = acs::inbound_batch(self, messages);
        request.send().await.map_or(0, |response| response.status().as_u16())
    }

    /// A report on a message that Twilio calls so; the host's answer.
    pub async fn report_by_sid(&self, sid: &str, to: &str, status: &str) -> u16 {
        let request = twilio::report_by_sid(self, sid, to, status);
        request.send().await.map_or(0, |response| response.status().as_u16())
    }

    /// Waits until a sent message satisfies the predicate.
    ///
    /// # Panics
    /// If none does within 20 s.
    pub async fn wait_for_sent(&self, what: &str, is_it: impl Fn(&Sent) -> bool) -> Sent {
        crate::harness::eventually(what, || self.sent().into_iter().find(|sent| is_it(sent))).await
    }

    fn next_id(&self) -> String {
        let mut inside = self.inside();
        inside.counter += 1;
        let random: u64 = rand::random();
        format!("{:016X}{random:016X}", inside.counter)
    }

    fn refuse(&self, why: String) {
        self.inside().refused_requests.push(why);
    }

    /// Remembers a message that was taken; a repetition under the same reference is counted.
    fn take(&self, provider: Provider, id: &str, reference: &str, to: &str, text: &str) {
        let mut inside = self.inside();
        let known = inside
            .sent
            .iter_mut()
            .find(|sent| sent.provider == provider && sent.reference == reference);
        if let Some(sent) = known.filter(|_| !reference.is_empty()) {
            sent.times += 1;
            return;
        }
        inside.sent.push(Sent {
            provider,
            id: id.to_owned(),
            reference: reference.to_owned(),
            to: to.to_owned(),
            text: text.to_owned(),
            status: "sent",
            times: 1,
        });
        inside.screens.entry((provider, to.to_owned())).or_default().push(Line {
            from: "them",
            text: text.to_owned(),
            status: "received".to_owned(),
        });
    }

    /// What becomes of a message to this number.
    fn fate(&self, id: &str, to: &str) -> Option<bool> {
        let mut inside = self.inside();
        if !inside.reports {
            return None;
        }
        let arrives = !inside.undeliverable.contains(to);
        if let Some(sent) = inside.sent.iter_mut().find(|sent| sent.id == id) {
            sent.status = if arrives { "delivered" } else { "undelivered" };
        }
        Some(arrives)
    }
}

/// Running emulators.
pub struct Emulators {
    /// What they remember.
    pub world: World,
    /// The phone's address.
    pub phone_url: String,
    /// Addresses by provider: TeleSign, Twilio, ACS.
    pub urls: HashMap<Provider, String>,
    servers: Vec<ServerHandle>,
}

impl Emulators {
    /// Starts all on loopback; ports of 0 are chosen by the system. Order: phone, TeleSign,
    /// Twilio, ACS.
    ///
    /// # Errors
    /// A port can't be had.
    pub fn start(accounts: Accounts, ports: [u16; 4]) -> std::io::Result<Self> {
        let world = World::new(accounts);
        let mut servers = Vec::new();
        let mut addresses = Vec::new();
        let routes: [fn(&mut web::ServiceConfig); 4] =
            [phone::routes, telesign::routes, twilio::routes, acs::routes];
        for (port, routes) in ports.into_iter().zip(routes) {
            let listener = TcpListener::bind(("127.0.0.1", port))?;
            addresses.push(format!("http://{}", listener.local_addr()?));
            let data = web::Data::new(world.clone());
            let server =
                HttpServer::new(move || App::new().app_data(data.clone()).configure(routes))
                    .workers(1)
                    .disable_signals()
                    .listen(listener)?
                    .run();
            servers.push(server.handle());
            actix_web::rt::spawn(server);
        }
        let urls = Provider::ALL.into_iter().zip(addresses[1..].to_vec()).collect();
        Ok(Self { world, phone_url: addresses[0].clone(), urls, servers })
    }

    /// Stops all.
    pub async fn stop(self) {
        for server in self.servers {
            server.stop(false).await;
        }
    }
}
