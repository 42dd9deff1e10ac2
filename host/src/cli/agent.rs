//! `cordboard agent`: add agents, and let them in.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use cordboard_core::ids::AgentId;
use cordboard_core::time::Timestamp;

use crate::cli::keeper::{Keeper, open_journal};
use crate::cli::{AgentCommand, WRONG, Wrong, print};
use crate::clock;
use crate::config::{self, Config, Role};
use crate::http;
use crate::http::audit::{self, Noted};
use crate::journal::{self, Holds, Reader};

/// Runs a subcommand.
pub async fn run(command: AgentCommand) -> anyhow::Result<ExitCode> {
    match command {
        AgentCommand::Add { config, id, name, role, queues } => {
            add(&config.config, &id, &name, &role, &queues)
        }
        AgentCommand::Token { config, id, name, scopes, lasts } => {
            let lasts = match lasts.as_deref().map(config::Duration::parse) {
                None => None,
                Some(Some(lasts)) => Some(lasts.0),
                Some(None) => {
                    let text = "--lasts: write a number and a unit, such as \"90d\"";
                    return Err(Wrong(text.to_owned()).into());
                }
            };
            let scopes = (!scopes.is_empty()).then_some(scopes);
            let wanted = http::NewToken { name, scopes, lasts };
            wanted.check().map_err(Wrong)?;
            let (_, journal, agent) = open(&config.config, &id)?;
            note(&journal, "token.make", &agent, Some(wanted.name.clone())).await?;
            let token = http::new_token(&journal, &agent, None, wanted).await;
            journal.stop();
            match token {
                Ok(token) => println!("{token}"),
                Err(http::NoToken::Unavailable(why)) => bail!("{why}"),
                Err(why) => {
                    print::failure(&why.to_string());
                    return Ok(ExitCode::from(WRONG));
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        AgentCommand::Tokens { config, id } => {
            let (config, agent) = known(&config.config, &id)?;
            let data = &config.host.data;
            let look = || Reader::open(data)?.tokens(Some(&agent), clock::now());
            let unusable = |error| anyhow::Error::msg(journal::in_words(&error, data));
            // Whoever looks makes nothing.
            let tokens = match journal::look(data).map_err(unusable)? {
                Holds::Used => look().map_err(unusable)?,
                Holds::Fresh => Vec::new(),
            };
            for token in tokens {
                let scopes = token.scopes.map_or("everything".to_owned(), |names| names.join(" "));
                let until = token
                    .expires_at
                    .map_or("for good".to_owned(), |at| format!("until {}", day(at)));
                let used =
                    token.used_at.map_or("never used".to_owned(), |at| format!("used {}", day(at)));
                println!("{}  {}  {scopes}; {until}; {used}", token.id, token.name);
            }
            Ok(ExitCode::SUCCESS)
        }
        AgentCommand::Revoke { config, id, token } => {
            let (config, journal, agent) = open(&config.config, &id)?;
            let reader = Reader::open(&config.host.data)?;
            let which = token.as_deref().map(|token| id_of(&reader, &agent, token)).transpose()?;
            note(&journal, "token.revoke", &agent, token.clone()).await?;
            let count = http::revoke_tokens(&journal, &agent, which.as_deref()).await;
            journal.stop();
            let count = count.map_err(anyhow::Error::msg)?;
            if let (0, Some(token)) = (count, token) {
                print::failure(&format!(
                    "{agent} has no token {token}; see: cordboard agent tokens"
                ));
                return Ok(ExitCode::from(WRONG));
            }
            print::success(&format!(
                "{count} revoked; a running host ends their sockets within seconds"
            ));
            Ok(ExitCode::SUCCESS)
        }
        AgentCommand::SignOut { config, id } => {
            let (_, journal, agent) = open(&config.config, &id)?;
            note(&journal, "session.end", &agent, None).await?;
            let count = http::end_sessions(&journal, &agent, None).await;
            journal.stop();
            let count = count.map_err(anyhow::Error::msg)?;
            print::success(&format!(
                "{count} sessions ended, and sign-in links that weren't used; a running host ends their sockets within seconds"
            ));
            Ok(ExitCode::SUCCESS)
        }
        AgentCommand::Link { config, id } => {
            let (config, journal, agent) = open(&config.config, &id)?;
            note(&journal, "link.make", &agent, None).await?;
            let token = http::new_link(&journal, &agent).await.map_err(anyhow::Error::msg)?;
            println!("{}/sign-in/{token}", config.host.public_url);
            journal.stop();
            Ok(ExitCode::SUCCESS)
        }
        AgentCommand::Forget { config, id } => {
            let loaded = config::load(&config.config)?;
            let agent = AgentId::from(id.as_str());
            if loaded.agent(&agent).is_some() {
                print::failure(&format!("{id} is in the configuration: take it out there first"));
                return Ok(ExitCode::from(WRONG));
            }
            let journal = open_journal(&loaded)?;
            note(&journal, "access.end", &agent, None).await?;
            let count = http::end_access(&journal, &agent).await;
            journal.stop();
            if count.map_err(anyhow::Error::msg)? == 0 {
                print::failure(&format!("there is nothing that \"{id}\" could sign in with"));
                return Ok(ExitCode::from(WRONG));
            }
            print::success(&format!("{id} has no password, token, session or link any more"));
            Ok(ExitCode::SUCCESS)
        }
        AgentCommand::Password { config, id } => {
            // Before anything is opened: nobody waits for somebody who types.
            known(&config.config, &id)?;
            let mut password = String::new();
            std::io::stdin().read_to_string(&mut password).context("can't read the password")?;
            let password = password.trim_end_matches(['\n', '\r']);
            let hashed = http::stored_password(password).map_err(Wrong)?;
            let (config, journal, agent) = open(&config.config, &id)?;
            note(&journal, "password.set", &agent, None).await?;
            let set = http::set_password(&journal, &agent, hashed).await;
            journal.stop();
            set.map_err(anyhow::Error::msg)?;
            print::success(&format!("{agent} can sign in with the new password"));
            let tokens = Reader::open(&config.host.data)?.tokens(Some(&agent), clock::now())?;
            if !tokens.is_empty() {
                // A program may live by one, so they stay; whoever knew the old password may have made one.
                let count = tokens.len();
                println!("  {count} API tokens work on; see: cordboard agent tokens, and revoke");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What is done here is part of the audit log, too (SEC-03), before it is done: by whoever may write the data
/// folder.
async fn note(
    journal: &Keeper,
    action: &'static str,
    agent: &AgentId,
    details: Option<String>,
) -> anyhow::Result<()> {
    let subject = agent.to_string();
    let noted = Noted { actor: "command line", action, subject, address: None, details };
    audit::noted(journal, noted).await.map_err(anyhow::Error::msg)
}

/// The day, as people read it.
fn day(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map_or(String::new(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}

/// A token is named by its id, or by its name if no other of the agent has that.
fn id_of(reader: &Reader, agent: &AgentId, token: &str) -> anyhow::Result<String> {
    let tokens = reader.tokens(Some(agent), clock::now())?;
    let mut named = tokens.iter().filter(|known| known.name == token);
    match (named.next(), named.next()) {
        (Some(one), None) => Ok(one.id.clone()),
        (Some(_), Some(_)) => {
            let text = format!("{agent} has more than one token \"{token}\": name it by its id");
            Err(Wrong(text).into())
        }
        (None, _) => Ok(token.to_owned()),
    }
}

fn open(folder: &Path, id: &str) -> anyhow::Result<(Config, Keeper, AgentId)> {
    let (config, agent) = known(folder, id)?;
    let journal = open_journal(&config)?;
    Ok((config, journal, agent))
}

fn known(folder: &Path, id: &str) -> anyhow::Result<(Config, AgentId)> {
    let config = config::load(folder)?;
    let known = config.agents.iter().find(|agent| agent.id.as_str() == id);
    let Some(agent) = known.map(|agent| agent.id.clone()) else {
        let names: Vec<&str> = config.agents.iter().map(|agent| agent.id.as_str()).collect();
        let known = names.join(", ");
        return Err(Wrong(format!("there is no agent \"{id}\"; known: {known}")).into());
    };
    Ok((config, agent))
}

/// Writes the agent's file; takes it back if the configuration would no longer be right.
fn add(
    folder: &Path,
    id: &str,
    name: &str,
    role: &str,
    queues: &[String],
) -> anyhow::Result<ExitCode> {
    // An unknown one shows when the folder is read.
    let role = Role::new(role);
    // What begins so would be taken for an option wherever it is named.
    if !config::is_name(id) || id.starts_with('-') {
        print::failure(&format!(
            "\"{id}\" isn't a name: 1 to 64 lower-case letters, digits, - (but not at its beginning) and _"
        ));
        return Ok(ExitCode::from(WRONG));
    }
    if !folder.is_dir() {
        print::failure(&format!("there is no folder {}", folder.display()));
        return Ok(ExitCode::from(WRONG));
    }
    let file = folder.join("agents").join(format!("{id}.ron"));
    if file.exists() {
        print::failure(&format!("{} is there already", file.display()));
        return Ok(ExitCode::from(WRONG));
    }
    let text = format!(
        "(\n    agents: [\n        (id: {}, name: {}, role: {}, queues: {}),\n    ],\n)\n",
        ron::to_string(id)?,
        ron::to_string(name)?,
        role.as_str(),
        ron::to_string(queues)?
    );
    std::fs::create_dir_all(folder.join("agents"))?;
    std::fs::write(&file, text).with_context(|| format!("can't write {}", file.display()))?;
    if let Err(errors) = config::load(folder) {
        std::fs::remove_file(&file)?;
        errors.0.iter().for_each(print::problem);
        return Ok(ExitCode::from(WRONG));
    }
    print::success(&format!(
        "{} written; a running host takes it up at once. Then:",
        file.display()
    ));
    println!("  cordboard agent link {} --id {id}", folder.display());
    Ok(ExitCode::SUCCESS)
}
