//! `cordboard reload`: what files say now is put in force, by the host that runs (ROUTE-17).

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;

use crate::cli::{WRONG, print};
use crate::config;
use crate::errands::OfHost;
use crate::lock;

/// Asks the host, and says what came of it.
pub async fn reload(folder: &Path) -> anyhow::Result<ExitCode> {
    // Where the host is found; it reads the rest itself.
    let config = match config::load(folder) {
        Ok(config) => config,
        Err(errors) => {
            errors.0.iter().for_each(print::problem);
            print::failure("the configuration is wrong; nothing was changed");
            return Ok(ExitCode::from(WRONG));
        }
    };
    let data = &config.host.data;
    if !data.exists() || lock::try_lock(data)?.is_some() {
        bail!("no host runs in {}: cordboard run starts one", data.display());
    }
    let asked = OfHost::new(data).reload().await;
    let said = match asked {
        Ok(said) => said,
        Err(error) => bail!("the host that holds {} doesn't answer: {error}", data.display()),
    };
    match said {
        Ok(change) => {
            print::success(&change);
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => {
            print::failure(&why);
            Ok(ExitCode::from(WRONG))
        }
    }
}
