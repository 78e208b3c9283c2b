//! `/forgotten-password` and `/reset-password`.

use super::{AccountError, Failed, fail, frame_signed_out, message, refuse, token, without_referrer};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::cookies::Cookie;
use crate::auth::password::Password;
use crate::front_door::ClientAddress;
use crate::web::layout::Frame;
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/forgotten-password", get(show).post(send))
        .route("/forgotten-password/check-your-mail", get(check_your_mail))
        .route("/reset-password/{token}", get(open).post(set))
}

#[derive(Template)]
#[template(path = "accounts/forgotten.html")]
struct Forgotten {
    frame: Frame,
}

#[derive(Template)]
#[template(path = "accounts/reset.html")]
struct Reset {
    frame: Frame,
    failed: Failed,
    action: String,
    email: String,
}

#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    email: String,
}

async fn show(State(app): State<Ctx>) -> Response {
    page(StatusCode::OK, &Forgotten { frame: frame_signed_out(&app) })
}

async fn send(
    State(app): State<Ctx>,
    ClientAddress(address): ClientAddress,
    Form(typed): Form<Typed>,
) -> Response {
    match accounts::request_reset(&app, &typed.email, address).await {
        Ok(()) => Redirect::to("/forgotten-password/check-your-mail").into_response(),
        Err(error) => refuse(&app, error),
    }
}

async fn check_your_mail(State(app): State<Ctx>) -> Response {
    let text = "If the address has an account here, a link to choose a new password is on its way. If it does \
                not arrive within a few minutes, look into the spam folder, and check the address that you typed.";
    message(&app, StatusCode::OK, "Check your mail", text, Some(("Go to sign-in", "/sign-in")))
}

async fn open(State(app): State<Ctx>, Path(text): Path<String>) -> Response {
    without_referrer(
        &app,
        match form(&app, &text, Failed::default(), StatusCode::OK).await {
            Ok(response) => response,
            Err(error) => refuse(&app, error),
        },
    )
}

async fn form(app: &App, text: &str, failed: Failed, status: StatusCode) -> Result<Response, AccountError> {
    let token = token(text)?;
    let email = accounts::reset_recipient(app, &token).await?.ok_or(AccountError::DeadLink)?;
    let action = format!("/reset-password/{}", token.expose());
    Ok(page(status, &Reset { frame: frame_signed_out(app), failed, action, email }))
}

#[derive(Debug, Default, Deserialize)]
struct Chosen {
    #[serde(default)]
    password: Password,
}

async fn set(State(app): State<Ctx>, Path(text): Path<String>, Form(chosen): Form<Chosen>) -> Response {
    let done = match token(&text) {
        Ok(token) => accounts::reset_password(&app, &token, &chosen.password).await,
        Err(error) => Err(error),
    };
    let error = match done {
        Ok(()) => {
            let mut response = Redirect::to("/sign-in?after=reset").into_response();
            response.headers_mut().append(header::SET_COOKIE, Cookie::Session.remove(&app));
            return response;
        }
        Err(error) => error,
    };
    without_referrer(
        &app,
        match fail(&app, error, "") {
            Err(response) => *response,
            Ok((status, failed)) => match form(&app, &text, failed, status).await {
                Ok(response) => response,
                Err(error) => refuse(&app, error),
            },
        },
    )
}
