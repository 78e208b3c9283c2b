//! Making an organisation, and what is shown to somebody who may not enter one.

use super::OrganisationError;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::devices::pages::failed;
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bramble_model::account::Deed;
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/organisations/new", get(new).post(create))
        .route("/organisations/{organisation}", get(first_page))
}

#[derive(Template)]
#[template(path = "organisations/new.html")]
struct New {
    frame: Frame,
    typed_name: String,
    error: String,
}

#[derive(Template)]
#[template(path = "organisations/two_factor_required.html")]
struct TwoFactorRequired {
    frame: Frame,
    name: String,
}

async fn new(State(app): State<Ctx>, who: SignedIn) -> Response {
    form(&app, &who, String::new(), String::new())
}

fn form(app: &App, who: &SignedIn, typed_name: String, error: String) -> Response {
    let status = if error.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    page(status, &New { frame: frames::personal(app, who, ""), typed_name, error })
}

#[derive(Debug, Default, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

async fn create(State(app): State<Ctx>, Fresh(who): Fresh, Form(typed): Form<Named>) -> Response {
    match super::create(&app, &who, &typed.name).await {
        Ok(id) => Redirect::to(&format!("/organisations/{id}/devices")).into_response(),
        Err(OrganisationError::Invalid(why)) => form(&app, &who, typed.name, why),
        Err(error) => refused(&app, &who, error),
    }
}

async fn first_page(State(app): State<Ctx>, who: SignedIn, Path(id): Path<String>) -> Response {
    match super::enter(&app, &who, &id, Deed::ViewDevices).await {
        Ok(standing) => Redirect::to(&format!("/organisations/{}/devices", standing.account)).into_response(),
        Err(error) => refused(&app, &who, error),
    }
}

/// Why somebody sees nothing of an organisation, as a page.
pub(crate) fn refused(app: &App, who: &SignedIn, error: OrganisationError) -> Response {
    let OrganisationError::SecondFactorRequired(id) = error else {
        return failed(app, who, error.into());
    };
    let entry = who.belongings.iter().find(|entry| entry.account.id == id);
    let name = entry.map(|entry| entry.account.name.clone()).unwrap_or_default();
    page(StatusCode::FORBIDDEN, &TwoFactorRequired { frame: frames::personal(app, who, ""), name })
}
