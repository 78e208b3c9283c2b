//! Every URL on one screen.

use crate::app::Ctx;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::get;

/// The whole HTTP surface.
pub fn router(app: Ctx) -> Router {
    Router::new()
        // Everybody
        .route("/up", get(up))
        .route("/ready", get(ready))
        .merge(crate::web::assets::router())
        // Each slice merges its edges' `routes() -> Router<Ctx>` here.
        .with_state(app)
}

/// 200 as long as the process serves; tells devices without a clock the time.
async fn up(State(app): State<Ctx>) -> (HeaderMap, &'static str) {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-timestamp"), HeaderValue::from(app.clock.unix()));
    (headers, "up\n")
}

/// 200 while the database answers.
async fn ready(State(app): State<Ctx>) -> (StatusCode, &'static str) {
    match app.store.ping().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::error!(%error, "the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n")
        }
    }
}
