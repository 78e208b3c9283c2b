//! `/me`: what a device says of itself and asks about itself.

use super::DeviceError;
use crate::app::Ctx;
use crate::auth::Device;
use crate::auth::device::DeviceBody;
use crate::error::ApiFailure;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use bramble_wire::device_api::{Me, OwnerAccount, WhoAmI};

pub(super) fn routes() -> Router<Ctx> {
    Router::new().route("/me", get(who_am_i).post(describe).delete(sign_out))
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
