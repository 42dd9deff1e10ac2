//! `cordboard customer`: take out, or erase, what is kept of somebody (SEC-04).

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;

use crate::cli::journal::must_be_there;
use crate::cli::keeper::{Keeper, open_journal};
use crate::cli::{CustomerArgs, CustomerCommand, WRONG, print};
use crate::config::{self, Config};
use crate::http::audit::{self, Noted};
use crate::journal::{Customer, Reader, Record, Records};
use crate::keeping::{self, NotErased, Whose};

/// Runs a subcommand.
pub async fn run(command: CustomerCommand) -> anyhow::Result<ExitCode> {
    match command {
        CustomerCommand::Export { whose } => {
            let (config, whose) = wanted(whose)?;
            let keeper = open_journal(&config)?;
            let exported = export(&config, &keeper, &whose).await;
            keeper.stop();
            exported
        }
        CustomerCommand::Erase { whose, yes } => {
            let (config, whose) = wanted(whose)?;
            let keeper = open_journal(&config)?;
            let erased = erase(&config, &keeper, &whose, yes).await;
            keeper.stop();
            erased
        }
    }
}

fn wanted(args: CustomerArgs) -> anyhow::Result<(Config, Whose)> {
    let config = config::load(&args.config.config)?;
    must_be_there(&config.host.data)?;
    Ok((config, Whose { customer: args.customer, channel: args.channel }))
}

/// All that was acknowledged by now: what a host has just taken is in its log, and not yet where this looks.
async fn kept(keeper: &Keeper, data: &Path, whose: &Whose) -> anyhow::Result<(Reader, Customer)> {
    keeper.write_now(Record::Barrier).await?;
    let reader = Reader::open(data)?;
    let kept = reader.customer(&whose.customer, whose.channel.as_deref())?;
    Ok((reader, kept))
}

async fn export(config: &Config, keeper: &Keeper, whose: &Whose) -> anyhow::Result<ExitCode> {
    let (reader, kept) = kept(keeper, &config.host.data, whose).await?;
    if kept.is_nothing() {
        print::failure(&NotErased::Nothing.to_string());
        return Ok(ExitCode::from(WRONG));
    }
    note(keeper, "customer.export", &kept).await?;
    let with_settings = |machine: cordboard_core::Conversation| {
        let known = config.workstreams.get(machine.workstream()).cloned();
        machine.with_known_settings(known)
    };
    let mut out = std::io::stdout().lock();
    out.write_all(&keeping::head_of(whose, &kept))?;
    for (id, ..) in &kept.conversations {
        out.write_all(&keeping::conversation_of(&reader, *id, with_settings)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn erase(
    config: &Config,
    keeper: &Keeper,
    whose: &Whose,
    yes: bool,
) -> anyhow::Result<ExitCode> {
    let data = &config.host.data;
    let (_, kept) = kept(keeper, data, whose).await?;
    let ids = match keeping::to_erase(&kept) {
        Ok(ids) => ids,
        Err(NotErased::Nothing) if yes && Reader::open(data)?.to_scrub()?.is_some() => {
            let left = left(keeper, data).await?;
            print::success(
                "nothing is kept of this customer; a command of before that didn't come to its end is carried on",
            );
            left.iter().for_each(|sentence| println!("  {sentence}"));
            return Ok(ExitCode::SUCCESS);
        }
        Err(why) => {
            print::failure(&why.to_string());
            return Ok(ExitCode::from(WRONG));
        }
    };
    if !yes {
        println!("{} conversations would be erased for good; add --yes to do it", ids.len());
        return Ok(ExitCode::SUCCESS);
    }
    note(keeper, "customer.erase", &kept).await?;
    let count = match keeping::erase(keeper, whose, ids).await {
        Ok(count) => count,
        Err(NotErased::Journal(error)) => bail!("{error}"),
        Err(why) => {
            print::failure(&why.to_string());
            return Ok(ExitCode::from(WRONG));
        }
    };
    let left = left(keeper, data).await?;
    let traces =
        if left.is_empty() { ", and every trace of who it was" } else { "; what is left:" };
    print::success(&format!("{count} conversations erased{traces}"));
    for sentence in left {
        println!("  {sentence}");
    }
    println!(
        "  backups from before still hold it, and the log doesn't go on where they end any more: make a new one now"
    );
    Ok(ExitCode::SUCCESS)
}

/// Removes what files still hold of what was erased; where that isn't done, or can't be.
async fn left(keeper: &Keeper, data: &Path) -> anyhow::Result<Vec<String>> {
    Ok(match keeper {
        Keeper::Own { journal, .. } => keeping::scrub(journal, data).await,
        // It has done so itself, or does as soon as nobody reads an older state.
        Keeper::Host(_) => keeping::left_by_host(&Reader::open(data)?, data)?,
    })
}

/// Which conversations, not whose: that is to be forgotten.
async fn note(keeper: &Keeper, action: &'static str, kept: &Customer) -> anyhow::Result<()> {
    let noted = Noted {
        actor: "command line",
        action,
        subject: "customer".to_owned(),
        address: None,
        details: Some(keeping::list(&kept.ids())),
    };
    audit::noted(keeper, noted).await.map_err(anyhow::Error::msg)
}
