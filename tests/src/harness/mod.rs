//! A harness around the real host: its binary, its plugins, its journal, its sockets.

mod clock;
mod host;
mod look;
mod screen;

pub use clock::Clock;
pub use host::{HostProcess, Setup, free_port, library, plugin_folder, target_folder};
pub use screen::Screen;

use std::time::{Duration, Instant};

/// How long anything may take to happen.
pub const LIMIT: Duration = Duration::from_secs(20);

/// The files of a folder, in another one; folders in it aren't copied.
///
/// # Panics
/// One of them can't be read or written.
pub fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// Where a customer's data is taken out and erased.
pub fn data_of(customer: &str) -> String {
    format!("/api/v1/customers/data?customer={}", customer.replace('+', "%2B"))
}

/// Asks until there is an answer.
///
/// # Panics
/// If there is none within [`LIMIT`].
pub async fn eventually<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "this never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
