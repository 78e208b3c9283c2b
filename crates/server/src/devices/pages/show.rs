//! A device's page, the part of it that is renewed, and the windows of its sessions.

use super::super::rows::{DeviceRow, Presence, rows};
use super::super::{DeviceError, find, manageable, notices};
use super::{parse, unwell};
use crate::app::{App, Ctx};
use crate::auth::SignedIn;
use crate::deployments::rows::{DeploymentRow, newest_of_device};
use crate::error::ApiFailure;
use crate::sessions;
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bramble_model::account::Deed;
use bramble_store::devices::Device;
use bramble_wire::SessionId;
use bramble_wire::device_api::Capability;
use bramble_wire::signalling::Path as Route;

/// Deployments that a device's page names; the others have a page of their own.
const RECENT: u64 = 3;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/devices/{id}", get(show))
        .route("/devices/{id}/panel", get(panel))
        .route("/devices/{id}/sessions/{session}/end", post(end_session))
        .route("/devices/{id}/shell", get(shell))
        .route("/devices/{id}/screen", get(screen))
        .route("/devices/{id}/files", get(files))
}

#[derive(Template)]
#[template(path = "devices/show.html")]
struct Show {
    frame: Frame,
    panel: Panel,
}

/// What changes while somebody looks.
#[derive(Template)]
#[template(path = "devices/panel.html")]
struct Panel {
    device: Device,
    row: DeviceRow,
    linked: Moment,
    sessions: Vec<SessionRow>,
    deployments: Vec<DeploymentRow>,
    may_manage: bool,
    /// How wrong its clock is.
    clock: Option<String>,
    /// The newer version that its client could have.
    update: Option<&'static str>,
}

struct SessionRow {
    id: SessionId,
    kind: &'static str,
    who: String,
    since: Moment,
    path: &'static str,
}

async fn look(app: &App, who: &SignedIn, id: &str) -> Result<Panel, DeviceError> {
    let (device, standing) = find(app, who, parse(id)?).await?;
    let now = app.clock.now();
    let live = sessions::live_of_device(app, device.id).await?;
    let (deployments, _) = newest_of_device(app, &standing, device.id, RECENT).await?;
    let row = rows(app, &standing, vec![device.clone()]).await?.pop().ok_or(DeviceError::NotFound)?;
    let session = |(session, name): (bramble_store::sessions::Session, String)| SessionRow {
        id: session.id,
        kind: sessions::words_for(&session),
        who: name,
        since: Moment::new(session.opened_at, now),
        path: match session.path {
            Some(Route::Direct) => "Direct",
            Some(Route::Relayed) => "Relayed",
            None => "Connecting",
        },
    };
    Ok(Panel {
        linked: Moment::new(device.linked_at, now),
        sessions: live.into_iter().map(session).collect(),
        may_manage: standing.may(Deed::ManageDevices),
        clock: notices::clock(&device),
        update: notices::update(&device),
        deployments,
        device,
        row,
    })
}

async fn show(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    match look(&app, &who, &id).await {
        Ok(panel) => {
            let account = panel.device.account;
            let frame = frames::of_account(&app, &who, account, "Devices").live(account);
            web::page(StatusCode::OK, &Show { frame, panel })
        }
        Err(error) => unwell(&app, &who, error),
    }
}

async fn panel(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    match look(&app, &who, &id).await {
        Ok(panel) => web::fragment(&panel),
        Err(error) => ApiFailure::from(error).into_response(),
    }
}

async fn end_session(
    who: SignedIn,
    State(app): State<Ctx>,
    Path((id, session)): Path<(String, String)>,
) -> Response {
    let ended = async {
        let (device, _) = manageable(&app, &who, parse(&id)?).await?;
        let session = session.parse().map_err(|_| DeviceError::NotFound)?;
        // One that ended by itself meanwhile is what was asked for.
        sessions::end_by_administrator(&app, &who, &device, session).await?;
        Ok::<_, DeviceError>(device.id)
    };
    match ended.await {
        Ok(id) => Redirect::to(&format!("/devices/{id}")).into_response(),
        Err(error) => unwell(&app, &who, error),
    }
}

async fn shell(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    let found = async { for_window(&app, &who, &id).await };
    match found.await {
        Ok((device, files)) => web::session_window::shell(device.id, &device.name, files),
        Err(error) => unwell(&app, &who, error),
    }
}

async fn screen(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    let found = async { for_window(&app, &who, &id).await };
    match found.await {
        Ok((device, files)) => web::session_window::screen(device.id, &device.name, files),
        Err(error) => unwell(&app, &who, error),
    }
}

async fn files(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    let found = async { for_window(&app, &who, &id).await };
    match found.await {
        Ok((device, _)) => web::session_window::files(device.id, &device.name),
        Err(error) => unwell(&app, &who, error),
    }
}

/// The device, and whether its window offers files as well. Opening a session asks again.
async fn for_window(app: &App, who: &SignedIn, id: &str) -> Result<(Device, bool), DeviceError> {
    let (device, _) = find(app, who, parse(id)?).await?;
    let forbidden = app.store.account(device.account).await?.is_none_or(|account| account.files_forbidden);
    let files = !forbidden && device.capabilities.files == Some(Capability::Enabled);
    Ok((device, files))
}
