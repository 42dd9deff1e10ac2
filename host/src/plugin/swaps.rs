//! What the configuration, the libraries and the secrets say, and what runs: the difference is opened, and put in force
//! once all of it is known to work. What fails after that is taken back.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::access::Access;
use super::cache;
use super::instance::Instance;
use super::library;
use super::load::{LoadError, Loader, takes_such_texts};
use super::origin::{Origin, Refused};
use super::replaced::Replaced;
use super::services::Services;
use super::set::{Prepared, Stays};
use super::slot::{Slot, Verdict};
use crate::actors::{Directory, update_settings};
use crate::config::{
    Config, ConfigErrors, Location, PluginConfig, PluginKind, Problem, place_in_file,
};
use crate::http::audit::{self, Noted};

/// Opens what the host's plugins are to be.
pub struct Swaps {
    directory: Arc<Directory>,
    loader: Loader,
    /// Plugins' requests run here, whoever has asked for a change.
    runtime: tokio::runtime::Handle,
    /// Instances that stood still and were opened anew: when last, and how often in a row.
    anew: Mutex<HashMap<(PluginKind, String), (Instant, u32)>>,
}

/// What is to be done about one plugin.
enum Step {
    /// It runs as it is wanted.
    Nothing,
    /// It does again: another was wanted, and wasn't taken.
    Right,
    /// It was wanted before, and wasn't taken.
    StaysRefused,
    /// It is another now. `is_asked`: the configuration says so, and not only a file that it names.
    Open { is_asked: bool, origin: Box<Origin> },
}

impl Swaps {
    /// For a host that starts.
    ///
    /// # Errors
    /// The TLS of the system can't be had.
    pub fn new(directory: &Arc<Directory>, data: &Path) -> anyhow::Result<Self> {
        let access = Access { directory: Arc::downgrade(directory) };
        let loader = Loader {
            cache: data.join("plugins"),
            root: directory.config().root.clone(),
            client: Services::client().map_err(anyhow::Error::msg)?,
            access: Some(Arc::new(access)),
        };
        let runtime = tokio::runtime::Handle::current();
        let anew = Mutex::default();
        Ok(Self { directory: directory.clone(), loader, runtime, anew })
    }

    /// Loads every channel and strategy; a channel that can't be loaded leaves its slot empty, with the
    /// reason, a strategy leaves its queues to the default.
    pub async fn start(&self) -> Vec<Problem> {
        let directory = &self.directory;
        let config = directory.config();
        let mut problems = Vec::new();
        for plugin in config.plugins() {
            let counters = directory.plugins.counters(plugin);
            let loaded = self.loader.load(plugin, counters.clone()).await;
            let (origin, state) = match loaded {
                Ok(instance) => (instance.origin().clone(), Ok(instance)),
                Err(error) => {
                    let problem = as_problem(&plugin.place, &error);
                    let (kind, id) = (plugin.kind.as_str(), plugin.id.as_str());
                    tracing::error!(id, problem = %problem, "{kind} not loaded");
                    let why = problem.to_string();
                    problems.push(problem);
                    (Origin::now(plugin, &self.loader.root, None), Err(why))
                }
            };
            directory.plugins.enter(&config, origin, state, counters);
        }
        for channel in &config.channels {
            update_settings(directory, channel, &config);
        }
        cache::remove_others(&self.loader.cache, &library::loaded_paths());
        problems
    }

    /// Opens what differs from what runs. Nothing is called, and nothing has changed yet. May take as long as plugins do
    /// to open, and waits for that on this thread.
    ///
    /// # Errors
    /// [`ConfigErrors`]: what the configuration asks for can't be had.
    pub fn prepare(&self, new: &Config, tries_again: bool) -> Result<Prepared, ConfigErrors> {
        self.runtime.block_on(self.prepares(new, tries_again))
    }

    async fn prepares(&self, new: &Config, tries_again: bool) -> Result<Prepared, ConfigErrors> {
        let (mut prepared, mut problems) = (Prepared::default(), Vec::new());
        let plugins = &self.directory.plugins;
        // Side by side: one that hangs keeps the others waiting for no longer than itself.
        let steps = new.plugins().map(async |plugin| {
            let slot = plugins.slot(plugin.kind, &plugin.id);
            let step = self.step(plugin, slot.as_deref(), tries_again);
            let opened = match &step {
                Ok(Step::Open { .. }) if plugins.replaced.count() >= Replaced::MOST => {
                    Some(Err(too_many(plugin)))
                }
                Ok(Step::Open { .. }) => {
                    Some(self.loader.load(plugin, plugins.counters(plugin)).await)
                }
                _ => None,
            };
            (plugin, slot, step, opened)
        });
        for (plugin, slot, step, opened) in futures_util::future::join_all(steps).await {
            let (is_asked, origin, opened) = match (step, opened) {
                (Ok(Step::Open { is_asked, origin }), Some(opened)) => (is_asked, origin, opened),
                (Ok(Step::Right), _) => {
                    prepared.stays.push((plugin.kind, plugin.id.clone(), Stays::Right));
                    continue;
                }
                (Ok(_), _) => continue,
                (Err(error), _) => {
                    problems.push(as_problem(&plugin.place, &error));
                    continue;
                }
            };
            let error = match opened {
                Ok(instance) => {
                    prepared.opened.push(instance);
                    continue;
                }
                Err(error) => error,
            };
            let Some(slot) = slot.filter(|_| !is_asked) else {
                problems.push(as_problem(&plugin.place, &error));
                continue;
            };
            slot.counters.refused.fetch_add(1, Ordering::Relaxed);
            let (kind, id) = (plugin.kind, plugin.id.clone());
            tracing::error!(id, "a {} is to be another: {error}", kind.as_str());
            let stays = match &slot.state {
                Ok(_) => Stays::Refused(Box::new(Refused::to_open(*origin, &error))),
                Err(_) => Stays::Missing(as_problem(&plugin.place, &error).to_string()),
            };
            prepared.stays.push((kind, id, stays));
        }
        if problems.is_empty() {
            return Ok(prepared);
        }
        prepared.opened.into_iter().for_each(|instance| plugins.replaced.drain(Arc::new(instance)));
        Err(ConfigErrors(problems))
    }

    fn step(
        &self,
        plugin: &PluginConfig,
        slot: Option<&Slot>,
        tries_again: bool,
    ) -> Result<Step, LoadError> {
        let root = &self.loader.root;
        let origin = |known| Box::new(Origin::now(plugin, root, known));
        let Some(slot) = slot else {
            return Ok(Step::Open { is_asked: true, origin: origin(None) });
        };
        let now = origin(Some(&slot.origin));
        if let Some(refused) = &slot.refused
            && refused.origin.is(&now)
            && !tries_again
        {
            return Ok(Step::StaysRefused);
        }
        let is_asked = !plugin.differs_from(&slot.origin.config).is_empty();
        match &slot.state {
            Ok(instance) if slot.origin.is(&now) => {
                takes_such_texts(plugin, instance.manifest())?;
                Ok(if slot.refused.is_some() { Step::Right } else { Step::Nothing })
            }
            // One that never was loaded is tried whenever somebody changes anything.
            Ok(_) | Err(_) => Ok(Step::Open { is_asked, origin: now }),
        }
    }

    /// Looks after those that are new, and those whose place they have taken, as long as the host runs.
    pub async fn watch(self: Arc<Self>) {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        const CLOSES_WITHIN: Duration = Duration::from_secs(5);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let plugins = &self.directory.plugins;
            let terms = self.directory.config().host.swaps;
            for slot in plugins.slots() {
                let Ok(instance) = &slot.state else { continue };
                let moves = instance.moves();
                match slot.trial.is_some().then(|| slot.verdict(terms)) {
                    // Whatever is opened anew would stand still as well.
                    _ if !moves && slot.is_on_trial() => {
                        self.rolls_back(&slot, "its calls don't come back").await;
                        continue;
                    }
                    None | Some(Verdict::Open) => {}
                    Some(Verdict::Good) => {
                        plugins.settles(&slot);
                        continue;
                    }
                    Some(Verdict::Bad(why)) => {
                        self.rolls_back(&slot, &why).await;
                        continue;
                    }
                }
                self.looks_after_one_that_is_stuck(&slot, instance, moves);
            }
            for instance in plugins.replaced.ended() {
                actix::spawn(async move {
                    let closed = tokio::time::timeout(CLOSES_WITHIN, instance.close()).await;
                    if let Ok(Err(error)) = closed {
                        tracing::warn!(channel = instance.id(), %error, "it wasn't closed");
                    }
                });
            }
        }
    }

    /// One whose calls don't come back is said, and opened anew once no thread of it is left; calls that come later go to
    /// the new one.
    fn looks_after_one_that_is_stuck(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        instance: &Arc<Instance>,
        moves: bool,
    ) {
        const PAUSE: Duration = Duration::from_secs(5);
        const LONGEST_PAUSE: Duration = Duration::from_secs(300);
        let stuck = instance.stuck_for(Instance::MOVES_WITHIN);
        if stuck.is_empty() {
            return;
        }
        let (id, calls) = (slot.id(), stuck.iter().map(|call| call.as_str()).collect::<Vec<_>>());
        if instance.has_to_say_that_it_is_stuck() {
            tracing::error!(
                id,
                "the plugin of {} keeps its threads to itself ({}): its other calls wait",
                slot.origin.config.name(),
                calls.join(", ")
            );
        }
        let key = (slot.kind(), id.to_owned());
        let mut anew = self.anew.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, times) = anew.get(&key).copied().unzip();
        let times = times.filter(|_| last.is_some_and(|at| at.elapsed() < 4 * LONGEST_PAUSE));
        let pause = PAUSE.saturating_mul(1 << times.unwrap_or(0).min(8)).min(LONGEST_PAUSE);
        let may = last.is_none_or(|at| at.elapsed() > pause);
        if moves || !may {
            return;
        }
        anew.insert(key, (Instant::now(), times.unwrap_or(0) + 1));
        drop(anew);
        let (own, slot, instance) = (self.clone(), slot.clone(), instance.clone());
        actix::spawn(async move { own.opens_anew(slot, &instance).await });
    }

    /// As it was, whatever the files say by now.
    async fn opens_anew(&self, slot: Arc<Slot>, instance: &Instance) {
        let plugins = &self.directory.plugins;
        let id = slot.id();
        if plugins.replaced.count() >= Replaced::MOST {
            tracing::error!(id, "{}", too_many(&slot.origin.config));
            return;
        }
        let name = slot.origin.config.name();
        match self.loader.open_apart(instance.recipe().clone()).await {
            Ok(instance) => {
                if plugins.renews(&slot, instance) {
                    tracing::warn!(
                        id,
                        "{name} was opened anew: calls that don't come back are given up"
                    );
                }
            }
            Err(error) => {
                tracing::error!(id, "{name} can't be opened anew: {error}");
            }
        }
    }

    async fn rolls_back(&self, slot: &Arc<Slot>, why: &str) {
        let Some(good) = slot.trial.as_ref().and_then(|trial| trial.last_good().cloned()) else {
            return;
        };
        // Nothing else changes what conversations go by meanwhile.
        let _alone = self.directory.changing().await;
        let what = slot.origin.differs_from(good.origin()).join(", ");
        let file = slot.origin.config.place.file.display();
        let why = format!(
            "{why} since it was put in place, so the one of before was put back; other than before: {what} ({file}). It isn't tried again by itself: once it is right, cordboard reload does, and so does a restart"
        );
        if !self.directory.plugins.rolls_back(slot, &good, why.clone()) {
            return;
        }
        let id = slot.id();
        tracing::error!(id, "{}: {why}", slot.origin.config.name());
        let config = self.directory.config();
        if let Some(channel) = config.channels.iter().find(|channel| channel.id.as_str() == id)
            && slot.kind() == PluginKind::Channel
        {
            update_settings(&self.directory, channel, &config);
        }
        let noted = Noted {
            actor: "configuration",
            action: "config.rolled_back",
            subject: id.to_owned(),
            address: None,
            details: Some(why),
        };
        audit::note(&self.directory.journal, noted);
        self.directory.board.changed();
    }
}

fn too_many(plugin: &PluginConfig) -> LoadError {
    let most = Replaced::MOST;
    let cause = format!(
        "{most} instances whose place others have taken are called still: something hangs, and only a restart ends it"
    );
    LoadError::Broken { file: plugin.library.clone(), cause }
}

/// Asks the plugins of these what is wrong with their settings ([`Loader::check`]), and tells each problem as it is
/// found. Nothing is put in force.
pub async fn ask<'a>(
    loader: &Loader,
    plugins: impl IntoIterator<Item = &'a PluginConfig>,
    mut found: impl FnMut(Problem),
) {
    for plugin in plugins {
        if let Err(error) = loader.check(plugin).await {
            found(as_problem(&plugin.place, &error));
        }
    }
}

/// A plugin's load error at the setting that it is about.
fn as_problem(place: &Location, error: &LoadError) -> Problem {
    let path = match error {
        LoadError::Config { path, .. } if path.is_empty() => "config".to_owned(),
        LoadError::Config { path, .. } => format!("config.{path}"),
        LoadError::OtherContent { .. } => "sha256".to_owned(),
        LoadError::TextTooLong { .. } => "max_text".to_owned(),
        LoadError::WontOpen { .. } => String::new(),
        _ => "plugin".to_owned(),
    };
    place_in_file(place, &path, error.to_string())
}
