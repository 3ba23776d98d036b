//! `annals-replay`: looks at the log and at what was folded from it, and folds it again.
//!
//! It speaks to the database that `ANNALS_DATABASE_URL` names: `. data/annals.env; annals-replay status`.

mod verify;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};
use domain::Actor;
use event_store::{EventStore, KeyringConfig, MasterKey, StoreConfig, StoreError};
use projections::{ProjectionError, Projections};
use serde::Serialize;

/// Replays, rebuilds and checks what Annals recorded.
#[derive(Debug, Parser)]
#[command(name = "annals-replay", version, about, disable_help_subcommand = true)]
struct Cli {
    /// Answers as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says where the log and every read model stand.
    Status,
    /// Reads the whole log: positions without a gap, sequences without a gap, every event readable. Exits with 1 when not.
    Verify,
    /// Builds read models anew beside those that serve, and switches.
    Rebuild {
        /// The read models; all of them where none is named.
        models: Vec<String>,
    },
    /// One value for all rows of a read model: two rebuilds of one log have the same.
    Checksum {
        /// The read model.
        model: String,
    },
    /// Lets a parked read model try its event again.
    Retry {
        /// The read model.
        model: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Lets a parked read model leave its event out, for good.
    Skip {
        /// The read model.
        model: String,
        /// The event.
        position: u64,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Drops the generations of a read model that another one has replaced.
    Drop {
        /// The read model.
        model: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("set ANNALS_DATABASE_URL (`. data/annals.env`)")]
    NoDatabase,
    #[error(
        "the master key is missing or no key: set ANNALS_MASTER_KEY_FILE or ANNALS_MASTER_KEY (`. data/annals.env`)"
    )]
    NoKey,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("annals-replay: {error}");
            ExitCode::from(2)
        }
    }
}

/// Answers whether all is well.
async fn run(cli: Cli) -> Result<bool, Failure> {
    let url = std::env::var("ANNALS_DATABASE_URL").map_err(|_| Failure::NoDatabase)?;
    let store = EventStore::open(StoreConfig::new(&url, KeyringConfig::new(master_key()?))).await?;
    let projections = Projections::new(store.clone(), projections::Config::new(&url))?;
    // Whoever has a shell on the server is an operator; the name in the records is the account of that shell.
    let actor = Actor::scheduler(&std::env::var("USER").unwrap_or_else(|_| "annals-replay".into()));
    let mut well = true;
    match cli.command {
        Command::Status => {
            let (head, models) = (store.head().await?, projections.status().await?);
            let answer = serde_json::json!({ "position": head.position, "incarnation": head.incarnation.to_string(), "read_models": models });
            show(cli.json, &answer, || {
                let lines = models.iter().map(|model| {
                    let serves = if model.serving { "serves" } else { "" };
                    format!(
                        "{:28} g{} v{} {:?} {} {serves} {}",
                        model.name,
                        model.generation,
                        model.version,
                        model.state,
                        model.position,
                        model.reason.as_deref().unwrap_or_default()
                    )
                });
                format!("log at position {}\n{}", head.position, lines.collect::<Vec<_>>().join("\n"))
            })?;
        }
        Command::Verify => {
            let report = verify::verify(&store).await?;
            well = report.problems.is_empty();
            show(cli.json, &report, || report.to_string())?;
        }
        Command::Rebuild { models } => {
            let names: Vec<&str> = models.iter().map(String::as_str).collect();
            let rebuilt = if names.is_empty() {
                projections.rebuild_all().await?
            } else {
                projections.rebuild(&names).await?
            };
            well = rebuilt.iter().all(|one| one.parked.is_none());
            let lines: Vec<String> = rebuilt
                .iter()
                .map(|one| {
                    let parked =
                        one.parked.map(|position| format!(", parked before {position}")).unwrap_or_default();
                    format!(
                        "{:28} generation {}: {} events, {} rows in {:.1?}{parked}",
                        one.name, one.generation, one.events, one.rows, one.took
                    )
                })
                .collect();
            show(cli.json, &lines, || lines.join("\n"))?;
        }
        Command::Checksum { model } => {
            let sum = projections.checksum(&model).await?;
            show(cli.json, &sum, || format!("{} {} rows", sum.digest, sum.rows))?;
        }
        Command::Retry { model, reason } => projections.retry(&model, &actor, &reason).await?,
        Command::Skip { model, position, reason } => {
            projections.skip(&model, position, &actor, &reason).await?
        }
        Command::Drop { model, reason } => {
            let dropped = projections.drop_retired(&model, &actor, &reason).await?;
            show(cli.json, &dropped, || format!("dropped {dropped}"))?;
        }
    }
    store.shutdown().await;
    Ok(well)
}

fn master_key() -> Result<MasterKey, Failure> {
    if let Ok(key) = std::env::var("ANNALS_MASTER_KEY") {
        return key.trim().parse().map_err(|_| Failure::NoKey);
    }
    let file = std::env::var_os("ANNALS_MASTER_KEY_FILE").ok_or(Failure::NoKey)?;
    Ok(MasterKey::from_file(file.as_ref())?)
}

fn show(json: bool, answer: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    let text =
        if json { serde_json::to_string_pretty(answer).map_err(std::io::Error::from)? } else { text() };
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
