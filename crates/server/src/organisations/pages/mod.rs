//! The pages of an organisation. Here: making one, and what is shown to somebody who may not enter one.

mod invitation;
mod leave;
mod settings;
mod users;

use super::OrganisationError;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::devices::pages::{Failed, failed, personal_devices};
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
use bramble_wire::AccountId;
use bramble_wire::device_api::AccountKind;
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .merge(users::routes())
        .merge(leave::routes())
        .merge(invitation::routes())
        .merge(settings::routes())
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
    root: String,
}

/// A conflict, in words, with nothing done.
fn sorry(app: &App, who: &SignedIn, title: &'static str, text: &'static str) -> Response {
    let frame = frames::personal(app, who, "");
    page(StatusCode::CONFLICT, &Failed { frame, title, text })
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
        Ok(id) => Redirect::to(&first(&app, &who, id).await).into_response(),
        Err(OrganisationError::Invalid(why)) => form(&app, &who, typed.name, why),
        Err(error) => refused(&app, &who, error),
    }
}

/// Where somebody goes with a new organisation: to the offer to move what they have, if they have anything.
async fn first(app: &App, who: &SignedIn, id: AccountId) -> String {
    let has_devices = personal_devices(app, who).await.is_ok_and(|devices| devices > 0);
    format!("/organisations/{id}/{}", if has_devices { "transfer" } else { "devices" })
}

async fn first_page(State(app): State<Ctx>, who: SignedIn, Path(id): Path<String>) -> Response {
    match super::enter(&app, &who, &id, Deed::ViewDevices).await {
        Ok(standing) => Redirect::to(&format!("/organisations/{}/devices", standing.account)).into_response(),
        Err(error) => refused(&app, &who, error),
    }
}

/// Why somebody sees nothing of an organisation, as a page.
pub(crate) fn refused(app: &App, who: &SignedIn, error: OrganisationError) -> Response {
    let id = match error {
        OrganisationError::SecondFactorRequired(id) => id,
        OrganisationError::LastAdministrator => {
            let text = "An organisation needs an administrator. Make somebody else one first, or delete the \
                        organisation.";
            return sorry(app, who, "This is the last administrator", text);
        }
        OrganisationError::Changed => {
            let text =
                "Somebody changed this while your page was open. Nothing was done; look at the page again.";
            return sorry(app, who, "That has changed meanwhile", text);
        }
        other => return failed(app, who, other.into()),
    };
    kept_out(app, who, id)
}

/// For a member without the second factor that the organisation requires.
pub(crate) fn kept_out(app: &App, who: &SignedIn, id: AccountId) -> Response {
    let entry = who.belongings.iter().find(|entry| entry.account.id == id);
    let name = entry.map(|entry| entry.account.name.clone()).unwrap_or_default();
    let root = frames::root(AccountKind::Organisation, id);
    page(StatusCode::FORBIDDEN, &TwoFactorRequired { frame: frames::personal(app, who, ""), name, root })
}
