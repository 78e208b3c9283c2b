//! The two listeners beside the main one: plain HTTP that leads to HTTPS, and the metrics.

use crate::app::Ctx;
use crate::{metrics, routes};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

/// `/up` and a redirect, nothing else: no credential may ever travel here.
pub(super) fn redirecting(app: Ctx) -> Router {
    Router::new().route("/up", get(routes::up)).fallback(to_https).with_state(app)
}

/// The target is always the configured URL: `Host` is whatever a stranger writes.
async fn to_https(State(app): State<Ctx>, uri: Uri) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, app.config.url(path))]).into_response()
}

/// `/metrics`.
pub(super) fn metrics(app: Ctx) -> Router {
    Router::new().route("/metrics", get(text)).with_state(app)
}

async fn text(State(app): State<Ctx>) -> Response {
    let text = metrics::render(&app).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// The main listener's answers.
pub(super) fn main(app: &Ctx) -> Router {
    routes::router(Arc::clone(app))
}
