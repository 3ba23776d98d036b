//! What a replay shows as one document to hand over, with proofs that its events are in the log; that it was made is on
//! record, with its hash, before it leaves (GOV-A2, GOV-A3).

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_DISPOSITION},
};
use domain::governance::{AuditReplayCommand, REDISCLOSURE_NOTICE};
use event_store::integrity::Leaf;
use projections::readable;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Look, noting, record, told};
use crate::{
    http::{Api, Call, log, pairs::Pairs, query},
    problem::{INVALID_STATE, Problem},
};

/// The most events of one document.
pub const EXPORT_MAX: usize = 10_000;

/// The document.
///
/// # Errors
/// A replay that there is not, or that must not be read; 409 where its scope has no event or more than [`EXPORT_MAX`]; 503
/// until the log was signed up to its last event.
pub(in crate::http) async fn export(
    api: &Api,
    call: &Call<'_>,
    pairs: Pairs,
) -> Result<HttpResponse, Problem> {
    pairs.done()?;
    let look = Look::at(api, call, None).await?;
    let (entries, more) = look.entries(api, call, EXPORT_MAX).await?;
    let (Some(first), Some(last), false) = (entries.first(), entries.last(), more) else {
        let detail = format!("a document has 1 to {EXPORT_MAX} events; narrow the scope of the replay");
        let told = json!({ "state": "out_of_bounds", "command": "ExportAuditPackage" });
        return Err(Problem::new(INVALID_STATE, detail).with(told));
    };
    let recorded = look.recorded(api, &entries).await?;
    let leaves: Vec<Leaf> = recorded.iter().map(Leaf::of).collect();
    let directory = api.log.clone();
    log::signed(api, last.position).await?;
    let proofs = log::blocking(move || directory.prove_all(leaves)).await?;
    record(api, call, &look, recorded.iter()).await?;
    let events = readable::read(api.commands.store(), recorded, look.personal()).await;
    let events = events.map_err(|error| query::failed(&error))?;
    let events: Vec<Value> = entries.iter().zip(events).map(|(entry, event)| told(entry, event)).collect();
    let replay = &look.replay;
    let document = json!({
        "format": "annals-replay/v1",
        "replay": look.id,
        "purpose": replay.purpose,
        "scope": replay.scope,
        "decrypted": replay.decrypt,
        "position": look.until,
        "notice": REDISCLOSURE_NOTICE,
        "events": events,
        "proofs": proofs,
    });
    let text = document.to_string();
    let sha256 = format!("{:x}", Sha256::digest(text.as_bytes()));
    let package = AuditReplayCommand::ExportAuditPackage {
        document: Uuid::now_v7(),
        sha256: sha256.clone(),
        first: first.position,
        last: last.position,
    };
    noting(api, call, look.id, package).await?;
    let name = format!("attachment; filename=\"replay-{}.json\"", look.id);
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, name))
        .insert_header(("x-content-sha256", sha256))
        .content_type("application/json")
        .body(text))
}
