//! Devices in the management API.

use super::{DeviceError, programs};
use crate::app::Ctx;
use crate::auth::ApiToken;
use crate::management::{Failure, Fields, Id, Page, deleted, parameter, written};
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bramble_store::devices::Device;
use bramble_wire::{DeviceId, management as wire};

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/organisation/devices", get(list))
        .route("/organisation/devices/{id}", get(show).patch(update).delete(delete))
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Store(error) => error.into(),
            // Programs have no second factor, and need none.
            DeviceError::NotFound | DeviceError::SecondFactorRequired(_) => Self::not_found(),
            DeviceError::Invalid(what) => Self::validation(&[what]),
        }
    }
}

fn shown(device: Device) -> wire::Device {
    let (board, os) = (device.board, device.os);
    let board = wire::Board { model: board.model, revision: board.revision, memory: board.memory };
    let os = wire::Os { name: os.name, version: os.version };
    let no_board = wire::Board { model: None, revision: None, memory: None };
    let no_os = wire::Os { name: None, version: None };
    let filters = device.filters;
    wire::Device {
        id: device.id,
        name: device.name,
        serial_number: device.serial_number,
        tags: device.tags,
        board: Some(board).filter(|board| *board != no_board),
        os: Some(os).filter(|os| *os != no_os),
        kernel_architecture: device.kernel_architecture,
        filters: wire::Filters { model: filters.model, memory: filters.memory, os: filters.os },
    }
}

async fn list(
    State(app): State<Ctx>,
    token: ApiToken,
    page: Page,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = parameter(query.as_deref(), "query").unwrap_or_default();
    if let Some((devices, total)) = programs::list_json(&app, &token, &query, page.slice()).await? {
        return Ok(written("devices", &devices, page.meta(total)));
    }
    let (devices, total) = programs::list(&app, &token, &query, page.slice()).await?;
    let devices = devices.into_iter().map(shown).collect();
    Ok(Json(wire::Devices { devices, meta: page.meta(total) }).into_response())
}

async fn show(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<DeviceId>,
) -> Result<Json<wire::Device>, Failure> {
    Ok(Json(shown(programs::find(&app, &token, id).await?)))
}

async fn update(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<DeviceId>,
    mut fields: Fields,
) -> Result<Json<wire::Device>, Failure> {
    programs::find(&app, &token, id).await?;
    let name = fields.kept("name");
    let tags = fields.tags("tags").change().map(Option::unwrap_or_default);
    fields.finish()?;
    Ok(Json(shown(programs::update(&app, &token, id, name, tags).await?)))
}

async fn delete(
    State(app): State<Ctx>,
    token: ApiToken,
    Id(id): Id<DeviceId>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let was = programs::delete(&app, &token, id).await?;
    Ok(deleted(&headers, shown(was)))
}
