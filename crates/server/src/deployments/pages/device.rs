//! Deployments to one device.

use super::{Menu, NewArtefact, PAGE, Place, menu, number, offset, refused};
use crate::app::{App, Ctx};
use crate::artefacts::{self, ArtefactError};
use crate::auth::{Fresh, SignedIn};
use crate::deployments::rollouts::why_not;
use crate::deployments::rows::{DeploymentRow, rows};
use crate::deployments::{self, DeploymentError, Manager};
use crate::devices::pages::failed;
use crate::devices::{self, DeviceError};
use crate::web::layout::Frame;
use crate::web::{frames, page};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bramble_model::account::Deed;
use bramble_store::StoreError;
use bramble_store::deployments::Filter;
use bramble_store::devices::Device;
use bramble_wire::{ArtefactId, DeploymentId, DeviceId};
use serde::Deserialize;

/// What the form says of a device that has no deployment yet.
const NONE: &str = "none";
const MEANWHILE: &str = "Another deployment was made to this device while your page was open. Look at it, then deploy if you still want to.";

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/devices/{id}/deployments", get(history))
        .route("/devices/{id}/deploy", get(choose).post(deploy))
}

#[derive(Template)]
#[template(path = "deployments/history.html")]
struct History {
    frame: Frame,
    id: DeviceId,
    name: String,
    manages: bool,
    rows: Vec<DeploymentRow>,
    total: u64,
    page: u64,
    pages: u64,
    base: String,
}

#[derive(Template)]
#[template(path = "deployments/deploy.html")]
struct Deploy {
    frame: Frame,
    device: DeviceId,
    name: String,
    /// Why the deployment would not begin at once, if it would not.
    warning: &'static str,
    /// The newest deployment that the reader knows of.
    newest: String,
    /// It, if it is not over.
    waiting: Option<DeploymentRow>,
    menu: Menu,
    form: NewArtefact,
    error: String,
}

async fn find(app: &App, who: &SignedIn, id: &str) -> Result<(Device, Place), DeviceError> {
    let id: DeviceId = id.parse().map_err(|_| DeviceError::NotFound)?;
    let (device, standing) = devices::find(app, who, id).await?;
    Ok((device, Place::of(standing)))
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    page: String,
    #[serde(default)]
    artefact: String,
    #[serde(default)]
    find: String,
}

async fn history(
    who: SignedIn,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let number = number(&asked.page);
    let found = async {
        let (device, place) = find(&app, &who, &id).await?;
        let filter = Filter { device: Some(device.id), ..Filter::default() };
        let (found, total) = app.store.deployments(place.account(), filter, offset(number), PAGE).await?;
        let rows = rows(&app, &place.standing, found).await?;
        Ok::<_, DeviceError>((device, place, rows, total))
    };
    let (device, place, rows, total) = match found.await {
        Ok(found) => found,
        Err(error) => return failed(&app, &who, error.into()),
    };
    let shown = History {
        frame: frames::of_account(&app, &who, place.account(), "Devices").live(place.account()),
        id: device.id,
        name: device.name,
        manages: place.manages(),
        rows,
        total,
        page: number,
        pages: total.div_ceil(PAGE).max(1),
        base: format!("/devices/{}/deployments?page=", device.id),
    };
    page(StatusCode::OK, &shown)
}

/// A device that the reader may deploy to.
async fn target(app: &App, who: &SignedIn, id: &str) -> Result<(Device, Place), DeviceError> {
    let (device, place) = find(app, who, id).await?;
    if place.standing.may(Deed::ManageUpdates) { Ok((device, place)) } else { Err(DeviceError::NotFound) }
}

async fn choose(
    who: SignedIn,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    match target(&app, &who, &id).await {
        Ok((device, place)) => {
            let again = Again { chosen: asked.artefact, find: asked.find, ..Again::default() };
            form(&app, &who, &device, &place, again).await
        }
        Err(error) => failed(&app, &who, error.into()),
    }
}

/// What the page shows again when a form could not be taken.
#[derive(Default)]
struct Again {
    chosen: String,
    find: String,
    form: NewArtefact,
    error: &'static str,
    status: StatusCode,
}

async fn form(app: &App, who: &SignedIn, device: &Device, place: &Place, again: Again) -> Response {
    match form_of(app, who, device, place, again).await {
        Ok((status, shown)) => page(status, &shown),
        Err(error) => failed(app, who, error.into()),
    }
}

async fn form_of(
    app: &App,
    who: &SignedIn,
    device: &Device,
    place: &Place,
    again: Again,
) -> Result<(StatusCode, Deploy), StoreError> {
    let menu = menu(app, place, &again.chosen, &again.find).await?;
    let (newest, _) = deployments::rows::newest_of_device(app, &place.standing, device.id, 1).await?;
    let newest = newest.into_iter().next();
    let shown = Deploy {
        frame: frames::of_account(app, who, place.account(), "Devices"),
        device: device.id,
        name: device.name.clone(),
        warning: why_not(device).unwrap_or_default(),
        newest: newest.as_ref().map_or_else(|| NONE.to_owned(), |it| it.id.to_string()),
        waiting: newest.filter(DeploymentRow::is_open),
        menu,
        form: again.form,
        error: again.error.to_owned(),
    };
    Ok((again.status, shown))
}

#[derive(Debug, Default, Deserialize)]
struct Wish {
    /// The newest deployment that the page showed.
    #[serde(default)]
    newest: String,
    /// An artefact of the library; else the fields of a new one.
    #[serde(default)]
    artefact: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    uri: String,
    #[serde(default)]
    checksum: String,
}

async fn deploy(
    Fresh(who): Fresh,
    State(app): State<Ctx>,
    Path(id): Path<String>,
    Form(wish): Form<Wish>,
) -> Response {
    let (device, place) = match target(&app, &who, &id).await {
        Ok(found) => found,
        Err(error) => return failed(&app, &who, error.into()),
    };
    let by = match Manager::person(&app, &who, place.account()).await {
        Ok(by) => by,
        Err(error) => return refused(&app, &who, error),
    };
    let artefact = match artefact(&app, &by, &wish).await {
        Ok(id) => id,
        Err(ArtefactError::Invalid(problems)) => {
            let Wish { name, uri, checksum, .. } = wish;
            let typed = NewArtefact { name, uri, checksum, ..NewArtefact::default() }.refused(problems);
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            let again = Again { form: typed, status, ..Again::default() };
            return form(&app, &who, &device, &place, again).await;
        }
        Err(error) => return failed(&app, &who, error.into()),
    };
    let made = async {
        let newest = match wish.newest.as_str() {
            NONE => None,
            id => Some(id.parse::<DeploymentId>().map_err(|_| DeploymentError::NotFound)?),
        };
        deployments::create_after(&app, &by, device.id, artefact, newest).await
    };
    match made.await {
        Ok(Some(made)) => Redirect::to(&format!("/remote-update/deployments/{}", made.id)).into_response(),
        Ok(None) => {
            let (chosen, status) = (artefact.to_string(), StatusCode::CONFLICT);
            let again = Again { chosen, error: MEANWHILE, status, ..Again::default() };
            form(&app, &who, &device, &place, again).await
        }
        Err(error) => refused(&app, &who, error),
    }
}

/// The artefact that was chosen, or a new one of what was typed.
async fn artefact(app: &App, by: &Manager, wish: &Wish) -> Result<ArtefactId, ArtefactError> {
    if wish.artefact.is_empty() {
        return Ok(artefacts::add(app, by, &wish.name, &wish.uri, &wish.checksum).await?.id);
    }
    let id = wish.artefact.parse().map_err(|_| ArtefactError::NotFound)?;
    Ok(artefacts::find(app, by, id).await?.id)
}
