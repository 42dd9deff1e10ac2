//! `cordboard run`.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::app::{Host, Options};
use crate::cli::{RunArgs, WRONG, print};
use crate::{config, http};

/// What is logged if nothing else is said. The library says a line for whatever isn't HTTP, and for each broken
/// frame: strangers could fill a disk with those.
const FILTER: &str = "warn,cordboard_host=info,actix_http::h1::dispatcher=off,actix_http::ws::codec=off,notify=error";

/// What a command has to say beside its answer, or a host: on standard error, by `CORDBOARD_LOG`.
pub(super) fn logs(filter: &str) {
    let filter =
        EnvFilter::try_from_env("CORDBOARD_LOG").unwrap_or_else(|_| EnvFilter::new(filter));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if std::env::var("CORDBOARD_LOG_FORMAT").is_ok_and(|format| format == "json") {
        log.json().init();
    } else {
        log.with_target(false).init();
    }
}

/// `SIGXFSZ`, on Linux.
const FILE_TOO_LARGE: i32 = 25;

/// Runs a host until it is told to stop.
pub async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    logs(FILTER);
    if SystemTime::now() < SystemTime::UNIX_EPOCH {
        bail!("the machine's clock stands before 1970: set it; nothing was started");
    }
    let config = match config::load(&args.config.config) {
        Ok(config) => config,
        Err(errors) => {
            errors.0.iter().for_each(print::problem);
            print::failure("the configuration is wrong; nothing was started");
            return Ok(ExitCode::from(WRONG));
        }
    };
    let signs_in = match &args.sign_in {
        None => None,
        Some(id) => match config.agents.iter().find(|agent| agent.id.as_str() == id) {
            Some(agent) => Some(agent.clone()),
            None => bail!("--sign-in: there is no agent \"{id}\""),
        },
    };
    if let Some(why) = config.host.tls.as_ref().and_then(|tls| http::check_tls(tls).err()) {
        print::failure(&format!("host.tls: {why}; nothing was started"));
        return Ok(ExitCode::from(WRONG));
    }
    let options = Options {
        strict: args.strict,
        new_journal: args.new_journal,
        workers: args.workers,
        idle_after: args.idle_after.map(Duration::from_secs),
    };
    // Before the first door opens: a stop in the first moments withdraws offers like any other.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A limit on the size of files (`ulimit -f`) is a write that fails, like on a full disk, and no reason
    // to die: whoever listens to the signal gets the error.
    let _file_too_large = signal(SignalKind::from_raw(FILE_TOO_LARGE))?;
    let host = Host::start(config, options).await?;
    host.problems.iter().for_each(print::problem);

    let config = host.directory.config();
    let url = &config.host.public_url;
    let mut facts = vec![("console", url.clone())];
    if let Some(agent) = signs_in {
        let token = http::new_link(&host.directory.journal, &agent.id).await;
        let token = token.map_err(anyhow::Error::msg)?;
        facts.push((
            "sign in",
            format!("{url}/sign-in/{token}   ({}, once, for 15 minutes)", agent.name),
        ));
    }
    for channel in &config.channels {
        facts.push(("webhook", format!("{url}/hooks/{}", channel.id)));
    }
    facts.push(("metrics", format!("{url}/metrics")));
    facts.push(("journal", config.host.data.display().to_string()));
    if host.open_conversations > 0 {
        let seconds = host.recovery.as_secs_f64();
        facts.push((
            "recovered",
            format!("{} open conversations in {seconds:.2} s", host.open_conversations),
        ));
    }
    print::success(&format!("cordboard {} is running", env!("CARGO_PKG_VERSION")));
    print::pairs(&facts);

    let fatal = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        why = host.fatal() => Some(why),
    };
    tracing::info!("stopping");
    host.stop().await;
    match fatal {
        None => {
            tracing::info!("stopped");
            Ok(ExitCode::SUCCESS)
        }
        Some(why) => bail!("the host couldn't go on: {why}"),
    }
}
