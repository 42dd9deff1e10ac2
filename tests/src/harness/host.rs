//! The host as a process of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::emulator::{Accounts, Emulators, Provider};
use crate::harness::eventually;

/// Where this build puts its files.
pub fn target_folder() -> PathBuf {
    let test = std::env::current_exe().expect("tests have a path");
    let folder = test.ancestors().find(|folder| folder.join(".fingerprint").is_dir());
    folder.expect("cargo builds into a folder with .fingerprint").to_owned()
}

/// Where this build puts plugins.
pub fn plugin_folder() -> PathBuf {
    target_folder()
}

/// Two labels, for tests that need no other section.
const LABELS: &str = r#"presence: (labels: [
    (id: "lunch", name: "Lunch", status: away), (id: "desk", name: "At my desk", status: online),
]),"#;

/// A configuration folder with the sample's channels pointed at emulators of its own.
pub struct Setup {
    /// Configuration and data.
    pub folder: tempfile::TempDir,
    /// Environment of the host.
    pub environment: Vec<(&'static str, String)>,
    /// The host's address.
    pub url: String,
    /// Further lines of the workstream, such as `inactivity: "1s",`.
    pub workstream: String,
    /// Further agents, as RON.
    pub agents: String,
    /// Further settings of the queue, such as `strategy: round_robin`, and further queues.
    pub queues: String,
    /// Further sections, as RON.
    pub sections: String,
    /// Further settings of the host, such as `limits: (body: "2s"),`.
    pub host: String,
    /// What answers once it runs; `/health/live` of the host if nothing is given, empty: its print.
    pub starts_when: Option<String>,
    /// Shell commands that go before the host, such as a limit.
    pub before: Option<String>,
}

impl Setup {
    /// A free port, no emulators yet.
    pub fn new() -> Self {
        let port = free_port();
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            environment: Vec::new(),
            url: format!("http://127.0.0.1:{port}"),
            workstream: String::new(),
            agents: String::new(),
            queues: "),".to_owned(),
            sections: LABELS.to_owned(),
            host: String::new(),
            starts_when: None,
            before: None,
        }
    }

    /// Starts emulators that call this host, and writes the configuration.
    pub fn with_emulators(&mut self) -> Emulators {
        let emulators = Emulators::start(Accounts::sample(&self.url), [0; 4]);
        let emulators = emulators.expect("loopback has free ports");
        self.environment = emulators.world.accounts.environment();
        self.write_main();
        let channel = |provider: Provider, plugin: &str, config: String, secrets: &str| {
            let (id, url) = (provider.channel(), &emulators.urls[&provider]);
            let host = url.trim_start_matches("http://");
            format!(
                "(id: \"{id}\", plugin: \"{plugin}\", workstream: \"sms\", config: ({config}),\n secrets: {{{secrets}}}, allow_hosts: [\"{host}\"]),\n"
            )
        };
        let accounts = &emulators.world.accounts;
        let url = |provider: Provider| &emulators.urls[&provider];
        let text = [
            channel(
                Provider::Telesign,
                "telesign",
                format!(
                    "customer_id: \"{}\", base_url: \"{}\", numbers: [(number: \"15550001001\", type: \"local\")]",
                    accounts.telesign_customer,
                    url(Provider::Telesign)
                ),
                "\"api_key\": Env(\"TELESIGN_API_KEY\")",
            ),
            channel(
                Provider::Twilio,
                "twilio",
                format!(
                    "account_sid: \"{}\", base_url: \"{}\", numbers: [(number: \"+15550002002\", type: \"local\")]",
                    accounts.twilio_sid,
                    url(Provider::Twilio)
                ),
                "\"auth_token\": Env(\"TWILIO_AUTH_TOKEN\")",
            ),
            channel(
                Provider::Acs,
                "acs",
                format!(
                    "endpoint: \"{}\", numbers: [(number: \"+15550003003\", type: \"toll_free\")]",
                    url(Provider::Acs)
                ),
                "\"access_key\": Env(\"ACS_ACCESS_KEY\"), \"webhook_secret\": Env(\"ACS_WEBHOOK_SECRET\")",
            ),
        ];
        self.write("channels.ron", &format!("(channels: [\n{}])", text.concat()));
        emulators
    }

    /// Adds the channel `odd`, whose plugin does at a webhook what its body says, and takes it for the message's id.
    pub fn with_panicky(&self) {
        let plugin = library(&plugin_folder(), "panicky");
        let channel = format!(
            "(channels: [(id: \"odd\", plugin: \"{}\", workstream: \"sms\", config: ())])",
            plugin.display()
        );
        self.write("odd.ron", &channel);
    }

    /// Writes everything but channels.
    pub fn write_main(&self) {
        let listen = self.url.trim_start_matches("http://");
        let plugins = plugin_folder().display().to_string();
        let (workstream, agents) = (&self.workstream, &self.agents);
        let (queues, sections, host) = (&self.queues, &self.sections, &self.host);
        self.write(
            "main.ron",
            &format!(
                r#"(
    host: (listen: "{listen}", data: "data", plugins: "{plugins}", {host}),
    workstreams: [(id: "sms", kind: messaging, queue: "support", {workstream})],
    queues: [(id: "support", name: "Support", {queues}],
    {sections}
    agents: [
        (id: "kim", name: "Kim", queues: ["support"]),
        (id: "lee", name: "Lee", queues: ["support"]),
        (id: "sam", name: "Sam", role: supervisor),
        (id: "root", name: "Root", role: administrator),
        {agents}
    ],
)"#
            ),
        );
    }

    /// Writes a file of the configuration.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("a temporary file");
    }

    /// Changes the text of a file of the configuration.
    pub fn change(&self, name: &str, from: &str, to: &str) {
        let path = self.folder.path().join(name);
        let text = std::fs::read_to_string(&path).expect("it was written before");
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(path, text.replace(from, to)).expect("a temporary file");
    }

    /// The journal's folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A `cordboard` command on this configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let binary = target_folder().join("cordboard");
        let mut command = match &self.before {
            None => Command::new(binary),
            Some(before) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(binary);
                shell
            }
        };
        command.args(arguments).envs(self.environment.iter().cloned());
        command
    }

    /// Runs a command to its end; standard output and error together.
    pub fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().expect("the host's binary runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// Stops the host; what it was told must lead to the same decisions again (OPS-08).
    pub fn stop_and_replay(&self, host: HostProcess) {
        assert_eq!(host.stop(), Some(0));
        let (code, text) = self.replay();
        assert!(code == 0 && text.contains("the same byte for byte"), "{text}");
    }

    /// Plays the journal into fresh machines.
    pub fn replay(&self) -> (i32, String) {
        self.run(&["replay", &self.data().display().to_string()])
    }

    /// The configuration's folder, as an argument.
    pub fn config(&self) -> &str {
        self.folder.path().to_str().expect("a plain path")
    }

    /// An API token of an agent.
    pub fn token(&self, agent: &str) -> String {
        let (code, token) = self.run(&["agent", "token", self.config(), "--id", agent]);
        assert_eq!(code, 0, "{token}");
        token.trim().to_owned()
    }

    /// Starts the host and waits until it answers.
    pub async fn start(&self, arguments: &[&str]) -> HostProcess {
        let log_path = self.folder.path().join("host.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&log_path);
        let log = log.expect("a log file");
        let mut all = vec!["run", self.config()];
        all.extend(arguments);
        let child = self
            .command(&all)
            .env("CORDBOARD_LOG", "info")
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("the host's binary runs");
        let mut host = HostProcess { child, url: self.url.clone(), log_path };
        let health = format!("{}/health/live", self.url);
        match self.starts_when.clone().unwrap_or(health).as_str() {
            "" => host.prints("is running").await,
            url => host.wait_until_alive(url).await,
        }
        host
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// A port that nobody listens on, and that the kernel gives to no connection of its own: those begin at
/// 32768. Another one each time, and in each process.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FROM: u32 = 10_000;
    const COUNT: u32 = 22_000;
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FROM + (std::process::id().wrapping_mul(127).wrapping_add(step)) % COUNT;
        let port = u16::try_from(port).expect("below 32768");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running host; killed when dropped.
pub struct HostProcess {
    child: Child,
    /// Its address.
    pub url: String,
    log_path: PathBuf,
}

impl HostProcess {
    async fn wait_until_alive(&mut self, url: &str) {
        let client = client();
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = client.get(url).send().await;
            if answer.is_ok_and(|response| response.status().is_success()) {
                return;
            }
            let ended = self.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "the host ended ({ended:?}):\n{}", self.log());
            assert!(Instant::now() < until, "the host doesn't answer:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log_path).unwrap_or_default()
    }

    /// Waits until it has printed something: its doors open before it says that they have, and a
    /// logged line may come after the answer it belongs to.
    pub async fn prints(&self, text: &str) {
        eventually(&format!("the host prints {text:?}"), || {
            self.log().contains(text).then_some(())
        })
        .await;
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// SIGTERM, and the exit code.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        self.child.wait().expect("a child of ours").code()
    }

    /// GET with a token.
    pub async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        let request = client().get(format!("{}{path}", self.url)).bearer_auth(token);
        answered(request).await
    }

    /// All messages of a conversation, page by page.
    pub async fn transcript(&self, token: &str, id: &str) -> Vec<Value> {
        let mut messages: Vec<Value> = Vec::new();
        loop {
            let first = messages.first().and_then(|message| message["no"].as_u64());
            let before = first.map(|no| format!("&before={no}")).unwrap_or_default();
            let path = format!("/api/v1/conversations/{id}?limit=500{before}");
            let (status, page) = self.get(token, &path).await;
            assert_eq!(status, 200, "{page}");
            let page = page["messages"].as_array().expect("a list").clone();
            let is_first = page.first().is_none_or(|message| message["no"] == 1);
            messages.splice(0..0, page);
            if is_first {
                return messages;
            }
        }
    }

    /// The texts of all open conversations, as a supervisor sees them.
    pub async fn transcripts(&self, token: &str) -> Vec<String> {
        let (status, open) = self.get(token, "/api/v1/conversations?all=true&limit=500").await;
        assert_eq!(status, 200, "{open}");
        let mut texts = Vec::new();
        for conversation in open.as_array().expect("a list") {
            let id = conversation["id"].as_str().expect("a name");
            let messages = self.transcript(token, id).await;
            texts.extend(
                messages.iter().filter_map(|message| Some(message["text"].as_str()?.to_owned())),
            );
        }
        texts
    }

    /// Commits so far, as metrics say it.
    ///
    /// # Panics
    /// If they don't.
    pub async fn commits(&self, token: &str) -> u32 {
        let metrics = self.text(token, "/metrics").await;
        let name = "cordboard_journal_commits_total ";
        let commits = metrics.lines().find_map(|line| line.strip_prefix(name));
        commits.expect("the metric").parse().expect("a number")
    }

    /// GET with a token; the body as text.
    pub async fn text(&self, token: &str, path: &str) -> String {
        let request = client().get(format!("{}{path}", self.url)).bearer_auth(token);
        let response = request.send().await.expect("the host answers");
        response.text().await.expect("a body")
    }

    /// PUT with a token and a JSON body.
    pub async fn put(&self, token: &str, path: &str, body: Value) -> (u16, Value) {
        let request = client().put(format!("{}{path}", self.url)).bearer_auth(token);
        let response = request.json(&body).send().await.expect("the host answers");
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or_default())
    }

    /// DELETE with a token.
    pub async fn delete(&self, token: &str, path: &str) -> (u16, Value) {
        answered(client().delete(format!("{}{path}", self.url)).bearer_auth(token)).await
    }

    /// POST with a token and a JSON body.
    pub async fn post(&self, token: &str, path: &str, body: Value) -> (u16, Value) {
        let request = client().post(format!("{}{path}", self.url)).bearer_auth(token).json(&body);
        answered(request).await
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        // It may have been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client() -> reqwest::Client {
    // A second call finds the provider installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client without special settings")
}

async fn answered(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the host answers");
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

/// A plugin library of this build.
pub fn library(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("libcordboard_{name}.so"))
}
