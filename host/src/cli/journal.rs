//! `cordboard journal`: look at it, copy it, put a copy in its place, compute its views anew.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use cordboard_core::ids::ConversationId;

use crate::cli::{JournalCommand, WRONG, print};
use crate::clock;
use crate::config::{self, Config};
use crate::journal::{
    self, BehindGaps, GivenUp, Holds, Journal, NotCopied, Recovered, Recovery, Terms,
};
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
        JournalCommand::Restore { config, file, without_log, accept_loss } => {
            let config = config::load(&config.config)?;
            let data = &config.host.data;
            lock::make_folder(data)?;
            let _lock = alone(data)?;
            let terms = Terms { accepts_loss: accept_loss, without_log };
            let restored = journal::restore(data, &file, terms, clock::now().0);
            let restored = restored.map_err(|error| {
                anyhow::anyhow!("{} isn't put in place: {error}", file.display())
            })?;
            say(&restored, without_log);
            Ok(ExitCode::SUCCESS)
        }
        JournalCommand::Recover { config, backup, accept_loss } => {
            let config = config::load(&config.config)?;
            let data = &config.host.data;
            let _lock = alone(data)?;
            let terms = Terms { accepts_loss: accept_loss, without_log: false };
            let recovered = journal::recover(data, &backup, terms, clock::now().0);
            match recovered? {
                Recovery::Done(recovered) => say(&recovered, false),
                Recovery::Needless(given_up) => say_that_nothing_is_wrong(given_up),
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
    if nobody_runs {
        let outlook = journal::outlook(data);
        if let Some(known) = &outlook.known {
            println!("  what was acknowledged goes up to batch {}", known.at.0);
        }
        let are_damaged = !found.wrong.is_empty();
        let usable = |way: &&journal::Way| {
            let is_own = way.base.kind == journal::Kind::Own;
            !(are_damaged && is_own && way.base.form == journal::Form::AsItIs)
        };
        match outlook.ways.iter().find(usable) {
            Some(way) => println!("  of what lies here {way} leads furthest, if that is whole"),
            None => println!("  nothing lies here that one could go on with: a backup is needed"),
        }
    } else {
        println!("  stop the host first");
    }
    println!("  {}", journal::RECOVER);
    Ok(ExitCode::from(WRONG))
}

/// The journal is whole, as it is: after a loss that was accepted that isn't all that there was.
fn say_that_nothing_is_wrong(given_up: GivenUp) {
    print::success(
        "nothing is wrong with the journal, and nothing was changed: the next start goes on with all of it",
    );
    let GivenUp { batches, may_be_more } = given_up;
    match (batches, may_be_more) {
        (0, false) => return,
        (0, true) => println!("  an earlier command may have given up what was acknowledged last"),
        (batches, _) => println!(
            "  an earlier command has given up {batches} batches that were acknowledged: they are missing from it"
        ),
    }
    println!(
        "  nobody has gone on since: a backup that has them can still be put in its place (cordboard journal restore FILE)"
    );
}

/// What has become of the journal, and what that means.
fn say(recovered: &Recovered, goes_back: bool) {
    let Recovered { way, lost, behind, may_lack, replies, kept } = recovered;
    print::success(&format!(
        "the next start goes on with {way}; what isn't used any more is kept as {kept}"
    ));
    match (lost, may_lack) {
        (0, false) => println!("  that is all that was acknowledged, as far as is known"),
        (0, true) => println!("  what was acknowledged last may be missing"),
        (lost, _) => println!("  {lost} batches that were acknowledged are missing from it"),
    }
    say_what_lacks_something(behind);
    if *replies > 0 {
        println!(
            "  {replies} replies weren't confirmed by then, and may have gone out since: where a provider can't tell repetitions they aren't sent again, and are shown as unconfirmed"
        );
    }
    if *lost > 0 || *may_lack || goes_back {
        println!(
            "  who was erased since is in it again, what was revoked or changed since lets people in again, and whoever said STOP since gets messages: see who may sign in (cordboard agent tokens ID, passwords), and erase again (cordboard customer erase)"
        );
    }
}

/// Behind what can't be read.
fn say_what_lacks_something(behind: &BehindGaps) {
    const MOST_NAMED: usize = 20;
    let BehindGaps { lacking, left_out, erasures, records } = behind;
    let named = |ids: &BTreeSet<ConversationId>| {
        journal::first_few(ids.iter().map(ToString::to_string), MOST_NAMED)
    };
    if !lacking.is_empty() {
        println!(
            "  {} conversations lack what stood there, and go on with what came behind it (one in which nothing came behind it lacks it, too, and isn't known): {}",
            lacking.len(),
            named(lacking)
        );
    }
    if !left_out.is_empty() {
        println!(
            "  {} conversations began there, and are missing: {}",
            left_out.len(),
            named(left_out)
        );
    }
    if *erasures > 0 {
        println!(
            "  {erasures} customers were erased since, and are there yet: erase them again (cordboard customer erase)"
        );
    }
    if *records > 0 {
        println!(
            "  {records} records couldn't be written without that: the warnings above name them"
        );
    }
}

fn unusable(error: journal::JournalError, data: &Path) -> anyhow::Error {
    anyhow::Error::msg(journal::in_words(&error, data))
}

pub(super) fn must_be_there(data: &Path) -> anyhow::Result<()> {
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
