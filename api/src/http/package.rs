//! Packages of somebody's data, handed out (GOV-P3). A package is made when it is fetched and kept nowhere; who fetches it for
//! somebody else is on record before the first byte leaves.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_DISPOSITION},
    web,
};
use commands::CommandError;
use domain::{
    ActorKind,
    governance::{PrivacyRequest, PrivacyRequestStatus},
};
use jiff::Timestamp;
use projections::{
    ProjectionError,
    governance::{Made, package_page},
};
use serde_json::json;

use super::{Api, Call, access, governance::problem, log, pairs::Pairs, query};
use crate::problem::{FORBIDDEN, GONE, INVALID_STATE, NOT_FOUND, Problem};

/// The package with the proofs that its events are in the log, and its seal.
///
/// # Errors
/// See [`fetched`]; and 503 until the log was signed up to its position.
pub(super) async fn json(api: &Api, call: &Call<'_>, pairs: Pairs) -> Result<HttpResponse, Problem> {
    let made = fetched(api, call, pairs).await?;
    let (directory, subject) = (api.log.clone(), made.package.subject);
    log::signed(api, made.package.position).await?;
    let package = log::blocking(move || made.prove(&directory)).await?;
    let certifier = Arc::clone(&api.certifier);
    let sealed = web::block(move || package.sealed(|statement| certifier.sign(statement))).await;
    let package = sealed.map_err(|error| query::failed(&error))?.map_err(CommandError::from)?;
    access::log_read(api, call, [subject]).await?;
    let name = format!("attachment; filename=\"package-{}.json\"", package.request);
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, name))
        .json(package))
}

/// The package as a page to print. It is sent as a file: pages of this server do not show in a browser.
///
/// # Errors
/// See [`fetched`].
pub(super) async fn page(api: &Api, call: &Call<'_>, pairs: Pairs) -> Result<HttpResponse, Problem> {
    let Made { package, .. } = fetched(api, call, pairs).await?;
    let (subject, request) = (package.subject, package.request);
    let page = web::block(move || package_page(&package)).await.map_err(|error| query::failed(&error))?;
    access::log_read(api, call, [subject]).await?;
    let name = format!("attachment; filename=\"package-{request}.html\"");
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, name))
        .content_type("text/html; charset=utf-8")
        .body(page))
}

/// The package, for the person or whoever handles requests.
///
/// # Errors
/// 403 for everybody else, 401 for whoever has not proven just now who they are, 404 where there is no such request or it is not
/// answered with a package, 409 before it is fulfilled and where it was denied or cancelled, 410 when its time is over (GOV-P3)
/// or none of the data can be read any more; where a part of it was erased, the package says so.
async fn fetched(api: &Api, call: &Call<'_>, pairs: Pairs) -> Result<Made, Problem> {
    pairs.done()?;
    let id = call.id("id")?;
    let actor = call.actor()?;
    let state = api.commands.state::<PrivacyRequest>(id).await?;
    let staff = actor.kind == ActorKind::User && actor.has("manage:privacy");
    if !state.exists() {
        return Err(Problem::new(NOT_FOUND, "there is no such request"));
    }
    let own = actor.is(state.state.subject);
    if !own && !staff {
        return Err(Problem::new(FORBIDDEN, "a package is for the person whom it is about"));
    }
    // It is all that there is of somebody in the clear: more than a login shows (IDN-S5), as in a replay that decrypts. Of the
    // person with a token of the operator's command line, who has no session to prove anything in, nothing is asked.
    if !own || call.ticket.as_ref().is_some_and(|ticket| ticket.session.is_some()) {
        call.elevated()?;
    }
    if !state.state.r#type.wants_package() {
        return Err(Problem::new(NOT_FOUND, "such a request is not answered with a package"));
    }
    let status: &str = state.state.status.into();
    let none = || {
        let detail = "there is no package, or none yet: the request was not fulfilled";
        Problem::new(INVALID_STATE, detail).with(json!({ "state": status, "command": "FetchPackage" }))
    };
    if state.state.status != PrivacyRequestStatus::Completed {
        return Err(none());
    }
    let request = api.projections.package_request(id).await.map_err(problem)?.ok_or_else(none)?;
    let (Some((recorded, _)), Some(until)) = (&request.attached, request.valid_until()) else {
        return Err(none());
    };
    if Timestamp::now() > until {
        return Err(Problem::new(GONE, "the package could be fetched for seven days"));
    }
    let made = api.projections.package(&request).await.map_err(problem)?;
    if made.package.manifest_sha256 != *recorded {
        let reason = "the events of a package are not those of which it was made".to_owned();
        return Err(query::failed(&ProjectionError::WrongState(reason)));
    }
    if made.erased {
        return Err(Problem::new(GONE, "the data was erased; there is nothing left to hand out"));
    }
    Ok(made)
}
