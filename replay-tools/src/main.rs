//! `annals-replay`: looks at the log and at what was folded from it, and folds it again.
//!
//! It speaks to the database that `ANNALS_DATABASE_URL` names: `. data/annals.env; annals-replay status`. One file per
//! command. Exit codes: 0 all is well, 1 a disagreement was found, 2 it could not be done, 129, 130 and 143 it was
//! interrupted by SIGHUP (a closed terminal), SIGINT (Ctrl-C) and SIGTERM.

mod annals;
mod as_of;
mod backup;
mod certificate;
mod checksum;
mod data_map;
mod diff;
mod explain;
mod export;
mod failure;
mod import;
mod interventions;
mod opening;
mod progress;
mod prove;
mod rebuild;
mod rotate;
mod scrub;
mod status;
mod subject;
#[cfg(test)]
mod testing;
mod verify;
mod workers;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};
use nix::sys::stat::{Mode, umask};

use annals::Annals;
use failure::Failure;
use projections::readable as event;

/// To read the log takes some allocations for each event, on all threads: the system's allocator is slower at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What scripts can rely on.
const EXIT_CODES: &str = "Exit codes: 0 all is well, 1 a disagreement was found, 2 it could not be done, \
129, 130 and 143 it was interrupted.";

/// Replays, rebuilds and checks what Annals recorded.
#[derive(Debug, Parser)]
#[command(name = "annals-replay", version, about, disable_help_subcommand = true, after_help = EXIT_CODES)]
struct Cli {
    /// Answers as JSON, and says what went wrong as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says where the log and every read model stand.
    Status,
    Verify(verify::Verify),
    Prove(prove::Prove),
    CheckProof(prove::CheckProof),
    CheckCertificate(certificate::CheckCertificate),
    Explain(explain::Explain),
    Subject(subject::Subject),
    Diff(diff::Diff),
    Export(export::Export),
    Import(import::Import),
    AsOf(as_of::AsOf),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Rebuild(rebuild::Rebuild),
    Rollback(rebuild::Rollback),
    RotateKeys(rotate::RotateKeys),
    ScrubKeys(scrub::ScrubKeys),
    Checksum(checksum::Checksum),
    DataMap(data_map::DataMap),
    Retry(interventions::Retry),
    Skip(interventions::Skip),
    Drop(interventions::Drop),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    let json = cli.json;
    // What is written here holds the records of people, and often their values in the clear: it is its writer's alone.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let interrupted = interrupted();
    let done = tokio::select! {
        done = run(cli) => done,
        signal = interrupted => {
            // What was under way has been dropped: programs that it ran are killed, files that it began are removed. Threads
            // that still fold are not waited for; the server takes back what their transactions did.
            complain(json, "interrupted; it can be run again");
            std::process::exit(128 + signal);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // As a program that is ended by SIGPIPE.
        Err(error) if error.is_enough() => ExitCode::from(141),
        Err(error) => {
            complain(json, &error.to_string());
            ExitCode::from(2)
        }
    }
}

/// What cannot be made of the arguments. To ask for help or the version is no mistake.
fn not_understood(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if !json || !error.use_stderr() {
        error.exit();
    }
    let text = error.render().to_string();
    complain(json, text.strip_prefix("error: ").unwrap_or(&text).trim_end());
    ExitCode::from(2)
}

/// Says on the error output why there is no answer: with --json as an object in one line.
fn complain(json: bool, why: &str) {
    let text = match json {
        true => serde_json::json!({ "error": why }).to_string(),
        false => format!("annals-replay: {why}"),
    };
    // Where nobody listens there is nobody to tell.
    _ = writeln!(std::io::stderr(), "{text}");
}

/// Listens for SIGHUP, SIGINT and SIGTERM from the call on, before anything is under way, and says which it was once awaited.
fn interrupted() -> impl Future<Output = i32> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).expect("signals can be listened for");
    // Who was told to outlive the terminal (`nohup`) does.
    let mut hup = (!outlives_terminal()).then(|| listen(SignalKind::hangup()));
    let (mut int, mut term) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate()));
    async move {
        tokio::select! {
            () = async {
                match &mut hup {
                    Some(hup) => _ = hup.recv().await,
                    None => std::future::pending().await,
                }
            } => SignalKind::hangup().as_raw_value(),
            _ = int.recv() => SignalKind::interrupt().as_raw_value(),
            _ = term.recv() => SignalKind::terminate().as_raw_value(),
        }
    }
}

/// Whether this process was started with SIGHUP ignored, as `nohup` does it. Where the system does not tell, it was not.
fn outlives_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Answers whether all is well.
async fn run(cli: Cli) -> Result<bool, Failure> {
    // Opening a log makes one where there is none.
    if let Command::Restore(restore) = &cli.command {
        return restore.run(cli.json).await;
    }
    // This one needs no log.
    if let Command::CheckProof(check) = &cli.command {
        return check.run(cli.json);
    }
    if let Command::CheckCertificate(check) = &cli.command {
        return check.run(cli.json);
    }
    let annals = Annals::open(cli.json, matches!(cli.command, Command::Import(_))).await?;
    let well = match &cli.command {
        Command::Status => status::run(&annals).await,
        Command::Verify(verify) => verify.run(&annals).await,
        Command::Prove(prove) => prove.run(&annals).await,
        Command::CheckProof(check) => check.run(annals.json),
        Command::CheckCertificate(check) => check.run(annals.json),
        Command::Explain(explain) => explain.run(&annals).await,
        Command::Subject(subject) => subject.run(&annals).await,
        Command::Diff(diff) => diff.run(&annals).await,
        Command::Export(export) => export.run(&annals).await,
        Command::Import(import) => import.run(&annals).await,
        Command::Backup(backup) => backup.run(&annals).await,
        Command::Restore(restore) => restore.run(cli.json).await,
        Command::AsOf(as_of) => as_of.run(&annals).await,
        Command::Rebuild(rebuild) => rebuild.run(&annals).await,
        Command::Rollback(rollback) => rollback.run(&annals).await,
        Command::RotateKeys(rotate) => rotate.run(&annals).await,
        Command::ScrubKeys(scrub) => scrub.run(&annals).await,
        Command::Checksum(checksum) => checksum.run(&annals).await,
        Command::DataMap(map) => map.run(&annals).await,
        Command::Retry(retry) => retry.run(&annals).await,
        Command::Skip(skip) => skip.run(&annals).await,
        Command::Drop(drop) => drop.run(&annals).await,
    };
    annals.store.shutdown().await;
    well
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser, error::ErrorKind};

    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_are_opened_for_a_purpose_and_a_reason_only() {
        let subject = ["annals-replay", "subject", "00000000-0000-0000-0000-000000000001", "--decrypt"];
        let with = |more: &[&str]| Cli::try_parse_from(subject.iter().chain(more)).is_ok();
        assert!(!with(&[]) && !with(&["--purpose", "ferpa"]) && !with(&["--reason", "She asked."]));
        let why = ["--purpose", "ferpa", "--reason", "She asked."];
        assert!(!with(&why), "GOV-A1: a second officer must have approved it");
        let replay = ["--replay", "00000000-0000-0000-0000-000000000002"];
        assert!(with(&[&why[..], &replay].concat()) && !with(&replay));
    }

    #[test]
    fn a_number_of_which_there_must_be_one_is_not_0_and_workers_are_not_without_number() {
        for refused in [
            &["rebuild", "--workers", "0"][..],
            &["verify", "--workers", "0"],
            &["rebuild", "--workers", "65"],
            &["verify", "--workers", "99999999"],
            &["explain", "1", "--limit", "0"],
        ] {
            let error = Cli::try_parse_from([&["annals-replay"][..], refused].concat()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValueValidation, "{refused:?}");
        }
    }

    #[test]
    fn an_import_has_one_source() {
        let with =
            |more: &[&str]| Cli::try_parse_from(["annals-replay", "import"].iter().chain(more)).is_ok();
        assert!(!with(&[]) && !with(&["--file", "a", "--from-database", "b"]));
        assert!(with(&["--file", "a"]) && with(&["--from-database", "b"]));
    }
}
