//! `annals demo`: loads the bundled excerpt of real data into an instance, and starts one where none runs.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use clap::Args;
use nix::sys::signal::{Signal, raise};

use super::serve::serve;
use crate::{auth::SigningKeys, config::Config, demo, embedded::running};

/// How the demonstration ends.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Keeps serving until Ctrl-C, instead of exiting after the summary.
    #[arg(long)]
    keep_serving: bool,
}

/// Loads the excerpt and prints what came of it.
pub(super) async fn demo(config: &Config, options: &Options) -> Result<(), String> {
    if let Some(instance) = running(&config.data_dir) {
        return load(&instance).await;
    }
    let mut serving = pin!(serve(config));
    let loading = async {
        let instance = loop {
            if let Some(instance) = running(&config.data_dir) {
                break instance;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let loaded = load(&instance).await;
        if loaded.is_err() || !options.keep_serving {
            // As Ctrl-C would: the node ends in good order.
            raise(Signal::SIGTERM).map_err(|error| error.to_string())?;
        } else {
            println!("\nServing at {} until Ctrl-C.", instance["ANNALS_URL"]);
        }
        loaded
    };
    tokio::select! {
        served = &mut serving => {
            served.map_err(|error| error.to_string())?;
            Err("stopped before the excerpt was loaded".into())
        }
        loaded = loading => {
            let served = serving.await.map_err(|error| error.to_string());
            loaded.and(served)
        }
    }
}

async fn load(instance: &BTreeMap<String, String>) -> Result<(), String> {
    let keys = std::fs::read(&instance["ANNALS_JWT_KEY_FILE"]).map_err(|error| error.to_string())?;
    let keys = SigningKeys::read(&keys).map_err(|error| error.to_string())?;
    let summary = demo::load(&instance["ANNALS_URL"], keys).await.map_err(|error| error.to_string())?;
    println!("{summary}");
    Ok(())
}
