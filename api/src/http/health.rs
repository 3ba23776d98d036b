//! Health checks: whether the process lives, whether it can serve, and its parts.

use actix_web::HttpResponse;
use serde_json::json;

use super::Api;
use crate::vitals::{Part, Status, worst};

/// The process lives.
pub(super) fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": Status::Up }))
}

/// Whether it can serve: 503 when a part is down, and when it is about to stop.
pub(super) async fn ready(api: &Api) -> HttpResponse {
    if api.overload.is_stopping() {
        return respond(Status::Down, None);
    }
    respond(worst(&api.vitals.parts().await), None)
}

/// All parts.
pub(super) async fn report(api: &Api) -> HttpResponse {
    let parts = api.vitals.parts().await;
    respond(worst(&parts), Some(parts))
}

fn respond(status: Status, parts: Option<Vec<Part>>) -> HttpResponse {
    let mut response =
        if status == Status::Down { HttpResponse::ServiceUnavailable() } else { HttpResponse::Ok() };
    let mut body = json!({ "status": status });
    if let Some(parts) = parts {
        body["parts"] = json!(parts);
    }
    response.json(body)
}
