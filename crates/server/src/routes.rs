//! Every URL on one screen.
//!
//! Each route accepts exactly one kind of credential and ignores the others. Which one follows from
//! the path alone ([`credential_of`]), so that no route can quietly take another. [`TABLE`] lists every
//! route for the test that walks them; a route that is missing there fails it.

use crate::app::Ctx;
use crate::{link, live, middleware, web};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::get;
use std::sync::Arc;

/// The whole HTTP surface.
pub fn router(app: Ctx) -> Router {
    let routes: Router<Ctx> = Router::new()
        // Everybody
        .route("/up", get(up))
        .route("/ready", get(ready))
        .merge(web::assets::router())
        // Devices: their token
        .route("/events", get(link::body::events))
        // People: the session cookie
        .route("/live", get(live::live));
    // Each slice merges its edges' `routes() -> Router<Ctx>` above.
    #[cfg(debug_assertions)]
    let routes = routes.merge(web::styleguide::router());
    let routes = routes
        .method_not_allowed_fallback(web::errors::method_not_allowed)
        .fallback(web::errors::not_found)
        .with_state(Arc::clone(&app));
    middleware::around(routes, &app)
}

/// What proves the caller of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// `Authorization: Bearer rpdev_…`, or nothing while a device links itself.
    Device,
    /// `Authorization: Bearer rporg_…`.
    ApiToken,
    /// The session cookie, or nothing on the pages before it.
    Cookie,
}

/// The one kind of credential that a path accepts.
pub fn credential_of(path: &str) -> Credential {
    let below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if ["/client", "/me", "/events", "/deployments"].into_iter().any(below) {
        Credential::Device
    } else if below("/organisation") {
        Credential::ApiToken
    } else {
        Credential::Cookie
    }
}

/// 200 as long as the process serves; tells devices without a clock the time.
pub async fn up(State(app): State<Ctx>) -> (HeaderMap, &'static str) {
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

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Anybody, without proof.
    Anybody,
    /// Only with the path's [`Credential`].
    Proved,
}

/// Every route: method, path (braces stand for one segment), who may use it.
pub const TABLE: &[(&str, &str, Caller)] = &[
    ("GET", "/up", Caller::Anybody),
    ("GET", "/ready", Caller::Anybody),
    ("GET", "/events", Caller::Proved),
    ("GET", "/live", Caller::Proved),
];
