//! Panics inside a plugin: caught where they happen, with message and place.
//!
//! A plugin's library has a standard library of its own, so only code inside it can catch its
//! panics, and its panic hook is its own as well.

use std::cell::RefCell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Once;

use futures_util::FutureExt;

use crate::wire::PluginFailure;

thread_local! {
    static LAST: RefCell<Option<PluginFailure>> = const { RefCell::new(None) };
}

/// Makes panics quiet and remembers where they happened. Once per loaded library.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let payload = info.payload();
            let message = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "a value that isn't text".to_owned());
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            LAST.with(|last| *last.borrow_mut() = Some(PluginFailure::Panicked { message, place }));
        }));
    });
}

/// Runs a future to its end; a panic in any poll becomes an error.
pub(crate) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, PluginFailure> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|_| what_happened())
}

/// Runs a function; a panic becomes an error.
pub(crate) fn caught_now<T>(run: impl FnOnce() -> T) -> Result<T, PluginFailure> {
    std::panic::catch_unwind(AssertUnwindSafe(run)).map_err(|_| what_happened())
}

/// The hook ran on this thread just before the unwinding that was caught.
fn what_happened() -> PluginFailure {
    LAST.with(|last| last.borrow_mut().take()).unwrap_or_else(|| PluginFailure::Panicked {
        message: "unknown".to_owned(),
        place: "unknown".to_owned(),
    })
}
