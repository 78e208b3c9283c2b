//! What stands before every endpoint of the management API: who asks, how often, and since when not
//! any more.

use super::limit::USE_NOTED_EVERY;
use super::{Allowance, Failure};
use crate::app::{App, Ctx};
use crate::auth::api_token::{bearer, identify};
use crate::auth::throttle::{Scope, address_key};
use crate::front_door::ClientAddress;
use crate::routes::{Credential, credential_of};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bramble_model::Timestamp;
use bramble_store::StoreError;
use bramble_wire::ApiTokenId;
use std::net::{IpAddr, Ipv4Addr};

/// Paths below `/organisation` that say nothing of any organisation.
const OPEN: &[&str] = &["/organisation/openapi.json", "/organisation/docs"];

/// Proves the token, counts the request, and only then lets a handler, or "not found", answer.
pub async fn guard(State(app): State<Ctx>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = OPEN
        .iter()
        .any(|open| path.strip_prefix(open).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    if open || credential_of(path) != Credential::ApiToken {
        return next.run(request).await;
    }
    let now = app.clock.now();
    let sent = bearer(request.headers()).unwrap_or_default();
    let address = request.extensions().get::<ClientAddress>();
    let address = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |it| it.0);
    let (mut token, last_used) = match identify(&app, sent).await {
        Ok(Some(found)) => found,
        Ok(None) => return unknown(&app, sent, address, now),
        Err(error) => return Failure::from(error).into_response(),
    };
    let allowance = app.api_limit.spend(token.id, app.config.limits.api_requests, now);
    if allowance.is_some_and(|it| it.exceeded) {
        return with(allowance, throttled());
    }
    if let Err(error) = note_use(&app, token.id, last_used, now).await {
        return with(allowance, Failure::from(error).into_response());
    }
    token.country = app.countries.of_address(address);
    request.extensions_mut().insert(token);
    with(allowance, next.run(request).await)
}

fn with(allowance: Option<Allowance>, mut response: Response) -> Response {
    if let Some(allowance) = allowance {
        allowance.write(response.headers_mut());
    }
    response
}

/// A token that nobody knows: its text has the budget of a token, and its sender's address a smaller
/// one, so that neither the one nor many are tried without end.
fn unknown(app: &App, sent: &str, address: IpAddr, now: Timestamp) -> Response {
    let within = app.api_limit.spend_unknown(sent, app.config.limits.api_requests, now);
    let few = app.throttle.attempt(now, Scope::ApiTokens, &address_key(address)).is_ok();
    if within && few { Failure::unauthorized().into_response() } else { throttled() }
}

fn throttled() -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))];
    (StatusCode::TOO_MANY_REQUESTS, kind, "Throttled").into_response()
}

async fn note_use(
    app: &App,
    token: ApiTokenId,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !app.api_limit.is_use_news(token, last, now) {
        return Ok(());
    }
    let tx = app.store.begin().await?;
    tx.mark_api_token_used(token, now, now - USE_NOTED_EVERY).await?;
    tx.commit().await
}

/// Outside of everything: every JSON answer says how it is encoded, as the public service's do.
pub async fn charset(request: Request, next: Next) -> Response {
    let ours = credential_of(request.uri().path()) == Credential::ApiToken;
    let mut response = next.run(request).await;
    let json = HeaderValue::from_static("application/json");
    if ours && response.headers().get(header::CONTENT_TYPE) == Some(&json) {
        let full = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, full);
    }
    response
}
