//! The command line.

mod agent;
mod check;
mod customer;
mod journal;
mod keeper;
mod plugin;
mod print;
mod reload;
mod replay;
mod run;
mod simulate;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// The switchboard for customer conversations.
///
/// A message from any channel becomes a conversation, waits in a queue, is offered to the right
/// agent, and the answer goes back the way it came. Nothing acknowledged is ever lost.
#[derive(Parser)]
#[command(name = "cordboard", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 something is wrong with configuration or plugins, 2 wrong usage, 3 the host can't run."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the host and keep it running until Ctrl-C or SIGTERM
    Run(RunArgs),
    /// Have the running host read its configuration, plugins and secrets again, and put in force what differs
    Reload(ConfigArg),
    /// Check a configuration and its plugins; report every error with file, line and column
    Check(ConfigArg),
    /// Play traffic against a configuration in virtual time: waits, service level, occupancy
    Simulate(SimulateArgs),
    /// Play the journal's routing log into fresh machines and compare every decision
    Replay {
        /// The data folder with the journal
        #[arg(value_name = "DATA", default_value = "data")]
        data: PathBuf,
    },
    /// Say why a conversation is where it is: rules, queues, agents considered
    Why {
        #[command(flatten)]
        ask: AskArgs,
        /// The conversation
        conversation: String,
    },
    /// Say why an agent doesn't have a conversation
    WhyNot {
        #[command(flatten)]
        ask: AskArgs,
        /// The agent
        agent: String,
        /// The conversation
        conversation: String,
    },
    /// Look at plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Add agents, and let them in
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Look at the journal, back it up, restore it
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Take out, or erase, what is kept of a customer
    #[command(subcommand)]
    Customer(CustomerCommand),
    /// Print the OpenAPI description of the REST API
    #[command(hide = true)]
    Openapi,
    /// Try out a plugin; used by the host itself
    #[command(hide = true, name = crate::plugin::probe::SUBCOMMAND)]
    PluginProbe,
}

#[derive(Args)]
struct ConfigArg {
    /// Folder with the configuration's .ron files
    #[arg(value_name = "CONFIG", default_value = "config")]
    config: PathBuf,
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Refuse to start unless every channel can be loaded
    #[arg(long)]
    strict: bool,
    /// Begin with an empty journal where there was one and it is gone
    #[arg(long)]
    new_journal: bool,
    /// Print a one-time sign-in link for this agent
    #[arg(long, value_name = "AGENT")]
    sign_in: Option<String>,
    /// HTTP workers and conversation shards [default: number of cores]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Passivate conversations idle for this many seconds [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    idle_after: Option<u64>,
}

#[derive(Args)]
struct SimulateArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// A .ron file, a data folder with a journal, or RATE,HANDLING[,LENGTH] such as 8/min,5m,8h
    #[arg(long, value_name = "FILE|SPEC")]
    traffic: String,
    /// A second configuration for the same customers; the difference is shown
    #[arg(long, value_name = "CONFIG")]
    compare: Option<PathBuf>,
    /// Another seed than the traffic's own
    #[arg(long)]
    seed: Option<u64>,
    /// Write every figure
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write a page with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Args)]
struct AskArgs {
    /// Where the host runs
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An API token: cordboard agent token
    #[arg(long, env = "CORDBOARD_TOKEN", hide_env_values = true)]
    token: String,
}

#[derive(Subcommand)]
enum PluginCommand {
    /// List the configured channels, their plugins and callback URLs
    List(ConfigArg),
    /// Show a plugin's manifest without running it
    Inspect {
        /// The plugin's library (.so)
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum AgentCommand {
    /// Add an agent: writes CONFIG/agents/ID.ron; a running host takes it up at once
    Add {
        #[command(flatten)]
        config: ConfigArg,
        /// The name to sign in with: lower-case letters, digits, - and _
        #[arg(long)]
        id: String,
        /// The name that people see
        #[arg(long)]
        name: String,
        /// agent, supervisor, administrator, or one that the configuration makes
        #[arg(long, default_value = "agent")]
        role: String,
        /// A queue to be a member of; can be repeated
        #[arg(long = "queue", value_name = "QUEUE")]
        queues: Vec<String>,
    },
    /// Make an API token; it is shown once
    Token {
        #[command(flatten)]
        config: ConfigArg,
        /// Whose
        #[arg(long)]
        id: String,
        /// What it is for
        #[arg(long, default_value = "cli")]
        name: String,
        /// What of the agent's rights it has: `work`, or a permission; can be repeated [default: all]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// How long it works, such as 90d [default: for good]
        #[arg(long, value_name = "TIME")]
        lasts: Option<String>,
    },
    /// List an agent's API tokens: name, scopes, end, last use
    Tokens {
        #[command(flatten)]
        config: ConfigArg,
        /// Whose
        #[arg(long)]
        id: String,
    },
    /// Revoke an API token, or all of an agent
    Revoke {
        #[command(flatten)]
        config: ConfigArg,
        /// Whose
        #[arg(long)]
        id: String,
        /// Which, by its id in the list, or by its name if no other has that [default: all]
        #[arg(long)]
        token: Option<String>,
    },
    /// End all sessions of an agent
    SignOut {
        #[command(flatten)]
        config: ConfigArg,
        /// Whose
        #[arg(long)]
        id: String,
    },
    /// End all access of somebody who isn't in the configuration any more: password, tokens, sessions
    Forget {
        #[command(flatten)]
        config: ConfigArg,
        /// Whose
        #[arg(long)]
        id: String,
    },
    /// Make a one-time sign-in link, good for 15 minutes
    Link {
        #[command(flatten)]
        config: ConfigArg,
        /// Whose
        #[arg(long)]
        id: String,
    },
    /// Set the password, read from standard input
    Password {
        #[command(flatten)]
        config: ConfigArg,
        /// Whose
        #[arg(long)]
        id: String,
    },
}

#[derive(Subcommand)]
enum CustomerCommand {
    /// Print all of it, one JSON object a line; also while the host runs
    Export {
        #[command(flatten)]
        whose: CustomerArgs,
    },
    /// Remove all of it, for good; also while the host runs
    Erase {
        #[command(flatten)]
        whose: CustomerArgs,
        /// Do it: without this, only what there is is said
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
struct CustomerArgs {
    /// Their address, as +14255550100
    #[arg(value_name = "ADDRESS", allow_hyphen_values = true)]
    customer: String,
    /// On this channel only [default: on all]
    #[arg(long)]
    channel: Option<String>,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Subcommand)]
enum JournalCommand {
    /// Read all of it, and say what is damaged or doesn't agree; also while the host runs
    Verify {
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Write a copy with everything that was acknowledged before; also while the host runs
    Backup {
        /// Where to; it mustn't be there yet
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Go on with what is left after damage or loss: what tables, log and backups lead to is compared, and what leads
    /// furthest is taken; the rest is kept beside it
    Recover {
        #[command(flatten)]
        config: ConfigArg,
        /// A backup that may be used; as often as there are
        #[arg(long, value_name = "FILE")]
        backup: Vec<PathBuf>,
        /// Also if something that was acknowledged is in none of it
        #[arg(long)]
        accept_loss: bool,
    },
    /// Put this copy in the journal's place, with what the log has since; what was there is kept beside it
    Restore {
        /// Go back to the copy: leave out what happened since, also where the log has it
        #[arg(long)]
        without_log: bool,
        /// Also if something that was acknowledged is missing then
        #[arg(long)]
        accept_loss: bool,
        /// The copy
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Compute anew what follows from conversations' events
    Rebuild {
        #[command(flatten)]
        config: ConfigArg,
    },
}

/// Something is wrong with configuration or plugins.
pub const WRONG: u8 = 1;
/// The host can't run.
pub const CANNOT_RUN: u8 = 3;

/// What was asked for doesn't fit the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(String);

/// Runs a command.
pub fn main(cli: Cli) -> ExitCode {
    let system = actix::System::new();
    let result = system.block_on(async {
        match cli.command {
            Command::Run(args) => run::run(args).await,
            Command::Reload(arg) => reload::reload(&arg.config).await,
            Command::Check(arg) => check::check(&arg.config).await,
            Command::Simulate(args) => simulate::run(&args),
            Command::Replay { data } => replay::run(&data),
            Command::Why { ask, conversation } => why::why(&ask, &conversation).await,
            Command::WhyNot { ask, agent, conversation } => {
                why::why_not(&ask, &agent, &conversation).await
            }
            Command::Plugin(PluginCommand::List(arg)) => plugin::list(&arg.config).await,
            Command::Plugin(PluginCommand::Inspect { file }) => plugin::show(&file),
            Command::Agent(command) => agent::run(command).await,
            Command::Journal(command) => {
                run::logs("warn");
                journal::run(command)
            }
            Command::Customer(command) => customer::run(command).await,
            Command::Openapi => {
                use utoipa::OpenApi;
                let description = crate::http::ApiDoc::openapi().to_pretty_json()?;
                println!("{description}");
                Ok(ExitCode::SUCCESS)
            }
            Command::PluginProbe => crate::plugin::probe::child().await.map(|()| ExitCode::SUCCESS),
        }
    });
    result.unwrap_or_else(|error| {
        print::failure(&format!("{error:#}"));
        let is_wrong = error.is::<crate::app::NotLoaded>() || error.is::<Wrong>();
        ExitCode::from(if is_wrong { WRONG } else { CANNOT_RUN })
    })
}
