//! `annals demo`: loads the bundled excerpt of real data into an instance, and starts one where none runs.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use clap::Args;
use nix::sys::signal::{Signal, raise};

use super::serve::serve;
use crate::{
    auth::SigningKeys,
    config::Config,
    demo,
    embedded::{is_private, running},
};

/// How the demonstration ends.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Keeps serving until Ctrl-C, instead of exiting after the summary.
    #[arg(long)]
    keep_serving: bool,
    /// Loads it also where the database is not the private one of the data folder.
    #[arg(long)]
    into_this_database: bool,
}

/// Why the excerpt does not go into just any log, and what to do.
const NOT_PRIVATE: &str = "this is a database of yours (ANNALS_DATABASE_URL), and its log would keep the people of the \
    demonstration for ever; without that setting a private database is started, and --into-this-database loads them into \
    yours all the same";

/// Loads the excerpt and prints what came of it.
pub(super) async fn demo(config: &Config, options: &Options) -> Result<(), String> {
    let instance = running(&config.data_dir);
    let database_url = match &instance {
        Some(instance) => instance.get("ANNALS_DATABASE_URL"),
        None => config.database_url.as_ref(),
    };
    if let Some(url) = database_url.filter(|url| !url.is_empty() && !options.into_this_database)
        && !is_private(&config.data_dir, url).map_err(|error| error.to_string())?
    {
        return Err(NOT_PRIVATE.into());
    }
    if let Some(instance) = instance {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_is_not_even_started_on_a_database_of_somebody_elses() {
        let data_dir = std::env::temp_dir().join(format!("annals-demo-{}", uuid::Uuid::now_v7()));
        // Nothing listens on port 1.
        let database_url = Some("postgres://annals@127.0.0.1:1/annals".to_owned());
        let config = Config { data_dir, database_url, ..Config::default() };
        let options = Options { keep_serving: false, into_this_database: false };
        let refused = demo(&config, &options).await.unwrap_err();
        assert!(refused.contains("--into-this-database"), "{refused}");
        assert!(!config.data_dir.exists());
    }
}
