//! The command line of `annals`.

mod demo;
mod events;
mod serve;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use commands::Catalog;

use crate::{
    config::{Config, LogFormat},
    http::routes,
    openapi,
    problem::pages,
    telemetry,
};

pub use events::document as events_document;

/// The record-keeping backend of a campus.
#[derive(Debug, Parser)]
#[command(name = "annals", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the API, with private servers where none are configured.
    #[command(after_long_help = Config::describe(), after_help = "`annals serve --help` lists all settings.")]
    Serve,
    /// Loads the bundled excerpt of real data into a running instance, or into one that it starts.
    Demo(demo::Options),
    /// Makes an access token for development; only for an instance with private servers.
    Token(token::Options),
    /// Prints the OpenAPI document.
    Openapi,
    /// Prints the event catalogue, docs/events.md.
    Events,
    /// Prints the table of errors, docs/errors.md.
    Errors,
    /// Prints where personal data is, docs/data-map.md.
    DataMap,
    /// Prints the schema of packages of somebody's data, docs/package.schema.json.
    PackageSchema,
}

/// Runs the command line of this process. Its runtime is made here and not in the binary, which would otherwise be compiled
/// with a copy of all that is asynchronous.
#[tokio::main]
pub async fn run() -> ExitCode {
    crate::choose_cryptography();
    let Cli { command } = Cli::parse();
    // What the others have to say is for whoever typed them.
    let logs = matches!(command, Command::Serve | Command::Demo(_));
    match execute(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            telemetry::last_words(if logs { LogFormat::asked() } else { LogFormat::Text }, &reason);
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command) -> Result<(), String> {
    let text = match command {
        Command::Serve => {
            let config = configured()?;
            telemetry::start(&config)?;
            Config::warn_of_unknown_variables();
            config.warn_of_unnamed_header();
            return serve::serve(&config).await.map_err(|error| error.to_string());
        }
        Command::Demo(options) => {
            let config = configured()?;
            telemetry::start(&config)?;
            Config::warn_of_unknown_variables();
            return demo::demo(&config, &options).await;
        }
        Command::Token(options) => {
            let config = configured()?;
            let defined = token::defined_roles(&config).await;
            token::mint(&config, &options, defined.as_ref())? + "\n"
        }
        Command::Openapi => {
            let catalog = Catalog::new();
            let document = openapi::document(&catalog, projections::read_models(), &routes(&catalog));
            serde_json::to_string_pretty(&document).map_err(|error| error.to_string())? + "\n"
        }
        Command::Events => events::document(&Catalog::new()),
        Command::Errors => pages::document(&Catalog::new()),
        Command::DataMap => projections::governance::data_map(projections::read_models()).to_markdown(),
        Command::PackageSchema => {
            let schema = projections::governance::package_schema();
            serde_json::to_string_pretty(&schema).map_err(|error| error.to_string())?
                + "
"
        }
    };
    print(&text)
}

fn configured() -> Result<Config, String> {
    Config::load().map_err(|error| error.to_string())
}

/// Whoever reads may have stopped reading: `annals openapi | head` is no error.
fn print(text: &str) -> Result<(), String> {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.to_string()),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_its_help_lists_every_setting() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        let serve = command.find_subcommand_mut("serve").unwrap();
        let help = serve.render_long_help().to_string();
        for setting in crate::config::SETTINGS {
            assert!(help.contains(&setting.variable()), "{}", setting.name);
        }
    }
}
