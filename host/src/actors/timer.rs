//! One timer per machine, for its earliest deadline.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, SpawnHandle};
use cordboard_core::time::Timestamp;

use crate::clock;

/// A timer that is set anew whenever the machine's earliest deadline changes.
#[derive(Default)]
pub(super) struct Timer(Option<(Timestamp, SpawnHandle)>);

impl Timer {
    /// Sets it for `wanted`; `ring` is called on the actor then.
    pub fn set<A>(
        &mut self,
        wanted: Option<Timestamp>,
        context: &mut Context<A>,
        ring: impl FnOnce(&mut A, &mut Context<A>) + 'static,
    ) where
        A: Actor<Context = Context<A>>,
    {
        if wanted == self.0.as_ref().map(|(at, _)| *at) {
            return;
        }
        if let Some((_, handle)) = self.0.take() {
            context.cancel_future(handle);
        }
        let Some(at) = wanted else { return };
        let ms = u64::try_from(at.0 - clock::now().0).unwrap_or(0);
        self.0 = Some((at, context.run_later(Duration::from_millis(ms), ring)));
    }

    /// It has rung.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}
