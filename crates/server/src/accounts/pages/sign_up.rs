//! `/sign-up` and `/verify-email`. Opening a link changes nothing, because mail scanners open links:
//! the button on its page does.

use super::{
    AccountError, Browser, Failed, begun, fail, frame, frame_signed_out, message, refuse, token,
    without_referrer,
};
use crate::accounts::{self, Applicant, Door};
use crate::app::{App, Ctx};
use crate::auth::cookies::Cookie;
use crate::auth::password::Password;
use crate::auth::return_to::ReturnTo;
use crate::auth::{Account, SignedIn};
use crate::config::Registration;
use crate::web::layout::Frame;
use crate::web::page;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

pub(super) fn routes() -> Router<Ctx> {
    Router::new()
        .route("/sign-up", get(show).post(send))
        .route("/sign-up/check-your-mail", get(check_your_mail))
        .route("/verify-email", get(wait))
        .route("/verify-email/resend", post(resend))
        .route("/verify-email/{token}", get(open).post(confirm))
}

#[derive(Template)]
#[template(path = "accounts/sign_up.html")]
struct SignUp {
    frame: Frame,
    failed: Failed,
    typed_name: String,
    email: String,
    return_to: ReturnTo,
}

#[derive(Template)]
#[template(path = "accounts/verify_wait.html")]
struct Waiting {
    frame: Frame,
    email: String,
    sent: bool,
    return_to: ReturnTo,
}

#[derive(Template)]
#[template(path = "accounts/verify_confirm.html")]
struct Confirm {
    frame: Frame,
    failed: Failed,
    action: String,
    email: String,
    needs_password: bool,
}

#[derive(Debug, Default, Deserialize)]
struct Typed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: Password,
    #[serde(default)]
    return_to: ReturnTo,
}

/// Where somebody goes on to.
#[derive(Debug, Default, Deserialize)]
struct Wish {
    #[serde(default)]
    return_to: ReturnTo,
}

async fn show(State(app): State<Ctx>, caller: Option<SignedIn>, Query(wish): Query<Wish>) -> Response {
    let Wish { return_to } = wish;
    if caller.is_some() {
        return Redirect::to(return_to.as_str()).into_response();
    }
    let email = match accounts::door(&app, &return_to).await {
        Ok(Door::Open) => String::new(),
        Ok(Door::Invited(email)) => email,
        Ok(Door::Closed) => return closed(&app),
        Err(error) => return refuse(&app, error.into()),
    };
    let frame = frame_signed_out(&app);
    let form = SignUp { frame, failed: Failed::default(), typed_name: String::new(), email, return_to };
    without_referrer(&app, page(StatusCode::OK, &form))
}

/// Why nobody can sign up here.
pub(super) fn closed(app: &App) -> Response {
    let text = match app.config.registration {
        Registration::Invitation => {
            "New people join this server by invitation. If you were sent one, open its link again. Else ask \
             the person who runs the server, or an administrator of the organisation that you belong to."
        }
        _ => "This server takes no new people.",
    };
    let next = Some(("Go to sign-in", "/sign-in"));
    message(app, StatusCode::FORBIDDEN, "You cannot sign up here", text, next)
}

async fn send(State(app): State<Ctx>, browser: Browser, Form(typed): Form<Typed>) -> Response {
    let Typed { name, email, password, return_to } = typed;
    let new = Applicant { name: name.clone(), email: email.clone(), password, return_to: return_to.clone() };
    match accounts::sign_up(&app, new, &browser).await {
        Ok(known) => {
            let mut response = Redirect::to("/sign-up/check-your-mail").into_response();
            response.headers_mut().append(header::SET_COOKIE, Cookie::KnownBrowser.set(&app, &known));
            response
        }
        Err(error) => match fail(&app, error, "") {
            Ok((status, failed)) => {
                let frame = frame_signed_out(&app);
                let form = SignUp { frame, failed, typed_name: name, email, return_to };
                without_referrer(&app, page(status, &form))
            }
            Err(response) => *response,
        },
    }
}

async fn check_your_mail(State(app): State<Ctx>) -> Response {
    let text = "Open the link in the mail that was just sent to you to confirm your address. If it does not \
                arrive within a few minutes, look into the spam folder, or sign up again.";
    message(&app, StatusCode::OK, "Check your mail", text, Some(("Go to sign-in", "/sign-in")))
}

#[derive(Debug, Default, Deserialize)]
struct After {
    #[serde(default)]
    sent: String,
    #[serde(default)]
    return_to: ReturnTo,
}

async fn wait(State(app): State<Ctx>, Account(caller): Account, Query(after): Query<After>) -> Response {
    let After { sent, return_to } = after;
    if caller.verified {
        return Redirect::to(return_to.as_str()).into_response();
    }
    let mut frame = frame(&app, &caller);
    frame.tabs.clear();
    let shown = Waiting { frame, email: caller.email, sent: !sent.is_empty(), return_to };
    // Its address may hold an invitation's.
    without_referrer(&app, page(StatusCode::OK, &shown))
}

async fn resend(State(app): State<Ctx>, Account(caller): Account, Form(wish): Form<Wish>) -> Response {
    match accounts::resend_verification(&app, &caller, &wish.return_to).await {
        Ok(()) => {
            let waiting = wish.return_to.on("/verify-email");
            let more = if waiting.contains('?') { '&' } else { '?' };
            Redirect::to(&format!("{waiting}{more}sent=yes")).into_response()
        }
        Err(error) => refuse(&app, error),
    }
}

async fn open(
    State(app): State<Ctx>,
    browser: Browser,
    Path(text): Path<String>,
    Query(wish): Query<Wish>,
) -> Response {
    let shown = (Failed::default(), StatusCode::OK);
    without_referrer(
        &app,
        match confirm_page(&app, &browser, &text, &wish.return_to, shown).await {
            Ok(response) => response,
            Err(error) => refuse(&app, error),
        },
    )
}

async fn confirm_page(
    app: &App,
    browser: &Browser,
    text: &str,
    return_to: &ReturnTo,
    (failed, status): (Failed, StatusCode),
) -> Result<Response, AccountError> {
    let token = token(text)?;
    let (user, email) = accounts::verification_recipient(app, &token).await?.ok_or(AccountError::DeadLink)?;
    let needs_password = !accounts::gave_password(app, user, browser).await?;
    let action = return_to.on(&format!("/verify-email/{}", token.expose()));
    Ok(page(status, &Confirm { frame: frame_signed_out(app), failed, action, email, needs_password }))
}

#[derive(Debug, Default, Deserialize)]
struct Confirmed {
    #[serde(default)]
    password: Password,
}

async fn confirm(
    State(app): State<Ctx>,
    browser: Browser,
    Path(text): Path<String>,
    Query(wish): Query<Wish>,
    Form(typed): Form<Confirmed>,
) -> Response {
    let return_to = &wish.return_to;
    let done = match token(&text) {
        Ok(token) => accounts::verify_email(&app, &token, &typed.password, &browser).await,
        Err(error) => Err(error),
    };
    let error = match done {
        Ok(session) => return begun(&app, &session, return_to.as_str()),
        Err(error) => error,
    };
    let wrong =
        "This is not the password that you chose when you signed up. If you forgot it, choose a new one.";
    without_referrer(
        &app,
        match fail(&app, error, wrong) {
            Err(response) => *response,
            Ok((status, failed)) => {
                match confirm_page(&app, &browser, &text, return_to, (failed, status)).await {
                    Ok(response) => response,
                    Err(error) => refuse(&app, error),
                }
            }
        },
    )
}
