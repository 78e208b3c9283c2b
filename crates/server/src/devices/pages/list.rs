//! The list of devices, its rows that changed, and how to link one.

use super::super::rows::{DeviceRow, Presence, rows};
use super::super::search_bar::Bar;
use super::super::{DeviceError, PAGE, search};
use super::{personal, personal_devices, server_url, unwell};
use crate::app::{App, Ctx};
use crate::auth::SignedIn;
use crate::error::ApiFailure;
use crate::organisations;
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bramble_model::account::{Deed, Standing};
use bramble_wire::DeviceId;
use bramble_wire::device_api::AccountKind;
use serde::Deserialize;

/// Most rows that one request for fragments may name.
const MAX_ROWS: usize = 100;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/devices", get(list))
        .route("/devices/rows", get(fragments))
        .route("/organisations/{organisation}/devices", get(list_of_organisation))
        .route("/organisations/{organisation}/devices/rows", get(fragments_of_organisation))
        .route("/devices/new", get(how_to_link))
}

#[derive(Template)]
#[template(path = "devices/list.html")]
struct List {
    frame: Frame,
    rows: Vec<DeviceRow>,
    bar: Bar,
    /// Where the account's pages begin.
    root: String,
    manages: bool,
    /// Where the table asks for rows that changed.
    live_rows: String,
    /// Where auth keys are made.
    keys: String,
    /// How to link a device to this account.
    new: String,
    total: u64,
    page: u64,
    pages: u64,
    base: String,
    command: String,
    /// The caller's personal devices, which an empty organisation may be given.
    personal: u64,
}

#[derive(Template)]
#[template(path = "devices/rows.html")]
struct Rows {
    rows: Vec<DeviceRow>,
}

#[derive(Template)]
#[template(path = "devices/new.html")]
struct HowToLink {
    frame: Frame,
    command: String,
    /// Where auth keys are made.
    keys: String,
    /// What is chosen where the code is approved, if not the personal account.
    organisation: Option<String>,
}

async fn list(who: SignedIn, State(app): State<Ctx>, RawQuery(address): RawQuery) -> Response {
    match personal(&app, &who).await {
        Ok(standing) => list_of(&app, &who, standing, &address.unwrap_or_default()).await,
        Err(error) => unwell(&app, &who, error),
    }
}

async fn list_of_organisation(
    who: SignedIn,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    RawQuery(address): RawQuery,
) -> Response {
    match organisations::enter(&app, &who, &id, Deed::ViewDevices).await {
        Ok(standing) => list_of(&app, &who, standing, &address.unwrap_or_default()).await,
        Err(error) => organisations::pages::refused(&app, &who, error),
    }
}

async fn list_of(app: &App, who: &SignedIn, standing: Standing, address: &str) -> Response {
    let asked = url::form_urlencoded::parse(address.as_bytes()).find(|(name, _)| name == "page");
    let page = asked.and_then(|(_, page)| page.parse().ok()).unwrap_or(1).max(1);
    let account = standing.account;
    let bar = Bar::read(address, standing.kind);
    let root = frames::root(standing.kind, account);
    let encoded: String = url::form_urlencoded::byte_serialize(bar.query.as_bytes()).collect();
    let found = async {
        let (devices, total) = search(app, who, account, &bar.query, page).await?;
        let mut rows = rows(app, &standing, devices).await?;
        if !encoded.is_empty() {
            for row in &mut rows {
                row.search = format!("{root}/devices?query={encoded}+");
            }
        }
        let manages = standing.may(Deed::ManageDevices);
        let offers = total == 0 && manages && standing.kind == AccountKind::Organisation;
        let personal = if offers { personal_devices(app, who).await? } else { 0 };
        Ok::<_, DeviceError>((rows, total, personal))
    };
    let (rows, total, personal) = match found.await {
        Ok(found) => found,
        Err(error) => return unwell(app, who, error),
    };
    let page = List {
        frame: frames::of_account(app, who, account, "Devices").live(account),
        rows,
        bar,
        manages: standing.may(Deed::ManageDevices),
        total,
        page,
        pages: total.div_ceil(PAGE).max(1),
        live_rows: format!("data-live-rows={root}/devices/rows"),
        keys: keys_of(&root),
        new: if root.is_empty() {
            "/devices/new".into()
        } else {
            format!("/devices/new?organisation={account}")
        },
        base: format!("{root}/devices?query={encoded}&page="),
        root,
        command: command(app),
        personal,
    };
    web::page(StatusCode::OK, &page)
}

fn command(app: &App) -> String {
    format!("rpi-connect signin --server {}", server_url(app))
}

/// Where auth keys of an account are made.
fn keys_of(root: &str) -> String {
    format!("{root}/{}", if root.is_empty() { "settings" } else { "provisioning" })
}

#[derive(Deserialize)]
struct LinkTo {
    organisation: Option<String>,
}

async fn how_to_link(who: SignedIn, State(app): State<Ctx>, Query(to): Query<LinkTo>) -> Response {
    let (frame, root, organisation) = match &to.organisation {
        None => (frames::personal(&app, &who, "Devices"), String::new(), None),
        Some(id) => match organisations::enter(&app, &who, id, Deed::ManageDevices).await {
            Ok(standing) => {
                let name = who.belongings.iter().find(|it| it.account.id == standing.account);
                (
                    frames::of_account(&app, &who, standing.account, "Devices"),
                    frames::root(standing.kind, standing.account),
                    name.map(|it| it.account.name.clone()),
                )
            }
            Err(error) => return organisations::pages::refused(&app, &who, error),
        },
    };
    web::page(
        StatusCode::OK,
        &HowToLink { frame, command: command(&app), keys: keys_of(&root), organisation },
    )
}

#[derive(Deserialize)]
struct Ids {
    #[serde(default)]
    ids: String,
}

async fn fragments(who: SignedIn, State(app): State<Ctx>, Query(ids): Query<Ids>) -> Response {
    match personal(&app, &who).await {
        Ok(standing) => fragments_of(&app, standing, &ids).await,
        Err(error) => ApiFailure::from(error).into_response(),
    }
}

async fn fragments_of_organisation(
    who: SignedIn,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Query(ids): Query<Ids>,
) -> Response {
    match organisations::enter(&app, &who, &id, Deed::ViewDevices).await {
        Ok(standing) => fragments_of(&app, standing, &ids).await,
        Err(error) => ApiFailure::from(error).into_response(),
    }
}

async fn fragments_of(app: &App, standing: Standing, Ids { ids }: &Ids) -> Response {
    let ids: Vec<DeviceId> = ids.split(',').take(MAX_ROWS).filter_map(|id| id.trim().parse().ok()).collect();
    let found = async {
        let devices = app.store.devices_by_id(standing.account, &ids).await?;
        Ok::<_, DeviceError>(rows(app, &standing, devices).await?)
    };
    match found.await {
        Ok(rows) => web::fragment(&Rows { rows }),
        Err(error) => ApiFailure::from(error).into_response(),
    }
}
