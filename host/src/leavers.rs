//! Who is taken out of the configuration has no access any more: at once, as nobody is signed in who isn't
//! there; and for good a while later, so that whoever gets the name next doesn't meet the tokens and the
//! password of somebody before them (SEC-06). The while is for files that are gone by mistake.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cordboard_core::ids::AgentId;

use crate::actors::Directory;
use crate::config::Config;
use crate::http::audit::{self, Noted};
use crate::http::end_access;
use crate::journal::{JournalError, Reader};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Says whose access the journal has though they aren't in the configuration. A start deletes nothing: it
/// may be the wrong folder.
pub fn warn(config: &Config, reader: &Reader) -> Result<(), JournalError> {
    let strangers: Vec<String> = reader
        .agents_with_access()?
        .into_iter()
        .filter(|agent| config.agent(agent).is_none())
        .map(|agent| agent.to_string())
        .collect();
    if !strangers.is_empty() {
        tracing::warn!(
            agents = strangers.join(", "),
            "not in the configuration, but with a password, token or session in the journal that will work for whoever gets the name; to end that: cordboard agent forget CONFIG --id NAME"
        );
    }
    Ok(())
}

/// Looks after those who leave, until the host stops.
pub async fn watch(directory: Arc<Directory>) {
    let mut present = agents(&directory.config());
    let mut gone: HashMap<AgentId, Instant> = HashMap::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let config = directory.config();
        let now = agents(&config);
        for agent in present.difference(&now) {
            let ends = config.host.sign_ins.removed.0 / 1000;
            tracing::info!(
                %agent,
                "not in the configuration any more: password, tokens and links are kept for {ends} s, in case it was a mistake; cordboard agent forget ends them at once"
            );
            gone.insert(agent.clone(), Instant::now());
        }
        gone.retain(|agent, _| !now.contains(agent));
        present = now;
        let wait = Duration::from_millis(config.host.sign_ins.removed.0.unsigned_abs());
        let due: Vec<AgentId> =
            gone.iter().filter(|(_, at)| at.elapsed() >= wait).map(|(a, _)| a.clone()).collect();
        for agent in due {
            match end_access(&directory.journal, &agent).await {
                Ok(count) => {
                    gone.remove(&agent);
                    said(&directory, &agent, count);
                }
                // Readiness says why; it's tried again at the next look.
                Err(error) => {
                    tracing::warn!(%agent, %error, "the access of somebody who is gone couldn't be ended yet");
                }
            }
        }
    }
}

fn said(directory: &Directory, agent: &AgentId, count: usize) {
    if count == 0 {
        return;
    }
    tracing::info!(%agent, count, "taken out of the configuration: password, tokens and sessions ended");
    let noted = Noted {
        actor: "configuration",
        action: "access.end",
        subject: agent.to_string(),
        address: None,
        details: None,
    };
    audit::note(&directory.journal, noted);
}

fn agents(config: &Config) -> BTreeSet<AgentId> {
    config.agents.iter().map(|agent| agent.id.clone()).collect()
}
