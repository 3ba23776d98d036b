//! The listeners: the API's own, and the one that only Prometheus should reach.

use std::{net::TcpListener, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, dev::Server, http::header::CONTENT_TYPE, web};

use super::{Api, dispatch};
use crate::metrics;

/// How long the last answers may take to be sent when the server stops; all requests are answered by then.
const GRACE_S: u64 = 2;

/// Puts the routes into an actix application: all of them behind one door.
pub fn configure(config: &mut web::ServiceConfig) {
    config.default_service(web::to(dispatch));
}

/// The API. It stops when it is told to by its handle; signals are the wiring's.
///
/// # Errors
/// The listener cannot be used.
pub fn server(api: web::Data<Api>, listener: TcpListener) -> std::io::Result<Server> {
    let app = move || App::new().app_data(api.clone()).configure(configure);
    let server = HttpServer::new(app)
        .keep_alive(Duration::from_secs(75))
        .client_request_timeout(Duration::from_secs(10))
        .shutdown_timeout(GRACE_S)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

/// Metrics, brought up to date before each scrape.
///
/// # Errors
/// The listener cannot be used.
pub fn metrics_server(api: web::Data<Api>, listener: TcpListener) -> std::io::Result<Server> {
    async fn scrape(api: web::Data<Api>) -> HttpResponse {
        api.measure();
        HttpResponse::Ok().insert_header((CONTENT_TYPE, metrics::MEDIA_TYPE)).body(api.metrics.render())
    }
    let app = move || App::new().app_data(api.clone()).route("/metrics", web::get().to(scrape));
    let server = HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(1).listen(listener)?;
    Ok(server.run())
}
