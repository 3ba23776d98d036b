//! What this process answers from itself: health, the description of the API, the meaning of problems, the stream.

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web};

use commands::Catalog;
use projections::governance::package_schema;
use serde_json::Value;

use super::{Api, Call, Page, body::Body, coding::Document, health, stream};
use crate::{
    asyncapi,
    problem::{NOT_FOUND, Problem, pages},
};

/// What the pages of the documents may load: what this server has, and nothing that stands in the page itself.
const LOADS: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The documents that everybody may read, made once.
pub(super) struct Documents {
    openapi: Document,
    asyncapi: Document,
    page: Document,
    script: Document,
    style: Document,
}

impl Documents {
    /// The description of the API, and that of the events of these commands.
    pub(super) fn new(described: &Value, catalog: &Catalog) -> Self {
        let json = |document: &Value| Document::new("application/json", document.to_string());
        let page = Document::new("text/html; charset=utf-8", include_str!("docs/docs.html"));
        Documents {
            openapi: json(described),
            asyncapi: json(&asyncapi::document(catalog)),
            page: page.loading(LOADS),
            script: Document::new("text/javascript; charset=utf-8", include_str!("docs/docs.js")),
            style: Document::new("text/css; charset=utf-8", include_str!("docs/docs.css")),
        }
    }
}

/// Answers a page.
pub(super) async fn handle(
    api: &web::Data<Api>,
    call: &Call<'_>,
    page: Page,
    body: Body,
) -> Result<HttpResponse, Problem> {
    match page {
        Page::Live => Ok(health::live()),
        Page::Ready => Ok(health::ready(api).await),
        Page::Started => Ok(health::live()),
        Page::Health => Ok(health::report(api).await),
        Page::OpenApi => Ok(api.documents.openapi.answer(call.request)),
        Page::AsyncApi => Ok(api.documents.asyncapi.answer(call.request)),
        Page::Docs => Ok(api.documents.page.answer(call.request)),
        Page::DocsScript => Ok(api.documents.script.answer(call.request)),
        Page::DocsStyle => Ok(api.documents.style.answer(call.request)),
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
        Page::Stream => stream::events::handle(api, call).await,
        Page::Socket => stream::socket::handle(api, call, body).await,
    }
}
