//! `/deployments/…`: what a device asks and reports. And the keys that it checks signatures with.

use super::{DeploymentError, keys, of_device};
use crate::app::Ctx;
use crate::auth::Device;
use crate::auth::device::DeviceBody;
use crate::error::ApiFailure;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bramble_wire::DeploymentId;
use bramble_wire::deployments::{Completed, Failed, PendingDeployments, Progress, Started};
use serde::de::IgnoredAny;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/.well-known/bramble", get(keys::well_known))
        .route("/deployments/pending", get(pending))
        .route("/deployments/{id}/start", post(start))
        .route("/deployments/{id}/complete", post(complete))
        .route("/deployments/{id}/fail", post(fail))
        .route("/deployments/{id}/progress", post(progress))
}

fn parse(id: &str) -> Result<DeploymentId, DeploymentError> {
    id.parse().map_err(|_| DeploymentError::NotFound)
}

async fn pending(State(app): State<Ctx>, device: Device) -> Result<Response, ApiFailure> {
    Ok(match of_device::pending(&app, &device).await? {
        Some(waits) => Json(PendingDeployments { deployments: vec![waits] }).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

async fn start(
    State(app): State<Ctx>,
    Path(id): Path<String>,
    DeviceBody(device, _): DeviceBody<IgnoredAny>,
) -> Result<Json<Started>, ApiFailure> {
    Ok(Json(of_device::start(&app, &device, parse(&id)?).await?))
}

async fn complete(
    State(app): State<Ctx>,
    Path(id): Path<String>,
    DeviceBody(device, report): DeviceBody<Completed>,
) -> Result<StatusCode, ApiFailure> {
    of_device::complete(&app, &device, parse(&id)?, report).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn fail(
    State(app): State<Ctx>,
    Path(id): Path<String>,
    DeviceBody(device, report): DeviceBody<Failed>,
) -> Result<StatusCode, ApiFailure> {
    of_device::fail(&app, &device, parse(&id)?, report).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn progress(
    State(app): State<Ctx>,
    Path(id): Path<String>,
    DeviceBody(device, report): DeviceBody<Progress>,
) -> Result<StatusCode, ApiFailure> {
    of_device::progress(&app, &device, parse(&id)?, report).await?;
    Ok(StatusCode::NO_CONTENT)
}
