//! Every URL on one screen.
//!
//! Each route accepts exactly one kind of credential and ignores the others. Which one follows from
//! the path alone ([`credential_of`]), so that no route can quietly take another. [`TABLE`] lists every
//! route for the test that walks them; a route that is missing there fails it.

use crate::app::Ctx;
use crate::{
    accounts, artefacts, audit, deployments, devices, link, linking, live, management, middleware,
    organisations, sessions, web,
};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use std::sync::Arc;

/// The whole HTTP surface.
#[expect(clippy::needless_pass_by_value, reason = "every layer keeps a share of it")]
pub fn router(app: Ctx) -> Router {
    let routes: Router<Ctx> = Router::new()
        // Everybody
        .route("/up", get(up))
        .route("/ready", get(ready))
        .merge(web::assets::router())
        // Devices: their token
        .route("/events", get(link::body::events))
        // People: the session cookie
        .route("/live", get(live::live))
        .merge(accounts::pages::routes())
        .merge(organisations::routes())
        .merge(audit::pages::routes())
        // Both, each path one of them
        .merge(linking::routes())
        .merge(management::openapi::routes())
        .merge(artefacts::routes())
        .merge(deployments::routes())
        .merge(devices::routes())
        .merge(sessions::routes());
    // Each slice merges its edges' `routes() -> Router<Ctx>` above.
    #[cfg(debug_assertions)]
    let routes = routes.merge(web::styleguide::router());
    let routes = routes
        .method_not_allowed_fallback(web::errors::method_not_allowed)
        .fallback(web::errors::not_found)
        // Programs are proved and counted before anything below their path answers.
        .layer(from_fn_with_state(Arc::clone(&app), management::guard::guard))
        // A form whose handler asks for a fresh sign-in is kept and goes on after it.
        .layer(from_fn_with_state(Arc::clone(&app), accounts::pages::fresh::keep_form))
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
    ("GET", "/sign-in", Caller::Anybody),
    ("POST", "/sign-in", Caller::Anybody),
    ("GET", "/sign-in/second-step", Caller::Anybody),
    ("POST", "/sign-in/second-step", Caller::Anybody),
    ("POST", "/sign-in/provider/{provider}", Caller::Anybody),
    ("GET", "/sign-in/provider/{provider}/callback", Caller::Anybody),
    ("POST", "/sign-in/passkey", Caller::Anybody),
    ("POST", "/sign-in/passkey/question", Caller::Anybody),
    ("POST", "/sign-in/second-step/question", Caller::Anybody),
    ("POST", "/sign-out", Caller::Proved),
    ("POST", "/sign-out-everywhere", Caller::Proved),
    ("GET", "/sign-up", Caller::Anybody),
    ("POST", "/sign-up", Caller::Anybody),
    ("GET", "/sign-up/check-your-mail", Caller::Anybody),
    ("GET", "/verify-email", Caller::Proved),
    ("POST", "/verify-email/resend", Caller::Proved),
    ("GET", "/verify-email/{token}", Caller::Anybody),
    ("POST", "/verify-email/{token}", Caller::Anybody),
    ("GET", "/forgotten-password", Caller::Anybody),
    ("POST", "/forgotten-password", Caller::Anybody),
    ("GET", "/forgotten-password/check-your-mail", Caller::Anybody),
    ("GET", "/reset-password/{token}", Caller::Anybody),
    ("POST", "/reset-password/{token}", Caller::Anybody),
    ("GET", "/fresh", Caller::Proved),
    ("POST", "/fresh", Caller::Proved),
    ("POST", "/fresh/question", Caller::Proved),
    ("POST", "/fresh/provider/{provider}", Caller::Proved),
    ("POST", "/settings/account/providers/{provider}/link", Caller::Proved),
    ("POST", "/settings/account/providers/unlink", Caller::Proved),
    ("GET", "/settings/account/link-provider/{token}", Caller::Proved),
    ("POST", "/settings/account/link-provider/{token}", Caller::Proved),
    ("GET", "/settings/account", Caller::Proved),
    ("GET", "/settings/account/passkeys", Caller::Proved),
    ("POST", "/settings/account/passkeys", Caller::Proved),
    ("POST", "/settings/account/passkeys/question", Caller::Proved),
    ("POST", "/settings/account/passkeys/{id}/name", Caller::Proved),
    ("GET", "/settings/account/passkeys/{id}/remove", Caller::Proved),
    ("POST", "/settings/account/passkeys/{id}/remove", Caller::Proved),
    ("POST", "/settings/account/name", Caller::Proved),
    ("POST", "/settings/account/export", Caller::Proved),
    ("GET", "/settings/account/email", Caller::Proved),
    ("POST", "/settings/account/email", Caller::Proved),
    ("GET", "/settings/account/email/{token}", Caller::Proved),
    ("POST", "/settings/account/email/{token}", Caller::Proved),
    ("GET", "/settings/account/delete", Caller::Proved),
    ("POST", "/settings/account/delete", Caller::Proved),
    ("GET", "/account-deleted", Caller::Anybody),
    ("GET", "/settings/account/password", Caller::Proved),
    ("POST", "/settings/account/password", Caller::Proved),
    ("GET", "/settings/account/two-factor", Caller::Proved),
    ("POST", "/settings/account/two-factor", Caller::Proved),
    ("POST", "/settings/account/two-factor/recovery-codes", Caller::Proved),
    ("GET", "/settings/account/two-factor/turn-off", Caller::Proved),
    ("POST", "/settings/account/two-factor/turn-off", Caller::Proved),
    ("POST", "/settings/account/sessions/end-others", Caller::Proved),
    ("POST", "/settings/account/sessions/{id}/end", Caller::Proved),
    ("GET", "/organisations/new", Caller::Proved),
    ("POST", "/organisations/new", Caller::Proved),
    ("GET", "/organisations/{organisation}", Caller::Proved),
    ("GET", "/organisations/{organisation}/provisioning", Caller::Proved),
    ("POST", "/organisations/{organisation}/auth-keys", Caller::Proved),
    ("GET", "/organisations/{organisation}/auth-keys/{id}/delete", Caller::Proved),
    ("POST", "/organisations/{organisation}/auth-keys/{id}/delete", Caller::Proved),
    ("POST", "/organisations/{organisation}/api-tokens", Caller::Proved),
    ("GET", "/organisations/{organisation}/api-tokens/{id}/revoke", Caller::Proved),
    ("POST", "/organisations/{organisation}/api-tokens/{id}/revoke", Caller::Proved),
    ("GET", "/organisations/{organisation}/device-identities/{id}/delete", Caller::Proved),
    ("POST", "/organisations/{organisation}/device-identities/{id}/delete", Caller::Proved),
    ("GET", "/organisations/{organisation}/transfer", Caller::Proved),
    ("POST", "/organisations/{organisation}/transfer", Caller::Proved),
    ("GET", "/devices/{id}/transfer", Caller::Proved),
    ("POST", "/devices/{id}/transfer", Caller::Proved),
    ("GET", "/organisations/{organisation}/users", Caller::Proved),
    ("POST", "/organisations/{organisation}/invitations", Caller::Proved),
    ("POST", "/organisations/{organisation}/invitations/{invitation}/resend", Caller::Proved),
    ("POST", "/organisations/{organisation}/invitations/{invitation}/revoke", Caller::Proved),
    ("GET", "/organisations/{organisation}/users/{user}/role", Caller::Proved),
    ("POST", "/organisations/{organisation}/users/{user}/role", Caller::Proved),
    ("GET", "/organisations/{organisation}/users/{user}/remove", Caller::Proved),
    ("POST", "/organisations/{organisation}/users/{user}/remove", Caller::Proved),
    ("GET", "/organisations/{organisation}/leave", Caller::Proved),
    ("POST", "/organisations/{organisation}/leave", Caller::Proved),
    ("GET", "/organisations/{organisation}/settings", Caller::Proved),
    ("POST", "/organisations/{organisation}/settings", Caller::Proved),
    ("POST", "/organisations/{organisation}/settings/two-factor", Caller::Proved),
    ("POST", "/organisations/{organisation}/settings/files", Caller::Proved),
    ("GET", "/organisations/{organisation}/delete", Caller::Proved),
    ("POST", "/organisations/{organisation}/delete", Caller::Proved),
    ("GET", "/invitations/{token}", Caller::Proved),
    ("POST", "/invitations/{token}", Caller::Proved),
    ("GET", "/organisation/openapi.json", Caller::Anybody),
    ("GET", "/organisation/docs", Caller::Anybody),
    ("GET", "/organisation/device-identities", Caller::Proved),
    ("POST", "/organisation/device-identities", Caller::Proved),
    ("GET", "/organisation/device-identities/{id}", Caller::Proved),
    ("PATCH", "/organisation/device-identities/{id}", Caller::Proved),
    ("DELETE", "/organisation/device-identities/{id}", Caller::Proved),
    ("GET", "/organisation/auth-keys", Caller::Proved),
    ("POST", "/organisation/auth-keys", Caller::Proved),
    ("GET", "/organisation/auth-keys/{id}", Caller::Proved),
    ("PATCH", "/organisation/auth-keys/{id}", Caller::Proved),
    ("DELETE", "/organisation/auth-keys/{id}", Caller::Proved),
    ("GET", "/organisation/devices", Caller::Proved),
    ("GET", "/organisation/devices/{id}", Caller::Proved),
    ("PATCH", "/organisation/devices/{id}", Caller::Proved),
    ("DELETE", "/organisation/devices/{id}", Caller::Proved),
    ("GET", "/organisation/devices/{id}/deployments", Caller::Proved),
    ("POST", "/organisation/devices/{id}/deployments", Caller::Proved),
    ("GET", "/organisation/deployments/{id}", Caller::Proved),
    ("PUT", "/organisation/deployments/{id}/cancel", Caller::Proved),
    ("GET", "/organisation/deployments/{id}/output", Caller::Proved),
    ("GET", "/organisation/artefacts", Caller::Proved),
    ("POST", "/organisation/artefacts", Caller::Proved),
    ("GET", "/organisation/artefacts/{id}", Caller::Proved),
    ("DELETE", "/organisation/artefacts/{id}", Caller::Proved),
    ("GET", "/setup/{token}", Caller::Anybody),
    ("POST", "/setup/{token}", Caller::Anybody),
    ("POST", "/client/device", Caller::Anybody),
    ("POST", "/client/token", Caller::Anybody),
    ("POST", "/client/auth-key-exchange", Caller::Anybody),
    ("POST", "/client/device-identity-exchange", Caller::Anybody),
    ("GET", "/me", Caller::Proved),
    ("POST", "/me", Caller::Proved),
    ("DELETE", "/me", Caller::Proved),
    ("GET", "/deployments/pending", Caller::Proved),
    ("POST", "/deployments/{id}/start", Caller::Proved),
    ("POST", "/deployments/{id}/complete", Caller::Proved),
    ("POST", "/deployments/{id}/fail", Caller::Proved),
    ("POST", "/deployments/{id}/progress", Caller::Proved),
    ("GET", "/.well-known/bramble", Caller::Anybody),
    ("GET", "/client/ice-servers", Caller::Proved),
    ("POST", "/client/sessions/sync", Caller::Proved),
    ("GET", "/client/sessions/{id}/offer", Caller::Proved),
    ("POST", "/client/sessions/{id}/answer", Caller::Proved),
    ("POST", "/client/sessions/{id}/candidates", Caller::Proved),
    ("POST", "/client/sessions/{id}/state", Caller::Proved),
    ("POST", "/client/sessions/{id}/transfers", Caller::Proved),
    ("GET", "/verify", Caller::Proved),
    ("GET", "/verify/{code}", Caller::Proved),
    ("POST", "/verify/{code}", Caller::Proved),
    ("GET", "/imager/", Caller::Proved),
    ("POST", "/imager/", Caller::Proved),
    ("GET", "/settings", Caller::Proved),
    ("GET", "/settings/auth-keys", Caller::Proved),
    ("POST", "/settings/auth-keys", Caller::Proved),
    ("GET", "/settings/auth-keys/{id}/delete", Caller::Proved),
    ("POST", "/settings/auth-keys/{id}/delete", Caller::Proved),
    ("GET", "/", Caller::Anybody),
    ("GET", "/devices", Caller::Proved),
    ("GET", "/devices/rows", Caller::Proved),
    ("GET", "/devices/suggestions", Caller::Proved),
    ("GET", "/organisations/{organisation}/devices", Caller::Proved),
    ("GET", "/organisations/{organisation}/devices/rows", Caller::Proved),
    ("GET", "/organisations/{organisation}/devices/suggestions", Caller::Proved),
    ("GET", "/organisations/{organisation}/tags", Caller::Proved),
    ("GET", "/organisations/{organisation}/audit-log", Caller::Proved),
    ("POST", "/organisations/{organisation}/audit-log/export", Caller::Proved),
    ("GET", "/devices/new", Caller::Proved),
    ("GET", "/devices/{id}", Caller::Proved),
    ("GET", "/devices/{id}/panel", Caller::Proved),
    ("GET", "/remote-update", Caller::Proved),
    ("GET", "/remote-update/artefacts/new", Caller::Proved),
    ("POST", "/remote-update/artefacts/new", Caller::Proved),
    ("GET", "/remote-update/artefacts/{id}/delete", Caller::Proved),
    ("POST", "/remote-update/artefacts/{id}/delete", Caller::Proved),
    ("GET", "/remote-update/deployments", Caller::Proved),
    ("GET", "/remote-update/deployments/{id}", Caller::Proved),
    ("POST", "/remote-update/deployments/{id}/cancel", Caller::Proved),
    ("POST", "/remote-update/deployments/{id}/give-up", Caller::Proved),
    ("GET", "/remote-update/rollouts/new", Caller::Proved),
    ("POST", "/remote-update/rollouts/new", Caller::Proved),
    ("GET", "/remote-update/rollouts/{id}", Caller::Proved),
    ("POST", "/remote-update/rollouts/{id}/start", Caller::Proved),
    ("GET", "/organisations/{organisation}/remote-update", Caller::Proved),
    ("GET", "/organisations/{organisation}/remote-update/artefacts/new", Caller::Proved),
    ("POST", "/organisations/{organisation}/remote-update/artefacts/new", Caller::Proved),
    ("GET", "/organisations/{organisation}/remote-update/deployments", Caller::Proved),
    ("GET", "/organisations/{organisation}/remote-update/rollouts/new", Caller::Proved),
    ("POST", "/organisations/{organisation}/remote-update/rollouts/new", Caller::Proved),
    ("GET", "/devices/{id}/deployments", Caller::Proved),
    ("GET", "/devices/{id}/deploy", Caller::Proved),
    ("POST", "/devices/{id}/deploy", Caller::Proved),
    ("GET", "/devices/{id}/settings", Caller::Proved),
    ("POST", "/devices/{id}/settings", Caller::Proved),
    ("GET", "/devices/{id}/delete", Caller::Proved),
    ("POST", "/devices/{id}/delete", Caller::Proved),
    ("GET", "/devices/{id}/sign-out", Caller::Proved),
    ("POST", "/devices/{id}/sign-out", Caller::Proved),
    ("POST", "/devices/{id}/sessions/{session}/end", Caller::Proved),
    ("GET", "/devices/{id}/shell", Caller::Proved),
    ("GET", "/devices/{id}/screen", Caller::Proved),
    ("GET", "/devices/{id}/files", Caller::Proved),
    ("POST", "/sessions", Caller::Proved),
    ("DELETE", "/sessions/{id}", Caller::Proved),
    ("POST", "/sessions/{id}/offer", Caller::Proved),
    ("POST", "/sessions/{id}/candidates", Caller::Proved),
    ("GET", "/sessions/{id}/events", Caller::Proved),
];
