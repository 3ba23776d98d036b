//! Logs: JSON lines for machines or text for people. No line holds a body, the value of a query parameter or any other
//! personal value.

use std::panic;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Config, LogFormat};

/// Starts logging to standard error, so that what a command prints stays what it is. A second call changes nothing.
///
/// # Errors
/// A filter that cannot be understood.
pub fn start(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| format!("ANNALS_LOG (log): {error}"))?;
    // Below that it tells with which password it connects.
    let filter = filter.add_directive("async_nats=info".parse().map_err(|error| format!("{error}"))?);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    // Somebody who embeds this may log already.
    let _ = match config.log_format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(lines).try_init(),
    };
    panic::set_hook(Box::new(report));
    Ok(())
}

/// Says where a panic was, and what it says only where that was written in the program: a formatted message may hold
/// anything.
fn report(info: &panic::PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("(a formatted message)");
    tracing::error!(%place, %message, "panic");
}
