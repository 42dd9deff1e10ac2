//! `cordboard check`: everything that can be known before a start.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::{WRONG, print};
use crate::plugin::{self, Loader, Services};
use crate::{config, http};

/// Checks configuration and plugins.
pub async fn check(folder: &Path) -> anyhow::Result<ExitCode> {
    let config = match config::load(folder) {
        Ok(config) => config,
        Err(errors) => {
            errors.0.iter().for_each(print::problem);
            print::failure(&summary(errors.0.len()));
            return Ok(ExitCode::from(WRONG));
        }
    };
    let scratch = tempfile::tempdir()?;
    let loader = Loader {
        cache: scratch.path().to_owned(),
        root: config.root.clone(),
        client: Services::client().map_err(anyhow::Error::msg)?,
        access: None,
    };
    let mut wrong = 0;
    let found = |problem| {
        print::problem(&problem);
        wrong += 1;
    };
    plugin::ask(&loader, config.plugins(), found).await;
    if let Some(why) = config.host.tls.as_ref().and_then(|tls| http::check_tls(tls).err()) {
        print::failure(&format!("host.tls: {why}"));
        wrong += 1;
    }
    if wrong > 0 {
        print::failure(&summary(wrong));
        return Ok(ExitCode::from(WRONG));
    }
    print::success(&format!(
        "{}: {} channels, {} workstreams, {} queues, {} agents",
        folder.display(),
        config.channels.len(),
        config.workstreams.len(),
        config.queues.len(),
        config.agents.len()
    ));
    Ok(ExitCode::SUCCESS)
}

fn summary(count: usize) -> String {
    match count {
        1 => "1 thing is wrong".to_owned(),
        count => format!("{count} things are wrong"),
    }
}
