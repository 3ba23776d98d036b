//! What this process answers from itself: health, the description of the API, the meaning of problems, the stream.

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web};

use projections::governance::package_schema;

use super::{Api, Call, Page, health, stream};
use crate::problem::{NOT_FOUND, Problem, pages};

/// Answers a page.
pub(super) async fn handle(
    api: &web::Data<Api>,
    call: &Call<'_>,
    page: Page,
) -> Result<HttpResponse, Problem> {
    match page {
        Page::Live => Ok(health::live()),
        Page::Ready => Ok(health::ready(api).await),
        Page::Started => Ok(health::live()),
        Page::Health => Ok(health::report(api).await),
        Page::OpenApi => Ok(HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "public, max-age=300"))
            .content_type("application/json")
            .body(api.document.clone())),
        Page::PackageSchema => Ok(HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "public, max-age=3600"))
            .content_type("application/schema+json")
            .body(package_schema().to_string())),
        Page::ProblemDoc => {
            let text = pages::page(&api.catalog, call.parameter("code"));
            let text = text.ok_or_else(|| Problem::new(NOT_FOUND, "there is no such kind of problem"))?;
            Ok(HttpResponse::Ok()
                .insert_header((CACHE_CONTROL, "public, max-age=3600"))
                .content_type("text/plain; charset=utf-8")
                .body(text))
        }
        Page::Stream => stream::handle(api, call),
    }
}
