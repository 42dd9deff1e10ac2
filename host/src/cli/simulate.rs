//! `cordboard simulate`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{SimulateArgs, WRONG, print};
use crate::config::{self, Config};
use crate::simulate::{self, Figures, Named, Traffic};

/// Plays traffic against one configuration, or two.
pub fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let mut traffic = Traffic::read(&args.traffic)?;
    if let Some(seed) = args.seed {
        traffic.seed = seed;
    }
    let folders: Vec<&PathBuf> =
        std::iter::once(&args.config.config).chain(&args.compare).collect();
    let mut results = Vec::new();
    for folder in folders {
        let Some(config) = load(folder) else { return Ok(ExitCode::from(WRONG)) };
        if let Some(problem) = mismatch(&config, &traffic) {
            print::failure(&problem);
            return Ok(ExitCode::from(WRONG));
        }
        results.push((folder.display().to_string(), play(folder, &config, &traffic)));
    }
    let runs: Vec<Named<'_>> =
        results.iter().map(|(name, figures)| Named { name, figures }).collect();
    println!("{}", simulate::table(&runs));
    if let Some(file) = &args.csv {
        write(file, &simulate::csv(&runs))?;
    }
    if let Some(file) = &args.html {
        write(file, &simulate::html(&runs))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn load(folder: &Path) -> Option<Config> {
    match config::load(folder) {
        Ok(config) => Some(config),
        Err(errors) => {
            errors.0.iter().for_each(print::problem);
            print::failure("the configuration is wrong; nothing was simulated");
            None
        }
    }
}

/// Traffic that names what isn't there would be a simulation of nothing.
fn mismatch(config: &Config, traffic: &Traffic) -> Option<String> {
    if config.channels.is_empty() {
        return Some("the configuration has no channel for customers to write to".to_owned());
    }
    for channel in traffic.streams.iter().filter_map(|stream| stream.channel.as_ref()) {
        if !config.channels.iter().any(|known| known.id.as_str() == channel) {
            let known: Vec<&str> = config.channels.iter().map(|c| c.id.as_str()).collect();
            let known = known.join(", ");
            return Some(format!("the traffic names the channel \"{channel}\"; known: {known}"));
        }
    }
    let shifts = traffic.shifts.iter().flat_map(|shift| &shift.agents);
    for agent in shifts {
        if config.agent(&agent.as_str().into()).is_none() {
            return Some(format!("the traffic has a shift of \"{agent}\", who isn't configured"));
        }
    }
    (traffic.streams.is_empty() && traffic.recorded.is_empty())
        .then(|| "the traffic has no customers: give it `streams`".to_owned())
}

fn play(folder: &Path, config: &Config, traffic: &Traffic) -> Figures {
    const PARTS: u64 = 200;
    // Written to standard error, and only if that is a terminal.
    let bar = ProgressBar::new(PARTS);
    let style = ProgressStyle::with_template("{prefix} {bar:40} {percent} % {eta}");
    bar.set_style(style.expect("the template is right"));
    bar.set_prefix(folder.display().to_string());
    let began = Instant::now();
    let figures = simulate::run(config, traffic, |part| {
        bar.set_position((part * PARTS as f64) as u64);
    });
    bar.finish_and_clear();
    let (came, seconds) = (figures.came, began.elapsed().as_secs_f64());
    tracing::info!(came, seconds, "simulated");
    figures
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("can't write {}", file.display()))?;
    println!("written to {}", file.display());
    Ok(())
}
