//! Devices for programs with a token of their organisation.

use super::{DeviceError, Edit};
use crate::app::App;
use crate::auth::ApiToken;
use bramble_model::query::Query;
use bramble_model::tags::Tags;
use bramble_store::device_search::Slice;
use bramble_store::devices::Device;
use bramble_wire::DeviceId;

/// A part of the organisation's devices that match a query, by name, and how many match.
pub async fn list(
    app: &App,
    by: &ApiToken,
    query: &str,
    slice: Slice,
) -> Result<(Vec<Device>, u64), DeviceError> {
    let query = Query::parse(query);
    let online = super::online(app, by.account, &query);
    Ok(app.store.devices(by.account, &query, &online, slice).await?)
}

/// The same as a JSON array that the database wrote, where it can.
pub async fn list_json(
    app: &App,
    by: &ApiToken,
    query: &str,
    slice: Slice,
) -> Result<Option<(String, u64)>, DeviceError> {
    let query = Query::parse(query);
    let online = super::online(app, by.account, &query);
    Ok(app.store.devices_json(by.account, &query, &online, slice).await?)
}

/// A device of the organisation.
pub async fn find(app: &App, by: &ApiToken, id: DeviceId) -> Result<Device, DeviceError> {
    app.store.device(by.account, id).await?.ok_or(DeviceError::NotFound)
}

/// Changes name and tags.
pub async fn update(
    app: &App,
    by: &ApiToken,
    id: DeviceId,
    name: Option<String>,
    tags: Option<Tags>,
) -> Result<Device, DeviceError> {
    let device = find(app, by, id).await?;
    super::edit(app, by.into(), &device, Edit { name, tags }).await?;
    find(app, by, id).await
}

/// Deletes a device; it is signed out at once.
pub async fn delete(app: &App, by: &ApiToken, id: DeviceId) -> Result<Device, DeviceError> {
    let device = find(app, by, id).await?;
    super::delete_for(app, by.into(), &device).await?;
    Ok(device)
}
