//! All plugins by kind and name, and how one takes another's place: whoever calls takes what stands there at that moment,
//! and calls in flight end where they began.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cordboard_core::ids::ChannelId;
use dashmap::DashMap;

use super::instance::Instance;
use super::origin::{Origin, Refused};
use super::replaced::{Kept, Replaced};
use super::slot::{Slot, Trial};
use super::tally::Counters;
use crate::config::{Config, PluginConfig, PluginKind};
use crate::journal::Repeater;

/// All that are loaded, or should be.
#[derive(Default)]
pub struct Plugins {
    channels: DashMap<String, Arc<Slot>>,
    strategies: DashMap<String, Arc<Slot>>,
    /// Channels that aren't configured any more, since when.
    gone: DashMap<String, Instant>,
    /// Those whose place another has taken.
    pub(super) replaced: Replaced,
    /// One change at a time: of the configuration, or back to what was before it.
    changing: Mutex<()>,
}

/// What is to stand under names, all of it opened, and nothing of it called yet.
#[derive(Default)]
pub struct Prepared {
    pub(super) opened: Vec<Instance>,
    /// What stays as it is, and what is to be said of it.
    pub(super) stays: Vec<(PluginKind, String, Stays)>,
}

/// Why something stays as it is.
pub(super) enum Stays {
    /// What should take its place can't be had.
    Refused(Box<Refused>),
    /// It isn't there, and can't be had.
    Missing(String),
    /// It is as it should be again.
    Right,
}

impl Prepared {
    /// What isn't taken though it should be, in a sentence each.
    pub fn refused(&self) -> Vec<String> {
        let of = |(kind, id, stays): &(PluginKind, String, Stays)| match stays {
            Stays::Refused(refused) => Some(format!("{} {id}: {}", kind.as_str(), refused.why)),
            Stays::Missing(why) => Some(format!("{} {id}: {why}", kind.as_str())),
            Stays::Right => None,
        };
        self.stays.iter().filter_map(of).collect()
    }
}

impl Plugins {
    fn of(&self, kind: PluginKind) -> &DashMap<String, Arc<Slot>> {
        match kind {
            PluginKind::Channel => &self.channels,
            PluginKind::Strategy => &self.strategies,
        }
    }

    /// What stands under a name.
    pub(super) fn slot(&self, kind: PluginKind, id: &str) -> Option<Arc<Slot>> {
        self.of(kind).get(id).map(|slot| slot.clone())
    }

    /// The channel's slot.
    pub fn channel(&self, id: &ChannelId) -> Option<Arc<Slot>> {
        self.slot(PluginKind::Channel, id.as_str())
    }

    /// Every slot.
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        let all = self.channels.iter().chain(self.strategies.iter());
        all.map(|slot| slot.value().clone()).collect()
    }

    /// Channels and strategies of whose instances this is so, in words: `channel sms-twilio`.
    pub fn those(&self, is_so: impl Fn(&Instance) -> bool) -> Vec<String> {
        let all = self.slots().into_iter();
        let those = all.filter(|slot| slot.state.as_ref().is_ok_and(|instance| is_so(instance)));
        those.map(|slot| slot.origin.config.name()).collect()
    }

    /// What there should be instead of what there is, in a sentence each.
    pub fn problems(&self) -> Vec<String> {
        let of =
            |slot: &Arc<Slot>| Some(format!("{}: {}", slot.origin.config.name(), slot.refused()?));
        self.slots().iter().filter_map(of).collect()
    }

    /// Since when a channel isn't configured any more, if it was.
    pub fn gone_since(&self, id: &ChannelId) -> Option<Instant> {
        self.gone.get(id.as_str()).map(|since| *since)
    }

    /// Who is asked on a channel if something is to be sent once more; nothing if it isn't there, or doesn't work.
    pub fn repeats(&self, id: &ChannelId) -> Option<Repeater> {
        let slot = self.channels.get(id.as_str())?;
        slot.state.as_ref().ok().map(|instance| instance.repeats())
    }

    /// The longest text that a channel's plugin takes, where that is known.
    pub fn longest_text(&self, id: &ChannelId) -> Option<u32> {
        let slot = self.channels.get(id.as_str())?;
        slot.state.as_ref().ok().map(|instance| instance.manifest().max_text)
    }

    /// Of instances whose place another has taken: how many are kept for a while, and how many are called still.
    pub fn kept(&self) -> Kept {
        let on_trial = self.slots().iter().filter(|slot| slot.is_on_trial()).count();
        Kept { on_trial, draining: self.replaced.count() }
    }

    /// What is counted under a name.
    pub(super) fn counters(&self, config: &PluginConfig) -> Arc<Counters> {
        let known = self.slot(config.kind, &config.id);
        known.map_or_else(Arc::default, |slot| slot.counters.clone())
    }

    /// Enters what a start has found.
    pub(super) fn enter(
        &self,
        config: &Config,
        origin: Origin,
        state: Result<Instance, String>,
        counters: Arc<Counters>,
    ) {
        let (kind, id) = (origin.config.kind, origin.config.id.clone());
        let slot = Slot {
            state: state.map(Arc::new),
            callback_url: config.callback_url(&id),
            counters,
            origin,
            trial: None,
            refused: None,
        };
        self.of(kind).insert(id, Arc::new(slot));
    }

    /// Puts what was prepared in force, each at once, and takes away what isn't configured any more. What was done, in a
    /// few words each.
    pub fn publish(&self, prepared: Prepared, config: &Config) -> Vec<String> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = Vec::new();
        for instance in prepared.opened {
            done.push(self.puts(instance, config));
        }
        for (kind, id, stays) in prepared.stays {
            let Some(known) = self.slot(kind, &id) else { continue };
            let mut slot = known.as_ref().clone();
            match stays {
                Stays::Refused(refused) => slot.refused = Some(*refused),
                Stays::Missing(why) => slot.state = Err(why),
                Stays::Right => slot.refused = None,
            }
            self.takes_its_place(&known, slot);
        }
        let named: BTreeSet<_> =
            config.plugins().map(|plugin| (plugin.kind, plugin.id.as_str())).collect();
        for slot in self.slots() {
            let kind = slot.kind();
            let id = slot.origin.config.id.as_str();
            if !named.contains(&(kind, id)) {
                self.of(kind).remove(id);
                if kind == PluginKind::Channel {
                    self.gone.insert(id.to_owned(), Instant::now());
                }
                let kept = slot.others().map(|other| other.instance.clone());
                kept.chain(slot.state.clone()).for_each(|instance| self.replaced.drain(instance));
                done.push(format!("{id} is gone"));
                continue;
            }
            let callback_url = config.callback_url(id);
            if slot.callback_url != callback_url {
                self.takes_its_place(&slot, Slot { callback_url, ..slot.as_ref().clone() });
            }
        }
        done.sort_unstable();
        done
    }

    fn puts(&self, instance: Instance, config: &Config) -> String {
        let instance = Arc::new(instance);
        let origin = instance.origin().clone();
        let (kind, id) = (origin.config.kind, origin.config.id.clone());
        let known = self.slot(kind, &id);
        let before = known.as_ref().and_then(|slot| slot.state.clone().ok());
        let manifest = instance.manifest();
        let is = format!("{id} is {} {}", manifest.name, manifest.version);
        let said = match &before {
            Some(before) => {
                format!(
                    "{is}; other than before: {}",
                    origin.differs_from(before.origin()).join(", ")
                )
            }
            None => is,
        };
        let counters = instance.counters().clone();
        counters.swapped.fetch_add(1, Ordering::Relaxed);
        let (trial, too_many) = known.as_deref().map_or_else(Default::default, Trial::of_new);
        let slot = Slot {
            state: Ok(instance),
            callback_url: config.callback_url(&id),
            counters,
            origin,
            trial,
            refused: None,
        };
        self.gone.remove(&id);
        self.of(kind).insert(id, Arc::new(slot));
        too_many.into_iter().for_each(|instance| self.replaced.drain(instance));
        said
    }

    /// One of before is called again, if this one still stands there.
    pub(super) fn rolls_back(&self, slot: &Arc<Slot>, good: &Arc<Instance>, why: String) -> bool {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(trial), Ok(failed)) = (&slot.trial, &slot.state) else { return false };
        if !self.stands(slot) {
            return false;
        }
        let back = Slot {
            origin: good.origin().clone(),
            state: Ok(good.clone()),
            trial: Some(trial.of_one_put_back(good, failed)),
            refused: Some(Refused { origin: slot.origin.clone(), why }),
            ..slot.as_ref().clone()
        };
        // What waits for its threads begins on the other's.
        failed.gives_up_what_waits();
        slot.counters.rolled_back.fetch_add(1, Ordering::Relaxed);
        self.takes_its_place(slot, back);
        true
    }

    /// One that was opened with the same takes its place, if it still stands there.
    pub(super) fn renews(&self, slot: &Arc<Slot>, instance: Instance) -> bool {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let instance = Arc::new(instance);
        let Some(stuck) = slot.state.clone().ok().filter(|_| self.stands(slot)) else {
            self.replaced.drain(instance);
            return false;
        };
        let renewed = Slot { state: Ok(instance), ..slot.as_ref().clone() };
        self.takes_its_place(slot, renewed);
        // What waits for its threads begins on others.
        stuck.gives_up_what_waits();
        self.replaced.drain(stuck);
        true
    }

    /// It does as it is: those that are kept beside it aren't needed any more.
    pub(super) fn settles(&self, slot: &Arc<Slot>) {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.stands(slot) {
            return;
        }
        let settled = Slot { trial: None, ..slot.as_ref().clone() };
        self.takes_its_place(slot, settled);
        slot.others().for_each(|other| self.replaced.drain(other.instance.clone()));
    }

    fn stands(&self, slot: &Arc<Slot>) -> bool {
        let now = self.slot(slot.kind(), slot.id());
        now.is_some_and(|now| Arc::ptr_eq(&now, slot))
    }

    /// Under the same name.
    fn takes_its_place(&self, slot: &Slot, other: Slot) {
        self.of(slot.kind()).insert(slot.id().to_owned(), Arc::new(other));
    }
}
