//! `/settings/account/email`: another address. Opening the link in the mail changes nothing; the button on
//! its page does.

use super::{AccountError, Failed, fail, frame, refuse, token, without_referrer};
use crate::accounts;
use crate::app::{App, Ctx};
use crate::auth::{Fresh, SignedIn};
use crate::web::layout::{Frame, Link};
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/settings/account/email", get(show).post(send))
        .route("/settings/account/email/{token}", get(open).post(change))
}

#[derive(Template)]
#[template(path = "accounts/email.html")]
struct Page {
    frame: Frame,
    failed: Failed,
    current: String,
    typed: String,
}

#[derive(Template)]
#[template(path = "accounts/email_confirm.html")]
struct Confirm {
    frame: Frame,
    action: String,
    current: String,
    new: String,
}

#[derive(Template)]
#[template(path = "accounts/message.html")]
struct Over {
    frame: Frame,
    title: &'static str,
    text: String,
    next: Option<Link>,
}

#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    email: String,
}

async fn show(State(app): State<Ctx>, Fresh(caller): Fresh) -> Response {
    form(&app, &caller, StatusCode::OK, Failed::default(), String::new())
}

fn form(app: &App, caller: &SignedIn, status: StatusCode, failed: Failed, typed: String) -> Response {
    page(status, &Page { frame: frame(app, caller), failed, current: caller.email.clone(), typed })
}

async fn send(State(app): State<Ctx>, Fresh(caller): Fresh, Form(typed): Form<Typed>) -> Response {
    match accounts::request_email_change(&app, &caller, &typed.email).await {
        Ok(()) => Redirect::to("/settings/account?done=email-asked").into_response(),
        Err(error) => match fail(&app, error, "") {
            Ok((status, failed)) => form(&app, &caller, status, failed, typed.email),
            Err(response) => *response,
        },
    }
}

async fn open(State(app): State<Ctx>, caller: SignedIn, Path(text): Path<String>) -> Response {
    let found = async {
        let token = token(&text)?;
        let new = accounts::new_email(&app, &caller, &token).await?.ok_or(AccountError::DeadLink)?;
        Ok::<_, AccountError>((token, new))
    };
    let response = match found.await {
        Ok((token, new)) => {
            let action = format!("/settings/account/email/{}", token.expose());
            let current = caller.email.clone();
            page(StatusCode::OK, &Confirm { frame: frame(&app, &caller), action, current, new })
        }
        Err(error) => failed(&app, &caller, error),
    };
    without_referrer(&app, response)
}

async fn change(State(app): State<Ctx>, Fresh(caller): Fresh, Path(text): Path<String>) -> Response {
    let done = match token(&text) {
        Ok(token) => accounts::change_email(&app, &caller, &token).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => Redirect::to("/settings/account?done=email").into_response(),
        Err(error) => without_referrer(&app, failed(&app, &caller, error)),
    }
}

fn failed(app: &App, caller: &SignedIn, error: AccountError) -> Response {
    let (status, title, text) = match error {
        AccountError::DeadLink => (
            StatusCode::GONE,
            "This link does not work any more",
            format!(
                "It was used already, was replaced by a newer one, is too old, or belongs to another account \
                 than {}. Sign in to the account that it was asked for, or ask for a new link.",
                caller.email
            ),
        ),
        AccountError::Taken => (
            StatusCode::CONFLICT,
            "This address has an account already",
            "Nothing was changed. Delete the other account first, or use another address.".to_owned(),
        ),
        other => return refuse(app, other),
    };
    let next = Some(Link::new("Go to your account", "/settings/account"));
    page(status, &Over { frame: frame(app, caller), title, text, next })
}
