//! `/sign-in`, `/sign-out`, `/sign-out-everywhere`.

use super::providers;
use super::two_factor::SECOND_STEP;
use super::{AccountError, Browser, Failed, begun, ended, fail, frame_signed_out, refuse};
use crate::accounts::{self, Door, Entered};
use crate::app::{App, Ctx};
use crate::auth::cookies::Cookie;
use crate::auth::password::Password;
use crate::auth::return_to::ReturnTo;
use crate::auth::{Account, SignedIn};
use crate::web::layout::Frame;
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/sign-in", get(show).post(send))
        .route("/sign-out", post(sign_out))
        .route("/sign-out-everywhere", post(sign_out_everywhere))
}

#[derive(Template)]
#[template(path = "accounts/sign_in.html")]
struct Page {
    frame: Frame,
    failed: Failed,
    email: String,
    return_to: ReturnTo,
    sign_up: bool,
    passkeys: bool,
    providers: Vec<providers::Button>,
    /// What happened before, in a sentence.
    note: &'static str,
}

#[derive(Debug, Default, Deserialize)]
struct Wish {
    #[serde(default)]
    return_to: ReturnTo,
    /// Where the person comes from: after a reset the page says that it worked.
    #[serde(default)]
    after: String,
}

#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: Password,
    #[serde(default)]
    return_to: ReturnTo,
}

async fn show(State(app): State<Ctx>, caller: Option<SignedIn>, Query(wish): Query<Wish>) -> Response {
    if caller.is_some() {
        return Redirect::to(wish.return_to.as_str()).into_response();
    }
    let note = match wish.after.as_str() {
        "reset" => "Your password was changed. Sign in with the new one.",
        "provider" => "Your address has an account here. Sign in to it, then you can link the two.",
        _ => "",
    };
    render(&app, StatusCode::OK, Failed::default(), String::new(), wish.return_to, note).await
}

async fn send(State(app): State<Ctx>, browser: Browser, Form(typed): Form<Typed>) -> Response {
    match accounts::sign_in(&app, &typed.email, &typed.password, &browser).await {
        Ok(Entered::Begun(session)) => begun(&app, &session, typed.return_to.as_str()),
        Ok(Entered::Pending(token)) => {
            let mut response = Redirect::to(&typed.return_to.on(SECOND_STEP)).into_response();
            response.headers_mut().append(header::SET_COOKIE, Cookie::PendingSignIn.set(&app, &token));
            response
        }
        Err(error) => {
            let wrong = "The address or the password is wrong. Check both, or choose a new password.";
            match fail(&app, error, wrong) {
                Ok((status, failed)) => {
                    render(&app, status, failed, typed.email.clone(), typed.return_to, "").await
                }
                Err(response) => *response,
            }
        }
    }
}

async fn render(
    app: &App,
    status: StatusCode,
    failed: Failed,
    email: String,
    return_to: ReturnTo,
    note: &'static str,
) -> Response {
    let sign_up = match accounts::door(app, &return_to).await {
        Ok(door) => door != Door::Closed,
        Err(error) => return refuse(app, error.into()),
    };
    let frame = frame_signed_out(app);
    let passkeys = accounts::passkeys::unavailable(app).is_none();
    page(
        status,
        &Page {
            frame,
            failed,
            email,
            return_to,
            sign_up,
            passkeys,
            providers: providers::buttons(app),
            note,
        },
    )
}

/// The page again, after a passkey that did not sign in.
pub(super) async fn passkey_failed(app: &App, error: AccountError, return_to: ReturnTo) -> Response {
    let wrong = "This passkey does not sign in here: it was removed, or it waited too long. Try again, or use \
                 your password.";
    match fail(app, error, wrong) {
        Ok((status, failed)) => render(app, status, failed, String::new(), return_to, "").await,
        Err(response) => *response,
    }
}

async fn sign_out(State(app): State<Ctx>, Account(caller): Account) -> Response {
    match accounts::sign_out(&app, &caller).await {
        Ok(()) => ended(&app),
        Err(error) => refuse(&app, AccountError::Store(error)),
    }
}

async fn sign_out_everywhere(State(app): State<Ctx>, Account(caller): Account) -> Response {
    match accounts::end_all_sessions(&app, &caller).await {
        Ok(_) => ended(&app),
        Err(error) => refuse(&app, AccountError::Store(error)),
    }
}
