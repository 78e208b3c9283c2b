//! What a device without a token calls.

use super::code::{self, PollError};
use super::{exchange, identities};
use crate::app::Ctx;
use crate::auth::device::OpenBody;
use crate::error::ApiFailure;
use crate::front_door::ClientAddress;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use bramble_wire::device_api::error::{
    ACCESS_DENIED, AUTHORIZATION_PENDING, EXPIRED_TOKEN, INVALID_GRANT, SLOW_DOWN,
};
use bramble_wire::device_api::{AuthKeyExchange, CodeAnswer, CodeRequest, Linked, TokenRequest};

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/client/device", post(request_code))
        .route("/client/token", post(token))
        .route("/client/auth-key-exchange", post(exchange_auth_key))
        .route("/client/device-identity-exchange", post(identities::device_api::exchange))
}

async fn request_code(
    State(app): State<Ctx>,
    ClientAddress(address): ClientAddress,
    OpenBody(request): OpenBody<CodeRequest>,
) -> Result<Json<CodeAnswer>, ApiFailure> {
    Ok(Json(code::request_code(&app, address, &request).await?))
}

async fn token(
    State(app): State<Ctx>,
    OpenBody(request): OpenBody<TokenRequest>,
) -> Result<Json<Linked>, ApiFailure> {
    Ok(Json(code::poll(&app, &request).await?))
}

async fn exchange_auth_key(
    State(app): State<Ctx>,
    ClientAddress(address): ClientAddress,
    OpenBody(request): OpenBody<AuthKeyExchange>,
) -> Result<Json<Linked>, ApiFailure> {
    Ok(Json(exchange::exchange_auth_key(&app, address, &request).await?))
}

impl From<PollError> for ApiFailure {
    fn from(error: PollError) -> Self {
        let (code, description) = match error {
            PollError::Linking(error) => return error.into(),
            PollError::Pending => (AUTHORIZATION_PENDING, "Nobody has approved this device yet."),
            PollError::SlowDown => (SLOW_DOWN, "Wait longer between two questions."),
            PollError::Expired => (EXPIRED_TOKEN, "The code has expired. Ask for a new one."),
            PollError::Denied => (ACCESS_DENIED, "Somebody refused this device."),
            PollError::InvalidGrant => {
                (INVALID_GRANT, "This device code is unknown or was used. Ask for a new one.")
            }
        };
        Self::new(StatusCode::BAD_REQUEST, code, description)
    }
}
