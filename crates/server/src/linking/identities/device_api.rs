//! `POST /client/device-identity-exchange`.

use super::proof::{NotNow, Proof};
use crate::app::Ctx;
use crate::auth::device::OpenRequest;
use crate::error::ApiFailure;
use crate::front_door::ClientAddress;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use bramble_wire::device_api::error::INVALID_TIMESTAMP;
use bramble_wire::device_api::{IdentityExchange, Linked};

pub(in crate::linking) async fn exchange(
    State(app): State<Ctx>,
    ClientAddress(address): ClientAddress,
    OpenRequest { parts, body, read }: OpenRequest<IdentityExchange>,
) -> Result<Json<Linked>, ApiFailure> {
    let proof = Proof::of(&app.config.public_url, &parts, &body, false, app.clock.unix())?;
    Ok(Json(super::exchange(&app, address, &read, &proof).await?))
}

impl From<NotNow> for ApiFailure {
    fn from(error: NotNow) -> Self {
        Self::described(StatusCode::FORBIDDEN, INVALID_TIMESTAMP, error.to_string())
    }
}
