//! Logs: JSON lines for machines or text for people. No line holds a body, the value of a query parameter or any other
//! personal value.

use std::{io::Write, panic};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, fmt, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::config::{Config, LogFormat};

/// Starts logging to standard error, so that what a command prints stays what it is. A second call changes nothing.
///
/// # Errors
/// A filter that cannot be understood.
pub fn start(config: &Config) -> Result<(), String> {
    let filter = filter(&config.log).map_err(|error| format!("ANNALS_LOG (log): {error}"))?;
    // Below that it tells each try to connect, and then with which password.
    let filter = filter.add_directive("async_nats=warn".parse().map_err(|error| format!("{error}"))?);
    let registry = tracing_subscriber::registry().with(filter);
    // Somebody who embeds this may log already.
    let _ = match config.log_format {
        LogFormat::Json => registry.with(json_lines(std::io::stderr)).try_init(),
        LogFormat::Text => registry.with(text_lines()).try_init(),
    };
    panic::set_hook(Box::new(report));
    Ok(())
}

/// Where nobody listens any more, as after the terminal was closed, there is nobody to tell of that.
fn text_lines<S: Subscriber + for<'span> LookupSpan<'span>>() -> impl Layer<S> {
    fmt::layer().with_writer(std::io::stderr).log_internal_errors(false)
}

/// What is told while a request is answered has the id of its trace in `span`.
fn json_lines<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fmt::layer()
        .with_writer(writer)
        .log_internal_errors(false)
        .json()
        .flatten_event(true)
        .with_span_list(false)
}

/// Says on standard error why a command ends without having done its work: as a log line where machines read those, and
/// whatever is filtered.
pub fn last_words(format: LogFormat, reason: &str) {
    match format {
        LogFormat::Json => {
            let subscriber = tracing_subscriber::registry().with(json_lines(std::io::stderr));
            tracing::subscriber::with_default(subscriber, || tracing::error!("{reason}"));
        }
        // Nobody listens any more where the terminal was closed.
        LogFormat::Text => _ = writeln!(std::io::stderr(), "annals: {reason}"),
    }
}

/// A word alone is a level: taken for the name of a module, a mistyped one would silence everything.
fn filter(text: &str) -> Result<EnvFilter, String> {
    let is_word =
        |part: &&str| !part.is_empty() && part.chars().all(|character| character.is_ascii_alphanumeric());
    let is_level = |part: &&str| part.parse::<LevelFilter>().is_ok();
    if let Some(word) = text.split(',').map(str::trim).find(|part| is_word(part) && !is_level(part)) {
        return Err(format!("`{word}` is no level: expected error, warn, info, debug, trace or off"));
    }
    EnvFilter::try_new(text).map_err(|error| error.to_string())
}

/// Says where a panic was, and what it says only where that was written in the program: a formatted message may hold
/// anything.
fn report(info: &panic::PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("(a formatted message)");
    tracing::error!(%place, %message, "panic");
}

#[cfg(test)]
mod tests {
    use std::{
        io::Result,
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::http::Trace;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_told_while_a_request_is_answered_has_the_id_of_its_trace() {
        let (lines, trace) = (Lines::default(), Trace::of(&actix_web::http::header::HeaderMap::new()));
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry()
            .with(filter("info").unwrap())
            .with(json_lines(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            trace.span().in_scope(|| tracing::warn!(route = "/v1/orgs", "something is wrong"));
            tracing::error!("of no request");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&lines[0]["message"], &lines[0]["level"]),
            (&"something is wrong".into(), &"WARN".into())
        );
        assert_eq!(lines[0]["span"]["trace_id"], trace.id(), "{text}");
        assert!(lines[1]["span"].is_null(), "{text}");
    }

    #[test]
    fn a_level_that_there_is_not_is_refused_and_not_taken_for_a_module() {
        for fine in ["info", "WARN", "off", "info,api=debug", "[request]=trace"] {
            assert!(filter(fine).is_ok(), "{fine}");
        }
        for wrong in ["loud", "info,loud", "api=loud"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
