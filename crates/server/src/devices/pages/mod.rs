//! The Devices tab, a device's page and its settings: their addresses, and what they share.

mod list;
mod settings;
mod show;

use super::{DeviceError, search_bar};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::SignedIn;
use crate::error::ApiFailure;
use crate::organisations;
use crate::web;
use crate::web::frames;
use crate::web::layout::Frame;
use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bramble_model::account::Standing;
use bramble_wire::DeviceId;
use bramble_wire::device_api::AccountKind;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/", get(home))
        .merge(list::routes())
        .merge(show::routes())
        .merge(settings::routes())
        .merge(search_bar::routes())
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

/// How many devices the caller's personal account has.
pub(crate) async fn personal_devices(app: &App, who: &SignedIn) -> Result<u64, DeviceError> {
    let own = who.belongings.iter().find(|entry| entry.account.kind == AccountKind::Personal);
    let Some(own) = own else { return Ok(0) };
    Ok(app.store.account(own.account.id).await?.map_or(0, |account| account.device_count))
}

fn parse(id: &str) -> Result<DeviceId, DeviceError> {
    id.parse().map_err(|_| DeviceError::NotFound)
}
