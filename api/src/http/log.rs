//! The tamper-evident log as strangers see it: the signed checkpoint, the tiles and the key are public, for they hold
//! hashes only. A proof of one event shows whose stream it is in, and asks for the scope of the audit trail.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, HeaderValue},
    web,
};
use event_store::{
    Position,
    integrity::{DirectoryError, Hash, Leaf, Proof, Tile},
};
use projections::Envelope;
use schemars::JsonSchema;
use serde::Serialize;

use tokio::time::{Instant, sleep};

use super::{
    Api, Call, access,
    pairs::{Pairs, number},
    query,
    route::Log,
};
use crate::problem::{NOT_FOUND, Problem, UNAVAILABLE};

/// What a checkpoint and the key are.
const TEXT: &str = "text/plain; charset=utf-8";
/// A tile of a path never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// What changes with every signature.
const FRESH: &str = "public, no-cache";

/// How long whoever asks for a proof waits for the notary, which signs once a second, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

/// That one tree begins with another one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Consistency {
    /// How many leaves the older tree has.
    pub from: u64,
    /// How many leaves the newer tree has.
    pub to: u64,
    /// The proof, from below (RFC 6962, section 2.1.2).
    pub hashes: Vec<Hash>,
    /// The newest signed note.
    pub checkpoint: String,
}

/// Answers.
///
/// # Errors
/// Where there is no such tile or position, or it has not been signed yet.
pub(super) async fn handle(api: &Api, call: &Call<'_>, route: Log) -> Result<HttpResponse, Problem> {
    let mut pairs = Pairs::of(call.request)?;
    let directory = api.log.clone();
    match route {
        Log::Checkpoint => {
            pairs.done()?;
            let note = blocking(move || Ok(directory.signed()?.1)).await?;
            Ok(document(TEXT, FRESH, note))
        }
        Log::Key => {
            pairs.done()?;
            Ok(document(TEXT, FRESH, format!("{}\n", directory.verifier())))
        }
        Log::Tile => {
            pairs.done()?;
            let missing = |_| Problem::new(NOT_FOUND, "there is no such tile");
            let path = call.request.path().trim_start_matches("/v1/log/");
            let tile: Tile = path.parse().map_err(missing)?;
            let bytes = blocking(move || match directory.bytes(tile) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                read => Ok(Some(read?)),
            });
            let bytes = bytes.await?.ok_or("").map_err(missing)?;
            Ok(document("application/octet-stream", FOR_EVER, bytes))
        }
        Log::Proof => {
            pairs.done()?;
            let position = number(call.parameter("position")).filter(|position| *position > 0);
            let position = position.ok_or_else(|| Problem::parameter("position", "expected a position"))?;
            let found = api.commands.store().read_all(position - 1, 1).await;
            let event = found.map_err(|error| query::failed(&error))?.pop();
            let event = event.ok_or_else(|| Problem::new(NOT_FOUND, "the log has no such position"))?;
            signed(api, position).await?;
            // It says of which stream the event is, and that is often a person's.
            access::log_read(api, call, Envelope::read(&event.metadata, event.recorded_at).subjects).await?;
            let proof: Proof = blocking(move || directory.prove(Leaf::of(&event))).await?;
            Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(proof))
        }
        Log::Consistency => {
            let from = pairs.number("from")?;
            let from = from.ok_or_else(|| Problem::parameter("from", "it is needed: a size"))?;
            let to = pairs.number("to")?;
            pairs.done()?;
            let signed = directory.clone();
            let (checkpoint, note) = blocking(move || signed.signed()).await?;
            let to = to.unwrap_or(checkpoint.size);
            if from > checkpoint.size {
                return Err(Problem::new(NOT_FOUND, "no tree of this size has been signed yet").at("from"));
            }
            if to < from {
                return Err(Problem::parameter("to", "it is before `from`"));
            }
            let hashes = blocking(move || directory.consistency(from, to)).await?;
            let consistency = Consistency { from, to, hashes, checkpoint: note };
            Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, FRESH)).json(consistency))
        }
    }
}

fn document(media_type: &str, caching: &'static str, body: impl Into<web::Bytes>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, HeaderValue::from_static(caching)))
        .content_type(media_type)
        .body(body.into())
}

/// Waits until the log is signed up to a position that it has. A notary of another node may be the one that signs: what is
/// looked at is the directory.
///
/// # Errors
/// 503 where that does not come to pass in time.
pub(super) async fn signed(api: &Api, position: Position) -> Result<(), Problem> {
    let asked = Instant::now();
    loop {
        let directory = api.log.clone();
        let size = blocking(move || match directory.signed() {
            Ok((checkpoint, _)) => Ok(checkpoint.size),
            Err(DirectoryError::Unsigned) => Ok(0),
            Err(error) => Err(error),
        });
        match size.await? {
            size if size >= position => return Ok(()),
            size if asked.elapsed() >= PATIENCE => {
                let detail = format!("the log is signed up to position {size} and not yet up to {position}");
                return Err(Problem::new(UNAVAILABLE, detail).retry_after(1));
            }
            _ => sleep(LOOK).await,
        }
    }
}

/// Reads files, away from the threads that answer.
pub(super) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, DirectoryError> + Send + 'static,
) -> Result<T, Problem> {
    match web::block(read).await {
        Ok(read) => read.map_err(problem),
        Err(error) => Err(query::failed(&error)),
    }
}

fn problem(error: DirectoryError) -> Problem {
    let detail = error.to_string();
    match error {
        DirectoryError::Unsigned => Problem::new(UNAVAILABLE, detail).retry_after(1),
        // It soon will be, if the log has it.
        DirectoryError::NotYet { .. } => Problem::new(NOT_FOUND, detail),
        DirectoryError::Disk(_) | DirectoryError::Note(_) | DirectoryError::Disagrees { .. } => {
            query::failed(&error)
        }
    }
}
