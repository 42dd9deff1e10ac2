//! `cordboard journal`: look at it, copy it, put a copy in its place, compute its views anew.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;

use crate::cli::{JournalCommand, WRONG, print};
use crate::clock;
use crate::config::{self, Config};
use crate::journal::{self, Holds, Journal, NotCopied, Restored, Stands};
use crate::lock::{self, FolderLock};

/// Runs a subcommand.
pub fn run(command: JournalCommand) -> anyhow::Result<ExitCode> {
    match command {
        JournalCommand::Verify { config } => verify(&config::load(&config.config)?),
        JournalCommand::Backup { config, file } => {
            let config = config::load(&config.config)?;
            let data = &config.host.data;
            must_be_there(data)?;
            if let Some(lock) = lock::try_lock(data)? {
                // Nobody runs: what the last host hadn't put in its place is put there first.
                close_in_order(data, lock)?;
            }
            journal::backup(data, &file).map_err(|error| match error {
                NotCopied::Source(error) => unusable(error, data),
                NotCopied::Target(why) => anyhow::Error::msg(why),
            })?;
            let bytes = std::fs::metadata(&file).map_or(0, |about| about.len());
            print::success(&format!("{} written, {} KB", file.display(), bytes / 1024));
            Ok(ExitCode::SUCCESS)
        }
        JournalCommand::Restore { config, file, without_log } => {
            let config = config::load(&config.config)?;
            let data = &config.host.data;
            lock::make_folder(data)?;
            let _lock = alone(data)?;
            let now = clock::now().0;
            // Of earlier ones that were broken off, too.
            let mut kept = journal::stamps_of_restores(data);
            kept.push(now.to_string());
            let kept: Vec<String> = kept.iter().map(|ms| format!("left-{ms}.*")).collect();
            let restored = journal::restore(data, &file, without_log, now);
            let restored = restored.map_err(|error| {
                anyhow::anyhow!("{} isn't put in place: {error}", file.display())
            })?;
            print::success(&format!(
                "{} is the journal now; what was there is kept as {}",
                file.display(),
                kept.join(" and ")
            ));
            match restored {
                Restored::WithLog { batches, broke_off: None } => println!(
                    "  the log goes on where it ends: the next start applies {batches} batches more"
                ),
                Restored::WithLog { batches, broke_off: Some(why) } => println!(
                    "  the log goes on where it ends, by {batches} batches, and can't be read further ({why}): cordboard journal salvage goes on with those"
                ),
                Restored::AsItWas => {
                    println!(
                        "  what happened after the backup isn't in it, and who was erased since is in it again"
                    );
                    println!(
                        "  replies that it has as not sent may have gone out since: where a provider can't tell repetitions they aren't sent again, and are shown as unconfirmed"
                    );
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        JournalCommand::Salvage { config, without_log } => {
            let config = config::load(&config.config)?;
            let data = &config.host.data;
            must_be_there(data)?;
            let _lock = alone(data)?;
            let now = clock::now().0;
            let salvaged =
                journal::salvage(data, now, without_log).map_err(|error| unusable(error, data))?;
            print::success(&format!(
                "the next start goes on with the tables, and {} batches that only the log had; the log is kept as left-{now}.*",
                salvaged.batches
            ));
            if let Some(why) = salvaged.broke_off {
                println!("  it couldn't be read to its end: {why}");
            }
            println!("  what was acknowledged and is in neither is lost");
            if salvaged.replies > 0 {
                println!(
                    "  {} replies weren't confirmed by then, and may have gone out since: where a provider can't tell repetitions they aren't sent again, and are shown as unconfirmed",
                    salvaged.replies
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        JournalCommand::Rebuild { config } => {
            let config = config::load(&config.config)?;
            let data = &config.host.data;
            must_be_there(data)?;
            close_in_order(data, alone(data)?)?;
            let _lock = alone(data)?;
            let rebuilt = journal::rebuild(data, &config.workstreams);
            let rebuilt = rebuilt.map_err(|error| unusable(error, data))?;
            print::success(&format!(
                "{} conversations computed anew from their events",
                rebuilt.conversations
            ));
            if rebuilt.left > 0 {
                println!(
                    "  {} are of workstreams that aren't configured: left as they were",
                    rebuilt.left
                );
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn verify(config: &Config) -> anyhow::Result<ExitCode> {
    let data = &config.host.data;
    must_be_there(data)?;
    let nobody_runs = lock::try_lock(data)?.is_some();
    let found = journal::verify(data, nobody_runs).map_err(|error| unusable(error, data))?;
    for wrong in found.wrong.iter().chain(&found.wrong_with_log) {
        print::failure(wrong);
    }
    if found.wrong.is_empty() && found.wrong_with_log.is_empty() {
        print::success(&format!(
            "{} conversations, {} events, {} batches of the log: all of it can be read, and agrees",
            found.conversations, found.events, found.batches
        ));
        return Ok(ExitCode::SUCCESS);
    }
    println!("  {}", advice(&found, data));
    Ok(ExitCode::from(WRONG))
}

/// What helps, and costs least.
fn advice(found: &journal::Found, data: &Path) -> String {
    let log = match journal::batches_of_log(data) {
        Some((first, last)) => format!("the log, which has batches {first} to {last},"),
        None => "the log".to_owned(),
    };
    let restore = "cordboard journal restore, which says how far that leads";
    if !found.wrong.is_empty() {
        return format!(
            "put a backup in the place of the tables, the newest there is, best one that {log} goes on from: {restore}"
        );
    }
    match found.stands {
        Stands::HaveAll => {
            "the tables are whole, and have all that can be read of the log: cordboard journal salvage goes on with them; a backup has less".to_owned()
        }
        Stands::AreOthers => format!(
            "these tables are others than those of {log} or older ones: put back those that belong to it, or a backup that it goes on from ({restore}); only without both, cordboard journal salvage --without-log"
        ),
        Stands::GoOn(more) => format!(
            "the tables are whole, and the log goes on behind them: cordboard journal salvage goes on with both, as far as those {more} batches can be read; a backup has more only if it is newer"
        ),
        Stands::MayLack | Stands::Unknown => format!(
            "the tables may lack what was acknowledged last: put a backup in their place ({restore}), or go on with what is left (cordboard journal salvage), whichever has more"
        ),
    }
}

fn unusable(error: journal::JournalError, data: &Path) -> anyhow::Error {
    anyhow::Error::msg(journal::in_words(&error, data))
}

fn must_be_there(data: &Path) -> anyhow::Result<()> {
    match journal::look(data).map_err(|error| unusable(error, data))? {
        Holds::Used => Ok(()),
        Holds::Fresh => bail!("there is no journal in {}", data.display()),
    }
}

/// Whoever runs there would go on with what isn't there any more.
fn alone(data: &Path) -> anyhow::Result<FolderLock> {
    match lock::try_lock(data)? {
        Some(lock) => Ok(lock),
        None => bail!("a host runs in {}: stop it first", data.display()),
    }
}

/// What a host that was killed had left in its log is put into the tables.
fn close_in_order(data: &Path, _lock: FolderLock) -> anyhow::Result<()> {
    Journal::open(data).map_err(|error| unusable(error, data))?.stop();
    Ok(())
}
