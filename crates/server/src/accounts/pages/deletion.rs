//! `/settings/account/delete`: the page that asks before an account is deleted.

use super::{AccountError, frame, message, refuse};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::cookies::Cookie;
use crate::auth::{Fresh, SignedIn};
use crate::organisations::left_behind;
use crate::web::frames;
use crate::web::layout::Frame;
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bramble_model::text;
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/settings/account/delete", get(show).post(delete))
        .route("/account-deleted", get(deleted))
}

#[derive(Template)]
#[template(path = "accounts/delete.html")]
struct Page {
    frame: Frame,
    email: String,
    devices: u64,
    organisations: Vec<Row>,
    /// What stays with organisations, and whose it is.
    stays: Vec<String>,
    error: String,
}

/// An organisation that would have no administrator.
struct Row {
    name: String,
    root: String,
}

#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    confirm: String,
}

async fn show(State(app): State<Ctx>, Fresh(caller): Fresh) -> Response {
    ask(&app, &caller, StatusCode::OK, "").await
}

async fn ask(app: &App, caller: &SignedIn, status: StatusCode, error: &str) -> Response {
    let (alone, devices) = match accounts::in_the_way(app, caller).await {
        Ok(found) => found,
        Err(error) => return refuse(app, error.into()),
    };
    let stays = match left_behind::of_caller(app, caller).await {
        Ok(all) => all.into_iter().map(|(name, left)| format!("{name}: {}", left.words())).collect(),
        Err(error) => return refuse(app, error.into()),
    };
    let row = |account: bramble_store::accounts::Account| Row {
        root: frames::root(account.kind, account.id),
        name: account.name,
    };
    let organisations = alone.into_iter().map(row).collect();
    let (frame, email, error) = (frame(app, caller), caller.email.clone(), error.to_owned());
    page(status, &Page { frame, email, devices, organisations, stays, error })
}

async fn delete(State(app): State<Ctx>, Fresh(caller): Fresh, Form(typed): Form<Typed>) -> Response {
    if text::email(&typed.confirm) != text::email(&caller.email) {
        let why = "That is not the address of this account. Type it exactly.";
        return ask(&app, &caller, StatusCode::UNPROCESSABLE_ENTITY, why).await;
    }
    match accounts::delete_account(&app, &caller).await {
        Ok(()) => {
            let mut response = Redirect::to("/account-deleted").into_response();
            for cookie in [Cookie::Session, Cookie::KnownBrowser] {
                response.headers_mut().append(header::SET_COOKIE, cookie.remove(&app));
            }
            response
        }
        Err(AccountError::LastAdministrator) => ask(&app, &caller, StatusCode::CONFLICT, "").await,
        Err(error) => refuse(&app, error),
    }
}

async fn deleted(State(app): State<Ctx>) -> Response {
    let text = "Everything that was yours alone is gone. A mail confirms it.";
    message(&app, StatusCode::OK, "Your account was deleted", text, Some(("Go to sign-in", "/sign-in")))
}
