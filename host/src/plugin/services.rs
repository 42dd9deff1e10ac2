//! What the host does for a plugin, and for which: allowed hosts, its own secrets, its own store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RString, RVec};
use async_ffi::{FfiFuture, FutureExt as _};
use cordboard_sdk::abi::{HostObject, RawHost, RawHost_TO};
use cordboard_sdk::{
    Host, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Level, LogLine, QueuePlace, Secret,
    decode, encode,
};

use sha2::{Digest, Sha256};

use super::instance::Recipe;
use super::tally::Tally;
use crate::config::{self, SecretSource};

/// The most bytes of an answer that a plugin may get.
const MOST_BYTES: usize = 4 * 1024 * 1024;
const MOST_KEY: usize = Host::MOST_KEY;
const MOST_VALUE: usize = Host::MOST_VALUE;

/// What the host answers a plugin, or a sentence with what is wrong.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send>>;

/// What plugins get to see of the host's own: their channel's small store, and where their channel's
/// customers stand in line.
pub trait HostAccess: Send + Sync + 'static {
    /// Reads a value.
    fn get(&self, channel: &str, key: String) -> Answer<Option<Vec<u8>>>;
    /// Writes a value.
    fn put(&self, channel: &str, key: String, value: Vec<u8>) -> Answer<()>;
    /// Removes one.
    fn remove(&self, channel: &str, key: String) -> Answer<()>;
    /// Where a customer stands in line.
    fn place(&self, channel: &str, customer: String) -> Answer<Option<QueuePlace>>;
}

/// A channel's secrets, read from where the operator put them.
#[derive(Clone)]
pub struct Secrets {
    values: Arc<BTreeMap<String, Result<Secret, String>>>,
}

impl Secrets {
    /// Reads every secret of a channel. A missing one is no error until the plugin asks for it, as
    /// some are optional.
    pub fn read(sources: &BTreeMap<String, SecretSource>, root: &Path) -> Self {
        let values =
            sources.iter().map(|(name, source)| (name.clone(), read_one(name, source, root)));
        Self { values: Arc::new(values.collect()) }
    }

    /// Tells them from others, and says nothing of them.
    pub fn mark(&self) -> [u8; 32] {
        let mut mark = Sha256::new();
        for (name, value) in self.values.iter() {
            let value = value.as_ref().map_or("", |secret| secret.expose());
            mark.update((name.len() as u64).to_le_bytes());
            mark.update(name);
            mark.update((value.len() as u64).to_le_bytes());
            mark.update(value);
        }
        mark.finalize().into()
    }

    fn get(&self, name: &str) -> Result<Secret, String> {
        self.values.get(name).cloned().unwrap_or_else(|| {
            Err(format!(
                "the secret `{name}` is given nowhere; add it to the channel, such as secrets: {{\"{name}\": env(\"{}\")}}",
                name.to_ascii_uppercase()
            ))
        })
    }
}

fn read_one(name: &str, source: &SecretSource, root: &Path) -> Result<Secret, String> {
    let value = match source {
        SecretSource::Env(variable) => std::env::var(variable).map_err(|_| {
            format!("the secret `{name}` comes from the environment variable {variable}, which isn't set")
        })?,
        SecretSource::File(path) => {
            let path: PathBuf = root.join(path);
            config::read_whole(&path).map_err(|why| {
                format!("the secret `{name}` comes from {}, which {why}", path.display())
            })?
        }
        SecretSource::Credential(credential) => {
            if credential.contains(['/', '\\']) || credential.starts_with('.') {
                return Err(format!("the secret `{name}` is the systemd credential \"{credential}\", which isn't a name: without `/`, and without a dot at the beginning"));
            }
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                format!("the secret `{name}` is the systemd credential {credential}, but systemd has passed none on (CREDENTIALS_DIRECTORY isn't set); add LoadCredential={credential}:/path to the unit")
            })?;
            let path = Path::new(&folder).join(credential);
            config::read_whole(&path).map_err(|why| {
                format!("the secret `{name}` is the systemd credential {credential} at {}, which {why}", path.display())
            })?
        }
    };
    let value = value.trim_end();
    if value.is_empty() {
        return Err(format!("the secret `{name}` is empty"));
    }
    Ok(Secret::new(value))
}

/// The host as one channel's plugin sees it.
pub struct Services {
    channel: String,
    client: reqwest::Client,
    /// Names, `*.names` and `name:port`s that requests may go to.
    allowed: Vec<String>,
    secrets: Secrets,
    /// Names that the manifest asks for.
    asked_secrets: Vec<String>,
    access: Option<Arc<dyn HostAccess>>,
    /// How this instance does.
    tally: Arc<Tally>,
    /// Requests run here, whatever thread polls the plugin.
    runtime: tokio::runtime::Handle,
    /// When it was said that a provider refuses the credentials.
    refused_at: Mutex<Option<Instant>>,
}

impl Services {
    /// For a channel whose plugin asks for hosts and secrets. Without access (in a probe) its
    /// store is empty and takes nothing, and nobody waits.
    pub fn new(
        recipe: &Recipe,
        client: reqwest::Client,
        access: Option<Arc<dyn HostAccess>>,
    ) -> Self {
        let Recipe { origin, manifest, .. } = recipe;
        let config = &origin.config;
        Self {
            channel: config.id.clone(),
            client,
            allowed: manifest.hosts.iter().chain(&config.allow_hosts).cloned().collect(),
            secrets: recipe.secrets.clone(),
            asked_secrets: manifest.secrets.clone(),
            access,
            tally: recipe.tally.clone(),
            runtime: tokio::runtime::Handle::current(),
            refused_at: Mutex::default(),
        }
    }

    /// As it crosses the boundary.
    pub fn into_object(self) -> HostObject {
        RawHost_TO::from_value(Shared(Arc::new(self)), TD_Opaque)
    }

    /// The client that all channels share.
    ///
    /// # Errors
    /// A sentence, if TLS can't be set up.
    pub fn client() -> Result<reqwest::Client, String> {
        // A second call finds the provider installed; that is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("cordboard/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .build()
            .map_err(|error| format!("the HTTP client can't be made: {error}"))
    }

    async fn http(self: Arc<Self>, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let fail = |kind, message: String| HttpError { kind, message };
        let url = url::Url::parse(&request.url).map_err(|error| {
            fail(HttpErrorKind::Malformed, format!("\"{}\" isn't a URL: {error}", request.url))
        })?;
        if !is_allowed(&self.allowed, &url) {
            let (channel, host) = (&self.channel, url.authority());
            return Err(fail(
                HttpErrorKind::NotAllowed,
                format!(
                    "channel {channel} may not send to {host}; the operator can add it to the channel's allow_hosts"
                ),
            ));
        }
        let host = url.authority().to_owned();
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|error| fail(HttpErrorKind::Malformed, error.to_string()))?;
        let mut builder = self
            .client
            .request(method, url)
            .timeout(Duration::from_millis(request.timeout_ms))
            .body(request.body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let outcome = self.runtime.spawn(exchange(builder)).await;
        let outcome = outcome
            .unwrap_or_else(|error| Err(fail(HttpErrorKind::Interrupted, error.to_string())));
        if outcome.as_ref().map_or(true, |response| response.status >= 500) {
            self.tally.provider_failed();
        }
        if outcome.as_ref().is_ok_and(|response| response.status == 401) {
            self.tally.failed();
            self.say_refused(&host);
        }
        outcome
    }

    /// Whatever the plugin makes of it: an operator can mend it. Once a minute.
    fn say_refused(&self, host: &str) {
        const ONCE_IN: Duration = Duration::from_secs(60);
        let mut said = self.refused_at.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|at: Instant| at.elapsed() < ONCE_IN) {
            return;
        }
        *said = Some(Instant::now());
        let channel = self.channel.as_str();
        tracing::warn!(
            channel,
            "{host} doesn't know the credentials of this channel (401): see its `secrets`; they are read again with the configuration (cordboard reload)"
        );
    }

    fn secret(&self, name: &str) -> Result<Secret, String> {
        if !self.asked_secrets.iter().any(|asked| asked == name) {
            return Err(format!("the manifest doesn't ask for a secret `{name}`"));
        }
        self.secrets.get(name)
    }

    async fn store_put(&self, key: String, value: Vec<u8>) -> Result<(), String> {
        if key.len() > MOST_KEY || value.len() > MOST_VALUE {
            let (key, value) = (key.len(), value.len());
            return Err(format!(
                "a key of {key} and a value of {value} bytes; at most {MOST_KEY} and {MOST_VALUE}"
            ));
        }
        match &self.access {
            Some(store) => store.put(&self.channel, key, value).await,
            None => Ok(()),
        }
    }

    fn log(&self, line: LogLine) {
        let fields: Vec<String> =
            line.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (channel, fields, message) = (self.channel.as_str(), fields.join(" "), line.message);
        match line.level {
            Level::Debug => tracing::debug!(channel, fields, "{message}"),
            Level::Info => tracing::info!(channel, fields, "{message}"),
            Level::Warn => tracing::warn!(channel, fields, "{message}"),
            Level::Error => tracing::error!(channel, fields, "{message}"),
        }
    }
}

async fn exchange(builder: reqwest::RequestBuilder) -> Result<HttpResponse, HttpError> {
    let fail = |error: reqwest::Error| {
        let kind = if error.is_connect() {
            HttpErrorKind::NotConnected
        } else if error.is_builder() {
            HttpErrorKind::Malformed
        } else {
            HttpErrorKind::Interrupted
        };
        // The URL may carry a secret in its query.
        let error = error.without_url();
        let cause = std::error::Error::source(&error).map(|c| format!(": {c}")).unwrap_or_default();
        HttpError { kind, message: format!("{error}{cause}") }
    };
    let mut response = builder.send().await.map_err(fail)?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fail)? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_BYTES {
            let message = format!("the answer is longer than {MOST_BYTES} bytes");
            return Err(HttpError { kind: HttpErrorKind::Interrupted, message });
        }
    }
    Ok(HttpResponse { status, headers, body })
}

fn is_allowed(allowed: &[String], url: &url::Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or(0));
    allowed.iter().any(|entry| match entry.strip_prefix("*.") {
        Some(domain) => host.strip_suffix(domain).is_some_and(|sub| sub.ends_with('.')),
        None => entry == host || *entry == with_port,
    })
}

struct Shared(Arc<Services>);

impl RawHost for Shared {
    fn call(&self, operation: RString, payload: RVec<u8>) -> FfiFuture<RVec<u8>> {
        let (services, runtime) = (self.0.clone(), self.0.runtime.clone());
        // Whatever thread of the plugin's polls this: what is the host's is done where the host's clock and files are.
        let serves = async move {
            let served =
                runtime.spawn(async move { serve(services, &operation, &payload).await }).await;
            served.unwrap_or_default().into()
        };
        serves.into_ffi()
    }

    fn ask(&self, operation: RString, payload: RVec<u8>) -> RVec<u8> {
        let answer = match operation.as_str() {
            "now" => encode(&crate::clock::now().0),
            "unique" => encode(&uuid::Uuid::new_v4().to_string()),
            "log" => {
                if let Ok(line) = decode(&payload) {
                    self.0.log(line);
                }
                Vec::new()
            }
            _ => Vec::new(),
        };
        answer.into()
    }
}

async fn serve(services: Arc<Services>, operation: &str, payload: &[u8]) -> Vec<u8> {
    match operation {
        "http" => match decode::<HttpRequest>(payload) {
            Ok(request) => encode(&services.http(request).await),
            Err(message) => {
                encode(&Err::<(), _>(HttpError { kind: HttpErrorKind::Malformed, message }))
            }
        },
        "secret" => encode(&decode::<String>(payload).and_then(|name| services.secret(&name))),
        "store_get" => {
            let value = match (decode::<String>(payload), &services.access) {
                (Ok(key), Some(access)) => access.get(&services.channel, key).await,
                (Ok(_), None) => Ok(None),
                (Err(message), _) => Err(message),
            };
            encode(&value)
        }
        "store_put" if payload.len() > 2 * (MOST_KEY + MOST_VALUE) => {
            let size = payload.len();
            let text = format!("{size} bytes; a key has at most {MOST_KEY}, a value {MOST_VALUE}");
            encode(&Err::<(), _>(text))
        }
        "store_put" => {
            let result = match decode::<(String, Vec<u8>)>(payload) {
                Ok((key, value)) => services.store_put(key, value).await,
                Err(message) => Err(message),
            };
            encode(&result)
        }
        "store_remove" => {
            let result = match (decode::<String>(payload), &services.access) {
                (Ok(key), Some(access)) => access.remove(&services.channel, key).await,
                (Ok(_), None) => Ok(()),
                (Err(message), _) => Err(message),
            };
            encode(&result)
        }
        "place_in_queue" => {
            let place = match (decode::<String>(payload), &services.access) {
                (Ok(customer), Some(access)) => access.place(&services.channel, customer).await,
                (Ok(_), None) => Ok(None),
                (Err(message), _) => Err(message),
            };
            encode(&place)
        }
        other => encode(&Err::<(), _>(format!("the host has no operation `{other}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // PLUG-05
    #[test]
    fn only_named_hosts_are_allowed() {
        let allowed = ["api.example.com", "*.azure.com", "127.0.0.1:9101"].map(str::to_owned);
        let check = |url: &str| is_allowed(&allowed, &url::Url::parse(url).unwrap());
        assert!(check("https://api.example.com/x"));
        assert!(check("https://a.b.azure.com/"));
        assert!(check("http://127.0.0.1:9101/"));
        assert!(!check("http://127.0.0.1:9102/"));
        assert!(!check("https://evilazure.com/"));
        assert!(!check("https://azure.com.evil.net/"));
        assert!(!check("https://example.com/"));
    }

    // OPS-02
    #[test]
    fn a_secret_that_is_missing_is_named_with_its_source() {
        let sources = BTreeMap::from([
            ("key".to_owned(), SecretSource::Env("CORDBOARD_NO_SUCH_VARIABLE".to_owned())),
            ("file".to_owned(), SecretSource::File("no/such/file".into())),
            ("passed".to_owned(), SecretSource::Credential("../etc/passwd".to_owned())),
        ]);
        let secrets = Secrets::read(&sources, Path::new("."));
        assert!(secrets.get("key").unwrap_err().contains("CORDBOARD_NO_SUCH_VARIABLE"));
        assert!(secrets.get("passed").unwrap_err().contains("isn't a name"));
        assert!(secrets.get("file").unwrap_err().contains("no/such/file"));
        assert!(secrets.get("other").unwrap_err().contains("secrets: {\"other\": env(\"OTHER\")}"));
    }
}
