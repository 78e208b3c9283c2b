//! The Devices tab, a device's page and its settings.

use super::rows::{DeviceRow, Presence, rows};
use super::search_bar::Bar;
use super::{DeviceError, PAGE, notices, search_bar};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::deployments::rows::{DeploymentRow, newest_of_device};
use crate::error::ApiFailure;
use crate::organisations;
use crate::sessions;
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::times::Moment;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bramble_model::account::{Deed, Standing};
use bramble_store::devices::Device;
use bramble_wire::device_api::{AccountKind, Capability};
use bramble_wire::signalling::Path as Route;
use bramble_wire::{DeviceId, SessionId};
use serde::Deserialize;

/// Most rows that one request for fragments may name.
const MAX_ROWS: usize = 100;
/// Deployments that a device's page names; the others have a page of their own.
const RECENT: u64 = 3;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/", get(home))
        .route("/devices", get(list))
        .route("/devices/rows", get(fragments))
        .route("/organisations/{organisation}/devices", get(list_of_organisation))
        .route("/organisations/{organisation}/devices/rows", get(fragments_of_organisation))
        .route("/devices/new", get(how_to_link))
        .route("/devices/{id}", get(show))
        .route("/devices/{id}/panel", get(panel))
        .route("/devices/{id}/settings", get(settings).post(update))
        .route("/devices/{id}/delete", get(confirm_delete).post(delete))
        .route("/devices/{id}/sign-out", get(confirm_sign_out).post(sign_out))
        .route("/devices/{id}/sessions/{session}/end", post(end_session))
        .route("/devices/{id}/shell", get(shell))
        .route("/devices/{id}/screen", get(screen))
        .route("/devices/{id}/files", get(files))
        .merge(search_bar::routes())
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

#[derive(Template)]
#[template(path = "devices/show.html")]
struct Show {
    frame: Frame,
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

#[derive(Template)]
#[template(path = "devices/settings.html")]
struct Settings {
    frame: Frame,
    id: DeviceId,
    current_name: String,
    typed_name: String,
    /// Of a device of an organisation.
    tags: Option<TagField>,
    error: String,
    signed_out: bool,
}

/// The tags as they were typed, and where suggestions come from.
struct TagField {
    tags: Vec<String>,
    suggest: String,
    error: String,
}

#[derive(Template)]
#[template(path = "devices/confirm.html")]
struct Confirm {
    frame: Frame,
    id: DeviceId,
    name: String,
    deed: &'static str,
    error: String,
}

impl Confirm {
    fn deletes(&self) -> bool {
        self.deed == "delete"
    }
}

#[derive(Template)]
#[template(path = "devices/failed.html")]
pub(crate) struct Failed {
    pub(crate) frame: Frame,
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
}

/// This server's address, as commands name it.
pub(crate) fn server_url(app: &App) -> &str {
    app.config.public_url.as_str().trim_end_matches('/')
}

/// A page that says what went wrong. An id of somebody else's reads as one that does not exist.
pub(crate) fn failed(app: &App, who: &SignedIn, failure: ApiFailure) -> Response {
    if let Some(organisation) = failure.kept_out_of() {
        return organisations::pages::kept_out(app, who, organisation);
    }
    let status = failure.status();
    let (title, text) = match status {
        StatusCode::NOT_FOUND => (
            "There is no such page",
            "What you look for was removed, or belongs to an account that you are not in.",
        ),
        StatusCode::SERVICE_UNAVAILABLE => {
            ("The server cannot reach its database", "Nothing was changed. Wait a moment, then try again.")
        }
        _ => ("That did not work", "Go back, check what you entered, and try again."),
    };
    let frame = frames::personal(app, who, "");
    let mut response = web::page(status, &Failed { frame, title, text });
    if let Some(after) = failure.into_response().headers().get("retry-after") {
        response.headers_mut().insert("retry-after", after.clone());
    }
    response
}

fn unwell(app: &App, who: &SignedIn, error: impl Into<DeviceError>) -> Response {
    failed(app, who, error.into().into())
}

async fn home() -> Redirect {
    Redirect::to("/devices")
}

pub(crate) async fn personal(app: &App, who: &SignedIn) -> Result<Standing, DeviceError> {
    let account = accounts::personal_account(app, who.user).await?.ok_or(DeviceError::NotFound)?;
    accounts::standing(app, who.user, account).await?.ok_or(DeviceError::NotFound)
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
        let (devices, total) = super::search(app, who, account, &bar.query, page).await?;
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

/// How many devices the caller's personal account has.
pub(crate) async fn personal_devices(app: &App, who: &SignedIn) -> Result<u64, DeviceError> {
    let own = who.belongings.iter().find(|entry| entry.account.kind == AccountKind::Personal);
    let Some(own) = own else { return Ok(0) };
    Ok(app.store.account(own.account.id).await?.map_or(0, |account| account.device_count))
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

fn parse(id: &str) -> Result<DeviceId, DeviceError> {
    id.parse().map_err(|_| DeviceError::NotFound)
}

async fn look(app: &App, who: &SignedIn, id: &str) -> Result<Panel, DeviceError> {
    let (device, standing) = super::find(app, who, parse(id)?).await?;
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
        Ok(Panel { device, row, linked, sessions, deployments, may_manage, clock, update }) => {
            let frame = frames::of_account(&app, &who, device.account, "Devices").live(device.account);
            let shown = Show { frame, device, row, linked, sessions, deployments, may_manage, clock, update };
            web::page(StatusCode::OK, &shown)
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

async fn settings(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    let found = async { super::manageable(&app, &who, parse(&id)?).await };
    match found.await {
        Ok((device, standing)) => settings_page(&app, &who, (device, standing), None, ""),
        Err(error) => unwell(&app, &who, error),
    }
}

fn settings_page(
    app: &App,
    who: &SignedIn,
    (device, standing): (Device, Standing),
    typed: Option<Update>,
    error: &str,
) -> Response {
    let status = if error.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let about_tags = error.starts_with("Tags ");
    let (typed_name, tags) = match typed {
        Some(typed) => (typed.name, typed.tags),
        None => (device.name.clone(), device.tags),
    };
    let root = frames::root(standing.kind, standing.account);
    let tags = (standing.kind == AccountKind::Organisation).then(|| TagField {
        tags,
        suggest: format!("{root}/tags"),
        error: if about_tags { error.to_owned() } else { String::new() },
    });
    let page = Settings {
        frame: frames::of_account(app, who, device.account, "Devices"),
        id: device.id,
        typed_name,
        current_name: device.name,
        tags,
        error: if about_tags { String::new() } else { error.to_owned() },
        signed_out: device.token.is_none(),
    };
    web::page(status, &page)
}

/// What the settings form says.
#[derive(Debug, Default)]
struct Update {
    name: String,
    tags: Vec<String>,
}

impl Update {
    /// Each tag is a field of its own; without JavaScript they stand in one, separated.
    fn parse(form: &[u8]) -> Self {
        let mut update = Self::default();
        for (field, value) in url::form_urlencoded::parse(form) {
            match field.as_ref() {
                "name" => update.name = value.into_owned(),
                "tags" => {
                    let words = value.split([',', ' ']).filter(|word| !word.is_empty());
                    update.tags.extend(words.map(str::to_owned));
                }
                _ => {}
            }
        }
        update
    }
}

async fn update(
    who: SignedIn,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    form: axum::body::Bytes,
) -> Response {
    let typed = Update::parse(&form);
    let updated = async { super::update(&app, &who, parse(&id)?, &typed.name, &typed.tags).await };
    match updated.await {
        Ok(()) => Redirect::to(&format!("/devices/{id}")).into_response(),
        Err(DeviceError::Invalid(why)) => {
            let found = async { super::manageable(&app, &who, parse(&id)?).await };
            match found.await {
                Ok(found) => settings_page(&app, &who, found, Some(typed), &why),
                Err(error) => unwell(&app, &who, error),
            }
        }
        Err(error) => unwell(&app, &who, error),
    }
}

async fn confirm_delete(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    confirm(&app, &who, &id, "delete", "").await
}

async fn confirm_sign_out(who: SignedIn, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    confirm(&app, &who, &id, "sign-out", "").await
}

async fn confirm(app: &App, who: &SignedIn, id: &str, deed: &'static str, error: &str) -> Response {
    let found = async { super::manageable(app, who, parse(id)?).await };
    let status = if error.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    match found.await {
        Ok((Device { id, name, account, .. }, _)) => {
            let frame = frames::of_account(app, who, account, "Devices");
            web::page(status, &Confirm { frame, id, name, deed, error: error.to_owned() })
        }
        Err(error) => unwell(app, who, error),
    }
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    confirm: String,
}

async fn delete(
    Fresh(who): Fresh,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Form(typed): Form<Typed>,
) -> Response {
    let mut list = "/devices".to_owned();
    let deleted = async {
        let (device, standing) = super::manageable(&app, &who, parse(&id)?).await?;
        list = format!("{}/devices", frames::root(standing.kind, standing.account));
        if typed.confirm.trim() != device.name {
            return Ok(false);
        }
        super::delete(&app, &who, device.id).await.map(|()| true)
    };
    match deleted.await {
        Ok(true) => Redirect::to(&list).into_response(),
        Ok(false) => {
            confirm(&app, &who, &id, "delete", "That is not the name of this device. Type it exactly.").await
        }
        Err(error) => unwell(&app, &who, error),
    }
}

async fn sign_out(Fresh(who): Fresh, State(app): State<Ctx>, Path(id): Path<String>) -> Response {
    let done = async { super::sign_out(&app, &who, parse(&id)?).await };
    match done.await {
        Ok(()) => Redirect::to(&format!("/devices/{id}")).into_response(),
        Err(error) => unwell(&app, &who, error),
    }
}

async fn end_session(
    who: SignedIn,
    State(app): State<Ctx>,
    Path((id, session)): Path<(String, String)>,
) -> Response {
    let ended = async {
        let (device, _) = super::manageable(&app, &who, parse(&id)?).await?;
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
    let (device, _) = super::find(app, who, parse(id)?).await?;
    let forbidden = app.store.account(device.account).await?.is_none_or(|account| account.files_forbidden);
    let files = !forbidden && device.capabilities.files == Some(Capability::Enabled);
    Ok((device, files))
}
