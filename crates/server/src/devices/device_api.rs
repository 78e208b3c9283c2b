//! `/me`: what a device says of itself and asks about itself.

use super::DeviceError;
use crate::app::Ctx;
use crate::auth::Device;
use crate::auth::device::DeviceBody;
use crate::error::ApiFailure;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bramble_wire::device_api::{Me, OwnerAccount, WhoAmI};
use serde::de::IgnoredAny;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/me", get(who_am_i).post(describe).delete(sign_out))
        .route("/deployments/pending", get(pending))
        .route("/deployments/{id}/{report}", post(unknown_deployment))
}

async fn describe(
    State(app): State<Ctx>,
    DeviceBody(device, me): DeviceBody<Me>,
) -> Result<StatusCode, ApiFailure> {
    super::describe(&app, &device, me).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn who_am_i(State(app): State<Ctx>, device: Device) -> Result<Json<WhoAmI>, ApiFailure> {
    let account = app.store.account(device.account).await?.ok_or(DeviceError::NotFound)?;
    Ok(Json(WhoAmI {
        device_id: device.id,
        name: device.name,
        account: OwnerAccount { kind: account.kind, name: account.name },
    }))
}

async fn sign_out(State(app): State<Ctx>, device: Device) -> Result<StatusCode, ApiFailure> {
    super::sign_out_itself(&app, &device).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Nothing waits: this version makes no deployments.
async fn pending(_: Device) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn unknown_deployment(Path(_): Path<(String, String)>, _: DeviceBody<IgnoredAny>) -> ApiFailure {
    ApiFailure::not_found()
}
